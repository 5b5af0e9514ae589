/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The file of the four-layer log: whole lines are appended, it is rotated by size, and followed when somebody else moves or removes it.
 *
 * Which lines stand in it is known even after a SIGKILL: the caller keeps a mark (file and length) together with its cursor,
 * and sb_layer_file_recover() gives back what stands behind the mark, in the file itself and in the one it was moved to.
 */
#ifndef SB_LAYER_FILE_H
#define SB_LAYER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SB_LAYER_PATH 480u

/** A place in a file that is found again under any name in its directory. */
struct sb_layer_mark
{
	uint64_t device, inode, size; /* size: bytes from the start; all 0: none */
};

struct sb_layer_file
{
	char path[SB_LAYER_PATH];
	uint64_t limit; /* bytes after which it is rotated */
	unsigned keep;  /* rotated files beside it: path.1 … path.keep, the newest is 1 */
	int fd;         /* -1: not open */
	struct sb_layer_mark end;
	bool torn; /* half a line stands at its end, and could not be cut off yet */
};

/** @return 0, -EINVAL (not absolute) or -ENAMETOOLONG */
int sb_layer_file_init(struct sb_layer_file *f, const char *path, uint64_t limit, unsigned keep);

/**
 * Opens the file if it is not open, or if another one, or none, stands under its name now. A new one is made with mode 0640.
 *
 * @return 1 (another file than before), 0 (the same), -ENOTSUP (not a regular file), -ELOOP (a symbolic link) or -errno
 */
int sb_layer_file_follow(struct sb_layer_file *f);

/** True if len more bytes do not belong into this file: the caller keeps its mark, then rotates. */
bool sb_layer_file_full(const struct sb_layer_file *f, size_t len);
/** Renames, and opens a new file. On failure the old one stays in use. @return 0 or -errno */
int sb_layer_file_rotate(struct sb_layer_file *f);

/**
 * Appends whole lines. What a short write leaves of a line is cut off again.
 *
 * @param done bytes of whole lines that were written, set on failure too
 * @return 0, -ENOSPC (short write) or -errno
 */
int sb_layer_file_append(struct sb_layer_file *f, const char *lines, size_t len, size_t *done);

/**
 * At start: opens the file, and gives every line behind the mark to each(), in order. A torn line of ours at an end is cut off; of
 * somebody else's it is ended. Without a mark, or if the marked file is gone, all of the file counts.
 *
 * @param ours true if these bytes may begin a line of ours
 * @param each without the "\n"; a negative errno ends the reading
 * @return 0 or -errno
 */
int sb_layer_file_recover(struct sb_layer_file *f, const struct sb_layer_mark *mark,
		bool (*ours)(const char *p, size_t len), int (*each)(const char *line, size_t len, void *arg), void *arg);

void sb_layer_file_close(struct sb_layer_file *f);

#endif
