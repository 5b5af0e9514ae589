/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "story.h"

#include <inttypes.h>
#include <stdio.h>

#define NOTHING "nothing to do"
#define REACH "sipsak -vv -s sip:{host}   (silent there too: host down, firewall, wrong port or transport)"

static bool is(const struct story *s, uint8_t col, const char *text)
{
	return story_is(&s->end, col, text);
}

/** tm's own codes for what it could not send. */
static bool not_sent(const struct story *s)
{
	uint64_t code = story_u64(&s->end, SB_C_HANGUP_CODE);
	return is(s, SB_C_HANGUP_CAUSE, "send_error") || (code >= 476 && code <= 479);
}

/** The attempt the call's end comes from: the last with its code, else the last that ended badly, else the last. */
static const struct story_attempt *decisive(const struct story *s)
{
	uint64_t code = story_u64(&s->end, SB_C_HANGUP_CODE);
	const struct story_attempt *last = NULL;
	for(size_t i = s->attempts; i > 0; i--) {
		const struct story_attempt *a = &s->attempt[i - 1];
		if(code != 0 && story_u64(&a->f, SB_C_A_CODE) == code)
			return a;
		if(last == NULL)
			last = a;
	}
	return last;
}

/** Where an attempt went: the address, or the host of its URI. */
static struct text host_of(const struct story_attempt *a)
{
	const char *user;
	size_t len;
	const struct sb_field *uri = &a->f.f[SB_C_A_URI];
	if(story_has(&a->f, SB_C_A_DST) || !story_has(&a->f, SB_C_A_URI))
		return attempt_host(a);
	sb_uri_user(uri->data, uri->len, &user, &len);
	struct text t = text_plain(user + len, uri->len - (size_t)(user + len - (const char *)uri->data));
	char *at = strchr(t.s, '@');
	char *host = at != NULL ? at + 1 : t.s;
	host[strcspn(host, ";?>")] = '\0';
	memmove(t.s, host, strlen(host) + 1);
	return t;
}

static void drop_port(struct text *t)
{
	char *colon = strrchr(t->s, ':');
	if(t->s[0] == '[') {
		t->s[strcspn(t->s, "]")] = '\0';
		memmove(t->s, t->s + 1, strlen(t->s));
	} else if(colon != NULL && strchr(t->s, ':') == colon) {
		*colon = '\0';
	}
}

/** {host} {ip} {user} {name} {call} {sip} of a row of meanings.c. */
static void fill(char *out, size_t cap, const char *pattern, const struct story *s, const struct story_attempt *a)
{
	struct text host = {"HOST"}, ip, user, name = {"the callee"};
	struct text sip = text_field(&s->call.f[SB_C_SIP_CALL_ID]);
	const struct sb_field *uri = &s->call.f[story_has(&s->call, SB_C_RURI) ? SB_C_RURI : SB_C_TO_URI];
	if(a != NULL) {
		host = host_of(a);
		name = attempt_name(a);
		if(story_has(&a->f, SB_C_A_URI))
			uri = &a->f.f[SB_C_A_URI];
	}
	user = text_user(uri);
	ip = host;
	drop_port(&ip);
	const struct
	{
		const char *key, *value;
	} row[] = {{"{host}", host.s}, {"{ip}", ip.s}, {"{user}", user.s}, {"{name}", name.s}, {"{call}", s->call_id},
			{"{sip}", sip.s}};
	out[0] = '\0';
	for(const char *p = pattern; *p != '\0'; p++) {
		size_t i = 0;
		while(i < sizeof(row) / sizeof(row[0]) && strncmp(p, row[i].key, strlen(row[i].key)) != 0)
			i++;
		if(i < sizeof(row) / sizeof(row[0])) {
			say(out, cap, "%s", row[i].value);
			p += strlen(row[i].key) - 1;
		} else {
			say(out, cap, "%c", *p);
		}
	}
}

static bool silent(const struct story_attempt *a)
{
	return story_u64(&a->f, SB_C_A_CODE) == 408 && story_u64(&a->f, SB_C_A_LOCAL) != 0 && !story_rang(a);
}

/** "carrier-a no reply", "ben 486 busy" */
static void brief(struct text *t, const struct story_attempt *a)
{
	uint64_t code = story_u64(&a->f, SB_C_A_CODE);
	bool local = story_u64(&a->f, SB_C_A_LOCAL) != 0;
	const struct meaning *m = sip_meaning(code);
	SAY(t->s, "%s%s ", t->s[0] != '\0' ? ", " : "", attempt_name(a).s);
	if(code == 0 || silent(a))
		SAY(t->s, "no reply");
	else if(local && code == 408)
		SAY(t->s, "no answer");
	else if(local && code != 487)
		SAY(t->s, "not sent");
	else
		SAY(t->s, "%" PRIu64 " %s", code, m != NULL ? m->is : "");
}

