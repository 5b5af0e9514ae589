/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the log, or from the list of parked events, into the window of an endpoint. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deliver_parts.h"
#include "event.h"
#include "wanted.h"

static int reader_at(struct sb_deliver *d, struct sb_pos from, struct sb_reader **out)
{
	int err = sb_reader_open(out, d->cfg.log->cfg.journal_dir, d->cfg.log->cfg.spool_dir, from);

	if(err == 0 && d->cfg.log->sh != NULL)
		sb_reader_attach(*out, d->cfg.log->sh);
	return err;
}

static void reader_failed(struct hook_endpoint *ep, int err)
{
	hook_say(ep->d, SB_DELIVER_ERROR,
			"endpoint %s: the log cannot be read: %s; tried again every second (directories %s and %s)", ep->cfg->id,
			strerror(-err), ep->d->cfg.log->cfg.journal_dir, ep->d->cfg.log->cfg.spool_dir);
	sb_reader_close(ep->reader);
	ep->reader = NULL;
	ep->reader_at = ep->d->now + 1000000;
}

static void segments_lost(struct hook_endpoint *ep, uint64_t from, uint64_t to)
{
	atomic_fetch_add(&ep->d->cfg.status->lost_segments, from >> 32 == to >> 32 ? to - from : 1);
	atomic_fetch_add(&ep->status->skipped, 1);
	hook_say(ep->d, SB_DELIVER_ERROR,
			"endpoint %s: the journal no longer holds its segments from %016llx to %016llx: their events are not "
			"delivered "
			"(journal_limit was reached while it was away)",
			ep->cfg->id, (unsigned long long)from, (unsigned long long)(to - 1));
}

static bool reader_ready(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	uint64_t first = 0, last = 0;
	int err;

	if(ep->reader != NULL)
		return true;
	if(d->now < ep->reader_at)
		return false;
	err = reader_at(d, ep->queue.read, &ep->reader);
	if(err != 0) {
		reader_failed(ep, err);
		return false;
	}
	if(sb_log_segments(d->cfg.log->cfg.journal_dir, d->cfg.log->cfg.spool_dir, &first, &last) == 0
			&& ep->queue.read.segment > 0 && first > ep->queue.read.segment)
		segments_lost(ep, ep->queue.read.segment, first);
	ep->last = (struct sb_pos){0};
	return true;
}

int hook_park(struct hook_endpoint *ep, const struct sb_pending *p)
{
	int r = sb_store_park(ep->d->state, ep->cfg->id, p);

	return r == 1 ? sb_callset_add(&ep->parked, p->call, 1) : r;
}

/* An event whose call has a parked one waits behind it. */
static int park_behind(struct hook_endpoint *ep, const struct sb_rec *rec)
{
	struct hook_event *ev = hook_event_get(ep->d, rec);
	struct sb_pending p;

	if(ev == NULL)
		return -ENOMEM;
	hook_pending_of(&p, ev);
	hook_event_put(ep->d, ev);
	return hook_park(ep, &p);
}

static int accept_record(struct hook_endpoint *ep, const struct sb_rec *rec)
{
	uint8_t call[16] = {0};
	struct hook_event *ev;
	struct sb_entry *e;
	struct sb_field f;
	int err;

	if(!sb_wants(&(struct sb_wanted){&ep->cfg->filter, &ep->cfg->trunks, &ep->cfg->dids}, rec))
		return 0;
	if(sb_find(rec->payload, rec->hdr.len, SB_C_CALL_ID, &f) && f.len == 16)
		memcpy(call, f.data, 16);
	if(sb_callset_count(&ep->parked, call) > 0) {
		err = park_behind(ep, rec);
		if(err != 0)
			hook_state_failed(ep->d);
		return err;
	}
	ev = hook_event_get(ep->d, rec);
	if(ev == NULL)
		return -ENOMEM;
	e = sb_queue_push(&ep->queue, rec->pos, call, ev, false);
	if(e == NULL) {
		hook_event_put(ep->d, ev);
		return -ENOSPC;
	}
	e->fail_mark = UINT64_MAX;
	ep->bytes += ev->size;
	return 0;
}

/* No further ahead than there is work for: what was read long ago must come back into the processor's caches. */
bool hook_room(const struct hook_endpoint *ep)
{
	uint32_t enough = ep->cfg->concurrency * 2 > SB_READ_AHEAD ? ep->cfg->concurrency * 2 : SB_READ_AHEAD;

	return ep->queue.ready < enough && !sb_queue_full(&ep->queue) && ep->bytes < SB_WINDOW_BYTES
		   && ep->parked.total < ep->d->cfg.pending_max;
}

static void note_gap(struct hook_endpoint *ep, const struct sb_rec *rec)
{
	if(ep->last.segment > 0 && rec->pos.segment > ep->last.segment + 1
			&& rec->pos.segment >> 32 == ep->last.segment >> 32)
		segments_lost(ep, ep->last.segment + 1, rec->pos.segment);
	ep->last = rec->pos;
}

