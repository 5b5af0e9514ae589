/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../../modules/cli/diagnose.c"
#include "../../modules/cli/ladder.c"
#include "../../modules/cli/meanings.c"
#include "../../modules/cli/story.c"
#include "../../modules/cli/text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define T0 1769868127114000ull
#define MS 1000ull

static const uint8_t id[16] = {1, 2, 3};
static uint8_t buf[8192];
static struct sb_out o;
static struct story story;
static struct ladder ladder;
static struct verdict verdict;

static void text(enum sb_col col, const char *s)
{
	sb_put_str(&o, col, s, strlen(s));
}

static void begin(uint64_t after)
{
	o = (struct sb_out){.p = buf, .cap = sizeof(buf)};
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, T0 + after);
	text(SB_C_SIP_CALL_ID, "abc@192.0.2.1");
	text(SB_C_FROM_URI, "sip:+442079460142@192.0.2.1");
	text(SB_C_RURI, "sip:0100@example.com");
	sb_put_time(&o, SB_C_STARTED_AT, T0);
}

static void done(uint16_t type)
{
	struct sb_rec rec = {.hdr = {.type = type, .len = (uint32_t)o.len}, .payload = buf};
	assert_int_equal(story_add(&story, &rec), 0);
	memset(buf, 0xee, sizeof(buf)); /* the story has its own copy */
}

/** An attempt of carrier-<letter>; times in ms after the INVITE, 0 = did not happen. code < 0: ours */
static void try(uint64_t n, const char *name, enum sb_col who, uint64_t start, uint64_t ring, uint64_t end, int code)
{
	size_t mark = sb_group_begin(&o, SB_C_ATTEMPT);
	sb_put_u64(&o, SB_C_A_N, n);
	text(who, name);
	text(SB_C_A_DST, "udp:192.0.2.7:5060");
	sb_put_time(&o, SB_C_A_STARTED_AT, T0 + start * MS);
	if(ring != 0)
		sb_put_time(&o, SB_C_A_RINGING_AT, T0 + ring * MS);
	if(code == 200)
		sb_put_time(&o, SB_C_A_ANSWERED_AT, T0 + end * MS);
	if(end != 0)
		sb_put_time(&o, SB_C_A_ENDED_AT, T0 + end * MS);
	if(code != 0)
		sb_put_u64(&o, SB_C_A_CODE, (uint64_t)(code < 0 ? -code : code));
	if(code < 0)
		sb_put_u64(&o, SB_C_A_LOCAL, 1);
	sb_group_end(&o, mark);
}

static void end(uint16_t type, uint64_t after, const char *outcome, const char *by, const char *cause, uint64_t code,
		uint64_t isup)
{
	begin(after * MS);
	sb_put_time(&o, SB_C_ENDED_AT, T0 + after * MS);
	text(SB_C_OUTCOME, outcome);
	text(SB_C_HANGUP_BY, by);
	text(SB_C_HANGUP_CAUSE, cause);
	if(code != 0)
		sb_put_u64(&o, SB_C_HANGUP_CODE, code);
	if(isup != 0)
		sb_put_u64(&o, SB_C_Q850, isup);
	done(type);
}

static void initiated(void)
{
	begin(0);
	done(SB_CALL_INITIATED);
}

static void attempt(
		uint64_t n, const char *name, enum sb_col who, uint64_t start, uint64_t ring, uint64_t end_ms, int code)
{
	begin(end_ms * MS);
	try(n, name, who, start, ring, end_ms, code);
	done(SB_X_ATTEMPT);
}

static int setup(void **state)
{
	(void)state;
	story_init(&story, id);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ladder_free(&ladder);
	story_free(&story);
	return 0;
}

static const char *cause(void)
{
	diagnose(&verdict, &story);
	return verdict.cause;
}

static void assert_has(const char *s, const char *part)
{
	if(strstr(s, part) == NULL)
		fail_msg("'%s' is not in: %s", part, s);
}

