/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "event.h"
#include "json_parts.h"
#include "json_write.h"

#include <errno.h>
#include <stdlib.h>

struct event
{
	const struct sb_rec *rec;
	const char *node;
	struct sb_fields fields;
};

/** Writes the value of a place; f is NULL where the column is unknown. */
typedef void (*render_f)(struct sb_json_out *o, const struct event *e, const struct sb_field *f);

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

static void null(struct sb_json_out *o)
{
	sb_json_raw(o, "null", 4);
}

static void boolean(struct sb_json_out *o, bool v)
{
	sb_json_raw(o, v ? "true" : "false", v ? 4 : 5);
}

static void text(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	if(f != NULL)
		sb_json_put_string(o, f->data, f->len);
	else
		null(o);
}

static void uuid(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	char id[39] = "\"";
	(void)e;
	if(f == NULL)
		return null(o);
	sb_uuid_text(id + 1, f->data);
	id[37] = '"';
	sb_json_raw(o, id, 38);
}

static void count(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	uint64_t v = f != NULL ? sb_field_u64(f) : UINT64_MAX;
	if(v <= INT64_MAX)
		sb_json_put_u64(o, v);
	else
		null(o);
}

static void when(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	sb_json_put_time(o, f != NULL ? sb_field_u64(f) : 0);
}

static void seconds(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	if(f != NULL)
		sb_json_put_decimal(o, sb_field_u64(f), 6);
	else
		null(o);
}

static void milliseconds(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	if(f != NULL)
		sb_json_put_decimal(o, sb_field_u64(f), 3);
	else
		null(o);
}

static void flag(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	boolean(o, f != NULL && sb_field_u64(f) != 0);
}

/** A time column as a fact: not there = not known, 0 = it did not come. */
static void came(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	if(f != NULL)
		boolean(o, sb_field_u64(f) != 0);
	else
		null(o);
}

static void state(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	uint64_t v = f != NULL ? sb_field_u64(f) : 0;
	const char *name = sb_state_name(v < 256 ? (unsigned)v : 0);
	if(name[0] != '\0')
		sb_json_put_string(o, name, strlen(name));
	else
		null(o);
}

static void number(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	char e164[17];
	(void)e;
	if(f != NULL && sb_e164(e164, f->data, f->len))
		sb_json_put_string(o, e164, strlen(e164));
	else
		null(o);
}

static void node(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)f;
	if(e->node != NULL)
		sb_json_put_string(o, e->node, strlen(e->node));
	else
		null(o);
}

static void codecs(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)e;
	size_t at = 0;
	sb_json_raw(o, "[", 1);
	while(f != NULL && at < f->len) {
		const uint8_t *comma = memchr(f->data + at, ',', f->len - at);
		size_t n = comma != NULL ? (size_t)(comma - f->data) - at : f->len - at;
		if(n > 0) {
			sb_json_comma(o);
			sb_json_put_string(o, f->data + at, n);
		}
		at += n + 1;
	}
	sb_json_raw(o, "]", 1);
}

static void media(struct sb_json_out *o, const struct event *e, const struct sb_field *f);
static void attempt(struct sb_json_out *o, const struct event *e, const struct sb_field *f);
static void attempts(struct sb_json_out *o, const struct event *e, const struct sb_field *f);
static void customer(struct sb_json_out *o, const struct event *e, const struct sb_field *f);
static void attributes(struct sb_json_out *o, const struct event *e, const struct sb_field *f);

/* Where a value stands: an object of data, opened for its first value and closed behind its last; a table keeps them together. */
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

/* The comma is left out behind a bracket. */
#define KEY(name)                                      \
	{                                                  \
		",\"" name "\":", sizeof(",\"" name "\":") - 1 \
	}
#define KEY_MAX 24u

struct key
{
	char text[KEY_MAX + 8]; /* KEY_MAX bytes are copied, from the first or the second one on */
	uint8_t len;
};

