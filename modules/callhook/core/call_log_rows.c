/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_log_rows.h"

#include <errno.h>
#include <string.h>

#include "call_log_text.h"
#include "event.h"
#include "json_parts.h"

struct sb_cl_source
{
	const struct sb_rec *rec;
	const char *node;
	const struct sb_fields *event;
	const struct sb_fields *attempt; /* NULL: the row is about none */
	struct sb_cl_arena *mem;
};

typedef const struct sb_cl_source *source_p;
typedef const struct sb_cl_column *column_p;

/** The field that a column comes from: A_ columns stand in the attempt. NULL where unknown */
static const struct sb_field *field_of(source_p s, uint8_t col)
{
	const struct sb_fields *in = col >= SB_C_A_N && col <= SB_C_A_Q850 ? s->attempt : s->event;

	return in != NULL && in->f[col].col != 0 ? &in->f[col] : NULL;
}

static void integer(struct sb_db_value *v, column_p c, uint64_t n)
{
	if(n <= (c->type == SB_CL_INT ? (uint64_t)INT32_MAX : (uint64_t)INT64_MAX))
		*v = (struct sb_db_value){.kind = SB_DB_INT, .i = (int64_t)n};
}

static int number(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	if(f != NULL)
		integer(v, c, sb_field_u64(f));
	return 0;
}

static int milliseconds(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	if(f != NULL && sb_field_u64(f) <= INT64_MAX)
		integer(v, c, (sb_field_u64(f) + 500) / 1000);
	return 0;
}

static int flag(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	integer(v, c, f != NULL && sb_field_u64(f) != 0);
	return 0;
}

static int text(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);
	int err = f != NULL ? sb_cl_text(v, s->mem, f->data, f->len, c->width) : 0;

	if(err == 0 && c->must && v->kind == SB_DB_NULL)
		*v = (struct sb_db_value){.kind = SB_DB_TEXT, .text = "", .len = 0};
	return err;
}

static int key(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	return f != NULL ? sb_cl_key(v, s->mem, f->data, f->len, c->width) : 0;
}

static int when(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	return f != NULL ? sb_cl_time(v, s->mem, sb_field_u64(f)) : 0;
}

static int uuid(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);
	char id[37];

	if(f == NULL)
		return 0;
	sb_uuid_text(id, f->data);
	return sb_cl_key(v, s->mem, id, strlen(id), 36);
}

static int node(source_p s, column_p c, struct sb_db_value *v)
{
	(void)c;
	return sb_cl_key(v, s->mem, s->node, strlen(s->node), 36);
}

static int event_id(source_p s, column_p c, struct sb_db_value *v)
{
	char id[64];

	sb_event_id(id, s->node, s->rec->hdr.epoch, s->rec->hdr.seq);
	return sb_cl_key(v, s->mem, id, strlen(id), c->width);
}

static int event_type(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *name = field_of(s, SB_C_NAME);
	const char *type = sb_type_name(s->rec->hdr.type);

	if(s->rec->hdr.type == SB_CUSTOM && name != NULL && name->len > 0)
		return sb_cl_key(v, s->mem, name->data, name->len, c->width);
	return sb_cl_key(v, s->mem, type, strlen(type), c->width);
}

static int state(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, SB_C_STATE);
	uint64_t n = f != NULL ? sb_field_u64(f) : 0;
	const char *name = sb_state_name(n < 256 ? (unsigned)n : 0);

	return sb_cl_key(v, s->mem, name, strlen(name), c->width);
}

/** 0 from an attempt that has no event's number of its own: x.attempt */
static int last_sequence(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, SB_C_SEQUENCE);

	integer(v, c, f != NULL ? sb_field_u64(f) : sb_type_internal(s->rec->hdr.type) ? 0 : UINT64_MAX);
	return 0;
}

static int e164(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	return f != NULL ? sb_cl_number(v, s->mem, f->data, f->len, c->width) : 0;
}

