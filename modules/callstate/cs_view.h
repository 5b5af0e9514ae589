/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Figures of callstate, for its statistics and its RPC.
 */
#ifndef CS_VIEW_H
#define CS_VIEW_H

#include "callstate.h"

/** Calls each() with every statistic of the table, in its order. Any process. */
void cs_stats_each(void (*each)(const char *name, int64_t value, void *arg), void *arg);

/** Bytes in the spool that are not synced to the journal yet. */
uint64_t cs_journal_lag(void);

enum cs_alarm
{
	CS_ALARM_NONE,
	CS_ALARM_SPOOL,   /* the spool fills */
	CS_ALARM_JOURNAL, /* the journal is not written: an error, or its disk stalls */
	CS_ALARM_FULL     /* the journal fills */
};

/**
 * What is wrong with the log, or about to be, in one sentence; text is empty if nothing is.
 * @param mono monotonic clock, µs
 */
enum cs_alarm cs_journal_alarm(char *text, size_t size, uint64_t mono);

/** Once a second, in the timer process: says what has begun and what is over. */
void cs_alarm_tick(uint64_t mono);

#endif
