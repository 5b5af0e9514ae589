/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "state.h"

#define ROW_COLUMNS                                                                                               \
	"endpoint TEXT NOT NULL, call_id BLOB NOT NULL, epoch INT NOT NULL, seq INT NOT NULL, segment INT NOT NULL, " \
	"offset INT NOT NULL, tries INT NOT NULL, next_at INT NOT NULL, error TEXT NOT NULL"

static const char schema[] =
		"CREATE TABLE IF NOT EXISTS cursor (endpoint TEXT PRIMARY KEY, segment INT NOT NULL, offset INT NOT NULL, "
		"url TEXT NOT NULL, disabled_at INT NOT NULL, disabled_why TEXT NOT NULL);"
		"CREATE TABLE IF NOT EXISTS pending (" ROW_COLUMNS
		", PRIMARY KEY (endpoint, call_id, segment, offset)) WITHOUT ROWID;"
		"CREATE INDEX IF NOT EXISTS pending_due ON pending (endpoint, next_at);"
		"CREATE INDEX IF NOT EXISTS pending_segment ON pending (endpoint, segment);"
		"CREATE TABLE IF NOT EXISTS dead (" ROW_COLUMNS ", given_up_at INT NOT NULL);"
		"CREATE INDEX IF NOT EXISTS dead_call ON dead (call_id);";

