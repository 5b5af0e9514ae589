/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RPC that shows: endpoints, processes, what waits, what was given up. */
#include "hook_rpc.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/rpc_lookup.h"

#include "event.h"
#include "hook_keeper.h"
#include "lag.h"
#include "state.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 1000

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int hook_rpc_time(rpc_t *rpc, void *h, const char *name, uint64_t us)
{
	time_t s = (time_t)(us / 1000000);
	char text[40];
	struct tm tm;
	size_t n;

	if(us == 0)
		return 0;
	gmtime_r(&s, &tm);
	n = strftime(text, 30, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%06uZ", (unsigned)(us % 1000000));
	return rpc->struct_add(h, "s", name, text);
}

/* Without the query, which may hold a token. */
static void url_shown(char *out, size_t room, const char *url)
{
	size_t n = strcspn(url, "?");

	snprintf(out, room, "%.*s%s", (int)n, url, url[n] != '\0' ? "?..." : "");
}

static int number(rpc_t *rpc, void *h, const char *name, uint64_t v)
{
	return rpc->struct_add(h, "L", name, (long long)v);
}

static int add_counts(rpc_t *rpc, void *h, const struct sb_endpoint_status *s)
{
	if(number(rpc, h, "delivered", s->delivered) < 0 || number(rpc, h, "tries_failed", s->failed) < 0
			|| number(rpc, h, "given_up", s->dead) < 0 || number(rpc, h, "pending", s->pending) < 0
			|| number(rpc, h, "waiting", s->waiting) < 0 || number(rpc, h, "in_flight", s->flying) < 0)
		return -1;
	return rpc->struct_add(h, "ff", "rate_10s", (double)s->rate_10s / 1000, "rate_60s", (double)s->rate_60s / 1000);
}

static int add_lag(rpc_t *rpc, void *h, const struct sb_endpoint_status *s, const struct sb_lag *log)
{
	uint64_t now = now_us(), bytes, segments;
	char cursor[48];

	snprintf(cursor, sizeof(cursor), "%016llx:%llu", (unsigned long long)s->segment, (unsigned long long)s->offset);
	if(rpc->struct_add(
			   h, "f", "lag_s", s->oldest_at > 0 && now > s->oldest_at ? (double)(now - s->oldest_at) / 1e6 : 0.0)
			< 0)
		return -1;
	if(rpc->struct_add(h, "s", "cursor", cursor) < 0)
		return -1;
	if(log->s == NULL)
		return 0;
	sb_lag_behind(log, (struct sb_pos){s->segment, s->offset}, &bytes, &segments);
	return number(rpc, h, "bytes_behind", bytes) < 0 || number(rpc, h, "segments_behind", segments) < 0 ? -1 : 0;
}

static int add_times(rpc_t *rpc, void *h, const struct sb_endpoint_status *s)
{
	if(hook_rpc_time(rpc, h, "since", s->since) < 0 || hook_rpc_time(rpc, h, "oldest_event", s->oldest_at) < 0
			|| hook_rpc_time(rpc, h, "last_success", s->success_at) < 0
			|| hook_rpc_time(rpc, h, "last_failure", s->failure_at) < 0
			|| hook_rpc_time(rpc, h, "next_probe", s->probe_at) < 0)
		return -1;
	return s->error[0] != '\0' ? rpc->struct_add(h, "s", "last_error", s->error) : 0;
}

static int add_endpoint(rpc_t *rpc, void *h, const struct hook_view *v, const struct sb_lag *log)
{
	const struct sb_endpoint_status *s = &v->status;
	char url[SB_ENDPOINT_URL_LEN];

	url_shown(url, sizeof(url), v->url);
	if(rpc->struct_add(h, "sss", "id", v->id, "url", url, "state", sb_endpoint_state_name(s->state)) < 0
			|| add_counts(rpc, h, s) < 0 || add_lag(rpc, h, s, log) < 0 || add_times(rpc, h, s) < 0
			|| number(rpc, h, "worker_pid", (uint64_t)atomic_load(&hook_shared->worker[0].pid)) < 0)
		return -1;
	return v->description[0] != '\0' ? rpc->struct_add(h, "s", "description", v->description) : 0;
}

static void rpc_endpoints(rpc_t *rpc, void *ctx)
{
	const struct sb_log_cfg *cfg = &hook_callstate.log->cfg;
	struct hook_view *v = NULL;
	struct sb_lag log = {0};
	unsigned count = 0;
	void *h;

	if(hook_views(&v, &count) != 0)
		goto failed;
	if(!hook_rpc_in_sip_worker() && sb_lag_read(&log, cfg->journal_dir, cfg->spool_dir) != 0)
		goto failed;
	for(unsigned i = 0; i < count; i++) {
		if(rpc->add(ctx, "{", &h) < 0 || add_endpoint(rpc, h, &v[i], &log) < 0)
			goto failed;
	}
	goto out;
failed:
	rpc->fault(ctx, 500, "The reply could not be built");
out:
	sb_lag_free(&log);
	free(v);
}

static int add_sink(rpc_t *rpc, void *h, const struct hook_sink *s, struct hook_worker *w)
{
	int32_t pid = atomic_load(&w->pid);
	char how[96];

	if(rpc->struct_add(h, "ssdd", "name", s->name, "state",
			   !s->on    ? "off"
			   : pid > 0 ? "running"
						 : "starting again",
			   "keeper_pid", (int)atomic_load(&w->keeper), "worker_pid", (int)pid)
			< 0)
		return -1;
	if(!s->on)
		return 0;
	if(number(rpc, h, "starts", atomic_load(&w->starts)) < 0 || number(rpc, h, "ends", atomic_load(&w->ends)) < 0
			|| hook_rpc_time(rpc, h, "started_at", pid > 0 ? atomic_load(&w->started_at) : 0) < 0
			|| hook_rpc_time(rpc, h, "next_start", pid > 0 ? 0 : atomic_load(&w->next_at)) < 0
			|| hook_rpc_time(rpc, h, "last_end", atomic_load(&w->ended_at)) < 0)
		return -1;
	if(atomic_load(&w->ended_at) == 0)
		return 0;
	hook_end_text(how, sizeof(how), atomic_load(&w->ended));
	return rpc->struct_add(h, "s", "last_end_how", how);
}

static int add_reload(rpc_t *rpc, void *h)
{
	static const char *const names[] = {"never", "asked for", "asked for", "reading", "switching", "done", "refused"};
	struct hook_reload_record *r = &hook_shared->reload;
	uint32_t state = atomic_load(&r->state);

	if(rpc->struct_add(h, "s", "reload", names[state]) < 0)
		return -1;
	return hook_rpc_time(rpc, h, "reload_at", atomic_load(&r->at));
}

static void rpc_sinks(rpc_t *rpc, void *ctx)
{
	void *h;

	for(int i = 0; i < HOOK_SINKS; i++) {
		if(rpc->add(ctx, "{", &h) < 0 || add_sink(rpc, h, hook_sinks[i], &hook_shared->worker[i]) < 0
				|| (hook_sinks[i]->reload != NULL && add_reload(rpc, h) < 0)) {
			rpc->fault(ctx, 500, "The reply could not be built");
			return;
		}
	}
}

struct listing
{
	rpc_t *rpc;
	void *ctx;
	bool dead, failed;
};

static int add_state(struct listing *l, void *h, const struct sb_store_row *row)
{
	if(l->dead)
		return hook_rpc_time(l->rpc, h, "given_up_at", row->given_up_at) < 0
					   ? -1
					   : l->rpc->struct_add(h, "s", "replay", row->p.kept ? "yes" : "while the journal holds it");
	return row->p.next_at == 0 ? l->rpc->struct_add(h, "s", "next_try", "after an earlier event of its call")
							   : hook_rpc_time(l->rpc, h, "next_try", row->p.next_at);
}

static bool add_row(const struct sb_store_row *row, void *arg)
{
	struct listing *l = arg;
	const char *type = sb_type_name(row->p.type);
	char call[37], id[64];
	void *h;

	sb_uuid_text(call, row->p.call);
	sb_event_id(id, hook_callstate.log->node, row->p.epoch, row->p.seq);
	if(l->rpc->add(l->ctx, "{", &h) < 0
			|| l->rpc->struct_add(h, "sss", "endpoint", row->endpoint, "event", id, "call_id", call) < 0
			|| (type != NULL && l->rpc->struct_add(h, "s", "type", type) < 0)
			|| hook_rpc_time(l->rpc, h, "at", row->p.at) < 0
			|| l->rpc->struct_add(h, "d", "tries", (int)row->p.tries) < 0 || add_state(l, h, row) < 0
			|| (row->p.error[0] != '\0' && l->rpc->struct_add(h, "s", "last_error", row->p.error) < 0))
		l->failed = true;
	return !l->failed;
}

/* callhook.pending|dead [endpoint|*] [limit] */
static void list(rpc_t *rpc, void *ctx, bool dead)
{
	struct listing l = {rpc, ctx, dead, false};
	char path[SB_LOG_PATH + 32], err[512], endpoint[SB_ENDPOINT_ID_LEN] = "";
	str id = STR_NULL;
	int limit = LIMIT_DEFAULT;

	if(!hook_rpc_may_wait(rpc, ctx))
		return;
	if(rpc->scan(ctx, "*S.d", &id, &limit) < 1)
		id = (str)STR_NULL;
	if(id.len > 0 && !(id.len == 1 && id.s[0] == '*')) {
		/* those of an endpoint that was removed can still be looked at */
		if(id.len >= (int)sizeof(endpoint) || (!dead && !hook_has(id.s, (size_t)id.len))) {
			rpc->fault(ctx, 404, "No endpoint has this id; callhook.endpoints lists them");
			return;
		}
		snprintf(endpoint, sizeof(endpoint), "%.*s", id.len, id.s);
	}
	if(limit < 1 || limit > LIMIT_MAX) {
		rpc->fault(ctx, 400, "limit must be 1 to %d", LIMIT_MAX);
		return;
	}
	snprintf(path, sizeof(path), "%s/state.sqlite", hook_params.state_dir);
	if(sb_store_list(path, dead, endpoint[0] != '\0' ? endpoint : NULL, add_row, &l, limit, err, sizeof(err)) != 0)
		rpc->fault(ctx, 500, "%s", err);
	else if(l.failed)
		rpc->fault(ctx, 500, "The reply could not be built");
}

static void rpc_pending(rpc_t *rpc, void *ctx)
{
	list(rpc, ctx, false);
}

static void rpc_dead(rpc_t *rpc, void *ctx)
{
	list(rpc, ctx, true);
}

static const char *doc_endpoints[] = {"Every endpoint: state, counters, rate, lag, cursor, last error.", NULL};
static const char *doc_sinks[] = {"The processes: who runs, how often one died and of what; the last reload.", NULL};
static const char *doc_pending[] = {"Events that wait for a retry: [endpoint or *] [limit, 50].", NULL};
static const char *doc_dead[] = {"Events given up, the newest first: [endpoint or *] [limit, 50].", NULL};
static const char *doc_replay[] = {"Sends events given up again: endpoint, event id or call id or all.", NULL};
static const char *doc_test[] = {"Sends a test event, and says what the endpoint answered: endpoint.", NULL};
static const char *doc_enable[] = {"Delivers again to an endpoint that is disabled: endpoint.", NULL};
static const char *doc_disable[] = {"Delivers nothing more to an endpoint: endpoint.", NULL};
static const char *doc_reload[] = {"Reads the table of endpoints again.", NULL};

static rpc_export_t methods[] = {
		{"callhook.endpoints", rpc_endpoints, doc_endpoints, RET_ARRAY},
		{"callhook.sinks", rpc_sinks, doc_sinks, RET_ARRAY},
		{"callhook.pending", rpc_pending, doc_pending, RET_ARRAY},
		{"callhook.dead", rpc_dead, doc_dead, RET_ARRAY},
		{"callhook.replay", hook_rpc_replay, doc_replay, 0},
		{"callhook.test", hook_rpc_test, doc_test, 0},
		{"callhook.enable", hook_rpc_enable, doc_enable, 0},
		{"callhook.disable", hook_rpc_disable, doc_disable, 0},
		{"callhook.reload", hook_rpc_reload, doc_reload, 0},
		{NULL, NULL, NULL, 0},
};

int hook_rpc_init(void)
{
	return rpc_register_array(methods);
}
