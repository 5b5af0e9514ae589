/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which calls' events an endpoint gets, and how fast. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "deliver_fixture.h"

static void put(struct sb_out *o, enum sb_col col, const char *s)
{
	sb_put_str(o, col, s, strlen(s));
}

/* One event. @param attempts trunks of its attempts, "" for one without; NULL ends them */
static void write_event(
		struct run *r, uint16_t type, unsigned call, const char *trunk, const char *did, const char *const *attempts)
{
	uint8_t rec[1024], id[16] = {9};
	struct sb_out o = {.p = rec + sizeof(struct sb_rec_hdr), .cap = sizeof(rec) - sizeof(struct sb_rec_hdr)};
	char sip[32];

	memcpy(id + 8, &call, sizeof(call));
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_u64(&o, SB_C_SEQUENCE, 1);
	sb_put_time(&o, SB_C_AT, 1700000000000000ull);
	sb_put_str(&o, SB_C_SIP_CALL_ID, sip, (size_t)snprintf(sip, sizeof(sip), "%u", call));
	put(&o, SB_C_TRUNK, trunk);
	put(&o, SB_C_DID, did);
	for(; attempts != NULL && *attempts != NULL; attempts++) {
		size_t mark = sb_group_begin(&o, SB_C_ATTEMPT);
		put(&o, SB_C_A_TRUNK, *attempts);
		sb_group_end(&o, mark);
	}
	assert_int_equal(0, sb_log_append(&r->log->log, type, SB_KEEP, rec, (uint32_t)o.len, NULL));
}

static void wants(struct run *r, const char *trunks, const char *dids)
{
	char why[128];

	assert_int_equal(0, sb_filter_parse_names(&r->ep[0].trunks, "trunks", trunks, why, sizeof(why)));
	assert_int_equal(0, sb_filter_parse_names(&r->ep[0].dids, "DIDs", dids, why, sizeof(why)));
}

/* The calls whose events come, of those that are written; call 99 is written last, and goes to everybody. */
static void expect(struct run *r, const char *trunks, const char *dids, const unsigned *calls, unsigned count)
{
	static const char *const two[] = {"carrier-b", "carrier-c", NULL}, *const one[] = {"carrier-b", NULL},
							 *const none[] = {"", NULL};

	server->rule = always_200;
	wants(r, trunks, dids);
	begin(r);
	write_event(r, SB_CALL_INITIATED, 0, "", "", NULL);
	write_event(r, SB_CALL_RINGING, 1, "carrier-a", "+442079460000", one);
	write_event(r, SB_CALL_RINGING, 2, "", "+442079460000", one);
	write_event(r, SB_CALL_CDR, 3, "", "", two);
	write_event(r, SB_CALL_RINGING, 4, "", "+15550100", none);
	write_event(r, SB_CALL_ENDED, 99, "everywhere", "everywhere", NULL);
	TURN_UNTIL(r, server_accepted() == count + 1);
	end(r);
	for(unsigned i = 0; i < count; i++) {
		unsigned came = 0;
		for(unsigned k = 0; k < server->count; k++)
			came += server->seen[k].call == calls[i];
		assert_int_equal(1, came);
	}
}
#define EXPECT(r, trunks, dids, ...)                                                                     \
	do {                                                                                                 \
		const unsigned calls_[] = {__VA_ARGS__};                                                         \
		expect(r, trunks ",everywhere", dids ",everywhere", calls_, sizeof(calls_) / sizeof(calls_[0])); \
	} while(0)

static void everything_comes_to_whom_wants_everything(void **state)
{
	EXPECT(*state, "*", "*", 0, 1, 2, 3, 4);
}

static void the_calls_trunk_counts_before_that_of_an_attempt(void **state)
{
	EXPECT(*state, "carrier-a", "*", 1);
}

static void without_one_any_attempts_trunk_counts(void **state)
{
	EXPECT(*state, "carrier-b", "*", 2, 3);
}

static void a_trunk_that_was_tried_second_counts_too(void **state)
{
	EXPECT(*state, "carrier-c", "*", 3);
}

static void a_did_is_matched_by_its_begin(void **state)
{
	EXPECT(*state, "*", "+4420*", 1, 2);
}

static void both_must_fit(void **state)
{
	EXPECT(*state, "carrier-b", "+44*", 2);
}

static void a_rate_limit_spreads_what_waits(void **state)
{
	struct run *r = *state;
	struct timespec a, b;
	double s;

	server->rule = always_200;
	r->ep[0].rate = 100;
	begin(r);
	write_calls(r, 40);
	clock_gettime(CLOCK_MONOTONIC, &a);
	TURN_UNTIL(r, server_accepted() == 200);
	clock_gettime(CLOCK_MONOTONIC, &b);
	end(r);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	if(s < 1.85 || s > 5)
		fail_msg("200 events at 100 a second took %.2f s", s);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_make, run_remove)
	const struct CMUnitTest tests[] = {
			RUN(everything_comes_to_whom_wants_everything),
			RUN(the_calls_trunk_counts_before_that_of_an_attempt),
			RUN(without_one_any_attempts_trunk_counts),
			RUN(a_trunk_that_was_tried_second_counts_too),
			RUN(a_did_is_matched_by_its_begin),
			RUN(both_must_fit),
			RUN(a_rate_limit_spreads_what_waits),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, receiver_up, receiver_down);
}
