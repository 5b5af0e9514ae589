/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_find.h"
#include "calls_walks.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_SLICE (3600ull * 1000000)
#define PROGRESS_STEPS 5000 /* of SQLite, between two looks at the clock */

static uint64_t clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void calls_tune(struct sb_db *db)
{
	if(sb_db_dialect(db) == SB_SQLITE)
		sb_db_exec(db, "PRAGMA cache_size = -65536; PRAGMA mmap_size = 2147418112");
}

struct calls_row *calls_row_new(const struct sb_db_value *v)
{
	size_t bytes = sizeof(struct calls_row);
	for(int i = 0; i < CALL_COLUMNS; i++)
		bytes += v[i].kind == SB_DB_TEXT ? v[i].len + 1 : 24;
	struct calls_row *r = malloc(bytes);
	if(r == NULL)
		return NULL;
	char *p = (char *)(r + 1);
	for(int i = 0; i < CALL_COLUMNS; i++) {
		r->text[i] = v[i].kind != SB_DB_NULL ? p : NULL;
		if(v[i].kind == SB_DB_INT) {
			p += sprintf(p, "%" PRId64, v[i].i) + 1;
		} else if(v[i].kind == SB_DB_TEXT) {
			memcpy(p, v[i].text, v[i].len);
			p[v[i].len] = '\0';
			p += v[i].len + 1;
		}
	}
	r->started = calls_time_parse(r->text[CALL_started_at]);
	return r;
}

void calls_found_free(struct calls_found *f)
{
	for(size_t i = 0; i < f->rows; i++)
		free(f->row[i]);
	free(f->row);
	memset(f, 0, sizeof(*f));
}

static bool take_row(const struct sb_db_value *v, unsigned n, void *arg)
{
	struct calls_found *f = arg;
	if(n != CALL_COLUMNS)
		return false;
	if(f->rows == f->room) {
		size_t room = f->room > 0 ? f->room * 2 : 64;
		struct calls_row **p = realloc(f->row, room * sizeof(struct calls_row *));
		if(p == NULL) {
			f->error = -ENOMEM;
			return false;
		}
		f->row = p;
		f->room = room;
	}
	f->row[f->rows] = calls_row_new(v);
	if(f->row[f->rows] == NULL) {
		f->error = -ENOMEM;
		return false;
	}
	f->rows++;
	return true;
}

static int newest_first(const void *x, const void *y)
{
	const struct calls_row *a = *(struct calls_row *const *)x, *b = *(struct calls_row *const *)y;
	if(a->started != b->started)
		return a->started > b->started ? -1 : 1;
	return strcmp(b->text[CALL_call_id], a->text[CALL_call_id]);
}

/** What came from several walks in one order, without what came twice, and no more than `most`. */
static void merge(struct calls_found *f, size_t from, size_t most)
{
	qsort(f->row + from, f->rows - from, sizeof(struct calls_row *), newest_first);
	size_t n = from;
	for(size_t i = from; i < f->rows; i++) {
		bool again = n > from && strcmp(f->row[n - 1]->text[CALL_call_id], f->row[i]->text[CALL_call_id]) == 0;
		if(again || n == most)
			free(f->row[i]);
		else
			f->row[n++] = f->row[i];
	}
	f->rows = n;
}

/** All walks over one stretch of time, behind what is there already. */
static int slice(struct sb_db *db, const struct calls_ask *a, const struct calls_walks *w, uint64_t since,
		uint64_t until, struct calls_found *out)
{
	struct calls_query q;
	size_t from = out->rows;
	unsigned left = a->limit + 1 - (unsigned)from;
	for(size_t i = 0; i < w->walks; i++) {
		calls_select(&q, a, &w->walk[i], since, until, left, sb_db_dialect(db));
		int64_t rc = sb_db_query(db, q.sql, q.param, q.params, take_row, out);
		if(rc < 0 || out->error != 0)
			return rc < 0 ? (int)rc : out->error;
		/* compact now and then: a class of codes may have a hundred walks */
		if(out->rows - from > 4 * (size_t)left)
			merge(out, from, a->limit + 1);
	}
	if(out->rows > from)
		merge(out, from, a->limit + 1);
	return 0;
}