/** No final answer is known, and the next attempt was made only later. */
static bool given_up(const struct story *s, size_t i)
{
	if(story_has(&s->attempt[i].f, SB_C_A_ANSWERED_AT) || i + 1 == s->attempts)
		return false;
	return story_u64(&s->attempt[i + 1].f, SB_C_A_STARTED_AT) > story_u64(&s->attempt[i].f, SB_C_A_STARTED_AT) + 100000;
}

/** Attempts that failed on their own, without the one given and without those cancelled. */
static struct text failures(const struct story *s, const struct story_attempt *without, bool never_rang, size_t *count)
{
	struct text t = {""};
	*count = 0;
	for(size_t i = 0; i < s->attempts; i++) {
		uint64_t code = story_u64(&s->attempt[i].f, SB_C_A_CODE);
		if(&s->attempt[i] == without || code == 487 || (code != 0 && code < 300) || (code == 0 && !given_up(s, i)))
			continue;
		if(never_rang && story_rang(&s->attempt[i]))
			continue;
		if(++*count <= 4)
			brief(&t, &s->attempt[i]);
	}
	if(*count > 4)
		SAY(t.s, " and %zu more", *count - 4);
	return t;
}

static const char *next_of(const struct meaning *m, const struct story_attempt *a)
{
	bool agent = a != NULL && story_has(&a->f, SB_C_A_AGENT) && !story_has(&a->f, SB_C_A_TRUNK);
	return m == NULL ? NULL : agent && m->agent != NULL ? m->agent : m->next;
}

static void goes_on(struct verdict *v, const struct story *s)
{
	uint64_t state = story_u64(&s->call, SB_C_STATE);
	if(story_answered(s)) {
		SAY(v->cause, "the call is %s: answered, and no BYE is in the journal yet",
				state == SB_ST_HELD ? "on hold" : "up");
		SAY(v->next, "kamcmd callstate.call %s   or wait for it: signalbox journal follow --call %s", s->call_id,
				s->call_id);
		return;
	}
	SAY(v->cause, "%s, and no final answer is in the journal yet",
			state == SB_ST_CALLING ? "the call is being set up" : "the call is ringing");
	SAY(v->next, "signalbox journal follow --call %s", s->call_id);
}

/* Why the proxy ended an answered call. */
static const struct
{
	const char *cause, *is, *next;
} proxy_ended[] = {
		{"max_duration", "the proxy ended it: max_duration was reached",
				"callstate_set(\"max_duration\", …) in the script sets the limit"},
		{"rpc", "an operator ended it over RPC (callstate.end)", NOTHING},
		{"other_module", "another module of the proxy ended it: dialog (a time-out, dlg.end_dlg) or uac",
				"dialog's time-outs: default_timeout, $dlg_ctx(timeout)"},
		{"replaced", "its leg was taken over by another call (Replaces)",
				"signalbox journal list --call {call} shows transferred_to"},
		{"lost", "its set-up was cut by a restart and nothing came after it",
				"what happened to the proxy? journalctl -u kamailio"},
		{"dropped", "the script neither relayed nor answered it",
				"look for an exit or drop before t_relay() in the request route"},
};

static bool by_table(struct verdict *v, const struct story *s)
{
	for(size_t i = 0; i < sizeof(proxy_ended) / sizeof(proxy_ended[0]); i++) {
		if(!is(s, SB_C_HANGUP_CAUSE, proxy_ended[i].cause))
			continue;
		SAY(v->cause, "%s", proxy_ended[i].is);
		fill(v->next, sizeof(v->next), proxy_ended[i].next, s, decisive(s));
		return true;
	}
	return false;
}

/** The attempt that answered first: a fork may have two. */
static const struct story_attempt *answering(const struct story *s)
{
	const struct story_attempt *first = NULL;
	for(size_t i = 0; i < s->attempts; i++) {
		const struct story_attempt *a = &s->attempt[i];
		uint64_t code = story_u64(&a->f, SB_C_A_CODE);
		if(!story_has(&a->f, SB_C_A_ANSWERED_AT) && (code < 200 || code >= 300))
			continue;
		if(first == NULL || story_u64(&a->f, SB_C_A_ANSWERED_AT) < story_u64(&first->f, SB_C_A_ANSWERED_AT))
			first = a;
	}
	return first;
}

