/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_sql.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define X(name, kind) #name,
const char *const calls_column_name[CALL_COLUMNS] = {CALLS_COLUMNS(X)};
#undef X
#define X(name, kind) CALLS_##kind,
const enum calls_kind calls_column_kind[CALL_COLUMNS] = {CALLS_COLUMNS(X)};
#undef X
#define X(name, kind) ", c." #name
static const char columns[] = CALLS_COLUMNS(X);
#undef X

static const struct
{
	const char *index, *column;
} index_of[] = {[BY_START] = {"callstate_call_started_idx", NULL},
		[BY_FROM] = {"callstate_call_from_idx", "from_digits"},
		[BY_TO] = {"callstate_call_to_idx", "to_digits"},
		[BY_AGENT] = {"callstate_call_agent_idx", "agent"},
		[BY_DID] = {"callstate_call_did_idx", "did"},
		[BY_TRUNK] = {"callstate_call_trunk_idx", "trunk"},
		[BY_CODE] = {"callstate_call_code_idx", "sip_code"},
		[BY_STATE] = {"callstate_call_state_idx", "state"}};

const char *calls_hint(char out[96], const char *index, enum sb_dialect dialect)
{
	snprintf(out, 96, dialect == SB_SQLITE ? " INDEXED BY %s" : " FORCE INDEX (%s)", index);
	return out;
}

unsigned calls_candidates(const struct calls_ask *a, enum calls_index out[8])
{
	struct calls_digits d;
	unsigned n = 0;
	if(a->number != NULL && calls_digits(&d, a->number) == 0)
		out[n++] = BY_FROM; /* stands for BY_TO too */
	if(a->agent != NULL)
		out[n++] = BY_AGENT;
	if(a->did != NULL)
		out[n++] = BY_DID;
	if(a->trunk != NULL)
		out[n++] = BY_TRUNK;
	if(a->code_max != 0)
		out[n++] = BY_CODE;
	if(a->states > 0 || a->outcome != OUTCOME_ANY)
		out[n++] = BY_STATE;
	if(n == 0)
		out[n++] = BY_START;
	return n;
}

bool calls_covered(const struct calls_ask *a, enum calls_index by)
{
	struct calls_digits d;
	bool number = a->number != NULL && ((by != BY_FROM && by != BY_TO) || calls_digits(&d, a->number) != 0);
	return !number && (a->agent == NULL || by == BY_AGENT) && (a->did == NULL || by == BY_DID)
		   && (a->trunk == NULL || by == BY_TRUNK) && (a->code_max == 0 || by == BY_CODE)
		   && (by == BY_STATE || (a->states == 0 && a->outcome == OUTCOME_ANY));
}

static void add(struct calls_query *q, const char *part)
{
	SAY(q->sql, "%s", part);
}

static void text(struct calls_query *q, const char *s)
{
	q->param[q->params++] = (struct sb_db_value){.kind = SB_DB_TEXT, .text = s, .len = strlen(s)};
}

static void number(struct calls_query *q, int64_t n)
{
	q->param[q->params++] = (struct sb_db_value){.kind = SB_DB_INT, .i = n};
}

static void term_text(struct calls_query *q, const char *term, const char *s)
{
	add(q, term);
	text(q, s);
}

static void walk_terms(struct calls_query *q, const struct calls_walk *w, uint64_t since, uint64_t until)
{
	SAY(q->sql, " WHERE ");
	if(w->index == BY_CODE) {
		add(q, "sip_code = ? AND ");
		number(q, w->code);
	} else if(w->index != BY_START) {
		SAY(q->sql, "%s = ? AND ", index_of[w->index].column);
		text(q, w->value);
	}
	if(w->index == BY_STATE && w->outcome[0] != '\0')
		term_text(q, "outcome = ? AND ", w->outcome);
	else if(w->index == BY_STATE)
		add(q, "outcome IS NULL AND ");
	calls_time(q->time[0], since);
	calls_time(q->time[1], until);
	term_text(q, "started_at >= ?", q->time[0]);
	term_text(q, " AND started_at < ?", q->time[1]);
}

