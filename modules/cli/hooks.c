/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hooks.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void hooks_free(struct hooks *h)
{
	free(h->hook);
	memset(h, 0, sizeof(*h));
}

/** The best that is known of one event at one endpoint: delivered before given up before waiting. */
static void keep(struct hooks *h, const struct hook *new)
{
	for(size_t i = 0; i < h->hooks; i++) {
		struct hook *k = &h->hook[i];
		if(k->epoch != new->epoch || k->seq != new->seq || strcmp(k->endpoint, new->endpoint) != 0)
			continue;
		if(new->fate > k->fate)
			*k = *new;
		return;
	}
	struct hook *k = realloc(h->hook, (h->hooks + 1) * sizeof(*k));
	if(k == NULL)
		return;
	h->hook = k;
	k[h->hooks++] = *new;
}

static void take_record(struct hooks *h, const struct sb_fields *fields)
{
	const struct sb_field *f = fields->f;
	struct hook k = {.fate = f[SB_C_D_DELIVERED].col != 0 && sb_field_u64(&f[SB_C_D_DELIVERED]) != 0 ? HOOK_DELIVERED
																									 : HOOK_GIVEN_UP};
	const struct
	{
		enum sb_col col;
		uint64_t *to;
	} row[] = {{SB_C_D_SEQ, &k.seq}, {SB_C_D_TRIES, &k.tries}, {SB_C_D_CODE, &k.code}, {SB_C_D_LATENCY_US, &k.latency},
			{SB_C_AT, &k.at}};
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		*row[i].to = f[row[i].col].col != 0 ? sb_field_u64(&f[row[i].col]) : 0;
	k.epoch = f[SB_C_D_EPOCH].col != 0 ? (uint32_t)sb_field_u64(&f[SB_C_D_EPOCH]) : 0;
	k.error = text_field(&f[SB_C_D_ERROR]);
	SAY(k.endpoint, "%s", text_field(&f[SB_C_D_ENDPOINT]).s);
	keep(h, &k);
}

static void read_history(struct hooks *h, struct cli *c, const uint8_t call[16])
{
	char dir[CLI_PATH + 32];
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field id;
	struct sb_fields fields;
	uint64_t first = 0, last = 0;
	snprintf(dir, sizeof(dir), "%s/deliveries", c->hooks);
	if(sb_log_segments(dir, NULL, &first, &last) < 0 || first == 0
			|| sb_reader_open(&r, dir, NULL, (struct sb_pos){first, 0}) != 0)
		return;
	h->known = true;
	while(sb_reader_next(r, &rec) == 1) {
		if(rec.hdr.type == SB_X_DELIVERY && sb_find(rec.payload, rec.hdr.len, SB_C_CALL_ID, &id)
				&& memcmp(id.data, call, 16) == 0 && sb_fields_read(&fields, rec.payload, rec.hdr.len) == 0)
			take_record(h, &fields);
	}
	sb_reader_close(r);
}

