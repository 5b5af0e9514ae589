/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hooks_state.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "wanted.h"

/* Of an endpoint that has no status yet only its cursor is known. */
static const char endpoints_sql[] =
		"SELECT c.endpoint, coalesce(s.state, CASE WHEN c.disabled_at > 0 THEN 'disabled' ELSE 'unknown' END), "
		"coalesce(s.url, c.url), coalesce(s.error, c.disabled_why), coalesce(s.events, '*'), coalesce(s.trunks, '*'), "
		"coalesce(s.dids, '*'), c.segment, c.offset, coalesce(s.since, c.disabled_at), coalesce(s.delivered, 0), "
		"coalesce(s.failed, 0), coalesce(s.dead, 0), coalesce(s.success_at, 0), coalesce(s.failure_at, 0), "
		"coalesce(s.probe_at, 0), coalesce(s.updated_at, 0), coalesce(s.rate_10s, 0), coalesce(s.rate_60s, 0), "
		"(SELECT count(*) FROM pending p WHERE p.endpoint = c.endpoint), "
		"(SELECT count(*) FROM dead d WHERE d.endpoint = c.endpoint), "
		"(SELECT ifnull(min(at), 0) FROM pending p WHERE p.endpoint = c.endpoint AND at > 0) "
		"FROM cursor c LEFT JOIN status s ON s.endpoint = c.endpoint ORDER BY c.endpoint";

static uint64_t number(sqlite3_stmt *st, int col)
{
	return (uint64_t)sqlite3_column_int64(st, col);
}

static char *copied(sqlite3_stmt *st, int col)
{
	const unsigned char *t = sqlite3_column_text(st, col);
	return strdup(t != NULL ? (const char *)t : "");
}

/* What was written by delivery itself; what cannot be parsed lets everything through. */
static void read_filters(struct sb_filter *f, sqlite3_stmt *st, int col)
{
	char why[160];
	for(int i = 0; i < 3; i++) {
		const char *t = (const char *)sqlite3_column_text(st, col + i);
		int rc = t == NULL ? -1
				 : i == 0  ? sb_filter_parse(&f[i], t, why, sizeof(why))
						   : sb_filter_parse_names(&f[i], "names", t, why, sizeof(why));
		if(rc != 0)
			f[i].all = true;
	}
}

static bool read_endpoint(struct hooks_endpoint *e, sqlite3_stmt *st)
{
	memset(e, 0, sizeof(*e));
	SAY(e->id, "%s", text_plain(sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)).s);
	SAY(e->state, "%s", text_plain(sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)).s);
	e->url = copied(st, 2);
	e->error = copied(st, 3);
	e->filters = calloc(3, sizeof(*e->filters));
	if(e->url == NULL || e->error == NULL || e->filters == NULL)
		return false;
	e->url[strcspn(e->url, "?")] = '\0'; /* what follows may be a token */
	read_filters(e->filters, st, 4);
	e->cursor = (struct sb_pos){number(st, 7), number(st, 8)};
	uint64_t *const to[] = {&e->since, &e->delivered, &e->failed, &e->given_up, &e->success_at, &e->failure_at,
			&e->probe_at, &e->updated_at};
	for(int i = 0; i < 8; i++)
		*to[i] = number(st, 9 + i);
	e->rate_10s = sqlite3_column_double(st, 17);
	e->rate_60s = sqlite3_column_double(st, 18);
	e->pending = number(st, 19);
	e->dead = number(st, 20);
	e->oldest_at = number(st, 21);
	return true;
}

