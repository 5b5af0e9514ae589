/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Which failures `signalbox failures` puts together, and which group comes first.
 */
#include "../../modules/cli/failures_group.h"
#include "../../modules/cli/failures_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define NOW UINT64_C(1769868000000000) /* 2026-01-31 14:00:00 */
#define MINUTE UINT64_C(60000000)

static struct failures *f;
static int calls;

static int begin(void **state)
{
	(void)state;
	f = failures_new();
	calls = 0;
	return f == NULL;
}

static int end(void **state)
{
	(void)state;
	failures_free(f);
	return 0;
}

/** One failure, a call of its own unless `same`. NULL: unknown */
static void add(const char *trunk, const char *number, const char *caller, unsigned code, uint64_t minute, bool same)
{
	char id[32];
	snprintf(id, sizeof(id), "call-%d", same ? calls : ++calls);
	struct failure in = {.call_id = id, .at = NOW + minute * MINUTE, .code = code};
	in.name[BY_THE_TRUNK] = trunk;
	in.name[BY_THE_NUMBER] = number;
	in.name[BY_THE_CALLER] = caller;
	assert_int_equal(failures_add(f, &in), 0);
}

static const char *some(const char *what, int n)
{
	static char text[8][32];
	static int at;
	at = (at + 1) % 8;
	snprintf(text[at], sizeof(text[at]), "%s%d", what, n);
	return text[at];
}

/** What went well: so many calls a minute for each trunk, and for all else. */
struct went_well
{
	const char *trunk;
	double a_minute, others, all;
};

static size_t good(enum failures_dim dim, const char *name, enum failures_dim via_dim, const char *via, uint64_t first,
		uint64_t last, void *arg)
{
	const struct went_well *w = arg;
	double minutes = (double)(last - first) / (double)MINUTE;
	(void)via_dim, (void)via;
	if(dim == BY_THE_CODE)
		return (size_t)(minutes * w->all);
	if(dim == BY_THE_TRUNK)
		return (size_t)(minutes * (strcmp(name, w->trunk) == 0 ? w->a_minute : w->others));
	return 0;
}

static int find(struct went_well *w, struct failures_group out[8])
{
	int n = failures_find(f, w != NULL ? good : NULL, w, out, 8);
	assert_true(n >= 0);
	return n;
}

static void a_dead_trunk_is_first_and_what_it_explains_is_not_listed(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"b", 0, 30, 60};
	(void)state;
	for(int i = 0; i < 212; i++)
		add("b", some("to", i % 20), some("from", i % 30), 503, (uint64_t)i / 4, false);
	for(int i = 0; i < 28; i++)
		add("a", some("to", 100 + i), some("from", 100 + i), 486, (uint64_t)i * 3, false);
	int n = find(&w, g);
	assert_int_equal(n, 1);
	assert_int_equal(g[0].dim, BY_THE_TRUNK);
	assert_string_equal(g[0].name, "b");
	assert_int_equal(g[0].code, 503);
	assert_int_equal(g[0].count, 212);
	assert_null(g[0].common[BY_THE_NUMBER]);
	struct failures_codes rest[FAILURES_CODES];
	assert_int_equal(failures_rest(f, rest), 28);
	assert_int_equal(rest[0].code, 486);
	assert_int_equal(rest[0].count, 28);
	assert_int_equal(rest[1].count, 0);
}

static void a_number_that_fails_over_every_trunk_is_the_number(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"b", 20, 20, 60};
	(void)state;
	for(int i = 0; i < 40; i++)
		add(some("t", i % 4), "+442079460142", some("from", i), 404, (uint64_t)i, false);
	assert_true(find(&w, g) >= 1);
	assert_int_equal(g[0].dim, BY_THE_NUMBER);
	assert_string_equal(g[0].name, "+442079460142");
	assert_int_equal(g[0].code, 404);
}

static void a_number_that_fails_on_one_good_trunk_is_the_number(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"b", 50, 50, 100};
	(void)state;
	for(int i = 0; i < 40; i++)
		add("b", "+442079460142", some("from", i), 503, (uint64_t)i, false);
	assert_int_equal(find(&w, g), 1);
	assert_int_equal(g[0].dim, BY_THE_NUMBER);
	assert_string_equal(g[0].common[BY_THE_TRUNK], "b");
}

