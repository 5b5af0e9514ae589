/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "event.h"
#include "json_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NODE "6f1c2a4e-0d5b-4b7a-9c3e-1a2b3c4d5e6f"
#define AT 1769868127114001ull

static uint8_t buf[SB_LOG_MAX_RECORD];
static struct sb_out o;

static void text(enum sb_col col, const char *s)
{
	sb_put_str(&o, col, s, strlen(s));
}

static void begin(void)
{
	const uint8_t rnd[10] = {1};
	uint8_t id[16];
	o = (struct sb_out){.p = buf, .cap = sizeof(buf)};
	sb_uuid7(id, AT / 1000, rnd);
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, AT);
}

static json_t *event(uint16_t type)
{
	struct sb_rec rec = {.hdr = {.type = type, .len = (uint32_t)o.len}, .payload = buf};
	assert_false(o.overflow);
	return sb_event_json(&rec, NODE);
}

/** "data.hangup.by" → its text, or "<null>", "<absent>", or the value as JSON. */
static const char *at(json_t *j, const char *path)
{
	static char out[1024];
	char step[64];
	while(j != NULL && *path != '\0') {
		size_t n = strcspn(path, ".");
		snprintf(step, sizeof(step), "%.*s", (int)n, path);
		j = json_is_array(j) ? json_array_get(j, (size_t)atoi(step)) : json_object_get(j, step);
		path += path[n] == '.' ? n + 1 : n;
	}
	if(j == NULL)
		return "<absent>";
	if(json_is_null(j))
		return "<null>";
	if(json_is_string(j))
		return json_string_value(j);
	char *s = json_dumps(j, SB_JSON_FLAGS | JSON_ENCODE_ANY);
	snprintf(out, sizeof(out), "%s", s);
	free(s);
	return out;
}

static void the_envelope_has_type_timestamp_data(void **state)
{
	(void)state;
	begin();
	json_t *j = event(SB_CALL_INITIATED);
	assert_int_equal(json_object_size(j), 3);
	assert_string_equal(at(j, "type"), "call.initiated");
	assert_string_equal(at(j, "timestamp"), "2026-01-31T14:02:07.114001Z");
	assert_string_equal(at(j, "data.node"), NODE);
	json_decref(j);
}

static void unknown_is_null_and_what_is_not_of_the_type_is_absent(void **state)
{
	(void)state;
	begin();
	json_t *j = event(SB_CALL_RINGING);
	assert_string_equal(at(j, "data.did"), "<null>");
	assert_string_equal(at(j, "data.from.uri"), "<null>");
	assert_string_equal(at(j, "data.attempt"), "<null>");
	assert_string_equal(at(j, "data.answered_at"), "<null>");
	assert_string_equal(at(j, "data.duration_s"), "<null>");
	assert_string_equal(at(j, "data.customer"), "{}");
	assert_string_equal(at(j, "data.sip.media"), "[]");
	assert_string_equal(at(j, "data.hangup"), "<absent>");
	assert_string_equal(at(j, "data.attempts"), "<absent>");
	assert_string_equal(at(j, "data.ack"), "<absent>");
	assert_string_equal(at(j, "data.inferred"), "<absent>");
	json_decref(j);
}

static void the_end_of_a_call_is_told_in_hangup(void **state)
{
	(void)state;
	begin();
	sb_put_u64(&o, SB_C_STATE, SB_ST_DISCONNECTED);
	sb_put_time(&o, SB_C_ENDED_AT, AT);
	sb_put_u64(&o, SB_C_DURATION_US, 11004321);
	sb_put_u64(&o, SB_C_PDD_US, 200345);
	sb_put_u64(&o, SB_C_INFERRED, 1);
	text(SB_C_HANGUP_BY, "caller");
	text(SB_C_HANGUP_CAUSE, "bye");
	sb_put_u64(&o, SB_C_Q850, 16);
	sb_put_time(&o, SB_C_ACK_AT, AT - 1);
	json_t *j = event(SB_CALL_ENDED);
	assert_string_equal(at(j, "data.state"), "disconnected");
	assert_string_equal(at(j, "data.duration_s"), "11.004321");
	assert_string_equal(at(j, "data.pdd_ms"), "200.345");
	assert_string_equal(at(j, "data.inferred"), "true");
	assert_string_equal(at(j, "data.hangup.by"), "caller");
	assert_string_equal(at(j, "data.hangup.q850"), "16");
	assert_string_equal(at(j, "data.hangup.sip_code"), "<null>");
	assert_string_equal(at(j, "data.ack.received"), "true");
	assert_string_equal(at(j, "data.ack.at"), "2026-01-31T14:02:07.114000Z");
	json_decref(j);
}

