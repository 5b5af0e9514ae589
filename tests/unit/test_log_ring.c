/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rings and the collector: order, kills, starts. Many processes at once: test_spool_writers.c; damage: test_log_ring_damage.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ring_fixture.h"

#include <poll.h>
#include <sys/resource.h>
#include <time.h>

#define REC (SB_LOG_HDR + 40u) /* bytes of a record of ring_put() */

static void a_record_is_read_once_the_collector_has_passed(void **state)
{
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1);
	struct sb_reader *r;
	struct sb_rec rec;

	ring_put(&w, 1);
	ring_put(&w, 2);
	assert_int_equal(0, f->sh->records);
	fixture_expect_all(JOURNAL, SPOOL, 1, 0, 0);
	assert_int_equal(2, ring_pass(f));
	assert_int_equal(2, f->sh->records);
	assert_int_equal(0, ring_pass(f));
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	for(uint64_t n = 1; n <= 2; n++) {
		assert_int_equal(1, sb_reader_next(r, &rec));
		assert_int_equal(n, fixture_n(&rec));
		assert_int_equal(n, rec.hdr.seq);
		assert_int_equal(f->log.epoch, rec.hdr.epoch);
	}
	fixture_expect_none(r);
	sb_reader_close(r);
	sb_log_leave_ring(&w);
}

static void records_of_all_writers_stand_in_the_order_of_their_numbers(void **state)
{
	struct fixture *f = *state;
	struct sb_log w[5];
	uint64_t n = 0;

	for(unsigned i = 0; i < 5; i++)
		w[i] = ring_writer(f, 9 - i);
	for(unsigned pass = 1; pass <= 20; pass++) {
		for(unsigned i = 0; i < 7 * pass; i++)
			ring_put(&w[(n * 7 + i) % 5], n + i + 1);
		n += 7 * pass;
		assert_int_equal(7 * pass, ring_pass(f));
	}
	fixture_expect_all(JOURNAL, SPOOL, 1, n, 0);
	for(unsigned i = 0; i < 5; i++)
		sb_log_leave_ring(&w[i]);
}

static void a_record_numbered_after_a_pass_began_waits_for_the_next(void **state)
{
	struct fixture *f = *state;
	struct sb_log a = ring_writer(f, 1), b = ring_writer(f, 2);

	ring_put(&a, 1);
	ring_put(&b, 2);
	ring_put(&a, 3);
	atomic_store(&f->sh->next_seq, 1); /* what the pass reads first; its heads it reads when all three are there */
	assert_int_equal(1, ring_pass(f));
	fixture_expect_all(JOURNAL, SPOOL, 1, 1, 0);
	atomic_store(&f->sh->next_seq, 3);
	assert_int_equal(2, ring_pass(f));
	fixture_expect_all(JOURNAL, SPOOL, 1, 3, 0);
	sb_log_leave_ring(&a);
	sb_log_leave_ring(&b);
}

static void rings_go_round_with_records_of_any_length(void **state)
{
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1);
	struct sb_collector *c = ring_collector(f);
	uint64_t bytes = 0;

	for(uint64_t n = 1; n <= 300; n++) {
		uint32_t len = n % 10 == 0 ? SB_LOG_MAX_RECORD - SB_LOG_HDR : 8 + (uint32_t)(n * n * 37 % 9000);
		assert_int_equal(0, ring_append(&w, n, len, SB_KEEP));
		bytes += SB_LOG_HDR + len;
		assert_int_equal(1, sb_collector_pass(c));
	}
	assert_true(bytes > 10 * RING_SIZE);
	fixture_expect_all(JOURNAL, SPOOL, 1, 300, 0);
	sb_collector_free(c);
	sb_log_leave_ring(&w);
}

/* ---- a killed collector ---- */

static void a_collector_killed_before_its_note_repeats_nothing(void **state)
{
	struct fixture *f = *state;
	struct sb_log a = ring_writer(f, 1), b = ring_writer(f, 2);
	uint64_t n = 0;

	for(unsigned kill = 0; kill < 20; kill++) {
		uint64_t tail[2] = {ring_get(f, 1, TAIL), ring_get(f, 2, TAIL)};
		ring_put(&a, ++n);
		ring_put(&b, ++n);
		assert_int_equal(2, ring_pass(f));
		ring_set(f, 1, TAIL, tail[0]);
		if(kill % 2) /* it had noted one of them */
			ring_set(f, 2, TAIL, tail[1]);
		ring_put(&b, ++n);
		assert_int_equal(1, ring_pass(f));
	}
	fixture_expect_all(JOURNAL, SPOOL, 1, n, 0);
	sb_log_leave_ring(&a);
	sb_log_leave_ring(&b);
}

