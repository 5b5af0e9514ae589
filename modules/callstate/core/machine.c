/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Set-up and end of a call. Hold, updates and transfer: machine_dialog.c. */
#include "machine.h"

#define CODE_SEND_ERROR 477   /* tm's own, where an INVITE could not be sent */
#define GUARD_US 120000000ull /* tm forgets no transaction this long after its final reply */

static void finish(struct cs_call *c, enum cs_by by, enum cs_cause cause, const struct cs_ctx *x);

static uint32_t since(const struct cs_attempt *a, const struct cs_ctx *x)
{
	uint64_t d = x->now > a->started ? x->now - a->started : 1;

	return d > UINT32_MAX ? UINT32_MAX : (uint32_t)d;
}

static void text(struct cs_call *c, enum cs_text t, struct cs_span s)
{
	if(s.len)
		cs_text_set(c, t, s.s, s.len);
}

static void targets(struct cs_call *c, const struct cs_msg *m)
{
	if(m->contact.len && !cs_text_set(c, CS_T_CONTACT_B, m->contact.s, m->contact.len))
		c->flags |= CS_F_NO_CONTACT;
	if(m->route.len && !cs_text_set(c, CS_T_ROUTE_B, m->route.s, m->route.len))
		c->flags |= CS_F_NO_CONTACT;
	text(c, CS_T_SOCKET_B, m->socket);
}

static struct cs_attempt *attempt_for(struct cs_call *c, unsigned branch)
{
	if(!(branch & CS_BRANCH_OLD))
		return cs_attempt_of(c, branch);
	for(unsigned i = c->attempts_kept; i-- > 0;)
		if(c->attempt[i].branch == (branch & 0xff) && (c->attempt[i].flags & CS_A_OLD))
			return &c->attempt[i];
	return NULL;
}

void cs_on_start(struct cs_call *c, const struct cs_ctx *x)
{
	c->state = SB_ST_CALLING;
	c->started_at = x->now;
	c->mono_start = x->mono;
	x->emit(c, SB_CALL_INITIATED, NULL, x);
}

void cs_on_continue(struct cs_call *c, uint32_t cseq)
{
	c->invite_cseq = cseq;
	c->flags &= ~(unsigned)CS_F_AUTH_WAIT;
	c->code = 0;
	c->text[CS_T_HANGUP_REASON].len = 0;
	c->deadline = 0;
	for(unsigned i = 0; i < c->attempts_kept; i++)
		c->attempt[i].flags |= CS_A_OLD;
}

void cs_on_attempt(struct cs_call *c, unsigned branch, struct cs_span uri, const struct cs_ctx *x)
{
	struct cs_attempt *a = cs_attempt_new(c);
	size_t len;
	const char *s;

	if(a == NULL)
		return;
	a->branch = (uint8_t)branch;
	a->started = x->now;
	cs_str_set(c, &a->uri, uri.s, uri.len, 128);
	s = cs_text(c, CS_T_TRUNK, &len);
	cs_str_set(c, &a->trunk, s, len, 64);
	s = cs_text(c, CS_T_AGENT, &len);
	cs_str_set(c, &a->agent, s, len, 64);
	x->emit(c, SB_X_ATTEMPT, a, x);
}

static void progress(struct cs_call *c, struct cs_attempt *a, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(!cs_in_setup(c) || m->code < 180)
		return;
	if(c->pdd == 0)
		c->pdd = (uint32_t)(x->mono - c->mono_start);
	if(a && a->pdd == 0)
		a->pdd = since(a, x);
	if(m->has_sdp)
		text(c, CS_T_MEDIA, m->media);
	if(m->code == 180) {
		if(a ? a->ringing : c->ringing_at)
			return;
		if(a)
			a->ringing = since(a, x);
		if(c->ringing_at == 0)
			c->ringing_at = x->now;
		c->state = SB_ST_RINGING;
		x->emit(c, SB_CALL_RINGING, a, x);
	} else if(m->has_sdp) {
		if(a ? a->early : c->early_at)
			return;
		if(a)
			a->early = since(a, x);
		if(c->early_at == 0)
			c->early_at = x->now;
		c->state = SB_ST_EARLY_MEDIA;
		x->emit(c, SB_CALL_EARLY_MEDIA, a, x);
	}
}

