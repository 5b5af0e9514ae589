/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layer_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "json_parts.h"

#define LEAD "{\"at\":\""
#define AT_LEN 27u /* 2026-01-31T12:00:00.000000Z */
#define MIDDLE "\",\"id\":\""

enum place
{
	TOP,
	METHOD,
	TRANSACTION,
	DIALOG,
	CALL,
	ATTEMPT,
	TRANSFER,
	HANGUP,
	PLACES
};

static const struct
{
	enum place parent;
	const char *key;
} place[PLACES] = {[METHOD] = {TOP, "method"},
		[TRANSACTION] = {TOP, "transaction"},
		[DIALOG] = {TOP, "dialog"},
		[CALL] = {TOP, "call"},
		[ATTEMPT] = {CALL, "attempt"},
		[TRANSFER] = {CALL, "transfer"},
		[HANGUP] = {CALL, "hangup"}};

struct out
{
	char *p;
	size_t len, cap;
	size_t text_max; /* of one text, as it stands in the line; 0: as long as it is */
	bool full, cut, no_memory;
	bool comma;
	enum place in;
};

static void put(struct out *o, const char *s, size_t len)
{
	if(o->cap - o->len < len) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->len, s, len);
	o->len += len;
}

static void puts_(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

/* Control characters: C0, DEL, C1, separators of lines, and what changes the direction of text. */
static bool unprintable(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* The character at s, which is valid UTF-8, as it stands in JSON. @param used bytes of it @return bytes in to */
static size_t encode(char to[8], const uint8_t *s, size_t *used)
{
	uint32_t c = s[0];

	*used = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if(*used > 1) {
		c &= 0xffu >> (*used + 1);
		for(size_t i = 1; i < *used; i++)
			c = c << 6 | (s[i] & 0x3fu);
	}
	if(unprintable(c))
		return (size_t)snprintf(to, 8, "\\u%04x", (unsigned)c);
	if(c == '"' || c == '\\') {
		to[0] = '\\';
		to[1] = (char)c;
		return 2;
	}
	memcpy(to, s, *used);
	return *used;
}

static size_t encoded_length(const char *s, size_t len)
{
	char to[8];
	size_t n = 0, used;

	for(size_t i = 0; i < len; i += used)
		n += encode(to, (const uint8_t *)s + i, &used);
	return n;
}

static void put_valid(struct out *o, const char *s, size_t len)
{
	static const char dots[] = "\xe2\x80\xa6";
	bool cut = o->text_max > 0 && encoded_length(s, len) > o->text_max;
	size_t room = cut ? o->text_max - strlen(dots) : SIZE_MAX;
	size_t used, n;
	char to[8];

	put(o, "\"", 1);
	for(size_t i = 0; i < len && !o->full; i += used) {
		n = encode(to, (const uint8_t *)s + i, &used);
		if(n > room)
			break;
		room -= n;
		put(o, to, n);
	}
	if(cut) {
		puts_(o, dots);
		o->cut = true;
	}
	put(o, "\"", 1);
}

static void put_text(struct out *o, const void *s, size_t len)
{
	size_t n = 0;
	char *clean = sb_json_clean(s, len, &n);

	if(clean == NULL)
		o->no_memory = true;
	else
		put_valid(o, clean, n);
	free(clean);
}

/* Closes and opens objects, so that the next value stands in `to`. */
static void enter(struct out *o, enum place to)
{
	while(o->in != TOP && o->in != to && place[to].parent != o->in) {
		put(o, "}", 1);
		o->in = place[o->in].parent;
		o->comma = true;
	}
	if(o->in == to)
		return;
	if(place[to].parent != o->in)
		enter(o, place[to].parent);
	if(o->comma)
		put(o, ",", 1);
	put(o, "\"", 1);
	puts_(o, place[to].key);
	puts_(o, "\":{");
	o->in = to;
	o->comma = false;
}

static void key(struct out *o, const char *name)
{
	if(o->comma)
		put(o, ",", 1);
	o->comma = true;
	put(o, "\"", 1);
	puts_(o, name);
	put(o, "\":", 2);
}

static void put_number(struct out *o, const char *fmt, uint64_t a, uint64_t b)
{
	char text[48];

	snprintf(text, sizeof(text), fmt, a, b);
	puts_(o, text);
}

typedef void (*value_f)(struct out *o, const struct sb_field *f);
typedef bool (*known_f)(const struct sb_field *f);

static void text(struct out *o, const struct sb_field *f)
{
	put_text(o, f->data, f->len);
}

static void uuid(struct out *o, const struct sb_field *f)
{
	char id[37];

	sb_uuid_text(id, f->data);
	put(o, "\"", 1);
	puts_(o, id);
	put(o, "\"", 1);
}

static void count(struct out *o, const struct sb_field *f)
{
	put_number(o, "%" PRIu64, sb_field_u64(f), 0);
}

static void seconds(struct out *o, const struct sb_field *f)
{
	uint64_t us = sb_field_u64(f);

	put_number(o, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

static void milliseconds(struct out *o, const struct sb_field *f)
{
	uint64_t us = sb_field_u64(f);

	put_number(o, "%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
}

static void yes(struct out *o, const struct sb_field *f)
{
	(void)f;
	puts_(o, "true");
}

/* A number in E.164, else the URI as it came. */
static void party(struct out *o, const struct sb_field *f)
{
	char e164[17];

	if(sb_e164(e164, f->data, f->len))
		put_valid(o, e164, strlen(e164));
	else
		put_text(o, f->data, f->len);
}

static void state(struct out *o, const struct sb_field *f)
{
	const char *name = sb_state_name((unsigned)sb_field_u64(f));

	put_valid(o, name, strlen(name));
}

/* As RFC 4235, 3.7.1 names them. */
static const char *dialog_state_name(uint64_t s)
{
	switch(s) {
		case SB_ST_CALLING:
			return "trying";
		case SB_ST_RINGING:
		case SB_ST_EARLY_MEDIA:
			return "early";
		case SB_ST_CONFIRMED:
		case SB_ST_HELD:
		case SB_ST_TRANSFERRED:
			return "confirmed";
		case SB_ST_DISCONNECTED:
		case SB_ST_FAILED:
		case SB_ST_TIMEOUT:
			return "terminated";
		default:
			return "";
	}
}

static void dialog_state(struct out *o, const struct sb_field *f)
{
	const char *name = dialog_state_name(sb_field_u64(f));

	put_valid(o, name, strlen(name));
}

static bool there(const struct sb_field *f)
{
	return f->len > 0;
}

static bool is_count(const struct sb_field *f)
{
	return sb_field_u64(f) <= INT64_MAX;
}

static bool is_true(const struct sb_field *f)
{
	return sb_field_u64(f) != 0;
}

static bool is_state(const struct sb_field *f)
{
	return dialog_state_name(sb_field_u64(f))[0] != '\0';
}

#define ON(name) (1u << SB_##name)
#define ALWAYS 0xffffu
#define ONE_ATTEMPT (ALWAYS & ~ON(CALL_CDR)) /* a call.cdr has them all: their number is enough */
#define MOVED (ON(CALL_TRANSFERRED) | ON(CALL_TRANSFER_FAILED))

/* One row a value, in the order of the line. */
static const struct row
{
	uint8_t col;
	enum place in;
	const char *key;
	value_f value;
	known_f known;
	uint32_t on;
} rows[] = {
		{SB_C_SIP_METHOD, METHOD, "name", text, there, ALWAYS},
		{SB_C_SIP_CSEQ, METHOD, "cseq", count, is_count, ALWAYS},
		{SB_C_SIP_BRANCH, TRANSACTION, "branch", text, there, ALWAYS},
		{SB_C_SIP_CODE, TRANSACTION, "code", count, is_count, ALWAYS},
		{SB_C_SIP_REASON, TRANSACTION, "reason", text, there, ALWAYS},
		{SB_C_SIP_CALL_ID, DIALOG, "call_id", text, there, ALWAYS},
		{SB_C_FROM_TAG, DIALOG, "from_tag", text, there, ALWAYS},
		{SB_C_TO_TAG, DIALOG, "to_tag", text, there, ALWAYS},
		{SB_C_STATE, DIALOG, "state", dialog_state, is_state, ALWAYS},
		{SB_C_CALL_ID, CALL, "call_id", uuid, there, ALWAYS},
		{SB_C_SEQUENCE, CALL, "sequence", count, is_count, ALWAYS},
		{SB_C_STATE, CALL, "state", state, is_state, ALWAYS},
		{SB_C_DIRECTION, CALL, "direction", text, there, ALWAYS},
		{SB_C_FROM_URI, CALL, "from", party, there, ALWAYS},
		{SB_C_TO_URI, CALL, "to", party, there, ALWAYS},
		{SB_C_RURI, CALL, "request_uri", text, there, ALWAYS},
		{SB_C_SOURCE, CALL, "source", text, there, ALWAYS},
		{SB_C_DID, CALL, "did", text, there, ALWAYS},
		{SB_C_FLOW, CALL, "flow", text, there, ALWAYS},
		{SB_C_TRUNK, CALL, "trunk", text, there, ALWAYS},
		{SB_C_AGENT, CALL, "agent", text, there, ALWAYS},
		{SB_C_ATTEMPTS_TOTAL, CALL, "attempts", count, is_count, ALWAYS},
		{SB_C_A_N, ATTEMPT, "n", count, is_count, ONE_ATTEMPT},
		{SB_C_A_URI, ATTEMPT, "uri", text, there, ONE_ATTEMPT},
		{SB_C_A_DST, ATTEMPT, "destination", text, there, ONE_ATTEMPT},
		{SB_C_A_TRUNK, ATTEMPT, "trunk", text, there, ONE_ATTEMPT},
		{SB_C_A_AGENT, ATTEMPT, "agent", text, there, ONE_ATTEMPT},
		{SB_C_A_CODE, ATTEMPT, "code", count, is_count, ONE_ATTEMPT},
		{SB_C_A_REASON, ATTEMPT, "reason", text, there, ONE_ATTEMPT},
		{SB_C_A_LOCAL, ATTEMPT, "local", yes, is_true, ONE_ATTEMPT},
		{SB_C_A_Q850, ATTEMPT, "q850", count, is_count, ONE_ATTEMPT},
		{SB_C_A_PDD_US, ATTEMPT, "pdd_ms", milliseconds, is_count, ONE_ATTEMPT},
		{SB_C_OUTCOME, CALL, "outcome", text, there, ALWAYS},
		{SB_C_HANGUP_BY, HANGUP, "by", text, there, ALWAYS},
		{SB_C_HANGUP_CAUSE, HANGUP, "cause", text, there, ALWAYS},
		{SB_C_HANGUP_CODE, HANGUP, "code", count, is_count, ALWAYS},
		{SB_C_HANGUP_REASON, HANGUP, "reason", text, there, ALWAYS},
		{SB_C_Q850, HANGUP, "q850", count, is_count, ALWAYS},
		{SB_C_DURATION_US, CALL, "duration_s", seconds, is_count, ALWAYS},
		{SB_C_PDD_US, CALL, "pdd_ms", milliseconds, is_count, ALWAYS},
		{SB_C_INFERRED, CALL, "inferred", yes, is_true, ALWAYS},
		{SB_C_BY, CALL, "by", text, there, ALWAYS},
		{SB_C_TRANSFER_KIND, TRANSFER, "kind", text, there, MOVED},
		{SB_C_TRANSFER_TARGET, TRANSFER, "target", text, there, MOVED},
		{SB_C_TRANSFER_CODE, TRANSFER, "code", count, is_count, MOVED},
		{SB_C_TRANSFER_REASON, TRANSFER, "reason", text, there, MOVED},
		{SB_C_TRANSFERRED_FROM, CALL, "transferred_from", uuid, there, ALWAYS},
		{SB_C_TRANSFERRED_TO, CALL, "transferred_to", uuid, there, ALWAYS},
		{SB_C_TEXT, CALL, "text", text, there, ALWAYS},
};

struct event
{
	struct sb_fields fields, attempt;
	const char *type;
	size_t type_len;
	char id[64], at[32];
	uint32_t on;
};

static int read_event(struct event *e, const struct sb_rec *rec, const char *node)
{
	const struct sb_field *f = e->fields.f;

	if(sb_fields_read(&e->fields, rec->payload, rec->hdr.len) != 0 || f[SB_C_AT].col == 0 || f[SB_C_CALL_ID].col == 0
			|| !sb_time_text(e->at, sb_field_u64(&f[SB_C_AT])))
		return -EBADMSG;
	memset(&e->attempt, 0, sizeof(e->attempt));
	if(f[SB_C_ATTEMPT].col != 0 && sb_fields_read(&e->attempt, f[SB_C_ATTEMPT].data, f[SB_C_ATTEMPT].len) != 0)
		return -EBADMSG;
	e->type = sb_type_name(rec->hdr.type);
	e->type_len = strlen(e->type);
	if(rec->hdr.type == SB_CUSTOM && f[SB_C_NAME].col != 0) {
		e->type = (const char *)f[SB_C_NAME].data;
		e->type_len = f[SB_C_NAME].len;
	}
	e->on = 1u << rec->hdr.type;
	sb_event_id(e->id, node, rec->hdr.epoch, rec->hdr.seq);
	return 0;
}

static void write_line(struct out *o, const struct event *e, size_t text_max)
{
	o->len = 0;
	o->text_max = text_max;
	o->full = o->cut = false;
	o->in = TOP;
	puts_(o, LEAD);
	puts_(o, e->at);
	puts_(o, MIDDLE);
	puts_(o, e->id);
	puts_(o, "\",\"type\":");
	put_text(o, e->type, e->type_len);
	if(text_max > 0)
		put_number(o, ",\"cut\":%" PRIu64, text_max, 0);
	o->comma = true;
	for(size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !o->full; i++) {
		const struct row *r = &rows[i];
		const struct sb_field *f = r->in == ATTEMPT ? &e->attempt.f[r->col] : &e->fields.f[r->col];

		if(f->col == 0 || (r->on & e->on) == 0 || !r->known(f))
			continue;
		enter(o, r->in);
		key(o, r->key);
		r->value(o, f);
	}
	while(o->in != TOP) {
		put(o, "}", 1);
		o->in = place[o->in].parent;
	}
	puts_(o, "}\n");
}

int sb_layer_line(char *out, size_t max, const struct sb_rec *rec, const char *node)
{
	static const size_t text_max[] = {0, 512, 256, 128, 64, 32, 16};
	struct out o = {.p = out, .cap = max};
	struct event e;
	int err;

	if(sb_type_internal(rec->hdr.type))
		return 0;
	if(sb_type_name(rec->hdr.type) == NULL)
		return 0; /* of a later version: what it means is not known here */
	err = read_event(&e, rec, node);
	if(err != 0)
		return err;
	for(size_t i = 0; i < sizeof(text_max) / sizeof(text_max[0]); i++) {
		write_line(&o, &e, text_max[i]);
		if(o.no_memory)
			return -ENOMEM;
		if(!o.full)
			return (int)o.len;
	}
	return -EBADMSG;
}

bool sb_layer_line_begins(const char *p, size_t len)
{
	size_t n = strlen(LEAD);

	return memcmp(p, LEAD, len < n ? len : n) == 0;
}

bool sb_layer_line_id(const char *line, size_t len, const char *node, uint32_t *epoch, uint64_t *seq)
{
	const size_t from = strlen(LEAD) + AT_LEN + strlen(MIDDLE);
	char want[64], got[64];
	size_t n = 0;

	if(len <= from || !sb_layer_line_begins(line, len)
			|| memcmp(line + from - strlen(MIDDLE), MIDDLE, strlen(MIDDLE)) != 0)
		return false;
	while(n < sizeof(got) - 1 && from + n < len && line[from + n] != '"') {
		got[n] = line[from + n];
		n++;
	}
	got[n] = '\0';
	if(n < 33 || sscanf(got + 32, "-%" SCNx32 "-%" SCNx64, epoch, seq) != 2)
		return false;
	sb_event_id(want, node, *epoch, *seq);
	return strcmp(want, got) == 0;
}
