/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_fixture.h"

#include <errno.h>

static char long_text[1024];

static int setup(void **state)
{
	for(size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = (char)('a' + i % 26);
	return fresh(state);
}

static size_t text_len(enum cs_text t)
{
	return call.text[t].len;
}

static int attr(const char *name, const char *value)
{
	return cs_attr_set(&call, name, strlen(name), value, strlen(value));
}

static void attr_is(const char *name, const char *expected)
{
	size_t len = 0;
	const char *v = cs_attr_get(&call, name, strlen(name), &len);

	if(expected == NULL) {
		assert_null(v);
		return;
	}
	assert_non_null(v);
	assert_int_equal(strlen(expected), len);
	assert_memory_equal(expected, v, len);
}

static void every_string_is_inside_the_arena(void)
{
	assert_true(call.arena_len <= CS_ARENA);
	for(unsigned i = 0; i < CS_T_COUNT; i++)
		assert_true(call.text[i].len == 0 || call.text[i].off + call.text[i].len <= call.arena_len);
}

/* As full as SIP allows: nothing is left for one byte more. */
static void fill_arena(void)
{
	struct cs_str s = {0};

	while(call.arena_len < CS_ARENA) {
		struct cs_attempt *a = cs_attempt_new(&call);

		assert_non_null(a);
		a->flags = CS_A_DONE;
		s = (struct cs_str){0};
		cs_str_set(&call, &s, long_text, 400, 400);
		a->uri = s;
	}
}

static void a_call_is_at_most_4096_bytes(void **state)
{
	(void)state;
	assert_true(sizeof(struct cs_call) <= 4096);
}

static void a_text_is_kept_and_replaced(void **state)
{
	(void)state;
	assert_true(cs_text_set(&call, CS_T_DID, "short", 5));
	assert_true(cs_text_set(&call, CS_T_DID, "a longer one", 12));
	text_is(CS_T_DID, "a longer one");
	assert_true(cs_text_set(&call, CS_T_DID, "x", 1));
	text_is(CS_T_DID, "x");
	text_is(CS_T_FROM_TAG, "1928301774");
}

static void a_text_can_be_emptied_with_no_pointer(void **state)
{
	(void)state;
	assert_true(cs_text_set(&call, CS_T_DID, NULL, 0));
	text_put(&call, CS_T_DID, "49");
	assert_true(cs_text_set(&call, CS_T_DID, NULL, 0));
	assert_int_equal(0, text_len(CS_T_DID));
	assert_true(cs_text_is(&call, CS_T_DID, NULL, 0));
}

static void a_long_text_is_clipped_and_says_so(void **state)
{
	(void)state;
	assert_false(cs_text_set(&call, CS_T_SIP_CALL_ID, long_text, 256));
	assert_int_equal(255, text_len(CS_T_SIP_CALL_ID));
	assert_true(cs_text_set(&call, CS_T_SIP_CALL_ID, long_text, 255));
}

static void a_clipped_text_is_still_recognised(void **state)
{
	(void)state;
	cs_text_set(&call, CS_T_FROM_TAG, long_text, 300);
	assert_true(cs_text_is(&call, CS_T_FROM_TAG, long_text, 300));
	assert_false(cs_text_is(&call, CS_T_FROM_TAG, long_text + 1, 300));
	assert_false(cs_text_is(&call, CS_T_FROM_TAG, long_text, 127));
}

static void media_is_kept_whole_or_not_at_all(void **state)
{
	(void)state;
	assert_false(cs_text_set(&call, CS_T_MEDIA, long_text, 641));
	assert_int_equal(0, text_len(CS_T_MEDIA));
	fill_arena();
	assert_false(cs_text_set(&call, CS_T_MEDIA, long_text, 100));
	assert_int_equal(0, text_len(CS_T_MEDIA));
}

static void what_no_string_names_any_more_is_used_again(void **state)
{
	(void)state;
	for(unsigned i = 0; i < 1000; i++) {
		size_t len = 1 + i % 192;

		call.text[CS_T_TO_URI].len = 0;
		assert_true(cs_text_set(&call, CS_T_TO_URI, long_text, len));
		every_string_is_inside_the_arena();
	}
	text_is(CS_T_FROM_TAG, "1928301774");
	text_is(CS_T_CONTACT_A, "sip:alice@192.0.2.1:5060");
}

static void a_text_of_the_call_can_be_copied_within_it_while_the_arena_is_compacted(void **state)
{
	struct cs_attempt *a = cs_attempt_new(&call);
	size_t len;
	const char *s;

	(void)state;
	text_put(&call, CS_T_FLOW, "goes away");
	text_put(&call, CS_T_TRUNK, "the-trunk-that-is-copied");
	cs_text_set(&call, CS_T_MEDIA, long_text, 640);
	call.text[CS_T_FLOW].len = 0;
	call.arena_len = CS_ARENA - 3;
	s = cs_text(&call, CS_T_TRUNK, &len);
	assert_true(cs_str_set(&call, &a->trunk, s, len, 64));
	assert_int_equal(24, a->trunk.len);
	assert_memory_equal("the-trunk-that-is-copied", cs_ptr(&call, a->trunk), 24);
	text_is(CS_T_TRUNK, "the-trunk-that-is-copied");
}

static void a_full_arena_gives_way_to_what_finds_and_ends_the_call(void **state)
{
	static const enum cs_text vital[] = {CS_T_TO_TAG, CS_T_CONTACT_B, CS_T_ROUTE_B, CS_T_SOCKET_B};

	(void)state;
	fill_arena();
	for(unsigned i = 0; i < 4; i++) {
		assert_true(cs_text_set(&call, vital[i], long_text, 60));
		every_string_is_inside_the_arena();
	}
	for(unsigned i = 0; i < 4; i++)
		assert_true(cs_text_is(&call, vital[i], long_text, 60));
	text_is(CS_T_FROM_TAG, "1928301774");
}

static void running_attempts_keep_their_texts_in_a_full_arena(void **state)
{
	(void)state;
	fill_arena();
	for(unsigned i = 0; i < call.attempts_kept; i++)
		call.attempt[i].flags = 0;
	cs_text_set(&call, CS_T_TO_TAG, long_text, 60);
	for(unsigned i = 0; i + 1 < call.attempts_kept; i++)
		assert_int_equal(400, call.attempt[i].uri.len);
	every_string_is_inside_the_arena();
}

static void a_cleared_call_keeps_its_place_in_the_table(void **state)
{
	(void)state;
	call.gen = 9;
	call.next = 3;
	call.self = 4;
	call.hash = 77;
	cs_call_clear(&call);
	assert_int_equal(9, call.gen);
	assert_int_equal(3, call.next);
	assert_int_equal(4, call.self);
	assert_int_equal(77, call.hash);
	assert_int_equal(0, call.arena_len);
	assert_int_equal(0, text_len(CS_T_SIP_CALL_ID));
}

static void an_attribute_is_set_replaced_and_taken_away(void **state)
{
	(void)state;
	assert_int_equal(0, attr("customer.vip", "gold"));
	assert_int_equal(0, attr("customer.vipx", "other"));
	attr_is("customer.vip", "gold");
	assert_int_equal(0, attr("customer.vip", "silver=1"));
	attr_is("customer.vip", "silver=1");
	assert_int_equal(0, attr("customer.vip", ""));
	attr_is("customer.vip", NULL);
	attr_is("customer.vipx", "other");
	attr_is("customer", NULL);
}

static void an_attribute_needs_a_name_without_an_equals_sign(void **state)
{
	(void)state;
	assert_int_equal(-EINVAL, attr("", "x"));
	assert_int_equal(-EINVAL, attr("a=b", "x"));
}

static void attributes_have_512_bytes_together(void **state)
{
	char name[16];
	unsigned kept = 0;

	(void)state;
	for(unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "attr.%02u", i);
		if(cs_attr_set(&call, name, strlen(name), long_text, 20) == 0)
			kept++;
	}
	assert_int_equal(512 / (4 + 7 + 1 + 20), kept);
	assert_int_equal(-ENOSPC, cs_attr_set(&call, "attr.00", 7, long_text, 600));
	attr_is("attr.00", "abcdefghijklmnopqrst");
	attr_is("attr.15", "abcdefghijklmnopqrst");
}

