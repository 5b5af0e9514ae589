/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "event.h"
#include "layer_line.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NODE "6f1c2a4e-0d5b-4b7a-9c3e-1a2b3c4d5e6f"
#define ID "6f1c2a4e0d5b4b7a9c3e1a2b3c4d5e6f-2a-1f3"
#define AT 1769868127114001ull

static uint8_t payload[SB_LOG_MAX_RECORD];
static struct sb_out o;
static char line[SB_LAYER_LINE_MAX + 1];

static void text(enum sb_col col, const char *s)
{
	sb_put_str(&o, col, s, strlen(s));
}

static void begin(void)
{
	const uint8_t rnd[10] = {1};
	uint8_t id[16];

	o = (struct sb_out){.p = payload, .cap = sizeof(payload)};
	sb_uuid7(id, AT / 1000, rnd);
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, AT);
}

static int render_max(uint16_t type, size_t max)
{
	struct sb_rec rec = {
			.hdr = {.type = type, .len = (uint32_t)o.len, .seq = 0x1f3, .epoch = 0x2a}, .payload = payload};
	int n;

	assert_false(o.overflow);
	memset(line, 'X', sizeof(line));
	n = sb_layer_line(line, max, &rec, NODE);
	assert_int_equal('X', line[max]);
	if(n > 0) {
		assert_int_equal('\n', line[n - 1]);
		line[n] = '\0';
	}
	return n;
}

/* The line as JSON. */
static json_t *render(uint16_t type)
{
	int n = render_max(type, SB_LAYER_LINE_MAX);
	json_t *j;

	assert_true(n > 0);
	j = json_loadb(line, (size_t)n - 1, 0, NULL);
	assert_non_null(j);
	return j;
}

static void a_ringing_attempt_is_told_in_four_layers(void **state)
{
	size_t mark;

	(void)state;
	begin();
	sb_put_u64(&o, SB_C_SEQUENCE, 2);
	sb_put_u64(&o, SB_C_STATE, SB_ST_RINGING);
	text(SB_C_SIP_CALL_ID, "abc@192.0.2.1");
	text(SB_C_FROM_URI, "sip:+442079460142@192.0.2.1;user=phone");
	text(SB_C_TO_URI, "sip:anna@sip.example.com");
	text(SB_C_TRUNK, "north");
	mark = sb_group_begin(&o, SB_C_ATTEMPT);
	sb_put_u64(&o, SB_C_A_N, 1);
	text(SB_C_A_URI, "sip:anna@192.0.2.7");
	text(SB_C_A_DST, "udp:192.0.2.7:5060");
	sb_group_end(&o, mark);
	text(SB_C_SIP_METHOD, "INVITE");
	text(SB_C_SIP_BRANCH, "z9hG4bK1");
	sb_put_u64(&o, SB_C_SIP_CSEQ, 17);
	sb_put_u64(&o, SB_C_SIP_CODE, 180);
	text(SB_C_SIP_REASON, "Ringing");
	text(SB_C_FROM_TAG, "f1");
	text(SB_C_TO_TAG, "t1");
	assert_true(render_max(SB_CALL_RINGING, SB_LAYER_LINE_MAX) > 0);
	assert_string_equal(line,
			"{\"at\":\"2026-01-31T14:02:07.114001Z\",\"id\":\"" ID "\",\"type\":\"call.ringing\","
			"\"method\":{\"name\":\"INVITE\",\"cseq\":17},"
			"\"transaction\":{\"branch\":\"z9hG4bK1\",\"code\":180,\"reason\":\"Ringing\"},"
			"\"dialog\":{\"call_id\":\"abc@192.0.2.1\",\"from_tag\":\"f1\",\"to_tag\":\"t1\",\"state\":\"early\"},"
			"\"call\":{\"call_id\":\"019c145c-6b8a-7100-8000-000000000000\",\"sequence\":2,\"state\":\"ringing\","
			"\"from\":\"+442079460142\",\"to\":\"sip:anna@sip.example.com\",\"trunk\":\"north\","
			"\"attempt\":{\"n\":1,\"uri\":\"sip:anna@192.0.2.7\",\"destination\":\"udp:192.0.2.7:5060\"}}}\n");
}

static void what_is_not_known_is_not_there(void **state)
{
	(void)state;
	begin();
	assert_true(render_max(SB_CALL_INITIATED, SB_LAYER_LINE_MAX) > 0);
	assert_string_equal(line, "{\"at\":\"2026-01-31T14:02:07.114001Z\",\"id\":\"" ID "\",\"type\":\"call.initiated\","
							  "\"call\":{\"call_id\":\"019c145c-6b8a-7100-8000-000000000000\"}}\n");
}

