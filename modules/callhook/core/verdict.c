/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict.h"

bool sb_about_endpoint(unsigned status)
{
	return status < 200 || status == 429 || (status >= 502 && status <= 504);
}

enum sb_verdict sb_judge(const struct sb_trial *t)
{
	bool others = t->failed_before && t->others_between;

	if(t->status >= 200 && t->status < 300)
		return SB_DELIVERED;
	if(t->status == 410)
		return SB_DISABLE;
	if(t->status == 0 && t->sent)
		others = others || t->others_during;
	if(sb_about_endpoint(t->status))
		return others || (t->retry && !t->paused) ? SB_PARK : SB_PAUSE;
	if(t->retry || others || t->others_during)
		return SB_PARK;
	return t->paused || t->refused >= SB_REFUSED_IN_A_ROW ? SB_PAUSE : SB_PARK;
}
