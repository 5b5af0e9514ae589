/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_parts.h"

#include <errmsg.h>
#include <errno.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_MAX_S 10u
#define CELL 256u

/* Times are UTC, a value that does not fit is refused and not cut, whatever the server's default. */
static const char session[] =
		"SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'";

static int code_of(unsigned code)
{
	switch(code) {
		case CR_SERVER_GONE_ERROR:
		case CR_SERVER_LOST:
		case CR_SERVER_LOST_EXTENDED:
		case ER_CONNECTION_KILLED:
		case ER_SERVER_SHUTDOWN:
			return -ECONNRESET;
		case ER_LOCK_WAIT_TIMEOUT:
		case ER_LOCK_DEADLOCK:
		case ER_STATEMENT_TIMEOUT:
			return -ETIMEDOUT;
		case ER_DUP_ENTRY:
		case ER_DUP_ENTRY_WITH_KEY_NAME:
			return -EEXIST;
		case CR_OUT_OF_MEMORY:
			return -ENOMEM;
		default:
			return -EIO;
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void begin(struct sb_db *db)
{
	db->error[0] = '\0';
	db->began_ms = now_ms();
}

/* What the library leaves in errno and in its text does not tell a time-out from a refusal. The clock does. */
static bool timed_out(uint64_t began_ms, unsigned timeout_ms)
{
	return timeout_ms > 0 && now_ms() - began_ms + 50 >= timeout_ms;
}

static int connect_code(unsigned code, bool late)
{
	switch(code) {
		case CR_CONNECTION_ERROR:
		case CR_CONN_HOST_ERROR:
		case CR_SERVER_LOST:
		case CR_SERVER_LOST_EXTENDED:
		case CR_SERVER_GONE_ERROR:
			return late ? -ETIMEDOUT : -ECONNREFUSED;
		case CR_UNKNOWN_HOST:
			return -ECONNREFUSED;
		case ER_BAD_DB_ERROR:
			return -ENOENT;
		case CR_SSL_CONNECTION_ERROR:
		case CR_AUTH_PLUGIN_CANNOT_LOAD:
		case CR_AUTH_PLUGIN_ERR:
		case ER_ACCESS_DENIED_ERROR:
		case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
		case ER_DBACCESS_DENIED_ERROR:
		case ER_HOST_NOT_PRIVILEGED:
		case ER_HOST_IS_BLOCKED:
			return -EPERM;
		default:
			return -EIO;
	}
}

static const char *mend(int rc)
{
	switch(rc) {
		case -ENOENT:
			return "; make it with CREATE DATABASE";
		case -EPERM:
			return "; check user, password, what the user may do, and TLS";
		case -ECONNREFUSED:
			return "; check host and port, and that it runs";
		case -ETIMEDOUT:
			return "; it does not answer";
		default:
			return "";
	}
}

/* Without TLS, a server (or who poses as one) must not be able to ask for the password in clear. */
#define AUTH "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password,parsec,auth_gssapi_client"

static unsigned seconds(unsigned timeout_ms)
{
	return timeout_ms / 1000 + (timeout_ms % 1000 != 0);
}

static void set_options(MYSQL *my, const struct sb_db_url *url, unsigned connect, unsigned whole)
{
	unsigned off = 0;
	my_bool no = 0, yes = 1;
	if(url->user[0] == '\0' || url->password[0] == '\0')
		mysql_options(my, MYSQL_READ_DEFAULT_GROUP, "client");
	mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
	mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &whole);
	mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &whole);
	mysql_options(my, MYSQL_OPT_RECONNECT, &no);
	mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &off);
	mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, url->ca[0] != '\0' ? &yes : &no);
	if(!url->tls) {
		mysql_options(my, MARIADB_OPT_RESTRICTED_AUTH, AUTH);
		return;
	}
	mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &yes);
	mysql_options(my, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
	if(url->ca[0] != '\0')
		mysql_options(my, MYSQL_OPT_SSL_CA, url->ca);
	if(url->cert[0] != '\0') {
		mysql_options(my, MYSQL_OPT_SSL_CERT, url->cert);
		mysql_options(my, MYSQL_OPT_SSL_KEY, url->key);
	}
}

