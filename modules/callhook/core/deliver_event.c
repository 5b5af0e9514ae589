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

struct hook_event *hook_event_get(struct sb_deliver *d, const struct sb_rec *rec)
{
	struct hook_event **b = bucket_of(d, rec->pos), *ev;
	struct sb_field f;

	for(ev = *b; ev != NULL; ev = ev->next) {
		if(ev->rec.pos.segment == rec->pos.segment && ev->rec.pos.offset == rec->pos.offset) {
			ev->refs++;
			return ev;
		}
	}
	ev = calloc(1, sizeof(*ev) + rec->hdr.len);
	if(ev == NULL)
		return NULL;
	memcpy(ev->payload, rec->payload, rec->hdr.len);
	ev->rec = *rec;
	ev->rec.payload = ev->payload;
	ev->refs = 1;
	if(sb_find(rec->payload, rec->hdr.len, SB_C_CALL_ID, &f) && f.len == 16)
		memcpy(ev->call, f.data, 16);
	ev->at = number(rec, SB_C_AT);
	ev->sequence = number(rec, SB_C_SEQUENCE);
	sb_event_id(ev->id, d->cfg.log->node, rec->hdr.epoch, rec->hdr.seq);
	ev->next = *b;
	*b = ev;
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

void hook_pending_of(struct sb_pending *p, const struct sb_rec_hdr *hdr, struct sb_pos pos, const uint8_t call[16])
{
	memset(p, 0, sizeof(*p));
	memcpy(p->call, call, 16);
	p->epoch = hdr->epoch;
	p->seq = hdr->seq;
	p->pos = pos;
}
