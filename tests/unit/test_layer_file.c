/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layer_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture
{
	char dir[64], path[128];
	struct sb_layer_file f;
	char seen[65536]; /* what recovery gave, each line ended by "|" */
};

static int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "/tmp/sb-test-layer-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	snprintf(x->path, sizeof(x->path), "%s/layers.log", x->dir);
	assert_int_equal(0, sb_layer_file_init(&x->f, x->path, 1000, 3));
	*state = x;
	return 0;
}

static int remove_it(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int end(void **state)
{
	struct fixture *x = *state;

	sb_layer_file_close(&x->f);
	nftw(x->dir, remove_it, 16, FTW_DEPTH | FTW_PHYS);
	free(x);
	return 0;
}

static const char *name(const struct fixture *x, const char *suffix)
{
	static char out[4][160];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(out[i], sizeof(out[i]), "%s%s", x->path, suffix);
	return out[i];
}

static const char *content(const struct fixture *x, const char *suffix)
{
	static char out[65536];
	int fd = open(name(x, suffix), O_RDONLY);
	ssize_t n;

	if(fd < 0)
		return NULL;
	n = read(fd, out, sizeof(out) - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	close(fd);
	return out;
}

static void put(const struct fixture *x, const char *suffix, const char *text)
{
	int fd = open(name(x, suffix), O_WRONLY | O_CREAT | O_APPEND, 0640);

	assert_true(fd >= 0);
	assert_int_equal(strlen(text), write(fd, text, strlen(text)));
	close(fd);
}

static void append(struct fixture *x, const char *lines)
{
	size_t done = 0;

	assert_true(sb_layer_file_follow(&x->f) >= 0);
	assert_int_equal(0, sb_layer_file_append(&x->f, lines, strlen(lines), &done));
	assert_int_equal(strlen(lines), done);
}

static bool ours(const char *p, size_t len)
{
	return memcmp(p, "L", len < 1 ? len : 1) == 0;
}

static int see(const char *line, size_t len, void *arg)
{
	struct fixture *x = arg;

	strncat(x->seen, line, len);
	strcat(x->seen, "|");
	return 0;
}

/* The short ones. */
static int see_few(const char *line, size_t len, void *arg)
{
	return len < 10 ? see(line, len, arg) : 0;
}

static void recovers(struct fixture *x, struct sb_layer_mark mark, const char *expected)
{
	x->seen[0] = '\0';
	assert_int_equal(0, sb_layer_file_recover(&x->f, &mark, ours, see, x));
	assert_string_equal(expected, x->seen);
}

static void names_must_be_absolute_and_of_a_file(void **state)
{
	struct sb_layer_file f;
	char longest[SB_LAYER_PATH + 1];

	(void)state;
	assert_int_equal(-EINVAL, sb_layer_file_init(&f, "layers.log", 1, 1));
	assert_int_equal(-EINVAL, sb_layer_file_init(&f, "/var/log/", 1, 1));
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[SB_LAYER_PATH] = '\0';
	assert_int_equal(-ENAMETOOLONG, sb_layer_file_init(&f, longest, 1, 1));
}

static void a_new_file_has_mode_0640_whatever_the_umask(void **state)
{
	struct fixture *x = *state;
	mode_t was = umask(077);
	struct stat st;

	append(x, "L1\n");
	umask(was);
	assert_int_equal(0, stat(x->path, &st));
	assert_int_equal(0640, st.st_mode & 07777);
}

static void what_is_no_regular_file_is_refused(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(0, mkfifo(x->path, 0600));
	assert_int_equal(-ENOTSUP, sb_layer_file_follow(&x->f));
	unlink(x->path);
	assert_int_equal(0, mkdir(x->path, 0700));
	assert_int_equal(-EISDIR, sb_layer_file_follow(&x->f));
}

static void a_symbolic_link_is_not_followed(void **state)
{
	struct fixture *x = *state;
	struct stat st;

	append(x, "L1\n");
	assert_int_equal(0, rename(x->path, name(x, ".real")));
	assert_int_equal(0, symlink(name(x, ".real"), x->path));
	assert_int_equal(-ELOOP, sb_layer_file_follow(&x->f)); /* also while the file it leads to is open */
	sb_layer_file_close(&x->f);
	assert_int_equal(-ELOOP, sb_layer_file_follow(&x->f));
	unlink(name(x, ".real"));
	assert_int_equal(-ELOOP, sb_layer_file_follow(&x->f));
	assert_int_equal(-1, stat(name(x, ".real"), &st));
}

static void rotation_keeps_the_newest_files(void **state)
{
	struct fixture *x = *state;

	for(int i = 1; i <= 6; i++) {
		char text[16];
		snprintf(text, sizeof(text), "L%d\n", i);
		append(x, text);
		assert_int_equal(0, sb_layer_file_rotate(&x->f));
	}
	assert_string_equal("", content(x, ""));
	assert_string_equal("L6\n", content(x, ".1"));
	assert_string_equal("L5\n", content(x, ".2"));
	assert_string_equal("L4\n", content(x, ".3"));
	assert_null(content(x, ".4"));
}

static void fewer_files_than_before_are_kept(void **state)
{
	struct fixture *x = *state;

	put(x, ".1", "L3\n");
	put(x, ".2", "L2\n");
	put(x, ".3", "L1\n");
	x->f.keep = 1;
	append(x, "L4\n");
	assert_int_equal(0, sb_layer_file_rotate(&x->f));
	assert_string_equal("L4\n", content(x, ".1"));
	assert_null(content(x, ".2"));
	assert_null(content(x, ".3"));
	x->f.keep = 0;
	append(x, "L5\n");
	assert_int_equal(0, sb_layer_file_rotate(&x->f));
	assert_string_equal("", content(x, ""));
	assert_null(content(x, ".1"));
}

static void a_gap_in_the_rotated_files_is_filled_and_none_is_lost(void **state)
{
	struct fixture *x = *state;

	put(x, ".1", "L2\n");
	put(x, ".3", "L1\n"); /* killed between two renames */
	append(x, "L3\n");
	assert_int_equal(0, sb_layer_file_rotate(&x->f));
	assert_string_equal("L3\n", content(x, ".1"));
	assert_string_equal("L2\n", content(x, ".2"));
	assert_string_equal("L1\n", content(x, ".3"));
}

static void it_is_full_when_the_next_lines_do_not_fit(void **state)
{
	struct fixture *x = *state;

	assert_false(sb_layer_file_full(&x->f, 5000)); /* an empty file takes any line */
	append(x, "L1\n");
	assert_false(sb_layer_file_full(&x->f, 997));
	assert_true(sb_layer_file_full(&x->f, 998));
}

static void a_file_that_was_moved_or_removed_is_made_anew(void **state)
{
	struct fixture *x = *state;

	append(x, "L1\n");
	assert_int_equal(0, sb_layer_file_follow(&x->f));
	assert_int_equal(0, rename(x->path, name(x, "-20260101")));
	assert_int_equal(1, sb_layer_file_follow(&x->f));
	append(x, "L2\n");
	assert_int_equal(0, unlink(x->path));
	assert_int_equal(1, sb_layer_file_follow(&x->f));
	append(x, "L3\n");
	assert_string_equal("L1\n", content(x, "-20260101"));
	assert_string_equal("L3\n", content(x, ""));
}

static void a_file_that_was_emptied_is_written_on_from_its_start(void **state)
{
	struct fixture *x = *state;

	append(x, "L1\nL2\n");
	assert_int_equal(0, truncate(x->path, 0));
	append(x, "L3\n");
	assert_string_equal("L3\n", content(x, ""));
	assert_int_equal(3, x->f.end.size);
}

static void a_short_write_leaves_whole_lines_only(void **state)
{
	struct fixture *x = *state;
	struct rlimit was, less;
	size_t done = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &was));
	less = (struct rlimit){10, was.rlim_max};
	append(x, "L1\n");
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &less));
	assert_int_equal(-ENOSPC, sb_layer_file_append(&x->f, "L2\nL3\nL4 is longer\n", 19, &done));
	assert_int_equal(6, done);
	assert_string_equal("L1\nL2\nL3\n", content(x, ""));
	assert_int_equal(-ENOSPC, sb_layer_file_append(&x->f, "L4 is longer\n", 13, &done));
	assert_int_equal(0, done);
	assert_string_equal("L1\nL2\nL3\n", content(x, ""));
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &was));
	assert_int_equal(0, sb_layer_file_append(&x->f, "L4 is longer\n", 13, &done));
	assert_string_equal("L1\nL2\nL3\nL4 is longer\n", content(x, ""));
}

