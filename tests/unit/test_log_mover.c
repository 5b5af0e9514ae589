/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "log_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define SPOOL f->cfg.spool_dir
#define JOURNAL f->cfg.journal_dir
#define PER_SEGMENT 18 /* records of 232 bytes until 4096 are reached */

static struct sb_reader *reader(struct fixture *f, bool attached)
{
	struct sb_reader *r;

	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	if(attached)
		sb_reader_attach(r, f->sh);
	return r;
}

/* Appends what a slow writer had ready for a segment that is sealed by now. */
static void append_late(struct fixture *f, uint64_t segment, uint64_t n, size_t bytes)
{
	uint8_t rec[SB_LOG_HDR + 200];
	char path[SB_LOG_FILE];

	memcpy(rec + SB_LOG_HDR, &n, 8);
	for(uint32_t i = 8; i < 200; i++)
		rec[SB_LOG_HDR + i] = (uint8_t)(n * 31 + i);
	assert_int_equal(sizeof(rec), sb_rec_seal(rec, 7, 200, 1000000 + n, f->log.epoch, f->log.salt));
	sb_path_segment(path, SPOOL, segment);
	int fd = open(path, O_WRONLY | O_APPEND);
	assert_true(fd >= 0);
	assert_int_equal(bytes, write(fd, rec, bytes));
	close(fd);
}

static void everything_moved_is_read_from_the_journal_alone(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;

	for(uint64_t n = 1; n <= 50; n++)
		fixture_append(f, n);
	assert_int_equal(50 * 232, fixture_move(f));
	assert_false(fixture_has(SPOOL, first));
	assert_false(fixture_has(SPOOL, first + 1));
	assert_true(fixture_has(SPOOL, first + 2));
	fixture_expect_all(JOURNAL, NULL, 1, 50, 0);
	fixture_expect_all(JOURNAL, SPOOL, 1, 50, 0);
	assert_int_equal(first + 2, f->sh->moved_segment);
	assert_int_equal(14 * 232, f->sh->moved_offset);
	assert_int_equal(14 * 232, f->sh->spool_bytes);
	assert_int_equal(50 * 232, f->sh->journal_bytes);
	assert_int_equal(3, f->sh->journal_segments);
	assert_int_equal(0, f->sh->journal_errno);
}

static void a_mover_goes_on_record_by_record(void **state)
{
	struct fixture *f = *state;
	struct sb_mover *m;

	assert_int_equal(0, sb_mover_new(&m, &f->log));
	assert_int_equal(0, sb_mover_step(m, 1));
	for(uint64_t n = 1; n <= 60; n++) {
		fixture_append(f, n);
		assert_int_equal(232, sb_mover_step(m, n));
		assert_int_equal(n, f->sh->last_sync_us);
		fixture_expect_all(JOURNAL, NULL, 1, n, 0);
	}
	sb_mover_free(m);
}

/* A journal's copy of every length that a kill can leave. */
static void a_killed_mover_copies_nothing_twice(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;
	size_t len;

	for(uint64_t n = 1; n <= PER_SEGMENT + 5; n++)
		fixture_append(f, n);
	uint8_t *buf = fixture_file(SPOOL, first, &len);
	for(size_t cut = 0; cut <= len; cut += cut < 300 ? 1 : 97) {
		fixture_write(SPOOL, first, buf, len);
		fixture_write(JOURNAL, first, buf, cut);
		assert_true(fixture_move(f) >= (int64_t)(len - cut));
		assert_false(fixture_has(SPOOL, first));
		fixture_expect_all(JOURNAL, NULL, 1, PER_SEGMENT + 5, 0);
	}
	free(buf);
}

