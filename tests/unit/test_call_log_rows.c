/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "call_log_fixture.h"

#include "call_log_text.h"
#include "db_schema.h"

#include <errno.h>
#include <jansson.h>

/* ---- the tables of columns and db/schema ---- */

static const char *schema_text(void)
{
	for(unsigned i = 0; i < sb_schema_file_count; i++) {
		if(strcmp(sb_schema_files[i].name, "003_call_log") == 0)
			return sb_schema_files[i].text;
	}
	fail_msg("003_call_log is not among the schema's files");
	return NULL;
}

static void declared(char *out, size_t room, const struct sb_cl_column *c)
{
	static const char *const type[] = {
			[SB_CL_UUID] = "{uuid}", [SB_CL_TIME] = "{time}", [SB_CL_INT] = "INTEGER", [SB_CL_BIGINT] = "BIGINT"};

	if(c->type == SB_CL_KEY)
		snprintf(out, room, "%s {key(%u)}", c->name, c->width);
	else if(c->type == SB_CL_TEXT)
		snprintf(out, room, "%s VARCHAR(%u)", c->name, c->width);
	else
		snprintf(out, room, "%s %s", c->name, type[c->type]);
}

/* The next line between the brackets that declares a column, without indentation; NULL at the end. */
static const char *next_column(const char **at, char line[200])
{
	while(**at != '\0') {
		size_t n = strcspn(*at, "\n");
		const char *from = *at + strspn(*at, " ");
		snprintf(line, 200, "%.*s", (int)(n - (size_t)(from - *at)), from);
		*at += n + 1;
		if(line[0] == ')' || strncmp(line, "PRIMARY KEY", 11) == 0)
			return NULL;
		if(strncmp(line, "--", 2) != 0)
			return line;
	}
	return NULL;
}

static void columns_are_those_of_the_schema(void **state)
{
	char head[80], line[200], want[100];
	(void)state;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		unsigned count, i = 0;
		const struct sb_cl_column *c = sb_cl_columns(t, &count);

		snprintf(head, sizeof(head), "CREATE TABLE IF NOT EXISTS %s (\n", sb_cl_table_name(t));
		const char *at = strstr(schema_text(), head);
		assert_non_null(at);
		at += strlen(head);
		for(; next_column(&at, line) != NULL; i++) {
			assert_true(i < count);
			declared(want, sizeof(want), &c[i]);
			if(strncmp(line, want, strlen(want)) != 0 || strchr(" ,", line[strlen(want)]) == NULL)
				fail_msg("%s, column %u: the schema has \"%s\", the code \"%s\"", sb_cl_table_name(t), i, line, want);
			assert_int_equal(strstr(line, "NOT NULL") != NULL, c[i].must);
		}
		assert_int_equal(count, i);
	}
}

/* ---- rows ---- */

static int begin(void **state)
{
	*state = calloc(1, sizeof(struct rows) + sizeof(struct made));
	return 0;
}

static int end(void **state)
{
	struct rows *r = *state;

	sb_cl_free(&r->mem);
	free(r);
	return 0;
}

#define BOTH                 \
	struct rows *r = *state; \
	struct made *m = (struct made *)(r + 1)

static void every_event_makes_the_row_of_its_call_and_its_own(void **state)
{
	BOTH;

	for(uint16_t type = 1; type < 256; type++) {
		if(sb_type_name(type) == NULL)
			continue;
		made_begin(m, type, 1, sb_type_internal(type) ? 0 : 4, SB_ST_RINGING);
		made_text(m, SB_C_NAME, "custom.vip");
		rows_of(r, made_done(m));
		assert_int_equal(0, r->err);
		assert_int_equal(!sb_type_internal(type), r->count[SB_CL_CALL]);
		assert_int_equal(!sb_type_internal(type), r->count[SB_CL_EVENT]);
		assert_int_equal(0, r->count[SB_CL_ATTEMPT]);
		if(!sb_type_internal(type))
			assert_cell(r, SB_CL_EVENT, 0, "type", type == SB_CUSTOM ? "custom.vip" : sb_type_name(type));
	}
	made_begin(m, 99, 1, 1, SB_ST_CALLING);
	rows_of(r, made_done(m));
	assert_int_equal(-EBADMSG, r->err);
}

