/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the file tells those who look at it beside its process. */
#include <errno.h>
#include <stdio.h>

#include "state_parts.h"

int sb_store_set_status(struct sb_store *s, const struct sb_store_status *v)
{
	sqlite3_stmt *st = sb_store_change(s, ST_STATUS, v->endpoint);
	const char *const texts[] = {v->url, v->events, v->trunks, v->dids, v->state};
	const uint64_t numbers[] = {v->since, v->delivered, v->failed, v->dead, v->pending, v->waiting, v->in_flight,
			v->oldest_at, v->success_at, v->failure_at, v->probe_at};

	for(int i = 0; i < 5; i++)
		sqlite3_bind_text(st, 2 + i, texts[i], -1, SQLITE_STATIC);
	for(int i = 0; i < 11; i++)
		sqlite3_bind_int64(st, 7 + i, (int64_t)numbers[i]);
	sqlite3_bind_double(st, 18, v->rate_10s);
	sqlite3_bind_double(st, 19, v->rate_60s);
	sqlite3_bind_text(st, 20, v->error, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 21, (int64_t)v->updated_at);
	return sb_store_finish_change(s, st);
}

int sb_store_set_worker(struct sb_store *s, int pid, uint64_t started_at, uint64_t updated_at)
{
	sqlite3_stmt *st = sb_store_change(s, ST_WORKER, NULL);

	sqlite3_bind_int(st, 1, pid);
	sqlite3_bind_int64(st, 2, (int64_t)started_at);
	sqlite3_bind_int64(st, 3, (int64_t)updated_at);
	return sb_store_finish_change(s, st);
}

static int read_only(const char *path, const char *sql, sqlite3 **db, sqlite3_stmt **st, char *err, size_t err_len)
{
	if(sqlite3_open_v2(path, db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(*db, 500);
		if(sqlite3_prepare_v2(*db, sql, -1, st, NULL) == SQLITE_OK)
			return 0;
	}
	snprintf(err, err_len, "%s cannot be read: %s", path, *db != NULL ? sqlite3_errmsg(*db) : "out of memory");
	sqlite3_close(*db);
	return -EIO;
}

static int read_end(const char *path, sqlite3 *db, sqlite3_stmt *st, int r, char *err, size_t err_len)
{
	if(r != SQLITE_DONE)
		snprintf(err, err_len, "%s cannot be read: %s", path, sqlite3_errmsg(db));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return r == SQLITE_DONE ? 0 : -EIO;
}

int sb_store_list(const char *path, bool dead, const char *endpoint,
		bool (*each)(const struct sb_store_row *row, void *arg), void *arg, int max, char *err, size_t err_len)
{
	static const char *const sql[] = {"SELECT " SB_ROW_READ ", endpoint, 0 FROM pending "
									  "WHERE ?1 IS NULL OR endpoint = ?1 ORDER BY segment, offset LIMIT ?2",
			"SELECT " SB_ROW_READ ", endpoint, given_up_at FROM dead "
			"WHERE ?1 IS NULL OR endpoint = ?1 ORDER BY rowid DESC LIMIT ?2"};
	struct sb_store_row row;
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int r = read_only(path, sql[dead], &db, &st, err, err_len);

	if(r != 0)
		return r;
	sqlite3_bind_text(st, 1, endpoint, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, max);
	while((r = sqlite3_step(st)) == SQLITE_ROW) {
		sb_store_read_row(st, &row.p);
		sb_store_text(row.endpoint, sizeof(row.endpoint), st, 12);
		row.given_up_at = (uint64_t)sqlite3_column_int64(st, 13);
		if(!each(&row, arg)) {
			r = SQLITE_DONE;
			break;
		}
	}
	return read_end(path, db, st, r, err, err_len);
}

int sb_store_dead(const char *path, void (*each)(const char *endpoint, uint64_t n, void *arg), void *arg, char *err,
		size_t err_len)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int r = read_only(path, "SELECT endpoint, count(*) FROM dead GROUP BY endpoint", &db, &st, err, err_len);

	if(r != 0)
		return r;
	while((r = sqlite3_step(st)) == SQLITE_ROW)
		each((const char *)sqlite3_column_text(st, 0), (uint64_t)sqlite3_column_int64(st, 1), arg);
	return read_end(path, db, st, r, err, err_len);
}
