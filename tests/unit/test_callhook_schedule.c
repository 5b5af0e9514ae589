/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schedule.h"

static void the_default_is_that_of_standard_webhooks(void **state)
{
	static const uint32_t wait[] = {0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
	struct sb_schedule s;
	char err[200];

	(void)state;
	assert_int_equal(0, sb_schedule_parse(&s, SB_SCHEDULE_DEFAULT, 0, err, sizeof(err)));
	assert_int_equal(10, s.tries);
	for(unsigned i = 1; i < 10; i++)
		assert_int_equal((int64_t)wait[i] * 1000000, sb_schedule_next(&s, i, 12345));
	assert_int_equal(-1, sb_schedule_next(&s, 10, 0));
	assert_int_equal(-1, sb_schedule_next(&s, 4000000000u, 0));
}

static void jitter_stays_within_its_percentage_and_uses_all_of_it(void **state)
{
	struct sb_schedule s;
	char err[200];

	(void)state;
	assert_int_equal(0, sb_schedule_parse(&s, "0,100,86400", 20, err, sizeof(err)));
	assert_int_equal(80000000, sb_schedule_next(&s, 1, 0));
	assert_int_equal(120000000, sb_schedule_next(&s, 1, UINT32_MAX));
	assert_in_range(sb_schedule_next(&s, 1, UINT32_MAX / 2), 99999990, 100000010);
	assert_int_equal(86400ll * 1200000, sb_schedule_next(&s, 2, UINT32_MAX));
}

static void spaces_and_a_single_try_are_fine(void **state)
{
	struct sb_schedule s;
	char err[200];

	(void)state;
	assert_int_equal(0, sb_schedule_parse(&s, " 0 , 5 ,300 ", 20, err, sizeof(err)));
	assert_int_equal(3, s.tries);
	assert_int_equal(0, sb_schedule_parse(&s, "0", 20, err, sizeof(err)));
	assert_int_equal(-1, sb_schedule_next(&s, 1, 1));
}

static void what_is_wrong_is_named(void **state)
{
	static const struct
	{
		const char *text, *says;
	} bad[] = {{"", "wait 1"}, {"0,", "wait 2"}, {"0,5,x", "\"x\""}, {"0,-5", "\"-5\""}, {"0,5;6", "\";6\""},
			{"5,10", "begin with 0"}, {"0,604801", "604801"}, {"0,99999999999999999999", "wait 2"},
			{"0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "more than 32"}};
	struct sb_schedule s = {.tries = 77};
	char err[200];

	(void)state;
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(-EINVAL, sb_schedule_parse(&s, bad[i].text, 20, err, sizeof(err)));
		if(strstr(err, bad[i].says) == NULL)
			fail_msg("\"%s\": %s", bad[i].text, err);
	}
	assert_int_equal(-EINVAL, sb_schedule_parse(&s, "0", 91, err, sizeof(err)));
	assert_non_null(strstr(err, "91"));
	assert_int_equal(77, s.tries);
}

static void probes_double_up_to_their_limit(void **state)
{
	(void)state;
	assert_int_equal(1000000, sb_probe_wait(0, 60));
	assert_int_equal(2000000, sb_probe_wait(1, 60));
	assert_int_equal(32000000, sb_probe_wait(5, 60));
	assert_int_equal(60000000, sb_probe_wait(6, 60));
	assert_int_equal(60000000, sb_probe_wait(4000000000u, 60));
	assert_int_equal(1000000, sb_probe_wait(9, 1));
}

/* Requests that go in `s` seconds when every one goes as soon as it may, the clock being looked at every step_us. */
static unsigned sent(unsigned per_s, unsigned s, unsigned step_us)
{
	struct sb_rate r = {.per_s = per_s};
	unsigned n = 0;

	for(uint64_t now = 5000000; now < 5000000 + s * 1000000ull; now += step_us) {
		while(sb_rate_at(&r) <= now && n < 100000000) {
			sb_rate_count(&r, now);
			n++;
		}
	}
	return n;
}

static void a_rate_is_held_to_within_a_tenth(void **state)
{
	static const unsigned rates[] = {1, 2, 3, 7, 10, 99, 1000, 33333, 100000};

	(void)state;
	for(size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		for(unsigned step = 10; step <= 10000; step *= 10) {
			unsigned n = sent(rates[i], 10, step);
			if(n < rates[i] * 10 * 95 / 100 || n > rates[i] * 10 * 105 / 100 + 1)
				fail_msg("%u a second: %u in 10 s, looked at every %u us", rates[i], n, step);
		}
	}
}

static void a_lull_saves_up_no_more_than_a_tenth_of_a_second(void **state)
{
	struct sb_rate r = {.per_s = 100};
	unsigned n = 0;

	(void)state;
	sb_rate_count(&r, 1000000);
	for(; sb_rate_at(&r) <= 3600000000ull; n++)
		sb_rate_count(&r, 3600000000ull);
	assert_int_equal(10, n);
	assert_in_range(sb_rate_at(&r), 3600000001ull, 3600010000ull);
}

static void without_a_rate_nothing_waits(void **state)
{
	struct sb_rate r = {0};

	(void)state;
	for(int i = 0; i < 10; i++)
		sb_rate_count(&r, 1);
	assert_int_equal(0, sb_rate_at(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(the_default_is_that_of_standard_webhooks),
			cmocka_unit_test(jitter_stays_within_its_percentage_and_uses_all_of_it),
			cmocka_unit_test(spaces_and_a_single_try_are_fine),
			cmocka_unit_test(what_is_wrong_is_named),
			cmocka_unit_test(probes_double_up_to_their_limit),
			cmocka_unit_test(a_rate_is_held_to_within_a_tenth),
			cmocka_unit_test(a_lull_saves_up_no_more_than_a_tenth_of_a_second),
			cmocka_unit_test(without_a_rate_nothing_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
