/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What the call log must remember over a restart, in one SQLite file that its process alone writes: how far it has read the log, of
 * which node that log is, and the rows that the database refused.
 *
 *     CREATE TABLE aside (tbl, row_key, event_id, call_id, error, row, at, PRIMARY KEY (tbl, row_key))
 *
 * tbl: the table, or "record" where no row could be made; row: JSON; at: µs since 1970, when it was refused.
 */
#ifndef SB_CALL_LOG_STATE_H
#define SB_CALL_LOG_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define SB_CL_STATE_VERSION 1
#define SB_CL_ASIDE_MAX 100000u /* rows of aside; beyond it the oldest go */

/** A row of aside; texts are the caller's. */
struct sb_cl_aside
{
	const char *table, *key, *event_id, *call_id, *error, *row;
};

struct sb_cl_state;
/**
 * Opens or makes the file, mode 0600.
 * @param err one sentence: what was found, what is expected, what mends it
 * @return 0, -EIO, -ENOMEM or -EPROTO (made by another version)
 */
int sb_cl_state_open(struct sb_cl_state **out, const char *path, char *err, size_t err_len);
void sb_cl_state_close(struct sb_cl_state *s);
/** What SQLite said last. */
const char *sb_cl_state_error(const struct sb_cl_state *s);
/** @return 1 (segment 0: nothing was read yet), 0 (the cursor is in the log of another node), or -EIO */
int sb_cl_state_cursor(struct sb_cl_state *s, const char *node, struct sb_pos *out);
/** The log that is read from now on is this node's, and is read from here on. @return 0 or -EIO: nothing was kept */
int sb_cl_state_begin(struct sb_cl_state *s, const char *node, struct sb_pos cursor);
/**
 * In one transaction: the cursor, and rows set aside (again: in their place). Where the cursor has left a segment, or rows are set
 * aside, it is on disk when this returns: the log may let that segment go. Else it is soon after.
 * @return 0 or -EIO: nothing was kept
 */
int sb_cl_state_keep(
		struct sb_cl_state *s, struct sb_pos cursor, const struct sb_cl_aside *aside, unsigned count, uint64_t now_us);
/** Rows in aside. @return 0 or -EIO */
int sb_cl_state_count(struct sb_cl_state *s, uint64_t *aside);

#endif
