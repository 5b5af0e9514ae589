/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failures_read.h"
#include "calls_sql.h"
#include "failures_names.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GOOD_MAX 5000u     /* entries of an index counted at most; beyond it, by the rate of these */
#define GOOD_ROWS_MAX 500u /* the same where the row has to be looked at */
#define LAST_GOOD 3000u    /* answered calls among which the last good one is looked for */
#define SAMPLE 600u

/** A failed call, until its attempts are known. */
struct call
{
	char *text;
	const char *trunk, *agent, *number, *caller;
	uint64_t at;
	unsigned code;
	bool rang, cancelled, has_attempt;
};

struct reading
{
	const struct failures_ask *ask;
	struct failures_read *out;
	struct names ids; /* number of a call id: place in call */
	struct call *call;
	size_t room;
	int error;
	size_t rows;
	uint64_t oldest;
};

static const char *text_at(const struct sb_db_value *v)
{
	return v->kind == SB_DB_TEXT && v->len > 0 ? v->text : NULL;
}

static uint64_t time_at(const struct sb_db_value *v)
{
	return v->kind == SB_DB_TEXT ? calls_time_parse(v->text) : 0;
}

static const char *copy(char **p, const struct sb_db_value *v)
{
	const char *at = *p;
	if(text_at(v) == NULL)
		return NULL;
	memcpy(*p, v->text, v->len);
	(*p)[v->len] = '\0';
	*p += v->len + 1;
	return at;
}

enum
{
	C_ID,
	C_FAILED_AT,
	C_CODE,
	C_OUTCOME,
	C_TRUNK,
	C_AGENT,
	C_TO,
	C_FROM,
	C_COLUMNS
};
#define CALL_SELECT "call_id, failed_at, sip_code, outcome, trunk, agent, to_number, from_number FROM callstate_call"

static bool take_call(const struct sb_db_value *v, unsigned n, void *arg)
{
	struct reading *r = arg;
	uint64_t at = n == C_COLUMNS ? time_at(&v[C_FAILED_AT]) : 0;
	if(at == 0)
		return true;
	if(r->rows++ == FAILURES_MAX)
		return false;
	r->oldest = at;
	uint32_t id = names_number(&r->ids, v[C_ID].text, &r->error);
	if(id > r->room && r->error == 0) {
		size_t room = r->room > 0 ? r->room * 2 : 1024;
		struct call *p = realloc(r->call, room * sizeof(*p));
		if(p == NULL) {
			r->error = -ENOMEM;
			return false;
		}
		memset(p + r->room, 0, (room - r->room) * sizeof(*p));
		r->call = p;
		r->room = room;
	}
	char *p = malloc(v[C_TRUNK].len + v[C_AGENT].len + v[C_TO].len + v[C_FROM].len + 4);
	if(p == NULL || r->error != 0) {
		free(p);
		r->error = -ENOMEM;
		return false;
	}
	const char *outcome = text_at(&v[C_OUTCOME]);
	struct call *c = &r->call[id - 1];
	*c = (struct call){.text = p,
			.at = at,
			.code = v[C_CODE].kind == SB_DB_INT ? (unsigned)v[C_CODE].i : 0,
			.rang = outcome != NULL && strcmp(outcome, "no_answer") == 0,
			.cancelled = outcome != NULL && strcmp(outcome, "cancelled") == 0};
	c->trunk = copy(&p, &v[C_TRUNK]);
	c->agent = copy(&p, &v[C_AGENT]);
	c->number = copy(&p, &v[C_TO]);
	c->caller = copy(&p, &v[C_FROM]);
	r->out->calls_failed += !c->cancelled;
	r->out->cancelled += c->cancelled;
	return true;
}

static bool same_number(const char *typed, const char *have)
{
	struct sb_field f = {.col = 1, .kind = SB_STR, .data = (const uint8_t *)have};
	f.len = (uint16_t)(have != NULL ? strlen(have) : 0);
	return have != NULL && number_matches(typed, &f);
}

static bool wanted(const struct failures_ask *a, const struct failure *f)
{
	if(a->trunk != NULL && (f->name[BY_THE_TRUNK] == NULL || strcmp(f->name[BY_THE_TRUNK], a->trunk) != 0))
		return false;
	return a->number == NULL || same_number(a->number, f->name[BY_THE_NUMBER])
		   || same_number(a->number, f->name[BY_THE_CALLER]);
}