static void the_end_tells_outcome_hangup_and_times(void **state)
{
	json_t *j, *call, *hangup;

	(void)state;
	begin();
	sb_put_u64(&o, SB_C_STATE, SB_ST_FAILED);
	text(SB_C_OUTCOME, "busy");
	text(SB_C_HANGUP_BY, "callee");
	text(SB_C_HANGUP_CAUSE, "final_reply");
	sb_put_u64(&o, SB_C_HANGUP_CODE, 486);
	text(SB_C_HANGUP_REASON, "Busy Here");
	sb_put_u64(&o, SB_C_Q850, 17);
	sb_put_u64(&o, SB_C_DURATION_US, 11004321);
	sb_put_u64(&o, SB_C_PDD_US, 5);
	sb_put_u64(&o, SB_C_INFERRED, 1);
	j = render(SB_CALL_FAILED);
	call = json_object_get(j, "call");
	hangup = json_object_get(call, "hangup");
	assert_string_equal("busy", json_string_value(json_object_get(call, "outcome")));
	assert_int_equal(486, json_integer_value(json_object_get(hangup, "code")));
	assert_int_equal(17, json_integer_value(json_object_get(hangup, "q850")));
	assert_non_null(strstr(line, "\"duration_s\":11.004321,\"pdd_ms\":0.005,\"inferred\":true}}"));
	assert_string_equal("terminated", json_string_value(json_object_get(json_object_get(j, "dialog"), "state")));
	json_decref(j);
}

static void a_custom_event_has_its_own_type_and_text(void **state)
{
	json_t *j;

	(void)state;
	begin();
	text(SB_C_NAME, "custom.vip");
	text(SB_C_TEXT, "yes");
	j = render(SB_CUSTOM);
	assert_string_equal("custom.vip", json_string_value(json_object_get(j, "type")));
	assert_string_equal("yes", json_string_value(json_object_get(json_object_get(j, "call"), "text")));
	json_decref(j);
}

static void a_cdr_has_the_number_of_its_attempts_and_none_of_them(void **state)
{
	size_t mark;
	json_t *j;

	(void)state;
	begin();
	sb_put_u64(&o, SB_C_ATTEMPTS_TOTAL, 2);
	for(uint64_t n = 1; n <= 2; n++) {
		mark = sb_group_begin(&o, SB_C_ATTEMPT);
		sb_put_u64(&o, SB_C_A_N, n);
		sb_group_end(&o, mark);
	}
	j = render(SB_CALL_CDR);
	assert_null(json_object_get(json_object_get(j, "call"), "attempt"));
	assert_int_equal(2, json_integer_value(json_object_get(json_object_get(j, "call"), "attempts")));
	json_decref(j);
}

static void control_characters_are_escaped_and_bad_utf8_is_replaced(void **state)
{
	(void)state;
	begin();
	text(SB_C_RURI, "a\r\n\x1b[2J\x7f\xc2\x85\xe2\x80\xae\"\\\xff\xc3\xa9\xf0\x9f\x93\x9e");
	json_decref(render(SB_CALL_INITIATED));
	assert_non_null(
			strstr(line, "\"request_uri\":\"a\\u000d\\u000a\\u001b[2J\\u007f\\u0085\\u202e\\\"\\\\\xef\xbf\xbd\xc3\xa9"
						 "\xf0\x9f\x93\x9e\""));
}

/* Every column there is, with texts of `len` times `c` and the longest numbers. */
static void everything(const char *c, size_t len)
{
	static char many[8192];
	size_t mark = 0, n = strlen(c);

	for(size_t i = 0; i < len; i++)
		memcpy(many + i * n, c, n);
	begin();
	for(unsigned col = 2; col < 150; col++) {
		const uint8_t id[16] = {9};

		if(col == SB_C_A_N)
			mark = sb_group_begin(&o, SB_C_ATTEMPT);
		if(col == SB_C_A_Q850 + 1 && mark != 0)
			sb_group_end(&o, mark);
		if(sb_col_kind((uint8_t)col) == SB_STR)
			sb_put_str(&o, col, many, len * n);
		if(sb_col_kind((uint8_t)col) == SB_U64)
			sb_put_u64(&o, col, col == SB_C_STATE ? SB_ST_DISCONNECTED : INT64_MAX);
		if(sb_col_kind((uint8_t)col) == SB_UUID && col != SB_C_CALL_ID)
			sb_put_uuid(&o, col, id);
	}
}

