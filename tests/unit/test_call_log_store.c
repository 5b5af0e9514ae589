/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stores against real databases: SQLite, and the MariaDB of $SB_TEST_MARIADB if it is set (an empty database, and in
 * $SB_TEST_MARIADB_READER the URL of a user who may only read there; integration tests set both). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call_log_fixture.h"

#include "call_log_store.h"
#include "db_schema.h"

#include <errno.h>
#include <mysqld_error.h>
#include <sqlite3.h>
#include <unistd.h>

struct fixture
{
	char path[64];
	struct sb_db_url url;
	struct sb_db *db; /* beside the store's */
	struct sb_cl_store *store;
	struct made made;
	struct rows rows;
	char err[SB_CL_ERROR];
};

static const char *mariadb(void)
{
	return getenv("SB_TEST_MARIADB");
}

static void sql(struct fixture *f, const char *text)
{
	if(sb_db_exec(f->db, text) != 0)
		fail_msg("%s: %s", text, sb_db_error(f->db));
}

static void drop_all(struct fixture *f)
{
	static const char *const name[] = {
			"callstate_call", "callstate_attempt", "callstate_event", "callhook_endpoint", "version"};
	char text[80];

	for(size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		snprintf(text, sizeof(text), "DROP TABLE IF EXISTS %s", name[i]);
		sql(f, text);
	}
}

static void said(const char *line, void *arg)
{
	(void)line, (void)arg;
}

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char url[100];

	strcpy(f->path, "/tmp/sb-test-call-log-XXXXXX");
	close(mkstemp(f->path));
	snprintf(url, sizeof(url), "sqlite:///%s", f->path);
	assert_int_equal(0, sb_db_url_parse(&f->url, mariadb() != NULL ? mariadb() : url, f->err, sizeof(f->err)));
	assert_int_equal(0, sb_db_open(&f->db, &f->url, true, 5000, f->err, sizeof(f->err)));
	drop_all(f);
	assert_true(sb_db_migrate(f->db, false, said, NULL, f->err, sizeof(f->err)) > 0);
	assert_int_equal(0, sb_cl_store_new(&f->store, &f->url, 2000));
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;
	char beside[80];

	f->store->free(f->store);
	sb_db_close(f->db);
	sb_cl_free(&f->rows.mem);
	unlink(f->path);
	for(int i = 0; i < 2; i++) {
		snprintf(beside, sizeof(beside), "%s-%s", f->path, i == 0 ? "wal" : "shm");
		unlink(beside);
	}
	free(f);
	return 0;
}

static void opened(struct fixture *f)
{
	if(f->store->open(f->store, f->err, sizeof(f->err)) != 0)
		fail_msg("%s", f->err);
}

/** The rows of the record that was made, in one transaction. */
static int put(struct fixture *f, const struct sb_rec *rec)
{
	struct sb_cl_part part[SB_CL_TABLES];

	rows_of(&f->rows, rec);
	assert_int_equal(0, f->rows.err);
	for(unsigned t = 0; t < SB_CL_TABLES; t++)
		part[t] = (struct sb_cl_part){t, f->rows.row[t], f->rows.count[t]};
	return f->store->put(f->store, part, SB_CL_TABLES, f->err, sizeof(f->err));
}

static bool keep_text(const struct sb_db_value *row, unsigned columns, void *arg)
{
	char *out = arg;

	for(unsigned i = 0; i < columns; i++)
		sprintf(out + strlen(out), "%s%s", i > 0 ? "|" : "", cell_text(&row[i]));
	strcat(out, ";");
	return true;
}

static const char *asked(struct fixture *f, const char *text)
{
	static char out[8192];

	out[0] = '\0';
	if(sb_db_query(f->db, text, NULL, 0, keep_text, out) < 0)
		fail_msg("%s: %s", text, sb_db_error(f->db));
	return out;
}

