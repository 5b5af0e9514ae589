/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the log to the file or to syslog, with full disks and moved files between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <cmocka.h>

#include "layer_fixture.h"

#include "layer_parts.h"

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
	sb_layer_turn(t->l, t->now, t->now);
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
		sb_layer_turn(t->l, t->now, t->now);
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

static void a_log_that_is_not_the_one_it_knows_is_read_from_this_start_on(void **state)
{
	struct test *t = *state;
	struct sb_layer_store *s;
	struct sb_layer_kept k;
	char path[SB_LOG_PATH];

	start(t);
	events(t, 3);
	turns(t);
	stop(t);
	snprintf(path, sizeof(path), "%s/layer_log.sqlite", t->f->root);
	assert_int_equal(0, sb_layer_store_open(&s, path, true, t->err, sizeof(t->err)));
	assert_int_equal(0, sb_layer_store_get(s, &k));
	k.pos.segment += 9ull << 32;
	assert_int_equal(0, sb_layer_store_put(s, &k));
	sb_layer_store_close(s);
	fixture_restart(t->f);
	start(t);
	assert_non_null(strstr(said, "it ends before what was read of it"));
	assert_int_equal(t->f->sh->sink_segment[t->cfg.sink], t->f->sh->current);
	events(t, 2);
	turns(t);
	expect_lines(t, "", 1, 5);
	stop(t);
	fixture_restart(t->f);
	t->f->log.node[0] ^= 1;
	start(t);
	assert_non_null(strstr(said, "its node is another"));
	assert_int_equal(2, notices_said);
	stop(t);
	start(t);
	assert_int_equal(2, notices_said);
	assert_int_equal(0, errors_said);
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

static void syslog_is_told_the_time_of_the_clock_that_was_set(void **state)
{
	struct test *t = *state;
	char path[100], text[SB_LAYER_LINE_MAX], want[24];
	time_t then;
	int fd;

	snprintf(path, sizeof(path), "%s/log", t->f->root);
	snprintf(t->target, sizeof(t->target), "syslog:local0:%s", path);
	fd = daemon_socket(path);
	start(t);
	for(int step = -1; step <= 1; step++) {
		uint64_t wall = t->now + (uint64_t)((int64_t)step * 7200 * 1000000);

		events(t, 1);
		sb_layer_turn(t->l, wall, t->now);
		t->now += SB_LAYER_SECOND_US;
		assert_true(recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0);
		then = (time_t)(wall / 1000000);
		strftime(want, sizeof(want), "%b %e %H:%M:%S", localtime(&then));
		assert_memory_equal(text + 5, want, strlen(want));
	}
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
		sb_layer_turn(t->l, t->now, t->now);
		t->now += 10000000;
	}
	assert_int_equal(SB_LAYER_WAITING, atomic_load(&t->cfg.status->state));
	while(got < all) {
		char text[SB_LAYER_LINE_MAX];

		while(recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
			got++;
		t->now += 10000000;
		sb_layer_turn(t->l, t->now, t->now);
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
			TEST(a_log_that_is_not_the_one_it_knows_is_read_from_this_start_on),
			TEST(syslog_is_told_the_time_of_the_clock_that_was_set),
			TEST(syslog_gets_a_line_each_and_a_daemon_that_is_away_is_waited_for),
			TEST(a_syslog_daemon_that_does_not_read_holds_lines_back_and_loses_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