static int digits(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, c->col);

	return f != NULL ? sb_cl_digits(v, s->mem, f->data, f->len, c->width) : 0;
}

static int started(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *f = field_of(s, SB_C_STARTED_AT);

	(void)c;
	if(f == NULL || sb_field_u64(f) == 0)
		f = field_of(s, SB_C_AT);
	return f != NULL ? sb_cl_time(v, s->mem, sb_field_u64(f)) : 0;
}

static int call_failed(source_p s, column_p c, struct sb_db_value *v)
{
	return field_of(s, SB_C_ANSWERED_AT) == NULL ? when(s, c, v) : 0;
}

#define TERMINATED 487u /* RFC 3261 21.4.25: cancelled */

static int attempt_failed(source_p s, column_p c, struct sb_db_value *v)
{
	const struct sb_field *code = field_of(s, SB_C_A_CODE);
	uint64_t n = code != NULL ? sb_field_u64(code) : 0;

	return n >= 300 && n != TERMINATED && field_of(s, SB_C_A_ANSWERED_AT) == NULL ? when(s, c, v) : 0;
}

static int attributes(source_p s, column_p c, struct sb_db_value *v)
{
	return sb_cl_attributes(v, s->mem, s->rec->payload, s->rec->hdr.len, c->width);
}

/** Of the first of two columns that is there. */
static const struct sb_field *either(source_p s, uint8_t first, uint8_t second)
{
	const struct sb_field *f = field_of(s, first);

	return f != NULL && f->len > 0 ? f : field_of(s, second);
}

#define EITHER(name, first, second, how)                                  \
	static int name(source_p s, column_p c, struct sb_db_value *v)        \
	{                                                                     \
		const struct sb_field *f = either(s, first, second);              \
                                                                          \
		return f != NULL ? how(v, s->mem, f->data, f->len, c->width) : 0; \
	}
EITHER(trunk_of_event, SB_C_A_TRUNK, SB_C_TRUNK, sb_cl_text)
EITHER(agent_of_event, SB_C_A_AGENT, SB_C_AGENT, sb_cl_text)
EITHER(party, SB_C_BY, SB_C_HANGUP_BY, sb_cl_key)

/** What the script said; of a transfer its target, which later events of the call carry too. */
static int note(source_p s, column_p c, struct sb_db_value *v)
{
	bool transfer = s->rec->hdr.type == SB_CALL_TRANSFERRED || s->rec->hdr.type == SB_CALL_TRANSFER_FAILED;
	const struct sb_field *f = field_of(s, transfer ? SB_C_TRANSFER_TARGET : SB_C_TEXT);

	return f != NULL ? sb_cl_text(v, s->mem, f->data, f->len, c->width) : 0;
}

#define MUST true, false
#define MAY false, false
#define END false, true

