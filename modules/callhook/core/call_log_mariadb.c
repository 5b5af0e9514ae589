/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The call log in MariaDB: Connector/C's bulk statements, values bound by columns. */
#include "call_log_store.h"

#include <errmsg.h>
#include <errno.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL 16384u
#define CHUNK 1000u           /* rows in one statement */
#define PACKET_MAX (4u << 20) /* bytes in one statement, */
#define PACKET_SHARE 2        /* at most this part of max_allowed_packet */
#define VALUE_HEAD 10u        /* bytes in front of a value: indicator, length */

/* One column of a chunk. */
struct array
{
	union
	{
		const char *text[CHUNK];
		long long number[CHUNK];
	};
	unsigned long len[CHUNK];
	char indicator[CHUNK];
};

struct maria
{
	struct sb_cl_store base;
	struct sb_db_url url;
	unsigned timeout_ms;
	size_t packet;
	MYSQL_STMT *insert[SB_CL_TABLES];
	MYSQL_BIND bind[SB_CL_COLUMNS_MAX];
	struct array column[SB_CL_COLUMNS_MAX];
};

int sb_cl_mariadb_verdict(unsigned code, const char *sqlstate)
{
	switch(code) {
		case 0:
			return 0;
		case ER_LOCK_DEADLOCK:
		case ER_CHECKREAD:
			return -EAGAIN;
		case ER_LOCK_WAIT_TIMEOUT:
		case ER_STATEMENT_TIMEOUT:
			return -ETIMEDOUT;
		case CR_SERVER_GONE_ERROR:
		case CR_SERVER_LOST:
		case CR_SERVER_LOST_EXTENDED:
			return -ECONNRESET;
		case CR_OUT_OF_MEMORY:
			return -ENOMEM;
		case ER_DISK_FULL:
		case ER_RECORD_FILE_FULL:
			return -ENOSPC;
		case WARN_DATA_TRUNCATED:
		case ER_TRUNCATED_WRONG_VALUE:
		case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
		case ER_WRONG_VALUE_FOR_TYPE:
		case ER_DATA_OUT_OF_RANGE:
		case ER_CONSTRAINT_FAILED:
		case ER_SIGNAL_EXCEPTION:
			return SB_CL_BAD_ROW;
		default:
			break;
	}
	/* ISO 9075: data exception, integrity constraint, WITH CHECK OPTION; a trigger's own SIGNAL */
	if(strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 || strncmp(sqlstate, "44", 2) == 0
			|| strncmp(sqlstate, "45", 2) == 0)
		return SB_CL_BAD_ROW;
	return -EIO;
}

static int failed(struct maria *m, unsigned code, const char *sqlstate, const char *text, char *err, size_t err_len)
{
	int verdict = sb_cl_mariadb_verdict(code, sqlstate);

	if(verdict == SB_CL_BAD_ROW)
		snprintf(err, err_len, "%u %s", code, text);
	else
		snprintf(err, err_len, "%s: %u %s", m->base.shown, code, text);
	return verdict != 0 ? verdict : -EIO;
}

static int connection_failed(struct maria *m, char *err, size_t err_len)
{
	MYSQL *my = sb_db_native(m->base.db);

	return failed(m, mysql_errno(my), mysql_sqlstate(my), mysql_error(my), err, err_len);
}

static void shut(struct sb_cl_store *s)
{
	struct maria *m = (struct maria *)s;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		if(m->insert[t] != NULL)
			mysql_stmt_close(m->insert[t]);
		m->insert[t] = NULL;
	}
	sb_db_close(s->db);
	s->db = NULL;
}

static bool take_packet(const struct sb_db_value *row, unsigned columns, void *arg)
{
	if(columns == 1 && row[0].kind == SB_DB_INT)
		*(size_t *)arg = (size_t)row[0].i;
	return false;
}

/* Waits of the server end before ours do, so that a locked table is told from a server that is gone. */
static int set_session(struct maria *m, char *err, size_t err_len)
{
	MYSQL *my = sb_db_native(m->base.db);
	unsigned wait = m->timeout_ms > 2000 ? m->timeout_ms / 1000 - 1 : 1;
	size_t packet = 0;
	char sql[128];
	unsigned long capable = 0;

	mariadb_get_infov(my, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &capable);
	if((capable & (unsigned long)(MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) == 0) {
		snprintf(err, err_len, "%s: the server is %s, and the call log needs MariaDB 10.2.7 or later", m->base.shown,
				mysql_get_server_info(my));
		return -EPROTO;
	}
	snprintf(sql, sizeof(sql), "SET SESSION lock_wait_timeout = %u, innodb_lock_wait_timeout = %u", wait, wait);
	if(mysql_query(my, sql) != 0)
		return connection_failed(m, err, err_len);
	if(sb_db_query(m->base.db, "SELECT @@max_allowed_packet", NULL, 0, take_packet, &packet) < 0)
		return connection_failed(m, err, err_len);
	m->packet = packet / PACKET_SHARE < PACKET_MAX ? packet / PACKET_SHARE : PACKET_MAX;
	return 0;
}

static const char *mends(unsigned code)
{
	bool denied = code == ER_TABLEACCESS_DENIED_ERROR || code == ER_COLUMNACCESS_DENIED_ERROR;

	return denied ? "its user needs SELECT, INSERT and UPDATE there" : "signalbox db check says what is missing";
}

static int prepare(struct maria *m, char *err, size_t err_len)
{
	MYSQL *my = sb_db_native(m->base.db);
	char sql[SQL];
	int n;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		n = sb_cl_sql(sql, sizeof(sql), t, SB_MARIADB);
		if(n < 0)
			return n;
		m->insert[t] = mysql_stmt_init(my);
		if(m->insert[t] == NULL)
			return connection_failed(m, err, err_len);
		if(mysql_stmt_prepare(m->insert[t], sql, (unsigned long)n) == 0)
			continue;
		unsigned code = mysql_stmt_errno(m->insert[t]);
		int rc = sb_cl_mariadb_verdict(code, mysql_stmt_sqlstate(m->insert[t]));
		snprintf(err, err_len, "%s: table %s: %u %s; %s", m->base.shown, sb_cl_table_name(t), code,
				mysql_stmt_error(m->insert[t]), mends(code));
		return rc < 0 && rc != -EIO ? rc : -ENOENT;
	}
	return 0;
}

