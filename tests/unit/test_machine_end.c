/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an answered call ends, and what a restart makes of a call. */
#include "machine_fixture.h"

static void the_first_ack_is_timed(void **state)
{
	uint64_t at;

	(void)state;
	answered();
	at = wall;
	ack();
	ack();
	assert_int_equal(at, call.ack_at);
	bye(CS_BY_CALLER);
	assert_int_equal(at, column_number(SB_C_ACK_AT));
}

static void an_ack_that_did_not_come_is_told_as_such(void **state)
{
	(void)state;
	answered();
	bye(CS_BY_CALLEE);
	assert_int_equal(0, column_number(SB_C_ACK_AT));
}

static void an_ack_in_set_up_of_a_live_call_proves_nothing(void **state)
{
	(void)state;
	ringing();
	ack();
	wrote_nothing();
	assert_true(cs_in_setup(&call));
}

static void a_retransmitted_bye_ends_once(void **state)
{
	(void)state;
	answered();
	bye(CS_BY_CALLER);
	bye(CS_BY_CALLER);
	bye(CS_BY_CALLEE);
	wrote("call.ended", "call.cdr", NULL);
	assert_int_equal(CS_BY_CALLER, call.by);
}

static void the_reason_of_a_bye_is_kept(void **state)
{
	struct cs_msg m = {.why = {.q850 = 16, .q850_text = SPAN("Normal call clearing")}};
	struct cs_ctx x;

	(void)state;
	answered();
	x = now();
	cs_on_bye(&call, CS_BY_CALLEE, &m, &x);
	assert_int_equal(16, column_number(SB_C_Q850));
	column_is(SB_C_Q850_TEXT, "Normal call clearing");
}

static void a_callers_bye_before_the_answer_cancels(void **state)
{
	(void)state;
	ringing();
	bye(CS_BY_CALLER);
	bye(CS_BY_CALLER);
	wrote("x.dialog", NULL);
	final(487, false);
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_CALLER, CS_C_BYE_BEFORE_ANSWER);
}

static void a_callees_bye_that_overtakes_its_200_waits_for_it(void **state)
{
	(void)state;
	ringing();
	bye(CS_BY_CALLEE);
	wrote_nothing();
	answer_from(0, SPAN("a6c85cf"));
	wrote("call.answered", "call.ended", "call.cdr", NULL);
	assert_false(call.flags & CS_F_INFERRED);
	assert_int_equal(CS_BY_CALLEE, call.by);
}

static void a_callees_bye_whose_200_never_comes_proves_the_answer(void **state)
{
	(void)state;
	ringing();
	bye(CS_BY_CALLEE);
	pass(CS_OVERTAKEN_US);
	assert_int_equal(CS_DUE_AGAIN, deadline());
	wrote("call.answered", "call.ended", "call.cdr", NULL);
	assert_true(call.flags & CS_F_INFERRED);
}

static void a_bye_of_a_call_restored_in_setup_proves_the_answer(void **state)
{
	(void)state;
	ringing();
	restart();
	bye(CS_BY_CALLER);
	wrote("call.answered", "call.ended", "call.cdr", NULL);
	text_is(CS_T_TO_TAG, "a6c85cf");
	assert_int_equal(1, column_number(SB_C_INFERRED));
	assert_false(has_column(SB_C_ANSWERED_AT));
	assert_false(has_column(SB_C_DURATION_US));
	assert_false(has_column(SB_C_ACK_AT));
}

static void a_callees_bye_proves_the_answer_of_a_restored_call_too(void **state)
{
	(void)state;
	ringing();
	restart();
	bye(CS_BY_CALLEE);
	wrote("call.answered", "call.ended", "call.cdr", NULL);
	text_is(CS_T_TO_TAG, "a6c85cf");
	assert_int_equal(CS_BY_CALLEE, call.by);
}

static void an_ack_of_a_call_restored_in_setup_proves_the_answer(void **state)
{
	(void)state;
	ringing();
	restart();
	ack();
	wrote("call.answered", NULL);
	assert_int_equal(1, column_number(SB_C_INFERRED));
	text_is(CS_T_TO_TAG, "a6c85cf");
	assert_true(call.ack_at > 0);
	assert_int_equal(call.mono_answer + 3600 * SECOND, call.deadline);
}

