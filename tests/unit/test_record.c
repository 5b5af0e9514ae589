/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single records and what the fold makes of them; whole calls: test_fold.c. */
#include "machine_fixture.h"

static struct cs_call back;

/* Kills the process: what is known again is what a checkpoint holds. */
static void come_back_from_a_checkpoint(void)
{
	uint8_t payload[PAYLOAD];
	struct cs_ctx x = now();
	struct sb_out out = {.p = payload, .cap = sizeof(payload)};

	cs_encode_whole(&call, &x, &out);
	assert_false(out.overflow);
	memset(&call, 0, sizeof(call));
	cs_fold(&call, SB_X_DIALOG, payload, out.len);
	restart();
}

static void a_checkpoint_knows_who_cancelled_a_set_up(void **state)
{
	(void)state;
	ringing();
	assert_true(cancel_begin());
	come_back_from_a_checkpoint();
	deadline();
	wrote("call.failed", "call.cdr", NULL);
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_PROXY, CS_C_RPC);
}

static void a_checkpoint_has_the_limit_and_the_start_of_the_duration(void **state)
{
	(void)state;
	answered();
	come_back_from_a_checkpoint();
	assert_int_equal(call.mono_answer + 3600 * SECOND, call.deadline);
	pass(9 * SECOND);
	bye(CS_BY_CALLER);
	assert_int_equal(10 * SECOND, column_number(SB_C_DURATION_US));
}

static void fold_hold(uint16_t type, unsigned attempt_n)
{
	uint8_t payload[PAYLOAD];
	struct cs_ctx x = now();
	struct sb_out out = {.p = payload, .cap = sizeof(payload)};

	x.code = (uint16_t)attempt_n;
	x.text = SPAN("flow=trunk-a");
	cs_encode(&call, type, NULL, &x, &out);
	cs_fold(&back, type, payload, out.len);
}

static void a_release_takes_the_hold_of_its_attempt(void **state)
{
	(void)state;
	memset(&back, 0, sizeof(back));
	fold_hold(SB_X_HOLD, 1);
	fold_hold(SB_X_HOLD, 1);
	fold_hold(SB_X_HOLD, 2);
	assert_int_equal(2, back.holds);
	fold_hold(SB_X_RELEASE, 3);
	assert_int_equal(2, back.holds);
	fold_hold(SB_X_RELEASE, 1);
	assert_int_equal(1, back.holds);
	assert_int_equal(2, back.hold[0].attempt);
}

static void a_release_at_the_end_of_the_call_takes_it_from_any_attempt(void **state)
{
	(void)state;
	memset(&back, 0, sizeof(back));
	fold_hold(SB_X_HOLD, 3);
	fold_hold(SB_X_RELEASE, 0);
	assert_int_equal(0, back.holds);
}

static void the_cdr_closes_a_call_for_the_fold(void **state)
{
	(void)state;
	answered();
	bye(CS_BY_CALLER);
	memset(&back, 0, sizeof(back));
	for(unsigned i = 0; i < record_count; i++) {
		assert_false(back.flags & CS_F_CDR_DONE);
		cs_fold(&back, records[i].type, records[i].payload, records[i].len);
	}
	assert_true(back.flags & CS_F_CDR_DONE);
}

static void a_record_of_another_boot_is_told_by_its_id(void **state)
{
	const struct written *w = &records[0];

	(void)state;
	start();
	assert_true(cs_fold_same_boot(w->payload, w->len));
	cs_boot[3] ^= 1;
	assert_false(cs_fold_same_boot(w->payload, w->len));
	assert_false(cs_fold_same_boot(NULL, 0));
}

static void a_column_of_the_wrong_kind_is_passed_over(void **state)
{
	uint8_t payload[64];
	struct sb_out out = {.p = payload, .cap = sizeof(payload)};

	(void)state;
	sb_put(&out, SB_C_CALL_ID, SB_STR, "short", 5);
	sb_put(&out, SB_C_STATE, SB_STR, "x", 1);
	sb_put_u64(&out, SB_C_FROM_TAG, 77);
	sb_put_u64(&out, SB_C_STATE, 200);
	memset(&back, 0, sizeof(back));
	cs_fold(&back, SB_X_DIALOG, payload, out.len);
	assert_int_equal(0, back.id[0]);
	assert_int_equal(0, back.state);
	assert_int_equal(0, back.text[CS_T_FROM_TAG].len);
}

#define T(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	static const struct CMUnitTest tests[] = {
			T(a_checkpoint_knows_who_cancelled_a_set_up),
			T(a_checkpoint_has_the_limit_and_the_start_of_the_duration),
			T(a_release_takes_the_hold_of_its_attempt),
			T(a_release_at_the_end_of_the_call_takes_it_from_any_attempt),
			T(the_cdr_closes_a_call_for_the_fold),
			T(a_record_of_another_boot_is_told_by_its_id),
			T(a_column_of_the_wrong_kind_is_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
