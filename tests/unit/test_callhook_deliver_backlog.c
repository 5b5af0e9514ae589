/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint that is a million events behind: how soon delivery has started, what memory it takes, and whether everything comes in order.
 *
 *   BEHIND=1000000 DRAIN=100000 build/unit/test_callhook_deliver_backlog      DRAIN=1000000: all of them (make chaos)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include <cmocka.h>

#include "deliver_fixture.h"

#define EVENTS 5u     /* of a call */
#define AT_A_TIME 50u /* calls */
#define CLIENTS 64
#define START_S 2.0
#define MEMORY_KB (64u * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define SLOWER 20
#else
#define SLOWER 1
#endif

/* What the receiver has seen: written by it alone. */
struct taken
{
	_Atomic uint32_t events, wrong;
	_Atomic uint64_t first_us;
	char first_wrong[120];
	uint8_t last[]; /* sequence of each call */
};
static struct taken *taken;
static unsigned behind, drain;

static uint64_t us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned setting(const char *name, unsigned usual)
{
	const char *v = getenv(name);

	return v != NULL ? (unsigned)strtoul(v, NULL, 10) : usual / SLOWER;
}

/* ---- a receiver that does nothing but look whether the next one is the next one ---- */

struct client
{
	int fd;
	size_t have;
	char buf[16384];
};

static void look_at(const char *body)
{
	const char *call = strstr(body, "\"sip_call_id\""), *seq = strstr(body, "\"sequence\"");
	unsigned n = 0, k = 0;

	if(call == NULL || seq == NULL || sscanf(call + 13, "%*[^0-9]%u", &n) != 1
			|| sscanf(seq + 10, "%*[^0-9]%u", &k) != 1 || n >= behind / EVENTS
			|| (k != taken->last[n] + 1u && k > taken->last[n])) {
		if(atomic_fetch_add(&taken->wrong, 1) == 0)
			snprintf(taken->first_wrong, sizeof(taken->first_wrong), "call %u, sequence %u", n, k);
		return;
	}
	if(k <= taken->last[n])
		return;
	taken->last[n] = (uint8_t)k;
	if(atomic_fetch_add(&taken->events, 1) == 0)
		atomic_store(&taken->first_us, us());
}

/* @return false: the connection is over */
static bool readable(struct client *c)
{
	static const char ok[] = "HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n";
	ssize_t n = read(c->fd, c->buf + c->have, sizeof(c->buf) - 1 - c->have);
	char *end, *length;

	if(n <= 0)
		return false;
	c->have += (size_t)n;
	for(;;) {
		c->buf[c->have] = '\0';
		end = strstr(c->buf, "\r\n\r\n");
		length = strcasestr(c->buf, "content-length: ");
		if(end == NULL || length == NULL)
			return true;
		size_t need = (size_t)(end + 4 - c->buf) + strtoul(length + 16, NULL, 10);
		if(c->have < need)
			return true;
		look_at(end + 4);
		if(write(c->fd, ok, sizeof(ok) - 1) != (ssize_t)sizeof(ok) - 1)
			return false;
		memmove(c->buf, c->buf + need, c->have - need);
		c->have -= need;
	}
}

