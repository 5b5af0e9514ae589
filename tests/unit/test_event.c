/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "event.h"
#include "log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct sb_out out(uint8_t *p, size_t cap)
{
	return (struct sb_out){.p = p, .cap = cap};
}

static void every_kind_comes_back_as_it_went_in(void **state)
{
	(void)state;
	uint8_t buf[256];
	const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	struct sb_out o = out(buf, sizeof(buf));
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_u64(&o, SB_C_SEQUENCE, UINT64_MAX);
	sb_put_time(&o, SB_C_AT, 1769868127114001ull);
	sb_put_str(&o, SB_C_FROM_NAME, "a\0\xff", 3);
	assert_false(o.overflow);

	struct sb_in in;
	struct sb_field f;
	sb_in_init(&in, buf, o.len);
	assert_int_equal(sb_in_next(&in, &f), 1);
	assert_int_equal(f.col, SB_C_CALL_ID);
	assert_int_equal(f.kind, SB_UUID);
	assert_memory_equal(f.data, id, 16);
	assert_int_equal(sb_in_next(&in, &f), 1);
	assert_true(sb_field_u64(&f) == UINT64_MAX);
	assert_int_equal(sb_in_next(&in, &f), 1);
	assert_int_equal(f.kind, SB_TIME);
	assert_true(sb_field_u64(&f) == 1769868127114001ull);
	assert_int_equal(sb_in_next(&in, &f), 1);
	assert_int_equal(f.len, 3);
	assert_memory_equal(f.data, "a\0\xff", 3);
	assert_int_equal(sb_in_next(&in, &f), 0);
}

