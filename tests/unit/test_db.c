/* SPDX-License-Identifier: GPL-2.0-or-later */
/** The door to SQLite: opening, values, errors. MariaDB: tests/integration/db.test.mjs. */
#include "db_fixture.h"

#include <sys/stat.h>

static struct sb_db_value text_of(const char *s)
{
	return (struct sb_db_value){SB_DB_TEXT, 0, s, strlen(s)};
}

static void a_missing_file_is_said_and_not_made(void **state)
{
	struct sb_db *db = NULL;
	(void)state;
	assert_int_equal(sb_db_open(&db, &db_url, false, 100, db_err, sizeof(db_err)), -ENOENT);
	assert_null(db);
	assert_non_null(strstr(db_err, "db migrate makes it"));
	assert_int_equal(access(db_url.path, F_OK), -1);
}

static void a_new_file_is_for_its_owner_alone_and_in_wal_mode(void **state)
{
	struct stat st;
	struct sb_db *db = db_opened();
	(void)state;
	assert_int_equal(stat(db_url.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(db_all(db, "PRAGMA journal_mode"), "wal");
	sb_db_close(db);
}

static void what_is_no_database_is_refused(void **state)
{
	struct sb_db *db = NULL;
	FILE *f = fopen(db_url.path, "w");
	(void)state;
	for(int i = 0; i < 200; i++)
		fputs("this is a text, and no database\n", f);
	fclose(f);
	assert_int_equal(sb_db_open(&db, &db_url, true, 100, db_err, sizeof(db_err)), -EIO);
	assert_non_null(strstr(db_err, "no SQLite database"));
}

static void values_go_in_and_come_out_as_they_were(void **state)
{
	struct sb_db *db = db_opened();
	struct sb_db_value p[] = {{SB_DB_INT, INT64_MIN, NULL, 0}, text_of("x'; DROP TABLE t; --"),
			{SB_DB_NULL, 0, NULL, 0}, {SB_DB_TEXT, 0, NULL, 0}};
	(void)state;
	db_must(db, "CREATE TABLE t (a INTEGER, b TEXT, c TEXT, d TEXT)");
	assert_int_equal(sb_db_query(db, "INSERT INTO t VALUES (?, ?, ?, ?)", p, 4, NULL, NULL), 1);
	assert_string_equal(
			db_all(db, "SELECT a, b, c, d, length(d) FROM t"), "-9223372036854775808 x'; DROP TABLE t; -- NULL  0");
	sb_db_close(db);
}

static bool stop_at_two(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)row;
	(void)columns;
	return ++*(int *)arg < 2;
}

static void rows_are_counted_and_reading_ends_when_told(void **state)
{
	struct sb_db *db = db_opened();
	int seen = 0;
	(void)state;
	db_must(db, "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3)");
	assert_int_equal(sb_db_query(db, "SELECT a FROM t", NULL, 0, NULL, NULL), 3);
	assert_int_equal(sb_db_query(db, "SELECT a FROM t", NULL, 0, stop_at_two, &seen), 2);
	assert_int_equal(seen, 2);
	assert_int_equal(sb_db_query(db, "UPDATE t SET a = 9 WHERE a > 1", NULL, 0, NULL, NULL), 2);
	assert_int_equal(sb_db_query(db, "SELECT a FROM t WHERE a = 0", NULL, 0, NULL, NULL), 0);
	sb_db_close(db);
}

static void errors_are_told_apart(void **state)
{
	struct sb_db *db = db_opened(), *other = db_opened();
	struct sb_db_value one = text_of("1");
	(void)state;
	db_must(db, "CREATE TABLE t (a TEXT PRIMARY KEY); INSERT INTO t VALUES ('1')");
	assert_int_equal(sb_db_query(db, "INSERT INTO t VALUES (?)", &one, 1, NULL, NULL), -EEXIST);
	assert_int_equal(sb_db_exec(db, "INSERT INTO t VALUES ('1')"), -EEXIST);
	assert_int_equal(sb_db_exec(db, "SELEC 1"), -EIO);
	assert_non_null(strstr(sb_db_error(db), "syntax error"));
	assert_int_equal(sb_db_query(db, "SELECT 1 FROM nowhere", NULL, 0, NULL, NULL), -EIO);
	assert_int_equal(sb_db_query(db, "SELECT a FROM t WHERE a = ?", NULL, 0, NULL, NULL), -EINVAL);
	assert_int_equal(sb_db_exec(db, "BEGIN IMMEDIATE"), 0);
	assert_int_equal(sb_db_exec(other, "INSERT INTO t VALUES ('2')"), -ETIMEDOUT);
	assert_int_equal(sb_db_exec(db, "COMMIT"), 0);
	assert_int_equal(sb_db_exec(other, "INSERT INTO t VALUES ('2')"), 0);
	sb_db_close(other);
	sb_db_close(db);
}

static void what_is_deleted_leaves_the_file(void **state)
{
	struct sb_db *db = db_opened();
	char all[65536];
	(void)state;
	db_must(db, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('+442079460142 was here'), ('stays'); PRAGMA "
				"wal_checkpoint(TRUNCATE)");
	for(int after = 0; after < 2; after++) {
		FILE *f = fopen(db_url.path, "r");
		size_t n = fread(all, 1, sizeof(all), f);
		fclose(f);
		assert_int_equal(memmem(all, n, "+442079460142", 13) == NULL, after);
		db_must(db, "DELETE FROM t WHERE a LIKE '+44%'; PRAGMA wal_checkpoint(TRUNCATE)");
	}
	sb_db_close(db);
}

/* fcntl(2): to close a descriptor of a file ends all locks that the process has on that file. */
static void a_second_connection_leaves_the_locks_of_the_first(void **state)
{
	struct sb_db *db = db_opened(), *second;
	char wal[SB_DB_URL + 8], other[SB_DB_URL + 40];
	(void)state;
	db_must(db, "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)");
	second = db_opened();
	snprintf(wal, sizeof(wal), "%s-wal", db_url.path);
	snprintf(other, sizeof(other), "sqlite3 %s 'SELECT a FROM t' > /dev/null", db_url.path);
	if(system(other) != 0)
		skip();
	assert_int_equal(access(wal, F_OK), 0);
	sb_db_close(second);
	sb_db_close(db);
}

#define EACH(test) cmocka_unit_test_teardown(test, db_forget)
int main(void)
{
	const struct CMUnitTest tests[] = {EACH(a_missing_file_is_said_and_not_made),
			EACH(a_new_file_is_for_its_owner_alone_and_in_wal_mode), EACH(what_is_no_database_is_refused),
			EACH(values_go_in_and_come_out_as_they_were), EACH(rows_are_counted_and_reading_ends_when_told),
			EACH(errors_are_told_apart), EACH(what_is_deleted_leaves_the_file),
			EACH(a_second_connection_leaves_the_locks_of_the_first)};
	return cmocka_run_group_tests(tests, db_fixture, db_gone);
}