static const struct
{
	enum place parent;
	struct key key;
} place[PLACES] = {[FROM] = {DATA, KEY("from")},
		[TO] = {DATA, KEY("to")},
		[HANGUP] = {DATA, KEY("hangup")},
		[ACK] = {DATA, KEY("ack")},
		[TRANSFER] = {DATA, KEY("transfer")},
		[SIP] = {DATA, KEY("sip")},
		[TRANSACTION] = {SIP, KEY("transaction")},
		[DIALOG] = {SIP, KEY("dialog")}};

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
	struct key key;
	render_f render;
	uint32_t on;
};

static const struct row event_row[] = {
		{SB_C_CALL_ID, DATA, KEY("call_id"), uuid, ALWAYS},
		{SB_C_SIP_CALL_ID, DATA, KEY("sip_call_id"), text, ALWAYS},
		{SB_C_SEQUENCE, DATA, KEY("sequence"), count, ALWAYS},
		{SB_C_STATE, DATA, KEY("state"), state, ALWAYS},
		{SB_C_DIRECTION, DATA, KEY("direction"), text, ALWAYS},
		{SB_C_FROM_URI, FROM, KEY("uri"), text, ALWAYS},
		{SB_C_FROM_URI, FROM, KEY("number"), number, ALWAYS},
		{SB_C_FROM_NAME, FROM, KEY("name"), text, ALWAYS},
		{SB_C_TO_URI, TO, KEY("uri"), text, ALWAYS},
		{SB_C_TO_URI, TO, KEY("number"), number, ALWAYS},
		{SB_C_TO_NAME, TO, KEY("name"), text, ALWAYS},
		{SB_C_RURI, DATA, KEY("request_uri"), text, ALWAYS},
		{SB_C_DID, DATA, KEY("did"), text, ALWAYS},
		{SB_C_FLOW, DATA, KEY("flow"), text, ALWAYS},
		{SB_C_AGENT, DATA, KEY("agent"), text, ALWAYS},
		{SB_C_TRUNK, DATA, KEY("trunk"), text, ALWAYS},
		{SB_C_ATTEMPT, DATA, KEY("attempt"), attempt, NOT_CDR},
		{SB_C_ATTEMPT, DATA, KEY("attempts"), attempts, CDR},
		{SB_C_ATTEMPTS_TOTAL, DATA, KEY("attempts_total"), count, ALWAYS},
		{0, DATA, KEY("customer"), customer, ALWAYS},
		{0, DATA, KEY("attributes"), attributes, ALWAYS},
		{0, DATA, KEY("node"), node, ALWAYS},
		{SB_C_SOURCE, DATA, KEY("source"), text, ALWAYS},
		{SB_C_STARTED_AT, DATA, KEY("started_at"), when, ALWAYS},
		{SB_C_RINGING_AT, DATA, KEY("ringing_at"), when, ALWAYS},
		{SB_C_EARLY_AT, DATA, KEY("early_media_at"), when, ALWAYS},
		{SB_C_ANSWERED_AT, DATA, KEY("answered_at"), when, ALWAYS},
		{SB_C_ENDED_AT, DATA, KEY("ended_at"), when, ALWAYS},
		{SB_C_DURATION_US, DATA, KEY("duration_s"), seconds, ALWAYS},
		{SB_C_DURATION_WALL, DATA, KEY("duration_wall"), flag, ALWAYS | IF_TRUE},
		{SB_C_PDD_US, DATA, KEY("pdd_ms"), milliseconds, ALWAYS},
		{SB_C_INFERRED, DATA, KEY("inferred"), flag, ALWAYS | IF_TRUE},
		{SB_C_OUTCOME, DATA, KEY("outcome"), text, OVER},
		{SB_C_HANGUP_BY, HANGUP, KEY("by"), text, OVER},
		{SB_C_HANGUP_CAUSE, HANGUP, KEY("cause"), text, OVER},
		{SB_C_HANGUP_CODE, HANGUP, KEY("sip_code"), count, OVER},
		{SB_C_HANGUP_REASON, HANGUP, KEY("reason"), text, OVER},
		{SB_C_Q850, HANGUP, KEY("q850"), count, OVER},
		{SB_C_Q850_TEXT, HANGUP, KEY("q850_text"), text, OVER},
		{SB_C_ACK_AT, ACK, KEY("received"), came, ACKED},
		{SB_C_ACK_AT, ACK, KEY("at"), when, ACKED},
		{SB_C_BY, DATA, KEY("by"), text, PARTY},
		{SB_C_TRANSFER_KIND, TRANSFER, KEY("kind"), text, MOVED},
		{SB_C_TRANSFER_TARGET, TRANSFER, KEY("target"), text, MOVED},
		{SB_C_TRANSFER_CODE, TRANSFER, KEY("code"), count, MOVED},
		{SB_C_TRANSFER_REASON, TRANSFER, KEY("reason"), text, MOVED},
		{SB_C_TRANSFERRED_FROM, DATA, KEY("transferred_from"), uuid, ALWAYS},
		{SB_C_TRANSFERRED_TO, DATA, KEY("transferred_to"), uuid, ALWAYS},
		{SB_C_TEXT, DATA, KEY("text"), text, SAID},
		{SB_C_SIP_METHOD, SIP, KEY("method"), text, ALWAYS},
		{SB_C_SIP_BRANCH, TRANSACTION, KEY("branch"), text, ALWAYS},
		{SB_C_SIP_CSEQ, TRANSACTION, KEY("cseq"), count, ALWAYS},
		{SB_C_SIP_CODE, TRANSACTION, KEY("code"), count, ALWAYS},
		{SB_C_SIP_REASON, TRANSACTION, KEY("reason"), text, ALWAYS},
		{SB_C_SIP_CALL_ID, DIALOG, KEY("call_id"), text, ALWAYS},
		{SB_C_FROM_TAG, DIALOG, KEY("from_tag"), text, ALWAYS},
		{SB_C_TO_TAG, DIALOG, KEY("to_tag"), text, ALWAYS},
		{SB_C_MEDIA, SIP, KEY("media"), media, ALWAYS},
};

