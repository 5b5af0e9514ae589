/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the log into lines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "layer_line.h"
#include "layer_parts.h"

#define READ_BUDGET 4096 /* records in one turn */

static int compare_ids(const void *a, const void *b)
{
	const struct sb_layer_id *x = a, *y = b;

	if(x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

int sb_layer_note_written(const char *text, size_t len, void *arg)
{
	struct sb_layer_log *l = arg;
	struct sb_layer_id id;

	if(!sb_layer_line_id(text, len, l->cfg.log->node, &id.epoch, &id.seq))
		return 0;
	if(l->written_count == l->written_room) {
		size_t room = l->written_room > 0 ? l->written_room * 2 : 1024;
		struct sb_layer_id *more = realloc(l->written, room * sizeof(*more));

		if(more == NULL)
			return -ENOMEM;
		l->written = more;
		l->written_room = room;
	}
	l->written[l->written_count++] = id;
	return 0;
}

void sb_layer_forget_written(struct sb_layer_log *l)
{
	free(l->written);
	l->written = NULL;
	l->written_count = l->written_room = l->written_left = 0;
	l->passed = true;
}

void sb_layer_sort_written(struct sb_layer_log *l)
{
	l->written_left = l->written_count;
	l->passed = l->written_count == 0;
	if(l->written_count > 0)
		qsort(l->written, l->written_count, sizeof(l->written[0]), compare_ids);
}

/* Lines stand in the file in the log's order: once a record is not among them, the mark may move (unless a file of them was removed). */
static bool is_written(struct sb_layer_log *l, const struct sb_rec *rec)
{
	const struct sb_layer_id id = {rec->hdr.seq, rec->hdr.epoch};

	if(l->written == NULL)
		return false;
	if(bsearch(&id, l->written, l->written_count, sizeof(id), compare_ids) == NULL) {
		l->passed = true;
		return false;
	}
	if(--l->written_left == 0)
		sb_layer_forget_written(l);
	return true;
}

static void segments_lost(struct sb_layer_log *l, uint64_t from, uint64_t to)
{
	char text[SB_LAYER_ERROR_LEN];

	snprintf(text, sizeof(text), "the journal no longer holds its segments from %016llx to %016llx",
			(unsigned long long)from, (unsigned long long)(to - 1));
	sb_layer_set_error(l->cfg.status, text);
	sb_layer_say(&l->cfg, true,
			"layer_log %s: %s: their lines are missing (journal_limit was reached while it could not be written)",
			l->cfg.target, text);
}

static bool reader_ready(struct sb_layer_log *l, uint64_t now)
{
	const struct sb_log_cfg *c = &l->cfg.log->cfg;
	uint64_t first = 0, last = 0;
	int rc;

	if(l->reader != NULL)
		return true;
	rc = sb_reader_open(&l->reader, c->journal_dir, c->spool_dir, l->read);
	if(rc != 0) {
		sb_layer_failed(l, now, "the journal cannot be read", strerror(-rc));
		return false;
	}
	if(l->cfg.log->sh != NULL)
		sb_reader_attach(l->reader, l->cfg.log->sh);
	if(sb_log_segments(c->journal_dir, c->spool_dir, &first, &last) == 0 && first > l->read.segment)
		segments_lost(l, l->read.segment, first);
	l->last = (struct sb_pos){0};
	return true;
}

static void note_gap(struct sb_layer_log *l, const struct sb_rec *rec)
{
	if(l->last.segment > 0 && rec->pos.segment > l->last.segment + 1 && rec->pos.segment >> 32 == l->last.segment >> 32)
		segments_lost(l, l->last.segment + 1, rec->pos.segment);
	l->last = rec->pos;
}

static void say_damaged(struct sb_layer_log *l, const struct sb_rec *rec)
{
	char text[SB_LAYER_ERROR_LEN];

	snprintf(text, sizeof(text), "the record at %016llx:%llu is damaged", (unsigned long long)rec->pos.segment,
			(unsigned long long)rec->pos.offset);
	sb_layer_set_error(l->cfg.status, text);
	if(!l->bad_said)
		sb_layer_say(&l->cfg, true, "layer_log %s: %s: it has no line; layer_log_errors counts others like it",
				l->cfg.target, text);
	l->bad_said = true;
}

/* @return 0 or -ENOMEM: not taken */
static int take(struct sb_layer_log *l, const struct sb_rec *rec)
{
	int n = sb_layer_line(l->buf + l->len, l->line_max, rec, l->cfg.log->node);
	struct sb_field at;

	if(n == -ENOMEM)
		return n;
	note_gap(l, rec);
	l->read = rec->next;
	if(n < 0)
		say_damaged(l, rec);
	if(n > 0 && is_written(l, rec)) {
		l->kept.lines++;
		l->kept.bytes += (uint64_t)n;
		n = 0;
	}
	if(n > 0) {
		l->len += (size_t)n;
		l->line[l->lines].end = l->len;
		l->line[l->lines].at = sb_find(rec->payload, rec->hdr.len, SB_C_AT, &at) ? sb_field_u64(&at) : 0;
		l->lines++;
	}
	if(l->lines > 0)
		l->line[l->lines - 1].next = rec->next;
	else
		l->kept.pos = rec->next;
	l->changed = true;
	return 0;
}

static bool room(const struct sb_layer_log *l)
{
	return l->lines < SB_LAYER_BATCH_LINES && l->len + SB_LAYER_LINE_MAX <= SB_LAYER_BATCH_BYTES;
}

void sb_layer_fill(struct sb_layer_log *l, uint64_t now)
{
	uint64_t records = l->cfg.log->sh != NULL ? atomic_load(&l->cfg.log->sh->records) : now;
	struct sb_rec rec;
	int r = 1;

	l->more = false;
	if((records == l->seen && now < l->reader_looked + SB_LAYER_SECOND_US) || !reader_ready(l, now))
		return;
	for(int n = 0; n < READ_BUDGET && room(l); n++) {
		r = sb_reader_next(l->reader, &rec);
		if(r == 1)
			r = take(l, &rec) == 0 ? 1 : -ENOMEM;
		if(r <= 0)
			break;
	}
	if(r < 0) { /* what was not taken is read again */
		sb_reader_close(l->reader);
		l->reader = NULL;
		sb_layer_failed(l, now, "the journal cannot be read", strerror(-r));
	}
	l->more = r > 0;
	if(r == 0) {
		l->seen = records;
		l->reader_looked = now;
	}
}