static void an_answered_call_that_ended(void **state)
{
	char id[37];
	BOTH;

	made_begin(m, SB_CALL_ENDED, 7, 4, SB_ST_DISCONNECTED);
	sb_put_time(&m->out, SB_C_RINGING_AT, AT0 + 4319);
	sb_put_time(&m->out, SB_C_ANSWERED_AT, AT0 + 2000000);
	sb_put_u64(&m->out, SB_C_PDD_US, 4319);
	sb_put_u64(&m->out, SB_C_DURATION_US, 7000500);
	made_end(m, "caller", "", "bye", 0);
	made_text(m, SB_C_SIP_METHOD, "BYE");
	sb_put_u64(&m->out, SB_C_SIP_CSEQ, 4000000000ull);
	made_text(m, SB_C_SIP_BRANCH, "z9hG4bK-1");
	made_text(m, SB_C_FROM_TAG, "a1");
	sb_put_u64(&m->out, SB_C_INFERRED, 1);
	rows_of(r, made_done(m));
	made_id(id, 7);
	assert_int_equal(0, r->err);
	assert_cell(r, SB_CL_CALL, 0, "call_id", id);
	assert_cell(r, SB_CL_CALL, 0, "sip_call_id", "call-7@192.0.2.1");
	assert_cell(r, SB_CL_CALL, 0, "node", NODE);
	assert_cell(r, SB_CL_CALL, 0, "last_sequence", "4");
	assert_cell(r, SB_CL_CALL, 0, "state", "disconnected");
	assert_cell(r, SB_CL_CALL, 0, "direction", "NULL");
	assert_cell(r, SB_CL_CALL, 0, "from_number", "+442079460142");
	assert_cell(r, SB_CL_CALL, 0, "from_digits", "241064970244");
	assert_cell(r, SB_CL_CALL, 0, "to_number", "02079460100");
	assert_cell(r, SB_CL_CALL, 0, "to_digits", "00106497020");
	assert_cell(r, SB_CL_CALL, 0, "from_name", "Ada Caller");
	assert_cell(r, SB_CL_CALL, 0, "started_at", "2026-01-31 14:02:07.114000");
	assert_cell(r, SB_CL_CALL, 0, "ringing_at", "2026-01-31 14:02:07.118319");
	assert_cell(r, SB_CL_CALL, 0, "answered_at", "2026-01-31 14:02:09.114000");
	assert_cell(r, SB_CL_CALL, 0, "ended_at", "2026-01-31 14:02:16.114000");
	assert_cell(r, SB_CL_CALL, 0, "failed_at", "NULL");
	assert_cell(r, SB_CL_CALL, 0, "duration_ms", "7001");
	assert_cell(r, SB_CL_CALL, 0, "pdd_ms", "4");
	assert_cell(r, SB_CL_CALL, 0, "attempts", "1");
	assert_cell(r, SB_CL_CALL, 0, "outcome", "NULL");
	assert_cell(r, SB_CL_CALL, 0, "hangup_by", "caller");
	assert_cell(r, SB_CL_CALL, 0, "hangup_cause", "bye");
	assert_cell(r, SB_CL_CALL, 0, "inferred", "1");
	assert_cell(r, SB_CL_CALL, 0, "attributes", "NULL");
	assert_cell(r, SB_CL_EVENT, 0, "event_id", "bd3f50ba3665452aaaed091cf38e1055-3-2c0");
	assert_cell(r, SB_CL_EVENT, 0, "at", "2026-01-31 14:02:11.114000");
	assert_cell(r, SB_CL_EVENT, 0, "sequence", "4");
	assert_cell(r, SB_CL_EVENT, 0, "by_party", "caller");
	assert_cell(r, SB_CL_EVENT, 0, "cause", "bye");
	assert_cell(r, SB_CL_EVENT, 0, "attempt", "NULL");
	assert_cell(r, SB_CL_EVENT, 0, "sip_method", "BYE");
	assert_cell(r, SB_CL_EVENT, 0, "sip_cseq", "4000000000");
	assert_cell(r, SB_CL_EVENT, 0, "sip_branch", "z9hG4bK-1");
	assert_cell(r, SB_CL_EVENT, 0, "to_tag", "NULL");
}

