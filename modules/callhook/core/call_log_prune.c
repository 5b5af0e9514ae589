/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Retention: once an hour old calls go, in small chunks between the batches. */
#include <stdio.h>
#include <stdlib.h>

#include "call_log_parts.h"
#include "call_log_text.h"
#include "db_prune.h"

#define HOUR 3600000000ull
#define DAY (24 * HOUR)
#define PAUSE 200000ull   /* between two chunks, µs */
#define AGAIN (HOUR / 60) /* after a failure: a lock, a deadlock with an erasure */
#define STEP 10000000ll   /* µs: the clock was set */
#define CHUNK 200u        /* calls */

/* A clock that is wrong by years, as after a start without its battery, must not cost all calls: it has to run as the other clock does
 * for an hour first. */
static bool clock_is_steady(struct sb_call_log *c)
{
	int64_t ahead = (int64_t)(c->now - c->mono);

	if(c->steady_mono == 0 || llabs(ahead - c->ahead) > STEP)
		c->steady_mono = c->mono;
	c->ahead = ahead;
	return c->mono - c->steady_mono >= HOUR;
}

void cl_prune(struct sb_call_log *c)
{
	struct sb_cl_arena mem = {0};
	struct sb_db_value before = {0};
	struct sb_db_pruned sum = {0};
	uint64_t keep = c->cfg.keep_days * DAY;
	char text[40];
	int rc;

	if(!clock_is_steady(c) || keep == 0 || keep >= c->now || c->mono < c->prune_mono || !c->open
			|| c->cfg.store->db == NULL)
		return;
	if(sb_cl_time(&before, &mem, c->now - keep) != 0 || before.kind != SB_DB_TEXT)
		return;
	snprintf(text, sizeof(text), "%.*s", (int)before.len, before.text);
	sb_cl_free(&mem);
	rc = sb_db_prune(c->cfg.store->db, text, CHUNK, &sum);
	c->prune_mono = c->mono + (rc < 0 ? AGAIN : rc == (int)CHUNK ? PAUSE : HOUR);
	atomic_fetch_add(&c->cfg.status->pruned, (uint64_t)sum.calls);
	if(rc < 0 && (c->prune_said_mono == 0 || c->mono >= c->prune_said_mono + HOUR)) {
		cl_say(c, SB_CALL_LOG_WARNING,
				"call log: calls older than %u days could not be deleted: %s; tried again every minute",
				c->cfg.keep_days, sb_db_error(c->cfg.store->db));
		c->prune_said_mono = c->mono;
	}
}