static void a_call_that_was_tried_three_times_counts_once_for_its_number(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"x", 0, 50, 100};
	(void)state;
	for(int i = 0; i < 20; i++) {
		add("a", "+442079460142", some("from", i), 503, (uint64_t)i, false);
		add("b", "+442079460142", some("from", i), 503, (uint64_t)i, true);
		add("c", "+442079460142", some("from", i), 503, (uint64_t)i, true);
	}
	assert_int_equal(find(&w, g), 1);
	assert_int_equal(g[0].dim, BY_THE_NUMBER);
	assert_int_equal(g[0].count, 20);
	struct failures_codes rest[FAILURES_CODES];
	assert_int_equal(failures_rest(f, rest), 0);
}

static void busy_callees_do_not_hide_a_trunk(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"b", 1, 40, 100};
	(void)state;
	for(int i = 0; i < 1000; i++)
		add("a", some("to", i), some("from", i), 486, (uint64_t)i % 60, false);
	for(int i = 0; i < 60; i++)
		add("b", some("to", 2000 + i), some("from", 2000 + i), 503, (uint64_t)i, false);
	assert_true(find(&w, g) >= 1);
	assert_string_equal(g[0].name, "b");
}

static void what_is_usual_does_not_stand_out(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"t0", 10, 10, 40};
	(void)state;
	for(int i = 0; i < 400; i++)
		add(some("t", i % 4), some("to", i), some("from", i), i % 2 ? 503 : 486, (uint64_t)i, false);
	assert_int_equal(find(&w, g), 0);
}

static void a_short_outage_stands_out_of_a_long_time(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"b", 3, 3, 12};
	(void)state;
	/* a 503 each hour for a month, and twenty minutes with sixty */
	for(int i = 0; i < 720; i++)
		add("b", some("to", i), some("from", i), 503, (uint64_t)i * 60, false);
	for(int i = 0; i < 60; i++)
		add("b", some("to", 1000 + i), some("from", 1000 + i), 503, 20000 + (uint64_t)i / 3, false);
	for(int i = 0; i < 4000; i++)
		add(some("t", i % 4), some("to", 2000 + i), some("from", 2000 + i), 486, (uint64_t)i * 10, false);
	assert_true(find(&w, g) >= 1);
	assert_string_equal(g[0].name, "b");
	assert_int_equal(g[0].code, 503);
	assert_true(g[0].most >= 39 && g[0].most <= 80);
	assert_true(g[0].most_first >= NOW + 19000 * MINUTE && g[0].most_last <= NOW + 21000 * MINUTE);
}

static void three_of_three_are_not_worth_more_than_three_hundred_of_four_hundred(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"big", 10, 0, 40};
	(void)state;
	for(int i = 0; i < 3; i++)
		add("small", some("to", i), some("from", i), 503, (uint64_t)i, false);
	for(int i = 0; i < 300; i++)
		add("big", some("to", 100 + i), some("from", 100 + i), 503, (uint64_t)i / 30, false);
	assert_true(find(&w, g) >= 1);
	assert_string_equal(g[0].name, "big");
}

static void two_of_two_prove_nothing(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"small", 0, 30, 60};
	(void)state;
	for(int i = 0; i < 2; i++)
		add("small", some("to", i), some("from", i), 503, (uint64_t)i, false);
	assert_int_equal(find(&w, g), 0);
	add("small", "to9", "from9", 503, 3, false);
	assert_int_equal(find(&w, g), 1);
}

static void silence_weighs_more_than_nobody_at_home(void **state)
{
	(void)state;
	assert_true(failures_weight(408, false) > 5 * failures_weight(408, true));
	assert_true(failures_weight(503, false) > 5 * failures_weight(486, false));
	assert_true(failures_weight(403, false) > failures_weight(404, false));
	for(unsigned code = 0; code < 1000; code++)
		assert_true(failures_weight(code, false) > 0 && failures_weight(code, false) <= 1);
}

static void several_codes_of_one_trunk_are_one_group(void **state)
{
	struct failures_group g[8];
	struct went_well w = {"b", 0, 30, 60};
	(void)state;
	for(int i = 0; i < 60; i++)
		add("b", some("to", i), some("from", i), i % 3 == 0 ? 503 : i % 3 == 1 ? 500 : 408, (uint64_t)i, false);
	assert_int_equal(find(&w, g), 1);
	assert_int_equal(g[0].code, 0);
	assert_int_equal(g[0].count, 60);
	assert_int_equal(g[0].codes[0].count, 20);
	assert_int_equal(g[0].codes[2].count, 20);
	assert_string_equal(failures_codes_text(g[0].codes).s, "20 × no response, 20 × 500, 20 × 503");
}

static void nothing_is_known_of_what_went_well(void **state)
{
	struct failures_group g[8];
	(void)state;
	for(int i = 0; i < 20; i++)
		add("b", some("to", i), some("from", i), 503, (uint64_t)i, false);
	assert_int_equal(find(NULL, g), 1);
	assert_string_equal(g[0].name, "b");
	assert_int_equal(g[0].good, 0);
}

