/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A group of failures in words. Pure.
 */
#ifndef SB_CLI_FAILURES_TEXT_H
#define SB_CLI_FAILURES_TEXT_H

#include "failures_group.h"
#include "text.h"

/** What stands beside a group, looked up for those that are shown. */
struct failures_more
{
	uint64_t last_good;      /* µs, 0: not known */
	const char *sip_call_id; /* of the example, or NULL */
};

/** "trunk carrier-b"; for a code "503" */
struct text failures_name(const struct failures_group *g);
/** "150 × 503, 60 × no response" */
struct text failures_codes_text(const struct failures_codes codes[FAILURES_CODES]);
/** "503 out of service or overloaded", "no response"; where there are several, as above */
struct text failures_code(const struct failures_group *g);
/**
 * "since 02:14:03" where it goes on, else "02:14:03 – 03:02:51"; "35 of them since 02:14:03" where it stands out in less than half of its
 * time; with the date where it is not today's.
 */
struct text failures_when(const struct failures_group *g, uint64_t now_us);
/** "02:14:03", with the date where it is not today's */
struct text failures_time(uint64_t at, uint64_t now_us);
/** What is the same for all of them: "all to +44…"; "" */
void failures_common(char *out, size_t cap, const struct failures_group *g);
/** What the code usually means, and one step. "" where there is nothing to say */
void failures_advice(char *usually, size_t usually_cap, char *next, size_t next_cap, const struct failures_group *g,
		const struct failures_more *m);

extern const char *const failures_dim_name[FAILURES_DIMS];

#endif