static void every_column_comes_back_as_it_was_given(void **state)
{
	struct fixture *f = *state;
	struct made *m = &f->made;
	char text[4096];

	opened(f);
	made_begin(m, SB_CALL_ENDED, 1, 4, SB_ST_DISCONNECTED);
	sb_put_time(&m->out, SB_C_ANSWERED_AT, AT0 + 1);
	sb_put_u64(&m->out, SB_C_DURATION_US, 9007199254740993000ull);
	sb_put_u64(&m->out, SB_C_SIP_CSEQ, 4000000000ull);
	made_text(m, SB_C_DID, "\xf0\x9f\x93\x9e caf\xc3\xa9 '\"\\;-- %s");
	made_text(m, SB_C_ATTRIBUTE, "customer.name=x' OR 1=1--");
	made_end(m, "caller", "", "bye", 0);
	made_attempt(m, 1, 200, 0);
	assert_int_equal(0, put(f, made_done(m)));
	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		unsigned count;
		const struct sb_cl_column *c = sb_cl_columns(t, &count);

		for(unsigned i = 0; i < count; i++) {
			snprintf(text, sizeof(text), "SELECT %s FROM %s", c[i].name, sb_cl_table_name(t));
			const char *got = asked(f, text);
			snprintf(text, sizeof(text), "%s;", cell_text(&f->rows.row[t][0].v[i]));
			if(strcmp(text, got) != 0)
				fail_msg("%s.%s: %s was given, %s came back", sb_cl_table_name(t), c[i].name, text, got);
		}
	}
}

static void written_again_nothing_changes(void **state)
{
	struct fixture *f = *state;

	opened(f);
	for(int i = 0; i < 3; i++)
		assert_int_equal(0, put(f, made_event(&f->made, 1, 2)));
	assert_string_equal("1;", asked(f, "SELECT count(*) FROM callstate_call"));
	assert_string_equal("1;", asked(f, "SELECT count(*) FROM callstate_attempt"));
	assert_string_equal("1;", asked(f, "SELECT count(*) FROM callstate_event"));
}

static void an_older_event_changes_nothing_but_is_there(void **state)
{
	struct fixture *f = *state;

	opened(f);
	assert_int_equal(0, put(f, made_event(&f->made, 1, 3)));
	assert_int_equal(0, put(f, made_event(&f->made, 1, 1)));
	assert_string_equal("ringing|3;", asked(f, "SELECT state, last_sequence FROM callstate_call"));
	assert_string_equal("1|call.initiated;3|call.ringing;",
			asked(f, "SELECT sequence, type FROM callstate_event ORDER BY sequence"));
	made_begin(&f->made, SB_CALL_FAILED, 1, 4, SB_ST_FAILED);
	made_end(&f->made, "callee", "busy", "final_reply", 486);
	made_attempt(&f->made, 1, 486, AT0 + 5);
	assert_int_equal(0, put(f, made_done(&f->made)));
	assert_string_equal("failed|4|486;", asked(f, "SELECT state, last_sequence, sip_code FROM callstate_call"));
	assert_string_equal("486|4;", asked(f, "SELECT code, last_sequence FROM callstate_attempt"));
}

static void the_end_of_a_call_stays_and_an_answer_overrules_a_failure(void **state)
{
	struct fixture *f = *state;
	struct made *m = &f->made;

	opened(f);
	made_begin(m, SB_CALL_FAILED, 1, 3, SB_ST_FAILED);
	made_end(m, "callee", "busy", "final_reply", 486);
	assert_int_equal(0, put(f, made_done(m)));
	made_begin(m, SB_CUSTOM, 1, 4, SB_ST_FAILED);
	sb_put_time(&m->out, SB_C_ENDED_AT, AT0 + 9000000);
	assert_int_equal(0, put(f, made_done(m)));
	assert_string_equal(
			"4|busy|486|callee;", asked(f, "SELECT last_sequence, outcome, sip_code, hangup_by FROM callstate_call"));
	made_begin(m, SB_CALL_ANSWERED, 1, 5, SB_ST_CONFIRMED);
	sb_put_time(&m->out, SB_C_ANSWERED_AT, AT0 + 1);
	assert_int_equal(0, put(f, made_done(m)));
	assert_string_equal(
			"5|NULL|NULL|NULL;", asked(f, "SELECT last_sequence, outcome, sip_code, hangup_by FROM callstate_call"));
}

