/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_log_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char schema[] =
		"CREATE TABLE IF NOT EXISTS cursor (id INTEGER PRIMARY KEY CHECK (id = 1), segment INT NOT NULL, offset INT "
		"NOT NULL);"
		"CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY CHECK (id = 1), node TEXT NOT NULL);"
		"CREATE TABLE IF NOT EXISTS aside (tbl TEXT NOT NULL, row_key TEXT NOT NULL, event_id TEXT NOT NULL, "
		"call_id TEXT NOT NULL, error TEXT NOT NULL, row TEXT NOT NULL, at INT NOT NULL, PRIMARY KEY (tbl, row_key));";

#define STATEMENTS(X)                                                               \
	X(BEGIN, "BEGIN IMMEDIATE")                                                     \
	X(COMMIT, "COMMIT")                                                             \
	X(CURSOR, "SELECT segment, offset FROM cursor WHERE id = 1")                    \
	X(NODE, "SELECT node FROM log WHERE id = 1")                                    \
	X(SET_NODE, "INSERT OR REPLACE INTO log VALUES (1, ?1)")                        \
	X(SET_CURSOR, "INSERT OR REPLACE INTO cursor VALUES (1, ?1, ?2)")               \
	X(ASIDE, "INSERT OR REPLACE INTO aside VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")    \
	X(TRIM, "DELETE FROM aside WHERE rowid <= (SELECT max(rowid) FROM aside) - ?1") \
	X(COUNT, "SELECT count(*) FROM aside")

enum
{
#define X(name, sql) ST_##name,
	STATEMENTS(X)
#undef X
			ST_END
};
static const char *const sql_of[] = {
#define X(name, sql) sql,
		STATEMENTS(X)
#undef X
};

struct sb_cl_state
{
	sqlite3 *db;
	sqlite3_stmt *st[ST_END];
	uint64_t durable; /* segment of the cursor that is on disk for sure */
	char error[200];
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

static int prepare(struct sb_cl_state *s, const char *path, char *err, size_t err_len)
{
	char set_version[48];
	int version = 0;

	sqlite3_busy_timeout(s->db, 1000);
	if(run_text(s->db, "PRAGMA journal_mode=WAL") != 0 || version_of(s->db, &version) != 0)
		goto broken;
	if(version != 0 && version != SB_CL_STATE_VERSION) {
		snprintf(err, err_len,
				"%s has version %d, this callhook writes version %d: use the callhook that made it, or move the file "
				"away (the "
				"call log then reads all of the journal again, which does no harm)",
				path, version, SB_CL_STATE_VERSION);
		return -EPROTO;
	}
	snprintf(set_version, sizeof(set_version), "PRAGMA user_version=%d", SB_CL_STATE_VERSION);
	if(run_text(s->db, schema) != 0 || (version == 0 && run_text(s->db, set_version) != 0))
		goto broken;
	for(int i = 0; i < ST_END; i++) {
		if(sqlite3_prepare_v3(s->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) != SQLITE_OK)
			goto broken;
	}
	return 0;
broken:
	snprintf(err, err_len,
			"%s cannot be used: %s; it must be a file that callhook made, writable, with room on its disk (if it is "
			"damaged, move "
			"it away: the call log then reads all of the journal again, which does no harm)",
			path, sqlite3_errmsg(s->db));
	return -EIO;
}

/* Names and numbers of callers may stand in it. One that is there is not opened: to close it would end SQLite's locks on it. */
static void make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if(fd >= 0)
		close(fd);
}