static void a_number_is_little_endian_on_disk(void **state)
{
	(void)state;
	uint8_t buf[16];
	const uint8_t want[12] = {SB_C_SEQUENCE, SB_U64, 8, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0};
	struct sb_out o = out(buf, sizeof(buf));
	sb_put_u64(&o, SB_C_SEQUENCE, 0x1234);
	assert_int_equal(o.len, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void unknown_values_are_not_written(void **state)
{
	(void)state;
	uint8_t buf[64];
	const uint8_t none[16] = {0};
	struct sb_out o = out(buf, sizeof(buf));
	sb_put_time(&o, SB_C_AT, 0);
	sb_put_str(&o, SB_C_DID, "", 0);
	sb_put_str(&o, SB_C_DID, NULL, 5);
	sb_put_uuid(&o, SB_C_CALL_ID, none);
	assert_int_equal(o.len, 0);
	sb_put_u64(&o, SB_C_SEQUENCE, 0);
	assert_int_equal(o.len, 12);
}

static void overflow_is_remembered_and_nothing_is_written_past_the_end(void **state)
{
	(void)state;
	for(size_t cap = 0; cap < 40; cap++) {
		uint8_t buf[48];
		memset(buf, 0xee, sizeof(buf));
		struct sb_out o = out(buf, cap);
		sb_put_str(&o, SB_C_DID, "0100", 4);
		size_t mark = sb_group_begin(&o, SB_C_ATTEMPT);
		sb_put_u64(&o, SB_C_A_N, 1);
		sb_group_end(&o, mark);
		sb_put_str(&o, SB_C_FLOW, "day", 3);
		assert_int_equal(o.overflow, cap < 8 + 4 + 12 + 7);
		assert_true(o.len <= cap);
		for(size_t i = cap; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xee);
	}
}

static void a_group_longer_than_its_length_field_is_refused(void **state)
{
	(void)state;
	uint8_t *buf = malloc(200000);
	char *text = calloc(1, 40000);
	struct sb_out o = out(buf, 200000);
	size_t mark = sb_group_begin(&o, SB_C_ATTEMPT);
	sb_put_str(&o, SB_C_A_URI, text, 40000);
	sb_put_str(&o, SB_C_A_REASON, text, 40000);
	assert_false(o.overflow);
	sb_group_end(&o, mark);
	assert_true(o.overflow);
	free(text);
	free(buf);
}

static void groups_hold_their_own_columns(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct sb_out o = out(buf, sizeof(buf));
	for(uint64_t n = 1; n <= 2; n++) {
		size_t mark = sb_group_begin(&o, SB_C_ATTEMPT);
		sb_put_u64(&o, SB_C_A_N, n);
		sb_group_end(&o, mark);
	}
	sb_put_u64(&o, SB_C_SEQUENCE, 7);

	struct sb_field f, inner;
	assert_true(sb_find(buf, o.len, SB_C_ATTEMPT, &f));
	assert_true(sb_find(f.data, f.len, SB_C_A_N, &inner));
	assert_int_equal(sb_field_u64(&inner), 1);
	assert_false(sb_find(buf, o.len, SB_C_A_N, &inner));
	assert_true(sb_find(buf, o.len, SB_C_SEQUENCE, &f));
	assert_int_equal(sb_field_u64(&f), 7);
}

static void lengths_that_do_not_add_up_are_seen(void **state)
{
	(void)state;
	uint8_t buf[64];
	struct sb_in in;
	struct sb_field f;
	struct sb_out o = out(buf, sizeof(buf));
	sb_put_u64(&o, SB_C_SEQUENCE, 1);
	for(size_t cut = 1; cut < o.len; cut++) {
		sb_in_init(&in, buf, cut);
		assert_int_equal(sb_in_next(&in, &f), -EBADMSG);
	}
	buf[2] = 7; /* a U64 of seven bytes */
	sb_in_init(&in, buf, 11);
	assert_int_equal(sb_in_next(&in, &f), -EBADMSG);
	buf[1] = SB_UUID;
	sb_in_init(&in, buf, 11);
	assert_int_equal(sb_in_next(&in, &f), -EBADMSG);
}

static void columns_of_a_later_version_are_skipped(void **state)
{
	(void)state;
	uint8_t buf[64];
	struct sb_field f;
	struct sb_out o = out(buf, sizeof(buf));
	sb_put(&o, (enum sb_col)250, (enum sb_kind)9, "abc", 3);
	sb_put_u64(&o, SB_C_SEQUENCE, 3);
	assert_true(sb_find(buf, o.len, SB_C_SEQUENCE, &f));
	assert_int_equal(sb_field_u64(&f), 3);
	assert_null(sb_col_name(250));
	assert_int_equal(sb_col_kind(250), 0);
}

static void a_column_of_the_wrong_kind_is_not_found(void **state)
{
	(void)state;
	uint8_t buf[64];
	struct sb_field f;
	struct sb_out o = out(buf, sizeof(buf));
	sb_put_str(&o, SB_C_SEQUENCE, "12345678", 8);
	assert_false(sb_find(buf, o.len, SB_C_SEQUENCE, &f));
}

static void names_and_shed_classes_are_those_of_the_tables(void **state)
{
	(void)state;
	assert_string_equal(sb_type_name(SB_CALL_EARLY_MEDIA), "call.early_media");
	assert_null(sb_type_name(0));
	assert_null(sb_type_name(60000));
	assert_int_equal(sb_type_shed(SB_CALL_CDR), SB_KEEP);
	assert_int_equal(sb_type_shed(SB_CALL_RINGING), SB_DETAIL);
	assert_int_equal(sb_type_shed(SB_CUSTOM), SB_EXTRA);
	assert_int_equal(sb_type_shed(60000), SB_EXTRA);
	assert_true(sb_type_internal(SB_X_START));
	assert_false(sb_type_internal(SB_CUSTOM));
	assert_string_equal(sb_col_name(SB_C_CALL_ID), "CALL_ID");
	assert_int_equal(sb_col_kind(SB_C_MEDIA), SB_GROUP);
	assert_string_equal(sb_state_name(SB_ST_HELD), "held");
	assert_string_equal(sb_state_name(99), "");
}

static void uuid7_carries_time_version_and_variant(void **state)
{
	(void)state;
	/* RFC 9562, A.6 */
	const uint8_t rnd[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
	uint8_t id[16], back[16];
	char text[37];
	sb_uuid7(id, 0x017f22e279b0ull, rnd);
	sb_uuid_text(text, id);
	assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
	assert_int_equal(sb_uuid_parse(back, text), 0);
	assert_memory_equal(back, id, 16);
	assert_int_equal(sb_uuid_parse(back, "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), 0);
}

static void what_is_no_uuid_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "017f22e2", "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
			"017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", "017f22e279b07cc398c4dc0c0c07398f",
			"g17f22e2-79b0-7cc3-98c4-dc0c0c07398f", "+442079460142"};
	uint8_t id[16] = {42};
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sb_uuid_parse(id, bad[i]), -EINVAL);
	assert_int_equal(id[0], 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(every_kind_comes_back_as_it_went_in),
			cmocka_unit_test(a_number_is_little_endian_on_disk),
			cmocka_unit_test(unknown_values_are_not_written),
			cmocka_unit_test(overflow_is_remembered_and_nothing_is_written_past_the_end),
			cmocka_unit_test(a_group_longer_than_its_length_field_is_refused),
			cmocka_unit_test(groups_hold_their_own_columns),
			cmocka_unit_test(lengths_that_do_not_add_up_are_seen),
			cmocka_unit_test(columns_of_a_later_version_are_skipped),
			cmocka_unit_test(a_column_of_the_wrong_kind_is_not_found),
			cmocka_unit_test(names_and_shed_classes_are_those_of_the_tables),
			cmocka_unit_test(uuid7_carries_time_version_and_variant),
			cmocka_unit_test(what_is_no_uuid_is_refused),
	};
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
