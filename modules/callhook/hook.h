/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the module share among themselves. */
#ifndef HOOK_H
#define HOOK_H

#include "core/sr_module.h"
#include "core/dprint.h"

#include "callstate_api.h"
#include "deliver.h"

#define HOOK_TABLE_VERSION 1
#define HOOK_ENDPOINTS_MAX 256

struct hook_params
{
	char *db_url, *db_table, *state_dir, *retry_schedule;
	int jitter; /* percent */
	int connect_timeout_ms, timeout_ms;
	int window;                /* events */
	int probe_max;             /* s */
	int pending_max, dead_max; /* events */
	int deliveries_limit;      /* MB */
};

extern struct hook_params hook_params;
extern struct sb_deliver_cfg hook_cfg; /* count = 0: nothing to deliver to, no process */
extern callstate_api_t hook_callstate;

/** Reads and checks every row; each thing that is wrong is logged. @return 0 or -1; *out by calloc(), the caller's */
int hook_db_endpoints(struct sb_endpoint **out, unsigned *count);

int hook_proc_register(void); /* mod_init */
int hook_proc_fork(void);     /* PROC_MAIN */

int hook_rpc_init(void);
int hook_stats_init(void);

#endif
