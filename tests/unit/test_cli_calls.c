/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox calls` asks the call log for, and what it finds in one.
 */
#define main signalbox_main
#include "../../modules/cli/main.c"
#undef main
#include "../../modules/cli/calls_find.h"
#include "../../modules/cli/calls_print.h"
#include "../../modules/cli/calls_walks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define NOW UINT64_C(1769868000000000) /* 2026-01-31 14:00:00 */

static struct calls_ask asked(struct calls_words w)
{
	struct calls_ask a;
	char err[320];
	if(calls_ask_parse(&a, &w, NOW, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	return a;
}

static void refused(struct calls_words w, const char *says)
{
	struct calls_ask a;
	char err[320] = "";
	assert_int_equal(calls_ask_parse(&a, &w, NOW, err, sizeof(err)), -EINVAL);
	if(strstr(err, says) == NULL)
		fail_msg("'%s' does not say '%s'", err, says);
}

static void a_code_is_one_or_a_class(void **state)
{
	(void)state;
	struct calls_ask a = asked((struct calls_words){.code = "503"});
	assert_int_equal(a.code_min, 503);
	assert_int_equal(a.code_max, 503);
	a = asked((struct calls_words){.code = "4xx"});
	assert_int_equal(a.code_min, 400);
	assert_int_equal(a.code_max, 499);
	refused((struct calls_words){.code = "50"}, "--code 50");
	refused((struct calls_words){.code = "700"}, "--code 700");
	refused((struct calls_words){.code = "5x3"}, "5xx");
}

static void what_is_not_known_is_refused_with_what_there_is(void **state)
{
	(void)state;
	refused((struct calls_words){.state = "up"}, "confirmed");
	refused((struct calls_words){.outcome = "' OR 1=1 --"}, "busy");
	refused((struct calls_words){.limit = "0"}, "--limit");
	refused((struct calls_words){.limit = "-1"}, "--limit");
	refused((struct calls_words){.since = "yesterday"}, "--since yesterday");
	refused((struct calls_words){.until = "x"}, "--until x");
	assert_int_equal(asked((struct calls_words){.state = "live"}).states, 6);
	assert_int_equal(asked((struct calls_words){.limit = "7"}).limit, 7);
}

static void times_go_both_ways(void **state)
{
	char s[32];
	(void)state;
	calls_time(s, NOW + 123456);
	assert_string_equal(s, "2026-01-31 14:00:00.123456");
	assert_int_equal(calls_time_parse(s), NOW + 123456);
	assert_int_equal(calls_time_parse("2026-01-31 14:00:00"), NOW);
	assert_int_equal(calls_time_parse("nonsense"), 0);
	assert_int_equal(calls_time_parse(NULL), 0);
}

static bool means(const char *typed, const char *backwards)
{
	struct calls_digits d;
	if(calls_digits(&d, typed) != 0)
		return false;
	for(unsigned i = 0; i < d.exacts; i++) {
		if(strcmp(d.exact[i], backwards) == 0)
			return true;
	}
	return d.prefix[0] != '\0' && strncmp(backwards, d.prefix, strlen(d.prefix)) == 0;
}

static void the_end_of_a_number_is_enough_from_six_digits_on(void **state)
{
	struct calls_digits d;
	(void)state;
	assert_true(means("02079460142", "241064970244")); /* +442079460142 */
	assert_true(means("+44 20 7946 0142", "241064970244"));
	assert_true(means("460142", "241064970244"));
	assert_false(means("60142", "241064970244"));
	assert_true(means("60142", "24106"));
	/* the log has a shorter form of what was typed, with or without zeros in front */
	assert_true(means("+442079460142", "2410649702"));
	assert_true(means("+442079460142", "24106497020"));
	assert_true(means("+442079460142", "241064"));
	assert_false(means("+442079460142", "24106"));
	assert_false(means("+442079460143", "241064970244"));
	assert_int_equal(calls_digits(&d, "anna"), -EINVAL);
	assert_int_equal(calls_digits(&d, ""), -EINVAL);
}

static size_t marks(const char *sql)
{
	size_t n = 0;
	for(; *sql != '\0'; sql++)
		n += *sql == '?';
	return n;
}

static void what_people_type_never_stands_in_the_sql(void **state)
{
	const char evil[] = "x'; DROP TABLE callstate_call; --";
	const enum calls_index by[] = {BY_START, BY_AGENT, BY_DID, BY_TRUNK, BY_CODE, BY_STATE};
	struct calls_query q;
	(void)state;
	struct calls_ask a = asked((struct calls_words){.number = evil,
			.trunk = evil,
			.agent = evil,
			.did = evil,
			.code = "5xx",
			.state = "live",
			.outcome = "failed"});
	for(size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		struct calls_walk w = {.index = by[i], .code = 503};
		snprintf(w.value, sizeof(w.value), "%s", evil);
		calls_select(&q, &a, &w, 1, NOW, 10, SB_SQLITE);
		assert_null(strstr(q.sql, "DROP"));
		assert_int_equal(marks(q.sql), q.params);
		assert_true(strlen(q.sql) + 1 < sizeof(q.sql));
		calls_select(&q, &a, &w, 1, NOW, 10, SB_MARIADB);
		assert_int_equal(marks(q.sql), q.params);
	}
}

static void the_longest_question_fits(void **state)
{
	struct calls_query q;
	(void)state;
	struct calls_ask a = asked((struct calls_words){.number = "+442079460142",
			.trunk = "t",
			.agent = "a",
			.did = "d",
			.code = "5xx",
			.state = "live",
			.outcome = "failed"});
	a.forms = CALLS_FORMS;
	struct calls_walk w = {.index = BY_AGENT};
	calls_select(&q, &a, &w, 1, NOW, 10, SB_MARIADB);
	assert_int_equal(marks(q.sql), q.params);
	assert_true(q.params <= CALLS_PARAMS);
	assert_string_equal(q.sql + strlen(q.sql) - strlen("ORDER BY f.at DESC"), "ORDER BY f.at DESC");
}

/* ---- a call log in memory ---- */

static struct sb_db *db;

static void sql(const char *text)
{
	if(sb_db_exec(db, text) != 0)
		fail_msg("%s: %s", text, sb_db_error(db));
}

static int open_log(void **state)
{
	struct sb_db_url url = {.dialect = SB_SQLITE, .path = ":memory:"};
	char err[SB_DB_ERROR];
	(void)state;
	if(sb_db_open(&db, &url, true, 1000, err, sizeof(err)) != 0)
		return -1;
	char make[2000] = "CREATE TABLE callstate_call (from_digits TEXT, to_digits TEXT";
	for(int i = 0; i < CALL_COLUMNS; i++)
		snprintf(make + strlen(make), sizeof(make) - strlen(make), ", %s", calls_column_name[i]);
	snprintf(make + strlen(make), sizeof(make) - strlen(make), ")");
	sql(make);
	sql("CREATE INDEX callstate_call_started_idx ON callstate_call (started_at);"
		"CREATE INDEX callstate_call_from_idx ON callstate_call (from_digits, started_at);"
		"CREATE INDEX callstate_call_to_idx ON callstate_call (to_digits, started_at);"
		"CREATE INDEX callstate_call_trunk_idx ON callstate_call (trunk, started_at, answered_at, sip_code, outcome);"
		"CREATE INDEX callstate_call_agent_idx ON callstate_call (agent, started_at, answered_at, sip_code, outcome);"
		"CREATE INDEX callstate_call_did_idx ON callstate_call (did, started_at);"
		"CREATE INDEX callstate_call_code_idx ON callstate_call (sip_code, started_at);"
		"CREATE INDEX callstate_call_state_idx ON callstate_call (state, outcome, started_at)");
	return 0;
}

static int close_log(void **state)
{
	(void)state;
	sb_db_close(db);
	return 0;
}

/** @param n its place in the log: a minute each @param code 0: answered, 1: still up */
static void call(int n, const char *trunk, const char *agent, const char *from, const char *to, int code)
{
	char at[32], text[1200], back[2][40];
	const char *number[2] = {from, to};
	for(int i = 0; i < 2; i++) {
		size_t len = strlen(number[i]), k = 0;
		for(size_t j = len; j > 0; j--) {
			if(number[i][j - 1] >= '0' && number[i][j - 1] <= '9')
				back[i][k++] = number[i][j - 1];
		}
		back[i][k] = '\0';
	}
	calls_time(at, NOW + (uint64_t)n * 60000000);
	const char *outcome = code == 486 ? "'busy'" : code == 503 ? "'error'" : "NULL";
	char sip_code[8] = "NULL", answered[40] = "NULL", ended[40];
	if(code > 1)
		snprintf(sip_code, sizeof(sip_code), "%d", code);
	else
		snprintf(answered, sizeof(answered), "'%s'", at);
	snprintf(ended, sizeof(ended), code == 1 ? "NULL" : "'%s'", at);
	snprintf(text, sizeof(text),
			"INSERT INTO callstate_call (call_id, sip_call_id, state, from_number, to_number, from_digits, to_digits, "
			"trunk, agent, "
			"did, started_at, answered_at, ended_at, sip_code, outcome) VALUES ('id-%04d', 'sip-%d', '%s', '%s', '%s', "
			"'%s', '%s', "
			"'%s', '%s', '%s', '%s', %s, %s, %s, %s)",
			n, n,
			code == 1   ? "confirmed"
			: code == 0 ? "disconnected"
						: "failed",
			from, to, back[0], back[1], trunk, agent, to, at, answered, ended, sip_code, outcome);
	sql(text);
}

/** "3 1 0": the calls found, newest first; a + behind them: there are more */
static void assert_calls(struct calls_words w, const char *expected)
{
	struct calls_found f;
	char have[400] = "";
	struct calls_ask a = asked(w);
	if(calls_find(db, &a, 0, &f) != 0)
		fail_msg("%s", sb_db_error(db));
	for(size_t i = 0; i < f.rows; i++)
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%d", i > 0 ? " " : "",
				atoi(f.row[i]->text[CALL_call_id] + 3));
	if(f.more)
		strcat(have, " +");
	calls_found_free(&f);
	assert_string_equal(have, expected);
}

static void some_calls(void)
{
	sql("DELETE FROM callstate_call");
	call(0, "a", "anna", "+442079460001", "+442079460142", 0);
	call(1, "a", "ben", "02079460001", "1000", 486);
	call(2, "b", "anna", "+442079460002", "+442079460142", 503);
	call(200, "b", "ben", "anna", "+442079460001", 486);
	call(300, "a", "anna", "+442079460003", "+442079460001", 1);
}

static void every_filter_alone_and_together(void **state)
{
	(void)state;
	some_calls();
	assert_calls((struct calls_words){0}, "300 200 2 1 0");
	assert_calls((struct calls_words){.trunk = "a"}, "300 1 0");
	assert_calls((struct calls_words){.trunk = "c"}, "");
	assert_calls((struct calls_words){.agent = "anna"}, "300 2 0");
	assert_calls((struct calls_words){.did = "1000"}, "1");
	assert_calls((struct calls_words){.code = "486"}, "200 1");
	assert_calls((struct calls_words){.code = "4xx"}, "200 1");
	assert_calls((struct calls_words){.code = "5xx"}, "2");
	assert_calls((struct calls_words){.state = "live"}, "300");
	assert_calls((struct calls_words){.state = "failed"}, "200 2 1");
	assert_calls((struct calls_words){.outcome = "answered"}, "300 0");
	assert_calls((struct calls_words){.outcome = "failed"}, "200 2 1");
	assert_calls((struct calls_words){.outcome = "busy"}, "200 1");
	assert_calls((struct calls_words){.since = "2026-01-31T14:01", .until = "2026-01-31T14:03"}, "2 1");
	assert_calls((struct calls_words){.trunk = "a", .code = "486"}, "1");
	assert_calls((struct calls_words){.trunk = "b", .outcome = "error", .agent = "anna"}, "2");
	assert_calls((struct calls_words){.trunk = "b", .state = "live"}, "");
	assert_calls((struct calls_words){.code = "486", .outcome = "error"}, "");
}

static void a_number_is_found_in_from_and_to_in_every_form(void **state)
{
	(void)state;
	some_calls();
	assert_calls((struct calls_words){.number = "+442079460001"}, "300 200 1 0");
	assert_calls((struct calls_words){.number = "2079460001"}, "300 200 1 0");
	assert_calls((struct calls_words){.number = "460142"}, "2 0");
	assert_calls((struct calls_words){.number = "1000"}, "1");
	assert_calls((struct calls_words){.number = "000"}, "");
	assert_calls((struct calls_words){.number = "anna"}, "200");
	assert_calls((struct calls_words){.number = "02079460001", .code = "486"}, "200 1");
	assert_calls((struct calls_words){.number = "02079460001", .code = "503"}, "");
	assert_calls((struct calls_words){.number = "02079460001", .trunk = "a", .outcome = "answered"}, "300 0");
}

static void a_call_with_one_number_on_both_ends_is_there_once(void **state)
{
	(void)state;
	sql("DELETE FROM callstate_call");
	call(7, "a", "anna", "+442079460001", "+442079460001", 0);
	assert_calls((struct calls_words){.number = "02079460001"}, "7");
}

static void the_limit_says_whether_there_are_more(void **state)
{
	(void)state;
	some_calls();
	assert_calls((struct calls_words){.limit = "2"}, "300 200 +");
	assert_calls((struct calls_words){.limit = "5"}, "300 200 2 1 0");
	assert_calls((struct calls_words){.limit = "1", .code = "4xx"}, "200 +");
	assert_calls((struct calls_words){.limit = "1", .trunk = "a", .code = "486"}, "1");
	assert_calls((struct calls_words){.limit = "3", .number = "02079460001"}, "300 200 1 +");
}

static void looking_back_goes_on_to_the_first_call(void **state)
{
	(void)state;
	sql("DELETE FROM callstate_call");
	/* one in forty days, behind many that do not fit */
	call(0, "a", "anna", "1", "2", 503);
	for(int i = 1; i < 400; i++)
		call(i * 150, "a", "anna", "1", "2", 486);
	assert_calls((struct calls_words){.trunk = "a", .state = "failed", .code = "503"}, "0");
	assert_calls((struct calls_words){.trunk = "a", .outcome = "error", .agent = "anna"}, "0");
}

static void when_the_time_is_up_it_says_how_far_it_looked(void **state)
{
	struct calls_found f;
	(void)state;
	sql("DELETE FROM callstate_call");
	call(0, "a", "anna", "1", "2", 503);
	for(int i = 1; i < 2000; i++)
		call(i * 60, "a", "anna", "1", "2", 486);
	struct calls_ask a = asked((struct calls_words){.trunk = "a", .did = "2", .state = "disconnected"});
	assert_int_equal(calls_find(db, &a, 1, &f), 0);
	assert_int_equal(f.rows, 0);
	assert_true(f.looked_to > NOW);
	calls_found_free(&f);
}

static void assert_result(int n, const char *expected)
{
	struct calls_found f;
	struct calls_ask a = asked((struct calls_words){.limit = "1000"});
	assert_int_equal(calls_find(db, &a, 0, &f), 0);
	for(size_t i = 0; i < f.rows; i++) {
		if(atoi(f.row[i]->text[CALL_call_id] + 3) == n)
			assert_string_equal(calls_result(f.row[i], NOW + UINT64_C(400) * 60000000).s, expected);
	}
	calls_found_free(&f);
}

static void a_result_is_said_in_words(void **state)
{
	(void)state;
	some_calls();
	sql("UPDATE callstate_call SET duration_ms = 133000, hangup_cause = 'bye' WHERE call_id = 'id-0000'");
	assert_result(0, "answered 2 min 13 s");
	sql("UPDATE callstate_call SET hangup_cause = 'max_duration' WHERE call_id = 'id-0000'");
	assert_result(0, "answered 2 min 13 s (max_duration)");
	assert_result(1, "486 busy");
	assert_result(2, "503 out of service or overloaded");
	assert_result(300, "up 100 min 0 s so far");
	sql("UPDATE callstate_call SET outcome = 'no_answer', ringing_at = '2026-01-31 14:00:40.000000' WHERE call_id = "
		"'id-0001'");
	assert_result(1, "no answer, rang 20.0 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(a_code_is_one_or_a_class),
			cmocka_unit_test(what_is_not_known_is_refused_with_what_there_is),
			cmocka_unit_test(times_go_both_ways),
			cmocka_unit_test(the_end_of_a_number_is_enough_from_six_digits_on),
			cmocka_unit_test(what_people_type_never_stands_in_the_sql),
			cmocka_unit_test(the_longest_question_fits),
			cmocka_unit_test(every_filter_alone_and_together),
			cmocka_unit_test(a_number_is_found_in_from_and_to_in_every_form),
			cmocka_unit_test(a_call_with_one_number_on_both_ends_is_there_once),
			cmocka_unit_test(the_limit_says_whether_there_are_more),
			cmocka_unit_test(looking_back_goes_on_to_the_first_call),
			cmocka_unit_test(when_the_time_is_up_it_says_how_far_it_looked),
			cmocka_unit_test(a_result_is_said_in_words),
	};
	return cmocka_run_group_tests(tests, open_log, close_log);
}
