/* SPDX-License-Identifier: GPL-2.0-or-later */
/** The schema: tokens, statements, migrations, checks. */
#include "db_fixture.h"

static char said[2000];

static void say(const char *line, void *arg)
{
	(void)arg;
	size_t n = strlen(said);
	snprintf(said + n, sizeof(said) - n, "%s\n", line);
}

static int migrate(struct sb_db *db, bool routing)
{
	said[0] = db_err[0] = '\0';
	return sb_db_migrate(db, routing, say, NULL, db_err, sizeof(db_err));
}

static char findings[3000];

static void find(const struct sb_db_finding *f, void *arg)
{
	(void)arg;
	size_t n = strlen(findings);
	if(!f->good)
		snprintf(findings + n, sizeof(findings) - n, "%s %d/%d%s [%s] [%s]\n", f->table, f->found, f->expected,
				f->missing ? " missing" : "", f->columns, f->indexes);
}

static int check(struct sb_db *db, bool routing)
{
	findings[0] = '\0';
	return sb_db_check(db, routing, find, NULL, db_err, sizeof(db_err));
}

static void becomes(enum sb_dialect dialect, const char *text, const char *want)
{
	char *out = NULL;
	assert_int_equal(sb_schema_expand(&out, dialect, text, strlen(text), db_err, sizeof(db_err)), 0);
	assert_string_equal(out, want);
	free(out);
}

static void tokens_become_what_each_database_wants(void **state)
{
	(void)state;
	becomes(SB_SQLITE, "a {serial}, b {uuid}, c {key(64)}, d {time}){table};",
			"a INTEGER PRIMARY KEY NOT NULL, b CHAR(36), c VARCHAR(64), d VARCHAR(26));");
	becomes(SB_MARIADB, "b {uuid}, c {key(64)}, d {time}",
			"b CHAR(36) CHARACTER SET ascii COLLATE ascii_bin, c VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, d "
			"DATETIME(6)");
	becomes(SB_MARIADB, "){table};", ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;");
	becomes(SB_SQLITE, "INSERT {ignore} INTO", "INSERT OR IGNORE INTO");
	becomes(SB_MARIADB, "INSERT {ignore} INTO", "INSERT IGNORE INTO");
	becomes(SB_SQLITE, "{join(a, '@,', b)} {seconds} {real}", "(a || '@,' || b) TIMESTAMP REAL");
	becomes(SB_MARIADB, "{join(a, '@,', b)} {seconds} {real}", "CONCAT(a, '@,', b) DATETIME FLOAT(10,2)");
	becomes(SB_SQLITE, "no token", "no token");
	becomes(SB_SQLITE, "", "");
}

static void unknown_tokens_are_refused_with_their_line(void **state)
{
	static const char *const bad[] = {"a\nb {what}", "a\nb {key}", "a\nb {uuid()}", "a\nb {key(64}", "a\nb {key(64)",
			"a\nb {", "a\nb {}", "a\nb {(}", "a\nb {)}"};
	char *out = NULL;
	(void)state;
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(sb_schema_expand(&out, SB_MARIADB, bad[i], strlen(bad[i]), db_err, sizeof(db_err)), -EINVAL);
		assert_null(out);
		assert_non_null(strstr(db_err, "line 2"));
		assert_non_null(strstr(db_err, "{key()}"));
	}
}

static void statements_are_found_without_their_comments(void **state)
{
	char text[] = "-- a; comment;\nONE 1;\n\n  -- another;\nTWO\n    -- within;\n    2 ';' x;  \nTHREE 3";
	char *at = text;
	(void)state;
	assert_string_equal(sb_schema_next(&at), "ONE 1");
	assert_string_equal(sb_schema_next(&at), "TWO\n    2 ';' x");
	assert_string_equal(sb_schema_next(&at), "THREE 3");
	assert_null(sb_schema_next(&at));
	assert_null(sb_schema_next(&at));
}

