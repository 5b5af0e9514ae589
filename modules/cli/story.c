/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "story.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void story_init(struct story *s, const uint8_t id[16])
{
	memset(s, 0, sizeof(*s));
	memcpy(s->id, id, sizeof(s->id));
	sb_uuid_text(s->call_id, id);
}

void story_free(struct story *s)
{
	for(size_t i = 0; i < s->events; i++)
		free((void *)s->event[i].rec.payload);
	free(s->event);
	free(s->attempt);
	memset(s, 0, sizeof(*s));
}

static void merge(struct sb_fields *into, const struct sb_fields *from)
{
	for(int i = 1; i < 256; i++) {
		if(from->f[i].col != 0)
			into->f[i] = from->f[i];
	}
}

static struct story_attempt *attempt_of(struct story *s, uint64_t n)
{
	size_t i = s->attempts;
	while(i > 0 && s->attempt[i - 1].n > n)
		i--;
	if(i > 0 && s->attempt[i - 1].n == n)
		return &s->attempt[i - 1];
	struct story_attempt *a = realloc(s->attempt, (s->attempts + 1) * sizeof(*a));
	if(a == NULL)
		return NULL;
	s->attempt = a;
	memmove(a + i + 1, a + i, (s->attempts - i) * sizeof(*a));
	memset(&a[i], 0, sizeof(a[i]));
	a[i].n = n;
	s->attempts++;
	return &a[i];
}

static int merge_attempts(struct story *s, const struct sb_rec *rec)
{
	struct sb_in in;
	struct sb_field f;
	struct sb_fields a;
	sb_in_init(&in, rec->payload, rec->hdr.len);
	while(sb_in_next(&in, &f) == 1) {
		if(f.col != SB_C_ATTEMPT || f.kind != SB_GROUP || sb_fields_read(&a, f.data, f.len) != 0
				|| !story_has(&a, SB_C_A_N))
			continue;
		struct story_attempt *known = attempt_of(s, story_u64(&a, SB_C_A_N));
		if(known == NULL)
			return -ENOMEM;
		merge(&known->f, &a);
	}
	return 0;
}

static void note_end(struct story *s, const struct story_event *e)
{
	uint16_t type = e->rec.hdr.type;
	if(type == SB_CALL_ANSWERED && s->end_type != 0) {
		/* a 2xx that overruled a failure */
		s->end_type = 0;
		memset(&s->end, 0, sizeof(s->end));
	}
	if(type == SB_CALL_ENDED || type == SB_CALL_FAILED || type == SB_CALL_TIMEOUT) {
		s->end_type = type;
		s->end = e->fields;
	} else if(type == SB_CALL_CDR) {
		uint64_t state = story_u64(&e->fields, SB_C_STATE);
		merge(&s->end, &e->fields);
		if(s->end_type == 0)
			s->end_type = state == SB_ST_FAILED    ? SB_CALL_FAILED
						  : state == SB_ST_TIMEOUT ? SB_CALL_TIMEOUT
												   : SB_CALL_ENDED;
	}
}

int story_add(struct story *s, const struct sb_rec *rec)
{
	struct sb_fields fields;
	if(sb_fields_read(&fields, rec->payload, rec->hdr.len) != 0)
		return -EBADMSG;
	struct story_event *e = realloc(s->event, (s->events + 1) * sizeof(*e));
	if(e == NULL)
		return -ENOMEM;
	s->event = e;
	e += s->events;
	uint8_t *copy = malloc(rec->hdr.len + 1);
	if(copy == NULL)
		return -ENOMEM;
	memcpy(copy, rec->payload, rec->hdr.len);
	e->rec = *rec;
	e->rec.payload = copy;
	s->events++;
	sb_fields_read(&e->fields, copy, rec->hdr.len);
	merge(&s->call, &e->fields);
	note_end(s, e);
	return merge_attempts(s, &e->rec);
}

size_t story_event_count(const struct story *s)
{
	size_t n = 0;
	for(size_t i = 0; i < s->events; i++)
		n += !sb_type_internal(s->event[i].rec.hdr.type);
	return n;
}

bool story_rang(const struct story_attempt *a)
{
	return story_has(&a->f, SB_C_A_RINGING_AT) || story_has(&a->f, SB_C_A_EARLY_AT);
}

