/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log under kills: 8 processes put records into rings of their own, a collector writes them to segments of 1 MB, a mover
 * takes those to the journal. All are killed by SIGKILL at random and replaced, writers also held by SIGSTOP; two readers
 * run beside. Each record carries (call, n); a call is written by whichever process holds its lock, as SIP workers do. What
 * must be there is counted in shared memory around each append.
 *
 *   spool_writers RECORDS SPOOL_DIR JOURNAL_DIR [SEED [SEGMENT_BYTES [RING_BYTES]]]      RING_BYTES 0: no rings, no collector
 *
 * Exit status 0: nothing lost, nothing invented, nothing twice, order kept, by three ways of reading.
 */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum
{
	WRITERS = 8,
	CALLS = 64,
	MOVER = WRITERS,
	COLLECTOR,
	FIRST_READER,
	DOUBTS = 65536,
	READERS = 3,
	PAD_MOST = 160
};

struct call
{
	pthread_mutex_t lock; /* robust: the next process learns that its holder was killed */
	uint64_t begun;       /* n of the append that was begun last … */
	uint64_t done;        /* … and of the one that returned last */
};

/* A record that may be there or not: its writer was killed within the append. */
struct doubt
{
	uint32_t call;
	uint64_t n;
};

struct result
{
	_Atomic uint64_t records, damaged;
	uint64_t foreign, unordered;
	uint64_t missing;
	struct doubt gap[DOUBTS];
	_Atomic bool ended;
};

struct truth
{
	struct call call[CALLS];
	_Atomic uint64_t wanted; /* appends still to be begun */
	_Atomic uint64_t appended, shed, failed;
	_Atomic uint32_t doubts;
	struct doubt doubt[DOUBTS];
	_Atomic bool writers_ended, collector_ended, mover_ended;
	struct result result[READERS];
};

static struct truth *truth;
static struct sb_log_shared *shared;
static struct sb_log instance;

static const char *const reader_name[READERS] = {"a process of the instance", "another process", "the journal alone"};

