/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RPC: how each endpoint does, what waits for a retry, and enabling one that answered 410. */
#include "hook.h"

#include <ctype.h>
#include <time.h>
#include <unistd.h>

#include "core/rpc.h"
#include "core/rpc_lookup.h"

#include "event.h"
#include "state.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 1000

static void time_text(char out[40], uint64_t us)
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(out, 30, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%06uZ", (unsigned)(us % 1000000));
}

static int add_time(rpc_t *rpc, void *h, const char *name, uint64_t us)
{
	char text[40];

	if(us == 0)
		return 0;
	time_text(text, us);
	return rpc->struct_add(h, "s", name, text);
}

/* Without the query, which may hold a token. */
static void url_shown(char *out, size_t room, const char *url)
{
	size_t n = strcspn(url, "?");

	snprintf(out, room, "%.*s%s", (int)n, url, url[n] != '\0' ? "?..." : "");
}

static int number(rpc_t *rpc, void *h, const char *name, _Atomic uint64_t *v)
{
	return rpc->struct_add(h, "L", name, (long long)atomic_load_explicit(v, memory_order_relaxed));
}

static int add_endpoint(rpc_t *rpc, void *h, const struct sb_endpoint *e, struct sb_endpoint_status *s)
{
	char url[SB_ENDPOINT_URL_LEN], error[200], cursor[48];

	url_shown(url, sizeof(url), e->url);
	sb_endpoint_status_error(s, error);
	snprintf(cursor, sizeof(cursor), "%016llx:%llu", (unsigned long long)atomic_load(&s->segment),
			(unsigned long long)atomic_load(&s->offset));
	if(rpc->struct_add(h, "sss", "id", e->id, "url", url, "state", sb_endpoint_state_name(atomic_load(&s->state))) < 0
			|| number(rpc, h, "delivered", &s->delivered) < 0 || number(rpc, h, "tries_failed", &s->failed) < 0
			|| number(rpc, h, "given_up", &s->dead) < 0 || number(rpc, h, "pending", &s->pending) < 0
			|| number(rpc, h, "waiting", &s->waiting) < 0 || number(rpc, h, "in_flight", &s->flying) < 0
			|| rpc->struct_add(h, "s", "cursor", cursor) < 0
			|| add_time(rpc, h, "oldest_event", atomic_load(&s->oldest_at)) < 0
			|| add_time(rpc, h, "last_success", atomic_load(&s->success_at)) < 0
			|| add_time(rpc, h, "last_failure", atomic_load(&s->failure_at)) < 0
			|| add_time(rpc, h, "next_probe", atomic_load(&s->probe_at)) < 0)
		return -1;
	if(error[0] != '\0' && rpc->struct_add(h, "s", "last_error", error) < 0)
		return -1;
	return e->description[0] != '\0' ? rpc->struct_add(h, "s", "description", e->description) : 0;
}

static void rpc_endpoints(rpc_t *rpc, void *ctx)
{
	void *h;

	for(unsigned i = 0; i < hook_cfg.count; i++) {
		if(rpc->add(ctx, "{", &h) < 0
				|| add_endpoint(rpc, h, &hook_cfg.endpoints[i], &hook_cfg.status->endpoint[i]) < 0) {
			rpc->fault(ctx, 500, "The reply could not be built");
			return;
		}
	}
}

static int index_of(const str *id)
{
	for(unsigned i = 0; i < hook_cfg.count; i++) {
		if(strlen(hook_cfg.endpoints[i].id) == (size_t)id->len
				&& memcmp(hook_cfg.endpoints[i].id, id->s, (size_t)id->len) == 0)
			return (int)i;
	}
	return -1;
}

struct listing
{
	rpc_t *rpc;
	void *ctx;
	bool failed;
};

