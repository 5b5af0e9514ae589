/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layer_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_ROOM (SB_LAYER_PATH + 16)
#define CHUNK 65536u

int sb_layer_file_init(struct sb_layer_file *f, const char *path, uint64_t limit, unsigned keep)
{
	memset(f, 0, sizeof(*f));
	f->fd = -1;
	f->limit = limit;
	f->keep = keep;
	if(path[0] != '/' || path[strlen(path) - 1] == '/')
		return -EINVAL;
	if(strlen(path) >= sizeof(f->path))
		return -ENAMETOOLONG;
	strcpy(f->path, path);
	return 0;
}

void sb_layer_file_close(struct sb_layer_file *f)
{
	if(f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* O_NONBLOCK: a fifo must not hold us up. O_NOFOLLOW: a link that somebody put there must not lead into another file of this user,
 * and could not be rotated. */
#define OPEN_FLAGS (O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)

/* @return fd or -errno */
static int open_it(const char *path)
{
	int fd = open(path, OPEN_FLAGS | O_EXCL, 0640);

	if(fd >= 0) {
		(void)!fchmod(fd, 0640); /* the umask may have taken the group's right to read */
		return fd;
	}
	if(errno != EEXIST)
		return -errno;
	fd = open(path, OPEN_FLAGS, 0640);
	return fd >= 0 ? fd : -errno;
}

/* @return 1: the open file still has its name, 0: it has not, -errno */
static int is_named(struct sb_layer_file *f)
{
	struct stat st;

	if(lstat(f->path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if(st.st_dev != f->end.device || st.st_ino != f->end.inode)
		return 0;
	if(!f->torn || (uint64_t)st.st_size < f->end.size)
		f->end.size = (uint64_t)st.st_size;
	return 1;
}

int sb_layer_file_follow(struct sb_layer_file *f)
{
	int rc = f->fd >= 0 ? is_named(f) : 0;
	struct stat st;
	int fd;

	if(rc != 0)
		return rc > 0 ? 0 : rc;
	fd = open_it(f->path);
	if(fd < 0)
		return fd;
	if(fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOTSUP;
	}
	sb_layer_file_close(f);
	f->fd = fd;
	f->end = (struct sb_layer_mark){st.st_dev, st.st_ino, (uint64_t)st.st_size};
	f->torn = false;
	return 1;
}

bool sb_layer_file_full(const struct sb_layer_file *f, size_t len)
{
	return f->end.size > 0 && f->end.size + len > f->limit;
}

static void name_of(char *out, const struct sb_layer_file *f, unsigned n)
{
	if(n == 0)
		snprintf(out, NAME_ROOM, "%s", f->path);
	else
		snprintf(out, NAME_ROOM, "%s.%u", f->path, n);
}

static bool name_taken(const struct sb_layer_file *f, unsigned n)
{
	char name[NAME_ROOM];
	struct stat st;

	name_of(name, f, n);
	return lstat(name, &st) == 0;
}

/* keep was larger before */
static void remove_older(const struct sb_layer_file *f)
{
	char name[NAME_ROOM];

	for(unsigned n = f->keep + 1; name_taken(f, n); n++) {
		name_of(name, f, n);
		if(unlink(name) != 0)
			return;
	}
}

int sb_layer_file_rotate(struct sb_layer_file *f)
{
	char from[NAME_ROOM], to[NAME_ROOM];
	unsigned n = 0;
	int rc;

	while(n < f->keep && name_taken(f, n + 1))
		n++;
	for(n = n < f->keep ? n + 1 : f->keep; n > 0; n--) {
		name_of(from, f, n - 1);
		name_of(to, f, n);
		if(rename(from, to) != 0)
			return -errno;
	}
	if(f->keep == 0 && unlink(f->path) != 0)
		return -errno;
	remove_older(f);
	rc = sb_layer_file_follow(f);
	return rc < 0 ? rc : 0;
}

static int cut_at(struct sb_layer_file *f, uint64_t size)
{
	if(ftruncate(f->fd, (off_t)size) != 0) {
		f->torn = true;
		return -errno;
	}
	f->end.size = size;
	f->torn = false;
	return 0;
}

int sb_layer_file_append(struct sb_layer_file *f, const char *lines, size_t len, size_t *done)
{
	const char *last;
	ssize_t n;

	*done = 0;
	if(f->torn && cut_at(f, f->end.size) != 0)
		return -EIO;
	do {
		n = write(f->fd, lines, len);
	} while(n < 0 && errno == EINTR);
	if(n < 0)
		return -errno;
	if((size_t)n == len) {
		f->end.size += len;
		*done = len;
		return 0;
	}
	last = n > 0 ? memrchr(lines, '\n', (size_t)n) : NULL;
	*done = last != NULL ? (size_t)(last - lines) + 1 : 0;
	f->end.size += *done;
	if(*done < (size_t)n)
		cut_at(f, f->end.size);
	return -ENOSPC;
}

struct reading
{
	bool (*ours)(const char *p, size_t len);
	int (*each)(const char *line, size_t len, void *arg);
	void *arg;
};

/* The lines from `at` on. @param end the byte behind the last whole line @param head first bytes of what is torn behind it */
static int read_lines(int fd, uint64_t at, const struct reading *r, uint64_t *end, char *head, size_t *head_len)
{
	static char buf[CHUNK];
	size_t have = 0;
	int rc = 0;

	*end = at;
	for(;;) {
		char *line = buf, *nl;
		ssize_t n = pread(fd, buf + have, sizeof(buf) - have, (off_t)(*end + have));
		if(n < 0)
			return -errno;
		have += (size_t)n;
		while((nl = memchr(line, '\n', have - (size_t)(line - buf))) != NULL) {
			rc = r->each(line, (size_t)(nl - line), r->arg);
			if(rc < 0)
				return rc;
			line = nl + 1;
		}
		*end += (uint64_t)(line - buf);
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if(n == 0)
			break;
		if(have == sizeof(buf)) { /* no line of ours is so long */
			*end += have;
			have = 0;
		}
	}
	*head_len = have < 16 ? have : 16;
	memcpy(head, buf, *head_len);
	return 0;
}

static int recover_one(int fd, uint64_t from, const struct reading *r)
{
	struct stat st;
	uint64_t end;
	char head[16];
	size_t head_len = 0;
	int rc;

	if(fstat(fd, &st) != 0)
		return -errno;
	rc = read_lines(fd, from <= (uint64_t)st.st_size ? from : 0, r, &end, head, &head_len);
	if(rc != 0 || head_len == 0)
		return rc;
	if(r->ours(head, head_len))
		return ftruncate(fd, (off_t)end) == 0 ? 0 : -errno;
	return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

/* The marked file under another name. @return fd, -ENOENT or -errno */
static int open_marked(const struct sb_layer_file *f, const struct sb_layer_mark *mark)
{
	char dir[SB_LAYER_PATH];
	const char *slash = strrchr(f->path, '/');
	struct dirent *e;
	struct stat st;
	int fd = -ENOENT;
	DIR *d;

	snprintf(dir, sizeof(dir), "%.*s", slash == f->path ? 1 : (int)(slash - f->path), f->path);
	d = opendir(dir);
	if(d == NULL)
		return -errno;
	while(fd < 0 && (e = readdir(d)) != NULL) {
		if(e->d_ino != mark->inode || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0
				|| !S_ISREG(st.st_mode) || st.st_dev != mark->device || st.st_ino != mark->inode)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
		if(fd < 0)
			fd = -errno;
	}
	closedir(d);
	return fd;
}

int sb_layer_file_recover(struct sb_layer_file *f, const struct sb_layer_mark *mark,
		bool (*ours)(const char *p, size_t len), int (*each)(const char *line, size_t len, void *arg), void *arg)
{
	const struct reading r = {ours, each, arg};
	bool same;
	int fd, rc;

	sb_layer_file_close(f);
	rc = sb_layer_file_follow(f);
	if(rc < 0)
		return rc;
	same = f->end.device == mark->device && f->end.inode == mark->inode;
	rc = 0;
	if(!same && mark->inode != 0) {
		fd = open_marked(f, mark);
		if(fd >= 0) {
			rc = recover_one(fd, mark->size, &r);
			close(fd);
		} else if(fd != -ENOENT) {
			rc = fd;
		}
	}
	if(rc == 0)
		rc = recover_one(f->fd, same ? mark->size : 0, &r);
	if(rc == 0)
		rc = sb_layer_file_follow(f);
	return rc < 0 ? rc : 0;
}
