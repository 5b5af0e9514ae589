/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole of delivery, from a log to an HTTP receiver, without Kamailio. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "deliver_fixture.h"
#include "state.h"

static void everything_arrives_once_and_in_order(void **state)
{
	struct run *r = *state;

	server->rule = always_200;
	begin(r);
	write_calls(r, 100);
	TURN_UNTIL(r, server_accepted() == 500);
	end(r);
	assert_int_equal(500, server->count);
	check_order(100, 0);
}

static void an_endpoint_gets_only_what_it_asked_for(void **state)
{
	struct run *r = *state;

	server->rule = always_200;
	endpoint(r, 0, "a", "call.cdr");
	endpoint(r, 1, "b", "call.ended,custom.*");
	begin(r);
	write_calls(r, 10);
	TURN_UNTIL(r, server_accepted() == 20);
	end(r);
	assert_int_equal(20, server->count);
	for(unsigned i = 0; i < server->count; i++)
		assert_in_range(server->seen[i].sequence, 4, 5);
	assert_int_equal(10, r->cfg.status->endpoint[0].delivered);
	assert_int_equal(10, r->cfg.status->endpoint[1].delivered);
}

static void what_was_written_before_a_restart_is_not_sent_again(void **state)
{
	struct run *r = *state;

	server->rule = always_200;
	begin(r);
	write_calls(r, 20);
	TURN_UNTIL(r, server_accepted() == 100);
	end(r);
	begin(r);
	write_calls(r, 20);
	TURN_UNTIL(r, server_accepted() == 200);
	end(r);
	assert_int_equal(200, server->count);
}

static int third_call_twice_400(unsigned call, unsigned sequence, unsigned tries)
{
	return call == 3 && sequence == 2 && tries < 2 ? 400 : 200;
}

static void a_refused_event_holds_up_its_call_alone_and_keeps_its_order(void **state)
{
	struct run *r = *state;

	server->rule = third_call_twice_400;
	begin(r);
	write_calls(r, 30);
	TURN_UNTIL(r, server_accepted() == 150);
	TURN_UNTIL(r, r->cfg.status->endpoint[0].pending == 0);
	end(r);
	assert_int_equal(152, server->count);
	check_order(30, 0);
}

static int third_call_never(unsigned call, unsigned sequence, unsigned tries)
{
	(void)tries;
	return call == 3 && sequence == 2 ? 400 : 200;
}

static void an_event_that_is_never_taken_is_given_up_and_its_call_goes_on(void **state)
{
	struct run *r = *state;

	server->rule = third_call_never;
	begin(r);
	write_calls(r, 30);
	TURN_UNTIL(r, server_accepted() == 149);
	end(r);
	assert_int_equal(152, server->count);
	assert_int_equal(1, r->cfg.status->endpoint[0].dead);
	check_order(30, 1);
}

static int third_call_hangs(unsigned call, unsigned sequence, unsigned tries)
{
	(void)tries;
	return call == 3 && sequence == 2 ? -1 : 200;
}

static void an_event_that_hangs_is_given_up_and_the_others_do_not_wait(void **state)
{
	struct run *r = *state;

	server->rule = third_call_hangs;
	begin(r);
	write_calls(r, 200);
	TURN_UNTIL(r, server_accepted() == 999);
	end(r);
	assert_int_equal(1, r->cfg.status->endpoint[0].dead);
	check_order(200, 1);
}

static int away(unsigned call, unsigned sequence, unsigned tries)
{
	(void)call, (void)sequence, (void)tries;
	return server->away_status;
}

static void an_endpoint_that_is_away_is_probed_and_nothing_piles_up(void **state)
{
	static const int how[] = {503, 0, 429, 500, 302, -1};
	struct run *r = *state;
	struct sb_endpoint_status *st = &r->cfg.status->endpoint[0];

	server->rule = away;
	begin(r);
	for(unsigned i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		unsigned before = server->count, accepted = server_accepted();
		server->away_status = how[i];
		write_calls(r, 40);
		TURN_UNTIL(r, st->state == SB_ENDPOINT_PAUSED);
		for(int k = 0; k < 30; k++)
			sb_deliver_turn(r->d, 50);
		assert_true(server->count - before < 30);
		assert_true(st->pending < 60);
		server->away_status = 200;
		TURN_UNTIL(r, server_accepted() >= accepted + 200 && st->pending == 0 && st->waiting + st->flying == 0);
		assert_int_equal(SB_ENDPOINT_UP, st->state);
	}
	end(r);
	assert_int_equal(0, r->cfg.status->endpoint[0].dead);
	check_order(240, 0);
}

static void an_endpoint_that_is_gone_is_disabled_until_it_is_enabled(void **state)
{
	struct run *r = *state;
	struct sb_endpoint_status *st = &r->cfg.status->endpoint[0];
	unsigned count;

	server->rule = away;
	server->away_status = 410;
	begin(r);
	write_calls(r, 10);
	TURN_UNTIL(r, st->state == SB_ENDPOINT_DISABLED && st->flying == 0);
	count = server->count;
	end(r);
	begin(r);
	server->away_status = 200;
	write_calls(r, 10);
	for(int k = 0; k < 10; k++)
		sb_deliver_turn(r->d, 20);
	assert_int_equal(SB_ENDPOINT_DISABLED, st->state);
	assert_int_equal(count, server->count);
	assert_int_equal(0, sb_deliver_enable(r->d, "a", (char[100]){0}, 100));
	TURN_UNTIL(r, server_accepted() == 100);
	end(r);
	check_order(20, 0);
}

