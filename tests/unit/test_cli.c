/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The command as a person runs it, over a journal of made-up calls: once on disk, once still in the spool.
 */
#define main signalbox_main
#include "../lib/make_journal.c"
#include "../../modules/cli/main.c"
#undef main
#include "../../modules/cli/text.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char disk[64] = "/tmp/signalbox-cli-XXXXXX";
static char spool[64] = "/tmp/signalbox-cli-XXXXXX";
static char empty[64] = "/tmp/signalbox-cli-XXXXXX";

static char *out_text, *err_text;

static void forget(void)
{
	free(out_text);
	free(err_text);
	out_text = err_text = NULL;
}

/** Runs `signalbox --dir DIR words…`; what it wrote is in out_text and err_text. @return its exit code */
static int run(const char *dir, const char *words)
{
	char line[512];
	char *argv[32] = {"--dir", (char *)dir};
	int argc = 2;
	size_t n;
	struct cli c = {0};
	const char *where = NULL;
	forget();
	snprintf(line, sizeof(line), "%s", words);
	for(char *w = strtok(line, " "); w != NULL && argc < 32; w = strtok(NULL, " "))
		argv[argc++] = w;
	c.out = open_memstream(&out_text, &n);
	c.err = open_memstream(&err_text, &n);
	argc = take_common(&c, argc, argv, &where);
	snprintf(c.dir, sizeof(c.dir), "%s", where);
	int rc = dispatch(&c, argc, argv);
	fclose(c.out);
	fclose(c.err);
	return rc;
}

static void assert_has(const char *s, const char *part)
{
	if(strstr(s, part) == NULL)
		fail_msg("'%s' is not in:\n%s", part, s);
}

static size_t lines(const char *s)
{
	size_t n = 0;
	for(; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	if(mkdtemp(disk) == NULL || mkdtemp(spool) == NULL || mkdtemp(empty) == NULL)
		return -1;
	return make_journal(disk, 1) != 0 || make_journal(spool, 0) != 0;
}

static int teardown(void **state)
{
	(void)state;
	forget();
	char *const dir[] = {disk, spool, empty};
	for(int i = 0; i < 3; i++)
		nftw(dir[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static void why_tells_the_same_from_disk_and_from_the_spool(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "why made-0@192.0.2.1"), CLI_OK);
	assert_has(out_text, "try 1    carrier-a (192.0.2.7:5060)  no reply for 1.90 s\n");
	assert_has(out_text, "webhooks 6/6 delivered, slowest 7 ms\n");
	assert_has(out_text, "cause: carrier-a no reply; then answered by carrier-b");
	assert_string_equal(err_text, "");
	assert_null(strchr(out_text, '\033'));
	char *before = strdup(out_text);
	assert_int_equal(run(spool, "why made-0@192.0.2.1"), CLI_OK);
	assert_string_equal(out_text, before);
	free(before);
}

static void why_finds_by_our_id_by_number_and_the_last(void **state)
{
	(void)state;
	char words[64] = "why ";
	uint8_t id[16];
	made_id(id, MADE_BUSY);
	sb_uuid_text(words + 4, id);
	assert_int_equal(run(disk, words), CLI_OK);
	assert_has(out_text, "Call-ID made-1@192.0.2.1");
	assert_int_equal(run(disk, "why 030901820"), CLI_OK);
	assert_has(out_text, "Call-ID made-10@192.0.2.1");
	assert_has(out_text, "1 more call: signalbox journal list --number '030901820' --type call.initiated\n");
	assert_int_equal(run(disk, "why 0200"), CLI_OK);
	assert_has(out_text, "Call-ID made-9@192.0.2.1");
	assert_null(strstr(out_text, "more call"));
	assert_int_equal(run(disk, "why last"), CLI_OK);
	assert_has(out_text, "Call-ID made-10@192.0.2.1");
	assert_has(out_text, "the call is on hold");
}

static void why_shows_what_waits_and_what_was_given_up(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "why made-1@192.0.2.1"), CLI_OK);
	assert_has(out_text, "webhooks 1/4 delivered, slowest 3 ms, 2 waiting, 1 given up\n");
	assert_has(out_text, "wallboard  call.failed given up after 10 tries");
	assert_has(out_text,
			"crm  call.initiated waits after 3 tries, next 2026-01-31 14:12:07.114: 503 Service Unavailable\n");
	assert_has(out_text, "behind an earlier event of this call\n");
}

static void why_as_json_says_the_same(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "why --json made-1@192.0.2.1"), CLI_OK);
	assert_int_equal(lines(out_text), 1);
	json_t *j = json_loads(out_text, 0, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "outcome")), "busy");
	assert_int_equal(json_integer_value(json_object_get(j, "q850")), 17);
	assert_int_equal(json_array_size(json_object_get(j, "attempts")), 1);
	json_t *hooks_of = json_object_get(j, "webhooks");
	assert_int_equal(json_integer_value(json_object_get(hooks_of, "waiting")), 2);
	assert_int_equal(json_array_size(json_object_get(hooks_of, "list")), 4);
	json_decref(j);
}

static void why_without_such_a_call_says_where_it_looked(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "why +15550000000"), CLI_NOT_FOUND);
	assert_string_equal(out_text, "");
	assert_has(err_text, "no call '+15550000000' in ");
	assert_has(err_text, disk);
	assert_int_equal(run(disk, "why"), CLI_USAGE);
	assert_int_equal(run(disk, "why a b"), CLI_USAGE);
	assert_int_equal(run(disk, "why last --number 1"), CLI_USAGE);
	assert_has(err_text, "option --number is not known here");
}