#define STATEMENTS(X)                                                                                          \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                                \
	X(COMMIT, "COMMIT")                                                                                        \
	X(CURSOR, "SELECT segment, offset, url, disabled_at, disabled_why FROM cursor WHERE endpoint = ?1")        \
	X(SET_CURSOR, "INSERT OR REPLACE INTO cursor VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                             \
	X(MOVE, "UPDATE cursor SET segment = ?2, offset = ?3 WHERE endpoint = ?1")                                 \
	X(ENDPOINTS, "SELECT endpoint FROM cursor")                                                                \
	X(FORGET, "DELETE FROM cursor WHERE endpoint = ?1")                                                        \
	X(FORGET_PENDING, "DELETE FROM pending WHERE endpoint = ?1")                                               \
	X(PARK, "INSERT OR IGNORE INTO pending VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                       \
	X(AGAIN, "UPDATE pending SET tries = ?5, next_at = ?6, error = ?7 WHERE endpoint = ?1 AND call_id = ?2 "   \
			 "AND segment = ?3 AND offset = ?4")                                                               \
	X(UNPARK, "DELETE FROM pending WHERE endpoint = ?1 AND call_id = ?2 AND segment = ?3 AND offset = ?4")     \
	X(PROMOTE, "UPDATE pending SET next_at = ?3 WHERE endpoint = ?1 AND call_id = ?2 AND (segment, offset) = " \
			   "(SELECT segment, offset FROM pending WHERE endpoint = ?1 AND call_id = ?2 "                    \
			   "ORDER BY segment, offset LIMIT 1)")                                                            \
	X(HASTEN, "UPDATE pending SET next_at = ?2 WHERE endpoint = ?1 AND next_at > ?2 AND tries <= 2")           \
	X(BURY, "INSERT INTO dead VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                               \
	X(TRIM, "DELETE FROM dead WHERE rowid <= (SELECT max(rowid) FROM dead) - ?1")                              \
	X(DUE, "SELECT call_id, epoch, seq, segment, offset, tries, next_at, error FROM pending "                  \
		   "WHERE endpoint = ?1 AND next_at > 0 AND next_at <= ?2 ORDER BY next_at LIMIT ?3")                  \
	X(NEXT_DUE, "SELECT min(next_at) FROM pending WHERE endpoint = ?1 AND next_at > 0")                        \
	X(CALLS, "SELECT call_id, count(*) FROM pending WHERE endpoint = ?1 GROUP BY call_id")                     \
	X(OLDEST, "SELECT min(segment) FROM pending WHERE endpoint = ?1")                                          \
	X(COUNTS, "SELECT (SELECT count(*) FROM pending), (SELECT count(*) FROM dead)")

enum
{
#define X(name, sql) ST_##name,
	STATEMENTS(X)
#undef X
			ST_COUNT
};
static const char *const sql_of[] = {
#define X(name, sql) sql,
		STATEMENTS(X)
#undef X
};

struct sb_store
{
	sqlite3 *db;
	sqlite3_stmt *st[ST_COUNT];
	bool open; /* a transaction is */
};

static int run_text(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

static int version_of(sqlite3 *db, int *version)
{
	sqlite3_stmt *st = NULL;
	int err = -EIO;

	if(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		*version = sqlite3_column_int(st, 0);
		err = 0;
	}
	sqlite3_finalize(st);
	return err;
}

static int prepare(struct sb_store *s, const char *path, bool durable, char *err, size_t err_len)
{
	char set_version[48];
	int version = 0;

	sqlite3_busy_timeout(s->db, 5000);
	if(run_text(s->db, "PRAGMA journal_mode=WAL") != 0 || version_of(s->db, &version) != 0)
		goto broken;
	if(version != 0 && version != SB_STATE_VERSION) {
		snprintf(err, err_len,
				"%s has version %d, this callhook writes version %d: use the callhook that made it, or move "
				"the file away (endpoints then begin with what happens from now on)",
				path, version, SB_STATE_VERSION);
		return -EPROTO;
	}
	snprintf(set_version, sizeof(set_version), "PRAGMA user_version=%d", SB_STATE_VERSION);
	if(run_text(s->db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL") != 0
			|| run_text(s->db, schema) != 0 || (version == 0 && run_text(s->db, set_version) != 0))
		goto broken;
	for(int i = 0; i < ST_COUNT; i++) {
		if(sqlite3_prepare_v3(s->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) != SQLITE_OK)
			goto broken;
	}
	return 0;
broken:
	snprintf(err, err_len,
			"%s cannot be used: %s; it must be a file that callhook made, writable, with room on its disk "
			"(if it is damaged, move it away: endpoints then begin with what happens from now on)",
			path, sqlite3_errmsg(s->db));
	return -EIO;
}

int sb_store_open(struct sb_store **out, const char *path, bool durable, char *err, size_t err_len)
{
	struct sb_store *s = calloc(1, sizeof(*s));
	int r = 0;

	if(s == NULL)
		return -ENOMEM;
	if(sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)
			!= SQLITE_OK) {
		snprintf(err, err_len,
				"%s cannot be opened: %s; its directory must exist and be writable for the user Kamailio runs as", path,
				s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
		r = -EIO;
		goto out;
	}
	r = prepare(s, path, durable, err, err_len);
	if(r != 0)
		goto out;
	*out = s;
	s = NULL;
out:
	sb_store_close(s);
	return r;
}

void sb_store_close(struct sb_store *s)
{
	if(s == NULL)
		return;
	for(int i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(s->st[i]);
	sqlite3_close(s->db);
	free(s);
}

const char *sb_store_error(const struct sb_store *s)
{
	return sqlite3_errmsg(s->db);
}

bool sb_store_changed(const struct sb_store *s)
{
	return s->open;
}

static sqlite3_stmt *use(struct sb_store *s, int i, const char *endpoint)
{
	sqlite3_reset(s->st[i]);
	if(endpoint != NULL)
		sqlite3_bind_text(s->st[i], 1, endpoint, -1, SQLITE_STATIC);
	return s->st[i];
}

static int finish(sqlite3_stmt *st)
{
	int r = sqlite3_step(st);

	sqlite3_reset(st);
	return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : -EIO;
}

/* A statement that writes: inside the transaction, which begins with the first one. */
static sqlite3_stmt *change(struct sb_store *s, int i, const char *endpoint)
{
	if(!s->open && finish(use(s, ST_BEGIN, NULL)) == 0)
		s->open = true;
	return use(s, i, endpoint);
}

static int finish_change(struct sb_store *s, sqlite3_stmt *st)
{
	if(!s->open)
		return -EIO;
	return finish(st);
}

int sb_store_commit(struct sb_store *s)
{
	int err;

	if(!s->open)
		return 0;
	err = finish(use(s, ST_COMMIT, NULL));
	if(err == 0)
		s->open = false;
	return err;
}

static void copy_text(char *out, size_t room, sqlite3_stmt *st, int col)
{
	const unsigned char *t = sqlite3_column_text(st, col);

	snprintf(out, room, "%s", t != NULL ? (const char *)t : "");
}

int sb_store_cursor(struct sb_store *s, const char *endpoint, struct sb_cursor *out)
{
	sqlite3_stmt *st = use(s, ST_CURSOR, endpoint);
	int r = sqlite3_step(st);

	if(r == SQLITE_ROW) {
		out->pos.segment = (uint64_t)sqlite3_column_int64(st, 0);
		out->pos.offset = (uint64_t)sqlite3_column_int64(st, 1);
		copy_text(out->url, sizeof(out->url), st, 2);
		out->disabled_at = (uint64_t)sqlite3_column_int64(st, 3);
		copy_text(out->disabled_why, sizeof(out->disabled_why), st, 4);
	}
	sqlite3_reset(st);
	if(r == SQLITE_ROW)
		return 0;
	return r == SQLITE_DONE ? -ENOENT : -EIO;
}

int sb_store_set_cursor(struct sb_store *s, const char *endpoint, const struct sb_cursor *c)
{
	sqlite3_stmt *st = change(s, ST_SET_CURSOR, endpoint);

	sqlite3_bind_int64(st, 2, (int64_t)c->pos.segment);
	sqlite3_bind_int64(st, 3, (int64_t)c->pos.offset);
	sqlite3_bind_text(st, 4, c->url, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 5, (int64_t)c->disabled_at);
	sqlite3_bind_text(st, 6, c->disabled_why, -1, SQLITE_STATIC);
	return finish_change(s, st);
}

int sb_store_move(struct sb_store *s, const char *endpoint, struct sb_pos pos)
{
	sqlite3_stmt *st = change(s, ST_MOVE, endpoint);

	sqlite3_bind_int64(st, 2, (int64_t)pos.segment);
	sqlite3_bind_int64(st, 3, (int64_t)pos.offset);
	return finish_change(s, st);
}

int sb_store_endpoints(struct sb_store *s, void (*each)(const char *endpoint, void *arg), void *arg)
{
	sqlite3_stmt *st = use(s, ST_ENDPOINTS, NULL);
	int r;

	while((r = sqlite3_step(st)) == SQLITE_ROW)
		each((const char *)sqlite3_column_text(st, 0), arg);
	sqlite3_reset(st);
	return r == SQLITE_DONE ? 0 : -EIO;
}

int sb_store_forget(struct sb_store *s, const char *endpoint, uint64_t *dropped)
{
	int err = finish_change(s, change(s, ST_FORGET_PENDING, endpoint));

	if(err != 0)
		return err;
	if(dropped != NULL)
		*dropped = (uint64_t)sqlite3_changes(s->db);
	return finish_change(s, change(s, ST_FORGET, endpoint));
}

static void bind_row(sqlite3_stmt *st, const struct sb_pending *p)
{
	sqlite3_bind_blob(st, 2, p->call, 16, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, p->epoch);
	sqlite3_bind_int64(st, 4, (int64_t)p->seq);
	sqlite3_bind_int64(st, 5, (int64_t)p->pos.segment);
	sqlite3_bind_int64(st, 6, (int64_t)p->pos.offset);
	sqlite3_bind_int64(st, 7, p->tries);
	sqlite3_bind_int64(st, 8, (int64_t)p->next_at);
	sqlite3_bind_text(st, 9, p->error, -1, SQLITE_STATIC);
}

static void bind_key(sqlite3_stmt *st, const struct sb_pending *p)
{
	sqlite3_bind_blob(st, 2, p->call, 16, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (int64_t)p->pos.segment);
	sqlite3_bind_int64(st, 4, (int64_t)p->pos.offset);
}

int sb_store_park(struct sb_store *s, const char *endpoint, const struct sb_pending *p)
{
	sqlite3_stmt *st = change(s, ST_PARK, endpoint);

	bind_row(st, p);
	return finish_change(s, st);
}

int sb_store_again(struct sb_store *s, const char *endpoint, const struct sb_pending *p)
{
	sqlite3_stmt *st = change(s, ST_AGAIN, endpoint);

	bind_key(st, p);
	sqlite3_bind_int64(st, 5, p->tries);
	sqlite3_bind_int64(st, 6, (int64_t)p->next_at);
	sqlite3_bind_text(st, 7, p->error, -1, SQLITE_STATIC);
	return finish_change(s, st);
}

int sb_store_bury(struct sb_store *s, const char *endpoint, const struct sb_pending *p, uint64_t now)
{
	sqlite3_stmt *st = change(s, ST_BURY, endpoint);

	bind_row(st, p);
	sqlite3_bind_int64(st, 10, (int64_t)now);
	return finish_change(s, st);
}

int sb_store_unpark(struct sb_store *s, const char *endpoint, const struct sb_pending *p, bool dead, uint64_t now)
{
	sqlite3_stmt *st;
	int err = dead ? sb_store_bury(s, endpoint, p, now) : 0;

	if(err != 0)
		return err;
	st = change(s, ST_UNPARK, endpoint);
	bind_key(st, p);
	err = finish_change(s, st);
	if(err != 0)
		return err;
	st = change(s, ST_PROMOTE, endpoint);
	sqlite3_bind_blob(st, 2, p->call, 16, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (int64_t)now);
	return finish_change(s, st);
}

int sb_store_hasten(struct sb_store *s, const char *endpoint, uint64_t now)
{
	sqlite3_stmt *st = change(s, ST_HASTEN, endpoint);

	sqlite3_bind_int64(st, 2, (int64_t)now);
	return finish_change(s, st);
}

int sb_store_trim_dead(struct sb_store *s, uint64_t keep)
{
	sqlite3_stmt *st = change(s, ST_TRIM, NULL);

	sqlite3_bind_int64(st, 1, (int64_t)keep);
	return finish_change(s, st);
}

static void read_row(sqlite3_stmt *st, int first, struct sb_pending *p)
{
	memset(p, 0, sizeof(*p));
	if(sqlite3_column_bytes(st, first) == 16)
		memcpy(p->call, sqlite3_column_blob(st, first), 16);
	p->epoch = (uint32_t)sqlite3_column_int64(st, first + 1);
	p->seq = (uint64_t)sqlite3_column_int64(st, first + 2);
	p->pos.segment = (uint64_t)sqlite3_column_int64(st, first + 3);
	p->pos.offset = (uint64_t)sqlite3_column_int64(st, first + 4);
	p->tries = (uint32_t)sqlite3_column_int64(st, first + 5);
	p->next_at = (uint64_t)sqlite3_column_int64(st, first + 6);
	copy_text(p->error, sizeof(p->error), st, first + 7);
}

int sb_store_due(struct sb_store *s, const char *endpoint, uint64_t now, struct sb_pending *out, int max)
{
	sqlite3_stmt *st = use(s, ST_DUE, endpoint);
	int r, n = 0;

	sqlite3_bind_int64(st, 2, (int64_t)now);
	sqlite3_bind_int(st, 3, max);
	while((r = sqlite3_step(st)) == SQLITE_ROW && n < max)
		read_row(st, 0, &out[n++]);
	sqlite3_reset(st);
	return r == SQLITE_DONE || r == SQLITE_ROW ? n : -EIO;
}

static int one_number(sqlite3_stmt *st, uint64_t *out)
{
	int r = sqlite3_step(st);

	*out = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return r == SQLITE_ROW ? 0 : -EIO;
}

int sb_store_next_due(struct sb_store *s, const char *endpoint, uint64_t *at)
{
	return one_number(use(s, ST_NEXT_DUE, endpoint), at);
}

int sb_store_oldest(struct sb_store *s, const char *endpoint, uint64_t *segment)
{
	return one_number(use(s, ST_OLDEST, endpoint), segment);
}

int sb_store_calls(
		struct sb_store *s, const char *endpoint, int (*each)(const uint8_t call[16], uint32_t n, void *arg), void *arg)
{
	sqlite3_stmt *st = use(s, ST_CALLS, endpoint);
	int r, err = 0;

	while(err == 0 && (r = sqlite3_step(st)) == SQLITE_ROW) {
		if(sqlite3_column_bytes(st, 0) == 16)
			err = each(sqlite3_column_blob(st, 0), (uint32_t)sqlite3_column_int64(st, 1), arg);
	}
	sqlite3_reset(st);
	return err != 0 ? err : r == SQLITE_DONE ? 0 : -EIO;
}

int sb_store_counts(struct sb_store *s, uint64_t *pending, uint64_t *dead)
{
	sqlite3_stmt *st = use(s, ST_COUNTS, NULL);
	int r = sqlite3_step(st);

	*pending = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	*dead = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 1) : 0;
	sqlite3_reset(st);
	return r == SQLITE_ROW ? 0 : -EIO;
}

int sb_store_list(const char *path, const char *endpoint, bool (*each)(const struct sb_store_row *row, void *arg),
		void *arg, int max, char *err, size_t err_len)
{
	static const char sql[] =
			"SELECT call_id, epoch, seq, segment, offset, tries, next_at, error, endpoint FROM pending "
			"WHERE ?1 IS NULL OR endpoint = ?1 ORDER BY segment, offset LIMIT ?2";
	struct sb_store_row row;
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int r = SQLITE_ERROR;

	if(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		goto out;
	sqlite3_busy_timeout(db, 500);
	if(sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		goto out;
	sqlite3_bind_text(st, 1, endpoint, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, max);
	while((r = sqlite3_step(st)) == SQLITE_ROW) {
		read_row(st, 0, &row.p);
		copy_text(row.endpoint, sizeof(row.endpoint), st, 8);
		if(!each(&row, arg)) {
			r = SQLITE_DONE;
			break;
		}
	}
out:
	if(r != SQLITE_DONE)
		snprintf(err, err_len, "%s cannot be read: %s", path, db != NULL ? sqlite3_errmsg(db) : "out of memory");
	sqlite3_finalize(st);
	sqlite3_close(db);
	return r == SQLITE_DONE ? 0 : -EIO;
}
