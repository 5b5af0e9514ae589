/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "event.h"
#include "lag.h"
#include "log_fixture.h"
#include "state.h"
#include "verdict.h"

struct files
{
	char dir[64], path[96];
	struct sb_store *s;
	char err[512];
};

static int files_make(void **state)
{
	struct files *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/dev/shm/sb-test-hook-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/state.sqlite", f->dir);
	assert_int_equal(0, sb_store_open(&f->s, f->path, true, f->err, sizeof(f->err)));
	*state = f;
	return 0;
}

static int files_remove(void **state)
{
	struct files *f = *state;

	sb_store_close(f->s);
	nftw(f->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void again(struct files *f)
{
	sb_store_close(f->s);
	f->s = NULL;
	assert_int_equal(0, sb_store_open(&f->s, f->path, false, f->err, sizeof(f->err)));
}

static struct sb_pending row(unsigned call, uint64_t offset, uint64_t next_at)
{
	struct sb_pending p = {.epoch = 3,
			.seq = offset + 100,
			.pos = {(3ull << 32) + 1, offset},
			.next_at = next_at,
			.error = "HTTP 400"};

	memcpy(p.call, &call, sizeof(call));
	return p;
}

static void a_cursor_comes_back_as_it_was_committed(void **state)
{
	struct files *f = *state;
	struct sb_cursor c = {.pos = {5, 6}, .url = "http://h/", .disabled_at = 7, .disabled_why = "HTTP 410"}, back;

	assert_int_equal(-ENOENT, sb_store_cursor(f->s, "a", &back));
	assert_int_equal(0, sb_store_set_cursor(f->s, "a", &c));
	assert_true(sb_store_changed(f->s));
	assert_int_equal(0, sb_store_commit(f->s));
	assert_false(sb_store_changed(f->s));
	assert_int_equal(0, sb_store_move(f->s, "a", (struct sb_pos){9, 9}));
	again(f); /* not committed: as if killed */
	assert_int_equal(0, sb_store_cursor(f->s, "a", &back));
	assert_int_equal(5, back.pos.segment);
	assert_int_equal(6, back.pos.offset);
	assert_int_equal(7, back.disabled_at);
	assert_string_equal("HTTP 410", back.disabled_why);
	assert_string_equal("http://h/", back.url);
}

static void a_cursor_and_the_rows_it_passed_are_kept_together_or_not_at_all(void **state)
{
	struct files *f = *state;
	struct sb_cursor c = {.pos = {1, 0}};
	struct sb_pending p = row(1, 10, 50);
	uint64_t pending, dead;

	assert_int_equal(0, sb_store_set_cursor(f->s, "a", &c));
	assert_int_equal(0, sb_store_commit(f->s));
	assert_int_equal(1, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_move(f->s, "a", (struct sb_pos){1, 11}));
	again(f);
	assert_int_equal(0, sb_store_cursor(f->s, "a", &c));
	assert_int_equal(0, c.pos.offset);
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(0, pending);
}

static int count_calls(const uint8_t call[16], uint32_t n, void *arg)
{
	(void)call;
	*(uint32_t *)arg += n;
	return 0;
}

static void a_call_goes_on_in_order_once_its_first_event_is_through(void **state)
{
	struct files *f = *state;
	struct sb_pending p[3] = {row(1, 10, 500), row(1, 20, 0), row(1, 30, 0)}, due[8];
	uint64_t at, oldest;
	uint32_t calls = 0;

	for(int i = 0; i < 3; i++)
		assert_int_equal(1, sb_store_park(f->s, "a", &p[i]));
	assert_int_equal(0, sb_store_calls(f->s, "a", count_calls, &calls));
	assert_int_equal(3, calls);
	assert_int_equal(0, sb_store_due(f->s, "a", 499, due, 8));
	assert_int_equal(0, sb_store_due(f->s, "b", 600, due, 8));
	assert_int_equal(1, sb_store_due(f->s, "a", 500, due, 8));
	assert_int_equal(110, due[0].seq);
	assert_string_equal("HTTP 400", due[0].error);
	due[0].tries = 2;
	due[0].next_at = 900;
	assert_int_equal(0, sb_store_again(f->s, "a", &due[0]));
	assert_int_equal(0, sb_store_next_due(f->s, "a", &at));
	assert_int_equal(900, at);
	assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], 950));
	assert_int_equal(1, sb_store_due(f->s, "a", 950, due, 8));
	assert_int_equal(120, due[0].seq);
	assert_int_equal(0, sb_store_bury(f->s, "a", &due[0], NULL, 0, 960));
	assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], 960));
	assert_int_equal(1, sb_store_due(f->s, "a", 960, due, 8));
	assert_int_equal(130, due[0].seq);
	assert_int_equal(0, sb_store_oldest(f->s, "a", &oldest, &at));
	assert_int_equal((3ull << 32) + 1, oldest);
	assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], 970));
	assert_int_equal(0, sb_store_oldest(f->s, "a", &oldest, &at));
	assert_int_equal(0, oldest);
	assert_int_equal(0, sb_store_next_due(f->s, "a", &at));
	assert_int_equal(0, at);
}

