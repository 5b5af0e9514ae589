/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File systems that are really full: each test in a process with mounts of its own, skipped where that is not allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "log_fixture.h"
#include "log_ring.h"

#include <sched.h>
#include <sys/mount.h>

enum
{
	SKIP = 77
};

#define must(condition)                                                     \
	do {                                                                    \
		if(!(condition)) {                                                  \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                       \
		}                                                                   \
	} while(0)

/* Runs the body with dir on a tmpfs of that size. */
static void with_small(struct fixture *f, const char *dir, const char *size, void (*body)(struct fixture *))
{
	int status;
	pid_t pid = fork();

	if(pid == 0) {
		if(unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
				|| mount("none", dir, "tmpfs", 0, size) != 0)
			_exit(SKIP);
		body(f);
		_exit(0);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	if(WEXITSTATUS(status) == SKIP)
		skip();
	assert_int_equal(0, WEXITSTATUS(status));
}

/* Every record 1 … last is read in order; more than that is not there. */
static void must_read(struct fixture *f, uint64_t last)
{
	struct sb_reader *r;
	struct sb_rec rec;
	uint64_t n = 0, found;

	must(sb_reader_open(&r, f->cfg.journal_dir, f->cfg.spool_dir, (struct sb_pos){0, 0}) == 0);
	while(sb_reader_next(r, &rec) == 1) {
		memcpy(&found, rec.payload, 8);
		must(found == ++n);
	}
	must(n == last);
	sb_reader_close(r);
}

/* @return the n of the last record that was appended */
static uint64_t append_until_full(struct fixture *f, uint64_t n)
{
	while(fixture_append_class(f, n + 1, 200, SB_KEEP) == 0)
		n++;
	return n;
}

static void fill_up(const char *dir, char *filler)
{
	uint8_t bytes[4096] = {0};

	snprintf(filler, SB_LOG_FILE, "%s/somebody-elses", dir);
	int fd = open(filler, O_WRONLY | O_CREAT, 0600);
	while(write(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
}

static void spool_fills(struct fixture *f)
{
	f->cfg.segment_size = 64 << 10;
	must(fixture_start(f) == 0);
	f->log.cfg.spool_limit = 0; /* as if others had filled the file system */
	uint64_t first = f->sh->current, n = 0;
	for(unsigned round = 0; round < 4; round++) {
		n = append_until_full(f, n);
		uint64_t failed = f->sh->failed, current = f->sh->current;
		for(unsigned i = 0; i < 20; i++)
			must(fixture_append_class(f, n + 1, 200, SB_KEEP) == -ENOSPC);
		must(f->sh->failed == failed + 20 && f->sh->current <= current + 1);
		must_read(f, n);
		must(fixture_move(f) > 0);
		must_read(f, n);
	}
	must(n > 4 * 200 && f->sh->current > first + 4 && f->sh->records == n);
	must(f->sh->damaged <= 4);
}

static void a_full_spool_loses_only_what_it_refused(void **state)
{
	struct fixture *f = *state;

	with_small(f, f->cfg.spool_dir, "size=256k", spool_fills);
}

static void spool_is_small(struct fixture *f)
{
	f->cfg.spool_limit = 1 << 30;
	f->cfg.segment_size = 64 << 10;
	must(fixture_start(f) == 0);
	must(f->log.cfg.spool_limit == 256 * 1024 / 10 * 9);
	uint64_t n = append_until_full(f, 0);
	must(f->sh->failed == 0 && f->sh->shed[SB_KEEP] == 1);
	must_read(f, n);
	sb_log_close(&f->log);
	f->cfg.segment_size = 128 << 10;
	must(fixture_start(f) == -ENOSPC);
	must(strstr(f->err, "at least two segments") != NULL);
}

static void the_spools_limit_is_never_more_than_its_file_system_holds(void **state)
{
	struct fixture *f = *state;

	with_small(f, f->cfg.spool_dir, "size=256k", spool_is_small);
}

static void disk_fills(struct fixture *f)
{
	char filler[SB_LOG_FILE];

	must(fixture_start(f) == 0);
	sb_log_sink(f->sh, "has read nothing");
	fill_up(f->cfg.journal_dir, filler);
	uint64_t n = 0;
	for(unsigned step = 0; step < 5; step++) {
		for(unsigned i = 0; i < 20; i++)
			must(fixture_append_class(f, ++n, 200, SB_KEEP) == 0);
		must(fixture_move(f) == -ENOSPC);
		must(f->sh->journal_errno == ENOSPC);
		must_read(f, n);
	}
	must(unlink(filler) == 0);
	must(fixture_move(f) > 0);
	must(f->sh->journal_errno == 0 && f->sh->dropped_segments == 0);
	must_read(f, n);
}

static void a_full_disk_holds_up_the_mover_and_nobody_else(void **state)
{
	struct fixture *f = *state;

	with_small(f, f->cfg.journal_dir, "size=256k", disk_fills);
}

static void disk_full_of_history(struct fixture *f)
{
	must(fixture_start(f) == 0);
	int sink = sb_log_sink(f->sh, "has read all");
	uint64_t first = f->sh->current;
	struct sb_mover *m;
	must(sb_mover_new(&m, &f->log) == 0);
	for(uint64_t n = 1; n <= 3000; n++) {
		must(fixture_append_class(f, n, 200, SB_KEEP) == 0);
		sb_log_sink_done(f->sh, sink, f->sh->current);
		if(n % 10 == 0)
			for(int tries = 0; sb_mover_step(m, 1) < 0; tries++)
				must(tries < 3);
	}
	must(f->sh->dropped_segments == 0 && f->sh->current > first + 100);
	must(!fixture_has(f->cfg.journal_dir, first));
	sb_mover_free(m);
}

static void on_a_full_disk_what_was_delivered_goes_first(void **state)
{
	struct fixture *f = *state;

	with_small(f, f->cfg.journal_dir, "size=256k", disk_full_of_history);
}

static void spool_fills_beside_rings(struct fixture *f)
{
	f->cfg.segment_size = 64 << 10;
	f->cfg.ring_size = 2 * SB_LOG_MAX_RECORD;
	must(fixture_start(f) == 0);
	struct sb_log mine = f->log;
	struct sb_collector *c;
	must(sb_log_attach(&f->log, 1) == 0 && sb_collector_new(&c, &mine, 2) == 0);
	f->log.cfg.spool_limit = 0; /* as if others had filled the file system */
	uint64_t n = 0, full = 0;
	for(unsigned round = 0; round < 4; round++) {
		for(int64_t got = 0; got >= 0; got = sb_collector_pass(c))
			n = append_until_full(f, n);
		n = append_until_full(f, n);
		must(f->sh->shed[SB_KEEP] > full && f->sh->records < n && sb_collector_pass(c) < 0);
		full = f->sh->shed[SB_KEEP];
		must(fixture_move(f) > 0 && sb_collector_pass(c) > 0);
		must(f->sh->records == n && f->sh->failed == 0);
		must_read(f, n);
	}
	must(n > 4 * 500);
}

static void what_a_full_spool_does_not_take_waits_in_rings_and_gets_in_once(void **state)
{
	struct fixture *f = *state;

	with_small(f, f->cfg.spool_dir, "size=640k", spool_fills_beside_rings);
}

/* A page that tmpfs cannot give is a SIGBUS for who reads or writes it. */
static void holes_in_a_ring(struct fixture *f)
{
	char path[SB_LOG_FILE], filler[SB_LOG_FILE];

	f->cfg.segment_size = 64 << 10;
	f->cfg.ring_size = 2 * SB_LOG_MAX_RECORD;
	must(fixture_start(f) == 0 && sb_log_attach(&f->log, 1) == 0);
	uint64_t n = append_until_full(f, 0);
	sb_log_close(&f->log);
	sb_path_ring(path, f->cfg.spool_dir, 1);
	int fd = open(path, O_RDWR);
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SB_RING_PAGE + 8192, 8192) == 0);
	close(fd);
	fill_up(f->cfg.spool_dir, filler);
	must(fixture_start(f) == -ENOSPC && strstr(f->err, "ring-*") != NULL);
	must(unlink(filler) == 0);
	must(fixture_start(f) == 0);
	must(f->sh->damaged == 1 && f->sh->records > n / 2 && f->sh->records < n);
}

static void a_ring_with_holes_on_a_full_spool_stops_the_start_with_a_sentence(void **state)
{
	struct fixture *f = *state;

	with_small(f, f->cfg.spool_dir, "size=640k", holes_in_a_ring);
}

int main(void)
{
#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, fixture_dirs, fixture_end)
	const struct CMUnitTest tests[] = {
			WITH_DIRS(a_full_spool_loses_only_what_it_refused),
			WITH_DIRS(what_a_full_spool_does_not_take_waits_in_rings_and_gets_in_once),
			WITH_DIRS(a_ring_with_holes_on_a_full_spool_stops_the_start_with_a_sentence),
			WITH_DIRS(the_spools_limit_is_never_more_than_its_file_system_holds),
			WITH_DIRS(a_full_disk_holds_up_the_mover_and_nobody_else),
			WITH_DIRS(on_a_full_disk_what_was_delivered_goes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