static void a_call_that_failed_has_failed_at(void **state)
{
	BOTH;

	made_begin(m, SB_CALL_FAILED, 1, 3, SB_ST_FAILED);
	made_end(m, "callee", "busy", "final_reply", 486);
	made_text(m, SB_C_HANGUP_REASON, "Busy Here");
	sb_put_u64(&m->out, SB_C_Q850, 17);
	made_attempt(m, 2, 486, AT0 + 8000000);
	rows_of(r, made_done(m));
	assert_cell(r, SB_CL_CALL, 0, "failed_at", "2026-01-31 14:02:16.114000");
	assert_cell(r, SB_CL_CALL, 0, "sip_code", "486");
	assert_cell(r, SB_CL_CALL, 0, "sip_reason", "Busy Here");
	assert_cell(r, SB_CL_CALL, 0, "q850", "17");
	assert_cell(r, SB_CL_CALL, 0, "outcome", "busy");
	assert_cell(r, SB_CL_ATTEMPT, 0, "n", "2");
	assert_cell(r, SB_CL_ATTEMPT, 0, "failed_at", "2026-01-31 14:02:15.114000");
	assert_cell(r, SB_CL_ATTEMPT, 0, "trunk", "carrier-a");
	assert_cell(r, SB_CL_ATTEMPT, 0, "destination", "udp:192.0.2.7:5060");
	assert_cell(r, SB_CL_ATTEMPT, 0, "to_number", "+442079460199");
	assert_cell(r, SB_CL_ATTEMPT, 0, "last_sequence", "3");
	assert_cell(r, SB_CL_ATTEMPT, 0, "code_local", "0");
	assert_cell(r, SB_CL_EVENT, 0, "attempt", "2");
	assert_cell(r, SB_CL_EVENT, 0, "trunk", "carrier-a");
}

static void an_attempt_that_was_cancelled_did_not_fail(void **state)
{
	BOTH;

	made_begin(m, SB_X_ATTEMPT, 1, 0, SB_ST_RINGING);
	made_attempt(m, 1, 487, AT0 + 8000000);
	rows_of(r, made_done(m));
	assert_int_equal(0, r->err);
	assert_int_equal(1, r->count[SB_CL_ATTEMPT]);
	assert_int_equal(0, r->count[SB_CL_CALL] + r->count[SB_CL_EVENT]);
	assert_cell(r, SB_CL_ATTEMPT, 0, "ended_at", "2026-01-31 14:02:15.114000");
	assert_cell(r, SB_CL_ATTEMPT, 0, "failed_at", "NULL");
	assert_cell(r, SB_CL_ATTEMPT, 0, "last_sequence", "0");
}

static void a_cdr_has_a_row_for_each_attempt(void **state)
{
	BOTH;

	made_begin(m, SB_CALL_CDR, 1, 9, SB_ST_DISCONNECTED);
	for(unsigned n = 1; n <= 16; n++)
		made_attempt(m, n, n < 16 ? 503 : 200, AT0 + n * 1000000);
	rows_of(r, made_done(m));
	assert_int_equal(0, r->err);
	assert_int_equal(16, r->count[SB_CL_ATTEMPT]);
	for(unsigned n = 1; n <= 16; n++)
		assert_int_equal(n, r->row[SB_CL_ATTEMPT][n - 1].v[1].i);
	assert_cell(r, SB_CL_EVENT, 0, "attempt", "NULL");
}

