/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Any bytes as a record's payload, under every type: the rows of the call log that come out fit their columns, or there are none.
 */
#include "call_log_rows.h"
#include "event.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)  \
	do {                 \
		if(!(condition)) \
			abort();     \
	} while(0)

/** The columns without which there is no event, so that the bytes get past that check. */
static size_t head(uint8_t *to)
{
	struct sb_out o = {.p = to, .cap = 128};
	const uint8_t id[16] = {1};

	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, 1769868127114000ull);
	sb_put_u64(&o, SB_C_SEQUENCE, 7);
	return o.len;
}

/** Characters of valid UTF-8 (RFC 3629) without NUL; aborts on anything else. */
static size_t characters(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len;
	size_t n = 0;

	for(; p < end; n++) {
		unsigned more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		uint32_t c = more == 0 ? *p : *p & (0x3fu >> more);

		MUST(*p != 0 && (*p < 0x80 || *p >= 0xc2) && *p < 0xf5 && (size_t)(end - p) > more);
		for(p++; more > 0; more--, p++) {
			MUST((*p & 0xc0) == 0x80);
			c = c << 6 | (*p & 0x3f);
		}
		MUST(c < 0x110000 && (c < 0xd800 || c > 0xdfff));
	}
	return n;
}

static void check(const struct sb_cl_column *c, const struct sb_db_value *v)
{
	bool text = c->type == SB_CL_UUID || c->type == SB_CL_KEY || c->type == SB_CL_TEXT || c->type == SB_CL_TIME;

	if(v->kind == SB_DB_NULL) {
		MUST(!c->must);
		return;
	}
	MUST((v->kind == SB_DB_TEXT) == text);
	if(!text) {
		MUST(v->i >= 0 && (c->type == SB_CL_BIGINT || v->i <= INT32_MAX));
		return;
	}
	size_t n = characters(v->text, v->len);
	MUST(c->type != SB_CL_TEXT || n <= c->width);
	MUST(c->type != SB_CL_KEY || (v->len <= c->width && n == v->len));
	MUST(c->type != SB_CL_TIME || v->len == 26);
	MUST(c->type != SB_CL_UUID || v->len == 36);
}

struct newest
{
	struct sb_cl_row row[SB_CL_TABLES];
};

static int each(enum sb_cl_table table, const struct sb_cl_row *row, void *arg)
{
	struct newest *newest = arg;
	unsigned count;
	const struct sb_cl_column *c = sb_cl_columns(table, &count);

	for(unsigned i = 0; i < count; i++)
		check(&c[i], &row->v[i]);
	if(newest->row[table].v == NULL)
		newest->row[table] = *row;
	else if(table != SB_CL_EVENT)
		sb_cl_fold(table, &newest->row[table], row);
	return 0;
}

static void rows(struct newest *newest, struct sb_cl_arena *mem, uint16_t type, const uint8_t *payload, size_t len)
{
	struct sb_rec rec = {.hdr = {.type = type, .len = (uint32_t)len, .seq = 1, .epoch = 1}, .payload = payload};

	sb_cl_rows(&rec, "bd3f50ba-3665-452a-aaed-091cf38e1055", mem, each, newest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t payload[SB_LOG_MAX_RECORD];
	static struct sb_cl_arena mem;
	struct newest newest = {0};

	if(size < 1 || size > sizeof(payload) - 128)
		return 0;
	size_t n = head(payload);
	memcpy(payload + n, data + 1, size - 1);
	rows(&newest, &mem, data[0], payload, n + size - 1);
	rows(&newest, &mem, SB_CALL_CDR, payload, n + size - 1);
	rows(&newest, &mem, SB_X_ATTEMPT, payload, n + size - 1);
	rows(&newest, &mem, data[0], data + 1, size - 1);
	sb_cl_reset(&mem);
	return 0;
}
