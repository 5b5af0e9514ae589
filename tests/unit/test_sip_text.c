/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "guard_page.h"
#include "sip_text.h"

#define assert_span(text, span)                           \
	do {                                                  \
		struct cs_span span_ = (span);                    \
		assert_int_equal(strlen(text), span_.len);        \
		assert_memory_equal(text, span_.s, strlen(text)); \
	} while(0)

static struct cs_reason reason(const char *v, bool found)
{
	struct cs_reason r;
	assert_int_equal(found, cs_reason_read(v, strlen(v), &r));
	return r;
}

static void reason_gives_q850_and_sip_from_one_value(void **s)
{
	(void)s;
	struct cs_reason r = reason("Q.850;cause=16;text=\"Normal, call; clearing\", SIP ; cause = 200 ;text=done", true);
	assert_int_equal(16, r.q850);
	assert_span("Normal, call; clearing", r.q850_text);
	assert_int_equal(200, r.sip);
	assert_span("done", r.sip_text);
}

static void reason_takes_the_first_of_each_protocol_in_any_case(void **s)
{
	(void)s;
	struct cs_reason r = reason("q.850;Cause=17,Q.850;cause=18;text=\"x\"", true);
	assert_int_equal(17, r.q850);
	assert_int_equal(0, r.q850_text.len);
	r = reason("X.1;cause=1, Q.850;cause=999, Q.850;cause=31", true);
	assert_int_equal(31, r.q850);
}

static void reason_without_a_right_cause_is_none(void **s)
{
	(void)s;
	static const char *const bad[] = {"", "Q.850", "Q.850;cause", "Q.850;cause=", "Q.850;cause=0", "Q.850;cause=128",
			"Q.850;cause=16x", "Q.850;cause=-1", "Q.850;cause=00000000016", "SIP;cause=99", "SIP;cause=700",
			"SIP;text=\"x\"", ";;;,,,", "Q.850 cause=16", "Q.850;cause=\"16"};
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cs_reason r = reason(bad[i], false);
		assert_int_equal(0, r.q850_text.len + r.sip_text.len);
	}
}

static void reason_with_an_open_quote_keeps_the_cause_alone(void **s)
{
	(void)s;
	struct cs_reason r = reason("Q.850;cause=16;text=\"never ends, SIP;cause=200", true);
	assert_int_equal(16, r.q850);
	assert_int_equal(0, r.q850_text.len);
	assert_int_equal(0, r.sip);
	r = reason("SIP;cause=200;text=\"a \\\" b\", Q.850;cause=16", true);
	assert_span("a \\\" b", r.sip_text);
	assert_int_equal(16, r.q850);
}

static void sipfrag_gives_code_and_phrase(void **s)
{
	(void)s;
	struct cs_span p;
	const char *ok = "SIP/2.0 200 OK\r\nContact: <sip:x>\r\n";
	assert_int_equal(200, cs_sipfrag_read(ok, strlen(ok), &p));
	assert_span("OK", p);
	assert_int_equal(486, cs_sipfrag_read("sip/2.0 486 Busy Here", 21, &p));
	assert_span("Busy Here", p);
	assert_int_equal(100, cs_sipfrag_read("SIP/2.0 100", 11, &p));
	assert_int_equal(0, p.len);
	assert_int_equal(503, cs_sipfrag_read("SIP/2.0 503\n", 12, NULL));
}

static void sipfrag_that_is_no_status_line_is_refused(void **s)
{
	(void)s;
	static const char *const bad[] = {"", "SIP/2.0", "SIP/2.0 20", "SIP/2.0 2000 x", "SIP/2.0 099 x", "SIP/2.0 700 x",
			"SIP/2.0 2x0 OK", "SIP/3.0 200 OK", "INVITE sip:x SIP/2.0", " SIP/2.0 200 OK"};
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(-EBADMSG, cs_sipfrag_read(bad[i], strlen(bad[i]), NULL));
}

static int refer(const char *v, struct cs_refer *r)
{
	return cs_refer_to_read(v, strlen(v), r);
}

