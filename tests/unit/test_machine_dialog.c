/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens in an answered call: hold, changed media, transfer. */
#include "machine_fixture.h"

#define AUDIO 0x11u
#define VIDEO 0x22u

static uint32_t cseq;

static struct cs_msg sdp(bool hold, uint32_t print)
{
	struct cs_msg m = {.has_sdp = true, .media = SPAN("")};

	m.sdp.hold = hold;
	m.sdp.print = print;
	m.sdp.streams = 1;
	return m;
}

static void offer_done(enum cs_by by, const struct cs_msg *offer, const struct cs_msg *answer)
{
	struct cs_ctx x = now();

	x.cseq = ++cseq;
	cs_on_offer_done(&call, by, offer, answer, &x);
	pass(SECOND);
}

static void offered(enum cs_by by, bool hold)
{
	struct cs_msg offer = sdp(hold, AUDIO), accepted = sdp(false, AUDIO);

	offer_done(by, &offer, &accepted);
}

static void late_answer(bool hold, uint32_t of_cseq)
{
	struct cs_msg m = sdp(hold, AUDIO);
	struct cs_ctx x = now();

	x.cseq = of_cseq;
	cs_on_late_answer(&call, &m, &x);
}

static void refer(enum cs_by by, bool attended)
{
	static struct cs_refer r;
	struct cs_ctx x = now();

	r.uri = SPAN("sip:carol@192.0.2.8");
	r.attended = attended;
	cs_on_refer(&call, by, &r, &x);
}

static void refer_reply(enum cs_by by, uint16_t code)
{
	struct cs_msg m = {.code = code, .reason = SPAN("Declined")};
	struct cs_ctx x = now();

	cs_on_refer_reply(&call, by, &m, &x);
}

static void notify(enum cs_by by, int code)
{
	struct cs_ctx x = now();

	cs_on_notify(&call, by, code, SPAN("Fine"), &x);
}

static int talking(void **state)
{
	struct cs_msg m = {.code = 200, .to_tag = SPAN("a6c85cf"), .contact = SPAN("sip:bob@192.0.2.7"), .has_sdp = true};
	struct cs_ctx x;

	fresh(state);
	ringing();
	x = now();
	m.sdp.print = AUDIO;
	cs_on_reply(&call, 0, &m, &x);
	records_seen = record_count;
	cseq = 1;
	return 0;
}

static void hold_and_resume_are_told_with_who_did_it(void **state)
{
	(void)state;
	offered(CS_BY_CALLER, true);
	wrote("call.held", NULL);
	column_is(SB_C_BY, "caller");
	assert_int_equal(SB_ST_HELD, call.state);
	offered(CS_BY_CALLER, false);
	wrote("call.resumed", NULL);
	column_is(SB_C_BY, "caller");
	assert_int_equal(SB_ST_CONFIRMED, call.state);
}

static void a_repeated_hold_is_told_once(void **state)
{
	(void)state;
	offered(CS_BY_CALLEE, true);
	offered(CS_BY_CALLEE, true);
	wrote("call.held", NULL);
}

static void hold_by_both_sides_needs_two_resumes(void **state)
{
	(void)state;
	offered(CS_BY_CALLER, true);
	offered(CS_BY_CALLEE, true);
	offered(CS_BY_CALLER, false);
	wrote("call.held", "call.held", "call.resumed", NULL);
	assert_int_equal(SB_ST_HELD, call.state);
	offered(CS_BY_CALLEE, false);
	wrote("call.resumed", NULL);
	column_is(SB_C_BY, "callee");
	assert_int_equal(SB_ST_CONFIRMED, call.state);
}

static void a_refresh_by_the_held_side_does_not_resume(void **state)
{
	(void)state;
	offered(CS_BY_CALLER, true);
	offered(CS_BY_CALLEE, false);
	wrote("call.held", NULL);
	assert_int_equal(SB_ST_HELD, call.state);
}

static void a_session_refresh_is_no_event(void **state)
{
	struct cs_msg empty = {0};

	(void)state;
	offered(CS_BY_CALLER, false);
	offer_done(CS_BY_CALLEE, &empty, &empty);
	wrote_nothing();
}

