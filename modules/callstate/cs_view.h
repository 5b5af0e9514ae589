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

/**
 * What is wrong with the log, or about to be, in one sentence.
 * @param now wall clock, µs
 * @return false: nothing (text is empty)
 */
bool cs_journal_alarm(char *text, size_t size, uint64_t now);

#endif
