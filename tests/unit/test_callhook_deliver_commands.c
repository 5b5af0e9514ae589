/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of delivery while it runs, and what it shows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "deliver_fixture.h"
#include "state.h"

static char why[300];

static int answer_of(unsigned call, unsigned sequence, unsigned tries)
{
	(void)call, (void)sequence, (void)tries;
	return server->away_status;
}

static int refuses_call_3(unsigned call, unsigned sequence, unsigned tries)
{
	(void)sequence, (void)tries;
	return call == 3 && server->away_status == 400 ? 400 : 200;
}

static uint64_t rows(struct run *r, const char *sql)
{
	char path[SB_LOG_PATH + 32];
	sqlite3_stmt *st;
	sqlite3 *db;
	uint64_t n;

	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(SQLITE_OK, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
	assert_int_equal(SQLITE_OK, sqlite3_prepare_v2(db, sql, -1, &st, NULL));
	n = sqlite3_step(st) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : UINT64_MAX;
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static void call_text(char out[37], unsigned call)
{
	uint8_t id[16] = {9};

	memcpy(id + 8, &call, sizeof(call));
	sb_uuid_text(out, id);
}

/* A call of which every event was refused and given up; others were delivered. */
static void bury_call_3(struct run *r)
{
	server->rule = refuses_call_3;
	server->away_status = 400;
	begin(r);
	write_calls(r, 10);
	TURN_UNTIL(r, server_accepted() == 45 && r->cfg.status->endpoint[0].dead == 5);
	end(r);
}

static void a_call_s_dead_letters_are_replayed_in_order(void **state)
{
	struct run *r = *state;
	uint64_t events = 0, lost = 0;
	char call[37];

	bury_call_3(r);
	server->away_status = 200;
	begin(r);
	call_text(call, 2);
	assert_int_equal(0, sb_deliver_replay(r->d, "a", call, &events, &lost, why, sizeof(why)));
	assert_int_equal(0, events + lost);
	call_text(call, 3);
	assert_int_equal(0, sb_deliver_replay(r->d, "a", call, &events, &lost, why, sizeof(why)));
	assert_int_equal(5, events);
	assert_int_equal(0, lost);
	TURN_UNTIL(r, server_accepted() == 50 && r->cfg.status->endpoint[0].pending == 0);
	end(r);
	check_order(10, 0);
	assert_int_equal(0, rows(r, "SELECT count(*) FROM dead"));
}

static void dead_letters_outlive_the_journal(void **state)
{
	struct run *r = *state;
	uint64_t events = 0, lost = 0;

	bury_call_3(r);
	assert_true(fixture_move(r->log) > 0);
	nftw(r->log->cfg.journal_dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(0, mkdir(r->log->cfg.journal_dir, 0700));
	nftw(r->log->cfg.spool_dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(0, mkdir(r->log->cfg.spool_dir, 0700));
	server->away_status = 200;
	begin(r);
	assert_int_equal(0, sb_deliver_replay(r->d, "a", "all", &events, &lost, why, sizeof(why)));
	assert_int_equal(5, events);
	TURN_UNTIL(r, server_accepted() == 50);
	end(r);
	check_order(10, 0);
}

static void a_replay_of_many_is_taken_in_pieces_and_beside_it_others_are_delivered(void **state)
{
	struct run *r = *state;
	uint64_t events = 0, lost = 0;

	server->rule = answer_of;
	server->away_status = 400;
	r->cfg.dead_max = 10000;
	begin(r);
	write_calls(r, 10);
	TURN_UNTIL(r, r->cfg.status->endpoint[0].state == SB_ENDPOINT_PAUSED);
	end(r);
	/* refused one by one: nine in a row do not pause it */
	struct sb_store *s;
	char path[SB_LOG_PATH + 32], err[512];
	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(0, sb_store_open(&s, path, true, err, sizeof(err)));
	for(unsigned i = 0; i < 1000; i++) {
		struct sb_pending p = {
				.call = {1, (uint8_t)i, (uint8_t)(i >> 8)}, .epoch = 1, .seq = 100000 + i, .pos = {1, i * 10}};
		char body[100];
		int n = snprintf(body, sizeof(body), "{\"data\":{\"sip_call_id\":\"%u\",\"sequence\":1}}", 5000 + i);
		assert_int_equal(0, sb_store_bury(s, "a", &p, body, (size_t)n, 1));
	}
	assert_int_equal(0, sb_store_commit(s));
	sb_store_close(s);
	server->away_status = 200;
	begin(r);
	assert_int_equal(0, sb_deliver_replay(r->d, "a", "all", &events, &lost, why, sizeof(why)));
	assert_true(events >= 1000);
	assert_int_equal(-EALREADY, sb_deliver_replay(r->d, "a", "all", &events, &lost, why, sizeof(why)));
	TURN_UNTIL(r, server_accepted() >= 1050 && r->cfg.status->endpoint[0].pending == 0);
	end(r);
	assert_int_equal(0, rows(r, "SELECT count(*) FROM dead"));
}

static void what_cannot_be_replayed_is_said(void **state)
{
	struct run *r = *state;
	uint64_t events, lost;

	begin(r);
	assert_int_equal(-ENOENT, sb_deliver_replay(r->d, "nobody", "all", &events, &lost, why, sizeof(why)));
	assert_non_null(strstr(why, "nobody"));
	static const char *const rubbish[] = {"", "x", "-", "1-", "-1", "all ", "1-zz", "g-1", "node-1-2x"};
	for(size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++)
		assert_int_equal(-EINVAL, sb_deliver_replay(r->d, "a", rubbish[i], &events, &lost, why, sizeof(why)));
	assert_int_equal(0, sb_deliver_replay(r->d, "a", "1-2a", &events, &lost, why, sizeof(why)));
	assert_int_equal(
			0, sb_deliver_replay(r->d, "a", "00112233445566778899aabbccddeeff-1-2a", &events, &lost, why, sizeof(why)));
	end(r);
}

static void a_disabled_endpoint_stays_so_over_a_restart_and_misses_nothing_when_enabled(void **state)
{
	struct run *r = *state;
	struct sb_endpoint_status *st = &r->cfg.status->endpoint[0];

	server->rule = always_200;
	begin(r);
	write_calls(r, 5);
	TURN_UNTIL(r, atomic_load(&st->delivered) == 25); /* an answer that was not read yet would be a repeat later */
	assert_int_equal(0, sb_deliver_disable(r->d, "a", why, sizeof(why)));
	assert_int_equal(-EALREADY, sb_deliver_disable(r->d, "a", why, sizeof(why)));
	write_calls(r, 5);
	end(r);
	begin(r);
	for(int i = 0; i < 10; i++)
		sb_deliver_turn(r->d, 20);
	assert_int_equal(SB_ENDPOINT_DISABLED, st->state);
	assert_int_equal(25, server->count);
	assert_int_equal(0, sb_deliver_enable(r->d, "a", why, sizeof(why)));
	TURN_UNTIL(r, server_accepted() == 50);
	assert_int_equal(-EALREADY, sb_deliver_enable(r->d, "a", why, sizeof(why)));
	end(r);
	check_order(10, 0);
}

static void an_enabled_endpoint_stays_so_whatever_was_under_way(void **state)
{
	struct run *r = *state;
	struct sb_endpoint_status *st = &r->cfg.status->endpoint[0];

	server->rule = answer_of;
	server->away_status = -1;
	begin(r);
	write_calls(r, 1);
	TURN_UNTIL(r, st->flying == 1);
	assert_int_equal(0, sb_deliver_disable(r->d, "a", why, sizeof(why)));
	assert_int_equal(0, sb_deliver_enable(r->d, "a", why, sizeof(why)));
	assert_int_equal(-EALREADY, sb_deliver_enable(r->d, "a", why, sizeof(why)));
	sb_deliver_stop(r->d, 0);
	begin(r);
	TURN_UNTIL(r, st->flying == 1);
	assert_int_equal(SB_ENDPOINT_UP, st->state);
	assert_int_equal(0, sb_deliver_disable(r->d, "a", why, sizeof(why)));
	assert_int_equal(0, sb_deliver_enable(r->d, "a", why, sizeof(why)));
	assert_int_equal(0, sb_deliver_disable(r->d, "a", why, sizeof(why)));
	server->away_status = 200;
	TURN_UNTIL(r, st->flying == 0);
	sb_deliver_turn(r->d, 20);
	assert_int_equal(SB_ENDPOINT_DISABLED, st->state);
	end(r);
}

static void park_what_the_log_lacks(struct run *r, uint32_t tries, uint64_t next_at)
{
	struct sb_pending p = {.epoch = 1, .seq = 1, .tries = tries, .next_at = next_at, .call = {7}, .pos = {1, tries}};
	char path[SB_LOG_PATH + 32], err[512];
	struct sb_store *s;

	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(0, sb_store_open(&s, path, true, err, sizeof(err)));
	assert_int_equal(1, sb_store_park(s, "a", &p));
	assert_int_equal(0, sb_store_commit(s));
	sb_store_close(s);
}

static void a_disabled_endpoint_gives_up_nothing(void **state)
{
	struct run *r = *state;
	struct sb_endpoint_status *st = &r->cfg.status->endpoint[0];

	server->rule = always_200;
	begin(r);
	assert_int_equal(0, sb_deliver_disable(r->d, "a", why, sizeof(why)));
	end(r);
	park_what_the_log_lacks(r, 1, 1);
	begin(r);
	for(int i = 0; i < 5; i++)
		sb_deliver_turn(r->d, 60);
	assert_int_equal(0, st->dead);
	assert_int_equal(1, st->pending);
	assert_int_equal(0, sb_deliver_enable(r->d, "a", why, sizeof(why)));
	TURN_UNTIL(r, st->dead == 1 && st->pending == 0);
	end(r);
}

static void a_clock_that_is_set_back_delays_no_retry_beyond_its_schedule(void **state)
{
	const uint64_t hour = 3600000000ull;
	struct run *r = *state;
	char err[200];
	uint64_t now;

	assert_int_equal(0, sb_schedule_parse(&r->cfg.schedule, "0,100,5000", 20, err, sizeof(err)));
	begin(r);
	end(r);
	now = (uint64_t)time(NULL) * 1000000;
	park_what_the_log_lacks(r, 1, now + hour);
	park_what_the_log_lacks(r, 2, now + hour);
	begin(r);
	end(r);
	now = (uint64_t)time(NULL) * 1000000;
	assert_true(rows(r, "SELECT next_at FROM pending WHERE tries = 1") <= now + 121 * 1000000ull);
	assert_true(rows(r, "SELECT next_at FROM pending WHERE tries = 2") >= now + hour - 20000000);
}

static void a_cursor_of_another_journal_does_not_silence_an_endpoint(void **state)
{
	struct run *r = *state;
	struct sb_cursor c = {.disabled_at = 0};
	char path[SB_LOG_PATH + 32], err[512];
	struct sb_store *s;

	server->rule = always_200;
	begin(r);
	end(r);
	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(0, sb_store_open(&s, path, true, err, sizeof(err)));
	assert_int_equal(0, sb_store_cursor(s, "a", &c));
	c.pos = (struct sb_pos){((uint64_t)r->log->log.epoch + 5) << 32, 4000};
	assert_int_equal(0, sb_store_set_cursor(s, "a", &c));
	assert_int_equal(0, sb_store_commit(s));
	sb_store_close(s);
	begin(r);
	write_calls(r, 2);
	TURN_UNTIL(r, server_accepted() == 10);
	end(r);
	check_order(2, 0);
}

/* Every file of this process ends at so many bytes, as on a disk that is full. */
static void files_end_at(rlim_t bytes)
{
	struct rlimit l;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &l));
	l.rlim_cur = bytes;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &l));
}

