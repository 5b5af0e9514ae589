/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the window to the endpoint, and what the answer leads to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver_parts.h"

static void note_failure(struct hook_endpoint *ep, const char *error)
{
	struct sb_endpoint_status *st = ep->status;

	atomic_fetch_add(&st->failed, 1);
	atomic_store(&st->failure_at, hook_wall_us());
	atomic_fetch_add(&st->text_version, 1);
	snprintf(st->error, sizeof(st->error), "%s", error);
	atomic_fetch_add(&st->text_version, 1);
}

static void write_history(struct hook_endpoint *ep, const struct sb_pending *p, const struct hook_event *ev,
		uint32_t tries, unsigned status, const char *error, bool delivered)
{
	uint64_t wall = hook_wall_us();
	struct sb_delivery v = {.endpoint = ep->cfg->id,
			.call = p->call,
			.at = wall,
			.epoch = p->epoch,
			.seq = p->seq,
			.tries = tries,
			.code = status,
			.error = error,
			.delivered = delivered};

	if(ev != NULL) {
		v.sequence = ev->sequence;
		v.type = ev->rec.hdr.type;
		if(delivered && ev->at > 0 && wall > ev->at)
			v.latency_us = wall - ev->at;
	}
	sb_deliveries_add(ep->d->deliveries, &v);
}

/* A refused event: one line in SB_SAY_US, with the number of those that were not said. */
static void say_refused(struct hook_endpoint *ep, const struct hook_event *ev, const char *error, const char *what)
{
	struct sb_deliver *d = ep->d;
	char more[64] = "";

	if(ep->say_at > 0 && d->now < ep->say_at + SB_SAY_US) {
		ep->said_less++;
		return;
	}
	if(ep->said_less > 0)
		snprintf(more, sizeof(more), " (and %u more since the last such line)", ep->said_less);
	hook_say(d, SB_DELIVER_WARNING, "endpoint %s: event %s: %s; %s%s", ep->cfg->id, ev != NULL ? ev->id : "?", error,
			what, more);
	ep->say_at = d->now;
	ep->said_less = 0;
}

void hook_bury(struct hook_endpoint *ep, const struct hook_try *t, struct sb_pending *p, struct hook_event *ev)
{
	struct sb_deliver *d = ep->d;
	bool text = ev != NULL && hook_event_render(d, ev);
	int err;

	p->tries = t->tries;
	err = sb_store_bury(d->state, ep->cfg->id, p, text ? ev->text : NULL, text ? ev->text_len : 0, d->now);
	if(err == 0 && t->parked)
		err = sb_store_unpark(d->state, ep->cfg->id, p, d->now);
	if(err != 0) {
		hook_state_failed(d);
		return;
	}
	if(t->parked && sb_callset_sub(&ep->parked, p->call) > 0)
		ep->due_at = d->now;
	d->dead_since_trim++;
	atomic_fetch_add(&ep->status->dead, 1);
	write_history(ep, p, ev, t->tries, t->status, p->error, false);
	say_refused(ep, ev, p->error, "given up, kept in the table dead of state.sqlite");
}

/* Everything of the call that stands behind e in the window: parked too, so that the order holds. */
static bool park_followers(struct hook_endpoint *ep, struct sb_entry *e)
{
	struct sb_deliver *d = ep->d;
	struct sb_entry *f;
	struct sb_pending p;

	while((f = sb_queue_call_next(e)) != NULL) {
		const struct hook_event *ev = f->event;
		hook_pending_of(&p, ev);
		if(hook_park(ep, &p) != 0) {
			hook_state_failed(d);
			return false;
		}
		hook_release(ep, f);
	}
	return true;
}

static void park(struct hook_endpoint *ep, struct sb_entry *e, const struct sb_http_result *r)
{
	struct sb_deliver *d = ep->d;
	struct hook_event *ev = e->event;
	int64_t wait = sb_schedule_next(&d->cfg.schedule, e->tries, hook_random(d));
	char what[64];
	struct sb_pending p;
	int err;

	hook_pending_of(&p, ev);
	snprintf(p.error, sizeof(p.error), "%s", r->error);
	if(wait < 0) {
		hook_bury(ep, &(struct hook_try){e->tries, r->status, e->retry}, &p, ev);
		hook_release(ep, e);
		return;
	}
	p.tries = e->tries;
	p.next_at = d->now + (uint64_t)wait;
	err = e->retry ? sb_store_again(d->state, ep->cfg->id, &p) : hook_park(ep, &p);
	if(err != 0) {
		hook_state_failed(d);
		return;
	}
	if(!e->retry && !park_followers(ep, e))
		return;
	hook_due_not_later(ep, p.next_at);
	snprintf(what, sizeof(what), "tried again in %.1f s", (double)wait / 1e6);
	say_refused(ep, ev, r->error, what);
	hook_release(ep, e);
}

static void pause_endpoint(struct hook_endpoint *ep, struct sb_entry *e, const struct sb_http_result *r)
{
	struct sb_deliver *d = ep->d;
	int64_t wait;

	e->tries--; /* its schedule is not used up by an endpoint that is away */
	e->fail_mark = ep->successes;
	if(e->retry) {
		hook_release(ep, e);
		hook_due_not_later(ep, d->now);
	} else {
		sb_queue_back(&ep->queue, e, false);
	}
	if(ep->state == SB_ENDPOINT_PAUSED && d->now < ep->probe_at)
		return; /* it was under way when another one paused the endpoint */
	wait = sb_probe_wait(ep->probes, d->cfg.probe_max_s);
	if(r->retry_after_s > 0 && (int64_t)r->retry_after_s * 1000000 > wait)
		wait = (int64_t)(r->retry_after_s < d->cfg.probe_max_s ? r->retry_after_s : d->cfg.probe_max_s) * 1000000;
	ep->probe_at = d->now + (uint64_t)wait;
	ep->probes++;
	if(ep->state == SB_ENDPOINT_UP) {
		hook_say(d, SB_DELIVER_WARNING,
				"endpoint %s is away: %s; probed from 1 s to %u s apart, its events wait in the log", ep->cfg->id,
				r->error, d->cfg.probe_max_s);
		ep->state = SB_ENDPOINT_PAUSED;
	}
}

