/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the call log keeps of a batch that is written: the cursor, and the rows that were refused. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_log_parts.h"
#include "json_parts.h"

#define KEY 64u

struct kept
{
	struct sb_cl_aside aside;
	char key[KEY], event_id[KEY], call_id[40];
	char *row; /* by json_dumps() */
};

static json_t *value(const struct sb_db_value *v)
{
	if(v->kind == SB_DB_INT)
		return json_integer((json_int_t)v->i);
	return v->kind == SB_DB_TEXT ? json_stringn_nocheck(v->text, v->len) : json_null();
}

static char *row_text(enum sb_cl_table table, const struct sb_cl_row *row)
{
	unsigned count;
	const struct sb_cl_column *c = sb_cl_columns(table, &count);
	json_t *object = json_object();
	char *text = NULL;

	for(unsigned i = 0; i < count && object != NULL; i++) {
		if(json_object_set_new_nocheck(object, c[i].name, value(&row->v[i])) != 0) {
			json_decref(object);
			object = NULL;
		}
	}
	if(object != NULL)
		text = json_dumps(object, SB_JSON_FLAGS);
	json_decref(object);
	return text;
}

static void copy(char *out, size_t room, const struct sb_db_value *v)
{
	snprintf(out, room, "%.*s", (int)v->len, v->kind == SB_DB_TEXT ? v->text : "");
}

static int describe(struct kept *k, const struct sb_cl_bad *b, const char *node)
{
	sb_event_id(k->event_id, node, b->row.epoch, b->row.seq);
	snprintf(k->key, sizeof(k->key), "%s", k->event_id);
	k->aside = (struct sb_cl_aside){"record", k->key, k->event_id, k->call_id, b->error, "null"};
	if(b->table == SB_CL_TABLES)
		return 0;
	copy(k->call_id, sizeof(k->call_id), &b->row.v[sb_cl_column_of(b->table, "call_id")]);
	if(b->table == SB_CL_CALL)
		snprintf(k->key, sizeof(k->key), "%s", k->call_id);
	else if(b->table == SB_CL_ATTEMPT)
		snprintf(k->key, sizeof(k->key), "%s/%lld", k->call_id, (long long)b->row.v[1].i);
	k->row = row_text(b->table, &b->row);
	k->aside.table = sb_cl_table_name(b->table);
	k->aside.row = k->row;
	return k->row != NULL ? 0 : -ENOMEM;
}

/* One line a minute, however many there are. */
static void report(struct sb_call_log *c, const struct sb_cl_aside *first, unsigned count)
{
	c->aside_unsaid += count;
	if(c->aside_said_mono != 0 && c->mono < c->aside_said_mono + 60000000)
		return;
	cl_say(c, SB_CALL_LOG_ERROR,
			"call log: %llu rows were refused by %s and set aside in %s/" SB_CALL_LOG_FILE
			" (table aside); the last: table %s, event %s: %.300s",
			(unsigned long long)c->aside_unsaid, c->cfg.store->shown, c->cfg.state_dir, first->table, first->event_id,
			first->error);
	c->aside_said_mono = c->mono;
	c->aside_unsaid = 0;
}

static int keep(struct sb_call_log *c, const struct kept *kept, struct sb_cl_aside *aside, char *err, size_t err_len)
{
	unsigned count = c->batch.bads;
	uint64_t all;

	for(unsigned i = 0; i < count; i++)
		aside[i] = kept[i].aside;
	if(sb_cl_state_keep(c->state, c->read, aside, count, c->now) != 0) {
		snprintf(err, err_len, "%s/" SB_CALL_LOG_FILE ": %s; nothing is lost, it is tried again", c->cfg.state_dir,
				sb_cl_state_error(c->state));
		return -EIO;
	}
	if(count == 0)
		return 0;
	atomic_fetch_add(&c->cfg.status->aside, count);
	if(sb_cl_state_count(c->state, &all) == 0)
		atomic_store(&c->cfg.status->aside_kept, all);
	report(c, &aside[count - 1], count);
	return 0;
}

int cl_keep(struct sb_call_log *c, char *err, size_t err_len)
{
	unsigned count = c->batch.bads;
	struct kept *kept = count > 0 ? calloc(count, sizeof(*kept)) : NULL;
	struct sb_cl_aside *aside = count > 0 ? calloc(count, sizeof(*aside)) : NULL;
	int rc = count > 0 && (kept == NULL || aside == NULL) ? -ENOMEM : 0;

	for(unsigned i = 0; i < count && rc == 0; i++)
		rc = describe(&kept[i], &c->batch.bad[i], c->cfg.log->node);
	if(rc == 0)
		rc = keep(c, kept, aside, err, err_len);
	else
		snprintf(err, err_len, "out of memory");
	for(unsigned i = 0; kept != NULL && i < count; i++)
		free(kept[i].row);
	free(kept);
	free(aside);
	return rc;
}
