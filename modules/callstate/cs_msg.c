/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a SIP message to the core's words. Only messages in private memory are parsed here (docs/architecture.md). */
#include "callstate.h"

#include <sys/random.h>

#include "core/dset.h"
#include "core/forward.h"
#include "core/ip_addr.h"
#include "core/parser/contact/parse_contact.h"
#include "core/parser/parse_cseq.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_rr.h"
#include "core/parser/parse_to.h"
#include "core/parser/parse_uri.h"

struct cs_span cs_span_of(str s)
{
	return (struct cs_span){s.s, s.len > 0 ? (size_t)s.len : 0};
}

struct cs_span cs_address(char *buf, size_t size, int proto, const char *ip, unsigned port)
{
	bool v6 = strchr(ip, ':') != NULL && ip[0] != '[';
	int n = snprintf(buf, size, v6 ? "%s:[%s]:%u" : "%s:%s:%u", get_valid_proto_name((unsigned short)proto), ip, port);

	return (struct cs_span){buf, n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1};
}

static str contact_uri(struct sip_msg *msg)
{
	contact_body_t *body;
	str none = {NULL, 0};

	if(msg->contact == NULL || (msg->contact->parsed == NULL && parse_contact(msg->contact) < 0))
		return none;
	body = msg->contact->parsed;
	return body && body->contacts ? body->contacts->uri : none;
}

static void read_sdp(struct cs_msgbuf *b, struct sip_msg *msg)
{
	struct sb_out out = {.p = (uint8_t *)b->media, .cap = sizeof(b->media)};
	str type = {NULL, 0};
	const char *sdp;
	size_t len;
	char *body;

	body = get_body(msg);
	if(body == NULL || body >= msg->buf + msg->len)
		return;
	if(msg->content_type)
		type = msg->content_type->body;
	if(!cs_sdp_find(body, (size_t)(msg->buf + msg->len - body), type.s, (size_t)type.len, &sdp, &len))
		return;
	if(cs_sdp_read(sdp, len, &b->m.sdp, &out) < 0)
		return;
	b->m.has_sdp = true;
	if(!out.overflow)
		b->m.media = (struct cs_span){b->media, out.len};
}

static void read_reason(struct cs_msg *m, struct sip_msg *msg)
{
	struct hdr_field *h = get_hdr_by_name(msg, "Reason", 6);

	for(; h; h = next_sibling_hdr_by_name(h))
		if(cs_reason_read(h->body.s, (size_t)h->body.len, &m->why) && m->why.q850)
			return;
}

static bool ours(const rr_t *rr)
{
	struct sip_uri uri;

	if(parse_uri(rr->nameaddr.uri.s, rr->nameaddr.uri.len, &uri) < 0)
		return false;
	return check_self(&uri.host, uri.port_no ? uri.port_no : SIP_PORT, 0) == 1;
}

static void add_route(struct cs_msgbuf *b, const rr_t *rr, bool front)
{
	size_t have = b->m.route.len, more = (size_t)rr->len + (have ? 1 : 0);

	if(have + more > sizeof(b->route)) {
		memset(b->route + have, 0, sizeof(b->route) - have);
		b->m.route = (struct cs_span){b->route, sizeof(b->route)}; /* longer than is kept: the core marks the call */
		return;
	}
	if(front) {
		memmove(b->route + more, b->route, have);
		memcpy(b->route, rr->nameaddr.name.s, (size_t)rr->len);
		if(have)
			b->route[rr->len] = ',';
	} else {
		if(have)
			b->route[have] = ',';
		memcpy(b->route + more - (size_t)rr->len + have, rr->nameaddr.name.s, (size_t)rr->len);
	}
	b->m.route = (struct cs_span){b->route, have + more};
}

/* The proxies between us and one side. Towards the callee: those above our own entry in its reply, the last first;
 * towards the caller: those in the INVITE, as they stand (RFC 3261 12.1). */
static void read_routes(struct cs_msgbuf *b, struct sip_msg *msg, bool reply)
{
	struct hdr_field *h;

	if(parse_record_route_headers(msg) < 0)
		return;
	for(h = msg->record_route; h; h = next_sibling_hdr(h)) {
		for(rr_t *rr = h->parsed; rr; rr = rr->next) {
			if(reply && ours(rr))
				return;
			if(rr->len > 0)
				add_route(b, rr, reply);
		}
	}
}

static void clear(struct cs_msgbuf *b)
{
	memset(&b->m, 0, sizeof(b->m));
}

