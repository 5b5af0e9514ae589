/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signalbox db migrate | check | sql */
#include "db_cmd.h"
#include "db_schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void progress(const char *line, void *arg)
{
	struct cli *c = arg;
	fprintf(c->out, "  %s\n", line);
	fflush(c->out);
}

int db_migrate(struct cli *c, int argc, char **argv)
{
	bool routing = false;
	const struct db_option o[] = {{"--with-routing", NULL, &routing}};
	struct sb_db_url url;
	struct sb_db *db;
	char err[SB_DB_ERROR];
	int rc = db_options(c, "migrate", argc, argv, o, 1);
	if(rc == CLI_OK)
		rc = db_open(c, true, &db, &url);
	if(rc != CLI_OK)
		return rc;
	fprintf(c->out, "%s\n", url.shown);
	rc = sb_db_migrate(db, routing, progress, c, err, sizeof(err));
	sb_db_close(db);
	if(rc < 0) {
		fprintf(c->err, "signalbox: %s.\n", err);
		return CLI_NOT_FOUND;
	}
	fprintf(c->out, "up to date: migration %u%s\n", sb_schema_last(false), rc == 0 ? ", nothing to do" : "");
	return CLI_OK;
}

struct report
{
	struct cli *c;
	json_t *tables;
	int count;
	bool newer;
};

static json_t *list_of(const char *names)
{
	json_t *list = json_array();
	/* an index has commas of its own: "name (a,b)" */
	while(*names != '\0') {
		const char *end = strstr(names, ", ");
		size_t n = end != NULL ? (size_t)(end - names) : strlen(names);
		json_array_append_new(list, json_stringn(names, n));
		names += n + (end != NULL ? 2 : 0);
	}
	return list;
}

static void finding(const struct sb_db_finding *f, void *arg)
{
	struct report *r = arg;
	struct cli *c = r->c;
	r->count++;
	r->newer |= f->found > f->expected;
	if(c->json) {
		json_array_append_new(r->tables, json_pack("{s:s, s:o, s:o, s:b, s:o, s:o, s:b}", "table", f->table, "version",
												 f->found > 0 ? json_integer(f->found) : json_null(), "expected",
												 f->expected > 0 ? json_integer(f->expected) : json_null(), "missing",
												 f->missing, "missing_columns", list_of(f->columns), "missing_indexes",
												 list_of(f->indexes), "good", f->good));
		return;
	}
	fprintf(c->out, "  %s%-20s%s ", tone_on(c, f->good ? PLAIN : BAD), f->table, tone_off(c, f->good ? PLAIN : BAD));
	if(f->missing)
		fprintf(c->out, "missing");
	else if(f->expected == 0)
		fprintf(c->out, "there");
	else if(f->found < 0)
		fprintf(c->out, "version unknown, expected %d", f->expected);
	else if(f->found == f->expected)
		fprintf(c->out, "version %d", f->found);
	else
		fprintf(c->out, "version %d, expected %d%s", f->found, f->expected,
				f->found > f->expected ? ": newer than this command" : "");
	if(f->columns[0] != '\0')
		fprintf(c->out, "; missing columns: %s", f->columns);
	if(f->indexes[0] != '\0')
		fprintf(c->out, "; missing indexes: %s", f->indexes);
	fputc('\n', c->out);
}

static bool has_routing(struct sb_db *db)
{
	struct sb_db_value p = {SB_DB_TEXT, 0, SB_SCHEMA_ROW_ROUTING, strlen(SB_SCHEMA_ROW_ROUTING)};
	return sb_db_query(db, "SELECT 1 FROM version WHERE table_name = ?", &p, 1, NULL, NULL) > 0;
}

int db_check(struct cli *c, int argc, char **argv)
{
	static const char newer[] = "use the signalbox that made this database, or a newer one";
	bool routing = false;
	const struct db_option o[] = {{"--with-routing", NULL, &routing}};
	struct sb_db_url url;
	struct sb_db *db;
	char err[SB_DB_ERROR];
	int rc = db_options(c, "check", argc, argv, o, 1);
	if(rc == CLI_OK)
		rc = db_open(c, false, &db, &url);
	if(rc != CLI_OK)
		return rc;
	routing = routing || has_routing(db);
	const char *migrate = routing ? "signalbox db migrate --with-routing" : "signalbox db migrate";
	struct report r = {.c = c, .tables = json_array()};
	if(!c->json)
		fprintf(c->out, "%s\n", url.shown);
	int wrong = sb_db_check(db, routing, finding, &r, err, sizeof(err));
	sb_db_close(db);
	const char *mend = wrong == 0 ? NULL : r.newer ? newer : migrate;
	if(wrong < 0)
		fprintf(c->err, "signalbox: %s.\n", err);
	else if(c->json)
		print_json(c,
				json_pack("{s:s, s:b, s:O, s:s?}", "database", url.shown, "good", wrong == 0, "tables", r.tables,
						"mend", mend),
				true);
	else if(wrong == 0)
		fprintf(c->out, "all %d as expected\n", r.count);
	else
		fprintf(c->out, "%d of them not as expected; %s%s\n", wrong, r.newer ? "" : "to mend: ", mend);
	json_decref(r.tables);
	return wrong == 0 ? CLI_OK : CLI_NOT_FOUND;
}

static int print_file(struct cli *c, enum sb_dialect dialect, const struct sb_schema_file *f)
{
	char err[SB_DB_ERROR], *text = NULL;
	if(sb_schema_expand(&text, dialect, f->text, strlen(f->text), err, sizeof(err)) != 0) {
		fprintf(c->err, "signalbox: %s: %s.\n", f->name, err);
		return CLI_NOT_FOUND;
	}
	fprintf(c->out, "\n-- %s%s\n%s", f->routing ? "routing/" : "", f->name, text);
	free(text);
	return CLI_OK;
}

static void print_row(struct cli *c, enum sb_dialect dialect, bool routing)
{
	fprintf(c->out,
			"\nINSERT %s INTO version (table_name, table_version) VALUES ('%s', %u);\n"
			"UPDATE version SET table_version = %u WHERE table_name = '%s';\n",
			dialect == SB_SQLITE ? "OR IGNORE" : "IGNORE", sb_schema_row(routing), sb_schema_last(routing),
			sb_schema_last(routing), sb_schema_row(routing));
}

int db_sql(struct cli *c, int argc, char **argv)
{
	bool routing = false, lite = false, maria = false;
	const struct db_option o[] = {
			{"--with-routing", NULL, &routing}, {"sqlite", NULL, &lite}, {"mariadb", NULL, &maria}};
	int rc = db_options(c, "sql", argc, argv, o, 3);
	if(rc != CLI_OK)
		return rc;
	if(lite == maria) {
		fprintf(c->err, "signalbox: db sql needs one of: sqlite, mariadb. See: signalbox help\n");
		return CLI_USAGE;
	}
	enum sb_dialect dialect = lite ? SB_SQLITE : SB_MARIADB;
	fprintf(c->out, "-- Signalbox %s, for %s: what signalbox db migrate%s does to a new database.\n", SIGNALBOX_VERSION,
			lite ? "SQLite" : "MariaDB", routing ? " --with-routing" : "");
	if(maria)
		fputs("SET NAMES utf8mb4;\n", c->out);
	for(unsigned i = 0; i < sb_schema_file_count && rc == CLI_OK; i++) {
		if(!sb_schema_files[i].routing || routing)
			rc = print_file(c, dialect, &sb_schema_files[i]);
	}
	print_row(c, dialect, false);
	if(routing)
		print_row(c, dialect, true);
	return rc;
}
