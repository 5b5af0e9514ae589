/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "event.h"
#include "json_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct event
{
	const struct sb_rec *rec;
	const char *node;
	struct sb_fields fields;
};

/** The value of a place; f is NULL where the column is unknown. A NULL result means no memory. */
typedef json_t *(*render_f)(const struct event *e, const struct sb_field *f);

int sb_fields_read(struct sb_fields *out, const void *payload, size_t len)
{
	struct sb_in in;
	struct sb_field f;
	int rc;
	memset(out, 0, sizeof(*out));
	sb_in_init(&in, payload, len);
	while((rc = sb_in_next(&in, &f)) == 1) {
		if(f.kind == sb_col_kind(f.col) && out->f[f.col].col == 0)
			out->f[f.col] = f;
	}
	return rc;
}

static json_t *text(const struct event *e, const struct sb_field *f)
{
	(void)e;
	return f != NULL ? sb_json_string(f->data, f->len) : json_null();
}

static json_t *uuid(const struct event *e, const struct sb_field *f)
{
	char id[37];
	(void)e;
	if(f == NULL)
		return json_null();
	sb_uuid_text(id, f->data);
	return json_string_nocheck(id);
}

static json_t *count(const struct event *e, const struct sb_field *f)
{
	(void)e;
	uint64_t v = f != NULL ? sb_field_u64(f) : UINT64_MAX;
	return v <= INT64_MAX ? json_integer((json_int_t)v) : json_null();
}

static json_t *when(const struct event *e, const struct sb_field *f)
{
	(void)e;
	return f != NULL ? sb_json_time(sb_field_u64(f)) : json_null();
}

static json_t *seconds(const struct event *e, const struct sb_field *f)
{
	(void)e;
	return f != NULL ? json_real((double)sb_field_u64(f) / 1e6) : json_null();
}

static json_t *milliseconds(const struct event *e, const struct sb_field *f)
{
	(void)e;
	return f != NULL ? json_real((double)sb_field_u64(f) / 1e3) : json_null();
}

static json_t *flag(const struct event *e, const struct sb_field *f)
{
	(void)e;
	return json_boolean(f != NULL && sb_field_u64(f) != 0);
}

/** A time column as a fact: not there = not known, 0 = it did not come. */
static json_t *came(const struct event *e, const struct sb_field *f)
{
	(void)e;
	return f != NULL ? json_boolean(sb_field_u64(f) != 0) : json_null();
}

static json_t *state(const struct event *e, const struct sb_field *f)
{
	(void)e;
	uint64_t v = f != NULL ? sb_field_u64(f) : 0;
	const char *name = sb_state_name(v < 256 ? (unsigned)v : 0);
	return name[0] != '\0' ? json_string(name) : json_null();
}

static json_t *number(const struct event *e, const struct sb_field *f)
{
	char e164[17];
	(void)e;
	return f != NULL && sb_e164(e164, f->data, f->len) ? json_string_nocheck(e164) : json_null();
}

static json_t *node(const struct event *e, const struct sb_field *f)
{
	(void)f;
	return e->node != NULL ? sb_json_string(e->node, strlen(e->node)) : json_null();
}

static json_t *codecs(const struct event *e, const struct sb_field *f)
{
	(void)e;
	json_t *list = json_array();
	size_t at = 0;
	while(f != NULL && at < f->len) {
		const uint8_t *comma = memchr(f->data + at, ',', f->len - at);
		size_t n = comma != NULL ? (size_t)(comma - f->data) - at : f->len - at;
		if(n > 0)
			json_array_append_new(list, sb_json_string(f->data + at, n));
		at += n + 1;
	}
	return list;
}

static json_t *media(const struct event *e, const struct sb_field *f);
static json_t *attempt(const struct event *e, const struct sb_field *f);
static json_t *attempts(const struct event *e, const struct sb_field *f);
static json_t *customer(const struct event *e, const struct sb_field *f);
static json_t *attributes(const struct event *e, const struct sb_field *f);

/* Where a value stands: an object of data, made when its first value is. */
enum place
{
	DATA,
	FROM,
	TO,
	HANGUP,
	ACK,
	TRANSFER,
	SIP,
	TRANSACTION,
	DIALOG,
	PLACES
};

static const struct
{
	enum place parent;
	const char *key;
} place[PLACES] = {[FROM] = {DATA, "from"},
		[TO] = {DATA, "to"},
		[HANGUP] = {DATA, "hangup"},
		[ACK] = {DATA, "ack"},
		[TRANSFER] = {DATA, "transfer"},
		[SIP] = {DATA, "sip"},
		[TRANSACTION] = {SIP, "transaction"},
		[DIALOG] = {SIP, "dialog"}};