static void a_failover_names_the_silent_carrier_first(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 1902, -408);
	begin(3303 * MS);
	sb_put_time(&o, SB_C_ANSWERED_AT, T0 + 3303 * MS);
	try(2, "carrier-b", SB_C_A_TRUNK, 1903, 2103, 3303, 200);
	done(SB_CALL_ANSWERED);
	begin(14307 * MS);
	text(SB_C_HANGUP_BY, "caller");
	text(SB_C_HANGUP_CAUSE, "bye");
	sb_put_u64(&o, SB_C_DURATION_US, 11004000);
	done(SB_CALL_ENDED);
	assert_string_equal(cause(), "carrier-a no reply; then answered by carrier-b, caller hung up after 11.0 s");
	assert_has(verdict.next, "sip:192.0.2.7:5060");

	assert_int_equal(ladder_build(&ladder, &story), 0);
	assert_int_equal(ladder.rungs, 5);
	assert_string_equal(ladder_time(&ladder, 0).s, "14:02:07.114");
	assert_string_equal(ladder_time(&ladder, 1).s, "+0.002");
	assert_string_equal(ladder_time(&ladder, 4).s, "+14.307");
	assert_string_equal(ladder.rung[0].text.s, "+442079460142 \xe2\x86\x92 0100");
	assert_string_equal(ladder.rung[1].label, "try 1");
	assert_string_equal(ladder.rung[1].more.s, "no reply for 1.90 s");
	assert_string_equal(ladder.rung[2].text.s, "carrier-b (192.0.2.7:5060)");
	assert_string_equal(ladder.rung[2].more.s, "180 at 200 ms \xc2\xb7 200 at 1.40 s");
	assert_string_equal(ladder.rung[4].label, "BYE");
	assert_string_equal(ladder.rung[4].text.s, "by caller \xc2\xb7 11.0 s");
}

static void busy_is_no_fault(void **state)
{
	(void)state;
	initiated();
	attempt(1, "ben", SB_C_A_AGENT, 2, 0, 90, 486);
	end(SB_CALL_FAILED, 90, "busy", "callee", "final_reply", 486, 0);
	assert_string_equal(cause(), "ben answered 486, busy: the callee is on another call");
	assert_has(verdict.next, "nothing is wrong");
}

static void q850_says_it_better_than_404(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 90, 404);
	end(SB_CALL_FAILED, 90, "not_found", "callee", "final_reply", 404, 1);
	assert_string_equal(cause(), "carrier-a answered 404, unallocated number: nobody has this number");
	assert_has(verdict.next, "0100");
}

static void a_404_of_an_agent_asks_for_the_registration(void **state)
{
	(void)state;
	initiated();
	attempt(1, "ben", SB_C_A_AGENT, 2, 0, 90, 404);
	end(SB_CALL_FAILED, 90, "not_found", "callee", "final_reply", 404, 0);
	cause();
	assert_has(verdict.next, "kamcmd ul.lookup");
}

static void what_the_caller_got_is_told_where_the_proxy_changed_it(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 90, 503);
	end(SB_CALL_FAILED, 90, "unavailable", "callee", "final_reply", 500, 0);
	assert_has(cause(), "carrier-a answered 503, out of service or overloaded");
	assert_has(verdict.cause, "(the caller got 500)");
}

static void cancel_tells_whether_it_rang(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 4200, 487);
	end(SB_CALL_FAILED, 4200, "cancelled", "caller", "cancel", 487, 0);
	assert_string_equal(cause(), "the caller gave up after 4.20 s, before anything rang; tried: carrier-a");
	begin(100);
	sb_put_time(&o, SB_C_RINGING_AT, T0 + 200 * MS);
	done(SB_X_DIALOG);
	assert_string_equal(cause(), "the caller gave up after 4.20 s, while it rang");
}

static void silence_and_no_answer_are_told_apart(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 5002, -408);
	end(SB_CALL_TIMEOUT, 5002, "no_response", "proxy", "no_response", 408, 0);
	assert_string_equal(cause(), "carrier-a (192.0.2.7:5060) is unreachable: it never answered");
	teardown(NULL);
	setup(NULL);
	initiated();
	attempt(1, "anna", SB_C_A_AGENT, 2, 80, 20002, -408);
	attempt(2, "carl", SB_C_A_AGENT, 2, 90, 20002, -408);
	end(SB_CALL_TIMEOUT, 20002, "no_answer", "proxy", "no_answer", 408, 0);
	assert_has(cause(), "anna, carl rang, nobody answered");
}

