/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a set-up fails, challenges, drops, and the limits on attempts. */
#include "machine_fixture.h"

static void final_is_told(uint16_t code, enum cs_outcome o)
{
	fresh(NULL);
	start();
	attempt(0);
	branch_final(0, code, false);
	final(code, false);
	wrote("call.initiated", "x.attempt", "x.attempt", "call.failed", NULL);
	over_with(SB_ST_FAILED, o, CS_BY_CALLEE, CS_C_FINAL_REPLY);
	assert_int_equal(code, column_number(SB_C_HANGUP_CODE));
	column_is(SB_C_HANGUP_REASON, "Because");
}

static void a_final_reply_is_a_failure_with_its_outcome(void **state)
{
	static const struct
	{
		uint16_t code;
		enum cs_outcome o;
	} known[] = {{486, CS_O_BUSY}, {600, CS_O_BUSY}, {603, CS_O_REJECTED}, {433, CS_O_REJECTED}, {607, CS_O_REJECTED},
			{480, CS_O_UNAVAILABLE}, {410, CS_O_UNAVAILABLE}, {408, CS_O_UNAVAILABLE}, {502, CS_O_UNAVAILABLE},
			{503, CS_O_UNAVAILABLE}, {504, CS_O_UNAVAILABLE}, {403, CS_O_FORBIDDEN}, {404, CS_O_NOT_FOUND},
			{484, CS_O_NOT_FOUND}, {604, CS_O_NOT_FOUND}, {400, CS_O_ERROR}, {488, CS_O_ERROR}, {500, CS_O_ERROR},
			{606, CS_O_ERROR}, {302, CS_O_REJECTED}, {487, CS_O_CANCELLED}};

	(void)state;
	for(size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(known[i].o, cs_outcome_of(known[i].code));
		final_is_told(known[i].code, known[i].o);
	}
	assert_int_equal(CS_O_FORBIDDEN, cs_outcome_of(401));
	assert_int_equal(CS_O_FORBIDDEN, cs_outcome_of(407));
}

static void a_503_that_tm_made_a_500_is_told_as_the_503(void **state)
{
	(void)state;
	start();
	attempt(0);
	branch_final(0, 503, false);
	final(500, true);
	over_with(SB_ST_FAILED, CS_O_UNAVAILABLE, CS_BY_CALLEE, CS_C_FINAL_REPLY);
	assert_int_equal(503, column_number(SB_C_HANGUP_CODE));
	column_is(SB_C_HANGUP_REASON, "Because");
}

static void the_q850_cause_of_the_attempt_is_the_calls(void **state)
{
	struct cs_msg m = reply_of(486);
	struct cs_ctx x;

	(void)state;
	ringing();
	x = now();
	m.why.q850 = 17;
	cs_on_branch_final(&call, 0, &m, &x);
	final(486, false);
	assert_int_equal(17, column_number(SB_C_Q850));
}

static void the_cdr_of_a_failure_waits_for_the_transaction_to_go(void **state)
{
	(void)state;
	ringing();
	final(486, false);
	wrote("call.failed", NULL);
	destroyed();
	wrote("call.cdr", NULL);
	destroyed();
	wrote_nothing();
	assert_int_equal(CS_DUE_FREE, deadline());
	wrote_nothing();
}

static void a_2xx_overrules_a_failure(void **state)
{
	(void)state;
	ringing();
	branch_final(0, 486, false);
	final(486, false);
	answer_from(0, SPAN("a6c85cf"));
	wrote("x.attempt", "call.failed", "call.answered", NULL);
	assert_int_equal(SB_ST_CONFIRMED, call.state);
	assert_int_equal(0, call.ended_at);
	bye(CS_BY_CALLER);
	wrote("call.ended", "call.cdr", NULL);
	assert_false(has_column(SB_C_HANGUP_CODE));
	assert_false(has_column(SB_C_HANGUP_REASON));
	assert_false(has_column(SB_C_OUTCOME));
}

