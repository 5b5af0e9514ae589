/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "deliver_parts.h"
#include "event.h"
#include "json.h"

static struct hook_event **bucket_of(struct sb_deliver *d, struct sb_pos pos)
{
	uint64_t h = (pos.segment * 0x9e3779b97f4a7c15ull) ^ (pos.offset * 0xc2b2ae3d27d4eb4full);

	return &d->bucket[(h >> 32) & (d->buckets - 1)];
}

static uint64_t number(const struct sb_rec *rec, enum sb_col col)
{
	struct sb_field f;

	return sb_find(rec->payload, rec->hdr.len, col, &f) ? sb_field_u64(&f) : 0;
}

/* The same event, held already. */
static struct hook_event *known(struct sb_deliver *d, struct sb_pos pos, uint32_t epoch, uint64_t seq)
{
	struct hook_event *ev = *bucket_of(d, pos);

	while(ev != NULL
			&& (ev->rec.pos.segment != pos.segment || ev->rec.pos.offset != pos.offset || ev->rec.hdr.seq != seq
					|| ev->rec.hdr.epoch != epoch))
		ev = ev->next;
	if(ev != NULL)
		ev->refs++;
	return ev;
}

static void enter(struct sb_deliver *d, struct hook_event *ev)
{
	struct hook_event **b = bucket_of(d, ev->rec.pos);

	sb_event_id(ev->id, d->cfg.log->node, ev->rec.hdr.epoch, ev->rec.hdr.seq);
	ev->refs = 1;
	ev->next = *b;
	*b = ev;
}

struct hook_event *hook_event_get(struct sb_deliver *d, const struct sb_rec *rec)
{
	struct hook_event *ev = known(d, rec->pos, rec->hdr.epoch, rec->hdr.seq);
	struct sb_field f;

	if(ev != NULL)
		return ev;
	ev = calloc(1, sizeof(*ev) + rec->hdr.len);
	if(ev == NULL)
		return NULL;
	memcpy(ev->payload, rec->payload, rec->hdr.len);
	ev->rec = *rec;
	ev->rec.payload = ev->payload;
	ev->size = rec->hdr.len;
	if(sb_find(rec->payload, rec->hdr.len, SB_C_CALL_ID, &f) && f.len == 16)
		memcpy(ev->call, f.data, 16);
	ev->at = number(rec, SB_C_AT);
	ev->sequence = number(rec, SB_C_SEQUENCE);
	enter(d, ev);
	return ev;
}

struct hook_event *hook_event_kept(struct sb_deliver *d, const struct sb_pending *p, char *body, size_t len)
{
	struct hook_event *ev = known(d, p->pos, p->epoch, p->seq);

	if(ev == NULL) {
		ev = calloc(1, sizeof(*ev));
		if(ev != NULL) {
			ev->text = body;
			ev->text_len = ev->size = len;
			memcpy(ev->call, p->call, 16);
			ev->at = p->at;
			ev->sequence = p->sequence;
			ev->rec.hdr = (struct sb_rec_hdr){.type = p->type, .seq = p->seq, .epoch = p->epoch};
			ev->rec.pos = p->pos;
			enter(d, ev);
			return ev;
		}
	}
	free(body);
	return ev;
}

void hook_event_put(struct sb_deliver *d, struct hook_event *ev)
{
	struct hook_event **link;

	if(--ev->refs > 0)
		return;
	for(link = bucket_of(d, ev->rec.pos); *link != ev; link = &(*link)->next)
		;
	*link = ev->next;
	free(ev->text);
	free(ev);
}

bool hook_event_render(struct sb_deliver *d, struct hook_event *ev)
{
	if(ev->text == NULL)
		ev->text = sb_event_text(&ev->rec, d->cfg.log->node, &ev->text_len);
	return ev->text != NULL;
}

void hook_pending_of(struct sb_pending *p, const struct hook_event *ev)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->call, ev->call, 16);
	p->epoch = ev->rec.hdr.epoch;
	p->seq = ev->rec.hdr.seq;
	p->pos = ev->rec.pos;
	p->type = ev->rec.hdr.type;
	p->at = ev->at;
	p->sequence = ev->sequence;
}
