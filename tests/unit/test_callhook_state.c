/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "deliveries.h"
#include "event.h"
#include "log_fixture.h"
#include "state.h"
#include "verdict.h"

struct files
{
	char dir[64], path[96];
	struct sb_store *s;
	char err[512];
};

static int files_make(void **state)
{
	struct files *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/dev/shm/sb-test-hook-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/state.sqlite", f->dir);
	assert_int_equal(0, sb_store_open(&f->s, f->path, true, f->err, sizeof(f->err)));
	*state = f;
	return 0;
}

static int files_remove(void **state)
{
	struct files *f = *state;

	sb_store_close(f->s);
	nftw(f->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void again(struct files *f)
{
	sb_store_close(f->s);
	f->s = NULL;
	assert_int_equal(0, sb_store_open(&f->s, f->path, false, f->err, sizeof(f->err)));
}

static struct sb_pending row(unsigned call, uint64_t offset, uint64_t next_at)
{
	struct sb_pending p = {.epoch = 3,
			.seq = offset + 100,
			.pos = {(3ull << 32) + 1, offset},
			.next_at = next_at,
			.error = "HTTP 400"};

	memcpy(p.call, &call, sizeof(call));
	return p;
}

static void a_cursor_comes_back_as_it_was_committed(void **state)
{
	struct files *f = *state;
	struct sb_cursor c = {.pos = {5, 6}, .url = "http://h/", .disabled_at = 7, .disabled_why = "HTTP 410"}, back;

	assert_int_equal(-ENOENT, sb_store_cursor(f->s, "a", &back));
	assert_int_equal(0, sb_store_set_cursor(f->s, "a", &c));
	assert_true(sb_store_changed(f->s));
	assert_int_equal(0, sb_store_commit(f->s));
	assert_false(sb_store_changed(f->s));
	assert_int_equal(0, sb_store_move(f->s, "a", (struct sb_pos){9, 9}));
	again(f); /* not committed: as if killed */
	assert_int_equal(0, sb_store_cursor(f->s, "a", &back));
	assert_int_equal(5, back.pos.segment);
	assert_int_equal(6, back.pos.offset);
	assert_int_equal(7, back.disabled_at);
	assert_string_equal("HTTP 410", back.disabled_why);
	assert_string_equal("http://h/", back.url);
}

static void a_cursor_and_the_rows_it_passed_are_kept_together_or_not_at_all(void **state)
{
	struct files *f = *state;
	struct sb_cursor c = {.pos = {1, 0}};
	struct sb_pending p = row(1, 10, 50);
	uint64_t pending, dead;

	assert_int_equal(0, sb_store_set_cursor(f->s, "a", &c));
	assert_int_equal(0, sb_store_commit(f->s));
	assert_int_equal(0, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_move(f->s, "a", (struct sb_pos){1, 11}));
	again(f);
	assert_int_equal(0, sb_store_cursor(f->s, "a", &c));
	assert_int_equal(0, c.pos.offset);
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(0, pending);
}

static int count_calls(const uint8_t call[16], uint32_t n, void *arg)
{
	(void)call;
	*(uint32_t *)arg += n;
	return 0;
}

static void a_call_goes_on_in_order_once_its_first_event_is_through(void **state)
{
	struct files *f = *state;
	struct sb_pending p[3] = {row(1, 10, 500), row(1, 20, 0), row(1, 30, 0)}, due[8];
	uint64_t at, oldest;
	uint32_t calls = 0;

	for(int i = 0; i < 3; i++)
		assert_int_equal(0, sb_store_park(f->s, "a", &p[i]));
	assert_int_equal(0, sb_store_calls(f->s, "a", count_calls, &calls));
	assert_int_equal(3, calls);
	assert_int_equal(0, sb_store_due(f->s, "a", 499, due, 8));
	assert_int_equal(0, sb_store_due(f->s, "b", 600, due, 8));
	assert_int_equal(1, sb_store_due(f->s, "a", 500, due, 8));
	assert_int_equal(110, due[0].seq);
	assert_string_equal("HTTP 400", due[0].error);
	due[0].tries = 2;
	due[0].next_at = 900;
	assert_int_equal(0, sb_store_again(f->s, "a", &due[0]));
	assert_int_equal(0, sb_store_next_due(f->s, "a", &at));
	assert_int_equal(900, at);
	assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], false, 950));
	assert_int_equal(1, sb_store_due(f->s, "a", 950, due, 8));
	assert_int_equal(120, due[0].seq);
	assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], true, 960));
	assert_int_equal(1, sb_store_due(f->s, "a", 960, due, 8));
	assert_int_equal(130, due[0].seq);
	assert_int_equal(0, sb_store_oldest(f->s, "a", &oldest));
	assert_int_equal((3ull << 32) + 1, oldest);
	assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], false, 970));
	assert_int_equal(0, sb_store_oldest(f->s, "a", &oldest));
	assert_int_equal(0, oldest);
	assert_int_equal(0, sb_store_next_due(f->s, "a", &at));
	assert_int_equal(0, at);
}

