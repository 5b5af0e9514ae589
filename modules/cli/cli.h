/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What the commands of `signalbox` share: where things are, how they are printed.
 */
#ifndef SB_CLI_H
#define SB_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "db.h"
#include "json_parts.h"
#include "log.h"

#define SIGNALBOX_VERSION "1.0.0"
#define CLI_PATH 600u
#define CLI_DB 1400u /* the longest database URL */

/** Exit codes. */
enum
{
	CLI_OK = 0,
	CLI_NOT_FOUND = 1, /* looked for and not there, or not readable */
	CLI_USAGE = 2
};

struct cli
{
	char dir[CLI_PATH];
	char journal[CLI_PATH], spool[CLI_PATH], hooks[CLI_PATH];
	char node[40];   /* "" if the journal has none */
	char db[CLI_DB]; /* as given with --db, "" if it was not */
	bool json, colour;
	FILE *out, *err;
};

/** Options of a command; what a command does not know is refused by cli_options(). */
struct cli_options
{
	const char *call, *number, *type, *since, *last;
	const char *until, *trunk, *agent, *did, *code, *state, *outcome, *limit, *rtpengine, *config;
	bool all, csv;
	const char *word[4]; /* what is no option */
	int words;
};

/**
 * Finds journal, spool and node below c->dir.
 * @return CLI_OK, or CLI_NOT_FOUND after saying on c->err what was looked for and where
 */
int cli_find(struct cli *c);

/** A reader over journal and spool. @return CLI_OK or CLI_NOT_FOUND (said) */
int cli_reader(struct cli *c, struct sb_pos from, struct sb_reader **out);

/** Says on c->err how many damaged places the reader skipped, if any. */
void cli_say_damage(struct cli *c, const struct sb_reader *r);

/** @param allowed names of the options this command has @return CLI_OK or CLI_USAGE (said) */
int cli_options(struct cli *c, int argc, char **argv, const char *allowed, struct cli_options *o);

/**
 * Which database: --db, else $SIGNALBOX_DB, else what callhook wrote into <dir>/hooks/database, else <dir>/signalbox.db.
 * @return CLI_OK or CLI_USAGE (said)
 */
int cli_database_url(struct cli *c, struct sb_db_url *out);

/** Opens it: it must be there. @return CLI_OK, CLI_USAGE or CLI_NOT_FOUND (said) */
int cli_database(struct cli *c, struct sb_db **out);

int cmd_calls(struct cli *c, int argc, char **argv);
int cmd_db(struct cli *c, int argc, char **argv);
int cmd_doctor(struct cli *c, int argc, char **argv);
int cmd_failures(struct cli *c, int argc, char **argv);
int cmd_hooks(struct cli *c, int argc, char **argv);
int cmd_journal(struct cli *c, int argc, char **argv);
int cmd_why(struct cli *c, int argc, char **argv);

enum tone
{
	PLAIN,
	GOOD,
	BAD,
	DIM,
	BOLD
};
/** Text around which colours are put if c->colour. */
const char *tone_on(const struct cli *c, enum tone t);
const char *tone_off(const struct cli *c, enum tone t);

/** One line, or indented for a person: a journal of lines goes to other programs. Takes the reference. */
void print_json(struct cli *c, json_t *j, bool pretty);

#endif
