/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Which texts of the call log are about a number that is to be erased. */
#include "../../modules/cli/db_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define NUMBER "+442079460142"

static void numbers_and_uris_match_however_they_are_written(void **state)
{
	static const char *const yes[] = {NUMBER, "442079460142", "00442079460142", "02079460142",
			"sip:+442079460142@192.0.2.1:5060", "sip:%2B442079460142@h", "tel:+44-20-7946-0142",
			"sip:02079460142@sip.example.com;user=phone"};
	static const char *const no[] = {
			"+442079460143", "sip:anna@sip.example.com", "60142", "sip:192.0.2.1", "", "+442179460142"};
	(void)state;
	for(size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if(!db_match_uri(NUMBER, false, yes[i], strlen(yes[i])))
			fail_msg("%s", yes[i]);
	}
	for(size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if(db_match_uri(NUMBER, false, no[i], strlen(no[i])))
			fail_msg("%s", no[i]);
	}
	assert_true(db_match_uri("anna", false, "sip:anna@h", 10));
	assert_false(db_match_uri("anna", false, "sip:joanna@h", 12));
}

static void exact_takes_the_same_digits_alone(void **state)
{
	(void)state;
	assert_true(db_match_uri(NUMBER, true, "sip:442079460142@h", 18));
	assert_true(db_match_uri(NUMBER, true, "sip:%2B442079460142@h", 21));
	assert_false(db_match_uri(NUMBER, true, "sip:02079460142@h", 17));
	assert_true(db_match_uri("anna", true, "sip:anna@h", 10));
	assert_true(db_match_text(NUMBER, true, "call +44 20 7946 0142", 21));
	assert_false(db_match_text(NUMBER, true, "call 020 7946 0142", 18));
}

static void free_text_matches_by_runs_of_digits(void **state)
{
	static const char *const yes[] = {"call back: (020) 7946-0142, please", "{\"phone\":\"+442079460142\"}",
			"00442079460142", "x207946014 2", "1 2 3 442079460142"};
	static const char *const no[] = {
			"", "460142", "order 946014", "+4420794601429", "0142", "20794601 and 42", "ab442079460143"};
	(void)state;
	for(size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if(!db_match_text(NUMBER, false, yes[i], strlen(yes[i])))
			fail_msg("%s", yes[i]);
	}
	for(size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if(db_match_text(NUMBER, false, no[i], strlen(no[i])))
			fail_msg("%s", no[i]);
	}
	assert_false(db_match_text("1234", false, "1234", 4));
	assert_false(db_match_text("anna", false, "anna", 4));
}

static void the_pattern_lets_through_what_matches(void **state)
{
	char like[200];
	(void)state;
	assert_true(db_match_like(like, sizeof(like), NUMBER));
	assert_string_equal(like, "%4%6%0%1%4%2%");
	assert_true(db_match_like(like, sizeof(like), "0012"));
	assert_string_equal(like, "%1%2%");
	assert_true(db_match_like(like, sizeof(like), "a_b%c!"));
	assert_string_equal(like, "%a!_b!%c!!%");
	assert_false(db_match_like(like, 10, "abcdefghijkl"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_and_uris_match_however_they_are_written),
			cmocka_unit_test(exact_takes_the_same_digits_alone), cmocka_unit_test(free_text_matches_by_runs_of_digits),
			cmocka_unit_test(the_pattern_lets_through_what_matches)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