static void a_row_parked_twice_is_one_row(void **state)
{
	struct files *f = *state;
	struct sb_pending p = row(1, 10, 500);
	uint64_t pending, dead;

	assert_int_equal(1, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_park(f->s, "a", &p));
	assert_int_equal(1, sb_store_park(f->s, "b", &p));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(2, pending);
}

static void hastening_leaves_alone_what_was_refused_more_often(void **state)
{
	struct files *f = *state;
	struct sb_pending p[3] = {row(1, 10, 5000), row(2, 20, 6000), row(3, 30, 0)}, due[4];

	p[0].tries = 2;
	p[1].tries = 3;
	for(int i = 0; i < 3; i++)
		assert_int_equal(1, sb_store_park(f->s, "a", &p[i]));
	assert_int_equal(0, sb_store_hasten(f->s, "a", 100));
	assert_int_equal(1, sb_store_due(f->s, "a", 100, due, 4));
	assert_int_equal(110, due[0].seq);
}

static void the_dead_are_trimmed_to_the_newest(void **state)
{
	struct files *f = *state;
	uint64_t pending, dead;

	for(unsigned i = 0; i < 20; i++) {
		struct sb_pending p = row(i, i, 0);
		assert_int_equal(0, sb_store_bury(f->s, "a", &p, NULL, 0, i));
	}
	assert_int_equal(0, sb_store_trim_dead(f->s, 5));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(5, dead);
}

static void trimming_counts_rows_and_not_their_numbers(void **state)
{
	struct files *f = *state;
	struct sb_replay r = {.what = SB_REPLAY_CALL, .first_segment = 1};
	uint64_t events, lost, pending, dead;
	struct sb_pending p;

	for(unsigned i = 0; i < 20; i++) {
		p = row(i < 10 || i == 19 ? i : 77, i, 0);
		assert_int_equal(0, sb_store_bury(f->s, "a", &p, NULL, 0, i));
	}
	p = row(77, 0, 0);
	memcpy(r.call, p.call, 16);
	assert_int_equal(0, sb_store_replay_begin(f->s, "a", &r, &events, &lost));
	assert_int_equal(9, sb_store_replay(f->s, "a", &r, 1, 100, count_calls, &(uint32_t){0}));
	assert_int_equal(0, sb_store_trim_dead(f->s, 11));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(11, dead);
	assert_int_equal(0, sb_store_trim_dead(f->s, 5));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(5, dead);
}

