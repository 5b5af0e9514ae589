/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keeper of a sink's process: starts it, starts it again when it dies, takes it along when it ends itself. */
#define _GNU_SOURCE /* ppoll */
#include "hook_keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/cfg/cfg_struct.h"

#define BACKOFF_MIN_US 100000u
#define BACKOFF_MAX_US 10000000u
#define GOOD_LIFE_US 1000000u /* a worker that lived so long did not fail at its start */
#define END_US 5000000u       /* from SIGTERM to SIGKILL */

struct keeper
{
	const struct hook_sink *sink;
	struct hook_worker *rec;
	int wake_fd;
	sigset_t waiting; /* signals that get through while it waits */
	pid_t worker, loader;
	uint64_t born_at, start_at; /* monotonic µs */
	uint64_t kill_at, loader_until;
	uint64_t backoff;
	bool ending;    /* the worker was asked to end */
	bool switching; /* … so that what was loaded takes effect */
	bool late;      /* the loader was killed for being late */
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

static void on_child(int sig)
{
}

static uint64_t us_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void handle(int sig, void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler};

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

/* In the child: its own signals, its own name. It is killed when the keeper dies: it has the lock of the spool and sockets of Kamailio's, and
 * would keep the next start out, for as long as it is stopped or busy. */
static void child_begins(const struct keeper *k, pid_t parent, const char *name, void (*term)(int))
{
	sigset_t none;

	handle(SIGTERM, term);
	handle(SIGINT, term);
	handle(SIGCHLD, SIG_DFL);
	handle(SIGUSR1, SIG_IGN);
	handle(SIGUSR2, SIG_IGN);
	handle(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, name);
	if(getppid() != parent)
		_exit(1);
	hook_leave_shared_memory();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void start_worker(struct keeper *k)
{
	pid_t self = getpid(), pid;
	char name[16];

	cfg_update(); /* nobody else holds what it lets go */
	pid = fork();
	if(pid == 0) {
		snprintf(name, sizeof(name), "hook %s", k->sink->name);
		child_begins(k, self, name, on_term);
		k->sink->run(&stop);
		_exit(stop ? 0 : 1);
	}
	k->born_at = us_of(CLOCK_MONOTONIC);
	if(pid < 0) {
		LM_ERR("callhook %s: no process could be made: %s; tried again in 10 s\n", k->sink->name, strerror(errno));
		k->start_at = k->born_at + BACKOFF_MAX_US;
		return;
	}
	k->worker = pid;
	k->ending = false;
	k->kill_at = 0;
	atomic_store(&k->rec->started_at, us_of(CLOCK_REALTIME));
	atomic_store(&k->rec->next_at, 0);
	atomic_store(&k->rec->pid, pid);
	atomic_fetch_add(&k->rec->starts, 1);
}

static void end_worker(struct keeper *k)
{
	if(k->worker == 0 || k->ending)
		return;
	k->ending = true;
	k->kill_at = us_of(CLOCK_MONOTONIC) + END_US;
	kill(k->worker, SIGTERM);
}

void hook_end_text(char *out, size_t room, int status)
{
	if(WIFSIGNALED(status))
		snprintf(out, room, "killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
				WCOREDUMP(status) ? ", core dumped" : "");
	else
		snprintf(out, room, "ended by itself with %d", WEXITSTATUS(status));
}

static void worker_ended(struct keeper *k, int status)
{
	uint64_t now = us_of(CLOCK_MONOTONIC);
	char how[96];

	atomic_store(&k->rec->pid, 0);
	k->worker = 0;
	k->start_at = now;
	if(k->ending || stop)
		return;
	if(now - k->born_at >= GOOD_LIFE_US)
		k->backoff = 0;
	k->backoff = k->backoff == 0 ? BACKOFF_MIN_US : k->backoff * 2 < BACKOFF_MAX_US ? k->backoff * 2 : BACKOFF_MAX_US;
	k->start_at = now + k->backoff;
	atomic_store(&k->rec->ended, status);
	atomic_store(&k->rec->ended_at, us_of(CLOCK_REALTIME));
	atomic_store(&k->rec->next_at, us_of(CLOCK_REALTIME) + k->backoff);
	atomic_fetch_add(&k->rec->ends, 1);
	hook_end_text(how, sizeof(how), status);
	LM_ERR("callhook %s: its process was %s after %.1f s; started again in %.1f s (%llu such ends since the start); "
		   "calls go on\n",
			k->sink->name, how, (double)(now - k->born_at) / 1e6, (double)k->backoff / 1e6,
			(unsigned long long)atomic_load(&k->rec->ends));
}

static void start_loader(struct keeper *k)
{
	pid_t self = getpid(), pid = fork();

	if(pid == 0) {
		child_begins(k, self, "hook reload", SIG_DFL);
		_exit(k->sink->reload->load() == 0 ? 0 : 1);
	}
	if(pid < 0) {
		k->sink->reload->failed("no process could be made to read the table");
		return;
	}
	k->loader = pid;
	k->late = false;
	k->loader_until = us_of(CLOCK_MONOTONIC) + k->sink->reload->timeout_s * 1000000ull;
}

static void loader_ended(struct keeper *k, int status)
{
	char how[96], why[256];

	k->loader = 0;
	if(WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		k->switching = true;
		end_worker(k);
		return;
	}
	hook_end_text(how, sizeof(how), status);
	if(k->late)
		snprintf(why, sizeof(why), "the database did not answer within %u s: is it up, and reachable?",
				k->sink->reload->timeout_s);
	else
		snprintf(why, sizeof(why), "the process that read the table was %s", how);
	k->sink->reload->failed(WIFEXITED(status) ? NULL : why);
}

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if(pid == k->worker)
			worker_ended(k, status);
		else if(pid == k->loader)
			loader_ended(k, status);
	}
}