static void a_parked_event_that_the_log_no_longer_holds_is_given_up(void **state)
{
	struct run *r = *state;
	struct sb_pending p = {
			.call = {9}, .epoch = r->log->log.epoch, .seq = 1, .pos = {1, 4711}, .tries = 1, .next_at = 1};
	struct sb_store *s;
	char path[SB_LOG_PATH + 32], err[512];

	server->rule = always_200;
	assert_int_equal(0, sb_deliver_prepare(&r->cfg, err, sizeof(err)));
	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(0, sb_store_open(&s, path, true, err, sizeof(err)));
	assert_int_equal(1, sb_store_park(s, "a", &p));
	assert_int_equal(0, sb_store_commit(s));
	sb_store_close(s);
	begin(r);
	write_calls(r, 2);
	/* the first call is the parked event's: its own events wait behind it, and follow */
	TURN_UNTIL(r,
			server_accepted() == 10 && r->cfg.status->endpoint[0].dead == 1 && r->cfg.status->endpoint[0].pending == 0);
	end(r);
}

/* A restart reads the log from a cursor that may be older than what is parked already. */
static void a_parked_event_that_is_read_again_counts_once(void **state)
{
	struct run *r = *state;
	struct sb_pending p = {.tries = 1, .next_at = 1, .call = {9}};
	struct sb_reader *reader;
	struct sb_store *s;
	struct sb_rec rec;
	char path[SB_LOG_PATH + 32], err[512];

	server->rule = always_200;
	assert_int_equal(0, sb_deliver_prepare(&r->cfg, err, sizeof(err)));
	write_calls(r, 3);
	assert_int_equal(0, sb_reader_open(&reader, r->log->cfg.journal_dir, r->log->cfg.spool_dir, (struct sb_pos){0, 0}));
	assert_int_equal(1, sb_reader_next(reader, &rec));
	p.epoch = rec.hdr.epoch;
	p.seq = rec.hdr.seq;
	p.pos = rec.pos;
	sb_reader_close(reader);
	snprintf(path, sizeof(path), "%s/state.sqlite", r->hooks);
	assert_int_equal(0, sb_store_open(&s, path, true, err, sizeof(err)));
	assert_int_equal(1, sb_store_park(s, "a", &p));
	assert_int_equal(0, sb_store_commit(s));
	sb_store_close(s);
	begin(r);
	TURN_UNTIL(r, server_accepted() == 15);
	TURN_UNTIL(r, r->cfg.status->endpoint[0].pending == 0);
	end(r);
	assert_int_equal(15, server->count);
	check_order(3, 0);
}

static int sometimes_500(unsigned call, unsigned sequence, unsigned tries)
{
	return tries == 0 && (call * 5 + sequence) % 17 == 0 ? 500 : 200;
}

/* SIGKILL at moments of every kind; the receiver has everything, in order, and repeats only under the same id. */
static void killed_at_any_moment_nothing_is_missing(void **state)
{
	struct run *r = *state;
	unsigned kills = 0;
	char err[512];

	server->rule = sometimes_500;
	assert_int_equal(0, sb_deliver_prepare(&r->cfg, err, sizeof(err)));
	write_calls(r, 300);
	for(unsigned goal = 40; goal < 1500; goal += 97, kills++) {
		pid_t pid = fork();

		if(pid == 0) {
			struct sb_deliver *d;
			if(sb_deliver_new(&d, &r->cfg, err, sizeof(err)) != 0)
				_exit(1);
			for(;;)
				sb_deliver_turn(d, 50);
		}
		assert_true(pid > 0);
		bool enough = server_wait(goal, PATIENCE_S);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_true(enough);
	}
	begin(r);
	TURN_UNTIL(r, r->cfg.status->endpoint[0].delivered > 0 && r->cfg.status->endpoint[0].pending == 0
						  && r->cfg.status->endpoint[0].waiting + r->cfg.status->endpoint[0].flying == 0);
	end(r);
	assert_int_equal(16, kills);
	check_order(300, 0);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_make, run_remove)
	const struct CMUnitTest tests[] = {
			RUN(everything_arrives_once_and_in_order),
			RUN(an_endpoint_gets_only_what_it_asked_for),
			RUN(what_was_written_before_a_restart_is_not_sent_again),
			RUN(a_refused_event_holds_up_its_call_alone_and_keeps_its_order),
			RUN(an_event_that_is_never_taken_is_given_up_and_its_call_goes_on),
			RUN(an_event_that_hangs_is_given_up_and_the_others_do_not_wait),
			RUN(an_endpoint_that_is_away_is_probed_and_nothing_piles_up),
			RUN(an_endpoint_that_is_gone_is_disabled_until_it_is_enabled),
			RUN(a_parked_event_that_the_log_no_longer_holds_is_given_up),
			RUN(a_parked_event_that_is_read_again_counts_once),
			RUN(killed_at_any_moment_nothing_is_missing),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, receiver_up, receiver_down);
}
