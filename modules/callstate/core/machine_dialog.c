/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens in an answered call: hold, changed media, transfer. */
#include "machine.h"

static unsigned held_flag(enum cs_by by)
{
	return by == CS_BY_CALLER ? CS_F_HELD_A : CS_F_HELD_B;
}

static void hold(struct cs_call *c, enum cs_by by, bool on, const struct cs_ctx *x)
{
	unsigned flag = held_flag(by);

	if(on == !!(c->flags & flag))
		return;
	c->flags ^= flag;
	c->last_by = (uint8_t)by;
	c->state = c->flags & (CS_F_HELD_A | CS_F_HELD_B) ? SB_ST_HELD : SB_ST_CONFIRMED;
	x->emit(c, on ? SB_CALL_HELD : SB_CALL_RESUMED, NULL, x);
}

/* RFC 3261 12.2.1.1: target refresh. @return true if something changed */
static bool refresh(struct cs_call *c, enum cs_text t, struct cs_span contact)
{
	if(contact.len == 0 || cs_text_is(c, t, contact.s, contact.len))
		return false;
	if(!cs_text_set(c, t, contact.s, contact.len))
		c->flags |= CS_F_NO_CONTACT;
	return true;
}

static void media(struct cs_call *c, enum cs_by by, const struct cs_msg *answer, const struct cs_ctx *x)
{
	bool changed = c->media_print && c->media_print != answer->sdp.print;

	c->media_print = answer->sdp.print;
	if(!changed)
		return;
	cs_text_set(c, CS_T_MEDIA, answer->media.s, answer->media.len);
	c->last_by = (uint8_t)by;
	x->emit(c, SB_CALL_UPDATED, NULL, x);
}

void cs_on_offer_done(struct cs_call *c, enum cs_by by, const struct cs_msg *offer, const struct cs_msg *answer,
		const struct cs_ctx *x)
{
	bool caller = by == CS_BY_CALLER;
	bool moved;

	if(!cs_answered(c) || (c->offer_cseq == x->cseq && c->offer_by == by))
		return;
	c->offer_cseq = x->cseq;
	c->offer_by = by;
	moved = refresh(c, caller ? CS_T_CONTACT_A : CS_T_CONTACT_B, offer->contact);
	moved |= refresh(c, caller ? CS_T_CONTACT_B : CS_T_CONTACT_A, answer->contact);
	if(moved)
		x->emit(c, SB_X_DIALOG, NULL, x);
	c->flags &= ~(unsigned)CS_F_OFFER_LATE;
	if(!answer->has_sdp)
		return;
	if(offer->has_sdp) {
		bool held = offer->sdp.hold;

		if(held != !!(c->flags & held_flag(by)))
			cs_text_set(c, CS_T_MEDIA, offer->media.s, offer->media.len);
		hold(c, by, held, x);
	} else {
		c->flags |= CS_F_OFFER_LATE;
		hold(c, caller ? CS_BY_CALLEE : CS_BY_CALLER, answer->sdp.hold, x);
	}
	media(c, by, answer, x);
}

void cs_on_late_answer(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(!(c->flags & CS_F_OFFER_LATE) || !m->has_sdp || x->cseq != c->offer_cseq || !cs_answered(c))
		return;
	c->flags &= ~(unsigned)CS_F_OFFER_LATE;
	hold(c, c->offer_by, m->sdp.hold, x);
}

void cs_on_refer(struct cs_call *c, enum cs_by by, const struct cs_refer *r, const struct cs_ctx *x)
{
	if(!cs_answered(c))
		return;
	c->flags &= ~(unsigned)(CS_F_XFER_A | CS_F_XFER_B | CS_F_XFER_ATTENDED);
	c->flags |= by == CS_BY_CALLER ? CS_F_XFER_A : CS_F_XFER_B;
	if(r->attended)
		c->flags |= CS_F_XFER_ATTENDED;
	c->xfer_by = (uint8_t)by;
	c->xfer_code = 0;
	memset(c->xfer_to, 0, sizeof(c->xfer_to));
	c->text[CS_T_XFER_REASON].len = 0;
	cs_text_set(c, CS_T_XFER_TARGET, r->uri.s, r->uri.len);
	x->emit(c, SB_X_DIALOG, NULL, x);
}

static void transfer_over(struct cs_call *c, unsigned code, struct cs_span reason, const struct cs_ctx *x)
{
	bool done = code < 300;

	c->flags &= ~(unsigned)(CS_F_XFER_A | CS_F_XFER_B);
	c->xfer_code = (uint16_t)code;
	cs_text_set(c, CS_T_XFER_REASON, reason.s, reason.len);
	if(done)
		c->state = SB_ST_TRANSFERRED;
	x->emit(c, done ? SB_CALL_TRANSFERRED : SB_CALL_TRANSFER_FAILED, NULL, x);
}

static bool transfer_pending(const struct cs_call *c, enum cs_by by)
{
	return cs_answered(c) && (c->flags & (by == CS_BY_CALLER ? CS_F_XFER_A : CS_F_XFER_B));
}

void cs_on_refer_reply(struct cs_call *c, enum cs_by by, const struct cs_msg *m, const struct cs_ctx *x)
{
	if(transfer_pending(c, by) && m->code >= 300)
		transfer_over(c, m->code, m->reason, x);
}

void cs_on_notify(struct cs_call *c, enum cs_by by, int code, struct cs_span reason, const struct cs_ctx *x)
{
	enum cs_by asked = by == CS_BY_CALLER ? CS_BY_CALLEE : CS_BY_CALLER;

	if(transfer_pending(c, asked) && code >= 200)
		transfer_over(c, (unsigned)code, reason, x);
}