static void a_mover_killed_at_random_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t n = 0;

	for(unsigned round = 0; round < 60; round++) {
		pid_t pid = fork();
		if(pid == 0) {
			struct sb_mover *m;
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if(sb_mover_new(&m, &f->log) != 0)
				_exit(1);
			for(;;)
				sb_mover_step(m, 1);
		}
		for(unsigned i = 0; i < 40 + round; i++)
			fixture_append(f, ++n);
		usleep(round * 37 % 1500);
		kill(pid, SIGKILL);
		assert_int_equal(pid, waitpid(pid, NULL, 0));
	}
	fixture_move(f);
	fixture_expect_all(JOURNAL, NULL, 1, n, 0);
	fixture_expect_all(JOURNAL, SPOOL, 1, n, 0);
	assert_int_equal(sb_log_current_len(f->sh), f->sh->spool_bytes);
}

static void what_a_killed_instance_left_in_the_spool_is_moved_first(void **state)
{
	struct fixture *f = *state;
	uint64_t before = f->sh->current;

	for(uint64_t n = 1; n <= 30; n++)
		fixture_append(f, n);
	fixture_restart(f);
	assert_true(f->sh->current > before + 1);
	assert_int_equal(30 * 232, f->sh->spool_bytes);
	fixture_append(f, 31);
	fixture_expect_all(JOURNAL, SPOOL, 1, 31, 0);
	assert_int_equal(31 * 232, fixture_move(f));
	assert_false(fixture_has(SPOOL, before));
	assert_false(fixture_has(SPOOL, before + 1));
	fixture_expect_all(JOURNAL, NULL, 1, 31, 0);
}

static void a_segment_that_a_writer_names_stays_in_the_spool(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;

	f->sh->slot[5].pid = (uint32_t)getpid();
	f->sh->slot[5].segment = first;
	for(uint64_t n = 1; n <= PER_SEGMENT; n++)
		fixture_append(f, n);
	fixture_append(f, PER_SEGMENT + 2);
	fixture_move(f);
	assert_true(fixture_has(SPOOL, first));
	assert_false(fixture_has(JOURNAL, first + 1));
	append_late(f, first, PER_SEGMENT + 1, 232);
	f->sh->slot[5].segment = 0;
	fixture_move(f);
	assert_false(fixture_has(SPOOL, first));
	fixture_expect_all(JOURNAL, NULL, 1, PER_SEGMENT + 2, 0);
}

static void slow_writer(struct fixture *f, bool attached)
{
	uint64_t first = f->sh->current;
	struct sb_reader *r = reader(f, attached);

	f->sh->slot[5].pid = (uint32_t)getpid();
	f->sh->slot[5].segment = first;
	for(uint64_t n = 1; n <= PER_SEGMENT; n++)
		fixture_append(f, n);
	fixture_append(f, 100);
	for(uint64_t n = 1; n <= PER_SEGMENT; n++)
		fixture_expect(r, n);
	fixture_expect_none(r);
	append_late(f, first, 50, 100); /* not whole yet: as if a signal came between two pages */
	fixture_expect_none(r);
	f->sh->slot[5].segment = 0;
	append_late(f, first, 51, 232);
	fixture_move(f);
	fixture_expect(r, 51);
	fixture_expect(r, 100);
	fixture_expect_none(r);
	assert_int_equal(1, sb_reader_damaged(r));
	sb_reader_close(r);
}

static void a_reader_of_the_instance_does_not_pass_a_slow_writer(void **state)
{
	slow_writer(*state, true);
}

static void a_reader_elsewhere_does_not_pass_a_slow_writer(void **state)
{
	slow_writer(*state, false);
}

static void the_last_writer_to_leave_lets_readers_elsewhere_go_on(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *r = reader(f, false);

	for(uint64_t n = 1; n <= 100; n++)
		fixture_append(f, n);
	for(uint64_t n = 1; n <= 100; n++)
		fixture_expect(r, n);
	sb_reader_close(r);
}

static void the_slot_of_a_dead_writer_holds_back_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;
	pid_t pid = fork();

	if(pid == 0)
		_exit(0);
	assert_int_equal(pid, waitpid(pid, NULL, 0));
	f->sh->slot[9].pid = (uint32_t)pid;
	f->sh->slot[9].segment = first;
	for(uint64_t n = 1; n <= 20; n++)
		fixture_append(f, n);
	fixture_move(f);
	assert_false(fixture_has(SPOOL, first));
	fixture_expect_all(JOURNAL, NULL, 1, 20, 0);
}

