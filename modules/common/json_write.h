/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * JSON as text, written straight into a buffer: what jansson's json_dumps(SB_JSON_FLAGS) would print of the same values, byte
 * for byte. For what is rendered for every event; trees are jansson's.
 */
#ifndef SB_JSON_WRITE_H
#define SB_JSON_WRITE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * All zero at the begin, but for first and first_len: a buffer of the caller's that is used as long as it is enough.
 * sb_json_free() in the end. After a failure nothing more is written.
 */
struct sb_json_out
{
	char *p;
	size_t len, cap;
	bool failed; /* out of memory, or told so by sb_json_fail() */
	char *first;
	size_t first_len;
};

void sb_json_free(struct sb_json_out *o);

/** A longer buffer with room for n bytes more. @return where they go, or NULL: failed */
char *sb_json_grow(struct sb_json_out *o, size_t n);
void sb_json_fail(struct sb_json_out *o);

/** Room for n bytes more. @return as sb_json_grow() */
static inline char *sb_json_room(struct sb_json_out *o, size_t n)
{
	return o->cap - o->len >= n && o->cap > 0 ? o->p + o->len : sb_json_grow(o, n);
}

static inline void sb_json_raw(struct sb_json_out *o, const char *s, size_t n)
{
	char *p = sb_json_room(o, n);

	if(p == NULL)
		return;
	memcpy(p, s, n);
	o->len += n;
}

/** A comma, unless a bracket was just opened or nothing stands there yet. */
static inline void sb_json_comma(struct sb_json_out *o)
{
	if(o->len > 0 && o->p[o->len - 1] != '{' && o->p[o->len - 1] != '[')
		sb_json_raw(o, ",", 1);
}

/** Any bytes as a string: each wrong UTF-8 sequence and each NUL becomes U+FFFD. */
void sb_json_put_string(struct sb_json_out *o, const void *bytes, size_t len);
void sb_json_put_u64(struct sb_json_out *o, uint64_t v);
/** v / 10^decimals as a real. @param decimals 3 or 6 */
void sb_json_put_decimal(struct sb_json_out *o, uint64_t v, unsigned decimals);
/** µs since 1970 as a string, or null: 0, or past the year 9999. */
void sb_json_put_time(struct sb_json_out *o, uint64_t us);
/** Takes the reference; NULL is a failure. */
void sb_json_put_tree(struct sb_json_out *o, json_t *tree);

#endif