void hook_read(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	uint64_t records = d->cfg.log->sh != NULL ? atomic_load(&d->cfg.log->sh->records) : 0;
	struct sb_rec rec;
	int r = 1;

	ep->more = false;
	if(hook_silent(ep) || d->broken_at != 0)
		return;
	if(d->cfg.log->sh != NULL && records == ep->seen && d->now < ep->looked_at + 1000000)
		return;
	if(!hook_room(ep) || !reader_ready(ep))
		return;
	for(int n = 0; n < SB_READ_BUDGET && hook_room(ep); n++) {
		r = sb_reader_next(ep->reader, &rec);
		if(r <= 0)
			break;
		note_gap(ep, &rec);
		if(accept_record(ep, &rec) != 0) {
			/* not taken: it is read again, from where it stands */
			sb_reader_close(ep->reader);
			ep->reader = NULL;
			ep->reader_at = d->now + 100000;
			return;
		}
		sb_queue_read_to(&ep->queue, rec.next);
		d->news = true;
	}
	if(r < 0)
		reader_failed(ep, r);
	ep->more = r > 0 && hook_room(ep);
	if(r == 0) {
		ep->seen = records;
		ep->looked_at = d->now;
	}
}

/* The record of a parked event. @return 1, 0 (the journal no longer has it), -errno */
static int read_parked(struct sb_deliver *d, const struct sb_pending *p, struct hook_event **out)
{
	struct sb_reader *r = NULL;
	struct sb_rec rec;
	int err = reader_at(d, p->pos, &r);

	if(err != 0)
		return err;
	err = sb_reader_next(r, &rec);
	if(err == 1
			&& (rec.pos.segment != p->pos.segment || rec.pos.offset != p->pos.offset || rec.hdr.seq != p->seq
					|| rec.hdr.epoch != p->epoch))
		err = 0;
	if(err == 1) {
		*out = hook_event_get(d, &rec);
		if(*out == NULL)
			err = -ENOMEM;
	}
	sb_reader_close(r);
	return err;
}

/* The text was kept with the row. @return as read_parked() */
static int read_kept(struct hook_endpoint *ep, const struct sb_pending *p, struct hook_event **out)
{
	size_t len = 0;
	char *body;
	int err = sb_store_body(ep->d->state, ep->cfg->id, p, &body, &len);

	if(err != 0)
		return err == -ENOENT ? 0 : err;
	*out = hook_event_kept(ep->d, p, body, len);
	return *out != NULL ? 1 : -ENOMEM;
}

static void load_one(struct hook_endpoint *ep, struct sb_pending *p)
{
	struct hook_event *ev = NULL;
	struct sb_entry *e;
	int r;

	if(sb_queue_call(&ep->queue, p->call) != NULL)
		return;
	r = p->kept ? read_kept(ep, p, &ev) : read_parked(ep->d, p, &ev);
	if(r < 0)
		return; /* it stays due */
	if(r == 0) {
		snprintf(p->error, sizeof(p->error), "the journal no longer holds the event (journal_limit)");
		hook_bury(ep, &(struct hook_try){p->tries, 0, true}, p, NULL);
		return;
	}
	e = sb_queue_push(&ep->queue, p->pos, p->call, ev, true);
	if(e == NULL) {
		hook_event_put(ep->d, ev);
		return;
	}
	e->tries = p->tries;
	e->fail_mark = UINT64_MAX;
	ep->bytes += ev->size;
}

void hook_load_due(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	static struct sb_pending rows[SB_RETRY_ROOM];
	bool probing = ep->state == SB_ENDPOINT_PAUSED;
	int n;

	if(d->broken_at != 0 || ep->due_at == 0 || ep->due_at > d->now || d->now < ep->due_look_at || hook_silent(ep))
		return;
	if(probing && (d->now < ep->probe_at || ep->queue.waiting + ep->queue.flying > 0))
		return;
	n = sb_store_due(d->state, ep->cfg->id, d->now, rows, probing ? 1 : (int)SB_RETRY_ROOM);
	for(int i = 0; i < n && d->broken_at == 0; i++)
		load_one(ep, &rows[i]);
	ep->due_look_at = d->now + 50000;
	if(n < 0 || sb_store_next_due(d->state, ep->cfg->id, &ep->due_at) != 0)
		hook_state_failed(d);
}

void hook_due_not_later(struct hook_endpoint *ep, uint64_t at)
{
	if(ep->due_at == 0 || at < ep->due_at)
		ep->due_at = at;
}

void hook_release(struct hook_endpoint *ep, struct sb_entry *e)
{
	struct hook_event *ev = e->event;

	ep->bytes -= ev->size;
	sb_queue_done(&ep->queue, e);
	hook_event_put(ep->d, ev);
}
