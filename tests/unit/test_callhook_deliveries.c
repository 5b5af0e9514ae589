/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "deliveries.h"
#include "event.h"
#include "log_fixture.h"

static int folder_make(void **state)
{
	char *dir = strdup("/dev/shm/sb-test-hook-XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int folder_remove(void **state)
{
	nftw(*state, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

static void deliveries_are_read_back_as_records_of_the_log(void **state)
{
	const char *dir = *state;
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

	assert_int_equal(0, sb_deliveries_open(&d, dir, 1 << 20, 2, 99));
	assert_int_equal(0, sb_deliveries_add(d, &v));
	v.delivered = false;
	v.code = 0;
	v.error = "Connection refused";
	assert_int_equal(0, sb_deliveries_add(d, &v));
	sb_deliveries_close(d);
	assert_int_equal(0, sb_reader_open(&r, dir, NULL, (struct sb_pos){0, 0}));
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
	const char *dir = *state;
	struct sb_deliveries *d;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field field;
	const uint8_t call[16] = {1};
	uint64_t first = 0, last = 0, n = 0, bytes = 0;

	for(uint32_t epoch = 1; epoch <= 2; epoch++) {
		assert_int_equal(0, sb_deliveries_open(&d, dir, 65536, epoch, 99));
		for(unsigned i = 0; i < 2000; i++) {
			struct sb_delivery v = {.endpoint = "crm", .call = call, .seq = i + 1, .epoch = epoch, .delivered = true};
			assert_int_equal(0, sb_deliveries_add(d, &v));
			if(i % 10 == 0)
				assert_int_equal(0, sb_deliveries_flush(d));
		}
		assert_int_equal(0, sb_deliveries_lost(d));
		sb_deliveries_close(d);
	}
	assert_int_equal(0, sb_reader_open(&r, dir, NULL, (struct sb_pos){0, 0}));
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

static unsigned files_in(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	for(struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void deliveries_on_a_full_disk_are_lost_and_leave_no_files_behind(void **state)
{
	const char *dir = *state;
	struct sb_deliveries *d;
	struct sb_reader *r;
	struct sb_rec rec;
	const uint8_t call[16] = {1};
	struct sb_delivery v = {.endpoint = "crm", .call = call, .seq = 1, .delivered = true};
	struct rlimit l;
	unsigned files, n = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &l));
	assert_int_equal(0, sb_deliveries_open(&d, dir, 1 << 20, 2, 99));
	assert_int_equal(0, sb_deliveries_add(d, &v));
	assert_int_equal(0, sb_deliveries_flush(d));
	files = files_in(dir);
	l.rlim_cur = 200; /* the first is whole, a part of the second fits */
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &l));
	for(unsigned i = 0; i < 50; i++) {
		for(unsigned k = 0; k < 3; k++)
			assert_int_equal(0, sb_deliveries_add(d, &v));
		assert_true(sb_deliveries_flush(d) < 0);
	}
	assert_int_equal(150, sb_deliveries_lost(d));
	assert_int_equal(files, files_in(dir));
	l.rlim_cur = RLIM_INFINITY;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &l));
	assert_int_equal(0, sb_deliveries_add(d, &v));
	sb_deliveries_close(d);
	assert_int_equal(0, sb_reader_open(&r, dir, NULL, (struct sb_pos){0, 0}));
	while(sb_reader_next(r, &rec) == 1)
		n++;
	assert_int_equal(0, sb_reader_damaged(r));
	sb_reader_close(r);
	assert_int_equal(2, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test_setup_teardown(deliveries_are_read_back_as_records_of_the_log, folder_make, folder_remove),
			cmocka_unit_test_setup_teardown(
					deliveries_stay_within_their_size_and_keep_the_newest, folder_make, folder_remove),
			cmocka_unit_test_setup_teardown(
					deliveries_on_a_full_disk_are_lost_and_leave_no_files_behind, folder_make, folder_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