static const char *or_null(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

int sb_mariadb_open(struct sb_db **out, const struct sb_db_url *url, unsigned timeout_ms, char *err, size_t err_len)
{
	struct sb_db *db = calloc(1, sizeof(*db));
	MYSQL *my = mysql_init(NULL);
	if(db == NULL || my == NULL) {
		snprintf(err, err_len, "out of memory");
		free(db);
		mysql_close(my);
		return -ENOMEM;
	}
	unsigned whole = seconds(timeout_ms), connect = whole < CONNECT_MAX_S && whole > 0 ? whole : CONNECT_MAX_S;
	set_options(my, url, connect, whole);
	begin(db);
	if(mysql_real_connect(my, or_null(url->host), or_null(url->user), or_null(url->password), url->database, url->port,
			   or_null(url->socket), CLIENT_FOUND_ROWS)
					== NULL
			|| mysql_query(my, session) != 0) {
		int rc = connect_code(mysql_errno(my), timed_out(db->began_ms, connect * 1000));
		snprintf(err, err_len, "%s: %s%s", url->shown, mysql_error(my), mend(rc));
		mysql_close(my);
		free(db);
		return rc;
	}
	db->dialect = SB_MARIADB;
	db->native = my;
	db->timeout_ms = whole * 1000;
	*out = db;
	return 0;
}

void sb_mariadb_close(struct sb_db *db)
{
	mysql_close(db->native);
	free(db);
}

static int failed(struct sb_db *db, unsigned code, const char *text)
{
	snprintf(db->error, sizeof(db->error), "%s", text);
	int rc = code_of(code);
	return rc == -ECONNRESET && timed_out(db->began_ms, db->timeout_ms) ? -ETIMEDOUT : rc;
}

int sb_mariadb_exec(struct sb_db *db, const char *sql)
{
	MYSQL *my = db->native;
	begin(db);
	if(mysql_query(my, sql) != 0)
		return failed(db, mysql_errno(my), mysql_error(my));
	MYSQL_RES *res = mysql_store_result(my);
	mysql_free_result(res);
	return mysql_errno(my) != 0 ? failed(db, mysql_errno(my), mysql_error(my)) : 0;
}

struct cell
{
	int64_t i;
	char *text, own[CELL];
	size_t cap;
	unsigned long len;
	my_bool null, cut;
};

struct result
{
	MYSQL_STMT *st;
	MYSQL_RES *meta;
	unsigned columns;
	MYSQL_BIND *bind;
	struct cell *cell;
	struct sb_db_value *row;
};

static bool is_int(const MYSQL_FIELD *f)
{
	switch(f->type) {
		case MYSQL_TYPE_TINY:
		case MYSQL_TYPE_SHORT:
		case MYSQL_TYPE_INT24:
		case MYSQL_TYPE_LONG:
		case MYSQL_TYPE_LONGLONG:
		case MYSQL_TYPE_YEAR:
			return true;
		case MYSQL_TYPE_DECIMAL:
		case MYSQL_TYPE_NEWDECIMAL:
			return f->decimals == 0; /* SUM() of whole numbers */
		default:
			return false;
	}
}

static void bind_cell(MYSQL_BIND *b, struct cell *c, bool number)
{
	memset(b, 0, sizeof(*b));
	b->is_null = &c->null;
	b->length = &c->len;
	b->error = &c->cut;
	b->buffer_type = number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_STRING;
	b->buffer = number ? (void *)&c->i : c->text;
	b->buffer_length = number ? sizeof(c->i) : c->cap - 1;
}

static int prepare_result(struct result *r)
{
	const MYSQL_FIELD *f = mysql_fetch_fields(r->meta);
	r->columns = mysql_num_fields(r->meta);
	r->bind = calloc(r->columns, sizeof(*r->bind));
	r->cell = calloc(r->columns, sizeof(*r->cell));
	r->row = calloc(r->columns, sizeof(*r->row));
	if(r->bind == NULL || r->cell == NULL || r->row == NULL)
		return -ENOMEM;
	for(unsigned i = 0; i < r->columns; i++) {
		struct cell *c = &r->cell[i];
		c->text = c->own;
		c->cap = sizeof(c->own);
		bind_cell(&r->bind[i], c, is_int(&f[i]));
	}
	return mysql_stmt_bind_result(r->st, r->bind) != 0 ? -EIO : 0;
}

static void free_result(struct result *r)
{
	for(unsigned i = 0; r->cell != NULL && i < r->columns; i++) {
		if(r->cell[i].text != r->cell[i].own)
			free(r->cell[i].text);
	}
	free(r->bind);
	free(r->cell);
	free(r->row);
	mysql_free_result(r->meta);
}

/* A text longer than its cell is fetched again into a larger one, which is kept for the rows after it. */
static int grow(struct result *r, unsigned i)
{
	struct cell *c = &r->cell[i];
	char *more = malloc(c->len + 1);
	if(more == NULL)
		return -ENOMEM;
	if(c->text != c->own)
		free(c->text);
	c->text = more;
	c->cap = c->len + 1;
	bind_cell(&r->bind[i], c, false);
	return mysql_stmt_fetch_column(r->st, &r->bind[i], i, 0) != 0 ? -EIO : 1;
}

/* @return 0 or an error */
static int take_row(struct result *r)
{
	int grown = 0;
	for(unsigned i = 0; i < r->columns; i++) {
		struct cell *c = &r->cell[i];
		bool number = r->bind[i].buffer_type == MYSQL_TYPE_LONGLONG;
		if(!c->null && !number && c->len >= c->cap) {
			grown = grow(r, i);
			if(grown < 0)
				return grown;
		}
		r->row[i] = (struct sb_db_value){c->null ? SB_DB_NULL : number ? SB_DB_INT : SB_DB_TEXT, c->i, "", 0};
		if(r->row[i].kind == SB_DB_TEXT) {
			c->text[c->len] = '\0';
			r->row[i].text = c->text;
			r->row[i].len = c->len;
		}
	}
	return grown > 0 && mysql_stmt_bind_result(r->st, r->bind) != 0 ? -EIO : 0;
}

static int64_t read_rows(struct sb_db *db, struct result *r, sb_db_each each, void *arg)
{
	int64_t rows = 0;
	int rc = prepare_result(r);
	while(rc == 0) {
		rc = mysql_stmt_fetch(r->st);
		if(rc == MYSQL_NO_DATA)
			return rows;
		if(rc == 1)
			break;
		rc = take_row(r);
		rows++;
		if(rc == 0 && each != NULL && !each(r->row, r->columns, arg))
			return rows;
		db->began_ms = now_ms();
	}
	if(rc == -ENOMEM) {
		snprintf(db->error, sizeof(db->error), "out of memory");
		return rc;
	}
	return failed(db, mysql_stmt_errno(r->st), mysql_stmt_error(r->st));
}

static int execute(MYSQL_STMT *st, const char *sql, const struct sb_db_value *params, unsigned count)
{
	MYSQL_BIND *bind = count > 0 ? calloc(count, sizeof(*bind)) : NULL;
	int rc = mysql_stmt_prepare(st, sql, strlen(sql));
	if(rc == 0 && count > 0 && (bind == NULL || mysql_stmt_param_count(st) != count)) {
		free(bind);
		return bind == NULL ? -ENOMEM : -EINVAL;
	}
	for(unsigned i = 0; i < count && rc == 0; i++) {
		const struct sb_db_value *p = &params[i];
		bind[i].buffer_type = p->kind == SB_DB_INT    ? MYSQL_TYPE_LONGLONG
							  : p->kind == SB_DB_TEXT ? MYSQL_TYPE_STRING
													  : MYSQL_TYPE_NULL;
		bind[i].buffer = p->kind == SB_DB_INT ? (void *)&p->i : (void *)(p->len > 0 ? p->text : "");
		bind[i].buffer_length = p->len;
	}
	if(rc == 0 && count > 0)
		rc = mysql_stmt_bind_param(st, bind);
	if(rc == 0)
		rc = mysql_stmt_execute(st);
	free(bind);
	return rc;
}

int64_t sb_mariadb_query(
		struct sb_db *db, const char *sql, const struct sb_db_value *params, unsigned count, sb_db_each each, void *arg)
{
	MYSQL *my = db->native;
	struct result r = {.st = mysql_stmt_init(my)};
	int64_t n;
	begin(db);
	if(r.st == NULL)
		return failed(db, mysql_errno(my), mysql_error(my));
	int rc = execute(r.st, sql, params, count);
	if(rc < 0) {
		snprintf(db->error, sizeof(db->error),
				rc == -ENOMEM ? "out of memory" : "%u parameters were given, %lu are wanted", count,
				mysql_stmt_param_count(r.st));
		n = rc;
	} else if(rc != 0) {
		n = failed(db, mysql_stmt_errno(r.st), mysql_stmt_error(r.st));
	} else {
		r.meta = mysql_stmt_result_metadata(r.st);
		n = r.meta != NULL ? read_rows(db, &r, each, arg) : (int64_t)mysql_stmt_affected_rows(r.st);
	}
	mysql_stmt_close(r.st);
	free_result(&r);
	return n;
}
