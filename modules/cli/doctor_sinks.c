/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes of callhook and what they keep in their files. */
#include "doctor_probe.h"
#include "hooks.h"

#include <dirent.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_US 400000u /* a process that ended is started again after 100 ms */

struct seen
{
	pid_t pid, parent;
	char is, name[32];
};

/** @return false: there is none, or it is not to be seen */
static bool see(int pid, struct seen *s)
{
	char path[64], line[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = pid > 0 ? fopen(path, "re") : NULL;
	if(f == NULL)
		return false;
	bool got = fgets(line, sizeof(line), f) != NULL;
	fclose(f);
	const char *open = strchr(line, '('), *close = strrchr(line, ')');
	int parent;
	if(!got || open == NULL || close == NULL || sscanf(close + 1, " %c %d", &s->is, &parent) != 2)
		return false;
	s->pid = pid;
	s->parent = parent;
	snprintf(s->name, sizeof(s->name), "%.*s", (int)(close - open - 1), open + 1);
	return true;
}

/** The process of a sink below its keeper, which is below Kamailio's first process. */
static bool find_worker(pid_t kamailio, const char *name, struct sink_facts *f)
{
	struct dirent *e;
	struct seen worker, keeper;
	DIR *dir = opendir("/proc");
	while(dir != NULL && f->worker == 0 && (e = readdir(dir)) != NULL) {
		if(!see(atoi(e->d_name), &worker) || strcmp(worker.name, name) != 0 || worker.is == 'Z'
				|| !see(worker.parent, &keeper) || keeper.parent != kamailio)
			continue;
		f->worker = worker.pid;
		f->worker_is = worker.is;
		f->keeper = keeper.pid;
		f->keeper_is = keeper.is;
	}
	if(dir != NULL)
		closedir(dir);
	return f->worker != 0;
}

static void find_process(struct doctor *d, const char *name, struct sink_facts *f)
{
	struct seen first;
	f->runs = d->pid != 0 || d->locked_out;
	f->looked = d->pid != 0 && !d->hidden && see(d->pid, &first);
	if(f->looked && !find_worker(d->pid, name, f)) {
		usleep(AGAIN_US);
		find_worker(d->pid, name, f);
	}
}

/** @return 0 (*db is to be closed), or errno */
static int open_state(const char *path, sqlite3 **db)
{
	*db = NULL;
	if(access(path, R_OK) != 0)
		return errno;
	*db = hooks_open(path);
	return *db != NULL ? 0 : EIO;
}

static bool first_row(sqlite3 *db, const char *sql, sqlite3_stmt **st)
{
	return sqlite3_prepare_v2(db, sql, -1, st, NULL) == SQLITE_OK && sqlite3_step(*st) == SQLITE_ROW;
}

static const char *text_at(sqlite3_stmt *st, int i)
{
	const char *s = (const char *)sqlite3_column_text(st, i);
	return s != NULL ? s : "";
}

/** How old the oldest event is that is behind a sink's cursor; a cursor in another node's log says nothing. */
static void read_lag(struct doctor *d, sqlite3 *db, struct sink_facts *f)
{
	sqlite3_stmt *st = NULL;
	int error;
	if(first_row(db, "SELECT segment, offset, ifnull((SELECT node FROM log), '') FROM cursor", &st)
			&& strcmp(text_at(st, 2), d->c->node) == 0) {
		struct sb_pos from = {(uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1)};
		f->lag = doctor_age(d, from, &error);
		f->lag_known = error == 0;
	}
	sqlite3_finalize(st);
}

static void read_aside(sqlite3 *db, struct sink_facts *f)
{
	sqlite3_stmt *st = NULL;
	if(first_row(db, "SELECT count(*), (SELECT error FROM aside ORDER BY at DESC LIMIT 1) FROM aside", &st)) {
		f->aside = (uint64_t)sqlite3_column_int64(st, 0);
		snprintf(f->aside_error, sizeof(f->aside_error), "%s", text_at(st, 1));
	}
	sqlite3_finalize(st);
}

/** @param process its name in /proc */
static void sink(struct doctor *d, const char *what, const char *process, const char *file, const char *rpc)
{
	char path[CLI_PATH + 32];
	sqlite3 *db;
	snprintf(path, sizeof(path), "%s/%s", d->c->hooks, file);
	struct sink_facts f = {.what = what, .rpc = rpc, .state_file = path};
	find_process(d, process, &f);
	f.error = open_state(path, &db);
	if(db != NULL && strcmp(file, "state.sqlite") != 0)
		read_lag(d, db, &f);
	if(db != NULL && strcmp(file, "call_log.sqlite") == 0)
		read_aside(db, &f);
	sqlite3_close(db);
	check_sink(&d->all, &f);
}

static bool is_there(const struct doctor *d, const char *file)
{
	char path[CLI_PATH + 32];
	snprintf(path, sizeof(path), "%s/%s", d->c->hooks, file);
	return access(path, F_OK) == 0 || errno == EACCES;
}

void doctor_sinks(struct doctor *d)
{
	const char *layers = config_get(&d->config, "callhook.layer_log");
	bool runs = d->pid != 0 || d->locked_out;
	if(runs || is_there(d, "state.sqlite"))
		sink(d, "delivery", "hook delivery", "state.sqlite", "callhook.endpoints");
	/* callhook writes `database` at each start with a call log, and removes it at one without */
	if(is_there(d, "database"))
		sink(d, "call log", "hook call log", "call_log.sqlite", "callhook.call_log");
	if(layers != NULL && layers[0] != '\0')
		sink(d, "layer log", "hook layer log", "layer_log.sqlite", "callhook.layer_log");
}

void doctor_endpoints(struct doctor *d)
{
	static const char sql[] = "SELECT endpoint, state, error, pending + waiting, (SELECT count(*) FROM dead d WHERE "
							  "d.endpoint = s.endpoint), oldest_at FROM status s ORDER BY endpoint";
	char path[CLI_PATH + 32];
	sqlite3 *db;
	sqlite3_stmt *st = NULL;
	snprintf(path, sizeof(path), "%s/state.sqlite", d->c->hooks);
	int rc = open_state(path, &db);
	if(rc == ENOENT || rc == ENOTDIR)
		return;
	if(db == NULL || sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
		SAY(finding_unknown(&d->all, "endpoint")->found, "%s: %s", path,
				db != NULL ? sqlite3_errmsg(db) : strerror(rc));
		sqlite3_close(db);
		return;
	}
	while(sqlite3_step(st) == SQLITE_ROW) {
		struct endpoint_facts f = {.id = text_at(st, 0),
				.state = text_at(st, 1),
				.error = text_at(st, 2),
				.pending = (uint64_t)sqlite3_column_int64(st, 3),
				.dead = (uint64_t)sqlite3_column_int64(st, 4),
				.oldest_at = (uint64_t)sqlite3_column_int64(st, 5),
				.now = doctor_now(CLOCK_REALTIME)};
		check_endpoint(&d->all, &f);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
}