static void what_stands_behind_the_mark_is_given_back(void **state)
{
	struct fixture *x = *state;
	struct sb_layer_mark mark;

	append(x, "L1\nL2\n");
	mark = x->f.end;
	append(x, "L3\nL4\n");
	recovers(x, mark, "L3|L4|");
	recovers(x, (struct sb_layer_mark){0}, "L1|L2|L3|L4|");
	recovers(x, x->f.end, "");
	assert_int_equal(12, x->f.end.size);
}

static void what_was_moved_is_found_under_its_new_name(void **state)
{
	struct fixture *x = *state;
	struct sb_layer_mark mark;

	append(x, "L1\n");
	mark = x->f.end;
	append(x, "L2\n");
	assert_int_equal(0, rename(x->path, name(x, ".2026-01-01")));
	recovers(x, mark, "L2|"); /* killed before it saw that */
	append(x, "L3\n");
	recovers(x, mark, "L2|L3|"); /* killed after it */
	assert_int_equal(0, unlink(name(x, ".2026-01-01")));
	recovers(x, mark, "L3|");
}

static void a_torn_line_of_ours_is_cut_off(void **state)
{
	struct fixture *x = *state;
	struct sb_layer_mark mark;

	append(x, "L1\n");
	mark = x->f.end;
	put(x, "", "L2\nL3 is to");
	recovers(x, mark, "L2|");
	assert_string_equal("L1\nL2\n", content(x, ""));
	append(x, "L3 is torn no more\n");
	assert_string_equal("L1\nL2\nL3 is torn no more\n", content(x, ""));
	put(x, "", "L");
	assert_int_equal(0, rename(x->path, name(x, ".1")));
	recovers(x, mark, "L2|L3 is torn no more|");
	assert_string_equal("L1\nL2\nL3 is torn no more\n", content(x, ".1"));
}

