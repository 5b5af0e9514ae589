/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Fills a call log with made-up calls for tests/bench/call_log_queries.mjs: 30 days, 10 trunks, 2,000 agents, 200 DIDs,
 * a million numbers, 8 % failures, carrier-b answering 503 to most calls of the last 40 minutes, and some calls that are still up.
 *
 *     call_log_queries sqlite CALLS END FILE    the tables are there, and empty; indexes are best made afterwards
 *     call_log_queries call|attempt|event CALLS END    one table as LOAD DATA takes it, on stdout
 *
 * END: when the log ends, seconds since 1970. Events are made for the newest hundredth of the calls. The same CALLS and END give the same rows.
 */
#include "event.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US 1000000ull
#define DAYS 30
#define NODE "7c2d1a52-6c0e-4f6a-9a53-0d1f6f1e2b11"
#define COLUMNS_MAX 40

enum table
{
	CALL,
	ATTEMPT,
	EVENT,
	TABLES
};
static const char *const table_name[TABLES] = {"callstate_call", "callstate_attempt", "callstate_event"};
static const int columns[TABLES] = {37, 19, 21};

struct value
{
	enum
	{
		NONE,
		NUMBER,
		TEXT
	} kind;
	int64_t n;
	char s[128];
};

struct row
{
	struct value v[COLUMNS_MAX];
	int n;
};

struct out
{
	sqlite3_stmt *st[TABLES]; /* SQLite */
	enum table only;          /* else the one that is written to stdout */
	sqlite3 *db;
};

struct call
{
	char id[37];
	uint64_t start, ring, answer, end; /* µs, 0: not */
	unsigned trunk, agent, did, code;  /* 0: none */
	uint64_t from, to;
	const char *state, *outcome, *reason, *by, *cause;
	unsigned tries;
	unsigned first_code; /* of the try that another trunk rescued */
	char attributes;
};

static uint64_t seed = 20260131;

static uint64_t chance(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % n;
}

static void text(struct row *r, const char *s)
{
	struct value *v = &r->v[r->n++];
	v->kind = s != NULL ? TEXT : NONE;
	if(s != NULL)
		snprintf(v->s, sizeof(v->s), "%s", s);
}

static void number(struct row *r, bool there, int64_t n)
{
	struct value *v = &r->v[r->n++];
	v->kind = there ? NUMBER : NONE;
	v->n = n;
}

/** One of numbered things, or NULL for 0. */
static void named(struct row *r, const char *format, unsigned n)
{
	char s[64];
	snprintf(s, sizeof(s), format, n);
	text(r, n != 0 ? s : NULL);
}

static void trunk(struct row *r, unsigned n)
{
	char s[16] = "carrier-a";
	s[8] = (char)('a' + n - 1);
	text(r, n != 0 ? s : NULL);
}