static void a_200_seen_after_its_ack_gives_the_target(void **state)
{
	(void)state;
	ringing();
	restart();
	ack();
	records_seen = record_count;
	answer_from(CS_BRANCH_OLD, SPAN("a6c85cf"));
	answer_from(CS_BRANCH_OLD, SPAN("a6c85cf"));
	wrote("x.dialog", NULL);
	text_is(CS_T_CONTACT_B, "sip:bob@192.0.2.7:5060");
}

static void replies_to_a_restored_call_find_their_attempt(void **state)
{
	(void)state;
	start();
	attempt(0);
	attempt(1);
	restart();
	reply(1, 180);
	assert_int_equal(0, call.attempt[1].ringing);
	reply(CS_BRANCH_OLD | 0, 180);
	answer_from(CS_BRANCH_OLD | 1, SPAN("a6c85cf"));
	assert_true(call.attempt[0].ringing > 0);
	assert_int_equal(0, call.attempt[0].code);
	assert_int_equal(200, call.attempt[1].code);
}

static void a_restored_set_up_of_which_nothing_comes_is_lost(void **state)
{
	(void)state;
	ringing();
	restart();
	assert_int_equal(mono + 200 * SECOND, call.deadline);
	pass(200 * SECOND);
	assert_int_equal(CS_DUE_AGAIN, deadline());
	wrote("call.timeout", "call.cdr", NULL);
	over_with(SB_ST_TIMEOUT, CS_O_NO_ANSWER, CS_BY_UNKNOWN, CS_C_LOST);
	pass(CS_LINGER_US);
	assert_int_equal(CS_DUE_FREE, deadline());
}

static void a_restored_set_up_that_was_cancelled_is_cancelled(void **state)
{
	(void)state;
	ringing();
	cancel();
	restart();
	assert_int_equal(mono + CS_CANCEL_WAIT_US, call.deadline);
	deadline();
	wrote("call.failed", "call.cdr", NULL);
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_CALLER, CS_C_CANCEL);
}

static void a_restored_set_up_that_we_cancelled_is_ours(void **state)
{
	(void)state;
	ringing();
	cancel_begin();
	restart();
	deadline();
	over_with(SB_ST_FAILED, CS_O_CANCELLED, CS_BY_PROXY, CS_C_RPC);
}

static void a_restored_answered_call_has_its_limit_again_and_its_duration(void **state)
{
	(void)state;
	answered();
	restart();
	assert_int_equal(call.mono_answer + 3600 * SECOND, call.deadline);
	pass(9 * SECOND);
	bye(CS_BY_CALLER);
	assert_int_equal(10 * SECOND, column_number(SB_C_DURATION_US));
	assert_false(has_column(SB_C_DURATION_WALL));
	assert_false(has_column(SB_C_ACK_AT));
}

static void over_a_reboot_the_duration_is_from_the_wall_clock_and_marked(void **state)
{
	(void)state;
	answered();
	call.flags &= CS_F_LOGGED;
	wall += 99 * SECOND;
	mono = 30 * SECOND;
	cs_on_restored(&call, wall, mono, false, 200 * SECOND);
	mono = 130 * SECOND;
	bye(CS_BY_CALLER);
	assert_int_equal(1, column_number(SB_C_DURATION_WALL));
	assert_int_equal(130 * SECOND, column_number(SB_C_DURATION_US));
}

static void a_restored_call_that_was_over_is_finished_at_once(void **state)
{
	(void)state;
	ringing();
	final(486, false);
	restart();
	assert_int_equal(mono, call.deadline);
	assert_int_equal(CS_DUE_FREE, deadline());
	wrote("call.cdr", NULL);
}

static void a_transaction_that_goes_leaves_an_answered_call_alone(void **state)
{
	uint64_t limit;

	(void)state;
	answered();
	limit = call.deadline;
	destroyed();
	wrote_nothing();
	assert_int_equal(limit, call.deadline);
	assert_int_equal(SB_ST_CONFIRMED, call.state);
}

static void a_call_at_its_limit_is_ended_by_us(void **state)
{
	(void)state;
	answered();
	assert_int_equal(CS_DUE_LIMIT, deadline());
	assert_true(end_begin(CS_C_MAX_DURATION));
	assert_false(end_begin(CS_C_RPC));
	wrote_nothing();
	end_reply(CS_BY_CALLER, 200);
	wrote_nothing();
	end_reply(CS_BY_CALLEE, 481);
	wrote("call.ended", "call.cdr", NULL);
	over_with(SB_ST_DISCONNECTED, CS_O_NONE, CS_BY_PROXY, CS_C_MAX_DURATION);
}