static void an_attempt_that_is_over_is_written_before_its_next_event(void **state)
{
	struct fixture *f = *state;

	opened(f);
	assert_int_equal(0, put(f, made_event(&f->made, 1, 2)));
	for(int i = 0; i < 2; i++) {
		made_begin(&f->made, SB_X_ATTEMPT, 1, 0, SB_ST_RINGING);
		made_attempt(&f->made, 1, 503, AT0 + 3000000);
		assert_int_equal(0, put(f, made_done(&f->made)));
		assert_string_equal("503|2|2026-01-31 14:02:10.114000;",
				asked(f, "SELECT code, last_sequence, failed_at FROM callstate_attempt"));
	}
	made_begin(&f->made, SB_X_ATTEMPT, 1, 0, SB_ST_RINGING);
	made_attempt(&f->made, 1, 0, 0);
	assert_int_equal(0, put(f, made_done(&f->made)));
	assert_string_equal("503|2;", asked(f, "SELECT code, last_sequence FROM callstate_attempt"));
}

/** Calls 1 to n, each one event, in one transaction. */
static int put_calls(struct fixture *f, unsigned n, const char *name_of_last)
{
	struct sb_cl_arena mem = {0};
	struct sb_cl_row *row = calloc(n, sizeof(*row));
	struct sb_cl_part part = {SB_CL_CALL, row, n};

	for(unsigned i = 0; i < n; i++) {
		made_begin(&f->made, SB_CALL_RINGING, i + 1, 2, SB_ST_RINGING);
		if(i + 1 == n)
			made_text(&f->made, SB_C_FLOW, name_of_last);
		rows_of(&f->rows, made_done(&f->made));
		row[i] = f->rows.row[SB_CL_CALL][0];
		/* this row's memory goes on to the next one's */
		unsigned count;
		sb_cl_columns(SB_CL_CALL, &count);
		row[i].v = sb_cl_alloc(&mem, count * sizeof(*row[i].v));
		memcpy(row[i].v, f->rows.row[SB_CL_CALL][0].v, count * sizeof(*row[i].v));
		for(unsigned c = 0; c < count; c++) {
			if(row[i].v[c].kind != SB_DB_TEXT)
				continue;
			char *copy = sb_cl_alloc(&mem, row[i].v[c].len + 1);
			memcpy(copy, row[i].v[c].text, row[i].v[c].len);
			row[i].v[c].text = copy;
		}
	}
	int rc = f->store->put(f->store, &part, 1, f->err, sizeof(f->err));
	free(row);
	sb_cl_free(&mem);
	return rc;
}

static void more_rows_than_one_statement_takes(void **state)
{
	struct fixture *f = *state;

	opened(f);
	assert_int_equal(0, put_calls(f, 2300, "x"));
	assert_string_equal("2300|2300;", asked(f, "SELECT count(*), count(DISTINCT call_id) FROM callstate_call"));
}

static void a_refused_row_refuses_all_and_leaves_the_connection_usable(void **state)
{
	struct fixture *f = *state;

	if(mariadb() != NULL)
		sql(f, "ALTER TABLE callstate_call ADD CONSTRAINT no_bad CHECK (flow IS NULL OR flow <> 'bad')");
	else
		sql(f, "CREATE TRIGGER no_bad BEFORE INSERT ON callstate_call WHEN NEW.flow = 'bad' BEGIN SELECT raise(ABORT, "
			   "'no_bad'); END");
	opened(f);
	assert_int_equal(SB_CL_BAD_ROW, put_calls(f, 20, "bad"));
	assert_non_null(strstr(f->err, "no_bad"));
	assert_string_equal("0;", asked(f, "SELECT count(*) FROM callstate_call"));
	assert_int_equal(0, put_calls(f, 20, "good"));
	assert_string_equal("20;", asked(f, "SELECT count(*) FROM callstate_call"));
}

