/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A record of the log as one line of the four-layer log: what happened, and the method, the transaction, the dialog and the
 * call that it happened to. JSON by docs/schemas/layer-line.json.
 *
 *     {"at":…,"id":…,"type":…,"method":{…},"transaction":{…},"dialog":{…},"call":{…}}
 *
 * Keys stand always in the same order; a value that is not known is not there. Valid UTF-8; control characters, and those that
 * turn the direction of text, are escaped, so that a line is one line on every screen.
 */
#ifndef SB_LAYER_LINE_H
#define SB_LAYER_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define SB_LAYER_LINE_MAX 4096u   /* bytes of a line in a file, "\n" included */
#define SB_LAYER_SYSLOG_MAX 1900u /* of a line to syslog: with its header inside the 2048 of RFC 5424, 6.1 */
#define SB_LAYER_LINE_MIN 1900u   /* the least max that always has room for every value, shortened */

/**
 * Writes the line with its "\n", no NUL behind it. Does a line not fit, its longest texts are cut, each ends with "…" then, and
 * "cut" behind "type" tells to how many bytes.
 *
 * @param node uuid text of the node the record comes from
 * @param out  max bytes; max is SB_LAYER_LINE_MIN to SB_LAYER_LINE_MAX
 * @return its length; 0: the record is internal and no line; -EBADMSG: damaged, or not a call's; -ENOMEM
 */
int sb_layer_line(char *out, size_t max, const struct sb_rec *rec, const char *node);

/**
 * Reads back which record a line is of.
 *
 * @param line without its "\n"
 * @return false if it is no line of this node
 */
bool sb_layer_line_id(const char *line, size_t len, const char *node, uint32_t *epoch, uint64_t *seq);

/** True if these bytes may be the beginning of a line of ours, cut anywhere. */
bool sb_layer_line_begins(const char *p, size_t len);

#endif
