/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What others see of an endpoint: in shared memory at once, in the state file every second. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "deliver_parts.h"

#define SHOW_US 1000000u

/* Deliveries of each second, of the last minute; what has gone by without a turn counts as none. */
static void count(struct hook_endpoint *ep)
{
	uint64_t now = ep->d->now / 1000000, delivered = atomic_load_explicit(&ep->status->delivered, memory_order_relaxed);
	uint64_t sum = 0, ten = 0;

	if(now == ep->shown_at) {
		ep->per_second[now % SB_RATE_S] += (uint32_t)(delivered - ep->counted);
		ep->counted = delivered;
		return;
	}
	for(uint64_t s = ep->shown_at; s < now && s < ep->shown_at + SB_RATE_S; s++)
		ep->per_second[(s + 1) % SB_RATE_S] = 0;
	for(unsigned i = 1; i < SB_RATE_S; i++) {
		sum += ep->per_second[(now + SB_RATE_S - i) % SB_RATE_S];
		if(i <= 10)
			ten = sum;
	}
	atomic_store_explicit(&ep->status->rate_10s, ten * 100, memory_order_relaxed);
	atomic_store_explicit(&ep->status->rate_60s, sum * 1000 / (SB_RATE_S - 1), memory_order_relaxed);
	ep->per_second[now % SB_RATE_S] = (uint32_t)(delivered - ep->counted);
	ep->counted = delivered;
	ep->shown_at = now;
}

void hook_show(struct hook_endpoint *ep)
{
	struct sb_endpoint_status *st = ep->status;
	struct sb_pos c = sb_queue_cursor(&ep->queue);
	const struct hook_event *ev = ep->queue.oldest != NULL ? ep->queue.oldest->event : NULL;
	uint64_t oldest = ev != NULL ? ev->at : 0;

	if(ep->parked_at > 0 && (oldest == 0 || ep->parked_at < oldest))
		oldest = ep->parked_at;
	if(atomic_load_explicit(&st->since, memory_order_relaxed) == 0
			|| atomic_load_explicit(&st->state, memory_order_relaxed) != ep->state)
		atomic_store_explicit(&st->since, ep->state == SB_ENDPOINT_DISABLED ? ep->kept.disabled_at : hook_wall_us(),
				memory_order_relaxed);
	atomic_store_explicit(&st->state, ep->state, memory_order_relaxed);
	atomic_store_explicit(&st->waiting, ep->queue.waiting, memory_order_relaxed);
	atomic_store_explicit(&st->flying, ep->queue.flying, memory_order_relaxed);
	atomic_store_explicit(&st->pending, ep->parked.total, memory_order_relaxed);
	atomic_store_explicit(&st->segment, c.segment, memory_order_relaxed);
	atomic_store_explicit(&st->offset, c.offset, memory_order_relaxed);
	atomic_store_explicit(&st->oldest_at, oldest, memory_order_relaxed);
	atomic_store_explicit(&st->probe_at, ep->state == SB_ENDPOINT_PAUSED ? ep->probe_at : 0, memory_order_relaxed);
	count(ep);
}

static void joined(char *out, size_t room, const struct sb_filter *f)
{
	size_t n = 0;

	out[0] = '\0';
	for(const char *g = f->text; *g != '\0' && n < room; g += strlen(g) + 1)
		n += (size_t)snprintf(out + n, room - n, "%s%s", n > 0 ? "," : "", g);
}

static void shown_of(const struct hook_endpoint *ep, struct hook_shown *out)
{
	const struct sb_endpoint_status *st = ep->status;

	memset(out, 0, sizeof(*out)); /* padding too: it is compared */
	*out = (struct hook_shown){.since = atomic_load(&st->since),
			.delivered = atomic_load(&st->delivered),
			.failed = atomic_load(&st->failed),
			.dead = atomic_load(&st->dead),
			.pending = atomic_load(&st->pending),
			.waiting = atomic_load(&st->waiting),
			.in_flight = atomic_load(&st->flying),
			.oldest_at = atomic_load(&st->oldest_at),
			.success_at = atomic_load(&st->success_at),
			.failure_at = atomic_load(&st->failure_at),
			.probe_at = atomic_load(&st->probe_at),
			.rate_10s = atomic_load(&st->rate_10s),
			.rate_60s = atomic_load(&st->rate_60s),
			.state = ep->state,
			.written = true};
}

static int keep_one(struct hook_endpoint *ep, const struct hook_shown *s)
{
	char events[SB_FILTER_LEN], trunks[SB_FILTER_LEN], dids[SB_FILTER_LEN], error[200];
	struct sb_store_status row = {.endpoint = ep->cfg->id,
			.url = ep->cfg->url,
			.events = events,
			.trunks = trunks,
			.dids = dids,
			.state = sb_endpoint_state_name(s->state),
			.error = s->state == SB_ENDPOINT_DISABLED ? ep->kept.disabled_why : error,
			.since = s->since,
			.delivered = s->delivered,
			.failed = s->failed,
			.dead = s->dead,
			.pending = s->pending,
			.waiting = s->waiting,
			.in_flight = s->in_flight,
			.oldest_at = s->oldest_at,
			.success_at = s->success_at,
			.failure_at = s->failure_at,
			.probe_at = s->probe_at,
			.rate_10s = (double)s->rate_10s / 1000,
			.rate_60s = (double)s->rate_60s / 1000,
			.updated_at = hook_wall_us()};

	joined(events, sizeof(events), &ep->cfg->filter);
	joined(trunks, sizeof(trunks), &ep->cfg->trunks);
	joined(dids, sizeof(dids), &ep->cfg->dids);
	sb_endpoint_status_error(ep->status, error);
	return sb_store_set_status(ep->d->state, &row);
}

int hook_keep_status(struct sb_deliver *d, bool now)
{
	bool changed = d->shown_at == 0;
	struct hook_shown s;
	int err = 0;

	if(!now && d->now < d->shown_at + SHOW_US)
		return 0;
	for(unsigned i = 0; i < d->cfg.count && err == 0; i++) {
		struct hook_endpoint *ep = &d->eps[i];

		shown_of(ep, &s);
		if(memcmp(&s, &ep->shown, sizeof(s)) == 0)
			continue;
		err = keep_one(ep, &s);
		ep->shown = s;
		changed = true;
	}
	if(err == 0 && changed)
		err = sb_store_set_worker(d->state, getpid(), d->started_at, hook_wall_us());
	d->shown_at = d->now;
	return err;
}

void sb_endpoint_status_error(const struct sb_endpoint_status *s, char out[200])
{
	for(int i = 0; i < 100; i++) {
		uint32_t before = atomic_load(&s->text_version);

		memcpy(out, s->error, 200);
		out[199] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if((before & 1) == 0 && atomic_load(&s->text_version) == before)
			return;
	}
	out[0] = '\0';
}

const char *sb_endpoint_state_name(uint32_t state)
{
	static const char *const names[] = {"off", "up", "paused", "disabled"};

	return state < 4 ? names[state] : "?";
}
