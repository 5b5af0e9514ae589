/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct
{
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
} command[] = {{"calls", cmd_calls}, {"db", cmd_db}, {"doctor", cmd_doctor}, {"failures", cmd_failures},
		{"hooks", cmd_hooks}, {"journal", cmd_journal}, {"why", cmd_why}};

static const char usage[] =
		"signalbox why <Call-ID | call id | number | last>\n"
		"    the story of a call: attempts, what each answered, who hung up, deliveries, the cause and what to do "
		"next\n"
		"signalbox journal list [--call X] [--number N] [--type GLOB] [--since T] [--last N] [--all]\n"
		"    events, one a line; --all: internal records too\n"
		"signalbox journal follow [the same filters]\n"
		"    the same, as they happen; with --since from there on\n"
		"signalbox journal count [the same filters]\n"
		"    how many of each type, and of how many calls\n"
		"signalbox journal show <event id>\n"
		"    one event as its receivers get it; the id is webhook-id, or its short form as in the list\n"
		"signalbox calls [--number N] [--trunk T] [--agent A] [--did D] [--code 503|5xx] [--state S|live]\n"
		"                [--outcome O|answered|failed] [--since T] [--until T] [--limit N] [--all] [--csv]\n"
		"    the call log, newest first; --all: however long it takes\n"
		"signalbox calls <Call-ID | call id>\n"
		"    one call of the call log with its attempts and events\n"
		"signalbox failures [--trunk T] [--number N] [--since T] [--until T] [--limit N]\n"
		"    what fails together, what it usually means and what to do; of the last 24 hours if nothing else is said\n"
		"signalbox doctor [--config FILE] [--rtpengine udp:ADDRESS:PORT]\n"
		"    what is wrong with this installation, each with its fix; exit code 1 if something is bad\n"
		"signalbox hooks [endpoint]\n"
		"    who gets the webhooks: state, lag, rate, what waits, what was given up, the last error, the next step\n"
		"signalbox hooks dead [endpoint] [--last N]\n"
		"    events given up, the newest first, and how to send them again\n"
		"signalbox db migrate [--with-routing]\n"
		"    make the database, or bring it up to date; can always be run again\n"
		"signalbox db check [--with-routing]\n"
		"    each table: version, columns, indexes; exit code 1 when something is wrong\n"
		"signalbox db sql sqlite|mariadb [--with-routing]\n"
		"    the statements that make it, for those who do it by hand\n"
		"signalbox db prune --older-than 90d [--dry-run]\n"
		"    delete calls that began earlier, in small steps\n"
		"signalbox db erase --number N [--exact] [--yes]\n"
		"    take everything about people out of the calls of a number; without --yes, show what it would do\n"
		"signalbox db demo\n"
		"    a day of made-up calls, into an empty call log\n"
		"signalbox help | --version\n"
		"\n"
		"--dir DIR      what holds journal/ and hooks/ (else $SIGNALBOX_DIR, else /var/lib/signalbox)\n"
		"--db URL       the database: sqlite:///path, mysql://user:password@host:port/database (else $SIGNALBOX_DB, "
		"else\n"
		"               the one of callhook's call log, else signalbox.db in DIR)\n"
		"--json         for programs; a list gives one object a line\n"
		"--call X       our call id, or the SIP Call-ID\n"
		"--number N     digits in From, To or Request-URI; the end of a number is enough, from six digits on\n"
		"--type GLOB    call.ringing, 'call.*', 'custom.*'\n"
		"--since T      90s, 10m, 2h, 3d ago; 2026-01-31T14:02:07; 14:02 (UTC)\n"
		"\n"
		"Works beside a running Kamailio and on the files of a dead one. Exit code: 0, 1 not found, 2 usage.\n";

const char *tone_on(const struct cli *c, enum tone t)
{
	static const char *const code[] = {
			[PLAIN] = "", [GOOD] = "\033[32m", [BAD] = "\033[31m", [DIM] = "\033[2m", [BOLD] = "\033[1m"};
	return c->colour ? code[t] : "";
}

const char *tone_off(const struct cli *c, enum tone t)
{
	return c->colour && t != PLAIN ? "\033[0m" : "";
}

void print_json(struct cli *c, json_t *j, bool pretty)
{
	json_dumpf(j, c->out, JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT));
	fputc('\n', c->out);
	json_decref(j);
}

static int take_value(struct cli *c, int argc, char **argv, int *i, const char **out)
{
	if(*i + 1 >= argc) {
		fprintf(c->err, "signalbox: %s needs a value. See: signalbox help\n", argv[*i]);
		return CLI_USAGE;
	}
	*out = argv[++*i];
	return CLI_OK;
}