static void an_attempt_whose_failure_was_overruled_keeps_nothing_of_it(void **state)
{
	struct cs_attempt *a = &call.attempt[0];

	(void)state;
	ringing();
	branch_final(0, 408, true);
	final(408, true);
	answer_from(0, SPAN("a6c85cf"));
	assert_int_equal(200, a->code);
	assert_int_equal(0, a->ended);
	assert_int_equal(0, a->reason.len);
	assert_false(a->flags & CS_A_LOCAL);
	assert_true(a->answered > 0);
}

static void a_2xx_behind_the_cdr_changes_nothing(void **state)
{
	(void)state;
	ringing();
	final(486, false);
	destroyed();
	records_seen = record_count;
	answer_from(0, SPAN("a6c85cf"));
	wrote_nothing();
	assert_int_equal(SB_ST_FAILED, call.state);
}

static void a_2xx_behind_the_end_changes_nothing(void **state)
{
	(void)state;
	answered();
	bye(CS_BY_CALLER);
	records_seen = record_count;
	answer_from(0, SPAN("a6c85cf"));
	wrote_nothing();
	assert_int_equal(SB_ST_DISCONNECTED, call.state);
}

static void nobody_answers_in_time(void **state)
{
	(void)state;
	ringing();
	branch_final(0, 408, true);
	final(408, true);
	wrote("x.attempt", "call.timeout", NULL);
	over_with(SB_ST_TIMEOUT, CS_O_NO_ANSWER, CS_BY_PROXY, CS_C_NO_ANSWER);
}

static void nothing_at_all_is_no_response(void **state)
{
	(void)state;
	start();
	attempt(0);
	branch_final(0, 408, true);
	final(408, true);
	over_with(SB_ST_TIMEOUT, CS_O_NO_RESPONSE, CS_BY_PROXY, CS_C_NO_RESPONSE);
}

static void a_408_that_was_received_is_a_failure(void **state)
{
	(void)state;
	ringing();
	branch_final(0, 408, false);
	final(408, false);
	over_with(SB_ST_FAILED, CS_O_UNAVAILABLE, CS_BY_CALLEE, CS_C_FINAL_REPLY);
}

static void an_invite_that_cannot_be_sent_is_a_send_error(void **state)
{
	(void)state;
	start();
	attempt(0);
	branch_final(0, 477, true);
	final(477, true);
	over_with(SB_ST_FAILED, CS_O_UNAVAILABLE, CS_BY_PROXY, CS_C_SEND_ERROR);
}

static void a_final_reply_of_the_script_is_the_proxys(void **state)
{
	(void)state;
	start();
	final(404, true);
	over_with(SB_ST_FAILED, CS_O_NOT_FOUND, CS_BY_PROXY, CS_C_FINAL_REPLY);
}

static void a_branch_ends_once(void **state)
{
	(void)state;
	start();
	attempt(0);
	records_seen = record_count;
	branch_final(0, 486, false);
	branch_final(0, 487, true);
	branch_final(5, 486, false);
	wrote("x.attempt", NULL);
	assert_int_equal(486, call.attempt[0].code);
	assert_false(call.attempt[0].flags & CS_A_LOCAL);
}

static void the_event_of_a_failure_names_the_attempt_that_it_speaks_of(void **state)
{
	struct sb_field group, n;

	(void)state;
	start();
	attempt(0);
	attempt(1);
	branch_final(0, 486, false);
	branch_final(1, 480, false);
	final(486, false);
	assert_true(column(SB_C_ATTEMPT, &group));
	assert_true(sb_find(group.data, group.len, SB_C_A_N, &n));
	assert_int_equal(1, sb_field_u64(&n));
}

static void a_407_waits_for_credentials(void **state)
{
	static const uint16_t challenge[] = {401, 407, 422, 494};

	(void)state;
	for(unsigned i = 0; i < 4; i++) {
		fresh(NULL);
		start();
		attempt(0);
		branch_final(0, challenge[i], false);
		records_seen = record_count;
		final(challenge[i], false);
		wrote_nothing();
		assert_true(cs_in_setup(&call));
		assert_true(call.deadline > mono && call.deadline <= mono + CS_AUTH_WAIT_US);
	}
}

