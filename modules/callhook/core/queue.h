/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The window of one endpoint: events read ahead, waiting or in flight, and retries that came due.
 *
 * Of one call at most one event is in flight, the oldest; calls do not wait for each other. The cursor is the oldest
 * event that is not done. Everything is allocated at the start; nothing here knows of clocks, files or HTTP.
 */
#ifndef SB_HOOK_QUEUE_H
#define SB_HOOK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

struct sb_entry
{
	struct sb_pos pos; /* of the record */
	uint8_t call[16];  /* all zero: an event without a call; those keep their order among themselves */
	void *event;       /* the caller's; this list neither frees nor reads it */
	bool retry;        /* came from the pending list, not from the log: the cursor does not count it */
	uint32_t tries;    /* tries that ended, this event's; kept by the caller */
	uint64_t
			fail_mark; /* the caller's: successes of the endpoint when this entry failed last; UINT64_MAX: it has not */
	uint64_t start_mark; /* the caller's: successes of the endpoint when this try began */

	/* private */
	uint64_t n;
	bool flying, ready;
	struct sb_entry *older, *newer; /* log order, without retries */
	struct sb_entry *ready_prev, *ready_next;
	struct sb_entry *call_next, *call_last; /* of the same call, in order; call_last in the first only */
	struct sb_entry *bucket_next;
};

struct sb_queue
{
	struct sb_entry *entries, *unused;
	struct sb_entry **bucket;
	struct sb_entry *oldest, *newest;
	struct sb_entry *ready_first, *ready_last;
	uint32_t buckets; /* a power of 2 */
	uint32_t window, retry_room;
	uint32_t waiting, flying, retries; /* waiting and flying count all; retries are those among them */
	uint32_t ready;                    /* of those that wait: may fly now, no earlier event of their call being here */
	uint64_t pushed;
	struct sb_pos read; /* everything before this was pushed or skipped */
};

/**
 * @param window     events of the log held at a time, ≥ 1; the log is read at most 8 times as far ahead of the cursor
 * @param retry_room retries held at a time
 * @return 0, -EINVAL or -ENOMEM
 */
int sb_queue_init(struct sb_queue *q, uint32_t window, uint32_t retry_room, struct sb_pos from);
void sb_queue_free(struct sb_queue *q);

bool sb_queue_full(const struct sb_queue *q);

/** The log was read up to here, and what lay between was pushed or is of no interest. */
void sb_queue_read_to(struct sb_queue *q, struct sb_pos next);

/** @return the new entry at the end of its call, or NULL: no room */
struct sb_entry *sb_queue_push(struct sb_queue *q, struct sb_pos pos, const uint8_t call[16], void *event, bool retry);

/** The next entry that may fly, now in flight; NULL if there is none. */
struct sb_entry *sb_queue_take(struct sb_queue *q);
/** It failed, and for reasons that are not its own: it waits again, before all others or behind them. */
void sb_queue_back(struct sb_queue *q, struct sb_entry *e, bool first);
/** Delivered, given up, or parked: it leaves, and the next of its call may fly. The entry is no longer valid. */
void sb_queue_done(struct sb_queue *q, struct sb_entry *e);

/** The first entry of a call, or NULL; and the one behind it. */
struct sb_entry *sb_queue_call(const struct sb_queue *q, const uint8_t call[16]);
struct sb_entry *sb_queue_call_next(const struct sb_entry *e);

/** Oldest event not done; with none, where the log was read to. */
struct sb_pos sb_queue_cursor(const struct sb_queue *q);

#endif
