/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "story.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARROW "\xe2\x86\x92"
#define DOT " \xc2\xb7 "

static struct rung *add(struct ladder *l, uint64_t at, const char *label)
{
	if(l->rungs == l->room) {
		size_t room = l->room > 0 ? l->room * 2 : 16;
		struct rung *r = realloc(l->rung, room * sizeof(*r));
		if(r == NULL)
			return NULL;
		l->rung = r;
		l->room = room;
	}
	struct rung *r = &l->rung[l->rungs++];
	memset(r, 0, sizeof(*r));
	r->at = at;
	snprintf(r->label, sizeof(r->label), "%s", label);
	return r;
}

void ladder_free(struct ladder *l)
{
	free(l->rung);
	memset(l, 0, sizeof(*l));
}

static void on_initiated(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	(void)s;
	const struct sb_field *to = story_has(f, SB_C_RURI) ? &f->f[SB_C_RURI] : &f->f[SB_C_TO_URI];
	SAY(r->text.s, "%s " ARROW " %s", text_user(&f->f[SB_C_FROM_URI]).s, text_user(to).s);
	if(story_has(f, SB_C_SOURCE))
		SAY(r->more.s, "from %s", text_field(&f->f[SB_C_SOURCE]).s);
}

static void on_routed(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	(void)s;
	r->text = text_field(&f->f[SB_C_TEXT]);
}

static void on_custom(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	(void)s;
	SAY(r->text.s, "%s %s", text_field(&f->f[SB_C_NAME]).s, text_field(&f->f[SB_C_TEXT]).s);
}

static void on_answered(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	struct sb_fields a;
	uint64_t at = story_u64(f, SB_C_ANSWERED_AT);
	uint64_t ack = story_u64(&s->call, SB_C_ACK_AT);
	r->tone = RUNG_GOOD;
	if(story_has(f, SB_C_ATTEMPT) && sb_fields_read(&a, f->f[SB_C_ATTEMPT].data, f->f[SB_C_ATTEMPT].len) == 0)
		SAY(r->text.s, "try %" PRIu64, story_u64(&a, SB_C_A_N));
	if(ack != 0 && ack >= at && at != 0)
		SAY(r->text.s, "%sACK after %s", r->text.s[0] != '\0' ? ", " : "", text_span(ack - at).s);
	else if(s->end_type != 0 && ack == 0 && story_has(&s->call, SB_C_ACK_AT))
		SAY(r->text.s, "%sno ACK came", r->text.s[0] != '\0' ? ", " : "");
	if(story_u64(f, SB_C_INFERRED) != 0)
		SAY(r->text.s, "%sproved by a later message", r->text.s[0] != '\0' ? ", " : "");
}

static void on_party(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	(void)s;
	if(story_has(f, SB_C_BY))
		SAY(r->text.s, "by %s", text_field(&f->f[SB_C_BY]).s);
}

static void on_transfer(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	on_party(r, s, f);
	SAY(r->text.s, " %s to %s", text_field(&f->f[SB_C_TRANSFER_KIND]).s, text_user(&f->f[SB_C_TRANSFER_TARGET]).s);
	if(story_has(f, SB_C_TRANSFER_CODE))
		SAY(r->more.s, "%" PRIu64 " %s", story_u64(f, SB_C_TRANSFER_CODE), text_field(&f->f[SB_C_TRANSFER_REASON]).s);
}

static struct text q850_of(const struct sb_fields *f)
{
	struct text t = {""};
	const struct meaning *m = q850_meaning(story_u64(f, SB_C_Q850));
	if(story_has(f, SB_C_Q850))
		SAY(t.s, DOT "Q.850 %" PRIu64 " %s", story_u64(f, SB_C_Q850),
				m != NULL ? m->is : text_field(&f->f[SB_C_Q850_TEXT]).s);
	return t;
}

static void on_ended(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	if(story_is(f, SB_C_HANGUP_CAUSE, "bye") || story_is(f, SB_C_HANGUP_CAUSE, "bye_before_answer"))
		snprintf(r->label, sizeof(r->label), "BYE");
	SAY(r->text.s, "by %s%s%s%s", text_field(&f->f[SB_C_HANGUP_BY]).s, story_has(f, SB_C_DURATION_US) ? DOT : "",
			story_has(f, SB_C_DURATION_US) ? text_span(story_u64(f, SB_C_DURATION_US)).s : "", q850_of(&s->end).s);
	if(story_has(&s->call, SB_C_PDD_US))
		SAY(r->more.s, "PDD %s", text_span(story_u64(&s->call, SB_C_PDD_US)).s);
}

