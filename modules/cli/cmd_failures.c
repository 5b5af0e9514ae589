/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_one.h"
#include "calls_print.h"
#include "failures_read.h"
#include "failures_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ASK_MS 3000u /* for what went well beside the failures */
#define GROUPS 8u
#define GROUPS_MAX 100u
#define DAY_US (86400ull * 1000000)

struct shown
{
	struct failures_group group[GROUPS_MAX];
	struct failures_more more[GROUPS_MAX];
	char sip_call_id[GROUPS_MAX][256];
	size_t groups;
	uint64_t now;
};

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool take_sip_call_id(const struct sb_db_value *v, unsigned n, void *arg)
{
	if(n > 0 && v[0].kind == SB_DB_TEXT)
		snprintf(arg, 256, "%s", v[0].text);
	return false;
}

static void look_up(struct sb_db *db, struct shown *s)
{
	for(size_t i = 0; i < s->groups; i++) {
		struct failures_group *g = &s->group[i];
		struct sb_db_value v = {SB_DB_TEXT, 0, g->example, strlen(g->example)};
		s->more[i].last_good = failures_last_good(db, g->dim, g->name);
		if(sb_db_query(db, "SELECT sip_call_id FROM callstate_call WHERE call_id = ?", &v, 1, take_sip_call_id,
				   s->sip_call_id[i])
						> 0
				&& s->sip_call_id[i][0] != '\0')
			s->more[i].sip_call_id = s->sip_call_id[i];
	}
}

static void print_group(struct cli *c, const struct shown *s, size_t i, size_t all)
{
	const struct failures_group *g = &s->group[i];
	const struct failures_more *m = &s->more[i];
	char common[400], usually[200], next[500];
	fprintf(c->out, "%s%s%s: %zu of %zu failures, ", tone_on(c, i == 0 ? BAD : BOLD), failures_name(g).s,
			tone_off(c, i == 0 ? BAD : BOLD), g->count, all);
	if(g->dim != BY_THE_CODE)
		fprintf(c->out, "%s, ", failures_code(g).s);
	fprintf(c->out, "%s", failures_when(g, s->now).s);
	if(g->good > 0)
		fprintf(c->out, "; about %zu calls answered there meanwhile", g->good);
	if(m->last_good != 0 && m->last_good < g->last)
		fprintf(c->out, "; last good call %s", failures_time(m->last_good, s->now).s);
	fputc('\n', c->out);
	failures_common(common, sizeof(common), g);
	if(common[0] != '\0')
		fprintf(c->out, "    %s\n", common);
	if(g->rescued > 0)
		fprintf(c->out, "    %zu of these calls went on over another try\n", g->rescued);
	failures_advice(usually, sizeof(usually), next, sizeof(next), g, m);
	if(usually[0] != '\0')
		fprintf(c->out, "    %susually:%s %s\n", tone_on(c, DIM), tone_off(c, DIM), usually);
	if(next[0] != '\0')
		fprintf(c->out, "    %sdo:%s      %s\n", tone_on(c, DIM), tone_off(c, DIM), next);
	fprintf(c->out, "    %slook:%s    signalbox why %s\n", tone_on(c, DIM), tone_off(c, DIM),
			calls_short_id(g->example).s);
}

static void print_sum(struct cli *c, const struct shown *s, const struct failures_ask *a, const struct failures_read *r)
{
	size_t all = failures_count(r->failures), rest;
	struct failures_codes codes[FAILURES_CODES];
	char since[32], until[32];
	calls_time(since, r->bounded != 0 ? r->bounded : a->since);
	calls_time(until, a->until);
	fprintf(c->out, "%.19s – %.19s UTC: %zu failures; %zu calls failed, %zu failed tries were made good by another",
			since, until, all, r->calls_failed, r->rescued);
	if(r->cancelled > 0)
		fprintf(c->out, "; %zu calls that the caller cancelled are left out", r->cancelled);
	fputc('\n', c->out);
	if(r->bounded != 0)
		fprintf(c->out, "The newest %u were read; earlier ones: --until %.10sT%.8s\n", FAILURES_MAX, since, since + 11);
	rest = failures_rest(r->failures, codes);
	if(rest > 0)
		fprintf(c->out, "%s: %zu (%s)\n", s->groups > 0 ? "In no group" : "Nothing stands out", rest,
				failures_codes_text(codes).s);
	if(all == 0)
		fprintf(c->out, "Earlier: --since 7d; the newest calls: signalbox calls\n");
}

static json_t *text_json(const char *s)
{
	return s != NULL ? json_string(s) : json_null();
}

