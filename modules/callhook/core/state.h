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
#define SB_STATE_VERSION 2

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
	uint16_t type;         /* of the event, enum sb_type; this and the next two: 0 = not known */
	uint64_t at, sequence; /* µs; within its call */
	bool kept;             /* as read: the row has the event's text, sb_store_body() */
};

/**
 * Opens or makes the file, mode 0600; one of an earlier version is brought to this one.
 *
 * @param durable true: each commit is synced (used once, before the fork); false: SQLite's WAL with synchronous=NORMAL
 * @param err     one sentence: what was found, what is expected, what mends it
 * @return 0, -EIO, -ENOMEM or -EPROTO (made by a later version)
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

/** @return 1, 0 (the row was there: the log was read again from an older cursor), or -EIO */
int sb_store_park(struct sb_store *s, const char *endpoint, const struct sb_pending *p);
/** Another try failed: tries, next_at and error are taken from p. */
int sb_store_again(struct sb_store *s, const char *endpoint, const struct sb_pending *p);
/** Delivered or given up: the row goes, and the next of its call comes due at `now`. */
int sb_store_unpark(struct sb_store *s, const char *endpoint, const struct sb_pending *p, uint64_t now);
/** An endpoint is back: events refused at most twice while it was going away come due at `now`. */
int sb_store_hasten(struct sb_store *s, const char *endpoint, uint64_t now);
/** Nothing of so many tries comes due later than at `at`. */
int sb_store_not_later(struct sb_store *s, const char *endpoint, uint32_t tries, uint64_t at);
/** Into `dead`; a parked one is to be unparked too. @param body the event as it is sent, so that it can be sent when the journal no
 * longer has it; NULL: it could not be had */
int sb_store_bury(struct sb_store *s, const char *endpoint, const struct sb_pending *p, const char *body, size_t len,
		uint64_t now);
/** Keeps the newest `keep` rows of `dead`. */
int sb_store_trim_dead(struct sb_store *s, uint64_t keep);

/** Rows that are due, the longest overdue first. @return how many were set, or a negative errno */
int sb_store_due(struct sb_store *s, const char *endpoint, uint64_t now, struct sb_pending *out, int max);
/** When the next row comes due. @param at µs, 0: never */
int sb_store_next_due(struct sb_store *s, const char *endpoint, uint64_t *at);
/** Calls each() with every parked call and its number of rows. */
int sb_store_calls(struct sb_store *s, const char *endpoint, int (*each)(const uint8_t call[16], uint32_t n, void *arg),
		void *arg);
/** Oldest segment that a pending row of this endpoint needs. @param segment 0: none @param at of its event, µs, 0: not known */
int sb_store_oldest(struct sb_store *s, const char *endpoint, uint64_t *segment, uint64_t *at);
/** @return 0; counts of the two tables */
int sb_store_counts(struct sb_store *s, uint64_t *pending, uint64_t *dead);

/** The text of a pending row. @param body by malloc(), the caller's @return 0, -ENOENT (none is kept), -ENOMEM, -EIO */
int sb_store_body(struct sb_store *s, const char *endpoint, const struct sb_pending *p, char **body, size_t *len);

/** Which dead letters are to be sent again; kept by the caller from sb_store_replay_begin() to the end of the last piece. */
struct sb_replay
{
	enum
	{
		SB_REPLAY_ALL,
		SB_REPLAY_CALL,
		SB_REPLAY_EVENT
	} what;
	uint8_t call[16];
	uint32_t epoch;
	uint64_t seq;
	uint64_t first_segment; /* of the journal: what has no text kept and is older cannot be sent */
	int64_t after, last;    /* rows between these */
};
/** @param events that will be sent again @param lost that cannot: no text was kept, and the journal does not have them */
int sb_store_replay_begin(
		struct sb_store *s, const char *endpoint, struct sb_replay *r, uint64_t *events, uint64_t *lost);
/**
 * Takes the next `max` (≤ 1000) from `dead` into `pending`, the longest dead first. The first of a call is due at `now`; its
 * later ones, and what was parked of that call before, wait behind it.
 * @param each called with the call of every new row of `pending` @return how many were taken, 0: the end, or a negative errno
 */
int sb_store_replay(struct sb_store *s, const char *endpoint, struct sb_replay *r, uint64_t now, int max,
		int (*each)(const uint8_t call[16], uint32_t n, void *arg), void *arg);

/** What an outsider wants to see of an endpoint, a row of `status`; texts are the caller's. */
struct sb_store_status
{
	const char *endpoint, *url, *events, *trunks, *dids, *state, *error;
	uint64_t since;                   /* µs: the state began */
	uint64_t delivered, failed, dead; /* since the start of Kamailio */
	uint64_t pending, waiting, in_flight;
	uint64_t oldest_at, success_at, failure_at, probe_at; /* µs, 0: none */
	double rate_10s, rate_60s;                            /* delivered a second */
	uint64_t updated_at;
};
int sb_store_set_status(struct sb_store *s, const struct sb_store_status *st);
/** The process that writes this file. */
int sb_store_set_worker(struct sb_store *s, int pid, uint64_t started_at, uint64_t updated_at);

/** Reading beside the delivery process: pending rows in the log's order, dead ones the newest first. */
struct sb_store_row
{
	char endpoint[64];
	struct sb_pending p;
	uint64_t given_up_at; /* µs; `dead` only */
};
/** @param each false: enough */
int sb_store_list(const char *path, bool dead, const char *endpoint,
		bool (*each)(const struct sb_store_row *row, void *arg), void *arg, int max, char *err, size_t err_len);
/** Dead letters of each endpoint. */
int sb_store_dead(const char *path, void (*each)(const char *endpoint, uint64_t n, void *arg), void *arg, char *err,
		size_t err_len);

#endif
