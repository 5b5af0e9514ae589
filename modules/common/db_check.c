/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is expected is asked of a database in memory that the same files just made: there is no second list. */
#include "db_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 4000u

static const char sqlite_columns[] = "SELECT name FROM pragma_table_info(?) ORDER BY cid";
/* "0 a,b" or, unique, "1 a,b" */
static const char sqlite_indexes[] = "SELECT l.\"unique\" || ' ' || (SELECT group_concat(name) FROM (SELECT name FROM "
									 "pragma_index_info(l.name) ORDER BY "
									 "seqno)), l.name FROM pragma_index_list(?) AS l ORDER BY l.seq DESC";
static const char mariadb_columns[] =
		"SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND "
		"table_name = ? ORDER BY ordinal_position";
static const char mariadb_indexes[] =
		"SELECT CONCAT(IF(non_unique, '0 ', '1 '), GROUP_CONCAT(column_name ORDER BY seq_in_index)), index_name FROM "
		"information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? GROUP BY index_name, "
		"non_unique";

struct names
{
	char text[NAMES]; /* "\nname\nname\n" */
	size_t len;
};

static void add(struct names *n, const char *s, size_t len)
{
	if(n->len + len + 2 >= sizeof(n->text))
		return;
	if(n->len == 0)
		n->text[n->len++] = '\n';
	memcpy(n->text + n->len, s, len);
	n->len += len;
	n->text[n->len++] = '\n';
	n->text[n->len] = '\0';
}

static bool has(const struct names *n, const char *s, size_t len)
{
	for(const char *p = n->text; p + 1 < n->text + n->len; p = strchr(p + 1, '\n')) {
		if(strncmp(p + 1, s, len) == 0 && p[1 + len] == '\n')
			return true;
	}
	return false;
}

static bool take_name(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)columns;
	add(arg, row[0].text, row[0].len);
	return true;
}

struct look
{
	struct sb_db *real, *model;
	void (*each)(const struct sb_db_finding *f, void *arg);
	void *arg;
	int wrong, failed;
	bool has_version;
};

static int64_t by_table(struct sb_db *db, const char *sql, const char *table,
		bool (*each)(const struct sb_db_value *row, unsigned columns, void *arg), void *arg)
{
	struct sb_db_value p = {SB_DB_TEXT, 0, table, strlen(table)};
	return sb_db_query(db, sql, &p, 1, each, arg);
}

static bool take_version(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)columns;
	*(int *)arg = row[0].kind == SB_DB_INT ? (int)row[0].i : -1;
	return false;
}

static int64_t version_of(struct sb_db *db, const char *table, int *out)
{
	*out = -1;
	return by_table(db, "SELECT table_version FROM version WHERE table_name = ?", table, take_version, out);
}

struct missing
{
	const struct names *there;
	char text[1000];
	bool indexes;
};

static bool find_missing(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct missing *m = arg;
	char unique[NAMES];
	if(has(m->there, row[0].text, row[0].len))
		return true;
	if(m->indexes && row[0].text[0] == '0') {
		snprintf(unique, sizeof(unique), "1%s", row[0].text + 1);
		if(has(m->there, unique, row[0].len))
			return true;
	}
	size_t n = strlen(m->text);
	const char *comma = n > 0 ? ", " : "";
	if(m->indexes && columns > 1 && strncmp(row[1].text, "sqlite_autoindex", 16) == 0)
		snprintf(m->text + n, sizeof(m->text) - n, "%sunique (%s)", comma, row[0].text + 2);
	else if(m->indexes && columns > 1)
		snprintf(m->text + n, sizeof(m->text) - n, "%s%s (%s)", comma, row[1].text, row[0].text + 2);
	else
		snprintf(m->text + n, sizeof(m->text) - n, "%s%s", comma, row[0].text);
	return true;
}

