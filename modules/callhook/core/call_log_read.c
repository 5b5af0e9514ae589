/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the log into the batch. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call_log_parts.h"

#define SECOND 1000000ull
#define MINUTE (60 * SECOND)

bool cl_full(const struct sb_call_log *c)
{
	return c->batch.records >= c->cfg.batch || c->batch.mem.used >= SB_CALL_LOG_BYTES;
}

static void lost(struct sb_call_log *c, uint64_t from, uint64_t to)
{
	atomic_fetch_add(&c->cfg.status->lost_segments, from >> 32 == to >> 32 ? to - from : 1);
	cl_say(c, SB_CALL_LOG_ERROR,
			"call log: the journal no longer holds its segments from %016llx to %016llx: their events are not in the "
			"call log "
			"(journal_limit was reached while the database was away)",
			(unsigned long long)from, (unsigned long long)(to - 1));
}

static void broken(struct sb_call_log *c, int err)
{
	char text[SB_CL_ERROR];

	snprintf(text, sizeof(text), "the log cannot be read: %s", strerror(-err));
	cl_note_error(c, text);
	if(c->broken_said_mono == 0 || c->mono >= c->broken_said_mono + MINUTE) {
		cl_say(c, SB_CALL_LOG_ERROR, "call log: %s; tried again every second (folders %s and %s)", text,
				c->cfg.log->cfg.journal_dir, c->cfg.log->cfg.spool_dir);
		c->broken_said_mono = c->mono;
	}
	sb_reader_close(c->reader);
	c->reader = NULL;
	c->reader_mono = c->mono + SECOND;
}

static bool ready(struct sb_call_log *c)
{
	const struct sb_log *log = c->cfg.log;
	uint64_t first = 0, last = 0;
	int err;

	if(c->reader != NULL)
		return true;
	if(c->mono < c->reader_mono)
		return false;
	err = sb_reader_open(&c->reader, log->cfg.journal_dir, log->cfg.spool_dir, c->read);
	if(err != 0) {
		broken(c, err);
		return false;
	}
	if(log->sh != NULL)
		sb_reader_attach(c->reader, log->sh);
	if(sb_log_segments(log->cfg.journal_dir, log->cfg.spool_dir, &first, &last) == 0 && c->read.segment > 0
			&& first > c->read.segment)
		lost(c, c->read.segment, first);
	c->last = (struct sb_pos){0, 0};
	return true;
}

/* A record may be counted before its bytes are where the reader looks: it is looked for a second long. */
static bool worth_looking(struct sb_call_log *c)
{
	uint64_t records;

	if(c->cfg.log->sh == NULL || c->more)
		return true;
	records = atomic_load(&c->cfg.log->sh->records);
	if(records != c->seen) {
		c->seen = records;
		c->moved_mono = c->mono;
	}
	return c->mono < c->moved_mono + SECOND || c->mono >= c->looked_mono + SECOND;
}

static void note_gap(struct sb_call_log *c, const struct sb_rec *rec)
{
	if(c->last.segment > 0 && rec->pos.segment > c->last.segment + 1 && rec->pos.segment >> 32 == c->last.segment >> 32)
		lost(c, c->last.segment + 1, rec->pos.segment);
	c->last = rec->pos;
}

void cl_gather(struct sb_call_log *c)
{
	struct sb_rec rec;
	int rc = 1;

	if(c->written || cl_full(c) || !worth_looking(c) || !ready(c))
		return;
	while(!cl_full(c)) {
		rc = sb_reader_next(c->reader, &rec);
		if(rc <= 0)
			break;
		note_gap(c, &rec);
		if(c->batch.records == 0)
			c->first_mono = c->mono;
		if(sb_cl_batch_add(&c->batch, &rec, c->cfg.log->node) != 0) {
			/* what is in it by half is read again */
			sb_cl_batch_reset(&c->batch);
			c->read = c->kept;
			broken(c, -ENOMEM);
			return;
		}
		c->read = rec.next;
	}
	if(rc < 0)
		broken(c, rc);
	c->more = rc > 0;
	if(rc == 0)
		c->looked_mono = c->mono;
}
