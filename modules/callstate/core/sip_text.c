/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sip_text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define REPLACES_MAX 768u /* a Replaces header, unescaped */

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct cs_span trim(const char *s, size_t len)
{
	while(len > 0 && blank(*s))
		s++, len--;
	while(len > 0 && blank(s[len - 1]))
		len--;
	return (struct cs_span){s, len};
}

static bool is_word(struct cs_span a, const char *word)
{
	return a.len == strlen(word) && strncasecmp(a.s, word, a.len) == 0;
}

/** @return the number that is the whole of v, or 0 if it is none or not in min…max */
static uint16_t number(struct cs_span v, unsigned min, unsigned max)
{
	unsigned n = 0;
	if(v.len == 0 || v.len > 5)
		return 0;
	for(size_t i = 0; i < v.len; i++) {
		if(v.s[i] < '0' || v.s[i] > '9')
			return 0;
		n = n * 10 + (unsigned)(v.s[i] - '0');
	}
	return (uint16_t)(n >= min && n <= max ? n : 0);
}

/** Length of the piece in front of the first of both stop characters that is outside of quotes. */
static size_t until(const char *s, size_t len, char stop, char stop2)
{
	bool quoted = false;
	for(size_t i = 0; i < len; i++) {
		char c = s[i];
		if(c == '"')
			quoted = !quoted;
		else if(quoted && c == '\\')
			i++;
		else if(!quoted && (c == stop || c == stop2))
			return i;
	}
	return len;
}

/** Splits "name = value" and takes the quotes off the value; value.s is NULL without '=' or with an open quote. */
static struct cs_span parameter(struct cs_span piece, struct cs_span *value)
{
	*value = (struct cs_span){NULL, 0};
	const char *eq = memchr(piece.s, '=', piece.len);
	if(eq == NULL)
		return trim(piece.s, piece.len);
	struct cs_span v = trim(eq + 1, (size_t)(piece.s + piece.len - eq - 1));
	bool opened = v.len > 0 && v.s[0] == '"';
	if(opened && v.len >= 2 && v.s[v.len - 1] == '"')
		*value = (struct cs_span){v.s + 1, v.len - 2};
	else if(!opened)
		*value = v;
	return trim(piece.s, (size_t)(eq - piece.s));
}

/** One reason-value: protocol *(SEMI reason-params) */
static void read_reason(const char *s, size_t len, struct cs_reason *r)
{
	size_t at = until(s, len, ';', ';');
	struct cs_span protocol = trim(s, at), cause = {NULL, 0}, text = {NULL, 0};
	while(at < len) {
		size_t n = until(s + at + 1, len - at - 1, ';', ';');
		struct cs_span value, name = parameter((struct cs_span){s + at + 1, n}, &value);
		if(value.s != NULL && is_word(name, "cause"))
			cause = value;
		else if(value.s != NULL && is_word(name, "text"))
			text = value;
		at += 1 + n;
	}
	if(is_word(protocol, "Q.850") && r->q850 == 0) {
		r->q850 = number(cause, 1, 127);
		r->q850_text = r->q850 != 0 ? text : (struct cs_span){NULL, 0};
	} else if(is_word(protocol, "SIP") && r->sip == 0) {
		r->sip = number(cause, 100, 699);
		r->sip_text = r->sip != 0 ? text : (struct cs_span){NULL, 0};
	}
}

/** @param name in lower case, its first letter known to be there @return the length of "NAME :" at p, or 0 */
static inline size_t name_length(const char *p, const char *end, const char *name, size_t len)
{
	if((size_t)(end - p) <= len)
		return 0;
	for(size_t i = 1; i < len; i++) /* '-' has the bit that makes letters small */
		if((p[i] | 0x20) != name[i])
			return 0;
	while(p + len < end && (p[len] == ' ' || p[len] == '\t'))
		len++;
	return p + len < end && p[len] == ':' ? len + 1 : 0;
}

