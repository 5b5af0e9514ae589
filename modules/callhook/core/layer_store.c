/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layer_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#define VERSION 1

static const char schema[] =
		"CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), segment INT NOT NULL, offset INT "
		"NOT NULL, "
		"device INT NOT NULL, inode INT NOT NULL, size INT NOT NULL, lines INT NOT NULL, bytes INT NOT NULL);"
		"CREATE TABLE IF NOT EXISTS log (one INTEGER PRIMARY KEY CHECK (one = 1), node TEXT NOT NULL)";
static const char sql_get[] = "SELECT segment, offset, device, inode, size, lines, bytes FROM cursor";
static const char sql_put[] = "INSERT OR REPLACE INTO cursor VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";

struct sb_layer_store
{
	sqlite3 *db;
	sqlite3_stmt *get, *put;
};

static bool run(struct sb_layer_store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static int version_of(struct sb_layer_store *s)
{
	sqlite3_stmt *st = NULL;
	int version = -1;

	if(sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return version;
}

/* @return 0, -EIO or -EPROTO */
static int prepare(struct sb_layer_store *s, bool durable, int *version)
{
	char set_version[48];

	sqlite3_busy_timeout(s->db, 5000);
	if(!run(s, "PRAGMA journal_mode=WAL") || (*version = version_of(s)) < 0)
		return -EIO;
	if(*version != 0 && *version != VERSION)
		return -EPROTO;
	snprintf(set_version, sizeof(set_version), "PRAGMA user_version=%d", VERSION);
	if(!run(s, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL") || !run(s, schema)
			|| (*version == 0 && !run(s, set_version)))
		return -EIO;
	if(sqlite3_prepare_v3(s->db, sql_get, -1, SQLITE_PREPARE_PERSISTENT, &s->get, NULL) != SQLITE_OK
			|| sqlite3_prepare_v3(s->db, sql_put, -1, SQLITE_PREPARE_PERSISTENT, &s->put, NULL) != SQLITE_OK)
		return -EIO;
	return 0;
}

int sb_layer_store_open(struct sb_layer_store **out, const char *path, bool durable, char *err, size_t err_len)
{
	struct sb_layer_store *s = calloc(1, sizeof(*s));
	int version = 0, rc = -EIO;

	if(s == NULL) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	if(sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)
			== SQLITE_OK)
		rc = prepare(s, durable, &version);
	if(rc == -EPROTO)
		snprintf(err, err_len,
				"%s has version %d, this callhook writes version %d: use the callhook that made it, or move the file "
				"away (the "
				"four-layer log then begins with what happens from now on)",
				path, version, VERSION);
	else if(rc != 0)
		snprintf(err, err_len,
				"%s cannot be used: %s; it must be a file that callhook made, its folder writable for the user "
				"Kamailio runs as, "
				"with room on its disk (if it is damaged, move it away: the four-layer log then begins with what "
				"happens from now "
				"on)",
				path, s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
	if(rc != 0) {
		sb_layer_store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void sb_layer_store_close(struct sb_layer_store *s)
{
	if(s == NULL)
		return;
	sqlite3_finalize(s->get);
	sqlite3_finalize(s->put);
	sqlite3_close(s->db);
	free(s);
}

const char *sb_layer_store_error(const struct sb_layer_store *s)
{
	return sqlite3_errmsg(s->db);
}

int sb_layer_store_get(struct sb_layer_store *s, struct sb_layer_kept *out)
{
	int r = sqlite3_step(s->get);

	if(r == SQLITE_ROW) {
		uint64_t *const to[] = {&out->pos.segment, &out->pos.offset, &out->mark.device, &out->mark.inode,
				&out->mark.size, &out->lines, &out->bytes};
		for(int i = 0; i < 7; i++)
			*to[i] = (uint64_t)sqlite3_column_int64(s->get, i);
	}
	sqlite3_reset(s->get);
	return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? -ENOENT : -EIO;
}

static int prepared(struct sb_layer_store *s, sqlite3_stmt **st, const char *sql)
{
	*st = NULL;
	return sqlite3_prepare_v2(s->db, sql, -1, st, NULL) == SQLITE_OK ? 0 : -EIO;
}

int sb_layer_store_of_node(struct sb_layer_store *s, const char *node)
{
	sqlite3_stmt *st;
	int rc = prepared(s, &st, "SELECT node = ?1 FROM log");

	if(rc == 0) {
		sqlite3_bind_text(st, 1, node, -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
		rc = rc == SQLITE_ROW ? sqlite3_column_int(st, 0) : rc == SQLITE_DONE ? 1 : -EIO;
	}
	sqlite3_finalize(st);
	return rc;
}

int sb_layer_store_begin(struct sb_layer_store *s, const struct sb_layer_kept *k, const char *node)
{
	sqlite3_stmt *st;
	int rc = prepared(s, &st, "INSERT OR REPLACE INTO log VALUES (1, ?1)");

	if(rc == 0)
		rc = sb_layer_store_put(s, k);
	if(rc == 0) {
		sqlite3_bind_text(st, 1, node, -1, SQLITE_STATIC);
		rc = sqlite3_step(st) == SQLITE_DONE ? 0 : -EIO;
	}
	sqlite3_finalize(st);
	return rc;
}

int sb_layer_store_put(struct sb_layer_store *s, const struct sb_layer_kept *k)
{
	const uint64_t from[] = {
			k->pos.segment, k->pos.offset, k->mark.device, k->mark.inode, k->mark.size, k->lines, k->bytes};
	int r;

	for(int i = 0; i < 7; i++)
		sqlite3_bind_int64(s->put, i + 1, (int64_t)from[i]);
	r = sqlite3_step(s->put);
	sqlite3_reset(s->put);
	return r == SQLITE_DONE ? 0 : -EIO;
}
