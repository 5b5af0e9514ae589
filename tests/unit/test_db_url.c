/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Database URLs: what is taken, what is refused, and that no password is ever shown. */
#include "db.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct sb_db_url u;
static char err[SB_DB_ERROR];

static int parse(const char *url)
{
	memset(&u, 0xff, sizeof(u));
	err[0] = '\0';
	return sb_db_url_parse(&u, url, err, sizeof(err));
}

static void sqlite_path_is_taken_with_three_slashes_or_four(void **state)
{
	static const char *const url[] = {"sqlite:///var/lib/a b%41.db", "sqlite:////var/lib/a b%41.db"};
	(void)state;
	for(int i = 0; i < 2; i++) {
		assert_int_equal(parse(url[i]), 0);
		assert_int_equal(u.dialect, SB_SQLITE);
		assert_string_equal(u.path, "/var/lib/a b%41.db");
		assert_string_equal(u.shown, "sqlite:///var/lib/a b%41.db");
	}
}

static void mysql_parts_are_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("mysql://kamailio:s3cret@db.example.com:3307/signalbox"), 0);
	assert_int_equal(u.dialect, SB_MARIADB);
	assert_string_equal(u.user, "kamailio");
	assert_string_equal(u.password, "s3cret");
	assert_string_equal(u.host, "db.example.com");
	assert_string_equal(u.database, "signalbox");
	assert_int_equal(u.port, 3307);
	assert_false(u.tls);
	assert_string_equal(u.shown, "mysql://kamailio@db.example.com:3307/signalbox");
}

static void user_password_and_port_may_be_left_out(void **state)
{
	(void)state;
	assert_int_equal(parse("mysql://localhost/signalbox"), 0);
	assert_string_equal(u.user, "");
	assert_string_equal(u.password, "");
	assert_int_equal(u.port, 0);
	assert_int_equal(parse("mysql://only@h/d"), 0);
	assert_string_equal(u.user, "only");
	assert_string_equal(u.password, "");
}

static void percent_codes_are_bytes_in_user_password_and_database(void **state)
{
	(void)state;
	assert_int_equal(parse("mysql://a%40b:p%2Fw%3A%25%3f@h/d%20b"), 0);
	assert_string_equal(u.user, "a@b");
	assert_string_equal(u.password, "p/w:%?");
	assert_string_equal(u.database, "d b");
}

static void a_bare_at_sign_belongs_to_the_password(void **state)
{
	(void)state;
	assert_int_equal(parse("mysql://u:p@ss:w@h/d"), 0);
	assert_string_equal(u.user, "u");
	assert_string_equal(u.password, "p@ss:w");
	assert_string_equal(u.host, "h");
}

static void addresses_of_version_six_stand_in_brackets(void **state)
{
	(void)state;
	assert_int_equal(parse("mysql://u:p@[2001:db8::1]:3306/d"), 0);
	assert_string_equal(u.host, "2001:db8::1");
	assert_int_equal(u.port, 3306);
	assert_string_equal(u.shown, "mysql://u@[2001:db8::1]:3306/d");
	assert_int_equal(parse("mysql://u:p@[::1]/d"), 0);
	assert_int_equal(u.port, 0);
}

static void options_are_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("mysql://u:p@h/d?ca=/etc/ca.pem&cert=/c.pem&key=/k%20.pem"), 0);
	assert_string_equal(u.ca, "/etc/ca.pem");
	assert_string_equal(u.cert, "/c.pem");
	assert_string_equal(u.key, "/k .pem");
	assert_true(u.tls);
	assert_int_equal(parse("mysql://u:p@h/d?tls=require"), 0);
	assert_true(u.tls);
	assert_int_equal(parse("mysql://u@/d?socket=/run/mysqld/mysqld.sock"), 0);
	assert_string_equal(u.socket, "/run/mysqld/mysqld.sock");
	assert_string_equal(u.shown, "mysql://u@/d?socket=/run/mysqld/mysqld.sock");
}

static void wrong_urls_are_refused_with_what_is_right(void **state)
{
	static const struct
	{
		const char *url, *says;
	} row[] = {{"", "expected sqlite:///path"}, {"postgres://u:hush@h/d", "expected sqlite:///path"},
			{"sqlite://relative.db", "absolute path"}, {"sqlite://", "absolute path"}, {"sqlite:///", "absolute path"},
			{"sqlite:///a\nb", "control character"}, {"mysql://u:hush@h", "name of the database"},
			{"mysql://u:hush@h/", "name of the database"}, {"mysql://u:hush@h/a/b", "name of the database"},
			{"mysql://u:hush@/d", "host is missing"}, {"mysql://u:hush@h:0/d", "1 to 65535"},
			{"mysql://u:hush@h:65536/d", "1 to 65535"}, {"mysql://u:hush@h:/d", "1 to 65535"},
			{"mysql://u:hush@h:99999999999999999999/d", "1 to 65535"}, {"mysql://u:hu/sh@h/d", "%2F"},
			{"mysql://u:hush%@h/d", "%25"}, {"mysql://u:hush%4@h/d", "%25"}, {"mysql://u:hush%zz@h/d", "%25"},
			{"mysql://u:hush%00@h/d", "control character"}, {"mysql://u:hush@[::1/d", "without its ]"},
			{"mysql://u:hush@[::1]x/d", "no port"}, {"mysql://u:hush@h/d?ca=relative", "absolute path"},
			{"mysql://u:hush@h/d?tls=yes", "tls=require"}, {"mysql://u:hush@h/d?hush=1", "is not known"},
			{"mysql://u:hush@h/d?cert=/c", "both"}, {"mysql://u:hush@h/d?key=/c", "both"}};
	(void)state;
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(parse(row[i].url), -EINVAL);
		if(strstr(err, row[i].says) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", row[i].url, err, row[i].says);
		assert_null(strstr(err, "hush"));
	}
}

static void what_is_too_long_is_refused(void **state)
{
	char url[2000], part[600];
	(void)state;
	memset(part, 'a', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	static const char *const form[] = {"sqlite:///%s", "mysql://%s:p@h/d", "mysql://u:%s@h/d", "mysql://u:p@%s/d",
			"mysql://u:p@h/%s", "mysql://u:p@h/d?ca=/%s"};
	for(size_t i = 0; i < sizeof(form) / sizeof(form[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(url, sizeof(url), form[i], part);
#pragma GCC diagnostic pop
		assert_int_equal(parse(url), -EINVAL);
		assert_non_null(strstr(err, "too long"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sqlite_path_is_taken_with_three_slashes_or_four),
			cmocka_unit_test(mysql_parts_are_taken), cmocka_unit_test(user_password_and_port_may_be_left_out),
			cmocka_unit_test(percent_codes_are_bytes_in_user_password_and_database),
			cmocka_unit_test(a_bare_at_sign_belongs_to_the_password),
			cmocka_unit_test(addresses_of_version_six_stand_in_brackets), cmocka_unit_test(options_are_taken),
			cmocka_unit_test(wrong_urls_are_refused_with_what_is_right), cmocka_unit_test(what_is_too_long_is_refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
