/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signalbox db prune */
#include "db_cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define TRIES 10
#define REST_MAX_US 500000u

static bool take_count(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)columns;
	*(int64_t *)arg = row[0].i;
	return false;
}

static int count_old(struct cli *c, struct sb_db *db, const char *before, int64_t *out)
{
	struct sb_db_value p = {SB_DB_TEXT, 0, before, strlen(before)};
	if(sb_db_query(db, "SELECT COUNT(*) FROM callstate_call WHERE started_at < ?", &p, 1, take_count, out) < 0)
		return db_failed(c, "the call log cannot be read", db);
	return CLI_OK;
}

/* Between two chunks it rests as long as the last one took: half of the time is the writer's. */
static int delete_chunks(struct cli *c, struct sb_db *db, const char *before, int64_t total, struct sb_db_pruned *sum)
{
	int failures = 0, n = 0;
	uint64_t said = db_now();
	do {
		uint64_t began = db_now();
		n = sb_db_prune(db, before, SB_PRUNE_CHUNK, sum);
		uint64_t took = db_now() - began;
		failures = n < 0 ? failures + 1 : 0;
		if(n < 0 && (n != -ETIMEDOUT || failures == TRIES))
			return db_failed(c, "deleting", db);
		if(db_now() - said > 1000000) {
			fprintf(c->err, "  %" PRId64 " of %" PRId64 " calls\n", sum->calls, total);
			said = db_now();
		}
		if(n < 0 || (unsigned)n == SB_PRUNE_CHUNK)
			usleep((useconds_t)(took < REST_MAX_US ? took : REST_MAX_US));
	} while(n < 0 || (unsigned)n == SB_PRUNE_CHUNK);
	return CLI_OK;
}

static void report(struct cli *c, const char *before, bool dry, int64_t total, const struct sb_db_pruned *sum)
{
	if(c->json)
		print_json(c,
				json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "before", before, "dry_run", dry, "calls", total,
						"deleted_calls", sum->calls, "deleted_attempts", sum->attempts, "deleted_events", sum->events),
				true);
	else if(dry)
		fprintf(c->out, "%" PRId64 " calls began before %.19s UTC; nothing was deleted (--dry-run)\n", total, before);
	else
		fprintf(c->out,
				"deleted: %" PRId64 " calls that began before %.19s UTC, with %" PRId64 " attempts and %" PRId64
				" events\n",
				sum->calls, before, sum->attempts, sum->events);
}

int db_prune(struct cli *c, int argc, char **argv)
{
	const char *age = NULL;
	bool dry = false;
	const struct db_option o[] = {{"--older-than", &age, NULL}, {"--dry-run", NULL, &dry}};
	struct sb_db_pruned sum = {0};
	struct sb_db_url url;
	struct sb_db *db;
	uint64_t before = 0, now = db_now();
	int64_t total = 0;
	int rc = db_options(c, "prune", argc, argv, o, 2);
	if(rc == CLI_OK && (age == NULL || since_parse(age, now, &before) != 0 || before >= now)) {
		fprintf(c->err, "signalbox: db prune: --older-than %s: expected an age like 90d, or a time like 2026-01-31.\n",
				age != NULL ? age : "is missing");
		rc = CLI_USAGE;
	}
	if(rc == CLI_OK)
		rc = db_open(c, false, &db, &url);
	if(rc != CLI_OK)
		return rc;
	struct text at = db_time(before);
	rc = count_old(c, db, at.s, &total);
	if(rc == CLI_OK && !dry && total > 0)
		rc = delete_chunks(c, db, at.s, total, &sum);
	if(sum.calls > 0)
		db_settle(db);
	if(rc == CLI_OK || sum.calls > 0)
		report(c, at.s, dry, total, &sum);
	sb_db_close(db);
	return rc;
}
