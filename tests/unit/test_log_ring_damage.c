/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rings that are damaged, hostile, unfinished or gone: nothing crashes or waits for ever, and no other ring suffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ring_fixture.h"

#define REC (SB_LOG_HDR + 40u) /* bytes of a record of ring_put() */
#define DATA ((off_t)SB_RING_PAGE)

static void put_and_leave(struct fixture *f, unsigned writer, uint64_t first, uint64_t last)
{
	struct sb_log w = ring_writer(f, writer);

	for(uint64_t n = first; n <= last; n++)
		ring_put(&w, n);
	sb_log_leave_ring(&w);
}

/* Every record but one is there; an attached reader, since there is no mover here that marks what is complete. */
static void expect_all_but(struct fixture *f, uint64_t last, uint64_t lost)
{
	struct sb_reader *r;

	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	sb_reader_attach(r, f->sh);
	for(uint64_t n = 1; n <= last; n++)
		if(n != lost)
			fixture_expect(r, n);
	fixture_expect_none(r);
	assert_int_equal(0, sb_reader_damaged(r));
	sb_reader_close(r);
}

static void magic(struct fixture *f)
{
	ring_set(f, 1, 0, 0x3131313131313131);
}

static void size_told(struct fixture *f)
{
	ring_set(f, 1, 8, 2 * RING_SIZE);
}

static void size_odd(struct fixture *f)
{
	ring_set(f, 1, 8, RING_SIZE - 1);
}

static void size_huge(struct fixture *f)
{
	ring_set(f, 1, 8, 1ull << 63);
}

static void file_short(struct fixture *f)
{
	char path[SB_LOG_FILE];

	sb_path_ring(path, SPOOL, 1);
	assert_int_equal(0, truncate(path, DATA + RING_SIZE - 1));
}

static void file_tiny(struct fixture *f)
{
	char path[SB_LOG_FILE];

	sb_path_ring(path, SPOOL, 1);
	assert_int_equal(0, truncate(path, 10));
}

static void file_long(struct fixture *f)
{
	ring_change(f, 1, DATA + RING_SIZE, "x", 1);
}

static void head_before_tail(struct fixture *f)
{
	ring_set(f, 1, TAIL, ring_get(f, 1, HEAD) + 1);
}

static void head_too_far(struct fixture *f)
{
	ring_set(f, 1, HEAD, ring_get(f, 1, TAIL) + RING_SIZE + 1);
}

static void (*const no_ring[])(struct fixture *) = {
		magic, size_told, size_odd, size_huge, file_short, file_tiny, file_long, head_before_tail, head_too_far};
#define NO_RINGS (sizeof(no_ring) / sizeof(no_ring[0]))

static void a_file_that_is_no_ring_is_kept_aside_and_counted_by_the_next_start(void **state)
{
	struct fixture *f = *state;

	for(unsigned i = 0; i < NO_RINGS; i++) {
		put_and_leave(f, 1, 1000, 1009);
		no_ring[i](f);
		put_and_leave(f, 2, i + 1, i + 1);
		ring_restart(f);
		assert_int_equal(1, f->sh->damaged);
		assert_int_equal(1, f->sh->ring_damaged);
		assert_true(ring_there(f, "ring-1.aside"));
		expect_all_but(f, i + 1, 0);
	}
}

static void a_file_that_is_no_ring_holds_up_no_other_writer(void **state)
{
	struct fixture *f = *state;

	for(unsigned i = 0; i < NO_RINGS; i++) {
		uint64_t counted = f->sh->damaged;
		struct sb_log w = ring_writer(f, 2);
		put_and_leave(f, 1, 1000, 1009);
		no_ring[i](f);
		ring_put(&w, i + 1);
		assert_int_equal(1, ring_pass(f));
		assert_int_equal(counted + 1, f->sh->damaged);
		expect_all_but(f, i + 1, 0);
		sb_log_leave_ring(&w);
		assert_int_equal(-EBADMSG, sb_log_attach(&w, 1));
		assert_null(w.ring);
		assert_int_equal(0, sb_ring_aside(SPOOL, 1));
	}
}