static void what_could_not_be_sent_is_not_called_silent(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 2, -408);
	end(SB_CALL_TIMEOUT, 2, "no_response", "proxy", "no_response", 477, 0);
	assert_string_equal(cause(), "the INVITE could not be sent to carrier-a");
	assert_int_equal(ladder_build(&ladder, &story), 0);
	assert_string_equal(ladder.rung[1].more.s, "not sent");
}

static void several_refusals_are_all_told(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 1902, -408);
	attempt(2, "carrier-b", SB_C_A_TRUNK, 1903, 0, 2000, 503);
	end(SB_CALL_FAILED, 2001, "unavailable", "callee", "final_reply", 503, 0);
	assert_has(cause(), "carrier-b answered 503");
	assert_has(verdict.cause, "also: carrier-a no reply");
}

static void a_late_200_overrules_a_failure(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 90, 486);
	end(SB_CALL_FAILED, 90, "busy", "callee", "final_reply", 486, 0);
	begin(200 * MS);
	sb_put_time(&o, SB_C_ANSWERED_AT, T0 + 200 * MS);
	sb_put_u64(&o, SB_C_STATE, SB_ST_CONFIRMED);
	done(SB_CALL_ANSWERED);
	assert_has(cause(), "the call is up");
}

static void an_ack_that_did_not_come_is_the_cause(void **state)
{
	(void)state;
	const uint8_t zero[8] = {0};
	initiated();
	begin(900 * MS);
	sb_put_time(&o, SB_C_ANSWERED_AT, T0 + 900 * MS);
	try(1, "carrier-b", SB_C_A_TRUNK, 2, 200, 900, 200);
	done(SB_CALL_ANSWERED);
	begin(32000 * MS);
	text(SB_C_HANGUP_BY, "callee");
	text(SB_C_HANGUP_CAUSE, "bye");
	sb_put(&o, SB_C_ACK_AT, SB_TIME, zero, sizeof(zero));
	done(SB_CALL_ENDED);
	assert_has(cause(), "the ACK never came through here");
	assert_int_equal(ladder_build(&ladder, &story), 0);
	assert_string_equal(ladder.rung[2].text.s, "try 1, no ACK came");
}

static void a_call_without_bye_is_told_as_that(void **state)
{
	(void)state;
	initiated();
	attempt(1, "carrier-b", SB_C_A_TRUNK, 2, 200, 900, 200);
	end(SB_CALL_TIMEOUT, 3000, "expired", "proxy", "max_duration", 0, 0);
	assert_has(cause(), "no BYE ever came, nor a reply to ours at max_duration");
	assert_int_equal(ladder_build(&ladder, &story), 0);
	assert_string_equal(ladder.rung[2].text.s, "answered, and no BYE came");
}

static void of_two_answers_the_first_counts(void **state)
{
	(void)state;
	initiated();
	attempt(1, "anna", SB_C_A_AGENT, 2, 0, 205, 200);
	attempt(2, "ben", SB_C_A_AGENT, 2, 0, 206, 200);
	end(SB_CALL_ENDED, 900, "", "caller", "bye", 0, 0);
	assert_string_equal(cause(), "normal: answered by anna, caller hung up");
}

static void a_try_left_without_an_answer_is_named(void **state)
{
	(void)state;
	initiated();
	begin(2 * MS);
	try(1, "carrier-a", SB_C_A_TRUNK, 2, 0, 0, 0);
	done(SB_X_ATTEMPT);
	attempt(2, "carrier-b", SB_C_A_TRUNK, 1902, 0, 2100, 200);
	end(SB_CALL_ENDED, 9000, "", "callee", "bye", 0, 0);
	assert_string_equal(cause(), "carrier-a no reply; then answered by carrier-b, callee hung up");
	assert_has(verdict.next, "sipsak");
}

