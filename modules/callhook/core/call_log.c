/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_log_parts.h"
#include "shared_text.h"
#include "sink_place.h"

#define LOOK_US 25000ull /* how often the number of records is looked at */

void cl_say(struct sb_call_log *c, enum sb_call_log_level level, const char *format, ...)
{
	char text[2 * SB_CL_ERROR + SB_LOG_PATH];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if(c->cfg.say != NULL)
		c->cfg.say(level, text);
}

const char *sb_call_log_state_name(uint32_t state)
{
	static const char *const name[] = {
			[SB_CALL_LOG_STOPPED] = "stopped", [SB_CALL_LOG_UP] = "up", [SB_CALL_LOG_WAITING] = "waiting"};

	return state < sizeof(name) / sizeof(name[0]) ? name[state] : "";
}

void sb_call_log_status_error(const struct sb_call_log_status *s, char out[SB_CL_ERROR])
{
	sb_shared_text_get(&s->text_version, s->error, out, SB_CL_ERROR);
}

void cl_note_error(struct sb_call_log *c, const char *text)
{
	struct sb_call_log_status *s = c->cfg.status;

	sb_shared_text_set(&s->text_version, s->error, sizeof(s->error), text);
	atomic_store(&s->error_at, c->now);
}

static void set_state(struct sb_call_log *c, enum sb_call_log_state state)
{
	if(atomic_exchange(&c->cfg.status->state, state) != state)
		atomic_store(&c->cfg.status->since_at, c->now);
}

static void show_cursor(struct sb_call_log *c)
{
	atomic_store(&c->cfg.status->segment, c->kept.segment);
	atomic_store(&c->cfg.status->offset, c->kept.offset);
	if(c->cfg.sink >= 0 && c->cfg.log->sh != NULL)
		sb_log_sink_done(c->cfg.log->sh, c->cfg.sink, c->kept.segment);
}

static int open_state(struct sb_cl_state **out, const char *state_dir, char *err, size_t err_len)
{
	char path[SB_LOG_PATH + sizeof(SB_CALL_LOG_FILE) + 1];

	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, state_dir);
	return sb_cl_state_open(out, path, err, err_len);
}

int sb_call_log_prepare(const char *state_dir, char *err, size_t err_len)
{
	struct sb_cl_state *s = NULL;
	int rc = open_state(&s, state_dir, err, err_len);

	sb_cl_state_close(s);
	return rc;
}

/* Where the log is not the one that the cursor was kept for, it means nothing there: all of the log is read, which does no harm. */
static int find_cursor(struct sb_call_log *c)
{
	const struct sb_log *log = c->cfg.log;
	int same = sb_cl_state_cursor(c->state, log->node, &c->kept);
	const char *why = same < 0 ? NULL : sb_log_is_another(log, same == 1, c->kept);

	if(same < 0 || (same == 1 && why == NULL && c->kept.segment != 0))
		return same < 0 ? same : 0;
	if(why != NULL && c->kept.segment != 0)
		cl_say(c, SB_CALL_LOG_WARNING,
				"call log: the journal in %s is another one than before (%s): all of it is read, from its oldest event "
				"on",
				log->cfg.journal_dir, why);
	if(why != NULL)
		c->kept = (struct sb_pos){0, 0};
	return sb_cl_state_begin(c->state, log->node, c->kept);
}

int sb_call_log_new(
		struct sb_call_log **out, const struct sb_call_log_cfg *cfg, uint64_t now_us, char *err, size_t err_len)
{
	struct sb_call_log *c = calloc(1, sizeof(*c));
	uint64_t aside = 0;
	int rc;

	if(c == NULL) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	c->cfg = *cfg;
	c->now = now_us;
	c->retry_us = SB_CALL_LOG_RETRY_MIN_US;
	rc = open_state(&c->state, cfg->state_dir, err, err_len);
	if(rc == 0 && (find_cursor(c) != 0 || sb_cl_state_count(c->state, &aside) != 0)) {
		snprintf(err, err_len, "%s/" SB_CALL_LOG_FILE " cannot be used: %s", cfg->state_dir,
				sb_cl_state_error(c->state));
		rc = -EIO;
	}
	if(rc != 0) {
		sb_cl_state_close(c->state);
		free(c);
		return rc;
	}
	c->read = c->kept;
	atomic_store(&cfg->status->aside_kept, aside);
	sb_shared_text_take_over(&cfg->status->text_version);
	show_cursor(c);
	set_state(c, SB_CALL_LOG_UP);
	*out = c;
	return 0;
}

