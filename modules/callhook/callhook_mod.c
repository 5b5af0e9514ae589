/* SPDX-License-Identifier: GPL-2.0-or-later */
/* callhook: who must know? Tables and life cycle. */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/globals.h"
#include "core/kemi.h"
#include "core/mod_fix.h"
#include "user.h"

MODULE_VERSION

#define LOCK_TRIES 20
#define LOCK_PAUSE_MS 50

struct hook_params hook_params = {
		.db_url = "sqlite:///var/lib/signalbox/signalbox.db",
		.db_table = "callhook_endpoint",
		.state_dir = "/var/lib/signalbox/hooks",
		.retry_schedule = SB_SCHEDULE_DEFAULT,
		.jitter = 20,
		.connect_timeout_ms = 3000,
		.timeout_ms = 10000,
		.window = 1024,
		.probe_max = 60,
		.pending_max = 100000,
		.dead_max = 100000,
		.deliveries_limit = 256,
		.call_log = "",
		.call_log_batch = 500,
		.call_log_delay_ms = 100,
		.call_log_timeout_ms = 5000,
		.call_log_keep = 0,
		.layer_log = "",
		.layer_log_size = 100,
		.layer_log_files = 10,
};
callstate_api_t hook_callstate;

static const struct bound
{
	const char *name;
	int *value;
	int min, max;
} bounds[] = {
		{"jitter", &hook_params.jitter, 0, 90},
		{"connect_timeout_ms", &hook_params.connect_timeout_ms, 10, 60000},
		{"timeout_ms", &hook_params.timeout_ms, 100, 300000},
		{"window", &hook_params.window, 1, 65536},
		{"probe_max", &hook_params.probe_max, 1, 3600},
		{"pending_max", &hook_params.pending_max, 1, 10000000},
		{"dead_max", &hook_params.dead_max, 1, 10000000},
		{"deliveries_limit", &hook_params.deliveries_limit, 1, 65536},
		{"call_log_batch", &hook_params.call_log_batch, 1, 10000},
		{"call_log_delay_ms", &hook_params.call_log_delay_ms, 1, 10000},
		{"call_log_timeout_ms", &hook_params.call_log_timeout_ms, 100, 60000},
		{"call_log_keep", &hook_params.call_log_keep, 0, 36500},
		{"layer_log_size", &hook_params.layer_log_size, 1, 65536},
		{"layer_log_files", &hook_params.layer_log_files, 0, 10000},
};

static bool text_ok(const char *name, const char *value, size_t room)
{
	if(value != NULL && value[0] != '\0' && strlen(value) < room)
		return true;
	LM_ERR("modparam(\"callhook\", \"%s\", \"%s\"): must be 1 to %zu characters\n", name, value != NULL ? value : "",
			room - 1);
	return false;
}

static bool params_ok(void)
{
	bool ok = true;

	for(size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *b = &bounds[i];
		if(*b->value >= b->min && *b->value <= b->max)
			continue;
		LM_ERR("modparam(\"callhook\", \"%s\", %d): must be %d to %d\n", b->name, *b->value, b->min, b->max);
		ok = false;
	}
	ok = text_ok("db_url", hook_params.db_url, 256) && ok;
	ok = text_ok("db_table", hook_params.db_table, 64) && ok;
	return text_ok("state_dir", hook_params.state_dir, SB_LOG_PATH - 32) && ok;
}