static void text_is_cut_between_characters(void **state)
{
	char name[600] = "";
	BOTH;

	for(int i = 0; i < 129; i++)
		strcat(name, "\xe2\x82\xac");
	made_begin(m, SB_CALL_RINGING, 1, 2, SB_ST_RINGING);
	made_text(m, SB_C_DID, "x\xff\xc3(\xed\xa0\x80y");
	made_text(m, SB_C_FLOW, name);
	sb_put_str(&m->out, SB_C_TRUNK, "a\0b", 3);
	rows_of(r, made_done(m));
	assert_int_equal(64 * 3, strlen(cell(r, SB_CL_CALL, 0, "flow")));
	assert_memory_equal(name, cell(r, SB_CL_CALL, 0, "flow"), 64 * 3);
	assert_cell(r, SB_CL_CALL, 0, "did", "x\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy");
	assert_cell(r, SB_CL_CALL, 0, "trunk",
			"a\xef\xbf\xbd"
			"b");
	made_begin(m, SB_CALL_RINGING, 1, 2, SB_ST_RINGING);
	made_text(m, SB_C_DID, "1234567890123456789012345678901234567890123456789012345678901234567");
	made_text(m, SB_C_DIRECTION, "in\xc3\xa9\x07 out and more of it");
	rows_of(r, made_done(m));
	assert_cell(r, SB_CL_CALL, 0, "did", "1234567890123456789012345678901234567890123456789012345678901234");
	assert_cell(r, SB_CL_CALL, 0, "direction", "in??? out and mo");
}

static void numbers_and_their_digits_backwards(void **state)
{
	static const struct
	{
		const char *uri, *number, *digits;
	} list[] = {
			{"sip:+442079460142@h", "+442079460142", "241064970244"},
			{"sip:%2B442079460142@h", "+442079460142", "241064970244"},
			{"tel:+44-20-7946-0142;phone-context=x", "+442079460142", "241064970244"},
			{"sip:00442079460142;x=y@h", "00442079460142", "24106497024400"},
			{"sip:(020)7946.0142@h", "(020)7946.0142", "24106497020"},
			{"sip:anna@h", "anna", "NULL"},
			{"sip:100@h", "100", "001"},
			{"sip:*21#@h", "*21#", "NULL"},
			{"sip:h", "NULL", "NULL"},
			{"sip:+@h", "+", "NULL"},
			{"sip:1234567890123456789012345678901234567890@h", "1234567890123456789012345678901234567890",
					"09876543210987654321098765432109"},
	};
	BOTH;

	for(size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct sb_db_value v = {0}, d = {0};

		assert_int_equal(0, sb_cl_number(&v, &r->mem, list[i].uri, strlen(list[i].uri), 64));
		assert_int_equal(0, sb_cl_digits(&d, &r->mem, list[i].uri, strlen(list[i].uri), 32));
		assert_string_equal(list[i].number, cell_text(&v));
		assert_string_equal(list[i].digits, cell_text(&d));
	}
	(void)m;
}

static void attributes_are_one_json_object(void **state)
{
	char big[3000];
	BOTH;

	made_begin(m, SB_CALL_RINGING, 1, 2, SB_ST_RINGING);
	made_text(m, SB_C_ATTRIBUTE, "customer.name=O'Brien \"x\"");
	made_text(m, SB_C_ATTRIBUTE, "attr.lang=en");
	made_text(m, SB_C_ATTRIBUTE, "attr.lang=\xff");
	rows_of(r, made_done(m));
	assert_cell(r, SB_CL_CALL, 0, "attributes",
			"{\"customer\":{\"name\":\"O'Brien \\\"x\\\"\"},\"attributes\":{\"lang\":\"\xef\xbf\xbd\"}}");

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memcpy(big, "attr.a=", 7);
	made_begin(m, SB_CALL_RINGING, 1, 2, SB_ST_RINGING);
	made_text(m, SB_C_ATTRIBUTE, big);
	memcpy(big, "attr.b=", 7);
	made_text(m, SB_C_ATTRIBUTE, big);
	made_text(m, SB_C_ATTRIBUTE, "customer.vip=1");
	rows_of(r, made_done(m));
	json_t *o = json_loads(cell(r, SB_CL_CALL, 0, "attributes"), 0, NULL);
	assert_non_null(o);
	assert_int_equal(1, json_object_size(json_object_get(o, "attributes")));
	assert_string_equal("1", json_string_value(json_object_get(json_object_get(o, "customer"), "vip")));
	json_decref(o);
}