static void a_retransmitted_2xx_to_an_offer_counts_once(void **state)
{
	struct cs_msg hold = sdp(true, AUDIO), resume = sdp(false, AUDIO), accepted = sdp(false, AUDIO);
	struct cs_ctx x;

	(void)state;
	offer_done(CS_BY_CALLER, &hold, &accepted);
	x = now();
	x.cseq = cseq;
	cs_on_offer_done(&call, CS_BY_CALLER, &resume, &accepted, &x);
	wrote("call.held", NULL);
	cs_on_offer_done(&call, CS_BY_CALLEE, &hold, &accepted, &x);
	wrote("call.held", NULL);
}

static void an_offer_before_the_answer_or_behind_the_end_is_nothing(void **state)
{
	(void)state;
	fresh(state);
	ringing();
	offered(CS_BY_CALLER, true);
	wrote_nothing();
	answer_from(0, SPAN("a6c85cf"));
	bye(CS_BY_CALLER);
	records_seen = record_count;
	offered(CS_BY_CALLER, true);
	refer(CS_BY_CALLER, false);
	notify(CS_BY_CALLEE, 200);
	wrote_nothing();
}

static void a_new_target_is_logged_of_both_sides(void **state)
{
	struct cs_msg offer = {.contact = SPAN("sip:alice@192.0.2.101")},
				  accepted = {.contact = SPAN("sip:bob@192.0.2.107")};

	(void)state;
	offer_done(CS_BY_CALLER, &offer, &accepted);
	wrote("x.dialog", NULL);
	text_is(CS_T_CONTACT_A, "sip:alice@192.0.2.101");
	text_is(CS_T_CONTACT_B, "sip:bob@192.0.2.107");
	offer_done(CS_BY_CALLEE, &accepted, &offer);
	wrote_nothing();
}

static void a_target_that_is_too_long_means_that_we_cannot_end_the_call(void **state)
{
	char uri[300];
	struct cs_msg offer = {.contact = {uri, sizeof(uri)}}, accepted = {0};

	(void)state;
	memset(uri, 'u', sizeof(uri));
	offer_done(CS_BY_CALLER, &offer, &accepted);
	assert_true(call.flags & CS_F_NO_CONTACT);
}

static void other_media_is_an_update_with_who_offered_it(void **state)
{
	struct cs_msg offer = sdp(false, VIDEO), accepted = sdp(false, VIDEO);

	(void)state;
	offer_done(CS_BY_CALLEE, &offer, &accepted);
	wrote("call.updated", NULL);
	column_is(SB_C_BY, "callee");
	offer_done(CS_BY_CALLEE, &offer, &accepted);
	wrote_nothing();
}

static void an_offer_that_was_refused_in_part_is_judged_by_what_was_accepted(void **state)
{
	struct cs_msg offer = sdp(false, VIDEO), accepted = sdp(false, AUDIO);

	(void)state;
	offer_done(CS_BY_CALLER, &offer, &accepted);
	wrote_nothing();
}

static void the_first_media_after_a_restart_is_no_update(void **state)
{
	struct cs_msg offer = sdp(false, VIDEO), accepted = sdp(false, VIDEO);

	(void)state;
	call.media_print = 0;
	offer_done(CS_BY_CALLER, &offer, &accepted);
	wrote_nothing();
	assert_int_equal(VIDEO, call.media_print);
}

static void a_late_offer_holds_in_the_2xx_and_in_the_ack(void **state)
{
	struct cs_msg none = {0}, held = sdp(true, AUDIO);

	(void)state;
	offer_done(CS_BY_CALLER, &none, &held);
	wrote("call.held", NULL);
	column_is(SB_C_BY, "callee");
	late_answer(true, cseq);
	wrote("call.held", NULL);
	column_is(SB_C_BY, "caller");
	late_answer(false, cseq);
	wrote_nothing();
}

static void the_ack_of_another_transaction_is_not_the_late_answer(void **state)
{
	struct cs_msg none = {0}, offer = sdp(false, AUDIO);

	(void)state;
	offer_done(CS_BY_CALLER, &none, &offer);
	late_answer(true, cseq - 1);
	wrote_nothing();
	assert_true(call.flags & CS_F_OFFER_LATE);
}

static void an_ack_with_sdp_that_nobody_waits_for_is_nothing(void **state)
{
	(void)state;
	late_answer(true, cseq);
	wrote_nothing();
}