static void a_row_parked_twice_is_one_row(void **state)
{
	struct files *f = *state;
	struct sb_pending p = row(1, 10, 500);
	uint64_t pending, dead;

	assert_int_equal(0, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_park(f->s, "b", &p));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(2, pending);
}

static void hastening_leaves_alone_what_was_refused_more_often(void **state)
{
	struct files *f = *state;
	struct sb_pending p[3] = {row(1, 10, 5000), row(2, 20, 6000), row(3, 30, 0)}, due[4];

	p[0].tries = 2;
	p[1].tries = 3;
	for(int i = 0; i < 3; i++)
		assert_int_equal(0, sb_store_park(f->s, "a", &p[i]));
	assert_int_equal(0, sb_store_hasten(f->s, "a", 100));
	assert_int_equal(1, sb_store_due(f->s, "a", 100, due, 4));
	assert_int_equal(110, due[0].seq);
}

static void the_dead_are_trimmed_to_the_newest(void **state)
{
	struct files *f = *state;
	uint64_t pending, dead;

	for(unsigned i = 0; i < 20; i++) {
		struct sb_pending p = row(i, i, 0);
		assert_int_equal(0, sb_store_bury(f->s, "a", &p, i));
	}
	assert_int_equal(0, sb_store_trim_dead(f->s, 5));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(5, dead);
}

static void an_endpoint_that_is_forgotten_leaves_nothing(void **state)
{
	struct files *f = *state;
	struct sb_cursor c = {.pos = {1, 0}};
	struct sb_pending p = row(1, 10, 5);
	uint64_t n = 0;

	assert_int_equal(0, sb_store_set_cursor(f->s, "a", &c));
	assert_int_equal(0, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_forget(f->s, "a", &n));
	assert_int_equal(1, n);
	assert_int_equal(-ENOENT, sb_store_cursor(f->s, "a", &c));
}

static void a_file_of_another_version_or_kind_is_refused_with_what_to_do(void **state)
{
	struct files *f = *state;
	struct sb_store *s = NULL;
	sqlite3 *db;
	FILE *junk;

	sb_store_close(f->s);
	f->s = NULL;
	assert_int_equal(SQLITE_OK, sqlite3_open(f->path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "PRAGMA user_version=9", NULL, NULL, NULL));
	sqlite3_close(db);
	assert_int_equal(-EPROTO, sb_store_open(&s, f->path, false, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "version 9"));
	assert_non_null(strstr(f->err, f->path));
	junk = fopen(f->path, "w");
	for(int i = 0; i < 2000; i++)
		fputs("no database", junk);
	fclose(junk);
	assert_int_equal(-EIO, sb_store_open(&s, f->path, false, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "move it away"));
	assert_int_equal(-EIO, sb_store_open(&s, "/nonexistent/state.sqlite", false, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "/nonexistent/state.sqlite"));
}

static void deliveries_are_read_back_as_records_of_the_log(void **state)
{
	struct files *f = *state;
	struct sb_deliveries *d;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field field;
	const uint8_t call[16] = {1, 2, 3};
	struct sb_delivery v = {.endpoint = "crm",
			.call = call,
			.sequence = 4,
			.at = 1000,
			.epoch = 2,
			.seq = 77,
			.type = SB_CALL_ENDED,
			.tries = 3,
			.code = 204,
			.latency_us = 5000,
			.delivered = true};

	assert_int_equal(0, sb_deliveries_open(&d, f->dir, 1 << 20, 2, 99));
	assert_int_equal(0, sb_deliveries_add(d, &v));
	v.delivered = false;
	v.code = 0;
	v.error = "Connection refused";
	assert_int_equal(0, sb_deliveries_add(d, &v));
	sb_deliveries_close(d);
	assert_int_equal(0, sb_reader_open(&r, f->dir, NULL, (struct sb_pos){0, 0}));
	assert_int_equal(1, sb_reader_next(r, &rec));
	assert_int_equal(SB_X_DELIVERY, rec.hdr.type);
	assert_int_equal(2, rec.hdr.epoch);
	assert_true(sb_find(rec.payload, rec.hdr.len, SB_C_D_CODE, &field));
	assert_int_equal(204, sb_field_u64(&field));
	assert_false(sb_find(rec.payload, rec.hdr.len, SB_C_D_ERROR, &field));
	assert_int_equal(1, sb_reader_next(r, &rec));
	assert_false(sb_find(rec.payload, rec.hdr.len, SB_C_D_CODE, &field));
	assert_true(sb_find(rec.payload, rec.hdr.len, SB_C_D_ERROR, &field));
	assert_memory_equal("Connection refused", field.data, field.len);
	assert_int_equal(0, sb_reader_next(r, &rec));
	sb_reader_close(r);
}

