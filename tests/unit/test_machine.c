/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Set-up and end of a call. Hold, changed media and transfer: test_machine_dialog.c. */
#include "call_fixture.h"

static void start(void)
{
	struct cs_ctx x = now();

	cs_on_start(&call, &x);
	call.flags |= CS_F_ATTACHED;
	pass(1000);
}

static void attempt(unsigned branch)
{
	struct cs_ctx x = now();

	cs_on_attempt(&call, branch, SPAN("sip:agent@192.0.2.7"), &x);
	pass(1000);
}

static struct cs_msg reply_of(uint16_t code)
{
	return (struct cs_msg){.code = code, .dst = SPAN("udp:192.0.2.7:5060")};
}

static void reply(unsigned branch, uint16_t code)
{
	struct cs_msg m = reply_of(code);
	struct cs_ctx x = now();

	cs_on_reply(&call, branch, &m, &x);
	pass(SECOND);
}

static void early(unsigned branch)
{
	struct cs_msg m = reply_of(183);
	struct cs_ctx x = now();

	m.has_sdp = true;
	cs_on_reply(&call, branch, &m, &x);
	pass(SECOND);
}

static void answer_from(unsigned branch, struct cs_span tag)
{
	struct cs_msg m = reply_of(200);
	struct cs_ctx x = now();

	m.to_tag = tag;
	m.contact = SPAN("sip:bob@192.0.2.7:5060");
	cs_on_reply(&call, branch, &m, &x);
	pass(SECOND);
}

static void branch_final(unsigned branch, uint16_t code, bool local)
{
	struct cs_msg m = reply_of(code);
	struct cs_ctx x = now();

	m.local = local;
	m.reason = SPAN("Because");
	cs_on_branch_final(&call, branch, &m, &x);
	pass(1000);
}

static void final(uint16_t code, bool local)
{
	struct cs_msg m = {.code = code, .local = local, .reason = SPAN("Because")};
	struct cs_ctx x = now();

	cs_on_final(&call, &m, &x);
	pass(1000);
}

static void cancel(void)
{
	struct cs_msg m = {0};
	struct cs_ctx x = now();

	cs_on_cancel(&call, &m, &x);
	pass(1000);
}

static void ack(void)
{
	struct cs_msg m = {.to_tag = SPAN("a6c85cf")};
	struct cs_ctx x = now();

	cs_on_ack(&call, &m, &x);
	pass(1000);
}

static void bye(enum cs_by by)
{
	struct cs_msg m = {.to_tag = by == CS_BY_CALLER ? SPAN("a6c85cf") : SPAN("1928301774")};
	struct cs_ctx x = now();

	cs_on_bye(&call, by, &m, &x);
	pass(1000);
}

static void destroyed(void)
{
	struct cs_ctx x = now();

	cs_on_destroyed(&call, &x);
}

static void script_ends(uint16_t code)
{
	struct cs_msg m = {.code = code, .local = true};
	struct cs_ctx x = now();

	cs_on_script_end(&call, &m, &x);
}

static enum cs_due deadline(void)
{
	struct cs_ctx x = now();

	return cs_on_deadline(&call, &x);
}

static bool end_begin(enum cs_cause cause)
{
	struct cs_ctx x = now();

	return cs_end_begin(&call, cause, &x);
}

static void end_reply(enum cs_by side, int code)
{
	struct cs_ctx x = now();

	cs_end_reply(&call, side, code, &x);
}

static bool cancel_begin(void)
{
	struct cs_ctx x = now();

	return cs_cancel_begin(&call, CS_C_RPC, &x);
}

/* All processes are killed; the call comes back without its transaction. */
static void restart(void)
{
	call.flags &= CS_F_LOGGED;
	cs_on_restored(&call, wall, mono, true, 200 * SECOND);
	records_seen = record_count;
}

static void ringing(void)
{
	start();
	attempt(0);
	reply(0, 180);
	records_seen = record_count;
}

static void answered(void)
{
	ringing();
	answer_from(0, SPAN("a6c85cf"));
	records_seen = record_count;
}

static void over_with(enum sb_state state, enum cs_outcome o, enum cs_by by, enum cs_cause cause)
{
	assert_string_equal(sb_state_name(state), sb_state_name(call.state));
	assert_string_equal(cs_outcome_name(o), cs_outcome_name(call.outcome));
	assert_string_equal(cs_by_name(by), cs_by_name(call.by));
	assert_string_equal(cs_cause_name(cause), cs_cause_name(call.cause));
}

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

static void a_callees_bye_that_overtakes_its_200_proves_the_answer(void **state)
{
	(void)state;
	ringing();
	bye(CS_BY_CALLEE);
	wrote("call.answered", "call.ended", "call.cdr", NULL);
	assert_true(call.flags & CS_F_INFERRED);
	assert_int_equal(0, call.text[CS_T_TO_TAG].len);
	answer_from(0, SPAN("a6c85cf"));
	wrote_nothing();
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
			T(a_cancelled_call_is_told_when_its_final_reply_is),
			T(a_cancel_before_any_reply_is_cancelled_although_a_timer_ends_it),
			T(an_answer_that_crosses_the_cancel_wins),
			T(a_cancel_behind_the_answer_is_nothing),
			T(the_reason_of_a_cancel_is_kept),
			T(a_set_up_that_we_give_up_is_cancelled_by_the_proxy),
			T(an_answered_call_cannot_be_cancelled_nor_one_in_set_up_ended),
			T(the_first_ack_is_timed),
			T(an_ack_that_did_not_come_is_told_as_such),
			T(an_ack_in_set_up_of_a_live_call_proves_nothing),
			T(a_retransmitted_bye_ends_once),
			T(the_reason_of_a_bye_is_kept),
			T(a_callers_bye_before_the_answer_cancels),
			T(a_callees_bye_that_overtakes_its_200_proves_the_answer),
			T(a_bye_of_a_call_restored_in_setup_proves_the_answer),
			T(an_ack_of_a_call_restored_in_setup_proves_the_answer),
			T(a_200_seen_after_its_ack_gives_the_target),
			T(replies_to_a_restored_call_find_their_attempt),
			T(a_restored_set_up_of_which_nothing_comes_is_lost),
			T(a_restored_set_up_that_was_cancelled_is_cancelled),
			T(a_restored_set_up_that_we_cancelled_is_ours),
			T(a_restored_answered_call_has_its_limit_again_and_its_duration),
			T(over_a_reboot_the_duration_is_from_the_wall_clock_and_marked),
			T(a_restored_call_that_was_over_is_finished_at_once),
			T(a_dropped_call_fails),
			T(a_stateless_reply_is_the_proxys),
			T(the_scripts_end_says_nothing_while_a_transaction_speaks),
			T(a_transaction_that_goes_without_a_word_drops_the_call),
			T(a_transaction_that_goes_leaves_an_answered_call_alone),
			T(a_call_at_its_limit_is_ended_by_us),
			T(our_byes_refused_by_both_mean_expired),
			T(our_byes_without_any_reply_end_at_the_deadline),
			T(one_bye_that_was_confirmed_is_enough_at_the_deadline),
			T(a_bye_that_crosses_ours_ends_the_call_for_our_cause),
			T(an_ended_call_lingers_and_then_goes),
			T(the_cdr_holds_every_attempt),
			T(a_twentieth_attempt_is_counted_and_the_newest_sixteen_are_kept),
			T(a_seventeenth_that_runs_beside_sixteen_is_not_followed_and_the_answer_still_is),
			T(an_attempt_carries_the_trunk_and_agent_of_its_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