/** "; transfer to X by callee: 603 Decline" */
static void transfers(struct verdict *v, const struct story *s)
{
	for(size_t i = 0; i < s->events; i++) {
		const struct sb_fields *f = &s->event[i].fields;
		uint16_t type = s->event[i].rec.hdr.type;
		if(type != SB_CALL_TRANSFERRED && type != SB_CALL_TRANSFER_FAILED)
			continue;
		SAY(v->cause, "; %s to %s by %s", type == SB_CALL_TRANSFERRED ? "transferred" : "transfer",
				text_user(&f->f[SB_C_TRANSFER_TARGET]).s, text_field(&f->f[SB_C_BY]).s);
		if(type == SB_CALL_TRANSFER_FAILED)
			SAY(v->cause, " failed: %" PRIu64 " %s", story_u64(f, SB_C_TRANSFER_CODE),
					text_field(&f->f[SB_C_TRANSFER_REASON]).s);
	}
}

static void ended(struct verdict *v, const struct story *s)
{
	const struct story_attempt *a = answering(s);
	uint64_t q850 = story_u64(&s->end, SB_C_Q850);
	const struct meaning *m = q850_meaning(q850);
	size_t n;
	if(by_table(v, s))
		return;
	struct text bad = failures(s, a, false, &n);
	if(story_has(&s->call, SB_C_ACK_AT) && story_u64(&s->call, SB_C_ACK_AT) == 0) {
		SAY(v->cause, "answered, but the ACK never came through here; %s hung up",
				text_field(&s->end.f[SB_C_HANGUP_BY]).s);
		fill(v->next, sizeof(v->next),
				"does record_route() run on the INVITE, and does the caller honour it? sngrep -c host {ip}", s, a);
		return;
	}
	SAY(v->cause, "%s%sanswered%s%s, %s hung up", n > 0 ? bad.s : "normal: ", n > 0 ? "; then " : "",
			a != NULL ? " by " : "", a != NULL ? attempt_name(a).s : "", text_field(&s->end.f[SB_C_HANGUP_BY]).s);
	if(story_u64(&s->call, SB_C_INFERRED) != 0)
		SAY(v->cause, " (the answer itself was not seen: a restart of the proxy while it was set up)");
	if(story_has(&s->end, SB_C_DURATION_US))
		SAY(v->cause, " after %s", text_span(story_u64(&s->end, SB_C_DURATION_US)).s);
	if(q850 != 0 && q850 != 16 && q850 != 31 && m != NULL)
		SAY(v->cause, "; Q.850 %" PRIu64 ": %s (%s)", q850, m->is, m->usually);
	transfers(v, s);
	if(q850 != 0 && m != NULL && m->next != NULL) {
		fill(v->next, sizeof(v->next), m->next, s, a);
		return;
	}
	for(size_t i = 0; i < s->attempts && n > 0; i++) {
		uint64_t code = story_u64(&s->attempt[i].f, SB_C_A_CODE);
		m = sip_meaning(code == 0 && given_up(s, i) ? 408 : code);
		if(code != 487 && m != NULL) {
			fill(v->next, sizeof(v->next), next_of(m, &s->attempt[i]), s, &s->attempt[i]);
			return;
		}
	}
	SAY(v->next, NOTHING);
}

static void cancelled(struct verdict *v, const struct story *s)
{
	const struct story_attempt *a = decisive(s);
	uint64_t start = story_u64(&s->call, SB_C_STARTED_AT);
	uint64_t end = story_u64(&s->end, SB_C_ENDED_AT);
	bool rang = story_has(&s->call, SB_C_RINGING_AT) || story_has(&s->call, SB_C_EARLY_AT);
	SAY(v->cause, "the caller gave up");
	if(start != 0 && end >= start)
		SAY(v->cause, " after %s", text_span(end - start).s);
	if(rang) {
		SAY(v->cause, ", while it rang");
		SAY(v->next, "nothing is wrong with the route; if this is often so: ring shorter, then overflow");
		return;
	}
	SAY(v->cause, ", before anything rang%s%s", a != NULL ? "; tried: " : "", a != NULL ? attempt_name(a).s : "");
	fill(v->next, sizeof(v->next), "does it answer at all? " REACH, s, a);
}

static void unsent(struct verdict *v, const struct story *s, const struct story_attempt *a)
{
	SAY(v->cause, "the INVITE could not be sent%s%s", a != NULL ? " to " : "", a != NULL ? attempt_name(a).s : "");
	fill(v->next, sizeof(v->next),
			"does the name resolve, is there a route, is the port open? sipsak -vv -s sip:{host}", s, a);
}