static void a_challenged_call_goes_on_as_the_same_one(void **state)
{
	(void)state;
	start();
	attempt(0);
	branch_final(0, 407, false);
	final(407, false);
	cs_on_continue(&call, 2);
	attempt(0);
	reply(0, 180);
	answer_from(0, SPAN("a6c85cf"));
	bye(CS_BY_CALLER);
	wrote("call.initiated", "x.attempt", "x.attempt", "x.attempt", "call.ringing", "call.answered", "call.ended",
			"call.cdr", NULL);
	assert_int_equal(2, call.invite_cseq);
	assert_int_equal(407, call.attempt[0].code);
	assert_int_equal(200, call.attempt[1].code);
	assert_false(has_column(SB_C_HANGUP_CODE));
}

static void a_challenge_does_not_stay_in_a_call_that_goes_on_and_is_dropped(void **state)
{
	(void)state;
	start();
	final(407, false);
	destroyed();
	cs_on_continue(&call, 2);
	script_ends(0);
	wrote("call.initiated", "call.failed", NULL);
	assert_false(has_column(SB_C_HANGUP_CODE));
	assert_false(has_column(SB_C_HANGUP_REASON));
}

static void a_caller_who_does_not_answer_a_challenge_is_forbidden(void **state)
{
	(void)state;
	start();
	attempt(0);
	branch_final(0, 407, false);
	final(407, false);
	destroyed();
	records_seen = record_count;
	pass(CS_AUTH_WAIT_US);
	assert_true(mono >= call.deadline);
	assert_int_equal(CS_DUE_AGAIN, deadline());
	wrote("call.failed", "call.cdr", NULL);
	over_with(SB_ST_FAILED, CS_O_FORBIDDEN, CS_BY_CALLEE, CS_C_FINAL_REPLY);
	assert_int_equal(407, column_number(SB_C_HANGUP_CODE));
}

static void a_challenge_of_the_script_waits_too(void **state)
{
	(void)state;
	start();
	call.flags &= ~(unsigned)CS_F_ATTACHED;
	script_ends(407);
	assert_true(cs_in_setup(&call));
	assert_int_equal(mono + CS_AUTH_WAIT_US, call.deadline);
}

static void attempts_of_an_earlier_transaction_are_not_taken_for_its_successors(void **state)
{
	(void)state;
	start();
	attempt(0);
	cs_on_continue(&call, 2);
	reply(0, 180);
	assert_int_equal(0, call.attempt[0].ringing);
	attempt(0);
	answer_from(0, SPAN("a6c85cf"));
	assert_int_equal(0, call.attempt[0].code);
	assert_int_equal(200, call.attempt[1].code);
}

static void a_dropped_call_fails(void **state)
{
	(void)state;
	start();
	call.flags &= ~(unsigned)CS_F_ATTACHED;
	script_ends(0);
	wrote("call.initiated", "call.failed", NULL);
	over_with(SB_ST_FAILED, CS_O_ERROR, CS_BY_PROXY, CS_C_DROPPED);
}

static void a_stateless_reply_is_the_proxys(void **state)
{
	(void)state;
	start();
	call.flags &= ~(unsigned)CS_F_ATTACHED;
	script_ends(403);
	over_with(SB_ST_FAILED, CS_O_FORBIDDEN, CS_BY_PROXY, CS_C_FINAL_REPLY);
	pass(CS_LINGER_US);
	assert_int_equal(CS_DUE_FREE, deadline());
	assert_int_equal(SB_CALL_CDR, records[record_count - 1].type);
}

static void the_scripts_end_says_nothing_while_a_transaction_speaks(void **state)
{
	(void)state;
	ringing();
	script_ends(0);
	wrote_nothing();
}

static void a_transaction_that_goes_without_a_word_drops_the_call(void **state)
{
	(void)state;
	start();
	destroyed();
	wrote("call.initiated", "call.failed", "call.cdr", NULL);
	over_with(SB_ST_FAILED, CS_O_ERROR, CS_BY_PROXY, CS_C_DROPPED);
}