static void an_attribute_finds_the_room_that_compaction_makes(void **state)
{
	(void)state;
	for(unsigned i = 0; i < 3; i++) {
		call.text[CS_T_MEDIA].len = 0;
		cs_text_set(&call, CS_T_MEDIA, long_text, 640);
	}
	call.text[CS_T_MEDIA].len = 0;
	assert_int_equal(0, cs_attr_set(&call, "attr.big", 8, long_text, 450));
	assert_int_equal(0, cs_attr_set(&call, "attr.big", 8, long_text + 1, 450));
	assert_int_equal(0, cs_attr_set(&call, "attr.more", 9, long_text, 20));
	every_string_is_inside_the_arena();
}

static void an_attribute_is_refused_where_no_room_is_left_and_the_old_one_stays(void **state)
{
	(void)state;
	attr("attr.a", "before");
	fill_arena();
	assert_int_equal(-ENOSPC, cs_attr_set(&call, "attr.a", 6, long_text, 300));
	attr_is("attr.a", "before");
}

static void attempts_are_numbered_and_found_by_their_branch(void **state)
{
	(void)state;
	for(unsigned i = 0; i < 3; i++)
		cs_attempt_new(&call)->branch = (uint8_t)i;
	assert_int_equal(3, call.attempts_total);
	assert_int_equal(2, cs_attempt_of(&call, 1)->n);
	assert_null(cs_attempt_of(&call, 7));
}

static void of_two_attempts_on_one_branch_the_newest_is_meant(void **state)
{
	(void)state;
	cs_attempt_new(&call)->branch = 0;
	cs_attempt_new(&call)->branch = 0;
	assert_int_equal(2, cs_attempt_of(&call, 0)->n);
	call.attempt[1].flags = CS_A_OLD;
	assert_int_equal(1, cs_attempt_of(&call, 0)->n);
}

