/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failures_text.h"
#include "story.h"

#include <inttypes.h>
#include <string.h>

const char *const failures_dim_name[FAILURES_DIMS] = {[BY_THE_TRUNK] = "trunk",
		[BY_THE_AGENT] = "agent",
		[BY_THE_NUMBER] = "number",
		[BY_THE_DESTINATION] = "destination",
		[BY_THE_CALLER] = "caller"};

/** Where a group says more than the code by itself. */
static const struct
{
	unsigned code;
	bool rang, at_trunk; /* at_trunk: said of a trunk or a destination alone */
	const char *is, *usually, *next;
} here[] = {{408, false, false, "no response", "host down, firewall, wrong port or transport",
					"sipsak -vv -s sip:{host}   (silent there too: host down, firewall, wrong port or transport)"},
		{408, true, false, "no answer", "it rang and nobody took it",
				"nothing is wrong with the route; offer overflow or a voice box"},
		{503, false, true, "out of service or overloaded", "no free channel, maintenance, or a rate limit",
				"take {name} out of the routes or give it fewer calls, and ask it with the Call-ID {sip}"},
		{603, false, false, "declined",
				"the callee pressed reject, or analytics of the network refused the caller number",
				"does it refuse others too, or one caller number? signalbox calls --code 603"},
		{503, false, false, "out of service or overloaded", "no free channel, maintenance, or a rate limit",
				"ask {name} with the Call-ID {sip}"}};

static struct text plain(const char *s)
{
	return text_plain(s, s != NULL ? strlen(s) : 0);
}

struct text failures_name(const struct failures_group *g)
{
	struct text t = {""};
	if(g->dim == BY_THE_CODE)
		return failures_code(g);
	SAY(t.s, "%s %s", failures_dim_name[g->dim], plain(g->name).s);
	return t;
}

static const char *is(unsigned code, bool rang)
{
	for(size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
		if(here[i].code == code && here[i].rang == rang)
			return here[i].is;
	}
	const struct meaning *m = sip_meaning(code);
	return m != NULL ? m->is : "failed";
}

struct text failures_codes_text(const struct failures_codes codes[FAILURES_CODES])
{
	struct text t = {""};
	for(size_t i = 0; i < FAILURES_CODES && codes[i].count > 0; i++) {
		SAY(t.s, "%s%zu × ", i > 0 ? ", " : "", codes[i].count);
		if(codes[i].code == 408)
			SAY(t.s, "%s", is(408, codes[i].rang));
		else
			SAY(t.s, "%u", codes[i].code);
	}
	return t;
}

struct text failures_code(const struct failures_group *g)
{
	struct text t = {""};
	if(g->code == 408)
		SAY(t.s, "%s", is(g->code, g->rang));
	else if(g->code != 0)
		SAY(t.s, "%u %s", g->code, is(g->code, g->rang));
	if(g->code == 0)
		return failures_codes_text(g->codes);
	return t;
}

static void say_time(struct text *t, uint64_t at, uint64_t now)
{
	if(strcmp(text_date(at).s, text_date(now).s) != 0)
		SAY(t->s, "%s ", text_date(at).s);
	SAY(t->s, "%.8s", text_clock(at).s);
}

struct text failures_time(uint64_t at, uint64_t now)
{
	struct text t = {""};
	say_time(&t, at, now);
	return t;
}

struct text failures_when(const struct failures_group *g, uint64_t now)
{
	const uint64_t recent = 5 * 60 * 1000000ull;
	bool dense = (g->most_last - g->most_first) * 2 < g->last - g->first;
	uint64_t from = dense ? g->most_first : g->first, to = dense ? g->most_last : g->last;
	bool goes_on = to + (recent > (to - from) / 4 ? recent : (to - from) / 4) > now;
	struct text t = {""};
	if(dense)
		SAY(t.s, "%zu of them ", g->most);
	SAY(t.s, "%s", goes_on ? "since " : "");
	say_time(&t, from, now);
	if(!goes_on) {
		SAY(t.s, " – ");
		say_time(&t, to, strcmp(text_date(from).s, text_date(to).s) == 0 ? to : now);
	}
	return t;
}

