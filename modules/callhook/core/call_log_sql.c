/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The statements, made from the tables of columns. */
#include "call_log_rows.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sql
{
	char *p;
	size_t len, room;
};

static void add(struct sql *s, const char *format, ...)
{
	size_t left = s->len < s->room ? s->room - s->len : 0;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(left > 0 ? s->p + s->len : NULL, left, format, ap);
	va_end(ap);
	s->len += n > 0 ? (size_t)n : 0;
}

static void insert(struct sql *s, enum sb_cl_table table)
{
	unsigned count;
	const struct sb_cl_column *c = sb_cl_columns(table, &count);

	add(s, "INSERT INTO %s (", sb_cl_table_name(table));
	for(unsigned i = 0; i < count; i++)
		add(s, "%s%s", i > 0 ? ", " : "", c[i].name);
	add(s, ") VALUES (");
	for(unsigned i = 0; i < count; i++)
		add(s, i > 0 ? ", ?" : "?");
	add(s, ")");
}

/* The columns of the key come first. */
static const struct
{
	unsigned columns;
	const char *names;
} key[SB_CL_TABLES] = {
		[SB_CL_CALL] = {1, "call_id"}, [SB_CL_ATTEMPT] = {2, "call_id, n"}, [SB_CL_EVENT] = {1, "event_id"}};

/* Set behind the others: what they are compared by. */
static bool compared(enum sb_cl_table table, const char *name)
{
	return strcmp(name, "last_sequence") == 0 || (table == SB_CL_ATTEMPT && strcmp(name, "code") == 0);
}

static void sqlite_update(struct sql *s, enum sb_cl_table table)
{
	unsigned count;
	const struct sb_cl_column *c = sb_cl_columns(table, &count);

	add(s, " ON CONFLICT (%s) DO ", key[table].names);
	if(table == SB_CL_EVENT) {
		add(s, "NOTHING");
		return;
	}
	add(s, "UPDATE SET last_sequence = max(last_sequence, excluded.last_sequence)");
	for(unsigned i = key[table].columns; i < count; i++) {
		if(strcmp(c[i].name, "last_sequence") == 0)
			continue;
		if(c[i].end)
			add(s,
					", %s = CASE WHEN excluded.hangup_by IS NULL AND excluded.ended_at IS NOT NULL THEN %s ELSE "
					"excluded.%s END",
					c[i].name, c[i].name, c[i].name);
		else
			add(s, ", %s = excluded.%s", c[i].name, c[i].name);
	}
	add(s, " WHERE excluded.last_sequence > last_sequence");
	if(table == SB_CL_ATTEMPT)
		add(s, " OR (excluded.code IS NOT NULL AND code IS NULL)");
}

/* MariaDB says nothing about which unique key was hit: a NULL where none may be refuses a row that is not the same. Assignments
 * take effect from left to right. */
static void mariadb_update(struct sql *s, enum sb_cl_table table)
{
	static const char newer_call[] = "VALUES(last_sequence) > last_sequence";
	static const char newer_attempt[] =
			"VALUES(last_sequence) > last_sequence OR (VALUES(code) IS NOT NULL AND code IS NULL)";
	const char *newer = table == SB_CL_CALL ? newer_call : newer_attempt;
	const char *same =
			table == SB_CL_CALL ? "call_id = VALUES(call_id)" : "call_id = VALUES(call_id) AND n = VALUES(n)";
	unsigned count;
	const struct sb_cl_column *c = sb_cl_columns(table, &count);

	add(s, " ON DUPLICATE KEY UPDATE ");
	if(table == SB_CL_EVENT) {
		add(s, "sequence = IF(event_id = VALUES(event_id), sequence, NULL)");
		return;
	}
	for(unsigned i = key[table].columns; i < count; i++) {
		if(compared(table, c[i].name))
			continue;
		add(s, "%s = IF(%s%s%s%s, VALUES(%s), %s), ", c[i].name, c[i].end ? "(" : "", newer, c[i].end ? ")" : "",
				c[i].end ? " AND (VALUES(hangup_by) IS NOT NULL OR VALUES(ended_at) IS NULL)" : "", c[i].name,
				c[i].name);
	}
	if(table == SB_CL_ATTEMPT)
		add(s, "code = IF(%s, VALUES(code), code), ", newer);
	add(s, "last_sequence = IF(%s, GREATEST(last_sequence, VALUES(last_sequence)), NULL)", same);
}

int sb_cl_sql(char *out, size_t room, enum sb_cl_table table, enum sb_dialect dialect)
{
	struct sql s = {.p = out, .room = room};

	insert(&s, table);
	if(dialect == SB_SQLITE)
		sqlite_update(&s, table);
	else
		mariadb_update(&s, table);
	return s.len < s.room ? (int)s.len : -ENOSPC;
}