bool story_answered(const struct story *s)
{
	return story_has(&s->call, SB_C_ANSWERED_AT);
}

struct text attempt_host(const struct story_attempt *a)
{
	struct text t = text_field(&a->f.f[SB_C_A_DST]);
	char *colon = strchr(t.s, ':');
	if(colon != NULL && strchr(colon + 1, ':') != NULL && t.s[0] >= 'a' && t.s[0] <= 'z')
		memmove(t.s, colon + 1, strlen(colon + 1) + 1);
	return t;
}

struct text attempt_name(const struct story_attempt *a)
{
	static const uint8_t col[] = {SB_C_A_TRUNK, SB_C_A_AGENT, SB_C_A_DST};
	for(size_t i = 0; i < sizeof(col); i++) {
		if(story_has(&a->f, col[i]) && a->f.f[col[i]].len > 0)
			return col[i] == SB_C_A_DST ? attempt_host(a) : text_field(&a->f.f[col[i]]);
	}
	struct text t = text_field(&a->f.f[SB_C_A_URI]);
	if(t.s[0] == '\0')
		SAY(t.s, "try %" PRIu64, a->n);
	return t;
}

/** "at 1.40 s" after the attempt began; "" where a time is unknown */
static struct text at(const struct story_attempt *a, uint8_t col)
{
	struct text t = {""};
	uint64_t start = story_u64(&a->f, SB_C_A_STARTED_AT);
	uint64_t then = story_u64(&a->f, col);
	if(start != 0 && then >= start)
		SAY(t.s, " at %s", text_span(then - start).s);
	return t;
}

static struct text lasted(const struct story_attempt *a)
{
	struct text t = {""};
	uint64_t start = story_u64(&a->f, SB_C_A_STARTED_AT);
	uint64_t end = story_u64(&a->f, SB_C_A_ENDED_AT);
	if(start != 0 && end >= start)
		SAY(t.s, " for %s", text_span(end - start).s);
	return t;
}

static void final_answer(struct text *t, const struct story *s, const struct story_attempt *a)
{
	uint64_t code = story_u64(&a->f, SB_C_A_CODE);
	struct text reason = text_field(&a->f.f[SB_C_A_REASON]);
	bool local = story_u64(&a->f, SB_C_A_LOCAL) != 0;
	if(story_has(&a->f, SB_C_A_ANSWERED_AT) || (code >= 200 && code < 300))
		SAY(t->s, "%" PRIu64 "%s", code != 0 ? code : 200, at(a, SB_C_A_ANSWERED_AT).s);
	else if(code == 0)
		SAY(t->s, "no final answer%s", s->end_type == 0 ? " yet" : "");
	else if(code == 487 && story_answered(s))
		SAY(t->s, "cancelled%s, answered elsewhere", at(a, SB_C_A_ENDED_AT).s);
	else if(code == 487)
		SAY(t->s, "cancelled%s", at(a, SB_C_A_ENDED_AT).s);
	else if(code == 408 && local && story_rang(a))
		SAY(t->s, "no answer%s", lasted(a).s);
	else if(code == 408 && local && story_u64(&s->end, SB_C_HANGUP_CODE) >= 476
			&& story_u64(&s->end, SB_C_HANGUP_CODE) <= 479)
		SAY(t->s, "not sent");
	else if(code == 408 && local)
		SAY(t->s, "no reply%s", lasted(a).s);
	else if(local)
		SAY(t->s, "not sent (our %" PRIu64 " %s)", code, reason.s);
	else
		SAY(t->s, "%" PRIu64 " %s%s", code, reason.s, at(a, SB_C_A_ENDED_AT).s);
}

struct text attempt_answers(const struct story *s, const struct story_attempt *a)
{
	struct text t = {""};
	if(story_has(&a->f, SB_C_A_RINGING_AT))
		SAY(t.s, "180%s \xc2\xb7 ", at(a, SB_C_A_RINGING_AT).s);
	if(story_has(&a->f, SB_C_A_EARLY_AT))
		SAY(t.s, "183%s \xc2\xb7 ", at(a, SB_C_A_EARLY_AT).s);
	final_answer(&t, s, a);
	return t;
}