static void a_torn_tail_waits_in_the_newest_segment(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *r = reader(f, false);
	uint64_t first = f->sh->current;

	fixture_append(f, 1);
	append_late(f, first, 2, 150);
	fixture_expect(r, 1);
	fixture_expect_none(r);
	fixture_expect_none(r);
	assert_int_equal(0, sb_reader_damaged(r));
	sb_reader_close(r);
}

static void a_torn_tail_is_passed_when_its_instance_is_dead_and_another_writes(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *r = reader(f, false);

	fixture_append(f, 1);
	append_late(f, f->sh->current, 2, 150);
	fixture_expect(r, 1);
	fixture_expect_none(r);
	fixture_restart(f);
	fixture_append(f, 3);
	fixture_expect(r, 3);
	assert_int_equal(1, sb_reader_damaged(r));
	sb_reader_close(r);
	fixture_move(f);
	assert_int_equal(1, f->sh->damaged);
}

static void a_dead_system_is_read_to_its_end(void **state)
{
	struct fixture *f = *state;

	f->sh->slot[5].segment = f->sh->current;
	f->sh->slot[5].pid = (uint32_t)getpid();
	for(uint64_t n = 1; n <= 40; n++)
		fixture_append(f, n);
	sb_log_close(&f->log);
	fixture_expect_all(JOURNAL, SPOOL, 1, 40, 0);
}

static void a_reader_goes_on_in_the_journal_when_the_spool_lets_go(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *in = reader(f, true), *out = reader(f, false);

	for(uint64_t n = 1; n <= 3; n++) {
		fixture_append(f, n);
		fixture_expect(in, n);
		fixture_expect(out, n);
	}
	for(uint64_t n = 4; n <= 60; n++)
		fixture_append(f, n);
	fixture_move(f);
	for(uint64_t n = 4; n <= 60; n++) {
		fixture_expect(in, n);
		fixture_expect(out, n);
	}
	fixture_expect_none(in);
	fixture_expect_none(out);
	sb_reader_close(in);
	sb_reader_close(out);
}

static void a_reader_whose_segment_was_dropped_goes_on_with_the_next(void **state)
{
	struct fixture *f = *state;
	char path[SB_LOG_FILE];
	uint64_t first = f->sh->current;
	struct sb_rec rec;

	for(uint64_t n = 1; n <= 40; n++)
		fixture_append(f, n);
	fixture_move(f);
	struct sb_reader *inside = reader(f, false), *before;
	fixture_expect(inside, 1);
	sb_path_segment(path, JOURNAL, first);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, sb_reader_open(&before, JOURNAL, SPOOL, (struct sb_pos){first, 232 * 3}));
	fixture_expect(before, PER_SEGMENT + 1);
	uint64_t n = 0;
	while(sb_reader_next(inside, &rec) == 1)
		n = fixture_n(&rec);
	assert_int_equal(40, n);
	sb_reader_close(inside);
	sb_reader_close(before);
}

static void a_cursor_behind_what_a_power_cut_left_goes_on_with_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *r;
	uint64_t last;
	char path[SB_LOG_FILE];

	for(uint64_t n = 1; n <= 91; n++)
		fixture_append(f, n);
	last = f->sh->current;
	sb_log_close(&f->log);
	for(uint64_t s = last - 4; s <= last; s++) {
		sb_path_segment(path, SPOOL, s);
		assert_int_equal(0, unlink(path));
	}
	assert_int_equal(0, fixture_start(f));
	fixture_append(f, 92);
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){last, 200}));
	fixture_expect(r, 92);
	sb_reader_close(r);
}

static void a_journal_that_differs_from_the_spool_is_kept_aside(void **state)
{
	struct fixture *f = *state;
	char path[SB_LOG_FILE + 8];
	uint64_t first = f->sh->current;
	uint8_t zeros[1000] = {0};

	for(uint64_t n = 1; n <= 5; n++)
		fixture_append(f, n);
	fixture_write(JOURNAL, first, zeros, sizeof(zeros));
	fixture_move(f);
	fixture_expect_all(JOURNAL, NULL, 1, 5, 0);
	sb_path_segment(path, JOURNAL, first);
	strcat(path, ".aside");
	assert_int_equal(0, access(path, F_OK));
}