static void what_does_not_fit_a_number_is_unknown(void **state)
{
	BOTH;

	made_begin(m, SB_CALL_FAILED, 1, 2, SB_ST_FAILED);
	sb_put_u64(&m->out, SB_C_Q850, 1ull << 31);
	sb_put_u64(&m->out, SB_C_SIP_CSEQ, UINT64_MAX);
	sb_put_u64(&m->out, SB_C_DURATION_US, UINT64_MAX);
	sb_put_time(&m->out, SB_C_RINGING_AT, UINT64_MAX);
	rows_of(r, made_done(m));
	assert_int_equal(0, r->err);
	assert_cell(r, SB_CL_CALL, 0, "q850", "NULL");
	assert_cell(r, SB_CL_EVENT, 0, "sip_cseq", "NULL");
	assert_cell(r, SB_CL_CALL, 0, "duration_ms", "NULL");
	assert_cell(r, SB_CL_CALL, 0, "ringing_at", "NULL");
}

static void a_record_without_call_time_or_number_is_no_event(void **state)
{
	const uint8_t id[16] = {1};
	BOTH;

	for(int without = 0; without < 3; without++) {
		made_begin(m, SB_CALL_RINGING, 1, 2, SB_ST_RINGING);
		m->out.len = 0;
		if(without != 0)
			sb_put_uuid(&m->out, SB_C_CALL_ID, id);
		if(without != 1)
			sb_put_time(&m->out, SB_C_AT, AT0);
		if(without != 2)
			sb_put_u64(&m->out, SB_C_SEQUENCE, 1);
		rows_of(r, made_done(m));
		assert_int_equal(-EBADMSG, r->err);
	}
	made_event(m, 1, 2);
	m->rec.hdr.len -= 3;
	rows_of(r, &m->rec);
	assert_int_equal(-EBADMSG, r->err);
}

/* ---- folding ---- */

struct pair
{
	struct rows a, b;
	struct made ma, mb;
};

static int begin_pair(void **state)
{
	*state = calloc(1, sizeof(struct pair));
	return 0;
}

static int end_pair(void **state)
{
	struct pair *p = *state;

	sb_cl_free(&p->a.mem);
	sb_cl_free(&p->b.mem);
	free(p);
	return 0;
}

static void an_older_event_never_overwrites_a_newer_one(void **state)
{
	struct pair *p = *state;

	rows_of(&p->a, made_event(&p->ma, 1, 2));
	rows_of(&p->b, made_event(&p->mb, 1, 1));
	assert_false(sb_cl_fold(SB_CL_CALL, &p->a.row[SB_CL_CALL][0], &p->b.row[SB_CL_CALL][0]));
	assert_cell(&p->a, SB_CL_CALL, 0, "state", "ringing");
	assert_true(sb_cl_fold(SB_CL_CALL, &p->b.row[SB_CL_CALL][0], &p->a.row[SB_CL_CALL][0]));
	assert_cell(&p->b, SB_CL_CALL, 0, "state", "ringing");
	assert_cell(&p->b, SB_CL_CALL, 0, "last_sequence", "2");
	assert_false(sb_cl_fold(SB_CL_CALL, &p->b.row[SB_CL_CALL][0], &p->a.row[SB_CL_CALL][0]));
}

static void an_event_behind_the_end_does_not_take_the_end_away(void **state)
{
	struct pair *p = *state;

	made_begin(&p->ma, SB_CALL_ENDED, 1, 4, SB_ST_DISCONNECTED);
	made_end(&p->ma, "callee", "", "bye", 0);
	sb_put_u64(&p->ma.out, SB_C_DURATION_US, 5000000);
	rows_of(&p->a, made_done(&p->ma));
	made_begin(&p->mb, SB_CUSTOM, 1, 5, SB_ST_DISCONNECTED);
	sb_put_time(&p->mb.out, SB_C_ENDED_AT, AT0 + 9000000);
	made_text(&p->mb, SB_C_DID, "+442079460100");
	rows_of(&p->b, made_done(&p->mb));
	assert_true(sb_cl_fold(SB_CL_CALL, &p->a.row[SB_CL_CALL][0], &p->b.row[SB_CL_CALL][0]));
	assert_cell(&p->a, SB_CL_CALL, 0, "last_sequence", "5");
	assert_cell(&p->a, SB_CL_CALL, 0, "did", "+442079460100");
	assert_cell(&p->a, SB_CL_CALL, 0, "hangup_by", "callee");
	assert_cell(&p->a, SB_CL_CALL, 0, "duration_ms", "5000");
}