static void odd_bytes_reach_neither_terminal_nor_json(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "why made-9@192.0.2.1"), CLI_OK);
	assert_null(strchr(out_text, '\033'));
	assert_null(strchr(out_text, '\007'));
	assert_int_equal(run(disk, "why --json made-9@192.0.2.1"), CLI_OK);
	json_t *j = json_loads(out_text, 0, NULL);
	assert_non_null(j);
	json_decref(j);
	assert_int_equal(run(disk, "journal list --all --json --call made-9@192.0.2.1"), CLI_OK);
	for(char *line = strtok(out_text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		j = json_loads(line, 0, NULL);
		assert_non_null(j);
		json_decref(j);
	}
}

static void a_list_shows_events_and_with_all_the_internal_ones(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "journal list --call made-0@192.0.2.1"), CLI_OK);
	assert_int_equal(lines(out_text), 6);
	assert_null(strstr(out_text, "x.attempt"));
	assert_int_equal(run(disk, "journal list --all --call made-0@192.0.2.1"), CLI_OK);
	assert_int_equal(lines(out_text), 9);
	assert_has(out_text, "x.attempt");
}

static void filters_narrow_and_combine(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "journal list --type call.cdr"), CLI_OK);
	assert_int_equal(lines(out_text), MADE_CALLS - 1);
	assert_int_equal(run(disk, "journal list --type call.cdr --since 2026-01-31T14:09:00"), CLI_OK);
	assert_int_equal(lines(out_text), 3);
	assert_int_equal(run(disk, "journal list --type custom.* --number 0200"), CLI_OK);
	assert_int_equal(lines(out_text), 1);
	assert_int_equal(run(disk, "journal list --last 2"), CLI_OK);
	assert_int_equal(lines(out_text), 2);
	assert_has(out_text, "call.held");
	assert_int_equal(run(disk, "journal list --type call.held --since 1s"), CLI_NOT_FOUND);
	assert_has(err_text, "no event of type call.held since 1s in ");
	assert_int_equal(run(disk, "journal list --since never"), CLI_USAGE);
	assert_int_equal(run(disk, "journal list --last 0"), CLI_USAGE);
	assert_int_equal(run(disk, "journal list --type"), CLI_USAGE);
	assert_int_equal(run(disk, "journal lost"), CLI_USAGE);
}

static void one_event_is_shown_by_either_id(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "journal list --json --type call.held"), CLI_OK);
	json_t *j = json_loads(out_text, 0, NULL);
	char words[128] = "journal show ";
	SAY(words, "%s", json_string_value(json_object_get(j, "id")));
	assert_int_equal(run(disk, words), CLI_OK);
	json_t *again = json_loads(out_text, 0, NULL);
	assert_true(json_equal(j, again));
	json_decref(again);
	const char *id = json_string_value(json_object_get(j, "id"));
	snprintf(words, sizeof(words), "journal show --json %s", id + 33);
	assert_int_equal(run(disk, words), CLI_OK);
	assert_int_equal(lines(out_text), 1);
	snprintf(words, sizeof(words), "journal show 0123456789abcdef0123456789abcdef-%s", id + 33);
	assert_int_equal(run(disk, words), CLI_NOT_FOUND);
	assert_has(err_text, "is of node 0123456789abcdef0123456789abcdef");
	assert_int_equal(run(disk, "journal show 1-ffff"), CLI_NOT_FOUND);
	assert_int_equal(run(disk, "journal show nonsense"), CLI_USAGE);
	json_decref(j);
}

static void count_counts(void **state)
{
	(void)state;
	assert_int_equal(run(disk, "journal count --json --type call.*"), CLI_OK);
	json_t *j = json_loads(out_text, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(j, "calls")), MADE_CALLS);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "types"), "call.cdr")), MADE_CALLS - 1);
	json_decref(j);
}

static void no_journal_is_said_with_what_to_do(void **state)
{
	(void)state;
	assert_int_equal(run(empty, "why last"), CLI_NOT_FOUND);
	assert_has(err_text, "no journal: looked for segments (*.seg) in ");
	assert_has(err_text, "--dir DIR");
	assert_int_equal(run("/nonexistent", "journal list"), CLI_NOT_FOUND);
	assert_has(err_text, "/nonexistent: no such directory");
	assert_int_equal(run(empty, "what"), CLI_USAGE);
	assert_int_equal(run(empty, "help"), CLI_OK);
	assert_has(out_text, "signalbox why");
	assert_int_equal(run(empty, "--version"), CLI_OK);
}

static void the_journal_directory_itself_will_do(void **state)
{
	(void)state;
	char dir[128];
	snprintf(dir, sizeof(dir), "%s/journal/", disk);
	assert_int_equal(run(dir, "why made-0@192.0.2.1"), CLI_OK);
	assert_has(out_text, "webhooks 6/6 delivered");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(why_tells_the_same_from_disk_and_from_the_spool),
			cmocka_unit_test(why_finds_by_our_id_by_number_and_the_last),
			cmocka_unit_test(why_shows_what_waits_and_what_was_given_up),
			cmocka_unit_test(why_as_json_says_the_same),
			cmocka_unit_test(why_without_such_a_call_says_where_it_looked),
			cmocka_unit_test(odd_bytes_reach_neither_terminal_nor_json),
			cmocka_unit_test(a_list_shows_events_and_with_all_the_internal_ones),
			cmocka_unit_test(filters_narrow_and_combine),
			cmocka_unit_test(one_event_is_shown_by_either_id),
			cmocka_unit_test(count_counts),
			cmocka_unit_test(no_journal_is_said_with_what_to_do),
			cmocka_unit_test(the_journal_directory_itself_will_do),
	};
	return cmocka_run_group_tests_name("cli", tests, setup, teardown);
}
