/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sink that writes the call log. */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "core/counters.h"
#include "core/mem/shm_mem.h"
#include "core/rpc.h"
#include "core/rpc_lookup.h"

#include "call_log.h"

#define OFF "off"
#define DATABASE_FILE "database"
#define PATH (SB_LOG_PATH + 32)
#define GRACE_S 1 /* from SIGTERM on, for an exchange with the database that is under way */

static struct sb_db_url url;
static struct sb_call_log_status *status;
static int sink = -1;
static void (*on_term)(int);

static void say(enum sb_call_log_level level, const char *text)
{
	if(level == SB_CALL_LOG_ERROR)
		LM_ERR("%s\n", text);
	else if(level == SB_CALL_LOG_WARNING)
		LM_WARN("%s\n", text);
	else
		LM_NOTICE("%s\n", text);
}

static uint64_t microseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- before the fork ---- */

static bool has_scheme(const char *text, const char *scheme)
{
	return strncmp(text, scheme, strlen(scheme)) == 0;
}

/* @return the URL, or NULL: off */
static const char *wanted(void)
{
	if(strcmp(hook_params.call_log, OFF) == 0)
		return NULL;
	if(hook_params.call_log[0] != '\0')
		return hook_params.call_log;
	if(has_scheme(hook_params.db_url, "sqlite:") || has_scheme(hook_params.db_url, "mysql:"))
		return hook_params.db_url;
	LM_NOTICE("no call log is written: db_url is neither sqlite:// nor mysql://; modparam(\"callhook\", \"call_log\", "
			  "…) can name a "
			  "database of its own\n");
	return NULL;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n = write(fd, text, len);

	if(n == (ssize_t)len)
		n = write(fd, "\n", 1) == 1 && fsync(fd) == 0 ? 0 : -1;
	else
		n = -1;
	return close(fd) == 0 && n == 0 ? 0 : -1;
}

