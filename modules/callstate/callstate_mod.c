/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Export tables and life cycle. */
#include "callstate.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/globals.h"
#include "core/kemi.h"
#include "core/mod_fix.h"
#include "core/pt.h"
#include "user.h"

MODULE_VERSION

#define MIB 1048576ull
#define LOCK_WAIT_MS 4000
#define RING_SIZE MIB /* a worker's ring: what it may write while the collector sleeps */

struct cs_params cs_params = {
		.spool_dir = str_init("/run/signalbox/spool"),
		.journal_dir = str_init("/var/lib/signalbox/journal"),
		.calls_max = 10000,
		.setup_timeout = 200,
		.max_duration = 14400,
		.sync_ms = 200,
		.checkpoint_s = 30,
		.auto_start = 1,
		.segment_size = 8,
		.spool_limit = 256,
		.journal_keep = 1024,
		.journal_limit = 8192,
};

static const struct bound
{
	const char *name;
	int *value;
	int min, max;
} bounds[] = {
		{"calls_max", &cs_params.calls_max, 1, 1000000},
		{"setup_timeout", &cs_params.setup_timeout, 1, 3600},
		{"max_duration", &cs_params.max_duration, 0, 604800},
		{"sync_ms", &cs_params.sync_ms, 1, 10000},
		{"checkpoint_s", &cs_params.checkpoint_s, 1, 3600},
		{"auto_start", &cs_params.auto_start, 0, 1},
		{"segment_size", &cs_params.segment_size, 1, 1024},
		{"spool_limit", &cs_params.spool_limit, 2, 1048576},
		{"journal_keep", &cs_params.journal_keep, 1, 16777216},
		{"journal_limit", &cs_params.journal_limit, 1, 16777216},
};

static bool params_ok(void)
{
	bool ok = true;

	for(size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *b = &bounds[i];

		if(*b->value >= b->min && *b->value <= b->max)
			continue;
		LM_ERR("modparam(\"callstate\", \"%s\", %d): must be %d to %d\n", b->name, *b->value, b->min, b->max);
		ok = false;
	}
	if(cs_params.segment_size * 2 > cs_params.spool_limit) {
		LM_ERR("modparam(\"callstate\", \"spool_limit\", %d): must be at least twice segment_size (%d)\n",
				cs_params.spool_limit, cs_params.segment_size);
		ok = false;
	}
	if(cs_params.spool_dir.len >= (int)SB_LOG_PATH || cs_params.journal_dir.len >= (int)SB_LOG_PATH) {
		LM_ERR("spool_dir and journal_dir must be shorter than %u characters\n", SB_LOG_PATH);
		ok = false;
	}
	return ok;
}

static void read_boot_id(void)
{
	char text[38] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if(fd < 0)
		return;
	if(read(fd, text, 37) > 0) {
		text[36] = 0;
		sb_uuid_parse(cs_boot, text);
	}
	close(fd);
}

static int open_log(void)
{
	struct sb_log_cfg cfg = {0};
	char why[512];
	int err;

	memcpy(cfg.spool_dir, cs_params.spool_dir.s, (size_t)cs_params.spool_dir.len);
	memcpy(cfg.journal_dir, cs_params.journal_dir.s, (size_t)cs_params.journal_dir.len);
	cfg.segment_size = (uint64_t)cs_params.segment_size * MIB;
	cfg.spool_limit = (uint64_t)cs_params.spool_limit * MIB;
	cfg.ring_size = RING_SIZE;
	cfg.journal_keep = (uint64_t)cs_params.journal_keep * MIB;
	cfg.journal_limit = (uint64_t)cs_params.journal_limit * MIB;
	err = sb_log_open(&cs_log, &cfg, &cs_sh->log, LOCK_WAIT_MS, why, sizeof(why));
	if(err < 0) {
		LM_ERR("%s\n", why);
		return -1;
	}
	if(sb_log_on_tmpfs(cfg.spool_dir) == 0)
		LM_WARN("spool_dir %s is not on tmpfs: a SIP worker may wait for the disk; use a folder under /run or "
				"/dev/shm\n",
				cfg.spool_dir);
	return 0;
}

static void log_start(void)
{
	static struct
	{
		struct sb_rec_hdr hdr;
		uint8_t payload[256];
	} rec;
	struct sb_out out = {.p = rec.payload, .cap = sizeof(rec.payload)};

	sb_put_time(&out, SB_C_AT, cs_now());
	sb_put_str(&out, SB_C_NODE, cs_log.node, strlen(cs_log.node));
	sb_put_uuid(&out, SB_C_F_BOOT, cs_boot);
	if(sb_log_append(&cs_log, SB_X_START, SB_KEEP, &rec, (uint32_t)out.len, NULL) < 0)
		LM_ERR("the start could not be written to the spool %s\n", cs_log.cfg.spool_dir);
}

