/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the log to the file or to syslog, with kills, full disks and moved files between. */
#include "event.h"
#include "layer_line.h"
#include "layer_log.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <cmocka.h>

#include "log_fixture.h"

#define LINES_MAX 200000

struct test
{
	struct fixture *f;
	struct sb_layer_cfg cfg;
	char target[128], dir[96];
	struct sb_layer_log *l;
	uint64_t now, events;
	char err[1200];
};

static char said[4096];
static unsigned errors_said, notices_said;
static uint64_t *seen; /* in shared memory: how often each event's line was found */

static void say(bool error, const char *text)
{
	if(error)
		errors_said++;
	else
		notices_said++;
	snprintf(said, sizeof(said), "%s", text);
}

static int begin(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	fixture_log((void **)&t->f);
	said[0] = '\0';
	errors_said = notices_said = 0;
	snprintf(t->dir, sizeof(t->dir), "%s/out", t->f->root);
	assert_int_equal(0, mkdir(t->dir, 0750));
	snprintf(t->target, sizeof(t->target), "%s/layers.log", t->dir);
	t->now = 1769868127000000ull;
	t->cfg.log = &t->f->log;
	t->cfg.sink = sb_log_sink(t->f->sh, "layer_log");
	t->cfg.state_dir = t->f->root;
	t->cfg.target = t->target;
	t->cfg.size = 1 << 20;
	t->cfg.files = 100;
	t->cfg.say = say;
	t->cfg.status = mmap(NULL, sizeof(*t->cfg.status), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct test *t = *state;

	if(t->l != NULL)
		sb_layer_stop(t->l, t->now);
	munmap(t->cfg.status, sizeof(*t->cfg.status));
	fixture_end((void **)&t->f);
	free(t);
	return 0;
}

static void start(struct test *t)
{
	assert_int_equal(0, sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)));
	assert_int_equal(0, sb_layer_new(&t->l, &t->cfg, t->err, sizeof(t->err)));
}

static void stop(struct test *t)
{
	sb_layer_stop(t->l, t->now);
	t->l = NULL;
}

static void event_of(struct test *t, uint16_t type)
{
	static uint8_t rec[SB_LOG_MAX_RECORD + 64];
	struct sb_out o = {.p = rec + SB_LOG_HDR, .cap = SB_LOG_MAX_RECORD};
	const uint8_t id[16] = {1, 2, 3};

	t->events++;
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, t->now);
	sb_put_u64(&o, SB_C_SEQUENCE, t->events);
	sb_put_str(&o, SB_C_RURI, "sip:+442079460100@sip.example.com", 33);
	assert_int_equal(0, sb_log_append(&t->f->log, type, SB_KEEP, rec, (uint32_t)o.len, NULL));
}

static void events(struct test *t, unsigned n)
{
	while(n-- > 0)
		event_of(t, SB_CALL_RINGING);
}

/* Turns until it has nothing more to do, in its own time. */
static void turns(struct test *t)
{
	for(int i = 0; i < 100 && sb_layer_turn(t->l, t->now) == 0; i++)
		t->now += 1000;
	t->now += SB_LAYER_KEEP_MS * 1000;
	sb_layer_turn(t->l, t->now);
}

/* The call sequences of a file's lines, in order. @return how many */
static unsigned sequences(const char *path, uint64_t *out)
{
	static char line[SB_LAYER_LINE_MAX + 2];
	FILE *f = fopen(path, "r");
	unsigned n = 0;

	assert_non_null(f);
	while(fgets(line, sizeof(line), f) != NULL) {
		const char *at = strstr(line, "\"sequence\":");
		assert_int_equal('\n', line[strlen(line) - 1]);
		assert_non_null(at);
		assert_true(sb_layer_line_begins(line, strlen(line)));
		out[n++] = strtoull(at + 11, NULL, 10);
		assert_true(n < LINES_MAX);
	}
	fclose(f);
	return n;
}

static void expect_lines(const struct test *t, const char *suffix, uint64_t first, uint64_t last)
{
	static uint64_t got[LINES_MAX];
	char path[160];

	snprintf(path, sizeof(path), "%s%s", t->target, suffix);
	assert_int_equal(last + 1 - first, sequences(path, got));
	for(uint64_t i = 0; i <= last - first; i++)
		assert_int_equal(first + i, got[i]);
}