static void our_byes_refused_by_both_mean_expired(void **state)
{
	(void)state;
	answered();
	end_begin(CS_C_MAX_DURATION);
	end_reply(CS_BY_CALLER, 481);
	end_reply(CS_BY_CALLEE, 408);
	wrote("call.timeout", "call.cdr", NULL);
	assert_int_equal(SB_ST_TIMEOUT, call.state);
	assert_int_equal(CS_O_EXPIRED, call.outcome);
	assert_int_equal(CS_BY_UNKNOWN, call.by);
}

static void our_byes_without_any_reply_end_at_the_deadline(void **state)
{
	(void)state;
	answered();
	end_begin(CS_C_RPC);
	assert_int_equal(mono + CS_LIMIT_SLACK_US, call.deadline);
	assert_int_equal(CS_DUE_AGAIN, deadline());
	assert_int_equal(CS_O_EXPIRED, call.outcome);
	pass(CS_LINGER_US);
	assert_int_equal(CS_DUE_FREE, deadline());
}

static void one_bye_that_was_confirmed_is_enough_at_the_deadline(void **state)
{
	(void)state;
	answered();
	end_begin(CS_C_RPC);
	end_reply(CS_BY_CALLEE, 200);
	assert_int_equal(CS_DUE_AGAIN, deadline());
	over_with(SB_ST_DISCONNECTED, CS_O_NONE, CS_BY_PROXY, CS_C_RPC);
}

static void a_bye_that_crosses_ours_ends_the_call_for_our_cause(void **state)
{
	(void)state;
	answered();
	end_begin(CS_C_MAX_DURATION);
	bye(CS_BY_CALLER);
	end_reply(CS_BY_CALLER, 481);
	end_reply(CS_BY_CALLEE, 200);
	wrote("call.ended", "call.cdr", NULL);
	over_with(SB_ST_DISCONNECTED, CS_O_NONE, CS_BY_PROXY, CS_C_MAX_DURATION);
}

static void an_ended_call_lingers_and_then_goes(void **state)
{
	(void)state;
	answered();
	bye(CS_BY_CALLER);
	assert_true(call.deadline > mono && call.deadline <= mono + CS_LINGER_US);
	records_seen = record_count;
	assert_int_equal(CS_DUE_FREE, deadline());
	wrote_nothing();
}

#define T(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	static const struct CMUnitTest tests[] = {
			T(the_first_ack_is_timed),
			T(an_ack_that_did_not_come_is_told_as_such),
			T(an_ack_in_set_up_of_a_live_call_proves_nothing),
			T(a_retransmitted_bye_ends_once),
			T(the_reason_of_a_bye_is_kept),
			T(a_callers_bye_before_the_answer_cancels),
			T(a_callees_bye_that_overtakes_its_200_waits_for_it),
			T(a_callees_bye_whose_200_never_comes_proves_the_answer),
			T(a_bye_of_a_call_restored_in_setup_proves_the_answer),
			T(a_callees_bye_proves_the_answer_of_a_restored_call_too),
			T(an_ack_of_a_call_restored_in_setup_proves_the_answer),
			T(a_200_seen_after_its_ack_gives_the_target),
			T(replies_to_a_restored_call_find_their_attempt),
			T(a_restored_set_up_of_which_nothing_comes_is_lost),
			T(a_restored_set_up_that_was_cancelled_is_cancelled),
			T(a_restored_set_up_that_we_cancelled_is_ours),
			T(a_restored_answered_call_has_its_limit_again_and_its_duration),
			T(over_a_reboot_the_duration_is_from_the_wall_clock_and_marked),
			T(a_restored_call_that_was_over_is_finished_at_once),
			T(a_transaction_that_goes_leaves_an_answered_call_alone),
			T(a_call_at_its_limit_is_ended_by_us),
			T(our_byes_refused_by_both_mean_expired),
			T(our_byes_without_any_reply_end_at_the_deadline),
			T(one_bye_that_was_confirmed_is_enough_at_the_deadline),
			T(a_bye_that_crosses_ours_ends_the_call_for_our_cause),
			T(an_ended_call_lingers_and_then_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
