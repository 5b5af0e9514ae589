/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Delivery: reads the log, and posts its events to every endpoint that wants them. One process, one thread; it runs in
 * Kamailio's delivery process and in a plain program alike.
 *
 * Each endpoint has its own cursor and its own window, so that nobody waits for anybody. What a failure means is
 * decided in verdict.h; what must outlive the process is in state.h.
 */
#ifndef SB_HOOK_DELIVER_H
#define SB_HOOK_DELIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "log.h"
#include "schedule.h"

enum sb_endpoint_state
{
	SB_ENDPOINT_OFF, /* enabled = 0 in the table */
	SB_ENDPOINT_UP,
	SB_ENDPOINT_PAUSED,  /* it fails: one probe at a time */
	SB_ENDPOINT_DISABLED /* it answered 410, or somebody said so */
};

/** What an endpoint is doing, in shared memory: the delivery process writes, everybody reads. */
struct sb_endpoint_status
{
	char id[SB_ENDPOINT_ID_LEN];
	_Atomic uint32_t state;
	_Atomic uint64_t since;                            /* µs: the state began */
	_Atomic uint64_t delivered, failed, dead, skipped; /* tries or events, since the start */
	_Atomic uint64_t waiting, flying, pending;         /* now */
	_Atomic uint64_t segment, offset;                  /* cursor */
	_Atomic uint64_t oldest_at;                        /* µs: timestamp of the oldest event not yet done, 0: none */
	_Atomic uint64_t success_at;                       /* µs, wall clock; 0: never */
	_Atomic uint64_t failure_at;
	_Atomic uint64_t probe_at;
	_Atomic uint64_t rate_10s,
			rate_60s;              /* delivered a second, in thousandths: over the last 10 s, and the last minute */
	_Atomic uint32_t text_version; /* odd while error is being written */
	char error[200];               /* of the last failure */
};

struct sb_deliver_status
{
	_Atomic uint64_t turns, commits, lost_deliveries, state_errors, lost_segments;
	uint32_t endpoints;
	struct sb_endpoint_status endpoint[];
};

static inline size_t sb_deliver_status_size(unsigned endpoints)
{
	return sizeof(struct sb_deliver_status) + endpoints * sizeof(struct sb_endpoint_status);
}

/** Copies the error text without tearing it. */
void sb_endpoint_status_error(const struct sb_endpoint_status *s, char out[200]);
const char *sb_endpoint_state_name(uint32_t state);

enum sb_deliver_level
{
	SB_DELIVER_ERROR,
	SB_DELIVER_WARNING,
	SB_DELIVER_NOTICE
};

struct sb_deliver_cfg
{
	struct sb_log
			*log; /* directories, node, epoch, salt, wake_fd; sh may be NULL (then the log is looked at every 20 ms) */
	int sink;     /* as sb_log_sink() gave it, or -1 */
	const char *state_dir;               /* holds state.sqlite and deliveries/ */
	const struct sb_endpoint *endpoints; /* kept by the caller */
	unsigned count;
	struct sb_pos begin; /* where the cursor of a new endpoint begins; 0: with the first record of this start */
	struct sb_schedule schedule;
	unsigned connect_timeout_ms, timeout_ms;
	unsigned probe_max_s;             /* longest wait between two probes, and for a Retry-After */
	uint32_t window;                  /* events read ahead for each endpoint */
	uint64_t pending_max;             /* parked events of an endpoint; beyond it the endpoint waits */
	uint64_t dead_max;                /* rows kept */
	uint64_t deliveries_limit;        /* bytes */
	struct sb_deliver_status *status; /* zeroed at first; counters go on over a restart of the process */
	void (*say)(enum sb_deliver_level level, const char *text);
};

/**
 * Makes or checks the state file, gives every new endpoint its cursor, synced to disk, and forgets endpoints that are no longer there.
 * Before the fork, so that a new endpoint misses nothing; and whenever the endpoints are others.
 *
 * @param err one sentence: what was found, what is expected, what mends it
 * @return 0 or a negative errno
 */
int sb_deliver_prepare(const struct sb_deliver_cfg *cfg, char *err, size_t err_len);

struct sb_deliver;
/** In the delivery process. @return 0 or a negative errno, err as above */
int sb_deliver_new(struct sb_deliver **out, const struct sb_deliver_cfg *cfg, char *err, size_t err_len);
/** One turn: read, post, note what ended, sleep until there is more (at most max_ms). */
void sb_deliver_turn(struct sb_deliver *d, int max_ms);
/** Starts nothing new, waits drain_ms for what is under way, keeps cursors, frees everything. */
void sb_deliver_stop(struct sb_deliver *d, int drain_ms);

/** Commands, between two turns. @param why what cannot be done, one sentence @return 0, -ENOENT, -EINVAL, -EALREADY, -EIO, … */
int sb_deliver_enable(struct sb_deliver *d, const char *endpoint, char *why, size_t why_len);
int sb_deliver_disable(struct sb_deliver *d, const char *endpoint, char *why, size_t why_len);
/**
 * Dead letters wait for delivery again, in the order of each call; they are taken piece by piece, in the turns to come.
 *
 * @param what   an event id (short too: without the node), a call id, or "all"
 * @param events that are sent again
 * @param lost   that cannot be: their text was not kept, and the journal no longer holds them
 */
int sb_deliver_replay(struct sb_deliver *d, const char *endpoint, const char *what, uint64_t *events, uint64_t *lost,
		char *why, size_t why_len);

struct sb_deliver_tested
{
	unsigned status;   /* 0: no answer */
	uint32_t ms;       /* from the first byte sent to the end of the answer, connecting included */
	const char *error; /* "" with 2xx */
	const char *id;    /* webhook-id */
};
typedef void (*sb_deliver_tested_f)(void *arg, const struct sb_deliver_tested *r);
/**
 * One signed event of type callhook.test to that endpoint alone, whatever its state; never stored, never repeated.
 * @param done called once, in a turn or in sb_deliver_stop(), if 0 was returned
 */
int sb_deliver_test(struct sb_deliver *d, const char *endpoint, unsigned timeout_ms, sb_deliver_tested_f done,
		void *arg, char *why, size_t why_len);

#endif
