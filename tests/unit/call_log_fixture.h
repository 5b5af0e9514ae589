/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Events as callstate writes them, for the tests of the call log. Include behind cmocka.h. */
#ifndef CALL_LOG_FIXTURE_H
#define CALL_LOG_FIXTURE_H

#include "call_log_rows.h"
#include "event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT0 1769868127114000ull /* 2026-01-31 14:02:07.114 UTC */
#define NODE "bd3f50ba-3665-452a-aaed-091cf38e1055"

/** Room for a record: header, payload. */
struct made
{
	uint8_t bytes[SB_LOG_MAX_RECORD];
	struct sb_out out;
	struct sb_rec rec;
};

static inline void made_text(struct made *m, enum sb_col col, const char *s)
{
	sb_put_str(&m->out, col, s, strlen(s));
}

static inline void made_call(uint8_t id[16], unsigned call)
{
	const uint8_t rnd[10] = {
			1, 2, 3, 4, 5, 6, (uint8_t)(call >> 24), (uint8_t)(call >> 16), (uint8_t)(call >> 8), (uint8_t)call};

	sb_uuid7(id, AT0 / 1000, rnd);
}

static inline void made_id(char text[37], unsigned call)
{
	uint8_t id[16];

	made_call(id, call);
	sb_uuid_text(text, id);
}

/** Head of every event: ids, parties, times. @param sequence 0: none, as on internal records */
static inline void made_begin(struct made *m, uint16_t type, unsigned call, unsigned sequence, enum sb_state state)
{
	uint8_t id[16];
	char sip[32];

	made_call(id, call);
	m->out = (struct sb_out){
			.p = m->bytes + sizeof(struct sb_rec_hdr), .cap = sizeof(m->bytes) - sizeof(struct sb_rec_hdr)};
	m->rec = (struct sb_rec){.hdr = {.type = type, .epoch = 3, .seq = call * 100ull + sequence}};
	snprintf(sip, sizeof(sip), "call-%u@192.0.2.1", call);
	sb_put_uuid(&m->out, SB_C_CALL_ID, id);
	made_text(m, SB_C_SIP_CALL_ID, sip);
	sb_put_time(&m->out, SB_C_AT, AT0 + sequence * 1000000ull);
	sb_put_u64(&m->out, SB_C_STATE, state);
	if(sequence == 0)
		return;
	sb_put_u64(&m->out, SB_C_SEQUENCE, sequence);
	made_text(m, SB_C_FROM_URI, "sip:+442079460142@192.0.2.1");
	made_text(m, SB_C_FROM_NAME, "Ada Caller");
	made_text(m, SB_C_TO_URI, "sip:02079460100@192.0.2.9");
	made_text(m, SB_C_RURI, "sip:02079460100@192.0.2.9");
	made_text(m, SB_C_SOURCE, "udp:192.0.2.1:5060");
	sb_put_time(&m->out, SB_C_STARTED_AT, AT0);
	sb_put_u64(&m->out, SB_C_ATTEMPTS_TOTAL, 1);
}

static inline void made_attempt(struct made *m, unsigned n, unsigned code, uint64_t ended)
{
	size_t mark = sb_group_begin(&m->out, SB_C_ATTEMPT);

	sb_put_u64(&m->out, SB_C_A_N, n);
	made_text(m, SB_C_A_URI, "sip:+442079460199@192.0.2.7");
	made_text(m, SB_C_A_DST, "udp:192.0.2.7:5060");
	made_text(m, SB_C_A_TRUNK, "carrier-a");
	sb_put_time(&m->out, SB_C_A_STARTED_AT, AT0 + 1000);
	sb_put_time(&m->out, SB_C_A_ENDED_AT, ended);
	if(code != 0)
		sb_put_u64(&m->out, SB_C_A_CODE, code);
	sb_group_end(&m->out, mark);
}

static inline void made_end(struct made *m, const char *by, const char *outcome, const char *cause, unsigned code)
{
	sb_put_time(&m->out, SB_C_ENDED_AT, AT0 + 9000000);
	made_text(m, SB_C_HANGUP_BY, by);
	made_text(m, SB_C_OUTCOME, outcome);
	made_text(m, SB_C_HANGUP_CAUSE, cause);
	if(code != 0)
		sb_put_u64(&m->out, SB_C_HANGUP_CODE, code);
}

static inline const struct sb_rec *made_done(struct made *m)
{
	assert_false(m->out.overflow);
	m->rec.payload = m->out.p;
	m->rec.hdr.len = (uint32_t)m->out.len;
	return &m->rec;
}

/** An event without anything special: from a call that runs. */
static inline const struct sb_rec *made_event(struct made *m, unsigned call, unsigned sequence)
{
	made_begin(m, sequence == 1 ? SB_CALL_INITIATED : SB_CALL_RINGING, call, sequence,
			sequence == 1 ? SB_ST_CALLING : SB_ST_RINGING);
	if(sequence > 1)
		made_attempt(m, 1, 0, 0);
	return made_done(m);
}

/** Rows of one record, values as text: "NULL" where there is none. */
struct rows
{
	struct sb_cl_arena mem;
	unsigned count[SB_CL_TABLES];
	struct sb_cl_row row[SB_CL_TABLES][32];
	int err;
};

static inline int rows_take(enum sb_cl_table table, const struct sb_cl_row *row, void *arg)
{
	struct rows *r = arg;

	assert_true(r->count[table] < 32);
	r->row[table][r->count[table]++] = *row;
	return 0;
}

static inline void rows_of(struct rows *r, const struct sb_rec *rec)
{
	sb_cl_reset(&r->mem);
	memset(r->count, 0, sizeof(r->count));
	r->err = sb_cl_rows(rec, NODE, &r->mem, rows_take, r);
}

static inline const char *cell_text(const struct sb_db_value *v)
{
	static char text[8][20000];
	static unsigned next;
	char *out = text[next++ % 8];

	if(v->kind == SB_DB_NULL)
		return "NULL";
	if(v->kind == SB_DB_INT)
		snprintf(out, sizeof(text[0]), "%lld", (long long)v->i);
	else
		snprintf(out, sizeof(text[0]), "%.*s", (int)v->len, v->text);
	return out;
}

static inline const char *cell(const struct rows *r, enum sb_cl_table table, unsigned i, const char *column)
{
	unsigned count, at = sb_cl_column_of(table, column);

	sb_cl_columns(table, &count);
	assert_true(at < count);
	assert_true(i < r->count[table]);
	return cell_text(&r->row[table][i].v[at]);
}

#define assert_cell(r, table, i, column, want) assert_string_equal(want, cell(r, table, i, column))

#endif
