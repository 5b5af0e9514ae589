/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Calls out of the call log.
 */
#ifndef SB_CLI_CALLS_FIND_H
#define SB_CLI_CALLS_FIND_H

#include "calls_sql.h"

struct calls_row
{
	const char *text[CALL_COLUMNS]; /* NULL: unknown; numbers in decimal */
	uint64_t started;               /* µs */
};

struct calls_found
{
	struct calls_row **row; /* newest first */
	size_t rows, room;
	bool more;          /* there are older ones that fit */
	bool many_numbers;  /* more numbers end so than were looked at */
	uint64_t looked_to; /* µs: the time was up here, older ones were not looked at; 0: everything was */
	int error;          /* of sb_db_query() */
};

/** SQLite: more memory for pages than its 2 MB, as a reader of many gigabytes wants. */
void calls_tune(struct sb_db *db);

/** One row of a SELECT over CALLS_COLUMNS; free() it. NULL: no memory */
struct calls_row *calls_row_new(const struct sb_db_value *v);

/**
 * @param budget_us do not look further back once so long was searched for, 0: look through everything
 * @return 0, or an error of sb_db_query(); calls_found_free() in both cases
 */
int calls_find(struct sb_db *db, const struct calls_ask *a, uint64_t budget_us, struct calls_found *out);
void calls_found_free(struct calls_found *f);

static inline long long calls_number(const struct calls_row *r, enum calls_column col)
{
	long long n = 0;
	for(const char *p = r->text[col]; p != NULL && *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (*p - '0');
	return n;
}

#endif
