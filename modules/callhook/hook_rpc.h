/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RPC: what the files of it share. */
#ifndef HOOK_RPC_H
#define HOOK_RPC_H

#include "hook_shared.h"

#include "core/rpc.h"

/** µs since 1970 as text; nothing for 0. @return 0 or -1 */
int hook_rpc_time(rpc_t *rpc, void *h, const char *name, uint64_t us);

/* hook_rpc_do.c: what changes something. These wait for another process: refused in a SIP worker. */
void hook_rpc_reload(rpc_t *rpc, void *ctx);
void hook_rpc_enable(rpc_t *rpc, void *ctx);
void hook_rpc_disable(rpc_t *rpc, void *ctx);
void hook_rpc_replay(rpc_t *rpc, void *ctx);
void hook_rpc_test(rpc_t *rpc, void *ctx);

#endif
