/* SPDX-License-Identifier: GPL-2.0-or-later */
/** What a sink's cursor means in the log that is there now: journal and state_dir may have been moved apart, restored or emptied. */
#ifndef SB_SINK_PLACE_H
#define SB_SINK_PLACE_H

#include "log.h"

/**
 * Is this log another one than the cursor was kept for? Taken for the same one, a cursor that is ahead of it would read nothing, and
 * hold back nothing, until the log has got so far.
 *
 * @param log       open
 * @param same_node the cursor was kept for a log of this node
 * @return why, for people, or NULL: it is the same one. Also where a node's identity was made anew beside segments that were left:
 *         their numbers go on
 */
const char *sb_log_is_another(const struct sb_log *log, bool same_node, struct sb_pos cursor);

/** Where the first record of this start of Kamailio stands, or will stand. */
struct sb_pos sb_log_this_start(const struct sb_log *log);

#endif