static void a_torn_line_of_somebody_else_is_ended(void **state)
{
	struct fixture *x = *state;

	put(x, "", "a log of others, without an end");
	recovers(x, (struct sb_layer_mark){0}, "");
	append(x, "L1\n");
	assert_string_equal("a log of others, without an end\nL1\n", content(x, ""));
}

static void a_mark_behind_the_end_means_that_all_counts(void **state)
{
	struct fixture *x = *state;
	struct sb_layer_mark mark;

	append(x, "L1\nL2\nL3\n");
	mark = x->f.end;
	assert_int_equal(0, truncate(x->path, 3));
	recovers(x, mark, "L1|");
}

static void long_files_and_long_lines_are_read_through(void **state)
{
	struct fixture *x = *state;
	static char big[70000];
	struct sb_layer_mark mark;

	append(x, "L1\n");
	mark = x->f.end;
	memset(big, 'z', sizeof(big) - 2);
	big[sizeof(big) - 2] = '\n';
	put(x, "", big);
	for(int i = 0; i < 3000; i++)
		put(x, "", "Lines of ours, as many as do not fit into one buffer\n");
	put(x, "", "L2\nLast");
	x->seen[0] = '\0';
	assert_int_equal(0, sb_layer_file_recover(&x->f, &mark, ours, see_few, x));
	assert_string_equal("L2|", x->seen);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
			TEST(names_must_be_absolute_and_of_a_file),
			TEST(a_new_file_has_mode_0640_whatever_the_umask),
			TEST(what_is_no_regular_file_is_refused),
			TEST(a_symbolic_link_is_not_followed),
			TEST(rotation_keeps_the_newest_files),
			TEST(fewer_files_than_before_are_kept),
			TEST(a_gap_in_the_rotated_files_is_filled_and_none_is_lost),
			TEST(it_is_full_when_the_next_lines_do_not_fit),
			TEST(a_file_that_was_moved_or_removed_is_made_anew),
			TEST(a_file_that_was_emptied_is_written_on_from_its_start),
			TEST(a_short_write_leaves_whole_lines_only),
			TEST(what_stands_behind_the_mark_is_given_back),
			TEST(what_was_moved_is_found_under_its_new_name),
			TEST(a_torn_line_of_ours_is_cut_off),
			TEST(a_torn_line_of_somebody_else_is_ended),
			TEST(a_mark_behind_the_end_means_that_all_counts),
			TEST(long_files_and_long_lines_are_read_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
