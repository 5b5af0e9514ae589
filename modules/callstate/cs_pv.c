/* SPDX-License-Identifier: GPL-2.0-or-later */
/* $call(name): what is known of the call a message belongs to. */
#include "callstate.h"
#include "fields.h"

#include "core/pvapi.h"
#include "core/pvar.h"
#include "core/mem/mem.h"

static void unknown_name(const str *in)
{
	char known[1024];
	size_t n = 0;

	known[0] = '\0';
	for(const struct cs_field *f = cs_fields; f->name != NULL && n < sizeof(known); f++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s, ", f->name);
	LM_ERR("$call(%.*s): there is no such name; use one of: %sattr.NAME, customer.NAME\n", in->len, in->s, known);
}

int cs_pv_parse_name(pv_spec_p sp, str *in)
{
	if(sp == NULL || in == NULL || in->s == NULL || in->len <= 0)
		return -1;
	sp->pvp.pvn.type = PV_NAME_INTSTR;
	const struct cs_field *f = cs_field_find(in->s, (size_t)in->len);
	if(f != NULL) {
		sp->pvp.pvn.u.isname.type = 0;
		sp->pvp.pvn.u.isname.name.n = (int)(f - cs_fields);
		return 0;
	}
	if(!cs_attr_name(in->s, (size_t)in->len)) {
		unknown_name(in);
		return -1;
	}
	sp->pvp.pvn.u.isname.type = AVP_NAME_STR;
	sp->pvp.pvn.u.isname.name.s = *in;
	return 0;
}

/** Copies a text into one of the core's buffers for values. @return false: it is empty */
static bool keep(const char *s, size_t len, str *out)
{
	int room = pv_get_buffer_size();

	out->s = pv_get_buffer();
	if(s == NULL || len == 0 || out->s == NULL || room <= 0)
		return false;
	out->len = len < (size_t)room ? (int)len : room - 1;
	memcpy(out->s, s, (size_t)out->len);
	out->s[out->len] = '\0';
	return true;
}

int cs_pv_get(struct sip_msg *msg, pv_param_t *param, pv_value_t *res)
{
	struct cs_value v = {.kind = CS_V_NONE};
	str text = STR_NULL;
	bool known;

	if(msg == NULL || param == NULL)
		return -1;
	struct cs_call *c = cs_of_msg(msg, NULL);
	if(c == NULL)
		return pv_get_null(msg, param, res);
	if(param->pvn.u.isname.type == AVP_NAME_STR) {
		const str *name = &param->pvn.u.isname.name.s;
		size_t len = 0;
		const char *s = cs_attr_find(c, name->s, (size_t)name->len, &len);
		v.kind = CS_V_TEXT;
		known = keep(s, len, &text);
	} else {
		cs_field_get(&cs_fields[param->pvn.u.isname.name.n], c, cs_mono(), &v);
		known = v.kind == CS_V_INT || keep(v.text.s, v.text.len, &text);
	}
	cs_put(c);

	if(!known)
		return pv_get_null(msg, param, res);
	if(v.kind == CS_V_INT)
		return pv_get_uintval(msg, param, res, (unsigned)v.n);
	if(v.kind == CS_V_TIME)
		return pv_get_strintval(msg, param, res, &text, (int)(v.n / 1000000));
	return pv_get_strval(msg, param, res, &text);
}