static void a_collector_killed_at_any_byte_of_its_write_loses_and_repeats_nothing(void **state)
{
	struct fixture *f = *state;
	struct sb_log a = ring_writer(f, 1), b = ring_writer(f, 2);
	uint64_t n = 0, torn = 0;
	char path[SB_LOG_FILE];
	struct stat st;

	sb_path_segment(path, SPOOL, f->sh->current);
	for(unsigned cut = 0; cut <= 4 * REC; cut++) {
		uint64_t tail[2] = {ring_get(f, 1, TAIL), ring_get(f, 2, TAIL)};
		ring_put(&a, ++n);
		ring_put(&b, ++n);
		ring_put(&b, ++n);
		ring_put(&a, ++n);
		assert_int_equal(0, stat(path, &st));
		assert_int_equal(4, ring_pass(f));
		assert_int_equal(0, truncate(path, st.st_size + cut));
		ring_set(f, 1, TAIL, tail[0]);
		ring_set(f, 2, TAIL, tail[1]);
		assert_int_equal(4 - cut / REC, ring_pass(f));
		torn += cut % REC != 0;
	}
	fixture_expect_all(JOURNAL, SPOOL, 1, n, torn);
	sb_log_leave_ring(&a);
	sb_log_leave_ring(&b);
}

static void a_batch_that_the_mover_took_away_is_found_in_the_journal(void **state)
{
	struct fixture *f = *state;

	f->log.cfg.segment_size = 4096; /* each batch seals its segment */
	f->log.cfg.journal_keep = 0;
	f->log.cfg.journal_limit = 1;
	struct sb_log w = ring_writer(f, 1);
	int sink = sb_log_sink(f->sh, "has read all");
	for(uint64_t n = 1; n <= 200; n++)
		ring_put(&w, n);
	uint64_t sealed = f->sh->current;
	assert_int_equal(200, ring_pass(f));
	ring_set(f, 1, TAIL, 0);
	sb_log_sink_done(f->sh, sink, sealed + 1);
	fixture_move(f);
	fixture_move(f);
	assert_false(fixture_has(SPOOL, sealed));
	assert_true(fixture_has(JOURNAL, sealed));
	ring_put(&w, 201);
	assert_int_equal(1, ring_pass(f));
	fixture_expect_all(JOURNAL, SPOOL, 1, 201, 0);
	sb_log_leave_ring(&w);
}

static void what_a_killed_collector_wrote_is_counted_and_wakes_the_reader(void **state)
{
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1);
	uint64_t poked;

	ring_put(&w, 1);
	assert_int_equal(1, ring_pass(f));
	ring_set(f, 1, TAIL, 0);
	atomic_store(&f->sh->records, 0);
	atomic_store(&f->sh->waiting, 1);
	assert_int_equal(0, ring_pass(f));
	assert_int_equal(1, f->sh->records);
	assert_int_equal(0, f->sh->waiting);
	assert_int_equal(8, read(f->log.wake_fd, &poked, 8));
	sb_log_leave_ring(&w);
}

static void a_sleeping_collector_is_woken_by_a_record(void **state)
{
	struct fixture *f = *state;
	struct sb_collector *c = ring_collector(f);
	struct timespec before, after;
	int status;

	pid_t pid = fork();
	if(pid == 0) {
		struct sb_log w = ring_writer(f, 1);
		while(atomic_load(&f->sh->collector_waiting) == 0)
			poll(NULL, 0, 1);
		ring_put(&w, 1);
		_exit(0);
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	sb_collector_wait(c, 30000);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 25);
	assert_int_equal(1, sb_collector_pass(c));
	waitpid(pid, &status, 0);
	assert_int_equal(0, status);
	struct sb_log w = ring_writer(f, 2);
	ring_put(&w, 2);
	sb_collector_wait(c, 30000); /* something is there: no sleep */
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 25);
	assert_int_equal(1, sb_collector_pass(c));
	sb_collector_free(c);
	sb_log_leave_ring(&w);
}

/* ---- starts ---- */