static void a_ring_file_that_is_gone_holds_up_no_other_writer(void **state)
{
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 2);

	put_and_leave(f, 1, 1000, 1009);
	assert_int_equal(0, sb_ring_remove(SPOOL, 1));
	struct sb_collector *c = ring_collector(f);
	for(uint64_t n = 1; n <= 10; n++) {
		ring_put(&w, n);
		assert_int_equal(1, sb_collector_pass(c));
	}
	assert_int_equal(1, f->sh->damaged);
	expect_all_but(f, 10, 0);
	sb_collector_free(c);
	sb_log_leave_ring(&w);
}

/* Killed behind the allocation, before the header. */
static void a_ring_whose_maker_was_killed_is_made_again(void **state)
{
	struct fixture *f = *state;
	char path[SB_LOG_FILE];

	sb_path_ring(path, SPOOL, 1);
	for(unsigned round = 0; round < 2; round++) {
		ring_change(f, 1, 0, "", 0);
		assert_int_equal(0, truncate(path, round == 0 ? 0 : DATA + RING_SIZE));
		put_and_leave(f, 1, 2 * round + 1, 2 * round + 1);
		assert_int_equal(1, ring_pass(f));
		ring_restart(f);
		assert_int_equal(0, f->sh->damaged);
		ring_change(f, 1, 0, "", 0);
		assert_int_equal(0, truncate(path, round == 0 ? 0 : DATA + RING_SIZE));
		ring_restart(f);
		assert_int_equal(0, f->sh->damaged);
		put_and_leave(f, 1, 2 * round + 2, 2 * round + 2);
		ring_restart(f);
	}
	expect_all_but(f, 4, 0);
}

static void a_ring_of_another_size_is_collected_and_made_anew(void **state)
{
	struct fixture *f = *state;

	put_and_leave(f, 1, 1, 10);
	f->cfg.ring_size = 4 * RING_SIZE;
	ring_restart(f);
	put_and_leave(f, 1, 11, 20);
	assert_int_equal(4 * RING_SIZE, ring_get(f, 1, 8));
	assert_int_equal(10, ring_pass(f));
	expect_all_but(f, 20, 0);
	assert_int_equal(0, f->sh->damaged);
}

