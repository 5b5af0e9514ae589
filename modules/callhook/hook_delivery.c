/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sink that posts webhooks. */
#include "hook.h"

#include "core/mem/shm_mem.h"

#define MIB (1024ull * 1024)
#define TURN_MS 200
#define DRAIN_MS 500

struct sb_deliver_cfg hook_cfg;

static void say(enum sb_deliver_level level, const char *text)
{
	if(level == SB_DELIVER_ERROR)
		LM_ERR("%s\n", text);
	else if(level == SB_DELIVER_WARNING)
		LM_WARN("%s\n", text);
	else
		LM_NOTICE("%s\n", text);
}

static int prepare_delivery(void)
{
	char err[1024];

	hook_cfg.log = hook_callstate.log;
	hook_cfg.state_dir = hook_params.state_dir;
	hook_cfg.connect_timeout_ms = (unsigned)hook_params.connect_timeout_ms;
	hook_cfg.timeout_ms = (unsigned)hook_params.timeout_ms;
	hook_cfg.probe_max_s = (unsigned)hook_params.probe_max;
	hook_cfg.window = (uint32_t)hook_params.window;
	hook_cfg.pending_max = (uint64_t)hook_params.pending_max;
	hook_cfg.dead_max = (uint64_t)hook_params.dead_max;
	hook_cfg.deliveries_limit = (uint64_t)hook_params.deliveries_limit * MIB;
	hook_cfg.say = say;
	hook_cfg.status = shm_malloc(sb_deliver_status_size(hook_cfg.count));
	if(hook_cfg.status == NULL) {
		SHM_MEM_ERROR;
		return -1;
	}
	memset(hook_cfg.status, 0, sb_deliver_status_size(hook_cfg.count));
	hook_cfg.status->endpoints = hook_cfg.count;
	if(sb_deliver_prepare(&hook_cfg, err, sizeof(err)) != 0) {
		LM_ERR("%s\n", err);
		return -1;
	}
	hook_cfg.sink = sb_log_sink(hook_cfg.log->sh, "callhook");
	if(hook_cfg.sink < 0) {
		LM_ERR("the log has no place for another sink: at most %u\n", SB_LOG_SINKS);
		return -1;
	}
	hook_delivery.on = true;
	return 0;
}

static int init(void)
{
	struct sb_endpoint *endpoints = NULL;

	if(hook_db_endpoints(&endpoints, &hook_cfg.count) < 0)
		return -1;
	hook_cfg.endpoints = endpoints;
	if(hook_cfg.count > 0)
		return prepare_delivery();
	LM_NOTICE("table %s has no endpoint: no webhook is sent\n", hook_params.db_table);
	return 0;
}

static void run(const volatile sig_atomic_t *stop)
{
	struct sb_deliver *d = NULL;
	char err[1024];

	if(sb_deliver_new(&d, &hook_cfg, err, sizeof(err)) != 0) {
		LM_CRIT("no webhooks can be delivered: %s\n", err);
		return;
	}
	while(!*stop)
		sb_deliver_turn(d, TURN_MS);
	sb_deliver_stop(d, DRAIN_MS);
}

struct hook_sink hook_delivery = {.name = "delivery", .init = init, .run = run};
