/* SPDX-License-Identifier: GPL-2.0-or-later */
/** The engine of the call log on a real log, with a store that does what the test wants. Include behind cmocka.h. */
#ifndef CALL_LOG_FAKE_H
#define CALL_LOG_FAKE_H

#include "call_log_fixture.h"
#include "log_fixture.h"

#include "call_log.h"

#include <sqlite3.h>

#define ROWS_MAX 8192
#define SECOND 1000000ull

struct kept
{
	enum sb_cl_table table;
	char key[80];
	int64_t sequence;
};

struct fake
{
	struct sb_cl_store base;
	bool open;
	unsigned opens, puts, transactions;
	int open_rc;      /* what open() returns */
	int put_rc;       /* what put() returns, if not 0 */
	unsigned fail_at; /* the put() of this number fails with fail_rc */
	int fail_rc;
	bool fail_after;      /* it fails after it has written: the answer to a commit was lost */
	const char *bad_key;  /* rows whose key contains it are refused */
	const char *bad_last; /* rows whose key ends with one of these */
	int bad_table;        /* all rows of this table are refused; -1: none */
	struct kept row[ROWS_MAX];
	unsigned rows;
	unsigned largest; /* rows of one part */
};

struct test
{
	struct fixture log;
	struct fake store;
	struct sb_call_log_status status;
	struct sb_call_log_cfg cfg;
	struct sb_call_log *c;
	uint64_t at; /* µs, both clocks */
	unsigned said[3];
	char text[2000];
	struct made made;
	char err[1024];
};

static struct test *now_testing;

static inline void key_of(char key[80], enum sb_cl_table table, const struct sb_cl_row *row)
{
	if(table == SB_CL_ATTEMPT)
		snprintf(key, 80, "%s/%lld", cell_text(&row->v[0]), (long long)row->v[1].i);
	else
		snprintf(key, 80, "%s", cell_text(&row->v[0]));
}

static inline int fake_open(struct sb_cl_store *s, char *err, size_t err_len)
{
	struct fake *f = (struct fake *)s;

	f->opens++;
	assert_false(f->open);
	if(f->open_rc != 0) {
		snprintf(err, err_len, "fake: cannot be opened");
		return f->open_rc;
	}
	f->open = true;
	return 0;
}

static inline void fake_close(struct sb_cl_store *s)
{
	((struct fake *)s)->open = false;
}

static inline bool refused(const struct fake *f, enum sb_cl_table table, const struct sb_cl_row *row)
{
	char key[80];

	key_of(key, table, row);
	return f->bad_table == (int)table || (f->bad_last != NULL && strchr(f->bad_last, key[strlen(key) - 1]) != NULL)
		   || (f->bad_key != NULL && strstr(key, f->bad_key) != NULL);
}

static inline void fake_keep(struct fake *f, enum sb_cl_table table, const struct sb_cl_row *row)
{
	char key[80];
	int64_t sequence = row->v[sb_cl_column_of(table, table == SB_CL_EVENT ? "sequence" : "last_sequence")].i;

	key_of(key, table, row);
	for(unsigned i = 0; i < f->rows; i++) {
		if(f->row[i].table == table && strcmp(f->row[i].key, key) == 0) {
			f->row[i].sequence = sequence > f->row[i].sequence ? sequence : f->row[i].sequence;
			return;
		}
	}
	assert_true(f->rows < ROWS_MAX);
	f->row[f->rows].table = table;
	f->row[f->rows].sequence = sequence;
	strcpy(f->row[f->rows++].key, key);
}

static inline int fake_put(
		struct sb_cl_store *s, const struct sb_cl_part *part, unsigned parts, char *err, size_t err_len)
{
	struct fake *f = (struct fake *)s;
	bool fails = ++f->puts == f->fail_at;

	assert_true(f->open);
	snprintf(err, err_len, "fake: put %u failed", f->puts);
	if(f->put_rc != 0 || (fails && !f->fail_after))
		return f->put_rc != 0 ? f->put_rc : f->fail_rc;
	for(unsigned p = 0; p < parts; p++) {
		assert_true(part[p].count > 0);
		f->largest = part[p].count > f->largest ? part[p].count : f->largest;
		for(unsigned i = 0; i < part[p].count; i++) {
			if(refused(f, part[p].table, &part[p].row[i])) {
				snprintf(err, err_len, "fake: refused");
				return SB_CL_BAD_ROW;
			}
		}
	}
	f->transactions++;
	for(unsigned p = 0; p < parts; p++) {
		for(unsigned i = 0; i < part[p].count; i++)
			fake_keep(f, part[p].table, &part[p].row[i]);
	}
	return fails ? f->fail_rc : 0;
}