static void the_oldest_finished_attempt_makes_room(void **state)
{
	(void)state;
	for(unsigned i = 0; i < CS_ATTEMPTS; i++)
		cs_attempt_new(&call);
	assert_null(cs_attempt_new(&call));
	call.attempt[2].flags = CS_A_DONE;
	call.attempt[5].flags = CS_A_DONE;
	assert_int_equal(17, cs_attempt_new(&call)->n);
	assert_int_equal(CS_ATTEMPTS, call.attempts_kept);
	assert_int_equal(2, call.attempt[1].n);
	assert_int_equal(4, call.attempt[2].n);
}

static void the_last_attempt_is_the_newest_that_runs(void **state)
{
	(void)state;
	assert_null(cs_attempt_last(&call));
	cs_attempt_new(&call)->flags = 0;
	cs_attempt_new(&call)->flags = CS_A_DONE;
	assert_int_equal(1, cs_attempt_last(&call)->n);
	call.attempt[0].flags = CS_A_DONE;
	assert_int_equal(2, cs_attempt_last(&call)->n);
}

static int hold(unsigned attempt, const char *what)
{
	return cs_hold_add(&call, attempt, what, strlen(what));
}

static void holds_of_one_attempt_are_taken_and_others_stay(void **state)
{
	char what[CS_HOLD_MAX + 1];

	(void)state;
	assert_int_equal(0, hold(1, "flow=trunk-a"));
	assert_int_equal(0, hold(2, "flow=trunk-b"));
	assert_true(cs_hold_take(&call, 2, what));
	assert_string_equal("flow=trunk-b", what);
	assert_false(cs_hold_take(&call, 2, what));
	assert_true(cs_hold_take(&call, 0, what));
	assert_string_equal("flow=trunk-a", what);
	assert_false(cs_hold_take(&call, 0, what));
}

static void six_holds_are_kept(void **state)
{
	(void)state;
	for(unsigned i = 0; i < CS_HOLDS; i++)
		assert_int_equal(0, hold(i, "flow=x"));
	assert_int_equal(-ENOSPC, hold(9, "flow=x"));
	assert_int_equal(CS_HOLDS, call.holds);
}

static void a_hold_that_does_not_fit_whole_is_refused(void **state)
{
	char what[CS_HOLD_MAX + 1];

	(void)state;
	assert_int_equal(-ENOSPC, cs_hold_add(&call, 1, long_text, CS_HOLD_MAX + 1));
	assert_int_equal(0, cs_hold_add(&call, 1, long_text, CS_HOLD_MAX));
	assert_true(cs_hold_take(&call, 1, what));
	assert_int_equal(CS_HOLD_MAX, strlen(what));
	fill_arena();
	assert_int_equal(-ENOSPC, hold(1, "flow=trunk-a"));
	assert_int_equal(0, call.holds);
}

static void holds_survive_compaction(void **state)
{
	char what[CS_HOLD_MAX + 1];

	(void)state;
	hold(1, "flow=trunk-a");
	for(unsigned i = 0; i < 20; i++) {
		call.text[CS_T_MEDIA].len = 0;
		cs_text_set(&call, CS_T_MEDIA, long_text, 600);
	}
	assert_true(cs_hold_take(&call, 1, what));
	assert_string_equal("flow=trunk-a", what);
}

static void names_of_numbers_out_of_range_are_harmless(void **state)
{
	(void)state;
	assert_string_equal("unknown", cs_by_name(200));
	assert_string_equal("", cs_outcome_name(200));
	assert_string_equal("", cs_cause_name(200));
	assert_string_equal("expired", cs_outcome_name(CS_O_EXPIRED));
	assert_string_equal("replaced", cs_cause_name(CS_C_REPLACED));
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
			T(a_call_is_at_most_4096_bytes),
			T(a_text_is_kept_and_replaced),
			T(a_text_can_be_emptied_with_no_pointer),
			T(a_long_text_is_clipped_and_says_so),
			T(a_clipped_text_is_still_recognised),
			T(media_is_kept_whole_or_not_at_all),
			T(what_no_string_names_any_more_is_used_again),
			T(a_text_of_the_call_can_be_copied_within_it_while_the_arena_is_compacted),
			T(a_full_arena_gives_way_to_what_finds_and_ends_the_call),
			T(running_attempts_keep_their_texts_in_a_full_arena),
			T(a_cleared_call_keeps_its_place_in_the_table),
			T(an_attribute_is_set_replaced_and_taken_away),
			T(an_attribute_needs_a_name_without_an_equals_sign),
			T(attributes_have_512_bytes_together),
			T(an_attribute_finds_the_room_that_compaction_makes),
			T(an_attribute_is_refused_where_no_room_is_left_and_the_old_one_stays),
			T(attempts_are_numbered_and_found_by_their_branch),
			T(of_two_attempts_on_one_branch_the_newest_is_meant),
			T(the_oldest_finished_attempt_makes_room),
			T(the_last_attempt_is_the_newest_that_runs),
			T(holds_of_one_attempt_are_taken_and_others_stay),
			T(six_holds_are_kept),
			T(a_hold_that_does_not_fit_whole_is_refused),
			T(holds_survive_compaction),
			T(names_of_numbers_out_of_range_are_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