static void every_event_is_a_line_and_nothing_else_is(void **state)
{
	struct test *t = *state;
	uint64_t bytes;

	start(t);
	event_of(t, SB_CALL_INITIATED);
	t->events--;
	event_of(t, SB_X_ATTEMPT);
	t->events--;
	fixture_append_class(t->f, 5, 40, SB_KEEP); /* a type that has a line, and a payload that is none */
	t->events = 1;
	events(t, 5);
	turns(t);
	expect_lines(t, "", 1, 6);
	assert_int_equal(6, atomic_load(&t->cfg.status->lines));
	assert_int_equal(1, atomic_load(&t->cfg.status->errors));
	assert_int_equal(1, errors_said);
	assert_non_null(strstr(said, "damaged"));
	bytes = atomic_load(&t->cfg.status->bytes);
	struct stat st;
	assert_int_equal(0, stat(t->target, &st));
	assert_int_equal(st.st_size, bytes);
	assert_int_equal(0, atomic_load(&t->cfg.status->oldest_at));
}

static void a_new_log_begins_with_its_first_start_and_goes_on_over_the_next(void **state)
{
	struct test *t = *state;

	events(t, 3);
	fixture_restart(t->f);
	start(t);
	events(t, 4);
	turns(t);
	stop(t);
	expect_lines(t, "", 4, 7);
	events(t, 2); /* nobody reads */
	fixture_restart(t->f);
	memset(t->cfg.status, 0, sizeof(*t->cfg.status));
	start(t);
	events(t, 2);
	turns(t);
	expect_lines(t, "", 4, 11);
	assert_int_equal(4, atomic_load(&t->cfg.status->lines));
}

static void it_is_rotated_by_size_and_no_line_is_lost(void **state)
{
	struct test *t = *state;
	uint64_t next = 1;

	t->cfg.size = 4000;
	start(t);
	for(int i = 0; i < 30; i++) {
		events(t, 3);
		turns(t);
	}
	for(int n = 99; n >= 0; n--) {
		static uint64_t got[LINES_MAX];
		char path[160];
		struct stat st;
		unsigned count;

		snprintf(path, sizeof(path), n > 0 ? "%s.%d" : "%s", t->target, n);
		if(stat(path, &st) != 0)
			continue;
		assert_true(st.st_size <= 4000);
		count = sequences(path, got);
		for(unsigned i = 0; i < count; i++)
			assert_int_equal(next++, got[i]);
	}
	assert_int_equal(91, next);
}

static void a_moved_file_is_noticed_at_once_and_while_idle_within_a_second(void **state)
{
	struct test *t = *state;
	char moved[160];

	snprintf(moved, sizeof(moved), "%s-moved", t->target);
	start(t);
	events(t, 2);
	turns(t);
	assert_int_equal(0, rename(t->target, moved));
	events(t, 2);
	turns(t);
	expect_lines(t, "-moved", 1, 2);
	expect_lines(t, "", 3, 4);
	assert_int_equal(0, unlink(t->target));
	t->now += 1000000;
	sb_layer_turn(t->l, t->now);
	assert_int_equal(0, access(t->target, F_OK));
}

static void a_disk_that_is_full_is_waited_for_and_said_once(void **state)
{
	struct test *t = *state;
	struct rlimit was, less;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &was));
	start(t);
	events(t, 2);
	turns(t);
	less = (struct rlimit){1000, was.rlim_max}; /* the store is larger already: it cannot be written either */
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &less));
	assert_true(t->events == 2);
	for(int i = 0; i < 50; i++) {
		sb_layer_turn(t->l, t->now);
		t->now += 100000;
		if(i == 0)
			assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &was));
		if(i == 0)
			events(t, 20);
		if(i < 40)
			assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &less));
		if(i == 30)
			assert_int_equal(SB_LAYER_WAITING, atomic_load(&t->cfg.status->state));
		if(i == 40)
			assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &was));
	}
	assert_int_equal(1, errors_said);
	t->now += 5000000;
	turns(t);
	assert_int_equal(SB_LAYER_WRITING, atomic_load(&t->cfg.status->state));
	assert_int_equal(1, notices_said);
	expect_lines(t, "", 1, 22);
}

