/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the four-layer log share: layer_log.c (life, writing) and layer_read.c (from the log into lines). */
#ifndef SB_LAYER_PARTS_H
#define SB_LAYER_PARTS_H

#include "layer_file.h"
#include "layer_log.h"
#include "layer_store.h"
#include "layer_syslog.h"

#define SB_LAYER_BATCH_BYTES (256u * 1024)
#define SB_LAYER_BATCH_LINES 1024u
#define SB_LAYER_SECOND_US 1000000u

struct sb_layer_pending
{
	size_t end;         /* in buf */
	struct sb_pos next; /* behind its record, and behind those after it that are no lines */
	uint64_t at;
};

struct sb_layer_id
{
	uint64_t seq;
	uint32_t epoch;
};

struct sb_layer_log
{
	struct sb_layer_cfg cfg;
	struct sb_layer_store *store;
	struct sb_layer_kept kept; /* as it is now; in the store since kept_at */
	uint64_t kept_at;
	bool changed, keep_failed;
	bool recovered;
	struct sb_reader *reader;
	struct sb_pos read, last;
	uint64_t seen, reader_looked;
	bool more;
	bool to_syslog;
	size_t line_max;
	struct sb_layer_file file;
	struct sb_layer_syslog syslog;
	uint64_t file_looked, rotate_at;
	uint64_t wall; /* µs since 1970, of this turn; every other time is of the clock that never goes back */
	unsigned failures;
	uint64_t retry_at;
	bool bad_said, rotate_said;
	struct sb_layer_id *written; /* behind the cursor, and in the file already; sorted */
	size_t written_count, written_room, written_left;
	bool passed; /* what comes now is not among them */
	unsigned lines;
	size_t len;
	struct sb_layer_pending line[SB_LAYER_BATCH_LINES];
	char buf[SB_LAYER_BATCH_BYTES];
};

void sb_layer_say(const struct sb_layer_cfg *cfg, bool error, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));
void sb_layer_set_error(struct sb_layer_status *s, const char *text);
/** Said once, until it works again; the next try waits, longer each time. */
void sb_layer_failed(struct sb_layer_log *l, uint64_t now, const char *what, const char *why);

/** Reads what is new into lines, as far as there is room. */
void sb_layer_fill(struct sb_layer_log *l, uint64_t now);
/** A line that was found behind the mark. @return 0 or -ENOMEM */
int sb_layer_note_written(const char *text, size_t len, void *l);
void sb_layer_sort_written(struct sb_layer_log *l);
void sb_layer_forget_written(struct sb_layer_log *l);

#endif
