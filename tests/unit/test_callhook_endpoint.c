/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "endpoint.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

struct said
{
	int count;
	char text[16][SB_ENDPOINT_ERR_LEN];
};

static void note(const char *sentence, void *arg)
{
	struct said *s = arg;

	assert_true(strlen(sentence) < SB_ENDPOINT_ERR_LEN);
	if(s->count < 16)
		strcpy(s->text[s->count], sentence);
	s->count++;
}

static const struct sb_endpoint_row good = {{"crm", "https://crm.example.com:8443/hook?x=1", SECRET, "call.*,custom.*",
		"1", "5000", "8", "the CRM", "carrier-*", "+4420*", "10.0.0.0/8", "50", "", "", ""}};

static void a_good_row_becomes_an_endpoint(void **state)
{
	struct sb_endpoint e;
	struct said s = {0};

	(void)state;
	assert_int_equal(0, sb_endpoint_from_row(&e, "callhook_endpoint", &good, note, &s));
	assert_int_equal(0, s.count);
	assert_string_equal("crm", e.id);
	assert_string_equal(good.col[SB_EP_url], e.url);
	assert_int_equal(24, e.secret_len);
	assert_true(e.enabled);
	assert_int_equal(5000, e.timeout_ms);
	assert_int_equal(8, e.concurrency);
	assert_int_equal(50, e.rate);
	assert_int_equal(1, e.guard.count);
	assert_true(sb_filter_match(&e.trunks, "carrier-1", 9));
	assert_false(sb_filter_match(&e.trunks, "", 0));
	assert_true(sb_filter_match(&e.dids, "+442079460000", 13));
	assert_false(sb_filter_match(&e.dids, "+15550100", 9));
	assert_string_equal("", e.ca_file);
	assert_true(sb_filter_match(&e.filter, "call.ended", 10));
	assert_false(sb_filter_match(&e.filter, "queue.left", 10));
}

static void each_bad_value_is_named_with_its_column_and_what_was_found(void **state)
{
	char long_text[1500], long_path[300];
	const struct
	{
		enum sb_endpoint_col col;
		const char *value, *shown;
	} bad[] = {{SB_EP_id, NULL, "NULL"}, {SB_EP_id, "", "\"\""}, {SB_EP_id, "a b", "\"a b\""},
			{SB_EP_id, "x' OR 1=1--", "x' OR"}, {SB_EP_url, NULL, "NULL"}, {SB_EP_url, "ftp://x/", "ftp://x/"},
			{SB_EP_url, "http://", "http://"}, {SB_EP_url, "http:///p", "http:///p"},
			{SB_EP_url, "http://u:p@h/", "\"http://...@h/\""}, {SB_EP_url, "http://h:0/", ":0"},
			{SB_EP_url, "http://h:65536/", "65536"}, {SB_EP_url, "http://h:/", "h:/"},
			{SB_EP_url, "http://h/a b", "a b"}, {SB_EP_url, "http://h/\r\nX: y", "??X"},
			{SB_EP_url, "http://h/\x01", "http://h/?"}, {SB_EP_url, "http://[::1", "[::1"},
			{SB_EP_url, "HTTP://h/", "HTTP"}, {SB_EP_url, "http://h/\xff", "http://h/?"},
			{SB_EP_url, long_text, "aaaa"}, {SB_EP_secret, NULL, "NULL"},
			{SB_EP_secret, "whsec_c2hvcnQ=", "14 characters"}, {SB_EP_events, NULL, "NULL"}, {SB_EP_events, "", "\"\""},
			{SB_EP_events, "call.*,,x", "call.*,,x"}, {SB_EP_events, "CALL.*", "CALL"},
			{SB_EP_events, "call.* custom.*", "call.* custom"}, {SB_EP_enabled, NULL, "NULL"},
			{SB_EP_enabled, "2", "\"2\""}, {SB_EP_enabled, "-1", "-1"}, {SB_EP_timeout_ms, "99", "99"},
			{SB_EP_timeout_ms, "300001", "300001"}, {SB_EP_timeout_ms, "2147483648", "2147483648"},
			{SB_EP_timeout_ms, "1e3", "1e3"}, {SB_EP_concurrency, "0", "\"0\""}, {SB_EP_concurrency, "257", "257"},
			{SB_EP_concurrency, "-1", "-1"}, {SB_EP_description, long_text, "aaaa"},
			{SB_EP_description, "line\nbreak", "line?break"}, {SB_EP_trunks, NULL, "NULL"}, {SB_EP_trunks, "", "\"\""},
			{SB_EP_trunks, "a b", "a b"}, {SB_EP_trunks, "a'--", "a'--"}, {SB_EP_dids, NULL, "NULL"},
			{SB_EP_dids, "+44,", "+44,"}, {SB_EP_dids, "+44?", "+44?"}, {SB_EP_allow_addresses, NULL, "NULL"},
			{SB_EP_allow_addresses, "localhost", "localhost"}, {SB_EP_allow_addresses, "10.1.2.3/8", "10.0.0.0/8, or"},
			{SB_EP_rate_limit, NULL, "NULL"}, {SB_EP_rate_limit, "-1", "-1"}, {SB_EP_rate_limit, "100001", "100001"},
			{SB_EP_rate_limit, "1.5", "1.5"}, {SB_EP_ca_file, NULL, "NULL"}, {SB_EP_ca_file, "ca.pem", "ca.pem"},
			{SB_EP_ca_file, "/nowhere/ca.pem", "No such file"}, {SB_EP_ca_file, "/dev/null", "no regular file"},
			{SB_EP_ca_file, "/etc/passwd", "no PEM CERTIFICATE"}, {SB_EP_ca_file, long_path, "/aaa"},
			{SB_EP_ca_file, "/a\nb", "/a?b"}, {SB_EP_cert_file, NULL, "NULL"},
			{SB_EP_cert_file, "/nowhere/cert.pem", "No such file"}, {SB_EP_key_file, NULL, "NULL"},
			{SB_EP_key_file, "key", "key"}, {SB_EP_key_file, "/etc/passwd", "no PEM PRIVATE KEY"}};

	(void)state;
	memset(long_text, 'a', sizeof(long_text) - 1);
	memcpy(long_text, "http://", 7);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	long_text[sizeof(long_text) - 1] = '\0';
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sb_endpoint_row row = good;
		struct sb_endpoint e;
		struct said s = {0};
		char column[64];

		row.col[bad[i].col] = bad[i].value;
		assert_int_equal(-EINVAL, sb_endpoint_from_row(&e, "callhook_endpoint", &row, note, &s));
		assert_int_equal(1, s.count);
		snprintf(column, sizeof(column), "column %s:", sb_endpoint_col_name(bad[i].col));
		if(strstr(s.text[0], column) == NULL || strstr(s.text[0], bad[i].shown) == NULL
				|| strstr(s.text[0], "table callhook_endpoint, row id=\"") == NULL
				|| strstr(s.text[0], "right would be: ") == NULL)
			fail_msg("%zu: %s", i, s.text[0]);
	}
}