static void a_blind_transfer_is_over_when_the_notify_says_200(void **state)
{
	(void)state;
	refer(CS_BY_CALLEE, false);
	wrote("x.dialog", NULL);
	refer_reply(CS_BY_CALLEE, 202);
	notify(CS_BY_CALLER, 100);
	notify(CS_BY_CALLER, 180);
	wrote_nothing();
	notify(CS_BY_CALLER, 200);
	wrote("call.transferred", NULL);
	column_is(SB_C_BY, "callee");
	column_is(SB_C_TRANSFER_KIND, "blind");
	column_is(SB_C_TRANSFER_TARGET, "sip:carol@192.0.2.8");
	assert_int_equal(200, column_number(SB_C_TRANSFER_CODE));
	assert_int_equal(SB_ST_TRANSFERRED, call.state);
	notify(CS_BY_CALLER, 200);
	wrote_nothing();
	bye(CS_BY_CALLEE);
	wrote("call.ended", "call.cdr", NULL);
}

static void an_attended_transfer_is_told_as_such(void **state)
{
	(void)state;
	refer(CS_BY_CALLER, true);
	notify(CS_BY_CALLEE, 200);
	column_is(SB_C_TRANSFER_KIND, "attended");
	column_is(SB_C_BY, "caller");
}

static void a_transfer_that_the_notify_refuses_has_failed(void **state)
{
	(void)state;
	refer(CS_BY_CALLER, false);
	notify(CS_BY_CALLEE, 486);
	wrote("x.dialog", "call.transfer_failed", NULL);
	assert_int_equal(486, column_number(SB_C_TRANSFER_CODE));
	assert_int_equal(SB_ST_CONFIRMED, call.state);
}

static void a_refused_refer_has_failed(void **state)
{
	(void)state;
	refer(CS_BY_CALLER, false);
	refer_reply(CS_BY_CALLEE, 603);
	wrote("x.dialog", NULL);
	refer_reply(CS_BY_CALLER, 603);
	wrote("call.transfer_failed", NULL);
	column_is(SB_C_TRANSFER_REASON, "Declined");
	notify(CS_BY_CALLEE, 200);
	wrote_nothing();
}

static void a_notify_of_the_side_that_asked_is_nothing(void **state)
{
	(void)state;
	refer(CS_BY_CALLER, false);
	records_seen = record_count;
	notify(CS_BY_CALLER, 200);
	wrote_nothing();
}

static void a_second_refer_forgets_how_the_first_went(void **state)
{
	(void)state;
	refer(CS_BY_CALLER, true);
	memset(call.xfer_to, 5, sizeof(call.xfer_to));
	notify(CS_BY_CALLEE, 486);
	refer(CS_BY_CALLEE, false);
	column_is(SB_C_TRANSFER_KIND, "blind");
	assert_false(has_column(SB_C_TRANSFER_CODE));
	assert_false(has_column(SB_C_TRANSFER_REASON));
	assert_false(has_column(SB_C_TRANSFERRED_TO));
}

#define T(f) cmocka_unit_test_setup(f, talking)

int main(void)
{
	static const struct CMUnitTest tests[] = {
			T(hold_and_resume_are_told_with_who_did_it),
			T(a_repeated_hold_is_told_once),
			T(hold_by_both_sides_needs_two_resumes),
			T(a_refresh_by_the_held_side_does_not_resume),
			T(a_session_refresh_is_no_event),
			T(a_retransmitted_2xx_to_an_offer_counts_once),
			T(an_offer_before_the_answer_or_behind_the_end_is_nothing),
			T(a_new_target_is_logged_of_both_sides),
			T(a_target_that_is_too_long_means_that_we_cannot_end_the_call),
			T(other_media_is_an_update_with_who_offered_it),
			T(an_offer_that_was_refused_in_part_is_judged_by_what_was_accepted),
			T(the_first_media_after_a_restart_is_no_update),
			T(a_late_offer_holds_in_the_2xx_and_in_the_ack),
			T(the_ack_of_another_transaction_is_not_the_late_answer),
			T(an_ack_with_sdp_that_nobody_waits_for_is_nothing),
			T(a_blind_transfer_is_over_when_the_notify_says_200),
			T(an_attended_transfer_is_told_as_such),
			T(a_transfer_that_the_notify_refuses_has_failed),
			T(a_refused_refer_has_failed),
			T(a_notify_of_the_side_that_asked_is_nothing),
			T(a_second_refer_forgets_how_the_first_went),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
