/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_log_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of the rows that db/schema/003_call_log.sql and what comes after it leave in `version`. */
#define VERSION 1

struct found
{
	int version[SB_CL_TABLES]; /* -1: no row */
};

static bool note(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct found *f = arg;

	for(unsigned t = 0; columns == 2 && t < SB_CL_TABLES; t++) {
		const char *name = sb_cl_table_name(t);
		if(row[0].kind == SB_DB_TEXT && row[1].kind == SB_DB_INT && strcmp(row[0].text, name) == 0)
			f->version[t] = (int)row[1].i;
	}
	return true;
}

int sb_cl_check_version(struct sb_db *db, const char *shown, char *err, size_t err_len)
{
	static const char sql[] = "SELECT table_name, table_version FROM version WHERE table_name IN (?, ?, ?)";
	struct sb_db_value name[SB_CL_TABLES];
	struct found f;
	int64_t rc;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		f.version[t] = -1;
		name[t] = (struct sb_db_value){
				.kind = SB_DB_TEXT, .text = sb_cl_table_name(t), .len = strlen(sb_cl_table_name(t))};
	}
	rc = sb_db_query(db, sql, name, SB_CL_TABLES, note, &f);
	if(rc == -EIO) {
		snprintf(err, err_len, "%s: %s; signalbox db migrate makes the tables", shown, sb_db_error(db));
		return -ENOENT;
	}
	if(rc < 0) {
		snprintf(err, err_len, "%s: %s", shown, sb_db_error(db));
		return (int)rc;
	}
	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		if(f.version[t] == VERSION)
			continue;
		if(f.version[t] < 0)
			snprintf(err, err_len, "%s: there is no table %s; signalbox db migrate makes it", shown,
					sb_cl_table_name(t));
		else
			snprintf(err, err_len, "%s: table %s has version %d, this callhook writes version %d; %s", shown,
					sb_cl_table_name(t), f.version[t], VERSION,
					f.version[t] < VERSION ? "signalbox db migrate mends it" : "use the callhook that it was made for");
		return -ENOENT;
	}
	return 0;
}

int sb_cl_store_new(struct sb_cl_store **out, const struct sb_db_url *url, unsigned timeout_ms)
{
	return url->dialect == SB_SQLITE ? sb_cl_sqlite_new(out, url, timeout_ms) : sb_cl_mariadb_new(out, url, timeout_ms);
}