/** @param used length of the name, with its colon */
static inline enum cs_header header_of(const char *p, const char *end, size_t *used)
{
#define IS(name) ((*used = name_length(p, end, name, sizeof(name) - 1)) != 0)
	switch(*p | 0x20) {
		case 'c':
			return IS("contact") ? CS_H_CONTACT : IS("content-type") || IS("c") ? CS_H_CONTENT_TYPE : CS_H_BODY;
		case 'm':
			return IS("m") ? CS_H_CONTACT : CS_H_BODY;
		case 'r':
			return IS("record-route") ? CS_H_RECORD_ROUTE : IS("reason") ? CS_H_REASON : CS_H_BODY;
		default:
			return CS_H_BODY;
	}
#undef IS
}

static inline const char *line_end(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));
	return nl != NULL ? nl + 1 : end;
}

enum cs_header cs_header_next(struct cs_span *rest, struct cs_span *value)
{
	const char *end = rest->s + rest->len, *next;
	for(const char *p = rest->s; p < end; p = next) {
		size_t used = 0;
		enum cs_header h = header_of(p, end, &used);
		next = line_end(p, end);
		if(h != CS_H_BODY) {
			while(next < end && (*next == ' ' || *next == '\t'))
				next = line_end(next, end);
			*value = trim(p + used, (size_t)(next - p) - used);
		} else if(*p != '\n' && !(*p == '\r' && next - p <= 2)) {
			continue;
		}
		*rest = (struct cs_span){next, (size_t)(end - next)};
		return h;
	}
	*rest = (struct cs_span){end, 0};
	return CS_H_BODY;
}

/** What stands in the first <> of a value, quotes aside. @param behind what follows it @return false: there is none before a comma */
static bool in_angles(struct cs_span value, struct cs_span *inner, struct cs_span *behind)
{
	size_t open = until(value.s, value.len, '<', ',');
	const char *close;
	if(open == value.len || value.s[open] != '<')
		return false;
	close = memchr(value.s + open, '>', value.len - open);
	if(close == NULL)
		return false;
	*inner = trim(value.s + open + 1, (size_t)(close - value.s) - open - 1);
	*behind = (struct cs_span){close + 1, (size_t)(value.s + value.len - close - 1)};
	return true;
}

struct cs_span cs_contact_uri(struct cs_span value)
{
	struct cs_span uri, behind;
	if(in_angles(value, &uri, &behind))
		return uri;
	uri = trim(value.s, until(value.s, value.len, ';', ','));
	return uri.len == 1 && *uri.s == '*' ? (struct cs_span){NULL, 0} : uri;
}

struct cs_span cs_tag(struct cs_span value)
{
	struct cs_span uri, params = value;
	in_angles(value, &uri, &params);
	for(size_t at = until(params.s, params.len, ';', ';'); at < params.len;) {
		size_t n = until(params.s + at + 1, params.len - at - 1, ';', ';');
		struct cs_span tag, name = parameter((struct cs_span){params.s + at + 1, n}, &tag);
		if(tag.s != NULL && is_word(name, "tag"))
			return tag;
		at += 1 + n;
	}
	return (struct cs_span){NULL, 0};
}

bool cs_route_next(struct cs_span *rest, struct cs_span *entry, struct cs_span *uri)
{
	struct cs_span behind;
	while(rest->len > 0 && (*rest->s == ',' || blank(*rest->s)))
		*rest = (struct cs_span){rest->s + 1, rest->len - 1};
	if(!in_angles(*rest, uri, &behind))
		return false;
	size_t params = until(behind.s, behind.len, ',', ',');
	*entry = trim(rest->s, (size_t)(behind.s - rest->s) + params);
	*rest = (struct cs_span){behind.s + params, behind.len - params};
	return true;
}

bool cs_reason_read(const char *value, size_t len, struct cs_reason *out)
{
	struct cs_reason r = {0};
	for(size_t at = 0; value != NULL && at < len;) {
		size_t n = until(value + at, len - at, ',', ',');
		read_reason(value + at, n, &r);
		at += n + 1;
	}
	*out = r;
	return r.q850 != 0 || r.sip != 0;
}

int cs_sipfrag_read(const char *body, size_t len, struct cs_span *reason)
{
	static const char version[] = "SIP/2.0 ";
	const size_t n = sizeof(version) - 1;
	if(body == NULL || len < n + 3 || strncasecmp(body, version, n) != 0)
		return -EBADMSG;
	int code = number((struct cs_span){body + n, 3}, 100, 699);
	size_t at = n + 3, end = at;
	if(code == 0 || (at < len && !blank(body[at])))
		return -EBADMSG;
	while(end < len && body[end] != '\r' && body[end] != '\n')
		end++;
	if(reason != NULL)
		*reason = trim(body + at, end - at);
	return code;
}

