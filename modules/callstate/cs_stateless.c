/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tm does not tell: calls that the script answers statelessly or drops, and replies to calls whose transaction
 * did not survive a restart. */
#include "callstate.h"

#include "core/parser/parse_cseq.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"
#include "core/script_cb.h"
#include "modules/sl/sl.h"
#include "modules/tm/h_table.h"

static struct
{
	unsigned id;
	int pid;
	uint64_t ref;
	bool attached;
	int code; /* of a stateless reply */
} started;

static struct cs_msgbuf buf;

void cs_started(struct sip_msg *msg, uint64_t ref)
{
	started.id = msg->id;
	started.pid = msg->pid;
	started.ref = ref;
	started.attached = false;
	started.code = 0;
}

uint64_t cs_was_started(struct sip_msg *msg)
{
	return started.id == msg->id && started.pid == msg->pid ? started.ref : 0;
}

void cs_was_attached(struct sip_msg *msg)
{
	started.attached = cs_was_started(msg) != 0;
}

bool cs_was_refused(struct sip_msg *msg)
{
	return started.ref == 0 && started.id == msg->id && started.pid == msg->pid;
}

static void on_stateless_answer(sl_cbp_t *p)
{
	if(p->req && cs_was_started(p->req))
		started.code = p->code;
}

static int on_script_end(struct sip_msg *msg, unsigned int flags, void *arg)
{
	struct cs_msg m = {.local = true};
	struct cs_call *c;
	struct cs_ctx x;

	if(!cs_was_started(msg))
		return 1;
	started.pid = 0;
	if(started.attached)
		return 1;
	m.code = (uint16_t)started.code;
	cs_context(&x, msg);
	x.code = m.code;
	c = cs_get(started.ref);
	if(c) {
		cs_on_script_end(c, &m, &x);
		cs_put(c);
	}
	return 1;
}

/* A CANCEL of a call whose transaction did not survive a restart: tm cannot pass it on, but it says what the caller wants. */
static int on_script_start(struct sip_msg *msg, unsigned int flags, void *arg)
{
	struct cs_call *c;
	struct cs_ctx x;

	if(msg->REQ_METHOD != METHOD_CANCEL || atomic_load_explicit(&cs_sh->n.restored_setup, memory_order_relaxed) <= 0)
		return 1;
	if(cs_parse_dialog_headers(msg) < 0)
		return 1;
	cs_context(&x, msg);
	cs_msg_request(&buf, msg);
	c = cs_of_msg(msg, NULL);
	if(c == NULL)
		return 1;
	if((c->flags & CS_F_RESTORED) && !(c->flags & CS_F_ATTACHED))
		cs_on_cancel(c, &buf.m, &x);
	cs_put(c);
	return 1;
}

static bool tm_has_it(struct sip_msg *msg)
{
	struct cell *t;

	if(cs_tm.t_check(msg, NULL) < 0)
		return false;
	t = cs_tm.t_gett();
	return t != NULL && t != T_UNDEFINED;
}

int cs_on_stateless_reply(struct sip_msg *msg)
{
	int code = (int)msg->first_line.u.reply.statuscode;
	enum cs_by by = CS_BY_UNKNOWN;
	struct cs_call *c;
	struct cs_ctx x;
	int branch;

	if(atomic_load_explicit(&cs_sh->n.restored_setup, memory_order_relaxed) <= 0 || code < 180)
		return 1;
	if(cs_parse_dialog_headers(msg) < 0 || get_cseq(msg)->method_id != METHOD_INVITE || tm_has_it(msg))
		return 1;
	branch = msg->via1 && msg->via1->branch
					 ? cs_via_branch_index(msg->via1->branch->value.s, (size_t)msg->via1->branch->value.len)
					 : -1;
	cs_context(&x, msg);
	cs_msg_reply(&buf, msg, code);
	cs_msg_dst(&buf, msg);
	c = cs_of_msg(msg, &by);
	if(c == NULL)
		return 1;
	if((c->flags & CS_F_RESTORED) && !(c->flags & CS_F_ATTACHED)) {
		unsigned old = CS_BRANCH_OLD | (branch < 0 ? 0xffu : (unsigned)branch);

		if(code >= 300)
			cs_on_branch_final(c, old, &buf.m, &x);
		if(code >= 300)
			cs_on_final(c, &buf.m, &x);
		else
			cs_on_reply(c, old, &buf.m, &x);
	}
	cs_put(c);
	return 1;
}

int cs_stateless_init(void)
{
	static sl_cbelem_t on_reply = {.type = SLCB_REPLY_READY, .cbf = on_stateless_answer};
	bind_sl_f bind = (bind_sl_f)find_export("bind_sl", 0, 0);
	sl_api_t sl;

	if(bind && bind(&sl) == 0 && sl.register_cb)
		sl.register_cb(&on_reply);
	if(register_script_cb(on_script_start, PRE_SCRIPT_CB | REQUEST_CB, 0) < 0
			|| register_script_cb(on_script_end, POST_SCRIPT_CB | REQUEST_CB, 0) < 0) {
		LM_ERR("the core refused the callbacks for the script's start and end\n");
		return -1;
	}
	return 0;
}
