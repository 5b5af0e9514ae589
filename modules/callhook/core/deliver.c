/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "deliver_parts.h"

#define LULL_MS 2   /* after a record came: time to gather more before a writer must wake us again */
#define BLIND_MS 20 /* without the log's shared memory: how often it is looked at */

uint64_t hook_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t hook_mono_us(void)
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

static void free_all(struct sb_deliver *d)
{
	hook_tests_tidy(d);
	for(unsigned i = 0; d->eps != NULL && i < d->cfg.count; i++)
		hook_endpoint_close(&d->eps[i]);
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
	d->clock_base = (int64_t)hook_wall_us() - (int64_t)hook_mono_us();
	d->now = d->started_at = hook_wall_us();
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
		r = hook_endpoint_open(d, i);
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
	/* what cannot be written down would be sent again and again */
	if(r == 0)
		r = sb_store_set_worker(d->state, getpid(), d->started_at, hook_wall_us());
	if(r == 0)
		r = sb_store_commit(d->state);
	for(unsigned i = 0; i < d->cfg.count && r == 0; i++)
		r = hook_endpoint_load(&d->eps[i]);
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

		if(hook_silent(ep) || (c.segment == ep->kept.pos.segment && c.offset == ep->kept.pos.offset))
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

	for(unsigned i = 0; i < d->cfg.count; i++) {
		struct hook_endpoint *ep = &d->eps[i];

		if(hook_silent(ep))
			continue;
		if(ep->kept.pos.segment < need)
			need = ep->kept.pos.segment;
		ep->parked_at = 0;
		if(ep->parked.total == 0)
			continue;
		if(sb_store_oldest(d->state, ep->cfg->id, &oldest, &ep->parked_at) != 0)
			return -EIO;
		if(oldest > 0 && oldest < need)
			need = oldest;
	}
	if(d->cfg.sink >= 0 && d->cfg.log->sh != NULL)
		sb_log_sink_done(
				d->cfg.log->sh, d->cfg.sink, need != UINT64_MAX ? need : atomic_load(&d->cfg.log->sh->current));
	return 0;
}

static void flush(struct sb_deliver *d, bool now)
{
	if(d->broken_at != 0 || (!now && d->now < d->flushed_at + SB_FLUSH_US))
		return;
	d->flushed_at = d->now;
	if(keep_cursors(d) != 0 || hook_keep_status(d, now) != 0)
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

		if(hook_silent(ep))
			continue;
		if(ep->more || (ep->replaying && ep->parked.total < d->cfg.pending_max))
			return 0;
		if(ep->state == SB_ENDPOINT_PAUSED && (ep->queue.waiting > 0 || ep->due_at > 0) && ep->queue.flying == 0)
			ms = earlier(ms, d->now, ep->probe_at > ep->due_look_at ? ep->probe_at : ep->due_look_at);
		if(ep->state == SB_ENDPOINT_UP && ep->due_at > 0)
			ms = earlier(ms, d->now, ep->due_at > ep->due_look_at ? ep->due_at : ep->due_look_at);
		if(ep->cfg->rate > 0 && ep->state == SB_ENDPOINT_UP && ep->queue.ready_first != NULL
				&& ep->queue.flying < ep->cfg->concurrency)
			ms = earlier(ms, d->now, sb_rate_at(&ep->rate));
	}
	return ms;
}

/* It would read a record that came now. */
static bool reads(const struct hook_endpoint *ep)
{
	return ep->state == SB_ENDPOINT_UP && ep->reader != NULL && hook_room(ep);
}

/* Nobody has to wake a process that would read nothing. @return true: there is something unread */
static bool listen_to(struct sb_deliver *d, struct sb_log_shared *sh)
{
	bool any = false;
	uint64_t records;

	for(unsigned i = 0; i < d->cfg.count && !any; i++)
		any = reads(&d->eps[i]);
	if(!any)
		return false;
	atomic_store(&sh->waiting, 1);
	records = atomic_load(&sh->records);
	for(unsigned i = 0; i < d->cfg.count; i++) {
		if(reads(&d->eps[i]) && d->eps[i].seen != records)
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
	if(!d->news && ms > 0 && listen_to(d, sh))
		ms = 0;
	sb_http_wait(d->http, d->cfg.log->wake_fd, ms);
}

void sb_deliver_turn(struct sb_deliver *d, int max_ms)
{
	d->now = hook_mono_us() + (uint64_t)d->clock_base;
	d->news = false;
	if(d->broken_at != 0 && d->now >= d->broken_at)
		start_over(d);
	for(unsigned i = 0; i < d->cfg.count; i++) {
		struct hook_endpoint *ep = &d->eps[i];

		hook_commands(ep);
		hook_read(ep);
		hook_load_due(ep);
		hook_dispatch(ep);
	}
	sb_http_perform(d->http);
	for(unsigned i = 0; i < d->cfg.count; i++) {
		hook_dispatch(&d->eps[i]);
		hook_show(&d->eps[i]);
	}
	hook_tests_tidy(d);
	sb_deliveries_flush(d->deliveries);
	atomic_store_explicit(&d->cfg.status->lost_deliveries, sb_deliveries_lost(d->deliveries), memory_order_relaxed);
	atomic_fetch_add_explicit(&d->cfg.status->turns, 1, memory_order_relaxed);
	flush(d, false);
	rest(d, max_ms);
}

void sb_deliver_stop(struct sb_deliver *d, int drain_ms)
{
	uint64_t end = hook_mono_us() + (uint64_t)drain_ms * 1000;

	d->stopping = true;
	while(sb_http_flying(d->http) > 0 && hook_mono_us() < end) {
		d->now = hook_mono_us() + (uint64_t)d->clock_base;
		sb_http_perform(d->http);
		if(sb_http_flying(d->http) > 0)
			sb_http_wait(d->http, -1, 20);
	}
	sb_http_cancel(d->http);
	for(unsigned i = 0; i < d->cfg.count; i++)
		hook_show(&d->eps[i]);
	flush(d, true);
	free_all(d);
}
