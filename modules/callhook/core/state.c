/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state_parts.h"

#define ROW_COLUMNS                                                                                               \
	"endpoint TEXT NOT NULL, call_id BLOB NOT NULL, epoch INT NOT NULL, seq INT NOT NULL, segment INT NOT NULL, " \
	"offset INT NOT NULL, tries INT NOT NULL, next_at INT NOT NULL, error TEXT NOT NULL"
#define LETTER_COLUMNS(table)                                           \
	"ALTER TABLE " table " ADD COLUMN type INT NOT NULL DEFAULT 0;"     \
	"ALTER TABLE " table " ADD COLUMN at INT NOT NULL DEFAULT 0;"       \
	"ALTER TABLE " table " ADD COLUMN sequence INT NOT NULL DEFAULT 0;" \
	"ALTER TABLE " table " ADD COLUMN body BLOB;"

/* What makes version n + 1 of version n. Never changed once released. */
static const char *const migrations[SB_STATE_VERSION] = {
		"CREATE TABLE cursor (endpoint TEXT PRIMARY KEY, segment INT NOT NULL, offset INT NOT NULL, "
		"url TEXT NOT NULL, disabled_at INT NOT NULL, disabled_why TEXT NOT NULL);"
		"CREATE TABLE pending (" ROW_COLUMNS ", PRIMARY KEY (endpoint, call_id, segment, offset)) WITHOUT ROWID;"
		"CREATE INDEX pending_due ON pending (endpoint, next_at);"
		"CREATE INDEX pending_segment ON pending (endpoint, segment);"
		"CREATE TABLE dead (" ROW_COLUMNS ", given_up_at INT NOT NULL);"
		"CREATE INDEX dead_call ON dead (call_id);",

		LETTER_COLUMNS("pending")
				LETTER_COLUMNS("dead") "DROP INDEX pending_segment;"
									   /* version 1 could forget to let the first event of a call come due */
									   "UPDATE pending SET next_at = 1 WHERE next_at = 0 AND NOT EXISTS (SELECT 1 FROM "
									   "pending p WHERE "
									   "p.endpoint = pending.endpoint AND p.call_id = pending.call_id AND "
									   "(p.next_at > 0 OR (p.segment, p.offset) < (pending.segment, pending.offset)));"
									   "CREATE INDEX pending_segment ON pending (endpoint, segment) WHERE body IS NULL;"
									   "CREATE INDEX dead_endpoint ON dead (endpoint);"
									   "CREATE TABLE status (endpoint TEXT PRIMARY KEY, url TEXT NOT NULL, events TEXT "
									   "NOT NULL, trunks TEXT NOT NULL, "
									   "dids TEXT NOT NULL, state TEXT NOT NULL, since INT NOT NULL, delivered INT NOT "
									   "NULL, failed INT NOT NULL, "
									   "dead INT NOT NULL, pending INT NOT NULL, waiting INT NOT NULL, in_flight INT "
									   "NOT NULL, oldest_at INT NOT NULL, "
									   "success_at INT NOT NULL, failure_at INT NOT NULL, probe_at INT NOT NULL, "
									   "rate_10s REAL NOT NULL, "
									   "rate_60s REAL NOT NULL, error TEXT NOT NULL, updated_at INT NOT NULL);"
									   "CREATE TABLE worker (one INTEGER PRIMARY KEY, pid INT NOT NULL, started_at INT "
									   "NOT NULL, updated_at INT NOT NULL);",
};

