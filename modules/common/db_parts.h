/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What the two drivers behind db.h fill in.
 */
#ifndef SB_DB_PARTS_H
#define SB_DB_PARTS_H

#include "db.h"

typedef bool (*sb_db_each)(const struct sb_db_value *row, unsigned columns, void *arg);

struct sb_db
{
	enum sb_dialect dialect;
	void *native;
	unsigned timeout_ms;
	uint64_t began_ms; /* the exchange that goes on: CLOCK_MONOTONIC */
	char error[SB_DB_ERROR];
};

/* Errors and results as in db.h. *out is allocated by the driver, and freed by its close. */
int sb_sqlite_open(
		struct sb_db **out, const struct sb_db_url *url, bool create, unsigned timeout_ms, char *err, size_t err_len);
void sb_sqlite_close(struct sb_db *db);
int sb_sqlite_exec(struct sb_db *db, const char *sql);
int64_t sb_sqlite_query(struct sb_db *db, const char *sql, const struct sb_db_value *params, unsigned count,
		sb_db_each each, void *arg);

int sb_mariadb_open(struct sb_db **out, const struct sb_db_url *url, unsigned timeout_ms, char *err, size_t err_len);
void sb_mariadb_close(struct sb_db *db);
int sb_mariadb_exec(struct sb_db *db, const char *sql);
int64_t sb_mariadb_query(struct sb_db *db, const char *sql, const struct sb_db_value *params, unsigned count,
		sb_db_each each, void *arg);

#endif
