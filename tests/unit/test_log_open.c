/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "log_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#define SPOOL f->cfg.spool_dir
#define JOURNAL f->cfg.journal_dir

static void assert_says(const struct fixture *f, const char *part)
{
	if(strstr(f->err, part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, f->err);
}

static void text_write(const char *dir, const char *name, const char *text)
{
	char path[SB_LOG_FILE];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void text_is(const char *dir, const char *name, const char *expected)
{
	char path[SB_LOG_FILE], text[SB_LOG_PATH];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_true(sb_file_read(path, text, sizeof(text)) >= 0);
	assert_string_equal(expected, text);
}

static void text_remove(const char *dir, const char *name)
{
	char path[SB_LOG_FILE];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(0, unlink(path));
}

static void a_missing_directory_is_named_with_the_command_that_makes_it(void **state)
{
	struct fixture *f = *state;
	char command[SB_LOG_FILE + 64];

	assert_int_equal(0, rmdir(SPOOL));
	assert_int_equal(-ENOENT, fixture_start(f));
	snprintf(command, sizeof(command), "spool_dir %s does not exist; make it: install -d -o ", SPOOL);
	assert_says(f, command);
	assert_int_equal(0, mkdir(SPOOL, 0750));
	assert_int_equal(0, rmdir(JOURNAL));
	assert_int_equal(-ENOENT, fixture_start(f));
	snprintf(command, sizeof(command), "journal_dir %s does not exist; make it: install -d -o ", JOURNAL);
	assert_says(f, command);
}

static void a_file_in_the_place_of_a_directory_is_named(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(0, rmdir(JOURNAL));
	text_write(f->root, "journal", "");
	assert_int_equal(-ENOTDIR, fixture_start(f));
	assert_says(f, "is not a directory");
}

static void a_relative_path_is_refused(void **state)
{
	struct fixture *f = *state;

	strcpy(SPOOL, "spool");
	assert_int_equal(-EINVAL, fixture_start(f));
	assert_says(f, "spool_dir is \"spool\": an absolute path is expected");
}

/* In a process of its own, as another user. */
static void a_directory_of_somebody_else_is_named_with_the_user(void **state)
{
	struct fixture *f = *state;

	if(geteuid() != 0)
		skip();
	assert_int_equal(0, chmod(f->root, 0755));
	pid_t pid = fork();
	if(pid == 0) {
		if(setuid(65534) != 0)
			_exit(2);
		_exit(fixture_start(f) == -EACCES && strstr(f->err, "cannot be") != NULL && strstr(f->err, "spool_dir") != NULL
								&& strstr(f->err, "chown -R ") != NULL
						? 0
						: 1);
	}
	int status;
	assert_int_equal(0, chmod(SPOOL, 0755));
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	assert_int_equal(0, WEXITSTATUS(status));
}

static void a_read_only_file_system_is_named_with_the_command_that_mends_it(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if(pid == 0) {
		if(unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
				|| mount("none", JOURNAL, "tmpfs", MS_RDONLY, NULL) != 0)
			_exit(77);
		_exit(fixture_start(f) == -EROFS && strstr(f->err, "mounted read-only") != NULL
								&& strstr(f->err, "remount,rw") != NULL && strstr(f->err, "journal_dir") != NULL
						? 0
						: 1);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	if(WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(0, WEXITSTATUS(status));
}

static void a_second_instance_on_the_same_spool_is_told_the_pid_of_the_first(void **state)
{
	struct fixture *f = *state;
	struct sb_log second;
	char pid[64];

	assert_int_equal(-EWOULDBLOCK, sb_log_open(&second, &f->cfg, f->sh, 0, f->err, sizeof(f->err)));
	snprintf(pid, sizeof(pid), "in use by another instance, pid %d ", (int)getpid());
	assert_says(f, pid);
	assert_int_equal(-1, second.lock_fd);
	fixture_append(f, 1); /* the first is unharmed */
	fixture_expect_all(JOURNAL, SPOOL, 1, 1, 0);
}

static void a_second_instance_on_the_same_journal_is_told_the_first_ones_spool(void **state)
{
	struct fixture *f = *state;
	struct sb_log second;
	struct sb_log_cfg cfg = f->cfg;

	snprintf(cfg.spool_dir, sizeof(cfg.spool_dir), "%s/spool2", f->root);
	assert_int_equal(0, mkdir(cfg.spool_dir, 0750));
	assert_int_equal(-EWOULDBLOCK, sb_log_open(&second, &cfg, f->sh, 0, f->err, sizeof(f->err)));
	assert_says(f, "journal_dir");
	assert_says(f, SPOOL);
}

static void a_lock_that_is_let_go_in_time_is_waited_for(void **state)
{
	struct fixture *f = *state;
	int ready[2], status;
	char byte;

	assert_int_equal(0, pipe(ready));
	pid_t pid = fork();
	if(pid == 0) { /* inherits the lock, as a worker does, and outlives its parent */
		close(ready[1]);
		(void)!read(ready[0], &byte, 1);
		usleep(100000);
		_exit(0);
	}
	sb_log_close(&f->log);
	close(ready[0]);
	assert_int_equal(-EWOULDBLOCK, fixture_start(f));
	assert_int_equal(1, write(ready[1], "x", 1));
	assert_int_equal(0, sb_log_open(&f->log, &f->cfg, f->sh, 10000, f->err, sizeof(f->err)));
	assert_int_equal(pid, waitpid(pid, &status, 0));
	close(ready[1]);
}

static void every_start_has_a_higher_epoch_and_the_same_node(void **state)
{
	struct fixture *f = *state;
	char node[37], text[32];

	strcpy(node, f->log.node);
	assert_int_equal(36, strlen(node));
	text_is(JOURNAL, "node", node);
	for(uint32_t epoch = 1; epoch < 6; epoch++) {
		assert_int_equal(epoch, f->log.epoch);
		snprintf(text, sizeof(text), "%u", epoch);
		text_is(JOURNAL, "epoch", text);
		assert_int_equal(((uint64_t)epoch << 32) + 1, f->sh->current);
		fixture_restart(f);
		assert_string_equal(node, f->log.node);
	}
}

static void the_journal_names_its_spool(void **state)
{
	struct fixture *f = *state;

	text_is(JOURNAL, "spool", SPOOL);
}

static void a_lost_epoch_is_not_begun_again(void **state)
{
	struct fixture *f = *state;
	char node[37];

	strcpy(node, f->log.node);
	sb_log_close(&f->log);
	text_remove(JOURNAL, "epoch");
	assert_int_equal(-ENOENT, fixture_start(f));
	assert_says(f, "event ids could repeat");
	text_remove(JOURNAL, "node");
	assert_int_equal(0, fixture_start(f));
	assert_string_not_equal(node, f->log.node);
}

static void a_bad_epoch_or_node_is_shown(void **state)
{
	static const char *const epochs[] = {"", "x", "-1", "12 13", "4294967295", "99999999999999999999999"};
	struct fixture *f = *state;

	sb_log_close(&f->log);
	for(size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
		text_write(JOURNAL, "epoch", epochs[i]);
		assert_true(fixture_start(f) < 0);
		assert_says(f, epochs[i][0] != '\0' ? epochs[i] : "empty");
		assert_says(f, "a number is expected");
	}
	text_write(JOURNAL, "epoch", "41\n");
	text_write(JOURNAL, "node", "localhost\n");
	assert_true(fixture_start(f) < 0);
	assert_says(f, "localhost");
	assert_says(f, "a UUID in lower case is expected");
	text_write(JOURNAL, "node", "01234567-89ab-4def-8123-456789abcdef\n");
	assert_int_equal(0, fixture_start(f));
	assert_int_equal(42, f->log.epoch);
}

static void limits_that_cannot_work_are_refused(void **state)
{
	struct fixture *f = *state;

	f->cfg.segment_size = 100;
	assert_int_equal(-EINVAL, fixture_start(f));
	assert_says(f, "segment_size is 100 bytes: 4096 to 1073741824 are expected");
	f->cfg.segment_size = 8192;
	f->cfg.spool_limit = 16383;
	assert_int_equal(-EINVAL, fixture_start(f));
	assert_says(f, "spool_limit is 16383 bytes: at least two segments are expected, 16384");
	f->cfg.spool_limit = 16384;
	assert_int_equal(0, fixture_start(f));
}

static void tmpfs_is_told_from_a_disk(void **state)
{
	(void)state;
	assert_int_equal(0, sb_log_on_tmpfs("/proc"));
	assert_int_equal(-ENOENT, sb_log_on_tmpfs("/nonexistent"));
	if(access("/dev/shm", F_OK) == 0)
		assert_int_equal(1, sb_log_on_tmpfs("/dev/shm"));
}

static void a_writer_beyond_the_slots_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(-EINVAL, sb_log_attach(&f->log, SB_LOG_WRITERS));
	assert_int_equal(0, sb_log_attach(&f->log, SB_LOG_WRITERS - 1));
	fixture_append(f, 1);
	fixture_expect_all(JOURNAL, SPOOL, 1, 1, 0);
}

static void a_sink_beyond_the_last_is_refused(void **state)
{
	struct fixture *f = *state;

	for(int i = 0; i < (int)SB_LOG_SINKS; i++)
		assert_int_equal(i, sb_log_sink(f->sh, "a name that is far too long for its place in the table"));
	assert_int_equal(-ENOSPC, sb_log_sink(f->sh, "one more"));
	assert_int_equal(31, strlen(f->sh->sink_name[0]));
}

static void a_reader_of_a_missing_journal_is_refused(void **state)
{
	struct fixture *f = *state;
	struct sb_reader *r;

	assert_int_equal(-ENOENT, sb_reader_open(&r, "/nonexistent", NULL, (struct sb_pos){0, 0}));
	assert_int_equal(0, sb_reader_open(&r, JOURNAL, "/nonexistent", (struct sb_pos){0, 0}));
	fixture_expect_none(r);
	sb_reader_close(r);
	sb_reader_close(NULL);
}

int main(void)
{
#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, fixture_log, fixture_end)
#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, fixture_dirs, fixture_end)
	const struct CMUnitTest tests[] = {
			WITH_DIRS(a_missing_directory_is_named_with_the_command_that_makes_it),
			WITH_DIRS(a_file_in_the_place_of_a_directory_is_named),
			WITH_DIRS(a_relative_path_is_refused),
			WITH_DIRS(a_directory_of_somebody_else_is_named_with_the_user),
			WITH_DIRS(a_read_only_file_system_is_named_with_the_command_that_mends_it),
			WITH_LOG(a_second_instance_on_the_same_spool_is_told_the_pid_of_the_first),
			WITH_LOG(a_second_instance_on_the_same_journal_is_told_the_first_ones_spool),
			WITH_LOG(a_lock_that_is_let_go_in_time_is_waited_for),
			WITH_LOG(every_start_has_a_higher_epoch_and_the_same_node),
			WITH_LOG(the_journal_names_its_spool),
			WITH_LOG(a_lost_epoch_is_not_begun_again),
			WITH_LOG(a_bad_epoch_or_node_is_shown),
			WITH_DIRS(limits_that_cannot_work_are_refused),
			cmocka_unit_test(tmpfs_is_told_from_a_disk),
			WITH_LOG(a_writer_beyond_the_slots_is_refused),
			WITH_LOG(a_sink_beyond_the_last_is_refused),
			WITH_DIRS(a_reader_of_a_missing_journal_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
