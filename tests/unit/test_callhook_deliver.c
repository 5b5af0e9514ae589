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

#include "deliver.h"
#include "event.h"
#include "hook_server.h"
#include "log_fixture.h"
#include "state.h"

#define PATIENCE_S 20

struct run
{
	struct fixture *log;
	char hooks[SB_LOG_PATH];
	struct sb_endpoint ep[2];
	struct sb_deliver_cfg cfg;
	struct sb_deliver *d;
	unsigned written;
};

static void quiet(enum sb_deliver_level level, const char *text)
{
	if(getenv("SAY") != NULL)
		fprintf(stderr, "%d %s\n", level, text);
}

static void bad(const char *sentence, void *arg)
{
	(void)arg;
	fail_msg("%s", sentence);
}

static void endpoint(struct run *r, unsigned i, const char *id, const char *events)
{
	char url[64];
	struct sb_endpoint_row row = {{id, url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", events, "1", "400", "4", ""}};

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s", server->port, id);
	assert_int_equal(0, sb_endpoint_from_row(&r->ep[i], "t", &row, bad, NULL));
	r->cfg.count = i + 1;
}

static int run_make(void **state)
{
	struct run *r = calloc(1, sizeof(*r));
	char err[200];

	fixture_dirs((void **)&r->log);
	r->log->cfg.segment_size = 65536;
	assert_int_equal(0, fixture_start(r->log));
	sb_log_attach(&r->log->log, 0);
	snprintf(r->hooks, sizeof(r->hooks), "%s/hooks", r->log->root);
	assert_int_equal(0, mkdir(r->hooks, 0700));
	r->cfg = (struct sb_deliver_cfg){.log = &r->log->log,
			.sink = -1,
			.state_dir = r->hooks,
			.endpoints = r->ep,
			.connect_timeout_ms = 1000,
			.timeout_ms = 1000,
			.probe_max_s = 1,
			.window = 64,
			.pending_max = 1000,
			.dead_max = 1000,
			.deliveries_limit = 1 << 20,
			.say = quiet,
			.status = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
	assert_int_equal(0, sb_schedule_parse(&r->cfg.schedule, "0,0,0", 0, err, sizeof(err)));
	pthread_mutex_lock(&server->lock);
	server->count = server->accepted = 0;
	pthread_mutex_unlock(&server->lock);
	endpoint(r, 0, "a", "*");
	*state = r;
	return 0;
}

static int run_remove(void **state)
{
	struct run *r = *state;

	if(r->d != NULL)
		sb_deliver_stop(r->d, 0);
	sb_log_close(&r->log->log);
	nftw(r->log->root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
	munmap(r->log->sh, sb_log_shared_size());
	munmap(r->cfg.status, 65536);
	free(r->log);
	free(r);
	return 0;
}

static void begin(struct run *r)
{
	char err[512] = "";

	memset(r->cfg.status, 0, 65536);
	if(sb_deliver_prepare(&r->cfg, err, sizeof(err)) != 0 || sb_deliver_new(&r->d, &r->cfg, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

static void end(struct run *r)
{
	sb_deliver_stop(r->d, 3000);
	r->d = NULL;
}

/* Five events for each of `calls` new calls, mixed. */
static void write_calls(struct run *r, unsigned calls)
{
	static const uint16_t types[] = {SB_CALL_INITIATED, SB_CALL_RINGING, SB_CALL_ANSWERED, SB_CALL_ENDED, SB_CALL_CDR};

	for(unsigned i = 0; i < calls * 5; i++) {
		uint8_t rec[1024], id[16] = {9};
		char sip[32];
		unsigned call = r->written + i % calls;
		struct sb_out o = {.p = rec + sizeof(struct sb_rec_hdr), .cap = sizeof(rec) - sizeof(struct sb_rec_hdr)};

		memcpy(id + 8, &call, sizeof(call));
		sb_put_uuid(&o, SB_C_CALL_ID, id);
		sb_put_u64(&o, SB_C_SEQUENCE, i / calls + 1);
		sb_put_time(&o, SB_C_AT, 1700000000000000ull);
		sb_put_str(&o, SB_C_SIP_CALL_ID, sip, (size_t)snprintf(sip, sizeof(sip), "%u", call));
		assert_int_equal(0, sb_log_append(&r->log->log, types[i / calls], SB_KEEP, rec, (uint32_t)o.len, NULL));
	}
	r->written += calls;
}

static uint64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

#define TURN_UNTIL(r, condition)                                         \
	do {                                                                 \
		uint64_t until_ = now_s() + PATIENCE_S;                          \
		while(!(condition)) {                                            \
			if(now_s() > until_)                                         \
				fail_msg("not within %d s: %s", PATIENCE_S, #condition); \
			sb_deliver_turn((r)->d, 50);                                 \
		}                                                                \
	} while(0)

/* Accepted events of each call: 1 to 5 in order; repeats only of what came before, under the same id. `holes` may be missing. */
static void check_order(unsigned calls, unsigned holes)
{
	unsigned *last = calloc(calls, sizeof(*last)), missing = 0;

	for(unsigned i = 0; i < server->count; i++) {
		const struct request *q = &server->seen[i];
		if(q->status != 200)
			continue;
		assert_true(q->call < calls);
		if(q->sequence <= last[q->call])
			continue;
		missing += q->sequence - last[q->call] - 1;
		last[q->call] = q->sequence;
	}
	for(unsigned c = 0; c < calls; c++)
		assert_int_equal(5, last[c]);
	assert_int_equal(holes, missing);
	free(last);
	for(unsigned i = 0; i < server->count; i++) {
		for(unsigned k = i + 1; k < server->count && k < i + 2000; k++) {
			bool same_event = server->seen[i].call == server->seen[k].call
							  && server->seen[i].sequence == server->seen[k].sequence;
			assert_true(same_event == (strcmp(server->seen[i].id, server->seen[k].id) == 0));
		}
	}
}

static int always_200(unsigned call, unsigned sequence, unsigned tries)
{
	(void)call, (void)sequence, (void)tries;
	return 200;
}

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
	atomic_store(&st->enable, 1);
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
	assert_int_equal(0, sb_store_park(s, "a", &p));
	assert_int_equal(0, sb_store_commit(s));
	sb_store_close(s);
	begin(r);
	write_calls(r, 2);
	/* the first call is the parked event's: its own events wait behind it, and follow */
	TURN_UNTIL(r,
			server_accepted() == 10 && r->cfg.status->endpoint[0].dead == 1 && r->cfg.status->endpoint[0].pending == 0);
	end(r);
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

static int receiver_up(void **state)
{
	(void)state;
	server_start();
	return 0;
}

static int receiver_down(void **state)
{
	(void)state;
	server_stop();
	return 0;
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
			RUN(killed_at_any_moment_nothing_is_missing),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, receiver_up, receiver_down);
}
