/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Set-up to the answer, and CANCEL. */
#include "machine_fixture.h"

static void a_plain_call_is_five_events(void **state)
{
	(void)state;
	start();
	attempt(0);
	reply(0, 180);
	answer_from(0, SPAN("a6c85cf"));
	ack();
	bye(CS_BY_CALLER);
	destroyed();
	wrote("call.initiated", "x.attempt", "call.ringing", "call.answered", "call.ended", "call.cdr", NULL);
	over_with(SB_ST_DISCONNECTED, CS_O_NONE, CS_BY_CALLER, CS_C_BYE);
	assert_int_equal(5, call.sequence);
}

static void the_duration_is_from_answer_to_bye_on_the_monotonic_clock(void **state)
{
	(void)state;
	answered();
	wall -= 3600 * SECOND;
	pass(61 * SECOND);
	bye(CS_BY_CALLEE);
	assert_int_equal(62 * SECOND, call.duration_us);
	assert_int_equal(62 * SECOND, column_number(SB_C_DURATION_US));
}

static void each_attempt_that_rings_is_one_event(void **state)
{
	(void)state;
	start();
	attempt(0);
	attempt(1);
	reply(0, 180);
	reply(0, 180);
	reply(1, 180);
	wrote("call.initiated", "x.attempt", "x.attempt", "call.ringing", "call.ringing", NULL);
}

static void early_media_is_once_an_attempt_and_180_after_it_still_rings(void **state)
{
	(void)state;
	start();
	attempt(0);
	early(0);
	early(0);
	assert_int_equal(SB_ST_EARLY_MEDIA, call.state);
	reply(0, 180);
	assert_int_equal(SB_ST_RINGING, call.state);
	wrote("call.initiated", "x.attempt", "call.early_media", "call.ringing", NULL);
}

static void a_183_without_sdp_and_a_100_say_nothing(void **state)
{
	(void)state;
	start();
	attempt(0);
	records_seen = record_count;
	reply(0, 100);
	assert_int_equal(0, call.pdd);
	reply(0, 183);
	wrote_nothing();
	assert_int_equal(SB_ST_CALLING, call.state);
}

static void the_delay_is_from_invite_to_the_first_18x(void **state)
{
	(void)state;
	start();
	attempt(0);
	pass(SECOND);
	reply(0, 183);
	pass(SECOND);
	reply(0, 180);
	assert_int_equal(SECOND + 2000, call.pdd);
	assert_int_equal(SECOND + 1000, call.attempt[0].pdd);
}

static void a_reply_of_an_unknown_branch_still_counts(void **state)
{
	(void)state;
	start();
	reply(9, 180);
	answer_from(9, SPAN("a6c85cf"));
	wrote("call.initiated", "call.ringing", "call.answered", NULL);
}

static void a_ringing_that_comes_after_the_answer_changes_nothing(void **state)
{
	(void)state;
	answered();
	reply(0, 180);
	early(0);
	wrote_nothing();
	assert_int_equal(SB_ST_CONFIRMED, call.state);
}

static void a_retransmitted_200_is_not_a_second_answer(void **state)
{
	(void)state;
	answered();
	answer_from(0, SPAN("a6c85cf"));
	wrote_nothing();
	assert_false(call.flags & CS_F_TWO_DIALOGS);
}

static void a_second_200_with_another_tag_does_not_answer_twice(void **state)
{
	(void)state;
	start();
	attempt(0);
	attempt(1);
	answer_from(0, SPAN("a6c85cf"));
	records_seen = record_count;
	answer_from(1, SPAN("another"));
	answer_from(1, SPAN("another"));
	wrote("x.attempt", NULL);
	text_is(CS_T_TO_TAG, "a6c85cf");
	text_is(CS_T_CONTACT_B, "sip:bob@192.0.2.7:5060");
	assert_true(call.flags & CS_F_TWO_DIALOGS);
	assert_int_equal(200, call.attempt[1].code);
}

static void a_200_without_a_to_tag_answers(void **state)
{
	(void)state;
	ringing();
	answer_from(0, (struct cs_span){0});
	answer_from(0, (struct cs_span){0});
	wrote("call.answered", NULL);
	assert_false(call.flags & CS_F_TWO_DIALOGS);
}

static void a_tag_or_target_that_is_too_long_means_that_we_cannot_end_the_call(void **state)
{
	char tag[200];

	(void)state;
	memset(tag, 't', sizeof(tag));
	ringing();
	answer_from(0, (struct cs_span){tag, sizeof(tag)});
	assert_true(call.flags & CS_F_NO_CONTACT);
	assert_true(cs_text_is(&call, CS_T_TO_TAG, tag, sizeof(tag)));
}

