/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call.h"

#include <errno.h>

#define ATTRS_MAX 512u
#define ATTEMPT_STRS 5u
#define STR_MAX 640u /* longest string of any kind */

static const uint16_t text_max[CS_T_COUNT] = {
#define X(name, col, max) [CS_T_##name] = max,
		CS_TEXTS(X)
#undef X
				[CS_T_MEDIA] = STR_MAX,
		[CS_T_ATTRS] = ATTRS_MAX,
};

void cs_call_clear(struct cs_call *c)
{
	uint32_t gen = c->gen, next = c->next, self = c->self;
	uint64_t hash = c->hash;

	memset(c, 0, offsetof(struct cs_call, hold));
	c->gen = gen;
	c->next = next;
	c->self = self;
	c->hash = hash;
}

bool cs_text_is(const struct cs_call *c, enum cs_text t, const char *s, size_t len)
{
	size_t kept = len > text_max[t] ? text_max[t] : len;

	return c->text[t].len == kept && (kept == 0 || memcmp(cs_ptr(c, c->text[t]), s, kept) == 0);
}

static void keep(const struct cs_call *from, struct cs_call *to, struct cs_str *s)
{
	memcpy(to->arena + to->arena_len, from->arena + s->off, s->len);
	s->off = to->arena_len;
	to->arena_len = (uint16_t)(to->arena_len + s->len);
}

static void attempt_strs(struct cs_attempt *a, struct cs_str *out[ATTEMPT_STRS])
{
	out[0] = &a->uri;
	out[1] = &a->reason;
	out[2] = &a->dst;
	out[3] = &a->trunk;
	out[4] = &a->agent;
}

/* Drops what no string names any more. */
static void compact(struct cs_call *c)
{
	struct cs_call old;
	struct cs_str *s[ATTEMPT_STRS];

	memcpy(old.arena, c->arena, c->arena_len);
	c->arena_len = 0;
	for(unsigned i = 0; i < CS_T_COUNT; i++)
		keep(&old, c, &c->text[i]);
	for(unsigned i = 0; i < c->attempts_kept; i++) {
		attempt_strs(&c->attempt[i], s);
		for(unsigned j = 0; j < ATTEMPT_STRS; j++)
			keep(&old, c, s[j]);
	}
	for(unsigned i = 0; i < c->holds; i++)
		keep(&old, c, &c->hold[i].what);
}

/* A call that cannot be found by its next message, or ended, is worth more than what is only told of it: media first,
 * then the texts of attempts that are over, the oldest first. */
static void make_room(struct cs_call *c, size_t len)
{
	struct cs_str *s[ATTEMPT_STRS];

	compact(c);
	if(c->arena_len + len > CS_ARENA) {
		c->text[CS_T_MEDIA].len = 0;
		compact(c);
	}
	for(unsigned i = 0; i < c->attempts_kept && c->arena_len + len > CS_ARENA; i++) {
		if(!(c->attempt[i].flags & CS_A_DONE))
			continue;
		attempt_strs(&c->attempt[i], s);
		for(unsigned j = 0; j < ATTEMPT_STRS; j++)
			s[j]->len = 0;
		compact(c);
	}
}

/* vital: other strings make room for it. s may be in the arena. */
static bool str_set(struct cs_call *c, struct cs_str *dst, const char *s, size_t len, size_t max, bool vital)
{
	char aside[STR_MAX];
	bool whole = len <= max;

	if(!whole)
		len = max;
	if(len <= dst->len) {
		if(len)
			memmove(c->arena + dst->off, s, len);
		dst->len = (uint16_t)len;
		return whole;
	}
	dst->len = 0;
	if(c->arena_len + len > CS_ARENA) {
		memcpy(aside, s, len);
		s = aside;
		if(vital)
			make_room(c, len);
		else
			compact(c);
	}
	if(c->arena_len + len > CS_ARENA) {
		len = CS_ARENA - c->arena_len;
		whole = false;
	}
	memcpy(c->arena + c->arena_len, s, len);
	dst->off = c->arena_len;
	dst->len = (uint16_t)len;
	c->arena_len = (uint16_t)(c->arena_len + len);
	return whole;
}

bool cs_str_set(struct cs_call *c, struct cs_str *dst, const char *s, size_t len, size_t max)
{
	return str_set(c, dst, s, len, max < STR_MAX ? max : STR_MAX, false);
}

bool cs_text_set(struct cs_call *c, enum cs_text t, const char *s, size_t len)
{
	bool vital = t <= CS_T_TO_TAG || (t >= CS_T_CONTACT_A && t <= CS_T_SOCKET_B);
	bool whole;

	if(c->text[t].len == len && (len == 0 || memcmp(cs_ptr(c, c->text[t]), s, len) == 0))
		return true;
	whole = str_set(c, &c->text[t], s, len, text_max[t], vital);
	if(!whole && t == CS_T_MEDIA)
		c->text[t].len = 0; /* columns: a part of them would spoil the record that they are written to */
	return whole;
}

static bool attr_is(const struct sb_field *f, const char *name, size_t name_len)
{
	return f->len > name_len && f->data[name_len] == '=' && memcmp(f->data, name, name_len) == 0;
}

