/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The SQL behind `signalbox calls`: which index to walk, newest first, and what is left to look at in each row. Pure.
 *
 * A walk is one index and one value (or two) of its first columns: within it calls stand in the order of their start. What was asked for may
 * need several walks (a number's forms, the codes of 5xx); their results are merged.
 */
#ifndef SB_CLI_CALLS_SQL_H
#define SB_CLI_CALLS_SQL_H

#include "calls_ask.h"
#include "db.h"

/** X(name, how it is read): TEXT, WHEN (a time), NUMBER, JSON. The order is that of every SELECT. */
#define CALLS_COLUMNS(X)      \
	X(call_id, TEXT)          \
	X(sip_call_id, TEXT)      \
	X(node, TEXT)             \
	X(state, TEXT)            \
	X(direction, TEXT)        \
	X(from_number, TEXT)      \
	X(from_uri, TEXT)         \
	X(from_name, TEXT)        \
	X(to_number, TEXT)        \
	X(to_uri, TEXT)           \
	X(request_uri, TEXT)      \
	X(source, TEXT)           \
	X(did, TEXT)              \
	X(flow, TEXT)             \
	X(trunk, TEXT)            \
	X(agent, TEXT)            \
	X(started_at, WHEN)       \
	X(ringing_at, WHEN)       \
	X(answered_at, WHEN)      \
	X(ended_at, WHEN)         \
	X(duration_ms, NUMBER)    \
	X(pdd_ms, NUMBER)         \
	X(attempts, NUMBER)       \
	X(outcome, TEXT)          \
	X(sip_code, NUMBER)       \
	X(sip_reason, TEXT)       \
	X(q850, NUMBER)           \
	X(hangup_by, TEXT)        \
	X(hangup_cause, TEXT)     \
	X(inferred, NUMBER)       \
	X(transferred_from, TEXT) \
	X(transferred_to, TEXT)   \
	X(attributes, JSON)

enum calls_column
{
#define X(name, kind) CALL_##name,
	CALLS_COLUMNS(X)
#undef X
			CALL_COLUMNS
};
enum calls_kind
{
	CALLS_TEXT,
	CALLS_WHEN,
	CALLS_NUMBER,
	CALLS_JSON
};
extern const char *const calls_column_name[CALL_COLUMNS];
extern const enum calls_kind calls_column_kind[CALL_COLUMNS];

enum calls_index
{
	BY_START,
	BY_FROM,
	BY_TO,
	BY_AGENT,
	BY_DID,
	BY_TRUNK,
	BY_CODE,
	BY_STATE /* and outcome */
};

struct calls_walk
{
	enum calls_index index;
	char value[65];   /* of the index's first column; BY_CODE: code instead */
	char outcome[17]; /* BY_STATE; "": NULL */
	unsigned code;
};

#define CALLS_SQL 3000u
#define CALLS_PARAMS 48u

struct calls_query
{
	char sql[CALLS_SQL];
	struct sb_db_value param[CALLS_PARAMS]; /* texts are those of ask and walk, and of time */
	unsigned params;
	char time[2][27];
};

/** The indexes that could serve what was asked for, the one that is likely the best first. BY_START always can. @return how many */
unsigned calls_candidates(const struct calls_ask *a, enum calls_index out[8]);

/** True if nothing is left to look at beside the walk's own index: it ends after `limit` entries, however old the oldest is. */
bool calls_covered(const struct calls_ask *a, enum calls_index by);

/** Newest calls of one walk with since ≤ started < until (µs), at most limit, all columns. */
void calls_select(struct calls_query *q, const struct calls_ask *a, const struct calls_walk *w, uint64_t since,
		uint64_t until, unsigned limit, enum sb_dialect dialect);

/** How many entries a walk has in that time, counted up to `most`: one row, one number. */
void calls_count(struct calls_query *q, const struct calls_walk *w, uint64_t since, uint64_t until, unsigned most,
		enum sb_dialect dialect);

/** The calls with this call id, this beginning of one, or this SIP Call-ID, newest first, at most two. @return 0, or -EINVAL: too short */
int calls_select_one(struct calls_query *q, const char *id, char room[2][80]);
/** True if it looks like a call id or its beginning, from 13 characters on. */
bool calls_id_like(const char *s);

/** " INDEXED BY x" or " FORCE INDEX (x)": neither planner is left to guess. */
const char *calls_hint(char out[96], const char *index, enum sb_dialect dialect);

#endif