static bool take_time(const struct sb_db_value *v, unsigned n, void *arg)
{
	uint64_t *us = arg;
	if(n > 0 && v[0].kind == SB_DB_TEXT)
		*us = calls_time_parse(v[0].text);
	return false;
}

static int edge(struct sb_db *db, const char *sql, uint64_t *us)
{
	*us = 0;
	int64_t rc = sb_db_query(db, sql, NULL, 0, take_time, us);
	return rc < 0 ? (int)rc : 0;
}

/** The time the log has, within what was asked for. */
static int bounds(struct sb_db *db, const struct calls_ask *a, uint64_t *since, uint64_t *until)
{
	int rc = edge(db, "SELECT MIN(started_at) FROM callstate_call", since);
	if(rc == 0)
		rc = edge(db, "SELECT MAX(started_at) FROM callstate_call", until);
	if(*until != 0)
		(*until)++;
	if(a->since > *since)
		*since = a->since;
	if(a->until != 0 && a->until < *until)
		*until = a->until;
	return rc;
}

static int on_progress(void *deadline)
{
	return clock_us() > *(const uint64_t *)deadline;
}

/** From here on the database gives up what it is asked at that time. 0: never */
static void stop_at(struct sb_db *db, uint64_t *deadline)
{
	char sql[64];
	uint64_t now = clock_us();
	if(sb_db_dialect(db) == SB_SQLITE) {
		sqlite3_progress_handler(sb_db_native(db), *deadline != 0 ? PROGRESS_STEPS : 0, on_progress, deadline);
		return;
	}
	uint64_t left = *deadline > now ? (*deadline - now) / 1000 + 1 : 1;
	snprintf(sql, sizeof(sql), "SET max_statement_time = %" PRIu64 ".%03" PRIu64, *deadline != 0 ? left / 1000 : 0,
			*deadline != 0 ? left % 1000 : 0);
	sb_db_exec(db, sql);
}

/** Back in time, twice as far each time, until there is enough, or the time is up: a stretch that is not done by then counts for nothing. */
static int look_back(struct sb_db *db, const struct calls_ask *a, const struct calls_walks *w, uint64_t since,
		uint64_t until, uint64_t deadline, struct calls_found *out)
{
	uint64_t span = FIRST_SLICE;
	int rc = 0;
	while(until > since && out->rows <= a->limit && (deadline == 0 || clock_us() < deadline)) {
		uint64_t from = until - since > span ? until - span : since;
		size_t rows = out->rows;
		stop_at(db, &deadline);
		rc = slice(db, a, w, from, until, out);
		if(rc != 0 && deadline != 0 && clock_us() >= deadline) {
			while(out->rows > rows)
				free(out->row[--out->rows]);
			rc = 0;
			break;
		}
		if(rc != 0)
			break;
		until = from;
		span *= 2;
	}
	deadline = 0;
	stop_at(db, &deadline);
	if(until > since && out->rows <= a->limit)
		out->looked_to = until;
	return rc;
}

int calls_find(struct sb_db *db, const struct calls_ask *a, uint64_t budget_us, struct calls_found *out)
{
	struct calls_walks w = {0};
	struct calls_ask with_forms = *a;
	uint64_t since, until, deadline = budget_us > 0 ? clock_us() + budget_us : 0;
	memset(out, 0, sizeof(*out));
	int rc = bounds(db, a, &since, &until);
	if(rc == 0 && since < until)
		rc = calls_walks_choose(db, &with_forms, since, until, &w);
	if(rc != 0 || w.walks == 0)
		goto out;
	out->many_numbers = w.many_numbers;
	if(calls_covered(a, w.walk[0].index))
		rc = slice(db, a, &w, since, until, out);
	else
		rc = look_back(db, &with_forms, &w, since, until, deadline, out);
	if(out->rows > a->limit) {
		free(out->row[--out->rows]);
		out->more = true;
	}
out:
	calls_walks_free(&w);
	return rc;
}
