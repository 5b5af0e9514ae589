/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_schema.h"
#include "doctor_probe.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PING_MS 1000

struct tables
{
	struct doctor *d;
	const char *what, *only; /* only: the one table that counts; NULL: all */
	const char *fix;
	unsigned wrong;
};

static void on_table(const struct sb_db_finding *t, void *arg)
{
	struct tables *all = arg;
	if(t->good || (all->only != NULL && strcmp(all->only, t->table) != 0))
		return;
	all->wrong++;
	struct finding *f = finding_add(&all->d->all, LEVEL_BAD, all->what);
	SAY(f->found, "table %s", t->table);
	if(t->missing)
		SAY(f->found, " is missing");
	else if(t->found != t->expected)
		SAY(f->found, " has version %d, %d is expected", t->found, t->expected);
	if(t->columns[0] != '\0')
		SAY(f->found, ", without %s", t->columns);
	if(t->indexes[0] != '\0')
		SAY(f->found, ", without index %s", t->indexes);
	SAY(f->fix, "%s", all->fix);
}

bool doctor_database_url(struct doctor *d, struct sb_db_url *url, char *said, size_t cap)
{
	char *text = NULL;
	size_t len;
	struct cli quiet = *d->c;
	quiet.err = open_memstream(&text, &len);
	if(quiet.err == NULL)
		return false;
	int rc = cli_database_url(&quiet, url);
	fclose(quiet.err);
	if(said != NULL)
		snprintf(said, cap, "%.*s", text != NULL ? (int)strcspn(text, "\n") : 0, text != NULL ? text : "");
	free(text);
	return rc == CLI_OK;
}

/** The file that names the call log's database is there, and this user may not read it. */
static bool database_is_hidden(const struct doctor *d)
{
	char path[CLI_PATH + 32];
	const char *env = getenv("SIGNALBOX_DB");
	snprintf(path, sizeof(path), "%s/hooks/database", d->c->dir);
	return d->c->db[0] == '\0' && (env == NULL || env[0] == '\0') && access(path, R_OK) != 0 && errno == EACCES;
}

/** Opens it, or says why not. */
static struct sb_db *open_database(struct doctor *d, const struct sb_db_url *url)
{
	struct sb_db *db = NULL;
	char err[SB_DB_ERROR];
	int rc = sb_db_open(&db, url, false, 5000, err, sizeof(err));
	if(rc == 0)
		return db;
	bool hidden = rc == -EACCES && url->dialect == SB_SQLITE;
	struct finding *f = hidden ? finding_unknown(&d->all, "database") : finding_add(&d->all, LEVEL_BAD, "database");
	SAY(f->found, "%s: %s", url->shown, err);
	if(!hidden)
		SAY(f->fix, "%s",
				rc == -ENOENT ? "signalbox db migrate"
							  : "is it up, and do user, password and network fit? Calls do not notice; the call log "
								"catches up");
	return NULL;
}

static bool has_routing(struct sb_db *db)
{
	struct sb_db_value p = {SB_DB_TEXT, 0, SB_SCHEMA_ROW_ROUTING, strlen(SB_SCHEMA_ROW_ROUTING)};
	return sb_db_query(db, "SELECT 1 FROM version WHERE table_name = ?", &p, 1, NULL, NULL) > 0;
}

void doctor_database(struct doctor *d)
{
	struct sb_db_url url;
	char err[SB_DB_ERROR];
	if(database_is_hidden(d)) {
		SAY(finding_unknown(&d->all, "database")->found,
				"%s/hooks/database, which names it, may not be read by this user", d->c->dir);
		return;
	}
	if(!doctor_database_url(d, &url, err, sizeof(err))) {
		struct finding *f = finding_add(&d->all, LEVEL_BAD, "database");
		SAY(f->found, "%s", err);
		SAY(f->fix, "correct call_log or db_url of callhook, or give --db URL");
		return;
	}
	struct sb_db *db = open_database(d, &url);
	if(db == NULL)
		return;
	bool routing = has_routing(db);
	struct tables t = {.d = d,
			.what = "database",
			.fix = routing ? "signalbox db migrate --with-routing" : "signalbox db migrate"};
	int rc = sb_db_check(db, routing, on_table, &t, err, sizeof(err));
	if(rc < 0) {
		struct finding *f = finding_add(&d->all, LEVEL_BAD, "database");
		SAY(f->found, "%s: %s", url.shown, err);
		SAY(f->fix, "signalbox db check");
	} else if(rc == 0) {
		SAY(finding_add(&d->all, LEVEL_OK, "database")->found, "%s: answers, all tables as expected", url.shown);
	}
	sb_db_close(db);
}

/** With the project's routing script and a database server, phones are kept in a file of this machine (routing/settings.cfg). */
void doctor_registrations(struct doctor *d)
{
	const char *main = config_get(&d->config, "callhook.db_url"), *here = config_get(&d->config, "usrloc.db_url");
	struct sb_db_url url;
	struct sb_db *db = NULL;
	char err[SB_DB_ERROR], fix[DOCTOR_TEXT] = "";
	if(!config_defined(&d->config, "REGISTER_DB_URL") || here == NULL || (main != NULL && strcmp(main, here) == 0)
			|| sb_db_url_parse(&url, here, err, sizeof(err)) != 0 || url.dialect != SB_SQLITE)
		return;
	SAY(fix, "signalbox db migrate --with-routing --db sqlite:///%s && chown %s: %s", url.path,
			d->who.known ? d->who.name : "kamailio", url.path);
	struct tables t = {.d = d, .what = "registrations", .only = "location", .fix = fix};
	int rc = sb_db_open(&db, &url, false, 5000, err, sizeof(err));
	if(rc == 0)
		rc = sb_db_check(db, true, on_table, &t, err, sizeof(err));
	if(rc == -EACCES) {
		SAY(finding_unknown(&d->all, "registrations")->found, "%s", err);
	} else if(rc < 0) {
		struct finding *f = finding_add(&d->all, LEVEL_BAD, "registrations");
		SAY(f->found, "%s: %s; phones are forgotten at a restart", url.shown, err);
		SAY(f->fix, "%s", fix);
	} else if(t.wrong == 0) {
		SAY(finding_add(&d->all, LEVEL_OK, "registrations")->found, "%s: there, with its table", url.shown);
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
	uint64_t begun = doctor_now(CLOCK_MONOTONIC), now = begun;
	int fd = connect_to(address, &why);
	int cookie = snprintf(ask, sizeof(ask), "doctor-%d-%" PRIx64, (int)getpid(), doctor_now(CLOCK_REALTIME));
	int n = cookie + snprintf(ask + cookie, sizeof(ask) - (size_t)cookie, " {\"command\":\"ping\"}");
	if(fd >= 0 && send(fd, ask, (size_t)n, 0) != n)
		why = strerror(errno);
	while(fd >= 0 && why == NULL) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		now = doctor_now(CLOCK_MONOTONIC);
		int left = PING_MS - (int)((now - begun) / 1000);
		if(left <= 0 || poll(&p, 1, left) <= 0) {
			why = "no answer within 1 s";
			break;
		}
		ssize_t len = recv(fd, answer, sizeof(answer) - 1, 0);
		now = doctor_now(CLOCK_MONOTONIC);
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
