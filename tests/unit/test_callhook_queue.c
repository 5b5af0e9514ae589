/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "callset.h"
#include "queue.h"

static void call_id(uint8_t out[16], unsigned n)
{
	memset(out, 0, 16);
	memcpy(out, &n, sizeof(n));
}

static struct sb_entry *push(struct sb_queue *q, unsigned call, uint64_t offset)
{
	uint8_t id[16];
	struct sb_entry *e;

	call_id(id, call);
	e = sb_queue_push(q, (struct sb_pos){1, offset}, id, NULL, false);
	sb_queue_read_to(q, (struct sb_pos){1, offset + 1});
	return e;
}

static void one_event_of_a_call_flies_at_a_time_and_in_order(void **state)
{
	struct sb_queue q;
	struct sb_entry *a, *b;

	(void)state;
	assert_int_equal(0, sb_queue_init(&q, 8, 2, (struct sb_pos){1, 0}));
	push(&q, 7, 0);
	push(&q, 7, 1);
	push(&q, 8, 2);
	a = sb_queue_take(&q);
	assert_int_equal(0, a->pos.offset);
	b = sb_queue_take(&q);
	assert_int_equal(2, b->pos.offset);
	assert_null(sb_queue_take(&q));
	sb_queue_done(&q, a);
	a = sb_queue_take(&q);
	assert_int_equal(1, a->pos.offset);
	sb_queue_back(&q, a, true);
	assert_ptr_equal(a, sb_queue_take(&q));
	sb_queue_free(&q);
}

static void the_cursor_is_the_oldest_that_is_not_done(void **state)
{
	struct sb_queue q;
	struct sb_entry *e[4];

	(void)state;
	assert_int_equal(0, sb_queue_init(&q, 8, 2, (struct sb_pos){1, 0}));
	for(unsigned i = 0; i < 4; i++)
		push(&q, i, i);
	for(unsigned i = 0; i < 4; i++)
		e[i] = sb_queue_take(&q);
	sb_queue_done(&q, e[1]);
	sb_queue_done(&q, e[3]);
	assert_int_equal(0, sb_queue_cursor(&q).offset);
	sb_queue_done(&q, e[0]);
	assert_int_equal(2, sb_queue_cursor(&q).offset);
	sb_queue_done(&q, e[2]);
	assert_int_equal(4, sb_queue_cursor(&q).offset);
	sb_queue_free(&q);
}

static void the_window_and_the_distance_read_ahead_are_bounded(void **state)
{
	struct sb_queue q;
	struct sb_entry *stuck, *e;
	unsigned n = 1;

	(void)state;
	assert_int_equal(-EINVAL, sb_queue_init(&q, 0, 2, (struct sb_pos){1, 0}));
	assert_int_equal(0, sb_queue_init(&q, 4, 1, (struct sb_pos){1, 0}));
	for(unsigned i = 0; i < 4; i++)
		assert_non_null(push(&q, i, i));
	assert_true(sb_queue_full(&q));
	assert_null(push(&q, 9, 9));
	stuck = sb_queue_take(&q);
	while((e = sb_queue_take(&q)) != NULL)
		sb_queue_done(&q, e);
	for(n = 4; push(&q, n, n) != NULL; n++)
		sb_queue_done(&q, sb_queue_take(&q));
	assert_int_equal(32, n);
	sb_queue_done(&q, stuck);
	assert_false(sb_queue_full(&q));
	sb_queue_free(&q);
}

static void retries_have_room_of_their_own_and_do_not_hold_the_cursor(void **state)
{
	struct sb_queue q;
	uint8_t id[16];

	(void)state;
	assert_int_equal(0, sb_queue_init(&q, 1, 2, (struct sb_pos){5, 0}));
	call_id(id, 1);
	assert_non_null(sb_queue_push(&q, (struct sb_pos){1, 0}, id, NULL, true));
	call_id(id, 2);
	assert_non_null(sb_queue_push(&q, (struct sb_pos){1, 7}, id, NULL, true));
	call_id(id, 3);
	assert_null(sb_queue_push(&q, (struct sb_pos){1, 9}, id, NULL, true));
	assert_int_equal(5, sb_queue_cursor(&q).segment);
	assert_false(sb_queue_full(&q));
	assert_non_null(push(&q, 4, 3));
	assert_true(sb_queue_full(&q));
	sb_queue_free(&q);
}

