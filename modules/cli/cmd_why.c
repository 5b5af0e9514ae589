/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_one.h"
#include "cli.h"
#include "filter.h"
#include "hooks.h"
#include "ids.h"
#include "json.h"
#include "story.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/** What was asked for, and the call it means: the latest that fits. */
struct search
{
	const char *word;
	bool last, by_id, by_start; /* by_start: the beginning of a call id, as lists show it */
	uint8_t id[16];
	bool found, by_number;
	struct ids fits; /* every call that does */
};

static bool is_event(const struct sb_rec *rec, const struct sb_field *f)
{
	return rec->hdr.type == SB_CALL_INITIATED || f[SB_C_SEQUENCE].col != 0;
}

static void look(struct search *s, const struct sb_rec *rec, const struct sb_fields *fields)
{
	const struct sb_field *f = fields->f;
	const struct sb_field *sip = &f[SB_C_SIP_CALL_ID];
	if(f[SB_C_CALL_ID].col == 0)
		return;
	char text[37];
	if(s->by_start)
		sb_uuid_text(text, f[SB_C_CALL_ID].data);
	if(s->by_start && strncmp(text, s->word, strlen(s->word)) == 0) {
		memcpy(s->id, f[SB_C_CALL_ID].data, 16);
		s->found = true;
		s->by_number = false;
		return;
	}
	bool exact = s->by_id ? memcmp(f[SB_C_CALL_ID].data, s->id, 16) == 0
						  : sip->col != 0 && sip->len == strlen(s->word) && memcmp(sip->data, s->word, sip->len) == 0;
	bool number = !exact && !s->by_id && !s->last && is_event(rec, f)
				  && (number_matches(s->word, &f[SB_C_FROM_URI]) || number_matches(s->word, &f[SB_C_TO_URI])
						  || number_matches(s->word, &f[SB_C_RURI]));
	if(exact && s->by_number) {
		/* a Call-ID counts more than a number that looks like it */
		s->by_number = false;
		ids_free(&s->fits);
	}
	if(number && s->found && !s->by_number)
		return;
	if(exact || number || (s->last && rec->hdr.type == SB_CALL_INITIATED)) {
		s->found = true;
		s->by_number = number;
		if(!s->by_id && (s->last || ids_add(&s->fits, f[SB_C_CALL_ID].data) == 1))
			memcpy(s->id, f[SB_C_CALL_ID].data, 16);
	}
}

static int find_call(struct cli *c, struct search *s)
{
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_fields fields;
	int rc = cli_reader(c, (struct sb_pos){0, 0}, &r);
	if(rc != CLI_OK)
		return rc;
	s->last = strcmp(s->word, "last") == 0;
	s->by_id = sb_uuid_parse(s->id, s->word) == 0;
	s->by_start = !s->by_id && calls_id_like(s->word);
	while(sb_reader_next(r, &rec) == 1) {
		if(sb_fields_read(&fields, rec.payload, rec.hdr.len) == 0)
			look(s, &rec, &fields);
	}
	cli_say_damage(c, r);
	sb_reader_close(r);
	if(s->found && s->by_start)
		s->by_id = true;
	if(s->found)
		return CLI_OK;
	char id[37];
	if(!s->last && calls_have(c, s->word, id)) {
		fprintf(c->err, "signalbox: %s does not have the call any more; the call log does: signalbox calls %s\n",
				c->journal, id);
		return CLI_NOT_FOUND;
	}
	if(s->last)
		fprintf(c->err, "signalbox: no call in %s yet. Does the script run callstate_start() on the INVITE?\n",
				c->journal);
	else
		fprintf(c->err,
				"signalbox: no call '%s' in %s: looked for a call id, a SIP Call-ID, and a number or user in From, To "
				"and Request-URI.\n"
				"What there is: signalbox journal list --type call.initiated\n",
				text_plain(s->word, strlen(s->word)).s, c->journal);
	return CLI_NOT_FOUND;
}

static int gather(struct cli *c, struct story *story, const uint8_t id[16])
{
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field f;
	int rc = cli_reader(c, (struct sb_pos){0, 0}, &r);
	if(rc != CLI_OK)
		return rc;
	story_init(story, id);
	while(sb_reader_next(r, &rec) == 1) {
		if(sb_find(rec.payload, rec.hdr.len, SB_C_CALL_ID, &f) && memcmp(f.data, id, 16) == 0)
			story_add(story, &rec);
	}
	sb_reader_close(r);
	return CLI_OK;
}