static void answer(struct cs_call *c, struct cs_attempt *a, const struct cs_msg *m, const struct cs_ctx *x)
{
	c->flags &= ~(unsigned)(CS_F_CANCELLED | CS_F_AUTH_WAIT | CS_F_INFERRED);
	c->by = c->outcome = c->cause = 0;
	c->code = 0;
	c->text[CS_T_HANGUP_REASON].len = 0;
	if(!(c->flags & CS_F_BYE_EARLY))
		c->q850 = c->text[CS_T_Q850_TEXT].len = 0;
	c->ended_at = 0;
	c->state = SB_ST_CONFIRMED;
	if(x->inferred)
		c->flags |= CS_F_INFERRED;
	else
		c->answered_at = x->now;
	c->mono_answer = x->mono;
	c->deadline = c->max_duration ? x->mono + c->max_duration * 1000000ull : 0;
	if(m->to_tag.len && !cs_text_set(c, CS_T_TO_TAG, m->to_tag.s, m->to_tag.len))
		c->flags |= CS_F_NO_CONTACT;
	targets(c, m);
	if(m->has_sdp) {
		text(c, CS_T_MEDIA, m->media);
		c->media_print = m->sdp.print;
	}
	if(a) {
		a->answered = x->inferred ? 0 : since(a, x);
		a->code = x->inferred ? 0 : m->code;
		a->ended = 0;
		a->q850 = 0;
		a->reason.len = 0;
		a->flags &= ~(unsigned)(CS_A_LOCAL | CS_A_DONE);
		a->flags |= x->inferred ? 0 : CS_A_DONE;
	}
	x->emit(c, SB_CALL_ANSWERED, a, x);
}

static void second_answer(struct cs_call *c, struct cs_attempt *a, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(m->to_tag.len && !cs_text_is(c, CS_T_TO_TAG, m->to_tag.s, m->to_tag.len)) {
		c->flags |= CS_F_TWO_DIALOGS;
		if(a && !(a->flags & CS_A_DONE)) {
			a->answered = since(a, x);
			a->code = m->code;
			a->flags |= CS_A_DONE;
			x->emit(c, SB_X_ATTEMPT, a, x);
		}
		return;
	}
	if(c->text[CS_T_CONTACT_B].len == 0 && m->contact.len) {
		targets(c, m);
		x->emit(c, SB_X_DIALOG, NULL, x);
	}
}

static void accepted(struct cs_call *c, struct cs_attempt *a, const struct cs_msg *m, const struct cs_ctx *x)
{
	answer(c, a, m, x);
	if(c->flags & CS_F_BYE_EARLY)
		finish(c, CS_BY_CALLEE, CS_C_BYE, x);
}

void cs_on_reply(struct cs_call *c, unsigned branch, const struct cs_msg *m, const struct cs_ctx *x)
{
	struct cs_attempt *a = attempt_for(c, branch);

	if(a && m->dst.len && a->dst.len == 0)
		cs_str_set(c, &a->dst, m->dst.s, m->dst.len, 64);
	if(m->code < 200)
		progress(c, a, m, x);
	else if(cs_answered(c))
		second_answer(c, a, m, x);
	else if(c->state != SB_ST_DISCONNECTED && !(c->flags & CS_F_CDR_DONE))
		accepted(c, a, m, x);
}

void cs_on_branch_final(struct cs_call *c, unsigned branch, const struct cs_msg *m, const struct cs_ctx *x)
{
	struct cs_attempt *a = attempt_for(c, branch);

	if(a == NULL || (a->flags & CS_A_DONE))
		return;
	a->code = m->code;
	a->q850 = m->why.q850;
	a->ended = since(a, x);
	a->flags |= CS_A_DONE | (m->local ? CS_A_LOCAL : 0);
	if(m->dst.len && a->dst.len == 0)
		cs_str_set(c, &a->dst, m->dst.s, m->dst.len, 64);
	cs_str_set(c, &a->reason, m->reason.s, m->reason.len, 48);
	x->emit(c, SB_X_ATTEMPT, a, x);
}

enum cs_outcome cs_outcome_of(unsigned code)
{
	switch(code) {
		case 486:
		case 600:
			return CS_O_BUSY;
		case 487:
			return CS_O_CANCELLED;
		case 480:
		case 410:
		case 408:
		case 477:
		case 502:
		case 503:
		case 504:
			return CS_O_UNAVAILABLE;
		case 401:
		case 403:
		case 407:
			return CS_O_FORBIDDEN;
		case 404:
		case 484:
		case 604:
			return CS_O_NOT_FOUND;
		case 400:
		case 415:
		case 420:
		case 482:
		case 483:
		case 488:
		case 606:
			return CS_O_ERROR;
		default:
			return code >= 500 && code < 600 ? CS_O_ERROR : CS_O_REJECTED;
	}
}

