/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Small readers of SIP header values and bodies that tm does not read for us. All take bytes from the wire: any
 * content, not terminated; all are bounded and allocate nothing.
 */
#ifndef CS_SIP_TEXT_H
#define CS_SIP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cs_span
{
	const char *s;
	size_t len;
};

/** The header fields that are looked at in every message; others are passed over. */
enum cs_header
{
	CS_H_BODY, /* no header field is left */
	CS_H_CONTACT,
	CS_H_CONTENT_TYPE,
	CS_H_RECORD_ROUTE,
	CS_H_REASON
};
/**
 * Takes header fields off the front of a message, up to the next of these, compact forms too.
 * @param rest from its first header field on; with CS_H_BODY: the body, empty if there is none
 * @param value without the white space around it; folded lines (RFC 3261 7.3.1) are still in it
 */
enum cs_header cs_header_next(struct cs_span *rest, struct cs_span *value);

/** URI of the first contact of a Contact value; empty: "*", or none. */
struct cs_span cs_contact_uri(struct cs_span value);

/** The tag of a From or To value; empty: none. */
struct cs_span cs_tag(struct cs_span value);

/** Takes the first entry off a Record-Route value. @param entry all of it @param uri what stands in its <> @return false: none is left */
bool cs_route_next(struct cs_span *rest, struct cs_span *entry, struct cs_span *uri);

/** Host of a URI, an IPv6 address in its brackets. @param port 0 = not there @return empty if it is not a URI */
struct cs_span cs_uri_host(struct cs_span uri, unsigned *port);

/** Reason header value, RFC 3326: may hold several, "Q.850;cause=16;text=\"…\", SIP;cause=200". */
struct cs_reason
{
	uint16_t q850; /* 0 = not there; 1..127 */
	struct cs_span q850_text;
	uint16_t sip; /* 0 = not there; 100..699 */
	struct cs_span sip_text;
};
/** @return true if at least one of both was found */
bool cs_reason_read(const char *value, size_t len, struct cs_reason *out);

/** First line of a message/sipfrag, RFC 3420: "SIP/2.0 200 OK". @return the code 100..699, or -EBADMSG */
int cs_sipfrag_read(const char *body, size_t len, struct cs_span *reason);

/** Refer-To value, RFC 3515, with a Replaces header inside the URI, RFC 3891. */
struct cs_refer
{
	struct cs_span uri; /* without the header part, "sip:user@host;params" */
	bool attended;      /* there was a Replaces */
	char call_id[256];  /* of the dialog to replace, unescaped; "" if not attended */
	char to_tag[128], from_tag[128];
};
/** @return 0 or -EBADMSG */
int cs_refer_to_read(const char *value, size_t len, struct cs_refer *out);

/** Replaces header value, RFC 3891. @return 0 or -EBADMSG */
int cs_replaces_read(const char *value, size_t len, struct cs_refer *out);

/** user@host:port of a URI, without scheme and parameters, for comparing targets. Empty if it is not a URI. */
struct cs_span cs_uri_address(const char *uri, size_t len);

/** Branch index of a tm Via branch, "z9hG4bK….….N" (N hexadecimal). @return 0..255 or -EBADMSG */
int cs_via_branch_index(const char *branch, size_t len);

#endif