static const struct row attempt_row[] = {
		{SB_C_A_N, DATA, KEY("n"), count, ALWAYS},
		{SB_C_A_TRUNK, DATA, KEY("trunk"), text, ALWAYS},
		{SB_C_A_AGENT, DATA, KEY("agent"), text, ALWAYS},
		{SB_C_A_URI, DATA, KEY("uri"), text, ALWAYS},
		{SB_C_A_DST, DATA, KEY("destination"), text, ALWAYS},
		{SB_C_A_CODE, DATA, KEY("code"), count, ALWAYS},
		{SB_C_A_REASON, DATA, KEY("reason"), text, ALWAYS},
		{SB_C_A_LOCAL, DATA, KEY("local"), flag, ALWAYS},
		{SB_C_A_Q850, DATA, KEY("q850"), count, ALWAYS},
		{SB_C_A_PDD_US, DATA, KEY("pdd_ms"), milliseconds, ALWAYS},
		{SB_C_A_STARTED_AT, DATA, KEY("started_at"), when, ALWAYS},
		{SB_C_A_RINGING_AT, DATA, KEY("ringing_at"), when, ALWAYS},
		{SB_C_A_EARLY_AT, DATA, KEY("early_media_at"), when, ALWAYS},
		{SB_C_A_ANSWERED_AT, DATA, KEY("answered_at"), when, ALWAYS},
		{SB_C_A_ENDED_AT, DATA, KEY("ended_at"), when, ALWAYS},
};

