/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cursor of the call log: when it is on disk, and what it means in a log that is not the one it was kept for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call_log_fake.h"

#include "call_log_state.h"

#include <sys/syscall.h>

static unsigned synced; /* times that a file of call_log.sqlite was brought to disk */

static void note_sync(int fd)
{
	char link[40], path[300];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	synced += strstr(path, SB_CALL_LOG_FILE) != NULL;
}

/* In the place of the C library's, for SQLite too. */
int fdatasync(int fd)
{
	note_sync(fd);
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	note_sync(fd);
	return (int)syscall(SYS_fsync, fd);
}

static void the_cursor_is_on_disk_before_its_segment_may_go(void **state)
{
	struct test *t = *state;
	const struct sb_cl_aside bad = {"callstate_event", "key", "id", "call", "refused", "{}"};
	struct sb_cl_state *s;
	char path[200];

	snprintf(path, sizeof(path), "%s/other-" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(0, sb_cl_state_open(&s, path, t->err, sizeof(t->err)));
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){1, 10}, NULL, 0, 0));
	synced = 0;
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){1, 20}, NULL, 0, 0));
	assert_int_equal(0, synced);
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){2, 0}, NULL, 0, 0));
	assert_int_equal(1, synced);
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){2, 9}, NULL, 0, 0));
	assert_int_equal(1, synced);
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){2, 10}, &bad, 1, 0));
	assert_int_equal(2, synced);
	sb_cl_state_close(s);
	assert_int_equal(0, sb_cl_state_open(&s, path, t->err, sizeof(t->err)));
	synced = 0;
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){2, 11}, NULL, 0, 0));
	assert_true(synced > 0);
	sb_cl_state_close(s);
}

static void a_log_of_another_node_is_read_from_its_beginning(void **state)
{
	struct test *t = *state;

	calls(t, 1, 30);
	turns(t, SECOND);
	sb_call_log_stop(t->c, t->at);
	memset(&t->store.row, 0, sizeof(t->store.row));
	t->store.rows = 0;
	started(t);
	turns(t, SECOND);
	assert_int_equal(0, t->store.rows);
	sb_call_log_stop(t->c, t->at);
	strcpy(t->log.log.node, "00000000-3665-452a-aaed-091cf38e1055");
	started(t);
	turns(t, SECOND);
	assert_all(t, 30);
	assert_int_equal(1, t->said[SB_CALL_LOG_WARNING]);
	assert_non_null(strstr(t->text, "its node is another"));
	sb_call_log_stop(t->c, t->at);
	started(t);
	assert_int_equal(1, t->said[SB_CALL_LOG_WARNING]);
}

static void a_new_identity_beside_the_same_segments_goes_on_where_it_was(void **state)
{
	struct test *t = *state;
	char path[SB_LOG_FILE];

	calls(t, 1, 30);
	turns(t, SECOND);
	sb_call_log_stop(t->c, t->at);
	sb_path_segment(path, t->log.cfg.spool_dir, 9ull << 32);
	fclose(fopen(path, "w"));
	for(int start = 0; start < 2; start++) {
		fixture_restart(&t->log);
		t->log.sh->sinks = 1;
		strcpy(t->log.log.node, "00000000-3665-452a-aaed-091cf38e1055");
		t->store.rows = 0;
		started(t);
		turns(t, SECOND);
		assert_int_equal(0, t->store.rows);
		assert_true(t->status.segment > 0);
		sb_call_log_stop(t->c, t->at);
	}
	started(t);
	calls(t, 31, 33);
	turns(t, SECOND);
	assert_int_equal(3, count(t, SB_CL_CALL));
	assert_int_equal(0, t->said[SB_CALL_LOG_WARNING]);
}

static void a_log_that_ends_before_the_cursor_is_read_from_its_beginning(void **state)
{
	struct test *t = *state;
	struct sb_cl_state *s;
	char path[200];

	calls(t, 1, 30);
	turns(t, SECOND);
	sb_call_log_stop(t->c, t->at);
	t->store.rows = 0;
	snprintf(path, sizeof(path), "%s/" SB_CALL_LOG_FILE, t->log.root);
	assert_int_equal(0, sb_cl_state_open(&s, path, t->err, sizeof(t->err)));
	assert_int_equal(0, sb_cl_state_keep(s, (struct sb_pos){9ull << 32, 44}, NULL, 0, 0));
	sb_cl_state_close(s);
	started(t);
	assert_int_equal(0, t->log.sh->sink_segment[t->cfg.sink]); /* none of it may go */
	turns(t, SECOND);
	assert_all(t, 30);
	assert_int_equal(1, t->said[SB_CALL_LOG_WARNING]);
	assert_non_null(strstr(t->text, "ends before"));
	assert_int_equal(0, t->status.lost_segments);
}

static void a_kill_while_the_error_is_written_holds_up_nobody_who_reads_it(void **state)
{
	struct test *t = *state;
	char error[SB_CL_ERROR];

	t->store.open_rc = -EIO;
	turns(t, SECOND);
	sb_call_log_status_error(&t->status, error);
	assert_string_equal("fake: cannot be opened", error);
	t->status.text_version++;
	alarm(10);
	sb_call_log_status_error(&t->status, error);
	assert_string_equal("", error);
	sb_call_log_stop(t->c, t->at);
	started(t);
	sb_call_log_status_error(&t->status, error);
	alarm(0);
	assert_string_equal("fake: cannot be opened", error);
}

static void a_log_that_cannot_be_read_is_said_once_a_minute(void **state)
{
	struct test *t = *state;
	char away[SB_LOG_PATH + 8], error[SB_CL_ERROR];

	sb_call_log_stop(t->c, t->at);
	snprintf(away, sizeof(away), "%s.away", t->log.cfg.journal_dir);
	assert_int_equal(0, rename(t->log.cfg.journal_dir, away));
	started(t);
	turns(t, 50 * SECOND);
	assert_int_equal(1, t->said[SB_CALL_LOG_ERROR]);
	sb_call_log_status_error(&t->status, error);
	assert_non_null(strstr(error, "cannot be read"));
	turns(t, 20 * SECOND);
	assert_int_equal(2, t->said[SB_CALL_LOG_ERROR]);
	assert_int_equal(0, rename(away, t->log.cfg.journal_dir));
	calls(t, 1, 3);
	turns(t, 3 * SECOND);
	assert_all(t, 3);
}

int main(void)
{
#define ENGINE(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
			ENGINE(the_cursor_is_on_disk_before_its_segment_may_go),
			ENGINE(a_log_of_another_node_is_read_from_its_beginning),
			ENGINE(a_new_identity_beside_the_same_segments_goes_on_where_it_was),
			ENGINE(a_log_that_ends_before_the_cursor_is_read_from_its_beginning),
			ENGINE(a_kill_while_the_error_is_written_holds_up_nobody_who_reads_it),
			ENGINE(a_log_that_cannot_be_read_is_said_once_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
