/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a SIP message to the core's words. */
#include "callstate.h"

#include <errno.h>
#include <sys/random.h>

#include "core/forward.h"
#include "core/ip_addr.h"
#include "core/parser/parse_cseq.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"

struct cs_span cs_span_of(str s)
{
	return (struct cs_span){s.s, s.len > 0 ? (size_t)s.len : 0};
}

static char *put(char *at, const char *s)
{
	while(*s)
		*at++ = *s++;
	return at;
}

struct cs_span cs_address(char buf[CS_ADDRESS_MAX], int proto, const char *ip, unsigned port)
{
	bool v6 = strchr(ip, ':') != NULL && ip[0] != '[';
	char digits[6], *d = digits + sizeof(digits) - 1, *at;

	*d = 0;
	do
		*--d = (char)('0' + port % 10);
	while((port /= 10) != 0 && d > digits);
	at = put(put(buf, get_valid_proto_name((unsigned short)proto)), v6 ? ":[" : ":");
	at = put(put(put(at, ip), v6 ? "]:" : ":"), d);
	return (struct cs_span){buf, (size_t)(at - buf)};
}

static void read_sdp(struct cs_msgbuf *b, struct cs_span type, struct cs_span body)
{
	struct sb_out out = {.p = (uint8_t *)b->media, .cap = sizeof(b->media)};
	const char *sdp;
	size_t len;

	if(!cs_sdp_find(body.s, body.len, type.s, type.len, &sdp, &len) || cs_sdp_read(sdp, len, &b->m.sdp, &out) < 0)
		return;
	b->m.has_sdp = true;
	if(!out.overflow)
		b->m.media = (struct cs_span){b->media, out.len};
}

static bool ours(struct cs_span uri)
{
	unsigned port;
	struct cs_span host = cs_uri_host(uri, &port);
	str h = {(char *)host.s, (int)host.len};

	return host.len > 0 && check_self(&h, (unsigned short)(port ? port : SIP_PORT), 0) == 1;
}

static void add_route(struct cs_msgbuf *b, struct cs_span rr, bool front)
{
	size_t have = b->m.route.len, more = rr.len + (have ? 1 : 0);

	if(have + more > sizeof(b->route)) {
		memset(b->route + have, 0, sizeof(b->route) - have);
		b->m.route = (struct cs_span){b->route, sizeof(b->route)}; /* longer than is kept: the core marks the call */
		return;
	}
	if(front) {
		memmove(b->route + more, b->route, have);
		memcpy(b->route, rr.s, rr.len);
		if(have)
			b->route[rr.len] = ',';
	} else {
		if(have)
			b->route[have] = ',';
		memcpy(b->route + have + more - rr.len, rr.s, rr.len);
	}
	b->m.route = (struct cs_span){b->route, have + more};
}

enum routes
{
	ROUTES_NONE,
	ROUTES_OF_REQUEST, /* towards the caller: those in its INVITE, as they stand (RFC 3261 12.1) */
	ROUTES_OF_REPLY    /* towards the callee: those above our own entry in its reply, the last first */
};

/* The proxies between us and one side. @return what to take from the next Record-Route */
static enum routes read_routes(struct cs_msgbuf *b, struct cs_span value, enum routes which)
{
	struct cs_span entry, uri;

	while(which != ROUTES_NONE && cs_route_next(&value, &entry, &uri)) {
		if(which == ROUTES_OF_REPLY && ours(uri))
			return ROUTES_NONE;
		add_route(b, entry, which == ROUTES_OF_REPLY);
	}
	return which;
}

/* One walk over the header fields and the body. Kamailio's parser would make an object of every header field, and that
 * is most of what a reply costs. */
static void read_message(struct cs_msgbuf *b, struct sip_msg *msg, enum routes routes)
{
	struct cs_span rest, value, type = {0};

	if(msg->headers == NULL)
		return;
	rest.s = msg->headers->name.s;
	rest.len = (size_t)(msg->buf + msg->len - rest.s);
	for(;;) {
		switch(cs_header_next(&rest, &value)) {
			case CS_H_CONTACT:
				if(b->m.contact.len == 0)
					b->m.contact = cs_contact_uri(value);
				break;
			case CS_H_CONTENT_TYPE:
				type = value;
				break;
			case CS_H_RECORD_ROUTE:
				routes = read_routes(b, value, routes);
				break;
			case CS_H_REASON:
				if(b->m.why.q850 == 0)
					cs_reason_read(value.s, value.len, &b->m.why);
				break;
			case CS_H_BODY:
				read_sdp(b, type, rest);
				return;
		}
	}
}

