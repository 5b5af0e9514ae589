/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue.h"

#define SPAN 8u /* windows that the log is read ahead of the cursor at most */

static struct sb_entry **bucket_of(const struct sb_queue *q, const uint8_t call[16])
{
	uint64_t a, b;

	memcpy(&a, call, 8);
	memcpy(&b, call + 8, 8);
	a = (a ^ (b * 0x9e3779b97f4a7c15ull)) * 0x9e3779b97f4a7c15ull;
	return &q->bucket[(a >> 32) & (q->buckets - 1)];
}

int sb_queue_init(struct sb_queue *q, uint32_t window, uint32_t retry_room, struct sb_pos from)
{
	uint32_t n = window + retry_room;

	memset(q, 0, sizeof(*q));
	if(window == 0 || window > 1u << 20 || retry_room > 1u << 20)
		return -EINVAL;
	for(q->buckets = 16; q->buckets < n; q->buckets *= 2)
		;
	q->entries = calloc(n, sizeof(*q->entries));
	q->bucket = calloc(q->buckets, sizeof(struct sb_entry *));
	if(q->entries == NULL || q->bucket == NULL) {
		sb_queue_free(q);
		return -ENOMEM;
	}
	for(uint32_t i = n; i > 0; i--) {
		q->entries[i - 1].newer = q->unused;
		q->unused = &q->entries[i - 1];
	}
	q->window = window;
	q->retry_room = retry_room;
	q->read = from;
	return 0;
}

void sb_queue_free(struct sb_queue *q)
{
	free(q->entries);
	free(q->bucket);
	memset(q, 0, sizeof(*q));
}

bool sb_queue_full(const struct sb_queue *q)
{
	return q->waiting + q->flying - q->retries >= q->window
		   || (q->oldest != NULL && q->pushed - q->oldest->n >= (uint64_t)q->window * SPAN);
}

void sb_queue_read_to(struct sb_queue *q, struct sb_pos next)
{
	q->read = next;
}

static void make_ready(struct sb_queue *q, struct sb_entry *e, bool first)
{
	e->ready = true;
	q->ready++;
	e->ready_prev = first ? NULL : q->ready_last;
	e->ready_next = first ? q->ready_first : NULL;
	if(e->ready_prev != NULL)
		e->ready_prev->ready_next = e;
	else
		q->ready_first = e;
	if(e->ready_next != NULL)
		e->ready_next->ready_prev = e;
	else
		q->ready_last = e;
}

static void not_ready(struct sb_queue *q, struct sb_entry *e)
{
	if(!e->ready)
		return;
	e->ready = false;
	q->ready--;
	if(e->ready_prev != NULL)
		e->ready_prev->ready_next = e->ready_next;
	else
		q->ready_first = e->ready_next;
	if(e->ready_next != NULL)
		e->ready_next->ready_prev = e->ready_prev;
	else
		q->ready_last = e->ready_prev;
	e->ready_prev = e->ready_next = NULL;
}

static void join_call(struct sb_queue *q, struct sb_entry *e)
{
	struct sb_entry **b = bucket_of(q, e->call), *first = sb_queue_call(q, e->call);

	if(first != NULL) {
		first->call_last->call_next = e;
		first->call_last = e;
		return;
	}
	e->call_last = e;
	e->bucket_next = *b;
	*b = e;
	make_ready(q, e, false);
}

static void leave_call(struct sb_queue *q, struct sb_entry *e)
{
	struct sb_entry **link = bucket_of(q, e->call), *first = sb_queue_call(q, e->call), *p;

	if(first != e) {
		for(p = first; p->call_next != e; p = p->call_next)
			;
		p->call_next = e->call_next;
		if(first->call_last == e)
			first->call_last = p;
		return;
	}
	while(*link != e)
		link = &(*link)->bucket_next;
	if(e->call_next == NULL) {
		*link = e->bucket_next;
		return;
	}
	e->call_next->call_last = e->call_last;
	e->call_next->bucket_next = e->bucket_next;
	*link = e->call_next;
	make_ready(q, e->call_next, false);
}

struct sb_entry *sb_queue_push(struct sb_queue *q, struct sb_pos pos, const uint8_t call[16], void *event, bool retry)
{
	struct sb_entry *e = q->unused;

	if(e == NULL || (retry ? q->retries >= q->retry_room : sb_queue_full(q)))
		return NULL;
	q->unused = e->newer;
	memset(e, 0, sizeof(*e));
	e->pos = pos;
	memcpy(e->call, call, 16);
	e->event = event;
	e->retry = retry;
	if(retry) {
		q->retries++;
	} else {
		e->n = q->pushed++;
		e->older = q->newest;
		if(q->newest != NULL)
			q->newest->newer = e;
		else
			q->oldest = e;
		q->newest = e;
	}
	q->waiting++;
	join_call(q, e);
	return e;
}

struct sb_entry *sb_queue_take(struct sb_queue *q)
{
	struct sb_entry *e = q->ready_first;

	if(e == NULL)
		return NULL;
	not_ready(q, e);
	e->flying = true;
	q->waiting--;
	q->flying++;
	return e;
}

void sb_queue_back(struct sb_queue *q, struct sb_entry *e, bool first)
{
	if(!e->flying)
		return;
	e->flying = false;
	q->flying--;
	q->waiting++;
	make_ready(q, e, first);
}

void sb_queue_done(struct sb_queue *q, struct sb_entry *e)
{
	not_ready(q, e);
	leave_call(q, e);
	if(e->flying)
		q->flying--;
	else
		q->waiting--;
	if(e->retry) {
		q->retries--;
	} else {
		if(e->older != NULL)
			e->older->newer = e->newer;
		else
			q->oldest = e->newer;
		if(e->newer != NULL)
			e->newer->older = e->older;
		else
			q->newest = e->older;
	}
	memset(e, 0, sizeof(*e));
	e->newer = q->unused;
	q->unused = e;
}

struct sb_entry *sb_queue_call(const struct sb_queue *q, const uint8_t call[16])
{
	struct sb_entry *e = *bucket_of(q, call);

	while(e != NULL && memcmp(e->call, call, 16) != 0)
		e = e->bucket_next;
	return e;
}

struct sb_entry *sb_queue_call_next(const struct sb_entry *e)
{
	return e->call_next;
}

struct sb_pos sb_queue_cursor(const struct sb_queue *q)
{
	return q->oldest != NULL ? q->oldest->pos : q->read;
}
