/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of delivery from outside: enable, disable, dead letters again, a test event. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "deliver_parts.h"
#include "event.h"

static struct hook_endpoint *endpoint_of(struct sb_deliver *d, const char *id, char *why, size_t why_len)
{
	for(unsigned i = 0; i < d->cfg.count; i++) {
		if(strcmp(d->eps[i].cfg->id, id) == 0)
			return &d->eps[i];
	}
	snprintf(why, why_len, "no endpoint has the id %s; callhook.endpoints lists them", id);
	return NULL;
}

static bool broken(const struct sb_deliver *d, char *why, size_t why_len)
{
	if(d->broken_at == 0)
		return false;
	snprintf(why, why_len, "%s/state.sqlite cannot be written now; what it said is in the log", d->cfg.state_dir);
	return true;
}

static int not_kept(struct sb_deliver *d, char *why, size_t why_len)
{
	hook_state_failed(d);
	snprintf(why, why_len, "%s/state.sqlite cannot be written; what it said is in the log", d->cfg.state_dir);
	return -EIO;
}

int sb_deliver_enable(struct sb_deliver *d, const char *endpoint, char *why, size_t why_len)
{
	struct hook_endpoint *ep = endpoint_of(d, endpoint, why, why_len);

	if(ep == NULL)
		return -ENOENT;
	if(broken(d, why, why_len))
		return -EIO;
	if(ep->state == SB_ENDPOINT_OFF) {
		snprintf(why, why_len, "endpoint %s is off: set enabled = 1 in its row, then callhook.reload", endpoint);
		return -EINVAL;
	}
	if(ep->state != SB_ENDPOINT_DISABLED || ep->enable) {
		snprintf(why, why_len, "endpoint %s is not disabled", endpoint);
		return -EALREADY;
	}
	ep->kept.disabled_at = 0;
	ep->kept.disabled_why[0] = '\0';
	if(sb_store_set_cursor(d->state, ep->cfg->id, &ep->kept) != 0 || sb_store_commit(d->state) != 0)
		return not_kept(d, why, why_len);
	ep->enable = true;
	return 0;
}

int sb_deliver_disable(struct sb_deliver *d, const char *endpoint, char *why, size_t why_len)
{
	struct hook_endpoint *ep = endpoint_of(d, endpoint, why, why_len);

	if(ep == NULL)
		return -ENOENT;
	if(broken(d, why, why_len))
		return -EIO;
	if(hook_silent(ep) && !ep->enable) {
		snprintf(why, why_len, "endpoint %s is %s already", endpoint, sb_endpoint_state_name(ep->state));
		return -EALREADY;
	}
	ep->enable = false;
	if(hook_disable(ep, "callhook.disable") != 0 || sb_store_commit(d->state) != 0)
		return not_kept(d, why, why_len);
	return 0;
}

static void enable_again(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;

	if(ep->queue.flying > 0)
		return;
	if(hook_endpoint_load(ep) != 0)
		hook_state_failed(d);
	else
		hook_say(d, SB_DELIVER_NOTICE, "endpoint %s is enabled again", ep->cfg->id);
}

/* "<node>-<epoch hex>-<seq hex>", or without the node */
static bool event_of(const char *text, struct sb_replay *r)
{
	const char *dash = strrchr(text, '-'), *epoch;
	char *end;
	unsigned long long v;

	if(dash == NULL || dash == text || !isxdigit((unsigned char)dash[1]))
		return false;
	r->seq = strtoull(dash + 1, &end, 16);
	if(*end != '\0')
		return false;
	for(epoch = dash; epoch > text && epoch[-1] != '-'; epoch--)
		;
	if(!isxdigit((unsigned char)*epoch))
		return false;
	v = strtoull(epoch, &end, 16);
	r->epoch = (uint32_t)v;
	r->what = SB_REPLAY_EVENT;
	return end == dash && v <= UINT32_MAX;
}

static bool what_of(const char *text, struct sb_replay *r)
{
	memset(r, 0, sizeof(*r));
	if(strcmp(text, "all") == 0)
		return true;
	if(sb_uuid_parse(r->call, text) == 0) {
		r->what = SB_REPLAY_CALL;
		return true;
	}
	return event_of(text, r);
}

int sb_deliver_replay(struct sb_deliver *d, const char *endpoint, const char *what, uint64_t *events, uint64_t *lost,
		char *why, size_t why_len)
{
	struct hook_endpoint *ep = endpoint_of(d, endpoint, why, why_len);
	const struct sb_log_cfg *log = &d->cfg.log->cfg;
	struct sb_replay r;
	uint64_t last;

	if(ep == NULL)
		return -ENOENT;
	if(broken(d, why, why_len))
		return -EIO;
	if(!what_of(what, &r)) {
		snprintf(why, why_len, "\"%.80s\" is no event id, no call id and not \"all\"", what);
		return -EINVAL;
	}
	if(ep->replaying) {
		snprintf(why, why_len, "endpoint %s: dead letters are being taken already; ask again when that is done",
				endpoint);
		return -EALREADY;
	}
	if(sb_log_segments(log->journal_dir, log->spool_dir, &r.first_segment, &last) != 0 || r.first_segment == 0)
		r.first_segment = INT64_MAX;
	if(sb_store_replay_begin(d->state, endpoint, &r, events, lost) != 0) {
		hook_state_failed(d);
		snprintf(why, why_len, "%s/state.sqlite cannot be read; what it said is in the log", d->cfg.state_dir);
		return -EIO;
	}
	ep->replay = r;
	ep->replaying = *events > 0;
	return 0;
}

