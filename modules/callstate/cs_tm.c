/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The INVITE transaction as tm reports it; what each callback means: docs/architecture.md. */
#include "callstate.h"

#include "core/dset.h"
#include "core/ip_addr.h"
#include "core/parser/parse_cseq.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"
#include "modules/tm/h_table.h"

#define INVITE_CALLBACKS                                                                                   \
	(TMCB_REQUEST_FWDED | TMCB_RESPONSE_IN | TMCB_RESPONSE_FWDED | TMCB_RESPONSE_READY | TMCB_E2ECANCEL_IN \
			| TMCB_ON_BRANCH_FAILURE | TMCB_DESTROY)

struct tm_binds cs_tm;

static struct cs_msgbuf buf; /* of this process; used between the entry and the exit of one callback */

static void *param_of(const struct cs_call *c)
{
	return (void *)(uintptr_t)(cs_ref(c) | (uint64_t)c->txn << CS_REF_TXN);
}

/* The call of a transaction, locked; NULL if it is gone, or goes on in a newer transaction. */
static struct cs_call *call_of(uint64_t ref)
{
	struct cs_call *c = cs_get(ref);

	if(c == NULL || c->txn == (ref >> CS_REF_TXN & CS_TXN_MASK))
		return c;
	cs_put(c);
	return NULL;
}

static void on_forwarded(struct cell *t, struct tmcb_params *ps, uint64_t ref)
{
	struct cs_ctx x;
	struct cs_call *c;
	str *uri = GET_RURI(ps->req);

	cs_context(&x, ps->req);
	c = call_of(ref);
	if(c == NULL)
		return;
	cs_on_attempt(c, (unsigned)t->nr_of_outgoings, cs_span_of(*uri), &x);
	cs_put(c);
}

static bool for_invite(struct sip_msg *rpl)
{
	return rpl->cseq && rpl->cseq->parsed && get_cseq(rpl)->method_id == METHOD_INVITE;
}

/* What a reply says, read once: tm's RESPONSE_IN comes before its reply lock is taken, RESPONSE_FWDED under it, and what one
 * worker does under it the others wait for. */
static struct cs_msgbuf *read_reply(struct sip_msg *rpl, int code)
{
	static struct
	{
		unsigned id;
		int pid, code;
		struct cs_msgbuf b;
	} last;

	if(last.id != rpl->id || last.pid != rpl->pid || last.code != code) {
		cs_msg_reply(&last.b, rpl, code);
		last.id = rpl->id;
		last.pid = rpl->pid;
		last.code = code;
	}
	return &last.b;
}

/* Only the first reply of a branch tells something new. */
static void add_dst(struct cs_call *c, unsigned branch, struct cs_msgbuf *b, struct sip_msg *rpl)
{
	const struct cs_attempt *a = cs_attempt_of(c, branch);

	if(a && a->dst.len == 0)
		cs_msg_dst(b, rpl);
}

static void on_branch_reply(struct tmcb_params *ps, uint64_t ref)
{
	struct cs_msgbuf *b;
	unsigned branch = (unsigned)cs_tm.t_gett_branch();
	struct cs_ctx x;
	struct cs_call *c;

	if(ps->code < 180 || ps->rpl == FAKED_REPLY || !for_invite(ps->rpl))
		return;
	b = read_reply(ps->rpl, ps->code);
	if(ps->code < 300)
		return;
	cs_context(&x, ps->rpl);
	c = call_of(ref);
	if(c == NULL)
		return;
	add_dst(c, branch, b, ps->rpl);
	cs_on_branch_final(c, branch, &b->m, &x);
	cs_put(c);
}

/* A branch that a timer ended, also while others ring. */
static void on_branch_failure(struct tmcb_params *ps, uint64_t ref)
{
	struct cs_msg m = {.local = true, .code = (uint16_t)ps->code};
	struct cs_ctx x;
	struct cs_call *c;

	if(ps->rpl != FAKED_REPLY || ps->code < 300)
		return;
	cs_context(&x, NULL);
	c = call_of(ref);
	if(c == NULL)
		return;
	cs_on_branch_final(c, (unsigned)cs_tm.t_gett_branch(), &m, &x);
	cs_put(c);
}

