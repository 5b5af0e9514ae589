/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kamailio statistics of callhook. */
#include "hook_shared.h"

#include <time.h>

#include "core/counters.h"

#define EACH(s) (const struct sb_endpoint_status *s = st->endpoint; s < st->endpoint + hook_shared->set.count; s++)

static counter_val_t in_state(const struct sb_deliver_status *st, uint32_t state)
{
	counter_val_t n = 0;

	for
		EACH(s)
	n += atomic_load_explicit(&s->state, memory_order_relaxed) == state;
	return n;
}

static counter_val_t sum(const struct sb_deliver_status *st, size_t field)
{
	uint64_t n = 0;

	for
		EACH(s)
	n += atomic_load_explicit((const _Atomic uint64_t *)(const void *)((const char *)s + field), memory_order_relaxed);
	return (counter_val_t)n;
}
#define SUM(field) sum(st, offsetof(struct sb_endpoint_status, field))
#define GONE(n) (counter_val_t) atomic_load_explicit(&hook_shared->gone[n], memory_order_relaxed)

static counter_val_t ends(void)
{
	uint64_t n = 0;

	for(int i = 0; i < HOOK_SINKS; i++)
		n += atomic_load_explicit(&hook_shared->worker[i].ends, memory_order_relaxed);
	return (counter_val_t)n;
}

/* Seconds since the oldest event that some endpoint has read and not taken. */
static counter_val_t oldest(const struct sb_deliver_status *st)
{
	uint64_t first = 0, at;
	time_t now = time(NULL);

	for
		EACH(s)
		{
			at = atomic_load_explicit(&s->oldest_at, memory_order_relaxed);
			if(at > 0 && (first == 0 || at < first))
				first = at;
		}
	return first > 0 && (uint64_t)now > first / 1000000 ? (counter_val_t)((uint64_t)now - first / 1000000) : 0;
}

/* X(name, value): docs/callhook.md lists these rows. */
#define HOOK_STATS(X)                                         \
	X(delivered, SUM(delivered) + GONE(0))                    \
	X(tries_failed, SUM(failed) + GONE(1))                    \
	X(given_up, SUM(dead) + GONE(2))                          \
	X(pending, SUM(pending))                                  \
	X(waiting, SUM(waiting))                                  \
	X(in_flight, SUM(flying))                                 \
	X(oldest_s, oldest(st))                                   \
	X(endpoints_up, in_state(st, SB_ENDPOINT_UP))             \
	X(endpoints_paused, in_state(st, SB_ENDPOINT_PAUSED))     \
	X(endpoints_disabled, in_state(st, SB_ENDPOINT_DISABLED)) \
	X(lost_segments, st->lost_segments)                       \
	X(state_errors, st->state_errors)                         \
	X(process_ends, ends())

#define X(name, value)                                             \
	static counter_val_t stat_##name(void)                         \
	{                                                              \
		const struct sb_deliver_status *st = &hook_shared->status; \
		(void)st;                                                  \
		return (counter_val_t)(value);                             \
	}
HOOK_STATS(X)
#undef X

static stat_export_t stats[] = {
#define X(name, value) {#name, STAT_IS_FUNC, (stat_var **)stat_##name},
		HOOK_STATS(X)
#undef X
				{NULL, 0, NULL}};

int hook_stats_init(void)
{
	return register_module_stats("callhook", stats);
}
