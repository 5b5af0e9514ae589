/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_walks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 64u
#define PROBE 20000u /* entries counted at most, to find the shorter walk */

void calls_walks_free(struct calls_walks *w)
{
	free(w->walk);
	memset(w, 0, sizeof(*w));
}

static int add(struct calls_walks *w, const struct calls_walk *new)
{
	if(w->walks == w->room) {
		size_t room = w->room > 0 ? w->room * 2 : 16;
		struct calls_walk *p = realloc(w->walk, room * sizeof(*p));
		if(p == NULL)
			return -ENOMEM;
		w->walk = p;
		w->room = room;
	}
	w->walk[w->walks++] = *new;
	return 0;
}

struct one
{
	char text[65];
	int64_t number;
	bool there;
};

static bool take_one(const struct sb_db_value *row, unsigned n, void *arg)
{
	struct one *o = arg;
	if(n > 0 && row[0].kind == SB_DB_TEXT && row[0].len < sizeof(o->text)) {
		memcpy(o->text, row[0].text, row[0].len);
		o->text[row[0].len] = '\0';
		o->there = true;
	} else if(n > 0 && row[0].kind == SB_DB_INT) {
		o->number = row[0].i;
		o->there = true;
	}
	return false;
}

static int ask_one(struct sb_db *db, const char *sql, const struct sb_db_value *param, unsigned params, struct one *o)
{
	memset(o, 0, sizeof(*o));
	int64_t rc = sb_db_query(db, sql, param, params, take_one, o);
	return rc < 0 ? (int)rc : 0;
}

static struct sb_db_value text_value(const char *s)
{
	return (struct sb_db_value){.kind = SB_DB_TEXT, .text = s, .len = strlen(s)};
}

static struct sb_db_value int_value(int64_t n)
{
	return (struct sb_db_value){.kind = SB_DB_INT, .i = n};
}

static int number_column(struct sb_db *db, const struct calls_digits *d, enum calls_index index, struct calls_walks *w)
{
	const char *column = index == BY_FROM ? "from_digits" : "to_digits";
	const char *name = index == BY_FROM ? "callstate_call_from_idx" : "callstate_call_to_idx";
	char hint[96], sql[320], last[33] = "", end[34];
	struct one o;
	int rc = 0;
	calls_hint(hint, name, sb_db_dialect(db));
	snprintf(sql, sizeof(sql), "SELECT %s FROM callstate_call%s WHERE %s = ? LIMIT 1", column, hint, column);
	for(unsigned i = 0; rc == 0 && i < d->exacts; i++) {
		struct calls_walk walk = {.index = index};
		struct sb_db_value v = text_value(d->exact[i]);
		rc = ask_one(db, sql, &v, 1, &o);
		memcpy(walk.value, d->exact[i], sizeof(d->exact[i]));
		if(rc == 0 && o.there)
			rc = add(w, &walk);
	}
	if(d->prefix[0] == '\0')
		return rc;
	snprintf(end, sizeof(end), "%s:", d->prefix);
	for(unsigned n = 0; rc == 0; n++) {
		struct calls_walk walk = {.index = index};
		struct sb_db_value v[2] = {text_value(n == 0 ? d->prefix : last), text_value(end)};
		snprintf(sql, sizeof(sql), "SELECT %s FROM callstate_call%s WHERE %s %s ? AND %s < ? ORDER BY %s LIMIT 1",
				column, hint, column, n == 0 ? ">=" : ">", column, column);
		rc = ask_one(db, sql, v, 2, &o);
		if(rc != 0 || !o.there)
			break;
		if(n == NUMBERS_MAX) {
			w->many_numbers = true;
			break;
		}
		snprintf(last, sizeof(last), "%.32s", o.text);
		memcpy(walk.value, o.text, sizeof(walk.value));
		rc = add(w, &walk);
	}
	return rc;
}

static int code_walks(struct sb_db *db, const struct calls_ask *a, struct calls_walks *w)
{
	char hint[96], sql[256];
	int rc = 0;
	snprintf(sql, sizeof(sql),
			"SELECT sip_code FROM callstate_call%s WHERE sip_code >= ? AND sip_code <= ? ORDER BY sip_code LIMIT 1",
			calls_hint(hint, "callstate_call_code_idx", sb_db_dialect(db)));
	for(unsigned from = a->code_min; rc == 0 && from <= a->code_max;) {
		struct calls_walk walk = {.index = BY_CODE};
		struct sb_db_value v[2] = {int_value(from), int_value(a->code_max)};
		struct one o;
		rc = ask_one(db, sql, v, 2, &o);
		if(rc != 0 || !o.there)
			break;
		walk.code = (unsigned)o.number;
		from = walk.code + 1;
		rc = add(w, &walk);
	}
	return rc;
}

