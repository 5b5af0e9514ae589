/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The endpoints that this instance delivers to: the first set, and others that take its place. */
#include "hook_shared.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define READ_TIMEOUT_S 60

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int hook_endpoints_first(void)
{
	struct hook_set *set = &hook_shared->set;
	struct sb_endpoint *rows = NULL;
	unsigned count = 0;
	int err = hook_db_endpoints(&rows, &count, NULL);

	if(err == 0) {
		set->count = count;
		memcpy(set->ep, rows, count * sizeof(*rows));
		set->begin = (struct sb_pos){((uint64_t)hook_callstate.log->epoch << 32) + 1, 0};
	}
	free(rows);
	return err;
}

uint64_t hook_reload_ask(const char *by)
{
	struct hook_reload_record *r = &hook_shared->reload;
	uint32_t is = atomic_load(&r->state);
	uint64_t number;

	if((is != HOOK_RELOAD_NONE && is != HOOK_RELOAD_DONE && is != HOOK_RELOAD_REFUSED)
			|| !atomic_compare_exchange_strong(&r->state, &is, HOOK_RELOAD_ASKING))
		return 0;
	snprintf(r->by, sizeof(r->by), "%s", by);
	atomic_store(&r->at, now_us());
	number = atomic_fetch_add(&r->number, 1) + 1;
	atomic_store(&r->state, HOOK_RELOAD_ASKED);
	hook_keeper_wake(&hook_delivery);
	return number;
}

/* What somebody did is logged as a warning: those stand in every log, whatever its level. */

/* ---- in the keeper, and in the child that reads ---- */

static bool wanted(void)
{
	struct hook_reload_record *r = &hook_shared->reload;
	uint32_t is = HOOK_RELOAD_ASKED;

	if(!atomic_compare_exchange_strong(&r->state, &is, HOOK_RELOAD_READING))
		return false;
	r->errors = 0;
	r->text[0] = '\0';
	r->added = r->removed = r->changed = r->same = 0;
	LM_WARN("callhook.reload: asked for by %s\n", r->by);
	return true;
}

static void hear(const char *sentence)
{
	struct hook_reload_record *r = &hook_shared->reload;
	size_t n = strlen(r->text);

	r->errors++;
	if(n + strlen(sentence) + 2 <= sizeof(r->text))
		sprintf(r->text + n, "%s%s", n > 0 ? "\n" : "", sentence);
}

static int load(void)
{
	struct hook_set *fresh = &hook_shared->fresh;
	struct sb_endpoint *rows = NULL;
	unsigned count = 0;
	int err = hook_db_endpoints(&rows, &count, hear);

	if(err == 0) {
		fresh->count = count;
		memcpy(fresh->ep, rows, count * sizeof(*rows));
	}
	free(rows);
	return err;
}

static void over(enum hook_reload_state state)
{
	atomic_store(&hook_shared->reload.at, now_us());
	atomic_store(&hook_shared->reload.state, state);
}

static void failed(const char *why)
{
	struct hook_reload_record *r = &hook_shared->reload;

	if(why != NULL)
		hear(why);
	LM_ERR("callhook.reload (by %s): refused, the %u endpoints of before stay%s%s\n", r->by, hook_shared->set.count,
			why != NULL ? ": " : "; what is wrong is in the lines above", why != NULL ? why : "");
	over(HOOK_RELOAD_REFUSED);
}

static int index_in(const struct hook_set *set, const char *id)
{
	for(unsigned i = 0; i < set->count; i++) {
		if(strcmp(set->ep[i].id, id) == 0)
			return (int)i;
	}
	return -1;
}

/* Where the log ends now. */
static struct sb_pos end_of_log(void)
{
	struct sb_log_shared *sh = hook_callstate.log->sh;

	for(;;) {
		uint64_t segment = atomic_load(&sh->current), len = atomic_load(&sh->current_len);

		if((segment & 0xffffffffu) == len >> 32 && atomic_load(&sh->current) == segment)
			return (struct sb_pos){segment, len & 0xffffffffu};
	}
}

static void keep_totals(const struct sb_endpoint_status *s)
{
	atomic_fetch_add(&hook_shared->gone[0], atomic_load(&s->delivered));
	atomic_fetch_add(&hook_shared->gone[1], atomic_load(&s->failed));
	atomic_fetch_add(&hook_shared->gone[2], atomic_load(&s->dead));
}

/* Each endpoint keeps its status, wherever it stands in the new set. */
static void carry_over(struct sb_endpoint_status *status)
{
	struct hook_set *old = &hook_shared->set, *new = &hook_shared->fresh;
	struct hook_reload_record *r = &hook_shared->reload;

	for(unsigned i = 0; i < new->count; i++) {
		int was = index_in(old, new->ep[i].id);

		if(was < 0) {
			memcpy(status[i].id, new->ep[i].id, sizeof(status[i].id));
			r->added++;
			continue;
		}
		memcpy(&status[i], &hook_shared->status.endpoint[was], sizeof(status[i]));
		if(memcmp(&old->ep[was], &new->ep[i], sizeof(new->ep[i])) == 0)
			r->same++;
		else
			r->changed++;
	}
	for(unsigned i = 0; i < old->count; i++) {
		if(index_in(new, old->ep[i].id) >= 0)
			continue;
		keep_totals(&hook_shared->status.endpoint[i]);
		r->removed++;
	}
}

static void switch_to(void)
{
	struct hook_reload_record *r = &hook_shared->reload;
	struct sb_endpoint_status *status = calloc(HOOK_ENDPOINTS_MAX, sizeof(*status));

	atomic_store(&r->state, HOOK_RELOAD_SWITCHING);
	if(status == NULL) {
		failed("out of memory");
		return;
	}
	atomic_fetch_add(&hook_shared->version, 1);
	carry_over(status);
	memcpy(&hook_shared->set, &hook_shared->fresh, sizeof(hook_shared->set));
	hook_shared->set.begin = end_of_log();
	memcpy(hook_shared->status.endpoint, status, HOOK_ENDPOINTS_MAX * sizeof(*status));
	hook_shared->status.endpoints = hook_shared->set.count;
	atomic_fetch_add(&hook_shared->version, 1);
	free(status);
	LM_WARN("callhook.reload (by %s): %u endpoints: %u new, %u changed, %u as before, %u removed\n", r->by,
			hook_shared->set.count, r->added, r->changed, r->same, r->removed);
	over(HOOK_RELOAD_DONE);
}

const struct hook_reload hook_endpoints_reload = {
		.wanted = wanted, .load = load, .failed = failed, .switch_to = switch_to, .timeout_s = READ_TIMEOUT_S};
