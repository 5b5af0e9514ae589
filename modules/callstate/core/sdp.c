/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sdp.h"

#include <errno.h>
#include <strings.h>

#define GROUPS_MAX 4
#define CODECS_MAX 4
#define NAME_MAX_LEN 32u /* kind, protocol, one codec */
#define ADDRESS_MAX_LEN 64u
#define PARTS_MAX 16 /* parts of a multipart body that are looked at */
#define NESTING_MAX 3
#define BOUNDARY_MAX 70u /* RFC 2046, 5.1.1 */
#define PORT_DISCARD 9u  /* with address 0: candidates follow later, RFC 8840 4.1.1; not a hold */

struct span
{
	const char *s;
	size_t len;
};

struct stream
{
	struct span kind, proto, address, direction;
	struct span payload[CODECS_MAX], codec[CODECS_MAX];
	int codecs;
	unsigned port;
	bool zero_address;
};

/* RFC 3551, 6: payload types that need no rtpmap. */
static const char *const static_codec[35] = {
		[0] = "PCMU",
		[3] = "GSM",
		[4] = "G723",
		[5] = "DVI4",
		[6] = "DVI4",
		[7] = "LPC",
		[8] = "PCMA",
		[9] = "G722",
		[10] = "L16",
		[11] = "L16",
		[12] = "QCELP",
		[13] = "CN",
		[14] = "MPA",
		[15] = "G728",
		[16] = "DVI4",
		[17] = "DVI4",
		[18] = "G729",
		[25] = "CelB",
		[26] = "JPEG",
		[28] = "nv",
		[31] = "H261",
		[32] = "MPV",
		[33] = "MP2T",
		[34] = "H263",
};

static const struct
{
	const char *name;
	uint32_t bit;
} kind_bit[] = {{"audio", 1}, {"video", 2}, {"image", 4}, {"application", 8}};
#define KIND_OTHER 16u

static const struct span sendrecv = {"sendrecv", 8};

static bool span_is(struct span a, const char *b, size_t len)
{
	return a.len == len && memcmp(a.s, b, len) == 0;
}
#define SPAN_IS(a, text) span_is(a, text, sizeof(text) - 1)

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool white(char c)
{
	return blank(c) || c == '\r' || c == '\n';
}

/** RFC 8866 token: no space, no control byte, none of ,/:;<=>?@[\]"() */
static bool token_char(char c)
{
	switch(c) {
		case '"':
		case '(':
		case ')':
		case ',':
		case '/':
		case ':' ... '@':
		case '[' ... ']':
			return false;
		default:
			return c > ' ' && c < 0x7f;
	}
}

static inline struct span next_word(struct span *rest)
{
	const char *s = rest->s, *end = s + rest->len;
	while(s < end && blank(*s))
		s++;
	const char *w = s;
	while(s < end && !blank(*s))
		s++;
	*rest = (struct span){s, (size_t)(end - s)};
	return (struct span){w, (size_t)(s - w)};
}

/** Takes one line off the front, without its end. */
static inline struct span next_line(struct span *rest)
{
	const char *nl = memchr(rest->s, '\n', rest->len);
	struct span l = {rest->s, nl != NULL ? (size_t)(nl - rest->s) : rest->len};
	size_t used = nl != NULL ? l.len + 1 : l.len;
	rest->s += used;
	rest->len -= used;
	if(l.len > 0 && l.s[l.len - 1] == '\r')
		l.len--;
	return l;
}

/** @return the number at the front of w, ended by w's end or by '/'; -1 if there is none or it is over 65535 */
static int number(struct span w)
{
	int n = 0;
	size_t i = 0;
	for(; i < w.len && w.s[i] >= '0' && w.s[i] <= '9' && n <= 65535; i++)
		n = n * 10 + (w.s[i] - '0');
	return i == 0 || n > 65535 || (i < w.len && w.s[i] != '/') ? -1 : n;
}

/** c=: <nettype> <addrtype> <address>[/ttl[/count]] */
static void read_connection(struct span value, struct stream *st)
{
	next_word(&value);
	struct span type = next_word(&value);
	struct span a = next_word(&value);
	const char *slash = memchr(a.s, '/', a.len);
	if(slash != NULL)
		a.len = (size_t)(slash - a.s);
	if(a.len == 0 || a.len > ADDRESS_MAX_LEN)
		return;
	char dot = SPAN_IS(type, "IP6") ? ':' : '.';
	bool zero = a.len > 1;
	for(size_t i = 0; i < a.len && zero; i++)
		zero = a.s[i] == '0' || a.s[i] == dot;
	st->address = a;
	st->zero_address = zero;
}

/** m=: <media> <port>[/n] <proto> <fmt> … @return false: not such a line */
static bool read_media(struct span value, const struct stream *session, struct stream *st)
{
	*st = *session;
	st->kind = next_word(&value);
	int port = number(next_word(&value));
	st->proto = next_word(&value);
	if(st->kind.len == 0 || port < 0 || st->proto.len == 0)
		return false;
	st->port = (unsigned)port;
	for(st->codecs = 0; st->codecs < CODECS_MAX; st->codecs++) {
		struct span w = next_word(&value);
		if(w.len == 0)
			break;
		st->payload[st->codecs] = w;
		st->codec[st->codecs] = (struct span){NULL, 0};
	}
	return true;
}