static int read_endpoints(struct hooks_state *h, sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	int rc;
	if(sqlite3_prepare_v2(db, endpoints_sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	while((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct hooks_endpoint *more = realloc(h->ep, (h->count + 1) * sizeof(*more));
		if(more == NULL)
			break;
		h->ep = more;
		if(!read_endpoint(&h->ep[h->count++], st))
			break;
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* A pid that was written down may be somebody else's by now: the name tells. */
static bool delivers(int pid)
{
	char path[64], name[32] = "";
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	FILE *f = pid > 0 ? fopen(path, "re") : NULL;
	if(f == NULL)
		return false;
	if(fgets(name, sizeof(name), f) == NULL)
		name[0] = '\0';
	fclose(f);
	return strncmp(name, "hook delivery", 13) == 0;
}

static void read_worker(struct hooks_state *h, sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	if(sqlite3_prepare_v2(db, "SELECT pid, started_at, updated_at FROM worker", -1, &st, NULL) == SQLITE_OK
			&& sqlite3_step(st) == SQLITE_ROW) {
		h->pid = sqlite3_column_int(st, 0);
		h->started_at = number(st, 1);
		h->updated_at = number(st, 2);
	}
	sqlite3_finalize(st);
	if(!delivers(h->pid))
		h->pid = 0;
}

static bool before(struct sb_pos a, struct sb_pos b)
{
	return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

static void count_record(struct hooks_state *h, const struct sb_rec *rec)
{
	for(size_t i = 0; i < h->count; i++) {
		struct hooks_endpoint *e = &h->ep[i];
		struct sb_field at;
		if(e->counted || before(rec->pos, e->cursor)
				|| !sb_wants(&(struct sb_wanted){&e->filters[0], &e->filters[1], &e->filters[2]}, rec))
			continue;
		if(e->behind++ == 0 && sb_find(rec->payload, rec->hdr.len, SB_C_AT, &at)
				&& (e->oldest_at == 0 || sb_field_u64(&at) < e->oldest_at))
			e->oldest_at = sb_field_u64(&at);
	}
}

/* From there on, as far as one walk goes; every endpoint whose cursor it comes past is counted with it. @return false: no log */
static bool walk(struct hooks_state *h, struct cli *c, struct sb_pos from)
{
	struct sb_reader *r = NULL;
	struct sb_rec rec = {.pos = from};
	uint32_t n = 0;
	int rc = 1;
	if(cli_reader(c, from, &r) != CLI_OK)
		return false;
	while(n++ < HOOKS_COUNTED && (rc = sb_reader_next(r, &rec)) == 1)
		count_record(h, &rec);
	sb_reader_close(r);
	for(size_t i = 0; i < h->count; i++) {
		struct hooks_endpoint *e = &h->ep[i];
		if(e->counted || (rc == 1 && before(rec.pos, e->cursor)))
			continue;
		e->more = rc == 1;
		e->counted = true;
	}
	return true;
}

static void count_behind(struct hooks_state *h, struct cli *c)
{
	for(;;) {
		const struct hooks_endpoint *first = NULL;
		for(size_t i = 0; i < h->count; i++) {
			if(!h->ep[i].counted && (first == NULL || before(h->ep[i].cursor, first->cursor)))
				first = &h->ep[i];
		}
		if(first == NULL || !walk(h, c, first->cursor))
			return;
	}
}

int hooks_state_read(struct hooks_state *h, struct cli *c)
{
	char path[CLI_PATH + 32];
	int rc = cli_find(c);
	memset(h, 0, sizeof(*h));
	if(rc != CLI_OK)
		return rc;
	snprintf(path, sizeof(path), "%s/state.sqlite", c->hooks);
	if(access(path, F_OK) != 0) {
		fprintf(c->err,
				"signalbox: %s is not there: nothing was delivered from here yet. It is made when Kamailio starts with "
				"callhook; "
				"give the directory that holds hooks/ with --dir DIR or $SIGNALBOX_DIR.\n",
				path);
		return CLI_NOT_FOUND;
	}
	sqlite3 *db = hooks_open(path);
	if(db == NULL || read_endpoints(h, db) != 0) {
		fprintf(c->err,
				"signalbox: %s cannot be read: %s. Run it as the user of Kamailio or as root; a file of an earlier "
				"version is "
				"brought up to date when Kamailio starts.\n",
				path, db != NULL ? sqlite3_errmsg(db) : "it cannot be opened");
		sqlite3_close(db);
		hooks_state_free(h);
		return CLI_NOT_FOUND;
	}
	read_worker(h, db);
	sqlite3_close(db);
	count_behind(h, c);
	return CLI_OK;
}

void hooks_state_free(struct hooks_state *h)
{
	for(size_t i = 0; i < h->count; i++) {
		free(h->ep[i].url);
		free(h->ep[i].error);
		free(h->ep[i].filters);
	}
	free(h->ep);
	memset(h, 0, sizeof(*h));
}

struct text hooks_age(uint64_t at, uint64_t now)
{
	struct text t = {"-"};
	uint64_t s = now > at ? (now - at) / 1000000 : 0;
	if(at == 0)
		return t;
	if(s < 120)
		snprintf(t.s, sizeof(t.s), "%llu s", (unsigned long long)s);
	else if(s < 7200)
		snprintf(t.s, sizeof(t.s), "%llu min", (unsigned long long)s / 60);
	else if(s < 172800)
		snprintf(t.s, sizeof(t.s), "%llu h", (unsigned long long)s / 3600);
	else
		snprintf(t.s, sizeof(t.s), "%llu d", (unsigned long long)s / 86400);
	return t;
}

struct text hooks_next(const struct hooks_endpoint *e, uint64_t now)
{
	struct text t = {""};
	if(strcmp(e->state, "disabled") == 0)
		SAY(t.s, "gets nothing until: kamcmd callhook.enable %s   (first: kamcmd callhook.test %s)", e->id, e->id);
	else if(strcmp(e->state, "off") == 0)
		SAY(t.s, "set enabled = 1 in its row of callhook_endpoint, then: kamcmd callhook.reload");
	else if(strcmp(e->state, "paused") == 0)
		SAY(t.s, "probed again %s%s; is the receiver up? kamcmd callhook.test %s", e->probe_at > now ? "in " : "now",
				e->probe_at > now ? hooks_age(now, e->probe_at).s : "", e->id);
	else if(e->pending > 0)
		SAY(t.s, "refuses events, they are tried again: kamcmd callhook.pending %s", e->id);
	else if(e->dead > 0)
		SAY(t.s, "events were given up: signalbox hooks dead %s", e->id);
	else if(e->behind > 1000 && e->oldest_at > 0 && now > e->oldest_at + 60000000)
		SAY(t.s, "slower than the calls: raise its concurrency or rate_limit, or make the receiver answer sooner");
	return t;
}