static void an_answered_call_has_its_limit_as_deadline(void **state)
{
	(void)state;
	answered();
	assert_int_equal(call.mono_answer + 3600 * SECOND, call.deadline);
	assert_int_equal(CS_DUE_LIMIT, deadline());
}

static void a_call_without_a_limit_has_no_deadline(void **state)
{
	(void)state;
	call.max_duration = 0;
	answered();
	assert_int_equal(0, call.deadline);
}

static void a_cancelled_call_is_told_when_its_final_reply_is(void **state)
{
	(void)state;
	ringing();
	cancel();
	cancel();
	wrote("x.dialog", NULL);
	assert_int_equal(SB_ST_RINGING, call.state);
	branch_final(0, 487, false);
	final(487, false);
	wrote("x.attempt", "call.failed", NULL);
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_CALLER, CS_C_CANCEL);
}

static void a_cancel_before_any_reply_is_cancelled_although_a_timer_ends_it(void **state)
{
	(void)state;
	start();
	attempt(0);
	cancel();
	branch_final(0, 408, true);
	final(487, true);
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_CALLER, CS_C_CANCEL);
}

static void an_answer_that_crosses_the_cancel_wins(void **state)
{
	(void)state;
	ringing();
	cancel();
	answer_from(0, SPAN("a6c85cf"));
	wrote("x.dialog", "call.answered", NULL);
	assert_false(call.flags & CS_F_CANCELLED);
	bye(CS_BY_CALLER);
	over_with(SB_ST_DISCONNECTED, CS_O_NONE, CS_BY_CALLER, CS_C_BYE);
}

static void a_cancel_behind_the_answer_is_nothing(void **state)
{
	(void)state;
	answered();
	cancel();
	wrote_nothing();
	assert_false(call.flags & CS_F_CANCELLED);
}

static void the_reason_of_a_cancel_is_kept(void **state)
{
	struct cs_msg m = {.why = {.q850 = 26, .q850_text = SPAN("answered elsewhere")}};
	struct cs_ctx x;

	(void)state;
	ringing();
	x = now();
	cs_on_cancel(&call, &m, &x);
	final(487, false);
	assert_int_equal(26, column_number(SB_C_Q850));
	column_is(SB_C_Q850_TEXT, "answered elsewhere");
}

static void a_set_up_that_we_give_up_is_cancelled_by_the_proxy(void **state)
{
	(void)state;
	ringing();
	assert_true(cancel_begin());
	assert_false(cancel_begin());
	final(487, false);
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_PROXY, CS_C_RPC);
}

static void an_answered_call_cannot_be_cancelled_nor_one_in_set_up_ended(void **state)
{
	(void)state;
	ringing();
	assert_false(end_begin(CS_C_RPC));
	answer_from(0, SPAN("a6c85cf"));
	assert_false(cancel_begin());
	bye(CS_BY_CALLER);
	assert_false(end_begin(CS_C_RPC));
	assert_false(cancel_begin());
}

#define T(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	static const struct CMUnitTest tests[] = {
			T(a_plain_call_is_five_events),
			T(the_duration_is_from_answer_to_bye_on_the_monotonic_clock),
			T(each_attempt_that_rings_is_one_event),
			T(early_media_is_once_an_attempt_and_180_after_it_still_rings),
			T(a_183_without_sdp_and_a_100_say_nothing),
			T(the_delay_is_from_invite_to_the_first_18x),
			T(a_reply_of_an_unknown_branch_still_counts),
			T(a_ringing_that_comes_after_the_answer_changes_nothing),
			T(a_retransmitted_200_is_not_a_second_answer),
			T(a_second_200_with_another_tag_does_not_answer_twice),
			T(a_200_without_a_to_tag_answers),
			T(a_tag_or_target_that_is_too_long_means_that_we_cannot_end_the_call),
			T(an_answered_call_has_its_limit_as_deadline),
			T(a_call_without_a_limit_has_no_deadline),
			T(a_cancelled_call_is_told_when_its_final_reply_is),
			T(a_cancel_before_any_reply_is_cancelled_although_a_timer_ends_it),
			T(an_answer_that_crosses_the_cancel_wins),
			T(a_cancel_behind_the_answer_is_nothing),
			T(the_reason_of_a_cancel_is_kept),
			T(a_set_up_that_we_give_up_is_cancelled_by_the_proxy),
			T(an_answered_call_cannot_be_cancelled_nor_one_in_set_up_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
