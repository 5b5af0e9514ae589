/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine of the call log: a real log, a store that does what the test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call_log_fake.h"

#include "db_schema.h"

static void every_event_is_written_once_and_calls_are_folded(void **state)
{
	struct test *t = *state;

	calls(t, 1, 120);
	turns(t, SECOND);
	assert_all(t, 120);
	for(unsigned i = 0; i < t->store.rows; i++) {
		if(t->store.row[i].table != SB_CL_EVENT)
			assert_int_equal(2, t->store.row[i].sequence);
	}
	assert_int_equal(50, t->store.largest);
	assert_int_equal(120, t->status.rows[SB_CL_CALL]);
	assert_int_equal(240, t->status.rows[SB_CL_EVENT]);
	assert_int_equal(0, t->status.oldest_at);
	assert_int_equal(0, t->said[SB_CALL_LOG_ERROR]);
}

static void a_batch_that_does_not_fill_waits_no_longer_than_the_delay(void **state)
{
	struct test *t = *state;

	calls(t, 1, 1);
	turns(t, 60000);
	assert_int_equal(0, t->store.transactions);
	assert_int_equal(AT0 + SECOND, t->status.oldest_at);
	turns(t, 80000);
	assert_int_equal(1, t->store.transactions);
	assert_all(t, 1);
}

static void internal_records_move_the_cursor_alone(void **state)
{
	struct test *t = *state;

	made_begin(&t->made, SB_X_DIALOG, 1, 0, SB_ST_RINGING);
	append(t, made_done(&t->made));
	turns(t, SECOND);
	assert_int_equal(0, t->store.puts);
	assert_true(t->status.segment > 0 && t->status.offset > 0);
}

static void started_again_it_goes_on_behind_what_is_kept(void **state)
{
	struct test *t = *state;

	calls(t, 1, 30);
	turns(t, SECOND);
	sb_call_log_stop(t->c, t->at);
	assert_int_equal(SB_CALL_LOG_STOPPED, t->status.state);
	unsigned before = t->store.transactions;
	started(t);
	turns(t, SECOND);
	assert_int_equal(before, t->store.transactions);
	calls(t, 31, 40);
	turns(t, SECOND);
	assert_all(t, 40);
}

static void what_is_read_is_written_when_it_stops(void **state)
{
	struct test *t = *state;

	calls(t, 1, 3);
	sb_call_log_turn(t->c, t->at, t->at);
	sb_call_log_stop(t->c, t->at);
	assert_all(t, 3);
	started(t);
}

static void segments_are_given_free_as_the_cursor_moves(void **state)
{
	struct test *t = *state;

	calls(t, 1, 100);
	uint64_t newest = atomic_load(&t->log.sh->current);
	assert_true(newest > 1);
	assert_int_equal(0, t->log.sh->sink_segment[t->cfg.sink]);
	turns(t, SECOND);
	assert_int_equal(newest, t->log.sh->sink_segment[t->cfg.sink]);
}

/* The n-th exchange fails, for every n there is, before and after it took effect. */
static void a_failure_at_each_exchange_loses_and_doubles_nothing(void **state)
{
	struct test *t = *state;
	unsigned last = 0;

	for(int after = 0; after < 2; after++) {
		for(unsigned n = 1; n <= 6; n++) {
			t->store.fail_at = t->store.puts + n;
			t->store.fail_after = after;
			t->store.fail_rc = n % 2 ? -EIO : -ECONNRESET;
			calls(t, last + 1, last + 80);
			last += 80;
			turns(t, 5 * SECOND);
			assert_all(t, last);
			assert_int_equal(SB_CALL_LOG_UP, t->status.state);
		}
	}
	assert_string_equal("", aside(t));
}