static const struct sb_cl_column call_column[] = {
		{"call_id", SB_CL_UUID, 36, MUST, SB_C_CALL_ID, uuid},
		{"sip_call_id", SB_CL_TEXT, 255, MUST, SB_C_SIP_CALL_ID, text},
		{"node", SB_CL_UUID, 36, MUST, 0, node},
		{"last_sequence", SB_CL_INT, 0, MUST, 0, last_sequence},
		{"state", SB_CL_KEY, 16, MUST, 0, state},
		{"direction", SB_CL_KEY, 16, MAY, SB_C_DIRECTION, key},
		{"from_number", SB_CL_TEXT, 64, MAY, SB_C_FROM_URI, e164},
		{"to_number", SB_CL_TEXT, 64, MAY, SB_C_TO_URI, e164},
		{"from_digits", SB_CL_KEY, 32, MAY, SB_C_FROM_URI, digits},
		{"to_digits", SB_CL_KEY, 32, MAY, SB_C_TO_URI, digits},
		{"from_uri", SB_CL_TEXT, 255, MAY, SB_C_FROM_URI, text},
		{"from_name", SB_CL_TEXT, 128, MAY, SB_C_FROM_NAME, text},
		{"to_uri", SB_CL_TEXT, 255, MAY, SB_C_TO_URI, text},
		{"request_uri", SB_CL_TEXT, 255, MAY, SB_C_RURI, text},
		{"source", SB_CL_TEXT, 64, MAY, SB_C_SOURCE, text},
		{"did", SB_CL_TEXT, 64, MAY, SB_C_DID, text},
		{"flow", SB_CL_TEXT, 64, MAY, SB_C_FLOW, text},
		{"trunk", SB_CL_TEXT, 64, MAY, SB_C_TRUNK, text},
		{"agent", SB_CL_TEXT, 64, MAY, SB_C_AGENT, text},
		{"started_at", SB_CL_TIME, 0, MUST, 0, started},
		{"ringing_at", SB_CL_TIME, 0, MAY, SB_C_RINGING_AT, when},
		{"answered_at", SB_CL_TIME, 0, MAY, SB_C_ANSWERED_AT, when},
		{"ended_at", SB_CL_TIME, 0, MAY, SB_C_ENDED_AT, when},
		{"failed_at", SB_CL_TIME, 0, MAY, SB_C_ENDED_AT, call_failed},
		{"duration_ms", SB_CL_BIGINT, 0, END, SB_C_DURATION_US, milliseconds},
		{"pdd_ms", SB_CL_BIGINT, 0, MAY, SB_C_PDD_US, milliseconds},
		{"attempts", SB_CL_INT, 0, MAY, SB_C_ATTEMPTS_TOTAL, number},
		{"outcome", SB_CL_KEY, 16, END, SB_C_OUTCOME, key},
		{"sip_code", SB_CL_INT, 0, END, SB_C_HANGUP_CODE, number},
		{"sip_reason", SB_CL_TEXT, 128, END, SB_C_HANGUP_REASON, text},
		{"q850", SB_CL_INT, 0, END, SB_C_Q850, number},
		{"hangup_by", SB_CL_KEY, 16, END, SB_C_HANGUP_BY, key},
		{"hangup_cause", SB_CL_KEY, 32, END, SB_C_HANGUP_CAUSE, key},
		{"inferred", SB_CL_INT, 0, MAY, SB_C_INFERRED, flag},
		{"transferred_from", SB_CL_UUID, 36, MAY, SB_C_TRANSFERRED_FROM, uuid},
		{"transferred_to", SB_CL_UUID, 36, MAY, SB_C_TRANSFERRED_TO, uuid},
		{"attributes", SB_CL_TEXT, 4000, MAY, 0, attributes},
};

static const struct sb_cl_column attempt_column[] = {
		{"call_id", SB_CL_UUID, 36, MUST, SB_C_CALL_ID, uuid},
		{"n", SB_CL_INT, 0, MUST, SB_C_A_N, number},
		{"last_sequence", SB_CL_INT, 0, MUST, 0, last_sequence},
		{"uri", SB_CL_TEXT, 255, MAY, SB_C_A_URI, text},
		{"destination", SB_CL_TEXT, 128, MAY, SB_C_A_DST, text},
		{"trunk", SB_CL_TEXT, 64, MAY, SB_C_A_TRUNK, text},
		{"agent", SB_CL_TEXT, 64, MAY, SB_C_A_AGENT, text},
		{"to_number", SB_CL_TEXT, 64, MAY, SB_C_A_URI, e164},
		{"started_at", SB_CL_TIME, 0, MAY, SB_C_A_STARTED_AT, when},
		{"ringing_at", SB_CL_TIME, 0, MAY, SB_C_A_RINGING_AT, when},
		{"early_at", SB_CL_TIME, 0, MAY, SB_C_A_EARLY_AT, when},
		{"answered_at", SB_CL_TIME, 0, MAY, SB_C_A_ANSWERED_AT, when},
		{"ended_at", SB_CL_TIME, 0, MAY, SB_C_A_ENDED_AT, when},
		{"failed_at", SB_CL_TIME, 0, MAY, SB_C_A_ENDED_AT, attempt_failed},
		{"pdd_ms", SB_CL_BIGINT, 0, MAY, SB_C_A_PDD_US, milliseconds},
		{"code", SB_CL_INT, 0, MAY, SB_C_A_CODE, number},
		{"reason", SB_CL_TEXT, 128, MAY, SB_C_A_REASON, text},
		{"code_local", SB_CL_INT, 0, MAY, SB_C_A_LOCAL, flag},
		{"q850", SB_CL_INT, 0, MAY, SB_C_A_Q850, number},
};

