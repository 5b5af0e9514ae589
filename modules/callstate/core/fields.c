/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fields.h"

#include <stdio.h>
#include <time.h>

static void set_text(struct cs_value *v, const char *s, size_t len)
{
	if(s == NULL || len == 0)
		return;
	v->kind = CS_V_TEXT;
	v->text = (struct cs_span){s, len};
}

static void set_int(struct cs_value *v, uint64_t n)
{
	v->kind = CS_V_INT;
	v->n = n;
}

static const void *member(const struct cs_call *c, int where)
{
	return (const char *)c + where;
}

void cs_time_text(char out[CS_VALUE_BUF], uint64_t us)
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	out[0] = '\0';
	if(us == 0 || us / 1000000 > 253402300799ull || gmtime_r(&s, &tm) == NULL)
		return;
	size_t n = strftime(out, CS_VALUE_BUF, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CS_VALUE_BUF - n, ".%06uZ", (unsigned)(us % 1000000));
}

static void get_text(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	(void)mono;
	set_text(v, cs_ptr(c, c->text[where]), c->text[where].len);
}

static void get_time(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	(void)mono;
	memcpy(&v->n, member(c, where), sizeof(v->n));
	cs_time_text(v->buf, v->n);
	if(v->buf[0] == '\0')
		return;
	v->kind = CS_V_TIME;
	v->text = (struct cs_span){v->buf, strlen(v->buf)};
}

static void get_uuid(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	static const uint8_t none[16];
	(void)mono;
	if(memcmp(member(c, where), none, sizeof(none)) == 0)
		return;
	sb_uuid_text(v->buf, member(c, where));
	set_text(v, v->buf, strlen(v->buf));
}

static void get_u32(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	uint32_t n;
	(void)mono;
	memcpy(&n, member(c, where), sizeof(n));
	set_int(v, n);
}

/** A number for which 0 means that there is none. */
static void get_u16_if(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	uint16_t n;
	(void)mono;
	memcpy(&n, member(c, where), sizeof(n));
	if(n != 0)
		set_int(v, n);
}

static void get_u32_if(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	get_u32(c, where, mono, v);
	if(v->n == 0)
		v->kind = CS_V_NONE;
}

static void get_flag(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	(void)mono;
	set_int(v, (c->flags & (uint32_t)where) != 0);
}

static void get_state(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	const char *name = sb_state_name(c->state);
	(void)where;
	(void)mono;
	set_text(v, name, strlen(name));
}

static void get_duration(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	uint64_t us = c->duration_us;
	(void)where;
	if(cs_answered(c))
		us = mono > c->mono_answer ? mono - c->mono_answer : 0;
	set_int(v, us / 1000000);
}

static void get_pdd(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	(void)where;
	(void)mono;
	if(c->pdd != 0)
		set_int(v, (c->pdd + 500) / 1000);
}

static void get_attempts(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	(void)where;
	(void)mono;
	set_int(v, c->attempts_total);
}

static void get_outcome(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	const char *name = cs_outcome_name(c->outcome);
	(void)where;
	(void)mono;
	if(cs_over(c))
		set_text(v, name, strlen(name));
}

static void get_hangup_by(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	const char *name = cs_by_name(c->by);
	(void)where;
	(void)mono;
	if(cs_over(c))
		set_text(v, name, strlen(name));
}

static void get_hangup_cause(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v)
{
	const char *name = cs_cause_name(c->cause);
	(void)where;
	(void)mono;
	if(cs_over(c))
		set_text(v, name, strlen(name));
}

#define BRIEF true
#define FULL false
#define AT(member_name) (int)offsetof(struct cs_call, member_name)

