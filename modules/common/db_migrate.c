/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct migration
{
	struct sb_db *db;
	sb_db_say say;
	void *arg;
	char *err;
	size_t err_len;
};

static bool take_int(const struct sb_db_value *row, unsigned columns, void *arg)
{
	*(int64_t *)arg = columns > 0 && row[0].kind == SB_DB_INT ? row[0].i : -1;
	return false;
}

static int said(struct migration *m, const char *what, int rc)
{
	snprintf(m->err, m->err_len, "%s: %s", what, sb_db_error(m->db));
	return rc;
}

/* @return rows, or an error that was said */
static int64_t ask(struct migration *m, const char *what, const char *sql, const char *text, int64_t *out)
{
	struct sb_db_value p = {SB_DB_TEXT, 0, text, text != NULL ? strlen(text) : 0};
	*out = -1;
	int64_t n = sb_db_query(m->db, sql, &p, text != NULL ? 1 : 0, take_int, out);
	if(n < 0)
		said(m, what, (int)n);
	return n;
}

static const char lock_busy[] =
		"another signalbox db migrate has been at work on this database for 30 s; wait for its end";

/* SQLite: one transaction around all. MariaDB ends one at every change of a table: a lock by name keeps others away. */
static int lock(struct migration *m)
{
	int64_t got = 0;
	if(sb_db_dialect(m->db) == SB_SQLITE) {
		int rc = sb_db_exec(m->db, "BEGIN IMMEDIATE");
		if(rc == -ETIMEDOUT)
			snprintf(m->err, m->err_len,
					"the database is locked: somebody has been writing to it all the time; try again, and if it stays "
					"so "
					"stop what uses it");
		return rc == 0 || rc == -ETIMEDOUT ? rc : said(m, "the database cannot be written to", rc);
	}
	int64_t n = ask(m, "GET_LOCK", "SELECT GET_LOCK(CONCAT('signalbox.migrate.', MD5(DATABASE())), 30)", NULL, &got);
	if(n < 0)
		return (int)n;
	if(got == 1)
		return 0;
	snprintf(m->err, m->err_len, "%s", lock_busy);
	return -ETIMEDOUT;
}

static int unlock(struct migration *m, int rc)
{
	int64_t ignored;
	if(sb_db_dialect(m->db) == SB_MARIADB) {
		struct migration quiet = *m;
		char err[SB_DB_ERROR];
		quiet.err = err;
		quiet.err_len = sizeof(err);
		ask(&quiet, "RELEASE_LOCK", "SELECT RELEASE_LOCK(CONCAT('signalbox.migrate.', MD5(DATABASE())))", NULL,
				&ignored);
		return rc;
	}
	if(rc >= 0) {
		int end = sb_db_exec(m->db, "COMMIT");
		if(end == 0)
			return rc;
		rc = said(m, "COMMIT", end);
	}
	sb_db_exec(m->db, "ROLLBACK");
	return rc;
}

static int64_t version_there(struct migration *m, int64_t *there)
{
	return ask(m, "which tables there are cannot be read",
			sb_db_dialect(m->db) == SB_SQLITE
					? "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'version'"
					: "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = "
					  "'version'",
			NULL, there);
}

/* The number of the last migration a database has. */
static int applied(struct migration *m, bool routing, unsigned *out)
{
	int64_t there = 0, number = 0;
	*out = 0;
	int64_t n = version_there(m, &there);
	if(n < 0 || there <= 0)
		return n < 0 ? (int)n : 0;
	n = ask(m, "the table version cannot be read", "SELECT table_version FROM version WHERE table_name = ?",
			sb_schema_row(routing), &number);
	if(n > 0 && number > 0)
		*out = (unsigned)number;
	return n < 0 ? (int)n : 0;
}

static int set_applied(struct migration *m, bool routing, unsigned number)
{
	struct sb_db_value p[] = {
			{SB_DB_INT, number, NULL, 0}, {SB_DB_TEXT, 0, sb_schema_row(routing), strlen(sb_schema_row(routing))}};
	char insert[120];
	snprintf(insert, sizeof(insert), "INSERT %s INTO version (table_version, table_name) VALUES (?, ?)",
			sb_db_dialect(m->db) == SB_SQLITE ? "OR IGNORE" : "IGNORE");
	int64_t n = sb_db_query(m->db, insert, p, 2, NULL, NULL);
	if(n >= 0)
		n = sb_db_query(m->db, "UPDATE version SET table_version = ? WHERE table_name = ?", p, 2, NULL, NULL);
	return n < 0 ? said(m, "the table version cannot be written", (int)n) : 0;
}

/* SQLite has no ADD COLUMN IF NOT EXISTS. */
static bool column_there(struct sb_db *db, const char *sql)
{
	return sb_db_dialect(db) == SB_SQLITE && strncmp(sql, "ALTER TABLE ", 12) == 0
		   && strncmp(sb_db_error(db), "duplicate column name", 21) == 0;
}