static const struct sb_cl_column event_column[] = {
		{"event_id", SB_CL_KEY, 64, MUST, 0, event_id},
		{"call_id", SB_CL_UUID, 36, MUST, SB_C_CALL_ID, uuid},
		{"sequence", SB_CL_INT, 0, MUST, SB_C_SEQUENCE, number},
		{"type", SB_CL_KEY, 64, MUST, 0, event_type},
		{"at", SB_CL_TIME, 0, MUST, SB_C_AT, when},
		{"state", SB_CL_KEY, 16, MUST, 0, state},
		{"attempt", SB_CL_INT, 0, MAY, SB_C_A_N, number},
		{"trunk", SB_CL_TEXT, 64, MAY, 0, trunk_of_event},
		{"agent", SB_CL_TEXT, 64, MAY, 0, agent_of_event},
		{"by_party", SB_CL_KEY, 16, MAY, 0, party},
		{"outcome", SB_CL_KEY, 16, MAY, SB_C_OUTCOME, key},
		{"cause", SB_CL_KEY, 32, MAY, SB_C_HANGUP_CAUSE, key},
		{"inferred", SB_CL_INT, 0, MAY, SB_C_INFERRED, flag},
		{"sip_method", SB_CL_KEY, 32, MAY, SB_C_SIP_METHOD, key},
		{"sip_code", SB_CL_INT, 0, MAY, SB_C_SIP_CODE, number},
		{"sip_reason", SB_CL_TEXT, 128, MAY, SB_C_SIP_REASON, text},
		{"sip_cseq", SB_CL_BIGINT, 0, MAY, SB_C_SIP_CSEQ, number},
		{"sip_branch", SB_CL_TEXT, 128, MAY, SB_C_SIP_BRANCH, text},
		{"from_tag", SB_CL_TEXT, 128, MAY, SB_C_FROM_TAG, text},
		{"to_tag", SB_CL_TEXT, 128, MAY, SB_C_TO_TAG, text},
		{"note", SB_CL_TEXT, 1000, MAY, 0, note},
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
_Static_assert(COUNT(call_column) <= SB_CL_COLUMNS_MAX, "SB_CL_COLUMNS_MAX");

static const struct
{
	const char *name;
	const struct sb_cl_column *column;
	unsigned count;
} tables[SB_CL_TABLES] = {
		[SB_CL_CALL] = {"callstate_call", call_column, COUNT(call_column)},
		[SB_CL_ATTEMPT] = {"callstate_attempt", attempt_column, COUNT(attempt_column)},
		[SB_CL_EVENT] = {"callstate_event", event_column, COUNT(event_column)},
};

const struct sb_cl_column *sb_cl_columns(enum sb_cl_table table, unsigned *count)
{
	if(count != NULL)
		*count = tables[table].count;
	return tables[table].column;
}

const char *sb_cl_table_name(enum sb_cl_table table)
{
	return tables[table].name;
}

unsigned sb_cl_column_of(enum sb_cl_table table, const char *name)
{
	unsigned i = 0;

	while(i < tables[table].count && strcmp(tables[table].column[i].name, name) != 0)
		i++;
	return i;
}

static int make_row(
		enum sb_cl_table table, source_p s, int (*each)(enum sb_cl_table, const struct sb_cl_row *, void *), void *arg)
{
	const struct sb_cl_column *column = tables[table].column;
	struct sb_cl_row row = {.seq = s->rec->hdr.seq, .epoch = s->rec->hdr.epoch};
	int err;

	row.v = sb_cl_alloc(s->mem, tables[table].count * sizeof(*row.v));
	if(row.v == NULL)
		return -ENOMEM;
	memset(row.v, 0, tables[table].count * sizeof(*row.v));
	for(unsigned i = 0; i < tables[table].count; i++) {
		err = column[i].get(s, &column[i], &row.v[i]);
		if(err != 0)
			return err;
		if(column[i].must && row.v[i].kind == SB_DB_NULL)
			return -EBADMSG;
	}
	return each(table, &row, arg);
}

static int attempt_rows(
		struct sb_cl_source *s, int (*each)(enum sb_cl_table, const struct sb_cl_row *, void *), void *arg)
{
	struct sb_fields inner;
	struct sb_field f;
	struct sb_in in;
	int err = 0;

	sb_in_init(&in, s->rec->payload, s->rec->hdr.len);
	while(err == 0 && sb_in_next(&in, &f) == 1) {
		if(f.col != SB_C_ATTEMPT || f.kind != SB_GROUP)
			continue;
		if(sb_fields_read(&inner, f.data, f.len) != 0)
			return -EBADMSG;
		s->attempt = &inner;
		err = make_row(SB_CL_ATTEMPT, s, each, arg);
	}
	s->attempt = NULL;
	return err;
}

int sb_cl_rows(const struct sb_rec *rec, const char *node_id, struct sb_cl_arena *mem,
		int (*each)(enum sb_cl_table table, const struct sb_cl_row *row, void *arg), void *arg)
{
	struct sb_cl_source s = {.rec = rec, .node = node_id, .mem = mem};
	struct sb_fields event, about;
	int err;

	if(sb_type_internal(rec->hdr.type) && rec->hdr.type != SB_X_ATTEMPT)
		return 0;
	if(sb_type_name(rec->hdr.type) == NULL || sb_fields_read(&event, rec->payload, rec->hdr.len) != 0)
		return -EBADMSG;
	s.event = &event;
	if(rec->hdr.type == SB_X_ATTEMPT)
		return attempt_rows(&s, each, arg);
	err = make_row(SB_CL_CALL, &s, each, arg);
	if(err == 0)
		err = attempt_rows(&s, each, arg);
	if(err != 0)
		return err;
	if(rec->hdr.type != SB_CALL_CDR && event.f[SB_C_ATTEMPT].col != 0) {
		if(sb_fields_read(&about, event.f[SB_C_ATTEMPT].data, event.f[SB_C_ATTEMPT].len) != 0)
			return -EBADMSG;
		s.attempt = &about;
	}
	return make_row(SB_CL_EVENT, &s, each, arg);
}

static int64_t number_at(enum sb_cl_table table, const struct sb_cl_row *row, const char *name)
{
	return row->v[sb_cl_column_of(table, name)].i;
}

static bool known(enum sb_cl_table table, const struct sb_cl_row *row, const char *name)
{
	return row->v[sb_cl_column_of(table, name)].kind != SB_DB_NULL;
}

bool sb_cl_fold(enum sb_cl_table table, struct sb_cl_row *old, const struct sb_cl_row *row)
{
	unsigned at = sb_cl_column_of(table, "last_sequence");
	int64_t was = old->v[at].i;
	bool newer = row->v[at].i > was;
	bool over = table == SB_CL_CALL && !known(table, row, "hangup_by") && known(table, row, "ended_at");

	if(table == SB_CL_ATTEMPT && known(table, row, "code") && !known(table, old, "code"))
		newer = true;
	if(!newer)
		return false;
	for(unsigned i = 0; i < tables[table].count; i++) {
		if(!tables[table].column[i].end || !over)
			old->v[i] = row->v[i];
	}
	if(number_at(table, old, "last_sequence") < was)
		old->v[at].i = was;
	old->seq = row->seq;
	old->epoch = row->epoch;
	return true;
}
