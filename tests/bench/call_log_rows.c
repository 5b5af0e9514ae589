/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Rows of callstate_event into a database, 500 a transaction: by the call log's store, and by multi-row INSERTs of the very same rows,
 * in turns. Prints one line of JSON: ns of each for every round.
 *
 *     call_log_rows URL ROUNDS ROWS       an empty database; rows of one round and side
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call_log_store.h"
#include "db_schema.h"
#include "event.h"

#define BATCH 500u
#define NODE "bd3f50ba-3665-452a-aaed-091cf38e1055"
#define PEER "bench_peer"

struct side
{
	struct sb_cl_arena mem;
	struct sb_cl_row row[BATCH];
	unsigned rows;
};

static struct
{
	struct sb_db_url url;
	struct sb_db *db; /* the peer's */
	struct sb_cl_store *store;
	struct side side;
	char *sql;
	size_t room;
	uint64_t seq;
	char err[SB_CL_ERROR];
} b;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void text(struct sb_out *o, enum sb_col col, const char *s)
{
	sb_put_str(o, col, s, strlen(s));
}

static void put_attempt(struct sb_out *o)
{
	size_t mark = sb_group_begin(o, SB_C_ATTEMPT);

	sb_put_u64(o, SB_C_A_N, 1);
	text(o, SB_C_A_URI, "sip:+442079460199@192.0.2.7:5060");
	text(o, SB_C_A_TRUNK, "carrier-a");
	sb_group_end(o, mark);
}

/* An event as calls have them: five a call. */
static uint32_t make_event(uint8_t *payload, size_t room, uint64_t n)
{
	struct sb_out o = {.p = payload, .cap = room};
	uint64_t call = n / 5;
	uint8_t rnd[10] = {0}, id[16];
	char s[64];

	memcpy(rnd + 2, &call, sizeof(call));
	sb_uuid7(id, 1769868127114ull + call, rnd);
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	snprintf(s, sizeof(s), "%llu-4711@192.0.2.1", (unsigned long long)call);
	text(&o, SB_C_SIP_CALL_ID, s);
	sb_put_time(&o, SB_C_AT, 1769868127114000ull + n * 1000);
	sb_put_u64(&o, SB_C_STATE, SB_ST_RINGING);
	sb_put_u64(&o, SB_C_SEQUENCE, n % 5 + 1);
	put_attempt(&o);
	text(&o, SB_C_SIP_METHOD, "INVITE");
	snprintf(s, sizeof(s), "z9hG4bK%016llx.0", (unsigned long long)(n * 0x9e3779b97f4a7c15ull));
	text(&o, SB_C_SIP_BRANCH, s);
	sb_put_u64(&o, SB_C_SIP_CSEQ, 101);
	sb_put_u64(&o, SB_C_SIP_CODE, 180);
	text(&o, SB_C_SIP_REASON, "Ringing");
	snprintf(s, sizeof(s), "%08llx", (unsigned long long)call * 2654435761u);
	text(&o, SB_C_FROM_TAG, s);
	text(&o, SB_C_TO_TAG, "as5f3c1d2e");
	return (uint32_t)o.len;
}

static int keep_event(enum sb_cl_table table, const struct sb_cl_row *row, void *arg)
{
	struct side *s = arg;

	if(table == SB_CL_EVENT)
		s->row[s->rows++] = *row;
	return 0;
}

static void make_batch(struct side *s)
{
	uint8_t payload[4096];

	sb_cl_reset(&s->mem);
	s->rows = 0;
	while(s->rows < BATCH) {
		uint64_t n = b.seq++;
		struct sb_rec rec = {.hdr = {.type = SB_CALL_RINGING, .epoch = 1, .seq = n}, .payload = payload};

		rec.hdr.len = make_event(payload, sizeof(payload), n);
		if(sb_cl_rows(&rec, NODE, &s->mem, keep_event, s) != 0)
			fail("rows", "an event makes none");
	}
}

static void add(size_t *len, const char *s, size_t n)
{
	if(*len + n + 1 > b.room) {
		b.room = (*len + n + 1) * 2;
		b.sql = realloc(b.sql, b.room);
		if(b.sql == NULL)
			fail("realloc", "out of memory");
	}
	memcpy(b.sql + *len, s, n);
	*len += n;
	b.sql[*len] = '\0';
}

static void add_value(size_t *len, const struct sb_db_value *v)
{
	char number[24];

	if(v->kind == SB_DB_NULL) {
		add(len, "NULL", 4);
		return;
	}
	if(v->kind == SB_DB_INT) {
		add(len, number, (size_t)snprintf(number, sizeof(number), "%lld", (long long)v->i));
		return;
	}
	add(len, "'", 1);
	for(size_t i = 0; i < v->len; i++) {
		if(v->text[i] == '\'' || (v->text[i] == '\\' && b.url.dialect == SB_MARIADB))
			add(len, &v->text[i], 1);
		add(len, &v->text[i], 1);
	}
	add(len, "'", 1);
}

