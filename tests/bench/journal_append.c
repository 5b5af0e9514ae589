/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a SIP worker pays for one event: its columns are put together and the record is put into its ring, while another process
 * collects from there into the spool. When the ring is nearly full the worker waits, outside of what is measured.
 *
 *   journal_append [RECORDS [DIR]]      DIR: a tmpfs, /dev/shm without it
 *
 * Prints {"p50_ns":…,"p99_ns":…,"records":…,"bytes":…,"assemble_p50_ns":…}; the times include the readings of the clock.
 */
#include "event.h"
#include "log.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum
{
	WORKER = 1,
	COLLECTOR = 2,
	PASS_MS = 2,
	IDLE_PASSES = 10,
	IDLE_MS = 1000
};

struct bench
{
	char root[SB_LOG_PATH - 32];
	struct sb_log_cfg cfg;
	struct sb_log log;
	struct sb_log_shared *sh;
	pid_t collector;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put(struct sb_out *o, enum sb_col col, const char *s)
{
	sb_put_str(o, col, s, strlen(s));
}

/* call.answered of a call to an agent, about 1 kB */
static void assemble(struct sb_out *o, uint64_t n)
{
	const uint64_t at = 1700000000000000u + n;
	uint8_t id[16] = {1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 1, 0x80};

	memcpy(id + 8, &n, 8);
	sb_put_uuid(o, SB_C_CALL_ID, id);
	sb_put_u64(o, SB_C_SEQUENCE, 3);
	sb_put_time(o, SB_C_AT, at);
	sb_put_u64(o, SB_C_STATE, SB_ST_CONFIRMED);
	put(o, SB_C_SIP_CALL_ID, "a84b4c76e66710@pc33.caller.example.com");
	put(o, SB_C_DIRECTION, "inbound");
	put(o, SB_C_FROM_URI, "sip:+4930123456789@trunk.example.com;user=phone");
	put(o, SB_C_FROM_NAME, "Caller Name");
	put(o, SB_C_TO_URI, "sip:+498912345678@proxy.example.com;user=phone");
	put(o, SB_C_RURI, "sip:+498912345678@192.0.2.10:5060;transport=udp");
	put(o, SB_C_DID, "+498912345678");
	put(o, SB_C_FLOW, "support-weekday");
	put(o, SB_C_AGENT, "agent-0042");
	put(o, SB_C_TRUNK, "carrier-east");
	put(o, SB_C_ATTRIBUTE, "customer.id=00042-7731");
	put(o, SB_C_ATTRIBUTE, "customer.tier=gold");
	put(o, SB_C_SOURCE, "udp:192.0.2.77:5060");
	sb_put_time(o, SB_C_STARTED_AT, at - 7000000);
	sb_put_time(o, SB_C_RINGING_AT, at - 6500000);
	sb_put_time(o, SB_C_ANSWERED_AT, at);
	sb_put_u64(o, SB_C_PDD_US, 500000);
	size_t attempt = sb_group_begin(o, SB_C_ATTEMPT);
	sb_put_u64(o, SB_C_A_N, 1);
	put(o, SB_C_A_URI, "sip:agent-0042@198.51.100.23:5062;transport=udp");
	put(o, SB_C_A_DST, "udp:198.51.100.23:5062");
	sb_put_u64(o, SB_C_A_CODE, 200);
	put(o, SB_C_A_REASON, "OK");
	sb_put_time(o, SB_C_A_STARTED_AT, at - 7000000);
	sb_put_time(o, SB_C_A_RINGING_AT, at - 6500000);
	sb_put_time(o, SB_C_A_ANSWERED_AT, at);
	sb_put_u64(o, SB_C_A_BRANCH, 0);
	sb_group_end(o, attempt);
	sb_put_u64(o, SB_C_ATTEMPTS_TOTAL, 1);
	size_t media = sb_group_begin(o, SB_C_MEDIA);
	put(o, SB_C_M_KIND, "audio");
	put(o, SB_C_M_DIRECTION, "sendrecv");
	put(o, SB_C_M_CODECS, "PCMA,PCMU,telephone-event");
	put(o, SB_C_M_ADDRESS, "198.51.100.23");
	sb_put_u64(o, SB_C_M_PORT, 40002);
	put(o, SB_C_M_PROTO, "RTP/AVP");
	sb_group_end(o, media);
	put(o, SB_C_SIP_METHOD, "INVITE");
	put(o, SB_C_SIP_BRANCH, "z9hG4bK776asdhds.1");
	sb_put_u64(o, SB_C_SIP_CSEQ, 314159);
	sb_put_u64(o, SB_C_SIP_CODE, 200);
	put(o, SB_C_FROM_TAG, "1928301774");
	put(o, SB_C_TO_TAG, "314159as-a6c85cf");
	sb_put_u64(o, SB_C_F_CSEQ_B, n);
	put(o, SB_C_F_CONTACT_B, "sip:agent-0042@198.51.100.23:5062;transport=udp");
	put(o, SB_C_F_ROUTE_A, "<sip:192.0.2.10;lr;ftag=1928301774>");
	put(o, SB_C_F_SOCKET_A, "udp:192.0.2.10:5060");
	put(o, SB_C_F_SOCKET_B, "udp:192.0.2.10:5060");
	sb_put_u64(o, SB_C_F_MONO_ANSWER, at);
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* As callstate's spool process does. */
static void collect(struct bench *b)
{
	struct sb_collector *c;
	unsigned idle = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if(sb_collector_new(&c, &b->log, COLLECTOR) != 0)
		_exit(1);
	for(;;) {
		int64_t n = sb_collector_pass(c);
		if(n < 0)
			_exit(1);
		idle = n > 0 ? 0 : idle + 1;
		if(idle > IDLE_PASSES)
			sb_collector_wait(c, IDLE_MS);
		else
			poll(NULL, 0, PASS_MS);
	}
}

static int start(struct bench *b, const char *dir)
{
	char err[1024];

	snprintf(b->root, sizeof(b->root), "%s/journal_append-XXXXXX", dir);
	if(mkdtemp(b->root) == NULL) {
		fprintf(stderr, "journal_append: %s cannot be made; give a writable tmpfs as second argument\n", b->root);
		return -1;
	}
	snprintf(b->cfg.spool_dir, SB_LOG_PATH, "%s/spool", b->root);
	snprintf(b->cfg.journal_dir, SB_LOG_PATH, "%s/journal", b->root);
	b->cfg.segment_size = 16 << 20;
	b->cfg.ring_size = 1 << 20;
	if(mkdir(b->cfg.spool_dir, 0700) != 0 || mkdir(b->cfg.journal_dir, 0700) != 0)
		return -1;
	b->sh = mmap(NULL, sb_log_shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if(b->sh == MAP_FAILED || sb_log_open(&b->log, &b->cfg, b->sh, 0, err, sizeof(err)) != 0) {
		fprintf(stderr, "journal_append: %s\n", b->sh != MAP_FAILED ? err : "no memory");
		return -1;
	}
	if((b->collector = fork()) == 0)
		collect(b);
	if(b->collector < 0 || sb_log_attach(&b->log, WORKER) != 0) {
		fprintf(stderr, "journal_append: no collector, or no ring of %" PRIu64 " bytes in %s\n", b->cfg.ring_size,
				b->cfg.spool_dir);
		return -1;
	}
	return 0;
}

/* @return 0: all records came into the spool */
static int collected(struct bench *b, uint32_t records)
{
	for(int tries = 0; atomic_load(&b->sh->records) < records && tries < 5000; tries++)
		poll(NULL, 0, 1);
	kill(b->collector, SIGKILL);
	waitpid(b->collector, NULL, 0);
	if(atomic_load(&b->sh->records) == records)
		return 0;
	fprintf(stderr, "journal_append: %" PRIu64 " of %u records came into the spool\n", atomic_load(&b->sh->records),
			records);
	return -1;
}

static void end(struct bench *b)
{
	static const char *const names[] = {"lock", "node", "epoch", "spool"};
	char path[SB_LOG_PATH + 32];
	uint64_t first, last;

	if(sb_log_segments(b->cfg.journal_dir, b->cfg.spool_dir, &first, &last) == 0)
		for(uint64_t s = first; s != 0 && s <= last; s++) {
			snprintf(path, sizeof(path), "%s/%016" PRIx64 ".seg", b->cfg.spool_dir, s);
			unlink(path);
		}
	sb_log_close(&b->log);
	snprintf(path, sizeof(path), "%s/ring-%u", b->cfg.spool_dir, WORKER);
	unlink(path);
	for(size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", i % 2 ? b->cfg.spool_dir : b->cfg.journal_dir, names[i / 2]);
		unlink(path);
	}
	rmdir(b->cfg.spool_dir);
	rmdir(b->cfg.journal_dir);
	rmdir(b->root);
	munmap(b->sh, sb_log_shared_size());
}

static int run(struct bench *b, uint32_t records, uint32_t whole[], uint32_t assembled[])
{
	static uint8_t rec[4096];
	struct sb_out o;
	int rc = 0;

	for(uint32_t i = 0; i < records && rc == 0; i++) {
		while(sb_log_would_shed(&b->log, SB_EXTRA))
			poll(NULL, 0, 1);
		uint64_t t0 = now_ns();
		o = (struct sb_out){.p = rec + sizeof(struct sb_rec_hdr), .cap = sizeof(rec) - sizeof(struct sb_rec_hdr)};
		assemble(&o, i);
		uint64_t t1 = now_ns();
		rc = o.overflow ? -1 : sb_log_append(&b->log, SB_CALL_ANSWERED, SB_KEEP, rec, (uint32_t)o.len, NULL);
		uint64_t t2 = now_ns();
		assembled[i] = (uint32_t)(t1 - t0);
		whole[i] = (uint32_t)(t2 - t0);
	}
	if(rc != 0) {
		fprintf(stderr, "journal_append: an append failed: %s\n", strerror(-rc));
		return -1;
	}
	qsort(whole, records, sizeof(*whole), ascending);
	qsort(assembled, records, sizeof(*assembled), ascending);
	printf("{\"p50_ns\":%u,\"p99_ns\":%u,\"records\":%u,\"bytes\":%zu,\"assemble_p50_ns\":%u}\n", whole[records / 2],
			whole[records / 100 * 99], records, sizeof(struct sb_rec_hdr) + o.len, assembled[records / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	static struct bench b;
	unsigned long records = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;

	if(records < 100 || records > 10000000) {
		fprintf(stderr, "journal_append: RECORDS is %s: 100 to 10000000 are expected\n", argv[1]);
		return 2;
	}
	uint32_t *whole = calloc(records, sizeof(*whole)), *assembled = calloc(records, sizeof(*assembled));
	int rc = whole == NULL || assembled == NULL || start(&b, argc > 2 ? argv[2] : "/dev/shm") != 0 ? 2 : 0;
	if(rc == 0) {
		rc = run(&b, (uint32_t)records, whole, assembled) == 0 && collected(&b, (uint32_t)records) == 0 ? 0 : 1;
		end(&b);
	}
	free(whole);
	free(assembled);
	return rc;
}
