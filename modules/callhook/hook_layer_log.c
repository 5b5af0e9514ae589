/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sink that writes the four-layer log; its RPC and its statistics. */
#include "hook.h"

#include <time.h>

#include "core/counters.h"
#include "core/mem/shm_mem.h"
#include "core/rpc.h"
#include "core/rpc_lookup.h"

#include "layer_log.h"

#define MIB (1024ull * 1024)

static struct sb_layer_cfg cfg;

static uint64_t us_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void say(bool error, const char *text)
{
	if(error)
		LM_ERR("%s\n", text);
	else
		LM_WARN("%s\n", text);
}

static uint64_t lag_us(void)
{
	uint64_t oldest = atomic_load(&cfg.status->oldest_at);
	uint64_t now = us_of(CLOCK_REALTIME);

	return oldest != 0 && now > oldest ? now - oldest : 0;
}

static int add_what_it_does(rpc_t *rpc, void *h)
{
	struct sb_layer_status *s = cfg.status;
	char error[SB_LAYER_ERROR_LEN], cursor[48];

	sb_layer_status_error(s, error);
	snprintf(cursor, sizeof(cursor), "%016llx:%llu", (unsigned long long)atomic_load(&s->segment),
			(unsigned long long)atomic_load(&s->offset));
	if(rpc->struct_add(h, "sLLfLs", "target", cfg.target, "lines", (long long)atomic_load(&s->lines), "bytes",
			   (long long)atomic_load(&s->bytes), "lag_s", (double)lag_us() / 1e6, "errors",
			   (long long)atomic_load(&s->errors), "cursor", cursor)
			< 0)
		return -1;
	return error[0] != '\0' ? rpc->struct_add(h, "s", "last_error", error) : 0;
}

static void rpc_layer_log(rpc_t *rpc, void *ctx)
{
	uint32_t state = cfg.status != NULL ? atomic_load(&cfg.status->state) : SB_LAYER_OFF;
	void *h;

	if(rpc->add(ctx, "{", &h) < 0 || rpc->struct_add(h, "s", "state", sb_layer_state_name(state)) < 0
			|| (cfg.status != NULL && add_what_it_does(rpc, h) < 0))
		rpc->fault(ctx, 500, "The reply could not be built");
}

static const char *doc_layer_log[] = {
		"The four-layer log: state, target, lines, bytes, lag, cursor, last error.", NULL};

static rpc_export_t methods[] = {
		{"callhook.layer_log", rpc_layer_log, doc_layer_log, 0},
		{NULL, NULL, NULL, 0},
};

/* X(name, value): docs/layer-log.md lists these rows. */
#define LAYER_STATS(X)                         \
	X(layer_log_lines, atomic_load(&s->lines)) \
	X(layer_log_lag_s, lag_us() / 1000000)     \
	X(layer_log_errors, atomic_load(&s->errors))

#define X(name, value)                                 \
	static counter_val_t stat_##name(void)             \
	{                                                  \
		struct sb_layer_status *s = cfg.status;        \
		return s != NULL ? (counter_val_t)(value) : 0; \
	}
LAYER_STATS(X)
#undef X

static stat_export_t stats[] = {
#define X(name, value) {#name, STAT_IS_FUNC, (stat_var **)stat_##name},
		LAYER_STATS(X)
#undef X
				{NULL, 0, NULL}};

static int prepare(void)
{
	char err[1200];

	cfg.log = hook_callstate.log;
	cfg.state_dir = hook_params.state_dir;
	cfg.target = hook_params.layer_log;
	cfg.size = (uint64_t)hook_params.layer_log_size * MIB;
	cfg.files = (unsigned)hook_params.layer_log_files;
	cfg.say = say;
	cfg.status = shm_malloc(sizeof(*cfg.status));
	if(cfg.status == NULL) {
		SHM_MEM_ERROR;
		return -1;
	}
	memset(cfg.status, 0, sizeof(*cfg.status));
	if(sb_layer_prepare(&cfg, err, sizeof(err)) != 0) {
		LM_ERR("%s\n", err);
		return -1;
	}
	cfg.sink = sb_log_sink(cfg.log->sh, "layer_log");
	if(cfg.sink < 0) {
		LM_ERR("the log has no place for another sink: at most %u\n", SB_LOG_SINKS);
		return -1;
	}
	hook_layer_log.on = true;
	return 0;
}

static int init(void)
{
	if(rpc_register_array(methods) < 0 || register_module_stats("callhook", stats) < 0)
		return -1;
	return hook_params.layer_log != NULL && hook_params.layer_log[0] != '\0' ? prepare() : 0;
}

static void run(const volatile sig_atomic_t *stop)
{
	struct sb_layer_log *l = NULL;
	struct timespec rest;
	char err[1200];
	int ms;

	if(sb_layer_new(&l, &cfg, err, sizeof(err)) != 0) {
		LM_CRIT("the four-layer log cannot be written: %s\n", err);
		return;
	}
	while(!*stop) {
		ms = sb_layer_turn(l, us_of(CLOCK_REALTIME), us_of(CLOCK_MONOTONIC));
		rest = (struct timespec){.tv_nsec = ms * 1000000L};
		if(ms > 0)
			nanosleep(&rest, NULL);
	}
	sb_layer_stop(l, us_of(CLOCK_REALTIME), us_of(CLOCK_MONOTONIC));
}

struct hook_sink hook_layer_log = {.name = "layer log", .init = init, .run = run};
