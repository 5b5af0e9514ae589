/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signalbox db erase: every call of one number loses what is about people; what statistics need stays. */
#include "db_erase.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db_match.h"

#define CHUNK 500u
#define TRIES 10

/* How a column is looked at. SPELLED: it stays in an erased row unless it is the number itself. */
enum look
{
	URI,
	SPELLED,
	FREE
};
struct column
{
	const char *name;
	enum look look;
};
static const struct column in_call[] = {{"from_number", URI}, {"to_number", URI}, {"from_uri", URI}, {"to_uri", URI},
		{"request_uri", URI}, {"did", SPELLED}, {"agent", SPELLED}, {"from_name", FREE}, {"sip_call_id", FREE},
		{"sip_reason", FREE}, {"attributes", FREE}};
static const struct column in_attempt[] = {{"to_number", URI}, {"uri", URI}, {"agent", SPELLED}, {"reason", FREE}};
static const struct column in_event[] = {{"note", URI}, {"note", FREE}, {"agent", SPELLED}, {"sip_reason", FREE}};

static const struct
{
	const char *name;
	const struct column *column;
	unsigned columns;
	const char *set;     /* what goes whatever it says */
	const char *spelled; /* goes if it is the number */
	const char *spelled_too;
} table[] = {
		{"callstate_call", in_call, sizeof(in_call) / sizeof(in_call[0]),
				"from_number = NULL, to_number = NULL, from_digits = NULL, to_digits = NULL, from_uri = NULL, "
				"from_name = NULL, "
				"to_uri = NULL, request_uri = NULL, source = NULL, attributes = NULL, sip_reason = NULL, sip_call_id = "
				"'erased'",
				"did", "agent"},
		{"callstate_attempt", in_attempt, sizeof(in_attempt) / sizeof(in_attempt[0]),
				"uri = NULL, to_number = NULL, reason = NULL, destination = CASE WHEN trunk IS NULL THEN NULL ELSE "
				"destination END",
				"agent", NULL},
		{"callstate_event", in_event, sizeof(in_event) / sizeof(in_event[0]),
				"note = NULL, sip_reason = NULL, sip_branch = NULL, from_tag = NULL, to_tag = NULL", "agent", NULL},
};
#define TABLES (sizeof(table) / sizeof(table[0]))
_Static_assert(2 * ERASE_SPELLINGS <= SB_BEFORE_MAX, "change() gives the spellings twice");

static void spell(struct erasure *e, const struct column *col, const struct sb_db_value *v)
{
	char as[260];
	const char *user = v->text;
	size_t len = v->len;
	if(col->look == URI)
		sb_uri_user(v->text, v->len, &user, &len);
	snprintf(as, sizeof(as), "%.*s", (int)len, user);
	for(unsigned i = 0; i < e->spellings; i++) {
		if(strcmp(e->spelling[i], as) == 0) {
			e->times[i]++;
			return;
		}
	}
	e->too_many |= e->spellings == ERASE_SPELLINGS;
	if(e->too_many)
		return;
	strcpy(e->spelling[e->spellings], as);
	e->times[e->spellings++] = 1;
}

struct scan
{
	struct erasure *e;
	const struct column *column;
	unsigned columns;
};

static bool about(const struct erasure *e, const struct column *col, const struct sb_db_value *v)
{
	if(v->kind != SB_DB_TEXT || v->len == 0)
		return false;
	return col->look == FREE ? db_match_text(e->number, e->exact, v->text, v->len)
							 : db_match_uri(e->number, e->exact, v->text, v->len);
}

static bool take_call(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct erasure *e = arg;
	(void)columns;
	if(e->first[0] == '\0' || strcmp(row[0].text, e->first) < 0)
		snprintf(e->first, sizeof(e->first), "%s", row[0].text);
	if(strcmp(row[0].text, e->last) > 0)
		snprintf(e->last, sizeof(e->last), "%s", row[0].text);
	e->going_on += row[1].kind == SB_DB_NULL;
	return true;
}

static bool add_up(const struct sb_db_value *row, unsigned columns, void *arg)
{
	(void)columns;
	*(int64_t *)arg += row[0].i;
	return true;
}

/* call_id, then the columns of the table. */
static bool take_row(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct scan *s = arg;
	bool hit = false;
	uint8_t id[16];
	for(unsigned i = 0; i < s->columns && i + 1 < columns; i++) {
		const struct sb_db_value *v = &row[i + 1];
		if(!about(s->e, &s->column[i], v))
			continue;
		hit = true;
		if(s->column[i].look != FREE)
			spell(s->e, &s->column[i], v);
	}
	if(!hit || sb_uuid_parse(id, row[0].text) != 0)
		return true;
	s->e->failed |= ids_add(&s->e->ids, id) < 0;
	return !s->e->failed;
}