void cs_msg_request(struct cs_msgbuf *b, struct sip_msg *msg)
{
	clear(b);
	if(parse_headers(msg, HDR_EOH_F, 0) < 0)
		return;
	b->m.contact = cs_span_of(contact_uri(msg));
	if(get_to(msg))
		b->m.to_tag = cs_span_of(get_to(msg)->tag_value);
	read_sdp(b, msg);
	read_reason(&b->m, msg);
}

void cs_msg_reply(struct cs_msgbuf *b, struct sip_msg *rpl, int code)
{
	clear(b);
	b->m.code = (uint16_t)code;
	if(rpl == NULL || rpl == FAKED_REPLY) {
		b->m.local = true;
		return;
	}
	b->m.reason = cs_span_of(rpl->first_line.u.reply.reason);
	if(code < 180 || parse_headers(rpl, HDR_EOH_F, 0) < 0)
		return;
	b->m.dst = cs_address(b->dst, sizeof(b->dst), rpl->rcv.proto, ip_addr2a(&rpl->rcv.src_ip), rpl->rcv.src_port);
	if(code >= 300) {
		read_reason(&b->m, rpl);
		return;
	}
	read_sdp(b, rpl);
	if(code < 200)
		return;
	if(rpl->to && parse_to_header(rpl) == 0)
		b->m.to_tag = cs_span_of(get_to(rpl)->tag_value);
	b->m.contact = cs_span_of(contact_uri(rpl));
	read_routes(b, rpl, true);
	if(rpl->rcv.bind_address)
		b->m.socket = cs_span_of(rpl->rcv.bind_address->sock_str);
}

static void set(struct cs_call *c, enum cs_text t, str s)
{
	if(s.len > 0)
		cs_text_set(c, t, s.s, (size_t)s.len);
}

static str unquoted(str s)
{
	if(s.len >= 2 && s.s[0] == '"' && s.s[s.len - 1] == '"') {
		s.s++;
		s.len -= 2;
	}
	return s;
}

static void new_id(struct cs_call *c)
{
	uint8_t rnd[10];

	if(getrandom(rnd, sizeof(rnd), 0) != sizeof(rnd))
		memcpy(rnd, &c, sizeof(c));
	sb_uuid7(c->id, cs_now() / 1000, rnd);
}

void cs_fill(struct cs_call *c, struct sip_msg *msg)
{
	static struct cs_msgbuf b;
	struct cs_span source;
	unsigned cseq = 0;
	str uri;

	new_id(c);
	if(!cs_text_set(c, CS_T_SIP_CALL_ID, msg->callid->body.s, (size_t)msg->callid->body.len))
		c->flags |= CS_F_NO_CONTACT;
	if(!cs_text_set(c, CS_T_FROM_TAG, get_from(msg)->tag_value.s, (size_t)get_from(msg)->tag_value.len))
		c->flags |= CS_F_NO_CONTACT;
	set(c, CS_T_FROM_URI, get_from(msg)->uri);
	set(c, CS_T_FROM_NAME, unquoted(get_from(msg)->display));
	set(c, CS_T_TO_URI, get_to(msg)->uri);
	set(c, CS_T_TO_NAME, unquoted(get_to(msg)->display));
	set(c, CS_T_RURI, msg->first_line.u.request.uri);
	str2int(&get_cseq(msg)->number, &cseq);
	c->invite_cseq = c->cseq_a = cseq;
	c->max_duration = (uint32_t)cs_params.max_duration;
	clear(&b);
	source = cs_address(b.dst, sizeof(b.dst), msg->rcv.proto, ip_addr2a(&msg->rcv.src_ip), msg->rcv.src_port);
	cs_text_set(c, CS_T_SOURCE, source.s, source.len);
	if(msg->rcv.bind_address)
		set(c, CS_T_SOCKET_A, msg->rcv.bind_address->sock_str);
	if(parse_headers(msg, HDR_EOH_F, 0) < 0)
		return;
	uri = contact_uri(msg);
	if(uri.len && !cs_text_set(c, CS_T_CONTACT_A, uri.s, (size_t)uri.len))
		c->flags |= CS_F_NO_CONTACT;
	read_routes(&b, msg, false);
	if(b.m.route.len && !cs_text_set(c, CS_T_ROUTE_A, b.m.route.s, b.m.route.len))
		c->flags |= CS_F_NO_CONTACT;
	read_sdp(&b, msg);
	if(b.m.has_sdp)
		cs_text_set(c, CS_T_MEDIA, b.m.media.s, b.m.media.len);
}
