/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kamailio statistics of callstate, and the state of its log. */
#include "cs_view.h"

#include "core/counters.h"

/** cs_sh->n.active counts records in use; a call that is over keeps its record for some seconds more. */
static void count_open(counter_val_t *setup, counter_val_t *answered)
{
	uint32_t made = cs_sh->made;

	*setup = *answered = 0;
	for(uint32_t i = 0; i < made; i++) {
		const struct cs_call *c = cs_at(i);
		if(!(c->gen & 1))
			continue;
		*setup += cs_in_setup(c);
		*answered += cs_answered(c);
	}
}

static counter_val_t active(void)
{
	counter_val_t setup, answered;

	count_open(&setup, &answered);
	return setup + answered;
}

static counter_val_t in_setup(void)
{
	counter_val_t setup, answered;

	count_open(&setup, &answered);
	return setup;
}

uint64_t cs_journal_lag(void)
{
	struct sb_log_shared *l = &cs_sh->log;
	uint64_t segment = l->moved_segment, offset = l->moved_offset;
	uint64_t current = l->current, len = sb_log_current_len(&cs_sh->log), spool = l->spool_bytes;

	if(segment == current)
		return len > offset ? len - offset : 0;
	return spool > offset ? spool - offset : 0;
}

static uint64_t shed(void)
{
	struct sb_log_shared *l = &cs_sh->log;

	return l->shed[SB_KEEP] + l->shed[SB_DETAIL] + l->shed[SB_EXTRA];
}

/* X(name, value): the reference in docs/callstate.md is checked against these rows. */
#define CS_STATS(X)                                       \
	X(calls_active, active())                             \
	X(calls_in_setup, in_setup())                         \
	X(calls_kept, cs_sh->n.active)                        \
	X(calls_max, cs_sh->max)                              \
	X(calls_total, cs_sh->n.calls)                        \
	X(calls_answered, cs_sh->n.answered)                  \
	X(calls_failed, cs_sh->n.failed)                      \
	X(calls_timeout, cs_sh->n.timeouts)                   \
	X(calls_restored, cs_sh->n.restored)                  \
	X(calls_inferred, cs_sh->n.inferred)                  \
	X(calls_untracked, cs_sh->n.untracked)                \
	X(events_written, cs_sh->n.events)                    \
	X(events_lost, cs_sh->n.lost)                         \
	X(events_shed, shed())                                \
	X(log_spool_bytes, cs_sh->log.spool_bytes)            \
	X(log_journal_bytes, cs_sh->log.journal_bytes)        \
	X(log_journal_lag, cs_journal_lag())                  \
	X(log_journal_errno, llabs(cs_sh->log.journal_errno)) \
	X(log_write_errors, cs_sh->log.failed)                \
	X(log_damaged, cs_sh->log.damaged)                    \
	X(log_dropped_segments, cs_sh->log.dropped_segments)

#define X(name, value)                     \
	static counter_val_t stat_##name(void) \
	{                                      \
		return (counter_val_t)(value);     \
	}
CS_STATS(X)
#undef X

static stat_export_t stats[] = {
#define X(name, value) {#name, STAT_IS_FUNC, (stat_var **)stat_##name},
		CS_STATS(X)
#undef X
				{NULL, 0, NULL}};

int cs_stats_init(void)
{
	return register_module_stats("callstate", stats);
}

void cs_stats_each(void (*each)(const char *name, int64_t value, void *arg), void *arg)
{
	for(const stat_export_t *s = stats; s->name != NULL; s++)
		each(s->name, ((stat_function)s->stat_pointer)(), arg);
}