static void an_answer_that_overrules_a_failure_takes_the_end_away(void **state)
{
	struct pair *p = *state;

	made_begin(&p->ma, SB_CALL_FAILED, 1, 3, SB_ST_FAILED);
	made_end(&p->ma, "callee", "busy", "final_reply", 486);
	rows_of(&p->a, made_done(&p->ma));
	made_begin(&p->mb, SB_CALL_ANSWERED, 1, 4, SB_ST_CONFIRMED);
	sb_put_time(&p->mb.out, SB_C_ANSWERED_AT, AT0 + 9000000);
	rows_of(&p->b, made_done(&p->mb));
	assert_true(sb_cl_fold(SB_CL_CALL, &p->a.row[SB_CL_CALL][0], &p->b.row[SB_CL_CALL][0]));
	assert_cell(&p->a, SB_CL_CALL, 0, "outcome", "NULL");
	assert_cell(&p->a, SB_CL_CALL, 0, "sip_code", "NULL");
	assert_cell(&p->a, SB_CL_CALL, 0, "failed_at", "NULL");
}

static void an_attempt_that_is_over_takes_the_place_of_one_that_rang(void **state)
{
	struct pair *p = *state;

	rows_of(&p->a, made_event(&p->ma, 1, 2));
	made_begin(&p->mb, SB_X_ATTEMPT, 1, 0, SB_ST_RINGING);
	made_attempt(&p->mb, 1, 503, AT0 + 3000000);
	rows_of(&p->b, made_done(&p->mb));
	assert_true(sb_cl_fold(SB_CL_ATTEMPT, &p->a.row[SB_CL_ATTEMPT][0], &p->b.row[SB_CL_ATTEMPT][0]));
	assert_cell(&p->a, SB_CL_ATTEMPT, 0, "code", "503");
	assert_cell(&p->a, SB_CL_ATTEMPT, 0, "last_sequence", "2");
	/* again: nothing */
	assert_false(sb_cl_fold(SB_CL_ATTEMPT, &p->a.row[SB_CL_ATTEMPT][0], &p->b.row[SB_CL_ATTEMPT][0]));
	rows_of(&p->b, made_event(&p->mb, 1, 2));
	assert_false(sb_cl_fold(SB_CL_ATTEMPT, &p->a.row[SB_CL_ATTEMPT][0], &p->b.row[SB_CL_ATTEMPT][0]));
}

static void a_statement_that_does_not_fit_is_refused(void **state)
{
	char sql[16384];
	(void)state;

	for(unsigned t = 0; t < SB_CL_TABLES; t++) {
		for(unsigned d = 0; d < 2; d++) {
			int n = sb_cl_sql(sql, sizeof(sql), t, d);
			assert_int_equal(strlen(sql), n);
			assert_int_equal(-ENOSPC, sb_cl_sql(sql, (size_t)n, t, d));
			assert_int_equal(n, sb_cl_sql(sql, (size_t)n + 1, t, d));
		}
	}
}

int main(void)
{
#define ROWS(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define PAIR(f) cmocka_unit_test_setup_teardown(f, begin_pair, end_pair)
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(columns_are_those_of_the_schema),
			ROWS(every_event_makes_the_row_of_its_call_and_its_own),
			ROWS(an_answered_call_that_ended),
			ROWS(a_call_that_failed_has_failed_at),
			ROWS(an_attempt_that_was_cancelled_did_not_fail),
			ROWS(a_cdr_has_a_row_for_each_attempt),
			ROWS(text_is_cut_between_characters),
			ROWS(numbers_and_their_digits_backwards),
			ROWS(attributes_are_one_json_object),
			ROWS(what_does_not_fit_a_number_is_unknown),
			ROWS(a_record_without_call_time_or_number_is_no_event),
			PAIR(an_older_event_never_overwrites_a_newer_one),
			PAIR(an_event_behind_the_end_does_not_take_the_end_away),
			PAIR(an_answer_that_overrules_a_failure_takes_the_end_away),
			PAIR(an_attempt_that_is_over_takes_the_place_of_one_that_rang),
			cmocka_unit_test(a_statement_that_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