int cs_attr_set(struct cs_call *c, const char *name, size_t name_len, const char *value, size_t value_len)
{
	uint8_t buf[ATTRS_MAX];
	char pair[ATTRS_MAX];
	struct sb_out out = {.p = buf, .cap = sizeof(buf)};
	struct sb_in in;
	struct sb_field f;

	if(name_len == 0 || memchr(name, '=', name_len))
		return -EINVAL;
	if(name_len + 1 + value_len > sizeof(pair))
		return -ENOSPC;
	sb_in_init(&in, cs_ptr(c, c->text[CS_T_ATTRS]), c->text[CS_T_ATTRS].len);
	while(sb_in_next(&in, &f) == 1)
		if(!attr_is(&f, name, name_len))
			sb_put(&out, SB_C_ATTRIBUTE, SB_STR, f.data, f.len);
	memcpy(pair, name, name_len);
	pair[name_len] = '=';
	memcpy(pair + name_len + 1, value, value_len);
	if(value_len > 0)
		sb_put(&out, SB_C_ATTRIBUTE, SB_STR, pair, name_len + 1 + value_len);
	if(!out.overflow && c->arena_len + out.len > CS_ARENA)
		compact(c);
	if(out.overflow || c->arena_len - c->text[CS_T_ATTRS].len + out.len > CS_ARENA)
		return -ENOSPC;
	return cs_str_set(c, &c->text[CS_T_ATTRS], (char *)buf, out.len, ATTRS_MAX) ? 0 : -ENOSPC;
}

const char *cs_attr_get(const struct cs_call *c, const char *name, size_t name_len, size_t *len)
{
	struct sb_in in;
	struct sb_field f;

	sb_in_init(&in, cs_ptr(c, c->text[CS_T_ATTRS]), c->text[CS_T_ATTRS].len);
	while(sb_in_next(&in, &f) == 1)
		if(attr_is(&f, name, name_len)) {
			*len = f.len - name_len - 1;
			return (const char *)f.data + name_len + 1;
		}
	return NULL;
}

int cs_hold_add(struct cs_call *c, unsigned attempt, const char *what, size_t len)
{
	struct cs_hold *h = &c->hold[c->holds];

	if(c->holds == CS_HOLDS)
		return -ENOSPC;
	memset(h, 0, sizeof(*h));
	h->attempt = (uint16_t)attempt;
	if(!cs_str_set(c, &h->what, what, len, CS_HOLD_MAX))
		return -ENOSPC;
	c->holds++;
	return 0;
}

bool cs_hold_take(struct cs_call *c, unsigned attempt, char *what)
{
	for(unsigned i = 0; i < c->holds; i++) {
		struct cs_hold h = c->hold[i];

		if(attempt && h.attempt != attempt)
			continue;
		memcpy(what, cs_ptr(c, h.what), h.what.len);
		what[h.what.len] = 0;
		memmove(&c->hold[i], &c->hold[i + 1], (c->holds - i - 1) * sizeof(h));
		c->holds--;
		return true;
	}
	return false;
}

struct cs_attempt *cs_attempt_of(struct cs_call *c, unsigned branch)
{
	for(unsigned i = c->attempts_kept; i-- > 0;)
		if(c->attempt[i].branch == branch && !(c->attempt[i].flags & CS_A_OLD))
			return &c->attempt[i];
	return NULL;
}

struct cs_attempt *cs_attempt_new(struct cs_call *c)
{
	struct cs_attempt *a;

	if(c->attempts_kept == CS_ATTEMPTS) {
		unsigned i;

		for(i = 0; i < CS_ATTEMPTS && !(c->attempt[i].flags & CS_A_DONE); i++)
			;
		if(i == CS_ATTEMPTS)
			return NULL;
		memmove(&c->attempt[i], &c->attempt[i + 1], (CS_ATTEMPTS - i - 1) * sizeof(*a));
		c->attempts_kept--;
	}
	a = &c->attempt[c->attempts_kept++];
	memset(a, 0, sizeof(*a));
	if(c->attempts_total < UINT16_MAX)
		c->attempts_total++;
	a->n = c->attempts_total;
	return a;
}

struct cs_attempt *cs_attempt_last(struct cs_call *c)
{
	for(unsigned i = c->attempts_kept; i-- > 0;)
		if(!(c->attempt[i].flags & CS_A_DONE))
			return &c->attempt[i];
	return c->attempts_kept ? &c->attempt[c->attempts_kept - 1] : NULL;
}

const char *cs_by_name(unsigned by)
{
	static const char *const name[] = {"unknown", "caller", "callee", "proxy"};

	return by < 4 ? name[by] : name[0];
}

const char *cs_outcome_name(unsigned o)
{
	static const char *const name[] = {
#define X(n, text) text,
			CS_OUTCOMES(X)
#undef X
	};
	return o < sizeof(name) / sizeof(name[0]) ? name[o] : "";
}

const char *cs_cause_name(unsigned c)
{
	static const char *const name[] = {
#define X(n, text) text,
			CS_CAUSES(X)
#undef X
	};
	return c < sizeof(name) / sizeof(name[0]) ? name[c] : "";
}