static void all_bad_columns_are_told_at_once_and_a_secret_never_is(void **state)
{
	const struct sb_endpoint_row row = {
			{"a/b", "x", "whsec_tell-nobody", "?", "yes", "soon", "many", NULL, "?", "?", "?", "?", "?", "?", "?"}};
	struct sb_endpoint e;
	struct said s = {0};

	(void)state;
	assert_int_equal(-EINVAL, sb_endpoint_from_row(&e, "t", &row, note, &s));
	assert_int_equal(14, s.count);
	for(int i = 0; i < s.count; i++)
		assert_null(strstr(s.text[i], "tell-nobody"));
}

static void what_is_secret_in_a_url_is_not_repeated(void **state)
{
	static const struct
	{
		const char *url, *shown;
	} cases[] = {{"http://me:tell-nobody@h/", "\"http://...@h/\""},
			{"http://me:tell-nobody?/@@h:0/", "\"http://...@h:0/\""},
			{"http://h:0/hook?key=tell-nobody", "\"http://h:0/hook?...\""},
			{"ftp://h?tell-nobody@x", "\"ftp://...@x\""}, {"tell-nobody@h://", "\"...@h://\""},
			{"?tell-nobody", "\"?...\""}};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sb_endpoint_row row = good;
		struct sb_endpoint e;
		struct said s = {0};

		row.col[SB_EP_url] = cases[i].url;
		assert_int_equal(-EINVAL, sb_endpoint_from_row(&e, "t", &row, note, &s));
		if(strstr(s.text[0], cases[i].shown) == NULL || strstr(s.text[0], "tell-nobody") != NULL)
			fail_msg("%s", s.text[0]);
	}
}

static void good_urls_are_taken(void **state)
{
	static const char *const urls[] = {"http://h", "http://h/", "http://127.0.0.1:65535/x", "https://[2001:db8::1]/x",
			"https://[::1]:443", "http://h?x=1", "http://a-b.example/%7Ex/(y);z=1,2"};

	(void)state;
	for(size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct sb_endpoint_row row = good;
		struct sb_endpoint e;
		struct said s = {0};

		row.col[SB_EP_url] = urls[i];
		if(sb_endpoint_from_row(&e, "t", &row, note, &s) != 0)
			fail_msg("%s: %s", urls[i], s.text[0]);
	}
}

