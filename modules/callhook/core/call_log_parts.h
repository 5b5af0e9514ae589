/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the call log. */
#ifndef SB_CALL_LOG_PARTS_H
#define SB_CALL_LOG_PARTS_H

#include "call_log.h"
#include "call_log_batch.h"
#include "call_log_state.h"

struct sb_call_log
{
	struct sb_call_log_cfg cfg;
	struct sb_cl_state *state;
	struct sb_cl_batch batch;
	unsigned bad_run[SB_CL_TABLES]; /* rows refused in turn, over batches */
	struct sb_reader *reader;
	struct sb_pos read;   /* behind the last record of the batch */
	struct sb_pos kept;   /* cursor */
	struct sb_pos last;   /* last record read */
	bool written;         /* the batch is in the database; the cursor is not kept yet */
	bool open;            /* the store is */
	bool more;            /* the log has more than was read */
	int down;             /* what it waits for: -errno, 0: nothing */
	uint64_t down_at;     /* µs, wall clock */
	uint64_t first_mono;  /* when the batch began */
	uint64_t retry_mono;  /* not before */
	uint64_t retry_us;    /* the next wait */
	uint64_t reader_mono; /* the reader: not before */
	uint64_t moved_mono;  /* when the number of records changed last */
	uint64_t seen;        /* records in the log then */
	uint64_t looked_mono;
	uint64_t prune_mono; /* no pruning before */
	uint64_t prune_said_mono;
	int64_t ahead;             /* µs, of the wall clock before the other */
	uint64_t steady_mono;      /* since then it ran as the other does */
	uint64_t said_mono;        /* why it waits, to the log */
	uint64_t broken_said_mono; /* that the log cannot be read */
	uint64_t aside_said_mono;
	uint64_t aside_unsaid;
	uint64_t now, mono; /* of this turn */
};

void cl_say(struct sb_call_log *c, enum sb_call_log_level level, const char *format, ...)
		__attribute__((format(printf, 3, 4)));

/** What `callhook.call_log` shows as the last error. */
void cl_note_error(struct sb_call_log *c, const char *text);

/** Reads until the batch is full or the log is at its end. */
void cl_gather(struct sb_call_log *c);
bool cl_full(const struct sb_call_log *c);

/** The batch into the store; bad rows are noted in the batch. @return 0 or -errno (err set): the batch waits */
int cl_put_batch(struct sb_call_log *c, char *err, size_t err_len);

/** Bad rows of the batch and the cursor into the file. @return 0 or -errno (err set) */
int cl_keep(struct sb_call_log *c, char *err, size_t err_len);

/** At most one chunk of calls that are too old, when it is time. */
void cl_prune(struct sb_call_log *c);

#endif