static void a_transfer_that_failed_stands_in_the_cause(void **state)
{
	(void)state;
	initiated();
	begin(200 * MS);
	text(SB_C_BY, "callee");
	text(SB_C_TRANSFER_TARGET, "sip:0300@example.com");
	sb_put_u64(&o, SB_C_TRANSFER_CODE, 603);
	text(SB_C_TRANSFER_REASON, "Decline");
	done(SB_CALL_TRANSFER_FAILED);
	end(SB_CALL_ENDED, 900, "", "caller", "bye", 0, 0);
	assert_has(cause(), "; transfer to 0300 by callee failed: 603 Decline");
}

static void a_call_that_goes_on_says_so(void **state)
{
	(void)state;
	initiated();
	assert_has(cause(), "no final answer is in the journal yet");
	assert_has(verdict.next, "signalbox journal follow --call 01020300-");
}

static void every_ending_has_a_cause_and_a_next_step(void **state)
{
	(void)state;
	static const uint16_t type[] = {SB_CALL_ENDED, SB_CALL_FAILED, SB_CALL_TIMEOUT};
	static const char *const why[] = {"bye", "cancel", "final_reply", "no_answer", "no_response", "max_duration", "rpc",
			"dropped", "lost", "replaced", "send_error", "unheard_of"};
	for(size_t t = 0; t < 3; t++) {
		for(size_t w = 0; w < sizeof(why) / sizeof(why[0]); w++) {
			for(uint64_t code = 0; code < 700; code += 3) {
				setup(NULL);
				initiated();
				if(code % 2 == 0)
					attempt(1, "x", SB_C_A_TRUNK, 1, 0, 2, (int)code);
				end(type[t], 10, "", "proxy", why[w], code, code % 128);
				assert_true(strlen(cause()) > 10);
				assert_true(strlen(verdict.next) > 5);
				assert_null(strchr(verdict.next, '{'));
				teardown(NULL);
			}
		}
	}
	setup(NULL);
}

static void tables_have_no_code_twice(void **state)
{
	(void)state;
	for(size_t i = 0; i < sizeof(sip) / sizeof(sip[0]); i++)
		assert_ptr_equal(sip_meaning(sip[i].code), &sip[i]);
	for(size_t i = 0; i < sizeof(q850) / sizeof(q850[0]); i++)
		assert_ptr_equal(q850_meaning(q850[i].code), &q850[i]);
	assert_string_equal(sip_meaning(499)->is, "refused");
	assert_null(sip_meaning(200));
	assert_null(q850_meaning(0));
}

static void numbers_match_by_their_end(void **state)
{
	(void)state;
	static const struct
	{
		const char *typed, *uri;
		bool same;
	} row[] = {{"+442079460142", "sip:+442079460142@x", true}, {"02079460142", "sip:+442079460142@x", true},
			{"0044 20 7946 0142", "sip:+442079460142@x", true}, {"460142", "sip:+442079460142@x", true},
			{"60142", "sip:+442079460142@x", false}, {"442079460142", "tel:+44-20-7946-0142", true},
			{"+442079460142", "sip:460142@x", true}, {"0100", "sip:0100@x", true}, {"100", "sip:0100@x", false},
			{"0100", "sip:60100@x", false}, {"anna", "sip:anna@x", true}, {"anna", "sip:hanna@x", false},
			{"460143", "sip:+442079460142@x", false}, {"460142", "sip:%2B442079460142@x", true}, {"", "sip:x", false},
			{"000000", "sip:0@x", false}};
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct sb_field f = {.col = SB_C_FROM_URI,
				.kind = SB_STR,
				.len = (uint16_t)strlen(row[i].uri),
				.data = (const uint8_t *)row[i].uri};
		if(number_matches(row[i].typed, &f) != row[i].same)
			fail_msg("%s and %s", row[i].typed, row[i].uri);
	}
}