static void every_file_can_be_read_for_both_databases(void **state)
{
	(void)state;
	assert_true(sb_schema_last(false) >= 3);
	assert_true(sb_schema_last(true) >= 2);
	for(unsigned i = 0; i < sb_schema_file_count; i++) {
		const struct sb_schema_file *f = &sb_schema_files[i];
		const struct sb_schema_file *next = i + 1 < sb_schema_file_count ? f + 1 : NULL;
		if(next != NULL && next->routing == f->routing)
			assert_int_equal(next->number, f->number + 1);
		for(int d = SB_SQLITE; d <= SB_MARIADB; d++) {
			char *out = NULL;
			if(sb_schema_expand(&out, (enum sb_dialect)d, f->text, strlen(f->text), db_err, sizeof(db_err)) != 0)
				fail_msg("%s: %s", f->name, db_err);
			assert_null(strchr(out, '{'));
			free(out);
		}
	}
}

static void an_empty_database_gets_everything_and_a_second_run_nothing(void **state)
{
	struct sb_db *db = db_opened();
	(void)state;
	assert_true(check(db, false) >= 4);
	assert_int_equal(migrate(db, false), sb_schema_last(false));
	assert_non_null(strstr(said, "applying 001_endpoint\napplying 002"));
	assert_int_equal(check(db, false), 0);
	assert_int_equal(migrate(db, false), 0);
	assert_string_equal(said, "");
	assert_string_equal(db_all(db, "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('subscriber', 'location')"), "0");
	assert_int_equal(migrate(db, true), sb_schema_last(true));
	assert_int_equal(check(db, true), 0);
	assert_string_equal(db_all(db, "SELECT table_version FROM version WHERE table_name IN ('subscriber', 'location') "
								   "ORDER BY table_name"),
			"9 7");
	sb_db_close(db);
}

/* As a file of version 1 was written, by hand. */
static const char version_1[] =
		"CREATE TABLE version (id INTEGER PRIMARY KEY NOT NULL, table_name VARCHAR(32) NOT NULL, table_version INTEGER "
		"DEFAULT 0 "
		"NOT NULL, CONSTRAINT version_table_name_idx UNIQUE (table_name));"
		"CREATE TABLE callhook_endpoint (id VARCHAR(63) PRIMARY KEY NOT NULL, url VARCHAR(1023) NOT NULL, secret "
		"VARCHAR(128) NOT "
		"NULL, events VARCHAR(511) DEFAULT '*' NOT NULL, enabled INTEGER DEFAULT 1 NOT NULL, timeout_ms INTEGER "
		"DEFAULT 0 NOT NULL, "
		"concurrency INTEGER DEFAULT 8 NOT NULL, description VARCHAR(255) DEFAULT '' NOT NULL);"
		"INSERT INTO version (table_name, table_version) VALUES ('callhook_endpoint', 1);"
		"INSERT INTO callhook_endpoint (id, url, secret) VALUES ('crm', 'https://crm.example.com/', 'whsec_x')";

static void version_1_made_by_hand_is_brought_up_to_date_with_its_rows(void **state)
{
	struct sb_db *db = db_opened();
	(void)state;
	db_must(db, version_1);
	assert_true(check(db, false) > 0);
	assert_non_null(strstr(findings, "callhook_endpoint 1/2 [trunks, dids, allow_addresses"));
	assert_int_equal(migrate(db, false), sb_schema_last(false));
	assert_int_equal(check(db, false), 0);
	assert_string_equal(db_all(db, "SELECT id, secret, trunks, rate_limit FROM callhook_endpoint"), "crm whsec_x * 0");
	sb_db_close(db);
}

static void a_migration_that_was_cut_off_is_completed(void **state)
{
	struct sb_db *db = db_opened();
	(void)state;
	db_must(db, version_1);
	db_must(db, "ALTER TABLE callhook_endpoint ADD COLUMN trunks VARCHAR(511) DEFAULT '*' NOT NULL;"
				"ALTER TABLE callhook_endpoint ADD COLUMN dids VARCHAR(511) DEFAULT '*' NOT NULL;"
				"UPDATE callhook_endpoint SET dids = '+4420*'");
	assert_int_equal(migrate(db, false), sb_schema_last(false));
	assert_int_equal(check(db, false), 0);
	assert_string_equal(db_all(db, "SELECT dids, allow_addresses FROM callhook_endpoint"), "+4420* ");
	sb_db_close(db);
}

