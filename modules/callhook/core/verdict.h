/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What the result of one try says: about the event, or about its endpoint?
 *
 * No answer, 429, 502, 503 and 504 speak of the endpoint: it pauses, its cursor stays, nothing piles up. Any other
 * refusal speaks of the event: it is parked for a retry, and the others go on. Both can be wrong, so the others decide:
 * when they succeed meanwhile it was the event; when SB_REFUSED_IN_A_ROW different ones are refused it is the endpoint.
 * A parked event that fails again keeps to its schedule, and pauses nobody.
 */
#ifndef SB_HOOK_VERDICT_H
#define SB_HOOK_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#define SB_REFUSED_IN_A_ROW 10u

enum sb_verdict
{
	SB_DELIVERED,
	SB_PARK,   /* the event: retry by schedule, and its call's later ones behind it */
	SB_PAUSE,  /* the endpoint: wait, then one probe */
	SB_DISABLE /* 410: the endpoint is gone */
};

struct sb_trial
{
	unsigned status;     /* HTTP, 0: no answer */
	bool sent;           /* the receiver may have seen the request */
	bool paused;         /* the endpoint is: this was a probe, or was under way when it was paused */
	bool retry;          /* the event has been parked before */
	unsigned refused;    /* different events refused since the last success, this one included */
	bool failed_before;  /* this event, since it was read */
	bool others_between; /* … and others were delivered since then */
	bool others_during;  /* others were delivered while this try ran */
};

enum sb_verdict sb_judge(const struct sb_trial *t);
/** True for results that speak of the endpoint. */
bool sb_about_endpoint(unsigned status);

#endif
