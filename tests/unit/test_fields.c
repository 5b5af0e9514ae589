/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "fields.h"

#define SECOND 1000000ull

static struct cs_call call;

static struct cs_value get(const char *name, uint64_t mono)
{
	struct cs_value v;
	const struct cs_field *f = cs_field_find(name, strlen(name));
	assert_non_null(f);
	memset(&v, 0x5a, sizeof(v));
	cs_field_get(f, &call, mono, &v);
	return v;
}

static void assert_text(const char *name, const char *text)
{
	struct cs_field const *f = cs_field_find(name, strlen(name));
	struct cs_value v;
	assert_non_null(f);
	cs_field_get(f, &call, 0, &v);
	assert_true(v.kind == CS_V_TEXT || v.kind == CS_V_TIME);
	assert_int_equal(strlen(text), v.text.len);
	assert_memory_equal(text, v.text.s, v.text.len);
}

static int empty_call(void **s)
{
	(void)s;
	cs_call_clear(&call);
	return 0;
}

static void what_is_not_known_has_no_value(void **s)
{
	(void)s;
	static const char *const none[] = {"id", "sip_call_id", "state", "did", "answered", "ended", "pdd", "max_duration",
			"outcome", "hangup_by", "hangup_cause", "hangup_code", "q850", "transferred_to"};
	for(size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(CS_V_NONE, get(none[i], SECOND).kind);
	assert_int_equal(0, get("attempts", SECOND).n);
	assert_int_equal(0, get("duration", SECOND).n);
}

static void every_field_can_be_asked_of_a_call_that_is_empty_or_full(void **s)
{
	(void)s;
	for(int full = 0; full < 2; full++) {
		if(full) {
			memset(call.id, 7, sizeof(call.id));
			call.started_at = call.ringing_at = call.early_at = call.answered_at = call.ended_at = UINT64_MAX;
			call.state = 255, call.by = call.outcome = call.cause = 255, call.code = call.q850 = 65535;
		}
		for(const struct cs_field *f = cs_fields; f->name != NULL; f++) {
			struct cs_value v;
			cs_field_get(f, &call, UINT64_MAX, &v);
			assert_ptr_equal(f, cs_field_find(f->name, strlen(f->name)));
			assert_true(v.kind != CS_V_TEXT || (v.text.s != NULL && v.text.len > 0));
		}
	}
}

static void texts_times_and_numbers_come_as_what_they_are(void **s)
{
	(void)s;
	cs_text_set(&call, CS_T_DID, "+15550100", 9);
	cs_text_set(&call, CS_T_FROM_URI, "sip:alice@example.net", 21);
	call.state = SB_ST_RINGING;
	call.started_at = 1700000000ull * SECOND + 12;
	call.pdd = 1234567;
	call.flags = CS_F_RESTORED;
	call.attempts_total = 3;
	call.code = 486;
	assert_text("did", "+15550100");
	assert_text("from", "sip:alice@example.net");
	assert_text("state", "ringing");
	assert_text("started", "2023-11-14T22:13:20.000012Z");
	assert_int_equal(call.started_at, get("started", 0).n);
	assert_int_equal(1235, get("pdd", 0).n);
	assert_int_equal(1, get("restored", 0).n);
	assert_int_equal(0, get("inferred", 0).n);
	assert_int_equal(3, get("attempts", 0).n);
	assert_int_equal(486, get("hangup_code", 0).n);
	for(size_t i = 0; i < sizeof(call.id); i++)
		call.id[i] = (uint8_t)(i * 17);
	assert_text("id", "00112233-4455-6677-8899-aabbccddeeff");
}

static void duration_runs_while_answered_and_stays_when_over(void **s)
{
	(void)s;
	call.state = SB_ST_CONFIRMED;
	call.mono_answer = 100 * SECOND;
	assert_int_equal(61, get("duration", 161 * SECOND + 999999).n);
	assert_int_equal(0, get("duration", 99 * SECOND).n);
	call.state = SB_ST_DISCONNECTED;
	call.duration_us = 75 * SECOND + 1;
	assert_int_equal(75, get("duration", 900 * SECOND).n);
}

static void how_a_call_ended_is_not_told_before_it_did(void **s)
{
	(void)s;
	call.state = SB_ST_CONFIRMED;
	call.by = CS_BY_PROXY;
	call.cause = CS_C_RPC;
	assert_int_equal(CS_V_NONE, get("hangup_by", 0).kind);
	assert_int_equal(CS_V_NONE, get("hangup_cause", 0).kind);
	call.state = SB_ST_DISCONNECTED;
	assert_text("hangup_by", "proxy");
	assert_text("hangup_cause", "rpc");
}

static void unknown_names_are_refused(void **s)
{
	(void)s;
	assert_null(cs_field_find("", 0));
	assert_null(cs_field_find("stat", 4));
	assert_null(cs_field_find("states", 6));
	assert_true(cs_attr_name("attr.x", 6));
	assert_true(cs_attr_name("customer.tier", 13));
	assert_false(cs_attr_name("attr.", 5));
	assert_false(cs_attr_name("attr.a=b", 8));
	assert_false(cs_attr_name("other.x", 7));
}

static void attribute_is_found_with_and_without_its_prefix(void **s)
{
	(void)s;
	size_t len = 0;
	assert_int_equal(0, cs_attr_set(&call, "attr.queue", 10, "sales", 5));
	assert_int_equal(0, cs_attr_set(&call, "skill", 5, "de", 2));
	assert_int_equal(0, cs_attr_set(&call, "customer.tier", 13, "gold", 4));
	assert_memory_equal("sales", cs_attr_find(&call, "attr.queue", 10, &len), 5);
	assert_memory_equal("de", cs_attr_find(&call, "attr.skill", 10, &len), 2);
	assert_int_equal(2, len);
	assert_memory_equal("gold", cs_attr_find(&call, "customer.tier", 13, &len), 4);
	assert_null(cs_attr_find(&call, "attr.tier", 9, &len));
}

static void times_outside_the_calendar_are_empty(void **s)
{
	(void)s;
	char t[CS_VALUE_BUF];
	cs_time_text(t, 0);
	assert_string_equal("", t);
	cs_time_text(t, UINT64_MAX);
	assert_string_equal("", t);
	cs_time_text(t, 253402300799ull * SECOND + 999999);
	assert_string_equal("9999-12-31T23:59:59.999999Z", t);
}

static void bytes_from_the_wire_become_valid_utf8(void **s)
{
	(void)s;
	static const struct
	{
		const char *in, *out;
	} t[] = {{"plain", "plain"}, {"a\r\nb\x7f\x01", "a??b??"},
			{"J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x93\x9e", "J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x93\x9e"},
			{"J\xf6rg", "J?rg"}, {"\xc0\xaf", "??"}, {"\xe0\x80\xaf", "???"}, {"\xed\xa0\x80", "???"},
			{"\xf5\x80\x80\x80", "????"}, {"\xf4\x90\x80\x80", "????"}, {"end\xe2\x82", "end??"}, {"\xc3", "?"}};
	for(size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char buf[64];
		snprintf(buf, sizeof(buf), "%s", t[i].in);
		cs_clean(buf, strlen(buf));
		assert_string_equal(t[i].out, buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test_setup(what_is_not_known_has_no_value, empty_call),
			cmocka_unit_test_setup(every_field_can_be_asked_of_a_call_that_is_empty_or_full, empty_call),
			cmocka_unit_test_setup(texts_times_and_numbers_come_as_what_they_are, empty_call),
			cmocka_unit_test_setup(duration_runs_while_answered_and_stays_when_over, empty_call),
			cmocka_unit_test_setup(how_a_call_ended_is_not_told_before_it_did, empty_call),
			cmocka_unit_test_setup(unknown_names_are_refused, empty_call),
			cmocka_unit_test_setup(attribute_is_found_with_and_without_its_prefix, empty_call),
			cmocka_unit_test(times_outside_the_calendar_are_empty),
			cmocka_unit_test(bytes_from_the_wire_become_valid_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
