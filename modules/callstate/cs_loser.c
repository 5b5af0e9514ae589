/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two 200s from a fork: the caller ends the second dialog (RFC 3261 13.2.2.4). One that does not would leave a phone off the
 * hook, so after a while we do. */
#include "callstate.h"

#include "core/mem/shm_mem.h"

#define LOSERS 32u
#define GRACE_US 4000000ull

struct loser
{
	struct loser *next;
	uint64_t due;
	struct cs_call call; /* as if the loser had been the callee */
};

static struct
{
	gen_lock_t lock;
	_Atomic unsigned count;
	struct loser *first;
} * list;

static void span_set(struct cs_call *c, enum cs_text t, struct cs_span s)
{
	cs_text_set(c, t, s.s, s.len);
}

static bool same(const struct loser *l, const char *call_id, size_t id_len, const char *tag, size_t tag_len)
{
	return cs_text_is(&l->call, CS_T_SIP_CALL_ID, call_id, id_len) && cs_text_is(&l->call, CS_T_TO_TAG, tag, tag_len);
}

static struct loser **find(const char *call_id, size_t id_len, const char *tag, size_t tag_len)
{
	struct loser **l = &list->first;

	while(*l && !same(*l, call_id, id_len, tag, tag_len))
		l = &(*l)->next;
	return l;
}

void cs_loser_add(const struct cs_call *c, const struct cs_msg *m)
{
	struct loser *l;
	size_t len;
	const char *id = cs_text(c, CS_T_SIP_CALL_ID, &len);

	if(list->count >= LOSERS || m->to_tag.len == 0)
		return;
	lock_get(&list->lock);
	l = *find(id, len, m->to_tag.s, m->to_tag.len) ? NULL : shm_malloc(sizeof(*l));
	if(l) {
		l->due = cs_mono() + GRACE_US;
		l->call = *c;
		span_set(&l->call, CS_T_TO_TAG, m->to_tag);
		span_set(&l->call, CS_T_CONTACT_B, m->contact);
		span_set(&l->call, CS_T_ROUTE_B, m->route);
		span_set(&l->call, CS_T_SOCKET_B, m->socket);
		l->next = list->first;
		list->first = l;
		list->count++;
	}
	lock_release(&list->lock);
}

void cs_loser_ended(const str *call_id, const str *to_tag)
{
	struct loser **link, *l;

	if(list->count == 0)
		return;
	lock_get(&list->lock);
	link = find(call_id->s, (size_t)call_id->len, to_tag->s, (size_t)to_tag->len);
	l = *link;
	if(l) {
		*link = l->next;
		list->count--;
	}
	lock_release(&list->lock);
	if(l)
		shm_free(l);
}

static struct loser *take_due(uint64_t mono)
{
	struct loser **link, *l;

	lock_get(&list->lock);
	for(link = &list->first; *link && (*link)->due > mono;)
		link = &(*link)->next;
	l = *link;
	if(l) {
		*link = l->next;
		list->count--;
	}
	lock_release(&list->lock);
	return l;
}

void cs_loser_tick(uint64_t mono)
{
	struct loser *l;

	while(list->count && (l = take_due(mono)) != NULL) {
		cs_send_bye(&l->call, 0, CS_BY_CALLEE);
		shm_free(l);
	}
}

int cs_loser_init(void)
{
	list = shm_malloc(sizeof(*list));
	if(list == NULL) {
		SHM_MEM_ERROR;
		return -1;
	}
	memset(list, 0, sizeof(*list));
	return lock_init(&list->lock) ? 0 : -1;
}