static void journal_keep_drops_only_what_every_sink_is_past(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;

	f->log.cfg.journal_keep = 2 * PER_SEGMENT * 232;
	int a = sb_log_sink(f->sh, "a"), b = sb_log_sink(f->sh, "b");
	for(uint64_t n = 1; n <= 6 * PER_SEGMENT; n++)
		fixture_append(f, n);
	fixture_move(f);
	assert_int_equal(6, f->sh->journal_segments);
	sb_log_sink_done(f->sh, a, first + 6);
	fixture_move(f);
	assert_int_equal(6, f->sh->journal_segments);
	sb_log_sink_done(f->sh, b, first + 4);
	fixture_move(f);
	assert_int_equal(4, f->sh->journal_segments);
	assert_false(fixture_has(JOURNAL, first + 1));
	assert_true(fixture_has(JOURNAL, first + 2));
	assert_int_equal(0, f->sh->dropped_segments);
	assert_int_equal(4 * PER_SEGMENT * 232, f->sh->journal_bytes);
}

static void journal_limit_drops_the_oldest_though_unread_and_counts_it(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;

	f->log.cfg.journal_limit = 3 * PER_SEGMENT * 232;
	sb_log_sink(f->sh, "down for a day");
	for(uint64_t n = 1; n <= 5 * PER_SEGMENT; n++)
		fixture_append(f, n);
	fixture_move(f);
	assert_int_equal(2, f->sh->dropped_segments);
	assert_false(fixture_has(JOURNAL, first + 1));
	assert_true(fixture_has(JOURNAL, first + 2));
	fixture_expect_all(JOURNAL, SPOOL, 2 * PER_SEGMENT + 1, 5 * PER_SEGMENT, 0);
}

static void limited(struct fixture *f, rlim_t bytes)
{
	struct rlimit limit;

	(void)f;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = bytes;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &limit));
}

static void a_disk_that_takes_only_a_part_gets_the_rest_later(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;
	struct sb_mover *m;

	for(uint64_t n = 1; n <= 40; n++)
		fixture_append(f, n);
	assert_int_equal(0, sb_mover_new(&m, &f->log));
	for(rlim_t room = 500; room < 4000; room += 500) {
		limited(f, room);
		assert_int_equal(-EFBIG, sb_mover_step(m, 1));
		limited(f, RLIM_INFINITY);
		assert_int_equal(EFBIG, f->sh->journal_errno);
		assert_true(fixture_has(SPOOL, first));
		fixture_expect_all(JOURNAL, NULL, 1, room / 232, 0);
		fixture_expect_all(JOURNAL, SPOOL, 1, 40, 0);
	}
	assert_true(sb_mover_step(m, 1) > 0);
	assert_int_equal(0, f->sh->journal_errno);
	fixture_expect_all(JOURNAL, NULL, 1, 40, 0);
	sb_mover_free(m);
}

static void a_short_write_in_the_spool_is_counted_and_nothing_follows_it(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;

	for(uint64_t n = 1; n <= 3; n++)
		fixture_append(f, n);
	limited(f, 3 * 232 + 100);
	assert_int_equal(-ENOSPC, fixture_append_class(f, 99, 200, SB_KEEP));
	limited(f, RLIM_INFINITY);
	assert_int_equal(first + 1, f->sh->current);
	assert_int_equal(1, f->sh->failed);
	assert_int_equal(3, f->sh->records);
	for(uint64_t n = 4; n <= 6; n++)
		fixture_append(f, n);
	fixture_expect_all(JOURNAL, SPOOL, 1, 6, 1);
	fixture_move(f);
	fixture_expect_all(JOURNAL, NULL, 1, 6, 1);
	assert_int_equal(1, f->sh->damaged);
}

