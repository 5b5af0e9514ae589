/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Delivery with a log and a receiver of its own, for the tests. Include behind cmocka.h. */
#ifndef DELIVER_FIXTURE_H
#define DELIVER_FIXTURE_H

#include "deliver.h"
#include "event.h"
#include "hook_server.h"
#include "log_fixture.h"

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

static inline void quiet(enum sb_deliver_level level, const char *text)
{
	if(getenv("SAY") != NULL)
		fprintf(stderr, "%d %s\n", level, text);
}

static inline void bad(const char *sentence, void *arg)
{
	(void)arg;
	fail_msg("%s", sentence);
}

static inline void endpoint(struct run *r, unsigned i, const char *id, const char *events)
{
	char url[64];
	struct sb_endpoint_row row = {{id, url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", events, "1", "400", "4", "", "*",
			"*", "127.0.0.0/8", "0", "", "", ""}};

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s", server->port, id);
	assert_int_equal(0, sb_endpoint_from_row(&r->ep[i], "t", &row, bad, NULL));
	r->cfg.count = i + 1;
}

static inline int run_make(void **state)
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

static inline int run_remove(void **state)
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

static inline void begin(struct run *r)
{
	char err[512] = "";

	memset(r->cfg.status, 0, 65536);
	if(sb_deliver_prepare(&r->cfg, err, sizeof(err)) != 0 || sb_deliver_new(&r->d, &r->cfg, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

static inline void end(struct run *r)
{
	sb_deliver_stop(r->d, 3000);
	r->d = NULL;
}

/* Five events for each of `calls` new calls, mixed. */
static inline void write_calls(struct run *r, unsigned calls)
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

static inline uint64_t now_s(void)
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
static inline void check_order(unsigned calls, unsigned holes)
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

static inline int always_200(unsigned call, unsigned sequence, unsigned tries)
{
	(void)call, (void)sequence, (void)tries;
	return 200;
}

static inline int receiver_up(void **state)
{
	(void)state;
	server_start();
	return 0;
}

static inline int receiver_down(void **state)
{
	(void)state;
	server_stop();
	return 0;
}

#endif
