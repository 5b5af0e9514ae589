/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int code_of(int rc)
{
	switch(rc & 0xff) {
		case SQLITE_BUSY:
		case SQLITE_LOCKED:
			return -ETIMEDOUT;
		case SQLITE_CONSTRAINT:
			return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ? -EEXIST : -EIO;
		case SQLITE_NOMEM:
			return -ENOMEM;
		case SQLITE_PERM:
		case SQLITE_CANTOPEN:
		case SQLITE_READONLY:
			return -EACCES;
		default:
			return -EIO;
	}
}

static int failed(struct sb_db *db, int rc)
{
	snprintf(db->error, sizeof(db->error), "%s", sqlite3_errmsg(db->native));
	return code_of(rc);
}

/* Passwords of endpoints and numbers of people are in it: nobody else's. What root makes belongs to whom the folder belongs to. */
static int make_file(const char *path)
{
	char dir[SB_DB_URL];
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if(fd < 0)
		return errno == EEXIST ? 0 : -errno;
	int n = (int)(strrchr(path, '/') - path);
	snprintf(dir, sizeof(dir), "%.*s", n > 0 ? n : 1, path);
	int err = 0;
	if(geteuid() == 0 && stat(dir, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
		err = -errno;
	close(fd);
	return err;
}

static int file_there(const char *path, bool create, char *err, size_t err_len)
{
	int rc = create ? make_file(path) : 0;
	/* not by open(): close() would end the locks that another connection of this process has on the file */
	if(rc == 0 && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0)
		return 0;
	rc = rc != 0 ? -rc : errno;
	if(rc == ENOENT && !create)
		snprintf(err, err_len, "there is no database %s; signalbox db migrate makes it", path);
	else if(rc == ENOENT)
		snprintf(err, err_len, "%s cannot be made: its folder is not there", path);
	else
		snprintf(err, err_len, "%s cannot be opened: %s%s", path, strerror(rc),
				rc == EACCES ? "; run it as the user of Kamailio or as root" : "");
	return rc == ENOENT ? -ENOENT : rc == EACCES || rc == EPERM || rc == EROFS ? -EACCES : -EIO;
}

/* Changing to WAL does not wait for others by itself; a file that may only be read stays as it is. */
static int set_wal(sqlite3 *s, unsigned timeout_ms)
{
	for(unsigned waited = 0;; waited += 20) {
		int rc = sqlite3_exec(s, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
		if(rc != SQLITE_BUSY || waited >= timeout_ms)
			return rc == SQLITE_READONLY ? SQLITE_OK : rc;
		usleep(20000);
	}
}

static int set_up(sqlite3 *s, bool file, unsigned timeout_ms)
{
	sqlite3_extended_result_codes(s, 1);
	sqlite3_busy_timeout(s, (int)timeout_ms);
	/* the first look at the file: sqlite3_open_v2() opens it, and reads nothing */
	int rc = sqlite3_exec(s, "PRAGMA schema_version", NULL, NULL, NULL);
	/* what is deleted is overwritten: numbers of people among it */
	if(rc == SQLITE_OK)
		rc = sqlite3_exec(s, "PRAGMA secure_delete = ON", NULL, NULL, NULL);
	if(rc == SQLITE_OK && file && !sqlite3_db_readonly(s, "main"))
		rc = set_wal(s, timeout_ms);
	return rc;
}

int sb_sqlite_open(
		struct sb_db **out, const struct sb_db_url *url, bool create, unsigned timeout_ms, char *err, size_t err_len)
{
	bool file = strcmp(url->path, ":memory:") != 0;
	sqlite3 *s = NULL;
	int rc = file ? file_there(url->path, create, err, err_len) : 0;
	if(rc != 0)
		return rc;
	struct sb_db *db = calloc(1, sizeof(*db));
	if(db == NULL) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	rc = sqlite3_open_v2(
			url->path, &s, SQLITE_OPEN_READWRITE | (file ? 0 : SQLITE_OPEN_MEMORY | SQLITE_OPEN_CREATE), NULL);
	if(rc == SQLITE_OK)
		rc = set_up(s, file, timeout_ms);
	if(rc != SQLITE_OK) {
		snprintf(err, err_len, "%s: %s%s", url->path, s != NULL ? sqlite3_errmsg(s) : "out of memory",
				(rc & 0xff) == SQLITE_NOTADB ? ": this is no SQLite database"
				: code_of(rc) == -EACCES     ? "; run it as the user of Kamailio or as root"
											 : "");
		sqlite3_close(s);
		free(db);
		return code_of(rc);
	}
	db->dialect = SB_SQLITE;
	db->native = s;
	*out = db;
	return 0;
}

void sb_sqlite_close(struct sb_db *db)
{
	sqlite3_close(db->native);
	free(db);
}

int sb_sqlite_exec(struct sb_db *db, const char *sql)
{
	db->error[0] = '\0';
	int rc = sqlite3_exec(db->native, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : failed(db, rc);
}

static int bind(sqlite3_stmt *st, const struct sb_db_value *params, unsigned count)
{
	int rc = SQLITE_OK;
	for(unsigned i = 0; i < count && rc == SQLITE_OK; i++) {
		const struct sb_db_value *p = &params[i];
		if(p->kind == SB_DB_INT)
			rc = sqlite3_bind_int64(st, (int)i + 1, p->i);
		else if(p->kind == SB_DB_TEXT)
			rc = sqlite3_bind_text64(st, (int)i + 1, p->len > 0 ? p->text : "", p->len, SQLITE_STATIC, SQLITE_UTF8);
		else
			rc = sqlite3_bind_null(st, (int)i + 1);
	}
	return rc;
}

static void take_row(struct sb_db_value *row, sqlite3_stmt *st, unsigned columns)
{
	for(unsigned i = 0; i < columns; i++) {
		row[i] = (struct sb_db_value){SB_DB_NULL, 0, "", 0};
		switch(sqlite3_column_type(st, (int)i)) {
			case SQLITE_NULL:
				break;
			case SQLITE_INTEGER:
				row[i].kind = SB_DB_INT;
				row[i].i = sqlite3_column_int64(st, (int)i);
				break;
			default:
				row[i].kind = SB_DB_TEXT;
				row[i].text = (const char *)sqlite3_column_text(st, (int)i);
				row[i].len = (size_t)sqlite3_column_bytes(st, (int)i);
		}
	}
}

int64_t sb_sqlite_query(
		struct sb_db *db, const char *sql, const struct sb_db_value *params, unsigned count, sb_db_each each, void *arg)
{
	sqlite3_stmt *st = NULL;
	struct sb_db_value *row = NULL;
	int64_t rows = 0;
	db->error[0] = '\0';
	int rc = sqlite3_prepare_v2(db->native, sql, -1, &st, NULL);
	if(rc == SQLITE_OK && sqlite3_bind_parameter_count(st) != (int)count) {
		snprintf(db->error, sizeof(db->error), "%u parameters were given, %d are wanted", count,
				sqlite3_bind_parameter_count(st));
		sqlite3_finalize(st);
		return -EINVAL;
	}
	if(rc == SQLITE_OK)
		rc = bind(st, params, count);
	unsigned columns = rc == SQLITE_OK ? (unsigned)sqlite3_column_count(st) : 0;
	if(columns > 0) {
		row = calloc(columns, sizeof(*row));
		if(row == NULL)
			rc = SQLITE_NOMEM;
	}
	while(rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if(rc != SQLITE_ROW)
			break;
		rows++;
		take_row(row, st, columns);
		if(each != NULL && !each(row, columns, arg)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	int64_t result = rc == SQLITE_DONE ? rows : failed(db, rc);
	if(rc == SQLITE_DONE && columns == 0)
		result = sqlite3_changes64(db->native);
	sqlite3_finalize(st);
	free(row);
	return result;
}
