/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What can be asked of a call, by name: one table behind $call(name), the RPC and the reference.
 */
#ifndef CS_FIELDS_H
#define CS_FIELDS_H

#include "call.h"
#include "sip_text.h"

#define CS_VALUE_BUF 40 /* a UUID or a time, terminated */

enum cs_value_kind
{
	CS_V_NONE, /* not known, or it does not apply */
	CS_V_INT,
	CS_V_TEXT,
	CS_V_TIME
};

struct cs_value
{
	enum cs_value_kind kind;
	uint64_t n;          /* INT; TIME: µs since 1970 UTC */
	struct cs_span text; /* TEXT: in the call, in buf, or a constant; TIME: "2026-11-20T17:28:00.123456Z", in buf */
	char buf[CS_VALUE_BUF];
};

struct cs_field
{
	const char *name;
	bool brief; /* also in a list of calls */
	void (*get)(const struct cs_call *c, int where, uint64_t mono, struct cs_value *v);
	int where;
};

/** Every field, in the order in which they are shown; the name behind the last is NULL. */
extern const struct cs_field cs_fields[];

/** @return the field of that name, or NULL */
const struct cs_field *cs_field_find(const char *name, size_t len);

/** @param mono monotonic clock, µs. v->text may point into c: use it while c stays as it is. */
void cs_field_get(const struct cs_field *f, const struct cs_call *c, uint64_t mono, struct cs_value *v);

/** RFC 3339 in UTC with microseconds. @param us 0 = unknown: an empty text */
void cs_time_text(char out[CS_VALUE_BUF], uint64_t us);

/** "attr.NAME" or "customer.NAME": whether it can name an attribute. */
bool cs_attr_name(const char *name, size_t len);

/** An attribute by such a name; "attr.NAME" also finds one that is kept as NAME. */
const char *cs_attr_find(const struct cs_call *c, const char *name, size_t name_len, size_t *len);

/** Makes bytes from the wire fit to be shown: control bytes, and what is not valid UTF-8, become '?'. */
void cs_clean(char *s, size_t len);

#endif