static void dead_letters_come_back_with_their_text_in_the_order_of_their_call(void **state)
{
	struct files *f = *state;
	struct sb_replay r = {.what = SB_REPLAY_ALL, .first_segment = UINT32_MAX + 100ull};
	struct sb_pending due[8], p;
	uint64_t events = 9, lost = 9, oldest;
	uint32_t calls = 0;
	char *body;
	size_t len;

	for(unsigned i = 0; i < 3; i++) {
		char text[16];
		snprintf(text, sizeof(text), "text %u", i);
		p = row(1, 10 * (i + 1), 0);
		p.tries = 10;
		p.type = SB_CALL_ENDED;
		p.at = 99;
		p.sequence = 4;
		assert_int_equal(0, sb_store_bury(f->s, "a", &p, text, 6, 5));
	}
	p = row(2, 50, 0);
	assert_int_equal(0, sb_store_bury(f->s, "a", &p, NULL, 0, 5)); /* nothing kept, and the journal begins later */
	assert_int_equal(0, sb_store_bury(f->s, "b", &p, NULL, 0, 5));
	p = row(1, 40, 7000);
	assert_int_equal(1, sb_store_park(f->s, "a", &p)); /* later of the same call, waits by its schedule */
	r.first_segment = p.pos.segment + 1;

	assert_int_equal(0, sb_store_replay_begin(f->s, "a", &r, &events, &lost));
	assert_int_equal(3, events);
	assert_int_equal(1, lost);
	assert_int_equal(2, sb_store_replay(f->s, "a", &r, 600, 2, count_calls, &calls));
	assert_int_equal(1, sb_store_replay(f->s, "a", &r, 600, 2, count_calls, &calls));
	assert_int_equal(0, sb_store_replay(f->s, "a", &r, 600, 2, count_calls, &calls));
	assert_int_equal(3, calls);
	for(unsigned i = 0; i < 4; i++) {
		assert_int_equal(1, sb_store_due(f->s, "a", 600, due, 8));
		assert_int_equal(10 * (i + 1), due[0].pos.offset);
		assert_int_equal(i < 3, due[0].kept);
		assert_int_equal(0, sb_store_oldest(f->s, "a", &oldest, &(uint64_t){0}));
		assert_int_equal((3ull << 32) + 1, oldest); /* the one without a text needs the journal */
		if(i < 3) {
			assert_int_equal(0, due[0].tries);
			assert_int_equal(0, sb_store_body(f->s, "a", &due[0], &body, &len));
			assert_int_equal(6, len);
			assert_int_equal('0' + (int)i, body[5]);
			assert_int_equal(SB_CALL_ENDED, due[0].type);
			assert_int_equal(99, due[0].at);
			assert_int_equal(4, due[0].sequence);
			free(body);
		} else {
			assert_int_equal(-ENOENT, sb_store_body(f->s, "a", &due[0], &body, &len));
		}
		assert_int_equal(0, sb_store_unpark(f->s, "a", &due[0], 600));
	}
	assert_int_equal(0, sb_store_due(f->s, "a", 100000, due, 8));
}

static void one_event_or_one_call_alone_can_be_replayed(void **state)
{
	struct files *f = *state;
	struct sb_replay r = {.what = SB_REPLAY_EVENT, .epoch = 3, .seq = 120, .first_segment = 1};
	uint64_t events, lost, pending, dead;
	uint32_t calls = 0;

	for(unsigned i = 0; i < 6; i++) {
		struct sb_pending p = row(i / 2, 10 * i, 0);
		assert_int_equal(0, sb_store_bury(f->s, "a", &p, NULL, 0, 5));
	}
	assert_int_equal(0, sb_store_replay_begin(f->s, "a", &r, &events, &lost));
	assert_int_equal(1, events);
	assert_int_equal(1, sb_store_replay(f->s, "a", &r, 1, 10, count_calls, &calls));
	r = (struct sb_replay){.what = SB_REPLAY_CALL, .first_segment = 1};
	assert_int_equal(0, sb_store_replay_begin(f->s, "a", &r, &events, &lost));
	assert_int_equal(2, events);
	assert_int_equal(2, sb_store_replay(f->s, "a", &r, 1, 10, count_calls, &calls));
	assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
	assert_int_equal(3, pending);
	assert_int_equal(3, dead);
	r = (struct sb_replay){.what = SB_REPLAY_ALL, .first_segment = 1};
	assert_int_equal(0, sb_store_replay_begin(f->s, "nobody", &r, &events, &lost));
	assert_int_equal(0, events + lost);
}