sqlite3 *hooks_open(const char *path)
{
	sqlite3 *db = NULL;
	char uri[CLI_PATH * 3 + 64] = "file:";
	if(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(db, 1000);
		int rc = sqlite3_exec(db, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
		if(rc == SQLITE_OK || rc == SQLITE_BUSY) /* busy: whoever reads from it says so */
			return db;
	}
	sqlite3_close(db);
	db = NULL;
	for(const char *p = path; *p != '\0'; p++)
		say(uri, sizeof(uri), strchr("?#%", *p) != NULL ? "%%%02x" : "%c", (unsigned char)*p);
	SAY(uri, "?immutable=1");
	if(sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK)
		return db;
	sqlite3_close(db);
	return NULL;
}

static int read_rows(struct hooks *h, sqlite3 *db, const char *sql, enum hook_fate fate, const uint8_t call[16])
{
	sqlite3_stmt *st = NULL;
	if(sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	sqlite3_bind_blob(st, 1, call, 16, SQLITE_STATIC);
	int rc;
	while((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct hook k = {.fate = fate,
				.epoch = (uint32_t)sqlite3_column_int64(st, 1),
				.seq = (uint64_t)sqlite3_column_int64(st, 2),
				.tries = (uint64_t)sqlite3_column_int64(st, 3),
				.at = (uint64_t)sqlite3_column_int64(st, 4)};
		const void *endpoint = sqlite3_column_blob(st, 0);
		SAY(k.endpoint, "%s", text_plain(endpoint, (size_t)sqlite3_column_bytes(st, 0)).s);
		const void *error = sqlite3_column_blob(st, 5);
		k.error = text_plain(error, (size_t)sqlite3_column_bytes(st, 5));
		keep(h, &k);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static void read_disabled(struct hooks *h, sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	if(sqlite3_prepare_v2(db, "SELECT endpoint, disabled_at, disabled_why FROM cursor WHERE disabled_at > 0", -1, &st,
			   NULL) == SQLITE_OK
			&& sqlite3_step(st) == SQLITE_ROW) {
		const void *name = sqlite3_column_blob(st, 0);
		SAY(h->disabled.s, "%s", text_plain(name, (size_t)sqlite3_column_bytes(st, 0)).s);
		uint64_t at = (uint64_t)sqlite3_column_int64(st, 1);
		const void *why = sqlite3_column_blob(st, 2);
		SAY(h->disabled.s, " since %s %s: %s", text_date(at).s, text_clock(at).s,
				text_plain(why, (size_t)sqlite3_column_bytes(st, 2)).s);
	}
	sqlite3_finalize(st);
}

/** Events of the call at or behind an endpoint's cursor: it was never sent them. */
static void read_behind(struct hooks *h, sqlite3 *db, const struct story *s)
{
	sqlite3_stmt *st = NULL;
	if(sqlite3_prepare_v2(db, "SELECT endpoint, segment, offset FROM cursor WHERE disabled_at = 0", -1, &st, NULL)
			!= SQLITE_OK)
		return;
	while(sqlite3_step(st) == SQLITE_ROW) {
		struct sb_pos at = {(uint64_t)sqlite3_column_int64(st, 1), (uint64_t)sqlite3_column_int64(st, 2)};
		const void *name = sqlite3_column_blob(st, 0);
		for(size_t i = 0; i < s->events; i++) {
			const struct sb_rec *rec = &s->event[i].rec;
			if(sb_type_internal(rec->hdr.type) || rec->pos.segment < at.segment
					|| (rec->pos.segment == at.segment && rec->pos.offset < at.offset))
				continue;
			struct hook k = {.fate = HOOK_BEHIND, .epoch = rec->hdr.epoch, .seq = rec->hdr.seq};
			SAY(k.endpoint, "%s", text_plain(name, (size_t)sqlite3_column_bytes(st, 0)).s);
			keep(h, &k);
		}
	}
	sqlite3_finalize(st);
}

static void read_state(struct hooks *h, struct cli *c, const struct story *s)
{
	const uint8_t *call = s->id;
	char path[CLI_PATH + 32];
	snprintf(path, sizeof(path), "%s/state.sqlite", c->hooks);
	if(access(path, F_OK) != 0)
		return;
	sqlite3 *db = hooks_open(path);
	if(db == NULL) {
		fprintf(c->err,
				"signalbox: %s cannot be opened; what waits for delivery is not shown. Run it as the user of Kamailio "
				"or as root.\n",
				path);
		return;
	}
	h->known = true;
	if(read_rows(h, db, "SELECT endpoint, epoch, seq, tries, next_at, error FROM pending WHERE call_id = ?1",
			   HOOK_WAITING,
			   call) != 0
			|| read_rows(h, db, "SELECT endpoint, epoch, seq, tries, given_up_at, error FROM dead WHERE call_id = ?1",
					   HOOK_GIVEN_UP, call)
					   != 0)
		fprintf(c->err, "signalbox: %s: %s; what waits for delivery may be missing here.\n", path, sqlite3_errmsg(db));
	read_behind(h, db, s);
	read_disabled(h, db);
	sqlite3_close(db);
}

void hooks_read(struct hooks *h, struct cli *c, const struct story *s)
{
	memset(h, 0, sizeof(*h));
	read_history(h, c, s->id);
	read_state(h, c, s);
	for(size_t i = 0; i < h->hooks; i++) {
		const struct hook *k = &h->hook[i];
		h->delivered += k->fate == HOOK_DELIVERED;
		h->waiting += k->fate == HOOK_WAITING || k->fate == HOOK_BEHIND;
		h->given_up += k->fate == HOOK_GIVEN_UP;
		if(k->fate == HOOK_DELIVERED && k->latency > h->slowest)
			h->slowest = k->latency;
	}
}
