/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Others that end calls: dialog (dlg.end_dlg, its timeouts), uac. Their BYEs are tm's own requests, which no script and no rr callback
 * sees. The other way round dialog learns of our BYEs only when it sends them. */
#include "callstate.h"

#include "modules/dialog/dlg_hash.h"
#include "modules/dialog/dlg_load.h"
#include "modules/tm/h_table.h"

static struct dlg_binds dialog; /* get_dlg == NULL: not loaded */
static bool ours;               /* tm is sending a BYE of cs_end.c */
static unsigned theirs;         /* sides that others sent a BYE to, in this process, since it was cleared */

void cs_beside_ours(bool on)
{
	ours = on;
}

static void on_local_request(struct cell *t, int type, struct tmcb_params *ps)
{
	const struct retr_buf *r = &t->uac[0].request;
	enum cs_by by = CS_BY_UNKNOWN;
	struct cs_call *c = NULL;
	struct sip_msg msg;
	struct cs_ctx x;
	uint64_t ref = 0;

	if(ours || t->method.len != 3 || memcmp(t->method.s, "BYE", 3) != 0 || r->buffer == NULL || r->buffer_len <= 0)
		return;
	cs_context(&x, NULL);
	memset(&msg, 0, sizeof(msg));
	msg.buf = r->buffer;
	msg.len = (unsigned)r->buffer_len;
	if(parse_msg(msg.buf, msg.len, &msg) == 0)
		c = cs_of_msg(&msg, &by);
	if(c != NULL) {
		cs_end_begin(c, CS_C_OTHER_MODULE, &x);
		ref = cs_ref(c);
		cs_put(c);
	}
	free_sip_msg(&msg);
	if(ref == 0)
		return;
	by = by == CS_BY_CALLER ? CS_BY_CALLEE : CS_BY_CALLER;
	theirs |= 1u << by;
	cs_watch_bye(t, ref, by);
}

static size_t put(char *out, size_t room, const struct cs_call *c)
{
	size_t id_len, a_len, b_len;
	const char *id = cs_text(c, CS_T_SIP_CALL_ID, &id_len);
	const char *a = cs_text(c, CS_T_FROM_TAG, &a_len), *b = cs_text(c, CS_T_TO_TAG, &b_len);
	int n = snprintf(out, room,
			"BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP b\r\nFrom: <sip:a@b>;tag=%.*s\r\nTo: <sip:b@b>;tag=%.*s\r\n"
			"Call-ID: %.*s\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
			(int)a_len, a, (int)b_len, b, (int)id_len, id);

	return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* dialog looks its calls up by a message. */
static struct dlg_cell *find(const struct cs_call *c)
{
	static char buf[sizeof(c->arena) + 256];
	struct dlg_cell *d = NULL;
	struct sip_msg msg;
	size_t id_len;
	const char *id = cs_text(c, CS_T_SIP_CALL_ID, &id_len);

	memset(&msg, 0, sizeof(msg));
	msg.buf = buf;
	msg.len = (unsigned)put(buf, sizeof(buf), c);
	if(msg.len > 0 && parse_msg(buf, msg.len, &msg) == 0)
		d = dialog.get_dlg(&msg);
	free_sip_msg(&msg);
	if(d != NULL && (d->callid.len != (int)id_len || memcmp(d->callid.s, id, id_len) != 0)) {
		dialog.release_dlg(d);
		d = NULL;
	}
	return d;
}

/* A side that answers at once ends the dialog before dialog has sent the second BYE, and then it does not. */
unsigned cs_beside_ends(const struct cs_call *copy)
{
	struct dlg_cell *d;

	theirs = 0;
	if(dialog.get_dlg == NULL || module_loaded("topoh"))
		return 0;
	d = find(copy);
	if(d == NULL)
		return 0;
	if(d->state == DLG_STATE_CONFIRMED || d->state == DLG_STATE_CONFIRMED_NA)
		dialog.terminate_dlg(d, NULL);
	dialog.release_dlg(d);
	return theirs;
}

int cs_beside_init(void)
{
	if(cs_tm.register_tmcb(0, 0, TMCB_LOCAL_REQUEST_IN, on_local_request, 0, 0) <= 0) {
		LM_ERR("tm refused the callback for its own requests\n");
		return -1;
	}
	if(module_loaded("dialog") && load_dlg_api(&dialog) < 0)
		LM_WARN("the module dialog is loaded and cannot be bound: it will not notice when callstate ends a call\n");
	return 0;
}
