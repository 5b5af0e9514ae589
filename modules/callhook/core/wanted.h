/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Whether an endpoint wants an event: its type, its call's trunk and DID. Pure. */
#ifndef SB_HOOK_WANTED_H
#define SB_HOOK_WANTED_H

#include "filter.h"
#include "log.h"

struct sb_wanted
{
	const struct sb_filter *events, *trunks, *dids;
};

/** False for internal records. Of a call.cdr any attempt's trunk counts. */
bool sb_wants(const struct sb_wanted *w, const struct sb_rec *rec);

#endif