static bool rang(const struct cs_call *c)
{
	return c->ringing_at || c->early_at;
}

/* The attempt that a final answer speaks of. */
static struct cs_attempt *attempt_with(struct cs_call *c, unsigned code)
{
	for(unsigned i = c->attempts_kept; i-- > 0;)
		if(c->attempt[i].code == code)
			return &c->attempt[i];
	return c->attempts_kept ? &c->attempt[c->attempts_kept - 1] : NULL;
}

static void close_call(struct cs_call *c, enum sb_state state, const struct cs_ctx *x)
{
	c->state = (uint8_t)state;
	c->ended_at = x->now;
	c->deadline = x->mono + (c->flags & CS_F_ATTACHED ? GUARD_US : CS_LINGER_US);
	c->flags &= ~(unsigned)(CS_F_AUTH_WAIT | CS_F_ENDING);
}

static void write_cdr(struct cs_call *c, const struct cs_ctx *x)
{
	if(c->flags & CS_F_CDR_DONE)
		return;
	c->flags |= CS_F_CDR_DONE;
	x->emit(c, SB_CALL_CDR, NULL, x);
}

static void why(struct cs_call *c, const struct cs_msg *m)
{
	if(m->why.q850) {
		c->q850 = m->why.q850;
		text(c, CS_T_Q850_TEXT, m->why.q850_text);
	}
}

static void fail(struct cs_call *c, enum cs_by by, enum cs_outcome o, enum cs_cause cause, struct cs_attempt *a,
		const struct cs_ctx *x)
{
	c->by = (uint8_t)by;
	c->outcome = (uint8_t)o;
	c->cause = (uint8_t)cause;
	close_call(c, SB_ST_FAILED, x);
	x->emit(c, SB_CALL_FAILED, a, x);
}

static void time_out(
		struct cs_call *c, enum cs_by by, enum cs_cause cause, struct cs_attempt *a, const struct cs_ctx *x)
{
	c->by = (uint8_t)by;
	c->outcome = rang(c) ? CS_O_NO_ANSWER : CS_O_NO_RESPONSE;
	if(cause == CS_C_NONE)
		cause = rang(c) ? CS_C_NO_ANSWER : CS_C_NO_RESPONSE;
	c->cause = (uint8_t)cause;
	close_call(c, SB_ST_TIMEOUT, x);
	x->emit(c, SB_CALL_TIMEOUT, a, x);
}

static void said(struct cs_call *c, const struct cs_attempt *a)
{
	char reason[64];

	memcpy(reason, cs_ptr(c, a->reason), a->reason.len);
	c->code = a->code;
	c->q850 = a->q850;
	cs_text_set(c, CS_T_HANGUP_REASON, reason, a->reason.len);
}

static void cancelled(struct cs_call *c, struct cs_attempt *a, const struct cs_ctx *x)
{
	enum cs_by by = c->cause == CS_C_RPC ? CS_BY_PROXY : CS_BY_CALLER;

	fail(c, by, CS_O_CANCELLED, c->cause ? c->cause : CS_C_CANCEL, a, x);
}

static void settle(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	struct cs_attempt *a = attempt_with(c, m->code);
	bool timer = a && a->code == 408 && (a->flags & CS_A_LOCAL);

	c->code = m->code;
	if(c->cause != CS_C_RPC)
		text(c, CS_T_HANGUP_REASON, m->reason);
	why(c, m);
	if(c->flags & CS_F_CANCELLED) {
		cancelled(c, a, x);
	} else if(m->local && m->code != CODE_SEND_ERROR && (m->code == 408 || timer)) {
		time_out(c, CS_BY_PROXY, CS_C_NONE, a, x);
	} else if(m->local && a && (a->flags & CS_A_LOCAL)) {
		fail(c, CS_BY_PROXY, CS_O_UNAVAILABLE, CS_C_SEND_ERROR, a, x);
	} else if(m->code == 500 && a && a->code == 503 && !(a->flags & CS_A_LOCAL)) {
		/* tm gives the caller 500 for a callee's 503 (RFC 3261 16.7 point 6); what matters is what the callee said */
		said(c, a);
		fail(c, CS_BY_CALLEE, CS_O_UNAVAILABLE, CS_C_FINAL_REPLY, a, x);
	} else {
		if(c->q850 == 0 && a && a->code == m->code)
			c->q850 = a->q850;
		fail(c, m->local ? CS_BY_PROXY : CS_BY_CALLEE, cs_outcome_of(m->code), CS_C_FINAL_REPLY, a, x);
	}
}