static void with_a_full_disk_nothing_is_sent_again_and_again(void **state)
{
	struct run *r = *state;
	struct sb_deliver_status *st = r->cfg.status;
	char path[SB_LOG_PATH + 32];
	struct sqlite3 *beside;
	struct stat wal;
	unsigned sent;

	server->rule = always_200;
	write_calls(r, 30);
	begin(r);
	sb_deliver_turn(r->d, 0);
	/* somebody reads: SQLite's files stay, and can be opened again */
	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(SQLITE_OK, sqlite3_open_v2(path, &beside, SQLITE_OPEN_READONLY, NULL));
	assert_int_equal(SQLITE_OK, sqlite3_exec(beside, "SELECT * FROM cursor", NULL, NULL, NULL));
	strcat(path, "-wal");
	assert_int_equal(0, stat(path, &wal));
	assert_true(wal.st_size > 8000); /* what this test prints must fit too */
	files_end_at((rlim_t)wal.st_size);
	TURN_UNTIL(r, st->state_errors == 1);
	sent = server->count;
	for(uint64_t until = now_s() + 4; now_s() < until;)
		sb_deliver_turn(r->d, 50);
	assert_int_equal(sent, server->count);
	assert_true(sent > 0);
	files_end_at(RLIM_INFINITY);
	sqlite3_close(beside);
	TURN_UNTIL(r,
			st->state_errors == 1 && server_accepted() >= 150 && server->count > sent && st->endpoint[0].flying == 0);
	end(r);
	check_order(30, 0);
	assert_true(server->count <= 150 + sent);
}