static const char *const sql_of[] = {
#define X(name, sql) sql,
		SB_STATEMENTS(X)
#undef X
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

static void say_broken(char *err, size_t err_len, const char *path, const char *why)
{
	snprintf(err, err_len,
			"%s cannot be used: %s; it must be a file that callhook made, writable, with room on its disk "
			"(if it is damaged, move it away: endpoints then begin with what happens from now on)",
			path, why);
}

/* One step, whole or not at all. */
static int migrate(sqlite3 *db, const char *path, int from, char *err, size_t err_len)
{
	char set_version[48];

	snprintf(set_version, sizeof(set_version), "PRAGMA user_version=%d", from + 1);
	if(run_text(db, "BEGIN IMMEDIATE") == 0 && run_text(db, migrations[from]) == 0 && run_text(db, set_version) == 0
			&& run_text(db, "COMMIT") == 0)
		return 0;
	say_broken(err, err_len, path, sqlite3_errmsg(db));
	run_text(db, "ROLLBACK");
	return -EIO;
}

static int bring_up(struct sb_store *s, const char *path, int version, char *err, size_t err_len)
{
	if(version > SB_STATE_VERSION) {
		snprintf(err, err_len,
				"%s has version %d, this callhook writes version %d: use the callhook that made it, or move "
				"the file away (endpoints then begin with what happens from now on)",
				path, version, SB_STATE_VERSION);
		return -EPROTO;
	}
	for(; version < SB_STATE_VERSION; version++) {
		int r = migrate(s->db, path, version, err, err_len);
		if(r != 0)
			return r;
	}
	return 0;
}

static int prepare(struct sb_store *s, const char *path, bool durable, char *err, size_t err_len)
{
	int version = 0, r;

	sqlite3_busy_timeout(s->db, 5000);
	if(run_text(s->db, "PRAGMA journal_mode=WAL") != 0 || version_of(s->db, &version) != 0
			|| run_text(s->db, "PRAGMA synchronous=FULL") != 0)
		goto broken;
	r = bring_up(s, path, version, err, err_len);
	if(r != 0)
		return r;
	if(!durable && run_text(s->db, "PRAGMA synchronous=NORMAL") != 0)
		goto broken;
	for(int i = 0; i < ST_COUNT; i++) {
		if(sqlite3_prepare_v3(s->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) != SQLITE_OK)
			goto broken;
	}
	return 0;
broken:
	say_broken(err, err_len, path, sqlite3_errmsg(s->db));
	return -EIO;
}

/* Numbers and names of people are in it, and URLs with tokens. One that is there is not opened: to close it would end SQLite's locks on it. What SQLite
 * makes beside it gets its mode. */
static void make_private(const char *path)
{
	static const char *const beside[] = {"", "-wal", "-shm"};
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char name[SB_LOG_PATH + 64];

	if(fd >= 0)
		close(fd);
	for(int i = 0; fd < 0 && i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, beside[i]);
		(void)!chmod(name, 0600); /* made by an earlier version, which took the umask */
	}
}

int sb_store_open(struct sb_store **out, const char *path, bool durable, char *err, size_t err_len)
{
	struct sb_store *s = calloc(1, sizeof(*s));
	int r = 0;

	if(s == NULL)
		return -ENOMEM;
	make_private(path);
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

sqlite3_stmt *sb_store_use(struct sb_store *s, int i, const char *endpoint)
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
sqlite3_stmt *sb_store_change(struct sb_store *s, int i, const char *endpoint)
{
	if(!s->open && finish(sb_store_use(s, ST_BEGIN, NULL)) == 0)
		s->open = true;
	return sb_store_use(s, i, endpoint);
}

int sb_store_finish_change(struct sb_store *s, sqlite3_stmt *st)
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
	err = finish(sb_store_use(s, ST_COMMIT, NULL));
	if(err == 0)
		s->open = false;
	return err;
}

void sb_store_text(char *out, size_t room, sqlite3_stmt *st, int col)
{
	const unsigned char *t = sqlite3_column_text(st, col);

	snprintf(out, room, "%s", t != NULL ? (const char *)t : "");
}

int sb_store_cursor(struct sb_store *s, const char *endpoint, struct sb_cursor *out)
{
	sqlite3_stmt *st = sb_store_use(s, ST_CURSOR, endpoint);
	int r = sqlite3_step(st);

	if(r == SQLITE_ROW) {
		out->pos.segment = (uint64_t)sqlite3_column_int64(st, 0);
		out->pos.offset = (uint64_t)sqlite3_column_int64(st, 1);
		sb_store_text(out->url, sizeof(out->url), st, 2);
		out->disabled_at = (uint64_t)sqlite3_column_int64(st, 3);
		sb_store_text(out->disabled_why, sizeof(out->disabled_why), st, 4);
	}
	sqlite3_reset(st);
	if(r == SQLITE_ROW)
		return 0;
	return r == SQLITE_DONE ? -ENOENT : -EIO;
}

