/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine of the call log: a real log, a store that does what the test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call_log_fixture.h"
#include "log_fixture.h"

#include "call_log.h"

#include <sqlite3.h>

#define ROWS_MAX 8192
#define SECOND 1000000ull

struct kept
{
	enum sb_cl_table table;
	char key[80];
	int64_t sequence;
};

struct fake
{
	struct sb_cl_store base;
	bool open;
	unsigned opens, puts, transactions;
	int open_rc;           /* what open() returns */
	int put_rc;            /* what put() returns, if not 0 */
	unsigned fail_at;      /* the put() of this number fails with fail_rc */
	int fail_rc;
	bool fail_after;       /* it fails after it has written: the answer to a commit was lost */
	const char *bad_key;   /* rows whose key contains it are refused */
	const char *bad_last;  /* rows whose key ends with one of these */
	int bad_table;         /* all rows of this table are refused; -1: none */
	struct kept row[ROWS_MAX];
	unsigned rows;
	unsigned largest;      /* rows of one part */
};

struct test
{
	struct fixture log;
	struct fake store;
	struct sb_call_log_status status;
	struct sb_call_log_cfg cfg;
	struct sb_call_log *c;
	uint64_t at; /* µs, both clocks */
	unsigned said[3];
	char text[2000];
	struct made made;
	char err[1024];
};

static struct test *now_testing;

static void key_of(char key[80], enum sb_cl_table table, const struct sb_cl_row *row)
{
	if(table == SB_CL_ATTEMPT)
		snprintf(key, 80, "%s/%lld", cell_text(&row->v[0]), (long long)row->v[1].i);
	else
		snprintf(key, 80, "%s", cell_text(&row->v[0]));
}

static int fake_open(struct sb_cl_store *s, char *err, size_t err_len)
{
	struct fake *f = (struct fake *)s;

	f->opens++;
	assert_false(f->open);
	if(f->open_rc != 0) {
		snprintf(err, err_len, "fake: cannot be opened");
		return f->open_rc;
	}
	f->open = true;
	return 0;
}

static void fake_close(struct sb_cl_store *s)
{
	((struct fake *)s)->open = false;
}

static bool refused(const struct fake *f, enum sb_cl_table table, const struct sb_cl_row *row)
{
	char key[80];

	key_of(key, table, row);
	return f->bad_table == (int)table || (f->bad_last != NULL && strchr(f->bad_last, key[strlen(key) - 1]) != NULL)
		   || (f->bad_key != NULL && strstr(key, f->bad_key) != NULL);
}

static void fake_keep(struct fake *f, enum sb_cl_table table, const struct sb_cl_row *row)
{
	char key[80];
	int64_t sequence = row->v[sb_cl_column_of(table, table == SB_CL_EVENT ? "sequence" : "last_sequence")].i;

	key_of(key, table, row);
	for(unsigned i = 0; i < f->rows; i++) {
		if(f->row[i].table == table && strcmp(f->row[i].key, key) == 0) {
			f->row[i].sequence = sequence > f->row[i].sequence ? sequence : f->row[i].sequence;
			return;
		}
	}
	assert_true(f->rows < ROWS_MAX);
	f->row[f->rows].table = table;
	f->row[f->rows].sequence = sequence;
	strcpy(f->row[f->rows++].key, key);
}

static int fake_put(struct sb_cl_store *s, const struct sb_cl_part *part, unsigned parts, char *err, size_t err_len)
{
	struct fake *f = (struct fake *)s;
	bool fails = ++f->puts == f->fail_at;

	assert_true(f->open);
	snprintf(err, err_len, "fake: put %u failed", f->puts);
	if(f->put_rc != 0 || (fails && !f->fail_after))
		return f->put_rc != 0 ? f->put_rc : f->fail_rc;
	for(unsigned p = 0; p < parts; p++) {
		assert_true(part[p].count > 0);
		f->largest = part[p].count > f->largest ? part[p].count : f->largest;
		for(unsigned i = 0; i < part[p].count; i++) {
			if(refused(f, part[p].table, &part[p].row[i])) {
				snprintf(err, err_len, "fake: refused");
				return SB_CL_BAD_ROW;
			}
		}
	}
	f->transactions++;
	for(unsigned p = 0; p < parts; p++) {
		for(unsigned i = 0; i < part[p].count; i++)
			fake_keep(f, part[p].table, &part[p].row[i]);
	}
	return fails ? f->fail_rc : 0;
}

