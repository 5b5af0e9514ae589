/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes of the sinks. */
#include "hook_keeper.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/cfg/cfg_struct.h"
#include "core/pt.h"

struct hook_sink *const hook_sinks[HOOK_SINKS] = {&hook_delivery, &hook_call_log, &hook_layer_log};
static int wake_fd[HOOK_SINKS] = {-1, -1, -1};

int hook_proc_register(void)
{
	int n = 0;

	for(size_t i = 0; i < HOOK_SINKS; i++) {
		if(!hook_sinks[i]->on)
			continue;
		wake_fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if(wake_fd[i] < 0) {
			LM_ERR("no eventfd: %s; are there too many open files (ulimit -n)?\n", strerror(errno));
			return -1;
		}
		n++;
	}
	if(n > 0 && register_procs(n) < 0)
		return -1;
	cfg_register_child(n);
	return 0;
}

void hook_keeper_wake(const struct hook_sink *s)
{
	const uint64_t one = 1;

	for(size_t i = 0; i < HOOK_SINKS; i++) {
		if(hook_sinks[i] == s && wake_fd[i] >= 0 && write(wake_fd[i], &one, sizeof(one)) < 0)
			LM_DBG("the keeper sees it within a second\n");
	}
}

int hook_proc_fork(void)
{
	char name[64];

	for(size_t i = 0; i < HOOK_SINKS; i++) {
		pid_t parent = getpid();
		int pid;

		if(!hook_sinks[i]->on)
			continue;
		snprintf(name, sizeof(name), "callhook %s", hook_sinks[i]->name);
		pid = fork_process(PROC_NOCHLDINIT, name, 0);
		if(pid < 0) {
			LM_ERR("the process %s could not be started\n", name);
			return -1;
		}
		if(pid == 0) {
			if(cfg_child_init())
				_exit(1);
			hook_keep(hook_sinks[i], &hook_shared->worker[i], wake_fd[i], parent);
		}
	}
	return 0;
}