static void receive(int listener)
{
	struct epoll_event e = {.events = EPOLLIN}, got[CLIENTS];
	int ep = epoll_create1(0);

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
	for(;;) {
		int n = epoll_wait(ep, got, CLIENTS, -1);
		for(int i = 0; i < n; i++) {
			struct client *c = got[i].data.ptr;
			if(c == NULL) {
				c = calloc(1, sizeof(*c));
				c->fd = accept(listener, NULL, NULL);
				e.data.ptr = c;
				epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
			} else if(!readable(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}

static pid_t receiver(unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t parent = getpid(), pid;

	assert_int_equal(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	assert_int_equal(0, listen(fd, CLIENTS));
	getsockname(fd, (struct sockaddr *)&a, &len);
	*port = ntohs(a.sin_port);
	pid = fork();
	if(pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if(getppid() == parent)
			receive(fd);
		_exit(0);
	}
	close(fd);
	return pid;
}

/* ---- the log ---- */

static void append(struct fixture *f, unsigned n)
{
	static const uint16_t types[] = {SB_CALL_INITIATED, SB_CALL_RINGING, SB_CALL_ANSWERED, SB_CALL_ENDED, SB_CALL_CDR};
	static uint8_t rec[1024];
	unsigned block = n / (AT_A_TIME * EVENTS), call = block * AT_A_TIME + n % AT_A_TIME;
	unsigned step = n % (AT_A_TIME * EVENTS) / AT_A_TIME;
	struct sb_out o = {.p = rec + sizeof(struct sb_rec_hdr), .cap = sizeof(rec) - sizeof(struct sb_rec_hdr)};
	uint8_t id[16] = {9};
	char sip[32];

	memcpy(id + 8, &call, sizeof(call));
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_u64(&o, SB_C_SEQUENCE, step + 1);
	sb_put_time(&o, SB_C_AT, 1700000000000000ull + n);
	sb_put_str(&o, SB_C_SIP_CALL_ID, sip, (size_t)snprintf(sip, sizeof(sip), "%u", call));
	sb_put_str(&o, SB_C_FROM_URI, "sip:+442079460142@192.0.2.1", 27);
	sb_put_str(&o, SB_C_TO_URI, "sip:+442079460199@192.0.2.2", 27);
	assert_int_equal(0, sb_log_append(&f->log, types[step], SB_KEEP, rec, (uint32_t)o.len, NULL));
}

static struct fixture *log_with(unsigned records)
{
	struct fixture *f;
	struct sb_mover *m;

	fixture_dirs((void **)&f);
	f->cfg.segment_size = 4 << 20;
	f->cfg.journal_keep = 4ull << 30;
	f->cfg.spool_limit = 1ull << 30;
	assert_int_equal(0, fixture_start(f));
	sb_log_attach(&f->log, 0);
	assert_int_equal(0, sb_mover_new(&m, &f->log));
	for(unsigned n = 0; n < records; n++) {
		append(f, n);
		if(n % 100000 == 99999)
			assert_true(sb_mover_step(m, n) >= 0);
	}
	assert_true(sb_mover_step(m, records) >= 0);
	sb_mover_free(m);
	return f;
}

/* ---- delivery, in a process of its own: its memory is its own ---- */

struct outcome
{
	_Atomic uint64_t began_us, ended_us, peak_kb;
	char err[600];
};

static uint64_t anonymous_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long kb = 0;
	char line[128];

	while(f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if(sscanf(line, "RssAnon: %lu", &kb) == 1)
			break;
	}
	if(f != NULL)
		fclose(f);
	return kb;
}

static void deliver(const struct sb_deliver_cfg *cfg, struct outcome *out)
{
	uint64_t until = us() + 600000000ull, before = anonymous_kb(), now_kb;
	struct sb_deliver *d;

	atomic_store(&out->began_us, us());
	if(sb_deliver_prepare(cfg, out->err, sizeof(out->err)) != 0
			|| sb_deliver_new(&d, cfg, out->err, sizeof(out->err)) != 0)
		_exit(1);
	out->err[0] = '\0';
	for(unsigned turn = 0; atomic_load(&taken->events) < drain && atomic_load(&taken->wrong) == 0 && us() < until;
			turn++) {
		sb_deliver_turn(d, 50);
		now_kb = turn % 64 == 0 ? anonymous_kb() : 0;
		if(now_kb > before && now_kb - before > atomic_load(&out->peak_kb))
			atomic_store(&out->peak_kb, now_kb - before);
	}
	atomic_store(&out->ended_us, us());
	sb_deliver_stop(d, 1000);
	_exit(0);
}

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void a_million_events_behind_starts_at_once_and_drains_in_order(void **state)
{
	struct sb_endpoint ep;
	char url[64], hooks[128];
	struct outcome *out = shared(sizeof(*out));
	struct sb_deliver_status *st = shared(sb_deliver_status_size(1));
	struct sb_endpoint_row row = {{"a", url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "*", "1", "5000", "16", "", "*",
			"*", "127.0.0.0/8", "0", "", "", ""}};
	unsigned port;
	int status;

	(void)state;
	behind = setting("BEHIND", 1000000);
	drain = setting("DRAIN", 100000);
	taken = shared(sizeof(*taken) + behind / EVENTS);
	struct fixture *f = log_with(behind);
	pid_t server_is = receiver(&port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	assert_int_equal(0, sb_endpoint_from_row(&ep, "t", &row, bad, NULL));
	snprintf(hooks, sizeof(hooks), "%s/hooks", f->root);
	assert_int_equal(0, mkdir(hooks, 0700));
	struct sb_deliver_cfg cfg = {.log = &f->log,
			.sink = -1,
			.state_dir = hooks,
			.endpoints = &ep,
			.count = 1,
			.connect_timeout_ms = 1000,
			.timeout_ms = 5000,
			.probe_max_s = 1,
			.window = 1024,
			.pending_max = 100000,
			.dead_max = 1000,
			.deliveries_limit = 16 << 20,
			.say = quiet,
			.status = st};
	assert_int_equal(0, sb_schedule_parse(&cfg.schedule, "0,1", 0, out->err, sizeof(out->err)));
	pid_t pid = fork();
	if(pid == 0)
		deliver(&cfg, out);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	kill(server_is, SIGKILL);
	waitpid(server_is, NULL, 0);
	nftw(f->root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);

	double start_s = (double)(atomic_load(&taken->first_us) - out->began_us) / 1e6;
	double drain_s = (double)(out->ended_us - atomic_load(&taken->first_us)) / 1e6;
	fprintf(stderr, "# %u behind: first event after %.3f s, %u events in %.1f s (%.0f/s), memory +%.1f MB\n", behind,
			start_s, atomic_load(&taken->events), drain_s, atomic_load(&taken->events) / drain_s,
			(double)out->peak_kb / 1024);
	assert_string_equal("", out->err);
	assert_int_equal(0, status);
	if(taken->wrong > 0)
		fail_msg("%u events out of order; the first: %s", taken->wrong, taken->first_wrong);
	assert_true(taken->events >= drain);
	if(drain == behind) {
		for(unsigned i = 0; i < behind / EVENTS; i++)
			assert_int_equal(EVENTS, taken->last[i]);
	}
	assert_true(start_s <= START_S * SLOWER);
	assert_true(out->peak_kb <= MEMORY_KB * SLOWER);
	sb_log_close(&f->log);
	munmap(f->sh, sb_log_shared_size());
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_million_events_behind_starts_at_once_and_drains_in_order)};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
