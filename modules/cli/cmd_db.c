/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_cmd.h"

#include <string.h>
#include <time.h>

#define CONNECTED_MS 3600000u /* an index over ten million calls takes its time */
#define LOCK_MS 30000u

int db_options(struct cli *c, const char *command, int argc, char **argv, const struct db_option *o, size_t count)
{
	for(int i = 0; i < argc; i++) {
		size_t k = 0;
		while(k < count && strcmp(argv[i], o[k].name) != 0)
			k++;
		if(k == count) {
			fprintf(c->err, "signalbox: db %s does not know '%s'. See: signalbox help\n", command, argv[i]);
			return CLI_USAGE;
		}
		if(o[k].flag != NULL) {
			*o[k].flag = true;
		} else if(i + 1 < argc) {
			*o[k].value = argv[++i];
		} else {
			fprintf(c->err, "signalbox: %s needs a value. See: signalbox help\n", argv[i]);
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

int db_open(struct cli *c, bool create, struct sb_db **out, struct sb_db_url *url)
{
	char err[SB_DB_ERROR];
	int rc = cli_database_url(c, url);
	if(rc != CLI_OK)
		return rc;
	unsigned timeout = url->dialect == SB_SQLITE ? LOCK_MS : CONNECTED_MS;
	if(sb_db_open(out, url, create, timeout, err, sizeof(err)) == 0)
		return CLI_OK;
	fprintf(c->err, "signalbox: %s.\n", err);
	return CLI_NOT_FOUND;
}

int db_failed(struct cli *c, const char *doing, struct sb_db *db)
{
	fprintf(c->err, "signalbox: %s: %s.\n", doing, sb_db_error(db));
	return CLI_NOT_FOUND;
}

static bool take_busy(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)columns;
	*(bool *)arg = row[0].i == 0;
	return false;
}

bool db_settle(struct sb_db *db)
{
	bool done = false;
	if(sb_db_dialect(db) == SB_MARIADB)
		return true;
	return sb_db_query(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, 0, take_busy, &done) >= 0 && done;
}

struct text db_time(uint64_t us)
{
	struct text t;
	struct tm tm;
	time_t s = (time_t)(us / 1000000);
	gmtime_r(&s, &tm);
	size_t n = strftime(t.s, sizeof(t.s), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(t.s + n, sizeof(t.s) - n, ".%06u", (unsigned)(us % 1000000));
	return t;
}

uint64_t db_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int cmd_db(struct cli *c, int argc, char **argv)
{
	static const struct
	{
		const char *name;
		int (*run)(struct cli *c, int argc, char **argv);
	} verb[] = {{"migrate", db_migrate}, {"check", db_check}, {"sql", db_sql}, {"demo", db_demo}, {"prune", db_prune},
			{"erase", db_erase}};
	const char *name = argc > 0 ? argv[0] : "";
	for(size_t i = 0; i < sizeof(verb) / sizeof(verb[0]); i++) {
		if(strcmp(name, verb[i].name) == 0)
			return verb[i].run(c, argc - 1, argv + 1);
	}
	fprintf(c->err, "signalbox: db %s: there are migrate, check, sql, demo, prune, erase. See: signalbox help\n", name);
	return CLI_USAGE;
}