/** The event of a delivery: its type and number in the call. */
static const struct story_event *event_of(const struct story *s, const struct hook *k)
{
	for(size_t i = 0; i < s->events; i++) {
		if(s->event[i].rec.hdr.epoch == k->epoch && s->event[i].rec.hdr.seq == k->seq)
			return &s->event[i];
	}
	return NULL;
}

static void print_ladder(struct cli *c, const struct story *story, const struct ladder *l)
{
	static const enum tone tone[] = {[RUNG_PLAIN] = PLAIN, [RUNG_GOOD] = GOOD, [RUNG_BAD] = BAD};
	uint64_t first = l->rungs > 0 ? l->rung[0].at : 0;
	fprintf(c->out, "%scall %s%s  Call-ID %s\n%s UTC\n", tone_on(c, BOLD), story->call_id, tone_off(c, BOLD),
			text_field(&story->call.f[SB_C_SIP_CALL_ID]).s, text_date(first).s);
	for(size_t i = 0; i < l->rungs; i++) {
		const struct rung *r = &l->rung[i];
		fprintf(c->out, "%12s  %s%-8s%s %s%s%s%s%s\n", ladder_time(l, i).s, tone_on(c, tone[r->tone]), r->label,
				tone_off(c, tone[r->tone]), r->text.s, r->text.s[0] != '\0' && r->more.s[0] != '\0' ? "  " : "",
				tone_on(c, r->label[0] == 't' && r->label[1] == 'r' && r->label[2] == 'y' ? tone[r->tone] : DIM),
				r->more.s, tone_off(c, r->more.s[0] != '\0' && c->colour ? DIM : PLAIN));
	}
}

static void print_hook(struct cli *c, const struct story *s, const struct hook *k)
{
	const struct story_event *e = event_of(s, k);
	struct text what = {"an event"};
	if(e != NULL)
		what = type_text(&e->rec, &e->fields);
	fprintf(c->out, "  %s%s%s  %s %s", tone_on(c, BAD), k->endpoint, tone_off(c, BAD), what.s,
			k->fate == HOOK_GIVEN_UP ? "given up" : "waits");
	fprintf(c->out, " after %" PRIu64 " %s", k->tries, k->tries == 1 ? "try" : "tries");
	if(k->fate == HOOK_WAITING && k->at == 0)
		fprintf(c->out, ", behind an earlier event of this call");
	else if(k->at != 0)
		fprintf(c->out, ", %s %s %s", k->fate == HOOK_WAITING ? "next" : "at", text_date(k->at).s, text_clock(k->at).s);
	fprintf(c->out, "%s%s\n", k->error.s[0] != '\0' ? ": " : "", k->error.s);
}

/** One line for each endpoint that has not got this far. Its hooks stand together. */
static void print_behind(struct cli *c, const struct hooks *h)
{
	for(size_t i = 0, n; i < h->hooks; i += n) {
		for(n = 1; i + n < h->hooks && strcmp(h->hook[i + n].endpoint, h->hook[i].endpoint) == 0
				   && h->hook[i + n].fate == h->hook[i].fate;)
			n++;
		if(h->hook[i].fate == HOOK_BEHIND)
			fprintf(c->out, "  %s%s%s  has not got this far, %zu %s: away, or behind; see kamcmd callhook.endpoints\n",
					tone_on(c, BAD), h->hook[i].endpoint, tone_off(c, BAD), n, n == 1 ? "waits" : "wait");
	}
}

static void print_hooks(struct cli *c, const struct story *s, const struct hooks *h)
{
	if(!h->known) {
		fprintf(c->out, "webhooks none: callhook has written nothing to %s\n", c->hooks);
		return;
	}
	if(h->hooks == 0) {
		fprintf(c->out, "webhooks none delivered, none waiting\n");
		return;
	}
	fprintf(c->out, "webhooks %zu/%zu delivered", h->delivered, h->hooks);
	if(h->delivered > 0)
		fprintf(c->out, ", slowest %s", text_span(h->slowest).s);
	if(h->waiting > 0)
		fprintf(c->out, ", %zu waiting", h->waiting);
	if(h->given_up > 0)
		fprintf(c->out, ", %zu given up", h->given_up);
	fputc('\n', c->out);
	for(size_t i = 0, shown = 0; i < h->hooks; i++) {
		if(h->hook[i].fate == HOOK_DELIVERED || h->hook[i].fate == HOOK_BEHIND)
			continue;
		if(shown++ == 5) {
			fprintf(c->out, "  and %zu more: --json shows all\n", h->waiting + h->given_up - 5);
			break;
		}
		print_hook(c, s, &h->hook[i]);
	}
	print_behind(c, h);
	if(h->disabled.s[0] != '\0')
		fprintf(c->out, "  switched off: %s\n", h->disabled.s);
}

