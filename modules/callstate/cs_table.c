/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calls in shared memory: records in chunks that are made when needed, chained by the hash of the Call-ID. */
#include "callstate.h"

#include "core/mem/shm_mem.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"

struct cs_shared *cs_sh;

uint64_t cs_hash(const char *call_id, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	if(len > CS_CALL_ID_MAX)
		len = CS_CALL_ID_MAX;
	for(size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)call_id[i]) * 0x100000001b3ull;
	return h ^ (h >> 29);
}

static unsigned bucket(uint64_t hash)
{
	return (unsigned)(hash % CS_BUCKETS);
}

int cs_table_init(unsigned max)
{
	size_t chunks = (max + CS_CHUNK - 1) / CS_CHUNK;

	cs_sh = shm_malloc(sizeof(*cs_sh));
	if(cs_sh == NULL)
		goto nomem;
	memset(cs_sh, 0, sizeof(*cs_sh));
	cs_sh->max = max;
	cs_sh->chunk = shm_malloc(chunks * sizeof(*cs_sh->chunk));
	cs_sh->due = shm_malloc(max * sizeof(*cs_sh->due));
	if(cs_sh->chunk == NULL || cs_sh->due == NULL)
		goto nomem;
	memset(cs_sh->chunk, 0, chunks * sizeof(*cs_sh->chunk));
	memset(cs_sh->due, 0, max * sizeof(*cs_sh->due));
	if(lock_init(&cs_sh->free_lock) == NULL)
		goto nomem;
	for(unsigned i = 0; i < CS_BUCKETS; i++)
		if(lock_init(&cs_sh->lock[i]) == NULL)
			goto nomem;
	return 0;
nomem:
	SHM_MEM_ERROR;
	return -1;
}

struct cs_call *cs_at(uint32_t i)
{
	return &cs_sh->chunk[i / CS_CHUNK][i % CS_CHUNK];
}

void cs_lock(uint64_t hash)
{
	lock_get(&cs_sh->lock[bucket(hash)]);
}

void cs_unlock(uint64_t hash)
{
	lock_release(&cs_sh->lock[bucket(hash)]);
}

void cs_due_set(const struct cs_call *c)
{
	atomic_store_explicit(&cs_sh->due[c->self], c->deadline, memory_order_relaxed);
}

void cs_put(struct cs_call *c)
{
	cs_due_set(c);
	cs_unlock(c->hash);
}

/* One more chunk of records onto the free list; free_lock is held. */
static bool grow(void)
{
	uint32_t made = cs_sh->made;
	uint32_t more = cs_sh->max - made < CS_CHUNK ? cs_sh->max - made : CS_CHUNK;
	struct cs_call *chunk;

	if(more == 0)
		return false;
	chunk = shm_malloc(more * sizeof(*chunk));
	if(chunk == NULL)
		return false;
	memset(chunk, 0, more * sizeof(*chunk));
	for(uint32_t i = 0; i < more; i++) {
		chunk[i].next = cs_sh->free;
		cs_sh->free = made + i + 1;
	}
	cs_sh->chunk[made / CS_CHUNK] = chunk;
	cs_sh->made = made + more;
	return true;
}

struct cs_call *cs_new_locked(uint64_t hash)
{
	struct cs_call *c = NULL;
	uint32_t i;

	lock_get(&cs_sh->free_lock);
	if(cs_sh->free || grow()) {
		i = cs_sh->free - 1;
		c = cs_at(i);
		cs_sh->free = c->next;
	}
	lock_release(&cs_sh->free_lock);
	if(c == NULL) {
		cs_sh->n.untracked++;
		return NULL;
	}
	cs_call_clear(c);
	c->self = i;
	c->hash = hash;
	c->gen++;
	c->next = cs_sh->head[bucket(hash)];
	cs_sh->head[bucket(hash)] = i + 1;
	cs_sh->n.active++;
	return c;
}

void cs_free_locked(struct cs_call *c)
{
	uint32_t *link = &cs_sh->head[bucket(c->hash)];

	while(*link && *link != c->self + 1)
		link = &cs_at(*link - 1)->next;
	if(*link)
		*link = c->next;
	c->gen++;
	c->deadline = 0;
	cs_due_set(c);
	cs_sh->n.active--;
	lock_get(&cs_sh->free_lock);
	c->next = cs_sh->free;
	cs_sh->free = c->self + 1;
	lock_release(&cs_sh->free_lock);
}

struct cs_call *cs_find_locked(uint64_t hash, const str *call_id, const str *from_tag)
{
	struct cs_call *over = NULL;

	for(uint32_t i = cs_sh->head[bucket(hash)]; i; i = cs_at(i - 1)->next) {
		struct cs_call *c = cs_at(i - 1);

		if(c->hash != hash || !cs_text_is(c, CS_T_SIP_CALL_ID, call_id->s, call_id->len)
				|| !cs_text_is(c, CS_T_FROM_TAG, from_tag->s, from_tag->len))
			continue;
		if(!cs_over(c))
			return c;
		if(over == NULL)
			over = c;
	}
	return over;
}

uint64_t cs_ref(const struct cs_call *c)
{
	return (uint64_t)c->gen << 32 | (c->self + 1);
}

struct cs_call *cs_get(uint64_t ref)
{
	uint32_t i = ((uint32_t)ref & CS_REF_INDEX) - 1, gen = (uint32_t)(ref >> 32);
	struct cs_call *c;
	uint64_t hash;