/* So that the command line finds the call log; the URL may hold a password. */
static int tell_command_line(const char *text)
{
	char path[PATH], fresh[PATH + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/" DATABASE_FILE, hook_params.state_dir);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	if(unlink(fresh) != 0 && errno != ENOENT)
		goto failed;
	if(text == NULL) {
		if(unlink(path) == 0 || errno == ENOENT)
			return 0;
		goto failed;
	}
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if(fd < 0 || write_all(fd, text) != 0 || rename(fresh, path) != 0)
		goto failed;
	return 0;
failed:
	LM_ERR("%s cannot be written: %s; state_dir must be there and writable for the user Kamailio runs as\n", path,
			strerror(errno));
	return -1;
}

static counter_val_t lag(void)
{
	uint64_t oldest = atomic_load(&status->oldest_at), now = microseconds(CLOCK_REALTIME);

	return oldest > 0 && now > oldest ? (counter_val_t)((now - oldest) / 1000000) : 0;
}

static counter_val_t all_rows(void)
{
	uint64_t n = 0;

	for(unsigned t = 0; t < SB_CL_TABLES; t++)
		n += atomic_load(&status->rows[t]);
	return (counter_val_t)n;
}

/* X(name, value): docs/callhook.md lists these rows. */
#define CALL_LOG_STATS(X)                                          \
	X(call_log_rows, all_rows())                                   \
	X(call_log_aside, atomic_load(&status->aside_kept))            \
	X(call_log_lag_s, lag())                                       \
	X(call_log_lost_segments, atomic_load(&status->lost_segments)) \
	X(call_log_state, atomic_load(&status->state))

#define X(name, value)                                      \
	static counter_val_t stat_##name(void)                  \
	{                                                       \
		return status != NULL ? (counter_val_t)(value) : 0; \
	}
CALL_LOG_STATS(X)
#undef X

static stat_export_t stats[] = {
#define X(name, value) {#name, STAT_IS_FUNC, (stat_var **)stat_##name},
		CALL_LOG_STATS(X)
#undef X
				{NULL, 0, NULL}};

static int add_time(rpc_t *rpc, void *h, const char *name, uint64_t us)
{
	char text[40];
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	size_t n;

	if(us == 0)
		return 0;
	gmtime_r(&s, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%06uZ", (unsigned)(us % 1000000));
	return rpc->struct_add(h, "s", name, text);
}

static int number(rpc_t *rpc, void *h, const char *name, _Atomic uint64_t *v)
{
	return rpc->struct_add(h, "L", name, (long long)atomic_load(v));
}

static int add_all(rpc_t *rpc, void *h)
{
	char cursor[48], error[SB_CL_ERROR];

	sb_call_log_status_error(status, error);
	snprintf(cursor, sizeof(cursor), "%016llx:%llu", (unsigned long long)atomic_load(&status->segment),
			(unsigned long long)atomic_load(&status->offset));
	if(rpc->struct_add(h, "ss", "state", sb_call_log_state_name(atomic_load(&status->state)), "database", url.shown) < 0
			|| add_time(rpc, h, "since", atomic_load(&status->since_at)) < 0
			|| number(rpc, h, "calls", &status->rows[SB_CL_CALL]) < 0
			|| number(rpc, h, "attempts", &status->rows[SB_CL_ATTEMPT]) < 0
			|| number(rpc, h, "events", &status->rows[SB_CL_EVENT]) < 0
			|| number(rpc, h, "batches", &status->batches) < 0 || number(rpc, h, "aside", &status->aside_kept) < 0
			|| number(rpc, h, "deleted_calls", &status->pruned) < 0
			|| number(rpc, h, "lost_segments", &status->lost_segments) < 0
			|| rpc->struct_add(h, "L", "lag_s", (long long)lag()) < 0 || rpc->struct_add(h, "s", "cursor", cursor) < 0
			|| add_time(rpc, h, "oldest_event", atomic_load(&status->oldest_at)) < 0
			|| add_time(rpc, h, "last_failure", atomic_load(&status->error_at)) < 0)
		return -1;
	return error[0] != '\0' ? rpc->struct_add(h, "s", "last_error", error) : 0;
}

/* callhook.call_log */
static void rpc_call_log(rpc_t *rpc, void *ctx)
{
	void *h;

	if(rpc->add(ctx, "{", &h) < 0 || (status == NULL ? rpc->struct_add(h, "s", "state", OFF) : add_all(rpc, h)) < 0)
		rpc->fault(ctx, 500, "The reply could not be built");
}

static const char *doc_call_log[] = {"The call log: state, rows written, rows set aside, lag, last error.", NULL};

static rpc_export_t methods[] = {
		{"callhook.call_log", rpc_call_log, doc_call_log, 0},
		{NULL, NULL, NULL, 0},
};

static int prepare(const char *text)
{
	char err[1024];

	if(sb_db_url_parse(&url, text, err, sizeof(err)) != 0) {
		LM_ERR("modparam(\"callhook\", \"call_log\", …): %s\n", err);
		return -1;
	}
	status = shm_malloc(sizeof(*status));
	if(status == NULL) {
		SHM_MEM_ERROR;
		return -1;
	}
	memset(status, 0, sizeof(*status));
	sink = sb_log_sink(hook_callstate.log->sh, "call_log");
	if(sink < 0) {
		LM_ERR("the log has no place for another sink: at most %u\n", SB_LOG_SINKS);
		return -1;
	}
	if(sb_call_log_prepare(hook_params.state_dir, err, sizeof(err)) != 0) {
		LM_ERR("call log: %s\n", err);
		return -1;
	}
	hook_call_log.on = true;
	return 0;
}

static int init(void)
{
	const char *text = wanted();

	if(text != NULL && prepare(text) < 0)
		return -1;
	if(tell_command_line(text) < 0)
		return -1;
	return rpc_register_array(methods) == 0 && register_module_stats("callhook", stats) == 0 ? 0 : -1;
}

/* ---- the process ---- */

static void hurry(int sig)
{
	on_term(sig);
	alarm(GRACE_S);
}

static void leave(int sig)
{
	_exit(0);
}

/* A database that does not answer must not hold up the end; what is under way is written again at the next start. */
static void end_soon(void)
{
	struct sigaction was, sa = {.sa_handler = leave};

	sigaction(SIGALRM, &sa, NULL);
	if(sigaction(SIGTERM, NULL, &was) != 0 || was.sa_handler == SIG_DFL || was.sa_handler == SIG_IGN)
		return;
	on_term = was.sa_handler;
	sa.sa_handler = hurry;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
}

static void loop(struct sb_call_log *c, const volatile sig_atomic_t *stop)
{
	uint64_t wait;

	while(!*stop) {
		wait = sb_call_log_turn(c, microseconds(CLOCK_REALTIME), microseconds(CLOCK_MONOTONIC));
		if(wait > 0 && !*stop)
			usleep((useconds_t)wait);
	}
}

static void run(const volatile sig_atomic_t *stop)
{
	struct sb_call_log_cfg cfg = {.log = hook_callstate.log,
			.sink = sink,
			.state_dir = hook_params.state_dir,
			.batch = (unsigned)hook_params.call_log_batch,
			.delay_ms = (unsigned)hook_params.call_log_delay_ms,
			.keep_days = (unsigned)hook_params.call_log_keep,
			.status = status,
			.say = say};
	struct sb_call_log *c = NULL;
	char err[1024];

	end_soon();
	if(sb_cl_store_new(&cfg.store, &url, (unsigned)hook_params.call_log_timeout_ms) != 0) {
		LM_CRIT("call log: out of memory\n");
		return;
	}
	if(sb_call_log_new(&c, &cfg, microseconds(CLOCK_REALTIME), err, sizeof(err)) == 0) {
		loop(c, stop);
		sb_call_log_stop(c, microseconds(CLOCK_REALTIME));
	} else {
		LM_CRIT("call log: %s\n", err);
	}
	cfg.store->free(cfg.store);
}

struct hook_sink hook_call_log = {.name = "call log", .init = init, .run = run};