static int open_maria(struct sb_cl_store *s, char *err, size_t err_len)
{
	struct maria *m = (struct maria *)s;
	int rc = sb_db_open(&s->db, &m->url, false, m->timeout_ms, err, err_len);

	if(rc != 0) {
		s->db = NULL;
		return rc;
	}
	rc = set_session(m, err, err_len);
	if(rc == 0)
		rc = sb_cl_check_version(s->db, s->shown, err, err_len);
	if(rc == 0)
		rc = prepare(m, err, err_len);
	if(rc != 0)
		shut(s);
	return rc;
}

static size_t row_bytes(const struct sb_cl_row *row, unsigned columns)
{
	size_t n = 0;

	for(unsigned i = 0; i < columns; i++)
		n += VALUE_HEAD + (row->v[i].kind == SB_DB_TEXT ? row->v[i].len : 0);
	return n;
}

/* As many rows as one statement takes: at least one. */
static unsigned chunk_of(const struct maria *m, const struct sb_cl_row *row, unsigned count, unsigned columns)
{
	size_t bytes = 0;
	unsigned n = 0;

	while(n < count && n < CHUNK) {
		bytes += row_bytes(&row[n], columns);
		if(n > 0 && bytes > m->packet)
			break;
		n++;
	}
	return n;
}

static void fill(struct maria *m, enum sb_cl_table table, const struct sb_cl_row *row, unsigned count)
{
	unsigned columns;
	const struct sb_cl_column *c = sb_cl_columns(table, &columns);

	memset(m->bind, 0, sizeof(m->bind));
	for(unsigned i = 0; i < columns; i++) {
		struct array *a = &m->column[i];
		bool number = c[i].type == SB_CL_INT || c[i].type == SB_CL_BIGINT;

		for(unsigned r = 0; r < count; r++) {
			const struct sb_db_value *v = &row[r].v[i];

			a->indicator[r] = v->kind == SB_DB_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
			a->len[r] = v->len;
			if(number)
				a->number[r] = v->i;
			else
				a->text[r] = v->kind == SB_DB_TEXT ? v->text : "";
		}
		m->bind[i].buffer_type = number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_STRING;
		m->bind[i].buffer = number ? (void *)a->number : (void *)a->text;
		m->bind[i].length = a->len;
		m->bind[i].u.indicator = a->indicator;
	}
}

static int put_rows(struct maria *m, const struct sb_cl_part *part, char *err, size_t err_len)
{
	MYSQL_STMT *st = m->insert[part->table];
	unsigned columns;

	sb_cl_columns(part->table, &columns);
	for(unsigned done = 0; done < part->count;) {
		unsigned n = chunk_of(m, part->row + done, part->count - done, columns);

		fill(m, part->table, part->row + done, n);
		if(mysql_stmt_attr_set(st, STMT_ATTR_ARRAY_SIZE, &n) != 0 || mysql_stmt_bind_param(st, m->bind) != 0
				|| mysql_stmt_execute(st) != 0)
			return failed(m, mysql_stmt_errno(st), mysql_stmt_sqlstate(st), mysql_stmt_error(st), err, err_len);
		done += n;
	}
	return 0;
}

/* A statement alone is a transaction by itself. */
static bool one_statement(const struct maria *m, const struct sb_cl_part *part, unsigned parts)
{
	unsigned columns;

	sb_cl_columns(part->table, &columns);
	return parts == 1 && chunk_of(m, part->row, part->count, columns) == part->count;
}

static int put(struct sb_cl_store *s, const struct sb_cl_part *part, unsigned parts, char *err, size_t err_len)
{
	struct maria *m = (struct maria *)s;
	MYSQL *my = sb_db_native(s->db);
	int rc = 0;

	if(one_statement(m, part, parts))
		return put_rows(m, part, err, err_len);
	if(mysql_query(my, "START TRANSACTION") != 0)
		return connection_failed(m, err, err_len);
	for(unsigned i = 0; i < parts && rc == 0; i++)
		rc = put_rows(m, &part[i], err, err_len);
	if(rc == 0)
		return mysql_commit(my) == 0 ? 0 : connection_failed(m, err, err_len);
	if((rc == SB_CL_BAD_ROW || rc == -EAGAIN) && mysql_rollback(my) != 0)
		rc = connection_failed(m, err, err_len);
	return rc;
}

static void free_maria(struct sb_cl_store *s)
{
	shut(s);
	free(s);
}

int sb_cl_mariadb_new(struct sb_cl_store **out, const struct sb_db_url *url, unsigned timeout_ms)
{
	struct maria *m = calloc(1, sizeof(*m));

	if(m == NULL)
		return -ENOMEM;
	m->base = (struct sb_cl_store){.open = open_maria, .close = shut, .put = put, .free = free_maria};
	m->url = *url;
	m->timeout_ms = timeout_ms;
	m->base.shown = m->url.shown;
	*out = &m->base;
	return 0;
}
