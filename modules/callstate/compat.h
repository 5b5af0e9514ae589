/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between the Kamailio versions that we build for: 5.6 and 6.x. */
#ifndef CS_COMPAT_H
#define CS_COMPAT_H

#include "core/rpc.h"

#ifdef RET_ARRAY
#define CS_RPC_ARRAY RET_ARRAY
#else
#define CS_RPC_ARRAY RPC_RET_ARRAY
#endif

#endif