static void went(struct sb_call_log *c, int rc, const char *text)
{
	c->cfg.store->close(c->cfg.store);
	c->open = false;
	cl_note_error(c, text);
	set_state(c, SB_CALL_LOG_WAITING);
	/* once when it goes; another reason later, at most once a minute */
	if(c->down == 0 || (c->down != rc && c->mono >= c->said_mono + 60000000)) {
		cl_say(c, SB_CALL_LOG_ERROR,
				"call log: %s; calls go on, events wait in the journal, tried again every 1 to 30 s", text);
		c->said_mono = c->mono;
	}
	if(c->down == 0)
		c->down_at = c->now;
	c->down = rc;
	c->retry_mono = c->mono + c->retry_us;
	c->retry_us = c->retry_us * 2 < SB_CALL_LOG_RETRY_MAX_US ? c->retry_us * 2 : SB_CALL_LOG_RETRY_MAX_US;
}

static void came_back(struct sb_call_log *c)
{
	if(c->down != 0)
		cl_say(c, SB_CALL_LOG_NOTICE, "call log: %s takes rows again after %.1f s", c->cfg.store->shown,
				c->now > c->down_at ? (double)(c->now - c->down_at) / 1e6 : 0.0);
	c->down = 0;
	c->retry_us = SB_CALL_LOG_RETRY_MIN_US;
	set_state(c, SB_CALL_LOG_UP);
}

static void count_rows(struct sb_call_log *c)
{
	unsigned bad[SB_CL_TABLES + 1] = {0};

	for(unsigned i = 0; i < c->batch.bads; i++)
		bad[c->batch.bad[i].table]++;
	for(unsigned t = 0; t < SB_CL_TABLES; t++)
		atomic_fetch_add(&c->cfg.status->rows[t], c->batch.set[t].count - bad[t]);
	atomic_fetch_add(&c->cfg.status->batches, 1);
}

static int connect(struct sb_call_log *c, char *err, size_t err_len)
{
	int rc = c->open ? 0 : c->cfg.store->open(c->cfg.store, err, err_len);

	c->open = rc == 0;
	return rc;
}

static int write_batch(struct sb_call_log *c, char *err, size_t err_len)
{
	bool was_open = c->open;
	int rc = connect(c, err, err_len);

	if(rc == 0)
		rc = cl_put_batch(c, err, err_len);
	/* a connection that had been idle for too long, or a server that was started again */
	if(rc == -ECONNRESET && was_open) {
		c->cfg.store->close(c->cfg.store);
		c->open = false;
		rc = connect(c, err, err_len);
		if(rc == 0)
			rc = cl_put_batch(c, err, err_len);
	}
	c->written = rc == 0;
	return rc;
}

static int finish(struct sb_call_log *c)
{
	char err[SB_CL_ERROR] = "";
	int rc = c->written ? 0 : write_batch(c, err, sizeof(err));

	if(rc == 0)
		rc = cl_keep(c, err, sizeof(err));
	if(rc != 0) {
		went(c, rc, err);
		return rc;
	}
	count_rows(c);
	c->written = false;
	c->kept = c->read;
	sb_cl_batch_reset(&c->batch);
	show_cursor(c);
	came_back(c);
	return 0;
}

static bool due(const struct sb_call_log *c)
{
	return c->written || cl_full(c) || (c->batch.records > 0 && c->mono >= c->first_mono + c->cfg.delay_ms * 1000ull);
}

/* Nothing to write: is there a database, and does it have the tables? */
static void look(struct sb_call_log *c)
{
	char err[SB_CL_ERROR] = "";
	int rc;

	if(c->open || c->mono < c->retry_mono)
		return;
	rc = connect(c, err, sizeof(err));
	if(rc != 0)
		went(c, rc, err);
	else
		came_back(c);
}

uint64_t sb_call_log_turn(struct sb_call_log *c, uint64_t now_us, uint64_t mono_us)
{
	c->now = now_us;
	c->mono = mono_us;
	cl_gather(c);
	atomic_store(&c->cfg.status->oldest_at, c->batch.oldest_at);
	if(!due(c)) {
		look(c);
		cl_prune(c);
		return c->more && c->down == 0 ? 0 : LOOK_US;
	}
	if(c->mono < c->retry_mono)
		return c->retry_mono - c->mono < LOOK_US ? c->retry_mono - c->mono : LOOK_US;
	if(finish(c) != 0)
		return LOOK_US;
	atomic_store(&c->cfg.status->oldest_at, 0);
	cl_prune(c);
	return c->more ? 0 : LOOK_US;
}

void sb_call_log_stop(struct sb_call_log *c, uint64_t now_us)
{
	if(c == NULL)
		return;
	c->now = now_us;
	if(c->down == 0 && c->batch.records > 0)
		finish(c);
	c->cfg.store->close(c->cfg.store);
	set_state(c, SB_CALL_LOG_STOPPED);
	sb_reader_close(c->reader);
	sb_cl_state_close(c->state);
	sb_cl_batch_free(&c->batch);
	free(c);
}
