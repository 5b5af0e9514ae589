/* SPDX-License-Identifier: GPL-2.0-or-later */
/** What the four-layer log must remember over a restart, and of which node's log it is, in one SQLite file that its process alone writes. */
#ifndef SB_LAYER_STORE_H
#define SB_LAYER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layer_file.h"
#include "log.h"

struct sb_layer_kept
{
	struct sb_pos pos;         /* behind the last record whose line is written */
	struct sb_layer_mark mark; /* the file's end at that time; 0: none (syslog) */
	uint64_t lines, bytes;     /* written since the store was made */
};

struct sb_layer_store;

/**
 * Opens or makes the file. Commits reach the disk before they return if durable, else soon after (SQLite's WAL, synchronous=NORMAL).
 *
 * @param err one sentence: what was found, what is expected, what mends it
 * @return 0, -EIO, -ENOMEM or -EPROTO (made by another version)
 */
int sb_layer_store_open(struct sb_layer_store **out, const char *path, bool durable, char *err, size_t err_len);
void sb_layer_store_close(struct sb_layer_store *s);
/** @return 0, -ENOENT (nothing is kept yet) or -EIO */
int sb_layer_store_get(struct sb_layer_store *s, struct sb_layer_kept *out);
/** @return 1: what is kept is of this node's log, 0: of another node's, or -EIO */
int sb_layer_store_of_node(struct sb_layer_store *s, const char *node);
/** As sb_layer_store_put(), of this node's log from now on. @return 0 or -EIO */
int sb_layer_store_begin(struct sb_layer_store *s, const struct sb_layer_kept *k, const char *node);
/** @return 0 or -EIO */
int sb_layer_store_put(struct sb_layer_store *s, const struct sb_layer_kept *k);
/** What SQLite said last. */
const char *sb_layer_store_error(const struct sb_layer_store *s);

#endif
