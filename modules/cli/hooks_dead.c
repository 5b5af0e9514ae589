/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hooks_dead.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"

#define LIMIT 50

static const char dead_sql[] =
		"SELECT endpoint, call_id, epoch, seq, tries, error, given_up_at, type, at, sequence, body FROM dead "
		"WHERE ?1 IS NULL OR endpoint = ?1 ORDER BY rowid DESC LIMIT ?2";

struct letter
{
	char endpoint[64], call[37], id[64];
	struct text type, short_form, error;
	uint64_t tries, given_up_at, at, sequence;
	bool kept;
};

/** custom.* has its name in the text alone. */
static struct text type_of(sqlite3_stmt *st)
{
	const char *name = sb_type_name((uint16_t)sqlite3_column_int(st, 7));
	struct text t = {"?"};
	json_t *j = json_loadb(sqlite3_column_blob(st, 10), (size_t)sqlite3_column_bytes(st, 10), 0, NULL);
	const char *said = json_string_value(json_object_get(j, "type"));
	if(said != NULL)
		t = text_plain(said, strlen(said));
	else if(name != NULL)
		t = text_plain(name, strlen(name));
	json_decref(j);
	return t;
}

static struct letter read_letter(struct cli *c, sqlite3_stmt *st)
{
	struct letter l = {.tries = (uint64_t)sqlite3_column_int64(st, 4),
			.given_up_at = (uint64_t)sqlite3_column_int64(st, 6),
			.at = (uint64_t)sqlite3_column_int64(st, 8),
			.sequence = (uint64_t)sqlite3_column_int64(st, 9),
			.kept = sqlite3_column_type(st, 10) != SQLITE_NULL};
	uint32_t epoch = (uint32_t)sqlite3_column_int64(st, 2);
	uint64_t seq = (uint64_t)sqlite3_column_int64(st, 3);
	SAY(l.endpoint, "%s", text_plain(sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)).s);
	if(sqlite3_column_bytes(st, 1) == 16)
		sb_uuid_text(l.call, sqlite3_column_blob(st, 1));
	snprintf(l.short_form.s, sizeof(l.short_form.s), "%x-%llx", epoch, (unsigned long long)seq);
	sb_event_id(l.id, c->node, epoch, seq);
	l.error = text_plain(sqlite3_column_text(st, 5), (size_t)sqlite3_column_bytes(st, 5));
	l.type = type_of(st);
	return l;
}

static void print_line(struct cli *c, const struct letter *l)
{
	fprintf(c->out, "%s %.8s  %-12s  %-9s  %-18s  %s  %s%s%s%s\n", text_date(l->given_up_at).s,
			text_clock(l->given_up_at).s, l->endpoint, l->short_form.s, l->type.s, l->call, tone_on(c, BAD), l->error.s,
			tone_off(c, BAD), l->kept ? "" : "  (its text was not kept)");
}

static void print_object(struct cli *c, const struct letter *l)
{
	char given[32] = "", at[32] = "";
	sb_time_text(given, l->given_up_at);
	if(l->at > 0)
		sb_time_text(at, l->at);
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:b}", "given_up_at", given, "endpoint",
			l->endpoint, "id", l->id, "type", l->type.s, "timestamp", at, "call_id", l->call, "sequence",
			(json_int_t)l->sequence, "tries", (json_int_t)l->tries, "last_error", l->error.s, "kept", l->kept);
	if(j != NULL)
		print_json(c, j, false);
}

static void print_what_to_do(struct cli *c, const char *endpoint, const struct letter *last, uint64_t more)
{
	if(more > 0)
		fprintf(c->out, "and %llu older ones: --last N shows more\n", (unsigned long long)more);
	fprintf(c->out, "\nto send them again:          kamcmd callhook.replay %s all\n",
			endpoint != NULL ? endpoint : "ENDPOINT");
	fprintf(c->out, "those of a call, one event:  kamcmd callhook.replay %s %s\n", last->endpoint, last->call);
	fprintf(c->out, "                             kamcmd callhook.replay %s %s\n", last->endpoint, last->short_form.s);
}

static uint64_t count(sqlite3 *db, const char *endpoint)
{
	sqlite3_stmt *st = NULL;
	uint64_t n = 0;
	if(sqlite3_prepare_v2(db, "SELECT count(*) FROM dead WHERE ?1 IS NULL OR endpoint = ?1", -1, &st, NULL)
			== SQLITE_OK) {
		sqlite3_bind_text(st, 1, endpoint, -1, SQLITE_STATIC);
		if(sqlite3_step(st) == SQLITE_ROW)
			n = (uint64_t)sqlite3_column_int64(st, 0);
	}
	sqlite3_finalize(st);
	return n;
}

static int list(struct cli *c, sqlite3 *db, const char *endpoint, int limit)
{
	sqlite3_stmt *st = NULL;
	struct letter last = {.endpoint = ""};
	uint64_t n = 0;
	if(sqlite3_prepare_v2(db, dead_sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	sqlite3_bind_text(st, 1, endpoint, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, limit);
	int rc;
	while((rc = sqlite3_step(st)) == SQLITE_ROW) {
		last = read_letter(c, st);
		n++;
		if(c->json)
			print_object(c, &last);
		else
			print_line(c, &last);
	}
	sqlite3_finalize(st);
	if(rc != SQLITE_DONE)
		return -1;
	if(n == 0 && !c->json)
		fprintf(c->out, "no event was given up%s%s\n", endpoint != NULL ? " at " : "",
				endpoint != NULL ? endpoint : "");
	else if(!c->json)
		print_what_to_do(c, endpoint, &last, count(db, endpoint) - n);
	return 0;
}

int hooks_dead(struct cli *c, int argc, char **argv)
{
	char path[CLI_PATH + 32];
	struct cli_options o;
	int rc = cli_options(c, argc, argv, "--last", &o), limit = LIMIT;
	if(rc == CLI_OK)
		rc = cli_find(c);
	if(rc != CLI_OK)
		return rc;
	if(o.last != NULL)
		limit = atoi(o.last);
	if(o.words > 1 || limit < 1) {
		fputs("signalbox: hooks dead takes the id of one endpoint, and --last N (from 1 on). See: signalbox help\n",
				c->err);
		return CLI_USAGE;
	}
	snprintf(path, sizeof(path), "%s/state.sqlite", c->hooks);
	sqlite3 *db = access(path, F_OK) == 0 ? hooks_open(path) : NULL;
	if(db == NULL || list(c, db, o.words > 0 ? o.word[0] : NULL, limit) != 0) {
		fprintf(c->err,
				"signalbox: %s cannot be read%s%s. Is callhook loaded, and --dir right? Run it as the user of Kamailio "
				"or as root.\n",
				path, db != NULL ? ": " : "", db != NULL ? sqlite3_errmsg(db) : "");
		rc = CLI_NOT_FOUND;
	}
	sqlite3_close(db);
	return rc;
}