struct tested
{
	unsigned times, status;
	char error[200], id[64];
};

static void note(void *arg, const struct sb_deliver_tested *v)
{
	struct tested *t = arg;

	t->times++;
	t->status = v->status;
	snprintf(t->error, sizeof(t->error), "%s", v->error);
	snprintf(t->id, sizeof(t->id), "%s", v->id);
}

static void a_test_event_is_answered_once_and_counts_nowhere(void **state)
{
	struct run *r = *state;
	struct tested t[3] = {{0}};

	server->rule = answer_of;
	server->away_status = 204;
	begin(r);
	assert_int_equal(-ENOENT, sb_deliver_test(r->d, "nobody", 0, note, &t[0], why, sizeof(why)));
	/* the receiver of the tests answers 400 to what has no call: that is an answer too */
	assert_int_equal(0, sb_deliver_test(r->d, "a", 0, note, &t[0], why, sizeof(why)));
	assert_int_equal(0, sb_deliver_test(r->d, "a", 0, note, &t[1], why, sizeof(why)));
	TURN_UNTIL(r, t[0].times == 1 && t[1].times == 1);
	assert_int_equal(400, t[0].status);
	assert_string_not_equal(t[0].id, t[1].id);
	assert_null(strchr(t[0].id, '.'));
	assert_int_equal(0, r->cfg.status->endpoint[0].delivered + r->cfg.status->endpoint[0].failed);
	assert_int_equal(0, sb_deliver_test(r->d, "a", 0, note, &t[2], why, sizeof(why)));
	sb_deliver_stop(r->d, 0); /* what is under way is answered before the end */
	r->d = NULL;
	assert_int_equal(1, t[2].times);
	for(int i = 0; i < 2; i++)
		assert_int_equal(1, t[i].times);
}

