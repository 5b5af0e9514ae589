/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "event.h"
#include "log.h"

#include <errno.h>

static const char *const type_name[256] = {
#define X(name, n, text, shed) [n] = text,
		SB_TYPES(X)
#undef X
};

static const uint8_t type_shed[256] = {
#define X(name, n, text, shed) [n] = shed,
		SB_TYPES(X)
#undef X
};

static const uint8_t col_kind[256] = {
#define X(name, n, kind) [n] = kind,
		SB_COLUMNS(X)
#undef X
};

static const char *const col_name[256] = {
#define X(name, n, kind) [n] = #name,
		SB_COLUMNS(X)
#undef X
};

static const char *const state_name[] = {
#define X(name, n, text) [n] = text,
		SB_STATES(X)
#undef X
};

size_t sb_group_begin(struct sb_out *o, enum sb_col col)
{
	sb_room(o, col, SB_GROUP, 0);
	return o->len;
}

void sb_group_end(struct sb_out *o, size_t mark)
{
	if(o->overflow)
		return;
	if(o->len - mark > UINT16_MAX) {
		o->overflow = true;
		return;
	}
	uint16_t n = htole16((uint16_t)(o->len - mark));
	memcpy(o->p + mark - sizeof(n), &n, sizeof(n));
}

void sb_in_init(struct sb_in *in, const void *payload, size_t len)
{
	in->p = payload;
	in->len = len;
	in->at = 0;
}

static bool right_length(uint8_t kind, uint16_t len)
{
	switch(kind) {
		case SB_U64:
		case SB_TIME:
			return len == 8;
		case SB_UUID:
			return len == 16;
		default:
			return true;
	}
}

int sb_in_next(struct sb_in *in, struct sb_field *f)
{
	if(in->at == in->len)
		return 0;
	if(in->len - in->at < SB_HEAD)
		return -EBADMSG;
	const uint8_t *p = in->p + in->at;
	uint16_t n;
	memcpy(&n, p + 2, sizeof(n));
	n = le16toh(n);
	if(in->len - in->at - SB_HEAD < n || !right_length(p[1], n))
		return -EBADMSG;
	f->col = p[0];
	f->kind = p[1];
	f->len = n;
	f->data = p + SB_HEAD;
	in->at += SB_HEAD + n;
	return 1;
}

uint64_t sb_field_u64(const struct sb_field *f)
{
	uint64_t v;
	if(f->len != sizeof(v))
		return 0;
	memcpy(&v, f->data, sizeof(v));
	return le64toh(v);
}

bool sb_find(const void *payload, size_t len, enum sb_col col, struct sb_field *out)
{
	struct sb_in in;
	struct sb_field f;
	sb_in_init(&in, payload, len);
	while(sb_in_next(&in, &f) == 1) {
		if(f.col == col && f.kind == col_kind[f.col]) {
			*out = f;
			return true;
		}
	}
	return false;
}

const char *sb_type_name(uint16_t type)
{
	return type < 256 ? type_name[type] : NULL;
}

int sb_type_shed(uint16_t type)
{
	return type < 256 && type_name[type] != NULL ? type_shed[type] : SB_EXTRA;
}

enum sb_kind sb_col_kind(uint8_t col)
{
	return (enum sb_kind)col_kind[col];
}

const char *sb_col_name(uint8_t col)
{
	return col_name[col];
}

const char *sb_state_name(unsigned state)
{
	return state < sizeof(state_name) / sizeof(state_name[0]) ? state_name[state] : "";
}

void sb_uuid7(uint8_t out[16], uint64_t unix_ms, const uint8_t rnd[10])
{
	for(int i = 0; i < 6; i++)
		out[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
	memcpy(out + 6, rnd, 10);
	out[6] = (uint8_t)(0x70 | (out[6] & 0x0f));
	out[8] = (uint8_t)(0x80 | (out[8] & 0x3f));
}

void sb_uuid_text(char out[37], const uint8_t id[16])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;
	for(int i = 0; i < 16; i++) {
		if(i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[id[i] >> 4];
		*p++ = hex[id[i] & 15];
	}
	*p = '\0';
}

static int hex_digit(char c)
{
	if(c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sb_uuid_parse(uint8_t out[16], const char *text)
{
	uint8_t id[16];
	const char *p = text;
	for(int i = 0; i < 16; i++) {
		if((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			return -EINVAL;
		int hi = hex_digit(p[0]);
		int lo = hi < 0 ? -1 : hex_digit(p[1]);
		if(lo < 0)
			return -EINVAL;
		id[i] = (uint8_t)(hi << 4 | lo);
		p += 2;
	}
	if(*p != '\0')
		return -EINVAL;
	memcpy(out, id, sizeof(id));
	return 0;
}