static void when(struct row *r, uint64_t us)
{
	static time_t day = -1;
	static char date[11];
	struct value *v = &r->v[r->n++];
	time_t t = (time_t)(us / US);
	unsigned s = (unsigned)(t % 86400);
	v->kind = us != 0 ? TEXT : NONE;
	if(us == 0)
		return;
	if(t / 86400 != day) {
		struct tm tm;
		day = t / 86400;
		gmtime_r(&t, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	}
	snprintf(v->s, sizeof(v->s), "%s %02u:%02u:%02u.%06u", date, s / 3600, s / 60 % 60, s % 60, (unsigned)(us % US));
}

/** Distinct for n below a million, and their ends spread over all digits. */
static uint64_t phone(uint64_t n)
{
	return 2000000000ull + (n * 7368787ull + 1234567ull) % 7999999999ull;
}

static void backwards(struct row *r, uint64_t n)
{
	char s[24], b[24];
	int len = snprintf(s, sizeof(s), "44%" PRIu64, n);
	for(int i = 0; i < len; i++)
		b[i] = s[len - 1 - i];
	b[len] = '\0';
	text(r, b);
}

static void formatted(struct row *r, const char *format, uint64_t n)
{
	char s[128];
	snprintf(s, sizeof(s), format, n);
	text(r, s);
}

/** Rows of the other tables are not even put together. */
static bool wanted(const struct out *o, enum table t)
{
	return o->db != NULL || o->only == t;
}

static void put(struct out *o, enum table t, const struct row *r)
{
	if(o->db == NULL) {
		for(int i = 0; i < r->n; i++) {
			if(r->v[i].kind == NUMBER)
				printf("%" PRId64, r->v[i].n);
			else
				fputs(r->v[i].kind == TEXT ? r->v[i].s : "\\N", stdout);
			putchar(i + 1 == r->n ? '\n' : '\t');
		}
		return;
	}
	for(int i = 0; i < r->n; i++) {
		if(r->v[i].kind == NUMBER)
			sqlite3_bind_int64(o->st[t], i + 1, r->v[i].n);
		else if(r->v[i].kind == TEXT)
			sqlite3_bind_text(o->st[t], i + 1, r->v[i].s, -1, SQLITE_STATIC);
		else
			sqlite3_bind_null(o->st[t], i + 1);
	}
	if(sqlite3_step(o->st[t]) != SQLITE_DONE) {
		fprintf(stderr, "call_log_queries: %s: %s\n", table_name[t], sqlite3_errmsg(o->db));
		exit(1);
	}
	sqlite3_reset(o->st[t]);
}

static void put_call(struct out *o, const struct call *c)
{
	struct row r = {.n = 0};
	text(&r, c->id);
	formatted(&r, "%016" PRIx64 "@198.51.100.7", c->from * 2654435761u ^ c->start);
	text(&r, NODE);
	number(&r, true, c->end != 0 ? 5 : 3);
	text(&r, c->state);
	text(&r, c->did != 0 ? "inbound" : "outbound");
	formatted(&r, "+44%" PRIu64, c->from);
	formatted(&r, "+44%" PRIu64, c->to);
	backwards(&r, c->from);
	backwards(&r, c->to);
	formatted(&r, "sip:+44%" PRIu64 "@198.51.100.7", c->from);
	text(&r, NULL);
	formatted(&r, "sip:+44%" PRIu64 "@sip.example.com", c->to);
	formatted(&r, "sip:+44%" PRIu64 "@sip.example.com;user=phone", c->to);
	text(&r, "udp:198.51.100.7:5060");
	if(c->did != 0)
		formatted(&r, "+44%" PRIu64, c->to);
	else
		text(&r, NULL);
	text(&r, c->did != 0 ? "main" : NULL);
	trunk(&r, c->trunk);
	named(&r, "agent-%u", c->agent);
	when(&r, c->start);
	when(&r, c->ring);
	when(&r, c->answer);
	when(&r, c->end);
	when(&r, c->answer == 0 ? c->end : 0);
	number(&r, c->answer != 0 && c->end != 0, (int64_t)(c->end - c->answer) / 1000);
	number(&r, c->ring != 0, (int64_t)(c->ring - c->start) / 1000);
	number(&r, true, c->tries);
	text(&r, c->outcome);
	number(&r, c->code != 0, c->code);
	text(&r, c->reason);
	number(&r, c->answer != 0 && c->end != 0, 16);
	text(&r, c->by);
	text(&r, c->cause);
	number(&r, false, 0);
	text(&r, NULL);
	text(&r, NULL);
	text(&r, c->attributes ? "{\"customer.tier\":\"gold\",\"attr.tariff\":\"uk-national\"}" : NULL);
	put(o, CALL, &r);
}

/** One branch; code 200 is the one that answered, 487 one that the caller cancelled. */
static void put_attempt(
		struct out *o, const struct call *c, int n, unsigned by_trunk, unsigned code, uint64_t start, uint64_t end)
{
	struct row r = {.n = 0};
	bool last = n == (int)c->tries;
	text(&r, c->id);
	number(&r, true, n);
	number(&r, true, 5);
	formatted(&r, c->did != 0 ? "sip:agent-%" PRIu64 "@192.0.2.77:5060" : "sip:+44%" PRIu64 "@192.0.2.7",
			c->did != 0 ? c->agent : c->to);
	named(&r, c->did != 0 ? "udp:192.0.2.77:%u" : "udp:192.0.2.%u:5060", c->did != 0 ? 10000 + c->agent : by_trunk);
	trunk(&r, c->did != 0 ? 0 : by_trunk);
	named(&r, "agent-%u", c->did != 0 ? c->agent : 0);
	formatted(&r, "+44%" PRIu64, c->to);
	when(&r, start);
	when(&r, last ? c->ring : 0);
	when(&r, 0);
	when(&r, code == 200 ? c->answer : 0);
	when(&r, end);
	when(&r, code != 200 && code != 487 ? end : 0);
	number(&r, last && c->ring != 0, (int64_t)(c->ring - start) / 1000);
	number(&r, end != 0 || code == 200, code);
	text(&r, code == 200 ? "OK" : c->reason);
	number(&r, code == 408, 1);
	number(&r, false, 0);
	put(o, ATTEMPT, &r);
}

static void put_attempts(struct out *o, const struct call *c)
{
	const uint64_t refused_after = 90000;
	if(c->first_code != 0)
		put_attempt(o, c, 1, c->trunk % 10 + 1, c->first_code, c->start, c->start + refused_after);
	put_attempt(o, c, (int)c->tries, c->trunk, c->answer != 0 ? 200 : c->code,
			c->start + (c->tries - 1) * refused_after, c->end);
}

static void put_event(struct out *o, const struct call *c, int n, const char *type, uint64_t at, const char *state)
{
	static uint64_t sequence;
	struct row r = {.n = 0};
	bool end = strcmp(type, "call.cdr") == 0;
	formatted(&r, "7c2d1a526c0e4f6a9a530d1f6f1e2b11-1-%" PRIx64, ++sequence);
	text(&r, c->id);
	number(&r, true, n);
	text(&r, type);
	when(&r, at);
	text(&r, state);
	number(&r, true, (int64_t)c->tries);
	trunk(&r, c->trunk);
	named(&r, "agent-%u", c->agent);
	text(&r, end ? c->by : NULL);
	text(&r, end ? c->outcome : NULL);
	text(&r, end ? c->cause : NULL);
	number(&r, false, 0);
	text(&r, "INVITE");
	number(&r, end && c->code != 0, c->code);
	text(&r, end ? c->reason : NULL);
	number(&r, true, 1);
	text(&r, NULL);
	text(&r, "a1");
	text(&r, "b1");
	text(&r, NULL);
	put(o, EVENT, &r);
}

static void put_events(struct out *o, const struct call *c)
{
	int n = 0;
	put_event(o, c, ++n, "call.initiated", c->start, "calling");
	if(c->ring != 0)
		put_event(o, c, ++n, "call.ringing", c->ring, "ringing");
	if(c->answer != 0)
		put_event(o, c, ++n, "call.answered", c->answer, "confirmed");
	if(c->end == 0)
		return;
	put_event(o, c, ++n,
			c->answer != 0   ? "call.ended"
			: c->code == 408 ? "call.timeout"
							 : "call.failed",
			c->end, c->state);
	put_event(o, c, ++n, "call.cdr", c->end, c->state);
}

static const struct failure
{
	unsigned share; /* of 1000 failures */
	unsigned code;
	const char *outcome, *reason, *by, *cause;
	bool rang;
} failures[] = {{300, 486, "busy", "Busy Here", "callee", "final_reply", false},
		{220, 487, "cancelled", "Request Terminated", "caller", "cancel", true},
		{200, 408, "no_answer", "Request Timeout", "proxy", "no_answer", true},
		{85, 480, "unavailable", "Temporarily Unavailable", "callee", "final_reply", false},
		{80, 404, "not_found", "Not Found", "callee", "final_reply", false},
		{60, 503, "error", "Service Unavailable", "callee", "final_reply", false},
		{30, 603, "rejected", "Decline", "callee", "final_reply", true},
		{15, 408, "no_response", "Request Timeout", "proxy", "no_response", false},
		{9, 403, "forbidden", "Forbidden", "callee", "final_reply", false},
		{1, 488, "error", "Not Acceptable Here", "callee", "final_reply", false}};

static void fail(struct call *c, const struct failure *f)
{
	c->code = f->code;
	c->outcome = f->outcome;
	c->reason = f->reason;
	c->by = f->by;
	c->cause = f->cause;
	c->state = f->code == 408 ? "timeout" : "failed";
	c->ring = f->rang ? c->start + 200000 + chance(3 * US) : 0;
	c->end = c->start + (f->rang ? 5 * US + chance(40 * US) : f->code == 408 ? 2 * US : 50000 + chance(900000));
	c->answer = 0;
}

/** UUIDv7 */
static void id_of(char out[37], uint64_t us)
{
	uint8_t rnd[10], id[16];
	uint64_t a = chance(UINT64_MAX), b = chance(UINT64_MAX);
	memcpy(rnd, &a, 5);
	memcpy(rnd + 5, &b, 5);
	sb_uuid7(id, us / 1000, rnd);
	sb_uuid_text(out, id);
}

/** @param now µs, the end of the log */
static void make(struct call *c, uint64_t start, uint64_t now)
{
	const uint64_t outage = 40 * 60 * US;
	*c = (struct call){
			.start = start, .tries = 1, .agent = 1 + (unsigned)chance(2000), .trunk = 1 + (unsigned)chance(10)};
	id_of(c->id, start);
	c->from = c->to = phone(chance(1000000));
	if(chance(100) < 60) {
		c->did = 1 + (unsigned)(chance(100) < 15 ? 0 : chance(200));
		c->to = 2079460000ull + c->did;
	} else {
		c->from = 2079460000ull + 1 + chance(200);
	}
	c->attributes = chance(10) == 0;
	c->ring = start + 200000 + chance(2 * US);
	c->answer = c->ring + US + chance(15 * US);
	c->end = c->answer + 5 * US + chance(300 * US);
	c->state = "disconnected";
	c->by = chance(2) == 0 ? "caller" : "callee";
	c->cause = "bye";
	uint64_t dice = chance(1000);
	if(chance(1000) < 80) {
		const struct failure *f = failures;
		while(dice >= f->share)
			dice -= (f++)->share;
		fail(c, f);
	} else if(c->did == 0 && c->trunk == 2 && now - start < outage && dice < 900) {
		fail(c, &failures[5]);
	} else if(c->did == 0 && dice < 10) {
		c->tries = 2;
		c->first_code = 503;
	}
	if(c->end >= now && c->answer < now && c->answer != 0) {
		c->end = 0;
		c->state = c->answer < now ? "confirmed" : "ringing";
		c->by = c->cause = NULL;
	}
}

static void fill(struct out *o, uint64_t calls, uint64_t now)
{
	uint64_t first = now - DAYS * 86400ull * US;
	for(uint64_t i = 0; i < calls; i++) {
		struct call c;
		uint64_t step = DAYS * 86400ull * US / calls;
		make(&c, first + i * step + chance(step), now);
		if(wanted(o, CALL))
			put_call(o, &c);
		if(wanted(o, ATTEMPT))
			put_attempts(o, &c);
		if(i >= calls - calls / 100 && wanted(o, EVENT))
			put_events(o, &c);
	}
}

static int fill_sqlite(const char *file, uint64_t calls, uint64_t now)
{
	struct out o = {0};
	if(sqlite3_open_v2(file, &o.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK
			|| sqlite3_exec(o.db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN", NULL, NULL, NULL)
					   != SQLITE_OK)
		goto failed;
	for(int t = 0; t < TABLES; t++) {
		char sql[256];
		int n = snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES (?", table_name[t]);
		for(int i = 1; i < columns[t]; i++)
			n += snprintf(sql + n, sizeof(sql) - (size_t)n, ",?");
		snprintf(sql + n, sizeof(sql) - (size_t)n, ")");
		if(sqlite3_prepare_v2(o.db, sql, -1, &o.st[t], NULL) != SQLITE_OK)
			goto failed;
	}
	fill(&o, calls, now);
	for(int t = 0; t < TABLES; t++)
		sqlite3_finalize(o.st[t]);
	if(sqlite3_exec(o.db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		goto failed;
	sqlite3_close(o.db);
	return 0;
failed:
	fprintf(stderr, "call_log_queries: %s: %s\n", file, sqlite3_errmsg(o.db));
	sqlite3_close(o.db);
	return 1;
}

int main(int argc, char **argv)
{
	struct out o = {0};
	uint64_t calls = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t end = argc > 3 ? strtoull(argv[3], NULL, 10) * US : 0;
	bool sane = calls >= 100 && end > DAYS * 86400ull * US;
	if(sane && argc == 5 && strcmp(argv[1], "sqlite") == 0)
		return fill_sqlite(argv[4], calls, end);
	for(; sane && argc == 4 && o.only < TABLES; o.only++) {
		if(strcmp(table_name[o.only] + strlen("callstate_"), argv[1]) == 0) {
			fill(&o, calls, end);
			return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
		}
	}
	fprintf(stderr, "call_log_queries sqlite CALLS END FILE | call|attempt|event CALLS END: at least 100 calls\n");
	return 2;
}