static void a_folder_that_is_gone_refuses_the_start_and_later_is_waited_for(void **state)
{
	struct test *t = *state;
	char away[128];

	snprintf(away, sizeof(away), "%s/away", t->f->root);
	start(t);
	events(t, 2);
	turns(t);
	assert_int_equal(0, rename(t->dir, away));
	assert_int_equal(-ENOENT, sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)));
	assert_non_null(strstr(t->err, "install -d"));
	events(t, 2);
	turns(t);
	assert_int_equal(SB_LAYER_WAITING, atomic_load(&t->cfg.status->state));
	assert_int_not_equal(0, atomic_load(&t->cfg.status->oldest_at));
	assert_int_equal(0, rename(away, t->dir));
	t->now += 5000000;
	turns(t);
	expect_lines(t, "", 1, 4);
	assert_int_equal(1, errors_said);
}

static void targets_that_are_wrong_refuse_the_start(void **state)
{
	static const struct
	{
		const char *target, *said;
	} wrong[] = {{"layers.log", "absolute name"}, {"/", "absolute name"}, {"syslog:", "there are: local0"},
			{"syslog:kern", "local7 user daemon"}, {"syslog:local8", "there are: local0"}, {"syslog:local0:", "socket"},
			{"syslog:local0:dev/log", "absolute"}, {"/dev/null", "not a regular file"}};
	struct test *t = *state;

	for(size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		t->cfg.target = wrong[i].target;
		assert_true(sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)) < 0);
		assert_non_null(strstr(t->err, wrong[i].said));
	}
	t->cfg.target = t->target;
	t->cfg.state_dir = "/nowhere/at/all";
	assert_int_equal(-ENOENT, sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)));
	assert_non_null(strstr(t->err, "state_dir"));
}

static void the_store_of_another_version_refuses_the_start(void **state)
{
	struct test *t = *state;
	char command[256];

	start(t);
	stop(t);
	snprintf(command, sizeof(command), "sqlite3 %s/layer_log.sqlite 'PRAGMA user_version=9'", t->f->root);
	if(system(command) != 0)
		skip();
	assert_int_equal(-EPROTO, sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)));
	assert_non_null(strstr(t->err, "version 9"));
}

static void what_the_journal_dropped_is_counted_and_said(void **state)
{
	struct test *t = *state;
	uint64_t first = 0, last = 0;

	start(t);
	events(t, 200); /* several segments of 4 kB */
	assert_true(fixture_move(t->f) > 0);
	assert_int_equal(0, sb_log_segments(t->f->cfg.journal_dir, t->f->cfg.spool_dir, &first, &last));
	for(uint64_t s = first; s < first + 2; s++) {
		char path[SB_LOG_FILE];

		sb_path_segment(path, t->f->cfg.journal_dir, s);
		assert_int_equal(0, unlink(path));
		sb_path_segment(path, t->f->cfg.spool_dir, s);
		unlink(path);
	}
	turns(t);
	assert_int_equal(1, errors_said);
	assert_non_null(strstr(said, "no longer holds"));
	assert_int_equal(1, atomic_load(&t->cfg.status->errors));
	assert_true(atomic_load(&t->cfg.status->lines) > 0);
}

static uint64_t random_us(unsigned *seed, unsigned max)
{
	return (uint64_t)rand_r(seed) % max;
}

static void rest_us(uint64_t us)
{
	const struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	nanosleep(&t, NULL);
}

static uint64_t real_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static pid_t worker(struct test *t)
{
	struct sb_layer_log *l = NULL;
	pid_t pid = fork();

	if(pid != 0)
		return pid;
	if(sb_layer_new(&l, &t->cfg, t->err, sizeof(t->err)) != 0)
		_exit(1);
	for(;;)
		rest_us((uint64_t)sb_layer_turn(l, real_now()) * 1000);
}

