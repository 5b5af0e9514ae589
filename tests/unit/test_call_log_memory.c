/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The call log with each allocation failing in turn: it waits, says so, and afterwards every row is there once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call_log_fake.h"

/* A sanitizer has its own allocator: then nothing fails here, and the test says so. */
#if defined(__SANITIZE_ADDRESS__)
#define CAN_FAIL 0
static unsigned left, asked_for;
#else
#define CAN_FAIL 1
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static unsigned left, asked_for; /* left: the allocation of this number fails; 0: none does */

static bool fails(void)
{
	asked_for++;
	return left > 0 && --left == 0;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
#endif

static void each_allocation_that_fails_loses_and_doubles_nothing(void **state)
{
	struct test *t = *state;
	char bad[37];
	unsigned last = 0, most = 1;

	if(!CAN_FAIL)
		skip();
	for(unsigned n = 1; n <= most && n < 400; n++) {
		/* everything anew: what is kept from batch to batch would not be asked for again */
		sb_call_log_stop(t->c, t->at);
		started(t);
		calls(t, last + 1, last + 3);
		made_id(bad, last + 2);
		t->store.bad_key = bad;
		last += 3;
		asked_for = 0;
		left = n;
		for(int i = 0; i < 40 && (left > 0 || i < 8); i++) {
			sb_call_log_turn(t->c, t->at, t->at);
			t->at += 25000;
		}
		most = left > 0 ? 0 : n + 1;
		left = 0;
		t->store.bad_key = NULL;
		turns(t, 40 * SECOND);
		assert_int_equal(SB_CALL_LOG_UP, t->status.state);
		assert_int_equal(2 * last, count(t, SB_CL_EVENT));
		assert_true(count(t, SB_CL_CALL) + t->status.aside >= last);
		assert_true(count(t, SB_CL_CALL) <= last);
	}
	assert_true(last > 3 * 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test_setup_teardown(each_allocation_that_fails_loses_and_doubles_nothing, begin, end)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