static void other_names_are_left_alone(void **state)
{
	static const char *const names[] = {
			"ring-", "ring-x", "ring-01", "ring-+1", "ring- 1", "ring-1024", "ring-1x", "ring"};
	struct fixture *f = *state;
	char path[SB_LOG_FILE], ring[SB_LOG_FILE];

	put_and_leave(f, 1, 1, 10);
	sb_path_ring(ring, SPOOL, 1);
	for(unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", SPOOL, names[i]);
		assert_int_equal(0, link(ring, path));
	}
	ring_restart(f);
	expect_all_but(f, 10, 0);
	assert_int_equal(0, f->sh->damaged);
	for(unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(ring_there(f, names[i]));
}

static void flip(struct fixture *f, off_t at, unsigned bit)
{
	uint8_t byte = (uint8_t)(ring_get(f, 1, DATA + at) ^ 1u << bit);

	ring_change(f, 1, DATA + at, &byte, 1);
}

static void a_flipped_byte_anywhere_costs_one_record_and_is_counted(void **state)
{
	struct fixture *f = *state;
	uint64_t n = 0, counted = 0;

	for(unsigned at = 0; at < 3 * REC; at++) {
		struct sb_log w = ring_writer(f, 1);
		uint64_t tail = ring_get(f, 1, TAIL);
		if(tail + 3 * REC > RING_SIZE)
			break;
		for(unsigned i = 1; i <= 3; i++)
			ring_put(&w, n + i);
		flip(f, (off_t)(tail + at), at % 8);
		assert_int_equal(2, ring_pass(f));
		assert_int_equal(++counted, f->sh->damaged);
		assert_int_equal(0, ring_pass(f));
		assert_int_equal(counted, f->sh->damaged);
		assert_int_equal(tail + 3 * REC, ring_get(f, 1, TAIL));
		sb_log_leave_ring(&w);
		n += 3;
	}
	assert_int_equal(n, 9 * REC);
	assert_int_equal(2 * n / 3, f->sh->records);
	struct sb_reader *r;
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	for(uint64_t i = 0; i < n; i++)
		if(i % 3 != i / 3 / REC)
			fixture_expect(r, i + 1);
	fixture_expect_none(r);
	assert_int_equal(0, sb_reader_damaged(r));
	sb_reader_close(r);
}

static void damage_in_what_a_killed_instance_left_costs_one_record_and_is_counted(void **state)
{
	struct fixture *f = *state;

	for(unsigned lost = 1; lost <= 5; lost++) {
		sb_log_close(&f->log);
		assert_int_equal(0, nftw(f->root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS));
		assert_int_equal(0, mkdir(f->root, 0750) | mkdir(SPOOL, 0750) | mkdir(JOURNAL, 0750));
		assert_int_equal(0, fixture_start(f));
		put_and_leave(f, 1, 1, 5);
		flip(f, (lost - 1) * REC + 20, 3);
		put_and_leave(f, 2, 6, 9);
		ring_restart(f);
		assert_int_equal(1, f->sh->damaged);
		assert_int_equal(8, f->sh->records);
		expect_all_but(f, 9, lost);
	}
}

static void garbage_that_fills_a_ring_does_not_block_it(void **state)
{
	static uint8_t garbage[RING_SIZE];
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1);
	uint64_t counted = 0;

	for(unsigned kind = 0; kind < 3; kind++) {
		const struct sb_rec_hdr hdr = {.magic = SB_LOG_MAGIC, .len = kind == 1 ? 0 : UINT32_MAX, .seq = UINT64_MAX};
		for(size_t i = 0; i < sizeof(garbage); i += sizeof(hdr))
			memcpy(garbage + i, kind == 2 ? "SBG1SBG1SBG1SBG1SBG1SBG1SBG1SBG1" : (const char *)&hdr, sizeof(hdr));
		ring_change(f, 1, DATA, garbage, sizeof(garbage));
		sb_ring_publish(w.ring, RING_SIZE - 77);
		assert_true(sb_log_would_shed(&w, SB_KEEP));
		assert_int_equal(0, ring_pass(f));
		assert_int_equal(++counted, f->sh->damaged);
		ring_put(&w, kind + 1);
		assert_int_equal(1, ring_pass(f));
		expect_all_but(f, kind + 1, 0);
	}
	assert_int_equal(counted, f->sh->damaged);
	sb_log_leave_ring(&w);
}

static void a_head_or_tail_that_was_overwritten_costs_what_was_in_the_ring_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct sb_log w = ring_writer(f, 1);
	struct sb_collector *c = ring_collector(f);
	uint64_t n = 0;

	static const uint64_t wild[] = {0, UINT64_MAX, 1ull << 63, 3 * RING_SIZE};

	for(unsigned i = 0; i < 8; i++) {
		ring_put(&w, ++n);
		assert_int_equal(1, sb_collector_pass(c));
		atomic_store(i % 2 ? &w.ring->hdr->tail : &w.ring->hdr->head, wild[i / 2] + 1);
		assert_true(sb_collector_pass(c) >= 0);
		assert_false(sb_log_would_shed(&w, SB_EXTRA));
	}
	assert_true(f->sh->damaged > 0 && f->sh->damaged <= 8);
	ring_put(&w, ++n);
	assert_int_equal(1, sb_collector_pass(c));
	sb_collector_free(c);
	sb_log_leave_ring(&w);
}

