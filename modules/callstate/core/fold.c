/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log back into calls: the newest of each column wins, attempts and attributes are taken as they come. */
#include "record.h"

#define MEDIA_MAX 640u

static const uint8_t text_of[256] = {
#define X(name, col, max) [col] = CS_T_##name + 1,
		CS_TEXTS(X)
#undef X
};

static uint8_t named(const char *(*name)(unsigned), unsigned count, const struct sb_field *f)
{
	for(unsigned i = 1; i < count; i++)
		if(strlen(name(i)) == f->len && memcmp(name(i), f->data, f->len) == 0)
			return (uint8_t)i;
	return 0;
}

static uint32_t delta(uint64_t at, uint64_t started)
{
	uint64_t d = at > started ? at - started : 1;

	return at == 0 ? 0 : d > UINT32_MAX ? UINT32_MAX : (uint32_t)d;
}

/* NULL: it had to make room for newer ones, or there are too many. */
static struct cs_attempt *attempt_numbered(struct cs_call *c, uint64_t n)
{
	struct cs_attempt *a;
	uint16_t total;

	if(n == 0 || n > UINT16_MAX)
		return NULL;
	if(n > c->attempts_total)
		c->attempts_total = (uint16_t)n;
	for(unsigned i = 0; i < c->attempts_kept; i++)
		if(c->attempt[i].n == n)
			return &c->attempt[i];
	if(c->attempts_kept == CS_ATTEMPTS && n < c->attempt[CS_ATTEMPTS - 1].n)
		return NULL;
	total = c->attempts_total;
	a = cs_attempt_new(c);
	if(a)
		a->n = (uint16_t)n;
	c->attempts_total = total;
	return a;
}

static void attempt_field(struct cs_call *c, struct cs_attempt *a, const struct sb_field *f)
{
	const char *s = (const char *)f->data;

	switch(f->col) {
		case SB_C_A_URI:
			cs_str_set(c, &a->uri, s, f->len, 128);
			break;
		case SB_C_A_DST:
			cs_str_set(c, &a->dst, s, f->len, 64);
			break;
		case SB_C_A_TRUNK:
			cs_str_set(c, &a->trunk, s, f->len, 64);
			break;
		case SB_C_A_AGENT:
			cs_str_set(c, &a->agent, s, f->len, 64);
			break;
		case SB_C_A_REASON:
			cs_str_set(c, &a->reason, s, f->len, 48);
			break;
		case SB_C_A_CODE:
			a->code = (uint16_t)sb_field_u64(f);
			a->flags |= CS_A_DONE;
			break;
		case SB_C_A_LOCAL:
			a->flags |= CS_A_LOCAL;
			break;
		case SB_C_A_STARTED_AT:
			a->started = sb_field_u64(f);
			break;
		case SB_C_A_RINGING_AT:
			a->ringing = delta(sb_field_u64(f), a->started);
			break;
		case SB_C_A_EARLY_AT:
			a->early = delta(sb_field_u64(f), a->started);
			break;
		case SB_C_A_ANSWERED_AT:
			a->answered = delta(sb_field_u64(f), a->started);
			break;
		case SB_C_A_ENDED_AT:
			a->ended = delta(sb_field_u64(f), a->started);
			break;
		case SB_C_A_PDD_US:
			a->pdd = (uint32_t)sb_field_u64(f);
			break;
		case SB_C_A_Q850:
			a->q850 = (uint16_t)sb_field_u64(f);
			break;
		case SB_C_A_BRANCH:
			a->branch = (uint8_t)sb_field_u64(f);
			break;
		default:
			break;
	}
}

/* A group holds all that is known of its attempt. The texts keep their places. */
static void clear_attempt(struct cs_attempt *a)
{
	a->ringing = a->early = a->answered = a->ended = a->pdd = 0;
	a->code = a->q850 = 0;
	a->flags &= CS_A_OLD;
	a->reason.len = 0;
}

static void attempt(struct cs_call *c, const struct sb_field *group)
{
	struct cs_attempt *a;
	struct sb_field f;
	struct sb_in in;

	if(!sb_find(group->data, group->len, SB_C_A_N, &f))
		return;
	a = attempt_numbered(c, sb_field_u64(&f));
	if(a == NULL)
		return;
	clear_attempt(a);
	sb_in_init(&in, group->data, group->len);
	while(sb_in_next(&in, &f) == 1)
		if(f.kind == sb_col_kind(f.col))
			attempt_field(c, a, &f);
}

/* Columns that are one number of the call. */
static const struct number_column
{
	uint8_t col, size;
	uint16_t offset;
} numbers[] = {
#define N(column, field)                                                                     \
	{                                                                                        \
		SB_C_##column, sizeof(((struct cs_call *)0)->field), offsetof(struct cs_call, field) \
	}
		N(SEQUENCE, sequence),
		N(STARTED_AT, started_at),
		N(RINGING_AT, ringing_at),
		N(EARLY_AT, early_at),
		N(ANSWERED_AT, answered_at),
		N(ENDED_AT, ended_at),
		N(ACK_AT, ack_at),
		N(DURATION_US, duration_us),
		N(PDD_US, pdd),
		N(HANGUP_CODE, code),
		N(Q850, q850),
		N(TRANSFER_CODE, xfer_code),
		N(F_INVITE_CSEQ, invite_cseq),
		N(F_CSEQ_A, cseq_a),
		N(F_CSEQ_B, cseq_b),
		N(F_MAX_DURATION, max_duration),
		N(F_MONO_START, mono_start),
		N(F_MONO_ANSWER, mono_answer),
#undef N
};

