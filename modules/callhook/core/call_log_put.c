/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A batch into the database; what it refuses is found by halving. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call_log_parts.h"

#define LOST_TRIES 3

struct halving
{
	struct sb_call_log *c;
	enum sb_cl_table table;
	unsigned good, bad;
	char *err;
	size_t err_len;
};

static int put(struct sb_call_log *c, const struct sb_cl_part *part, unsigned parts, char *err, size_t err_len)
{
	int rc = -EAGAIN;

	for(int i = 0; i < LOST_TRIES && rc == -EAGAIN; i++)
		rc = c->cfg.store->put(c->cfg.store, part, parts, err, err_len);
	return rc;
}

static int halve(struct halving *h, const struct sb_cl_row *row, unsigned count)
{
	struct sb_cl_part part = {h->table, row, count};
	int rc = put(h->c, &part, 1, h->err, h->err_len);

	if(rc == 0) {
		h->good += count;
		return 0;
	}
	if(rc != SB_CL_BAD_ROW)
		return rc;
	if(count == 1) {
		h->bad++;
		rc = sb_cl_batch_bad(&h->c->batch, h->table, row, h->err);
		if(rc != 0)
			snprintf(h->err, h->err_len, "out of memory");
		return rc;
	}
	rc = halve(h, row, count / 2);
	return rc == 0 ? halve(h, row + count / 2, count - count / 2) : rc;
}

/* One table alone. @return 0, or -errno: also where none of many rows in turn was taken */
static int put_table(struct sb_call_log *c, enum sb_cl_table table, char *err, size_t err_len)
{
	const struct sb_cl_set *set = &c->batch.set[table];
	struct halving h = {.c = c, .table = table, .err = err, .err_len = err_len};
	char last[SB_CL_ERROR];
	int rc = set->count > 0 ? halve(&h, set->row, set->count) : 0;

	if(rc != 0)
		return rc;
	if(h.good > 0 || h.bad == 0) {
		c->bad_run[table] = h.good > 0 ? 0 : c->bad_run[table];
		return 0;
	}
	if(c->bad_run[table] + h.bad > SB_CALL_LOG_BAD_RUN) {
		snprintf(last, sizeof(last), "%s", err);
		snprintf(err, err_len,
				"%s: table %s refuses every row, %u in turn by now: %.300s; so it is the table that is wrong: nothing "
				"more is set "
				"aside",
				c->cfg.store->shown, sb_cl_table_name(table), c->bad_run[table] + h.bad, last);
		return -EBADMSG;
	}
	c->bad_run[table] += h.bad;
	return 0;
}

int cl_put_batch(struct sb_call_log *c, char *err, size_t err_len)
{
	struct sb_cl_part part[SB_CL_TABLES];
	unsigned run[SB_CL_TABLES], parts = 0;
	int rc;

	sb_cl_batch_retry(&c->batch);
	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		if(c->batch.set[t].count > 0)
			part[parts++] = (struct sb_cl_part){t, c->batch.set[t].row, c->batch.set[t].count};
	}
	rc = parts > 0 ? put(c, part, parts, err, err_len) : 0;
	if(rc == 0) {
		for(unsigned i = 0; i < parts; i++)
			c->bad_run[part[i].table] = 0;
		return 0;
	}
	if(rc != SB_CL_BAD_ROW)
		return rc;
	memcpy(run, c->bad_run, sizeof(run));
	rc = 0;
	for(unsigned t = 0; t < SB_CL_TABLES && rc == 0; t++)
		rc = put_table(c, t, err, err_len);
	if(rc != 0)
		memcpy(c->bad_run, run, sizeof(run));
	return rc;
}
