/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Where the rows of the call log go: a database behind four functions. One connection, one process; blocking, and never longer
 * than its time-out in one exchange.
 */
#ifndef SB_CALL_LOG_STORE_H
#define SB_CALL_LOG_STORE_H

#include "call_log_rows.h"

#define SB_CL_ERROR 512u

/** put(): the database refuses one of the rows, or more; nothing was written. */
#define SB_CL_BAD_ROW 1

/** Rows of one table. */
struct sb_cl_part
{
	enum sb_cl_table table;
	const struct sb_cl_row *row;
	unsigned count;
};

struct sb_cl_store
{
	/**
	 * Connects, checks that the tables are there in this version, prepares the statements.
	 * @return 0, or -errno; err: what was found, what mends it, never a password
	 */
	int (*open)(struct sb_cl_store *s, char *err, size_t err_len);
	/** What was not committed is dropped. May be called twice. */
	void (*close)(struct sb_cl_store *s);
	/**
	 * Writes all parts in one transaction. What is there already stays as it is or becomes newer: sb_cl_sql().
	 * @return 0, SB_CL_BAD_ROW, -EAGAIN (it lost against another transaction: at once again), or another -errno: the database, not
	 *         the rows
	 */
	int (*put)(struct sb_cl_store *s, const struct sb_cl_part *part, unsigned parts, char *err, size_t err_len);
	/** Closes and frees. */
	void (*free)(struct sb_cl_store *s);
	/** The connection, NULL while closed: between two put() others of this process may use it outside a transaction. */
	struct sb_db *db;
	/** Without the password. */
	const char *shown;
};

/**
 * @param timeout_ms of one exchange with MariaDB; SQLite: to wait for a lock
 * @return 0 or -ENOMEM; the database is not touched before open()
 */
int sb_cl_store_new(struct sb_cl_store **out, const struct sb_db_url *url, unsigned timeout_ms);
int sb_cl_sqlite_new(struct sb_cl_store **out, const struct sb_db_url *url, unsigned timeout_ms);
int sb_cl_mariadb_new(struct sb_cl_store **out, const struct sb_db_url *url, unsigned timeout_ms);

/** For the drivers: the tables are there, in the version that this program writes. @return 0 or -errno, err set */
int sb_cl_check_version(struct sb_db *db, const char *shown, char *err, size_t err_len);

/**
 * What an error means, by its code: SB_CL_BAD_ROW where another row could be taken (a constraint, a value that does not fit), -EAGAIN
 * (a deadlock), else -errno: the database, its disk, its tables or its rights.
 */
int sb_cl_sqlite_verdict(int extended_code);
int sb_cl_mariadb_verdict(unsigned code, const char *sqlstate);

#endif
