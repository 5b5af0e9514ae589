/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "log_fixture.h"

#define SPOOL f->cfg.spool_dir
#define JOURNAL f->cfg.journal_dir

static void crc_is_the_one_of_rfc_3720(void **state)
{
	uint8_t zeros[32] = {0}, rising[32];

	(void)state;
	for(unsigned i = 0; i < 32; i++)
		rising[i] = (uint8_t)i;
	assert_int_equal(0x8a9136aau, sb_crc32c(0, zeros, 32));
	assert_int_equal(0x46dd794eu, sb_crc32c(0, rising, 32));
	assert_int_equal(0xe3069283u, sb_crc32c(0, "123456789", 9));
	assert_int_equal(0xe3069283u, sb_crc32c(sb_crc32c(0, "1234", 4), "56789", 5));
}

static void crc_without_the_cpu_is_the_same(void **state)
{
	uint8_t data[300];

	(void)state;
	for(unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 167 + 13);
	for(size_t from = 0; from < 9; from++)
		for(size_t len = 0; from + len <= sizeof(data); len++)
			assert_int_equal(sb_crc32c_table(77, data + from, len), sb_crc32c(77, data + from, len));
}

static void an_event_id_has_node_epoch_and_sequence_and_no_dot(void **state)
{
	char id[64];

	(void)state;
	sb_event_id(id, "01234567-89ab-cdef-0123-456789abcdef", 0x1f, 0xabc);
	assert_string_equal("0123456789abcdef0123456789abcdef-1f-abc", id);
	sb_event_id(id, "01234567-89ab-cdef-0123-456789abcdef", UINT32_MAX, UINT64_MAX);
	assert_string_equal("0123456789abcdef0123456789abcdef-ffffffff-ffffffffffffffff", id);
}

static void what_is_appended_is_read_in_order_with_its_header(void **state)
{
	struct fixture *f = *state;
	struct sb_pos before = {0, 0};
	struct sb_reader *r;
	struct sb_rec rec;

	for(uint64_t n = 1; n <= 100; n++)
		fixture_append(f, n);
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, before));
	for(uint64_t n = 1; n <= 100; n++) {
		assert_int_equal(1, sb_reader_next(r, &rec));
		assert_int_equal(n, fixture_n(&rec));
		assert_int_equal(n, rec.hdr.seq);
		assert_int_equal(7, rec.hdr.type);
		assert_int_equal(200, rec.hdr.len);
		assert_int_equal(f->log.epoch, rec.hdr.epoch);
		assert_int_equal(f->log.salt, rec.hdr.salt);
		assert_true(rec.pos.segment > before.segment || rec.pos.offset == before.offset);
		before = rec.next;
	}
	fixture_expect_none(r);
	sb_reader_close(r);
	assert_int_equal(100, f->sh->records);
}

static void a_segment_is_sealed_when_it_is_full(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;
	size_t len;

	for(uint64_t n = 1; n <= 40; n++)
		fixture_append(f, n);
	assert_int_equal(first + 2, f->sh->current);
	assert_int_equal(40 % 18 * 232, sb_log_current_len(f->sh));
	free(fixture_file(SPOOL, first, &len));
	assert_int_equal(18 * 232, len);
	assert_int_equal(40 * 232, f->sh->spool_bytes);
}

static void a_record_too_long_is_refused_and_the_longest_is_read(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *r;
	struct sb_rec rec;

	assert_int_equal(-EOVERFLOW, fixture_append_class(f, 1, SB_LOG_MAX_RECORD - SB_LOG_HDR + 1, SB_KEEP));
	assert_int_equal(0, fixture_append_class(f, 2, SB_LOG_MAX_RECORD - SB_LOG_HDR, SB_KEEP));
	assert_int_equal(0, fixture_append_class(f, 3, SB_LOG_MAX_RECORD - SB_LOG_HDR, SB_KEEP));
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	fixture_expect(r, 2);
	fixture_expect(r, 3);
	assert_int_equal(0, sb_reader_next(r, &rec));
	sb_reader_close(r);
}