static bool add_pending(const struct sb_store_row *row, void *arg)
{
	struct listing *l = arg;
	char call[37], id[64];
	void *h;

	sb_uuid_text(call, row->p.call);
	sb_event_id(id, hook_callstate.log->node, row->p.epoch, row->p.seq);
	if(l->rpc->add(l->ctx, "{", &h) < 0
			|| l->rpc->struct_add(
					   h, "sssd", "endpoint", row->endpoint, "event", id, "call_id", call, "tries", (int)row->p.tries)
					   < 0
			|| (row->p.next_at == 0 ? l->rpc->struct_add(h, "s", "next_try", "after an earlier event of its call")
									: add_time(l->rpc, h, "next_try", row->p.next_at))
					   < 0
			|| (row->p.error[0] != '\0' && l->rpc->struct_add(h, "s", "last_error", row->p.error) < 0))
		l->failed = true;
	return !l->failed;
}

/* callhook.pending [endpoint|*] [limit] */
static void rpc_pending(rpc_t *rpc, void *ctx)
{
	struct listing l = {rpc, ctx, false};
	char path[SB_LOG_PATH + 32], err[512];
	str id = STR_NULL;
	int limit = LIMIT_DEFAULT, i = -1;

	rpc->scan(ctx, "*S.d", &id, &limit);
	if(id.len > 0 && !(id.len == 1 && id.s[0] == '*')) {
		i = index_of(&id);
		if(i < 0) {
			rpc->fault(ctx, 404, "No endpoint has this id; callhook.endpoints lists them");
			return;
		}
	}
	if(limit < 1 || limit > LIMIT_MAX) {
		rpc->fault(ctx, 400, "limit must be 1 to %d", LIMIT_MAX);
		return;
	}
	snprintf(path, sizeof(path), "%s/state.sqlite", hook_params.state_dir);
	if(access(path, F_OK) != 0)
		return;
	if(sb_store_list(path, i >= 0 ? hook_cfg.endpoints[i].id : NULL, add_pending, &l, limit, err, sizeof(err)) != 0)
		rpc->fault(ctx, 500, "%s", err);
	else if(l.failed)
		rpc->fault(ctx, 500, "The reply could not be built");
}

/* callhook.enable endpoint */
static void rpc_enable(rpc_t *rpc, void *ctx)
{
	const uint64_t one = 1;
	str id;
	int i;

	if(rpc->scan(ctx, "S", &id) < 1) {
		rpc->fault(ctx, 400, "expected: the id of an endpoint");
		return;
	}
	i = index_of(&id);
	if(i < 0) {
		rpc->fault(ctx, 404, "No endpoint has this id; callhook.endpoints lists them");
		return;
	}
	switch(atomic_load(&hook_cfg.status->endpoint[i].state)) {
		case SB_ENDPOINT_DISABLED:
			atomic_store(&hook_cfg.status->endpoint[i].enable, 1);
			if(write(hook_callstate.log->wake_fd, &one, sizeof(one)) < 0)
				LM_DBG("the delivery process will see it at its next turn\n");
			rpc->add(ctx, "s", "enabled");
			break;
		case SB_ENDPOINT_OFF:
			rpc->fault(ctx, 409, "This endpoint is off: set enabled = 1 in table %s and start Kamailio again",
					hook_params.db_table);
			break;
		default:
			rpc->fault(ctx, 409, "This endpoint is not disabled");
	}
}

static const char *doc_endpoints[] = {"Every endpoint: state, counters, cursor, last error.", NULL};
static const char *doc_pending[] = {"Events that wait for a retry: [endpoint or *] [limit, 50].", NULL};
static const char *doc_enable[] = {"Delivers again to an endpoint that answered 410: endpoint.", NULL};

static rpc_export_t methods[] = {
		{"callhook.endpoints", rpc_endpoints, doc_endpoints, RET_ARRAY},
		{"callhook.pending", rpc_pending, doc_pending, RET_ARRAY},
		{"callhook.enable", rpc_enable, doc_enable, 0},
		{NULL, NULL, NULL, 0},
};

int hook_rpc_init(void)
{
	return rpc_register_array(methods);
}