static void a_line_keeps_its_bound_and_says_that_it_was_cut(void **state)
{
	static const char *const chars[] = {"x", "\"", "\x01", "\xc3\xa9", "\xff", "\xf0\x9f\x93\x9e", "\xe2\x80\xae"};
	static const size_t max[] = {SB_LAYER_LINE_MAX, SB_LAYER_SYSLOG_MAX, SB_LAYER_LINE_MIN};

	(void)state;
	for(size_t c = 0; c < sizeof(chars) / sizeof(chars[0]); c++) {
		for(size_t len = 1; len <= 256; len *= 2) {
			everything(chars[c], len);
			for(size_t m = 0; m < 3; m++) {
				for(uint16_t type = 1; type <= SB_CUSTOM; type++) {
					int n = render_max(type, max[m]);
					json_t *j;

					assert_in_range(n, 1, max[m]);
					j = json_loadb(line, (size_t)n - 1, 0, NULL);
					assert_non_null(j);
					if(len == 256)
						assert_non_null(json_object_get(j, "cut"));
					json_decref(j);
				}
			}
		}
	}
}

static void only_what_is_too_long_is_cut(void **state)
{
	static char branch[4000];
	json_t *j, *cut;

	(void)state;
	memset(branch, 'b', sizeof(branch));
	begin();
	sb_put_str(&o, SB_C_SIP_BRANCH, branch, sizeof(branch));
	text(SB_C_SIP_CALL_ID, "a-call-id-that-stays-as-it-is");
	j = render(SB_CALL_ENDED);
	cut = json_object_get(j, "cut");
	assert_int_equal(512, json_integer_value(cut));
	assert_int_equal(512, json_string_length(json_object_get(json_object_get(j, "transaction"), "branch")));
	assert_string_equal("a-call-id-that-stays-as-it-is",
			json_string_value(json_object_get(json_object_get(j, "dialog"), "call_id")));
	assert_non_null(strstr(line, "b\xe2\x80\xa6\"}"));
	json_decref(j);
}

static void internal_records_are_no_line_and_damaged_ones_an_error(void **state)
{
	(void)state;
	begin();
	assert_int_equal(0, render_max(SB_X_START, SB_LAYER_LINE_MAX));
	assert_int_equal(0, render_max(77, SB_LAYER_LINE_MAX));
	payload[2] = 0xff;
	assert_int_equal(-EBADMSG, render_max(SB_CALL_ENDED, SB_LAYER_LINE_MAX));
	o.len = 0;
	assert_int_equal(-EBADMSG, render_max(SB_CALL_ENDED, SB_LAYER_LINE_MAX));
}

static void a_line_says_whose_record_it_is(void **state)
{
	uint32_t epoch = 0;
	uint64_t seq = 0;
	int n;

	(void)state;
	begin();
	n = render_max(SB_CALL_ENDED, SB_LAYER_LINE_MAX);
	assert_true(sb_layer_line_id(line, (size_t)n - 1, NODE, &epoch, &seq));
	assert_int_equal(0x2a, epoch);
	assert_int_equal(0x1f3, seq);
	assert_false(sb_layer_line_id(line, (size_t)n - 1, "7f1c2a4e-0d5b-4b7a-9c3e-1a2b3c4d5e6f", &epoch, &seq));
	for(size_t len = 0; len < strlen("{\"at\":\"2026-01-31T14:02:07.114001Z\",\"id\":\"") + 34; len++) {
		assert_false(sb_layer_line_id(line, len, NODE, &epoch, &seq));
		assert_true(sb_layer_line_begins(line, len));
	}
	assert_false(sb_layer_line_begins("{\"ax", 4));
	assert_false(sb_layer_line_id(
			"Jan  1 00:00:00 host kamailio: a line of somebody else's log, long enough to look like one", 88, NODE,
			&epoch, &seq));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(a_ringing_attempt_is_told_in_four_layers),
			cmocka_unit_test(what_is_not_known_is_not_there),
			cmocka_unit_test(the_end_tells_outcome_hangup_and_times),
			cmocka_unit_test(a_custom_event_has_its_own_type_and_text),
			cmocka_unit_test(a_cdr_has_the_number_of_its_attempts_and_none_of_them),
			cmocka_unit_test(control_characters_are_escaped_and_bad_utf8_is_replaced),
			cmocka_unit_test(a_line_keeps_its_bound_and_says_that_it_was_cut),
			cmocka_unit_test(only_what_is_too_long_is_cut),
			cmocka_unit_test(internal_records_are_no_line_and_damaged_ones_an_error),
			cmocka_unit_test(a_line_says_whose_record_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
