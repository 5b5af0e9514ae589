/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ending a call ourselves: a BYE to each side as the other would send it (RFC 3261 15), or CANCEL while it rings. */
#include "callstate.h"

#include "core/mem/mem.h"
#include "core/parser/parse_rr.h"
#include "core/parser/parse_uri.h"
#include "core/socket_info.h"
#include "modules/tm/dlg.h"
#include "modules/tm/h_table.h"
#include "modules/tm/uac.h"

#define CSEQ_MAX 0x7fffffffu /* RFC 3261 8.1.1.5 */
#define CSEQ_JUMP 1000u      /* above whatever either side has used, PRACK and lost requests included */

static str text(const struct cs_call *c, enum cs_text t)
{
	size_t len;
	const char *s = cs_text(c, t, &len);

	return (str){(char *)s, (int)len};
}

static void *param_of(uint64_t ref, enum cs_by side)
{
	return (void *)(uintptr_t)(ref | (side == CS_BY_CALLER ? 1ull << 31 : 0));
}

static void done(uint64_t ref, enum cs_by side, int code)
{
	struct cs_ctx x;
	struct cs_call *c;

	cs_context(&x, NULL);
	x.code = (uint16_t)code;
	x.method = (struct cs_span){"BYE", 3};
	c = cs_get(ref);
	if(c == NULL)
		return;
	cs_end_reply(c, side, code, &x);
	cs_put(c);
}

static void on_bye_done(struct cell *t, int type, struct tmcb_params *ps)
{
	uint64_t p = (uint64_t)(uintptr_t)*ps->param;

	done(p & ~(1ull << 31), p & (1ull << 31) ? CS_BY_CALLER : CS_BY_CALLEE, ps->code);
}

void cs_watch_bye(struct cell *t, uint64_t ref, enum cs_by side)
{
	if(cs_tm.register_tmcb(NULL, t, TMCB_LOCAL_COMPLETED, on_bye_done, param_of(ref, side), NULL) < 0)
		LM_ERR("tm took no callback (out of shared memory?): how a BYE ends is not known\n");
}

/* The dialog as the other side sees it. */
static int build(const struct cs_call *c, enum cs_by side, dlg_t *d)
{
	bool caller = side == CS_BY_CALLER;
	uint32_t cseq = caller ? c->cseq_b : c->cseq_a;
	str routes = text(c, caller ? CS_T_ROUTE_A : CS_T_ROUTE_B);
	str sock = text(c, caller ? CS_T_SOCKET_A : CS_T_SOCKET_B);

	memset(d, 0, sizeof(*d));
	d->loc_seq.value = cseq > CSEQ_MAX - CSEQ_JUMP ? CSEQ_MAX - 1 : cseq + CSEQ_JUMP;
	d->loc_seq.is_set = 1;
	d->rem_target = text(c, caller ? CS_T_CONTACT_A : CS_T_CONTACT_B);
	if(d->rem_target.len == 0)
		return -1;
	if(routes.len && parse_rr_body(routes.s, routes.len, &d->route_set) != 0)
		return -1;
	d->rem_uri = text(c, caller ? CS_T_FROM_URI : CS_T_TO_URI);
	d->loc_uri = text(c, caller ? CS_T_TO_URI : CS_T_FROM_URI);
	d->id.call_id = text(c, CS_T_SIP_CALL_ID);
	d->id.rem_tag = text(c, caller ? CS_T_FROM_TAG : CS_T_TO_TAG);
	d->id.loc_tag = text(c, caller ? CS_T_TO_TAG : CS_T_FROM_TAG);
	d->state = DLG_CONFIRMED;
	if(sock.len)
		d->send_sock = lookup_local_socket(&sock);
	return 0;
}

/* topoh hides the Call-ID from the callee. Of a request that the proxy makes itself it must be told that it goes there. */
static str *headers_for(enum cs_by side)
{
	static str downstream = str_init("TH: dlh\r\n");

	return side == CS_BY_CALLEE && module_loaded("topoh") ? &downstream : NULL;
}

void cs_send_bye(const struct cs_call *c, uint64_t ref, enum cs_by side)
{
	static str method = {"BYE", 3};
	uac_req_t req;
	dlg_t d;
	int sent = -1;

	if(!(c->flags & CS_F_NO_CONTACT) && build(c, side, &d) == 0) {
		set_uac_req(&req, &method, headers_for(side), NULL, &d, TMCB_LOCAL_COMPLETED, on_bye_done, param_of(ref, side));
		cs_beside_ours(true);
		sent = cs_tm.t_request_within(&req);
		cs_beside_ours(false);
		if(d.route_set)
			free_rr(&d.route_set);
	}
	if(sent < 0) {
		LM_WARN("no BYE could be sent to the %s of call %.*s\n", cs_by_name(side), text(c, CS_T_SIP_CALL_ID).len,
				text(c, CS_T_SIP_CALL_ID).s);
		done(ref, side, 408);
	}
}

static void send_byes(const struct cs_call *copy, uint64_t ref)
{
	unsigned sent = cs_beside_ends(copy);

	for(enum cs_by side = CS_BY_CALLER; side <= CS_BY_CALLEE; side++)
		if(!(sent & 1u << side))
			cs_send_bye(copy, ref, side);
}

static int cancel(const struct cs_call *copy)
{
	char digits[12];
	str id = text(copy, CS_T_SIP_CALL_ID);
	str cseq = {digits, snprintf(digits, sizeof(digits), "%u", copy->invite_cseq)};
	struct cell *t;

	if(cs_tm.t_lookup_callid(&t, id, cseq) < 0)
		return -EIO;
	cs_tm.cancel_all_uacs(t, 0);
	cs_tm.unref_cell(t);
	return 0;
}

int cs_end_call(uint64_t ref, enum cs_cause cause)
{
	static struct cs_call copy; /* of this process */
	bool answered, setup;
	struct cs_call *c;
	struct cs_ctx x;

	cs_context(&x, NULL);
	c = cs_get(ref);
	if(c == NULL)
		return -ENOENT;
	answered = cs_end_begin(c, cause, &x);
	setup = !answered && cs_cancel_begin(c, cause, &x);
	memcpy(&copy, c, sizeof(copy));
	cs_put(c);
	if(!answered && !setup)
		return -EALREADY;
	if(setup)
		return copy.flags & CS_F_ATTACHED ? cancel(&copy) : 0;
	send_byes(&copy, ref);
	return 0;
}