static void a_new_endpoint_begins_where_it_is_told_to_and_the_others_go_on(void **state)
{
	struct run *r = *state;

	server->rule = always_200;
	begin(r);
	write_calls(r, 4);
	TURN_UNTIL(r, server_accepted() == 20);
	end(r);
	write_calls(r, 4);
	r->cfg.begin = (struct sb_pos){r->log->sh->current, sb_log_current_len(r->log->sh)};
	endpoint(r, 1, "b", "*");
	begin(r);
	write_calls(r, 4);
	TURN_UNTIL(r, server_accepted() == 20 + 40 + 20);
	end(r);
	assert_int_equal(80, server->count);
	assert_int_equal(20, r->cfg.status->endpoint[1].delivered);
	r->cfg.count = 1;
	begin(r);
	end(r);
	assert_int_equal(1, rows(r, "SELECT count(*) FROM cursor"));
	assert_int_equal(1, rows(r, "SELECT count(*) FROM status"));
}

static void with_no_endpoint_it_runs_and_holds_back_no_segment(void **state)
{
	struct run *r = *state;

	r->cfg.count = 0;
	r->cfg.sink = sb_log_sink(r->log->sh, "t");
	begin(r);
	write_calls(r, 400);
	TURN_UNTIL(r, atomic_load(&r->log->sh->sink_segment[r->cfg.sink]) == atomic_load(&r->log->sh->current));
	assert_int_equal(0, atomic_load(&r->log->sh->waiting));
	end(r);
}

static void the_state_file_shows_each_endpoint(void **state)
{
	struct run *r = *state;

	server->rule = refuses_call_3;
	server->away_status = 400;
	begin(r);
	write_calls(r, 10);
	TURN_UNTIL(r, server_accepted() == 45 && r->cfg.status->endpoint[0].dead == 5);
	TURN_UNTIL(r, rows(r, "SELECT delivered FROM status WHERE endpoint = 'a' AND state = 'up'") == 45);
	TURN_UNTIL(r, rows(r, "SELECT rate_10s > 0 AND rate_60s > 0 FROM status") == 1);
	TURN_UNTIL(r, rows(r, "SELECT dead FROM status") == 5);
	assert_int_equal(1, rows(r, "SELECT error LIKE 'HTTP 400%' FROM status"));
	assert_int_equal(getpid(), rows(r, "SELECT pid FROM worker"));
	end(r);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_make, run_remove)
	const struct CMUnitTest tests[] = {
			RUN(a_call_s_dead_letters_are_replayed_in_order),
			RUN(dead_letters_outlive_the_journal),
			RUN(a_replay_of_many_is_taken_in_pieces_and_beside_it_others_are_delivered),
			RUN(what_cannot_be_replayed_is_said),
			RUN(a_disabled_endpoint_stays_so_over_a_restart_and_misses_nothing_when_enabled),
			RUN(an_enabled_endpoint_stays_so_whatever_was_under_way),
			RUN(a_disabled_endpoint_gives_up_nothing),
			RUN(a_clock_that_is_set_back_delays_no_retry_beyond_its_schedule),
			RUN(a_cursor_of_another_journal_does_not_silence_an_endpoint),
			RUN(with_a_full_disk_nothing_is_sent_again_and_again),
			RUN(a_test_event_is_answered_once_and_counts_nowhere),
			RUN(a_new_endpoint_begins_where_it_is_told_to_and_the_others_go_on),
			RUN(with_no_endpoint_it_runs_and_holds_back_no_segment),
			RUN(the_state_file_shows_each_endpoint),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, receiver_up, receiver_down);
}