void failures_common(char *out, size_t cap, const struct failures_group *g)
{
	static const char *const how[FAILURES_DIMS] = {[BY_THE_TRUNK] = "over trunk",
			[BY_THE_AGENT] = "to agent",
			[BY_THE_NUMBER] = "dialled",
			[BY_THE_DESTINATION] = "sent to",
			[BY_THE_CALLER] = "from"};
	out[0] = '\0';
	for(int d = 0; d < FAILURES_DIMS; d++) {
		if(g->common[d] != NULL)
			say(out, cap, "%s%s %s", out[0] != '\0' ? ", " : "all ", how[d], plain(g->common[d]).s);
	}
}

static const char *name_in(const struct failures_group *g, enum failures_dim dim)
{
	return g->dim == dim ? g->name : g->common[dim];
}

/** {host} {ip} {user} {name} {call} {sip} of a row of meanings.c. */
static void fill(
		char *out, size_t cap, const char *pattern, const struct failures_group *g, const struct failures_more *m)
{
	const char *to = name_in(g, BY_THE_DESTINATION), *who = name_in(g, BY_THE_TRUNK);
	struct text host = {"HOST"}, ip, user = {"signalbox why shows it"}, name = {"the far side"};
	if(to != NULL)
		host = plain(strchr(to, ':') != NULL && strchr(to, ':') - to < 5 ? strchr(to, ':') + 1 : to);
	ip = host;
	if(strrchr(ip.s, ':') != NULL)
		*strrchr(ip.s, ':') = '\0';
	if(name_in(g, BY_THE_NUMBER) != NULL)
		user = plain(name_in(g, BY_THE_NUMBER));
	who = who != NULL ? who : name_in(g, BY_THE_AGENT) != NULL ? name_in(g, BY_THE_AGENT) : to;
	if(who != NULL)
		name = plain(who);
	const struct
	{
		const char *key, *value;
	} row[] = {{"{host}", host.s}, {"{ip}", ip.s}, {"{user}", user.s}, {"{name}", name.s}, {"{call}", g->example},
			{"{sip}", m->sip_call_id != NULL ? m->sip_call_id : g->example}};
	out[0] = '\0';
	for(const char *p = pattern; *p != '\0'; p++) {
		size_t i = 0;
		while(i < sizeof(row) / sizeof(row[0]) && strncmp(p, row[i].key, strlen(row[i].key)) != 0)
			i++;
		if(i < sizeof(row) / sizeof(row[0])) {
			say(out, cap, "%s", plain(row[i].value).s);
			p += strlen(row[i].key) - 1;
		} else {
			say(out, cap, "%c", *p);
		}
	}
}

void failures_advice(char *usually, size_t usually_cap, char *next, size_t next_cap, const struct failures_group *g,
		const struct failures_more *m)
{
	unsigned code = g->code != 0 ? g->code : g->codes[0].code;
	bool rang = g->code != 0 ? g->rang : g->codes[0].rang;
	bool trunk = g->dim == BY_THE_TRUNK || g->dim == BY_THE_DESTINATION;
	const struct meaning *mean = sip_meaning(code);
	const char *does = mean != NULL ? mean->usually : "", *then = mean != NULL ? mean->next : NULL;
	if(mean != NULL && mean->agent != NULL && g->dim == BY_THE_AGENT)
		then = mean->agent;
	for(size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
		if(here[i].code != code || here[i].rang != rang || (here[i].at_trunk && !trunk))
			continue;
		does = here[i].usually;
		then = here[i].next;
		break;
	}
	usually[0] = next[0] = '\0';
	if(g->code == 0 && does[0] != '\0')
		say(usually, usually_cap, "%u ", code);
	say(usually, usually_cap, "%s", does);
	if(then != NULL)
		fill(next, next_cap, then, g, m);
}