static void a_full_spool_takes_nothing_and_makes_no_segments(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;

	for(uint64_t n = 1; n <= 3; n++)
		fixture_append(f, n);
	limited(f, 3 * 232);
	for(unsigned i = 0; i < 10; i++)
		assert_int_equal(-EFBIG, fixture_append_class(f, 99, 200, SB_KEEP));
	limited(f, RLIM_INFINITY);
	assert_int_equal(first, f->sh->current);
	assert_int_equal(10, f->sh->failed);
	fixture_append(f, 4);
	fixture_expect_all(JOURNAL, SPOOL, 1, 4, 0);
}

static void a_journal_that_was_removed_is_written_again_from_the_spool(void **state)
{
	struct fixture *f = *state;
	char path[SB_LOG_FILE];
	struct sb_mover *m;

	assert_int_equal(0, sb_mover_new(&m, &f->log));
	for(uint64_t n = 1; n <= 5; n++)
		fixture_append(f, n);
	assert_int_equal(5 * 232, sb_mover_step(m, 1));
	sb_path_segment(path, JOURNAL, f->sh->current);
	assert_int_equal(0, unlink(path));
	fixture_append(f, 6);
	assert_int_equal(-ESTALE, sb_mover_step(m, 2));
	assert_int_equal(6 * 232, sb_mover_step(m, 3));
	fixture_expect_all(JOURNAL, NULL, 1, 6, 0);
	sb_mover_free(m);
}

static void segments_of_journal_and_spool_are_counted_together(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = f->sh->current, first, last;

	for(uint64_t n = 1; n <= 50; n++)
		fixture_append(f, n);
	fixture_move(f);
	assert_int_equal(0, sb_log_segments(JOURNAL, SPOOL, &first, &last));
	assert_int_equal(begin, first);
	assert_int_equal(begin + 2, last);
	assert_int_equal(0, sb_log_segments(f->root, NULL, &first, &last));
	assert_int_equal(0, first);
	assert_int_equal(-ENOENT, sb_log_segments("/nonexistent", NULL, &first, &last));
}

int main(void)
{
#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, fixture_log, fixture_end)
	const struct CMUnitTest tests[] = {
			WITH_LOG(everything_moved_is_read_from_the_journal_alone),
			WITH_LOG(a_mover_goes_on_record_by_record),
			WITH_LOG(a_killed_mover_copies_nothing_twice),
			WITH_LOG(a_mover_killed_at_random_loses_and_doubles_nothing),
			WITH_LOG(what_a_killed_instance_left_in_the_spool_is_moved_first),
			WITH_LOG(a_segment_that_a_writer_names_stays_in_the_spool),
			WITH_LOG(a_reader_of_the_instance_does_not_pass_a_slow_writer),
			WITH_LOG(a_reader_elsewhere_does_not_pass_a_slow_writer),
			WITH_LOG(the_last_writer_to_leave_lets_readers_elsewhere_go_on),
			WITH_LOG(the_slot_of_a_dead_writer_holds_back_nothing),
			WITH_LOG(a_torn_tail_waits_in_the_newest_segment),
			WITH_LOG(a_torn_tail_is_passed_when_its_instance_is_dead_and_another_writes),
			WITH_LOG(a_dead_system_is_read_to_its_end),
			WITH_LOG(a_reader_goes_on_in_the_journal_when_the_spool_lets_go),
			WITH_LOG(a_reader_whose_segment_was_dropped_goes_on_with_the_next),
			WITH_LOG(a_cursor_behind_what_a_power_cut_left_goes_on_with_the_next_start),
			WITH_LOG(a_journal_that_differs_from_the_spool_is_kept_aside),
			WITH_LOG(journal_keep_drops_only_what_every_sink_is_past),
			WITH_LOG(journal_limit_drops_the_oldest_though_unread_and_counts_it),
			WITH_LOG(a_disk_that_takes_only_a_part_gets_the_rest_later),
			WITH_LOG(a_short_write_in_the_spool_is_counted_and_nothing_follows_it),
			WITH_LOG(a_full_spool_takes_nothing_and_makes_no_segments),
			WITH_LOG(a_journal_that_was_removed_is_written_again_from_the_spool),
			WITH_LOG(segments_of_journal_and_spool_are_counted_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