/* Which events have a value: a row's value is there in all of them, null where unknown; IF_TRUE: only where it is true. */
#define ON(name) (1u << SB_##name)
#define ALWAYS 0xffffu
#define IF_TRUE 0x10000u
#define CDR ON(CALL_CDR)
#define NOT_CDR (ALWAYS & ~CDR)
#define OVER (ON(CALL_ENDED) | ON(CALL_FAILED) | ON(CALL_TIMEOUT) | CDR)
#define ACKED (ON(CALL_ANSWERED) | ON(CALL_ENDED) | CDR)
#define MOVED (ON(CALL_TRANSFERRED) | ON(CALL_TRANSFER_FAILED))
#define PARTY (ON(CALL_HELD) | ON(CALL_RESUMED) | ON(CALL_UPDATED) | MOVED)
#define SAID (ON(CUSTOM) | ON(CALL_ROUTED))

struct row
{
	uint8_t col;
	enum place in;
	const char *key;
	render_f render;
	uint32_t on;
};

static const struct row event_row[] = {
		{SB_C_CALL_ID, DATA, "call_id", uuid, ALWAYS},
		{SB_C_SIP_CALL_ID, DATA, "sip_call_id", text, ALWAYS},
		{SB_C_SEQUENCE, DATA, "sequence", count, ALWAYS},
		{SB_C_STATE, DATA, "state", state, ALWAYS},
		{SB_C_DIRECTION, DATA, "direction", text, ALWAYS},
		{SB_C_FROM_URI, FROM, "uri", text, ALWAYS},
		{SB_C_FROM_URI, FROM, "number", number, ALWAYS},
		{SB_C_FROM_NAME, FROM, "name", text, ALWAYS},
		{SB_C_TO_URI, TO, "uri", text, ALWAYS},
		{SB_C_TO_URI, TO, "number", number, ALWAYS},
		{SB_C_TO_NAME, TO, "name", text, ALWAYS},
		{SB_C_RURI, DATA, "request_uri", text, ALWAYS},
		{SB_C_DID, DATA, "did", text, ALWAYS},
		{SB_C_FLOW, DATA, "flow", text, ALWAYS},
		{SB_C_AGENT, DATA, "agent", text, ALWAYS},
		{SB_C_TRUNK, DATA, "trunk", text, ALWAYS},
		{SB_C_ATTEMPT, DATA, "attempt", attempt, NOT_CDR},
		{SB_C_ATTEMPT, DATA, "attempts", attempts, CDR},
		{SB_C_ATTEMPTS_TOTAL, DATA, "attempts_total", count, ALWAYS},
		{0, DATA, "customer", customer, ALWAYS},
		{0, DATA, "attributes", attributes, ALWAYS},
		{0, DATA, "node", node, ALWAYS},
		{SB_C_SOURCE, DATA, "source", text, ALWAYS},
		{SB_C_STARTED_AT, DATA, "started_at", when, ALWAYS},
		{SB_C_RINGING_AT, DATA, "ringing_at", when, ALWAYS},
		{SB_C_EARLY_AT, DATA, "early_media_at", when, ALWAYS},
		{SB_C_ANSWERED_AT, DATA, "answered_at", when, ALWAYS},
		{SB_C_ENDED_AT, DATA, "ended_at", when, ALWAYS},
		{SB_C_DURATION_US, DATA, "duration_s", seconds, ALWAYS},
		{SB_C_DURATION_WALL, DATA, "duration_wall", flag, ALWAYS | IF_TRUE},
		{SB_C_PDD_US, DATA, "pdd_ms", milliseconds, ALWAYS},
		{SB_C_INFERRED, DATA, "inferred", flag, ALWAYS | IF_TRUE},
		{SB_C_OUTCOME, DATA, "outcome", text, OVER},
		{SB_C_HANGUP_BY, HANGUP, "by", text, OVER},
		{SB_C_HANGUP_CAUSE, HANGUP, "cause", text, OVER},
		{SB_C_HANGUP_CODE, HANGUP, "sip_code", count, OVER},
		{SB_C_HANGUP_REASON, HANGUP, "reason", text, OVER},
		{SB_C_Q850, HANGUP, "q850", count, OVER},
		{SB_C_Q850_TEXT, HANGUP, "q850_text", text, OVER},
		{SB_C_ACK_AT, ACK, "received", came, ACKED},
		{SB_C_ACK_AT, ACK, "at", when, ACKED},
		{SB_C_BY, DATA, "by", text, PARTY},
		{SB_C_TRANSFER_KIND, TRANSFER, "kind", text, MOVED},
		{SB_C_TRANSFER_TARGET, TRANSFER, "target", text, MOVED},
		{SB_C_TRANSFER_CODE, TRANSFER, "code", count, MOVED},
		{SB_C_TRANSFER_REASON, TRANSFER, "reason", text, MOVED},
		{SB_C_TRANSFERRED_FROM, DATA, "transferred_from", uuid, ALWAYS},
		{SB_C_TRANSFERRED_TO, DATA, "transferred_to", uuid, ALWAYS},
		{SB_C_TEXT, DATA, "text", text, SAID},
		{SB_C_SIP_METHOD, SIP, "method", text, ALWAYS},
		{SB_C_SIP_BRANCH, TRANSACTION, "branch", text, ALWAYS},
		{SB_C_SIP_CSEQ, TRANSACTION, "cseq", count, ALWAYS},
		{SB_C_SIP_CODE, TRANSACTION, "code", count, ALWAYS},
		{SB_C_SIP_REASON, TRANSACTION, "reason", text, ALWAYS},
		{SB_C_SIP_CALL_ID, DIALOG, "call_id", text, ALWAYS},
		{SB_C_FROM_TAG, DIALOG, "from_tag", text, ALWAYS},
		{SB_C_TO_TAG, DIALOG, "to_tag", text, ALWAYS},
		{SB_C_MEDIA, SIP, "media", media, ALWAYS},
};

