/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A log whose writers have rings, in one process: a struct sb_log for each. Include behind cmocka.h. */
#ifndef RING_FIXTURE_H
#define RING_FIXTURE_H

#include "log_fixture.h"
#include "log_ring.h"

#include <signal.h>
#include <sys/prctl.h>

#define SPOOL f->cfg.spool_dir
#define JOURNAL f->cfg.journal_dir
#define RING_SIZE (2u * SB_LOG_MAX_RECORD)
#define COLLECTOR 100
#define TAIL ((off_t)offsetof(struct sb_ring_hdr, tail))
#define HEAD ((off_t)offsetof(struct sb_ring_hdr, head))

static inline int ring_setup(void **state)
{
	fixture_dirs(state);
	struct fixture *f = *state;
	f->cfg.ring_size = RING_SIZE;
	f->cfg.segment_size = 1 << 20;
	assert_int_equal(0, fixture_start(f));
	assert_string_equal("", f->err);
	return 0;
}

/** The instance as the process with this index has it. Close with sb_log_leave_ring(). */
static inline struct sb_log ring_writer(struct fixture *f, unsigned writer)
{
	struct sb_log log = f->log;

	log.fd = -1;
	log.ring = NULL;
	assert_int_equal(0, sb_log_attach(&log, writer));
	return log;
}

static inline int ring_append(struct sb_log *log, uint64_t n, uint32_t len, enum sb_shed class)
{
	static uint8_t rec[SB_LOG_MAX_RECORD];

	memcpy(rec + SB_LOG_HDR, &n, 8);
	for(uint32_t i = 8; i < len; i++)
		rec[SB_LOG_HDR + i] = (uint8_t)(n * 31 + i);
	return sb_log_append(log, 7, class, rec, len, NULL);
}

static inline void ring_put(struct sb_log *log, uint64_t n)
{
	assert_int_equal(0, ring_append(log, n, 40, SB_KEEP));
}

static inline struct sb_collector *ring_collector(struct fixture *f)
{
	static struct sb_log log;
	struct sb_collector *c;

	if(log.fd > 0)
		close(log.fd);
	log = f->log;
	log.fd = -1;
	assert_int_equal(0, sb_collector_new(&c, &log, COLLECTOR));
	return c;
}

/** One pass of a collector that is new. */
static inline int64_t ring_pass(struct fixture *f)
{
	struct sb_collector *c = ring_collector(f);
	int64_t n = sb_collector_pass(c);

	sb_collector_free(c);
	return n;
}

static inline uint64_t ring_get(struct fixture *f, unsigned writer, off_t at)
{
	char path[SB_LOG_FILE];
	uint64_t value;

	sb_path_ring(path, SPOOL, writer);
	int fd = open(path, O_RDONLY);
	assert_int_equal(8, pread(fd, &value, 8, at));
	close(fd);
	return value;
}

static inline void ring_change(struct fixture *f, unsigned writer, off_t at, const void *bytes, size_t len)
{
	char path[SB_LOG_FILE];

	sb_path_ring(path, SPOOL, writer);
	int fd = open(path, O_RDWR | O_CREAT, 0640);
	assert_true(fd >= 0);
	assert_int_equal(len, pwrite(fd, bytes, len, at));
	close(fd);
}

static inline void ring_set(struct fixture *f, unsigned writer, off_t at, uint64_t value)
{
	ring_change(f, writer, at, &value, sizeof(value));
}

static inline bool ring_there(struct fixture *f, const char *name)
{
	char path[SB_LOG_FILE];

	snprintf(path, sizeof(path), "%s/%s", SPOOL, name);
	return access(path, F_OK) == 0;
}

/** All processes of the instance are dead; another starts. */
static inline void ring_restart(struct fixture *f)
{
	fixture_restart(f);
	assert_string_equal("", f->err);
	for(unsigned i = 0; i < SB_LOG_WRITERS; i++) {
		char name[32];
		snprintf(name, sizeof(name), "ring-%u", i);
		assert_false(ring_there(f, name));
	}
}

#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, ring_setup, fixture_end)

#endif
