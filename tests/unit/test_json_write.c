/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written straight as text is what jansson would print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "json.h"
#include "json_parts.h"
#include "json_write.h"

static uint64_t random_u64(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static void same(struct sb_json_out *o, json_t *j)
{
	char *want = json_dumps(j, SB_JSON_FLAGS | JSON_ENCODE_ANY);

	assert_false(o->failed);
	if(strlen(want) != o->len || memcmp(want, o->p, o->len) != 0)
		fail_msg("%.*s is not %s", (int)o->len, o->p, want);
	free(want);
	json_decref(j);
	o->len = 0;
}

static void strings_are_escaped_and_made_valid_as_jansson_does(void **state)
{
	static const char *const texts[] = {"", "plain", "\"\\/\b\f\n\r\t\x01\x1f\x7f",
			"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xff\xc3", "\xed\xa0\x80 lone surrogate", "\xf4\x90\x80\x80",
			"\xe2\x82", "a\x80z"};
	struct sb_json_out o = {0};
	char any[300];

	(void)state;
	for(size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		sb_json_put_string(&o, texts[i], strlen(texts[i]));
		same(&o, sb_json_string(texts[i], strlen(texts[i])));
	}
	for(int i = 0; i < 20000; i++) {
		size_t n = random_u64() % sizeof(any);
		uint64_t spread = i % 2 == 0 ? 256 : 0x60;

		for(size_t k = 0; k < n; k++)
			any[k] = (char)(random_u64() % spread + (spread == 256 ? 0 : 0x10));
		sb_json_put_string(&o, any, n);
		same(&o, sb_json_string(any, n));
	}
	sb_json_free(&o);
}

static void decimals_are_the_reals_of_jansson(void **state)
{
	static const uint64_t edges[] = {0, 1, 9, 10, 99, 100, 101, 999, 1000, 1001, 100000, 999999, 1000000, 1000001,
			11004321, 999999999999999, 1000000000000000, 1000000000000001, 123456789012345678, INT64_MAX, UINT64_MAX};
	struct sb_json_out o = {0};

	(void)state;
	for(unsigned decimals = 3; decimals <= 6; decimals += 3) {
		double unit = decimals == 3 ? 1e3 : 1e6;

		for(size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
			sb_json_put_decimal(&o, edges[i], decimals);
			same(&o, json_real((double)edges[i] / unit));
		}
		for(int i = 0; i < 100000; i++) {
			uint64_t v = random_u64() >> (random_u64() % 64);
			sb_json_put_decimal(&o, v, decimals);
			same(&o, json_real((double)v / unit));
		}
	}
	sb_json_free(&o);
}

static void times_are_those_of_the_c_library(void **state)
{
	char text[32], want[32];
	struct tm tm;

	(void)state;
	assert_false(sb_time_text(text, 0));
	assert_false(sb_time_text(text, 253402300800000000ull));
	assert_true(sb_time_text(text, 253402300799999999ull));
	assert_string_equal("9999-12-31T23:59:59.999999Z", text);
	assert_true(sb_time_text(text, 1));
	assert_string_equal("1970-01-01T00:00:00.000001Z", text);
	for(uint64_t day = 1; day < 2932896; day += 1 + random_u64() % 20) {
		time_t s = (time_t)(day * 86400 + random_u64() % 86400);
		gmtime_r(&s, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000042Z", &tm);
		assert_true(sb_time_text(text, (uint64_t)s * 1000000 + 42));
		assert_string_equal(want, text);
	}
}

static void a_failure_stays_and_writes_nothing(void **state)
{
	struct sb_json_out o = {0};

	(void)state;
	sb_json_put_u64(&o, 7);
	sb_json_put_tree(&o, NULL);
	sb_json_put_string(&o, "x", 1);
	sb_json_put_decimal(&o, 1000, 3);
	sb_json_put_time(&o, 1);
	assert_true(o.failed);
	assert_int_equal(1, o.len);
	sb_json_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(strings_are_escaped_and_made_valid_as_jansson_does),
			cmocka_unit_test(decimals_are_the_reals_of_jansson),
			cmocka_unit_test(times_are_those_of_the_c_library),
			cmocka_unit_test(a_failure_stays_and_writes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