static void blind_refer_gives_the_uri_and_no_dialog(void **s)
{
	(void)s;
	struct cs_refer r;
	assert_int_equal(0, refer("\"Bob <x>\" <sip:bob@example.net;user=phone>;method=INVITE", &r));
	assert_span("sip:bob@example.net;user=phone", r.uri);
	assert_false(r.attended);
	assert_string_equal("", r.call_id);
	assert_int_equal(0, refer(" sip:bob@example.net;method=INVITE ", &r));
	assert_span("sip:bob@example.net", r.uri);
	assert_int_equal(0, refer("<tel:+15550100;phone-context=example.net?Subject=hi>", &r));
	assert_span("tel:+15550100;phone-context=example.net", r.uri);
	assert_false(r.attended);
}

static void attended_refer_gives_the_dialog_unescaped(void **s)
{
	(void)s;
	struct cs_refer r;
	assert_int_equal(0, refer("<sip:bob@192.0.2.4:5062;transport=udp?Subject=x&replaces=a%40b%3Bto-tag%3Dtt%3Bfrom-tag%"
							  "3Dff&Require=replaces>",
								&r));
	assert_span("sip:bob@192.0.2.4:5062;transport=udp", r.uri);
	assert_true(r.attended);
	assert_string_equal("a@b", r.call_id);
	assert_string_equal("tt", r.to_tag);
	assert_string_equal("ff", r.from_tag);
}

static void refer_with_the_at_sign_of_replaces_unescaped_is_read(void **s)
{
	(void)s;
	struct cs_refer r;
	assert_int_equal(0, refer("<sip:192.0.2.4?Replaces=a@b%3Bto-tag%3Dtt%3Bfrom-tag%3Dff>", &r));
	assert_span("sip:192.0.2.4", r.uri);
	assert_string_equal("a@b", r.call_id);
}

static void question_mark_in_a_user_part_is_not_a_header(void **s)
{
	(void)s;
	struct cs_refer r;
	assert_int_equal(0, refer("<sip:who?;x=1@example.net;lr>", &r));
	assert_span("sip:who?", ((struct cs_span){r.uri.s, 8}));
	assert_int_equal(0, refer("<sip:who?@example.net>", &r));
	assert_span("sip:who?@example.net", r.uri);
}

static void refer_that_cannot_be_read_is_refused_and_out_left_alone(void **s)
{
	(void)s;
	static const char *const bad[] = {"", "<", "<>", "bob", "<sip:>", "<sip:bob@x", "<:x>", "sip:", "<sip:x?Replaces=>",
			"<sip:x?Replaces=a%3Bto-tag%3D1>", "<sip:x?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bfrom-tag%3D3>",
			"<sip:x?Replaces=a%4>", "<sip:x?Replaces=a%zz>", "<sip:x?Replaces=a%00b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
			"<sip:x?Replaces=a%0D%0Ab%3Bto-tag%3D1%3Bfrom-tag%3D2>"};
	struct cs_refer r;
	memset(&r, 0x5a, sizeof(r));
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(-EBADMSG, refer(bad[i], &r));
	assert_int_equal(0x5a, r.call_id[0]);
}

static void replaces_gives_call_id_and_tags_in_any_order(void **s)
{
	(void)s;
	struct cs_refer r;
	const char *v = " 98732@sip.example.net ; from-tag=r33th4x0r;early-only ; To-Tag = ff87ff";
	assert_int_equal(0, cs_replaces_read(v, strlen(v), &r));
	assert_string_equal("98732@sip.example.net", r.call_id);
	assert_string_equal("ff87ff", r.to_tag);
	assert_string_equal("r33th4x0r", r.from_tag);
	assert_true(r.attended);
}

