/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Which records a command looks at, and how one is written on a line.
 */
#ifndef SB_CLI_FILTER_H
#define SB_CLI_FILTER_H

#include "cli.h"
#include "text.h"

struct filter
{
	const char *call, *number, *type;
	uint8_t id[16]; /* of call, where it is one of ours */
	bool by_id;
	bool internal;  /* let internal records through */
	uint64_t since; /* µs, 0 = all */
};

/** @return CLI_OK or CLI_USAGE (said) */
int filter_init(struct filter *f, struct cli *c, const struct cli_options *o);

/** The columns of rec are read into fields on the way. */
bool filter_takes(const struct filter *f, const struct sb_rec *rec, struct sb_fields *fields);

/** "call.ringing"; for custom events the name they carry. */
struct text type_text(const struct sb_rec *rec, const struct sb_fields *fields);

/** "1-2a": the event id without the node. */
struct text short_id(const struct sb_rec *rec);

/** One line of `journal list`. */
void line_print(struct cli *c, const struct sb_rec *rec, const struct sb_fields *fields);

/** {"id", "type", "timestamp", "data"}; internal records: their columns by name. NULL: damaged */
json_t *line_json(const struct cli *c, const struct sb_rec *rec);

#endif