int cli_options(struct cli *c, int argc, char **argv, const char *allowed, struct cli_options *o)
{
	struct
	{
		const char *name;
		const char **value;
		bool *flag;
	} row[] = {{"--call", &o->call, NULL}, {"--number", &o->number, NULL}, {"--type", &o->type, NULL},
			{"--since", &o->since, NULL}, {"--last", &o->last, NULL}, {"--until", &o->until, NULL},
			{"--trunk", &o->trunk, NULL}, {"--agent", &o->agent, NULL}, {"--did", &o->did, NULL},
			{"--code", &o->code, NULL}, {"--state", &o->state, NULL}, {"--outcome", &o->outcome, NULL},
			{"--limit", &o->limit, NULL}, {"--rtpengine", &o->rtpengine, NULL}, {"--config", &o->config, NULL},
			{"--all", NULL, &o->all}, {"--csv", NULL, &o->csv}};
	memset(o, 0, sizeof(*o));
	for(int i = 0; i < argc; i++) {
		size_t r = 0;
		while(r < sizeof(row) / sizeof(row[0]) && strcmp(argv[i], row[r].name) != 0)
			r++;
		bool known = r < sizeof(row) / sizeof(row[0]);
		if(argv[i][0] != '-' || argv[i][1] == '\0') {
			if(o->words == (int)(sizeof(o->word) / sizeof(o->word[0]))) {
				fprintf(c->err, "signalbox: too many words, from '%s' on. See: signalbox help\n", argv[i]);
				return CLI_USAGE;
			}
			o->word[o->words++] = argv[i];
		} else if(!known || strstr(allowed, row[r].name) == NULL) {
			fprintf(c->err, "signalbox: option %s is not known here. See: signalbox help\n", argv[i]);
			return CLI_USAGE;
		} else if(row[r].flag != NULL) {
			*row[r].flag = true;
		} else if(take_value(c, argc, argv, &i, row[r].value) != CLI_OK) {
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

static int unknown_command(struct cli *c, const char *name)
{
	fprintf(c->err, "signalbox: no command '%s'. There are: why, calls, failures, hooks, journal, doctor, db, help.\n", name);
	return CLI_USAGE;
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	if(argc == 0) {
		fputs(usage, c->err);
		return CLI_USAGE;
	}
	for(size_t i = 0; i < sizeof(command) / sizeof(command[0]); i++) {
		if(strcmp(argv[0], command[i].name) == 0)
			return command[i].run(c, argc - 1, argv + 1);
	}
	if(strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
		fputs(usage, c->out);
		return CLI_OK;
	}
	if(strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "version") == 0) {
		fprintf(c->out, "signalbox %s\n", SIGNALBOX_VERSION);
		return CLI_OK;
	}
	return unknown_command(c, argv[0]);
}

/* A password does not stay where ps shows it. */
static bool take_db(struct cli *c, char *url)
{
	size_t n = strlen(url);
	if(n >= sizeof(c->db)) {
		fprintf(c->err, "signalbox: the database URL is too long (%zu bytes, less than %zu).\n", n, sizeof(c->db));
		return false;
	}
	memcpy(c->db, url, n + 1);
	memset(url, 'x', n);
	return true;
}

/** Takes --dir, --db and --json out of the arguments wherever they stand. @return what is left, or -1 (said) */
static int take_common(struct cli *c, int argc, char **argv, const char **dir)
{
	int n = 0;
	for(int i = 0; i < argc; i++) {
		if(strcmp(argv[i], "--dir") == 0) {
			if(take_value(c, argc, argv, &i, dir) != CLI_OK)
				return -1;
		} else if(strncmp(argv[i], "--dir=", 6) == 0) {
			*dir = argv[i] + 6;
		} else if(strcmp(argv[i], "--db") == 0) {
			const char *given;
			if(take_value(c, argc, argv, &i, &given) != CLI_OK || !take_db(c, argv[i]))
				return -1;
		} else if(strncmp(argv[i], "--db=", 5) == 0) {
			if(!take_db(c, argv[i] + 5))
				return -1;
		} else if(strcmp(argv[i], "--json") == 0) {
			c->json = true;
		} else {
			argv[n++] = argv[i];
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	struct cli c = {.out = stdout, .err = stderr};
	const char *dir = getenv("SIGNALBOX_DIR");
	c.colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
	argc = take_common(&c, argc - 1, argv + 1, &dir);
	if(argc < 0)
		return CLI_USAGE;
	if(dir == NULL || dir[0] == '\0')
		dir = "/var/lib/signalbox";
	if(strlen(dir) >= sizeof(c.dir)) {
		fprintf(c.err, "signalbox: the directory's path is too long (%zu bytes, less than %zu).\n", strlen(dir),
				sizeof(c.dir));
		return CLI_USAGE;
	}
	strcpy(c.dir, dir);
	int rc = dispatch(&c, argc, argv + 1);
	if(fflush(c.out) != 0 || ferror(c.out)) {
		perror("signalbox: output");
		return CLI_NOT_FOUND;
	}
	return rc;
}