static void an_ack_is_there_or_missing_or_not_known(void **state)
{
	(void)state;
	const uint8_t zero[8] = {0};
	begin();
	json_t *j = event(SB_CALL_ENDED);
	assert_string_equal(at(j, "data.ack.received"), "<null>");
	json_decref(j);
	sb_put(&o, SB_C_ACK_AT, SB_TIME, zero, sizeof(zero));
	j = event(SB_CALL_ENDED);
	assert_string_equal(at(j, "data.ack.received"), "false");
	assert_string_equal(at(j, "data.ack.at"), "<null>");
	json_decref(j);
}

static void put_attempt(uint64_t n, const char *reason)
{
	size_t mark = sb_group_begin(&o, SB_C_ATTEMPT);
	sb_put_u64(&o, SB_C_A_N, n);
	text(SB_C_A_TRUNK, "carrier-a");
	text(SB_C_A_DST, "udp:192.0.2.7:5060");
	sb_put_u64(&o, SB_C_A_CODE, 503);
	sb_put_u64(&o, SB_C_A_LOCAL, n == 1);
	text(SB_C_A_REASON, reason);
	sb_group_end(&o, mark);
}

static void one_attempt_stands_alone_and_a_cdr_has_all(void **state)
{
	(void)state;
	begin();
	put_attempt(1, "Service Unavailable");
	put_attempt(2, "Service Unavailable");
	sb_put_u64(&o, SB_C_ATTEMPTS_TOTAL, 2);
	json_t *j = event(SB_CALL_FAILED);
	assert_string_equal(at(j, "data.attempt.n"), "1");
	assert_string_equal(at(j, "data.attempt.local"), "true");
	assert_string_equal(at(j, "data.attempt.destination"), "udp:192.0.2.7:5060");
	assert_string_equal(at(j, "data.attempt.agent"), "<null>");
	json_decref(j);
	j = event(SB_CALL_CDR);
	assert_string_equal(at(j, "data.attempt"), "<absent>");
	assert_string_equal(at(j, "data.attempts.1.n"), "2");
	assert_string_equal(at(j, "data.attempts.1.local"), "false");
	assert_string_equal(at(j, "data.attempts_total"), "2");
	json_decref(j);
}

static void attributes_are_split_into_customer_and_others(void **state)
{
	(void)state;
	begin();
	text(SB_C_ATTRIBUTE, "customer.name=Acme = Co");
	text(SB_C_ATTRIBUTE, "customer.vip=0");
	text(SB_C_ATTRIBUTE, "customer.vip=1");
	text(SB_C_ATTRIBUTE, "attr.queue=sales");
	text(SB_C_ATTRIBUTE, "plain");
	json_t *j = event(SB_CALL_UPDATED);
	assert_string_equal(at(j, "data.customer"), "{\"name\":\"Acme = Co\",\"vip\":\"1\"}");
	assert_string_equal(at(j, "data.attributes"), "{\"queue\":\"sales\",\"plain\":\"\"}");
	json_decref(j);
}

static void media_lists_codecs_in_order(void **state)
{
	(void)state;
	begin();
	size_t mark = sb_group_begin(&o, SB_C_MEDIA);
	text(SB_C_M_KIND, "audio");
	text(SB_C_M_CODECS, "PCMU,,telephone-event");
	sb_put_u64(&o, SB_C_M_PORT, 40000);
	sb_group_end(&o, mark);
	json_t *j = event(SB_CALL_ANSWERED);
	assert_string_equal(at(j, "data.sip.media.0.codecs"), "[\"PCMU\",\"telephone-event\"]");
	assert_string_equal(at(j, "data.sip.media.0.port"), "40000");
	assert_string_equal(at(j, "data.sip.media.0.address"), "<null>");
	json_decref(j);
}

static void a_custom_event_has_its_own_type(void **state)
{
	(void)state;
	begin();
	text(SB_C_NAME, "custom.menu");
	text(SB_C_TEXT, "2");
	json_t *j = event(SB_CUSTOM);
	assert_string_equal(at(j, "type"), "custom.menu");
	assert_string_equal(at(j, "data.text"), "2");
	json_decref(j);
}

