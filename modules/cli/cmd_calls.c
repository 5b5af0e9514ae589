/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_one.h"
#include "calls_print.h"

#include <string.h>
#include <time.h>

#define BUDGET_US 700000u /* of looking back, for a person who waits */

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/** "2026-01-31T14:02:07": what --until takes, so that the next page begins where this one ends. */
static struct text until_word(uint64_t us)
{
	char s[32];
	struct text t = {""};
	calls_time(s, us);
	s[10] = 'T';
	SAY(t.s, "%s", s);
	return t;
}

/** The last line: what is not shown, and how to see it. */
static void say_rest(struct cli *c, const struct calls_ask *a, const struct calls_found *f)
{
	FILE *out = c->out;
	if(f->more)
		fprintf(out, "the newest %zu; older ones: --until %s, more at once: --limit %u\n", f->rows,
				until_word(f->row[f->rows - 1]->started).s, a->limit < 100000 ? a->limit * 10 : CALLS_LIMIT_MAX);
	else if(f->looked_to != 0)
		fprintf(out, "%zu %s; looked back to %s, then the time was up. Further back: --until %s, everything: --all\n",
				f->rows, f->rows == 1 ? "call" : "calls", until_word(f->looked_to).s, until_word(f->looked_to).s);
	else
		fprintf(out, "%zu %s, nothing left out\n", f->rows, f->rows == 1 ? "call" : "calls");
	if(f->many_numbers)
		fprintf(out, "more than 64 numbers end in %s; give more of its digits\n", a->number);
}

static int list(struct cli *c, struct sb_db *db, const struct calls_ask *a, const struct cli_options *o)
{
	struct calls_found f;
	bool everything = o->all || c->json || o->csv;
	int rc = calls_find(db, a, everything ? 0 : BUDGET_US, &f);
	if(rc != 0) {
		calls_found_free(&f);
		return calls_refused(c, db, rc);
	}
	if(o->csv) {
		calls_print_csv(c, &f);
	} else if(c->json) {
		for(size_t i = 0; i < f.rows; i++)
			print_json(c, calls_json(f.row[i]), false);
	} else {
		calls_print_lines(c, &f, now_us());
		say_rest(c, a, &f);
	}
	if(f.more && (o->csv || c->json))
		fprintf(c->err, "signalbox: the newest %zu; there are older ones: --limit, --until.\n", f.rows);
	rc = f.rows > 0 ? CLI_OK : CLI_NOT_FOUND;
	calls_found_free(&f);
	return rc;
}

int cmd_calls(struct cli *c, int argc, char **argv)
{
	struct cli_options o;
	struct calls_ask ask;
	struct sb_db *db;
	char err[320];
	int rc = cli_options(c, argc, argv,
			"--number --trunk --agent --did --code --state --outcome --since --until --limit --csv --all", &o);
	if(rc != CLI_OK)
		return rc;
	struct calls_words w = {o.number, o.trunk, o.agent, o.did, o.code, o.state, o.outcome, o.since, o.until, o.limit};
	if(o.words > 1 || (o.words == 1 && argc != 1)) {
		fprintf(c->err, "signalbox: calls takes one call's id, or filters. See: signalbox help\n");
		return CLI_USAGE;
	}
	if(calls_ask_parse(&ask, &w, now_us(), err, sizeof(err)) != 0) {
		fprintf(c->err, "signalbox: %s.\n", err);
		return CLI_USAGE;
	}
	if((rc = cli_database(c, &db)) != CLI_OK)
		return rc;
	calls_tune(db);
	rc = o.words == 1 ? calls_show(c, db, o.word[0]) : list(c, db, &ask, &o);
	sb_db_close(db);
	return rc;
}
