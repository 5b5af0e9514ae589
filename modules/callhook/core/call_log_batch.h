/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the records that were read and are not written yet: of a call and of an attempt only the newest. */
#ifndef SB_CALL_LOG_BATCH_H
#define SB_CALL_LOG_BATCH_H

#include "call_log_rows.h"

/** What cannot be written: a row, or a record that is no event (table: SB_CL_TABLES, row.v NULL). */
struct sb_cl_bad
{
	enum sb_cl_table table;
	struct sb_cl_row row;
	const char *error; /* in the batch's memory, or for ever */
};

struct sb_cl_set
{
	struct sb_cl_row *row;
	unsigned count, room;
};

/** Zeroed to begin with. */
struct sb_cl_batch
{
	struct sb_cl_arena mem, errors;
	struct sb_cl_set set[SB_CL_TABLES];
	uint32_t *index; /* of calls and attempts; 0: free */
	unsigned index_size;
	struct sb_cl_bad *bad;
	unsigned bads, bad_room;
	unsigned unreadable; /* those of them that came with reading, first in the list */
	unsigned records;    /* those that make no row among them */
	uint64_t oldest_at;  /* µs: the first event's time */
};

/** @return 0, or -ENOMEM: the record may be in it by half */
int sb_cl_batch_add(struct sb_cl_batch *b, const struct sb_rec *rec, const char *node);
/** A row that was refused; copies the error. @return 0 or -ENOMEM */
int sb_cl_batch_bad(struct sb_cl_batch *b, enum sb_cl_table table, const struct sb_cl_row *row, const char *error);
/** Forgets the rows that were refused: they are tried again. */
void sb_cl_batch_retry(struct sb_cl_batch *b);
void sb_cl_batch_reset(struct sb_cl_batch *b);
void sb_cl_batch_free(struct sb_cl_batch *b);

#endif