static void since_takes_spans_and_times(void **state)
{
	(void)state;
	static const struct
	{
		const char *s;
		uint64_t us;
	} row[] = {{"90s", T0 - 90000000}, {"10m", T0 - 600000000}, {"2h", T0 - 7200000000}, {"3d", T0 - 259200000000},
			{"2026-01-31T14:02:07.114Z", T0}, {"2026-01-31T14:02:07", T0 - 114000}, {"14:02:07", T0 - 114000},
			{"14:02", T0 - 7114000}, {"2026-01-31", T0 - 7114000 - 50520000000}, {"2026-01-31 14:02", T0 - 7114000}};
	static const char *const bad[] = {"", "x", "10", "10y", "-5m", "2026-13-01", "14:02:07x", "10mm"};
	uint64_t us;
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(since_parse(row[i].s, T0, &us), 0);
		assert_int_equal(us, row[i].us);
	}
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(since_parse(bad[i], T0, &us), -EINVAL);
}

static void nothing_that_moves_the_cursor_reaches_the_terminal(void **state)
{
	(void)state;
	char all[256];
	for(int i = 0; i < 256; i++)
		all[i] = (char)i;
	struct text t = text_plain(all, sizeof(all));
	for(const char *p = t.s; *p != '\0'; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
	assert_string_equal(text_plain("\x1b[31m\xc2\x9b"
								   "2J",
								9)
								.s,
			"?[31m?2J");
	assert_string_equal(text_plain("", 0).s, "");
}

static void long_texts_are_cut_between_characters(void **state)
{
	(void)state;
	char euros[3000];
	char small[8] = "";
	for(size_t i = 0; i < sizeof(euros); i += 3)
		memcpy(euros + i, "\xe2\x82\xac", 3);
	struct text t = text_plain(euros, sizeof(euros));
	assert_true(strlen(t.s) < TEXT_MAX);
	assert_int_equal(strlen(t.s) % 3, 0);
	SAY(small, "%s", "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
	assert_string_equal(small, "\xe2\x82\xac\xe2\x82\xac");
	SAY(small, "%s", "abc");
	assert_true(strlen(small) < sizeof(small));
}

static void spans_are_written_as_people_do(void **state)
{
	(void)state;
	assert_string_equal(text_span(0).s, "0 ms");
	assert_string_equal(text_span(999999).s, "999 ms");
	assert_string_equal(text_span(1900000).s, "1.90 s");
	assert_string_equal(text_span(41300000).s, "41.3 s");
	assert_string_equal(text_span(724000000).s, "12 min 4 s");
	assert_string_equal(text_span(36060000000).s, "10 h 1 min");
}

static void damaged_records_are_not_taken(void **state)
{
	(void)state;
	struct sb_rec rec = {.hdr = {.type = SB_CALL_INITIATED, .len = 3}, .payload = (const uint8_t *)"\1\1\1"};
	assert_int_equal(story_add(&story, &rec), -EBADMSG);
	assert_int_equal(story.events, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
			TEST(a_failover_names_the_silent_carrier_first),
			TEST(busy_is_no_fault),
			TEST(q850_says_it_better_than_404),
			TEST(a_404_of_an_agent_asks_for_the_registration),
			TEST(what_the_caller_got_is_told_where_the_proxy_changed_it),
			TEST(cancel_tells_whether_it_rang),
			TEST(silence_and_no_answer_are_told_apart),
			TEST(what_could_not_be_sent_is_not_called_silent),
			TEST(several_refusals_are_all_told),
			TEST(a_late_200_overrules_a_failure),
			TEST(an_ack_that_did_not_come_is_the_cause),
			TEST(a_call_without_bye_is_told_as_that),
			TEST(of_two_answers_the_first_counts),
			TEST(a_try_left_without_an_answer_is_named),
			TEST(a_transfer_that_failed_stands_in_the_cause),
			TEST(a_call_that_goes_on_says_so),
			TEST(every_ending_has_a_cause_and_a_next_step),
			TEST(tables_have_no_code_twice),
			TEST(numbers_match_by_their_end),
			TEST(since_takes_spans_and_times),
			TEST(nothing_that_moves_the_cursor_reaches_the_terminal),
			TEST(long_texts_are_cut_between_characters),
			TEST(spans_are_written_as_people_do),
			TEST(damaged_records_are_not_taken),
	};
	return cmocka_run_group_tests_name("story", tests, NULL, NULL);
}