static void deliveries_stay_within_their_size_and_keep_the_newest(void **state)
{
	struct files *f = *state;
	struct sb_deliveries *d;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field field;
	const uint8_t call[16] = {1};
	uint64_t first = 0, last = 0, n = 0, bytes = 0;

	for(uint32_t epoch = 1; epoch <= 2; epoch++) {
		assert_int_equal(0, sb_deliveries_open(&d, f->dir, 65536, epoch, 99));
		for(unsigned i = 0; i < 2000; i++) {
			struct sb_delivery v = {.endpoint = "crm", .call = call, .seq = i + 1, .epoch = epoch, .delivered = true};
			assert_int_equal(0, sb_deliveries_add(d, &v));
			if(i % 10 == 0)
				assert_int_equal(0, sb_deliveries_flush(d));
		}
		assert_int_equal(0, sb_deliveries_lost(d));
		sb_deliveries_close(d);
	}
	assert_int_equal(0, sb_reader_open(&r, f->dir, NULL, (struct sb_pos){0, 0}));
	while(sb_reader_next(r, &rec) == 1) {
		assert_true(sb_find(rec.payload, rec.hdr.len, SB_C_D_SEQ, &field));
		last = sb_field_u64(&field);
		first = first > 0 ? first : last;
		bytes += 32 + rec.hdr.len;
		n++;
	}
	assert_int_equal(0, sb_reader_damaged(r));
	sb_reader_close(r);
	assert_int_equal(2000, last);
	assert_true(bytes <= 65536 + 8192);
	assert_true(n > 200 && n < 2000);
	assert_int_equal(2000 - n + 1, first);
}

static void what_a_result_leads_to(void **state)
{
	static const struct
	{
		struct sb_trial t;
		enum sb_verdict v;
	} cases[] = {
			{{.status = 200}, SB_DELIVERED},
			{{.status = 299, .paused = true}, SB_DELIVERED},
			{{.status = 410}, SB_DISABLE},
			{{.status = 0}, SB_PAUSE},
			{{.status = 0, .sent = false, .others_during = true}, SB_PAUSE},
			{{.status = 0, .sent = true, .others_during = true}, SB_PARK},
			{{.status = 503, .others_during = true}, SB_PAUSE},
			{{.status = 429}, SB_PAUSE},
			{{.status = 502, .failed_before = true, .others_between = true}, SB_PARK},
			{{.status = 504, .others_between = true}, SB_PAUSE},
			{{.status = 503, .retry = true}, SB_PARK},
			{{.status = 503, .retry = true, .paused = true}, SB_PAUSE},
			{{.status = 301, .refused = 1}, SB_PARK},
			{{.status = 400, .refused = 9}, SB_PARK},
			{{.status = 400, .refused = 10}, SB_PAUSE},
			{{.status = 400, .refused = 10, .others_during = true}, SB_PARK},
			{{.status = 400, .refused = 99, .retry = true}, SB_PARK},
			{{.status = 500, .refused = 1, .paused = true}, SB_PAUSE},
			{{.status = 500, .refused = 1, .paused = true, .failed_before = true, .others_between = true}, SB_PARK},
	};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if(sb_judge(&cases[i].t) != cases[i].v)
			fail_msg("case %zu, HTTP %u", i, cases[i].t.status);
	}
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, files_make, files_remove)
	const struct CMUnitTest tests[] = {
			WITH_FILES(a_cursor_comes_back_as_it_was_committed),
			WITH_FILES(a_cursor_and_the_rows_it_passed_are_kept_together_or_not_at_all),
			WITH_FILES(a_call_goes_on_in_order_once_its_first_event_is_through),
			WITH_FILES(a_row_parked_twice_is_one_row),
			WITH_FILES(hastening_leaves_alone_what_was_refused_more_often),
			WITH_FILES(the_dead_are_trimmed_to_the_newest),
			WITH_FILES(an_endpoint_that_is_forgotten_leaves_nothing),
			WITH_FILES(a_file_of_another_version_or_kind_is_refused_with_what_to_do),
			WITH_FILES(deliveries_are_read_back_as_records_of_the_log),
			WITH_FILES(deliveries_stay_within_their_size_and_keep_the_newest),
			cmocka_unit_test(what_a_result_leads_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
