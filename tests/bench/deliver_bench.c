/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivery without Kamailio: a log, a mover and the delivery loop in one program, against a receiver that exists.
 *
 *   deliver_bench URL SECRET [name=value]…
 *     events=10000      in all, five for each call
 *     rate=0            events a second, 0: written before delivery begins
 *     concurrency=8  endpoints=1  window=1024  seconds=60  schedule=0,1,2,3  probe_max=2  timeout_ms=5000  rate_limit=0
 *     dir=…             kept, and gone on with when it holds a log already; else a new one, removed at the end
 *
 * Prints one line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "deliver.h"
#include "event.h"

static struct
{
	unsigned long events, rate, concurrency, endpoints, window, seconds, probe_max, timeout_ms, rate_limit;
	const char *schedule, *dir;
} o = {.events = 10000,
		.concurrency = 8,
		.endpoints = 1,
		.window = 1024,
		.seconds = 60,
		.probe_max = 2,
		.timeout_ms = 5000,
		.schedule = "0,1,2,3"};
static struct sb_log_shared *sh;
static struct sb_log wlog;
static atomic_bool stop;
static double writer_cpu;

static void die(const char *what)
{
	fprintf(stderr, "deliver_bench: %s\n", what);
	exit(1);
}

static uint64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double cpu_s(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void option(const char *arg)
{
	const struct
	{
		const char *name;
		unsigned long *to;
	} numbers[] = {{"events=", &o.events}, {"rate=", &o.rate}, {"concurrency=", &o.concurrency},
			{"endpoints=", &o.endpoints}, {"window=", &o.window}, {"seconds=", &o.seconds},
			{"probe_max=", &o.probe_max}, {"timeout_ms=", &o.timeout_ms}, {"rate_limit=", &o.rate_limit}};

	for(size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if(strncmp(arg, numbers[i].name, strlen(numbers[i].name)) == 0) {
			*numbers[i].to = strtoul(strchr(arg, '=') + 1, NULL, 10);
			return;
		}
	}
	if(strncmp(arg, "schedule=", 9) == 0)
		o.schedule = arg + 9;
	else if(strncmp(arg, "dir=", 4) == 0)
		o.dir = arg + 4;
	else
		die("unknown option; see the head of deliver_bench.c");
}

static void append(unsigned long n)
{
	static const uint16_t types[] = {SB_CALL_INITIATED, SB_CALL_RINGING, SB_CALL_ANSWERED, SB_CALL_ENDED, SB_CALL_CDR};
	static uint8_t rec[4096];
	struct sb_out out = {.p = rec + sizeof(struct sb_rec_hdr), .cap = sizeof(rec) - sizeof(struct sb_rec_hdr)};
	unsigned long call = n / 250 * 50 + n % 50, step = n % 250 / 50; /* 50 calls at a time */
	uint8_t id[16] = {1, 2, 3, 4, 5, 6, 0x70};
	char sip[64];

	memcpy(id + 8, &call, 8);
	sb_put_uuid(&out, SB_C_CALL_ID, id);
	sb_put_u64(&out, SB_C_SEQUENCE, step + 1);
	sb_put_time(&out, SB_C_AT, wall_us());
	sb_put_u64(&out, SB_C_STATE, SB_ST_CALLING);
	sb_put_str(&out, SB_C_SIP_CALL_ID, sip, (size_t)snprintf(sip, sizeof(sip), "%lu-bench@192.0.2.1", call));
	sb_put_str(&out, SB_C_DIRECTION, "inbound", 7);
	sb_put_str(&out, SB_C_FROM_URI, "sip:+41441234567@192.0.2.1", 26);
	sb_put_str(&out, SB_C_TO_URI, "sip:+41447654321@192.0.2.2", 26);
	sb_put_str(&out, SB_C_SOURCE, "udp:192.0.2.1:5060", 18);
	sb_put_time(&out, SB_C_STARTED_AT, wall_us());
	if(sb_log_append(&wlog, types[step], SB_KEEP, rec, (uint32_t)out.len, NULL) != 0)
		die("sb_log_append failed");
}

static void *writer(void *arg)
{
	struct timespec a, b, nap = {0, 1000000};
	double due = 0;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for(unsigned long n = 0; n < o.events && !stop; n++) {
		while(o.rate > 0 && due * (double)o.rate < (double)n) {
			nanosleep(&nap, NULL);
			clock_gettime(CLOCK_MONOTONIC, &b);
			due = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
		}
		append(n);
	}
	writer_cpu = cpu_s(RUSAGE_THREAD);
	return NULL;
}

static void *mover(void *arg)
{
	struct timespec nap = {0, 200000000};
	struct sb_mover *m;

	if(sb_mover_new(&m, arg) != 0)
		die("sb_mover_new failed");
	while(!stop) {
		sb_mover_step(m, wall_us());
		nanosleep(&nap, NULL);
	}
	sb_mover_free(m);
	return NULL;
}

/* The mover's work is not to be measured. */
static void wait_until_moved(void)
{
	struct timespec nap = {0, 10000000};

	for(int i = 0; i < 6000 && !stop; i++) {
		if(atomic_load(&sh->moved_segment) == atomic_load(&sh->current)
				&& atomic_load(&sh->moved_offset) == sb_log_current_len(sh))
			return;
		nanosleep(&nap, NULL);
	}
}

static void say(enum sb_deliver_level level, const char *text)
{
	fprintf(stderr, "%d %s\n", level, text);
}

static void on_term(int sig)
{
	(void)sig;
	stop = true;
}

static void directories(char *root, char *state, struct sb_log_cfg *lc)
{
	if(o.dir != NULL)
		snprintf(root, 200, "%s", o.dir);
	else if(mkdtemp(strcpy(root, "/dev/shm/sb-bench-XXXXXX")) == NULL)
		die("cannot make a directory in /dev/shm");
	snprintf(lc->spool_dir, sizeof(lc->spool_dir), "%s/spool", root);
	snprintf(lc->journal_dir, sizeof(lc->journal_dir), "%s/journal", root);
	snprintf(state, 300, "%s/hooks", root);
	mkdir(root, 0700);
	mkdir(lc->spool_dir, 0700);
	mkdir(lc->journal_dir, 0700);
	mkdir(state, 0700);
}

static void bad_row(const char *sentence, void *arg)
{
	(void)arg;
	fprintf(stderr, "deliver_bench: %s\n", sentence);
}

static struct sb_endpoint *endpoints(const char *url, const char *secret)
{
	struct sb_endpoint *ep = calloc(o.endpoints, sizeof(*ep));
	char id[32], concurrency[32], rate_limit[32];

	for(unsigned long i = 0; ep != NULL && i < o.endpoints; i++) {
		struct sb_endpoint_row row;
		snprintf(id, sizeof(id), "bench%lu", i);
		snprintf(concurrency, sizeof(concurrency), "%lu", o.concurrency);
		snprintf(rate_limit, sizeof(rate_limit), "%lu", o.rate_limit);
		row = (struct sb_endpoint_row){
				{id, url, secret, "*", "1", "0", concurrency, "", "*", "*", "127.0.0.0/8,::1", rate_limit, "", "", ""}};
		if(sb_endpoint_from_row(&ep[i], "bench", &row, bad_row, NULL) != 0)
			exit(1);
	}
	return ep;
}

static uint64_t total(const struct sb_deliver_status *st, size_t field)
{
	uint64_t n = 0;

	for(unsigned i = 0; i < st->endpoints; i++)
		n += atomic_load((const _Atomic uint64_t *)((const char *)&st->endpoint[i] + field));
	return n;
}
#define TOTAL(field) total(st, offsetof(struct sb_endpoint_status, field))

static void run(struct sb_deliver *d, struct sb_deliver_status *st, pthread_t *w)
{
	struct timespec a, b;
	double cpu = cpu_s(RUSAGE_THREAD), s = 0;

	clock_gettime(CLOCK_MONOTONIC, &a);
	if(o.rate > 0)
		pthread_create(w, NULL, writer, NULL);
	while(!stop && s < (double)o.seconds && TOTAL(delivered) + TOTAL(dead) < o.events * o.endpoints) {
		sb_deliver_turn(d, 200);
		clock_gettime(CLOCK_MONOTONIC, &b);
		s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	}
	cpu = cpu_s(RUSAGE_THREAD) - cpu;
	printf("{\"delivered\": %lu, \"failed_tries\": %lu, \"dead\": %lu, \"pending\": %lu, \"seconds\": %.3f, "
		   "\"per_second\": %.0f, "
		   "\"cpu_us_per_event\": %.1f, \"turns\": %lu, \"commits\": %lu}\n",
			TOTAL(delivered), TOTAL(failed), TOTAL(dead), TOTAL(pending), s, (double)TOTAL(delivered) / s,
			cpu * 1e6 / (double)(TOTAL(delivered) > 0 ? TOTAL(delivered) : 1), (unsigned long)st->turns,
			(unsigned long)st->commits);
}

int main(int argc, char **argv)
{
	struct sb_log log, mlog;
	struct sb_log_cfg lc = {.segment_size = 1 << 20, .spool_limit = 1ull << 30, .journal_keep = 1ull << 30};
	struct sb_deliver_status *st;
	struct sb_deliver *d;
	struct sb_deliver_cfg cfg;
	pthread_t w = 0, m;
	char err[1024], root[256], state[300];

	if(argc < 3)
		die("usage: deliver_bench URL SECRET [name=value]…; see the head of deliver_bench.c");
	for(int i = 3; i < argc; i++)
		option(argv[i]);
	directories(root, state, &lc);
	sh = mmap(NULL, sb_log_shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	st = calloc(1, sb_deliver_status_size((unsigned)o.endpoints));
	if(sh == MAP_FAILED || st == NULL)
		die("out of memory");
	if(sb_log_open(&log, &lc, sh, 1000, err, sizeof(err)) != 0)
		die(err);
	wlog = mlog = log;
	sb_log_attach(&wlog, 1);
	sb_log_attach(&mlog, 2);
	cfg = (struct sb_deliver_cfg){.log = &log,
			.sink = sb_log_sink(sh, "bench"),
			.state_dir = state,
			.endpoints = endpoints(argv[1], argv[2]),
			.count = (unsigned)o.endpoints,
			.connect_timeout_ms = 2000,
			.timeout_ms = (unsigned)o.timeout_ms,
			.probe_max_s = (unsigned)o.probe_max,
			.window = (uint32_t)o.window,
			.pending_max = 100000,
			.dead_max = 100000,
			.deliveries_limit = 64 << 20,
			.status = st,
			.say = say};
	if(sb_schedule_parse(&cfg.schedule, o.schedule, 20, err, sizeof(err)) != 0
			|| sb_deliver_prepare(&cfg, err, sizeof(err)) != 0 || sb_deliver_new(&d, &cfg, err, sizeof(err)) != 0)
		die(err);
	signal(SIGTERM, on_term);
	signal(SIGPIPE, SIG_IGN);
	pthread_create(&m, NULL, mover, &mlog);
	if(o.rate == 0) {
		writer(NULL);
		wait_until_moved();
	}
	run(d, st, &w);
	stop = true;
	if(w != 0)
		pthread_join(w, NULL);
	pthread_join(m, NULL);
	sb_deliver_stop(d, 500);
	sb_log_close(&log);
	free((void *)(uintptr_t)cfg.endpoints);
	free(st);
	if(o.dir == NULL) {
		snprintf(err, sizeof(err), "rm -rf '%s'", root);
		return system(err) != 0;
	}
	return 0;
}