/* What version 1 wrote, as it wrote it. */
static const char version_1[] =
		"CREATE TABLE cursor (endpoint TEXT PRIMARY KEY, segment INT NOT NULL, offset INT NOT NULL, "
		"url TEXT NOT NULL, disabled_at INT NOT NULL, disabled_why TEXT NOT NULL);"
		"CREATE TABLE pending (endpoint TEXT NOT NULL, call_id BLOB NOT NULL, epoch INT NOT NULL, seq INT NOT NULL, "
		"segment INT NOT NULL, offset INT NOT NULL, tries INT NOT NULL, next_at INT NOT NULL, error TEXT NOT NULL, "
		"PRIMARY KEY (endpoint, call_id, segment, offset)) WITHOUT ROWID;"
		"CREATE INDEX pending_due ON pending (endpoint, next_at);"
		"CREATE INDEX pending_segment ON pending (endpoint, segment);"
		"CREATE TABLE dead (endpoint TEXT NOT NULL, call_id BLOB NOT NULL, epoch INT NOT NULL, seq INT NOT NULL, "
		"segment INT NOT NULL, offset INT NOT NULL, tries INT NOT NULL, next_at INT NOT NULL, error TEXT NOT NULL, "
		"given_up_at INT NOT NULL);"
		"CREATE INDEX dead_call ON dead (call_id);"
		"INSERT INTO cursor VALUES ('a', 7, 8, 'http://h/', 0, '');"
		"INSERT INTO pending VALUES ('a', x'00112233445566778899aabbccddeeff', 1, 2, 7, 9, 3, 50, 'HTTP 500');"
		"INSERT INTO pending VALUES ('a', x'00112233445566778899aabbccddeeff', 1, 3, 7, 20, 0, 0, '');"
		"INSERT INTO pending VALUES ('a', x'ff112233445566778899aabbccddeeff', 1, 4, 7, 30, 0, 0, '');"
		"INSERT INTO pending VALUES ('a', x'ff112233445566778899aabbccddeeff', 1, 5, 7, 40, 0, 0, '');"
		"INSERT INTO dead VALUES ('a', x'00112233445566778899aabbccddeeff', 1, 1, 7, 4, 10, 0, 'HTTP 400', 40);"
		"PRAGMA user_version=1";

static bool note_dead(const struct sb_store_row *row, void *arg)
{
	*(struct sb_store_row *)arg = *row;
	return true;
}

static void a_file_of_version_1_is_brought_to_this_version_with_all_it_holds(void **state)
{
	struct files *f = *state;
	struct sb_store_row dead_row = {0};
	struct sb_pending due[4];
	struct sb_cursor c;
	uint64_t pending, dead;
	sqlite3 *db;

	sb_store_close(f->s);
	f->s = NULL;
	remove(f->path);
	assert_int_equal(SQLITE_OK, sqlite3_open(f->path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, version_1, NULL, NULL, NULL));
	sqlite3_close(db);
	for(int i = 0; i < 2; i++) {
		again(f);
		assert_int_equal(0, sb_store_cursor(f->s, "a", &c));
		assert_int_equal(8, c.pos.offset);
		assert_int_equal(0, sb_store_counts(f->s, &pending, &dead));
		assert_int_equal(4, pending);
		assert_int_equal(1, dead);
		/* the first of a call that waited for nothing comes due; no other */
		assert_int_equal(2, sb_store_due(f->s, "a", 50, due, 4));
		assert_int_equal(4, due[0].seq);
		assert_int_equal(2, due[1].seq);
		assert_false(due[1].kept);
	}
	assert_int_equal(0, sb_store_list(f->path, true, "a", note_dead, &dead_row, 9, f->err, sizeof(f->err)));
	assert_string_equal("HTTP 400", dead_row.p.error);
	assert_int_equal(40, dead_row.given_up_at);
	assert_false(dead_row.p.kept);
}