static const struct row media_row[] = {
		{SB_C_M_KIND, DATA, KEY("kind"), text, ALWAYS},
		{SB_C_M_DIRECTION, DATA, KEY("direction"), text, ALWAYS},
		{SB_C_M_CODECS, DATA, KEY("codecs"), codecs, ALWAYS},
		{SB_C_M_ADDRESS, DATA, KEY("address"), text, ALWAYS},
		{SB_C_M_PORT, DATA, KEY("port"), count, ALWAYS},
		{SB_C_M_PROTO, DATA, KEY("proto"), text, ALWAYS},
};

#define ROWS(table) table, sizeof(table) / sizeof((table)[0])

static void put_key(struct sb_json_out *o, const struct key *key, bool first)
{
	char *p = sb_json_room(o, KEY_MAX);

	if(p == NULL)
		return;
	memcpy(p, key->text + first, KEY_MAX);
	o->len += key->len - first;
}

static bool inside(enum place where, enum place outer)
{
	while(where != outer && where != DATA)
		where = place[where].parent;
	return where == outer;
}

static void open_up(struct sb_json_out *o, enum place from, enum place to, bool first)
{
	enum place parent = place[to].parent;

	if(parent != from) {
		open_up(o, from, parent, first);
		first = true;
	}
	put_key(o, &place[to].key, first);
	sb_json_raw(o, "{", 1);
}

/** From an object to another one. @param first nothing stands in `from` yet @return the same of `to` */
static bool move(struct sb_json_out *o, enum place from, enum place to, bool first)
{
	for(; !inside(to, from); from = place[from].parent) {
		sb_json_raw(o, "}", 1);
		first = false;
	}
	if(from == to)
		return first;
	open_up(o, from, to, first);
	return true;
}

static void object_of(struct sb_json_out *o, const struct event *e, const struct sb_fields *fields, uint16_t type,
		const struct row *row, size_t rows)
{
	enum place at = DATA;
	bool first = true;

	sb_json_raw(o, "{", 1);
	for(size_t i = 0; i < rows && !o->failed; i++) {
		const struct sb_field *f = row[i].col != 0 && fields->f[row[i].col].col != 0 ? &fields->f[row[i].col] : NULL;
		if((row[i].on & 1u << type) == 0 || ((row[i].on & IF_TRUE) != 0 && (f == NULL || sb_field_u64(f) == 0)))
			continue;
		if(row[i].in != at)
			first = move(o, at, row[i].in, first);
		at = row[i].in;
		put_key(o, &row[i].key, first);
		first = false;
		row[i].render(o, e, f);
	}
	move(o, at, DATA, first);
	sb_json_raw(o, "}", 1);
}

/** Every group of that column as a list; fails when one is damaged. */
static void groups(struct sb_json_out *o, const struct event *e, enum sb_col col, const struct row *row, size_t rows)
{
	struct sb_in in;
	struct sb_field f;
	struct sb_fields inner;
	sb_json_raw(o, "[", 1);
	sb_in_init(&in, e->rec->payload, e->rec->hdr.len);
	while(sb_in_next(&in, &f) == 1) {
		if(f.col != col || f.kind != SB_GROUP)
			continue;
		if(sb_fields_read(&inner, f.data, f.len) != 0)
			return sb_json_fail(o);
		sb_json_comma(o);
		object_of(o, e, &inner, 1, row, rows);
	}
	sb_json_raw(o, "]", 1);
}

static void media(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)f;
	groups(o, e, SB_C_MEDIA, ROWS(media_row));
}

static void attempts(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)f;
	groups(o, e, SB_C_ATTEMPT, ROWS(attempt_row));
}

static void attempt(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	struct sb_fields inner;
	if(f == NULL)
		null(o);
	else if(sb_fields_read(&inner, f->data, f->len) != 0)
		sb_json_fail(o);
	else
		object_of(o, e, &inner, 1, ROWS(attempt_row));
}