static void numbers_are_e164_or_null(void **state)
{
	(void)state;
	static const struct
	{
		const char *uri, *number;
	} row[] = {{"sip:+12125550199@example.com", "+12125550199"},
			{"sip:+1-212-555.0199;npdi@example.com:5060;user=phone", "+12125550199"},
			{"tel:+44(20)79460142;phone-context=x", "+442079460142"},
			{"sips:+4930901820:secret@example.com", "+4930901820"}, {"sip:%2B4930901820@example.com", "+4930901820"},
			{"SIP:+4930901820@example.com", "+4930901820"}, {"+4930901820", "+4930901820"},
			{"sip:02079460142@example.com", NULL}, {"sip:anna@example.com", NULL}, {"sip:+44anna@example.com", NULL},
			{"sip:+0123456789@example.com", NULL}, {"sip:+1234567890123456@example.com", NULL},
			{"sip:+1234@example.com", NULL}, {"sip:example.com", NULL}, {"sip:+4930901820", NULL}, {"", NULL},
			{"sip:+@example.com", NULL}};
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char out[17] = "";
		bool is = sb_e164(out, row[i].uri, strlen(row[i].uri));
		if(is != (row[i].number != NULL) || strcmp(out, is ? row[i].number : "") != 0)
			fail_msg("%s gave %s", row[i].uri, is ? out : "none");
	}
}

static void bad_utf8_is_replaced_and_good_is_kept(void **state)
{
	(void)state;
	static const struct
	{
		const char *in, *json;
		size_t len;
	} row[] = {{"plain", "\"plain\"", 5}, {"\xe2\x82\xac", "\"\xe2\x82\xac\"", 3},
			{"\xf0\x9f\x93\x9e", "\"\xf0\x9f\x93\x9e\"", 4}, {"J\xf6rg", "\"J\xef\xbf\xbdrg\"", 4},
			{"\xe2\x82x", "\"\xef\xbf\xbdx\"", 3}, {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"", 2},
			{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", 3}, {"\xf4\x90\x80\x80", NULL, 4},
			{"\xff\xfe", NULL, 2}, {"\xe2\x82", "\"\xef\xbf\xbd\"", 2},
			{"a\0b",
					"\"a\xef\xbf\xbd"
					"b\"",
					3},
			{"\"\\\n\x01", "\"\\\"\\\\\\n\\u0001\"", 4}, {"", "\"\"", 0}};
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		json_t *j = sb_json_string(row[i].in, row[i].len);
		assert_non_null(j);
		char *s = json_dumps(j, JSON_ENCODE_ANY);
		json_t *back = json_loads(s, JSON_DECODE_ANY, NULL);
		assert_non_null(back);
		if(row[i].json != NULL)
			assert_string_equal(s, row[i].json);
		json_decref(back);
		free(s);
		json_decref(j);
	}
}

static void every_byte_in_every_place_gives_valid_json(void **state)
{
	(void)state;
	for(int c = 0; c < 256; c++) {
		char s[3] = {(char)c, '=', (char)c};
		size_t len;
		begin();
		sb_put_str(&o, SB_C_FROM_URI, s, 3);
		sb_put_str(&o, SB_C_FROM_NAME, s, 1);
		sb_put_str(&o, SB_C_ATTRIBUTE, s, 3);
		struct sb_rec rec = {.hdr = {.type = SB_CALL_INITIATED, .len = (uint32_t)o.len}, .payload = buf};
		char *out = sb_event_text(&rec, NODE, &len);
		assert_non_null(out);
		assert_int_equal(len, strlen(out));
		assert_null(strchr(out, '\n'));
		json_t *back = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(back);
		json_decref(back);
		free(out);
	}
}

static void a_long_cdr_keeps_its_last_attempts_and_says_so(void **state)
{
	(void)state;
	begin();
	for(uint64_t n = 1; n <= 100; n++)
		put_attempt(n, "Service Unavailable");
	sb_put_u64(&o, SB_C_ATTEMPTS_TOTAL, 100);
	json_t *j = event(SB_CALL_CDR);
	size_t size = json_dumpb(j, NULL, 0, SB_JSON_FLAGS);
	assert_true(size <= SB_BODY_MAX);
	assert_true(size > SB_BODY_MAX - 1000); /* no more than needed is left out */
	json_t *list = json_object_get(json_object_get(j, "data"), "attempts");
	size_t kept = json_array_size(list);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, kept - 1), "n")), 100);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "n")), 101 - (int)kept);
	assert_string_equal(at(j, "data.attempts_total"), "100");
	assert_string_equal(at(j, "data.truncated"), "[\"attempts\"]");
	json_decref(j);
}

