/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json_write.h"
#include "json_parts.h"

#include <stdlib.h>

#define FIRST_ROOM 4096u

char *sb_json_grow(struct sb_json_out *o, size_t n)
{
	size_t cap = o->cap > FIRST_ROOM ? o->cap : FIRST_ROOM;
	bool begins = o->p == NULL || o->p == o->first;
	char *p;

	if(o->failed)
		return NULL;
	if(o->p == NULL && n <= o->first_len) {
		o->cap = o->first_len;
		return o->p = o->first;
	}
	while(cap - o->len < n)
		cap *= 2;
	p = realloc(begins ? NULL : o->p, cap);
	if(p == NULL) {
		sb_json_fail(o);
		return NULL;
	}
	if(begins && o->len > 0)
		memcpy(p, o->first, o->len);
	o->p = p;
	o->cap = cap;
	return p + o->len;
}

void sb_json_free(struct sb_json_out *o)
{
	if(o->p != o->first)
		free(o->p);
	o->p = NULL;
}

/* No room is left, so that whatever is written next comes by here. */
void sb_json_fail(struct sb_json_out *o)
{
	o->failed = true;
	o->cap = o->len;
}

static char *escaped(char *p, uint8_t c)
{
	static const char hex[] = "0123456789ABCDEF", letter[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	const char *l = strchr(letter, c);

	*p++ = '\\';
	if(c != 0 && l != NULL && (l - letter) % 2 == 0) {
		*p++ = l[1];
		return p;
	}
	memcpy(p, "u00", 3);
	p[3] = hex[c >> 4];
	p[4] = hex[c & 15];
	return p + 5;
}

static inline bool plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

void sb_json_put_string(struct sb_json_out *o, const void *bytes, size_t len)
{
	static const char replacement[3] = {'\xef', '\xbf', '\xbd'};
	char *p = sb_json_room(o, len * 6 + 2), *begin = p;
	const uint8_t *s = bytes, *end = s + len;

	if(p == NULL)
		return;
	*p++ = '"';
	while(s < end) {
		if(plain(*s)) {
			*p++ = (char)*s++;
		} else if(*s > 0 && *s < 0x80) {
			p = escaped(p, *s++);
		} else {
			bool good;
			size_t n = sb_utf8_sequence(s, (size_t)(end - s), &good);

			memcpy(p, good ? (const char *)s : replacement, good ? n : sizeof(replacement));
			p += good ? n : sizeof(replacement);
			s += n;
		}
	}
	*p++ = '"';
	o->len += (size_t)(p - begin);
}

/* Decimal digits of v. @return how many */
static unsigned digits_of(char out[20], uint64_t v)
{
	char back[20];
	unsigned n = 0;

	do {
		back[n++] = (char)('0' + v % 10);
		v /= 10;
	} while(v > 0);
	for(unsigned i = 0; i < n; i++)
		out[i] = back[n - 1 - i];
	return n;
}

void sb_json_put_u64(struct sb_json_out *o, uint64_t v)
{
	char *p = sb_json_room(o, 20);

	if(p != NULL)
		o->len += digits_of(p, v);
}

void sb_json_put_decimal(struct sb_json_out *o, uint64_t v, unsigned decimals)
{
	uint64_t unit = decimals == 3 ? 1000 : 1000000, part = v % unit;
	char *p;

	/* beyond 15 digits, and below 0.0001, the printer of reals decides */
	if(v >= 1000000000000000ull || (v > 0 && v < unit / 10000)) {
		sb_json_put_tree(o, json_real((double)v / (double)unit));
		return;
	}
	sb_json_put_u64(o, v / unit);
	p = sb_json_room(o, 8);
	if(p == NULL)
		return;
	p[0] = '.';
	for(unsigned i = decimals; i > 0; i--) {
		p[i] = (char)('0' + part % 10);
		part /= 10;
	}
	while(decimals > 1 && p[decimals] == '0')
		decimals--;
	o->len += decimals + 1;
}

void sb_json_put_time(struct sb_json_out *o, uint64_t us)
{
	char text[34] = "\"";
	size_t n;

	if(!sb_time_text(text + 1, us)) {
		sb_json_raw(o, "null", 4);
		return;
	}
	n = strlen(text);
	text[n] = '"';
	sb_json_raw(o, text, n + 1);
}

void sb_json_put_tree(struct sb_json_out *o, json_t *tree)
{
	char *text = tree != NULL ? json_dumps(tree, SB_JSON_FLAGS | JSON_ENCODE_ANY) : NULL;

	if(text != NULL)
		sb_json_raw(o, text, strlen(text));
	else
		sb_json_fail(o);
	free(text);
	json_decref(tree);
}
