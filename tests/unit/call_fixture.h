/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One call, a clock, and the records that the state machine writes about it. */
#ifndef CALL_FIXTURE_H
#define CALL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "machine.h"
#include "record.h"

#define SECOND 1000000ull
#define RECORDS 1024u
#define PAYLOAD 8192u

#define SPAN(text) ((struct cs_span){(text), sizeof(text) - 1})

struct written
{
	uint16_t type;
	uint32_t len;
	uint8_t payload[PAYLOAD];
};

static struct cs_call call;
static struct written records[RECORDS];
static unsigned record_count, records_seen;
static uint64_t wall, mono;

static void write_record(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x)
{
	struct written *w = &records[record_count];
	struct sb_out out = {.p = w->payload, .cap = sizeof(w->payload)};

	assert_true(record_count < RECORDS);
	if(!sb_type_internal(type))
		c->sequence++;
	cs_encode(c, type, a, x, &out);
	assert_false(out.overflow);
	w->type = type;
	w->len = (uint32_t)out.len;
	record_count++;
}

static inline struct cs_ctx now(void)
{
	return (struct cs_ctx){.now = wall, .mono = mono, .emit = write_record};
}

static inline void pass(uint64_t us)
{
	wall += us;
	mono += us;
}

static inline void text_is(enum cs_text t, const char *expected)
{
	size_t len;
	const char *s = cs_text(&call, t, &len);

	assert_int_equal(strlen(expected), len);
	assert_memory_equal(expected, s, len);
}

static inline void text_put(struct cs_call *c, enum cs_text t, const char *s)
{
	cs_text_set(c, t, s, strlen(s));
}

/* The types written since the last time, in order; NULL ends the list. */
static inline void wrote(const char *first, ...)
{
	va_list more;
	const char *expected = first;

	va_start(more, first);
	for(; records_seen < record_count; records_seen++) {
		const char *name = sb_type_name(records[records_seen].type);

		if(expected == NULL)
			fail_msg("%s was written, and nothing more was expected", name);
		assert_string_equal(expected, name);
		expected = va_arg(more, const char *);
	}
	va_end(more);
	if(expected)
		fail_msg("%s was not written", expected);
}

static inline void wrote_nothing(void)
{
	wrote(NULL);
}

/* A column of the newest record. */
static inline bool column(enum sb_col col, struct sb_field *f)
{
	assert_true(record_count > 0);
	return sb_find(records[record_count - 1].payload, records[record_count - 1].len, col, f);
}

static inline void column_is(enum sb_col col, const char *expected)
{
	struct sb_field f;

	assert_true(column(col, &f));
	assert_int_equal(strlen(expected), f.len);
	assert_memory_equal(expected, f.data, f.len);
}

static inline uint64_t column_number(enum sb_col col)
{
	struct sb_field f;

	assert_true(column(col, &f));
	return sb_field_u64(&f);
}

static inline bool has_column(enum sb_col col)
{
	struct sb_field f;

	return column(col, &f);
}

static inline void fresh_call(struct cs_call *c)
{
	memset(c, 0, sizeof(*c));
	memset(c->id, 7, sizeof(c->id));
	text_put(c, CS_T_SIP_CALL_ID, "a84b4c76e66710@192.0.2.1");
	text_put(c, CS_T_FROM_TAG, "1928301774");
	text_put(c, CS_T_FROM_URI, "sip:+4930123456@192.0.2.1");
	text_put(c, CS_T_TO_URI, "sip:+4989654321@192.0.2.9");
	text_put(c, CS_T_CONTACT_A, "sip:alice@192.0.2.1:5060");
	c->invite_cseq = c->cseq_a = 1;
	c->max_duration = 3600;
}

static inline int fresh(void **state)
{
	(void)state;
	memset(cs_boot, 0xb0, sizeof(cs_boot));
	fresh_call(&call);
	record_count = records_seen = 0;
	wall = 1790000000 * SECOND;
	mono = 5000 * SECOND;
	return 0;
}

#endif
