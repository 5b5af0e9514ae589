/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The endpoints, from the database: read at start, and on callhook.reload. */
#include "hook.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/srdb1/db.h"

#define CELL 1200

struct load
{
	db_func_t dbf;
	db1_con_t *con;
	char url[256]; /* db_url without its password */
};

static str columns[SB_EP_COLUMNS];

/* scheme://user:password@host/db with the password left out */
static void url_shown(char *out, size_t room, const char *url)
{
	const char *user = strstr(url, "://"), *at = strrchr(url, '@'), *colon;

	colon = user != NULL ? strchr(user + 3, ':') : NULL;
	if(at == NULL || colon == NULL || colon > at)
		snprintf(out, room, "%s", url);
	else
		snprintf(out, room, "%.*s:***%s", (int)(colon - url), url, at);
}

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

static const char *mend(const struct load *l)
{
	static char text[400];

	snprintf(text, sizeof(text), "signalbox db migrate --db '%s'", l->url);
	return text;
}

/* db_sqlite makes a file that is not there: an empty database would hide a wrong path. */
static int file_there(const struct load *l)
{
	const char *path = hook_params.db_url + 9;

	if(strncmp(hook_params.db_url, "sqlite://", 9) != 0 || access(path, R_OK | W_OK) == 0)
		return 0;
	complain("db_url %s: the file %s cannot be used: %s; expected a database that the user Kamailio runs as can read and "
		   "write; "
		   "to make it: %s",
			l->url, path, strerror(errno), mend(l));
	return -1;
}

/*
 * What db_bind_mod() and db_table_version() do. In 5.6 they are in a shared library of Kamailio's, in 6.1 in the binary:
 * a module that asks the database module itself needs neither and loads everywhere.
 */
static int bind_module(db_func_t *dbf)
{
	size_t n = strcspn(hook_params.db_url, ":");
	db_bind_api_f bind;
	char name[64];

	if(n == 0 || n > sizeof(name) - 4)
		return -1;
	snprintf(name, sizeof(name), "db_%.*s", (int)n, hook_params.db_url);
	if(find_module_by_name(name) == NULL)
		return -1;
	bind = (db_bind_api_f)find_mod_export(name, "db_bind_api", 0, 0);
	return bind != NULL ? bind(dbf) : -1;
}

/* @return the version, 0 (no row) or -1 */
static int table_version(struct load *l, str *table)
{
	str version = str_init("version"), name = str_init("table_name"), number = str_init("table_version");
	db_key_t key[] = {&name}, col[] = {&number};
	db_val_t is[1] = {{.type = DB1_STR}};
	db1_res_t *res = NULL;
	int found = 0;

	is[0].val.str_val = *table;
	if(l->dbf.use_table(l->con, &version) < 0 || l->dbf.query(l->con, key, NULL, is, col, 1, 1, NULL, &res) < 0
			|| res == NULL)
		return -1;
	if(RES_ROW_N(res) > 0 && !VAL_NULL(ROW_VALUES(RES_ROWS(res)))) {
		const db_val_t *v = ROW_VALUES(RES_ROWS(res));
		found = VAL_TYPE(v) == DB1_BIGINT ? (int)VAL_BIGINT(v) : VAL_INT(v);
	}
	l->dbf.free_result(l->con, res);
	return found;
}

static int connect_db(struct load *l)
{
	str url = {hook_params.db_url, (int)strlen(hook_params.db_url)};

	if(bind_module(&l->dbf) < 0) {
		complain("db_url %s: no module for this database is loaded; expected loadmodule \"db_sqlite.so\" (or the one for "
			   "your "
			   "database) before callhook.so",
				l->url);
		return -1;
	}
	if(l->dbf.use_table == NULL || l->dbf.init == NULL || l->dbf.close == NULL || l->dbf.query == NULL
			|| l->dbf.free_result == NULL) {
		complain("db_url %s: this database module cannot query; use one that can, like db_sqlite", l->url);
		return -1;
	}
	if(file_there(l) < 0)
		return -1;
	l->con = l->dbf.init(&url);
	if(l->con == NULL) {
		complain("db_url %s: the database cannot be reached (what it said is in the lines above); check host, user and "
			   "password, "
			   "and that it runs",
				l->url);
		return -1;
	}
	return 0;
}

static int check_version(struct load *l)
{
	str table = {hook_params.db_table, (int)strlen(hook_params.db_table)};
	int found = table_version(l, &table);

	if(found == HOOK_TABLE_VERSION)
		return 0;
	if(found < 0)
		complain("db_url %s: the table version cannot be read, so that nothing is known of %s; expected version %d; to "
			   "make both: "
			   "%s",
				l->url, hook_params.db_table, HOOK_TABLE_VERSION, mend(l));
	else if(found == 0)
		complain("db_url %s: no version of table %s was found in the table version; expected %d; to make it: %s",
				l->url, hook_params.db_table, HOOK_TABLE_VERSION, mend(l));
	else
		complain("db_url %s: table %s has version %d; expected %d: %s", l->url, hook_params.db_table, found,
				HOOK_TABLE_VERSION,
				found > HOOK_TABLE_VERSION
						? "use the Signalbox that made it"
						: mend(l));
	return -1;
}

