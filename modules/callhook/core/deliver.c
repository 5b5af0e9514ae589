/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "deliver_parts.h"

#define LULL_MS 2   /* after a record came: time to gather more before a writer must wake us again */
#define BLIND_MS 20 /* without the log's shared memory: how often it is looked at */

uint64_t hook_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint32_t hook_random(struct sb_deliver *d)
{
	d->rnd = d->rnd * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(d->rnd >> 32);
}

void hook_say(struct sb_deliver *d, enum sb_deliver_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->cfg.say(level, text);
}

void hook_state_failed(struct sb_deliver *d)
{
	int64_t wait = sb_probe_wait(d->broken_times, 60);

	if(d->broken_at != 0)
		return;
	atomic_fetch_add(&d->cfg.status->state_errors, 1);
	hook_say(d, SB_DELIVER_ERROR,
			"%s/state.sqlite: %s; delivery stops and begins again from what the file holds in %lld s (is the disk full "
			"or "
			"read-only?)",
			d->cfg.state_dir, sb_store_error(d->state), (long long)(wait / 1000000));
	d->broken_at = d->now + (uint64_t)wait;
	d->broken_times++;
}

static void state_path(const struct sb_deliver_cfg *cfg, char *out, size_t room)
{
	snprintf(out, room, "%s/state.sqlite", cfg->state_dir);
}

static void endpoint_clear(struct hook_endpoint *ep)
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

/* Everything in memory as the state file says. Nothing of the endpoint may be in flight. */
static int endpoint_load(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;
	int err;

	endpoint_clear(ep);
	err = sb_store_cursor(d->state, ep->cfg->id, &ep->kept);
	if(err == 0)
		err = sb_store_calls(d->state, ep->cfg->id, add_parked, ep);
	if(err == 0)
		err = sb_store_next_due(d->state, ep->cfg->id, &ep->due_at);
	if(err == 0)
		err = sb_queue_init(&ep->queue, d->cfg.window, SB_RETRY_ROOM, ep->kept.pos);
	ep->state = !ep->cfg->enabled ? SB_ENDPOINT_OFF : ep->kept.disabled_at > 0 ? SB_ENDPOINT_DISABLED : SB_ENDPOINT_UP;
	ep->seen = UINT64_MAX;
	ep->bytes = 0;
	ep->refused = ep->probes = 0;
	ep->probe_at = ep->due_look_at = ep->reader_at = 0;
	return err;
}

static int endpoint_open(struct sb_deliver *d, struct hook_endpoint *ep, unsigned i)
{
	const struct sb_endpoint *cfg = &d->cfg.endpoints[i];
	struct sb_http_peer_cfg peer = {.url = cfg->url,
			.connect_timeout_ms = d->cfg.connect_timeout_ms,
			.timeout_ms = cfg->timeout_ms > 0 ? cfg->timeout_ms : d->cfg.timeout_ms,
			.concurrency = cfg->concurrency};
	int err;

	ep->d = d;
	ep->cfg = cfg;
	ep->status = &d->cfg.status->endpoint[i];
	snprintf(ep->status->id, sizeof(ep->status->id), "%s", cfg->id);
	err = sb_signer_new(&ep->signer, cfg->secret, cfg->secret_len);
	if(err != 0)
		return err;
	peer.signer = ep->signer;
	err = sb_http_peer_new(&ep->peer, d->http, &peer);
	return err != 0 ? err : endpoint_load(ep);
}

struct prepare
{
	const struct sb_deliver_cfg *cfg;
	char gone[64][SB_ENDPOINT_ID_LEN];
	unsigned count;
};

static void note_gone(const char *endpoint, void *arg)
{
	struct prepare *p = arg;

	for(unsigned i = 0; i < p->cfg->count; i++) {
		if(strcmp(p->cfg->endpoints[i].id, endpoint) == 0)
			return;
	}
	if(p->count < 64)
		snprintf(p->gone[p->count++], SB_ENDPOINT_ID_LEN, "%s", endpoint);
}

