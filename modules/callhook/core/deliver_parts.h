/* SPDX-License-Identifier: GPL-2.0-or-later */
/** What the files of delivery share among themselves. */
#ifndef SB_HOOK_DELIVER_PARTS_H
#define SB_HOOK_DELIVER_PARTS_H

#include "callset.h"
#include "deliver.h"
#include "deliveries.h"
#include "http.h"
#include "queue.h"
#include "state.h"
#include "verdict.h"

#define SB_RETRY_ROOM 64u
#define SB_WINDOW_BYTES (8u << 20) /* of payload and text an endpoint holds */
#define SB_READ_AHEAD 64u          /* events that may be sent at once, at least */
#define SB_READ_BUDGET 2048        /* records read for an endpoint in one turn */
#define SB_FLUSH_US 200000
#define SB_SAY_US 10000000u /* refused events: one line an endpoint in this time */
#define SB_RATE_S 60u       /* the rate is known of so many seconds */
#define SB_REPLAY_PIECE 200 /* dead letters taken in one turn */

/* An event in memory, shared by the endpoints that hold it. */
struct hook_event
{
	struct hook_event *next; /* in its bucket */
	unsigned refs;
	struct sb_rec rec; /* payload points behind this struct */
	uint8_t call[16];
	uint64_t at, sequence;
	size_t size; /* bytes that count for the window */
	char id[64];
	char *text; /* rendered at the first try */
	size_t text_len;
	uint8_t payload[];
};

/* Of an endpoint's status, what the state file has: written again when it has changed. */
struct hook_shown
{
	uint64_t since, delivered, failed, dead, pending, waiting, in_flight, oldest_at, success_at, failure_at, probe_at;
	uint64_t rate_10s, rate_60s; /* thousandths */
	uint32_t state;
	bool written;
};

struct hook_endpoint
{
	struct sb_deliver *d;
	const struct sb_endpoint *cfg;
	struct sb_endpoint_status *status;
	struct sb_signer *signer;
	struct sb_http_peer *peer;
	struct sb_reader *reader;
	struct sb_queue queue;
	struct sb_callset parked;
	struct sb_cursor kept; /* as in the state file */
	enum sb_endpoint_state state;
	struct sb_pos last; /* record read last: to notice a gap */
	uint64_t seen;      /* log->sh->records when the log was read to its end */
	uint64_t looked_at; /* when that was */
	bool more;          /* the turn's budget ended before the log did */
	size_t bytes;
	uint64_t successes;
	unsigned refused; /* different events in a row */
	unsigned probes;  /* failed ones in a row */
	uint64_t probe_at, due_at, due_look_at, reader_at;
	uint64_t say_at;
	unsigned said_less;
	struct sb_rate rate;
	uint64_t parked_at; /* of the oldest event that is parked, 0: none, or not known */
	bool enable;        /* asked for; done when nothing is in flight */
	struct sb_replay replay;
	bool replaying;
	/* what is shown */
	uint64_t shown_at, counted;
	uint32_t per_second[SB_RATE_S];
	struct hook_shown shown; /* as in the state file */
};

struct sb_deliver
{
	struct sb_deliver_cfg cfg;
	struct sb_store *state;
	struct sb_http *http;
	struct sb_deliveries *deliveries;
	struct hook_endpoint *eps;
	struct hook_event **bucket;
	unsigned buckets;
	int64_t clock_base; /* wall − monotonic at the start: waits do not follow a stepped clock */
	uint64_t now;       /* monotonic + clock_base, µs; read once a turn */
	uint64_t flushed_at;
	uint64_t broken_at; /* the state file failed: reopened then; 0: fine */
	unsigned broken_times;
	uint64_t dead_since_trim;
	uint64_t rnd;
	bool news; /* this turn's reading found records */
	bool stopping;
	uint64_t started_at, shown_at;
	struct hook_test *tests;
};

/* A test event on its way: a request of its own, beside everything that is counted. */
struct hook_test
{
	struct hook_test *next;
	struct sb_http_peer *peer;
	char id[64];
	char *body;
	uint64_t began;
	bool over;
	sb_deliver_tested_f done;
	void *arg;
};

struct hook_flight
{
	struct hook_endpoint *ep;
	struct sb_entry *entry;
	struct hook_test *test; /* or NULL */
};

/* A try that was the last. */
struct hook_try
{
	uint32_t tries;
	unsigned status;
	bool parked; /* it has a row in `pending` */
};

uint64_t hook_wall_us(void);
uint64_t hook_mono_us(void);
uint32_t hook_random(struct sb_deliver *d);
void hook_say(struct sb_deliver *d, enum sb_deliver_level level, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));
void hook_state_failed(struct sb_deliver *d);

/* deliver_event.c */
struct hook_event *hook_event_get(struct sb_deliver *d, const struct sb_rec *rec);
/* Of a row whose text was kept. Takes body. */
struct hook_event *hook_event_kept(struct sb_deliver *d, const struct sb_pending *p, char *body, size_t len);
void hook_event_put(struct sb_deliver *d, struct hook_event *ev);
bool hook_event_render(struct sb_deliver *d, struct hook_event *ev);
void hook_pending_of(struct sb_pending *p, const struct hook_event *ev);

/* deliver_read.c */
void hook_read(struct hook_endpoint *ep);
bool hook_room(const struct hook_endpoint *ep);
void hook_load_due(struct hook_endpoint *ep);
void hook_release(struct hook_endpoint *ep, struct sb_entry *e);

/* A row in `pending`, counted once however often the log is read. @return 0 or a negative errno */
int hook_park(struct hook_endpoint *ep, const struct sb_pending *p);
void hook_due_not_later(struct hook_endpoint *ep, uint64_t at);

/* deliver_try.c */
void hook_dispatch(struct hook_endpoint *ep);
void hook_done(void *arg, const struct sb_http_result *r);
void hook_bury(struct hook_endpoint *ep, const struct hook_try *t, struct sb_pending *p, struct hook_event *ev);

/* deliver_endpoint.c */
int hook_endpoint_open(struct sb_deliver *d, unsigned i);
/* Everything in memory as the state file says. Nothing of the endpoint may be in flight. */
int hook_endpoint_load(struct hook_endpoint *ep);
void hook_endpoint_close(struct hook_endpoint *ep);
/* It gets nothing, and holds back nothing. */
bool hook_silent(const struct hook_endpoint *ep);
/* How to reach it. concurrency and time-outs may be changed before it is used. */
void hook_endpoint_peer(const struct hook_endpoint *ep, struct sb_http_peer_cfg *out);
/* Gets nothing more, kept in the state file. @return 0, or -EIO: said */
int hook_disable(struct hook_endpoint *ep, const char *why);

/* deliver_show.c */
void hook_show(struct hook_endpoint *ep);
/* Into the state file, at most once a second, what has changed. @param now whatever the time */
int hook_keep_status(struct sb_deliver *d, bool now);

/* deliver_command.c */
void hook_commands(struct hook_endpoint *ep);
void hook_test_done(struct hook_test *t, const struct sb_http_result *r);
void hook_tests_tidy(struct sb_deliver *d);

#endif
