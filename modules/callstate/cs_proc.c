/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Our own processes: the spool's (collects what the workers wrote), the journal's (it may wait for a disk), the timer's. */
#include "cs_view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "core/cfg/cfg_struct.h"
#include "core/globals.h"
#include "core/pt.h"
#include "core/timer_proc.h"

#define TICK_US 200000
#define ALARM_US 1000000
#define PASS_MS 4       /* between two passes over the rings … */
#define PASS_BUSY_MS 16 /* … when the last one found more than FEW records: fewer wake-ups beside the SIP workers */
#define FEW 6
#define IDLE_PASSES 5 /* without a record, before the collector sleeps and must be woken */
#define IDLE_MS 1000
#define GRACE_US 300000

int cs_checkpoint_sink = -1;

static volatile sig_atomic_t stop;
static pid_t parent;

static void on_term(int sig)
{
	stop = 1;
}

/* SIGKILL of the main process leaves its children serving without it: nobody would restart them, and the next start
 * would find their sockets. So they go too. */
static void end_orphans(void)
{
	int me = my_pid();

	LM_CRIT("the main process %d is gone: ending its %d processes\n", (int)parent, get_proc_no());
	for(int sig = SIGTERM;; sig = SIGKILL) {
		for(int i = 0; i < get_proc_no(); i++)
			if(pt[i].pid > 1 && pt[i].pid != me && pt[i].pid != parent)
				kill(pt[i].pid, sig);
		if(sig == SIGKILL)
			break;
		usleep(GRACE_US);
	}
	_exit(1);
}

/* Looks at one record whose deadline has passed. @return its ref if its limit is reached, or 0 */
static uint64_t look(struct cs_call *c, uint64_t mono)
{
	uint64_t hash = c->hash, ref = 0;
	struct cs_ctx x;

	cs_lock(hash);
	if(!(c->gen & 1) || c->hash != hash || c->deadline == 0 || c->deadline > mono) {
		cs_unlock(hash);
		return 0;
	}
	cs_context(&x, NULL);
	switch(cs_on_deadline(c, &x)) {
		case CS_DUE_FREE:
			cs_release_holds(c, 0);
			cs_free_locked(c);
			cs_unlock(hash);
			return 0;
		case CS_DUE_LIMIT:
			ref = cs_ref(c);
			break;
		default:
			break;
	}
	cs_put(c);
	return ref;
}

/* Only a restart makes them, so that there is nothing to count for most of the time. */
static void count_restored_setup(uint32_t made)
{
	int64_t n = 0;

	if(cs_sh->n.restored_setup == 0)
		return;
	for(uint32_t i = 0; i < made; i++) {
		const struct cs_call *c = cs_at(i);

		n += (c->gen & 1) && (c->flags & (CS_F_RESTORED | CS_F_ATTACHED)) == CS_F_RESTORED && !cs_answered(c);
	}
	cs_sh->n.restored_setup = n;
}

static void on_tick(unsigned int ticks, void *param)
{
	static uint64_t next_alarm;
	uint64_t mono = cs_mono();
	uint32_t made = cs_sh->made;

	if(parent && getppid() != parent)
		end_orphans();
	for(uint32_t i = 0; i < made; i++) {
		uint64_t due = atomic_load_explicit(&cs_sh->due[i], memory_order_relaxed), ref;

		if(due == 0 || due > mono)
			continue;
		ref = look(cs_at(i), mono);
		if(ref)
			cs_end_call(ref, CS_C_MAX_DURATION);
	}
	count_restored_setup(made);
	cs_loser_tick(mono);
	if(mono >= next_alarm) {
		cs_alarm_tick(mono);
		next_alarm = mono + ALARM_US;
	}
}

static void collect_for_ever(struct sb_collector *c)
{
	unsigned idle = 0;
	int64_t said = 0;

	while(!stop) {
		int64_t n = sb_collector_pass(c);

		if(n < 0 && n != said)
			LM_ERR("the spool %s cannot be written: %s; calls go on, events wait in memory\n", cs_log.cfg.spool_dir,
					strerror((int)-n));
		said = n < 0 ? n : 0;
		idle = n != 0 ? 0 : idle + 1;
		if(idle > IDLE_PASSES)
			sb_collector_wait(c, IDLE_MS);
		else
			poll(NULL, 0, n > FEW ? PASS_BUSY_MS : PASS_MS);
	}
	sb_collector_pass(c);
}

static void spool_process(void)
{
	struct sigaction sa = {.sa_handler = on_term};
	struct sb_collector *c;
	int err;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	err = sb_collector_new(&c, &cs_log, (unsigned)process_no);
	if(err < 0) {
		LM_CRIT("no spool process: %s\n", strerror(-err));
		_exit(1);
	}
	collect_for_ever(c);
	sb_collector_free(c);
	_exit(0);
}

static void move_for_ever(struct sb_mover *m)
{
	uint64_t next = cs_mono() + (uint64_t)cs_params.checkpoint_s * 1000000;

	while(!stop) {
		sb_mover_step(m, cs_now());
		cfg_update();
		if(cs_mono() >= next) {
			int err = cs_checkpoint();

			if(err < 0)
				LM_ERR("no checkpoint could be written to %s: %s\n", cs_log.cfg.journal_dir, strerror(-err));
			next = cs_mono() + (uint64_t)cs_params.checkpoint_s * 1000000;
		}
		poll(NULL, 0, cs_params.sync_ms);
	}
	sb_mover_step(m, cs_now());
}

static void journal_process(void)
{
	struct sigaction sa = {.sa_handler = on_term};
	struct sb_mover *m;
	int err;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	err = sb_mover_new(&m, &cs_log);
	if(err < 0) {
		LM_CRIT("no journal process: %s\n", strerror(-err));
		_exit(1);
	}
	move_for_ever(m);
	sb_mover_free(m);
	_exit(0);
}

int cs_proc_register(void)
{
	if(register_procs(2) < 0 || register_basic_timers(1) < 0)
		return -1;
	cfg_register_child(2);
	cs_checkpoint_sink = sb_log_sink(&cs_sh->log, "checkpoint");
	return 0;
}

static int fork_own(char *name, void (*run)(void))
{
	int pid = fork_process(PROC_NOCHLDINIT, name, 1);

	if(pid < 0) {
		LM_ERR("the process %s could not be started\n", name);
		return -1;
	}
	if(pid == 0) {
		if(cfg_child_init())
			_exit(1);
		run();
	}
	return 0;
}

int cs_proc_fork(void)
{
	parent = getpid();
	if(fork_basic_utimer(PROC_TIMER, "callstate timer", 1, on_tick, NULL, TICK_US) < 0) {
		LM_ERR("the timer process could not be started\n");
		return -1;
	}
	if(fork_own("callstate spool", spool_process) < 0 || fork_own("callstate journal", journal_process) < 0)
		return -1;
	return 0;
}