static void what_got_lost_afterwards_is_found_and_made_again(void **state)
{
	struct sb_db *db = db_opened();
	(void)state;
	migrate(db, false);
	db_must(db, "INSERT INTO callhook_endpoint (id, url, secret) VALUES ('crm', 'u', 's'); DROP INDEX "
				"callstate_call_code_idx; "
				"DROP TABLE callstate_event; UPDATE version SET table_version = 7 WHERE table_name = 'nobody'; "
				"DELETE FROM version WHERE table_name = 'callstate_attempt'");
	assert_int_equal(check(db, false), 3);
	assert_non_null(strstr(findings, "callstate_call 1/1 [] [callstate_call_code_idx (sip_code,started_at)]"));
	assert_non_null(strstr(findings, "callstate_event 1/1 missing"));
	assert_non_null(strstr(findings, "callstate_attempt -1/1 [] []"));
	assert_true(migrate(db, false) > 0);
	assert_non_null(strstr(said, "again"));
	assert_int_equal(check(db, false), 0);
	assert_string_equal(db_all(db, "SELECT id FROM callhook_endpoint"), "crm");
	sb_db_close(db);
}

static void a_newer_database_is_refused_and_left_alone(void **state)
{
	struct sb_db *db = db_opened();
	(void)state;
	migrate(db, false);
	db_must(db, "UPDATE version SET table_version = 99 WHERE table_name = 'signalbox'; DROP TABLE callstate_event");
	assert_int_equal(migrate(db, false), -EPROTO);
	assert_non_null(strstr(db_err, "newer than this command"));
	assert_string_equal(db_all(db, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'callstate_event'"), "0");
	db_must(db, "UPDATE version SET table_version = 1 WHERE table_name = 'signalbox'; UPDATE version SET table_version "
				"= 3 WHERE "
				"table_name = 'callhook_endpoint'");
	assert_int_equal(migrate(db, false), -EPROTO);
	assert_non_null(strstr(db_err, "table callhook_endpoint has version 3"));
	assert_string_equal(db_all(db, "SELECT table_version FROM version WHERE table_name = 'signalbox'"), "1");
	sb_db_close(db);
}

static void a_table_that_no_migration_mends_is_said(void **state)
{
	struct sb_db *db = db_opened();
	(void)state;
	db_must(db, "CREATE TABLE callstate_event (event_id TEXT, call_id TEXT, sequence INTEGER)");
	assert_int_equal(migrate(db, false), -EBADMSG);
	assert_non_null(strstr(db_err, "callstate_event"));
	assert_string_equal(db_all(db, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'callstate_call'"), "0");
	sb_db_close(db);
}

static void a_migration_waits_for_the_one_before_it(void **state)
{
	struct sb_db *db = db_opened(), *other = db_opened();
	(void)state;
	db_must(other, "BEGIN IMMEDIATE");
	assert_int_equal(migrate(db, false), -ETIMEDOUT);
	assert_non_null(strstr(db_err, "locked"));
	db_must(other, "ROLLBACK");
	assert_true(migrate(db, false) > 0);
	sb_db_close(other);
	sb_db_close(db);
}

#define EACH(test) cmocka_unit_test_teardown(test, db_forget)
int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tokens_become_what_each_database_wants),
			cmocka_unit_test(unknown_tokens_are_refused_with_their_line),
			cmocka_unit_test(statements_are_found_without_their_comments),
			cmocka_unit_test(every_file_can_be_read_for_both_databases),
			EACH(an_empty_database_gets_everything_and_a_second_run_nothing),
			EACH(version_1_made_by_hand_is_brought_up_to_date_with_its_rows),
			EACH(a_migration_that_was_cut_off_is_completed), EACH(what_got_lost_afterwards_is_found_and_made_again),
			EACH(a_newer_database_is_refused_and_left_alone), EACH(a_table_that_no_migration_mends_is_said),
			EACH(a_migration_waits_for_the_one_before_it)};
	return cmocka_run_group_tests(tests, db_fixture, db_gone);
}