static void outcome_terms(struct calls_query *q, const struct calls_ask *a)
{
	if(a->outcome == OUTCOME_NAMED)
		term_text(q, " AND outcome = ?", a->outcome_name);
	else if(a->outcome == OUTCOME_ANSWERED)
		add(q, " AND answered_at IS NOT NULL AND outcome IS NULL");
	else if(a->outcome == OUTCOME_FAILED)
		add(q, " AND outcome IS NOT NULL AND answered_at IS NULL");
}

static void forms(struct calls_query *q, const struct calls_ask *a, const char *term)
{
	add(q, term);
	for(unsigned i = 0; i < a->forms; i++)
		term_text(q, i == 0 ? "?" : ", ?", a->form[i]);
	add(q, ")");
}

/** What the walk does not say by itself. */
static void rest_terms(struct calls_query *q, const struct calls_ask *a, enum calls_index by)
{
	struct calls_digits d;
	if(a->trunk != NULL && by != BY_TRUNK)
		term_text(q, " AND trunk = ?", a->trunk);
	if(a->agent != NULL && by != BY_AGENT)
		term_text(q, " AND agent = ?", a->agent);
	if(a->did != NULL && by != BY_DID)
		term_text(q, " AND did = ?", a->did);
	if(a->code_max != 0 && by != BY_CODE) {
		add(q, " AND sip_code >= ? AND sip_code <= ?");
		number(q, a->code_min);
		number(q, a->code_max);
	}
	if(a->number != NULL && by != BY_FROM && by != BY_TO && a->forms > 0) {
		forms(q, a, " AND (from_digits IN (");
		forms(q, a, " OR to_digits IN (");
		add(q, ")");
	} else if(a->number != NULL && calls_digits(&d, a->number) != 0) {
		term_text(q, " AND (from_number = ?", a->number);
		term_text(q, " OR to_number = ?)", a->number);
	}
	if(by != BY_STATE) {
		for(unsigned i = 0; i < a->states; i++) {
			term_text(q, i == 0 ? " AND state IN (?" : ", ?", a->state[i]);
			if(i + 1 == a->states)
				add(q, ")");
		}
	}
	if(by != BY_STATE || a->outcome == OUTCOME_ANSWERED || a->outcome == OUTCOME_FAILED)
		outcome_terms(q, a);
}

void calls_select(struct calls_query *q, const struct calls_ask *a, const struct calls_walk *w, uint64_t since,
		uint64_t until, unsigned limit, enum sb_dialect dialect)
{
	char hint[96];
	memset(q, 0, sizeof(*q));
	SAY(q->sql, "SELECT %s FROM (SELECT call_id AS id, started_at AS at FROM callstate_call%s", columns + 2,
			calls_hint(hint, index_of[w->index].index, dialect));
	walk_terms(q, w, since, until);
	rest_terms(q, a, w->index);
	add(q, " ORDER BY started_at DESC LIMIT ?) f JOIN callstate_call c ON c.call_id = f.id ORDER BY f.at DESC");
	number(q, limit);
}

void calls_count(struct calls_query *q, const struct calls_walk *w, uint64_t since, uint64_t until, unsigned most,
		enum sb_dialect dialect)
{
	char hint[96];
	memset(q, 0, sizeof(*q));
	SAY(q->sql, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM callstate_call%s",
			calls_hint(hint, index_of[w->index].index, dialect));
	walk_terms(q, w, since, until);
	add(q, " LIMIT ?) f");
	number(q, most);
}

bool calls_id_like(const char *s)
{
	size_t n = strlen(s);
	return n >= 13 && n <= 36 && strspn(s, "0123456789abcdef-") == n && s[8] == '-';
}

int calls_select_one(struct calls_query *q, const char *id, char room[2][80])
{
	memset(q, 0, sizeof(*q));
	SAY(q->sql, "SELECT %s FROM callstate_call c WHERE ", columns + 2);
	if(calls_id_like(id)) {
		snprintf(room[0], 80, "%s", id);
		snprintf(room[1], 80, "%s~", id);
		term_text(q, "call_id >= ?", room[0]);
		term_text(q, " AND call_id <= ? ORDER BY call_id DESC LIMIT 2", room[1]);
	} else {
		term_text(q, "sip_call_id = ? ORDER BY started_at DESC LIMIT 2", id);
	}
	return 0;
}