/* All files of the folder: every line whole, and how often each event has one. @return lines */
static uint64_t count_lines(const struct test *t)
{
	static uint64_t got[LINES_MAX];
	DIR *d = opendir(t->dir);
	struct dirent *e;
	uint64_t lines = 0;

	assert_non_null(d);
	while((e = readdir(d)) != NULL) {
		char path[512];
		unsigned n;

		if(e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", t->dir, e->d_name);
		n = sequences(path, got);
		for(unsigned i = 0; i < n; i++) {
			assert_in_range(got[i], 1, t->events);
			seen[got[i]]++;
			if(i > 0)
				assert_int_equal(got[i - 1] + 1, got[i]);
		}
		lines += n;
	}
	closedir(d);
	return lines;
}

/* The worker is killed again and again while events come, files are rotated, and somebody else moves them. */
static void kills_neither_lose_nor_double_nor_tear_a_line(void **state)
{
	struct test *t = *state;
	unsigned kills = getenv("KILLS") != NULL ? (unsigned)atoi(getenv("KILLS")) : 60;
	unsigned seed = getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)real_now();
	char moved[160];
	pid_t pid;
	int status;

	printf("# SEED=%u KILLS=%u\n", seed, kills);
	t->cfg.size = 20000;
	t->cfg.files = 10000;
	assert_int_equal(0, sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)));
	for(unsigned i = 0; i < kills; i++) {
		uint64_t until;

		pid = worker(t);
		assert_true(pid > 0);
		until = real_now() + 2000 + random_us(&seed, i % 4 == 0 ? 400000 : 20000);
		while(real_now() < until) {
			events(t, 1 + (unsigned)random_us(&seed, 20));
			if(random_us(&seed, 150) == 0) {
				snprintf(moved, sizeof(moved), "%s-moved.%llu", t->target, (unsigned long long)t->events);
				rename(t->target, moved);
			}
			rest_us(random_us(&seed, 2000));
		}
		assert_int_equal(0, kill(pid, SIGKILL));
		assert_int_equal(pid, waitpid(pid, &status, 0));
		assert_true(WIFSIGNALED(status));
		if(i % 3 == 0)
			fixture_move(t->f);
	}
	assert_true(t->events < LINES_MAX);
	assert_int_equal(0, sb_layer_new(&t->l, &t->cfg, t->err, sizeof(t->err)));
	t->now = real_now();
	for(int i = 0; i < 200; i++)
		turns(t);
	seen = calloc(t->events + 1, sizeof(*seen));
	assert_int_equal(t->events, count_lines(t));
	for(uint64_t n = 1; n <= t->events; n++)
		assert_int_equal(1, seen[n]);
	assert_int_equal(t->events, atomic_load(&t->cfg.status->lines));
	free(seen);
}

static void copy_file(const char *from, const char *to)
{
	static char buf[1 << 20];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n = read(in, buf, sizeof(buf));

	assert_true(n > 0 && n < (ssize_t)sizeof(buf));
	assert_int_equal(n, write(out, buf, (size_t)n));
	close(in);
	close(out);
}

/* More lines stand behind the cursor than one turn passes: killed between such turns, it still knows them all. */
static void a_kill_while_it_passes_what_it_wrote_doubles_nothing(void **state)
{
	struct test *t = *state;
	char store[160], old[160];
	int status;
	pid_t pid;

	snprintf(store, sizeof(store), "%s/layer_log.sqlite", t->f->root);
	snprintf(old, sizeof(old), "%s/old.sqlite", t->f->root);
	t->cfg.size = 1 << 30;
	start(t);
	stop(t);
	copy_file(store, old);
	start(t);
	events(t, 9000);
	for(int i = 0; i < 20; i++)
		turns(t);
	stop(t);
	copy_file(old, store);
	for(int kills = 0; kills < 2; kills++) {
		pid = fork();
		if(pid == 0) {
			struct sb_layer_log *l = NULL;

			if(sb_layer_new(&l, &t->cfg, t->err, sizeof(t->err)) != 0)
				_exit(1);
			sb_layer_turn(l, t->now);
			raise(SIGKILL);
		}
		assert_int_equal(pid, waitpid(pid, &status, 0));
		assert_true(WIFSIGNALED(status));
	}
	assert_int_equal(0, sb_layer_new(&t->l, &t->cfg, t->err, sizeof(t->err)));
	for(int i = 0; i < 20; i++)
		turns(t);
	events(t, 3);
	turns(t);
	expect_lines(t, "", 1, 9003);
	assert_int_equal(9003, atomic_load(&t->cfg.status->lines));
}

