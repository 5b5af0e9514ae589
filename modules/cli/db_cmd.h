/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What the parts of `signalbox db` share.
 */
#ifndef SB_CLI_DB_CMD_H
#define SB_CLI_DB_CMD_H

#include "cli.h"
#include "db_prune.h"
#include "text.h"

struct db_option
{
	const char *name; /* "--number" */
	const char **value;
	bool *flag;
};
/** Takes the options of one command; anything else is refused. @return CLI_OK or CLI_USAGE (said) */
int db_options(struct cli *c, const char *command, int argc, char **argv, const struct db_option *o, size_t count);

/** Opens the database for work that may take long; its URL is in *url. @return CLI_OK, CLI_USAGE or CLI_NOT_FOUND (said) */
int db_open(struct cli *c, bool create, struct sb_db **out, struct sb_db_url *url);

/** Says what the database said. @return CLI_NOT_FOUND */
int db_failed(struct cli *c, const char *doing, struct sb_db *db);

/** SQLite: what was overwritten leaves the -wal file too. @return false: somebody reads, it leaves later */
bool db_settle(struct sb_db *db);

/** "2026-01-31 14:02:07.123456", UTC, as the call log has it. */
struct text db_time(uint64_t us);

/** µs since 1970 */
uint64_t db_now(void);

int db_migrate(struct cli *c, int argc, char **argv);
int db_check(struct cli *c, int argc, char **argv);
int db_sql(struct cli *c, int argc, char **argv);
int db_demo(struct cli *c, int argc, char **argv);
int db_prune(struct cli *c, int argc, char **argv);
int db_erase(struct cli *c, int argc, char **argv);

#endif