void cs_msg_request(struct cs_msgbuf *b, struct sip_msg *msg)
{
	memset(&b->m, 0, sizeof(b->m));
	if(get_to(msg))
		b->m.to_tag = cs_span_of(get_to(msg)->tag_value);
	read_message(b, msg, ROUTES_NONE);
}

void cs_msg_reply(struct cs_msgbuf *b, struct sip_msg *rpl, int code)
{
	memset(&b->m, 0, sizeof(b->m));
	b->m.code = (uint16_t)code;
	if(rpl == NULL || rpl == FAKED_REPLY) {
		b->m.local = true;
		return;
	}
	b->m.reason = cs_span_of(rpl->first_line.u.reply.reason);
	if(code < 180)
		return;
	read_message(b, rpl, code >= 200 && code < 300 ? ROUTES_OF_REPLY : ROUTES_NONE);
	if(code < 200 || code >= 300)
		return;
	if(rpl->to && parse_to_header(rpl) == 0)
		b->m.to_tag = cs_span_of(get_to(rpl)->tag_value);
	if(rpl->rcv.bind_address)
		b->m.socket = cs_span_of(rpl->rcv.bind_address->sock_str);
}

void cs_msg_dst(struct cs_msgbuf *b, struct sip_msg *rpl)
{
	b->m.dst = cs_address(b->dst, rpl->rcv.proto, ip_addr2a(&rpl->rcv.src_ip), rpl->rcv.src_port);
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

/* Random bytes for ids, fetched by the kernel for many calls at a time. A process that was forked has its own. */
static void random_bytes(uint8_t *out, size_t len)
{
	static uint8_t pool[480];
	static size_t left;
	static int owner;

	if(left < len || owner != my_pid()) {
		if(getrandom(pool, sizeof(pool), 0) != sizeof(pool))
			LM_ERR("the kernel gave no random bytes: %s\n", strerror(errno));
		left = sizeof(pool);
		owner = my_pid();
	}
	left -= len;
	memcpy(out, pool + left, len);
}

void cs_fill(struct cs_call *c, struct sip_msg *msg)
{
	static struct cs_msgbuf b;
	struct cs_span source;
	uint8_t rnd[10];
	unsigned cseq = 0;

	random_bytes(rnd, sizeof(rnd));
	sb_uuid7(c->id, cs_now() / 1000, rnd);
	if(!cs_text_set(c, CS_T_SIP_CALL_ID, msg->callid->body.s, (size_t)msg->callid->body.len)
			|| !cs_text_set(c, CS_T_FROM_TAG, get_from(msg)->tag_value.s, (size_t)get_from(msg)->tag_value.len))
		c->flags |= CS_F_NO_CONTACT;
	set(c, CS_T_FROM_URI, get_from(msg)->uri);
	set(c, CS_T_FROM_NAME, unquoted(get_from(msg)->display));
	set(c, CS_T_TO_URI, get_to(msg)->uri);
	set(c, CS_T_TO_NAME, unquoted(get_to(msg)->display));
	set(c, CS_T_RURI, msg->first_line.u.request.uri);
	str2int(&get_cseq(msg)->number, &cseq);
	c->invite_cseq = c->cseq_a = cseq;
	c->max_duration = (uint32_t)cs_params.max_duration;
	memset(&b.m, 0, sizeof(b.m));
	source = cs_address(b.dst, msg->rcv.proto, ip_addr2a(&msg->rcv.src_ip), msg->rcv.src_port);
	cs_text_set(c, CS_T_SOURCE, source.s, source.len);
	if(msg->rcv.bind_address)
		set(c, CS_T_SOCKET_A, msg->rcv.bind_address->sock_str);
	read_message(&b, msg, ROUTES_OF_REQUEST);
	if(b.m.contact.len && !cs_text_set(c, CS_T_CONTACT_A, b.m.contact.s, b.m.contact.len))
		c->flags |= CS_F_NO_CONTACT;
	if(b.m.route.len && !cs_text_set(c, CS_T_ROUTE_A, b.m.route.s, b.m.route.len))
		c->flags |= CS_F_NO_CONTACT;
	if(b.m.has_sdp)
		cs_text_set(c, CS_T_MEDIA, b.m.media.s, b.m.media.len);
}
