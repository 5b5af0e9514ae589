/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "filter.h"
#include "json.h"
#include "story.h"
#include "text.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <time.h>

static uint64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int filter_init(struct filter *f, struct cli *c, const struct cli_options *o)
{
	memset(f, 0, sizeof(*f));
	f->call = o->call;
	f->number = o->number;
	f->type = o->type;
	f->internal = o->all;
	f->by_id = o->call != NULL && sb_uuid_parse(f->id, o->call) == 0;
	if(o->since != NULL && since_parse(o->since, now_us(), &f->since) != 0) {
		fprintf(c->err, "signalbox: --since %s: give 90s, 10m, 2h, 3d, or a time in UTC: 2026-01-31T14:02:07, 14:02.\n",
				o->since);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static bool same_text(const struct sb_field *f, const char *s)
{
	return f->col != 0 && f->len == strlen(s) && memcmp(f->data, s, f->len) == 0;
}

bool filter_takes(const struct filter *f, const struct sb_rec *rec, struct sb_fields *fields)
{
	if(!f->internal && sb_type_internal(rec->hdr.type))
		return false;
	if(sb_fields_read(fields, rec->payload, rec->hdr.len) != 0)
		return false;
	const struct sb_field *v = fields->f;
	if(f->since != 0 && (v[SB_C_AT].col == 0 || sb_field_u64(&v[SB_C_AT]) < f->since))
		return false;
	if(f->type != NULL && fnmatch(f->type, type_text(rec, fields).s, 0) != 0)
		return false;
	if(f->by_id && (v[SB_C_CALL_ID].col == 0 || memcmp(v[SB_C_CALL_ID].data, f->id, 16) != 0))
		return false;
	if(f->call != NULL && !f->by_id && !same_text(&v[SB_C_SIP_CALL_ID], f->call))
		return false;
	return f->number == NULL || number_matches(f->number, &v[SB_C_FROM_URI])
		   || number_matches(f->number, &v[SB_C_TO_URI]) || number_matches(f->number, &v[SB_C_RURI]);
}

struct text type_text(const struct sb_rec *rec, const struct sb_fields *fields)
{
	struct text t;
	const char *name = sb_type_name(rec->hdr.type);
	if(rec->hdr.type == SB_CUSTOM && fields->f[SB_C_NAME].col != 0)
		return text_field(&fields->f[SB_C_NAME]);
	if(name != NULL)
		snprintf(t.s, sizeof(t.s), "%s", name);
	else
		snprintf(t.s, sizeof(t.s), "type %u", rec->hdr.type);
	return t;
}

struct text short_id(const struct sb_rec *rec)
{
	struct text t;
	snprintf(t.s, sizeof(t.s), "%" PRIx32 "-%" PRIx64, rec->hdr.epoch, rec->hdr.seq);
	return t;
}

/** What this event adds: the attempt and its answer, who ended the call, what the script said. */
static struct text detail(uint16_t type, const struct sb_fields *fields)
{
	const struct sb_field *v = fields->f;
	struct story_attempt a = {0};
	struct text t = {""};
	if(type == SB_CALL_CDR && v[SB_C_ATTEMPTS_TOTAL].col != 0) {
		uint64_t n = sb_field_u64(&v[SB_C_ATTEMPTS_TOTAL]);
		SAY(t.s, "%" PRIu64 " %s", n, n == 1 ? "try" : "tries");
	} else if(v[SB_C_ATTEMPT].col != 0 && sb_fields_read(&a.f, v[SB_C_ATTEMPT].data, v[SB_C_ATTEMPT].len) == 0) {
		a.n = story_u64(&a.f, SB_C_A_N);
		SAY(t.s, "try %" PRIu64 " %s", a.n, attempt_name(&a).s);
		if(story_has(&a.f, SB_C_A_CODE))
			SAY(t.s, " %" PRIu64 "%s", story_u64(&a.f, SB_C_A_CODE), story_has(&a.f, SB_C_A_LOCAL) ? " (ours)" : "");
	}
	static const uint8_t col[] = {SB_C_OUTCOME, SB_C_HANGUP_BY, SB_C_HANGUP_CAUSE, SB_C_TEXT, SB_C_BY};
	for(size_t i = 0; i < sizeof(col); i++) {
		if(v[col[i]].col != 0)
			SAY(t.s, "%s%s%s", t.s[0] != '\0' ? " " : "", col[i] == SB_C_HANGUP_BY ? "by " : "",
					text_field(&v[col[i]]).s);
	}
	return t;
}

void line_print(struct cli *c, const struct sb_rec *rec, const struct sb_fields *fields)
{
	const struct sb_field *v = fields->f;
	char call[37] = "-";
	char seq[24] = "-";
	uint64_t at = v[SB_C_AT].col != 0 ? sb_field_u64(&v[SB_C_AT]) : 0;
	if(v[SB_C_CALL_ID].col != 0)
		sb_uuid_text(call, v[SB_C_CALL_ID].data);
	if(v[SB_C_SEQUENCE].col != 0)
		snprintf(seq, sizeof(seq), "%" PRIu64, sb_field_u64(&v[SB_C_SEQUENCE]));
	enum tone t = rec->hdr.type == SB_CALL_ANSWERED                                     ? GOOD
				  : rec->hdr.type == SB_CALL_FAILED || rec->hdr.type == SB_CALL_TIMEOUT ? BAD
				  : sb_type_internal(rec->hdr.type)                                     ? DIM
																						: PLAIN;
	fprintf(c->out, "%s %s  %-7s %s%2s %-20s%s %s  ", text_date(at).s, text_clock(at).s, short_id(rec).s, tone_on(c, t),
			seq, type_text(rec, fields).s, tone_off(c, t), call);
	if(v[SB_C_FROM_URI].col != 0 || v[SB_C_RURI].col != 0)
		fprintf(c->out, "%s \xe2\x86\x92 %s  ", text_user(&v[SB_C_FROM_URI]).s,
				text_user(v[SB_C_RURI].col != 0 ? &v[SB_C_RURI] : &v[SB_C_TO_URI]).s);
	fprintf(c->out, "%s\n", detail(rec->hdr.type, fields).s);
}

static json_t *column_json(const struct sb_field *f);

static json_t *columns_json(const void *payload, size_t len)
{
	struct sb_in in;
	struct sb_field f;
	json_t *o = json_object();
	sb_in_init(&in, payload, len);
	while(sb_in_next(&in, &f) == 1) {
		const char *name = sb_col_name(f.col);
		char number[16];
		snprintf(number, sizeof(number), "%u", f.col);
		json_t *before = json_object_get(o, name != NULL ? name : number);
		json_t *v = column_json(&f);
		if(before == NULL) {
			json_object_set_new(o, name != NULL ? name : number, v);
		} else if(f.kind == SB_GROUP && json_is_array(before)) {
			json_array_append_new(before, v);
		} else {
			json_t *list = json_pack("[O,o]", before, v);
			json_object_set_new(o, name != NULL ? name : number, list);
		}
	}
	return o;
}

static json_t *column_json(const struct sb_field *f)
{
	char id[37];
	switch(f->kind) {
		case SB_U64:
			return json_integer((json_int_t)sb_field_u64(f));
		case SB_TIME:
			return sb_json_time(sb_field_u64(f));
		case SB_UUID:
			sb_uuid_text(id, f->data);
			return json_string(id);
		case SB_GROUP:
			return columns_json(f->data, f->len);
		default:
			return sb_json_string(f->data, f->len);
	}
}

json_t *line_json(const struct cli *c, const struct sb_rec *rec)
{
	char id[64];
	struct sb_fields fields;
	json_t *body = sb_event_json(rec, c->node[0] != '\0' ? c->node : NULL);
	if(body == NULL) {
		if(sb_fields_read(&fields, rec->payload, rec->hdr.len) != 0)
			return NULL;
		body = json_pack("{s:s, s:o, s:o}", "type", type_text(rec, &fields).s, "timestamp",
				sb_json_time(fields.f[SB_C_AT].col != 0 ? sb_field_u64(&fields.f[SB_C_AT]) : 0), "columns",
				columns_json(rec->payload, rec->hdr.len));
	}
	sb_event_id(id, c->node, rec->hdr.epoch, rec->hdr.seq);
	json_t *out = json_pack("{s:s}", "id", id);
	json_object_update(out, body);
	json_decref(body);
	return out;
}