static const struct row attempt_row[] = {
		{SB_C_A_N, DATA, "n", count, ALWAYS},
		{SB_C_A_TRUNK, DATA, "trunk", text, ALWAYS},
		{SB_C_A_AGENT, DATA, "agent", text, ALWAYS},
		{SB_C_A_URI, DATA, "uri", text, ALWAYS},
		{SB_C_A_DST, DATA, "destination", text, ALWAYS},
		{SB_C_A_CODE, DATA, "code", count, ALWAYS},
		{SB_C_A_REASON, DATA, "reason", text, ALWAYS},
		{SB_C_A_LOCAL, DATA, "local", flag, ALWAYS},
		{SB_C_A_Q850, DATA, "q850", count, ALWAYS},
		{SB_C_A_PDD_US, DATA, "pdd_ms", milliseconds, ALWAYS},
		{SB_C_A_STARTED_AT, DATA, "started_at", when, ALWAYS},
		{SB_C_A_RINGING_AT, DATA, "ringing_at", when, ALWAYS},
		{SB_C_A_EARLY_AT, DATA, "early_media_at", when, ALWAYS},
		{SB_C_A_ANSWERED_AT, DATA, "answered_at", when, ALWAYS},
		{SB_C_A_ENDED_AT, DATA, "ended_at", when, ALWAYS},
};

static const struct row media_row[] = {
		{SB_C_M_KIND, DATA, "kind", text, ALWAYS},
		{SB_C_M_DIRECTION, DATA, "direction", text, ALWAYS},
		{SB_C_M_CODECS, DATA, "codecs", codecs, ALWAYS},
		{SB_C_M_ADDRESS, DATA, "address", text, ALWAYS},
		{SB_C_M_PORT, DATA, "port", count, ALWAYS},
		{SB_C_M_PROTO, DATA, "proto", text, ALWAYS},
};

#define ROWS(table) table, sizeof(table) / sizeof((table)[0])

/** The object of a place, made with its parents where it is not there yet; borrowed. */
static json_t *object_at(json_t *data, enum place where)
{
	if(where == DATA)
		return data;
	json_t *parent = object_at(data, place[where].parent);
	json_t *object = json_object_get(parent, place[where].key);
	if(object == NULL && json_object_set_new(parent, place[where].key, json_object()) == 0)
		object = json_object_get(parent, place[where].key);
	return object;
}

static json_t *object_of(
		const struct event *e, const struct sb_fields *fields, uint16_t type, const struct row *row, size_t rows)
{
	json_t *data = json_object();
	for(size_t i = 0; i < rows && data != NULL; i++) {
		const struct sb_field *f = row[i].col != 0 && fields->f[row[i].col].col != 0 ? &fields->f[row[i].col] : NULL;
		if((row[i].on & 1u << type) == 0 || ((row[i].on & IF_TRUE) != 0 && (f == NULL || sb_field_u64(f) == 0)))
			continue;
		if(json_object_set_new(object_at(data, row[i].in), row[i].key, row[i].render(e, f)) != 0) {
			json_decref(data);
			data = NULL;
		}
	}
	return data;
}