static int forget_gone(const struct sb_deliver_cfg *cfg, struct sb_store *s)
{
	struct prepare *p = calloc(1, sizeof(*p));
	char text[256];
	uint64_t n = 0;
	int err;

	if(p == NULL)
		return -ENOMEM;
	p->cfg = cfg;
	err = sb_store_endpoints(s, note_gone, p);
	for(unsigned i = 0; i < p->count && err == 0; i++) {
		err = sb_store_forget(s, p->gone[i], &n);
		snprintf(text, sizeof(text),
				"endpoint %s is no longer in the table: its cursor and %llu waiting events are forgotten", p->gone[i],
				(unsigned long long)n);
		cfg->say(SB_DELIVER_NOTICE, text);
	}
	free(p);
	return err;
}

static int prepare_endpoint(const struct sb_deliver_cfg *cfg, struct sb_store *s, const struct sb_endpoint *e)
{
	struct sb_cursor c = {.pos = {((uint64_t)cfg->log->epoch << 32) + 1, 0}};
	int err = sb_store_cursor(s, e->id, &c);

	if(err != 0 && err != -ENOENT)
		return err;
	if(err == 0 && strcmp(c.url, e->url) == 0 && (c.disabled_at == 0 || e->enabled))
		return 0;
	c.disabled_at = 0;
	c.disabled_why[0] = '\0';
	snprintf(c.url, sizeof(c.url), "%s", e->url);
	return sb_store_set_cursor(s, e->id, &c);
}