static inline void fake_free(struct sb_cl_store *s)
{
	(void)s;
}

static inline void say(enum sb_call_log_level level, const char *text)
{
	now_testing->said[level]++;
	snprintf(now_testing->text, sizeof(now_testing->text), "%s", text);
}

static inline void started(struct test *t)
{
	if(sb_call_log_new(&t->c, &t->cfg, t->at, t->err, sizeof(t->err)) != 0)
		fail_msg("%s", t->err);
}

static inline int begin(void **state)
{
	struct fixture *f;
	struct test *t = calloc(1, sizeof(*t));

	fixture_log((void **)&f);
	t->log = *f;
	free(f);
	strcpy(t->log.log.node, NODE);
	t->at = AT0 + 60 * SECOND;
	t->store.base = (struct sb_cl_store){
			.open = fake_open, .close = fake_close, .put = fake_put, .free = fake_free, .shown = "fake"};
	t->store.bad_table = -1;
	t->cfg = (struct sb_call_log_cfg){.log = &t->log.log,
			.sink = sb_log_sink(t->log.sh, "call_log"),
			.state_dir = t->log.root,
			.batch = 50,
			.delay_ms = 100,
			.store = &t->store.base,
			.status = &t->status,
			.say = say};
	now_testing = t;
	started(t);
	*state = t;
	return 0;
}

static inline int end(void **state)
{
	struct test *t = *state;
	struct fixture *f = calloc(1, sizeof(*f));

	sb_call_log_stop(t->c, t->at);
	*f = t->log;
	fixture_end((void **)&f);
	free(t);
	return 0;
}

static inline void append(struct test *t, const struct sb_rec *rec)
{
	assert_int_equal(0, sb_log_append(&t->log.log, rec->hdr.type, SB_KEEP, t->made.bytes, rec->hdr.len, NULL));
}

/** Calls from … to, each with events 1 and 2. */
static inline void calls(struct test *t, unsigned from, unsigned to)
{
	for(unsigned call = from; call <= to; call++) {
		append(t, made_event(&t->made, call, 1));
		append(t, made_event(&t->made, call, 2));
	}
}

static inline void turns(struct test *t, uint64_t us)
{
	uint64_t until = t->at + us;

	do {
		uint64_t wait = sb_call_log_turn(t->c, t->at, t->at);
		t->at += wait > 0 ? wait : 1;
	} while(t->at < until);
}

static inline unsigned count(const struct test *t, enum sb_cl_table table)
{
	unsigned n = 0;

	for(unsigned i = 0; i < t->store.rows; i++)
		n += t->store.row[i].table == table;
	return n;
}

static inline const struct kept *find(const struct test *t, enum sb_cl_table table, const char *key)
{
	for(unsigned i = 0; i < t->store.rows; i++) {
		if(t->store.row[i].table == table && strstr(t->store.row[i].key, key) != NULL)
			return &t->store.row[i];
	}
	return NULL;
}

static inline void assert_all(const struct test *t, unsigned calls_made)
{
	assert_int_equal(calls_made, count(t, SB_CL_CALL));
	assert_int_equal(calls_made, count(t, SB_CL_ATTEMPT));
	assert_int_equal(2 * calls_made, count(t, SB_CL_EVENT));
}

/** What is in call_log.sqlite, rows as "table key error;" */
static inline const char *aside(const struct test *t)
{
	static char out[20000];
	char path[200];
	sqlite3 *db;
	sqlite3_stmt *st;

	out[0] = '\0';
	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(SQLITE_OK, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
	assert_int_equal(SQLITE_OK,
			sqlite3_prepare_v2(db, "SELECT tbl, call_id, error, row FROM aside ORDER BY tbl, row_key", -1, &st, NULL));
	while(sqlite3_step(st) == SQLITE_ROW) {
		const char *row = (const char *)sqlite3_column_text(st, 3);
		assert_true(row[0] == '{' || strcmp(row, "null") == 0);
		sprintf(out + strlen(out), "%s %s %s;", sqlite3_column_text(st, 0), sqlite3_column_text(st, 1),
				sqlite3_column_text(st, 2));
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return out;
}

#endif