static void gone(struct hook_endpoint *ep, struct sb_entry *e)
{
	e->tries--;
	if(e->retry)
		hook_release(ep, e);
	else
		sb_queue_back(&ep->queue, e, true);
	if(ep->state == SB_ENDPOINT_DISABLED || hook_disable(ep, "HTTP 410") != 0)
		return;
	hook_say(ep->d, SB_DELIVER_ERROR,
			"endpoint %s answered 410 (gone): it is disabled and gets nothing more; to enable it again: kamcmd "
			"callhook.enable %s",
			ep->cfg->id, ep->cfg->id);
}

static void delivered(struct hook_endpoint *ep, struct sb_entry *e, const struct sb_http_result *r)
{
	struct sb_deliver *d = ep->d;
	const struct hook_event *ev = e->event;
	struct sb_pending p;

	ep->successes++;
	ep->refused = 0;
	ep->probes = 0;
	if(ep->state == SB_ENDPOINT_PAUSED) {
		ep->state = SB_ENDPOINT_UP;
		hook_say(d, SB_DELIVER_NOTICE, "endpoint %s is back", ep->cfg->id);
		if(ep->parked.total > 0) {
			if(sb_store_hasten(d->state, ep->cfg->id, d->now) != 0) {
				hook_state_failed(d);
				return;
			}
			hook_due_not_later(ep, d->now);
		}
	}
	hook_pending_of(&p, ev);
	if(e->retry) {
		if(sb_store_unpark(d->state, ep->cfg->id, &p, d->now) != 0) {
			hook_state_failed(d);
			return;
		}
		if(sb_callset_sub(&ep->parked, e->call) > 0)
			hook_due_not_later(ep, d->now);
		ep->due_look_at = 0;
	}
	atomic_fetch_add_explicit(&ep->status->delivered, 1, memory_order_relaxed);
	atomic_store_explicit(&ep->status->success_at, hook_wall_us(), memory_order_relaxed);
	write_history(ep, &p, ev, e->tries, r->status, NULL, true);
	hook_release(ep, e);
}

void hook_done(void *arg, const struct sb_http_result *r)
{
	struct hook_flight *f = arg;
	struct hook_endpoint *ep = f->ep;
	struct sb_entry *e = f->entry;
	struct sb_trial t;

	if(f->test != NULL) {
		hook_test_done(f->test, r);
		free(f);
		return;
	}
	free(f);
	if(ep->d->broken_at != 0) {
		/* everything is read again from the state file */
		hook_release(ep, e);
		return;
	}
	if(ep->d->stopping && r->status == 0) {
		sb_queue_back(&ep->queue, e, true);
		return;
	}
	if(r->status < 200 || r->status > 299) {
		note_failure(ep, r->error);
		if(!e->retry && e->tries == 0 && !sb_about_endpoint(r->status))
			ep->refused++;
	}
	t = (struct sb_trial){.status = r->status,
			.sent = r->sent,
			.paused = ep->state == SB_ENDPOINT_PAUSED,
			.retry = e->retry,
			.refused = ep->refused,
			.failed_before = e->fail_mark != UINT64_MAX,
			.others_between = ep->successes > e->fail_mark,
			.others_during = ep->successes > e->start_mark};
	e->tries++;
	switch(sb_judge(&t)) {
		case SB_DELIVERED:
			delivered(ep, e, r);
			break;
		case SB_PARK:
			park(ep, e, r);
			break;
		case SB_PAUSE:
			pause_endpoint(ep, e, r);
			break;
		case SB_DISABLE:
			gone(ep, e);
			break;
	}
}

/* @return false: nothing more can be started now */
static bool start_one(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	struct sb_entry *e = sb_queue_take(&ep->queue);
	struct hook_flight *f;
	struct hook_event *ev;
	struct sb_http_post post;

	if(e == NULL)
		return false;
	ev = e->event;
	if(!hook_event_render(d, ev)) {
		struct sb_pending p;
		hook_pending_of(&p, ev);
		snprintf(p.error, sizeof(p.error), "the record cannot be rendered (damaged, or out of memory)");
		hook_bury(ep, &(struct hook_try){e->tries, 0, e->retry}, &p, ev);
		hook_release(ep, e);
		return true;
	}
	f = malloc(sizeof(*f));
	post = (struct sb_http_post){.id = ev->id,
			.body = ev->text,
			.len = ev->text_len,
			.unix_s = (int64_t)(hook_wall_us() / 1000000),
			.arg = f};
	if(f == NULL || sb_http_post(ep->peer, &post) != 0) {
		free(f);
		sb_queue_back(&ep->queue, e, true);
		return false;
	}
	*f = (struct hook_flight){.ep = ep, .entry = e};
	e->start_mark = ep->successes;
	sb_rate_count(&ep->rate, d->now);
	return true;
}

void hook_dispatch(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	uint32_t limit = ep->cfg->concurrency;

	if(d->broken_at != 0 || d->stopping || hook_silent(ep))
		return;
	if(ep->state == SB_ENDPOINT_PAUSED)
		limit = d->now >= ep->probe_at ? 1 : 0;
	while(ep->queue.flying < limit && sb_rate_at(&ep->rate) <= d->now && start_one(ep))
		;
}
