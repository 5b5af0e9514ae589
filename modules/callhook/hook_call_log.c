/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sink that writes the call log. */
#include "hook.h"

static int init(void)
{
	return 0;
}

static void run(const volatile sig_atomic_t *stop)
{
}

struct hook_sink hook_call_log = {.name = "call log", .init = init, .run = run};