static void number(struct cs_call *c, const struct sb_field *f)
{
	uint64_t v = sb_field_u64(f);

	/* little endian, as the log is: the low bytes of v are the narrower number */
	for(size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if(numbers[i].col == f->col)
			memcpy((char *)c + numbers[i].offset, &v, numbers[i].size);
	if(f->col == SB_C_STATE && v <= SB_ST_TIMEOUT)
		c->state = (uint8_t)v;
	else if(f->col == SB_C_ATTEMPTS_TOTAL && v > c->attempts_total)
		c->attempts_total = v < UINT16_MAX ? (uint16_t)v : UINT16_MAX;
	else if(f->col == SB_C_F_FLAGS)
		c->flags = (c->flags & ~(unsigned)CS_F_LOGGED) | ((uint32_t)v & CS_F_LOGGED);
}

static void string(struct cs_call *c, const struct sb_field *f)
{
	const char *s = (const char *)f->data;
	const char *eq;

	if(text_of[f->col]) {
		cs_text_set(c, text_of[f->col] - 1, s, f->len);
		return;
	}
	switch(f->col) {
		case SB_C_ATTRIBUTE:
			eq = memchr(s, '=', f->len);
			if(eq)
				cs_attr_set(c, s, (size_t)(eq - s), eq + 1, f->len - (size_t)(eq + 1 - s));
			break;
		case SB_C_OUTCOME:
			c->outcome = named(cs_outcome_name, CS_O_EXPIRED + 1, f);
			break;
		case SB_C_HANGUP_CAUSE:
			c->cause = named(cs_cause_name, CS_C_REPLACED + 1, f);
			break;
		case SB_C_HANGUP_BY:
			c->by = named(cs_by_name, CS_BY_PROXY + 1, f);
			break;
		case SB_C_TRANSFER_KIND:
			c->xfer_code = 0;
			c->text[CS_T_XFER_REASON].len = 0;
			memset(c->xfer_to, 0, sizeof(c->xfer_to));
			break;
		default:
			break;
	}
}

/* x.hold, x.release (attempt 0: of whichever), and the holds of a checkpoint. */
static void hold(struct cs_call *c, bool release, unsigned attempt, const struct sb_field *f)
{
	for(unsigned i = 0; i < c->holds; i++) {
		struct cs_hold *h = &c->hold[i];

		if(h->attempt != attempt && !(release && attempt == 0))
			continue;
		if(h->what.len != f->len || memcmp(cs_ptr(c, h->what), f->data, f->len) != 0)
			continue;
		if(release) {
			memmove(h, h + 1, (c->holds - i - 1) * sizeof(*h));
			c->holds--;
		}
		return;
	}
	if(!release && f->len > 0)
		cs_hold_add(c, attempt, (const char *)f->data, f->len);
}

/* What is not in a record that could hold it has been taken away since. */
static void begin(struct cs_call *c, uint16_t type, const uint8_t *payload, size_t len)
{
	struct sb_field f;

	if(type == SB_CALL_ANSWERED)
		c->ended_at = 0;
	if(type == SB_CALL_ANSWERED || sb_find(payload, len, SB_C_HANGUP_BY, &f)) {
		c->outcome = c->by = c->cause = 0;
		c->code = c->q850 = 0;
		c->text[CS_T_HANGUP_REASON].len = c->text[CS_T_Q850_TEXT].len = 0;
	}
	if(!sb_find(payload, len, SB_C_SEQUENCE, &f))
		return;
	for(unsigned t = CS_T_DIRECTION; t <= CS_T_TRUNK; t++)
		c->text[t].len = 0;
	c->text[CS_T_ATTRS].len = 0;
}

static bool about_transfer(uint16_t type)
{
	return type == SB_X_DIALOG || type == SB_CALL_TRANSFERRED || type == SB_CALL_TRANSFER_FAILED;
}

void cs_fold(struct cs_call *c, uint16_t type, const uint8_t *payload, size_t len)
{
	uint8_t media[MEDIA_MAX];
	struct sb_out out = {.p = media, .cap = sizeof(media)};
	unsigned attempt_n = 0;
	struct sb_field f;
	struct sb_in in;

	begin(c, type, payload, len);
	sb_in_init(&in, payload, len);
	while(sb_in_next(&in, &f) == 1) {
		if(f.kind != sb_col_kind(f.col))
			continue;
		if(f.col == SB_C_ATTEMPT)
			attempt(c, &f);
		else if(f.col == SB_C_MEDIA)
			sb_put(&out, SB_C_MEDIA, SB_GROUP, f.data, f.len);
		else if(f.col == SB_C_HOLD_ATTEMPT)
			attempt_n = (uint16_t)sb_field_u64(&f);
		else if(f.col == SB_C_HOLD)
			hold(c, type == SB_X_RELEASE, attempt_n, &f);
		else if(f.col == SB_C_BY && about_transfer(type))
			c->xfer_by = named(cs_by_name, CS_BY_PROXY + 1, &f);
		else if(f.col == SB_C_CALL_ID)
			memcpy(c->id, f.data, sizeof(c->id));
		else if(f.col == SB_C_TRANSFERRED_FROM)
			memcpy(c->xfer_from, f.data, sizeof(c->xfer_from));
		else if(f.col == SB_C_TRANSFERRED_TO)
			memcpy(c->xfer_to, f.data, sizeof(c->xfer_to));
		else if(f.kind == SB_STR)
			string(c, &f);
		else
			number(c, &f);
	}
	if(out.len && !out.overflow)
		cs_text_set(c, CS_T_MEDIA, (char *)media, out.len);
	if(type == SB_CALL_CDR)
		c->flags |= CS_F_CDR_DONE;
}

bool cs_fold_same_boot(const uint8_t *payload, size_t len)
{
	struct sb_field f;

	return sb_find(payload, len, SB_C_F_BOOT, &f) && memcmp(f.data, cs_boot, sizeof(cs_boot)) == 0;
}
