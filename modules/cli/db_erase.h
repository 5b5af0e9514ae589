/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What an erasure found, and where else the number is.
 */
#ifndef SB_CLI_DB_ERASE_H
#define SB_CLI_DB_ERASE_H

#include "db_cmd.h"
#include "ids.h"

#define ERASE_SPELLINGS 64u

struct erasure
{
	struct cli *c;
	struct sb_db *db;
	const char *number;
	bool exact, yes, dry;
	bool failed;   /* no memory */
	bool too_many; /* spellings */
	struct ids ids;
	unsigned going_on; /* calls that are not over */
	char first[27], last[27];
	/* the number as it is written: user parts, DIDs, agents; and how often */
	char spelling[ERASE_SPELLINGS][260];
	unsigned times[ERASE_SPELLINGS], spellings;
	int64_t calls, attempts, events; /* rows */
	json_t *elsewhere;               /* sentences */
};

/** Fills e->elsewhere: who else holds the number, as far as it can be seen from here. */
void erase_elsewhere(struct erasure *e);

#endif