static void a_reader_goes_on_from_every_position_it_was_given(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *all, *r;
	struct sb_rec rec;

	for(uint64_t n = 1; n <= 50; n++)
		fixture_append(f, n);
	assert_int_equal(0, sb_reader_open(&all, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	for(uint64_t n = 1; n < 50; n++) {
		assert_int_equal(1, sb_reader_next(all, &rec));
		assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, rec.next));
		fixture_expect(r, n + 1);
		assert_int_equal(0, sb_reader_damaged(r));
		sb_reader_close(r);
	}
	sb_reader_close(all);
}

static void a_sleeping_reader_is_woken_once(void **state)
{
	struct fixture *f = *state;
	uint64_t count = 0;

	fixture_append(f, 1);
	assert_int_equal(-1, read(f->log.wake_fd, &count, 8));
	f->sh->waiting = 1;
	fixture_append(f, 2);
	fixture_append(f, 3);
	assert_int_equal(8, read(f->log.wake_fd, &count, 8));
	assert_int_equal(1, count);
	assert_int_equal(0, f->sh->waiting);
}

static void near_the_limit_extras_are_shed_first_then_details_then_all(void **state)
{
	struct fixture *f = *state;

	f->cfg.spool_limit = 10000;
	assert_int_equal(0, fixture_start(f));
	f->sh->spool_bytes = 8499;
	assert_false(sb_log_would_shed(&f->log, SB_EXTRA));
	f->sh->spool_bytes = 8500;
	assert_int_equal(-ENOSPC, fixture_append_class(f, 1, 200, SB_EXTRA));
	assert_false(sb_log_would_shed(&f->log, SB_DETAIL));
	f->sh->spool_bytes = 9500;
	assert_int_equal(-ENOSPC, fixture_append_class(f, 1, 200, SB_DETAIL));
	assert_int_equal(0, fixture_append_class(f, 2, 200, SB_KEEP));
	f->sh->spool_bytes = 10000;
	assert_int_equal(-ENOSPC, fixture_append_class(f, 3, 200, SB_KEEP));
	assert_int_equal(1, f->sh->shed[SB_KEEP]);
	assert_int_equal(1, f->sh->shed[SB_DETAIL]);
	assert_int_equal(1, f->sh->shed[SB_EXTRA]);
	assert_int_equal(1, f->sh->records);
}

/* A segment of records 1 … count, and where each ends. */
static uint8_t *segment_make(struct fixture *f, unsigned count, size_t *len, size_t ends[])
{
	uint64_t first = f->sh->current;

	for(unsigned n = 1; n <= count; n++) {
		assert_int_equal(0, fixture_append_class(f, n, 8 + n % 5 * 9, SB_KEEP));
		ends[n] = (size_t)f->sh->spool_bytes;
	}
	ends[0] = 0;
	assert_int_equal(first, f->sh->current);
	return fixture_file(SPOOL, first, len);
}

enum
{
	COUNT = 12
};

static void every_cut_loses_only_what_was_cut(void **state)
{
	struct fixture *f = *state;
	size_t len, ends[COUNT + 1];
	uint8_t *buf = segment_make(f, COUNT, &len, ends);

	for(size_t cut = 0; cut <= len; cut++) {
		uint8_t *piece = malloc(cut + 1); /* of exactly this size: a sanitizer sees every byte too far */
		memcpy(piece, buf, cut);
		piece = realloc(piece, cut == 0 ? 1 : cut);
		uint64_t whole = 0;
		while(whole < COUNT && ends[whole + 1] <= cut)
			whole++;
		for(int sealed = 0; sealed < 2; sealed++) {
			size_t at = 0;
			uint64_t damaged = 0, n = 0;
			struct sb_rec rec;
			while(sb_scan(piece, cut, &at, sealed, &rec, &damaged) == 1)
				assert_int_equal(++n, fixture_n(&rec));
			assert_int_equal(whole, n);
			assert_int_equal(sealed ? cut : ends[whole], at);
			assert_int_equal(sealed && cut != ends[whole], damaged);
		}
		free(piece);
	}
	free(buf);
}

