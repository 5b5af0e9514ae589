/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the module share among themselves. */
#ifndef HOOK_H
#define HOOK_H

#include "core/sr_module.h"
#include <signal.h>

#include "core/dprint.h"

#include "callstate_api.h"
#include "deliver.h"

#define HOOK_TABLE_VERSION 2
#define HOOK_ENDPOINTS_MAX 256
#define HOOK_SINKS 3

struct hook_params
{
	char *db_url, *db_table, *state_dir, *retry_schedule;
	int jitter; /* percent */
	int connect_timeout_ms, timeout_ms;
	int window;                /* events */
	int probe_max;             /* s */
	int pending_max, dead_max; /* events */
	int deliveries_limit;      /* MB */
	char *call_log;            /* "": db_url's database, "off", or a database of its own */
	int call_log_batch;        /* events */
	int call_log_delay_ms;     /* longest wait for a batch to fill */
	int call_log_timeout_ms;   /* of one exchange with the database */
	int call_log_keep;         /* days, 0: for ever */
	char *layer_log;           /* "": off, a file, or syslog:FACILITY */
	int layer_log_size;        /* MB, then a new file */
	int layer_log_files;       /* kept beside the one that is written */
};

/**
 * A sink: it reads the log at a place of its own, in a process of its own. Kamailio starts and watches the keeper of that process; the
 * process itself may die, and is started again: calls do not notice.
 */
struct hook_sink
{
	const char *name;  /* "delivery": in core.psx it is "callhook delivery" */
	bool on;           /* set by init */
	int (*init)(void); /* mod_init: parameters, files, its place in the log. 0, or -1: said */
	void (*run)(const volatile sig_atomic_t *stop); /* the process, until *stop; no return before everything is kept */
	const struct hook_reload *reload;               /* NULL: it has nothing that can be read again */
};
extern struct hook_sink hook_delivery, hook_call_log, hook_layer_log;
extern struct hook_sink *const hook_sinks[HOOK_SINKS];

extern struct hook_params hook_params;
extern callstate_api_t hook_callstate;

/**
 * Reads and checks every row; each thing that is wrong is logged.
 *
 * @param heard called with each such sentence, may be NULL
 * @return 0 or -1; *out by calloc(), the caller's, also on failure
 */
int hook_db_endpoints(struct sb_endpoint **out, unsigned *count, void (*heard)(const char *sentence));

int hook_shared_init(void);   /* mod_init, before the sinks */
int hook_proc_register(void); /* mod_init */
int hook_proc_fork(void);     /* PROC_MAIN */

int hook_rpc_init(void);
int hook_stats_init(void);

#endif