static int daemon_socket(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	strcpy(a.sun_path, path);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void expect_message(int fd, uint64_t sequence)
{
	char text[SB_LAYER_LINE_MAX], want[48], mine[32];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	text[n] = '\0';
	assert_memory_equal(text, "<134>", 5); /* local0, info */
	snprintf(mine, sizeof(mine), " signalbox[%d]: {\"at\":", (int)getpid());
	assert_non_null(strstr(text, mine));
	snprintf(want, sizeof(want), "\"sequence\":%llu,", (unsigned long long)sequence);
	assert_non_null(strstr(text, want));
	assert_int_equal('}', text[n - 1]);
}

static void syslog_gets_a_line_each_and_a_daemon_that_is_away_is_waited_for(void **state)
{
	struct test *t = *state;
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "%s/log", t->f->root);
	snprintf(t->target, sizeof(t->target), "syslog:local0:%s", path);
	fd = daemon_socket(path);
	start(t);
	events(t, 2);
	turns(t);
	expect_message(fd, 1);
	expect_message(fd, 2);
	close(fd);
	unlink(path);
	fd = daemon_socket(path); /* started anew: nobody waits */
	events(t, 1);
	turns(t);
	expect_message(fd, 3);
	assert_int_equal(0, errors_said);
	close(fd);
	unlink(path);
	events(t, 2);
	turns(t);
	assert_int_equal(SB_LAYER_WAITING, atomic_load(&t->cfg.status->state));
	assert_int_equal(1, errors_said);
	fd = daemon_socket(path);
	t->now += 5000000;
	turns(t);
	expect_message(fd, 4);
	expect_message(fd, 5);
	assert_int_equal(SB_LAYER_WRITING, atomic_load(&t->cfg.status->state));
	close(fd);
}

static unsigned queue_length(void)
{
	FILE *f = fopen("/proc/sys/net/unix/max_dgram_qlen", "r");
	unsigned n = 0;

	assert_non_null(f);
	assert_int_equal(1, fscanf(f, "%u", &n));
	fclose(f);
	return n;
}

static void a_syslog_daemon_that_does_not_read_holds_lines_back_and_loses_none(void **state)
{
	struct test *t = *state;
	uint64_t got = 0;
	unsigned all = queue_length() * 2 + 5;
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "%s/log", t->f->root);
	snprintf(t->target, sizeof(t->target), "syslog:local0:%s", path);
	fd = daemon_socket(path);
	start(t);
	events(t, all);
	for(int i = 0; i < 3; i++) {
		sb_layer_turn(t->l, t->now);
		t->now += 10000000;
	}
	assert_int_equal(SB_LAYER_WAITING, atomic_load(&t->cfg.status->state));
	while(got < all) {
		char text[SB_LAYER_LINE_MAX];

		while(recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
			got++;
		t->now += 10000000;
		sb_layer_turn(t->l, t->now);
	}
	close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
			TEST(every_event_is_a_line_and_nothing_else_is),
			TEST(a_new_log_begins_with_its_first_start_and_goes_on_over_the_next),
			TEST(it_is_rotated_by_size_and_no_line_is_lost),
			TEST(a_moved_file_is_noticed_at_once_and_while_idle_within_a_second),
			TEST(a_disk_that_is_full_is_waited_for_and_said_once),
			TEST(a_folder_that_is_gone_refuses_the_start_and_later_is_waited_for),
			TEST(targets_that_are_wrong_refuse_the_start),
			TEST(the_store_of_another_version_refuses_the_start),
			TEST(what_the_journal_dropped_is_counted_and_said),
			TEST(kills_neither_lose_nor_double_nor_tear_a_line),
			TEST(a_kill_while_it_passes_what_it_wrote_doubles_nothing),
			TEST(syslog_gets_a_line_each_and_a_daemon_that_is_away_is_waited_for),
			TEST(a_syslog_daemon_that_does_not_read_holds_lines_back_and_loses_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