/* Random pushes, takes, ends and returns against the rules themselves. */
static void no_order_of_happenings_breaks_the_rules(void **state)
{
	enum
	{
		EVENTS = 20000,
		CALLS = 9
	};
	struct sb_queue q;
	struct sb_entry *flying[CALLS] = {0};
	static bool done[EVENTS];
	uint64_t last[CALLS], pushed = 0, finished = 0;

	(void)state;
	srandom(7);
	memset(done, 0, sizeof(done));
	memset(last, 0xff, sizeof(last));
	assert_int_equal(0, sb_queue_init(&q, 16, 4, (struct sb_pos){1, 0}));
	while(finished < EVENTS) {
		unsigned what = (unsigned)random() % 4, c = (unsigned)random() % CALLS;
		struct sb_entry *e;
		unsigned call;

		if(what == 0 && pushed < EVENTS && push(&q, (unsigned)(pushed * 2654435761u >> 7) % CALLS, pushed) != NULL)
			pushed++;
		if(what == 1 && (e = sb_queue_take(&q)) != NULL) {
			memcpy(&call, e->call, sizeof(call));
			assert_null(flying[call]);
			assert_true(last[call] == UINT64_MAX || e->pos.offset > last[call]);
			flying[call] = e;
		}
		if(what >= 2 && flying[c] != NULL) {
			e = flying[c];
			flying[c] = NULL;
			if(random() % 5 == 0) {
				sb_queue_back(&q, e, random() % 2);
				continue;
			}
			last[c] = e->pos.offset;
			done[e->pos.offset] = true;
			finished++;
			sb_queue_done(&q, e);
		}
		for(uint64_t i = sb_queue_cursor(&q).offset; i > 0 && i + 200 > sb_queue_cursor(&q).offset; i--)
			assert_true(done[i - 1]);
		assert_true(pushed == sb_queue_cursor(&q).offset || !done[sb_queue_cursor(&q).offset]);
	}
	assert_int_equal(0, q.waiting + q.flying + q.retries + q.ready);
	sb_queue_free(&q);
}

static void a_callset_counts_like_an_array(void **state)
{
	enum
	{
		CALLS = 500
	};
	struct sb_callset s = {0};
	uint32_t count[CALLS] = {0}, used = 0;
	uint64_t total = 0;
	uint8_t id[16];

	(void)state;
	srandom(11);
	for(int i = 0; i < 100000; i++) {
		unsigned c = (unsigned)random() % CALLS;

		call_id(id, c);
		if(random() % 2) {
			assert_int_equal(0, sb_callset_add(&s, id, 1));
			count[c]++;
			total++;
		} else {
			total -= count[c] > 0;
			count[c] -= count[c] > 0;
			assert_int_equal(count[c], sb_callset_sub(&s, id));
		}
		if(i % 1000 == 0) {
			used = 0;
			for(unsigned k = 0; k < CALLS; k++) {
				call_id(id, k);
				assert_int_equal(count[k], sb_callset_count(&s, id));
				used += count[k] > 0;
			}
			assert_int_equal(used, s.used);
			assert_int_equal(total, s.total);
		}
	}
	sb_callset_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(one_event_of_a_call_flies_at_a_time_and_in_order),
			cmocka_unit_test(the_cursor_is_the_oldest_that_is_not_done),
			cmocka_unit_test(the_window_and_the_distance_read_ahead_are_bounded),
			cmocka_unit_test(retries_have_room_of_their_own_and_do_not_hold_the_cursor),
			cmocka_unit_test(no_order_of_happenings_breaks_the_rules),
			cmocka_unit_test(a_callset_counts_like_an_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
