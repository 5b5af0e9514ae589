/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RPC: what the files of it share. */
#ifndef HOOK_RPC_H
#define HOOK_RPC_H

#include "hook_shared.h"

#include "core/rpc.h"

/** µs since 1970 as text; nothing for 0. @return 0 or -1 */
int hook_rpc_time(rpc_t *rpc, void *h, const char *name, uint64_t us);

/* hook_rpc_do.c */
bool hook_rpc_in_sip_worker(void);
/** A SIP worker waits for nobody, and reads no file. @return false: refused */
bool hook_rpc_may_wait(rpc_t *rpc, void *ctx);
/* What changes something; these wait for another process. */
void hook_rpc_reload(rpc_t *rpc, void *ctx);
void hook_rpc_enable(rpc_t *rpc, void *ctx);
void hook_rpc_disable(rpc_t *rpc, void *ctx);
void hook_rpc_replay(rpc_t *rpc, void *ctx);
void hook_rpc_test(rpc_t *rpc, void *ctx);

#endif