static void an_endpoint_that_is_forgotten_leaves_nothing(void **state)
{
	struct files *f = *state;
	struct sb_cursor c = {.pos = {1, 0}};
	struct sb_pending p = row(1, 10, 5);
	uint64_t n = 0;

	assert_int_equal(0, sb_store_set_cursor(f->s, "a", &c));
	assert_int_equal(1, sb_store_park(f->s, "a", &p));
	assert_int_equal(0, sb_store_forget(f->s, "a", &n));
	assert_int_equal(1, n);
	assert_int_equal(-ENOENT, sb_store_cursor(f->s, "a", &c));
}

static void a_file_of_another_version_or_kind_is_refused_with_what_to_do(void **state)
{
	struct files *f = *state;
	struct sb_store *s = NULL;
	sqlite3 *db;
	FILE *junk;

	sb_store_close(f->s);
	f->s = NULL;
	assert_int_equal(SQLITE_OK, sqlite3_open(f->path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "PRAGMA user_version=9", NULL, NULL, NULL));
	sqlite3_close(db);
	assert_int_equal(-EPROTO, sb_store_open(&s, f->path, false, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "version 9"));
	assert_non_null(strstr(f->err, f->path));
	junk = fopen(f->path, "w");
	for(int i = 0; i < 2000; i++)
		fputs("no database", junk);
	fclose(junk);
	assert_int_equal(-EIO, sb_store_open(&s, f->path, false, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "move it away"));
	assert_int_equal(-EIO, sb_store_open(&s, "/nonexistent/state.sqlite", false, f->err, sizeof(f->err)));
	assert_non_null(strstr(f->err, "/nonexistent/state.sqlite"));
}

static unsigned mode_of(const char *path, const char *end)
{
	char name[128];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", path, end);
	assert_int_equal(0, stat(name, &st));
	return st.st_mode & 0777;
}

static void nobody_else_can_read_the_file(void **state)
{
	struct files *f = *state;
	struct sb_pending p = row(1, 0, 5);

	for(int old = 0; old < 2; old++) {
		assert_int_equal(1, sb_store_park(f->s, old ? "a" : "b", &p));
		assert_int_equal(0, sb_store_commit(f->s));
		assert_int_equal(0600, mode_of(f->path, ""));
		assert_int_equal(0600, mode_of(f->path, "-wal"));
		assert_int_equal(0600, mode_of(f->path, "-shm"));
		assert_int_equal(0, chmod(f->path, 0644));
		again(f);
	}
}

static void segment_file(const char *dir, const char *name, size_t size)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	for(size_t i = 0; i < size; i++)
		fputc('x', f);
	fclose(f);
}