/* An instance of three processes, killed with records in its rings. @return the last n */
static uint64_t killed_instance(struct fixture *f, uint64_t n, unsigned records, bool collect_half)
{
	int status;

	sb_log_close(&f->log);
	pid_t pid = fork();
	if(pid == 0) {
		if(fixture_start(f) != 0)
			_exit(1);
		struct sb_log w[3];
		for(unsigned i = 0; i < 3; i++)
			w[i] = ring_writer(f, i);
		for(unsigned i = 0; i < records; i++) {
			ring_put(&w[i * 5 / 3 % 3], n + i + 1);
			if(collect_half && i == records / 2)
				ring_pass(f);
		}
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFSIGNALED(status));
	return n + records;
}

static void what_a_killed_instance_left_in_rings_is_collected_once_by_the_next_start(void **state)
{
	struct fixture *f = *state;
	uint64_t n = 0;

	for(unsigned start = 0; start < 6; start++) {
		n = killed_instance(f, n, 600, start % 2);
		ring_restart(f);
		fixture_expect_all(JOURNAL, SPOOL, 1, n, 0);
		assert_true(f->sh->current >= ((uint64_t)f->log.epoch << 32) + 1);
	}
	ring_restart(f);
	fixture_expect_all(JOURNAL, SPOOL, 1, n, 0);
}

static void a_start_without_rings_collects_them_too(void **state)
{
	struct fixture *f = *state;
	uint64_t n = killed_instance(f, 0, 100, true);

	f->cfg.ring_size = 0;
	ring_restart(f);
	fixture_expect_all(JOURNAL, SPOOL, 1, n, 0);
	fixture_append(f, n + 1);
	fixture_expect_all(JOURNAL, SPOOL, 1, n + 1, 0);
}

static void a_start_killed_while_it_collects_loses_and_repeats_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned killed = 0;
	uint64_t n = 0;

	for(unsigned round = 0; round < 20; round++) {
		int status = 1;
		n = killed_instance(f, n, 2000, round % 2);
		for(long us = 40 * round; status != 0; us += 300) {
			pid_t pid = fork();
			if(pid == 0)
				_exit(fixture_start(f) != 0);
			const struct timespec t = {0, us * 1000};
			nanosleep(&t, NULL);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			killed += status != 0;
			assert_true(status == 0 || WIFSIGNALED(status));
		}
		ring_restart(f);
	}
	assert_true(killed >= 20);
	struct sb_reader *r;
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	for(uint64_t i = 1; i <= n; i++)
		fixture_expect(r, i);
	fixture_expect_none(r);
	assert_true(sb_reader_damaged(r) <= killed);
	sb_reader_close(r);
}

static void a_start_killed_at_any_byte_of_its_write_loses_and_repeats_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t n = 0, torn = 0, first;
	char path[SB_LOG_FILE], ring[SB_LOG_FILE], kept[SB_LOG_FILE];

	sb_path_ring(ring, SPOOL, 1);
	snprintf(kept, sizeof(kept), "%s/kept", f->root);
	for(unsigned cut = 0; cut <= 3 * REC; cut += 7) {
		struct sb_log w = ring_writer(f, 1);
		for(unsigned i = 0; i < 3; i++)
			ring_put(&w, ++n);
		sb_log_leave_ring(&w);
		assert_int_equal(0, link(ring, kept));
		ring_restart(f);
		first = (uint64_t)f->log.epoch << 32;
		sb_path_segment(path, SPOOL, first);
		assert_int_equal(0, chmod(path, 0640)); /* a complete segment is read-only */
		assert_int_equal(0, truncate(path, cut));
		assert_int_equal(0, rename(kept, ring));
		ring_set(f, 1, TAIL, 0);
		torn += cut % REC != 0;
		ring_restart(f);
	}
	fixture_expect_all(JOURNAL, SPOOL, 1, n, torn);
}

static void records_of_two_starts_never_share_a_segment(void **state)
{
	struct fixture *f = *state;
	uint64_t n = killed_instance(f, 0, 10, false);
	char path[SB_LOG_FILE];

	ring_restart(f);
	struct sb_log w = ring_writer(f, 1);
	for(unsigned i = 1; i <= 10; i++)
		ring_put(&w, n + i);
	assert_int_equal(10, ring_pass(f));
	/* torn at the end of what was left: had they the same segment, what follows would have the wrong salt */
	sb_path_segment(path, SPOOL, (uint64_t)f->log.epoch << 32);
	assert_int_equal(0, chmod(path, 0640));
	assert_int_equal(0, truncate(path, 10 * REC - 1));
	struct sb_reader *r;
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	sb_reader_attach(r, f->sh);
	for(unsigned i = 1; i <= 20; i++)
		if(i != 10)
			fixture_expect(r, i);
	fixture_expect_none(r);
	sb_reader_close(r);
	sb_log_leave_ring(&w);
}

