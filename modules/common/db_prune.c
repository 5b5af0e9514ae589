/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_prune.h"
#include "db_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 250u /* parameters of one statement */

int sb_db_begin(struct sb_db *db)
{
	return sb_db_exec(db, sb_db_dialect(db) == SB_SQLITE ? "BEGIN IMMEDIATE" : "START TRANSACTION");
}

void sb_db_rollback(struct sb_db *db)
{
	char error[SB_DB_ERROR];
	snprintf(error, sizeof(error), "%s", db->error);
	sb_db_exec(db, "ROLLBACK");
	snprintf(db->error, sizeof(db->error), "%s", error);
}

static int64_t for_ids(struct sb_db *db, const char *head, const struct sb_db_value *before, unsigned before_count,
		const struct sb_db_ids *ids, sb_db_each each, void *arg)
{
	struct sb_db_value p[SB_BEFORE_MAX + AT_ONCE];
	size_t cap = strlen(head) + 3 * AT_ONCE + 16;
	char *sql = malloc(cap);
	int64_t total = 0, n = 0;
	if(sql == NULL || before_count > SB_BEFORE_MAX) {
		free(sql);
		return sql == NULL ? -ENOMEM : -EINVAL;
	}
	if(before_count > 0)
		memcpy(p, before, before_count * sizeof(*p));
	for(unsigned at = 0; at < ids->count && n >= 0; at += AT_ONCE) {
		unsigned count = ids->count - at < AT_ONCE ? ids->count - at : AT_ONCE;
		size_t len = (size_t)snprintf(sql, cap, "%s IN (", head);
		for(unsigned i = 0; i < count; i++) {
			len += (size_t)snprintf(sql + len, cap - len, i == 0 ? "?" : ", ?");
			p[before_count + i] = (struct sb_db_value){SB_DB_TEXT, 0, ids->id[at + i], 36};
		}
		snprintf(sql + len, cap - len, ")");
		n = sb_db_query(db, sql, p, before_count + count, each, arg);
		total += n;
	}
	free(sql);
	return n < 0 ? n : total;
}

int64_t sb_db_for_ids(struct sb_db *db, const char *head, const struct sb_db_value *before, unsigned before_count,
		const struct sb_db_ids *ids)
{
	return for_ids(db, head, before, before_count, ids, NULL, NULL);
}

int64_t sb_db_read_for_ids(struct sb_db *db, const char *head, const struct sb_db_ids *ids, sb_db_each each, void *arg)
{
	return for_ids(db, head, NULL, 0, ids, each, arg);
}

static bool take_id(const struct sb_db_value *row, unsigned columns, void *arg)
{
	struct sb_db_ids *ids = arg;
	(void)columns;
	if(row[0].kind == SB_DB_TEXT && row[0].len == 36)
		memcpy(ids->id[ids->count++], row[0].text, 37);
	return true;
}

static int64_t delete_all(struct sb_db *db, const struct sb_db_ids *ids, struct sb_db_pruned *gone)
{
	int64_t n = gone->events = sb_db_for_ids(db, "DELETE FROM callstate_event WHERE call_id", NULL, 0, ids);
	if(n >= 0)
		n = gone->attempts = sb_db_for_ids(db, "DELETE FROM callstate_attempt WHERE call_id", NULL, 0, ids);
	if(n >= 0)
		n = gone->calls = sb_db_for_ids(db, "DELETE FROM callstate_call WHERE call_id", NULL, 0, ids);
	return n;
}

int sb_db_prune(struct sb_db *db, const char *before, unsigned calls_max, struct sb_db_pruned *sum)
{
	struct sb_db_value p[] = {{SB_DB_TEXT, 0, before, strlen(before)}, {SB_DB_INT, calls_max, NULL, 0}};
	struct sb_db_pruned gone = {0};
	struct sb_db_ids ids = {0};
	if(calls_max < 1 || calls_max > SB_PRUNE_MAX)
		return -EINVAL;
	ids.id = malloc(calls_max * sizeof(*ids.id));
	if(ids.id == NULL)
		return -ENOMEM;
	int64_t n = sb_db_query(db, "SELECT call_id FROM callstate_call WHERE started_at < ? ORDER BY started_at LIMIT ?",
			p, 2, take_id, &ids);
	if(n > 0)
		n = sb_db_begin(db);
	if(n >= 0 && ids.count > 0) {
		n = delete_all(db, &ids, &gone);
		if(n >= 0)
			n = sb_db_exec(db, "COMMIT");
		if(n < 0) {
			gone = (struct sb_db_pruned){0};
			sb_db_rollback(db);
		}
	}
	sum->calls += gone.calls;
	sum->attempts += gone.attempts;
	sum->events += gone.events;
	free(ids.id);
	return n < 0 ? (int)n : (int)ids.count;
}