static void refused(struct verdict *v, const struct story *s)
{
	const struct story_attempt *a = decisive(s);
	uint64_t sent = story_u64(&s->end, SB_C_HANGUP_CODE);
	uint64_t got = a != NULL ? story_u64(&a->f, SB_C_A_CODE) : 0;
	uint64_t code = got >= 300 ? got : sent;
	uint64_t q850 = story_u64(&s->end, SB_C_Q850);
	const struct meaning *m = sip_meaning(code);
	const struct meaning *q = q850 != 0 && q850 != 16 && q850 != 31 && q850 != 127 ? q850_meaning(q850) : NULL;
	size_t n;
	struct text others = failures(s, a, false, &n);
	if(is(s, SB_C_OUTCOME, "cancelled") || is(s, SB_C_HANGUP_CAUSE, "cancel")) {
		cancelled(v, s);
		return;
	}
	if(by_table(v, s))
		return;
	if(not_sent(s) || (a != NULL && story_u64(&a->f, SB_C_A_LOCAL) != 0 && code != 408 && code != 487)) {
		unsent(v, s, a);
	} else {
		SAY(v->cause, "%s answered %" PRIu64, a != NULL ? attempt_name(a).s : "the proxy's script", code);
		SAY(v->cause, ", %s", q != NULL ? q->is : m != NULL ? m->is : text_field(&s->end.f[SB_C_HANGUP_REASON]).s);
		if(q != NULL || m != NULL)
			SAY(v->cause, ": %s", q != NULL ? q->usually : m->usually);
		if(sent != 0 && sent != code)
			SAY(v->cause, " (the caller got %" PRIu64 ")", sent);
		const char *next = next_of(q, a) != NULL ? next_of(q, a) : next_of(m, a);
		if(a == NULL)
			SAY(v->next, "look for the reply in the script: sl_send_reply(\"%" PRIu64 "\", …)", code);
		else
			fill(v->next, sizeof(v->next), next != NULL ? next : "signalbox journal list --call {call}", s, a);
	}
	if(n > 0)
		SAY(v->cause, "; also: %s", others.s);
}

/** "anna and carl rang, nobody answered in 20.0 s" */
static void nobody(struct verdict *v, const struct story *s)
{
	struct text who = {""};
	uint64_t start = story_u64(&s->call, SB_C_RINGING_AT);
	uint64_t end = story_u64(&s->end, SB_C_ENDED_AT);
	size_t n;
	for(size_t i = 0; i < s->attempts; i++) {
		if(story_rang(&s->attempt[i]))
			SAY(who.s, "%s%s", who.s[0] != '\0' ? ", " : "", attempt_name(&s->attempt[i]).s);
	}
	SAY(v->cause, "%s rang, nobody answered", who.s[0] != '\0' ? who.s : "it");
	if(start != 0 && end >= start)
		SAY(v->cause, " in %s", text_span(end - start).s);
	struct text bad = failures(s, NULL, true, &n);
	if(n > 0)
		SAY(v->cause, "; also: %s", bad.s);
	SAY(v->next, "nothing is wrong with the route; offer overflow or a voice box");
}

static void timed_out(struct verdict *v, const struct story *s)
{
	const struct story_attempt *a = decisive(s);
	size_t n;
	struct text others = failures(s, a, false, &n);
	if(is(s, SB_C_OUTCOME, "expired")) {
		SAY(v->cause, "answered, and no BYE ever came%s: both ends, or the way to here, went away",
				is(s, SB_C_HANGUP_CAUSE, "max_duration") ? ", nor a reply to ours at max_duration" : "");
		fill(v->next, sizeof(v->next),
				"set a session timer (sst) or max_duration, and look at the peer: sngrep -c host {ip}", s, a);
		return;
	}
	if(by_table(v, s))
		return;
	if(is(s, SB_C_OUTCOME, "no_answer")) {
		nobody(v, s);
		return;
	}
	if(not_sent(s)) {
		unsent(v, s, a);
	} else {
		SAY(v->cause, "%s", a != NULL ? attempt_name(a).s : "the callee");
		if(a != NULL && story_has(&a->f, SB_C_A_DST) && strcmp(attempt_host(a).s, attempt_name(a).s) != 0)
			SAY(v->cause, " (%s)", attempt_host(a).s);
		SAY(v->cause, " is unreachable: it never answered");
		fill(v->next, sizeof(v->next), REACH, s, a);
	}
	if(n > 0)
		SAY(v->cause, "; also: %s", others.s);
}

void diagnose(struct verdict *v, const struct story *s)
{
	memset(v, 0, sizeof(*v));
	switch(s->end_type) {
		case 0:
			goes_on(v, s);
			break;
		case SB_CALL_ENDED:
			ended(v, s);
			break;
		case SB_CALL_FAILED:
			refused(v, s);
			break;
		default:
			timed_out(v, s);
	}
}
