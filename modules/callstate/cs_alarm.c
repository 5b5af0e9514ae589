/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with the log, or about to be: said by the timer process, which waits for no disk, when it begins and when it
 * is over. The same words answer callstate.journal. */
#include "cs_view.h"

#include <stdlib.h>
#include <string.h>

#define STALLED_US 3000000ull
#define UNTRACKED_EVERY_US 10000000ull

/** Name of the sink that reads the oldest segment. */
static const char *slowest_sink(void)
{
	struct sb_log_shared *l = &cs_sh->log;
	uint32_t slow = 0, sinks = l->sinks;

	for(uint32_t i = 1; i < sinks && i < SB_LOG_SINKS; i++)
		slow = l->sink_segment[i] < l->sink_segment[slow] ? i : slow;
	return sinks == 0 ? "none" : l->sink_name[slow];
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (unsigned)(part * 100 / whole);
}

enum cs_alarm cs_journal_alarm(char *text, size_t size, uint64_t mono)
{
	struct sb_log_shared *l = &cs_sh->log;
	const struct sb_log_cfg *cfg = &cs_log.cfg;
	uint64_t since = cs_sh->stalled_since;
	unsigned spool = percent(l->spool_bytes, cfg->spool_limit), journal = percent(l->journal_bytes, cfg->journal_limit);
	int error = (int)llabs(l->journal_errno);

	text[0] = '\0';
	if(spool >= 75) {
		snprintf(text, size,
				"the spool in %s is %u %% full: from 85 %% on call.updated and custom.* are not written, from 95 %% "
				"ringing, hold and "
				"transfer, at the limit nothing is; see whether the disk of %s keeps up",
				cfg->spool_dir, spool, cfg->journal_dir);
		return CS_ALARM_SPOOL;
	}
	if(error != 0) {
		snprintf(text, size,
				"the journal in %s cannot be written: %s; calls go on, events wait in the spool, %u %% full",
				cfg->journal_dir, strerror(error), spool);
		return CS_ALARM_JOURNAL;
	}
	if(since != 0 && mono > since + STALLED_US) {
		snprintf(text, size,
				"the journal in %s cannot be written: nothing was synced for %llu s; calls go on, events wait in the "
				"spool, %u %% "
				"full; see whether its disk stalls",
				cfg->journal_dir, (unsigned long long)((mono - since) / 1000000), spool);
		return CS_ALARM_JOURNAL;
	}
	if(journal >= 80) {
		snprintf(text, size, "the journal in %s is %u %% full; the sink that is furthest behind is %s",
				cfg->journal_dir, journal, slowest_sink());
		return CS_ALARM_FULL;
	}
	return CS_ALARM_NONE;
}

/* Since when there has been something to move and nothing moved. */
static void watch_mover(uint64_t mono)
{
	static struct sb_pos was;
	struct sb_pos now = {cs_sh->log.moved_segment, cs_sh->log.moved_offset};
	bool moved = now.segment != was.segment || now.offset != was.offset;

	if(moved || cs_journal_lag() == 0)
		cs_sh->stalled_since = 0;
	else if(cs_sh->stalled_since == 0)
		cs_sh->stalled_since = mono;
	was = now;
}

static void say_journal(uint64_t mono)
{
	static enum cs_alarm said;
	char text[512];
	enum cs_alarm alarm = cs_journal_alarm(text, sizeof(text), mono);

	if(alarm == said)
		return;
	if(alarm != CS_ALARM_NONE)
		LM_ERR("%s\n", text);
	else
		LM_WARN("the journal in %s is written again, and the spool %s has room\n", cs_log.cfg.journal_dir,
				cs_log.cfg.spool_dir);
	said = alarm;
}

static void say_lost(uint64_t mono)
{
	static uint64_t lost, untracked, next;
	uint64_t l = cs_sh->n.lost, u = cs_sh->n.untracked;

	if((l == lost && u == untracked) || mono < next)
		return;
	if(u != untracked)
		LM_ERR("%llu calls went on without a trail: calls_max is %u, or shared memory is used up (callstate.stats, "
			   "core.shmmem); "
			   "raise calls_max or start with a larger -m\n",
				(unsigned long long)(u - untracked), cs_sh->max);
	if(l != lost)
		LM_ERR("%llu records were not written, the spool being full or not writable (callstate.journal)\n",
				(unsigned long long)(l - lost));
	lost = l;
	untracked = u;
	next = mono + UNTRACKED_EVERY_US;
}

void cs_alarm_tick(uint64_t mono)
{
	watch_mover(mono);
	say_journal(mono);
	say_lost(mono);
}