static void read_rtpmap(struct span value, struct stream *st)
{
	struct span payload = next_word(&value);
	struct span name = next_word(&value);
	size_t n = 0;
	while(n < name.len && token_char(name.s[n]))
		n++;
	for(int i = 0; i < st->codecs && n > 0; i++) {
		if(span_is(st->payload[i], payload.s, payload.len))
			st->codec[i] = (struct span){name.s, n};
	}
}

static void read_attribute(struct span value, struct stream *st)
{
	if(value.len > 7 && memcmp(value.s, "rtpmap:", 7) == 0)
		read_rtpmap((struct span){value.s + 7, value.len - 7}, st);
	else if(SPAN_IS(value, "sendrecv") || SPAN_IS(value, "sendonly") || SPAN_IS(value, "recvonly")
			|| SPAN_IS(value, "inactive"))
		st->direction = value;
}

/** Name of the i-th format: its rtpmap, the static table, or (t38, webrtc-datachannel, 97 without rtpmap) the word itself. */
static struct span codec_name(const struct stream *st, int i)
{
	struct span w = st->payload[i];
	if(st->codec[i].len > 0)
		return st->codec[i];
	int n = number(w);
	if(n >= 0 && n < 35 && static_codec[n] != NULL && st->proto.len >= 4 && memcmp(st->proto.s, "RTP/", 4) == 0)
		return (struct span){static_codec[n], strlen(static_codec[n])};
	size_t len = 0;
	while(len < w.len && token_char(w.s[len]))
		len++;
	w.len = len;
	return w;
}

static uint32_t kind_of(struct span kind)
{
	for(size_t i = 0; i < sizeof(kind_bit) / sizeof(kind_bit[0]); i++) {
		if(span_is(kind, kind_bit[i].name, strlen(kind_bit[i].name)))
			return kind_bit[i].bit;
	}
	return KIND_OTHER;
}