/** Length of "scheme:" at the front, or 0. */
static size_t scheme_length(const char *s, size_t len)
{
	size_t n = 0;
	while(n < len && n < 32
			&& (((s[n] | 0x20) >= 'a' && (s[n] | 0x20) <= 'z')
					|| (n > 0 && ((s[n] >= '0' && s[n] <= '9') || s[n] == '+' || s[n] == '-' || s[n] == '.'))))
		n++;
	return n > 0 && n < len && s[n] == ':' ? n + 1 : 0;
}

/**
 * Where the user part ends, behind its '@', or 0 without one. A user part may hold ';' and '?' (RFC 3261, 25.1), so
 * the first '@' decides, unless it stands in a header part: "?name=…@".
 */
static size_t user_length(const char *s, size_t len)
{
	const char *at = memchr(s, '@', len);
	if(at == NULL)
		return 0;
	size_t n = (size_t)(at - s);
	const char *q = memchr(s, '?', n);
	if(q != NULL && memchr(q, '=', (size_t)(at - q)) != NULL)
		return 0;
	return n + 1;
}

static bool ends_address(char c)
{
	switch(c) {
		case ';':
		case '?':
		case '>':
		case ',':
		case ' ':
		case '\t':
		case '\r':
		case '\n':
		case '\0':
			return true;
		default:
			return false;
	}
}

struct cs_span cs_uri_address(const char *uri, size_t len)
{
	struct cs_span none = {NULL, 0};
	size_t scheme = uri != NULL ? scheme_length(uri, len) : 0;
	if(scheme == 0)
		return none;
	const char *s = uri + scheme;
	size_t n = len - scheme;
	size_t end = user_length(s, n);
	size_t host = end;
	while(end < n && !ends_address(s[end]))
		end++;
	return end > host ? (struct cs_span){s, end} : none;
}

struct cs_span cs_uri_host(struct cs_span uri, unsigned *port)
{
	struct cs_span a = cs_uri_address(uri.s, uri.len);
	const char *at = a.len > 0 ? memchr(a.s, '@', a.len) : NULL;
	const char *host = at != NULL ? at + 1 : a.s;
	struct cs_span h = {host, at != NULL ? (size_t)(a.s + a.len - host) : a.len};
	const char *bracket = h.len > 0 && *h.s == '[' ? memchr(h.s, ']', h.len) : NULL;
	const char *from = bracket != NULL ? bracket : h.s;
	const char *colon = h.len > 0 ? memchr(from, ':', (size_t)(h.s + h.len - from)) : NULL;
	*port = 0;
	if(colon != NULL) {
		*port = number((struct cs_span){colon + 1, (size_t)(h.s + h.len - colon - 1)}, 1, 65535);
		h.len = (size_t)(colon - h.s);
	}
	return h;
}

static bool copy(char *to, size_t cap, struct cs_span from)
{
	if(from.len == 0 || from.len >= cap)
		return false;
	for(size_t i = 0; i < from.len; i++) {
		if((unsigned char)from.s[i] <= ' ' || from.s[i] == 0x7f)
			return false;
	}
	memcpy(to, from.s, from.len);
	to[from.len] = '\0';
	return true;
}

/** callid *(SEMI param): to-tag and from-tag once each. */
static int read_replaces(const char *s, size_t len, struct cs_refer *r)
{
	size_t at = until(s, len, ';', ';');
	if(!copy(r->call_id, sizeof(r->call_id), trim(s, at)))
		return -EBADMSG;
	r->to_tag[0] = r->from_tag[0] = '\0';
	while(at < len) {
		size_t n = until(s + at + 1, len - at - 1, ';', ';');
		struct cs_span value, name = parameter((struct cs_span){s + at + 1, n}, &value);
		bool to = is_word(name, "to-tag");
		if(to || is_word(name, "from-tag")) {
			char *tag = to ? r->to_tag : r->from_tag;
			if(tag[0] != '\0' || value.s == NULL || !copy(tag, sizeof(r->to_tag), value))
				return -EBADMSG;
		}
		at += 1 + n;
	}
	if(r->to_tag[0] == '\0' || r->from_tag[0] == '\0')
		return -EBADMSG;
	r->attended = true;
	return 0;
}