/* ---- killed, stopped and full ---- */

static void a_writer_in_the_place_of_a_killed_one_goes_on_in_its_ring(void **state)
{
	struct fixture *f = *state;
	_Atomic uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sb_collector *c = ring_collector(f);
	uint64_t collected = 0;
	int status;

	for(unsigned kills = 0; kills < 50; kills++) {
		uint64_t before = atomic_load(done);
		pid_t pid = fork();
		if(pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			struct sb_log w = ring_writer(f, 3);
			for(uint64_t n = f->sh->next_seq + 1;; n++)
				if(ring_append(&w, n, 40, SB_KEEP) == 0)
					atomic_store(done, n);
				else
					n--;
		}
		while(atomic_load(done) < before + 20)
			collected += (uint64_t)sb_collector_pass(c);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	collected += (uint64_t)sb_collector_pass(c);
	struct sb_reader *r;
	struct sb_rec rec;
	uint64_t last = 0, missing = 0;
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	while(sb_reader_next(r, &rec) == 1) {
		assert_int_equal(rec.hdr.seq, fixture_n(&rec));
		assert_true(rec.hdr.seq > last);
		missing += rec.hdr.seq - last - 1; /* numbered, and its writer killed before it was in */
		last = rec.hdr.seq;
		collected--;
	}
	assert_int_equal(0, collected);
	assert_true(last >= atomic_load(done));
	assert_true(missing <= 50);
	assert_int_equal(0, sb_reader_damaged(r));
	sb_reader_close(r);
	sb_collector_free(c);
	munmap((void *)done, 4096);
}

static void a_writer_killed_while_it_copies_has_put_in_nothing(void **state)
{
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1);
	int status;

	ring_put(&w, 1);
	pid_t pid = fork();
	if(pid == 0) {
		struct sb_log mine = ring_writer(f, 1);
		signal(SIGSEGV, SIG_DFL); /* not the sanitizer's */
		mprotect(mine.ring->data, 2 * mine.ring->size, PROT_READ);
		ring_put(&mine, 2);
		_exit(0);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_int_equal(REC, ring_get(f, 1, HEAD));
	ring_put(&w, 2);
	assert_int_equal(2, ring_pass(f));
	fixture_expect_all(JOURNAL, SPOOL, 1, 2, 0);
	assert_int_equal(3, f->sh->next_seq); /* a number may be missing */
	sb_log_leave_ring(&w);
}

static void a_writer_stopped_within_an_append_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	int status;

	pid_t pid = fork();
	if(pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct sb_log w = ring_writer(f, 1);
		uint8_t rec[REC] = {0};
		uint64_t n = 1, seq = atomic_fetch_add(&f->sh->next_seq, 1) + 1;
		memcpy(rec + SB_LOG_HDR, &n, 8);
		for(uint32_t i = 8; i < 40; i++)
			rec[SB_LOG_HDR + i] = (uint8_t)(n * 31 + i);
		sb_rec_seal(rec, 7, 40, seq, w.epoch, w.salt);
		raise(SIGSTOP);
		memcpy(sb_ring_room(w.ring, REC), rec, REC);
		sb_ring_publish(w.ring, REC);
		_exit(0);
	}
	assert_int_equal(pid, waitpid(pid, &status, WUNTRACED));
	assert_true(WIFSTOPPED(status));
	struct sb_log w = ring_writer(f, 2);
	for(uint64_t n = 2; n <= 1000; n++) {
		ring_put(&w, n);
		assert_int_equal(1, ring_pass(f));
	}
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	assert_int_equal(0, status);
	assert_int_equal(1, ring_pass(f));
	struct sb_reader *r;
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	for(uint64_t n = 2; n <= 1000; n++)
		fixture_expect(r, n);
	fixture_expect(r, 1);
	fixture_expect_none(r);
	sb_reader_close(r);
	sb_log_leave_ring(&w);
}

