/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_schema.h"
#include "doctor_probe.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PING_MS 1000

static uint64_t clock_us(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_table(const struct sb_db_finding *t, void *arg)
{
	struct doctor *d = arg;
	if(t->good)
		return;
	struct finding *f = finding_add(&d->all, LEVEL_BAD, "database");
	SAY(f->found, "table %s", t->table);
	if(t->missing)
		SAY(f->found, " is missing");
	else if(t->found != t->expected)
		SAY(f->found, " has version %d, %d is expected", t->found, t->expected);
	if(t->columns[0] != '\0')
		SAY(f->found, ", without %s", t->columns);
	if(t->indexes[0] != '\0')
		SAY(f->found, ", without index %s", t->indexes);
	SAY(f->fix, "signalbox db migrate");
}

void doctor_database(struct doctor *d)
{
	struct sb_db_url url;
	struct sb_db *db;
	char err[SB_DB_ERROR], *said = NULL;
	size_t len;
	struct cli quiet = *d->c;
	quiet.err = open_memstream(&said, &len);
	int rc = quiet.err != NULL ? cli_database_url(&quiet, &url) : CLI_USAGE;
	if(quiet.err != NULL)
		fclose(quiet.err);
	if(rc != CLI_OK) {
		struct finding *f = finding_add(&d->all, LEVEL_BAD, "database");
		SAY(f->found, "%.*s", said != NULL ? (int)strcspn(said, "\n") : 0, said != NULL ? said : "");
		SAY(f->fix, "correct call_log or db_url of callhook, or give --db URL");
		free(said);
		return;
	}
	free(said);
	rc = sb_db_open(&db, &url, false, 5000, err, sizeof(err));
	struct finding *f = finding_add(&d->all, rc == 0 ? LEVEL_OK : LEVEL_BAD, "database");
	SAY(f->found, "%s", url.shown);
	if(rc != 0) {
		SAY(f->found, ": %s", err);
		SAY(f->fix, "%s",
				rc == -ENOENT ? "signalbox db migrate"
							  : "is it up, and do user, password and network fit? Calls do not notice; the call log "
								"catches up");
		return;
	}
	rc = sb_db_check(db, false, on_table, d, err, sizeof(err));
	f = &d->all.f[0];
	while(strcmp(f->what, "database") != 0)
		f++;
	if(rc < 0) {
		f->level = LEVEL_BAD;
		SAY(f->found, ": %s", err);
		SAY(f->fix, "signalbox db check");
	} else if(rc == 0) {
		SAY(f->found, ": answers, all tables as expected");
	} else {
		SAY(f->found, ": answers");
	}
	sb_db_close(db);
}

/** The socket of udp:host:port, udp6:[host]:port, or host:port. @return fd, or -1 with *why set */
static int connect_to(const char *address, const char **why)
{
	char host[256];
	struct addrinfo hint = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
	const char *p = address;
	if(strncmp(p, "udp:", 4) == 0 || strncmp(p, "udp6:", 5) == 0)
		p = strchr(p, ':') + 1;
	snprintf(host, sizeof(host), "%s", p[0] == '[' ? p + 1 : p);
	char *colon = strrchr(host, ':');
	if(colon == NULL || strchr(address, '=') != NULL) {
		*why = "this is no udp:address:port";
		return -1;
	}
	*colon = '\0';
	host[strcspn(host, "]")] = '\0';
	if(getaddrinfo(host, colon + 1, &hint, &found) != 0) {
		*why = "the name is not known";
		return -1;
	}
	int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if(fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
		*why = strerror(errno);
		if(fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/** rtpengine's ng protocol: a cookie, a blank, JSON or bencode; the answer has the same cookie and form. */
static void ping(struct doctor *d, const char *address)
{
	const char *why = NULL;
	char ask[128], answer[2048];
	uint64_t begun = clock_us(CLOCK_MONOTONIC), now = begun;
	int fd = connect_to(address, &why);
	int cookie = snprintf(ask, sizeof(ask), "doctor-%d-%" PRIx64, (int)getpid(), clock_us(CLOCK_REALTIME));
	int n = cookie + snprintf(ask + cookie, sizeof(ask) - (size_t)cookie, " {\"command\":\"ping\"}");
	if(fd >= 0 && send(fd, ask, (size_t)n, 0) != n)
		why = strerror(errno);
	while(fd >= 0 && why == NULL) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		now = clock_us(CLOCK_MONOTONIC);
		int left = PING_MS - (int)((now - begun) / 1000);
		if(left <= 0 || poll(&p, 1, left) <= 0) {
			why = "no answer within 1 s";
			break;
		}
		ssize_t len = recv(fd, answer, sizeof(answer) - 1, 0);
		now = clock_us(CLOCK_MONOTONIC);
		if(len < 0) {
			why = errno == ECONNREFUSED ? "nobody listens there" : strerror(errno);
			break;
		}
		answer[len] = '\0';
		if(strncmp(answer, ask, (size_t)cookie) != 0)
			continue;
		if(strstr(answer, "pong") == NULL)
			why = "it answered, but no pong";
		break;
	}
	if(fd >= 0)
		close(fd);
	check_rtpengine(&d->all, address, why, now - begun);
}

void doctor_rtpengines(struct doctor *d)
{
	const char *given = d->rtpengine != NULL ? d->rtpengine : config_get(&d->config, "rtpengine.rtpengine_sock");
	char list[CONFIG_VALUE];
	if(given == NULL)
		return;
	snprintf(list, sizeof(list), "%s", given);
	for(char *save = NULL, *p = strtok_r(list, " ;,", &save); p != NULL; p = strtok_r(NULL, " ;,", &save)) {
		if(strcmp(p, "==") != 0 && strchr(p, ':') != NULL)
			ping(d, p);
	}
}

static sqlite3 *open_file(struct doctor *d, const char *name)
{
	char path[CLI_PATH + 32];
	sqlite3 *db = NULL;
	snprintf(path, sizeof(path), "%s/%s", d->c->hooks, name);
	if(access(path, F_OK) != 0)
		return NULL;
	if(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(db, 1000);
		return db;
	}
	struct finding *f = finding_add(&d->all, LEVEL_WARN, "endpoint");
	SAY(f->found, "%s cannot be opened: %s", path, sqlite3_errmsg(db));
	SAY(f->fix, "run signalbox doctor as root");
	sqlite3_close(db);
	return NULL;
}

static const char *text_at(sqlite3_stmt *st, int i)
{
	const char *s = (const char *)sqlite3_column_text(st, i);
	return s != NULL ? s : "";
}

static void call_log_state(struct doctor *d)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = open_file(d, "call_log.sqlite");
	if(db == NULL)
		return;
	if(sqlite3_prepare_v2(db, "SELECT count(*), max(event_id) FROM aside", -1, &st, NULL) == SQLITE_OK
			&& sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int64(st, 0) > 0) {
		struct finding *f = finding_add(&d->all, LEVEL_WARN, "call log");
		SAY(f->found, "%lld rows were refused by the database and set aside, the last of event %s",
				sqlite3_column_int64(st, 0), text_at(st, 1));
		SAY(f->fix, "table aside in %s/call_log.sqlite says why", d->c->hooks);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
}

void doctor_endpoints(struct doctor *d)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = open_file(d, "state.sqlite");
	if(db != NULL
			&& sqlite3_prepare_v2(db,
					   "SELECT endpoint, state, error, pending + waiting, dead, oldest_at, updated_at FROM status", -1,
					   &st, NULL)
					   == SQLITE_OK) {
		while(sqlite3_step(st) == SQLITE_ROW) {
			struct endpoint_facts f = {.id = text_at(st, 0),
					.state = text_at(st, 1),
					.error = text_at(st, 2),
					.pending = (uint64_t)sqlite3_column_int64(st, 3),
					.dead = (uint64_t)sqlite3_column_int64(st, 4),
					.oldest_at = (uint64_t)sqlite3_column_int64(st, 5),
					.updated_at = (uint64_t)sqlite3_column_int64(st, 6),
					.now = clock_us(CLOCK_REALTIME)};
			check_endpoint(&d->all, &f);
		}
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	call_log_state(d);
}