static void add(struct reading *r, const struct failure *f)
{
	if(r->error != 0 || !wanted(r->ask, f))
		return;
	r->out->rescued += f->rescued;
	r->error = failures_add(r->out->failures, f);
}

enum
{
	A_ID,
	A_FAILED_AT,
	A_CODE,
	A_RINGING_AT,
	A_TRUNK,
	A_AGENT,
	A_TO,
	A_DESTINATION,
	A_COLUMNS
};
#define ATTEMPT_SELECT \
	"call_id, failed_at, code, ringing_at, trunk, agent, to_number, destination FROM callstate_attempt"

static bool take_attempt(const struct sb_db_value *v, unsigned n, void *arg)
{
	struct reading *r = arg;
	uint64_t at = n == A_COLUMNS ? time_at(&v[A_FAILED_AT]) : 0;
	if(at == 0)
		return true;
	if(r->rows++ == FAILURES_MAX)
		return false;
	r->oldest = at;
	uint32_t id = names_find(&r->ids, v[A_ID].text);
	struct call *c = id != 0 ? &r->call[id - 1] : NULL;
	struct failure f = {.call_id = v[A_ID].text,
			.at = at,
			.code = v[A_CODE].kind == SB_DB_INT ? (unsigned)v[A_CODE].i : 0,
			.rang = v[A_RINGING_AT].kind == SB_DB_TEXT,
			.rescued = c == NULL};
	f.name[BY_THE_TRUNK] = text_at(&v[A_TRUNK]);
	f.name[BY_THE_AGENT] = text_at(&v[A_AGENT]);
	f.name[BY_THE_DESTINATION] = text_at(&v[A_DESTINATION]);
	f.name[BY_THE_CALLER] = c != NULL ? c->caller : NULL;
	f.name[BY_THE_NUMBER] = c != NULL ? c->number : f.name[BY_THE_AGENT] == NULL ? text_at(&v[A_TO]) : NULL;
	if(c != NULL)
		c->has_attempt = true;
	add(r, &f);
	return r->error == 0;
}

static int read_table(struct sb_db *db, struct reading *r, const char *select, const char *index,
		bool (*each)(const struct sb_db_value *, unsigned, void *))
{
	char sql[400], hint[96], since[27], until[27];
	calls_time(since, r->ask->since);
	calls_time(until, r->ask->until);
	snprintf(sql, sizeof(sql), "SELECT %s%s WHERE failed_at >= ? AND failed_at < ? ORDER BY failed_at DESC LIMIT ?",
			select, calls_hint(hint, index, sb_db_dialect(db)));
	struct sb_db_value v[3] = {{SB_DB_TEXT, 0, since, strlen(since)}, {SB_DB_TEXT, 0, until, strlen(until)},
			{SB_DB_INT, FAILURES_MAX + 1, NULL, 0}};
	r->rows = 0;
	int64_t rc = sb_db_query(db, sql, v, 3, each, r);
	if(rc < 0)
		return (int)rc;
	if(r->rows > FAILURES_MAX && r->oldest > r->out->bounded)
		r->out->bounded = r->oldest;
	return r->error;
}

/** Calls that failed without an attempt that did: refused by the script, or the proxy. */
static void add_rest(struct reading *r)
{
	for(size_t i = 0; i < r->ids.used; i++) {
		const struct call *c = &r->call[i];
		struct failure f = {.call_id = r->ids.text[i], .at = c->at, .code = c->code, .rang = c->rang};
		if(c->has_attempt || c->cancelled)
			continue;
		f.name[BY_THE_TRUNK] = c->trunk;
		f.name[BY_THE_AGENT] = c->agent;
		f.name[BY_THE_NUMBER] = c->number;
		f.name[BY_THE_CALLER] = c->caller;
		add(r, &f);
	}
}

int failures_read(struct sb_db *db, const struct failures_ask *a, struct failures_read *out)
{
	struct reading r = {.ask = a, .out = out};
	memset(out, 0, sizeof(*out));
	out->failures = failures_new();
	int rc = out->failures != NULL ? 0 : -ENOMEM;
	if(rc == 0)
		rc = read_table(db, &r, CALL_SELECT, "callstate_call_failed_idx", take_call);
	if(rc == 0)
		rc = read_table(db, &r, ATTEMPT_SELECT, "callstate_attempt_failed_idx", take_attempt);
	if(rc == 0) {
		add_rest(&r);
		rc = r.error;
	}
	for(size_t i = 0; i < r.ids.used && i < r.room; i++)
		free(r.call[i].text);
	free(r.call);
	names_free(&r.ids);
	return rc;
}

