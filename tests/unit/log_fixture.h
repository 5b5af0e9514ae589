/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A log in directories of its own, for the tests of the log. Include behind cmocka.h. */
#ifndef LOG_FIXTURE_H
#define LOG_FIXTURE_H

#include "log.h"
#include "log_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture
{
	char root[64];
	struct sb_log_cfg cfg;
	struct sb_log_shared *sh;
	struct sb_log log;
	char err[1024];
};

static inline int fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static inline int fixture_start(struct fixture *f)
{
	if(f->sh == NULL)
		f->sh = mmap(NULL, sb_log_shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(f->sh, 0, sb_log_shared_size());
	f->err[0] = '\0';
	return sb_log_open(&f->log, &f->cfg, f->sh, 0, f->err, sizeof(f->err));
}

/** Directories only; the test may change cfg and calls fixture_start(). */
static inline int fixture_dirs(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->log.fd = f->log.lock_fd = f->log.journal_fd = f->log.wake_fd = -1;
	strcpy(f->root, "/dev/shm/sb-test-log-XXXXXX");
	if(access("/dev/shm", W_OK) != 0)
		strcpy(f->root, "/tmp/sb-test-log-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(f->cfg.spool_dir, SB_LOG_PATH, "%s/spool", f->root);
	snprintf(f->cfg.journal_dir, SB_LOG_PATH, "%s/journal", f->root);
	assert_int_equal(0, mkdir(f->cfg.spool_dir, 0750));
	assert_int_equal(0, mkdir(f->cfg.journal_dir, 0750));
	f->cfg.segment_size = 4096;
	f->cfg.journal_keep = 1 << 30;
	*state = f;
	return 0;
}

static inline int fixture_log(void **state)
{
	fixture_dirs(state);
	struct fixture *f = *state;
	assert_int_equal(0, fixture_start(f));
	assert_string_equal("", f->err);
	return 0;
}

static inline int fixture_end(void **state)
{
	struct fixture *f = *state;

	sb_log_close(&f->log);
	if(f->sh != NULL)
		munmap(f->sh, sb_log_shared_size());
	nftw(f->root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/** Appends one record whose payload is n, then len - 8 bytes that follow from n. @return as sb_log_append */
static inline int fixture_append_class(struct fixture *f, uint64_t n, uint32_t len, enum sb_shed class)
{
	static uint8_t rec[SB_LOG_MAX_RECORD + 64];

	memcpy(rec + SB_LOG_HDR, &n, 8);
	for(uint32_t i = 8; i < len; i++)
		rec[SB_LOG_HDR + i] = (uint8_t)(n * 31 + i);
	return sb_log_append(&f->log, 7, class, rec, len, NULL);
}

static inline void fixture_append(struct fixture *f, uint64_t n)
{
	assert_int_equal(0, fixture_append_class(f, n, 200, SB_KEEP));
}

static inline uint64_t fixture_n(const struct sb_rec *rec)
{
	uint64_t n;

	assert_true(rec->hdr.len >= 8);
	memcpy(&n, rec->payload, 8);
	for(uint32_t i = 8; i < rec->hdr.len; i++)
		assert_int_equal((uint8_t)(n * 31 + i), rec->payload[i]);
	return n;
}

/** The next record is n. */
static inline void fixture_expect(struct sb_reader *r, uint64_t n)
{
	struct sb_rec rec;

	assert_int_equal(1, sb_reader_next(r, &rec));
	assert_int_equal(n, fixture_n(&rec));
}

static inline void fixture_expect_none(struct sb_reader *r)
{
	struct sb_rec rec;

	assert_int_equal(0, sb_reader_next(r, &rec));
}

/** Everything from the start is first … last, and damaged regions were met. */
static inline void fixture_expect_all(
		const char *journal, const char *spool, uint64_t first, uint64_t last, uint64_t damaged)
{
	struct sb_reader *r;

	assert_int_equal(0, sb_reader_open(&r, journal, spool, (struct sb_pos){0, 0}));
	for(uint64_t n = first; n <= last; n++)
		fixture_expect(r, n);
	fixture_expect_none(r);
	assert_int_equal(damaged, sb_reader_damaged(r));
	sb_reader_close(r);
}

/** What a segment's file holds, to be freed. */
static inline uint8_t *fixture_file(const char *dir, uint64_t segment, size_t *len)
{
	char path[SB_LOG_FILE];
	struct stat st;

	sb_path_segment(path, dir, segment);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(0, fstat(fd, &st));
	uint8_t *buf = malloc((size_t)st.st_size + 1);
	assert_int_equal(st.st_size, read(fd, buf, (size_t)st.st_size));
	close(fd);
	*len = (size_t)st.st_size;
	return buf;
}

static inline void fixture_write(const char *dir, uint64_t segment, const void *data, size_t len)
{
	char path[SB_LOG_FILE];

	sb_path_segment(path, dir, segment);
	(void)!chmod(path, 0640); /* a complete segment is read-only */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(len, write(fd, data, len));
	close(fd);
}

static inline bool fixture_has(const char *dir, uint64_t segment)
{
	char path[SB_LOG_FILE];

	sb_path_segment(path, dir, segment);
	return access(path, F_OK) == 0;
}

/** The instance dies and another starts in its place. */
static inline void fixture_restart(struct fixture *f)
{
	sb_log_close(&f->log);
	assert_int_equal(0, fixture_start(f));
}

static inline int64_t fixture_move(struct fixture *f)
{
	struct sb_mover *m;

	assert_int_equal(0, sb_mover_new(&m, &f->log));
	int64_t moved = sb_mover_step(m, 1);
	sb_mover_free(m);
	return moved;
}

#endif