static void a_row_that_hits_another_unique_key_is_refused(void **state)
{
	struct fixture *f = *state;

	opened(f);
	sql(f, "CREATE UNIQUE INDEX other_key ON callstate_call (flow)");
	sql(f, "CREATE UNIQUE INDEX other_key2 ON callstate_event (note)");
	assert_int_equal(0, put_calls(f, 1, "same"));
	assert_int_equal(SB_CL_BAD_ROW, put_calls(f, 2, "same"));
	assert_string_equal("1;", asked(f, "SELECT count(*) FROM callstate_call"));
	/* the row itself again is none */
	assert_int_equal(0, put_calls(f, 1, "same"));
	for(unsigned i = 1; i <= 2; i++) {
		made_begin(&f->made, SB_CUSTOM, 40 + i, 1, SB_ST_RINGING);
		made_text(&f->made, SB_C_TEXT, "once");
		assert_int_equal(i == 1 ? 0 : SB_CL_BAD_ROW, put(f, made_done(&f->made)));
	}
	assert_string_equal("1|1;", asked(f, "SELECT count(*), max(sequence) FROM callstate_event"));
}

static void tables_that_are_missing_or_of_another_version_are_named(void **state)
{
	struct fixture *f = *state;

	sql(f, "UPDATE version SET table_version = 7 WHERE table_name = 'callstate_attempt'");
	assert_int_equal(-ENOENT, f->store->open(f->store, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "callstate_attempt has version 7"));
	sql(f, "DELETE FROM version WHERE table_name = 'callstate_event'");
	sql(f, "UPDATE version SET table_version = 1 WHERE table_name = 'callstate_attempt'");
	assert_int_equal(-ENOENT, f->store->open(f->store, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "no table callstate_event; signalbox db migrate"));
	sql(f, "INSERT INTO version (table_name, table_version) VALUES ('callstate_event', 1)");
	sql(f, "ALTER TABLE callstate_event DROP COLUMN note");
	assert_int_equal(-ENOENT, f->store->open(f->store, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "callstate_event"));
	drop_all(f);
	assert_int_equal(-ENOENT, f->store->open(f->store, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "signalbox db migrate"));
	assert_null(f->store->db);
}

static void a_user_who_may_only_read_is_told_what_it_needs(void **state)
{
	struct fixture *f = *state;
	const char *reader = getenv("SB_TEST_MARIADB_READER");

	if(reader == NULL)
		return;
	assert_int_equal(0, sb_db_url_parse(&f->url, reader, f->err, sizeof(f->err)));
	f->store->free(f->store);
	assert_int_equal(0, sb_cl_store_new(&f->store, &f->url, 2000));
	assert_true(f->store->open(f->store, f->err, sizeof(f->err)) < 0);
	assert_non_null(strstr(f->err, "1142"));
	assert_non_null(strstr(f->err, "SELECT, INSERT and UPDATE"));
}

static void a_table_that_goes_while_it_is_written_is_no_bad_row(void **state)
{
	struct fixture *f = *state;

	opened(f);
	assert_int_equal(0, put(f, made_event(&f->made, 1, 1)));
	sql(f, "DROP TABLE callstate_event");
	assert_true(put(f, made_event(&f->made, 1, 2)) < 0);
	assert_non_null(strstr(f->err, "callstate_event"));
}

static void a_lock_of_somebody_else_is_no_bad_row(void **state)
{
	struct fixture *f = *state;

	f->store->free(f->store);
	assert_int_equal(0, sb_cl_store_new(&f->store, &f->url, mariadb() != NULL ? 3000 : 100));
	opened(f);
	assert_int_equal(0, put(f, made_event(&f->made, 1, 1)));
	sql(f, mariadb() != NULL ? "START TRANSACTION" : "BEGIN IMMEDIATE");
	sql(f, "UPDATE callstate_call SET flow = 'x'");
	assert_int_equal(-ETIMEDOUT, put(f, made_event(&f->made, 1, 2)));
	sql(f, "ROLLBACK");
	f->store->close(f->store);
	opened(f);
	assert_int_equal(0, put(f, made_event(&f->made, 1, 2)));
}