int cs_replaces_read(const char *value, size_t len, struct cs_refer *out)
{
	struct cs_refer r;
	memset(&r, 0, sizeof(r));
	int ret = value != NULL ? read_replaces(value, len, &r) : -EBADMSG;
	if(ret == 0)
		*out = r;
	return ret;
}

static int hex_digit(char c)
{
	if(c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Percent-decodes (RFC 3986, 2.1). @return the length, or 0: a bad escape, or longer than cap */
static size_t unescape(struct cs_span v, char *to, size_t cap)
{
	size_t n = 0;
	for(size_t i = 0; i < v.len; i++) {
		if(n == cap)
			return 0;
		char c = v.s[i];
		if(c == '%') {
			int hi = i + 2 < v.len ? hex_digit(v.s[i + 1]) : -1;
			int lo = i + 2 < v.len ? hex_digit(v.s[i + 2]) : -1;
			if(hi < 0 || lo < 0)
				return 0;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		to[n++] = c;
	}
	return n;
}

/** The header part of a URI: name=value *("&" name=value). @return 0, also without a Replaces, or -EBADMSG */
static int read_uri_headers(const char *s, size_t len, struct cs_refer *r)
{
	char text[REPLACES_MAX];
	while(len > 0) {
		const char *amp = memchr(s, '&', len);
		size_t n = amp != NULL ? (size_t)(amp - s) : len;
		const char *eq = memchr(s, '=', n);
		if(eq != NULL && is_word((struct cs_span){s, (size_t)(eq - s)}, "Replaces")) {
			size_t got = unescape((struct cs_span){eq + 1, (size_t)(s + n - eq - 1)}, text, sizeof(text));
			return read_replaces(text, got, r);
		}
		size_t used = amp != NULL ? n + 1 : n;
		s += used;
		len -= used;
	}
	return 0;
}

int cs_refer_to_read(const char *value, size_t len, struct cs_refer *out)
{
	if(value == NULL)
		return -EBADMSG;
	struct cs_span v = trim(value, len);
	struct cs_refer r;
	memset(&r, 0, sizeof(r));
	size_t open = until(v.s, v.len, '<', '<');
	bool angle = open < v.len;
	if(angle) {
		v = (struct cs_span){v.s + open + 1, v.len - open - 1};
		const char *close = memchr(v.s, '>', v.len);
		if(close == NULL)
			return -EBADMSG;
		v = trim(v.s, (size_t)(close - v.s));
	}
	size_t scheme = scheme_length(v.s, v.len);
	if(scheme == 0 || scheme == v.len)
		return -EBADMSG;
	size_t end = scheme + user_length(v.s + scheme, v.len - scheme);
	const char *stop = angle ? "?" : ";?, \t\r\n"; /* without <>, parameters are the header's: RFC 3261, 20.10 */
	while(end < v.len && (v.s[end] == '\0' || strchr(stop, v.s[end]) == NULL))
		end++;
	if(end == scheme)
		return -EBADMSG;
	r.uri = (struct cs_span){v.s, end};
	const char *q = memchr(v.s + end, '?', v.len - end);
	int ret = q != NULL ? read_uri_headers(q + 1, (size_t)(v.s + v.len - q - 1), &r) : 0;
	if(ret == 0)
		*out = r;
	return ret;
}

int cs_via_branch_index(const char *branch, size_t len)
{
	static const char cookie[] = "z9hG4bK";
	const size_t n = sizeof(cookie) - 1;
	if(branch == NULL || len <= n || memcmp(branch, cookie, n) != 0)
		return -EBADMSG;
	const char *end = branch + len;
	const char *first = memchr(branch + n, '.', len - n);
	const char *second = first != NULL ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
	if(second == NULL || end - second < 2 || end - second > 3)
		return -EBADMSG;
	int index = 0; /* tm writes the lowest digit first: "01" is 16 */
	for(const char *p = end - 1; p > second; p--) {
		int d = hex_digit(*p);
		if(d < 0)
			return -EBADMSG;
		index = index << 4 | d;
	}
	return index;
}