void failures_read_free(struct failures_read *r)
{
	failures_free(r->failures);
	memset(r, 0, sizeof(*r));
}

/** " WHERE column = " of a dimension, in the index that serves it. */
static const struct
{
	const char *index, *where;
	bool digits, covers; /* covers: answered_at is in it */
} walk[] = {[BY_THE_TRUNK] = {"callstate_call_trunk_idx", "trunk = ? AND ", false, true},
		[BY_THE_AGENT] = {"callstate_call_agent_idx", "agent = ? AND ", false, true},
		[BY_THE_NUMBER] = {"callstate_call_to_idx", "to_digits = ? AND ", true, false},
		[BY_THE_DESTINATION] = {NULL, NULL, false, false},
		[BY_THE_CALLER] = {"callstate_call_from_idx", "from_digits = ? AND ", true, false},
		[BY_THE_CODE] = {"callstate_call_started_idx", "", false, false}};

struct counted
{
	int64_t n[2];
	uint64_t oldest;
};

static bool take_count(const struct sb_db_value *v, unsigned n, void *arg)
{
	struct counted *c = arg;
	for(unsigned i = 0; i < n && i < 2; i++) {
		if(v[i].kind == SB_DB_INT)
			c->n[i] = v[i].i;
		else if(v[i].kind == SB_DB_TEXT)
			c->oldest = calls_time_parse(v[i].text);
	}
	return false;
}

/** The value of the index's first column; false: it cannot be asked for. */
static bool key_of(enum failures_dim dim, const char *name, char out[65])
{
	char digits[64];
	out[0] = '\0';
	if(walk[dim].index == NULL || (dim != BY_THE_CODE && name == NULL))
		return false;
	if(!walk[dim].digits) {
		snprintf(out, 65, "%s", name != NULL ? name : "");
		return true;
	}
	if(!digits_of(digits, sizeof(digits), name, strlen(name)))
		return false;
	size_t n = strlen(digits), len = n < 32 ? n : 32;
	for(size_t i = 0; i < len; i++)
		out[i] = digits[n - 1 - i];
	out[len] = '\0';
	return true;
}

struct answered
{
	char sql[800], key[65], first[27], last[27];
	struct sb_db_value param[8];
	unsigned params;
};

/** The newest answered calls of a dimension in a stretch of time, as a subquery; false: cannot be asked for */
static bool answered_in(struct answered *q, struct sb_db *db, const char *head, const char *column, const char *before,
		enum failures_dim dim, const char *name, uint64_t first, uint64_t last, unsigned most, const char *tail)
{
	char hint[96];
	memset(q, 0, sizeof(*q));
	if(!key_of(dim, name, q->key))
		return false;
	calls_time(q->first, first);
	calls_time(q->last, last);
	snprintf(q->sql, sizeof(q->sql),
			"SELECT %s FROM (SELECT %s FROM callstate_call%s WHERE %sstarted_at >= ? AND started_at <= ? AND "
			"answered_at IS NOT "
			"NULL ORDER BY started_at DESC LIMIT ?) f%s",
			head, column, calls_hint(hint, walk[dim].index, sb_db_dialect(db)), walk[dim].where, tail);
	if(before != NULL)
		q->param[q->params++] = (struct sb_db_value){SB_DB_TEXT, 0, before, strlen(before)};
	if(dim != BY_THE_CODE)
		q->param[q->params++] = (struct sb_db_value){SB_DB_TEXT, 0, q->key, strlen(q->key)};
	q->param[q->params++] = (struct sb_db_value){SB_DB_TEXT, 0, q->first, strlen(q->first)};
	q->param[q->params++] = (struct sb_db_value){SB_DB_TEXT, 0, q->last, strlen(q->last)};
	q->param[q->params++] = (struct sb_db_value){SB_DB_INT, most, NULL, 0};
	return true;
}

