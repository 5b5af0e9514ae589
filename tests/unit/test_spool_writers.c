/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "log_fixture.h"

#define main spool_writers
#include "../experiments/spool_writers.c"
#undef main

/* In a process of its own, whose children it kills. */
static void run(struct fixture *f, const char *records, const char *segment_size, const char *ring_size)
{
	char *args[] = {"spool_writers", (char *)records, f->cfg.spool_dir, f->cfg.journal_dir, "1", (char *)segment_size,
			(char *)ring_size, NULL};
	int status;

	fflush(stdout);
	pid_t pid = fork();
	if(pid == 0)
		exit(spool_writers(7, args));
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	assert_int_equal(0, WEXITSTATUS(status));
}

static void killed_writers_collectors_and_movers_lose_nothing_and_keep_the_order(void **state)
{
	run(*state, "400000", "1048576", "1048576");
}

static void small_rings_and_segments_lose_nothing_and_keep_the_order(void **state)
{
	run(*state, "200000", "8192", "131072");
}

static void killed_writers_without_rings_lose_nothing_and_keep_the_order(void **state)
{
	run(*state, "200000", "1048576", "0");
}

static void many_changes_of_segment_lose_nothing_and_keep_the_order(void **state)
{
	run(*state, "40000", "8192", "0");
}

int main(void)
{
#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, fixture_dirs, fixture_end)
	const struct CMUnitTest tests[] = {
			WITH_DIRS(killed_writers_collectors_and_movers_lose_nothing_and_keep_the_order),
			WITH_DIRS(small_rings_and_segments_lose_nothing_and_keep_the_order),
			WITH_DIRS(killed_writers_without_rings_lose_nothing_and_keep_the_order),
			WITH_DIRS(many_changes_of_segment_lose_nothing_and_keep_the_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
