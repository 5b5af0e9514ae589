/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dead letters: kept with their text, sent again on demand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state_parts.h"

#define PIECE 1000

int sb_store_bury(struct sb_store *s, const char *endpoint, const struct sb_pending *p, const char *body, size_t len,
		uint64_t now)
{
	sqlite3_stmt *st = sb_store_change(s, ST_BURY, endpoint);

	sb_store_bind_row(st, p);
	sqlite3_bind_int64(st, 13, (int64_t)now);
	if(body != NULL)
		sqlite3_bind_blob64(st, 14, body, len, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, 14);
	return sb_store_finish_change(s, st);
}

int sb_store_trim_dead(struct sb_store *s, uint64_t keep)
{
	sqlite3_stmt *st = sb_store_change(s, ST_TRIM, NULL);

	sqlite3_bind_int64(st, 1, (int64_t)keep);
	return sb_store_finish_change(s, st);
}

int sb_store_body(struct sb_store *s, const char *endpoint, const struct sb_pending *p, char **body, size_t *len)
{
	sqlite3_stmt *st = sb_store_use(s, ST_BODY, endpoint);
	int r, err = 0;

	sb_store_bind_key(st, p);
	r = sqlite3_step(st);
	if(r == SQLITE_ROW) {
		*len = (size_t)sqlite3_column_bytes(st, 0);
		*body = calloc(1, *len + 1);
		if(*body == NULL)
			err = -ENOMEM;
		else if(*len > 0)
			memcpy(*body, sqlite3_column_blob(st, 0), *len);
	}
	sqlite3_reset(st);
	if(r == SQLITE_ROW)
		return err;
	return r == SQLITE_DONE ? -ENOENT : -EIO;
}

static sqlite3_stmt *bind_replay(struct sb_store *s, int i, const char *endpoint, const struct sb_replay *r)
{
	sqlite3_stmt *st = sb_store_use(s, i, endpoint);

	sqlite3_clear_bindings(st);
	sqlite3_bind_text(st, 1, endpoint, -1, SQLITE_STATIC);
	if(r->what == SB_REPLAY_CALL)
		sqlite3_bind_blob(st, 2, r->call, 16, SQLITE_STATIC);
	if(r->what == SB_REPLAY_EVENT) {
		sqlite3_bind_int64(st, 3, r->epoch);
		sqlite3_bind_int64(st, 4, (int64_t)r->seq);
	}
	sqlite3_bind_int64(st, 5, r->after);
	sqlite3_bind_int64(st, 6, r->last);
	sqlite3_bind_int64(st, 7, (int64_t)r->first_segment);
	return st;
}

int sb_store_replay_begin(
		struct sb_store *s, const char *endpoint, struct sb_replay *r, uint64_t *events, uint64_t *lost)
{
	sqlite3_stmt *st;
	int rc;

	r->after = 0;
	r->last = INT64_MAX;
	st = bind_replay(s, ST_REPLAY_COUNT, endpoint, r);
	rc = sqlite3_step(st);
	if(rc == SQLITE_ROW) {
		*events = (uint64_t)sqlite3_column_int64(st, 1);
		*lost = (uint64_t)sqlite3_column_int64(st, 0) - *events;
		r->last = sqlite3_column_int64(st, 2);
	}
	sqlite3_reset(st);
	return rc == SQLITE_ROW ? 0 : -EIO;
}

struct letter
{
	int64_t row;
	uint8_t call[16];
};

/* One row from `dead` into `pending`. @return 1, 0 (it was there), -EIO */
static int take(struct sb_store *s, const char *endpoint, const struct letter *l, uint64_t now)
{
	sqlite3_stmt *st = sb_store_change(s, ST_REPLAY_PARK, NULL);
	int added, err;

	sqlite3_bind_int64(st, 1, l->row);
	err = sb_store_finish_change(s, st);
	if(err != 0)
		return err;
	added = sqlite3_changes(s->db);
	st = sb_store_change(s, ST_REPLAY_TAKE, NULL);
	sqlite3_bind_int64(st, 1, l->row);
	err = sb_store_finish_change(s, st);
	if(err != 0)
		return err;
	st = sb_store_change(s, ST_REPLAY_BEHIND, endpoint);
	sqlite3_bind_blob(st, 2, l->call, 16, SQLITE_STATIC);
	err = sb_store_finish_change(s, st);
	if(err == 0)
		err = sb_store_promote(s, endpoint, l->call, now);
	return err != 0 ? err : added;
}

int sb_store_replay(struct sb_store *s, const char *endpoint, struct sb_replay *r, uint64_t now, int max,
		int (*each)(const uint8_t call[16], uint32_t n, void *arg), void *arg)
{
	static struct letter piece[PIECE];
	sqlite3_stmt *st = bind_replay(s, ST_REPLAY_NEXT, endpoint, r);
	int n = 0, rc, err = 0;

	sqlite3_bind_int(st, 8, max < PIECE ? max : PIECE);
	while((rc = sqlite3_step(st)) == SQLITE_ROW) {
		memset(&piece[n], 0, sizeof(piece[n]));
		piece[n].row = sqlite3_column_int64(st, 0);
		if(sqlite3_column_bytes(st, 1) == 16)
			memcpy(piece[n].call, sqlite3_column_blob(st, 1), 16);
		n++;
	}
	sqlite3_reset(st);
	if(rc != SQLITE_DONE)
		return -EIO;
	for(int i = 0; i < n && err >= 0; i++) {
		err = take(s, endpoint, &piece[i], now);
		if(err > 0)
			err = each(piece[i].call, 1, arg);
		r->after = piece[i].row;
	}
	return err < 0 ? err : n;
}
