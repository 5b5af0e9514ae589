/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_print.h"
#include "story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct text column(const struct calls_row *r, enum calls_column col)
{
	return text_plain(r->text[col], r->text[col] != NULL ? strlen(r->text[col]) : 0);
}

static bool is(const struct calls_row *r, enum calls_column col, const char *s)
{
	return r->text[col] != NULL && strcmp(r->text[col], s) == 0;
}

struct text calls_party(const struct calls_row *r, enum calls_column number, enum calls_column uri)
{
	const char *s = r->text[uri];
	if(r->text[number] != NULL && r->text[number][0] != '\0')
		return column(r, number);
	if(s == NULL)
		return (struct text){"unknown"};
	struct sb_field f = {.col = 1, .kind = SB_STR, .len = (uint16_t)strlen(s), .data = (const uint8_t *)s};
	return text_user(&f);
}

struct text calls_by(const struct calls_row *r)
{
	struct text trunk = column(r, CALL_trunk), agent = column(r, CALL_agent), both = {""};
	if(trunk.s[0] == '\0')
		return agent;
	if(agent.s[0] == '\0')
		return trunk;
	SAY(both.s, "%s (%s)", agent.s, trunk.s);
	return both;
}

struct text calls_short_id(const char *call_id)
{
	struct text t = {""};
	SAY(t.s, "%.18s", call_id != NULL ? call_id : "");
	return t;
}