static void every_flipped_byte_loses_only_its_record(void **state)
{
	struct fixture *f = *state;
	size_t len, ends[COUNT + 1];
	uint8_t *buf = segment_make(f, COUNT, &len, ends);
	static const uint8_t masks[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};

	for(size_t i = 0; i < len * sizeof(masks); i++) {
		size_t at = 0, byte = i / sizeof(masks);
		uint64_t damaged = 0, n = 0, hit = 1;
		struct sb_rec rec;
		while(ends[hit] <= byte)
			hit++;
		buf[byte] ^= masks[i % sizeof(masks)];
		while(sb_scan(buf, len, &at, true, &rec, &damaged) == 1) {
			n += n + 1 == hit ? 2 : 1;
			assert_int_equal(n, fixture_n(&rec));
		}
		assert_int_equal(hit == COUNT ? COUNT - 1 : COUNT, n);
		assert_int_equal(1, damaged);
		buf[byte] ^= masks[i % sizeof(masks)];
	}
	free(buf);
}

static void every_missing_byte_loses_only_its_record(void **state)
{
	struct fixture *f = *state;
	size_t len, ends[COUNT + 1];
	uint8_t *buf = segment_make(f, COUNT, &len, ends), *less = malloc(len);

	for(size_t byte = 0; byte < len; byte++) {
		size_t at = 0;
		uint64_t damaged = 0, n = 0, hit = 1;
		struct sb_rec rec;
		while(ends[hit] <= byte)
			hit++;
		memcpy(less, buf, byte);
		memcpy(less + byte, buf + byte + 1, len - byte - 1);
		while(sb_scan(less, len - 1, &at, true, &rec, &damaged) == 1) {
			n += n + 1 == hit ? 2 : 1;
			assert_int_equal(n, fixture_n(&rec));
		}
		assert_int_equal(hit == COUNT ? COUNT - 1 : COUNT, n);
		assert_int_equal(1, damaged);
	}
	free(less);
	free(buf);
}

static void every_cut_of_the_journal_is_one_damage_and_the_next_start_goes_on(void **state)
{
	struct fixture *f = *state;
	size_t len, ends[COUNT + 1];
	uint64_t first = f->sh->current;
	uint8_t *buf = segment_make(f, COUNT, &len, ends);
	char path[SB_LOG_FILE];

	/* the power went: nothing in the spool, a shorter journal */
	sb_path_segment(path, SPOOL, first);
	assert_int_equal(0, unlink(path));
	fixture_restart(f);
	fixture_append(f, COUNT + 1);
	for(size_t cut = 0; cut <= len; cut++) {
		struct sb_reader *r;
		uint64_t whole = 0;
		while(whole < COUNT && ends[whole + 1] <= cut)
			whole++;
		fixture_write(JOURNAL, first, buf, cut);
		assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
		for(uint64_t n = 1; n <= whole; n++)
			fixture_expect(r, n);
		fixture_expect(r, COUNT + 1);
		fixture_expect_none(r);
		assert_int_equal(cut != ends[whole], sb_reader_damaged(r));
		sb_reader_close(r);
	}
	free(buf);
}

static void bytes_in_a_payload_that_look_like_a_record_are_not_taken_for_one(void **state)
{
	struct fixture *f = *state;
	uint8_t rec[512], inner[64];
	uint64_t first = f->sh->current;
	size_t len;

	fixture_append(f, 1);
	memset(inner, 'x', sizeof(inner));
	int64_t size = sb_rec_seal(inner, 7, 8, 99, f->log.epoch, f->log.salt ^ 1);
	memset(rec, 'y', sizeof(rec));
	memcpy(rec + SB_LOG_HDR + 20, inner, (size_t)size);
	assert_int_equal(0, sb_log_append(&f->log, 7, SB_KEEP, rec, 300, NULL));
	fixture_append(f, 2);
	uint8_t *buf = fixture_file(SPOOL, first, &len);
	buf[232 + 4] ^= 0x40; /* the outer one's length */
	fixture_write(SPOOL, first, buf, len);
	free(buf);
	fixture_restart(f);
	fixture_expect_all(JOURNAL, SPOOL, 1, 2, 1);
}