static void what_lies_behind_a_cursor_counts_each_segment_once(void **state)
{
	struct files *f = *state;
	char journal[100], spool[100];
	uint64_t bytes, segments;
	struct sb_lag l;

	snprintf(journal, sizeof(journal), "%s/journal", f->dir);
	snprintf(spool, sizeof(spool), "%s/spool", f->dir);
	assert_int_equal(0, sb_lag_read(&l, journal, spool));
	sb_lag_behind(&l, (struct sb_pos){1, 0}, &bytes, &segments);
	assert_int_equal(0, bytes + segments);
	sb_lag_free(&l);
	mkdir(journal, 0700);
	mkdir(spool, 0700);
	segment_file(journal, "0000000100000001.seg", 1000);
	segment_file(journal, "0000000100000002.seg", 500);
	segment_file(journal, "0000000100000002.seg.aside", 500);
	segment_file(journal, "node", 36);
	segment_file(spool, "0000000100000002.seg", 800); /* the journal has not all of it yet */
	segment_file(spool, "0000000100000003.seg", 10);
	assert_int_equal(0, sb_lag_read(&l, journal, spool));
	sb_lag_behind(&l, (struct sb_pos){0x100000001, 400}, &bytes, &segments);
	assert_int_equal(600 + 800 + 10, bytes);
	assert_int_equal(3, segments);
	sb_lag_behind(&l, (struct sb_pos){0x100000003, 10}, &bytes, &segments);
	assert_int_equal(0, bytes + segments);
	sb_lag_behind(&l, (struct sb_pos){0, 0}, &bytes, &segments);
	assert_int_equal(1810, bytes);
	sb_lag_free(&l);
}

static void what_a_result_leads_to(void **state)
{
	static const struct
	{
		struct sb_trial t;
		enum sb_verdict v;
	} cases[] = {
			{{.status = 200}, SB_DELIVERED},
			{{.status = 299, .paused = true}, SB_DELIVERED},
			{{.status = 410}, SB_DISABLE},
			{{.status = 0}, SB_PAUSE},
			{{.status = 0, .sent = false, .others_during = true}, SB_PAUSE},
			{{.status = 0, .sent = true, .others_during = true}, SB_PARK},
			{{.status = 503, .others_during = true}, SB_PAUSE},
			{{.status = 429}, SB_PAUSE},
			{{.status = 502, .failed_before = true, .others_between = true}, SB_PARK},
			{{.status = 504, .others_between = true}, SB_PAUSE},
			{{.status = 503, .retry = true}, SB_PARK},
			{{.status = 503, .retry = true, .paused = true}, SB_PAUSE},
			{{.status = 301, .refused = 1}, SB_PARK},
			{{.status = 400, .refused = 9}, SB_PARK},
			{{.status = 400, .refused = 10}, SB_PAUSE},
			{{.status = 400, .refused = 10, .others_during = true}, SB_PARK},
			{{.status = 400, .refused = 99, .retry = true}, SB_PARK},
			{{.status = 500, .refused = 1, .paused = true}, SB_PAUSE},
			{{.status = 500, .refused = 1, .paused = true, .failed_before = true, .others_between = true}, SB_PARK},
	};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if(sb_judge(&cases[i].t) != cases[i].v)
			fail_msg("case %zu, HTTP %u", i, cases[i].t.status);
	}
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, files_make, files_remove)
	const struct CMUnitTest tests[] = {
			WITH_FILES(a_cursor_comes_back_as_it_was_committed),
			WITH_FILES(a_cursor_and_the_rows_it_passed_are_kept_together_or_not_at_all),
			WITH_FILES(a_call_goes_on_in_order_once_its_first_event_is_through),
			WITH_FILES(a_row_parked_twice_is_one_row),
			WITH_FILES(hastening_leaves_alone_what_was_refused_more_often),
			WITH_FILES(the_dead_are_trimmed_to_the_newest),
			WITH_FILES(trimming_counts_rows_and_not_their_numbers),
			WITH_FILES(dead_letters_come_back_with_their_text_in_the_order_of_their_call),
			WITH_FILES(one_event_or_one_call_alone_can_be_replayed),
			WITH_FILES(a_file_of_version_1_is_brought_to_this_version_with_all_it_holds),
			WITH_FILES(an_endpoint_that_is_forgotten_leaves_nothing),
			WITH_FILES(a_file_of_another_version_or_kind_is_refused_with_what_to_do),
			WITH_FILES(nobody_else_can_read_the_file),
			WITH_FILES(what_lies_behind_a_cursor_counts_each_segment_once),
			cmocka_unit_test(what_a_result_leads_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