int sb_store_set_cursor(struct sb_store *s, const char *endpoint, const struct sb_cursor *c)
{
	sqlite3_stmt *st = sb_store_change(s, ST_SET_CURSOR, endpoint);

	sqlite3_bind_int64(st, 2, (int64_t)c->pos.segment);
	sqlite3_bind_int64(st, 3, (int64_t)c->pos.offset);
	sqlite3_bind_text(st, 4, c->url, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 5, (int64_t)c->disabled_at);
	sqlite3_bind_text(st, 6, c->disabled_why, -1, SQLITE_STATIC);
	return sb_store_finish_change(s, st);
}

int sb_store_move(struct sb_store *s, const char *endpoint, struct sb_pos pos)
{
	sqlite3_stmt *st = sb_store_change(s, ST_MOVE, endpoint);

	sqlite3_bind_int64(st, 2, (int64_t)pos.segment);
	sqlite3_bind_int64(st, 3, (int64_t)pos.offset);
	return sb_store_finish_change(s, st);
}

int sb_store_endpoints(struct sb_store *s, void (*each)(const char *endpoint, void *arg), void *arg)
{
	sqlite3_stmt *st = sb_store_use(s, ST_ENDPOINTS, NULL);
	int r;

	while((r = sqlite3_step(st)) == SQLITE_ROW)
		each((const char *)sqlite3_column_text(st, 0), arg);
	sqlite3_reset(st);
	return r == SQLITE_DONE ? 0 : -EIO;
}

int sb_store_forget(struct sb_store *s, const char *endpoint, uint64_t *dropped)
{
	int err = sb_store_finish_change(s, sb_store_change(s, ST_FORGET_PENDING, endpoint));

	if(err != 0)
		return err;
	if(dropped != NULL)
		*dropped = (uint64_t)sqlite3_changes(s->db);
	err = sb_store_finish_change(s, sb_store_change(s, ST_FORGET_STATUS, endpoint));
	return err != 0 ? err : sb_store_finish_change(s, sb_store_change(s, ST_FORGET, endpoint));
}

void sb_store_bind_row(sqlite3_stmt *st, const struct sb_pending *p)
{
	sqlite3_bind_blob(st, 2, p->call, 16, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, p->epoch);
	sqlite3_bind_int64(st, 4, (int64_t)p->seq);
	sqlite3_bind_int64(st, 5, (int64_t)p->pos.segment);
	sqlite3_bind_int64(st, 6, (int64_t)p->pos.offset);
	sqlite3_bind_int64(st, 7, p->tries);
	sqlite3_bind_int64(st, 8, (int64_t)p->next_at);
	sqlite3_bind_text(st, 9, p->error, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 10, p->type);
	sqlite3_bind_int64(st, 11, (int64_t)p->at);
	sqlite3_bind_int64(st, 12, (int64_t)p->sequence);
}

void sb_store_bind_key(sqlite3_stmt *st, const struct sb_pending *p)
{
	sqlite3_bind_blob(st, 2, p->call, 16, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (int64_t)p->pos.segment);
	sqlite3_bind_int64(st, 4, (int64_t)p->pos.offset);
}

int sb_store_park(struct sb_store *s, const char *endpoint, const struct sb_pending *p)
{
	sqlite3_stmt *st = sb_store_change(s, ST_PARK, endpoint);
	int err;

	sb_store_bind_row(st, p);
	err = sb_store_finish_change(s, st);
	return err != 0 ? err : sqlite3_changes(s->db);
}

int sb_store_again(struct sb_store *s, const char *endpoint, const struct sb_pending *p)
{
	sqlite3_stmt *st = sb_store_change(s, ST_AGAIN, endpoint);

	sb_store_bind_key(st, p);
	sqlite3_bind_int64(st, 5, p->tries);
	sqlite3_bind_int64(st, 6, (int64_t)p->next_at);
	sqlite3_bind_text(st, 7, p->error, -1, SQLITE_STATIC);
	return sb_store_finish_change(s, st);
}

