/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which new call a transfer leads to: REFERs that are pending, by their target or by the dialog they replace. */
#include "callstate.h"

#include "core/mem/shm_mem.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"

#define PENDING 128u
#define PENDING_US 60000000ull

struct pending
{
	uint64_t ref;
	uint64_t target;   /* hash of user@host of the Refer-To */
	uint64_t replaces; /* hash of the Call-ID to replace, 0 = blind */
	uint64_t until;
	uint8_t id[16]; /* of the transferred call */
};

static struct
{
	gen_lock_t lock;
	_Atomic unsigned count;
	unsigned next;
	struct pending p[PENDING];
} * table;

/* Found while the new call was locked; told once it is not. */
static struct
{
	uint64_t ref;
	uint8_t to[16];
} linked;

static uint64_t hash_of(struct cs_span s)
{
	return s.len ? cs_hash(s.s, s.len) : 0;
}

void cs_transfer_asked(const struct cs_call *c, const struct cs_refer *r)
{
	struct pending *p;

	lock_get(&table->lock);
	p = &table->p[table->next++ % PENDING];
	p->ref = cs_ref(c);
	p->target = hash_of(cs_uri_address(r->uri.s, r->uri.len));
	p->replaces = r->attended ? cs_hash(r->call_id, strlen(r->call_id)) : 0;
	p->until = cs_mono() + PENDING_US;
	memcpy(p->id, c->id, sizeof(p->id));
	table->count = 1;
	lock_release(&table->lock);
}

static struct pending *find(uint64_t target, uint64_t replaces, uint64_t now)
{
	bool any = false;

	for(unsigned i = 0; i < PENDING; i++) {
		struct pending *p = &table->p[i];

		if(p->ref == 0 || p->until < now)
			continue;
		any = true;
		if(replaces ? p->replaces == replaces : p->replaces == 0 && p->target == target)
			return p;
	}
	if(!any)
		table->count = 0;
	return NULL;
}

void cs_transfer_link(struct cs_call *c, struct sip_msg *msg)
{
	static struct cs_refer replaces;
	struct hdr_field *h;
	struct pending *p;
	uint64_t other = 0;

	if(table->count == 0)
		return;
	h = get_hdr_by_name(msg, "Replaces", 8);
	if(h && cs_replaces_read(h->body.s, (size_t)h->body.len, &replaces) == 0)
		other = cs_hash(replaces.call_id, strlen(replaces.call_id));
	lock_get(&table->lock);
	p = find(hash_of(cs_uri_address(msg->first_line.u.request.uri.s, (size_t)msg->first_line.u.request.uri.len)), other,
			cs_mono());
	if(p) {
		memcpy(c->xfer_from, p->id, sizeof(p->id));
		memcpy(linked.to, c->id, sizeof(linked.to));
		linked.ref = p->ref;
		p->ref = 0;
	}
	lock_release(&table->lock);
}

void cs_transfer_linked(void)
{
	struct cs_call *c;

	if(linked.ref == 0)
		return;
	c = cs_get(linked.ref);
	linked.ref = 0;
	if(c == NULL)
		return;
	memcpy(c->xfer_to, linked.to, sizeof(linked.to));
	cs_put(c);
}

int cs_transfer_init(void)
{
	table = shm_malloc(sizeof(*table));
	if(table == NULL) {
		SHM_MEM_ERROR;
		return -1;
	}
	memset(table, 0, sizeof(*table));
	return lock_init(&table->lock) ? 0 : -1;
}