static void while_the_database_is_away_it_waits_and_reads_no_further(void **state)
{
	struct test *t = *state;
	unsigned before;

	t->store.open_rc = t->store.put_rc = -ECONNREFUSED;
	t->store.open = false;
	turns(t, 30000);
	assert_int_equal(SB_CALL_LOG_WAITING, t->status.state);
	calls(t, 1, 500);
	turns(t, 300 * SECOND);
	assert_int_equal(1, t->said[SB_CALL_LOG_ERROR]);
	assert_non_null(strstr(t->text, "fake: cannot be opened"));
	assert_true(t->store.opens >= 12 && t->store.opens <= 16); /* 1, 2, 4, 8, 16, 30, 30 … s */
	assert_int_equal(0, t->log.sh->sink_segment[t->cfg.sink]);
	before = t->store.opens;
	t->store.open_rc = t->store.put_rc = 0;
	turns(t, 31 * SECOND);
	assert_all(t, 500);
	assert_int_equal(before + 1, t->store.opens);
	assert_int_equal(50, t->store.largest);
	assert_int_equal(1, t->said[SB_CALL_LOG_ERROR]);
	assert_int_equal(1, t->said[SB_CALL_LOG_NOTICE]);
	assert_non_null(strstr(t->text, "takes rows again"));
}

static void an_idle_connection_that_was_cut_is_opened_again_without_a_word(void **state)
{
	struct test *t = *state;

	calls(t, 1, 2);
	turns(t, SECOND);
	t->store.fail_at = t->store.puts + 1;
	t->store.fail_rc = -ECONNRESET;
	calls(t, 3, 4);
	turns(t, SECOND);
	assert_all(t, 4);
	assert_int_equal(2, t->store.opens);
	assert_int_equal(0, t->said[SB_CALL_LOG_ERROR]);
}

static void a_lost_deadlock_is_tried_again_at_once(void **state)
{
	struct test *t = *state;

	t->store.fail_at = 1;
	t->store.fail_rc = -EAGAIN;
	calls(t, 1, 2);
	turns(t, 150000);
	assert_all(t, 2);
	assert_int_equal(0, t->said[SB_CALL_LOG_ERROR]);
}

static void bad_rows_are_found_and_the_others_are_written(void **state)
{
	struct test *t = *state;
	char bad[37], want[200];

	made_id(bad, 17);
	t->store.bad_key = bad;
	calls(t, 1, 60);
	turns(t, 2 * SECOND);
	assert_int_equal(59, count(t, SB_CL_CALL));
	assert_int_equal(59, count(t, SB_CL_ATTEMPT));
	assert_int_equal(120, count(t, SB_CL_EVENT));
	assert_null(find(t, SB_CL_CALL, bad));
	snprintf(want, sizeof(want), "callstate_attempt %s fake: refused;callstate_call %s fake: refused;", bad, bad);
	assert_string_equal(want, aside(t));
	assert_int_equal(2, t->status.aside);
	assert_int_equal(2, t->status.aside_kept);
	assert_int_equal(59, t->status.rows[SB_CL_CALL]);
	assert_int_equal(1, t->said[SB_CALL_LOG_ERROR]);
	assert_int_equal(SB_CALL_LOG_UP, t->status.state);
}

static void a_bad_row_written_again_after_a_kill_stands_aside_once(void **state)
{
	struct test *t = *state;
	char bad[37], path[200];
	sqlite3 *db;

	made_id(bad, 2);
	t->store.bad_key = bad;
	calls(t, 1, 3);
	turns(t, SECOND);
	sb_call_log_stop(t->c, t->at);
	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "DELETE FROM cursor", NULL, NULL, NULL));
	sqlite3_close(db);
	started(t);
	turns(t, SECOND);
	assert_int_equal(2, t->status.aside_kept);
	assert_int_equal(2, count(t, SB_CL_CALL));
	assert_int_equal(6, count(t, SB_CL_EVENT));
}

