/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Which walks over the call log's indexes give what was asked for: the forms of a number, the codes of a class, the outcomes of a state are
 * looked up in the index itself, one seek for each.
 */
#ifndef SB_CLI_CALLS_WALKS_H
#define SB_CLI_CALLS_WALKS_H

#include "calls_sql.h"

struct calls_walks
{
	struct calls_walk *walk;
	size_t walks, room;
	bool many_numbers;
};

/** The walks with the fewest entries in that time; fills in the forms of a's number. @return 0, -ENOMEM or an error of sb_db_query(); calls_walks_free() in both cases */
int calls_walks_choose(struct sb_db *db, struct calls_ask *a, uint64_t since, uint64_t until, struct calls_walks *out);
void calls_walks_free(struct calls_walks *w);

#endif
