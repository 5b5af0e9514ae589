/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where else a number is, as far as it can be seen from here. */
#include "db_erase.h"
#include "filter.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void add(struct erasure *e, const char *format, ...)
{
	char line[900];
	va_list ap;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	json_array_append_new(e->elsewhere, json_string(line));
}

static void journal(struct erasure *e)
{
	struct cli quiet = *e->c;
	struct cli_options o = {.number = e->number};
	struct filter f;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_fields fields;
	uint64_t events = 0;
	quiet.err = fopen("/dev/null", "we");
	if(quiet.err == NULL)
		return;
	if(cli_find(&quiet) != CLI_OK || filter_init(&f, &quiet, &o) != CLI_OK
			|| cli_reader(&quiet, (struct sb_pos){0, 0}, &r) != CLI_OK) {
		add(e,
				"journals of Signalbox: there is none in %s; look where Kamailio runs (signalbox --dir DIR journal "
				"count --number …)",
				e->c->dir);
	} else {
		while(sb_reader_next(r, &rec) == 1)
			events += filter_takes(&f, &rec, &fields);
		sb_reader_close(r);
		add(e,
				"the journal in %s: %" PRIu64
				" events with it in From, To or Request-URI, until every sink is past their segments; "
				"what the call log has not read yet comes into it with the number: run this again then",
				quiet.journal, events);
	}
	fclose(quiet.err);
}

static void file(struct erasure *e, const char *name, const char *what)
{
	char path[CLI_PATH + 64];
	snprintf(path, sizeof(path), "%s/hooks/%s", e->c->dir, name);
	if(access(path, F_OK) == 0)
		add(e, "%s: %s", path, what);
}

static bool take_receiver(const struct sb_db_value *row, unsigned columns, void *arg)
{
	char *list = arg;
	(void)columns;
	say(list, 400, "%s%s", list[0] != '\0' ? ", " : "", text_plain(row[0].text, row[0].len).s);
	return true;
}

static void receivers(struct erasure *e)
{
	char list[400] = "";
	sb_db_query(e->db, "SELECT id FROM callhook_endpoint ORDER BY id", NULL, 0, take_receiver, list);
	add(e, "receivers of webhooks, and who they gave it to: %s",
			list[0] != '\0' ? list : "none in callhook_endpoint now");
}

static bool take_flag(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)columns;
	*(bool *)arg = row[0].kind == SB_DB_INT && row[0].i != 0;
	return false;
}

static void server(struct erasure *e)
{
	bool log_bin = false;
	if(sb_db_dialect(e->db) == SB_SQLITE)
		return;
	sb_db_query(e->db, "SELECT @@log_bin", NULL, 0, take_flag, &log_bin);
	if(log_bin)
		add(e, "the server's binary logs, until they expire (binlog_expire_logs_seconds, PURGE BINARY LOGS), and "
			   "replicas that lag");
	add(e, "the server's undo space and pages, until InnoDB has purged and written over them");
}

void erase_elsewhere(struct erasure *e)
{
	journal(e);
	file(e, "state.sqlite", "webhooks that wait, or were given up, with their text");
	file(e, "call_log.sqlite", "rows that the database refused");
	receivers(e);
	server(e);
	add(e, "layer log files (callhook's layer_log) and Kamailio's own log, acc tables, SIP traces, recordings");
	add(e, "tables of Kamailio's: subscriber and location, if the number is one of your users");
	add(e, "backups and copies of any of these, and the history of the shell this was typed in");
}