static void replaces_longer_than_its_room_is_refused_not_cut(void **s)
{
	(void)s;
	char v[600];
	struct cs_refer r;
	memset(v, 'c', sizeof(v));
	memcpy(v + 255, ";to-tag=1;from-tag=2", 21);
	assert_int_equal(0, cs_replaces_read(v, strlen(v), &r));
	assert_int_equal(255, strlen(r.call_id));
	memset(v, 'c', sizeof(v));
	memcpy(v + 256, ";to-tag=1;from-tag=2", 21);
	assert_int_equal(-EBADMSG, cs_replaces_read(v, strlen(v), &r));
	memset(v, 't', sizeof(v));
	memcpy(v, "c;from-tag=2;to-tag=", 20);
	assert_int_equal(-EBADMSG, cs_replaces_read(v, 20 + 128, &r));
	assert_int_equal(0, cs_replaces_read(v, 20 + 127, &r));
}

static void address_of_a_uri_is_user_host_and_port(void **s)
{
	(void)s;
	static const struct
	{
		const char *uri, *address;
	} t[] = {{"sip:bob@192.0.2.4:5062;transport=tcp?x=y", "bob@192.0.2.4:5062"}, {"sips:example.net", "example.net"},
			{"sip:bob@[2001:db8::1]:5060;lr", "bob@[2001:db8::1]:5060"}, {"tel:+15550100;ext=1", "+15550100"},
			{"sip:1;phone-context=x@example.net;user=phone", "1;phone-context=x@example.net"},
			{"sip:192.0.2.4?Replaces=a@b", "192.0.2.4"}, {"SIP:bob@example.net>;tag=1", "bob@example.net"},
			{"bob@example.net", ""}, {"sip:", ""}, {"", ""}, {"sip:bob@", ""}, {"sip:;lr", ""}, {"<sip:bob@x>", ""}};
	for(size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_span(t[i].address, cs_uri_address(t[i].uri, strlen(t[i].uri)));
}

static void branch_index_is_the_reversed_hexadecimal_that_tm_writes(void **s)
{
	(void)s;
	static const struct
	{
		const char *branch;
		int index;
	} t[] = {{"z9hG4bK8c1d.0123456789abcdef0123456789abcdef.0", 0},
			{"z9hG4bK8c1d.0123456789abcdef0123456789abcdef.b", 11},
			{"z9hG4bK8c1d.0123456789abcdef0123456789abcdef.01", 16}, {"z9hG4bK1.2.d1", 29}, {"z9hG4bK1.2.ff", 255},
			{"z9hG4bK1.2.fff", -EBADMSG}, {"z9hG4bK1.2.", -EBADMSG}, {"z9hG4bK1.2", -EBADMSG}, {"z9hG4bK1", -EBADMSG},
			{"z9hG4bK1.2.g", -EBADMSG}, {"z9hG4bK1.2.3.4", -EBADMSG}, {"1.2.3", -EBADMSG}, {"", -EBADMSG},
			{"z9hG4bK", -EBADMSG}};
	for(size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(t[i].index, cs_via_branch_index(t[i].branch, strlen(t[i].branch)));
}

static void inside(struct cs_span v, const char *p, size_t len)
{
	assert_true(v.s == NULL ? v.len == 0 : v.s >= p && v.s + v.len <= p + len);
}

static void every_piece_of_a_value_is_read_without_leaving_it(void **s)
{
	(void)s;
	static const char *const values[] = {"Q.850;cause=16;text=\"a\\\"b\", SIP;cause=200;text=x", "SIP/2.0 200 OK\r\n",
			"\"B\" <sip:b?c=1@h:1;p?Subject=x&Replaces=a%40b%3Bto-tag%3Dt%3Bfrom-tag%3Df>;x",
			"sip:h?Replaces=a%40b%3Bto-tag=1%3Bfrom-tag=2", "a@b;to-tag=tt;from-tag=ff", "z9hG4bK8c1d.0123456789.01",
			"Reason: x\r\nm: <a:b>\r\n y\r\n\r\nb"};
	struct guard_page g;
	guard_open(&g, 256);
	for(size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		size_t whole = strlen(values[i]);
		for(size_t from = 0; from <= whole; from++) {
			for(size_t len = 0; from + len <= whole; len++) {
				const char *p = guard_put(&g, values[i] + from, len);
				struct cs_reason r;
				struct cs_refer f;
				struct cs_span phrase = {NULL, 0};
				cs_reason_read(p, len, &r);
				inside(r.q850_text, p, len);
				inside(r.sip_text, p, len);
				cs_sipfrag_read(p, len, &phrase);
				inside(phrase, p, len);
				struct cs_span rest = {p, len}, v;
				while(cs_header_next(&rest, &v) != CS_H_BODY)
					inside(v, p, len);
				inside(rest, p, len);
				inside(cs_contact_uri((struct cs_span){p, len}), p, len);
				inside(cs_tag((struct cs_span){p, len}), p, len);
				if(cs_refer_to_read(p, len, &f) == 0)
					inside(f.uri, p, len);
				cs_replaces_read(p, len, &f);
				inside(cs_uri_address(p, len), p, len);
				cs_via_branch_index(p, len);
			}
		}
	}
	guard_close(&g);
}

static struct cs_span span(const char *s)
{
	return (struct cs_span){s, strlen(s)};
}

static void headers_of_interest_come_in_order_and_the_body_last(void **s)
{
	(void)s;
	static const char msg[] =
			"Via: SIP/2.0/UDP 192.0.2.1\r\n ;branch=z9hG4bK1\r\nCall-ID: c@x\r\nCSeq: 1 INVITE\r\n"
			"RECORD-ROUTE :\t<sip:192.0.2.9;lr>,\r\n\t<sip:192.0.2.8;lr> \r\n"
			"Contact: <sip:a@192.0.2.1>\nm: <sip:b@192.0.2.2>\r\nReasons: no\r\nReason: SIP;cause=200\r\n"
			"c:application/sdp\r\nContent-Length: 3\r\ncontent-Type: text/plain\r\n\r\nv=0";
	struct cs_span rest = {msg, sizeof(msg) - 1}, v;
	assert_int_equal(CS_H_RECORD_ROUTE, cs_header_next(&rest, &v));
	assert_span("<sip:192.0.2.9;lr>,\r\n\t<sip:192.0.2.8;lr>", v);
	assert_int_equal(CS_H_CONTACT, cs_header_next(&rest, &v));
	assert_span("<sip:a@192.0.2.1>", v);
	assert_int_equal(CS_H_CONTACT, cs_header_next(&rest, &v));
	assert_span("<sip:b@192.0.2.2>", v);
	assert_int_equal(CS_H_REASON, cs_header_next(&rest, &v));
	assert_span("SIP;cause=200", v);
	assert_int_equal(CS_H_CONTENT_TYPE, cs_header_next(&rest, &v));
	assert_span("application/sdp", v);
	assert_int_equal(CS_H_CONTENT_TYPE, cs_header_next(&rest, &v));
	assert_span("text/plain", v);
	assert_int_equal(CS_H_BODY, cs_header_next(&rest, &v));
	assert_span("v=0", rest);
}

static void a_message_without_an_empty_line_has_no_body(void **s)
{
	(void)s;
	static const char *const msg[] = {"", "Via: x", "Via: x\r\n", "Via: x\r\n\r\n", "Via: x\n\n", "c", "r:", "m",
			"\r\n", "\n", "C\r\n\r\n", "Contac: x\r\n", "Contact\r\n\r\n", "Record Route: x"};
	for(size_t i = 0; i < sizeof(msg) / sizeof(msg[0]); i++) {
		struct cs_span rest = span(msg[i]), v;
		assert_int_equal(CS_H_BODY, cs_header_next(&rest, &v));
		assert_int_equal(0, rest.len);
	}
}

static void contact_is_the_first_uri_with_or_without_brackets(void **s)
{
	(void)s;
	assert_span(
			"sip:a@b;transport=tcp", cs_contact_uri(span("\"A, <B>\" <sip:a@b;transport=tcp>;expires=3, <sip:c@d>")));
	assert_span("sip:a@b", cs_contact_uri(span("sip:a@b;expires=3")));
	assert_span("sip:a@b", cs_contact_uri(span("sip:a@b , <sip:c@d>")));
	assert_int_equal(0, cs_contact_uri(span("*")).len);
	assert_int_equal(0, cs_contact_uri(span("")).len);
	assert_span("\"open <sip:a@b>", cs_contact_uri(span("\"open <sip:a@b>")));
}

static void tag_is_a_parameter_of_the_header_not_of_the_uri(void **s)
{
	(void)s;
	assert_span("1", cs_tag(span("\"x;tag=9\" <sip:a@b;tag=8>;x=y;TAG = 1 ;z")));
	assert_span("1", cs_tag(span("sip:a@b;tag=1")));
	assert_int_equal(0, cs_tag(span("<sip:a@b;tag=8>")).len);
	assert_int_equal(0, cs_tag(span("<sip:a@b>;tag;tags=2")).len);
	assert_int_equal(0, cs_tag(span("")).len);
}

static void routes_come_one_by_one(void **s)
{
	(void)s;
	struct cs_span rest = span(" <sip:p1;lr>;x=\",\" ,\r\n \"P, two\" <sip:u@p2:5070,lr>,bad"), entry, uri;
	assert_true(cs_route_next(&rest, &entry, &uri));
	assert_span("<sip:p1;lr>;x=\",\"", entry);
	assert_span("sip:p1;lr", uri);
	assert_true(cs_route_next(&rest, &entry, &uri));
	assert_span("\"P, two\" <sip:u@p2:5070,lr>", entry);
	assert_span("sip:u@p2:5070,lr", uri);
	assert_false(cs_route_next(&rest, &entry, &uri));
}

static void host_and_port_of_a_uri(void **s)
{
	(void)s;
	unsigned port;
	assert_span("192.0.2.1", cs_uri_host(span("sip:192.0.2.1;lr"), &port));
	assert_int_equal(0, port);
	assert_span("p.example", cs_uri_host(span("sips:u:pw@p.example:5071;lr"), &port));
	assert_int_equal(5071, port);
	assert_span("[2001:db8::1]", cs_uri_host(span("sip:[2001:db8::1]:5072"), &port));
	assert_int_equal(5072, port);
	assert_span("[2001:db8::1]", cs_uri_host(span("sip:[2001:db8::1];lr"), &port));
	assert_int_equal(0, port);
	cs_uri_host(span("sip:h:99999"), &port);
	assert_int_equal(0, port);
	assert_int_equal(0, cs_uri_host(span("nothing"), &port).len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(reason_gives_q850_and_sip_from_one_value),
			cmocka_unit_test(reason_takes_the_first_of_each_protocol_in_any_case),
			cmocka_unit_test(reason_without_a_right_cause_is_none),
			cmocka_unit_test(reason_with_an_open_quote_keeps_the_cause_alone),
			cmocka_unit_test(sipfrag_gives_code_and_phrase),
			cmocka_unit_test(sipfrag_that_is_no_status_line_is_refused),
			cmocka_unit_test(blind_refer_gives_the_uri_and_no_dialog),
			cmocka_unit_test(attended_refer_gives_the_dialog_unescaped),
			cmocka_unit_test(refer_with_the_at_sign_of_replaces_unescaped_is_read),
			cmocka_unit_test(question_mark_in_a_user_part_is_not_a_header),
			cmocka_unit_test(refer_that_cannot_be_read_is_refused_and_out_left_alone),
			cmocka_unit_test(replaces_gives_call_id_and_tags_in_any_order),
			cmocka_unit_test(replaces_longer_than_its_room_is_refused_not_cut),
			cmocka_unit_test(address_of_a_uri_is_user_host_and_port),
			cmocka_unit_test(branch_index_is_the_reversed_hexadecimal_that_tm_writes),
			cmocka_unit_test(headers_of_interest_come_in_order_and_the_body_last),
			cmocka_unit_test(a_message_without_an_empty_line_has_no_body),
			cmocka_unit_test(contact_is_the_first_uri_with_or_without_brackets),
			cmocka_unit_test(tag_is_a_parameter_of_the_header_not_of_the_uri),
			cmocka_unit_test(routes_come_one_by_one),
			cmocka_unit_test(host_and_port_of_a_uri),
			cmocka_unit_test(every_piece_of_a_value_is_read_without_leaving_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
