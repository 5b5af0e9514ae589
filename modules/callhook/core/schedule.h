/* SPDX-License-Identifier: GPL-2.0-or-later */
/** When an event that its receiver refused is tried again. Time and randomness come from the caller. */
#ifndef SB_HOOK_SCHEDULE_H
#define SB_HOOK_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#define SB_SCHEDULE_MAX 32u
#define SB_SCHEDULE_DEFAULT "0,5,300,1800,7200,18000,36000,50400,72000,86400"

struct sb_schedule
{
	uint32_t wait_s[SB_SCHEDULE_MAX]; /* before try 1, 2, 3… ; the first is always 0 */
	unsigned tries;
	unsigned jitter; /* percent, 0 to 90: a wait is drawn evenly from wait ± jitter */
};

/**
 * Parses "0,5,300": seconds before each try, the first 0, each ≤ 7 days, at most SB_SCHEDULE_MAX.
 *
 * @param err one sentence that says what is wrong, and where
 * @return 0 or -EINVAL
 */
int sb_schedule_parse(struct sb_schedule *s, const char *text, unsigned jitter, char *err, size_t err_len);

/**
 * @param tries how many were made, ≥ 1
 * @param rnd   32 random bits
 * @return µs to wait before the next one, or -1: that was the last
 */
int64_t sb_schedule_next(const struct sb_schedule *s, unsigned tries, uint32_t rnd);

/** Wait between two probes of an endpoint that fails: 1 s, doubled each time, at most max_s. @return µs */
int64_t sb_probe_wait(unsigned failed, unsigned max_s);

#endif