static void on_relayed(struct tmcb_params *ps, uint64_t ref)
{
	unsigned branch = (unsigned)cs_tm.t_gett_branch();
	struct cs_msgbuf *b;
	struct cs_ctx x;
	struct cs_call *c;

	if(ps->code < 180 || ps->rpl == FAKED_REPLY)
		return;
	b = read_reply(ps->rpl, ps->code);
	cs_context(&x, ps->rpl);
	c = call_of(ref);
	if(c == NULL)
		return;
	add_dst(c, branch, b, ps->rpl);
	cs_on_reply(c, branch, &b->m, &x);
	if((c->flags & CS_F_TWO_DIALOGS) && !cs_text_is(c, CS_T_TO_TAG, b->m.to_tag.s, b->m.to_tag.len))
		cs_loser_add(c, &b->m);
	cs_put(c);
}

/* Branches whose end no callback told: timers and send errors. */
static void reconcile(struct cs_call *c, struct cell *t, int code, const struct cs_ctx *x)
{
	char dst[CS_ADDRESS_MAX];

	for(int i = 0; i < t->nr_of_outgoings; i++) {
		struct ua_client *u = &t->uac[i];
		struct cs_msg m = {.local = true, .code = (uint16_t)u->last_received};

		if(u->last_received < 300)
			continue;
		if(code == 477 && i == t->nr_of_outgoings - 1)
			m.code = 477;
		if(u->request.buffer && u->request.dst.send_sock)
			m.dst = cs_address(dst, u->request.dst.proto, suip2a(&u->request.dst.to, sizeof(u->request.dst.to)),
					su_getport(&u->request.dst.to));
		cs_on_branch_final(c, (unsigned)i, &m, x);
	}
}

static void on_ready(struct cell *t, struct tmcb_params *ps, uint64_t ref)
{
	struct cs_msg m = {.code = (uint16_t)ps->code};
	struct cs_ctx x;
	struct cs_call *c;

	if(ps->code < 300)
		return;
	if(ps->rpl == FAKED_REPLY || ps->rpl == NULL) {
		m.local = true;
	} else {
		m.code = (uint16_t)ps->code;
		m.reason = cs_span_of(ps->rpl->first_line.u.reply.reason);
	}
	cs_context(&x, NULL);
	x.code = m.code;
	x.reason = m.reason;
	x.method = (struct cs_span){"INVITE", 6};
	c = call_of(ref);
	if(c == NULL)
		return;
	x.cseq = c->invite_cseq;
	reconcile(c, t, ps->code, &x);
	cs_on_final(c, &m, &x);
	cs_put(c);
}

static void on_answered_here(struct tmcb_params *ps, uint64_t ref)
{
	struct cs_ctx x;
	struct cs_call *c;

	if(ps->code < 200 || ps->code > 299 || (ps->rpl != FAKED_REPLY && ps->rpl != NULL))
		return;
	cs_context(&x, NULL);
	memset(&buf.m, 0, sizeof(buf.m));
	buf.m.code = x.code = (uint16_t)ps->code;
	buf.m.local = true;
	c = call_of(ref);
	if(c == NULL)
		return;
	cs_on_reply(c, CS_BRANCH_OLD | 0xff, &buf.m, &x);
	cs_put(c);
}

static void on_cancelled(struct tmcb_params *ps, uint64_t ref)
{
	struct cs_ctx x;
	struct cs_call *c;

	cs_context(&x, ps->req);
	cs_msg_request(&buf, ps->req);
	c = call_of(ref);
	if(c == NULL)
		return;
	cs_on_cancel(c, &buf.m, &x);
	cs_put(c);
}

static void on_destroyed(uint64_t ref)
{
	struct cs_ctx x;
	struct cs_call *c = call_of(ref);

	if(c == NULL)
		return;
	cs_context(&x, NULL);
	cs_on_destroyed(c, &x);
	cs_put(c);
}

static void on_invite(struct cell *t, int type, struct tmcb_params *ps)
{
	uint64_t ref = (uint64_t)(uintptr_t)*ps->param;

	if(destroy_modules_phase())
		return;
	switch(type) {
		case TMCB_REQUEST_FWDED:
			on_forwarded(t, ps, ref);
			break;
		case TMCB_RESPONSE_IN:
			on_branch_reply(ps, ref);
			break;
		case TMCB_RESPONSE_FWDED:
			on_relayed(ps, ref);
			break;
		case TMCB_RESPONSE_READY:
			on_ready(t, ps, ref);
			on_answered_here(ps, ref);
			break;
		case TMCB_E2ECANCEL_IN:
			on_cancelled(ps, ref);
			break;
		case TMCB_ON_BRANCH_FAILURE:
			on_branch_failure(ps, ref);
			break;
		case TMCB_DESTROY:
			on_destroyed(ref);
			break;
		default:
			break;
	}
}

