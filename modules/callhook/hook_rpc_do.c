/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RPC that changes something: it asks another process, and waits for the answer. Each is a line in the log, as a warning: those
 * stand in every log, with whatever level. */
#include "hook_rpc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/pt.h"

#define ANSWER_MS 3000
#define TEST_MS 10000
#define RELOAD_MS 4000
#define LOOK_US 5000
#define LAST_SIP_RANK 126 /* PROC_RANK127 - 1 */

bool hook_rpc_in_sip_worker(void)
{
	return pt[process_no].rank > 0 && pt[process_no].rank <= LAST_SIP_RANK;
}

bool hook_rpc_may_wait(rpc_t *rpc, void *ctx)
{
	if(!hook_rpc_in_sip_worker())
		return true;
	rpc->fault(ctx, 503, "This takes time, and a SIP worker was asked: use kamcmd (ctl), or a socket of jsonrpcs");
	return false;
}

static bool endpoint_of(rpc_t *rpc, void *ctx, const str *id, struct hook_mail *m)
{
	if(id->len < 1 || id->len >= (int)sizeof(m->endpoint) || !hook_has(id->s, (size_t)id->len)) {
		rpc->fault(ctx, 404, "No endpoint has this id; callhook.endpoints lists them");
		return false;
	}
	snprintf(m->endpoint, sizeof(m->endpoint), "%.*s", id->len, id->s);
	return true;
}

/* @return true: answered, and done */
static bool ask(rpc_t *rpc, void *ctx, struct hook_mail *m, unsigned wait_ms)
{
	switch(hook_ask(m, wait_ms)) {
		case 0:
			break;
		case -EBUSY:
			rpc->fault(ctx, 503, "Too many commands at a time; try again");
			return false;
		default:
			rpc->fault(ctx, 504, "No answer from callhook delivery within %u s; see callhook.sinks", wait_ms / 1000);
			return false;
	}
	if(m->err == 0)
		return true;
	rpc->fault(ctx, m->err == -ENOENT ? 404 : m->err == -EINVAL || m->err == -EALREADY ? 409 : 500, "%s", m->why);
	return false;
}

static void simple(rpc_t *rpc, void *ctx, enum hook_asked what, const char *done)
{
	struct hook_mail m = {.what = what};
	str id;

	if(!hook_rpc_may_wait(rpc, ctx))
		return;
	if(rpc->scan(ctx, "S", &id) < 1) {
		rpc->fault(ctx, 400, "expected: the id of an endpoint");
		return;
	}
	if(!endpoint_of(rpc, ctx, &id, &m) || !ask(rpc, ctx, &m, ANSWER_MS))
		return;
	LM_WARN("endpoint %s: %s by RPC (%s)\n", m.endpoint, done, my_desc());
	rpc->add(ctx, "s", done);
}

/* callhook.enable endpoint */
void hook_rpc_enable(rpc_t *rpc, void *ctx)
{
	simple(rpc, ctx, HOOK_ENABLE, "enabled");
}

/* callhook.disable endpoint */
void hook_rpc_disable(rpc_t *rpc, void *ctx)
{
	simple(rpc, ctx, HOOK_DISABLE, "disabled");
}

/* callhook.replay endpoint event-id|call-id|all */
void hook_rpc_replay(rpc_t *rpc, void *ctx)
{
	struct hook_mail m = {.what = HOOK_REPLAY};
	str id, what;
	void *h;

	if(!hook_rpc_may_wait(rpc, ctx))
		return;
	if(rpc->scan(ctx, "SS", &id, &what) < 2) {
		rpc->fault(ctx, 400, "expected: the id of an endpoint, and an event id, a call id, or all");
		return;
	}
	if(what.len >= (int)sizeof(m.text)) {
		rpc->fault(ctx, 400, "expected: an event id, a call id, or all");
		return;
	}
	snprintf(m.text, sizeof(m.text), "%.*s", what.len, what.s);
	if(!endpoint_of(rpc, ctx, &id, &m) || !ask(rpc, ctx, &m, ANSWER_MS))
		return;
	LM_WARN("endpoint %s: replay of %s asked for by RPC (%s): %llu events\n", m.endpoint, m.text, my_desc(),
			(unsigned long long)m.events);
	if(rpc->add(ctx, "{", &h) < 0
			|| rpc->struct_add(h, "LL", "replayed", (long long)m.events, "lost", (long long)m.lost) < 0
			|| (m.lost > 0
					&& rpc->struct_add(h, "s", "why_lost",
							   "their text was not kept, and the journal no longer holds them (journal_limit)")
							   < 0))
		rpc->fault(ctx, 500, "The reply could not be built");
}

