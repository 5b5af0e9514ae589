/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_one.h"
#include "calls_print.h"
#include "story.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char attempt_sql[] =
		"SELECT n, trunk, agent, uri, destination, to_number, started_at, ringing_at, early_at, "
		"answered_at, ended_at, pdd_ms, code, reason, code_local, q850 FROM callstate_attempt "
		"WHERE call_id = ? ORDER BY n";
static const struct
{
	const char *name;
	enum calls_kind kind;
} attempt_column[] = {{"n", CALLS_NUMBER}, {"trunk", CALLS_TEXT}, {"agent", CALLS_TEXT}, {"uri", CALLS_TEXT},
		{"destination", CALLS_TEXT}, {"to_number", CALLS_TEXT}, {"started_at", CALLS_WHEN}, {"ringing_at", CALLS_WHEN},
		{"early_at", CALLS_WHEN}, {"answered_at", CALLS_WHEN}, {"ended_at", CALLS_WHEN}, {"pdd_ms", CALLS_NUMBER},
		{"code", CALLS_NUMBER}, {"reason", CALLS_TEXT}, {"code_local", CALLS_NUMBER}, {"q850", CALLS_NUMBER}};

static const char event_sql[] =
		"SELECT event_id, sequence, type, at, state, attempt, trunk, agent, by_party, outcome, cause, "
		"inferred, sip_method, sip_code, sip_reason, note FROM callstate_event WHERE call_id = ? "
		"ORDER BY sequence";
static const struct
{
	const char *name;
	enum calls_kind kind;
} event_column[] = {{"event_id", CALLS_TEXT}, {"sequence", CALLS_NUMBER}, {"type", CALLS_TEXT}, {"at", CALLS_WHEN},
		{"state", CALLS_TEXT}, {"attempt", CALLS_NUMBER}, {"trunk", CALLS_TEXT}, {"agent", CALLS_TEXT},
		{"by_party", CALLS_TEXT}, {"outcome", CALLS_TEXT}, {"cause", CALLS_TEXT}, {"inferred", CALLS_NUMBER},
		{"sip_method", CALLS_TEXT}, {"sip_code", CALLS_NUMBER}, {"sip_reason", CALLS_TEXT}, {"note", CALLS_TEXT}};

#define ATTEMPT_COLUMNS (sizeof(attempt_column) / sizeof(attempt_column[0]))
#define EVENT_COLUMNS (sizeof(event_column) / sizeof(event_column[0]))

struct list
{
	json_t *array;
	bool events;
};

static json_t *value(enum calls_kind kind, const struct sb_db_value *v)
{
	if(v->kind == SB_DB_INT)
		return json_integer(v->i);
	return calls_json_value(kind, v->kind == SB_DB_TEXT ? v->text : NULL);
}

static bool take(const struct sb_db_value *v, unsigned n, void *arg)
{
	struct list *l = arg;
	json_t *o = json_object();
	for(unsigned i = 0; i < n; i++) {
		if(l->events && i < EVENT_COLUMNS)
			json_object_set_new(o, event_column[i].name, value(event_column[i].kind, &v[i]));
		else if(!l->events && i < ATTEMPT_COLUMNS)
			json_object_set_new(o, attempt_column[i].name, value(attempt_column[i].kind, &v[i]));
	}
	json_array_append_new(l->array, o);
	return true;
}

static const char *text_of(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s != NULL ? s : "";
}

static struct text shown(json_t *o, const char *key)
{
	return text_plain(text_of(o, key), strlen(text_of(o, key)));
}

/** µs of "2026-01-31T14:02:07.123456Z"; 0: null */
static uint64_t time_of(json_t *o, const char *key)
{
	char s[32];
	snprintf(s, sizeof(s), "%s", text_of(o, key));
	if(strlen(s) < 19)
		return 0;
	s[10] = ' ';
	return calls_time_parse(s);
}

