/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (1u << 20)
#define STEP_MOST (64u << 20) /* bytes after which a step lets its caller look at other things */

struct sb_mover
{
	struct sb_log *log;
	uint64_t segment; /* open in both places; 0 = none */
	int from, to;
	uint64_t synced;   /* bytes of it that are on disk */
	bool unsynced;     /* what is behind synced, or the file's name, may not be on disk */
	uint64_t marked;   /* complete segments up to here have lost their write permission in the spool */
	uint64_t kept_for; /* what the limits were last applied for, and … */
	bool look_again;   /* … whether something has changed since */
	bool spool_recount;
	struct sb_reader *check;
	uint8_t buf[BUFFER], other[BUFFER];
};

int sb_mover_new(struct sb_mover **out, struct sb_log *log)
{
	struct sb_mover *m = calloc(1, sizeof(*m));
	struct sb_pos from = {0, 0};

	if(m == NULL)
		return -ENOMEM;
	m->log = log;
	m->from = m->to = -1;
	m->look_again = m->spool_recount = true;
	if(sb_dir_next(log->cfg.spool_dir, 1, &from.segment) != 1)
		from.segment = atomic_load(&log->sh->current);
	int rc = sb_reader_open(&m->check, log->cfg.journal_dir, log->cfg.spool_dir, from);
	if(rc != 0) {
		free(m);
		return rc;
	}
	sb_reader_attach(m->check, log->sh);
	*out = m;
	return 0;
}

static void segment_close(struct sb_mover *m)
{
	if(m->from >= 0)
		close(m->from);
	if(m->to >= 0)
		close(m->to);
	m->from = m->to = -1;
	m->segment = 0;
}

void sb_mover_free(struct sb_mover *m)
{
	if(m == NULL)
		return;
	segment_close(m);
	sb_reader_close(m->check);
	free(m);
}

