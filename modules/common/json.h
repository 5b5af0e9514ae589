/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * An event as its receivers get it: JSON, rendered by the sinks and the command line, never in a SIP worker.
 * Shapes: docs/schemas/<type>.json. The same code serves webhooks and `signalbox journal show`.
 */
#ifndef SB_JSON_H
#define SB_JSON_H

#include <jansson.h>
#include "log.h"

/**
 * The Standard Webhooks body: {"type": …, "timestamp": …, "data": {…}}.
 * @param node  uuid text of the node the record comes from
 * @return a new reference, or NULL (out of memory, damaged payload, internal record)
 */
json_t *sb_event_json(const struct sb_rec *rec, const char *node);

/** The same as one line of text; always valid UTF-8. The caller frees it with free(). NULL as above. */
char *sb_event_text(const struct sb_rec *rec, const char *node, size_t *len);

/** Any bytes as a JSON string: invalid UTF-8 becomes U+FFFD, control characters are escaped by the printer. */
json_t *sb_json_string(const void *bytes, size_t len);

#endif
