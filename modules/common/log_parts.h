/* SPDX-License-Identifier: GPL-2.0-or-later */
/** What the files of the log share among themselves. */
#ifndef SB_LOG_PARTS_H
#define SB_LOG_PARTS_H

#include "log.h"

#include <sys/types.h>

#define SB_LOG_HDR ((uint32_t)sizeof(struct sb_rec_hdr))
#define SB_LOG_FILE (SB_LOG_PATH + 32u)
#define SB_LOG_MODE 0640
#define SB_LOG_MODE_DONE 0440

/** dir/<segment as 16 hex digits>.seg. @param out SB_LOG_FILE bytes */
void sb_path_segment(char *out, const char *dir, uint64_t segment);

/** Sums over the segment files of one directory. */
struct sb_dir_sum
{
	uint64_t first, last; /* 0 = none */
	uint64_t segments, bytes;
	uint64_t past_bytes; /* in segments below the given one */
};

/** @param below see past_bytes. @return 0 or -errno of opendir() */
int sb_dir_sum(const char *dir, uint64_t below, struct sb_dir_sum *sum);

/** Smallest segment ≥ from that dir holds. @return 1, 0 (none) or -errno; a directory that is not there holds none */
int sb_dir_next(const char *dir, uint64_t from, uint64_t *segment);

/** Reads a small text file, without the white space at its end. @return length or -errno (-EFBIG) */
ssize_t sb_file_read(const char *path, char *out, size_t cap);

/** Replaces a small text file so that it is the old one or the new one after a power cut. @return 0 or -errno */
int sb_file_replace(const char *dir, const char *name, const char *text);

int sb_dir_sync(const char *dir);

/** Nothing will be appended to the segment any more (log.h, struct sb_reader). */
bool sb_log_complete(struct sb_log_shared *sh, uint64_t segment);

/** Appends bytes to the current segment, as one write(). @return bytes written, or -errno */
ssize_t sb_segment_write(struct sb_log *log, const void *buf, size_t len);

/** sb_log_attach() without a ring: for who writes to segments. */
int sb_log_attach_direct(struct sb_log *log, unsigned writer);

/** Unmaps this process's ring; what is in it is collected all the same. */
void sb_log_leave_ring(struct sb_log *log);

/** Wakes who sleeps on fd, if it does. */
void sb_log_poke(_Atomic uint32_t *waiting, int fd);

/** Collects what a dead instance left in rings, and removes them. @return 0 or -errno */
int sb_collect_leftovers(struct sb_log *log);

/** The newest segment of both directories that is not empty. @return 1, 0 (none) or -errno */
int sb_segment_newest(const struct sb_log_cfg *cfg, uint64_t *segment);

/** A walk over records that comes in pieces. All zero to begin; damaged goes on counting. */
struct sb_walk
{
	bool lost;   /* in damage: the next record must be found */
	bool salted; /* salt is what every record of this segment has: that of one which needed no search */
	uint32_t salt, epoch;
	uint64_t damaged;
};

/** A new segment begins. The salt is known from the one before if both are of one start. */
void sb_walk_segment(struct sb_walk *w, uint64_t segment);

/**
 * The next record at or behind *at.
 *
 * @param at     where to look; afterwards behind the record, or at what needs more bytes to be told
 * @param sealed no more bytes will come
 * @return 1 (rec is set; rec->pos.offset counts from buf), 0
 */
int sb_walk_next(struct sb_walk *w, const uint8_t *buf, size_t len, size_t *at, bool sealed, struct sb_rec *rec);

/** The CRC without the CPU's help. */
uint32_t sb_crc32c_table(uint32_t crc, const void *data, size_t len);

#endif