static int apply(struct migration *m, const struct sb_schema_file *f)
{
	char what[160], *text = NULL;
	int rc = sb_schema_expand(&text, sb_db_dialect(m->db), f->text, strlen(f->text), m->err, m->err_len);
	if(rc != 0)
		return rc;
	snprintf(what, sizeof(what), "applying %s%s", f->routing ? "routing/" : "", f->name);
	m->say(what, m->arg);
	char *at = text;
	for(char *sql = sb_schema_next(&at); sql != NULL && rc == 0; sql = rc == 0 ? sb_schema_next(&at) : NULL) {
		rc = sb_db_exec(m->db, sql);
		if(rc != 0 && column_there(m->db, sql))
			rc = 0;
		if(rc != 0) {
			snprintf(what, sizeof(what), "%s, at %.70s", f->name, sql);
			for(char *p = what; *p != '\0'; p++)
				*p = *p == '\n' ? ' ' : *p;
			said(m, what, rc);
		}
	}
	free(text);
	return rc != 0 ? rc : set_applied(m, f->routing, f->number);
}

/* @return how many were applied */
static int apply_after(struct migration *m, bool routing, unsigned after)
{
	int n = 0;
	for(unsigned i = 0; i < sb_schema_file_count; i++) {
		const struct sb_schema_file *f = &sb_schema_files[i];
		if(f->routing != routing || f->number <= after)
			continue;
		int rc = apply(m, f);
		if(rc != 0)
			return rc;
		n++;
	}
	return n;
}

static int newer(struct migration *m, bool routing)
{
	unsigned has;
	int rc = applied(m, routing, &has);
	if(rc != 0 || has <= sb_schema_last(routing))
		return rc;
	snprintf(m->err, m->err_len,
			"the database is newer than this command: its row %s of the table version says %u, this command knows "
			"migrations up to %u; nothing was changed; use the signalbox that made it, or a newer one",
			sb_schema_row(routing), has, sb_schema_last(routing));
	return -EPROTO;
}

struct newest
{
	struct migration *m;
	bool found;
};

static void look_for_newer(const struct sb_db_finding *f, void *arg)
{
	struct newest *n = arg;
	if(n->found || f->found <= f->expected)
		return;
	n->found = true;
	snprintf(n->m->err, n->m->err_len,
			"the database is newer than this command: table %s has version %d, this command knows version %d; nothing "
			"was changed; use the signalbox that made it, or a newer one",
			f->table, f->found, f->expected);
}

static void say_wrong(const struct sb_db_finding *f, void *arg)
{
	struct migration *m = arg;
	if(f->good)
		return;
	if(f->columns[0] != '\0' || f->indexes[0] != '\0')
		snprintf(m->err, m->err_len,
				"table %s was made by something else and still misses %s%s%s; rename it, migrate again, and copy its "
				"rows",
				f->table, f->columns, f->columns[0] != '\0' && f->indexes[0] != '\0' ? ", " : "", f->indexes);
	else
		snprintf(m->err, m->err_len,
				"table %s has version %d, expected %d; it is Kamailio's own: bring it up to date as Kamailio's release "
				"notes "
				"say",
				f->table, f->found, f->expected);
}

static int both_sets(struct migration *m, bool routing)
{
	int total = 0;
	for(int set = 0; set <= (routing ? 1 : 0); set++) {
		unsigned has = 0;
		int rc = applied(m, set == 1, &has);
		if(rc == 0)
			rc = apply_after(m, set == 1, has);
		if(rc < 0)
			return rc;
		total += rc;
	}
	char err[SB_DB_ERROR];
	int wrong = sb_db_check(m->db, routing, NULL, NULL, m->err, m->err_len);
	if(wrong <= 0)
		return wrong < 0 ? wrong : total;
	m->say("something is missing although the version says that all was applied: applying everything again", m->arg);
	for(int set = 0; set <= (routing ? 1 : 0); set++) {
		int rc = apply_after(m, set == 1, 0);
		if(rc < 0)
			return rc;
		total += rc;
	}
	wrong = sb_db_check(m->db, routing, say_wrong, m, err, sizeof(err));
	if(wrong < 0)
		snprintf(m->err, m->err_len, "%s", err);
	return wrong < 0 ? wrong : wrong > 0 ? -EBADMSG : total;
}

int sb_db_migrate(struct sb_db *db, bool routing, sb_db_say say, void *arg, char *err, size_t err_len)
{
	struct migration m = {db, say, arg, err, err_len};
	struct newest n = {&m, false};
	int rc = lock(&m);
	if(rc != 0)
		return rc;
	rc = newer(&m, false);
	if(rc == 0 && routing)
		rc = newer(&m, true);
	if(rc == 0)
		rc = sb_db_check(db, routing, look_for_newer, &n, err, err_len);
	if(rc >= 0)
		rc = n.found ? -EPROTO : both_sets(&m, routing);
	return unlock(&m, rc);
}