static void say_after(struct text *t, json_t *o, const char *key, const char *what)
{
	uint64_t at = time_of(o, key), begun = time_of(o, "started_at");
	if(at != 0)
		SAY(t->s, "%s%s at %s", t->s[0] != '\0' ? " · " : "", what, text_span(at > begun ? at - begun : 0).s);
}

static void print_attempt(struct cli *c, json_t *a)
{
	struct text who = shown(a, "agent"), came = {""};
	json_int_t code = json_integer_value(json_object_get(a, "code"));
	bool local = json_integer_value(json_object_get(a, "code_local")) != 0;
	if(who.s[0] == '\0')
		who = shown(a, "trunk");
	say_after(&came, a, "ringing_at", "180");
	say_after(&came, a, "early_at", "early media");
	say_after(&came, a, "answered_at", "200");
	if(code >= 300) {
		char what[TEXT_MAX * 2] = "";
		SAY(what, "%d %s%s", (int)code, shown(a, "reason").s, local ? " (the proxy's own)" : "");
		say_after(&came, a, "ended_at", what);
	}
	fprintf(c->out, "  try %-3d %s  %s  %s  %s\n", (int)json_integer_value(json_object_get(a, "n")), who.s,
			shown(a, "uri").s, shown(a, "destination").s, came.s[0] != '\0' ? came.s : "nothing came");
}

static void print_event(struct cli *c, json_t *e)
{
	static const char *const more[] = {"by_party", "outcome", "cause", "sip_reason", "note"};
	json_int_t code = json_integer_value(json_object_get(e, "sip_code"));
	json_int_t attempt = json_integer_value(json_object_get(e, "attempt"));
	fprintf(c->out, "  %s  %3d %-20s %s", text_clock(time_of(e, "at")).s,
			(int)json_integer_value(json_object_get(e, "sequence")), shown(e, "type").s, shown(e, "state").s);
	if(attempt != 0)
		fprintf(c->out, "  try %d", (int)attempt);
	if(code != 0)
		fprintf(c->out, "  %d", (int)code);
	for(size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		if(text_of(e, more[i])[0] != '\0')
			fprintf(c->out, "  %s", shown(e, more[i]).s);
	}
	fputc('\n', c->out);
}

static void print_call(struct cli *c, const struct calls_row *r, json_t *attempts, json_t *events)
{
	static const enum calls_column more[] = {CALL_direction, CALL_did, CALL_flow, CALL_trunk, CALL_agent, CALL_source,
			CALL_request_uri, CALL_sip_code, CALL_sip_reason, CALL_q850, CALL_hangup_by, CALL_hangup_cause,
			CALL_transferred_from, CALL_transferred_to, CALL_attributes};
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	fprintf(c->out, "%scall %s%s  Call-ID %s\n", tone_on(c, BOLD), r->text[CALL_call_id], tone_off(c, BOLD),
			text_plain(r->text[CALL_sip_call_id], strlen(r->text[CALL_sip_call_id])).s);
	fprintf(c->out, "%s %s UTC  %s → %s  %s\n", text_date(r->started).s, text_clock(r->started).s,
			calls_party(r, CALL_from_number, CALL_from_uri).s, calls_party(r, CALL_to_number, CALL_to_uri).s,
			calls_result(r, (uint64_t)t.tv_sec * 1000000).s);
	for(size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		const char *s = r->text[more[i]];
		if(s != NULL && s[0] != '\0')
			fprintf(c->out, "  %-16s %s\n", calls_column_name[more[i]], text_plain(s, strlen(s)).s);
	}
	size_t i;
	json_t *o;
	json_array_foreach(attempts, i, o) print_attempt(c, o);
	json_array_foreach(events, i, o) print_event(c, o);
	if(json_array_size(events) == 0)
		fprintf(c->out, "  no events of it in the call log\n");
	fprintf(c->out, "%snext:%s  signalbox why %s   (while the journal has it)\n", tone_on(c, BOLD), tone_off(c, BOLD),
			calls_short_id(r->text[CALL_call_id]).s);
}