const struct cs_field cs_fields[] = {
		{"id", BRIEF, get_uuid, AT(id)},
		{"sip_call_id", BRIEF, get_text, CS_T_SIP_CALL_ID},
		{"state", BRIEF, get_state, 0},
		{"direction", BRIEF, get_text, CS_T_DIRECTION},
		{"from", BRIEF, get_text, CS_T_FROM_URI},
		{"from_name", FULL, get_text, CS_T_FROM_NAME},
		{"to", BRIEF, get_text, CS_T_TO_URI},
		{"to_name", FULL, get_text, CS_T_TO_NAME},
		{"ruri", FULL, get_text, CS_T_RURI},
		{"source", FULL, get_text, CS_T_SOURCE},
		{"did", BRIEF, get_text, CS_T_DID},
		{"flow", BRIEF, get_text, CS_T_FLOW},
		{"agent", BRIEF, get_text, CS_T_AGENT},
		{"trunk", BRIEF, get_text, CS_T_TRUNK},
		{"started", BRIEF, get_time, AT(started_at)},
		{"ringing", FULL, get_time, AT(ringing_at)},
		{"early_media", FULL, get_time, AT(early_at)},
		{"answered", BRIEF, get_time, AT(answered_at)},
		{"ended", FULL, get_time, AT(ended_at)},
		{"duration", BRIEF, get_duration, 0},
		{"pdd", FULL, get_pdd, 0},
		{"max_duration", FULL, get_u32_if, AT(max_duration)},
		{"attempts", BRIEF, get_attempts, 0},
		{"sequence", BRIEF, get_u32, AT(sequence)},
		{"restored", BRIEF, get_flag, CS_F_RESTORED},
		{"inferred", FULL, get_flag, CS_F_INFERRED},
		{"outcome", FULL, get_outcome, 0},
		{"hangup_by", FULL, get_hangup_by, 0},
		{"hangup_cause", FULL, get_hangup_cause, 0},
		{"hangup_code", FULL, get_u16_if, AT(code)},
		{"hangup_reason", FULL, get_text, CS_T_HANGUP_REASON},
		{"q850", FULL, get_u16_if, AT(q850)},
		{"from_tag", FULL, get_text, CS_T_FROM_TAG},
		{"to_tag", FULL, get_text, CS_T_TO_TAG},
		{"transfer_target", FULL, get_text, CS_T_XFER_TARGET},
		{"transferred_from", FULL, get_uuid, AT(xfer_from)},
		{"transferred_to", FULL, get_uuid, AT(xfer_to)},
		{NULL, FULL, NULL, 0},
};

const struct cs_field *cs_field_find(const char *name, size_t len)
{
	for(const struct cs_field *f = cs_fields; f->name != NULL; f++) {
		if(strlen(f->name) == len && memcmp(f->name, name, len) == 0)
			return f;
	}
	return NULL;
}

void cs_field_get(const struct cs_field *f, const struct cs_call *c, uint64_t mono, struct cs_value *v)
{
	v->kind = CS_V_NONE;
	v->n = 0;
	v->text = (struct cs_span){NULL, 0};
	f->get(c, f->where, mono, v);
}

#define ATTR "attr."
#define CUSTOMER "customer."

static bool behind(const char *name, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);
	return len > n && memcmp(name, prefix, n) == 0;
}

bool cs_attr_name(const char *name, size_t len)
{
	return (behind(name, len, ATTR) || behind(name, len, CUSTOMER)) && memchr(name, '=', len) == NULL;
}

const char *cs_attr_find(const struct cs_call *c, const char *name, size_t name_len, size_t *len)
{
	const char *v = cs_attr_get(c, name, name_len, len);
	if(v == NULL && behind(name, name_len, ATTR))
		v = cs_attr_get(c, name + strlen(ATTR), name_len - strlen(ATTR), len);
	return v;
}

/** Length of the valid UTF-8 sequence at the front (RFC 3629), 0 if there is none. */
static size_t sequence_length(const uint8_t *p, size_t len)
{
	size_t n = 1;
	if(p[0] >= 0x80)
		n = p[0] < 0xc2 || p[0] > 0xf4 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if(n == 0 || n > len)
		return 0;
	for(size_t i = 1; i < n; i++) {
		if((p[i] & 0xc0) != 0x80)
			return 0;
	}
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
	bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
	return overlong || surrogate || beyond ? 0 : n;
}

void cs_clean(char *s, size_t len)
{
	uint8_t *p = (uint8_t *)s;
	for(size_t i = 0; i < len;) {
		size_t n = sequence_length(p + i, len - i);
		if(n == 0 || (n == 1 && (p[i] < ' ' || p[i] == 0x7f))) {
			p[i] = '?';
			n = 1;
		}
		i += n;
	}
}