static void a_table_that_refuses_every_row_makes_it_wait(void **state)
{
	struct test *t = *state;

	t->store.bad_table = SB_CL_EVENT;
	calls(t, 1, 200); /* 400 events in batches of 50 */
	turns(t, 200 * SECOND);
	assert_int_equal(SB_CALL_LOG_WAITING, t->status.state);
	assert_int_equal(0, count(t, SB_CL_EVENT));
	assert_int_equal(100, t->status.aside);
	assert_non_null(strstr(t->status.error, "it is the table that is wrong"));
	assert_true(t->said[SB_CALL_LOG_ERROR] <= 3);
	t->store.bad_table = -1;
	turns(t, 31 * SECOND);
	assert_int_equal(SB_CALL_LOG_UP, t->status.state);
	assert_int_equal(300, count(t, SB_CL_EVENT));
	assert_int_equal(100, t->status.aside);
	assert_int_equal(200, count(t, SB_CL_CALL));
}

static void many_bad_rows_among_good_ones_do_not_make_it_wait(void **state)
{
	struct test *t = *state;

	t->store.bad_last = "02468ace";
	calls(t, 1, 300);
	turns(t, 100 * SECOND);
	assert_int_equal(SB_CALL_LOG_UP, t->status.state);
	assert_true(t->status.aside > SB_CALL_LOG_BAD_RUN);
	assert_int_equal(300, count(t, SB_CL_EVENT));
	assert_int_equal(150, count(t, SB_CL_CALL));
}

static void a_record_that_is_no_event_stands_aside(void **state)
{
	struct test *t = *state;

	calls(t, 1, 1);
	made_begin(&t->made, SB_CALL_RINGING, 2, 0, SB_ST_RINGING);
	append(t, made_done(&t->made));
	calls(t, 3, 3);
	turns(t, SECOND);
	assert_int_equal(2, count(t, SB_CL_CALL));
	assert_int_equal(4, count(t, SB_CL_EVENT));
	assert_string_equal("record  no event: damaged, or without call, time or number;", aside(t));
}

static void a_file_of_its_own_that_cannot_be_written_loses_nothing(void **state)
{
	struct test *t = *state;
	char path[200];
	sqlite3 *db;

	turns(t, 30000);
	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
	calls(t, 1, 2);
	turns(t, SECOND / 2);
	assert_int_equal(SB_CALL_LOG_WAITING, t->status.state);
	assert_int_equal(0, t->status.segment);
	calls(t, 3, 4);
	turns(t, SECOND / 2);
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL));
	sqlite3_close(db);
	turns(t, 3 * SECOND);
	assert_int_equal(SB_CALL_LOG_UP, t->status.state);
	assert_true(t->status.segment > 0);
	assert_all(t, 4);
	assert_int_equal(2, t->store.transactions);
}

static void segments_that_went_before_they_were_read_are_counted_and_said(void **state)
{
	struct test *t = *state;
	char path[SB_LOG_FILE];

	calls(t, 1, 2);
	turns(t, SECOND);
	uint64_t at = t->status.segment;
	sb_call_log_stop(t->c, t->at);
	calls(t, 3, 80);
	for(uint64_t s = at; s < at + 3; s++) {
		sb_path_segment(path, t->log.cfg.spool_dir, s);
		assert_int_equal(0, unlink(path));
	}
	started(t);
	turns(t, SECOND);
	assert_int_equal(3, t->status.lost_segments);
	assert_int_equal(1, t->said[SB_CALL_LOG_ERROR]);
	assert_non_null(strstr(t->text, "journal_limit"));
	assert_non_null(find(t, SB_CL_CALL, "-"));
}

static void said_nothing(const char *line, void *arg)
{
	(void)line, (void)arg;
}

static bool take_number(const struct sb_db_value *row, unsigned columns, void *arg)
{
	*(int64_t *)arg = columns == 1 && row[0].kind == SB_DB_INT ? row[0].i : -1;
	return false;
}

static int64_t asked(struct sb_db *db, const char *sql)
{
	int64_t n = -1;

	assert_true(sb_db_query(db, sql, NULL, 0, take_number, &n) >= 0);
	return n;
}

