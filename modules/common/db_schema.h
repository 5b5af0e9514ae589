/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The schema: the files of db/schema, built in; their tokens turned into one dialect; a database brought up to date with them, and
 * looked at whether it is. Which tokens there are: db/schema/README.md.
 */
#ifndef SB_DB_SCHEMA_H
#define SB_DB_SCHEMA_H

#include "db.h"

struct sb_schema_file
{
	const char *name; /* "001_endpoint" */
	unsigned number;  /* 1 */
	bool routing;     /* of the second set: what the project's own routing script needs */
	const char *text; /* with tokens */
};

/** Both sets, each in the order of its numbers. Made from db/schema by the build. */
extern const struct sb_schema_file sb_schema_files[];
extern const unsigned sb_schema_file_count;

#define SB_SCHEMA_ROW "signalbox"
#define SB_SCHEMA_ROW_ROUTING "signalbox_routing"
/** The row of `version` that holds the number of the last migration of a set. */
static inline const char *sb_schema_row(bool routing)
{
	return routing ? SB_SCHEMA_ROW_ROUTING : SB_SCHEMA_ROW;
}
/** The number of the last migration of a set. */
unsigned sb_schema_last(bool routing);

/**
 * Turns the tokens of a text into one dialect. Pure.
 *
 * @param out set on success: ends with NUL, to be given to free()
 * @param err one sentence: the token, its line, which there are
 * @return 0, -EINVAL or -ENOMEM
 */
int sb_schema_expand(char **out, enum sb_dialect dialect, const char *text, size_t len, char *err, size_t err_len);

/**
 * The next statement of an expanded text: without comments and the ; at its end. A statement ends with ; at the end of a line. Pure.
 *
 * @param at  where to go on; begins as the text, which is changed on the way
 * @return the statement, or NULL: there are no more
 */
char *sb_schema_next(char **at);

/** Told of each migration as it begins, and of what else is done. */
typedef void (*sb_db_say)(const char *line, void *arg);

/**
 * Brings a database up to date: applies what it has not got yet; where its version says that it has all and something is missing, all
 * again. What is there stays, a migration that was cut off is completed, and of two at once one waits for the other.
 *
 * @param routing the second set too
 * @param err     one sentence: what was found, what mends it
 * @return the number of migrations applied, -EPROTO (the database is newer than this program: nothing was done), -ETIMEDOUT (another
 *         one is at it), -EBADMSG (a table is not as expected and no migration mends it), or an error of db.h
 */
int sb_db_migrate(struct sb_db *db, bool routing, sb_db_say say, void *arg, char *err, size_t err_len);

struct sb_db_finding
{
	const char *table;
	int found, expected; /* rows of `version`; found -1: no row. Both 0: this table has none */
	bool missing;        /* there is no such table */
	const char *columns; /* that are missing, with ", " between them; "" for none */
	const char *indexes;
	bool good;
};

/**
 * Compares a database with what this program expects: every table's version, columns and indexes. What is there beyond that is left
 * alone. Reads only.
 *
 * @param each called for each table, good or not; may be NULL
 * @return how many tables are not as expected, or an error of db.h (err says which)
 */
int sb_db_check(struct sb_db *db, bool routing, void (*each)(const struct sb_db_finding *f, void *arg), void *arg,
		char *err, size_t err_len);

#endif