/** FNV-1a over the name in lower case: codec names are compared without case (RFC 8866, 6.6). */
static uint32_t print_add(uint32_t print, uint32_t kind, struct span codec)
{
	print = (print ^ kind) * 16777619u;
	for(size_t i = 0; i < codec.len && i < NAME_MAX_LEN; i++) {
		uint8_t c = (uint8_t)codec.s[i];
		print = (print ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 16777619u;
	}
	return print;
}

static void put_clipped(struct sb_out *out, enum sb_col col, struct span v, size_t max)
{
	sb_put_str(out, col, v.s, v.len < max ? v.len : max);
}

static void put_stream(struct sb_out *out, const struct stream *st)
{
	char codecs[CODECS_MAX * (NAME_MAX_LEN + 1)];
	size_t n = 0;
	for(int i = 0; i < st->codecs; i++) {
		struct span name = codec_name(st, i);
		if(name.len == 0)
			continue;
		if(n > 0)
			codecs[n++] = ',';
		size_t len = name.len < NAME_MAX_LEN ? name.len : NAME_MAX_LEN;
		memcpy(codecs + n, name.s, len);
		n += len;
	}
	size_t mark = sb_group_begin(out, SB_C_MEDIA);
	put_clipped(out, SB_C_M_KIND, st->kind, NAME_MAX_LEN);
	sb_put_str(out, SB_C_M_DIRECTION, st->direction.s, st->direction.len);
	sb_put_str(out, SB_C_M_CODECS, codecs, n);
	put_clipped(out, SB_C_M_ADDRESS, st->address, ADDRESS_MAX_LEN);
	sb_put_u64(out, SB_C_M_PORT, st->port);
	put_clipped(out, SB_C_M_PROTO, st->proto, NAME_MAX_LEN);
	sb_group_end(out, mark);
}

/** A stream is complete: adds it to the summary. */
static void take_stream(struct cs_sdp *info, const struct stream *st)
{
	if(st->port == 0)
		return;
	bool held = SPAN_IS(st->direction, "sendonly") || SPAN_IS(st->direction, "inactive")
				|| (st->zero_address && st->port != PORT_DISCARD);
	uint32_t kind = kind_of(st->kind);
	info->hold = info->streams == 0 ? held : info->hold && held;
	if(info->streams < UINT8_MAX)
		info->streams++;
	info->kinds |= kind;
	info->print = print_add(info->print, kind, st->codecs > 0 ? codec_name(st, 0) : (struct span){NULL, 0});
}

int cs_sdp_read(const char *sdp, size_t len, struct cs_sdp *info, struct sb_out *out)
{
	if(sdp == NULL || len < 3)
		return -EBADMSG;
	struct span rest = {sdp, len};
	struct span line = next_line(&rest);
	while(line.len > 0 && blank(line.s[line.len - 1]))
		line.len--;
	if(!SPAN_IS(line, "v=0"))
		return -EBADMSG;

	struct stream session = {.direction = sendrecv}, media;
	struct stream *st = &session; /* NULL behind an m= line that could not be read */
	struct cs_sdp sum = {.print = 2166136261u};
	int groups = 0;
	for(bool more = true; more;) {
		more = rest.len > 0;
		line = more ? next_line(&rest) : (struct span){"m=", 2};
		if(line.len < 2 || line.s[1] != '=')
			continue;
		struct span value = {line.s + 2, line.len - 2};
		if(line.s[0] == 'm') {
			if(st == &media) {
				take_stream(&sum, st);
				if(out != NULL && groups++ < GROUPS_MAX)
					put_stream(out, st);
			}
			st = read_media(value, &session, &media) ? &media : NULL;
		} else if(line.s[0] == 'a' && st != NULL) {
			read_attribute(value, st);
		} else if(line.s[0] == 'c' && st != NULL) {
			read_connection(value, st);
		}
	}
	*info = sum;
	return 0;
}

/** The value of a parameter of a Content-Type, quotes taken off. */
static struct span parameter(struct span type, const char *name)
{
	size_t n = strlen(name);
	bool quoted = false;
	for(size_t i = 0; i < type.len; i++) {
		if(type.s[i] == '"')
			quoted = !quoted;
		if(type.s[i] != ';' || quoted)
			continue;
		size_t p = i + 1;
		while(p < type.len && white(type.s[p]))
			p++;
		if(type.len - p <= n || strncasecmp(type.s + p, name, n) != 0 || type.s[p + n] != '=')
			continue;
		struct span v = {type.s + p + n + 1, type.len - p - n - 1};
		bool q = v.len > 0 && *v.s == '"';
		if(q)
			v = (struct span){v.s + 1, v.len - 1};
		size_t end = 0;
		while(end < v.len && (q ? v.s[end] != '"' : v.s[end] != ';' && !white(v.s[end])))
			end++;
		v.len = end;
		return v;
	}
	return (struct span){NULL, 0};
}

static bool type_is(struct span type, const char *name)
{
	size_t n = strlen(name);
	while(type.len > 0 && white(*type.s))
		type = (struct span){type.s + 1, type.len - 1};
	return type.len >= n && strncasecmp(type.s, name, n) == 0
		   && (name[n - 1] == '/' || type.len == n || type.s[n] == ';' || white(type.s[n]));
}

/** Takes the header lines off the front of a part. @return the value of its Content-Type */
static struct span part_type(struct span *part)
{
	struct span type = {NULL, 0};
	bool in_type = false;
	while(part->len > 0) {
		struct span l = next_line(part);
		if(l.len == 0)
			break;
		if(in_type && blank(*l.s)) {
			type.len = (size_t)(l.s + l.len - type.s); /* folded */
			continue;
		}
		in_type = l.len >= 13 && strncasecmp(l.s, "Content-Type:", 13) == 0;
		if(in_type)
			type = (struct span){l.s + 13, l.len - 13};
	}
	return type;
}

/**
 * Takes the next part off the front of a multipart body.
 * @return false: there is none. A part that is cut off at the body's end counts.
 */
static bool next_part(struct span *body, struct span boundary, struct span *part)
{
	bool inside = false;
	const char *begin = NULL;
	while(body->len > 0) {
		struct span before = *body;
		struct span l = next_line(body);
		bool mark = l.len >= boundary.len + 2 && l.s[0] == '-' && l.s[1] == '-'
					&& memcmp(l.s + 2, boundary.s, boundary.len) == 0;
		if(!mark)
			continue;
		if(inside) {
			*part = (struct span){begin, (size_t)(before.s - begin)};
			*body = before;
			return true;
		}
		if(l.len >= boundary.len + 4 && memcmp(l.s + 2 + boundary.len, "--", 2) == 0)
			return false;
		inside = true;
		begin = body->s;
	}
	if(inside)
		*part = (struct span){begin, (size_t)(body->s - begin)};
	return inside;
}

static bool find_in(struct span body, struct span type, int depth, struct span *found)
{
	if(type_is(type, "application/sdp")) {
		*found = body;
		return body.len > 0;
	}
	if(!type_is(type, "multipart/") || depth >= NESTING_MAX)
		return false;
	struct span boundary = parameter(type, "boundary");
	if(boundary.len == 0 || boundary.len > BOUNDARY_MAX)
		return false;
	struct span part;
	for(int i = 0; i < PARTS_MAX && next_part(&body, boundary, &part); i++) {
		struct span inner = part_type(&part);
		if(find_in(part, inner, depth + 1, found))
			return true;
	}
	return false;
}

bool cs_sdp_find(
		const char *body, size_t len, const char *content_type, size_t type_len, const char **sdp, size_t *sdp_len)
{
	struct span found, b = {body, len}, type = {content_type, type_len};
	if(body == NULL || len == 0)
		return false;
	if(content_type == NULL || type_len == 0) {
		if(len < 4 || memcmp(body, "v=0", 3) != 0)
			return false;
		found = b;
	} else if(!find_in(b, type, 0, &found)) {
		return false;
	}
	*sdp = found.s;
	*sdp_len = found.len;
	return true;
}
