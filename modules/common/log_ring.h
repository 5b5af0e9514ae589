/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A writer's ring: where a record is put without a system call.
 *
 * A file on the spool's tmpfs, mapped by its one writer and by the collector, so that what was put in outlives SIGKILL of both.
 * head and tail count bytes since the ring was made; a record is there once head is behind it. Its bytes are mapped twice in a row, so
 * that every record is in one piece.
 */
#ifndef SB_LOG_RING_H
#define SB_LOG_RING_H

#include "log_parts.h"

#define SB_RING_PAGE \
	65536u /* the header; a whole number of pages on every machine, since the data is mapped by itself */

struct sb_ring_hdr
{
	uint64_t magic, size;
	_Alignas(64) _Atomic uint64_t head; /* the writer's */
	_Alignas(64) _Atomic uint64_t tail; /* the collector's */
};

struct sb_ring
{
	struct sb_ring_hdr *hdr; /* NULL: not open */
	uint8_t *data;
	uint64_t size;
};

/** A power of two, at least 2 × SB_LOG_MAX_RECORD, at most 1 GB. */
bool sb_ring_size_valid(uint64_t size);

/**
 * Opens a writer's ring, or makes it.
 *
 * @param size bytes, see sb_ring_size_valid(); 0 takes what the file says and makes none
 * @return 0, -ENOENT (size 0 and no file, or one whose maker was killed before it was a ring), -EBADMSG (not a ring, of
 * another size, or head and tail cannot be), or -errno
 */
int sb_ring_open(struct sb_ring *r, const char *spool_dir, unsigned writer, uint64_t size);
void sb_ring_close(struct sb_ring *r);
int sb_ring_remove(const char *spool_dir, unsigned writer);
/** Keeps the file as ring-<writer>.aside. */
int sb_ring_aside(const char *spool_dir, unsigned writer);

/** Room for len bytes at the head, in one piece, or NULL. */
uint8_t *sb_ring_room(const struct sb_ring *r, size_t len);
/** What was put into the room is a record now. */
void sb_ring_publish(struct sb_ring *r, size_t len);
uint64_t sb_ring_used(const struct sb_ring *r);

/** dir/ring-<writer>. @param out SB_LOG_FILE bytes */
void sb_path_ring(char *out, const char *dir, unsigned writer);

#endif
