/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An endpoint in memory: made from its row and from what the state file says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deliver_parts.h"

static void clear(struct hook_endpoint *ep)
{
	struct sb_entry *e;

	while((e = ep->queue.oldest) != NULL)
		hook_release(ep, e);
	for(uint32_t i = 0;
			ep->queue.entries != NULL && ep->queue.retries > 0 && i < ep->queue.window + ep->queue.retry_room; i++) {
		e = &ep->queue.entries[i];
		if(e->event != NULL && e->retry)
			hook_release(ep, e);
	}
	sb_queue_free(&ep->queue);
	sb_callset_free(&ep->parked);
	sb_reader_close(ep->reader);
	ep->reader = NULL;
}

static int add_parked(const uint8_t call[16], uint32_t n, void *arg)
{
	return sb_callset_add(&((struct hook_endpoint *)arg)->parked, call, n);
}

/* A clock that was set back since they were parked, or a schedule that was shortened, does not make them wait longer than the schedule says. */
static int keep_to_schedule(struct hook_endpoint *ep)
{
	const struct sb_schedule *s = &ep->d->cfg.schedule;
	int err = 0;

	for(unsigned t = 0; t < s->tries && err == 0 && ep->parked.total > 0; t++)
		err = sb_store_not_later(
				ep->d->state, ep->cfg->id, t, ep->d->now + (uint64_t)sb_schedule_next(s, t, UINT32_MAX));
	return err;
}

int hook_endpoint_load(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	int err;

	clear(ep);
	err = sb_store_cursor(d->state, ep->cfg->id, &ep->kept);
	if(err == 0)
		err = sb_store_calls(d->state, ep->cfg->id, add_parked, ep);
	if(err == 0)
		err = keep_to_schedule(ep);
	if(err == 0)
		err = sb_store_next_due(d->state, ep->cfg->id, &ep->due_at);
	if(err == 0)
		err = sb_queue_init(&ep->queue, d->cfg.window, SB_RETRY_ROOM, ep->kept.pos);
	ep->state = !ep->cfg->enabled ? SB_ENDPOINT_OFF : ep->kept.disabled_at > 0 ? SB_ENDPOINT_DISABLED : SB_ENDPOINT_UP;
	ep->enable = false;
	ep->replay.after = 0; /* what was taken and not committed is taken again */
	ep->seen = UINT64_MAX;
	ep->bytes = 0;
	ep->refused = ep->probes = 0;
	ep->probe_at = ep->due_look_at = ep->reader_at = 0;
	return err;
}

void hook_endpoint_peer(const struct hook_endpoint *ep, struct sb_http_peer_cfg *out)
{
	const struct sb_deliver_cfg *d = &ep->d->cfg;
	const struct sb_endpoint *cfg = ep->cfg;

	*out = (struct sb_http_peer_cfg){.url = cfg->url,
			.connect_timeout_ms = d->connect_timeout_ms,
			.timeout_ms = cfg->timeout_ms > 0 ? cfg->timeout_ms : d->timeout_ms,
			.concurrency = cfg->concurrency,
			.signer = ep->signer,
			.guard = &cfg->guard,
			.ca_file = cfg->ca_file,
			.cert_file = cfg->cert_file,
			.key_file = cfg->key_file};
}

int hook_endpoint_open(struct sb_deliver *d, unsigned i)
{
	struct hook_endpoint *ep = &d->eps[i];
	struct sb_http_peer_cfg peer;
	int err;

	ep->d = d;
	ep->cfg = &d->cfg.endpoints[i];
	ep->status = &d->cfg.status->endpoint[i];
	ep->rate.per_s = ep->cfg->rate;
	ep->counted = atomic_load(&ep->status->delivered);
	snprintf(ep->status->id, sizeof(ep->status->id), "%s", ep->cfg->id);
	if(atomic_load(&ep->status->text_version) & 1) /* the process before this one died while it wrote */
		atomic_fetch_add(&ep->status->text_version, 1);
	err = sb_signer_new(&ep->signer, ep->cfg->secret, ep->cfg->secret_len);
	if(err != 0)
		return err;
	hook_endpoint_peer(ep, &peer);
	err = sb_http_peer_new(&ep->peer, d->http, &peer);
	return err != 0 ? err : hook_endpoint_load(ep);
}

void hook_endpoint_close(struct hook_endpoint *ep)
{
	if(ep->d == NULL)
		return;
	clear(ep);
	sb_http_peer_free(ep->peer);
	sb_signer_free(ep->signer);
}

bool hook_silent(const struct hook_endpoint *ep)
{
	return ep->state == SB_ENDPOINT_OFF || ep->state == SB_ENDPOINT_DISABLED;
}

int hook_disable(struct hook_endpoint *ep, const char *why)
{
	ep->state = SB_ENDPOINT_DISABLED;
	ep->kept.pos = sb_queue_cursor(&ep->queue);
	ep->kept.disabled_at = hook_wall_us();
	snprintf(ep->kept.disabled_why, sizeof(ep->kept.disabled_why), "%s", why);
	if(sb_store_set_cursor(ep->d->state, ep->cfg->id, &ep->kept) == 0)
		return 0;
	hook_state_failed(ep->d);
	return -EIO;
}
