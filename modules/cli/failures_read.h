/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Failures out of the call log, and what went well beside them.
 */
#ifndef SB_CLI_FAILURES_READ_H
#define SB_CLI_FAILURES_READ_H

#include "db.h"
#include "failures_group.h"

/** Failed calls, and failed attempts, that are read at most: the newest. */
#define FAILURES_MAX 40000u

struct failures_ask
{
	uint64_t since, until;      /* µs */
	const char *trunk, *number; /* NULL: any */
};

struct failures_read
{
	struct failures *failures;
	size_t calls_failed, rescued, cancelled;
	uint64_t bounded; /* µs: there are more, of before this; 0: everything was read */
};

/** @return 0, -ENOMEM or an error of sb_db_query(); failures_read_free() in both cases */
int failures_read(struct sb_db *db, const struct failures_ask *a, struct failures_read *out);
void failures_read_free(struct failures_read *r);

/** Asks no more when its time is up: what weighs most was asked for first. */
struct failures_asker
{
	struct sb_db *db;
	uint64_t deadline;
	bool out_of_time; /* it was asked after that */
};
void failures_asker(struct failures_asker *a, struct sb_db *db, unsigned budget_ms);
/** A failures_good; arg is a failures_asker. */
size_t failures_answered(enum failures_dim dim, const char *name, enum failures_dim via_dim, const char *via,
		uint64_t first, uint64_t last, void *arg);
/** When the newest answered call of that trunk, agent, number or caller was answered, µs; 0: not known, or long ago */
uint64_t failures_last_good(struct sb_db *db, enum failures_dim dim, const char *name);

#endif