static void sooner(uint64_t *when, uint64_t at)
{
	if(at != 0 && at < *when)
		*when = at;
}

static void wait_for_something(struct keeper *k, uint64_t now)
{
	struct pollfd p = {.fd = k->wake_fd, .events = POLLIN};
	uint64_t when = now + 1000000, n;
	struct timespec t;

	if(k->worker == 0 && !stop)
		sooner(&when, k->start_at);
	sooner(&when, k->kill_at);
	if(k->loader != 0)
		sooner(&when, k->loader_until);
	when = when > now ? when - now : 0;
	t = (struct timespec){.tv_sec = (time_t)(when / 1000000), .tv_nsec = (long)(when % 1000000) * 1000};
	if(ppoll(&p, 1, &t, &k->waiting) > 0 && read(k->wake_fd, &n, sizeof(n)) < 0)
		LM_DBG("somebody else was faster\n");
}

/* @return false: everything has ended */
static bool turn(struct keeper *k)
{
	uint64_t now;

	reap(k);
	now = us_of(CLOCK_MONOTONIC);
	if(k->kill_at != 0 && now >= k->kill_at && k->worker != 0) {
		LM_WARN("callhook %s: its process did not end within %u s and is killed; what it had under way is done again\n",
				k->sink->name, END_US / 1000000);
		kill(k->worker, SIGKILL);
		k->kill_at = now + END_US;
	}
	if(k->loader != 0 && now >= k->loader_until) {
		k->late = true;
		k->loader_until = now + END_US;
		kill(k->loader, SIGKILL);
	}
	if(stop) {
		end_worker(k);
		if(k->loader != 0)
			kill(k->loader, SIGKILL);
		return k->worker != 0 || k->loader != 0;
	}
	if(k->worker == 0 && k->switching) {
		k->switching = false;
		k->sink->reload->switch_to();
		k->start_at = now;
	}
	if(k->worker == 0 && now >= k->start_at)
		start_worker(k);
	if(k->sink->reload != NULL && k->loader == 0 && !k->switching && k->sink->reload->wanted())
		start_loader(k);
	return true;
}

void hook_keep(const struct hook_sink *sink, struct hook_worker *rec, int wake_fd, pid_t parent)
{
	struct keeper k = {.sink = sink, .rec = rec, .wake_fd = wake_fd};
	sigset_t mine;

	/* they come in while it waits, and at no other time */
	sigemptyset(&mine);
	sigaddset(&mine, SIGTERM);
	sigaddset(&mine, SIGINT);
	sigaddset(&mine, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mine, &k.waiting);
	sigdelset(&k.waiting, SIGTERM);
	sigdelset(&k.waiting, SIGINT);
	sigdelset(&k.waiting, SIGCHLD);
	handle(SIGTERM, on_term);
	handle(SIGINT, on_term);
	handle(SIGCHLD, on_child);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if(getppid() != parent)
		_exit(1);
	atomic_store(&rec->keeper, getpid());
	while(turn(&k))
		wait_for_something(&k, us_of(CLOCK_MONOTONIC));
	_exit(0);
}