static void on_failed(struct rung *r, const struct story *s, const struct sb_fields *f)
{
	r->tone = RUNG_BAD;
	if(story_is(f, SB_C_HANGUP_CAUSE, "cancel"))
		snprintf(r->label, sizeof(r->label), "CANCEL");
	else if(story_has(f, SB_C_HANGUP_CODE))
		snprintf(r->label, sizeof(r->label), "%" PRIu64, story_u64(f, SB_C_HANGUP_CODE));
	if(story_is(f, SB_C_OUTCOME, "expired"))
		SAY(r->text.s, "answered, and no BYE came%s", q850_of(&s->end).s);
	else if(story_is(f, SB_C_HANGUP_CAUSE, "cancel"))
		SAY(r->text.s, "by %s%s", text_field(&f->f[SB_C_HANGUP_BY]).s, q850_of(&s->end).s);
	else
		SAY(r->text.s, "%s%s" ARROW " caller%s", text_field(&f->f[SB_C_HANGUP_REASON]).s,
				story_has(f, SB_C_HANGUP_REASON) ? " " : "", q850_of(&s->end).s);
	r->more = text_field(&f->f[SB_C_OUTCOME]);
}

/* What an event becomes; ringing and early media stand in their attempt's line. */
static const struct
{
	uint16_t type;
	const char *label;
	void (*fill)(struct rung *r, const struct story *s, const struct sb_fields *f);
} event_rung[] = {
		{SB_CALL_INITIATED, "INVITE", on_initiated},
		{SB_CALL_ROUTED, "route", on_routed},
		{SB_CALL_ANSWERED, "answer", on_answered},
		{SB_CALL_HELD, "hold", on_party},
		{SB_CALL_RESUMED, "resume", on_party},
		{SB_CALL_TRANSFERRED, "transfer", on_transfer},
		{SB_CALL_TRANSFER_FAILED, "transfer", on_transfer},
		{SB_CALL_UPDATED, "media", on_party},
		{SB_CUSTOM, "script", on_custom},
		{SB_CALL_ENDED, "end", on_ended},
		{SB_CALL_FAILED, "failed", on_failed},
		{SB_CALL_TIMEOUT, "timeout", on_failed},
};

static int add_event(struct ladder *l, const struct story *s, const struct story_event *e)
{
	for(size_t i = 0; i < sizeof(event_rung) / sizeof(event_rung[0]); i++) {
		if(event_rung[i].type != e->rec.hdr.type)
			continue;
		struct rung *r = add(l, story_u64(&e->fields, SB_C_AT), event_rung[i].label);
		if(r == NULL)
			return -ENOMEM;
		event_rung[i].fill(r, s, &e->fields);
	}
	return 0;
}

static int add_attempt(struct ladder *l, const struct story *s, const struct story_attempt *a)
{
	char label[12];
	struct text name = attempt_name(a);
	struct text host = attempt_host(a);
	bool more = host.s[0] != '\0' && strcmp(host.s, name.s) != 0;
	snprintf(label, sizeof(label), "try %u", (unsigned)(a->n % 100000));
	struct rung *r = add(l, story_u64(&a->f, SB_C_A_STARTED_AT), label);
	if(r == NULL)
		return -ENOMEM;
	SAY(r->text.s, "%s%s%s%s", name.s, more ? " (" : "", more ? host.s : "", more ? ")" : "");
	r->more = attempt_answers(s, a);
	uint64_t code = story_u64(&a->f, SB_C_A_CODE);
	if(code >= 300 && !(code == 487 && story_answered(s)))
		r->tone = RUNG_BAD;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct rung *x = a;
	const struct rung *y = b;
	return x->at < y->at ? -1 : x->at > y->at;
}

/** Stable, and lines without a time stay behind the one before them. */
static void sort(struct ladder *l)
{
	for(size_t i = 1; i < l->rungs; i++) {
		struct rung r = l->rung[i];
		size_t j = i;
		while(r.at != 0 && j > 0 && by_time(&r, &l->rung[j - 1]) < 0)
			j--;
		memmove(&l->rung[j + 1], &l->rung[j], (i - j) * sizeof(r));
		l->rung[j] = r;
	}
}

int ladder_build(struct ladder *l, const struct story *s)
{
	memset(l, 0, sizeof(*l));
	size_t i = 0;
	/* the start first, then the attempts, then the rest: the order for equal times */
	for(; i < s->events && s->event[i].rec.hdr.type != SB_CALL_ANSWERED
			&& s->event[i].rec.hdr.type <= SB_CALL_INITIATED;
			i++) {
		if(add_event(l, s, &s->event[i]) != 0)
			return -ENOMEM;
	}
	for(size_t k = 0; k < s->attempts; k++) {
		if(add_attempt(l, s, &s->attempt[k]) != 0)
			return -ENOMEM;
	}
	for(; i < s->events; i++) {
		if(add_event(l, s, &s->event[i]) != 0)
			return -ENOMEM;
	}
	sort(l);
	return 0;
}

struct text ladder_time(const struct ladder *l, size_t i)
{
	struct text t = {""};
	uint64_t first = l->rungs > 0 ? l->rung[0].at : 0;
	uint64_t at = l->rung[i].at;
	if(i == 0)
		return text_clock(at);
	if(at >= first && first != 0)
		snprintf(t.s, sizeof(t.s), "+%" PRIu64 ".%03u", (at - first) / 1000000, (unsigned)((at - first) / 1000 % 1000));
	return t;
}