static void globs_match_as_they_read(void **state)
{
	static const struct
	{
		const char *globs, *type;
		bool match;
	} cases[] = {{"*", "anything", true}, {"call.*", "call.ended", true}, {"call.*", "call", false},
			{"call.*", "xcall.ended", false}, {"call.ended", "call.ended", true}, {"call.ended", "call.ended2", false},
			{"*.ended", "call.ended", true}, {"c*l.*d", "call.ended", true}, {"c*l.*x", "call.ended", false},
			{"a,b , call.cdr", "call.cdr", true}, {"**", "x", true}, {"*a*b*", "xaxbx", true},
			{"*a*b*", "xbxax", false}, {"custom.*", "custom.", true}};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sb_filter f;
		char why[128];

		assert_int_equal(0, sb_filter_parse(&f, cases[i].globs, why, sizeof(why)));
		if(sb_filter_match(&f, cases[i].type, strlen(cases[i].type)) != cases[i].match)
			fail_msg("%s and %s", cases[i].globs, cases[i].type);
	}
}

static void trunks_and_dids_have_characters_of_their_own(void **state)
{
	static const struct
	{
		const char *globs, *text;
		bool match;
	} cases[] = {{"*", "", true}, {"*", "x", true}, {"**", "", true}, {"+44*", "", false}, {"+44*", "+4420", true},
			{"+44*", "44", false}, {"Carrier-A,sip:b@c.d:5060", "sip:b@c.d:5060", true},
			{"Carrier-A,sip:b@c.d:5060", "carrier-a", false}, {"a_b.c", "a_b.c", true}};
	struct sb_filter f;
	char why[128];

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(0, sb_filter_parse_names(&f, "trunks", cases[i].globs, why, sizeof(why)));
		if(sb_filter_match(&f, cases[i].text, strlen(cases[i].text)) != cases[i].match)
			fail_msg("%s and %s", cases[i].globs, cases[i].text);
	}
	assert_int_equal(-EINVAL, sb_filter_parse_names(&f, "trunks", "a/b", why, sizeof(why)));
	assert_non_null(strstr(why, "\"/b\" is not"));
	assert_int_equal(-EINVAL, sb_filter_parse(&f, "+44", why, sizeof(why)));
}

static void file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(0, chmod(path, mode));
}

static void expect(const struct sb_endpoint_row *row, enum sb_endpoint_col col, const char *found)
{
	struct sb_endpoint e;
	struct said s = {0};
	char column[64];

	snprintf(column, sizeof(column), "column %s:", sb_endpoint_col_name(col));
	sb_endpoint_from_row(&e, "t", row, note, &s);
	if(found == NULL && s.count == 0)
		return;
	if(s.count != 1 || found == NULL || strstr(s.text[0], column) == NULL || strstr(s.text[0], found) == NULL)
		fail_msg("%d: %s", s.count, s.text[0]);
}

static void a_private_key_is_found_and_must_be_closed_to_others(void **state)
{
	static const char cert_text[] = "Bag\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
					  key_text[] = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n";
	char dir[] = "/tmp/sb-endpoint-XXXXXX", cert[64], key[64], both[64], both_text[256];
	struct sb_endpoint_row row = good;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/cert", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	snprintf(both, sizeof(both), "%s/both", dir);
	snprintf(both_text, sizeof(both_text), "%s%s", cert_text, key_text);
	file(cert, cert_text, 0644);
	file(key, key_text, 0600);
	file(both, both_text, 0640);
	row.col[SB_EP_ca_file] = cert;
	row.col[SB_EP_cert_file] = cert;
	row.col[SB_EP_key_file] = key;
	expect(&row, SB_EP_key_file, NULL);
	chmod(key, 0604);
	expect(&row, SB_EP_key_file, "mode 604");
	chmod(key, 0600);
	row.col[SB_EP_key_file] = "";
	expect(&row, SB_EP_cert_file, "no PEM PRIVATE KEY");
	row.col[SB_EP_cert_file] = both;
	expect(&row, SB_EP_cert_file, NULL);
	chmod(both, 0644);
	expect(&row, SB_EP_cert_file, "mode 644");
	row.col[SB_EP_cert_file] = "";
	row.col[SB_EP_key_file] = key;
	expect(&row, SB_EP_key_file, "cert_file with the certificate of this key");
	unlink(cert);
	unlink(key);
	unlink(both);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(a_good_row_becomes_an_endpoint),
			cmocka_unit_test(each_bad_value_is_named_with_its_column_and_what_was_found),
			cmocka_unit_test(all_bad_columns_are_told_at_once_and_a_secret_never_is),
			cmocka_unit_test(what_is_secret_in_a_url_is_not_repeated),
			cmocka_unit_test(good_urls_are_taken),
			cmocka_unit_test(globs_match_as_they_read),
			cmocka_unit_test(trunks_and_dids_have_characters_of_their_own),
			cmocka_unit_test(a_private_key_is_found_and_must_be_closed_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