static void sqlite_errors_of_a_row_and_of_the_database(void **state)
{
	static const int row[] = {SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_NOTNULL, SQLITE_CONSTRAINT_UNIQUE,
			SQLITE_CONSTRAINT_TRIGGER, SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_TOOBIG, SQLITE_MISMATCH};
	static const int database[] = {SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR,
			SQLITE_IOERR_FSYNC, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB, SQLITE_ERROR, SQLITE_SCHEMA,
			SQLITE_NOMEM, SQLITE_PERM};
	(void)state;

	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(SB_CL_BAD_ROW, sb_cl_sqlite_verdict(row[i]));
	for(size_t i = 0; i < sizeof(database) / sizeof(database[0]); i++)
		assert_true(sb_cl_sqlite_verdict(database[i]) < 0);
	assert_int_equal(0, sb_cl_sqlite_verdict(SQLITE_OK));
	assert_int_equal(-ENOSPC, sb_cl_sqlite_verdict(SQLITE_FULL));
	assert_int_equal(-EAGAIN, sb_cl_sqlite_verdict(SQLITE_BUSY_SNAPSHOT));
}

static void mariadb_errors_of_a_row_and_of_the_database(void **state)
{
	static const struct
	{
		unsigned code;
		const char *sqlstate;
	} row[] = {{ER_DATA_TOO_LONG, "22001"}, {ER_WARN_DATA_OUT_OF_RANGE, "22003"}, {ER_DUP_ENTRY, "23000"},
			{ER_BAD_NULL_ERROR, "23000"}, {ER_CONSTRAINT_FAILED, "23000"}, {ER_SIGNAL_EXCEPTION, "45000"},
			{ER_NO_REFERENCED_ROW_2, "23000"}, {ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, "HY000"},
			{WARN_DATA_TRUNCATED, "01000"}},
	  database[] = {{ER_NO_SUCH_TABLE, "42S02"}, {ER_BAD_FIELD_ERROR, "42S22"}, {ER_NO_DEFAULT_FOR_FIELD, "HY000"},
			  {ER_DISK_FULL, "HY000"}, {ER_RECORD_FILE_FULL, "HY000"}, {ER_OPTION_PREVENTS_STATEMENT, "HY000"},
			  {ER_TABLEACCESS_DENIED_ERROR, "42000"}, {ER_LOCK_WAIT_TIMEOUT, "HY000"}, {ER_SERVER_SHUTDOWN, "08S01"},
			  {2006, "HY000"}, {2013, "HY000"}, {ER_NET_PACKET_TOO_LARGE, "08S01"}, {ER_UNKNOWN_COM_ERROR, "08S01"},
			  {ER_ERROR_ON_WRITE, "HY000"}};
	(void)state;

	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(SB_CL_BAD_ROW, sb_cl_mariadb_verdict(row[i].code, row[i].sqlstate));
	for(size_t i = 0; i < sizeof(database) / sizeof(database[0]); i++)
		assert_true(sb_cl_mariadb_verdict(database[i].code, database[i].sqlstate) < 0);
	assert_int_equal(-EAGAIN, sb_cl_mariadb_verdict(ER_LOCK_DEADLOCK, "40001"));
	assert_int_equal(-ECONNRESET, sb_cl_mariadb_verdict(2006, "HY000"));
	assert_int_equal(0, sb_cl_mariadb_verdict(0, "00000"));
}

int main(void)
{
#define STORE(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
			STORE(every_column_comes_back_as_it_was_given),
			STORE(written_again_nothing_changes),
			STORE(an_older_event_changes_nothing_but_is_there),
			STORE(the_end_of_a_call_stays_and_an_answer_overrules_a_failure),
			STORE(an_attempt_that_is_over_is_written_before_its_next_event),
			STORE(more_rows_than_one_statement_takes),
			STORE(a_refused_row_refuses_all_and_leaves_the_connection_usable),
			STORE(a_row_that_hits_another_unique_key_is_refused),
			STORE(tables_that_are_missing_or_of_another_version_are_named),
			STORE(a_user_who_may_only_read_is_told_what_it_needs),
			STORE(a_table_that_goes_while_it_is_written_is_no_bad_row),
			STORE(a_lock_of_somebody_else_is_no_bad_row),
			cmocka_unit_test(sqlite_errors_of_a_row_and_of_the_database),
			cmocka_unit_test(mariadb_errors_of_a_row_and_of_the_database),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