static int scan(struct erasure *e, unsigned t)
{
	struct scan s = {.e = e, .column = table[t].column, .columns = table[t].columns};
	struct sb_db_value p[16];
	char like[200], names[400] = "", where[800] = "", sql[1600];
	if(!db_match_like(like, sizeof(like), e->number)) {
		fprintf(e->c->err, "signalbox: db erase: the number is too long.\n");
		return CLI_USAGE;
	}
	for(unsigned i = 0; i < s.columns; i++) {
		SAY(names, ", %s", s.column[i].name);
		SAY(where, "%s%s LIKE ? ESCAPE '!'", i > 0 ? " OR " : "", s.column[i].name);
		p[i] = (struct sb_db_value){SB_DB_TEXT, 0, like, strlen(like)};
	}
	snprintf(sql, sizeof(sql), "SELECT call_id%s FROM %s WHERE %s", names, table[t].name, where);
	if(sb_db_query(e->db, sql, p, s.columns, take_row, &s) < 0)
		return db_failed(e->c, "the call log cannot be read", e->db);
	if(e->failed) {
		fprintf(e->c->err, "signalbox: out of memory.\n");
		return CLI_NOT_FOUND;
	}
	if(e->too_many) {
		fprintf(e->c->err,
				"signalbox: db erase: this is the end of more than %u numbers that were written down; give more of its "
				"digits, or "
				"--exact. Nothing was changed.\n",
				ERASE_SPELLINGS);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static void add_case(char *sql, size_t cap, const struct erasure *e, const char *column)
{
	if(column == NULL || e->spellings == 0)
		return;
	say(sql, cap, ", %s = CASE WHEN %s IN (", column, column);
	for(unsigned i = 0; i < e->spellings; i++)
		say(sql, cap, i == 0 ? "?" : ", ?");
	say(sql, cap, ") THEN NULL ELSE %s END", column);
}

static unsigned spelled_params(const struct erasure *e, struct sb_db_value *p)
{
	for(unsigned i = 0; i < e->spellings; i++)
		p[i] = (struct sb_db_value){SB_DB_TEXT, 0, e->spelling[i], strlen(e->spelling[i])};
	return e->spellings;
}

static int64_t change(struct erasure *e, unsigned t, const struct sb_db_ids *ids)
{
	struct sb_db_value p[2 * ERASE_SPELLINGS];
	char sql[2400];
	unsigned n = 0;
	if(!e->yes) {
		snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM %s WHERE call_id", table[t].name);
		int64_t rows = 0, rc = sb_db_read_for_ids(e->db, sql, ids, add_up, &rows);
		return rc < 0 ? rc : rows;
	}
	snprintf(sql, sizeof(sql), "UPDATE %s SET %s", table[t].name, table[t].set);
	add_case(sql, sizeof(sql), e, table[t].spelled);
	n += table[t].spelled != NULL ? spelled_params(e, p) : 0;
	add_case(sql, sizeof(sql), e, table[t].spelled_too);
	n += table[t].spelled_too != NULL ? spelled_params(e, p + n) : 0;
	SAY(sql, " WHERE call_id");
	return sb_db_for_ids(e->db, sql, p, n, ids);
}

static int64_t one_chunk(struct erasure *e, const struct sb_db_ids *ids)
{
	struct erasure was = *e;
	int64_t rows[TABLES] = {0}, n = e->yes ? sb_db_begin(e->db) : 0;
	if(n < 0)
		return n;
	n = sb_db_read_for_ids(e->db, "SELECT started_at, ended_at FROM callstate_call WHERE call_id", ids, take_call, e);
	for(unsigned t = 0; t < TABLES && n >= 0; t++)
		n = rows[t] = change(e, t, ids);
	if(n >= 0 && e->yes)
		n = sb_db_exec(e->db, "COMMIT");
	if(n < 0) {
		*e = was;
		if(e->yes)
			sb_db_rollback(e->db);
		return n;
	}
	e->calls += rows[0];
	e->attempts += rows[1];
	e->events += rows[2];
	return 0;
}

static int change_all(struct erasure *e)
{
	static const uint8_t none[16];
	static char id[CHUNK][37];
	struct sb_db_ids ids = {id, 0};
	for(size_t i = 0; i <= e->ids.size; i++) {
		if(i < e->ids.size && memcmp(e->ids.slot[i], none, 16) != 0)
			sb_uuid_text(id[ids.count++], e->ids.slot[i]);
		if(ids.count == 0 || (ids.count < CHUNK && i < e->ids.size))
			continue;
		int64_t n = -ETIMEDOUT;
		for(int tries = 0; n == -ETIMEDOUT && tries < TRIES; tries++)
			n = one_chunk(e, &ids);
		if(n < 0)
			return db_failed(e->c, "erasing", e->db);
		ids.count = 0;
	}
	return CLI_OK;
}

static void print_spellings(const struct erasure *e)
{
	for(unsigned i = 0; i < e->spellings; i++)
		fprintf(e->c->out, "    %s (%u)\n", text_plain(e->spelling[i], strlen(e->spelling[i])).s, e->times[i]);
}

static void report(struct erasure *e, const char *shown)
{
	FILE *out = e->c->out;
	size_t i;
	json_t *line;
	fprintf(out, "%s\n%s: %zu calls", shown, e->yes ? "erased" : "would be erased", e->ids.used);
	if(e->first[0] != '\0')
		fprintf(out, " from %.10s to %.10s", e->first, e->last);
	fprintf(out, "; rows: callstate_call %" PRId64 ", callstate_attempt %" PRId64 ", callstate_event %" PRId64 "\n",
			e->calls, e->attempts, e->events);
	if(e->ids.used > 0) {
		fprintf(out, "  the number as it %s written there (times):\n", e->yes ? "was" : "is");
		print_spellings(e);
		fprintf(out,
				"  %s: numbers, URIs, names, Call-ID, tags, addresses of phones, attributes, notes, reason texts, of "
				"both sides\n"
				"  %s: times, durations, states, codes, trunk, flow; DID and agent where they are not the number "
				"itself\n",
				e->yes ? "gone" : "would go", e->yes ? "kept for statistics" : "would stay for statistics");
	}
	if(e->going_on > 0)
		fprintf(out,
				"%u of these calls are not over: what comes next is written with the number again. Run this again "
				"after them.\n",
				e->going_on);
	fprintf(out, "Not touched, and may hold the number:\n");
	json_array_foreach(e->elsewhere, i, line) fprintf(out, "  - %s\n", json_string_value(line));
	if(!e->yes)
		fprintf(out, "Nothing was changed%s\n", e->dry ? " (--dry-run)." : ". To erase: the same with --yes");
}

static void report_json(struct erasure *e, const char *shown)
{
	json_t *spelled = json_array();
	for(unsigned i = 0; i < e->spellings; i++)
		json_array_append_new(
				spelled, json_pack("{s:s, s:I}", "text", text_plain(e->spelling[i], strlen(e->spelling[i])).s, "times",
								 (json_int_t)e->times[i]));
	print_json(e->c,
			json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:O}", "database", shown, "erased", e->yes, "calls",
					(json_int_t)e->ids.used, "call_rows", (json_int_t)e->calls, "attempt_rows", (json_int_t)e->attempts,
					"event_rows", (json_int_t)e->events, "going_on", (json_int_t)e->going_on, "written_as", spelled,
					"elsewhere", e->elsewhere),
			true);
}