int sb_store_promote(struct sb_store *s, const char *endpoint, const uint8_t call[16], uint64_t now)
{
	sqlite3_stmt *st = sb_store_change(s, ST_PROMOTE, endpoint);

	sqlite3_bind_blob(st, 2, call, 16, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (int64_t)now);
	return sb_store_finish_change(s, st);
}

int sb_store_unpark(struct sb_store *s, const char *endpoint, const struct sb_pending *p, uint64_t now)
{
	sqlite3_stmt *st = sb_store_change(s, ST_UNPARK, endpoint);
	int err;

	sb_store_bind_key(st, p);
	err = sb_store_finish_change(s, st);
	return err != 0 ? err : sb_store_promote(s, endpoint, p->call, now);
}

int sb_store_hasten(struct sb_store *s, const char *endpoint, uint64_t now)
{
	sqlite3_stmt *st = sb_store_change(s, ST_HASTEN, endpoint);

	sqlite3_bind_int64(st, 2, (int64_t)now);
	return sb_store_finish_change(s, st);
}

int sb_store_not_later(struct sb_store *s, const char *endpoint, uint32_t tries, uint64_t at)
{
	sqlite3_stmt *st = sb_store_change(s, ST_NOT_LATER, endpoint);

	sqlite3_bind_int64(st, 2, tries);
	sqlite3_bind_int64(st, 3, (int64_t)at);
	return sb_store_finish_change(s, st);
}

void sb_store_read_row(sqlite3_stmt *st, struct sb_pending *p)
{
	memset(p, 0, sizeof(*p));
	if(sqlite3_column_bytes(st, 0) == 16)
		memcpy(p->call, sqlite3_column_blob(st, 0), 16);
	p->epoch = (uint32_t)sqlite3_column_int64(st, 1);
	p->seq = (uint64_t)sqlite3_column_int64(st, 2);
	p->pos.segment = (uint64_t)sqlite3_column_int64(st, 3);
	p->pos.offset = (uint64_t)sqlite3_column_int64(st, 4);
	p->tries = (uint32_t)sqlite3_column_int64(st, 5);
	p->next_at = (uint64_t)sqlite3_column_int64(st, 6);
	sb_store_text(p->error, sizeof(p->error), st, 7);
	p->type = (uint16_t)sqlite3_column_int(st, 8);
	p->at = (uint64_t)sqlite3_column_int64(st, 9);
	p->sequence = (uint64_t)sqlite3_column_int64(st, 10);
	p->kept = sqlite3_column_int(st, 11) != 0;
}

int sb_store_due(struct sb_store *s, const char *endpoint, uint64_t now, struct sb_pending *out, int max)
{
	sqlite3_stmt *st = sb_store_use(s, ST_DUE, endpoint);
	int r, n = 0;

	sqlite3_bind_int64(st, 2, (int64_t)now);
	sqlite3_bind_int(st, 3, max);
	while((r = sqlite3_step(st)) == SQLITE_ROW && n < max)
		sb_store_read_row(st, &out[n++]);
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
	return one_number(sb_store_use(s, ST_NEXT_DUE, endpoint), at);
}

int sb_store_oldest(struct sb_store *s, const char *endpoint, uint64_t *segment, uint64_t *at)
{
	sqlite3_stmt *st = sb_store_use(s, ST_OLDEST, endpoint);
	int r = sqlite3_step(st);

	*segment = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	*at = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 1) : 0;
	sqlite3_reset(st);
	return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : -EIO;
}

int sb_store_calls(
		struct sb_store *s, const char *endpoint, int (*each)(const uint8_t call[16], uint32_t n, void *arg), void *arg)
{
	sqlite3_stmt *st = sb_store_use(s, ST_CALLS, endpoint);
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
	sqlite3_stmt *st = sb_store_use(s, ST_COUNTS, NULL);
	int r = sqlite3_step(st);

	*pending = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	*dead = r == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 1) : 0;
	sqlite3_reset(st);
	return r == SQLITE_ROW ? 0 : -EIO;
}