static void no_payload_at_all_makes_a_body_above_the_limit(void **state)
{
	(void)state;
	static const uint8_t col[] = {SB_C_SIP_CALL_ID, SB_C_FROM_URI, SB_C_TO_URI, SB_C_RURI, SB_C_DID, SB_C_FLOW,
			SB_C_SIP_BRANCH, SB_C_HANGUP_REASON, SB_C_TRANSFER_TARGET};
	char big[6001];
	memset(big, 1, sizeof(big)); /* six bytes of JSON each */
	begin();
	for(size_t i = 0; i < sizeof(col); i++)
		sb_put_str(&o, col[i], big, sizeof(big) - 1);
	for(int i = 0; i < 40; i++) {
		char attribute[80];
		snprintf(attribute, sizeof(attribute), "customer.name%d=0123456789012345678901234567890123456789", i);
		text(SB_C_ATTRIBUTE, attribute);
		put_attempt((uint64_t)i, "Gone");
		size_t mark = sb_group_begin(&o, SB_C_MEDIA);
		text(SB_C_M_CODECS, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p");
		sb_group_end(&o, mark);
	}
	json_t *j = event(SB_CALL_CDR);
	assert_non_null(j);
	assert_true(json_dumpb(j, NULL, 0, SB_JSON_FLAGS) <= 20000);
	json_decref(j);
}

static void a_cut_text_ends_between_two_characters(void **state)
{
	(void)state;
	char euros[9001];
	for(size_t i = 0; i + 3 < sizeof(euros); i += 3)
		memcpy(euros + i, "\xe2\x82\xac", 3);
	begin();
	sb_put_str(&o, SB_C_FROM_NAME, euros, 9000);
	sb_put_str(&o, SB_C_TO_NAME, euros, 9000);
	sb_put_str(&o, SB_C_DID, euros, 9000);
	json_t *j = event(SB_CALL_INITIATED);
	assert_non_null(j);
	assert_string_equal(at(j, "data.truncated"), "[\"strings\"]");
	const char *did = at(j, "data.did");
	size_t n = strlen(did);
	assert_int_equal(n % 3, 0);
	assert_string_equal(did + n - 3, "\xe2\x80\xa6");
	json_decref(j);
}

static void what_is_no_event_gives_null(void **state)
{
	(void)state;
	begin();
	assert_null(event(SB_X_ATTEMPT));
	assert_null(event(0));
	assert_null(event(99));
	o.len--;
	assert_null(event(SB_CALL_INITIATED));
	o.len = 0;
	assert_null(event(SB_CALL_INITIATED));
	begin();
	sb_put(&o, SB_C_ATTEMPT, SB_GROUP, "\1", 1);
	assert_null(event(SB_CALL_CDR));
	assert_null(event(SB_CALL_FAILED));
}

static void numbers_that_json_cannot_hold_are_null(void **state)
{
	(void)state;
	begin();
	sb_put_u64(&o, SB_C_SEQUENCE, UINT64_MAX);
	sb_put_u64(&o, SB_C_STATE, UINT64_MAX);
	sb_put_time(&o, SB_C_ANSWERED_AT, UINT64_MAX);
	json_t *j = event(SB_CALL_INITIATED);
	assert_string_equal(at(j, "data.sequence"), "<null>");
	assert_string_equal(at(j, "data.state"), "<null>");
	assert_string_equal(at(j, "data.answered_at"), "<null>");
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(the_envelope_has_type_timestamp_data),
			cmocka_unit_test(unknown_is_null_and_what_is_not_of_the_type_is_absent),
			cmocka_unit_test(the_end_of_a_call_is_told_in_hangup),
			cmocka_unit_test(an_ack_is_there_or_missing_or_not_known),
			cmocka_unit_test(one_attempt_stands_alone_and_a_cdr_has_all),
			cmocka_unit_test(attributes_are_split_into_customer_and_others),
			cmocka_unit_test(media_lists_codecs_in_order),
			cmocka_unit_test(a_custom_event_has_its_own_type),
			cmocka_unit_test(numbers_are_e164_or_null),
			cmocka_unit_test(bad_utf8_is_replaced_and_good_is_kept),
			cmocka_unit_test(every_byte_in_every_place_gives_valid_json),
			cmocka_unit_test(a_long_cdr_keeps_its_last_attempts_and_says_so),
			cmocka_unit_test(no_payload_at_all_makes_a_body_above_the_limit),
			cmocka_unit_test(a_cut_text_ends_between_two_characters),
			cmocka_unit_test(what_is_no_event_gives_null),
			cmocka_unit_test(numbers_that_json_cannot_hold_are_null),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
