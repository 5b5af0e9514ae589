/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * One small door to SQLite and to MariaDB (Connector/C), for the command line and for the call log. Blocking: never in a SIP worker.
 *
 * A URL is written as Kamailio writes it: sqlite:///path (three slashes and an absolute path make four: sqlite:////var/…;
 * both are taken), mysql://user:password@host:port/database, with options behind '?': socket=/path (instead of host and port),
 * ca=/file (TLS, the server's certificate and name checked against it), cert=/file and key=/file (the client's own), tls=require
 * (encrypted, not checked). User or password left out: as ~/.my.cnf, section [client], says. In mysql://, %XX is a byte (RFC 3986,
 * 2.1); a path of SQLite is taken as it is. The host localhost is the server's unix socket, as for every client of MariaDB.
 */
#ifndef SB_DB_H
#define SB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_DB_URL 512u
#define SB_DB_ERROR 512u

enum sb_dialect
{
	SB_SQLITE,
	SB_MARIADB
};

struct sb_db_url
{
	enum sb_dialect dialect;
	char path[SB_DB_URL]; /* SQLite */
	char user[128], password[256], host[256], database[128], socket[256];
	unsigned port; /* 0: the default */
	char ca[256], cert[256], key[256];
	bool tls;
	char shown[SB_DB_URL]; /* without the password: for messages */
};

/** @param err one sentence: what was found, what is expected @return 0 or -EINVAL */
int sb_db_url_parse(struct sb_db_url *out, const char *url, char *err, size_t err_len);

struct sb_db;
/**
 * SQLite: in WAL mode. MariaDB: utf8mb4, time zone UTC, STRICT_ALL_TABLES; it never connects again by itself.
 *
 * @param create     SQLite: make the file (0600; by root, for the owner of its folder) if it is not there; else a missing file is -ENOENT
 * @param timeout_ms MariaDB: to connect (10 s at most), to read, to write, in whole seconds; SQLite: to wait for a lock
 * @param err        one sentence: what was found, what mends it; never the password
 * @return 0, -ENOENT, -EACCES, -ECONNREFUSED (nobody there), -ETIMEDOUT, -EPERM (user, password or TLS refused) or -EIO
 */
int sb_db_open(
		struct sb_db **out, const struct sb_db_url *url, bool create, unsigned timeout_ms, char *err, size_t err_len);
void sb_db_close(struct sb_db *db);
enum sb_dialect sb_db_dialect(const struct sb_db *db);
/** What it said last. */
const char *sb_db_error(const struct sb_db *db);
/** The connection below, for what only one of the two can do: sqlite3 * or MYSQL *. */
void *sb_db_native(struct sb_db *db);

enum sb_db_kind
{
	SB_DB_NULL,
	SB_DB_INT,
	SB_DB_TEXT
};
struct sb_db_value
{
	enum sb_db_kind kind;
	int64_t i; /* SB_DB_INT */
	/* SB_DB_TEXT: not ended by NUL when given; ended by NUL when got (len without it); ends with the call */
	const char *text;
	size_t len;
};

/**
 * One statement without parameters. (SQLite: several, with ; between them.)
 * @return 0, -EIO, -ETIMEDOUT (no answer, no lock, or a deadlock: roll back; MariaDB: close it, after an answer that did not come the
 *         connection is gone), -ECONNRESET (the connection is gone), -EEXIST (a unique key), -EACCES (the file may not be written) or
 *         -ENOMEM
 */
int sb_db_exec(struct sb_db *db, const char *sql);
/**
 * One statement with '?' parameters, always sent apart from the text. Whole numbers come as SB_DB_INT, everything else as text.
 *
 * @param each called for every row; false ends the reading (ask with LIMIT: MariaDB sends the rest all the same). No other statement of
 *             this db within it. May be NULL
 * @return rows read (or written, for a statement that gives none), or an error as above, or -EINVAL (another number of '?')
 */
int64_t sb_db_query(struct sb_db *db, const char *sql, const struct sb_db_value *params, unsigned count,
		bool (*each)(const struct sb_db_value *row, unsigned columns, void *arg), void *arg);

#endif