/** What was written, as a tree; frees it. */
static json_t *tree_of(struct sb_json_out *o)
{
	json_t *j = o->failed ? NULL : json_loadb(o->p, o->len, 0, NULL);
	sb_json_free(o);
	return j;
}

json_t *sb_json_attempt(const struct sb_fields *f)
{
	struct sb_json_out o = {0};
	object_of(&o, NULL, f, 1, ROWS(attempt_row));
	return tree_of(&o);
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

static void attributes_put(struct sb_json_out *o, const struct event *e, bool customers)
{
	if(e->fields.f[SB_C_ATTRIBUTE].col != 0)
		sb_json_put_tree(o, attributes_of(e, customers));
	else
		sb_json_raw(o, "{}", 2);
}

static void customer(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)f;
	attributes_put(o, e, true);
}

static void attributes(struct sb_json_out *o, const struct event *e, const struct sb_field *f)
{
	(void)f;
	attributes_put(o, e, false);
}

static void type_of(struct sb_json_out *o, const struct event *e)
{
	const struct sb_field *name = &e->fields.f[SB_C_NAME];
	const char *type = sb_type_name(e->rec->hdr.type);
	if(e->rec->hdr.type == SB_CUSTOM && name->col != 0)
		sb_json_put_string(o, name->data, name->len);
	else
		sb_json_put_string(o, type, strlen(type));
}

/** The body as text, not yet cut to SB_BODY_MAX. @return 0, -EINVAL (no event, damaged) or -ENOMEM */
static int body_of(struct sb_json_out *o, const struct sb_rec *rec, const char *node_id)
{
	struct event e; /* 4 kB, cleared by sb_fields_read() */
	uint16_t type = rec->hdr.type;
	e.rec = rec;
	e.node = node_id;
	if(sb_type_internal(type) || sb_type_name(type) == NULL)
		return -EINVAL;
	if(sb_fields_read(&e.fields, rec->payload, rec->hdr.len) != 0 || e.fields.f[SB_C_AT].col == 0
			|| e.fields.f[SB_C_CALL_ID].col == 0)
		return -EINVAL;

#define PUT(o, literal) sb_json_raw(o, literal, sizeof(literal) - 1)
	PUT(o, "{\"type\":");
	type_of(o, &e);
	PUT(o, ",\"timestamp\":");
	when(o, &e, &e.fields.f[SB_C_AT]);
	PUT(o, ",\"data\":");
	object_of(o, &e, &e.fields, type, ROWS(event_row));
	PUT(o, "}");
#undef PUT
	return o->failed ? -ENOMEM : 0;
}

/** As a tree, cut to its bound; frees what was written. */
static json_t *trimmed(struct sb_json_out *o)
{
	bool long_one = o->len > SB_BODY_MAX;
	json_t *body = tree_of(o);
	if(body != NULL && long_one && sb_json_trim(body) != 0) {
		json_decref(body);
		return NULL;
	}
	return body;
}

json_t *sb_event_json(const struct sb_rec *rec, const char *node_id)
{
	struct sb_json_out o = {0};
	if(body_of(&o, rec, node_id) != 0)
		o.failed = true;
	return trimmed(&o);
}

char *sb_event_text(const struct sb_rec *rec, const char *node_id, size_t *len)
{
	char first[4096];
	struct sb_json_out o = {.first = first, .first_len = sizeof(first)};
	char *out;
	if(body_of(&o, rec, node_id) != 0)
		o.failed = true;
	if(o.failed || o.len > SB_BODY_MAX) {
		json_t *body = trimmed(&o);
		out = body != NULL ? json_dumps(body, SB_JSON_FLAGS) : NULL;
		json_decref(body);
	} else {
		sb_json_raw(&o, "", 1);
		out = o.failed ? NULL : malloc(o.len);
		if(out != NULL)
			memcpy(out, o.p, o.len);
		sb_json_free(&o);
	}
	if(out != NULL && len != NULL)
		*len = strlen(out);
	return out;
}
