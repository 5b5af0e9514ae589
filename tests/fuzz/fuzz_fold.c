/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the log's records: type (1 byte), length (2), payload, and so on, folded into one call, which then lives on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

#define CHECKPOINT_MAX 8192u /* cs_restore.c, RECORD_MAX */
#define EVENT_MAX 16384u     /* cs_emit.c, PAYLOAD_MAX */

static void check(int ok)
{
	if(!ok)
		abort();
}

static int columns(const char *p, size_t len)
{
	struct sb_field f;
	struct sb_in in;
	int rc;

	sb_in_init(&in, p, len);
	while((rc = sb_in_next(&in, &f)) == 1)
		;
	return rc == 0;
}

static void inside(const struct cs_call *c, struct cs_str s)
{
	check(s.len == 0 || s.off + s.len <= c->arena_len);
}

static void check_bounds(const struct cs_call *c)
{
	check(c->arena_len <= CS_ARENA && c->attempts_kept <= CS_ATTEMPTS && c->holds <= CS_HOLDS);
	check(c->state <= SB_ST_TIMEOUT && c->by <= CS_BY_PROXY && c->xfer_by <= CS_BY_PROXY);
	for(unsigned i = 0; i < CS_T_COUNT; i++)
		inside(c, c->text[i]);
	for(unsigned i = 0; i < c->attempts_kept; i++) {
		const struct cs_attempt *a = &c->attempt[i];

		check(a->n > 0 && a->n <= c->attempts_total);
		inside(c, a->uri);
		inside(c, a->reason);
		inside(c, a->dst);
		inside(c, a->trunk);
		inside(c, a->agent);
	}
	for(unsigned i = 0; i < c->holds; i++) {
		inside(c, c->hold[i].what);
		check(c->hold[i].what.len <= CS_HOLD_MAX);
	}
	check(columns(cs_ptr(c, c->text[CS_T_MEDIA]), c->text[CS_T_MEDIA].len));
	check(columns(cs_ptr(c, c->text[CS_T_ATTRS]), c->text[CS_T_ATTRS].len));
}

static void emit(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x)
{
	static uint8_t buf[EVENT_MAX];
	struct sb_out out = {.p = buf, .cap = sizeof(buf)};

	cs_encode(c, type, a, x, &out);
	check(!out.overflow && columns((char *)buf, out.len));
}

static void checkpoint(const struct cs_call *c)
{
	static uint8_t buf[CHECKPOINT_MAX];
	static struct cs_call back;
	struct cs_ctx x = {.now = 1};
	struct sb_out out = {.p = buf, .cap = sizeof(buf)};

	cs_encode_whole(c, &x, &out);
	check(!out.overflow && columns((char *)buf, out.len));
	memset(&back, 0, sizeof(back));
	cs_fold(&back, SB_X_DIALOG, buf, out.len);
	check_bounds(&back);
	check(back.state == c->state && back.attempts_kept == c->attempts_kept && back.holds == c->holds);
}

static void live_on(struct cs_call *c)
{
	struct cs_ctx x = {.now = 1790000000000000, .mono = 5000000000, .emit = emit};
	struct cs_msg m = {.code = 200, .to_tag = {"tag", 3}, .contact = {"sip:bob@192.0.2.7", 17}};
	bool answered = cs_answered(c);

	cs_on_restored(c, x.now, x.mono, false, 1000000);
	cs_on_attempt(c, 1, (struct cs_span){"sip:agent@192.0.2.7", 19}, &x);
	cs_on_reply(c, 1, &m, &x);
	check_bounds(c);
	if(cs_answered(c) && !answered)
		check(cs_text_is(c, CS_T_TO_TAG, "tag", 3));
	cs_on_bye(c, CS_BY_CALLER, &m, &x);
	cs_on_deadline(c, &x);
	check_bounds(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cs_call c;

	memset(&c, 0, sizeof(c));
	for(size_t at = 0; size - at >= 3;) {
		size_t len = data[at + 1] | (size_t)data[at + 2] << 8;
		uint8_t *payload;

		if(len > size - at - 3)
			len = size - at - 3;
		payload = malloc(len + !len);
		if(payload == NULL)
			return 0;
		memcpy(payload, data + at + 3, len);
		cs_fold(&c, data[at], payload, len);
		cs_fold_same_boot(payload, len);
		free(payload);
		check_bounds(&c);
		at += 3 + len;
	}
	checkpoint(&c);
	live_on(&c);
	return 0;
}
