/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A call of the call log on a line, as JSON, as CSV.
 */
#ifndef SB_CLI_CALLS_PRINT_H
#define SB_CLI_CALLS_PRINT_H

#include "calls_find.h"
#include "cli.h"
#include "text.h"

/** "answered 2 min 13 s", "486 busy", "no answer, rang 23.0 s", "up 41.3 s so far" */
struct text calls_result(const struct calls_row *r, uint64_t now_us);
/** "carrier-a", "anna", "anna (carrier-a)"; "" */
struct text calls_by(const struct calls_row *r);
/** The number, or the user, or the URI. */
struct text calls_party(const struct calls_row *r, enum calls_column number, enum calls_column uri);
/** Enough of a call id for `why` and `calls`: its first 18 characters, a millisecond and 12 random bits. */
struct text calls_short_id(const char *call_id);

void calls_print_lines(struct cli *c, const struct calls_found *f, uint64_t now_us);
/** RFC 4180, with a line of names; all columns as they are in the table. */
void calls_print_csv(struct cli *c, const struct calls_found *f);
json_t *calls_json(const struct calls_row *r);

/** JSON of a column: numbers as numbers, times as in events ("2026-01-31T14:02:07.123456Z"), null. */
json_t *calls_json_value(enum calls_kind kind, const char *text);

#endif
