/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The call log in SQLite. */
#include "call_log_store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define SQL 8192u

struct lite
{
	struct sb_cl_store base;
	struct sb_db_url url;
	unsigned timeout_ms;
	sqlite3_stmt *insert[SB_CL_TABLES];
};

int sb_cl_sqlite_verdict(int extended_code)
{
	switch(extended_code & 0xff) {
		case SQLITE_OK:
		case SQLITE_DONE:
		case SQLITE_ROW:
			return 0;
		case SQLITE_CONSTRAINT:
		case SQLITE_TOOBIG:
		case SQLITE_MISMATCH:
			return SB_CL_BAD_ROW;
		case SQLITE_BUSY:
			return extended_code == SQLITE_BUSY_SNAPSHOT ? -EAGAIN : -ETIMEDOUT;
		case SQLITE_LOCKED:
			return -ETIMEDOUT;
		case SQLITE_FULL:
			return -ENOSPC;
		case SQLITE_READONLY:
			return -EROFS;
		case SQLITE_PERM:
		case SQLITE_CANTOPEN:
			return -EACCES;
		case SQLITE_NOMEM:
			return -ENOMEM;
		default:
			return -EIO;
	}
}

static int failed(struct lite *l, char *err, size_t err_len)
{
	sqlite3 *db = sb_db_native(l->base.db);
	int verdict = sb_cl_sqlite_verdict(sqlite3_extended_errcode(db));

	if(verdict == SB_CL_BAD_ROW)
		snprintf(err, err_len, "%s", sqlite3_errmsg(db));
	else
		snprintf(err, err_len, "%s: %s", l->base.shown, sqlite3_errmsg(db));
	return verdict != 0 ? verdict : -EIO;
}

static void shut(struct sb_cl_store *s)
{
	struct lite *l = (struct lite *)s;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		sqlite3_finalize(l->insert[t]);
		l->insert[t] = NULL;
	}
	sb_db_close(s->db);
	s->db = NULL;
}

static int prepare(struct lite *l, char *err, size_t err_len)
{
	sqlite3 *db = sb_db_native(l->base.db);
	char sql[SQL];
	int n;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		n = sb_cl_sql(sql, sizeof(sql), t, SB_SQLITE);
		if(n < 0)
			return n;
		if(sqlite3_prepare_v3(db, sql, n, SQLITE_PREPARE_PERSISTENT, &l->insert[t], NULL) != SQLITE_OK) {
			snprintf(err, err_len, "%s: table %s: %s; signalbox db check says what is missing", l->base.shown,
					sb_cl_table_name(t), sqlite3_errmsg(db));
			return -ENOENT;
		}
	}
	return 0;
}

static int open_lite(struct sb_cl_store *s, char *err, size_t err_len)
{
	struct lite *l = (struct lite *)s;
	int rc = sb_db_open(&s->db, &l->url, false, l->timeout_ms, err, err_len);

	if(rc != 0) {
		s->db = NULL;
		return rc;
	}
	rc = sb_cl_check_version(s->db, s->shown, err, err_len);
	if(rc == 0)
		rc = prepare(l, err, err_len);
	/* a commit is on disk before the cursor moves past it */
	if(rc == 0 && sb_db_exec(s->db, "PRAGMA synchronous = FULL") != 0)
		rc = failed(l, err, err_len);
	if(rc != 0)
		shut(s);
	return rc;
}

static int bind(sqlite3_stmt *st, const struct sb_db_value *v, unsigned count)
{
	int rc = SQLITE_OK;

	for(unsigned i = 0; i < count && rc == SQLITE_OK; i++) {
		switch(v[i].kind) {
			case SB_DB_INT:
				rc = sqlite3_bind_int64(st, (int)i + 1, v[i].i);
				break;
			case SB_DB_TEXT:
				rc = sqlite3_bind_text64(st, (int)i + 1, v[i].text, v[i].len, SQLITE_STATIC, SQLITE_UTF8);
				break;
			default:
				rc = sqlite3_bind_null(st, (int)i + 1);
		}
	}
	return rc;
}

static int put_rows(struct lite *l, const struct sb_cl_part *part)
{
	sqlite3_stmt *st = l->insert[part->table];
	unsigned count;
	int rc = SQLITE_OK;

	sb_cl_columns(part->table, &count);
	for(unsigned i = 0; i < part->count && rc == SQLITE_OK; i++) {
		rc = bind(st, part->row[i].v, count);
		if(rc == SQLITE_OK)
			sqlite3_step(st);
		if(rc == SQLITE_OK)
			rc = sqlite3_reset(st);
	}
	return rc == SQLITE_OK ? 0 : -EIO;
}

static int put(struct sb_cl_store *s, const struct sb_cl_part *part, unsigned parts, char *err, size_t err_len)
{
	struct lite *l = (struct lite *)s;
	int rc = sb_db_exec(s->db, "BEGIN IMMEDIATE");

	for(unsigned i = 0; i < parts && rc == 0; i++)
		rc = put_rows(l, &part[i]);
	if(rc == 0)
		rc = sb_db_exec(s->db, "COMMIT");
	if(rc == 0)
		return 0;
	rc = failed(l, err, err_len);
	for(unsigned t = 0; t < SB_CL_TABLES; t++)
		sqlite3_reset(l->insert[t]);
	if(!sqlite3_get_autocommit(sb_db_native(s->db)))
		sb_db_exec(s->db, "ROLLBACK");
	return rc;
}

static void free_lite(struct sb_cl_store *s)
{
	shut(s);
	free(s);
}

int sb_cl_sqlite_new(struct sb_cl_store **out, const struct sb_db_url *url, unsigned timeout_ms)
{
	struct lite *l = calloc(1, sizeof(*l));

	if(l == NULL)
		return -ENOMEM;
	l->base = (struct sb_cl_store){.open = open_lite, .close = shut, .put = put, .free = free_lite};
	l->url = *url;
	l->timeout_ms = timeout_ms;
	l->base.shown = l->url.shown;
	*out = &l->base;
	return 0;
}