static void none_and_one_are_no_group(void **state)
{
	struct failures_group g[8];
	(void)state;
	assert_int_equal(find(NULL, g), 0);
	add("b", "1", "2", 503, 0, false);
	assert_int_equal(find(NULL, g), 0);
	add(NULL, "", NULL, 0, 0, false);
	assert_int_equal(find(NULL, g), 0);
	assert_int_equal(failures_count(f), 2);
}

static void asking_twice_gives_the_same(void **state)
{
	struct failures_group g[8], again[8];
	(void)state;
	for(int i = 0; i < 50; i++)
		add(some("t", i % 2), some("to", i % 5), some("from", i), i % 2 ? 503 : 404, (uint64_t)i, false);
	int n = find(NULL, g);
	assert_int_equal(find(NULL, again), n);
	for(int i = 0; i < n; i++)
		assert_int_equal(g[i].count, again[i].count);
}

static size_t no_time(enum failures_dim dim, const char *name, enum failures_dim via_dim, const char *via,
		uint64_t first, uint64_t last, void *arg)
{
	(void)dim, (void)name, (void)via_dim, (void)via, (void)first, (void)last, (void)arg;
	return FAILURES_NO_TIME;
}

static void without_time_to_ask_nothing_is_claimed(void **state)
{
	struct failures_group g[8];
	(void)state;
	for(int i = 0; i < 50; i++)
		add("b", some("to", i), some("from", i), 503, (uint64_t)i, false);
	assert_int_equal(failures_find(f, no_time, NULL, g, 8), 0);
}

static void a_group_is_said_in_words(void **state)
{
	struct failures_group g[8];
	struct failures_more m = {.sip_call_id = "abc@host"};
	struct went_well w = {"b", 0, 30, 60};
	char usually[200], next[500], common[400];
	(void)state;
	for(int i = 0; i < 30; i++)
		add("b", "+442079460142", some("from", i), 503, (uint64_t)i, false);
	assert_int_equal(find(&w, g), 1);
	assert_string_equal(failures_name(&g[0]).s, "trunk b");
	assert_string_equal(failures_code(&g[0]).s, "503 out of service or overloaded");
	assert_string_equal(failures_when(&g[0], NOW + 31 * MINUTE).s, "since 14:00:00");
	assert_string_equal(failures_when(&g[0], NOW + 300 * MINUTE).s, "14:00:00 – 14:29:00");
	assert_string_equal(failures_when(&g[0], NOW + 3000 * MINUTE).s, "2026-01-31 14:00:00 – 14:29:00");
	failures_common(common, sizeof(common), &g[0]);
	assert_string_equal(common, "all dialled +442079460142");
	failures_advice(usually, sizeof(usually), next, sizeof(next), &g[0], &m);
	assert_non_null(strstr(usually, "no free channel"));
	assert_string_equal(next, "take b out of the routes or give it fewer calls, and ask it with the Call-ID abc@host");
}

static void names_from_the_wire_cannot_reach_the_terminal(void **state)
{
	struct failures_group g[8];
	(void)state;
	for(int i = 0; i < 30; i++)
		add("b\033[31m{name}%s", some("to", i), some("from", i), 503, (uint64_t)i, false);
	assert_int_equal(find(NULL, g), 1);
	assert_null(strchr(failures_name(&g[0]).s, '\033'));
	assert_non_null(strstr(failures_name(&g[0]).s, "%s"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
			T(a_dead_trunk_is_first_and_what_it_explains_is_not_listed),
			T(a_number_that_fails_over_every_trunk_is_the_number),
			T(a_number_that_fails_on_one_good_trunk_is_the_number),
			T(a_call_that_was_tried_three_times_counts_once_for_its_number),
			T(busy_callees_do_not_hide_a_trunk),
			T(what_is_usual_does_not_stand_out),
			T(a_short_outage_stands_out_of_a_long_time),
			T(three_of_three_are_not_worth_more_than_three_hundred_of_four_hundred),
			T(two_of_two_prove_nothing),
			T(silence_weighs_more_than_nobody_at_home),
			T(several_codes_of_one_trunk_are_one_group),
			T(nothing_is_known_of_what_went_well),
			T(none_and_one_are_no_group),
			T(asking_twice_gives_the_same),
			T(without_time_to_ask_nothing_is_claimed),
			T(a_group_is_said_in_words),
			T(names_from_the_wire_cannot_reach_the_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