static void fake_free(struct sb_cl_store *s)
{
	(void)s;
}

static void say(enum sb_call_log_level level, const char *text)
{
	now_testing->said[level]++;
	snprintf(now_testing->text, sizeof(now_testing->text), "%s", text);
}

static void started(struct test *t)
{
	if(sb_call_log_new(&t->c, &t->cfg, t->at, t->err, sizeof(t->err)) != 0)
		fail_msg("%s", t->err);
}

static int begin(void **state)
{
	struct fixture *f;
	struct test *t = calloc(1, sizeof(*t));

	fixture_log((void **)&f);
	t->log = *f;
	free(f);
	strcpy(t->log.log.node, NODE);
	t->at = AT0 + 60 * SECOND;
	t->store.base = (struct sb_cl_store){.open = fake_open, .close = fake_close, .put = fake_put, .free = fake_free, .shown = "fake"};
	t->store.bad_table = -1;
	t->cfg = (struct sb_call_log_cfg){.log = &t->log.log,
			.sink = sb_log_sink(t->log.sh, "call_log"),
			.state_dir = t->log.root,
			.batch = 50,
			.delay_ms = 100,
			.store = &t->store.base,
			.status = &t->status,
			.say = say};
	now_testing = t;
	started(t);
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct test *t = *state;
	struct fixture *f = calloc(1, sizeof(*f));

	sb_call_log_stop(t->c, t->at);
	*f = t->log;
	fixture_end((void **)&f);
	free(t);
	return 0;
}

static void append(struct test *t, const struct sb_rec *rec)
{
	assert_int_equal(0, sb_log_append(&t->log.log, rec->hdr.type, SB_KEEP, t->made.bytes, rec->hdr.len, NULL));
}

/** Calls from … to, each with events 1 and 2. */
static void calls(struct test *t, unsigned from, unsigned to)
{
	for(unsigned call = from; call <= to; call++) {
		append(t, made_event(&t->made, call, 1));
		append(t, made_event(&t->made, call, 2));
	}
}

static void turns(struct test *t, uint64_t us)
{
	uint64_t until = t->at + us;

	do {
		uint64_t wait = sb_call_log_turn(t->c, t->at, t->at);
		t->at += wait > 0 ? wait : 1;
	} while(t->at < until);
}

static unsigned count(const struct test *t, enum sb_cl_table table)
{
	unsigned n = 0;

	for(unsigned i = 0; i < t->store.rows; i++)
		n += t->store.row[i].table == table;
	return n;
}

static const struct kept *find(const struct test *t, enum sb_cl_table table, const char *key)
{
	for(unsigned i = 0; i < t->store.rows; i++) {
		if(t->store.row[i].table == table && strstr(t->store.row[i].key, key) != NULL)
			return &t->store.row[i];
	}
	return NULL;
}

static void assert_all(const struct test *t, unsigned calls_made)
{
	assert_int_equal(calls_made, count(t, SB_CL_CALL));
	assert_int_equal(calls_made, count(t, SB_CL_ATTEMPT));
	assert_int_equal(2 * calls_made, count(t, SB_CL_EVENT));
}

/** What is in call_log.sqlite, rows as "table key error;" */
static const char *aside(const struct test *t)
{
	static char out[20000];
	char path[200];
	sqlite3 *db;
	sqlite3_stmt *st;

	out[0] = '\0';
	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(SQLITE_OK, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
	assert_int_equal(SQLITE_OK, sqlite3_prepare_v2(db, "SELECT tbl, call_id, error, row FROM aside ORDER BY tbl, row_key", -1, &st, NULL));
	while(sqlite3_step(st) == SQLITE_ROW) {
		const char *row = (const char *)sqlite3_column_text(st, 3);
		assert_true(row[0] == '{' || strcmp(row, "null") == 0);
		sprintf(out + strlen(out), "%s %s %s;", sqlite3_column_text(st, 0), sqlite3_column_text(st, 1), sqlite3_column_text(st, 2));
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return out;
}

/* ---- */

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
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL));
	sqlite3_close(db);
	turns(t, 3 * SECOND);
	assert_int_equal(SB_CALL_LOG_UP, t->status.state);
	assert_true(t->status.segment > 0);
	assert_all(t, 2);
	assert_int_equal(1, t->store.transactions);
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
			ENGINE(a_file_of_another_version_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