static int run(struct erasure *e, const struct sb_db_url *url)
{
	int rc = CLI_OK;
	for(unsigned t = 0; t < TABLES && rc == CLI_OK; t++)
		rc = scan(e, t);
	if(rc == CLI_OK)
		rc = change_all(e);
	e->elsewhere = json_array();
	if(rc == CLI_OK) {
		if(e->yes && !db_settle(e->db))
			json_array_append_new(e->elsewhere,
					json_string(
							"the file's -wal, until those who read it now are done: run this again, or restart them"));
		erase_elsewhere(e);
		if(e->c->json)
			report_json(e, url->shown);
		else
			report(e, url->shown);
	}
	json_decref(e->elsewhere);
	ids_free(&e->ids);
	return rc;
}

int db_erase(struct cli *c, int argc, char **argv)
{
	static struct erasure e;
	e = (struct erasure){.c = c};
	const struct db_option o[] = {{"--number", &e.number, NULL}, {"--exact", NULL, &e.exact}, {"--yes", NULL, &e.yes},
			{"--dry-run", NULL, &e.dry}};
	struct sb_db_url url;
	int rc = db_options(c, "erase", argc, argv, o, 4);
	if(rc == CLI_OK && (e.number == NULL || strlen(e.number) < 2 || strlen(e.number) > 60)) {
		fprintf(c->err,
				"signalbox: db erase needs --number N: a number, or the user part of a URI, of 2 to 60 characters.\n");
		rc = CLI_USAGE;
	}
	if(rc == CLI_OK)
		rc = db_open(c, false, &e.db, &url);
	if(rc != CLI_OK)
		return rc;
	e.yes = e.yes && !e.dry;
	rc = run(&e, &url);
	sb_db_close(e.db);
	return rc;
}