/* A value as text, NUL-terminated; a NUL inside becomes a character that no column accepts. */
static const char *cell(const db_val_t *v, char buf[CELL])
{
	const char *s = NULL;
	size_t len = 0;

	if(VAL_NULL(v))
		return NULL;
	switch(VAL_TYPE(v)) {
		case DB1_INT:
			snprintf(buf, CELL, "%d", VAL_INT(v));
			return buf;
		case DB1_BIGINT:
			snprintf(buf, CELL, "%lld", VAL_BIGINT(v));
			return buf;
		case DB1_UINT:
			snprintf(buf, CELL, "%u", VAL_UINT(v));
			return buf;
		case DB1_DOUBLE:
			snprintf(buf, CELL, "%g", VAL_DOUBLE(v));
			return buf;
		case DB1_STRING:
			s = VAL_STRING(v);
			len = s != NULL ? strlen(s) : 0;
			break;
		case DB1_STR:
			s = VAL_STR(v).s;
			len = (size_t)VAL_STR(v).len;
			break;
		case DB1_BLOB:
			s = VAL_BLOB(v).s;
			len = (size_t)VAL_BLOB(v).len;
			break;
		default:
			snprintf(buf, CELL, "(type %d)", VAL_TYPE(v));
			return buf;
	}
	if(len >= CELL)
		len = CELL - 1;
	for(size_t i = 0; i < len; i++)
		buf[i] = s[i] != '\0' ? s[i] : '\x01';
	buf[len] = '\0';
	return buf;
}

static void bad_row(const char *sentence, void *arg)
{
	(*(int *)arg)++;
	complain("%s", sentence);
}

static int take_rows(const db1_res_t *res, struct sb_endpoint *out)
{
	static char buf[SB_EP_COLUMNS][CELL];
	int bad = 0;

	for(int i = 0; i < RES_ROW_N(res); i++) {
		struct sb_endpoint_row row;

		for(int c = 0; c < SB_EP_COLUMNS; c++)
			row.col[c] = cell(&ROW_VALUES(&RES_ROWS(res)[i])[c], buf[c]);
		if(sb_endpoint_from_row(&out[i], hook_params.db_table, &row, bad_row, &bad) != 0)
			continue;
		for(int k = 0; k < i; k++) {
			if(strcmp(out[k].id, out[i].id) == 0) {
				complain("table %s, row id=\"%s\": two rows have this id; right would be: one", hook_params.db_table,
						out[i].id);
				bad++;
			}
		}
	}
	if(bad == 0)
		return 0;
	complain("%d wrong values in table %s: correct them with UPDATE %s SET column = value WHERE id = '...', then "
			 "%s",
			bad, hook_params.db_table, hook_params.db_table, heard != NULL ? "callhook.reload" : "start again");
	return -1;
}

static int read_table(struct load *l, struct sb_endpoint **out, unsigned *count)
{
	str table = {hook_params.db_table, (int)strlen(hook_params.db_table)};
	db_key_t keys[SB_EP_COLUMNS];
	db1_res_t *res = NULL;
	int err = -1;

	for(int c = 0; c < SB_EP_COLUMNS; c++) {
		columns[c].s = (char *)sb_endpoint_col_name((enum sb_endpoint_col)c);
		columns[c].len = (int)strlen(columns[c].s);
		keys[c] = &columns[c];
	}
	if(l->dbf.use_table(l->con, &table) < 0
			|| l->dbf.query(l->con, NULL, NULL, NULL, keys, 0, SB_EP_COLUMNS, &columns[SB_EP_id], &res) < 0
			|| res == NULL) {
		complain("db_url %s: table %s cannot be read (what the database said is in the lines above); expected the "
			   "columns of "
			   "version %d; to make it: %s",
				l->url, hook_params.db_table, HOOK_TABLE_VERSION, mend(l));
		return -1;
	}
	if(RES_ROW_N(res) > HOOK_ENDPOINTS_MAX) {
		complain("table %s has %d rows; at most %d are possible", hook_params.db_table, RES_ROW_N(res),
				HOOK_ENDPOINTS_MAX);
		goto out;
	}
	*out = calloc(RES_ROW_N(res) > 0 ? (size_t)RES_ROW_N(res) : 1, sizeof(**out));
	if(*out == NULL) {
		complain("out of memory");
		goto out;
	}
	*count = (unsigned)RES_ROW_N(res);
	err = take_rows(res, *out);
out:
	l->dbf.free_result(l->con, res);
	return err;
}

int hook_db_endpoints(struct sb_endpoint **out, unsigned *count, void (*hear)(const char *sentence))
{
	struct load l = {0};
	int err;

	heard = hear;
	url_shown(l.url, sizeof(l.url), hook_params.db_url);
	err = connect_db(&l);
	if(err == 0)
		err = check_version(&l);
	if(err == 0)
		err = read_table(&l, out, count);
	if(l.con != NULL)
		l.dbf.close(l.con);
	return err;
}