int sb_cl_state_open(struct sb_cl_state **out, const char *path, char *err, size_t err_len)
{
	struct sb_cl_state *s = calloc(1, sizeof(*s));
	int rc;

	if(s == NULL)
		return -ENOMEM;
	make(path);
	if(sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		snprintf(err, err_len,
				"%s cannot be opened: %s; its folder must be there and writable for the user Kamailio runs as", path,
				s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
		rc = -EIO;
		goto out;
	}
	rc = prepare(s, path, err, err_len);
	if(rc != 0)
		goto out;
	*out = s;
	s = NULL;
out:
	sb_cl_state_close(s);
	return rc;
}

void sb_cl_state_close(struct sb_cl_state *s)
{
	if(s == NULL)
		return;
	for(int i = 0; i < ST_END; i++)
		sqlite3_finalize(s->st[i]);
	sqlite3_close(s->db);
	free(s);
}

const char *sb_cl_state_error(const struct sb_cl_state *s)
{
	return s->error;
}

static int failed(struct sb_cl_state *s)
{
	snprintf(s->error, sizeof(s->error), "%s", sqlite3_errmsg(s->db));
	return -EIO;
}

static int step(struct sb_cl_state *s, int which)
{
	int rc = sqlite3_step(s->st[which]) == SQLITE_DONE ? 0 : failed(s);

	sqlite3_reset(s->st[which]);
	return rc;
}

/* Of a statement that gives one row at most. @return 1: there is one, 0: none, -EIO */
static int step_row(struct sb_cl_state *s, int which)
{
	int rc = sqlite3_step(s->st[which]);

	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : failed(s);
}

/* @return 1, 0 (of another node), or -EIO. A file without a node is of this one. */
static int of_node(struct sb_cl_state *s, const char *node)
{
	sqlite3_stmt *st = s->st[ST_NODE];
	int rc = step_row(s, ST_NODE);

	if(rc >= 0)
		rc = rc == 0 || strcmp((const char *)sqlite3_column_text(st, 0), node) == 0;
	sqlite3_reset(st);
	return rc;
}

int sb_cl_state_cursor(struct sb_cl_state *s, const char *node, struct sb_pos *out)
{
	sqlite3_stmt *st = s->st[ST_CURSOR];
	int rc = step_row(s, ST_CURSOR);

	*out = (struct sb_pos){0, 0};
	if(rc == 1) {
		out->segment = (uint64_t)sqlite3_column_int64(st, 0);
		out->offset = (uint64_t)sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return rc >= 0 ? of_node(s, node) : rc;
}

static int set_cursor(struct sb_cl_state *s, struct sb_pos cursor)
{
	sqlite3_bind_int64(s->st[ST_SET_CURSOR], 1, (sqlite3_int64)cursor.segment);
	sqlite3_bind_int64(s->st[ST_SET_CURSOR], 2, (sqlite3_int64)cursor.offset);
	return step(s, ST_SET_CURSOR);
}

static int put_aside(struct sb_cl_state *s, const struct sb_cl_aside *a, uint64_t now_us)
{
	const char *const text[] = {a->table, a->key, a->event_id, a->call_id, a->error, a->row};
	sqlite3_stmt *st = s->st[ST_ASIDE];

	for(int i = 0; i < 6; i++)
		sqlite3_bind_text(st, i + 1, text[i], -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 7, (sqlite3_int64)now_us);
	return step(s, ST_ASIDE);
}

static int trim(struct sb_cl_state *s)
{
	sqlite3_bind_int64(s->st[ST_TRIM], 1, SB_CL_ASIDE_MAX);
	return step(s, ST_TRIM);
}

/* @param err of what stands in the transaction */
static int end(struct sb_cl_state *s, int err)
{
	if(err == 0)
		err = step(s, ST_COMMIT);
	if(err != 0 && !sqlite3_get_autocommit(s->db))
		run_text(s->db, "ROLLBACK");
	return err;
}

/* Until it is called again, a commit is on disk when it returns, or not. */
static int wait_for_disk(struct sb_cl_state *s, bool wait)
{
	return run_text(s->db, wait ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL") == 0 ? 0 : failed(s);
}

int sb_cl_state_begin(struct sb_cl_state *s, const char *node, struct sb_pos cursor)
{
	int err = wait_for_disk(s, true);

	if(err == 0)
		err = step(s, ST_BEGIN);
	if(err == 0)
		err = set_cursor(s, cursor);
	sqlite3_bind_text(s->st[ST_SET_NODE], 1, node, -1, SQLITE_STATIC);
	if(err == 0)
		err = step(s, ST_SET_NODE);
	err = end(s, err);
	sqlite3_clear_bindings(s->st[ST_SET_NODE]);
	if(err == 0)
		s->durable = cursor.segment;
	return err;
}

int sb_cl_state_keep(
		struct sb_cl_state *s, struct sb_pos cursor, const struct sb_cl_aside *aside, unsigned count, uint64_t now_us)
{
	int err = wait_for_disk(s, count > 0 || cursor.segment != s->durable);

	if(err == 0)
		err = step(s, ST_BEGIN);
	for(unsigned i = 0; i < count && err == 0; i++)
		err = put_aside(s, &aside[i], now_us);
	if(err == 0 && count > 0)
		err = trim(s);
	if(err == 0)
		err = set_cursor(s, cursor);
	err = end(s, err);
	if(err == 0)
		s->durable = cursor.segment;
	return err;
}

int sb_cl_state_count(struct sb_cl_state *s, uint64_t *aside)
{
	sqlite3_stmt *st = s->st[ST_COUNT];
	int rc = step_row(s, ST_COUNT);

	*aside = rc == 1 ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return rc == 1 ? 0 : -EIO;
}