/** As text_span(), in minutes from one minute on. */
static struct text length(uint64_t us)
{
	struct text t = {""};
	uint64_t s = us / 1000000;
	if(s < 60 || s >= 600)
		return text_span(us);
	SAY(t.s, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	return t;
}

static struct text between(const struct calls_row *r, enum calls_column from, uint64_t until)
{
	uint64_t begun = calls_time_parse(r->text[from]);
	return length(until > begun && begun != 0 ? until - begun : 0);
}

static struct text live(const struct calls_row *r, uint64_t now)
{
	struct text t = {""};
	if(is(r, CALL_state, "held"))
		SAY(t.s, "on hold, up %s so far", between(r, CALL_answered_at, now).s);
	else if(r->text[CALL_answered_at] != NULL)
		SAY(t.s, "up %s so far", between(r, CALL_answered_at, now).s);
	else if(r->text[CALL_ringing_at] != NULL)
		SAY(t.s, "ringing, %s so far", between(r, CALL_ringing_at, now).s);
	else
		SAY(t.s, "calling, %s so far", between(r, CALL_started_at, now).s);
	return t;
}

static struct text answered(const struct calls_row *r)
{
	struct text t = {""};
	uint64_t ms = (uint64_t)calls_number(r, CALL_duration_ms);
	SAY(t.s, "%s %s", is(r, CALL_outcome, "expired") ? "answered, no BYE;" : "answered", length(ms * 1000).s);
	if(r->text[CALL_hangup_cause] != NULL && !is(r, CALL_hangup_cause, "bye"))
		SAY(t.s, " (%s)", column(r, CALL_hangup_cause).s);
	return t;
}

static struct text failed(const struct calls_row *r)
{
	struct text t = {""};
	uint64_t ended = calls_time_parse(r->text[CALL_ended_at]);
	uint64_t code = (uint64_t)calls_number(r, CALL_sip_code);
	const struct meaning *m = sip_meaning(code);
	if(is(r, CALL_outcome, "no_answer"))
		SAY(t.s, "no answer, rang %s", between(r, CALL_ringing_at, ended).s);
	else if(is(r, CALL_outcome, "no_response"))
		SAY(t.s, "no response for %s", between(r, CALL_started_at, ended).s);
	else if(is(r, CALL_outcome, "cancelled"))
		SAY(t.s, "cancelled after %s", between(r, CALL_started_at, ended).s);
	else if(code != 0)
		SAY(t.s, "%" PRIu64 " %s", code, m != NULL ? m->is : column(r, CALL_sip_reason).s);
	else
		SAY(t.s, "%s", r->text[CALL_outcome] != NULL ? column(r, CALL_outcome).s : column(r, CALL_state).s);
	return t;
}

struct text calls_result(const struct calls_row *r, uint64_t now)
{
	if(r->text[CALL_ended_at] == NULL)
		return live(r, now);
	return r->text[CALL_answered_at] != NULL ? answered(r) : failed(r);
}

/** Who hung up, where that says something. */
static struct text ended_by(const struct calls_row *r)
{
	struct text t = {""};
	if(r->text[CALL_ended_at] != NULL && r->text[CALL_answered_at] != NULL && r->text[CALL_hangup_by] != NULL)
		SAY(t.s, ", by %s", column(r, CALL_hangup_by).s);
	return t;
}

/** Columns as people count them: bytes that continue a character take no room. */
static void padded(struct cli *c, const char *s, int width, enum tone tone)
{
	fprintf(c->out, "%s%s%s", tone_on(c, tone), s, tone_off(c, tone));
	for(; *s != '\0'; s++)
		width -= ((unsigned char)*s & 0xc0) != 0x80;
	fprintf(c->out, "%*s", width > 0 ? width : 0, "");
}

static int wide(const char *s)
{
	int n = 0;
	for(; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

struct line
{
	struct text who, by, result;
	enum tone tone;
};

static void make_line(struct line *l, const struct calls_row *r, uint64_t now)
{
	memset(l, 0, sizeof(*l));
	SAY(l->who.s, "%s → %s", calls_party(r, CALL_from_number, CALL_from_uri).s,
			calls_party(r, CALL_to_number, r->text[CALL_to_uri] != NULL ? CALL_to_uri : CALL_request_uri).s);
	l->by = calls_by(r);
	l->result = calls_result(r, now);
	SAY(l->result.s, "%s", ended_by(r).s);
	l->tone = r->text[CALL_ended_at] == NULL ? GOOD : r->text[CALL_answered_at] == NULL ? BAD : PLAIN;
}

#define WHO_MAX 48
#define BY_MAX 28
#define RESULT_MAX 40

static int at_most(int n, int most)
{
	return n < most ? n : most;
}

void calls_print_lines(struct cli *c, const struct calls_found *f, uint64_t now)
{
	int who = 0, by = 0, result = 0;
	struct line l;
	struct text date = {""};
	for(size_t i = 0; i < f->rows; i++) {
		make_line(&l, f->row[i], now);
		who = wide(l.who.s) > who ? at_most(wide(l.who.s), WHO_MAX) : who;
		by = wide(l.by.s) > by ? at_most(wide(l.by.s), BY_MAX) : by;
		result = wide(l.result.s) > result ? at_most(wide(l.result.s), RESULT_MAX) : result;
	}
	for(size_t i = 0; i < f->rows; i++) {
		const struct calls_row *r = f->row[i];
		struct text day = text_date(r->started), pdd = {""};
		if(strcmp(day.s, date.s) != 0)
			fprintf(c->out, "%s%s UTC%s\n", tone_on(c, BOLD), day.s, tone_off(c, BOLD));
		date = day;
		make_line(&l, r, now);
		if(r->text[CALL_pdd_ms] != NULL)
			SAY(pdd.s, "PDD %s", text_span((uint64_t)calls_number(r, CALL_pdd_ms) * 1000).s);
		fprintf(c->out, "%.8s  ", text_clock(r->started).s);
		padded(c, l.who.s, who + 2, PLAIN);
		if(by > 0)
			padded(c, l.by.s, by + 2, PLAIN);
		padded(c, l.result.s, result + 2, l.tone);
		padded(c, pdd.s, 12, DIM);
		fprintf(c->out, "%s\n", calls_short_id(r->text[CALL_call_id]).s);
	}
}

static void csv_field(struct cli *c, const char *s)
{
	if(s == NULL)
		return;
	if(strpbrk(s, ",\"\r\n") == NULL) {
		fputs(s, c->out);
		return;
	}
	fputc('"', c->out);
	for(; *s != '\0'; s++) {
		if(*s == '"')
			fputc('"', c->out);
		fputc(*s, c->out);
	}
	fputc('"', c->out);
}

void calls_print_csv(struct cli *c, const struct calls_found *f)
{
	for(int i = 0; i < CALL_COLUMNS; i++)
		fprintf(c->out, "%s%s", i > 0 ? "," : "", calls_column_name[i]);
	fputs("\r\n", c->out);
	for(size_t r = 0; r < f->rows; r++) {
		for(int i = 0; i < CALL_COLUMNS; i++) {
			if(i > 0)
				fputc(',', c->out);
			csv_field(c, f->row[r]->text[i]);
		}
		fputs("\r\n", c->out);
	}
}

json_t *calls_json_value(enum calls_kind kind, const char *text)
{
	json_t *j = NULL;
	if(text == NULL)
		return json_null();
	switch(kind) {
		case CALLS_WHEN:
			return sb_json_time(calls_time_parse(text));
		case CALLS_NUMBER:
			return json_integer(strtoll(text, NULL, 10));
		case CALLS_JSON:
			j = json_loads(text, 0, NULL);
			break;
		case CALLS_TEXT:
			break;
	}
	return j != NULL ? j : json_string(text);
}

json_t *calls_json(const struct calls_row *r)
{
	json_t *o = json_object();
	for(int i = 0; i < CALL_COLUMNS; i++)
		json_object_set_new(o, calls_column_name[i], calls_json_value(calls_column_kind[i], r->text[i]));
	return o;
}
