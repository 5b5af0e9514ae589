/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests inside a call, as rr matches them: ACK, BYE, re-INVITE, UPDATE, REFER, NOTIFY. */
#include "callstate.h"

#include "core/mem/shm_mem.h"
#include "core/parser/parse_cseq.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"
#include "modules/tm/h_table.h"

/* What a re-INVITE, UPDATE or REFER asks for, kept beside its transaction until the reply. */
struct asked
{
	uint64_t ref;
	enum cs_by by;
	bool refer;
	uint32_t cseq;
	struct cs_msg offer;
	char media[CS_MEDIA_BUF];
	char contact[256];
};

static struct rr_binds rr;
static struct cs_msgbuf buf;

/* The request that rr matched last in this process: tm asks about it right after. */
static struct
{
	unsigned id;
	int pid;
	uint64_t ref;
	enum cs_by by;
} matched;

static bool is_new(struct cs_call *c, enum cs_by by, uint32_t cseq)
{
	uint32_t *last = by == CS_BY_CALLER ? &c->cseq_a : &c->cseq_b;

	if(cseq <= *last)
		return false;
	*last = cseq;
	return true;
}

static void on_ack(struct cs_call *c, struct cs_span callee_tag, struct sip_msg *msg, const struct cs_ctx *x)
{
	if(c->flags & CS_F_OFFER_LATE)
		cs_msg_request(&buf, msg);
	else
		memset(&buf.m, 0, sizeof(buf.m));
	buf.m.to_tag = callee_tag;
	cs_on_ack(c, &buf.m, x);
	cs_on_late_answer(c, &buf.m, x);
}

static void on_bye(
		struct cs_call *c, enum cs_by by, struct cs_span callee_tag, struct sip_msg *msg, const struct cs_ctx *x)
{
	cs_msg_request(&buf, msg);
	buf.m.to_tag = callee_tag;
	cs_on_bye(c, by, &buf.m, x);
}

static struct cs_span header(struct sip_msg *msg, const char *name, int len)
{
	struct hdr_field *h = get_hdr_by_name(msg, name, len);

	return h ? cs_span_of(h->body) : (struct cs_span){0};
}

static void on_refer(struct cs_call *c, enum cs_by by, struct sip_msg *msg, const struct cs_ctx *x)
{
	static struct cs_refer refer;
	struct cs_span to = header(msg, "Refer-To", 8);

	if(to.len == 0)
		to = header(msg, "r", 1);
	if(cs_refer_to_read(to.s, to.len, &refer) < 0)
		return;
	cs_on_refer(c, by, &refer, x);
	if(cs_answered(c))
		cs_transfer_asked(c, &refer);
}

static void on_notify(struct cs_call *c, enum cs_by by, struct sip_msg *msg, const struct cs_ctx *x)
{
	struct cs_span event = header(msg, "Event", 5), reason = {0};
	char *body = get_body(msg);
	int code;

	if(event.len == 0)
		event = header(msg, "o", 1);
	if(event.len < 5 || strncasecmp(event.s, "refer", 5) != 0 || body == NULL || body >= msg->buf + msg->len)
		return;
	code = cs_sipfrag_read(body, (size_t)(msg->buf + msg->len - body), &reason);
	if(code > 0)
		cs_on_notify(c, by, code, reason, x);
}

