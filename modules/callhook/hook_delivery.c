/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sink that posts webhooks. */
#include "hook_shared.h"

#define MIB (1024ull * 1024)
#define TURN_MS 200
#define DRAIN_MS 500
#define DRAIN_RELOAD_MS 3000 /* nobody waits for the end of the process then */

static int log_sink = -1;
static struct sb_schedule schedule;

static void say(enum sb_deliver_level level, const char *text)
{
	if(level == SB_DELIVER_ERROR)
		LM_ERR("%s\n", text);
	else if(level == SB_DELIVER_WARNING)
		LM_WARN("%s\n", text);
	else
		LM_NOTICE("%s\n", text);
}

/* As the parameters and the present set of endpoints say. */
static struct sb_deliver_cfg configured(void)
{
	return (struct sb_deliver_cfg){.log = hook_callstate.log,
			.sink = log_sink,
			.state_dir = hook_params.state_dir,
			.endpoints = hook_shared->set.ep,
			.count = hook_shared->set.count,
			.begin = hook_shared->set.begin,
			.schedule = schedule,
			.connect_timeout_ms = (unsigned)hook_params.connect_timeout_ms,
			.timeout_ms = (unsigned)hook_params.timeout_ms,
			.probe_max_s = (unsigned)hook_params.probe_max,
			.window = (uint32_t)hook_params.window,
			.pending_max = (uint64_t)hook_params.pending_max,
			.dead_max = (uint64_t)hook_params.dead_max,
			.deliveries_limit = (uint64_t)hook_params.deliveries_limit * MIB,
			.status = &hook_shared->status,
			.say = say};
}

static bool schedule_ok(void)
{
	char err[256];

	if(sb_schedule_parse(&schedule, hook_params.retry_schedule, (unsigned)hook_params.jitter, err, sizeof(err)) == 0)
		return true;
	LM_ERR("modparam(\"callhook\", \"retry_schedule\", …): %s\n", err);
	return false;
}

static int init(void)
{
	struct sb_deliver_cfg cfg;
	char err[1024];

	if(!schedule_ok() || hook_endpoints_first() < 0)
		return -1;
	if(hook_shared->set.count == 0)
		LM_NOTICE("table %s has no endpoint: no webhook is sent until there is one, and callhook.reload\n",
				hook_params.db_table);
	cfg = configured();
	if(sb_deliver_prepare(&cfg, err, sizeof(err)) != 0) {
		LM_ERR("%s\n", err);
		return -1;
	}
	log_sink = sb_log_sink(hook_callstate.log->sh, "callhook");
	if(log_sink < 0) {
		LM_ERR("the log has no place for another sink: at most %u\n", SB_LOG_SINKS);
		return -1;
	}
	hook_delivery.on = true;
	return 0;
}

static void run(const volatile sig_atomic_t *stop)
{
	struct sb_deliver_cfg cfg = configured();
	struct sb_deliver *d = NULL;
	char err[1024];

	hook_mail_begin();
	if(sb_deliver_prepare(&cfg, err, sizeof(err)) != 0 || sb_deliver_new(&d, &cfg, err, sizeof(err)) != 0) {
		LM_CRIT("no webhooks can be delivered: %s\n", err);
		return;
	}
	while(!*stop) {
		hook_mail_serve(d);
		sb_deliver_turn(d, TURN_MS);
	}
	sb_deliver_stop(d, atomic_load(&hook_shared->reload.state) == HOOK_RELOAD_READING ? DRAIN_RELOAD_MS : DRAIN_MS);
}

struct hook_sink hook_delivery = {.name = "delivery", .init = init, .run = run, .reload = &hook_endpoints_reload};
