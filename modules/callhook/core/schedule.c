/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule.h"

#define LONGEST_S 604800ul
#define NS 1000000000ull
#define RATE_BURST_NS (NS / 10)

int sb_schedule_parse(struct sb_schedule *s, const char *text, unsigned jitter, char *err, size_t err_len)
{
	struct sb_schedule r = {.jitter = jitter};
	const char *p = text;

	if(jitter > 90) {
		snprintf(err, err_len, "jitter is %u; it must be a percentage from 0 to 90", jitter);
		return -EINVAL;
	}
	for(;;) {
		unsigned long v = 0;
		size_t digits;

		p += strspn(p, " ");
		digits = strspn(p, "0123456789");
		if(digits > 0 && digits < 8)
			v = strtoul(p, NULL, 10);
		if(digits == 0 || digits > 7 || v > LONGEST_S) {
			snprintf(err, err_len,
					"retry_schedule is \"%.100s\"; wait %u (at \"%.12s\") must be whole seconds from 0 to %lu", text,
					r.tries + 1, p, LONGEST_S);
			return -EINVAL;
		}
		if(r.tries == SB_SCHEDULE_MAX) {
			snprintf(err, err_len, "retry_schedule has more than %u waits", SB_SCHEDULE_MAX);
			return -EINVAL;
		}
		r.wait_s[r.tries++] = (uint32_t)v;
		p += digits;
		p += strspn(p, " ");
		if(*p == '\0')
			break;
		if(*p++ != ',') {
			snprintf(err, err_len,
					"retry_schedule is \"%.100s\"; \"%.12s\" is not understood: waits are separated by commas", text,
					p - 1);
			return -EINVAL;
		}
	}
	if(r.wait_s[0] != 0) {
		snprintf(err, err_len, "retry_schedule is \"%.100s\"; the first try is made at once: it must begin with 0",
				text);
		return -EINVAL;
	}
	*s = r;
	return 0;
}

int64_t sb_schedule_next(const struct sb_schedule *s, unsigned tries, uint32_t rnd)
{
	int64_t us, spread;

	if(tries >= s->tries)
		return -1;
	us = (int64_t)s->wait_s[tries] * 1000000;
	spread = us / 100 * s->jitter;
	return us - spread + (int64_t)((unsigned __int128)(uint64_t)(2 * spread) * rnd / UINT32_MAX);
}

uint64_t sb_rate_at(const struct sb_rate *r)
{
	uint64_t ahead;

	if(r->per_s == 0)
		return 0;
	ahead = RATE_BURST_NS > NS / r->per_s ? RATE_BURST_NS - NS / r->per_s : 0;
	return r->next_ns > ahead ? (r->next_ns - ahead + 999) / 1000 : 0;
}

void sb_rate_count(struct sb_rate *r, uint64_t now_us)
{
	if(r->per_s == 0)
		return;
	if(r->next_ns < now_us * 1000)
		r->next_ns = now_us * 1000;
	r->next_ns += NS / r->per_s;
}

int64_t sb_probe_wait(unsigned failed, unsigned max_s)
{
	uint64_t s = failed >= 20 ? max_s : 1ull << failed;

	return (int64_t)(s > max_s ? max_s : s) * 1000000;
}