void cs_on_final(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(!cs_in_setup(c))
		return;
	if(!m->local && !(c->flags & CS_F_CANCELLED)
			&& (m->code == 401 || m->code == 407 || m->code == 422 || m->code == 494)) {
		c->flags |= CS_F_AUTH_WAIT;
		c->code = m->code;
		text(c, CS_T_HANGUP_REASON, m->reason);
		c->deadline = x->mono + CS_AUTH_WAIT_US;
		return;
	}
	settle(c, m, x);
}

void cs_on_cancel(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(!cs_in_setup(c) || (c->flags & CS_F_CANCELLED))
		return;
	c->flags |= CS_F_CANCELLED;
	why(c, m);
	if(!(c->flags & CS_F_ATTACHED))
		c->deadline = x->mono + CS_CANCEL_WAIT_US;
	x->emit(c, SB_X_DIALOG, NULL, x);
}

bool cs_cancel_begin(struct cs_call *c, enum cs_cause cause, const struct cs_ctx *x)
{
	if(!cs_in_setup(c) || (c->flags & CS_F_CANCELLED))
		return false;
	c->flags |= CS_F_CANCELLED;
	c->cause = (uint8_t)cause;
	if(!(c->flags & CS_F_ATTACHED))
		c->deadline = x->mono + CS_LINGER_US;
	x->emit(c, SB_X_DIALOG, NULL, x);
	return true;
}

static void infer_answer(struct cs_call *c, struct cs_span to_tag, const struct cs_ctx *x)
{
	struct cs_ctx y = *x;
	struct cs_msg proved = {.to_tag = to_tag};

	y.inferred = true;
	answer(c, cs_attempt_last(c), &proved, &y);
}

void cs_on_ack(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(cs_in_setup(c) && (c->flags & CS_F_RESTORED) && !(c->flags & CS_F_ATTACHED))
		infer_answer(c, m->to_tag, x);
	if(!cs_answered(c) || c->ack_at)
		return;
	c->ack_at = x->now;
	c->flags &= ~(unsigned)CS_F_ACK_UNKNOWN;
}

static void finish(struct cs_call *c, enum cs_by by, enum cs_cause cause, const struct cs_ctx *x)
{
	c->by = (uint8_t)by;
	c->cause = (uint8_t)cause;
	c->duration_us = c->answered_at && x->mono > c->mono_answer ? x->mono - c->mono_answer : 0;
	close_call(c, SB_ST_DISCONNECTED, x);
	x->emit(c, SB_CALL_ENDED, NULL, x);
	write_cdr(c, x);
	c->deadline = x->mono + CS_ENDED_US;
}

static void give_up_early(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(c->flags & CS_F_CANCELLED)
		return;
	c->flags |= CS_F_CANCELLED;
	c->cause = CS_C_BYE_BEFORE_ANSWER;
	why(c, m);
	x->emit(c, SB_X_DIALOG, NULL, x);
}

void cs_on_bye(struct cs_call *c, enum cs_by by, const struct cs_msg *m, const struct cs_ctx *x)
{
	bool gone = (c->flags & CS_F_RESTORED) && !(c->flags & CS_F_ATTACHED);

	if(cs_in_setup(c)) {
		if(gone) {
			infer_answer(c, m->to_tag, x);
		} else if(by == CS_BY_CALLEE) {
			c->flags |= CS_F_BYE_EARLY;
			c->deadline = x->mono + CS_OVERTAKEN_US;
			why(c, m);
			return;
		} else {
			give_up_early(c, m, x);
			return;
		}
	}
	if(!cs_answered(c))
		return;
	why(c, m);
	if(c->flags & CS_F_ENDING)
		finish(c, CS_BY_PROXY, c->cause, x);
	else
		finish(c, by, CS_C_BYE, x);
}

void cs_on_destroyed(struct cs_call *c, const struct cs_ctx *x)
{
	static const struct cs_msg nothing = {.local = true};

	c->flags &= ~(unsigned)CS_F_ATTACHED;
	if(cs_in_setup(c) && !(c->flags & CS_F_AUTH_WAIT))
		cs_on_script_end(c, &nothing, x);
	if(c->state == SB_ST_FAILED || c->state == SB_ST_TIMEOUT) {
		write_cdr(c, x);
		c->deadline = x->mono;
	}
}