static void the_cdr_holds_every_attempt(void **state)
{
	struct sb_field f;
	struct sb_in in;
	unsigned n = 0;

	(void)state;
	start();
	for(unsigned i = 0; i < 3; i++) {
		attempt(i);
		branch_final(i, 486, false);
	}
	final(486, false);
	destroyed();
	sb_in_init(&in, records[record_count - 1].payload, records[record_count - 1].len);
	while(sb_in_next(&in, &f) == 1)
		n += f.col == SB_C_ATTEMPT;
	assert_int_equal(3, n);
	assert_int_equal(3, column_number(SB_C_ATTEMPTS_TOTAL));
}

static void a_twentieth_attempt_is_counted_and_the_newest_sixteen_are_kept(void **state)
{
	(void)state;
	start();
	for(unsigned i = 0; i < 20; i++) {
		attempt(i);
		branch_final(i, 486, false);
	}
	assert_int_equal(20, call.attempts_total);
	assert_int_equal(16, call.attempts_kept);
	assert_int_equal(20, call.attempt[15].n);
	attempt(20);
	answer_from(20, SPAN("a6c85cf"));
	text_is(CS_T_TO_TAG, "a6c85cf");
	text_is(CS_T_CONTACT_B, "sip:bob@192.0.2.7:5060");
}

static void a_seventeenth_that_runs_beside_sixteen_is_not_followed_and_the_answer_still_is(void **state)
{
	(void)state;
	start();
	for(unsigned i = 0; i < 17; i++)
		attempt(i);
	assert_int_equal(16, call.attempts_kept);
	answer_from(16, SPAN("a6c85cf"));
	assert_int_equal(SB_ST_CONFIRMED, call.state);
}

static void an_attempt_carries_the_trunk_and_agent_of_its_moment(void **state)
{
	(void)state;
	start();
	text_put(&call, CS_T_TRUNK, "carrier-a");
	attempt(0);
	text_put(&call, CS_T_TRUNK, "carrier-b");
	attempt(1);
	assert_int_equal(9, call.attempt[0].trunk.len);
	assert_memory_equal("carrier-a", cs_ptr(&call, call.attempt[0].trunk), 9);
	assert_memory_equal("carrier-b", cs_ptr(&call, call.attempt[1].trunk), 9);
}

#define T(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	static const struct CMUnitTest tests[] = {
			T(a_final_reply_is_a_failure_with_its_outcome),
			T(a_503_that_tm_made_a_500_is_told_as_the_503),
			T(the_q850_cause_of_the_attempt_is_the_calls),
			T(the_cdr_of_a_failure_waits_for_the_transaction_to_go),
			T(a_2xx_overrules_a_failure),
			T(an_attempt_whose_failure_was_overruled_keeps_nothing_of_it),
			T(a_2xx_behind_the_cdr_changes_nothing),
			T(a_2xx_behind_the_end_changes_nothing),
			T(nobody_answers_in_time),
			T(nothing_at_all_is_no_response),
			T(a_408_that_was_received_is_a_failure),
			T(an_invite_that_cannot_be_sent_is_a_send_error),
			T(a_final_reply_of_the_script_is_the_proxys),
			T(a_branch_ends_once),
			T(the_event_of_a_failure_names_the_attempt_that_it_speaks_of),
			T(a_407_waits_for_credentials),
			T(a_challenged_call_goes_on_as_the_same_one),
			T(a_challenge_does_not_stay_in_a_call_that_goes_on_and_is_dropped),
			T(a_caller_who_does_not_answer_a_challenge_is_forbidden),
			T(a_challenge_of_the_script_waits_too),
			T(attempts_of_an_earlier_transaction_are_not_taken_for_its_successors),
			T(a_dropped_call_fails),
			T(a_stateless_reply_is_the_proxys),
			T(the_scripts_end_says_nothing_while_a_transaction_speaks),
			T(a_transaction_that_goes_without_a_word_drops_the_call),
			T(the_cdr_holds_every_attempt),
			T(a_twentieth_attempt_is_counted_and_the_newest_sixteen_are_kept),
			T(a_seventeenth_that_runs_beside_sixteen_is_not_followed_and_the_answer_still_is),
			T(an_attempt_carries_the_trunk_and_agent_of_its_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
