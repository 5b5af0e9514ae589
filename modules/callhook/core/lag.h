/* SPDX-License-Identifier: GPL-2.0-or-later */
/** How much of the log lies behind a cursor. Looks into directories: not in a SIP worker. */
#ifndef SB_HOOK_LAG_H
#define SB_HOOK_LAG_H

#include "log.h"

struct sb_lag_segment
{
	uint64_t segment, bytes;
};

/** The segments that there are, in order. */
struct sb_lag
{
	struct sb_lag_segment *s;
	unsigned count, room;
};

/** Both directories; a segment that is in both counts with its longer copy. @return 0 or a negative errno */
int sb_lag_read(struct sb_lag *l, const char *journal_dir, const char *spool_dir);
/** Bytes and segments from there to the end. */
void sb_lag_behind(const struct sb_lag *l, struct sb_pos from, uint64_t *bytes, uint64_t *segments);
void sb_lag_free(struct sb_lag *l);

#endif