/* One INSERT with all rows, which is a transaction. */
static void peer_put(const struct side *s)
{
	unsigned columns;
	size_t len = 0;

	sb_cl_columns(SB_CL_EVENT, &columns);
	add(&len, "INSERT INTO " PEER " VALUES ", strlen("INSERT INTO " PEER " VALUES "));
	for(unsigned r = 0; r < s->rows; r++) {
		for(unsigned i = 0; i < columns; i++) {
			add(&len, i > 0 ? "," : r > 0 ? ",(" : "(", i > 0 || r == 0 ? 1 : 2);
			add_value(&len, &s->row[r].v[i]);
		}
		add(&len, ")", 1);
	}
	if(sb_db_exec(b.db, b.sql) != 0)
		fail("peer", sb_db_error(b.db));
}

static void our_put(const struct side *s)
{
	struct sb_cl_part part = {SB_CL_EVENT, s->row, s->rows};

	if(b.store->put(b.store, &part, 1, b.err, sizeof(b.err)) != 0)
		fail("ours", b.err);
}

static void say(const char *line, void *arg)
{
	(void)line, (void)arg;
}

static void exec(const char *sql)
{
	if(sb_db_exec(b.db, sql) != 0)
		fail(sql, sb_db_error(b.db));
}

/* The same table, and index, under another name. */
static void make_peer(void)
{
	if(b.url.dialect == SB_MARIADB) {
		exec("CREATE TABLE " PEER " LIKE callstate_event");
		return;
	}
	exec("PRAGMA synchronous = FULL");
	exec("CREATE TABLE " PEER
		 " (event_id VARCHAR(64) PRIMARY KEY NOT NULL, call_id CHAR(36) NOT NULL, sequence INTEGER NOT NULL, "
		 "type VARCHAR(64) NOT NULL, at VARCHAR(26) NOT NULL, state VARCHAR(16) NOT NULL, attempt INTEGER, trunk "
		 "VARCHAR(64), "
		 "agent VARCHAR(64), by_party VARCHAR(16), outcome VARCHAR(16), cause VARCHAR(32), inferred INTEGER, "
		 "sip_method VARCHAR(32), "
		 "sip_code INTEGER, sip_reason VARCHAR(128), sip_cseq BIGINT, sip_branch VARCHAR(128), from_tag VARCHAR(128), "
		 "to_tag VARCHAR(128), note VARCHAR(1000))");
	exec("CREATE INDEX " PEER "_call_idx ON " PEER " (call_id, sequence)");
}

static void begin(const char *url)
{
	if(sb_db_url_parse(&b.url, url, b.err, sizeof(b.err)) != 0
			|| sb_db_open(&b.db, &b.url, true, 10000, b.err, sizeof(b.err)) != 0
			|| sb_db_migrate(b.db, false, say, NULL, b.err, sizeof(b.err)) < 0)
		fail("database", b.err);
	make_peer();
	if(sb_cl_store_new(&b.store, &b.url, 10000) != 0 || b.store->open(b.store, b.err, sizeof(b.err)) != 0)
		fail("store", b.err);
}

static bool take_count(const struct sb_db_value *row, unsigned columns, void *arg)
{
	*(int64_t *)arg = columns == 1 ? row[0].i : -1;
	return false;
}

static void expect(const char *sql, int64_t rows)
{
	int64_t n = -1;

	if(sb_db_query(b.db, sql, NULL, 0, take_count, &n) < 0 || n != rows)
		fail(sql, "not as many rows as were written");
}

int main(int argc, char **argv)
{
	unsigned rounds = argc == 4 ? (unsigned)atoi(argv[2]) : 0, rows = argc == 4 ? (unsigned)atoi(argv[3]) : 0;

	if(rounds == 0 || rows < BATCH) {
		fprintf(stderr, "usage: call_log_rows URL ROUNDS ROWS\n");
		return 2;
	}
	begin(argv[1]);
	printf("{\"batch\":%u,\"rows\":%u,\"ours_ns\":[", BATCH, rows / BATCH * BATCH);
	uint64_t *peer = calloc(rounds, sizeof(*peer));
	for(unsigned r = 0; r < rounds; r++) {
		uint64_t ours = 0;

		for(unsigned i = 0; i < rows / BATCH; i++) {
			make_batch(&b.side);
			uint64_t t0 = now_ns();
			our_put(&b.side);
			uint64_t t1 = now_ns();
			peer_put(&b.side);
			peer[r] += now_ns() - t1;
			ours += t1 - t0;
		}
		printf("%s%llu", r > 0 ? "," : "", (unsigned long long)ours);
	}
	printf("],\"peer_ns\":[");
	for(unsigned r = 0; r < rounds; r++)
		printf("%s%llu", r > 0 ? "," : "", (unsigned long long)peer[r]);
	printf("]}\n");
	expect("SELECT COUNT(*) FROM callstate_event", (int64_t)rounds * (rows / BATCH) * BATCH);
	expect("SELECT COUNT(*) FROM " PEER, (int64_t)rounds * (rows / BATCH) * BATCH);
	b.store->free(b.store);
	sb_db_close(b.db);
	sb_cl_free(&b.side.mem);
	free(b.sql);
	free(peer);
	return 0;
}
