/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The endpoints, from the database: read at start, and on callhook.reload. No database module of Kamailio's is needed. */
#include "hook.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "db.h"

#define CELL 1200
#define TIMEOUT_MS 5000

struct load
{
	struct sb_db *db;
	struct sb_db_url url;
	struct sb_endpoint *out;
	unsigned count;
	int bad;
	bool too_many;
};

static void (*heard)(const char *sentence);

/* A sentence for the log, and for who asked. */
static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
	char text[1800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	LM_ERR("%s\n", text);
	if(heard != NULL)
		heard(text);
}

static int connect_db(struct load *l)
{
	char err[SB_DB_ERROR];
	int rc;

	if(sb_db_url_parse(&l->url, hook_params.db_url, err, sizeof(err)) != 0) {
		complain("modparam(\"callhook\", \"db_url\", …): %s", err);
		return -1;
	}
	rc = sb_db_open(&l->db, &l->url, false, TIMEOUT_MS, err, sizeof(err));
	if(rc == 0)
		return 0;
	if(l->url.dialect == SB_SQLITE)
		complain("db_url %s: the file %s cannot be used: %s; expected a database that the user Kamailio runs as can "
				 "read and "
				 "write; to make it: signalbox db migrate --db '%s'",
				l->url.shown, l->url.path, err, l->url.shown);
	else
		complain("db_url %s: the database cannot be reached (%s)", l->url.shown, err);
	return -1;
}

static bool take_version(const struct sb_db_value *row, unsigned columns, void *arg)
{
	*(int *)arg = row[0].kind == SB_DB_INT ? (int)row[0].i : 0;
	return true;
}

static int check_version(struct load *l)
{
	struct sb_db_value table = {.kind = SB_DB_TEXT, .text = hook_params.db_table, .len = strlen(hook_params.db_table)};
	const char *mend = "to make it: signalbox db migrate --db";
	int found = 0;

	if(sb_db_query(l->db, "SELECT table_version FROM version WHERE table_name = ?", &table, 1, take_version, &found)
			< 0)
		complain("db_url %s: the table version cannot be read (%s), so that nothing is known of %s; expected version "
				 "%d; %s '%s'",
				l->url.shown, sb_db_error(l->db), hook_params.db_table, HOOK_TABLE_VERSION, mend, l->url.shown);
	else if(found == 0)
		complain("db_url %s: no version of table %s was found in the table version; expected %d; %s '%s'", l->url.shown,
				hook_params.db_table, HOOK_TABLE_VERSION, mend, l->url.shown);
	else if(found > HOOK_TABLE_VERSION)
		complain("db_url %s: table %s has version %d; expected %d: use the Signalbox that made it", l->url.shown,
				hook_params.db_table, found, HOOK_TABLE_VERSION);
	else if(found < HOOK_TABLE_VERSION)
		complain("db_url %s: table %s has version %d; expected %d; %s '%s'", l->url.shown, hook_params.db_table, found,
				HOOK_TABLE_VERSION, mend, l->url.shown);
	return found == HOOK_TABLE_VERSION ? 0 : -1;
}

/* A value as text, NUL-terminated; a NUL inside becomes a character that no column accepts. */
static const char *cell(const struct sb_db_value *v, char buf[CELL])
{
	size_t len = v->len < CELL ? v->len : CELL - 1;

	if(v->kind == SB_DB_NULL)
		return NULL;
	if(v->kind == SB_DB_INT) {
		snprintf(buf, CELL, "%" PRId64, v->i);
		return buf;
	}
	for(size_t i = 0; i < len; i++)
		buf[i] = v->text[i] != '\0' ? v->text[i] : '\x01';
	buf[len] = '\0';
	return buf;
}

static void bad_row(const char *sentence, void *arg)
{
	(*(int *)arg)++;
	complain("%s", sentence);
}

static bool known(const struct load *l, const char *id)
{
	for(unsigned i = 0; i < l->count; i++)
		if(strcmp(l->out[i].id, id) == 0)
			return true;
	return false;
}

static bool take_row(const struct sb_db_value *values, unsigned columns, void *arg)
{
	static char buf[SB_EP_COLUMNS][CELL];
	struct load *l = arg;
	struct sb_endpoint_row row;

	if(l->count == HOOK_ENDPOINTS_MAX) {
		l->too_many = true;
		return false;
	}
	for(unsigned c = 0; c < SB_EP_COLUMNS; c++)
		row.col[c] = cell(&values[c], buf[c]);
	if(sb_endpoint_from_row(&l->out[l->count], hook_params.db_table, &row, bad_row, &l->bad) != 0)
		return true;
	if(known(l, l->out[l->count].id)) {
		complain("table %s, row id=\"%s\": two rows have this id; right would be: one", hook_params.db_table,
				l->out[l->count].id);
		l->bad++;
	}
	l->count++;
	return true;
}

/* The name of a table is no parameter. */
static bool name_ok(const char *name)
{
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static int select_rows(struct load *l)
{
	char sql[1024];
	size_t len = 0;

	len += (size_t)snprintf(sql, sizeof(sql), "SELECT ");
	for(unsigned c = 0; c < SB_EP_COLUMNS; c++)
		len += (size_t)snprintf(sql + len, sizeof(sql) - len, "%s%s", c > 0 ? ", " : "", sb_endpoint_col_name(c));
	snprintf(sql + len, sizeof(sql) - len, " FROM %s ORDER BY id LIMIT %d", hook_params.db_table,
			HOOK_ENDPOINTS_MAX + 1);
	return sb_db_query(l->db, sql, NULL, 0, take_row, l) < 0 ? -1 : 0;
}

static int read_table(struct load *l)
{
	if(!name_ok(hook_params.db_table)) {
		complain("modparam(\"callhook\", \"db_table\", \"%s\"): expected letters, digits and _", hook_params.db_table);
		return -1;
	}
	l->out = calloc(HOOK_ENDPOINTS_MAX, sizeof(*l->out));
	if(l->out == NULL) {
		complain("out of memory");
		return -1;
	}
	if(select_rows(l) < 0) {
		complain("db_url %s: table %s cannot be read (%s); expected the columns of version %d; to make it: signalbox "
				 "db migrate "
				 "--db '%s'",
				l->url.shown, hook_params.db_table, sb_db_error(l->db), HOOK_TABLE_VERSION, l->url.shown);
		return -1;
	}
	if(l->too_many) {
		complain("table %s has more than %d rows", hook_params.db_table, HOOK_ENDPOINTS_MAX);
		return -1;
	}
	if(l->bad == 0)
		return 0;
	complain("%d wrong values in table %s: correct them with UPDATE %s SET column = value WHERE id = '...', then %s",
			l->bad, hook_params.db_table, hook_params.db_table, heard != NULL ? "callhook.reload" : "start again");
	return -1;
}

int hook_db_endpoints(struct sb_endpoint **out, unsigned *count, void (*hear)(const char *sentence))
{
	struct load l = {0};
	int err;

	heard = hear;
	err = connect_db(&l);
	if(err == 0)
		err = check_version(&l);
	if(err == 0)
		err = read_table(&l);
	if(l.db != NULL)
		sb_db_close(l.db);
	*out = l.out;
	*count = l.count;
	return err;
}