static void a_look_alike_in_a_damaged_record_is_not_taken_for_one(void **state)
{
	struct fixture *f = *state;
	uint8_t rec[512], inner[64];

	for(unsigned start = 0; start < 2; start++) {
		struct sb_log w = ring_writer(f, 1);
		ring_put(&w, 2 * start + 1);
		memset(inner, 'x', sizeof(inner));
		int64_t size = sb_rec_seal(inner, 7, 8, 99, f->log.epoch, f->log.salt ^ 1);
		memset(rec, 'y', sizeof(rec));
		memcpy(rec + SB_LOG_HDR + 20, inner, (size_t)size);
		assert_int_equal(0, sb_log_append(&w, 7, SB_KEEP, rec, 300, NULL));
		ring_put(&w, 2 * start + 2);
		flip(f, REC + 5, 6); /* the outer one's length */
		sb_log_leave_ring(&w);
		if(start == 0)
			assert_int_equal(2, ring_pass(f)); /* the collector knows the salt … */
		ring_restart(f);
		assert_int_equal(start, f->sh->damaged); /* … and a start finds it in what is whole */
	}
	expect_all_but(f, 4, 0);
}

static void the_mover_keeps_the_count_of_damage_in_rings(void **state)
{
	struct fixture *f = *state;

	put_and_leave(f, 1, 1, 3);
	flip(f, REC, 0);
	ring_restart(f);
	fixture_move(f);
	fixture_move(f);
	assert_int_equal(1, f->sh->damaged);
	expect_all_but(f, 3, 2);
}

/* tmpfs that is full would answer a read of it with SIGBUS. */
static void a_ring_with_holes_is_filled_before_it_is_read(void **state)
{
	struct fixture *f = *state;
	char path[SB_LOG_FILE];
	struct stat st;

	put_and_leave(f, 1, 1, 3);
	sb_path_ring(path, SPOOL, 1);
	int fd = open(path, O_RDWR);
	if(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, DATA + 8192, RING_SIZE - 8192) != 0) {
		close(fd);
		skip();
	}
	assert_int_equal(0, fstat(fd, &st));
	assert_true(st.st_blocks * 512 < DATA + RING_SIZE);
	struct sb_ring ring;
	assert_int_equal(0, sb_ring_open(&ring, SPOOL, 1, 0));
	sb_ring_close(&ring);
	assert_int_equal(0, fstat(fd, &st));
	assert_true(st.st_blocks * 512 >= DATA + RING_SIZE);
	close(fd);
	ring_restart(f);
	expect_all_but(f, 3, 0);
}

static void a_ring_size_that_cannot_work_is_refused(void **state)
{
	static const uint64_t sizes[] = {1, RING_SIZE / 2, RING_SIZE + 1, 3 * SB_LOG_MAX_RECORD, 1ull << 31, 1ull << 63};
	struct fixture *f = *state;

	sb_log_close(&f->log);
	for(unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		f->cfg.ring_size = sizes[i];
		assert_int_equal(-EINVAL, fixture_start(f));
		assert_non_null(strstr(f->err, "ring_size is "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			RING_TEST(a_file_that_is_no_ring_is_kept_aside_and_counted_by_the_next_start),
			RING_TEST(a_file_that_is_no_ring_holds_up_no_other_writer),
			RING_TEST(a_ring_file_that_is_gone_holds_up_no_other_writer),
			RING_TEST(a_ring_whose_maker_was_killed_is_made_again),
			RING_TEST(a_ring_of_another_size_is_collected_and_made_anew),
			RING_TEST(other_names_are_left_alone),
			RING_TEST(a_flipped_byte_anywhere_costs_one_record_and_is_counted),
			RING_TEST(damage_in_what_a_killed_instance_left_costs_one_record_and_is_counted),
			RING_TEST(garbage_that_fills_a_ring_does_not_block_it),
			RING_TEST(a_head_or_tail_that_was_overwritten_costs_what_was_in_the_ring_and_no_more),
			RING_TEST(a_look_alike_in_a_damaged_record_is_not_taken_for_one),
			RING_TEST(the_mover_keeps_the_count_of_damage_in_rings),
			RING_TEST(a_ring_with_holes_is_filled_before_it_is_read),
			RING_TEST(a_ring_size_that_cannot_work_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