static bool attach_log(int process)
{
	int err = sb_log_attach(&cs_log, (unsigned)process);

	if(err == 0)
		return true;
	LM_ERR("process %d cannot write to the spool %s: %s (each process needs %llu kB there, and there may be %u; df "
		   "%s)\n",
			process, cs_log.cfg.spool_dir, strerror(-err), RING_SIZE / 1024, SB_LOG_WRITERS, cs_log.cfg.spool_dir);
	return false;
}

static int init(void)
{
	if(!params_ok() || cs_table_init((unsigned)cs_params.calls_max) < 0 || cs_transfer_init() < 0
			|| cs_loser_init() < 0)
		return -1;
	read_boot_id();
	if(open_log() < 0)
		return -1;
	if(cs_tm_init() < 0 || cs_dialog_init() < 0 || cs_stateless_init() < 0 || cs_beside_init() < 0)
		return -1;
	if(cs_rpc_init() < 0 || cs_stats_init() < 0 || cs_proc_register() < 0)
		return -1;
	if(!attach_log(0))
		return -1;
	log_start();
	return cs_restore();
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
	if(rank == PROC_MAIN)
		return cs_proc_fork();
	return rank == PROC_INIT || attach_log(process_no) ? 0 : -1;
}

static void mod_destroy(void)
{
	if(cs_sh)
		sb_log_close(&cs_log);
}

static int ki_start(struct sip_msg *msg)
{
	return cs_start(msg);
}

static int w_start(struct sip_msg *msg, char *p1, char *p2)
{
	return ki_start(msg);
}

static int ki_set(struct sip_msg *msg, str *name, str *value)
{
	switch(cs_set(msg, name, value)) {
		case 0:
			return 1;
		case -ENOENT:
			LM_DBG("callstate_set: no call for this message\n");
			return -1;
		case -ENOSPC:
			LM_WARN("callstate_set(\"%.*s\", …): more than 512 bytes of attributes on one call\n", name->len, name->s);
			return -3;
		default:
			LM_ERR("callstate_set(\"%.*s\", \"%.*s\"): expected direction, did, flow, agent, trunk, max_duration "
				   "(seconds), "
				   "customer.NAME or attr.NAME\n",
					name->len, name->s, value->len, value->s);
			return -2;
	}
}

static int w_set(struct sip_msg *msg, char *name, char *value)
{
	str n, v;

	if(fixup_get_svalue(msg, (gparam_t *)name, &n) < 0 || fixup_get_svalue(msg, (gparam_t *)value, &v) < 0) {
		LM_ERR("callstate_set: a parameter has no value\n");
		return -1;
	}
	return ki_set(msg, &n, &v);
}

static int w_bind(struct sip_msg *msg, char *p1, char *p2)
{
	return cs_bind_api((callstate_api_t *)msg);
}

static cmd_export_t cmds[] = {
		{"callstate_start", w_start, 0, 0, 0, REQUEST_ROUTE},
		{"callstate_set", w_set, 2, fixup_spve_spve, fixup_free_spve_spve, ANY_ROUTE},
		{"bind_callstate", w_bind, 1, 0, 0, 0},
		{0, 0, 0, 0, 0, 0},
};

static param_export_t params[] = {
		{"spool_dir", PARAM_STR, &cs_params.spool_dir},
		{"journal_dir", PARAM_STR, &cs_params.journal_dir},
		{"calls_max", PARAM_INT, &cs_params.calls_max},
		{"setup_timeout", PARAM_INT, &cs_params.setup_timeout},
		{"max_duration", PARAM_INT, &cs_params.max_duration},
		{"sync_ms", PARAM_INT, &cs_params.sync_ms},
		{"checkpoint_s", PARAM_INT, &cs_params.checkpoint_s},
		{"auto_start", PARAM_INT, &cs_params.auto_start},
		{"segment_size", PARAM_INT, &cs_params.segment_size},
		{"spool_limit", PARAM_INT, &cs_params.spool_limit},
		{"journal_keep", PARAM_INT, &cs_params.journal_keep},
		{"journal_limit", PARAM_INT, &cs_params.journal_limit},
		{0, 0, 0},
};

static pv_export_t pvs[] = {
		{{"call", sizeof("call") - 1}, PVT_OTHER, cs_pv_get, 0, cs_pv_parse_name, 0, 0, 0},
		{{0, 0}, 0, 0, 0, 0, 0, 0, 0},
};

struct module_exports exports = {
		.name = "callstate",
		.dlflags = DEFAULT_DLFLAGS,
		.cmds = cmds,
		.params = params,
		.pv_items = pvs,
		.response_f = cs_on_stateless_reply,
		.init_mod_f = mod_init,
		.init_child_f = child_init,
		.destroy_mod_f = mod_destroy,
};

static sr_kemi_t kemi[] = {
		{str_init("callstate"), str_init("start"), SR_KEMIP_INT, ki_start,
				{SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE}},
		{str_init("callstate"), str_init("set"), SR_KEMIP_INT, ki_set,
				{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE}},
		{{0, 0}, {0, 0}, 0, NULL, {0, 0, 0, 0, 0, 0}},
};

int mod_register(char *path, int *dlflags, void *p1, void *p2)
{
	sr_kemi_modules_add(kemi);
	return 0;
}
