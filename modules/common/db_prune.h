/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Retention of the call log: old calls go, a chunk at a time, so that whoever writes beside it waits for one chunk at most.
 */
#ifndef SB_DB_PRUNE_H
#define SB_DB_PRUNE_H

#include "db.h"

#define SB_PRUNE_MAX 5000u
#define SB_PRUNE_CHUNK 1000u /* calls; a good size */
#define SB_BEFORE_MAX 128u

struct sb_db_pruned
{
	int64_t calls, attempts, events; /* rows */
};

/**
 * Deletes the oldest calls that began before a time, with their attempts and events, in a transaction of its own.
 *
 * @param before    UTC, "2026-01-31 14:02:07.123456"
 * @param calls_max 1 to SB_PRUNE_MAX
 * @param sum       what was deleted is added to it
 * @return calls deleted (fewer than calls_max: no older ones are left), or an error of db.h: nothing was deleted, sb_db_error() says why
 */
int sb_db_prune(struct sb_db *db, const char *before, unsigned calls_max, struct sb_db_pruned *sum);

struct sb_db_ids
{
	char (*id)[37];
	unsigned count;
};
/**
 * Runs a statement for every id, some hundred at a time.
 *
 * @param head   what IN (?, …) is put behind: "DELETE FROM t WHERE call_id"
 * @param before parameters that stand in front of the ids, at most SB_BEFORE_MAX
 * @return rows changed, or an error of db.h
 */
int64_t sb_db_for_ids(struct sb_db *db, const char *head, const struct sb_db_value *before, unsigned before_count,
		const struct sb_db_ids *ids);
/** The same for a SELECT, without parameters in front. @return rows, or an error of db.h */
int64_t sb_db_read_for_ids(struct sb_db *db, const char *head, const struct sb_db_ids *ids,
		bool (*each)(const struct sb_db_value *row, unsigned columns, void *arg), void *arg);

/** Begins a transaction that will write. @return 0 or an error of db.h */
int sb_db_begin(struct sb_db *db);
/** Undoes it; sb_db_error() goes on saying what went wrong before. */
void sb_db_rollback(struct sb_db *db);

#endif