/** All outcomes a state has, and none. */
static int outcomes_of(struct sb_db *db, const char *state, bool none, struct calls_walks *w)
{
	char hint[96], sql[256];
	struct calls_walk walk = {.index = BY_STATE};
	snprintf(walk.value, sizeof(walk.value), "%s", state);
	int rc = none ? add(w, &walk) : 0;
	snprintf(sql, sizeof(sql),
			"SELECT outcome FROM callstate_call%s WHERE state = ? AND outcome > ? ORDER BY outcome LIMIT 1",
			calls_hint(hint, "callstate_call_state_idx", sb_db_dialect(db)));
	while(rc == 0) {
		struct sb_db_value v[2] = {text_value(state), text_value(walk.outcome)};
		struct one o;
		rc = ask_one(db, sql, v, 2, &o);
		if(rc != 0 || !o.there)
			break;
		snprintf(walk.outcome, sizeof(walk.outcome), "%.16s", o.text);
		rc = add(w, &walk);
	}
	return rc;
}

static int state_walks(struct sb_db *db, const struct calls_ask *a, struct calls_walks *w)
{
	static const char *const any[] = {"calling", "ringing", "early_media", "confirmed", "held", "transferred",
			"disconnected", "failed", "timeout"};
	int rc = 0;
	for(unsigned i = 0; rc == 0 && i < (a->states > 0 ? a->states : CALLS_STATES_MAX); i++) {
		const char *state = a->states > 0 ? a->state[i] : any[i];
		struct calls_walk walk = {.index = BY_STATE};
		if(a->outcome == OUTCOME_ANY || a->outcome == OUTCOME_FAILED) {
			rc = outcomes_of(db, state, a->outcome == OUTCOME_ANY, w);
			continue;
		}
		snprintf(walk.value, sizeof(walk.value), "%s", state);
		if(a->outcome == OUTCOME_NAMED)
			snprintf(walk.outcome, sizeof(walk.outcome), "%s", a->outcome_name);
		rc = add(w, &walk);
	}
	return rc;
}

static int make(struct sb_db *db, const struct calls_ask *a, enum calls_index by, struct calls_walks *w)
{
	struct calls_walk walk = {.index = by};
	struct calls_digits d;
	int rc;
	switch(by) {
		case BY_FROM:
		case BY_TO:
			calls_digits(&d, a->number);
			rc = number_column(db, &d, BY_FROM, w);
			return rc == 0 ? number_column(db, &d, BY_TO, w) : rc;
		case BY_CODE:
			return code_walks(db, a, w);
		case BY_STATE:
			return state_walks(db, a, w);
		default:
			snprintf(walk.value, sizeof(walk.value), "%s",
					by == BY_AGENT   ? a->agent
					: by == BY_DID   ? a->did
					: by == BY_TRUNK ? a->trunk
									 : "");
			return add(w, &walk);
	}
}

static int count(struct sb_db *db, const struct calls_walks *w, uint64_t since, uint64_t until, uint64_t *out)
{
	struct calls_query q;
	*out = 0;
	for(size_t i = 0; i < w->walks && *out < PROBE; i++) {
		struct one o;
		calls_count(&q, &w->walk[i], since, until, PROBE, sb_db_dialect(db));
		int rc = ask_one(db, q.sql, q.param, q.params, &o);
		if(rc != 0)
			return rc;
		*out += (uint64_t)o.number;
	}
	return 0;
}

/** The forms a number has in the log, if they are few: another walk can look for them. */
static void take_forms(struct calls_ask *a, const struct calls_walks *w)
{
	a->forms = 0;
	for(size_t i = 0; i < w->walks; i++) {
		unsigned k = 0;
		while(k < a->forms && strcmp(a->form[k], w->walk[i].value) != 0)
			k++;
		if(k == a->forms && (k == CALLS_FORMS || w->many_numbers)) {
			a->forms = 0;
			return;
		}
		if(k == a->forms)
			memcpy(a->form[a->forms++], w->walk[i].value, sizeof(a->form[0]));
	}
}

int calls_walks_choose(struct sb_db *db, struct calls_ask *a, uint64_t since, uint64_t until, struct calls_walks *out)
{
	enum calls_index by[8];
	unsigned n = calls_candidates(a, by);
	uint64_t best = UINT64_MAX;
	memset(out, 0, sizeof(*out));
	if(n == 1)
		return make(db, a, by[0], out);
	for(unsigned i = 0; i < n && best > 0; i++) {
		struct calls_walks w = {0};
		uint64_t entries;
		int rc = make(db, a, by[i], &w);
		if(rc == 0 && by[i] == BY_FROM) {
			take_forms(a, &w);
			n = a->forms > 0 ? n : 1;
		}
		if(rc == 0)
			rc = count(db, &w, since, until, &entries);
		if(rc == 0 && entries < best) {
			struct calls_walks worse = *out;
			*out = w;
			w = worse;
			best = entries;
		}
		calls_walks_free(&w);
		if(rc != 0)
			return rc;
	}
	return 0;
}
