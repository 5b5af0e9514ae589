/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The delivery process. */
#include "hook.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/cfg/cfg_struct.h"
#include "core/pt.h"

#define TURN_MS 200
#define DRAIN_MS 500

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

static void deliver(pid_t parent)
{
	struct sigaction sa = {.sa_handler = on_term};
	struct sb_deliver *d = NULL;
	char err[1024];

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if(getppid() != parent)
		_exit(0);
	if(sb_deliver_new(&d, &hook_cfg, err, sizeof(err)) != 0) {
		LM_CRIT("no webhooks can be delivered: %s\n", err);
		_exit(1);
	}
	while(!stop) {
		sb_deliver_turn(d, TURN_MS);
		cfg_update();
	}
	sb_deliver_stop(d, DRAIN_MS);
	_exit(0);
}

int hook_proc_register(void)
{
	if(register_procs(1) < 0)
		return -1;
	cfg_register_child(1);
	return 0;
}

int hook_proc_fork(void)
{
	pid_t parent = getpid();
	int pid = fork_process(PROC_NOCHLDINIT, "callhook delivery", 0);

	if(pid < 0) {
		LM_ERR("the delivery process could not be started\n");
		return -1;
	}
	if(pid == 0) {
		if(cfg_child_init())
			_exit(1);
		deliver(parent);
	}
	return 0;
}