static json_t *hooks_json(const struct cli *c, const struct story *s, const struct hooks *h)
{
	static const char *const fate[] = {[HOOK_BEHIND] = "waiting",
			[HOOK_WAITING] = "waiting",
			[HOOK_GIVEN_UP] = "given_up",
			[HOOK_DELIVERED] = "delivered"};
	json_t *list = json_array();
	for(size_t i = 0; i < h->hooks; i++) {
		const struct hook *k = &h->hook[i];
		const struct story_event *e = event_of(s, k);
		char id[64];
		sb_event_id(id, c->node, k->epoch, k->seq);
		json_t *o = json_pack("{s:s, s:s, s:s*, s:s, s:I, s:s*}", "endpoint", k->endpoint, "id", id, "type",
				e != NULL ? type_text(&e->rec, &e->fields).s : NULL, "fate", fate[k->fate], "tries",
				(json_int_t)k->tries, "error", k->error.s[0] != '\0' ? k->error.s : NULL);
		json_object_set_new(o, k->fate == HOOK_WAITING ? "next_at" : "at", sb_json_time(k->at));
		if(k->code != 0)
			json_object_set_new(o, "http_status", json_integer((json_int_t)k->code));
		if(k->fate == HOOK_DELIVERED && k->latency != 0)
			json_object_set_new(o, "latency_ms", json_real((double)k->latency / 1e3));
		json_array_append_new(list, o);
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "total", (json_int_t)h->hooks, "delivered",
			(json_int_t)h->delivered, "waiting", (json_int_t)h->waiting, "given_up", (json_int_t)h->given_up,
			"slowest_ms", h->delivered > 0 ? json_real((double)h->slowest / 1e3) : json_null(), "list", list);
}

static json_t *text_json(const struct sb_field *f)
{
	return f->col != 0 ? sb_json_string(f->data, f->len) : json_null();
}

static json_t *time_json(const struct story *s, uint8_t col)
{
	return sb_json_time(story_u64(&s->call, col));
}

static json_t *ladder_json(const struct ladder *l)
{
	json_t *list = json_array();
	for(size_t i = 0; i < l->rungs; i++) {
		const struct rung *r = &l->rung[i];
		json_t *o = json_pack("{s:o, s:s, s:s, s:s}", "at", sb_json_time(r->at), "what", r->label, "text", r->text.s,
				"more", r->more.s);
		if(r->at >= l->rung[0].at && l->rung[0].at != 0)
			json_object_set_new(o, "after_s", json_real((double)(r->at - l->rung[0].at) / 1e6));
		json_array_append_new(list, o);
	}
	return list;
}

static void print_why_json(struct cli *c, const struct story *s, const struct ladder *l, const struct hooks *h,
		const struct verdict *v, size_t more)
{
	json_t *attempts = json_array();
	for(size_t i = 0; i < s->attempts; i++)
		json_array_append_new(attempts, sb_json_attempt(&s->attempt[i].f));
	const char *state = sb_state_name((unsigned)story_u64(&s->call, SB_C_STATE));
	json_t *j = json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:I}", "call_id", s->call_id, "sip_call_id",
			text_json(&s->call.f[SB_C_SIP_CALL_ID]), "state", state, "from", text_json(&s->call.f[SB_C_FROM_URI]), "to",
			text_json(&s->call.f[SB_C_TO_URI]), "request_uri", text_json(&s->call.f[SB_C_RURI]), "events",
			(json_int_t)story_event_count(s));
	json_object_set_new(j, "started_at", time_json(s, SB_C_STARTED_AT));
	json_object_set_new(j, "answered_at", time_json(s, SB_C_ANSWERED_AT));
	json_object_set_new(j, "ended_at", time_json(s, SB_C_ENDED_AT));
	json_object_set_new(j, "duration_s",
			story_has(&s->end, SB_C_DURATION_US) ? json_real((double)story_u64(&s->end, SB_C_DURATION_US) / 1e6)
												 : json_null());
	json_object_set_new(j, "outcome", text_json(&s->end.f[SB_C_OUTCOME]));
	json_object_set_new(j, "hangup_by", text_json(&s->end.f[SB_C_HANGUP_BY]));
	json_object_set_new(j, "hangup_cause", text_json(&s->end.f[SB_C_HANGUP_CAUSE]));
	json_object_set_new(j, "sip_code",
			story_has(&s->end, SB_C_HANGUP_CODE) ? json_integer((json_int_t)story_u64(&s->end, SB_C_HANGUP_CODE))
												 : json_null());
	json_object_set_new(j, "q850",
			story_has(&s->end, SB_C_Q850) ? json_integer((json_int_t)story_u64(&s->end, SB_C_Q850)) : json_null());
	json_object_set_new(j, "attempts", attempts);
	json_object_set_new(j, "ladder", ladder_json(l));
	json_object_set_new(j, "webhooks", hooks_json(c, s, h));
	json_object_set_new(j, "cause", json_string(v->cause));
	json_object_set_new(j, "next", json_string(v->next));
	json_object_set_new(j, "other_calls", json_integer((json_int_t)more));
	print_json(c, j, false);
}