static int add_parked(const uint8_t call[16], uint32_t n, void *arg)
{
	return sb_callset_add(&((struct hook_endpoint *)arg)->parked, call, n);
}

/* A piece in each turn, as long as there is room: nobody else waits for it. */
static void replay(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	int n;

	if(ep->parked.total >= d->cfg.pending_max)
		return;
	n = sb_store_replay(d->state, ep->cfg->id, &ep->replay, d->now, SB_REPLAY_PIECE, add_parked, ep);
	if(n < 0) {
		hook_state_failed(d);
		return;
	}
	if(n > 0)
		hook_due_not_later(ep, d->now);
	ep->due_look_at = 0;
	ep->replaying = n == SB_REPLAY_PIECE;
}

void hook_commands(struct hook_endpoint *ep)
{
	if(ep->d->broken_at != 0)
		return;
	if(ep->enable)
		enable_again(ep);
	if(ep->replaying)
		replay(ep);
}

static bool test_event(struct hook_test *t, struct sb_deliver *d, const char *endpoint)
{
	uint64_t now = hook_wall_us();
	time_t s = (time_t)(now / 1000000);
	char at[40], node[37];
	struct tm tm;
	int n = 0;

	for(const char *p = d->cfg.log->node; *p != '\0' && n < 36; p++) {
		if(*p != '-')
			node[n++] = *p;
	}
	node[n] = '\0';
	snprintf(t->id, sizeof(t->id), "%s-test-%08x%08x", node, hook_random(d), hook_random(d));
	gmtime_r(&s, &tm);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
	return asprintf(&t->body,
				   "{\"type\":\"callhook.test\",\"timestamp\":\"%s.%06uZ\",\"data\":{\"endpoint\":\"%s\",\"node\":\"%"
				   "s\","
				   "\"text\":\"Sent by callhook.test. No call is behind it.\"}}",
				   at, (unsigned)(now % 1000000), endpoint, d->cfg.log->node)
		   >= 0;
}

int sb_deliver_test(struct sb_deliver *d, const char *endpoint, unsigned timeout_ms, sb_deliver_tested_f done,
		void *arg, char *why, size_t why_len)
{
	struct hook_endpoint *ep = endpoint_of(d, endpoint, why, why_len);
	struct sb_http_peer_cfg peer;
	struct hook_flight *f = NULL;
	struct hook_test *t = NULL;
	int err = -ENOMEM;

	if(ep == NULL)
		return -ENOENT;
	snprintf(why, why_len, "out of memory");
	t = calloc(1, sizeof(*t));
	f = calloc(1, sizeof(*f));
	if(t == NULL || f == NULL || !test_event(t, d, endpoint))
		goto out;
	hook_endpoint_peer(ep, &peer);
	peer.concurrency = 1;
	if(timeout_ms > 0 && timeout_ms < peer.timeout_ms)
		peer.timeout_ms = timeout_ms;
	err = sb_http_peer_new(&t->peer, d->http, &peer);
	if(err != 0)
		goto out;
	t->done = done;
	t->arg = arg;
	t->began = hook_mono_us();
	f->test = t;
	err = sb_http_post(t->peer, &(struct sb_http_post){.id = t->id,
										.body = t->body,
										.len = strlen(t->body),
										.unix_s = (int64_t)(hook_wall_us() / 1000000),
										.arg = f});
	if(err != 0) {
		snprintf(why, why_len, "the request could not be made: %s", strerror(-err));
		goto out;
	}
	t->next = d->tests;
	d->tests = t;
	return 0;
out:
	if(t != NULL) {
		sb_http_peer_free(t->peer);
		free(t->body);
	}
	free(t);
	free(f);
	return err;
}

void hook_test_done(struct hook_test *t, const struct sb_http_result *r)
{
	struct sb_deliver_tested v = {
			.status = r->status, .ms = (uint32_t)((hook_mono_us() - t->began) / 1000), .error = r->error, .id = t->id};

	t->done(t->arg, &v);
	t->over = true;
}

void hook_tests_tidy(struct sb_deliver *d)
{
	struct hook_test **link = &d->tests, *t;

	while((t = *link) != NULL) {
		if(!t->over) {
			link = &t->next;
			continue;
		}
		*link = t->next;
		sb_http_peer_free(t->peer);
		free(t->body);
		free(t);
	}
}