static int64_t compare(struct look *l, const char *table, bool indexes, struct names *there, struct missing *m)
{
	bool lite = sb_db_dialect(l->real) == SB_SQLITE;
	const char *sql = indexes ? (lite ? sqlite_indexes : mariadb_indexes) : (lite ? sqlite_columns : mariadb_columns);
	*m = (struct missing){.there = there, .indexes = indexes};
	there->len = 0;
	there->text[0] = '\0';
	int64_t n = by_table(l->real, sql, table, take_name, there);
	if(n < 0 && lite && strstr(sb_db_error(l->real), "no such table") != NULL)
		n = 0; /* a view whose table is not there */
	if(n >= 0)
		by_table(l->model, indexes ? sqlite_indexes : sqlite_columns, table, find_missing, m);
	return n;
}

static bool look_at(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct look *l = arg;
	struct names *there = calloc(1, sizeof(*there));
	struct missing column, index;
	struct sb_db_finding f = {.table = row[0].text, .found = -1};
	int64_t n = there != NULL ? 0 : -ENOMEM;
	(void)columns;
	version_of(l->model, f.table, &f.expected);
	if(n >= 0 && l->has_version)
		n = version_of(l->real, f.table, &f.found);
	if(n >= 0)
		n = compare(l, f.table, false, there, &column);
	f.missing = n == 0;
	if(n >= 0)
		n = compare(l, f.table, true, there, &index);
	free(there);
	if(n < 0) {
		l->failed = (int)n;
		return false;
	}
	if(f.expected < 0)
		f.expected = f.found = 0;
	f.columns = f.missing ? "" : column.text;
	f.indexes = f.missing ? "" : index.text;
	f.good = f.found == f.expected && !f.missing && f.columns[0] == '\0' && f.indexes[0] == '\0';
	l->wrong += !f.good;
	if(l->each != NULL)
		l->each(&f, l->arg);
	return true;
}

static int make_model(struct sb_db **out, bool routing, char *err, size_t err_len)
{
	struct sb_db_url memory = {.dialect = SB_SQLITE, .path = ":memory:"};
	struct sb_db *db;
	int rc = sb_db_open(&db, &memory, true, 0, err, err_len);
	if(rc != 0)
		return rc;
	for(unsigned i = 0; i < sb_schema_file_count && rc == 0; i++) {
		const struct sb_schema_file *f = &sb_schema_files[i];
		char *text = NULL;
		if(f->routing && !routing)
			continue;
		rc = sb_schema_expand(&text, SB_SQLITE, f->text, strlen(f->text), err, err_len);
		if(rc == 0 && (rc = sb_db_exec(db, text)) != 0)
			snprintf(err, err_len, "%s: %s", f->name, sb_db_error(db));
		free(text);
	}
	if(rc == 0)
		*out = db;
	else
		sb_db_close(db);
	return rc;
}

int sb_db_check(struct sb_db *db, bool routing, void (*each)(const struct sb_db_finding *f, void *arg), void *arg,
		char *err, size_t err_len)
{
	struct look l = {.real = db, .each = each, .arg = arg};
	struct names *there = calloc(1, sizeof(*there));
	int rc = there != NULL ? make_model(&l.model, routing, err, err_len) : -ENOMEM;
	if(rc == 0) {
		int64_t n = by_table(
				db, sb_db_dialect(db) == SB_SQLITE ? sqlite_columns : mariadb_columns, "version", take_name, there);
		l.has_version = n > 0 && has(there, "table_name", 10) && has(there, "table_version", 13);
		rc = n < 0 ? (int)n : 0;
		if(rc == 0)
			sb_db_query(l.model,
					"SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER "
					"BY rowid",
					NULL, 0, look_at, &l);
		rc = rc != 0 ? rc : l.failed;
		if(rc != 0)
			snprintf(err, err_len, "the tables cannot be looked at: %s", sb_db_error(db));
		sb_db_close(l.model);
	}
	free(there);
	return rc != 0 ? rc : l.wrong;
}
