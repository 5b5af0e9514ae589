/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A record of the log as rows of the call log: callstate_call, callstate_attempt, callstate_event (db/schema/003_call_log.sql).
 *
 * One table of columns for each of the three: the SQL of both databases, the binding of values and the tests are made from it.
 * Values are the same for every database: integers, and text. Text is valid UTF-8 without NUL, not longer than its column, cut
 * between characters. Times are UTC, "2026-01-31 14:02:07.123456". NULL is unknown, or not yet.
 */
#ifndef SB_CALL_LOG_ROWS_H
#define SB_CALL_LOG_ROWS_H

#include "db.h"
#include "log.h"

enum sb_cl_table
{
	SB_CL_CALL,
	SB_CL_ATTEMPT,
	SB_CL_EVENT,
	SB_CL_TABLES
};

enum sb_cl_type
{
	SB_CL_UUID,  /* 36 characters */
	SB_CL_KEY,   /* ASCII, width bytes */
	SB_CL_TEXT,  /* width characters */
	SB_CL_TIME,  /* 26 characters */
	SB_CL_INT,   /* 32 bits */
	SB_CL_BIGINT /* 64 bits */
};

struct sb_cl_source;
struct sb_cl_column
{
	const char *name;
	enum sb_cl_type type;
	uint16_t width; /* of SB_CL_KEY and SB_CL_TEXT */
	bool must;      /* NOT NULL */
	bool end;       /* told by the events that end a call alone: a later event does not take it away */
	uint8_t col;    /* enum sb_col, if it comes from one */
	int (*get)(const struct sb_cl_source *s, const struct sb_cl_column *c, struct sb_db_value *v);
};

#define SB_CL_COLUMNS_MAX 48u

/** @param count may be NULL */
const struct sb_cl_column *sb_cl_columns(enum sb_cl_table table, unsigned *count);
const char *sb_cl_table_name(enum sb_cl_table table);
/** Index of a column; the name is known to be there. */
unsigned sb_cl_column_of(enum sb_cl_table table, const char *name);

/** Memory that is given back at once. Zeroed to begin with. */
struct sb_cl_arena
{
	struct sb_cl_block *first;
	size_t used; /* bytes given out since the last reset */
};
/** @return bytes for any type, not zeroed, or NULL */
void *sb_cl_alloc(struct sb_cl_arena *a, size_t len);
void sb_cl_reset(struct sb_cl_arena *a);
void sb_cl_free(struct sb_cl_arena *a);

/** A row: its values in the order of the columns, and the record it came from. */
struct sb_cl_row
{
	struct sb_db_value *v;
	uint64_t seq; /* of the record: with epoch and node the event's id */
	uint32_t epoch;
};

/**
 * The rows of one record. Any event makes its call's row; an attempt's row comes from each event that concerns it, from
 * x.attempt, and from call.cdr, which has all of them. Other internal records make none.
 *
 * @param node uuid text of the node that wrote it
 * @param mem  values and their text live there
 * @param each called for every row; what it returns but 0 ends the reading
 * @return 0; -EBADMSG (not an event: damaged, or without call, time or number), -ENOMEM, or what each returned
 */
int sb_cl_rows(const struct sb_rec *rec, const char *node, struct sb_cl_arena *mem,
		int (*each)(enum sb_cl_table table, const struct sb_cl_row *row, void *arg), void *arg);

/**
 * Whether `row` of an attempt or a call takes the place of `old`, the same rule as in the databases: a call's and an
 * attempt's row by a higher last_sequence; an attempt's also when it has a final code and the old one has none (x.attempt
 * has no number). Then last_sequence is the higher of both, and what only the end of a call tells is kept from `old` where
 * the new row is of a later event that does not tell it.
 *
 * @return true if old was changed
 */
bool sb_cl_fold(enum sb_cl_table table, struct sb_cl_row *old, const struct sb_cl_row *row);

/**
 * The statement that writes one row, with a '?' for each column in their order: an upsert for calls and attempts, for events
 * nothing where the event is there already. A row that hits another unique key of somebody's own is refused.
 *
 * @return bytes written, or -ENOSPC
 */
int sb_cl_sql(char *out, size_t room, enum sb_cl_table table, enum sb_dialect dialect);

#endif