static unsigned cseq_of(struct sip_msg *msg)
{
	unsigned cseq = 0;

	str2int(&get_cseq(msg)->number, &cseq);
	return cseq;
}

/* An INVITE of a call that is known: authentication, a retransmission after a restart, or a spiral. Any other with a higher
 * CSeq is a call of its own: it must not take over one that is under way. */
static bool continues(struct cs_call *c, unsigned cseq)
{
	bool taken = (c->flags & CS_F_ATTACHED) && !(c->flags & CS_F_AUTH_WAIT);

	if(cs_over(c))
		return cseq == c->invite_cseq;
	if(cseq < c->invite_cseq)
		return true;
	if(taken || !cs_in_setup(c))
		return cseq == c->invite_cseq;
	cs_on_continue(c, cseq);
	c->flags &= ~(unsigned)CS_F_ATTACHED;
	return true;
}

/* Finds or makes the record of an initial INVITE; locked. */
static struct cs_call *begin(struct sip_msg *msg)
{
	struct cs_call *c;
	struct cs_ctx x;
	uint64_t hash;

	if(cs_parse_dialog_headers(msg) < 0 || parse_from_header(msg) < 0)
		return NULL;
	hash = cs_hash(msg->callid->body.s, (size_t)msg->callid->body.len);
	cs_lock(hash);
	c = cs_find_locked(hash, &msg->callid->body, &get_from(msg)->tag_value);
	if(c && continues(c, cseq_of(msg)))
		return c;
	c = cs_new_locked(hash);
	if(c == NULL) {
		cs_unlock(hash);
		return NULL;
	}
	cs_fill(c, msg);
	cs_set_early(c, msg);
	cs_context(&x, msg);
	cs_transfer_link(c, msg);
	cs_on_start(c, &x);
	return c;
}

static bool initial_invite(struct sip_msg *msg)
{
	return msg->first_line.type == SIP_REQUEST && msg->REQ_METHOD == METHOD_INVITE && cs_parse_dialog_headers(msg) == 0
		   && get_to(msg)->tag_value.len == 0;
}

static void attach(struct cell *t, struct sip_msg *msg)
{
	uint64_t known = cs_was_started(msg);
	struct cs_call *c = known ? cs_get(known) : begin(msg);
	void *param;

	if(c == NULL)
		return;
	if((c->flags & CS_F_ATTACHED) || !cs_in_setup(c)) {
		cs_put(c);
		return;
	}
	c->flags |= CS_F_ATTACHED;
	c->deadline = 0;
	c->txn = (c->txn + 1) & CS_TXN_MASK;
	param = param_of(c);
	cs_put(c);
	cs_was_attached(msg);
	cs_transfer_linked();
	if(cs_tm.register_tmcb(msg, t, INVITE_CALLBACKS, on_invite, param, NULL) < 0) {
		LM_ERR("tm took no callback (out of shared memory?): call %.*s is not followed\n", msg->callid->body.len,
				msg->callid->body.s);
		on_destroyed((uint64_t)(uintptr_t)param);
	}
}

int cs_start(struct sip_msg *msg)
{
	struct cs_call *c;
	struct cell *t;
	uint64_t ref;

	if(!initial_invite(msg))
		return -1;
	c = begin(msg);
	if(c == NULL) {
		cs_started(msg, 0);
		return -1;
	}
	ref = cs_ref(c);
	cs_put(c);
	cs_transfer_linked();
	cs_started(msg, ref);
	t = cs_tm.t_gett();
	if(t != NULL && t != T_UNDEFINED)
		attach(t, msg);
	return 1;
}

static void on_request(struct cell *t, int type, struct tmcb_params *ps)
{
	struct sip_msg *msg = ps->req;

	if(msg->REQ_METHOD == METHOD_INVITE && initial_invite(msg)) {
		if((cs_params.auto_start && !cs_was_refused(msg)) || cs_was_started(msg))
			attach(t, msg);
		return;
	}
	if(msg->REQ_METHOD & (METHOD_INVITE | METHOD_UPDATE | METHOD_REFER))
		cs_dialog_attach(t, msg);
}

int cs_tm_init(void)
{
	if(load_tm_api(&cs_tm) < 0) {
		LM_ERR("tm is not loaded: put loadmodule \"tm.so\" before callstate.so\n");
		return -1;
	}
	if(cs_tm.register_tmcb(0, 0, TMCB_REQUEST_IN, on_request, 0, 0) <= 0) {
		LM_ERR("tm refused the callback for new requests\n");
		return -1;
	}
	return 0;
}
