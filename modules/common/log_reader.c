/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (4 * SB_LOG_MAX_RECORD)

struct sb_reader
{
	char journal[SB_LOG_PATH], spool[SB_LOG_PATH];
	struct sb_log_shared *sh;
	struct sb_walk walk;
	uint64_t segment; /* open, or the least that is wanted */
	uint64_t start;   /* offset in the file of buf[0] */
	size_t at, end;   /* what is unread in buf */
	int fd;
	bool in_spool;
	bool final; /* all of the segment is in buf */
	uint8_t buf[BUFFER];
};

int sb_reader_open(struct sb_reader **out, const char *journal_dir, const char *spool_dir, struct sb_pos from)
{
	struct stat st;

	if(spool_dir == NULL)
		spool_dir = "";
	if(strlen(journal_dir) >= SB_LOG_PATH || strlen(spool_dir) >= SB_LOG_PATH)
		return -ENAMETOOLONG;
	if(stat(journal_dir, &st) != 0)
		return -errno;
	struct sb_reader *r = calloc(1, sizeof(*r));
	if(r == NULL)
		return -ENOMEM;
	strcpy(r->journal, journal_dir);
	strcpy(r->spool, spool_dir);
	r->segment = from.segment;
	r->start = from.segment != 0 ? from.offset : 0;
	r->fd = -1;
	*out = r;
	return 0;
}

void sb_reader_attach(struct sb_reader *r, struct sb_log_shared *sh)
{
	r->sh = sh;
}

void sb_reader_close(struct sb_reader *r)
{
	if(r == NULL)
		return;
	if(r->fd >= 0)
		close(r->fd);
	free(r);
}

uint64_t sb_reader_damaged(const struct sb_reader *r)
{
	return r->walk.damaged;
}

static int copy_open(struct sb_reader *r, const char *dir, uint64_t segment)
{
	char path[SB_LOG_FILE];

	if(dir[0] == '\0')
		return -ENOENT;
	sb_path_segment(path, dir, segment);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if(fd < 0)
		return -errno;
	if(r->fd >= 0)
		close(r->fd);
	r->fd = fd;
	r->in_spool = dir == r->spool;
	return 0;
}

/* The spool first: the journal's copy is whole before the spool's is unlinked. */
static int segment_open(struct sb_reader *r, uint64_t segment)
{
	int rc = copy_open(r, r->spool, segment);

	return rc == -ENOENT ? copy_open(r, r->journal, segment) : rc;
}

/* @return 1, 0 (none), -errno */
static int segment_least(const struct sb_reader *r, uint64_t from, uint64_t *segment)
{
	uint64_t spool = 0, journal = 0;
	int rc = r->spool[0] != '\0' ? sb_dir_next(r->spool, from, &spool) : 0;

	if(rc >= 0)
		rc = sb_dir_next(r->journal, from, &journal);
	if(rc < 0)
		return rc;
	*segment = spool != 0 && (journal == 0 || spool < journal) ? spool : journal;
	return *segment != 0;
}

/* Opens the wanted segment, or the next that is there. @return 1, 0 (none), -errno */
static int segment_find(struct sb_reader *r)
{
	for(;;) {
		uint64_t segment;
		int rc = r->segment != 0 ? segment_open(r, r->segment) : -ENOENT;
		if(rc != -ENOENT)
			return rc == 0 ? 1 : rc;
		rc = segment_least(r, r->segment, &segment);
		if(rc <= 0)
			return rc;
		/* the wanted one may have come after it was tried and before a later one was seen */
		if(segment == r->segment || (r->segment != 0 && segment_open(r, r->segment) == 0))
			continue;
		r->segment = segment;
		r->start = 0;
	}
}

static void segment_done(struct sb_reader *r)
{
	close(r->fd);
	r->fd = -1;
	r->final = false;
	r->segment++;
	r->start = 0;
	r->at = r->end = 0;
	sb_walk_segment(&r->walk, r->segment);
}

/* Nobody holds the lock, so that nobody can write. */
static bool nobody_lives(const struct sb_reader *r)
{
	char path[SB_LOG_FILE];

	snprintf(path, sizeof(path), "%s/lock", r->spool);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if(fd < 0)
		return errno == ENOENT;
	bool got = flock(fd, LOCK_SH | LOCK_NB) == 0;
	close(fd);
	return got;
}

/* The end of the file was met. @return 1: no byte will be appended to it, 0: wait, 2: go on in another copy, -errno */
static int segment_complete(struct sb_reader *r)
{
	struct stat st;
	uint64_t later;

	if(r->sh != NULL && atomic_load(&r->sh->current) <= r->segment)
		return 0;
	if(fstat(r->fd, &st) != 0)
		return -errno;
	if(r->in_spool) {
		if(st.st_nlink == 0) {
			int rc = copy_open(r, r->journal, r->segment);
			r->in_spool = false;
			return rc == 0 || rc == -ENOENT ? 1 : rc;
		}
		if(r->sh != NULL)
			return sb_log_complete(r->sh, r->segment);
	} else {
		if(copy_open(r, r->spool, r->segment) == 0)
			return 2;
		if(st.st_nlink == 0)
			return 1;
	}
	int rc = segment_least(r, r->segment + 1, &later);
	if(rc <= 0 || !r->in_spool)
		return rc;
	return (st.st_mode & S_IWUSR) == 0 || nobody_lives(r);
}

static ssize_t fill(struct sb_reader *r)
{
	if(r->at > 0) {
		memmove(r->buf, r->buf + r->at, r->end - r->at);
		r->start += r->at;
		r->end -= r->at;
		r->at = 0;
	}
	ssize_t n = pread(r->fd, r->buf + r->end, BUFFER - r->end, (off_t)(r->start + r->end));
	if(n < 0)
		return -errno;
	r->end += (size_t)n;
	return n;
}

/* The mover empties the spool's copy behind its unlink: then its end is not that of the segment. */
static bool emptied(const struct sb_reader *r)
{
	struct stat st;

	return r->in_spool && fstat(r->fd, &st) == 0 && st.st_nlink == 0;
}

/* More bytes, or the knowledge that there are none. @return 1, 0 (wait), -errno */
static int more(struct sb_reader *r)
{
	ssize_t n = fill(r);

	while(n == 0) {
		int rc = segment_complete(r);
		if(rc <= 0)
			return rc;
		n = fill(r); /* what came before it was complete */
		if(rc == 1 && n == 0 && !emptied(r)) {
			r->final = true;
			return 1;
		}
	}
	return n < 0 ? (int)n : 1;
}

int sb_reader_next(struct sb_reader *r, struct sb_rec *rec)
{
	for(;;) {
		int rc;
		if(r->fd < 0 && (rc = segment_find(r)) <= 0)
			return rc;
		if(sb_walk_next(&r->walk, r->buf, r->end, &r->at, r->final, rec) == 1) {
			rec->pos = (struct sb_pos){r->segment, r->start + rec->pos.offset};
			rec->next = (struct sb_pos){r->segment, r->start + rec->next.offset};
			return 1;
		}
		if(r->final)
			segment_done(r);
		else if((rc = more(r)) <= 0)
			return rc;
	}
}