struct pair
{
	struct calls_row *row[2];
	int n;
};

static bool take_call(const struct sb_db_value *v, unsigned n, void *arg)
{
	struct pair *p = arg;
	if(n == CALL_COLUMNS && p->n < 2)
		p->row[p->n++] = calls_row_new(v);
	return p->n < 2;
}

static int look_up(struct sb_db *db, const char *id, struct pair *p)
{
	struct calls_query q;
	char room[2][80];
	memset(p, 0, sizeof(*p));
	calls_select_one(&q, id, room);
	int64_t rc = sb_db_query(db, q.sql, q.param, q.params, take_call, p);
	if(rc < 0)
		return (int)rc;
	return p->n > 0 && p->row[0] == NULL ? -ENOMEM : 0;
}

int calls_refused(struct cli *c, struct sb_db *db, int rc)
{
	if(rc == -ENOMEM) {
		fprintf(c->err, "signalbox: out of memory.\n");
		return CLI_NOT_FOUND;
	}
	fprintf(c->err,
			"signalbox: the call log cannot be read: %s.\nIs the schema there, and up to date? signalbox db check\n",
			sb_db_error(db));
	return CLI_NOT_FOUND;
}

int calls_show(struct cli *c, struct sb_db *db, const char *id)
{
	struct pair p;
	struct list attempts = {json_array(), false}, events = {json_array(), true};
	int rc = look_up(db, id, &p), result = CLI_OK;
	int64_t n = 0;
	if(rc != 0) {
		result = calls_refused(c, db, rc);
		goto out;
	}
	if(p.n == 0) {
		fprintf(c->err,
				"signalbox: no call '%s' in the call log: looked for a call id (or its first 13 characters and more) "
				"and a SIP "
				"Call-ID.\nA number: signalbox calls --number N\n",
				text_plain(id, strlen(id)).s);
		result = CLI_NOT_FOUND;
		goto out;
	}
	const char *call = p.row[0]->text[CALL_call_id];
	struct sb_db_value v = {.kind = SB_DB_TEXT, .text = call, .len = strlen(call)};
	n = sb_db_query(db, attempt_sql, &v, 1, take, &attempts);
	if(n >= 0)
		n = sb_db_query(db, event_sql, &v, 1, take, &events);
	if(n < 0) {
		result = calls_refused(c, db, (int)n);
		goto out;
	}
	if(c->json) {
		json_t *o = calls_json(p.row[0]);
		json_object_set(o, "tries", attempts.array);
		json_object_set(o, "events", events.array);
		print_json(c, o, false);
	} else {
		print_call(c, p.row[0], attempts.array, events.array);
		if(p.n > 1)
			fprintf(c->out,
					"There is another one with this id; the newest is shown. All: signalbox calls --number N\n");
	}
out:
	json_decref(attempts.array);
	json_decref(events.array);
	free(p.row[0]);
	free(p.row[1]);
	return result;
}

bool calls_have(struct cli *c, const char *id, char out[37])
{
	struct sb_db_url url;
	struct sb_db *db;
	struct pair p;
	char err[SB_DB_ERROR];
	FILE *say_nothing = fopen("/dev/null", "we"), *said = c->err;
	bool found = false;
	if(say_nothing == NULL)
		return false;
	c->err = say_nothing;
	int rc = cli_database_url(c, &url);
	c->err = said;
	fclose(say_nothing);
	if(rc != CLI_OK || sb_db_open(&db, &url, false, 2000, err, sizeof(err)) != 0)
		return false;
	if(look_up(db, id, &p) == 0 && p.n > 0) {
		snprintf(out, 37, "%s", p.row[0]->text[CALL_call_id]);
		found = true;
	}
	free(p.row[0]);
	free(p.row[1]);
	sb_db_close(db);
	return found;
}