static json_t *group_json(const struct shown *s, size_t i, size_t all)
{
	const struct failures_group *g = &s->group[i];
	char usually[200], next[500];
	json_t *common = json_object(), *codes = json_array(), *o;
	failures_advice(usually, sizeof(usually), next, sizeof(next), g, &s->more[i]);
	for(int d = 0; d < FAILURES_DIMS; d++) {
		if(g->common[d] != NULL)
			json_object_set_new(common, failures_dim_name[d], json_string(g->common[d]));
	}
	for(size_t k = 0; k < FAILURES_CODES && g->codes[k].count > 0; k++)
		json_array_append_new(codes, json_pack("{s:i, s:b, s:I}", "code", (int)g->codes[k].code, "rang",
											 g->codes[k].rang, "count", (json_int_t)g->codes[k].count));
	o = json_pack("{s:s, s:o, s:o, s:I, s:f, s:I, s:I, s:o}", "by",
			g->dim < FAILURES_DIMS ? failures_dim_name[g->dim] : "code", "name", text_json(g->name), "code",
			g->code != 0 ? json_integer(g->code) : json_null(), "count", (json_int_t)g->count, "share",
			all > 0 ? (double)g->count / (double)all : 0.0, "rescued", (json_int_t)g->rescued, "answered_meanwhile",
			(json_int_t)g->good, "codes", codes);
	json_object_set_new(o, "first_at", sb_json_time(g->first));
	json_object_set_new(o, "last_at", sb_json_time(g->last));
	json_object_set_new(o, "last_good_at", sb_json_time(s->more[i].last_good));
	json_object_set_new(o, "common", common);
	json_object_set_new(o, "example", json_string(g->example));
	json_object_set_new(o, "example_sip_call_id", text_json(s->more[i].sip_call_id));
	json_object_set_new(o, "usually", json_string(usually));
	json_object_set_new(o, "next", json_string(next));
	return o;
}

static void print_all_json(
		struct cli *c, const struct shown *s, const struct failures_ask *a, const struct failures_read *r)
{
	size_t all = failures_count(r->failures);
	json_t *groups = json_array();
	for(size_t i = 0; i < s->groups; i++)
		json_array_append_new(groups, group_json(s, i, all));
	print_json(c,
			json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o}", "since", sb_json_time(a->since), "until",
					sb_json_time(a->until), "failures", (json_int_t)all, "calls_failed", (json_int_t)r->calls_failed,
					"rescued", (json_int_t)r->rescued, "cancelled", (json_int_t)r->cancelled, "read_back_to",
					r->bounded != 0 ? sb_json_time(r->bounded) : json_null(), "groups", groups),
			false);
}

static int show(struct cli *c, struct sb_db *db, const struct failures_ask *a, size_t most)
{
	struct failures_read r;
	struct failures_asker asker;
	struct shown *s = calloc(1, sizeof(*s));
	int rc = s == NULL ? -ENOMEM : failures_read(db, a, &r), result = CLI_OK, found;
	if(s == NULL)
		return calls_refused(c, db, -ENOMEM);
	if(rc != 0) {
		result = calls_refused(c, db, rc);
		goto out;
	}
	failures_asker(&asker, db, ASK_MS);
	found = failures_find(r.failures, failures_answered, &asker, s->group, most);
	if(found < 0) {
		result = calls_refused(c, db, found);
		goto out;
	}
	s->groups = (size_t)found;
	s->now = now_us();
	look_up(db, s);
	if(c->json) {
		print_all_json(c, s, a, &r);
	} else {
		if(asker.out_of_time)
			fprintf(c->out,
					"The database is slow now: not all was compared with what went well meanwhile. Run it again.\n");
		for(size_t i = 0; i < s->groups; i++)
			print_group(c, s, i, failures_count(r.failures));
		print_sum(c, s, a, &r);
	}
out:
	failures_read_free(&r);
	free(s);
	return result;
}

int cmd_failures(struct cli *c, int argc, char **argv)
{
	struct cli_options o;
	struct calls_ask ask;
	struct sb_db *db;
	char err[320];
	int rc = cli_options(c, argc, argv, "--since --until --trunk --number --limit", &o);
	if(rc != CLI_OK)
		return rc;
	struct calls_words w = {.since = o.since, .until = o.until, .limit = o.limit, .trunk = o.trunk, .number = o.number};
	if(o.words > 0) {
		fprintf(c->err, "signalbox: failures takes filters, no words ('%s'). See: signalbox help\n", o.word[0]);
		return CLI_USAGE;
	}
	if(calls_ask_parse(&ask, &w, now_us(), err, sizeof(err)) != 0) {
		fprintf(c->err, "signalbox: %s.\n", err);
		return CLI_USAGE;
	}
	struct failures_ask a = {
			.until = ask.until != 0 ? ask.until : now_us() + 1, .trunk = ask.trunk, .number = ask.number};
	a.since = ask.since != 0 ? ask.since : a.until > DAY_US ? a.until - DAY_US : 0;
	if((rc = cli_database(c, &db)) != CLI_OK)
		return rc;
	calls_tune(db);
	rc = show(c, db, &a, o.limit == NULL ? GROUPS : ask.limit < GROUPS_MAX ? ask.limit : GROUPS_MAX);
	sb_db_close(db);
	return rc;
}