static void die(const char *what, int rc)
{
	fprintf(stderr, "spool_writers: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(2);
}

static void *share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if(p == MAP_FAILED)
		die("shared memory", errno);
	return p;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_us(long us)
{
	const struct timespec t = {us / 1000000, us % 1000000 * 1000};
	nanosleep(&t, NULL);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

/* call u32, n u64, then bytes that follow from both */
static uint32_t payload_make(uint8_t *p, uint32_t call, uint64_t n)
{
	uint64_t m = mix(n * CALLS + call);
	uint32_t len = 12 + (uint32_t)(m % PAD_MOST);

	memcpy(p, &call, 4);
	memcpy(p + 4, &n, 8);
	for(uint32_t i = 12; i < len; i++)
		p[i] = (uint8_t)(m >> i % 57);
	return len;
}

/* ---- writers ---- */

/* @return false if the call's last holder was killed within an append that cannot be noted any more */
static void call_recover(struct call *c, uint32_t i)
{
	if(c->begun != c->done) {
		uint32_t at = atomic_fetch_add(&truth->doubts, 1);
		if(at >= DOUBTS)
			die("too many kills to keep", ENOSPC);
		truth->doubt[at] = (struct doubt){i, c->begun};
		c->done = c->begun;
	}
	pthread_mutex_consistent(&c->lock);
}

static bool call_take(struct call *c, uint32_t i)
{
	int rc = pthread_mutex_trylock(&c->lock);

	if(rc == EOWNERDEAD)
		call_recover(c, i);
	return rc == 0 || rc == EOWNERDEAD;
}

static bool claim(void)
{
	uint64_t left = atomic_load(&truth->wanted);

	while(left > 0)
		if(atomic_compare_exchange_weak(&truth->wanted, &left, left - 1))
			return true;
	return false;
}

static void write_one(uint64_t *random, uint8_t *rec)
{
	uint32_t i;

	do {
		*random = mix(*random + 1);
		i = (uint32_t)(*random % CALLS);
	} while(!call_take(&truth->call[i], i));

	struct call *c = &truth->call[i];
	int rc;
	do {
		uint32_t len = payload_make(rec + sizeof(struct sb_rec_hdr), i, c->done + 1);
		__atomic_store_n(&c->begun, c->done + 1, __ATOMIC_SEQ_CST);
		rc = sb_log_append(&instance, 1, SB_KEEP, rec, len, NULL);
		if(rc == 0)
			__atomic_store_n(&c->done, c->begun, __ATOMIC_SEQ_CST);
		else
			__atomic_store_n(&c->begun, c->done, __ATOMIC_SEQ_CST);
		if(rc == -ENOSPC) {
			atomic_fetch_add(&truth->shed, 1);
			pause_us(2000);
		}
	} while(rc == -ENOSPC);
	atomic_fetch_add(rc == 0 ? &truth->appended : &truth->failed, 1);
	pthread_mutex_unlock(&c->lock);
}

static void writer(unsigned i)
{
	uint8_t rec[512];
	uint64_t random = mix((uint64_t)getpid() << 20 ^ i);

	if(sb_log_attach(&instance, i) != 0)
		exit(2);
	while(claim())
		write_one(&random, rec);
	exit(0);
}

static void collector(void)
{
	struct sb_collector *c;
	int rc = sb_collector_new(&c, &instance, COLLECTOR);

	if(rc != 0)
		die("collector", rc);
	for(;;) {
		bool last = atomic_load(&truth->writers_ended);
		int64_t n = sb_collector_pass(c);
		if(n < 0)
			die("collector", (int)n);
		if(last && n == 0)
			exit(0);
		if(n == 0)
			sb_collector_wait(c, 10);
	}
}

static void mover(void)
{
	struct sb_mover *m;
	int rc = sb_mover_new(&m, &instance);

	if(rc != 0)
		die("mover", rc);
	for(;;) {
		bool last = atomic_load(&truth->collector_ended);
		int64_t moved = sb_mover_step(m, 1);
		if(moved < 0)
			die("mover", (int)moved);
		if(last && moved == 0)
			exit(0);
		pause_us(10000);
	}
}

/* ---- readers ---- */

static void look_at(struct result *r, uint64_t last[], const struct sb_rec *rec)
{
	uint8_t expected[512];
	uint32_t call;
	uint64_t n;

	if(rec->hdr.len < 12) {
		r->foreign++;
		return;
	}
	memcpy(&call, rec->payload, 4);
	memcpy(&n, rec->payload + 4, 8);
	if(call >= CALLS || n > __atomic_load_n(&truth->call[call].begun, __ATOMIC_SEQ_CST)
			|| payload_make(expected, call, n) != rec->hdr.len || memcmp(expected, rec->payload, rec->hdr.len) != 0) {
		r->foreign++;
		return;
	}
	if(n <= last[call]) {
		r->unordered++;
		return;
	}
	for(uint64_t gap = last[call] + 1; gap < n; gap++) {
		if(r->missing < DOUBTS)
			r->gap[r->missing] = (struct doubt){call, gap};
		r->missing++;
	}
	last[call] = n;
	atomic_fetch_add(&r->records, 1);
}

static void reader(unsigned kind)
{
	struct result *result = &truth->result[kind];
	uint64_t last[CALLS] = {0};
	struct sb_reader *r;
	struct sb_rec rec;
	int rc = sb_reader_open(
			&r, instance.cfg.journal_dir, kind == 2 ? NULL : instance.cfg.spool_dir, (struct sb_pos){0, 0});

	if(rc != 0)
		die("reader", rc);
	if(kind == 0)
		sb_reader_attach(r, shared);
	for(;;) {
		/* elsewhere it is the mover that tells of segments whose last writer was killed */
		bool final = atomic_load(kind == 0 ? &truth->collector_ended : &truth->mover_ended);
		while((rc = sb_reader_next(r, &rec)) == 1)
			look_at(result, last, &rec);
		if(rc < 0)
			die("reader", rc);
		if(final)
			break;
		pause_us(2000);
	}
	/* what is missing at a call's end */
	for(uint32_t i = 0; i < CALLS; i++)
		for(uint64_t n = last[i] + 1; n <= truth->call[i].begun; n++) {
			if(result->missing < DOUBTS)
				result->gap[result->missing] = (struct doubt){i, n};
			result->missing++;
		}
	atomic_store(&result->damaged, sb_reader_damaged(r));
	atomic_store(&result->ended, true);
	sb_reader_close(r);
}

/* ---- the one who kills ---- */

static pid_t spawn(unsigned role)
{
	fflush(stdout);
	pid_t pid = fork();
	if(pid < 0)
		die("fork", errno);
	if(pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if(role < WRITERS)
		writer(role);
	else if(role == MOVER)
		mover();
	else if(role == COLLECTOR)
		collector();
	else
		reader(role - FIRST_READER);
	exit(0);
}

static void child_end(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	if(!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("a process ended by itself with an error", ECHILD);
}

struct harm
{
	unsigned writers_killed, writers_stopped, movers_killed, collectors_killed;
};

/* @return true if it ended before the signal could: all records are written */
static bool kill_and_replace(pid_t *pid, unsigned role)
{
	int status;

	kill(*pid, SIGKILL);
	waitpid(*pid, &status, 0);
	if(WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if(!WIFSIGNALED(status))
		die("a process ended by itself with an error", ECHILD);
	*pid = spawn(role);
	return false;
}

static void harm_writer(pid_t *pid, unsigned i, uint64_t seed, struct harm *harm)
{
	if((seed >> 32) % 4 == 0) {
		kill(*pid, SIGSTOP);
		pause_us(1000 + (long)(seed >> 20) % 15000);
		kill(*pid, SIGCONT);
		harm->writers_stopped++;
	} else if(!kill_and_replace(pid, i)) {
		harm->writers_killed++;
	} else {
		*pid = spawn(i);
	}
}

static void harm_until_written(pid_t pid[], uint64_t seed, struct harm *harm)
{
	double mover_next = now() + 0.05, collector_next = now() + 0.03;

	while(atomic_load(&truth->wanted) > 0) {
		seed = mix(seed + 1);
		pause_us(500 + (long)(seed % 8000));
		unsigned i = (unsigned)(seed >> 40) % WRITERS;
		harm_writer(&pid[i], i, seed, harm);
		if(now() >= mover_next) {
			mover_next = now() + 0.02 + (double)((seed >> 16) % 200) / 1000;
			kill_and_replace(&pid[MOVER], MOVER);
			harm->movers_killed++;
		}
		if(instance.cfg.ring_size != 0 && now() >= collector_next) {
			collector_next = now() + (double)((seed >> 24) % 40) / 1000;
			kill_and_replace(&pid[COLLECTOR], COLLECTOR);
			harm->collectors_killed++;
		}
	}
}

/* ---- the account ---- */

static bool doubted(struct doubt d)
{
	uint32_t doubts = atomic_load(&truth->doubts);

	for(uint32_t i = 0; i < doubts; i++)
		if(truth->doubt[i].call == d.call && truth->doubt[i].n == d.n)
			return true;
	return false;
}

static bool account(unsigned kind, uint64_t begun)
{
	struct result *r = &truth->result[kind];
	uint64_t lost = r->missing > DOUBTS ? r->missing - DOUBTS : 0;

	for(uint64_t i = 0; i < r->missing && i < DOUBTS; i++)
		if(!doubted(r->gap[i]))
			lost++;
	if(!r->ended)
		lost = begun;
	printf("read by %-26s %" PRIu64 " records; lost %" PRIu64 ", invented %" PRIu64 ", twice or out of order %" PRIu64
		   "; killed within the append and not there %" PRIu64 "; torn places passed %" PRIu64 "\n",
			reader_name[kind], (uint64_t)r->records, lost, r->foreign, r->unordered, r->missing - lost,
			(uint64_t)r->damaged);
	return lost == 0 && r->foreign == 0 && r->unordered == 0 && r->records + r->missing == begun;
}

static void start(const char *spool, const char *journal, uint64_t segment_size, uint64_t ring_size)
{
	struct sb_log_cfg cfg = {
			.segment_size = segment_size, .ring_size = ring_size, .spool_limit = 512 << 20, .journal_keep = UINT64_MAX};
	pthread_mutexattr_t attr;
	char err[1024];

	snprintf(cfg.spool_dir, sizeof(cfg.spool_dir), "%s", spool);
	snprintf(cfg.journal_dir, sizeof(cfg.journal_dir), "%s", journal);
	truth = share(sizeof(*truth));
	shared = share(sb_log_shared_size());
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for(unsigned i = 0; i < CALLS; i++)
		pthread_mutex_init(&truth->call[i].lock, &attr);
	if(sb_log_open(&instance, &cfg, shared, 0, err, sizeof(err)) != 0) {
		fprintf(stderr, "spool_writers: %s\n", err);
		exit(2);
	}
}

/* @return appends that were begun */
static uint64_t drain(pid_t pid[])
{
	uint64_t begun = 0;

	for(uint32_t i = 0; i < CALLS; i++) { /* the lock of a killed holder that nobody took since */
		if(!call_take(&truth->call[i], i))
			die("a call is still locked", EBUSY);
		begun += truth->call[i].begun;
	}
	atomic_store(&truth->writers_ended, true);
	if(instance.cfg.ring_size != 0)
		child_end(pid[COLLECTOR]);
	atomic_store(&truth->collector_ended, true);
	child_end(pid[MOVER]);
	atomic_store(&truth->mover_ended, true);
	child_end(pid[FIRST_READER]);
	child_end(pid[FIRST_READER + 1]);
	reader(2);
	return begun;
}

static void say(uint64_t seed, double took, uint64_t begun, uint64_t segments, const struct harm *harm)
{
	const struct sb_log_cfg *cfg = &instance.cfg;

	printf("seed %" PRIu64 ": %u writers, %u calls, rings of %" PRIu64 " kB, segments of %" PRIu64
		   " kB, %.1f s, %.0f records/s\n",
			seed, WRITERS, CALLS, cfg->ring_size >> 10, cfg->segment_size >> 10, took, (double)begun / took);
	printf("killed: %u writers, %u collectors, %u movers; stopped for a while: %u writers\n", harm->writers_killed,
			harm->collectors_killed, harm->movers_killed, harm->writers_stopped);
	printf("appends that returned: %" PRIu64 "; appends in which the writer was killed: %" PRIu64 "; segments: %" PRIu64
		   "; waits for room: %" PRIu64 "; failed: %" PRIu64 "\n",
			begun - truth->doubts, (uint64_t)truth->doubts, segments, (uint64_t)truth->shed, (uint64_t)truth->failed);
}

int main(int argc, char **argv)
{
	pid_t pid[FIRST_READER + READERS];
	struct harm harm = {0};

	if(argc < 4) {
		fprintf(stderr, "usage: spool_writers RECORDS SPOOL_DIR JOURNAL_DIR [SEED [SEGMENT_BYTES [RING_BYTES]]]\n");
		return 2;
	}
	uint64_t records = strtoull(argv[1], NULL, 10), seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)getpid();
	start(argv[2], argv[3], argc > 5 ? strtoull(argv[5], NULL, 10) : 1 << 20,
			argc > 6 ? strtoull(argv[6], NULL, 10) : 1 << 20);
	uint64_t first = shared->current;
	atomic_store(&truth->wanted, records);

	double began = now();
	for(unsigned i = 0; i < FIRST_READER + 2; i++)
		if(i != COLLECTOR || instance.cfg.ring_size != 0)
			pid[i] = spawn(i);
	harm_until_written(pid, seed, &harm);
	for(unsigned i = 0; i < WRITERS; i++)
		child_end(pid[i]);
	double took = now() - began;
	uint64_t begun = drain(pid);
	say(seed, took, begun, shared->current - first + 1, &harm);
	bool good = truth->failed == 0 && shared->ring_damaged == 0;
	for(unsigned kind = 0; kind < READERS; kind++)
		good &= account(kind, begun);
	printf(good ? "nothing lost, nothing invented, nothing twice, order kept\n" : "FAILED\n");
	sb_log_close(&instance);
	return good ? 0 : 1;
}
