/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kamailio statistics of callhook. */
#include "hook.h"

#include <time.h>

#include "core/counters.h"

#define EACH(s) (const struct sb_endpoint_status *s = st->endpoint; s < st->endpoint + hook_cfg.count; s++)

static counter_val_t in_state(const struct sb_deliver_status *st, uint32_t state)
{
	counter_val_t n = 0;

	for
		EACH(s)
	n += st != NULL && atomic_load_explicit(&s->state, memory_order_relaxed) == state;
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
	X(delivered, SUM(delivered))                              \
	X(tries_failed, SUM(failed))                              \
	X(given_up, SUM(dead))                                    \
	X(pending, SUM(pending))                                  \
	X(waiting, SUM(waiting))                                  \
	X(in_flight, SUM(flying))                                 \
	X(oldest_s, oldest(st))                                   \
	X(endpoints_up, in_state(st, SB_ENDPOINT_UP))             \
	X(endpoints_paused, in_state(st, SB_ENDPOINT_PAUSED))     \
	X(endpoints_disabled, in_state(st, SB_ENDPOINT_DISABLED)) \
	X(lost_segments, st != NULL ? st->lost_segments : 0)      \
	X(state_errors, st != NULL ? st->state_errors : 0)

#define X(name, value)                                        \
	static counter_val_t stat_##name(void)                    \
	{                                                         \
		const struct sb_deliver_status *st = hook_cfg.status; \
		return (counter_val_t)(value);                        \
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