	if(ref == 0 || i >= cs_sh->made)
		return NULL;
	c = cs_at(i);
	hash = c->hash;
	cs_lock(hash);
	if(c->gen == gen && c->hash == hash)
		return c;
	cs_unlock(hash);
	return NULL;
}

bool cs_copy_at(uint32_t i, struct cs_call *copy)
{
	struct cs_call *c = cs_at(i);
	uint64_t hash = c->hash;
	bool used;

	if(!(c->gen & 1))
		return false;
	cs_lock(hash);
	used = (c->gen & 1) && c->hash == hash;
	if(used)
		memcpy(copy, c, offsetof(struct cs_call, arena) + c->arena_len);
	cs_unlock(hash);
	return used;
}

static uint64_t search_id(const uint8_t id[16], struct cs_call *copy)
{
	uint32_t made = cs_sh->made;

	for(uint32_t i = 0; i < made; i++)
		if(memcmp(cs_at(i)->id, id, 16) == 0 && cs_copy_at(i, copy) && memcmp(copy->id, id, 16) == 0)
			return cs_ref(copy);
	return 0;
}

uint64_t cs_search(const char *id, size_t len, struct cs_call *copy)
{
	char text[37];
	uint8_t uuid[16];
	uint64_t hash = cs_hash(id, len), found = 0;
	uint32_t i;

	if(len == 36) {
		memcpy(text, id, 36);
		text[36] = 0;
		if(sb_uuid_parse(uuid, text) == 0)
			found = search_id(uuid, copy);
		if(found)
			return found;
	}
	cs_lock(hash);
	for(i = cs_sh->head[bucket(hash)]; i && !found; i = cs_at(i - 1)->next)
		if(cs_text_is(cs_at(i - 1), CS_T_SIP_CALL_ID, id, len)) {
			found = cs_ref(cs_at(i - 1));
			memcpy(copy, cs_at(i - 1), sizeof(*copy));
		}
	cs_unlock(hash);
	return found;
}

int cs_parse_dialog_headers(struct sip_msg *msg)
{
	if(msg->callid && msg->from && msg->to && msg->to->parsed && msg->cseq)
		return 0;
	if(parse_headers(msg, HDR_CALLID_F | HDR_FROM_F | HDR_TO_F | HDR_CSEQ_F, 0) < 0)
		return -1;
	if(!msg->callid || !msg->from || !msg->to || !msg->cseq)
		return -1;
	return parse_to_header(msg);
}

str cs_from_tag(struct sip_msg *msg)
{
	struct cs_span tag;

	if(msg->from->parsed)
		return get_from(msg)->tag_value;
	tag = cs_tag(cs_span_of(msg->from->body));
	return (str){(char *)tag.s, (int)tag.len};
}

static bool is(const struct cs_call *c, enum cs_text t, const str *s)
{
	return cs_text_is(c, t, s->s, s->len);
}

/* The other side's tag: unknown while it has not answered, so any will do then. */
static bool may_be(const struct cs_call *c, enum cs_text t, const str *s)
{
	return s->len == 0 || c->text[t].len == 0 || is(c, t, s);
}

static enum cs_by sender(const struct cs_call *c, const str *from_tag, const str *to_tag)
{
	if(is(c, CS_T_FROM_TAG, from_tag) && may_be(c, CS_T_TO_TAG, to_tag))
		return CS_BY_CALLER;
	if(is(c, CS_T_FROM_TAG, to_tag) && may_be(c, CS_T_TO_TAG, from_tag))
		return CS_BY_CALLEE;
	return CS_BY_UNKNOWN;
}

/* How sure it is that a record is the one: an exact pair of tags, then one still in set-up, then one that is over. */
static int fit(const struct cs_call *c, enum cs_by who, const str *from_tag, const str *to_tag)
{
	const str *callee = who == CS_BY_CALLER ? to_tag : from_tag;

	if(callee->len && c->text[CS_T_TO_TAG].len && is(c, CS_T_TO_TAG, callee))
		return cs_over(c) ? 3 : 4;
	return cs_over(c) ? 1 : 2;
}

struct cs_call *cs_of_msg(struct sip_msg *msg, enum cs_by *by)
{
	struct cs_call *best = NULL;
	int best_fit = 0;
	str from_tag, to_tag;
	uint64_t hash;

	if(cs_parse_dialog_headers(msg) < 0)
		return NULL;
	from_tag = cs_from_tag(msg);
	to_tag = get_to(msg)->tag_value;
	hash = cs_hash(msg->callid->body.s, (size_t)msg->callid->body.len);
	cs_lock(hash);
	for(uint32_t i = cs_sh->head[bucket(hash)]; i; i = cs_at(i - 1)->next) {
		struct cs_call *c = cs_at(i - 1);
		enum cs_by who;
		int f;

		if(c->hash != hash || !is(c, CS_T_SIP_CALL_ID, &msg->callid->body))
			continue;
		who = sender(c, &from_tag, &to_tag);
		f = who == CS_BY_UNKNOWN ? 0 : fit(c, who, &from_tag, &to_tag);
		if(f <= best_fit)
			continue;
		best = c;
		best_fit = f;
		if(by)
			*by = who;
	}
	if(best == NULL)
		cs_unlock(hash);
	return best;
}