/** Webhooks that are stuck are the next thing to look at where the call itself needs nothing. */
static void next_for_hooks(struct verdict *v, const struct hooks *h)
{
	size_t i = 0;
	while(i < h->hooks && h->hook[i].fate == HOOK_DELIVERED)
		i++;
	if(strcmp(v->next, "nothing to do") != 0 || i == h->hooks)
		return;
	v->next[0] = '\0';
	if(h->waiting > 0)
		SAY(v->next, "the call needs nothing; its webhooks: kamcmd callhook.pending %s", h->hook[i].endpoint);
	else
		SAY(v->next, "the call needs nothing; its webhooks: kamcmd callhook.endpoints shows the state of %s",
				h->hook[i].endpoint);
}

static void print_transfers(struct cli *c, const struct story *s)
{
	static const struct
	{
		uint8_t col;
		const char *is;
	} row[] = {{SB_C_TRANSFERRED_FROM, "came from"}, {SB_C_TRANSFERRED_TO, "went on as"}};
	for(size_t i = 0; i < 2; i++) {
		char id[37];
		if(!story_has(&s->call, row[i].col))
			continue;
		sb_uuid_text(id, s->call.f[row[i].col].data);
		fprintf(c->out, "transfer: %s %s: signalbox why %s\n", row[i].is, id, id);
	}
}

static void print_why(struct cli *c, const struct story *s, const struct ladder *l, const struct hooks *h,
		const struct verdict *v, const struct search *search)
{
	size_t more = search->by_id || search->last ? 0 : search->fits.used - 1;
	print_ladder(c, s, l);
	print_hooks(c, s, h);
	print_transfers(c, s);
	fprintf(c->out, "%scause:%s %s\n%snext:%s  %s\n", tone_on(c, BOLD), tone_off(c, BOLD), v->cause, tone_on(c, BOLD),
			tone_off(c, BOLD), v->next);
	if(more > 0)
		fprintf(c->out, "%zu more %s: signalbox journal list %s '%s' --type call.initiated\n", more,
				more == 1 ? "call" : "calls", search->by_number ? "--number" : "--call", search->word);
}

int cmd_why(struct cli *c, int argc, char **argv)
{
	struct cli_options o;
	struct search search = {0};
	struct story story = {0};
	struct ladder ladder = {0};
	struct hooks hooks = {0};
	struct verdict verdict;
	int rc = cli_options(c, argc, argv, "", &o);
	if(rc != CLI_OK)
		return rc;
	if(o.words != 1) {
		fprintf(c->err,
				"signalbox: why needs one call: its Call-ID, our call id, a number, or 'last'. See: signalbox help\n");
		return CLI_USAGE;
	}
	search.word = o.word[0];
	if((rc = find_call(c, &search)) != CLI_OK || (rc = gather(c, &story, search.id)) != CLI_OK)
		goto out;
	if(ladder_build(&ladder, &story) != 0) {
		fprintf(c->err, "signalbox: out of memory.\n");
		rc = CLI_NOT_FOUND;
		goto out;
	}
	hooks_read(&hooks, c, &story);
	diagnose(&verdict, &story);
	next_for_hooks(&verdict, &hooks);
	if(c->json)
		print_why_json(c, &story, &ladder, &hooks, &verdict, search.by_id || search.last ? 0 : search.fits.used - 1);
	else
		print_why(c, &story, &ladder, &hooks, &verdict, &search);
out:
	hooks_free(&hooks);
	ladder_free(&ladder);
	story_free(&story);
	ids_free(&search.fits);
	return rc;
}