/* pread() that is short only at the end of the file */
static ssize_t read_at(int fd, uint8_t *buf, size_t len, uint64_t at)
{
	size_t got = 0;

	while(got < len) {
		ssize_t n = pread(fd, buf + got, len - got, (off_t)(at + got));
		if(n < 0)
			return -errno;
		if(n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/*
 * An earlier mover left a part of the segment in the journal. After a kill it is the beginning of the very same bytes.
 * After a power cut its end may be anything, while a spool that is not on tmpfs has the right bytes.
 * @return 1 if one is the beginning of the other, 0 if not, -errno
 */
static int same_so_far(struct sb_mover *m)
{
	for(uint64_t at = 0;; at += BUFFER) {
		ssize_t a = read_at(m->from, m->buf, BUFFER, at);
		ssize_t b = read_at(m->to, m->other, BUFFER, at);
		if(a < 0 || b < 0)
			return (int)(a < 0 ? a : b);
		ssize_t least = a < b ? a : b;
		if(memcmp(m->buf, m->other, (size_t)least) != 0)
			return 0;
		if(least < (ssize_t)BUFFER)
			return 1;
	}
}

static int journal_open(struct sb_mover *m, const char *path)
{
	m->to = open(path, O_RDWR | O_CREAT | O_CLOEXEC, SB_LOG_MODE);
	return m->to >= 0 ? 0 : -errno;
}

static int segment_open(struct sb_mover *m, uint64_t segment)
{
	const struct sb_log_cfg *cfg = &m->log->cfg;
	char path[SB_LOG_FILE], aside[SB_LOG_FILE + 8];

	segment_close(m);
	sb_path_segment(path, cfg->spool_dir, segment);
	m->from = open(path, O_RDWR | O_CLOEXEC);
	if(m->from < 0 && errno == EACCES)
		m->from = open(path, O_RDONLY | O_CLOEXEC);
	if(m->from < 0)
		return -errno;
	sb_path_segment(path, cfg->journal_dir, segment);
	int rc = journal_open(m, path);
	if(rc == 0)
		rc = same_so_far(m);
	if(rc == 0) {
		close(m->to);
		m->to = -1;
		snprintf(aside, sizeof(aside), "%s.aside", path);
		rc = rename(path, aside) == 0 ? journal_open(m, path) : -errno;
	}
	if(rc < 0)
		return rc;
	m->segment = segment;
	m->synced = 0;
	m->unsynced = true;
	m->look_again = true;
	return 0;
}

/* Appends to the journal's copy what it lacks. A short write leaves a shorter copy, from which the next step goes on. */
static int64_t segment_copy(struct sb_mover *m)
{
	struct stat st;
	int64_t moved = 0;

	if(fstat(m->to, &st) != 0)
		return -errno;
	if(st.st_nlink == 0)
		return -ESTALE;
	for(uint64_t at = (uint64_t)st.st_size;;) {
		ssize_t n = read_at(m->from, m->buf, BUFFER, at);
		if(n <= 0)
			return n < 0 ? n : moved;
		for(ssize_t done = 0; done < n;) {
			ssize_t w = pwrite(m->to, m->buf + done, (size_t)(n - done), (off_t)at);
			if(w <= 0)
				return w < 0 ? -errno : -ENOSPC;
			m->unsynced = true;
			atomic_fetch_add(&m->log->sh->journal_bytes, (uint64_t)w);
			done += w;
			at += (uint64_t)w;
			moved += w;
		}
	}
}

/* After a failed sync the kernel may forget what it did not write: the journal's copy goes back to what is on disk. */
static int segment_sync(struct sb_mover *m, uint64_t now_us)
{
	struct sb_log_shared *sh = m->log->sh;
	struct stat st;
	int rc;

	if(!m->unsynced)
		return 0;
	if(fstat(m->to, &st) != 0)
		return -errno;
	if(fdatasync(m->to) != 0) {
		rc = -errno;
		m->look_again = true;
		(void)!ftruncate(m->to, (off_t)m->synced);
		return rc;
	}
	if(m->synced == 0 && (rc = sb_dir_sync(m->log->cfg.journal_dir)) != 0)
		return rc;
	m->synced = (uint64_t)st.st_size;
	m->unsynced = false;
	atomic_store(&sh->moved_segment, m->segment);
	atomic_store(&sh->moved_offset, m->synced);
	atomic_store(&sh->last_sync_us, now_us);
	return 0;
}

static void spool_less(struct sb_log_shared *sh, uint64_t bytes)
{
	uint64_t was = atomic_load(&sh->spool_bytes);

	while(!atomic_compare_exchange_weak(&sh->spool_bytes, &was, was > bytes ? was - bytes : 0))
		;
}

/* Emptied behind the unlink, since idle writers may have it open for hours; readers go on in the journal's copy. */
static int segment_unlink(struct sb_mover *m)
{
	char path[SB_LOG_FILE];
	struct stat from, to;

	if(fstat(m->from, &from) != 0 || fstat(m->to, &to) != 0)
		return -errno;
	if(to.st_size < from.st_size)
		return -EAGAIN;
	sb_path_segment(path, m->log->cfg.spool_dir, m->segment);
	if(unlink(path) != 0)
		return -errno;
	(void)!ftruncate(m->from, 0);
	spool_less(m->log->sh, (uint64_t)from.st_size);
	m->spool_recount = true;
	segment_close(m);
	return 0;
}

/* What is added and taken by processes that may be killed in between drifts: count it again. */
static void spool_count(struct sb_mover *m)
{
	struct sb_dir_sum sum;

	if(sb_dir_sum(m->log->cfg.spool_dir, 0, &sum) == 0)
		atomic_store(&m->log->sh->spool_bytes, sum.bytes);
	m->spool_recount = false;
}

/* @return 1 if the segment has left the spool, 0 if it is still needed there, -errno */
static int segment_move(struct sb_mover *m, uint64_t segment, uint64_t now_us, int64_t *moved)
{
	bool complete = sb_log_complete(m->log->sh, segment);
	char path[SB_LOG_FILE];
	struct stat st;
	int rc;

	if(m->segment != segment) {
		sb_path_segment(path, m->log->cfg.spool_dir, segment);
		if(stat(path, &st) != 0)
			return errno == ENOENT ? 1 : -errno;
		if(st.st_size == 0)
			return !complete ? 0 : unlink(path) == 0 ? 1 : -errno;
		if((rc = segment_open(m, segment)) != 0) {
			segment_close(m);
			return rc;
		}
	}
	int64_t n = segment_copy(m);
	if(n == -ESTALE)
		segment_close(m);
	if(n < 0)
		return (int)n;
	*moved += n;
	rc = segment_sync(m, now_us);
	if(rc == 0 && complete)
		rc = segment_unlink(m);
	return rc == 0 && complete ? 1 : rc;
}

/* What the last writer to leave does, if it was killed before it could: readers elsewhere wait for it. */
static void complete_mark(struct sb_mover *m)
{
	const char *spool = m->log->cfg.spool_dir;
	uint64_t segment = m->marked;
	char path[SB_LOG_FILE];

	while(sb_dir_next(spool, segment + 1, &segment) == 1 && sb_log_complete(m->log->sh, segment)) {
		sb_path_segment(path, spool, segment);
		(void)!chmod(path, SB_LOG_MODE_DONE);
		m->marked = segment;
	}
}

static uint64_t sinks_least(struct sb_log_shared *sh)
{
	uint32_t sinks = atomic_load(&sh->sinks);
	uint64_t least = UINT64_MAX;

	for(uint32_t i = 0; i < sinks && i < SB_LOG_SINKS; i++) {
		uint64_t needs = atomic_load(&sh->sink_segment[i]);
		least = needs < least ? needs : least;
	}
	return least;
}

/*
 * Drops old journal segments: history beyond journal_keep, history when the disk is full, anything beyond journal_limit.
 * Never the newest: a collector that comes in the place of a killed one looks into it.
 */
static void journal_trim(struct sb_mover *m, bool full)
{
	const struct sb_log_cfg *cfg = &m->log->cfg;
	struct sb_log_shared *sh = m->log->sh;
	uint64_t needed = sinks_least(sh);
	struct sb_dir_sum sum;
	char path[SB_LOG_FILE];
	struct stat st;

	bool over = cfg->journal_limit != 0 && atomic_load(&sh->journal_bytes) > cfg->journal_limit;
	if(needed == m->kept_for && !m->look_again && !over && !full)
		return;
	if(sb_dir_sum(cfg->journal_dir, needed, &sum) != 0)
		return;
	while(sum.first != 0 && sum.first < (m->segment != 0 ? m->segment : sum.last)) {
		bool history = sum.first < needed;
		over = cfg->journal_limit != 0 && sum.bytes > cfg->journal_limit;
		if(!(history && (full || sum.past_bytes > cfg->journal_keep)) && !over)
			break;
		sb_path_segment(path, cfg->journal_dir, sum.first);
		if(stat(path, &st) != 0 || unlink(path) != 0)
			break;
		full = false;
		sum.bytes -= (uint64_t)st.st_size;
		sum.segments--;
		if(history)
			sum.past_bytes -= (uint64_t)st.st_size;
		else
			atomic_fetch_add(&sh->dropped_segments, 1);
		if(sb_dir_next(cfg->journal_dir, sum.first + 1, &sum.first) != 1)
			break;
	}
	atomic_store(&sh->journal_bytes, sum.bytes);
	atomic_store(&sh->journal_segments, sum.segments);
	m->kept_for = needed;
	m->look_again = false;
}

static void damage_count(struct sb_mover *m)
{
	struct sb_rec rec;

	for(uint64_t read = 0; read < STEP_MOST && sb_reader_next(m->check, &rec) == 1;)
		read += SB_LOG_HDR + rec.hdr.len;
	atomic_store(&m->log->sh->damaged, atomic_load(&m->log->sh->ring_damaged) + sb_reader_damaged(m->check));
}

int64_t sb_mover_step(struct sb_mover *m, uint64_t now_us)
{
	const char *spool = m->log->cfg.spool_dir;
	uint64_t segment = 0;
	int64_t moved = 0;
	int rc = 1;

	complete_mark(m);
	while(rc == 1 && moved < (int64_t)STEP_MOST) {
		rc = sb_dir_next(spool, segment + 1, &segment);
		if(rc == 1)
			rc = segment_move(m, segment, now_us, &moved);
	}
	if(m->spool_recount)
		spool_count(m);
	int error = rc < 0 ? -rc : 0;
	atomic_store(&m->log->sh->journal_errno, error);
	journal_trim(m, error == ENOSPC || error == EDQUOT);
	damage_count(m);
	return error != 0 ? -error : moved;
}