static void a_look_alike_in_a_segments_first_record_does_not_shut_out_the_others(void **state)
{
	struct fixture *f = *state;
	uint8_t rec[512], inner[64];
	uint64_t first = f->sh->current;
	struct sb_reader *r;
	struct sb_rec got;
	size_t len;

	memset(inner, 'x', sizeof(inner));
	int64_t size = sb_rec_seal(inner, 7, 8, 99, f->log.epoch, f->log.salt ^ 1);
	memset(rec, 'y', sizeof(rec));
	memcpy(rec + SB_LOG_HDR + 20, inner, (size_t)size);
	assert_int_equal(0, sb_log_append(&f->log, 7, SB_KEEP, rec, 300, NULL));
	for(uint64_t n = 1; n <= 3; n++)
		fixture_append(f, n);
	uint8_t *buf = fixture_file(SPOOL, first, &len);
	buf[4] ^= 0x40; /* the outer one's length */
	fixture_write(SPOOL, first, buf, len);
	free(buf);
	fixture_restart(f);
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, SPOOL, (struct sb_pos){0, 0}));
	assert_int_equal(1, sb_reader_next(r, &got)); /* nothing read before tells that it is none */
	assert_int_equal(99, got.hdr.seq);
	for(uint64_t n = 1; n <= 3; n++)
		fixture_expect(r, n);
	fixture_expect_none(r);
	sb_reader_close(r);
}

static void damage_larger_than_a_readers_buffer_is_passed(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->sh->current;
	size_t len, gap = 3 << 20;

	for(uint64_t n = 1; n <= 2; n++)
		fixture_append(f, n);
	uint8_t *buf = fixture_file(SPOOL, first, &len);
	uint8_t *wide = calloc(1, len + gap);
	memcpy(wide, buf, len / 2);
	memset(wide + len / 2 + gap / 2, 'S', gap / 4);
	memcpy(wide + len / 2 + gap, buf + len / 2, len / 2);
	fixture_write(SPOOL, first, wide, len + gap);
	free(buf);
	free(wide);
	fixture_expect_all(JOURNAL, SPOOL, 1, 2, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(crc_is_the_one_of_rfc_3720),
			cmocka_unit_test(crc_without_the_cpu_is_the_same),
			cmocka_unit_test(an_event_id_has_node_epoch_and_sequence_and_no_dot),
#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, fixture_log, fixture_end)
#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, fixture_dirs, fixture_end)
			WITH_LOG(what_is_appended_is_read_in_order_with_its_header),
			WITH_LOG(a_segment_is_sealed_when_it_is_full),
			WITH_LOG(a_record_too_long_is_refused_and_the_longest_is_read),
			WITH_LOG(a_reader_goes_on_from_every_position_it_was_given),
			WITH_LOG(a_sleeping_reader_is_woken_once),
			WITH_DIRS(near_the_limit_extras_are_shed_first_then_details_then_all),
			WITH_LOG(every_cut_loses_only_what_was_cut),
			WITH_LOG(every_flipped_byte_loses_only_its_record),
			WITH_LOG(every_missing_byte_loses_only_its_record),
			WITH_LOG(every_cut_of_the_journal_is_one_damage_and_the_next_start_goes_on),
			WITH_LOG(bytes_in_a_payload_that_look_like_a_record_are_not_taken_for_one),
			WITH_LOG(a_look_alike_in_a_segments_first_record_does_not_shut_out_the_others),
			WITH_LOG(damage_larger_than_a_readers_buffer_is_passed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