/* Cursors have one owner. The descriptor is inherited: the lock goes with the last process of this instance. */
static int lock_state_dir(void)
{
	int fd = open(hook_params.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if(fd < 0)
		return 0; /* whoever needs it says what is wrong with it */
	for(int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
		if(tries < LOCK_TRIES && (errno == EWOULDBLOCK || errno == EINTR)) {
			poll(NULL, 0, LOCK_PAUSE_MS);
			continue;
		}
		LM_ERR("state_dir %s is in use by another Kamailio (fuser -v %s names its processes); stop it, or give this "
			   "one "
			   "a state_dir of its own\n",
				hook_params.state_dir, hook_params.state_dir);
		close(fd);
		return -1;
	}
	return 0;
}

static int init(void)
{
	if(!params_ok() || callstate_load_api(&hook_callstate) < 0 || lock_state_dir() < 0 || hook_shared_init() < 0)
		return -1;
	for(size_t i = 0; i < HOOK_SINKS; i++) {
		if(hook_sinks[i]->init() < 0)
			return -1;
	}
	if(hook_rpc_init() < 0 || hook_stats_init() < 0)
		return -1;
	return hook_proc_register();
}

static int mod_init(void)
{
	struct sb_user was;
	int err = sb_user_enter(uid, gid, &was);

	if(err < 0) {
		LM_ERR("cannot act as user %d and group %d (-u, -g): %s\n", uid, gid, strerror(-err));
		return -1;
	}
	err = init();
	sb_user_leave(&was);
	return err;
}

static int child_init(int rank)
{
	return rank == PROC_MAIN ? hook_proc_fork() : 0;
}

/* What a filter can name: custom. and 1 to 57 characters. */
static bool type_ok(const str *type)
{
	if(type->len < 8 || type->len > 64 || memcmp(type->s, "custom.", 7) != 0)
		return false;
	for(int i = 7; i < type->len; i++) {
		if(strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", type->s[i]) == NULL || type->s[i] == '\0')
			return false;
	}
	return true;
}

static int ki_emit(struct sip_msg *msg, str *type, str *text)
{
	int err = type_ok(type) ? hook_callstate.emit(msg, type, text) : -EINVAL;

	switch(err) {
		case 0:
			return 1;
		case -ENOENT:
			LM_DBG("callhook_emit: no call for this message\n");
			return -1;
		case -EINVAL:
			LM_ERR("callhook_emit(\"%.*s\", …): a type is custom. and 1 to 57 characters of a-z 0-9 . _ -\n", type->len,
					type->s);
			return -2;
		default:
			LM_WARN("callhook_emit(\"%.*s\", …): not written: %s\n", type->len, type->s, strerror(-err));
			return -3;
	}
}

static int w_emit(struct sip_msg *msg, char *type, char *text)
{
	str t, x;

	if(fixup_get_svalue(msg, (gparam_t *)type, &t) < 0 || fixup_get_svalue(msg, (gparam_t *)text, &x) < 0) {
		LM_ERR("callhook_emit: a parameter has no value\n");
		return -2;
	}
	return ki_emit(msg, &t, &x);
}

static cmd_export_t cmds[] = {
		{"callhook_emit", w_emit, 2, fixup_spve_spve, fixup_free_spve_spve, ANY_ROUTE},
		{0, 0, 0, 0, 0, 0},
};

static param_export_t params[] = {
		{"db_url", PARAM_STRING, &hook_params.db_url},
		{"db_table", PARAM_STRING, &hook_params.db_table},
		{"state_dir", PARAM_STRING, &hook_params.state_dir},
		{"retry_schedule", PARAM_STRING, &hook_params.retry_schedule},
		{"jitter", PARAM_INT, &hook_params.jitter},
		{"connect_timeout_ms", PARAM_INT, &hook_params.connect_timeout_ms},
		{"timeout_ms", PARAM_INT, &hook_params.timeout_ms},
		{"window", PARAM_INT, &hook_params.window},
		{"probe_max", PARAM_INT, &hook_params.probe_max},
		{"pending_max", PARAM_INT, &hook_params.pending_max},
		{"dead_max", PARAM_INT, &hook_params.dead_max},
		{"deliveries_limit", PARAM_INT, &hook_params.deliveries_limit},
		{"call_log", PARAM_STRING, &hook_params.call_log},
		{"call_log_batch", PARAM_INT, &hook_params.call_log_batch},
		{"call_log_delay_ms", PARAM_INT, &hook_params.call_log_delay_ms},
		{"call_log_timeout_ms", PARAM_INT, &hook_params.call_log_timeout_ms},
		{"call_log_keep", PARAM_INT, &hook_params.call_log_keep},
		{"layer_log", PARAM_STRING, &hook_params.layer_log},
		{"layer_log_size", PARAM_INT, &hook_params.layer_log_size},
		{"layer_log_files", PARAM_INT, &hook_params.layer_log_files},
		{0, 0, 0},
};

struct module_exports exports = {
		.name = "callhook",
		.dlflags = DEFAULT_DLFLAGS,
		.cmds = cmds,
		.params = params,
		.init_mod_f = mod_init,
		.init_child_f = child_init,
};

static sr_kemi_t kemi[] = {
		{str_init("callhook"), str_init("emit"), SR_KEMIP_INT, ki_emit,
				{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE}},
		{{0, 0}, {0, 0}, 0, NULL, {0, 0, 0, 0, 0, 0}},
};

int mod_register(char *path, int *dlflags, void *p1, void *p2)
{
	sr_kemi_modules_add(kemi);
	return 0;
}