static void a_full_ring_sheds_by_class_and_counts(void **state)
{
	static const uint64_t from[3] = {[SB_EXTRA] = 85, [SB_DETAIL] = 95, [SB_KEEP] = 100};
	const uint64_t limit = RING_SIZE - SB_LOG_MAX_RECORD;
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1), other = ring_writer(f, 2);
	uint64_t n = 0, used = 0;

	for(int class = SB_EXTRA; class >= SB_KEEP; class --) {
		while(ring_append(&w, n + 1, 40, (enum sb_shed) class) == 0) {
			n++;
			used += REC;
		}
		assert_true(used >= limit / 100 * from[class] && used < limit / 100 * from[class] + REC + limit % 100);
		assert_int_equal(1, f->sh->shed[class]);
		assert_true(sb_log_would_shed(&w, (enum sb_shed) class));
		assert_false(sb_log_would_shed(&other, SB_EXTRA));
		if(class > SB_KEEP)
			assert_false(sb_log_would_shed(&w, (enum sb_shed)(class - 1)));
	}
	assert_int_equal(0, f->sh->failed);
	assert_int_equal(n, f->sh->next_seq); /* what is shed is not numbered */
	assert_int_equal(n, ring_pass(f));
	assert_false(sb_log_would_shed(&w, SB_EXTRA));
	ring_put(&w, n + 1);
	assert_int_equal(1, ring_pass(f));
	fixture_expect_all(JOURNAL, SPOOL, 1, n + 1, 0);
	sb_log_leave_ring(&w);
	sb_log_leave_ring(&other);
}

static void limited(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = bytes;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &limit));
}

static rlim_t newest_bytes(struct fixture *f)
{
	char path[SB_LOG_FILE];
	struct stat st;

	sb_path_segment(path, SPOOL, f->sh->current);
	return stat(path, &st) == 0 ? (rlim_t)st.st_size : 0;
}

static void what_a_full_spool_does_not_take_gets_in_later_and_once(void **state)
{
	struct fixture *f = *state;
	struct sb_log a = ring_writer(f, 1), b = ring_writer(f, 2);
	struct sb_collector *c = ring_collector(f);
	uint64_t n = 0, torn = 0;

	for(unsigned room = 0; room < 4 * REC; room++) {
		for(unsigned i = 0; i < 4; i++)
			ring_put(i % 2 ? &a : &b, ++n);
		limited(newest_bytes(f) + room);
		assert_true(sb_collector_pass(c) < 0);
		for(unsigned again = 0; again < 2; again++) {
			limited(newest_bytes(f));
			assert_true(sb_collector_pass(c) < 0);
		}
		limited(RLIM_INFINITY);
		if(room % 3 == 0) {
			sb_collector_free(c); /* killed, since it goes without a word */
			c = ring_collector(f);
		}
		assert_int_equal(4 - room / REC, sb_collector_pass(c));
		torn += room % REC != 0;
	}
	/* an attached reader: there is no mover here that marks what is complete */
	struct sb_reader *r;
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	sb_reader_attach(r, f->sh);
	for(uint64_t i = 1; i <= n; i++)
		fixture_expect(r, i);
	fixture_expect_none(r);
	assert_int_equal(torn, sb_reader_damaged(r));
	sb_reader_close(r);
	assert_int_equal(n, f->sh->records);
	sb_collector_free(c);
	sb_log_leave_ring(&a);
	sb_log_leave_ring(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			RING_TEST(a_record_is_read_once_the_collector_has_passed),
			RING_TEST(records_of_all_writers_stand_in_the_order_of_their_numbers),
			RING_TEST(a_record_numbered_after_a_pass_began_waits_for_the_next),
			RING_TEST(rings_go_round_with_records_of_any_length),
			RING_TEST(a_collector_killed_before_its_note_repeats_nothing),
			RING_TEST(a_collector_killed_at_any_byte_of_its_write_loses_and_repeats_nothing),
			RING_TEST(a_batch_that_the_mover_took_away_is_found_in_the_journal),
			RING_TEST(what_a_killed_collector_wrote_is_counted_and_wakes_the_reader),
			RING_TEST(a_sleeping_collector_is_woken_by_a_record),
			RING_TEST(what_a_killed_instance_left_in_rings_is_collected_once_by_the_next_start),
			RING_TEST(a_start_without_rings_collects_them_too),
			RING_TEST(a_start_killed_while_it_collects_loses_and_repeats_nothing),
			RING_TEST(a_start_killed_at_any_byte_of_its_write_loses_and_repeats_nothing),
			RING_TEST(records_of_two_starts_never_share_a_segment),
			RING_TEST(a_writer_in_the_place_of_a_killed_one_goes_on_in_its_ring),
			RING_TEST(a_writer_killed_while_it_copies_has_put_in_nothing),
			RING_TEST(a_writer_stopped_within_an_append_holds_up_nobody),
			RING_TEST(a_full_ring_sheds_by_class_and_counts),
			RING_TEST(what_a_full_spool_does_not_take_gets_in_later_and_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