int sb_deliver_prepare(const struct sb_deliver_cfg *cfg, char *err, size_t err_len)
{
	char path[SB_LOG_PATH + 32];
	struct sb_store *s = NULL;
	struct stat st;
	int r;

	if(stat(cfg->state_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		snprintf(err, err_len,
				"state_dir %s is not a directory (%s): make it, for the user Kamailio runs as: install -d -m 0750 -o "
				"kamailio -g kamailio %s",
				cfg->state_dir, strerror(errno), cfg->state_dir);
		return -ENOENT;
	}
	snprintf(path, sizeof(path), "%s/deliveries", cfg->state_dir);
	if(mkdir(path, 0750) != 0 && errno != EEXIST) {
		r = -errno;
		snprintf(err, err_len,
				"%s cannot be made: %s; state_dir must be writable for the user Kamailio runs as: chown -R kamailio: "
				"%s",
				path, strerror(-r), cfg->state_dir);
		return r;
	}
	state_path(cfg, path, sizeof(path));
	r = sb_store_open(&s, path, true, err, err_len);
	if(r != 0)
		return r;
	r = forget_gone(cfg, s);
	for(unsigned i = 0; i < cfg->count && r == 0; i++)
		r = prepare_endpoint(cfg, s, &cfg->endpoints[i]);
	if(r == 0)
		r = sb_store_commit(s);
	if(r != 0)
		snprintf(err, err_len,
				"%s cannot be written: %s; it must be writable, with room on its disk: chown -R kamailio: %s", path,
				sb_store_error(s), cfg->state_dir);
	sb_store_close(s);
	return r;
}

static void free_all(struct sb_deliver *d)
{
	for(unsigned i = 0; d->eps != NULL && i < d->cfg.count; i++) {
		if(d->eps[i].d == NULL)
			continue;
		endpoint_clear(&d->eps[i]);
		sb_http_peer_free(d->eps[i].peer);
		sb_signer_free(d->eps[i].signer);
	}
	sb_http_free(d->http);
	sb_deliveries_close(d->deliveries);
	sb_store_close(d->state);
	free(d->eps);
	free(d->bucket);
	free(d);
}

static int open_files(struct sb_deliver *d, char *err, size_t err_len)
{
	char path[SB_LOG_PATH + 32];
	int r;

	state_path(&d->cfg, path, sizeof(path));
	r = sb_store_open(&d->state, path, false, err, err_len);
	if(r != 0)
		return r;
	snprintf(path, sizeof(path), "%s/deliveries", d->cfg.state_dir);
	r = sb_deliveries_open(&d->deliveries, path, d->cfg.deliveries_limit, d->cfg.log->epoch, d->cfg.log->salt);
	if(r != 0)
		snprintf(err, err_len, "%s cannot be used: %s; it must be a directory that the user Kamailio runs as can write",
				path, strerror(-r));
	return r;
}

int sb_deliver_new(struct sb_deliver **out, const struct sb_deliver_cfg *cfg, char *err, size_t err_len)
{
	struct sb_deliver *d = calloc(1, sizeof(*d));
	unsigned connections = 0;
	int r = -ENOMEM;

	snprintf(err, err_len, "out of memory");
	if(d == NULL)
		return r;
	d->cfg = *cfg;
	d->cfg.status->endpoints = cfg->count;
	d->clock_base = (int64_t)hook_wall_us() - (int64_t)mono_us();
	d->now = hook_wall_us();
	if(getrandom(&d->rnd, sizeof(d->rnd), 0) != (ssize_t)sizeof(d->rnd))
		d->rnd = d->now;
	for(unsigned i = 0; i < cfg->count; i++)
		connections += cfg->endpoints[i].concurrency;
	d->buckets = 4096;
	d->bucket = calloc(d->buckets, sizeof(struct hook_event *));
	d->eps = calloc(cfg->count > 0 ? cfg->count : 1, sizeof(*d->eps));
	if(d->bucket == NULL || d->eps == NULL || sb_http_new(&d->http, connections, hook_done) != 0)
		goto out;
	r = open_files(d, err, err_len);
	for(unsigned i = 0; i < cfg->count && r == 0; i++) {
		r = endpoint_open(d, &d->eps[i], i);
		if(r != 0)
			snprintf(err, err_len, "endpoint %s cannot be set up: %s", cfg->endpoints[i].id, strerror(-r));
	}
	if(r != 0)
		goto out;
	*out = d;
	d = NULL;
out:
	if(d != NULL)
		free_all(d);
	return r;
}

/* The state file failed: nothing that is in memory is believed any more. */
static void start_over(struct sb_deliver *d)
{
	char err[512], path[SB_LOG_PATH + 32];
	int r;

	sb_http_cancel(d->http);
	sb_store_close(d->state);
	d->state = NULL;
	state_path(&d->cfg, path, sizeof(path));
	r = sb_store_open(&d->state, path, false, err, sizeof(err));
	for(unsigned i = 0; i < d->cfg.count && r == 0; i++)
		r = endpoint_load(&d->eps[i]);
	if(r == 0) {
		d->broken_at = 0;
		hook_say(d, SB_DELIVER_NOTICE, "%s: delivery goes on", path);
		return;
	}
	d->broken_at = d->now + (uint64_t)sb_probe_wait(d->broken_times++, 60);
}

static int keep_cursors(struct sb_deliver *d)
{
	int err = 0;

	for(unsigned i = 0; i < d->cfg.count && err == 0; i++) {
		struct hook_endpoint *ep = &d->eps[i];
		struct sb_pos c = sb_queue_cursor(&ep->queue);

		if(ep->state == SB_ENDPOINT_OFF || ep->state == SB_ENDPOINT_DISABLED
				|| (c.segment == ep->kept.pos.segment && c.offset == ep->kept.pos.offset))
			continue;
		err = sb_store_move(d->state, ep->cfg->id, c);
		ep->kept.pos = c;
	}
	if(err == 0 && d->dead_since_trim >= 100) {
		err = sb_store_trim_dead(d->state, d->cfg.dead_max);
		d->dead_since_trim = 0;
	}
	return err;
}

/* The journal may let go of what no endpoint needs. */
static int release_segments(struct sb_deliver *d)
{
	uint64_t need = UINT64_MAX, oldest;

	if(d->cfg.sink < 0 || d->cfg.log->sh == NULL)
		return 0;
	for(unsigned i = 0; i < d->cfg.count; i++) {
		struct hook_endpoint *ep = &d->eps[i];

		if(ep->state == SB_ENDPOINT_OFF || ep->state == SB_ENDPOINT_DISABLED)
			continue;
		if(ep->kept.pos.segment < need)
			need = ep->kept.pos.segment;
		if(ep->parked.total == 0)
			continue;
		if(sb_store_oldest(d->state, ep->cfg->id, &oldest) != 0)
			return -EIO;
		if(oldest > 0 && oldest < need)
			need = oldest;
	}
	sb_log_sink_done(d->cfg.log->sh, d->cfg.sink, need != UINT64_MAX ? need : atomic_load(&d->cfg.log->sh->current));
	return 0;
}

static void flush(struct sb_deliver *d, bool now)
{
	if(d->broken_at != 0 || (!now && d->now < d->flushed_at + SB_FLUSH_US))
		return;
	d->flushed_at = d->now;
	if(keep_cursors(d) != 0)
		goto failed;
	if(sb_store_changed(d->state)) {
		if(sb_store_commit(d->state) != 0)
			goto failed;
		d->broken_times = 0;
		atomic_fetch_add_explicit(&d->cfg.status->commits, 1, memory_order_relaxed);
	}
	if(release_segments(d) == 0)
		return;
failed:
	hook_state_failed(d);
}

static void show(struct hook_endpoint *ep)
{
	struct sb_endpoint_status *st = ep->status;
	struct sb_pos c = sb_queue_cursor(&ep->queue);
	const struct hook_event *oldest = ep->queue.oldest != NULL ? ep->queue.oldest->event : NULL;

	atomic_store_explicit(&st->state, ep->state, memory_order_relaxed);
	atomic_store_explicit(&st->waiting, ep->queue.waiting, memory_order_relaxed);
	atomic_store_explicit(&st->flying, ep->queue.flying, memory_order_relaxed);
	atomic_store_explicit(&st->pending, ep->parked.total, memory_order_relaxed);
	atomic_store_explicit(&st->segment, c.segment, memory_order_relaxed);
	atomic_store_explicit(&st->offset, c.offset, memory_order_relaxed);
	atomic_store_explicit(&st->oldest_at, oldest != NULL ? oldest->at : 0, memory_order_relaxed);
	atomic_store_explicit(&st->probe_at, ep->state == SB_ENDPOINT_PAUSED ? ep->probe_at : 0, memory_order_relaxed);
}

static void enable_again(struct hook_endpoint *ep)
{
	struct sb_deliver *d = ep->d;

	if(ep->state != SB_ENDPOINT_DISABLED) {
		atomic_store(&ep->status->enable, 0);
		return;
	}
	if(ep->queue.flying > 0 || d->broken_at != 0)
		return;
	ep->kept.disabled_at = 0;
	ep->kept.disabled_why[0] = '\0';
	atomic_store(&ep->status->enable, 0);
	if(sb_store_set_cursor(d->state, ep->cfg->id, &ep->kept) != 0 || sb_store_commit(d->state) != 0
			|| endpoint_load(ep) != 0)
		hook_state_failed(d);
	else
		hook_say(d, SB_DELIVER_NOTICE, "endpoint %s is enabled again", ep->cfg->id);
}

static int earlier(int ms, uint64_t now, uint64_t at)
{
	uint64_t left;

	if(at <= now)
		return 0;
	left = (at - now + 999) / 1000;
	return left < (uint64_t)ms ? (int)left : ms;
}

/* How long nothing needs to be done, records that may come left aside. */
static int idle_ms(struct sb_deliver *d, int ms)
{
	if(d->broken_at != 0)
		return earlier(ms, d->now, d->broken_at);
	if(sb_store_changed(d->state))
		ms = earlier(ms, d->now, d->flushed_at + SB_FLUSH_US);
	for(unsigned i = 0; i < d->cfg.count; i++) {
		struct hook_endpoint *ep = &d->eps[i];

		if(ep->state == SB_ENDPOINT_OFF || ep->state == SB_ENDPOINT_DISABLED)
			continue;
		if(ep->more)
			return 0;
		if(ep->state == SB_ENDPOINT_PAUSED && (ep->queue.waiting > 0 || ep->due_at > 0) && ep->queue.flying == 0)
			ms = earlier(ms, d->now, ep->probe_at > ep->due_look_at ? ep->probe_at : ep->due_look_at);
		if(ep->state == SB_ENDPOINT_UP && ep->due_at > 0)
			ms = earlier(ms, d->now, ep->due_at > ep->due_look_at ? ep->due_at : ep->due_look_at);
	}
	return ms;
}

static bool unread(const struct sb_deliver *d)
{
	uint64_t records = atomic_load(&d->cfg.log->sh->records);

	for(unsigned i = 0; i < d->cfg.count; i++) {
		if(d->eps[i].state == SB_ENDPOINT_UP && d->eps[i].seen != records && hook_room(&d->eps[i])
				&& d->eps[i].reader != NULL)
			return true;
	}
	return false;
}

static void rest(struct sb_deliver *d, int max_ms)
{
	struct sb_log_shared *sh = d->cfg.log->sh;
	int ms = idle_ms(d, max_ms);

	if(sh == NULL) {
		sb_http_wait(d->http, -1, ms < BLIND_MS ? ms : BLIND_MS);
		return;
	}
	if(d->news && ms > LULL_MS)
		ms = LULL_MS;
	if(!d->news && ms > 0) {
		atomic_store(&sh->waiting, 1);
		if(unread(d))
			ms = 0;
	}
	sb_http_wait(d->http, d->cfg.log->wake_fd, ms);
}

void sb_deliver_turn(struct sb_deliver *d, int max_ms)
{
	d->now = mono_us() + (uint64_t)d->clock_base;
	d->news = false;
	if(d->broken_at != 0 && d->now >= d->broken_at)
		start_over(d);
	for(unsigned i = 0; i < d->cfg.count; i++) {
		struct hook_endpoint *ep = &d->eps[i];

		if(atomic_load_explicit(&ep->status->enable, memory_order_relaxed) != 0)
			enable_again(ep);
		hook_read(ep);
		hook_load_due(ep);
		hook_dispatch(ep);
	}
	sb_http_perform(d->http);
	for(unsigned i = 0; i < d->cfg.count; i++) {
		hook_dispatch(&d->eps[i]);
		show(&d->eps[i]);
	}
	sb_deliveries_flush(d->deliveries);
	atomic_store_explicit(&d->cfg.status->lost_deliveries, sb_deliveries_lost(d->deliveries), memory_order_relaxed);
	atomic_fetch_add_explicit(&d->cfg.status->turns, 1, memory_order_relaxed);
	flush(d, false);
	rest(d, max_ms);
}

void sb_deliver_stop(struct sb_deliver *d, int drain_ms)
{
	uint64_t end = mono_us() + (uint64_t)drain_ms * 1000;

	d->stopping = true;
	while(sb_http_flying(d->http) > 0 && mono_us() < end) {
		d->now = mono_us() + (uint64_t)d->clock_base;
		sb_http_perform(d->http);
		if(sb_http_flying(d->http) > 0)
			sb_http_wait(d->http, -1, 20);
	}
	sb_http_cancel(d->http);
	flush(d, true);
	free_all(d);
}

void sb_endpoint_status_error(const struct sb_endpoint_status *s, char out[200])
{
	for(int i = 0; i < 100; i++) {
		uint32_t before = atomic_load(&s->text_version);

		memcpy(out, s->error, 200);
		out[199] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if((before & 1) == 0 && atomic_load(&s->text_version) == before)
			return;
	}
	out[0] = '\0';
}

const char *sb_endpoint_state_name(uint32_t state)
{
	static const char *const names[] = {"off", "up", "paused", "disabled"};

	return state < 4 ? names[state] : "?";
}
