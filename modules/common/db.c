/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_parts.h"

int sb_db_open(
		struct sb_db **out, const struct sb_db_url *url, bool create, unsigned timeout_ms, char *err, size_t err_len)
{
	if(url->dialect == SB_SQLITE)
		return sb_sqlite_open(out, url, create, timeout_ms, err, err_len);
	return sb_mariadb_open(out, url, timeout_ms, err, err_len);
}

void sb_db_close(struct sb_db *db)
{
	if(db == NULL)
		return;
	if(db->dialect == SB_SQLITE)
		sb_sqlite_close(db);
	else
		sb_mariadb_close(db);
}

enum sb_dialect sb_db_dialect(const struct sb_db *db)
{
	return db->dialect;
}

const char *sb_db_error(const struct sb_db *db)
{
	return db->error;
}

void *sb_db_native(struct sb_db *db)
{
	return db->native;
}

int sb_db_exec(struct sb_db *db, const char *sql)
{
	return db->dialect == SB_SQLITE ? sb_sqlite_exec(db, sql) : sb_mariadb_exec(db, sql);
}

int64_t sb_db_query(
		struct sb_db *db, const char *sql, const struct sb_db_value *params, unsigned count, sb_db_each each, void *arg)
{
	if(db->dialect == SB_SQLITE)
		return sb_sqlite_query(db, sql, params, count, each, arg);
	return sb_mariadb_query(db, sql, params, count, each, arg);
}