static size_t answered(struct sb_db *db, enum failures_dim dim, const char *name, uint64_t first, uint64_t last)
{
	struct answered q;
	struct counted c = {{0, 0}, 0};
	const unsigned most = walk[dim].covers ? GOOD_MAX : GOOD_ROWS_MAX;
	if(!answered_in(&q, db, "COUNT(*), MIN(s)", "started_at AS s", NULL, dim, name, first, last, most, "")
			|| sb_db_query(db, q.sql, q.param, q.params, take_count, &c) < 0)
		return 0;
	if(c.n[0] < most || c.oldest <= first || c.oldest >= last)
		return (size_t)c.n[0];
	return (size_t)((double)c.n[0] * (double)(last - first) / (double)(last - c.oldest));
}

/**
 * What share of the newest answered calls in a walk was answered by this trunk, agent or address: a call that came from a trunk has its
 * name too, and says nothing of calls to it.
 */
static double share(struct sb_db *db, enum failures_dim walk_dim, const char *walk_name, enum failures_dim dim,
		const char *name, uint64_t first, uint64_t last)
{
	static const char *const head[] = {[BY_THE_TRUNK] = "COUNT(*), COUNT(CASE WHEN a.trunk = ? THEN 1 END)",
			[BY_THE_AGENT] = "COUNT(*), COUNT(CASE WHEN a.agent = ? THEN 1 END)",
			[BY_THE_DESTINATION] = "COUNT(*), COUNT(CASE WHEN a.destination = ? THEN 1 END)"};
	struct answered q;
	struct counted c = {{0, 0}, 0};
	if(!answered_in(&q, db, head[dim], "call_id AS id", name, walk_dim, walk_name, first, last, SAMPLE,
			   " JOIN callstate_attempt a ON a.call_id = f.id WHERE a.answered_at IS NOT NULL")
			|| sb_db_query(db, q.sql, q.param, q.params, take_count, &c) < 0 || c.n[0] == 0)
		return 0;
	return (double)c.n[1] / (double)c.n[0];
}

static uint64_t clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void failures_asker(struct failures_asker *a, struct sb_db *db, unsigned budget_ms)
{
	*a = (struct failures_asker){.db = db};
	a->deadline = clock_us() + budget_ms * 1000ull;
}

size_t failures_answered(enum failures_dim dim, const char *name, enum failures_dim via_dim, const char *via,
		uint64_t first, uint64_t last, void *arg)
{
	struct failures_asker *asker = arg;
	struct sb_db *db = asker->db;
	if(clock_us() > asker->deadline) {
		asker->out_of_time = true;
		return FAILURES_NO_TIME;
	}
	if(dim == BY_THE_NUMBER || dim == BY_THE_CALLER || dim == BY_THE_CODE)
		return answered(db, dim, name, first, last);
	if(dim != BY_THE_DESTINATION) {
		via_dim = dim;
		via = name;
	} else if(via == NULL) {
		via_dim = BY_THE_CODE;
	}
	double part = share(db, via_dim, via, dim, name, first, last);
	return part > 0 ? (size_t)((double)answered(db, via_dim, via, first, last) * part + 0.5) : 0;
}

uint64_t failures_last_good(struct sb_db *db, enum failures_dim dim, const char *name)
{
	static const char *const head[] = {[BY_THE_TRUNK] = "MAX(CASE WHEN a.trunk = ? THEN a.answered_at END)",
			[BY_THE_AGENT] = "MAX(CASE WHEN a.agent = ? THEN a.answered_at END)",
			[BY_THE_DESTINATION] = "MAX(CASE WHEN a.destination = ? THEN a.answered_at END)"};
	const uint64_t far = 253402300799000000u; /* the end of the year 9999 */
	bool number = dim == BY_THE_NUMBER || dim == BY_THE_CALLER;
	struct answered q;
	struct counted c = {{0, 0}, 0};
	bool asked = dim != BY_THE_CODE;
	if(asked && number)
		asked = answered_in(&q, db, "MAX(s)", "answered_at AS s", NULL, dim, name, 1, far, 1, "");
	else if(asked)
		asked = answered_in(&q, db, head[dim], "call_id AS id", name, dim == BY_THE_DESTINATION ? BY_THE_CODE : dim,
				name, 1, far, LAST_GOOD,
				" JOIN callstate_attempt a ON a.call_id = f.id WHERE a.answered_at IS NOT NULL");
	if(!asked || sb_db_query(db, q.sql, q.param, q.params, take_count, &c) < 0)
		return 0;
	return c.oldest;
}
