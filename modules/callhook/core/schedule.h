/* SPDX-License-Identifier: GPL-2.0-or-later */
/** When an event that its receiver refused is tried again, and how fast an endpoint is sent to. Time and randomness come from the caller. */
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

/** At most per_s requests a second: evenly, and after a lull at most a tenth of a second's worth at once. */
struct sb_rate
{
	unsigned per_s;   /* 0: no limit */
	uint64_t next_ns; /* when the next one is due; the caller sets it to 0 at the start */
};

/** @return when the next request may go, µs on the caller's clock; 0: at any time */
uint64_t sb_rate_at(const struct sb_rate *r);
/** One request goes now. */
void sb_rate_count(struct sb_rate *r, uint64_t now_us);

/** Wait between two probes of an endpoint that fails: 1 s, doubled each time, at most max_s. @return µs */
int64_t sb_probe_wait(unsigned failed, unsigned max_s);

#endif
