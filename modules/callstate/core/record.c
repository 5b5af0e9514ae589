/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "record.h"

uint8_t cs_boot[16];

struct text_column
{
	uint8_t text, col;
};

static const struct text_column texts[] = {
#define X(name, col, max) {CS_T_##name, col},
		CS_TEXTS(X)
#undef X
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static void put_text(const struct cs_call *c, enum cs_text t, struct sb_out *o)
{
	size_t len;
	const char *s = cs_text(c, t, &len);

	sb_put_str(o, texts[t].col, s, len);
}

static void put_str(const struct cs_call *c, struct cs_str s, enum sb_col col, struct sb_out *o)
{
	sb_put_str(o, col, cs_ptr(c, s), s.len);
}

static void put_raw(const struct cs_call *c, enum cs_text t, struct sb_out *o)
{
	size_t len;
	const char *s = cs_text(c, t, &len);

	if(o->len + len > o->cap) {
		o->overflow = true;
		return;
	}
	memcpy(o->p + o->len, s, len);
	o->len += len;
}

static void put_nonzero(struct sb_out *o, enum sb_col col, uint64_t v)
{
	if(v)
		sb_put_u64(o, col, v);
}

static void put_const(struct sb_out *o, enum sb_col col, const char *s)
{
	sb_put_str(o, col, s, strlen(s));
}

static void put_span(struct sb_out *o, enum sb_col col, struct cs_span s)
{
	sb_put_str(o, col, s.s, s.len);
}

static uint64_t after(uint64_t started, uint32_t delta)
{
	return delta ? started + delta : 0;
}

static void put_attempt(const struct cs_call *c, const struct cs_attempt *a, struct sb_out *o)
{
	size_t mark = sb_group_begin(o, SB_C_ATTEMPT);

	sb_put_u64(o, SB_C_A_N, a->n);
	put_str(c, a->uri, SB_C_A_URI, o);
	put_str(c, a->dst, SB_C_A_DST, o);
	put_str(c, a->trunk, SB_C_A_TRUNK, o);
	put_str(c, a->agent, SB_C_A_AGENT, o);
	put_nonzero(o, SB_C_A_CODE, a->code);
	put_str(c, a->reason, SB_C_A_REASON, o);
	if(a->flags & CS_A_LOCAL)
		sb_put_u64(o, SB_C_A_LOCAL, 1);
	sb_put_time(o, SB_C_A_STARTED_AT, a->started);
	sb_put_time(o, SB_C_A_RINGING_AT, after(a->started, a->ringing));
	sb_put_time(o, SB_C_A_EARLY_AT, after(a->started, a->early));
	sb_put_time(o, SB_C_A_ANSWERED_AT, after(a->started, a->answered));
	sb_put_time(o, SB_C_A_ENDED_AT, after(a->started, a->ended));
	put_nonzero(o, SB_C_A_PDD_US, a->pdd);
	put_nonzero(o, SB_C_A_Q850, a->q850);
	sb_put_u64(o, SB_C_A_BRANCH, a->branch);
	sb_group_end(o, mark);
}

static void put_attempts(const struct cs_call *c, struct sb_out *o)
{
	for(unsigned i = 0; i < c->attempts_kept; i++)
		put_attempt(c, &c->attempt[i], o);
}

static void put_sip(const struct cs_call *c, const struct cs_ctx *x, struct sb_out *o)
{
	put_span(o, SB_C_SIP_METHOD, x->method);
	put_span(o, SB_C_SIP_BRANCH, x->branch);
	put_nonzero(o, SB_C_SIP_CSEQ, x->cseq);
	put_nonzero(o, SB_C_SIP_CODE, x->code);
	put_span(o, SB_C_SIP_REASON, x->reason);
	put_text(c, CS_T_FROM_TAG, o);
	put_text(c, CS_T_TO_TAG, o);
}

static void put_end(const struct cs_call *c, struct sb_out *o)
{
	put_const(o, SB_C_HANGUP_BY, cs_by_name(c->by));
	put_const(o, SB_C_OUTCOME, cs_outcome_name(c->outcome));
	put_const(o, SB_C_HANGUP_CAUSE, cs_cause_name(c->cause));
	put_nonzero(o, SB_C_HANGUP_CODE, c->code);
	put_text(c, CS_T_HANGUP_REASON, o);
	put_nonzero(o, SB_C_Q850, c->q850);
	put_text(c, CS_T_Q850_TEXT, o);
	if(c->duration_us || c->state == SB_ST_DISCONNECTED) {
		if(c->answered_at)
			sb_put_u64(o, SB_C_DURATION_US, c->duration_us);
		if(c->flags & CS_F_WALL)
			sb_put_u64(o, SB_C_DURATION_WALL, 1);
	}
}

static void put_transfer(const struct cs_call *c, struct sb_out *o)
{
	if(c->text[CS_T_XFER_TARGET].len) {
		put_const(o, SB_C_TRANSFER_KIND, c->flags & CS_F_XFER_ATTENDED ? "attended" : "blind");
		put_text(c, CS_T_XFER_TARGET, o);
		put_nonzero(o, SB_C_TRANSFER_CODE, c->xfer_code);
		put_text(c, CS_T_XFER_REASON, o);
	}
	sb_put_uuid(o, SB_C_TRANSFERRED_FROM, c->xfer_from);
	sb_put_uuid(o, SB_C_TRANSFERRED_TO, c->xfer_to);
}

static void put_identity(const struct cs_call *c, struct sb_out *o)
{
	sb_put_uuid(o, SB_C_CALL_ID, c->id);
	put_text(c, CS_T_SIP_CALL_ID, o);
}

static void put_parties(const struct cs_call *c, struct sb_out *o)
{
	for(enum cs_text t = CS_T_FROM_URI; t <= CS_T_SOURCE; t++)
		put_text(c, t, o);
	put_raw(c, CS_T_ATTRS, o);
}

static void put_times(const struct cs_call *c, struct sb_out *o)
{
	sb_put_time(o, SB_C_STARTED_AT, c->started_at);
	sb_put_time(o, SB_C_RINGING_AT, c->ringing_at);
	sb_put_time(o, SB_C_EARLY_AT, c->early_at);
	sb_put_time(o, SB_C_ANSWERED_AT, c->answered_at);
	sb_put_time(o, SB_C_ENDED_AT, c->ended_at);
	put_nonzero(o, SB_C_PDD_US, c->pdd);
}

static void put_fold(const struct cs_call *c, bool caller, bool callee, struct sb_out *o)
{
	if(caller) {
		put_text(c, CS_T_CONTACT_A, o);
		put_text(c, CS_T_ROUTE_A, o);
		put_text(c, CS_T_SOCKET_A, o);
		sb_put_u64(o, SB_C_F_INVITE_CSEQ, c->invite_cseq);
		sb_put_u64(o, SB_C_F_MONO_START, c->mono_start);
		sb_put_uuid(o, SB_C_F_BOOT, cs_boot);
		sb_put_u64(o, SB_C_F_MAX_DURATION, c->max_duration);
	}
	if(callee) {
		put_text(c, CS_T_CONTACT_B, o);
		put_text(c, CS_T_ROUTE_B, o);
		put_text(c, CS_T_SOCKET_B, o);
		sb_put_u64(o, SB_C_F_MONO_ANSWER, c->mono_answer);
		sb_put_uuid(o, SB_C_F_BOOT, cs_boot);
		sb_put_u64(o, SB_C_F_MAX_DURATION, c->max_duration);
	}
	put_nonzero(o, SB_C_F_CSEQ_A, c->cseq_a);
	put_nonzero(o, SB_C_F_CSEQ_B, c->cseq_b);
	sb_put_u64(o, SB_C_F_FLAGS, c->flags & CS_F_LOGGED);
}

static void put_ack(const struct cs_call *c, struct sb_out *o)
{
	/* 0 = it did not come; not there = not known */
	if(c->ack_at || (c->flags & (CS_F_ACK_UNKNOWN | CS_F_INFERRED)) == 0)
		sb_put(o, SB_C_ACK_AT, SB_TIME, &c->ack_at, sizeof(c->ack_at));
}

static void put_event(
		const struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x, struct sb_out *o)
{
	bool end = type == SB_CALL_ENDED || type == SB_CALL_FAILED || type == SB_CALL_TIMEOUT || type == SB_CALL_CDR;

	sb_put_u64(o, SB_C_SEQUENCE, c->sequence);
	put_parties(c, o);
	put_times(c, o);
	if(c->flags & CS_F_INFERRED || x->inferred)
		sb_put_u64(o, SB_C_INFERRED, 1);
	sb_put_u64(o, SB_C_ATTEMPTS_TOTAL, c->attempts_total);
	if(type == SB_CALL_CDR)
		put_attempts(c, o);
	else if(a)
		put_attempt(c, a, o);
	if(end)
		put_end(c, o);
	if(type == SB_CALL_ENDED || type == SB_CALL_CDR || type == SB_CALL_TIMEOUT)
		if(c->mono_answer)
			put_ack(c, o);
	put_transfer(c, o);
	if(type == SB_CALL_HELD || type == SB_CALL_RESUMED || type == SB_CALL_UPDATED)
		put_const(o, SB_C_BY, cs_by_name(c->last_by));
	if(type == SB_CALL_TRANSFERRED || type == SB_CALL_TRANSFER_FAILED)
		put_const(o, SB_C_BY, cs_by_name(c->xfer_by));
	put_span(o, SB_C_NAME, x->name);
	put_span(o, SB_C_TEXT, x->text);
	put_raw(c, CS_T_MEDIA, o);
	put_sip(c, x, o);
	put_fold(c, type == SB_CALL_INITIATED, type == SB_CALL_ANSWERED, o);
}

void cs_encode(
		const struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x, struct sb_out *o)
{
	put_identity(c, o);
	sb_put_time(o, SB_C_AT, x->now);
	sb_put_u64(o, SB_C_STATE, c->state);
	if(!sb_type_internal(type)) {
		put_event(c, type, a, x, o);
		return;
	}
	if(a)
		put_attempt(c, a, o);
	if(type == SB_X_HOLD || type == SB_X_RELEASE) {
		sb_put_u64(o, SB_C_HOLD_ATTEMPT, x->code);
		put_span(o, SB_C_HOLD, x->text);
	}
	if(type == SB_X_DIALOG) {
		if(c->flags & CS_F_CANCELLED)
			put_end(c, o);
		put_transfer(c, o);
		put_const(o, SB_C_BY, cs_by_name(c->xfer_by));
		put_fold(c, true, true, o);
	}
}

static void put_holds(const struct cs_call *c, struct sb_out *o)
{
	for(unsigned i = 0; i < c->holds; i++) {
		sb_put_u64(o, SB_C_HOLD_ATTEMPT, c->hold[i].attempt);
		put_str(c, c->hold[i].what, SB_C_HOLD, o);
	}
}

void cs_encode_whole(const struct cs_call *c, const struct cs_ctx *x, struct sb_out *o)
{
	put_identity(c, o);
	sb_put_time(o, SB_C_AT, x->now);
	sb_put_u64(o, SB_C_STATE, c->state);
	sb_put_u64(o, SB_C_SEQUENCE, c->sequence);
	put_parties(c, o);
	put_times(c, o);
	sb_put_u64(o, SB_C_ATTEMPTS_TOTAL, c->attempts_total);
	put_attempts(c, o);
	if(cs_over(c) || (c->flags & CS_F_CANCELLED))
		put_end(c, o);
	put_transfer(c, o);
	put_const(o, SB_C_BY, cs_by_name(c->xfer_by));
	put_holds(c, o);
	put_raw(c, CS_T_MEDIA, o);
	put_text(c, CS_T_FROM_TAG, o);
	put_text(c, CS_T_TO_TAG, o);
	put_fold(c, true, true, o);
}
