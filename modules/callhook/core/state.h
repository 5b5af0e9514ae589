/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What delivery must remember over a restart, in one SQLite file that the delivery process alone writes: the cursor of
 * each endpoint, events that wait for a retry, events that were given up.
 *
 * Changes gather in one transaction until sb_store_commit(). So a cursor never passes an event whose row is not kept.
 * After any error but -ENOENT the file and what the caller holds in memory may differ: close, open, read again.
 */
#ifndef SB_HOOK_STATE_H
#define SB_HOOK_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define SB_STATE_ERROR_LEN 200u
#define SB_STATE_VERSION 1

struct sb_store;

struct sb_cursor
{
	struct sb_pos pos;
	char url[1024];       /* the endpoint's, when it was kept */
	uint64_t disabled_at; /* µs; 0: not disabled */
	char disabled_why[SB_STATE_ERROR_LEN];
};

/** A row of `pending` or `dead`. */
struct sb_pending
{
	uint8_t call[16];
	uint32_t epoch;
	uint64_t seq;
	struct sb_pos pos;
	uint32_t tries;
	uint64_t next_at; /* µs since 1970; 0: waits for an earlier event of its call */
	char error[SB_STATE_ERROR_LEN];
};

/**
 * Opens or makes the file.
 *
 * @param durable true: each commit is synced (used once, before the fork); false: SQLite's WAL with synchronous=NORMAL
 * @param err     one sentence: what was found, what is expected, what mends it
 * @return 0, -EIO, -ENOMEM or -EPROTO (made by another version)
 */
int sb_store_open(struct sb_store **out, const char *path, bool durable, char *err, size_t err_len);
void sb_store_close(struct sb_store *s); /* what was not committed is dropped */
/** What SQLite said last. */
const char *sb_store_error(const struct sb_store *s);
bool sb_store_changed(const struct sb_store *s); /* something waits for a commit */
int sb_store_commit(struct sb_store *s);

/** @return 0 or -ENOENT */
int sb_store_cursor(struct sb_store *s, const char *endpoint, struct sb_cursor *out);
int sb_store_set_cursor(struct sb_store *s, const char *endpoint, const struct sb_cursor *c);
/** Cheap form for the running process. */
int sb_store_move(struct sb_store *s, const char *endpoint, struct sb_pos pos);
/** Calls each() for every endpoint that has a cursor. */
int sb_store_endpoints(struct sb_store *s, void (*each)(const char *endpoint, void *arg), void *arg);
/** Forgets an endpoint's cursor and pending rows. @param dropped number of pending rows, may be NULL */
int sb_store_forget(struct sb_store *s, const char *endpoint, uint64_t *dropped);

int sb_store_park(struct sb_store *s, const char *endpoint, const struct sb_pending *p);
/** Another try failed: tries, next_at and error are taken from p. */
int sb_store_again(struct sb_store *s, const char *endpoint, const struct sb_pending *p);
/** Delivered or given up: the row goes, and the next of its call comes due at `now`. @param dead also write it to `dead` */
int sb_store_unpark(struct sb_store *s, const char *endpoint, const struct sb_pending *p, bool dead, uint64_t now);
/** An endpoint is back: events refused at most twice while it was going away come due at `now`. */
int sb_store_hasten(struct sb_store *s, const char *endpoint, uint64_t now);
/** Straight to `dead`, without having been parked. */
int sb_store_bury(struct sb_store *s, const char *endpoint, const struct sb_pending *p, uint64_t now);
/** Keeps the newest `keep` rows of `dead`. */
int sb_store_trim_dead(struct sb_store *s, uint64_t keep);

/** Rows that are due, the longest overdue first. @return how many were set, or a negative errno */
int sb_store_due(struct sb_store *s, const char *endpoint, uint64_t now, struct sb_pending *out, int max);
/** When the next row comes due. @param at µs, 0: never */
int sb_store_next_due(struct sb_store *s, const char *endpoint, uint64_t *at);
/** Calls each() with every parked call and its number of rows. */
int sb_store_calls(struct sb_store *s, const char *endpoint, int (*each)(const uint8_t call[16], uint32_t n, void *arg),
		void *arg);
/** Oldest segment that a pending row of this endpoint needs. @param segment 0: none */
int sb_store_oldest(struct sb_store *s, const char *endpoint, uint64_t *segment);
/** @return 0; counts of the two tables */
int sb_store_counts(struct sb_store *s, uint64_t *pending, uint64_t *dead);

/** Reading beside the delivery process: `signalbox`, RPC. The newest `max` rows, or those due first. */
struct sb_store_row
{
	char endpoint[64];
	struct sb_pending p;
};
int sb_store_list(const char *path, const char *endpoint, bool (*each)(const struct sb_store_row *row, void *arg),
		void *arg, int max, char *err, size_t err_len);

#endif
