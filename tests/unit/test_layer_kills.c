/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process of the four-layer log is killed at any moment: each event's line stands in the files once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <cmocka.h>

#include "layer_fixture.h"

static uint64_t *seen; /* how often each event's line was found */

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
		rest_us((uint64_t)sb_layer_turn(l, real_now(), real_now()) * 1000);
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
			sb_layer_turn(l, t->now, t->now);
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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
			TEST(kills_neither_lose_nor_double_nor_tear_a_line),
			TEST(a_kill_while_it_passes_what_it_wrote_doubles_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
