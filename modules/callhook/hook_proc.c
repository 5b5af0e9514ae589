/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes of the sinks. */
#include "hook.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "core/cfg/cfg_struct.h"
#include "core/pt.h"

static struct hook_sink *const sinks[] = {&hook_delivery, &hook_call_log, &hook_layer_log};
#define SINKS (sizeof(sinks) / sizeof(sinks[0]))

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

static void run(struct hook_sink *s, pid_t parent)
{
	struct sigaction sa = {.sa_handler = on_term};

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if(getppid() == parent)
		s->run(&stop);
	_exit(stop ? 0 : 1);
}

int hook_proc_register(void)
{
	int n = 0;

	for(size_t i = 0; i < SINKS; i++)
		n += sinks[i]->on;
	if(n > 0 && register_procs(n) < 0)
		return -1;
	cfg_register_child(n);
	return 0;
}

int hook_proc_fork(void)
{
	char name[64];

	for(size_t i = 0; i < SINKS; i++) {
		pid_t parent = getpid();
		int pid;

		if(!sinks[i]->on)
			continue;
		snprintf(name, sizeof(name), "callhook %s", sinks[i]->name);
		pid = fork_process(PROC_NOCHLDINIT, name, 0);
		if(pid < 0) {
			LM_ERR("the process %s could not be started\n", name);
			return -1;
		}
		if(pid == 0) {
			if(cfg_child_init())
				_exit(1);
			run(sinks[i], parent);
		}
	}
	return 0;
}
