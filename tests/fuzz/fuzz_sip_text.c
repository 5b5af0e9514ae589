/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sip_text.h"

static void check(int ok)
{
	if(!ok)
		abort();
}

static int inside(struct cs_span v, const char *p, size_t len)
{
	return v.s == NULL ? v.len == 0 : v.s >= p && v.s + v.len <= p + len;
}

static void message(struct cs_span rest)
{
	const char *p = rest.s;
	size_t len = rest.len;
	struct cs_span v, entry, uri;
	unsigned port;

	while(cs_header_next(&rest, &v) != CS_H_BODY) {
		check(inside(v, p, len));
		while(cs_route_next(&v, &entry, &uri))
			check(inside(entry, p, len) && inside(uri, entry.s, entry.len)
					&& inside(cs_uri_host(uri, &port), uri.s, uri.len));
	}
	check(inside(rest, p, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct cs_reason r;
	struct cs_refer f;
	struct cs_span phrase = {NULL, 0};

	check(cs_reason_read(p, size, &r) == (r.q850 != 0 || r.sip != 0));
	check(inside(r.q850_text, p, size) && inside(r.sip_text, p, size));
	check(r.q850 <= 127 && (r.sip == 0 || (r.sip >= 100 && r.sip <= 699)));

	int code = cs_sipfrag_read(p, size, &phrase);
	check((code < 0 || (code >= 100 && code <= 699)) && inside(phrase, p, size));

	if(cs_refer_to_read(p, size, &f) == 0) {
		check(f.uri.len > 0 && inside(f.uri, p, size));
		check(f.attended == (f.call_id[0] != '\0'));
		struct cs_span a = cs_uri_address(f.uri.s, f.uri.len);
		check(inside(a, f.uri.s, f.uri.len));
	}
	if(cs_replaces_read(p, size, &f) == 0)
		check(f.attended && f.call_id[0] != '\0' && f.to_tag[0] != '\0' && f.from_tag[0] != '\0'
				&& strlen(f.call_id) < sizeof(f.call_id));
	check(inside(cs_uri_address(p, size), p, size));
	check(inside(cs_contact_uri((struct cs_span){p, size}), p, size));
	check(inside(cs_tag((struct cs_span){p, size}), p, size));
	message((struct cs_span){p, size});
	int index = cs_via_branch_index(p, size);
	check(index <= 255);
	return 0;
}
