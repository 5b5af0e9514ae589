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
#define SB_READ_BUDGET 2048        /* records read for an endpoint in one turn */
#define SB_FLUSH_US 200000
#define SB_SAY_US 10000000u /* refused events: one line an endpoint in this time */

/* An event in memory, shared by the endpoints that hold it. */
struct hook_event
{
	struct hook_event *next; /* in its bucket */
	unsigned refs;
	struct sb_rec rec; /* payload points behind this struct */
	uint8_t call[16];
	uint64_t at, sequence;
	char id[64];
	char *text; /* rendered at the first try */
	size_t text_len;
	uint8_t payload[];
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
};

struct hook_flight
{
	struct hook_endpoint *ep;
	struct sb_entry *entry;
};

uint64_t hook_wall_us(void);
uint32_t hook_random(struct sb_deliver *d);
void hook_say(struct sb_deliver *d, enum sb_deliver_level level, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));
void hook_state_failed(struct sb_deliver *d);

/* deliver_event.c */
struct hook_event *hook_event_get(struct sb_deliver *d, const struct sb_rec *rec);
void hook_event_put(struct sb_deliver *d, struct hook_event *ev);
bool hook_event_render(struct sb_deliver *d, struct hook_event *ev);
void hook_pending_of(struct sb_pending *p, const struct sb_rec_hdr *hdr, struct sb_pos pos, const uint8_t call[16]);

/* deliver_read.c */
void hook_read(struct hook_endpoint *ep);
bool hook_room(const struct hook_endpoint *ep);
void hook_load_due(struct hook_endpoint *ep);
void hook_release(struct hook_endpoint *ep, struct sb_entry *e);

/* deliver_try.c */
void hook_dispatch(struct hook_endpoint *ep);
void hook_done(void *arg, const struct sb_http_result *r);
void hook_bury(
		struct hook_endpoint *ep, struct sb_pending *p, const struct hook_event *ev, uint32_t tries, unsigned status);

#endif
