/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A database of a test's own, in a file. */
#ifndef SB_TEST_DB_FIXTURE_H
#define SB_TEST_DB_FIXTURE_H

#include "db_schema.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char db_dir[] = "/tmp/signalbox-db-XXXXXX";
static struct sb_db_url db_url = {.dialect = SB_SQLITE};
static char db_err[SB_DB_ERROR];

static inline int db_fixture(void **state)
{
	(void)state;
	if(mkdtemp(db_dir) == NULL)
		return -1;
	snprintf(db_url.path, sizeof(db_url.path), "%s/a.db", db_dir);
	return 0;
}

static inline int db_forget(void **state)
{
	static const char *const end[] = {"", "-wal", "-shm"};
	char path[SB_DB_URL + 8];
	(void)state;
	for(int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", db_url.path, end[i]);
		unlink(path);
	}
	return 0;
}

static inline int db_gone(void **state)
{
	db_forget(state);
	return rmdir(db_dir);
}

static inline struct sb_db *db_opened(void)
{
	struct sb_db *db = NULL;
	if(sb_db_open(&db, &db_url, true, 200, db_err, sizeof(db_err)) != 0)
		fail_msg("%s", db_err);
	return db;
}

static inline void db_must(struct sb_db *db, const char *sql)
{
	if(sb_db_exec(db, sql) != 0)
		fail_msg("%s: %s", sql, sb_db_error(db));
}

static inline bool db_take(const struct sb_db_value *row, unsigned columns, void *arg)
{
	char *out = arg;
	for(unsigned i = 0; i < columns; i++) {
		size_t n = strlen(out);
		if(row[i].kind == SB_DB_INT)
			snprintf(out + n, 2000 - n, "%s%lld", n > 0 ? " " : "", (long long)row[i].i);
		else
			snprintf(out + n, 2000 - n, "%s%s", n > 0 ? " " : "", row[i].kind == SB_DB_TEXT ? row[i].text : "NULL");
	}
	return true;
}

/** Every value of every row with a space between them. */
static inline const char *db_all(struct sb_db *db, const char *sql)
{
	static char out[2000];
	out[0] = '\0';
	if(sb_db_query(db, sql, NULL, 0, db_take, out) < 0)
		fail_msg("%s: %s", sql, sb_db_error(db));
	return out;
}

#endif