static void calls_older_than_keep_days_are_deleted_and_no_others(void **state)
{
	struct test *t = *state;
	struct sb_db_url url;
	struct sb_db *db;
	char text[120];

	snprintf(text, sizeof(text), "sqlite:///%s/calls.db", t->log.root);
	assert_int_equal(0, sb_db_url_parse(&url, text, t->err, sizeof(t->err)));
	assert_int_equal(0, sb_db_open(&db, &url, true, 1000, t->err, sizeof(t->err)));
	assert_true(sb_db_migrate(db, false, said_nothing, NULL, t->err, sizeof(t->err)) > 0);
	sb_call_log_stop(t->c, t->at);
	assert_int_equal(0, sb_cl_store_new(&t->cfg.store, &url, 1000));
	t->cfg.keep_days = 7;
	t->at = AT0 + 6 * 86400 * SECOND;
	started(t);
	calls(t, 1, 450);
	turns(t, 10 * SECOND);
	assert_int_equal(450, asked(db, "SELECT count(*) FROM callstate_call"));
	t->at += 86400 * SECOND + 60 * SECOND;
	sb_call_log_turn(t->c, t->at + 400 * 86400 * SECOND, t->at); /* the clock was set, and is set right in time */
	turns(t, 3500 * SECOND);
	assert_int_equal(450, asked(db, "SELECT count(*) FROM callstate_call"));
	turns(t, 200 * SECOND);
	assert_int_equal(0, asked(db, "SELECT count(*) FROM callstate_call"));
	assert_int_equal(0, asked(db, "SELECT count(*) FROM callstate_event"));
	assert_int_equal(450, t->status.pruned);
	sb_call_log_stop(t->c, t->at);
	t->cfg.store->free(t->cfg.store);
	t->cfg.store = &t->store.base;
	started(t);
	sb_db_close(db);
}

static void a_file_of_another_version_is_refused(void **state)
{
	struct test *t = *state;
	char path[200];
	sqlite3 *db;

	sb_call_log_stop(t->c, t->at);
	t->c = NULL;
	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL));
	sqlite3_close(db);
	assert_int_equal(-EPROTO, sb_call_log_prepare(t->log.root, t->err, sizeof(t->err)));
	assert_non_null(strstr(t->err, "version 9"));
	assert_int_equal(-EIO, sb_call_log_prepare("/nowhere", t->err, sizeof(t->err)));
	assert_non_null(strstr(t->err, "/nowhere"));
}

int main(void)
{
#define ENGINE(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
			ENGINE(every_event_is_written_once_and_calls_are_folded),
			ENGINE(a_batch_that_does_not_fill_waits_no_longer_than_the_delay),
			ENGINE(internal_records_move_the_cursor_alone),
			ENGINE(started_again_it_goes_on_behind_what_is_kept),
			ENGINE(what_is_read_is_written_when_it_stops),
			ENGINE(segments_are_given_free_as_the_cursor_moves),
			ENGINE(a_failure_at_each_exchange_loses_and_doubles_nothing),
			ENGINE(while_the_database_is_away_it_waits_and_reads_no_further),
			ENGINE(an_idle_connection_that_was_cut_is_opened_again_without_a_word),
			ENGINE(a_lost_deadlock_is_tried_again_at_once),
			ENGINE(bad_rows_are_found_and_the_others_are_written),
			ENGINE(a_bad_row_written_again_after_a_kill_stands_aside_once),
			ENGINE(a_table_that_refuses_every_row_makes_it_wait),
			ENGINE(many_bad_rows_among_good_ones_do_not_make_it_wait),
			ENGINE(a_record_that_is_no_event_stands_aside),
			ENGINE(a_file_of_its_own_that_cannot_be_written_loses_nothing),
			ENGINE(segments_that_went_before_they_were_read_are_counted_and_said),
			ENGINE(calls_older_than_keep_days_are_deleted_and_no_others),
			ENGINE(a_file_of_another_version_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