/* callhook.test endpoint */
void hook_rpc_test(rpc_t *rpc, void *ctx)
{
	struct hook_mail m = {.what = HOOK_TEST, .timeout_ms = TEST_MS};
	str id;
	void *h;

	if(!hook_rpc_may_wait(rpc, ctx))
		return;
	if(rpc->scan(ctx, "S", &id) < 1) {
		rpc->fault(ctx, 400, "expected: the id of an endpoint");
		return;
	}
	if(!endpoint_of(rpc, ctx, &id, &m) || !ask(rpc, ctx, &m, TEST_MS + ANSWER_MS))
		return;
	LM_WARN("endpoint %s: test event sent by RPC (%s): HTTP %u\n", m.endpoint, my_desc(), m.status);
	if(rpc->add(ctx, "{", &h) < 0
			|| rpc->struct_add(
					   h, "sd", "result", m.status >= 200 && m.status < 300 ? "ok" : "failed", "status", (int)m.status)
					   < 0
			|| rpc->struct_add(h, "ds", "ms", (int)m.ms, "event", m.id) < 0
			|| (m.why[0] != '\0' && rpc->struct_add(h, "s", "error", m.why) < 0))
		rpc->fault(ctx, 500, "The reply could not be built");
}

static int add_refusal(rpc_t *rpc, void *h, char *text, unsigned errors)
{
	unsigned shown = 0;
	void *list;

	if(rpc->struct_add(h, "sd[", "result", "refused", "endpoints", (int)hook_shared->set.count, "wrong", &list) < 0)
		return -1;
	for(char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), shown++) {
		if(rpc->array_add(list, "s", line) < 0)
			return -1;
	}
	if(shown < errors && rpc->array_add(list, "s", "... the others are in Kamailio's log") < 0)
		return -1;
	return rpc->struct_add(h, "s", "note", "nothing has changed: the endpoints of before stay");
}

static int add_outcome(rpc_t *rpc, void *h, const struct hook_reload_record *r)
{
	static char text[HOOK_TEXT]; /* one RPC at a time in a process */

	if(atomic_load(&r->state) == HOOK_RELOAD_REFUSED) {
		memcpy(text, r->text, sizeof(text));
		text[sizeof(text) - 1] = '\0';
		return add_refusal(rpc, h, text, r->errors);
	}
	return rpc->struct_add(h, "sddddd", "result", "reloaded", "endpoints", (int)hook_shared->set.count, "added",
			(int)r->added, "changed", (int)r->changed, "same", (int)r->same, "removed", (int)r->removed);
}

/* Ours is; another one may have begun since. */
static bool over(const struct hook_reload_record *r, uint64_t number)
{
	uint32_t state = atomic_load(&r->state);

	return (state == HOOK_RELOAD_DONE || state == HOOK_RELOAD_REFUSED) && atomic_load(&r->number) == number;
}

/* callhook.reload */
void hook_rpc_reload(rpc_t *rpc, void *ctx)
{
	struct hook_reload_record *r = &hook_shared->reload;
	char by[64];
	uint64_t number;
	void *h;

	if(!hook_rpc_may_wait(rpc, ctx))
		return;
	snprintf(by, sizeof(by), "RPC, %.50s", my_desc());
	number = hook_reload_ask(by);
	if(number == 0) {
		rpc->fault(ctx, 409, "A reload is under way; callhook.sinks tells when it is done");
		return;
	}
	for(unsigned us = 0; us < RELOAD_MS * 1000 && atomic_load(&r->number) == number && !over(r, number); us += LOOK_US)
		usleep(LOOK_US);
	if(rpc->add(ctx, "{", &h) < 0)
		return;
	if(!over(r, number)) {
		if(rpc->struct_add(h, "ss", "result", "under way", "note",
				   "the database takes its time, or another reload has begun; callhook.sinks tells when it is done, "
				   "the "
				   "log what came of it")
				< 0)
			rpc->fault(ctx, 500, "The reply could not be built");
	} else if(add_outcome(rpc, h, r) < 0) {
		rpc->fault(ctx, 500, "The reply could not be built");
	}
}