void cs_on_script_end(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(!cs_in_setup(c) || (c->flags & CS_F_ATTACHED))
		return;
	if(m->code == 401 || m->code == 407) {
		c->flags |= CS_F_AUTH_WAIT;
		c->code = m->code;
		c->deadline = x->mono + CS_AUTH_WAIT_US;
		return;
	}
	if(m->code >= 300)
		settle(c, m, x);
	else
		fail(c, CS_BY_PROXY, CS_O_ERROR, CS_C_DROPPED, NULL, x);
}

bool cs_end_begin(struct cs_call *c, enum cs_cause cause, const struct cs_ctx *x)
{
	if(!cs_answered(c) || (c->flags & CS_F_ENDING))
		return false;
	c->flags |= CS_F_ENDING | CS_F_BYE_A | CS_F_BYE_B;
	c->flags &= ~(unsigned)CS_F_BYE_OK;
	c->cause = (uint8_t)cause;
	c->deadline = x->mono + CS_LIMIT_SLACK_US;
	return true;
}

static void expire(struct cs_call *c, const struct cs_ctx *x)
{
	c->by = CS_BY_UNKNOWN;
	c->outcome = CS_O_EXPIRED;
	close_call(c, SB_ST_TIMEOUT, x);
	x->emit(c, SB_CALL_TIMEOUT, NULL, x);
	write_cdr(c, x);
	c->deadline = x->mono + CS_LINGER_US;
}

void cs_end_reply(struct cs_call *c, enum cs_by side, int code, const struct cs_ctx *x)
{
	c->flags &= ~(unsigned)(side == CS_BY_CALLER ? CS_F_BYE_A : CS_F_BYE_B);
	if(code >= 200 && code < 300)
		c->flags |= CS_F_BYE_OK;
	if(!cs_answered(c) || !(c->flags & CS_F_ENDING) || (c->flags & (CS_F_BYE_A | CS_F_BYE_B)))
		return;
	if(c->flags & CS_F_BYE_OK)
		finish(c, CS_BY_PROXY, c->cause, x);
	else
		expire(c, x);
}

/* A set-up that lost its transaction in a restart, and of which nothing came any more. */
static void give_up(struct cs_call *c, const struct cs_ctx *x)
{
	struct cs_ctx y = *x;

	y.inferred = true;
	if(c->flags & CS_F_CANCELLED)
		cancelled(c, cs_attempt_last(c), &y);
	else
		time_out(c, CS_BY_UNKNOWN, CS_C_LOST, cs_attempt_last(c), &y);
	write_cdr(c, x);
}

enum cs_due cs_on_deadline(struct cs_call *c, const struct cs_ctx *x)
{
	if(cs_over(c)) {
		write_cdr(c, x);
		return CS_DUE_FREE;
	}
	if(c->flags & CS_F_ENDING) {
		if(c->flags & CS_F_BYE_OK)
			finish(c, CS_BY_PROXY, c->cause, x);
		else
			expire(c, x);
		return CS_DUE_AGAIN;
	}
	if(cs_answered(c))
		return CS_DUE_LIMIT;
	if(c->flags & CS_F_BYE_EARLY) {
		infer_answer(c, (struct cs_span){0}, x);
		finish(c, CS_BY_CALLEE, CS_C_BYE, x);
	} else if(c->flags & CS_F_AUTH_WAIT) {
		struct cs_msg m = {.code = c->code};

		settle(c, &m, x);
		write_cdr(c, x);
	} else if(!(c->flags & CS_F_ATTACHED)) {
		give_up(c, x);
	} else {
		c->deadline = 0;
	}
	return CS_DUE_AGAIN;
}

void cs_on_restored(struct cs_call *c, uint64_t now, uint64_t mono, bool same_boot, uint64_t setup_timeout_us)
{
	c->flags |= CS_F_RESTORED;
	for(unsigned i = 0; i < c->attempts_kept; i++)
		c->attempt[i].flags |= CS_A_OLD;
	if(!same_boot) {
		uint64_t age = now > c->started_at ? now - c->started_at : 0;

		c->mono_start = mono > age ? mono - age : 0;
		age = now > c->answered_at ? now - c->answered_at : 0;
		c->mono_answer = mono > age ? mono - age : 0;
		c->flags |= CS_F_WALL;
	}
	if(cs_answered(c)) {
		c->flags |= CS_F_ACK_UNKNOWN;
		c->deadline = c->max_duration ? c->mono_answer + c->max_duration * 1000000ull : 0;
	} else if(cs_in_setup(c)) {
		c->deadline = mono + (c->flags & CS_F_CANCELLED ? CS_CANCEL_WAIT_US : setup_timeout_us);
	} else {
		c->deadline = mono;
	}
}
