/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink_place.h"

static uint64_t epoch_of(uint64_t segment)
{
	return segment >> 32;
}

/* The segment that is written now, 0: not known. */
static uint64_t current(const struct sb_log *log)
{
	return log->sh != NULL ? atomic_load(&log->sh->current) : 0;
}

const char *sb_log_is_another(const struct sb_log *log, bool same_node, struct sb_pos cursor)
{
	uint64_t now = current(log);

	if(now != 0 && cursor.segment > now)
		return "it ends before what was read of it";
	if(!same_node && epoch_of(now) <= log->epoch)
		return "its node is another";
	return NULL;
}

struct sb_pos sb_log_this_start(const struct sb_log *log)
{
	uint64_t now = current(log);

	return (struct sb_pos){epoch_of(now) > log->epoch ? now : ((uint64_t)log->epoch << 32) + 1, 0};
}
