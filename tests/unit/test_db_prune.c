/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Retention: which rows go, and how many at once. */
#include "db_fixture.h"
#include "db_prune.h"

static void say(const char *line, void *arg)
{
	(void)line;
	(void)arg;
}

/* Call i began in the month i; two attempts and three events each. */
static struct sb_db *with_calls(unsigned calls)
{
	struct sb_db *db = db_opened();
	char sql[900];
	assert_true(sb_db_migrate(db, false, say, NULL, db_err, sizeof(db_err)) > 0);
	db_must(db, "BEGIN");
	for(unsigned i = 1; i <= calls; i++) {
		snprintf(sql, sizeof(sql),
				"INSERT INTO callstate_call (call_id, sip_call_id, node, last_sequence, state, started_at) VALUES "
				"('00000000-0000-7000-8000-%012u', 'x', 'n', 1, 'failed', '2026-%02u-01 00:00:00.000000');"
				"INSERT INTO callstate_attempt (call_id, n, last_sequence) SELECT call_id, n, 1 FROM callstate_call, "
				"(SELECT 1 AS n "
				"UNION SELECT 2) WHERE call_id LIKE '%%%012u';"
				"INSERT INTO callstate_event (event_id, call_id, sequence, type, at, state) SELECT call_id || n, "
				"call_id, n, 't', 'a', "
				"'s' FROM callstate_call, (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) WHERE call_id LIKE '%%%012u'",
				i, i % 12 + 1, i, i);
		db_must(db, sql);
	}
	db_must(db, "COMMIT");
	return db;
}

static void calls_that_began_before_go_with_all_their_rows(void **state)
{
	struct sb_db *db = with_calls(12);
	struct sb_db_pruned sum = {0};
	(void)state;
	assert_int_equal(sb_db_prune(db, "2026-05-01 00:00:00.000000", 1000, &sum), 4);
	assert_int_equal(sum.calls, 4);
	assert_int_equal(sum.attempts, 8);
	assert_int_equal(sum.events, 12);
	assert_string_equal(
			db_all(db, "SELECT COUNT(*), MIN(started_at) FROM callstate_call"), "8 2026-05-01 00:00:00.000000");
	assert_string_equal(
			db_all(db, "SELECT COUNT(*) FROM callstate_attempt UNION ALL SELECT COUNT(*) FROM callstate_event"),
			"16 24");
	assert_int_equal(sb_db_prune(db, "2026-05-01 00:00:00.000000", 1000, &sum), 0);
	sb_db_close(db);
}

static void a_chunk_takes_the_oldest_and_no_more_than_it_may(void **state)
{
	struct sb_db *db = with_calls(600);
	struct sb_db_pruned sum = {0};
	(void)state;
	assert_int_equal(sb_db_prune(db, "2027-01-01", 501, &sum), 501);
	assert_int_equal(sum.events, 3 * 501);
	assert_string_equal(
			db_all(db, "SELECT COUNT(*), MIN(started_at) FROM callstate_call"), "99 2026-11-01 00:00:00.000000");
	assert_int_equal(sb_db_prune(db, "2027-01-01", 501, &sum), 99);
	assert_int_equal(sum.calls, 600);
	sb_db_close(db);
}

static bool take_one(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct sb_db_ids *ids = arg;
	(void)columns;
	memcpy(ids->id[ids->count++], row[0].text, 37);
	return true;
}

static void a_chunk_that_fails_deletes_nothing(void **state)
{
	struct sb_db *db = with_calls(12);
	struct sb_db_pruned sum = {0};
	(void)state;
	db_must(db, "CREATE TRIGGER no BEFORE DELETE ON callstate_call BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
	assert_int_equal(sb_db_prune(db, "2027-01-01", 100, &sum), -EIO);
	assert_string_equal(sb_db_error(db), "the disk is full");
	assert_int_equal(sum.events, 0);
	assert_string_equal(db_all(db, "SELECT COUNT(*) FROM callstate_event"), "36");
	assert_int_equal(sb_db_prune(db, "2027-01-01", 0, &sum), -EINVAL);
	assert_int_equal(sb_db_prune(db, "2027-01-01", SB_PRUNE_MAX + 1, &sum), -EINVAL);
	sb_db_close(db);
}

static void as_many_parameters_as_an_erasure_has_stand_before_the_ids(void **state)
{
	struct sb_db *db = with_calls(3);
	struct sb_db_value before[SB_BEFORE_MAX + 1];
	char id[3][37], sql[900] = "UPDATE callstate_call SET did = CASE WHEN did IN (?";
	struct sb_db_ids ids = {id, 0};
	(void)state;
	assert_int_equal(sb_db_query(db, "SELECT call_id FROM callstate_call", NULL, 0, take_one, &ids), 3);
	for(unsigned i = 0; i <= SB_BEFORE_MAX; i++)
		before[i] = (struct sb_db_value){SB_DB_TEXT, 0, "x", 1};
	for(unsigned i = 1; i < SB_BEFORE_MAX; i++)
		strcat(sql, ", ?");
	strcat(sql, ") THEN NULL ELSE did END WHERE call_id");
	assert_int_equal(sb_db_for_ids(db, sql, before, SB_BEFORE_MAX, &ids), 3);
	assert_int_equal(sb_db_for_ids(db, sql, before, SB_BEFORE_MAX + 1, &ids), -EINVAL);
	sb_db_close(db);
}

#define EACH(test) cmocka_unit_test_teardown(test, db_forget)
int main(void)
{
	const struct CMUnitTest tests[] = {EACH(calls_that_began_before_go_with_all_their_rows),
			EACH(a_chunk_takes_the_oldest_and_no_more_than_it_may), EACH(a_chunk_that_fails_deletes_nothing),
			EACH(as_many_parameters_as_an_erasure_has_stand_before_the_ids)};
	return cmocka_run_group_tests(tests, db_fixture, db_gone);
}