static void on_matched(struct sip_msg *msg, str *params, void *arg)
{
	enum cs_by by = CS_BY_UNKNOWN;
	struct cs_span callee_tag;
	struct cs_call *c;
	struct cs_ctx x;

	matched.ref = 0;
	if(msg->first_line.type != SIP_REQUEST || msg->REQ_METHOD == METHOD_CANCEL)
		return;
	if(cs_parse_dialog_headers(msg) < 0 || get_to(msg)->tag_value.len == 0)
		return;
	cs_context(&x, msg);
	c = cs_of_msg(msg, &by);
	if(c == NULL) {
		if(msg->REQ_METHOD == METHOD_BYE)
			cs_loser_ended(&msg->callid->body, &get_to(msg)->tag_value);
		return;
	}
	callee_tag = cs_span_of(by == CS_BY_CALLEE ? cs_from_tag(msg) : get_to(msg)->tag_value);
	matched.id = msg->id;
	matched.pid = msg->pid;
	matched.ref = cs_ref(c);
	matched.by = by;
	if(msg->REQ_METHOD == METHOD_ACK)
		on_ack(c, callee_tag, msg, &x);
	else if(msg->REQ_METHOD == METHOD_BYE) /* whatever its CSeq: it ends a call only once */
		on_bye(c, by, callee_tag, msg, &x);
	else if(!is_new(c, by, x.cseq))
		matched.ref = 0;
	else if(msg->REQ_METHOD == METHOD_REFER)
		on_refer(c, by, msg, &x);
	else if(msg->REQ_METHOD == METHOD_NOTIFY)
		on_notify(c, by, msg, &x);
	cs_put(c);
}

static void on_reply(struct cell *t, int type, struct tmcb_params *ps)
{
	struct asked *a = *ps->param;
	struct cs_call *c;
	struct cs_ctx x;

	if(type == TMCB_RESPONSE_FWDED ? ps->code < 200 || a->refer : ps->code < 300)
		return;
	if(type == TMCB_RESPONSE_FWDED) {
		cs_context(&x, ps->rpl);
		cs_msg_reply(&buf, ps->rpl, ps->code);
	} else {
		cs_context(&x, NULL);
		memset(&buf.m, 0, sizeof(buf.m));
		buf.m.code = x.code = (uint16_t)ps->code;
		if(ps->rpl && ps->rpl != FAKED_REPLY)
			buf.m.reason = x.reason = cs_span_of(ps->rpl->first_line.u.reply.reason);
		x.method = (struct cs_span){"REFER", 5};
	}
	x.cseq = a->cseq;
	c = cs_get(a->ref);
	if(c == NULL)
		return;
	if(a->refer)
		cs_on_refer_reply(c, a->by, &buf.m, &x);
	else if(ps->code < 300)
		cs_on_offer_done(c, a->by, &a->offer, &buf.m, &x);
	cs_put(c);
}

static void forget(void *p)
{
	shm_free(p);
}

static struct asked *remember(struct sip_msg *msg)
{
	struct asked *a = shm_malloc(sizeof(*a));

	if(a == NULL) {
		SHM_MEM_ERROR;
		return NULL;
	}
	cs_msg_request(&buf, msg);
	a->ref = matched.ref;
	a->by = matched.by;
	a->refer = msg->REQ_METHOD == METHOD_REFER;
	str2int(&get_cseq(msg)->number, &a->cseq);
	memset(&a->offer, 0, sizeof(a->offer));
	a->offer.has_sdp = buf.m.has_sdp;
	a->offer.sdp = buf.m.sdp;
	memcpy(a->media, buf.m.media.s, buf.m.media.len);
	a->offer.media = (struct cs_span){a->media, buf.m.media.len};
	if(buf.m.contact.len <= sizeof(a->contact)) {
		memcpy(a->contact, buf.m.contact.s, buf.m.contact.len);
		a->offer.contact = (struct cs_span){a->contact, buf.m.contact.len};
	}
	return a;
}

void cs_dialog_attach(struct cell *t, struct sip_msg *msg)
{
	int types = msg->REQ_METHOD == METHOD_REFER ? TMCB_RESPONSE_READY : TMCB_RESPONSE_FWDED;
	struct asked *a;

	if(matched.ref == 0 || matched.id != msg->id || matched.pid != msg->pid)
		return;
	a = remember(msg);
	matched.ref = 0;
	if(a && cs_tm.register_tmcb(msg, t, types, on_reply, a, forget) < 0)
		shm_free(a);
}

int cs_dialog_init(void)
{
	if(load_rr_api(&rr) < 0) {
		LM_ERR("rr is not loaded: put loadmodule \"rr.so\" before callstate.so\n");
		return -1;
	}
	if(rr.register_rrcb(on_matched, 0) != 0) {
		LM_ERR("rr refused the callback for requests inside a call\n");
		return -1;
	}
	return 0;
}