json_t *sb_json_attempt(const struct sb_fields *f)
{
	return object_of(NULL, f, 1, ROWS(attempt_row));
}

/** Every group of that column as a list. NULL: no memory, or a damaged group */
static json_t *groups(const struct event *e, enum sb_col col, const struct row *row, size_t rows)
{
	struct sb_in in;
	struct sb_field f;
	struct sb_fields inner;
	json_t *list = json_array();
	sb_in_init(&in, e->rec->payload, e->rec->hdr.len);
	while(list != NULL && sb_in_next(&in, &f) == 1) {
		if(f.col != col || f.kind != SB_GROUP)
			continue;
		if(sb_fields_read(&inner, f.data, f.len) != 0
				|| json_array_append_new(list, object_of(e, &inner, 1, row, rows)) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *media(const struct event *e, const struct sb_field *f)
{
	(void)f;
	return groups(e, SB_C_MEDIA, ROWS(media_row));
}

static json_t *attempts(const struct event *e, const struct sb_field *f)
{
	(void)f;
	return groups(e, SB_C_ATTEMPT, ROWS(attempt_row));
}

static json_t *attempt(const struct event *e, const struct sb_field *f)
{
	struct sb_fields inner;
	(void)e;
	if(f == NULL)
		return json_null();
	return sb_fields_read(&inner, f->data, f->len) == 0 ? sb_json_attempt(&inner) : NULL;
}

#define CUSTOMER "customer."
#define OTHER "attr."

static bool begins(const uint8_t *p, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

static int add_attribute(json_t *object, const uint8_t *p, size_t len)
{
	const uint8_t *equals = memchr(p, '=', len);
	size_t n = equals != NULL ? (size_t)(equals - p) : len;
	size_t skip = equals != NULL ? n + 1 : len;
	char *key = sb_json_clean(p, n, NULL);
	int rc = key != NULL ? json_object_set_new_nocheck(object, key, sb_json_string(p + skip, len - skip)) : -1;
	free(key);
	return rc;
}

/** ATTRIBUTE columns, "name=value": those of the customer, or the others. A name that comes twice has its last value. */
static json_t *attributes_of(const struct event *e, bool customers)
{
	struct sb_in in;
	struct sb_field f;
	json_t *object = json_object();
	sb_in_init(&in, e->rec->payload, e->rec->hdr.len);
	while(object != NULL && sb_in_next(&in, &f) == 1) {
		if(f.col != SB_C_ATTRIBUTE || f.kind != SB_STR || begins(f.data, f.len, CUSTOMER) != customers)
			continue;
		size_t skip = customers ? strlen(CUSTOMER) : begins(f.data, f.len, OTHER) ? strlen(OTHER) : 0;
		if(add_attribute(object, f.data + skip, f.len - skip) != 0) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

static json_t *customer(const struct event *e, const struct sb_field *f)
{
	(void)f;
	return attributes_of(e, true);
}

static json_t *attributes(const struct event *e, const struct sb_field *f)
{
	(void)f;
	return attributes_of(e, false);
}

static json_t *type_of(const struct event *e)
{
	const struct sb_field *name = &e->fields.f[SB_C_NAME];
	if(e->rec->hdr.type == SB_CUSTOM && name->col != 0)
		return sb_json_string(name->data, name->len);
	return json_string(sb_type_name(e->rec->hdr.type));
}

json_t *sb_event_json(const struct sb_rec *rec, const char *node_id)
{
	struct event e = {.rec = rec, .node = node_id};
	uint16_t type = rec->hdr.type;
	if(sb_type_internal(type) || sb_type_name(type) == NULL)
		return NULL;
	if(sb_fields_read(&e.fields, rec->payload, rec->hdr.len) != 0 || e.fields.f[SB_C_AT].col == 0
			|| e.fields.f[SB_C_CALL_ID].col == 0)
		return NULL;

	json_t *body = json_object();
	if(body == NULL || json_object_set_new(body, "type", type_of(&e)) != 0
			|| json_object_set_new(body, "timestamp", when(&e, &e.fields.f[SB_C_AT])) != 0
			|| json_object_set_new(body, "data", object_of(&e, &e.fields, type, ROWS(event_row))) != 0
			|| sb_json_trim(body) != 0) {
		json_decref(body);
		return NULL;
	}
	return body;
}

char *sb_event_text(const struct sb_rec *rec, const char *node_id, size_t *len)
{
	json_t *body = sb_event_json(rec, node_id);
	char *out = body != NULL ? json_dumps(body, SB_JSON_FLAGS) : NULL;
	json_decref(body);
	if(out != NULL && len != NULL)
		*len = strlen(out);
	return out;
}
