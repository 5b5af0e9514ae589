/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_log_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json.h"
#include "json_parts.h"

static int give(struct sb_db_value *v, struct sb_cl_arena *mem, const void *bytes, size_t len)
{
	char *p = sb_cl_alloc(mem, len > 0 ? len : 1);

	if(p == NULL)
		return -ENOMEM;
	memcpy(p, bytes, len);
	*v = (struct sb_db_value){.kind = SB_DB_TEXT, .text = p, .len = len};
	return 0;
}

static bool plain(const uint8_t *p, size_t len)
{
	for(size_t i = 0; i < len; i++) {
		if(p[i] == 0 || p[i] >= 0x80)
			return false;
	}
	return true;
}

/** Bytes of the first `width` characters of valid UTF-8. */
static size_t cut(const char *p, size_t len, size_t width)
{
	size_t i = 0;

	while(i < len && width-- > 0) {
		do
			i++;
		while(i < len && ((uint8_t)p[i] & 0xc0) == 0x80);
	}
	return i;
}

int sb_cl_text(struct sb_db_value *v, struct sb_cl_arena *mem, const void *bytes, size_t len, size_t width)
{
	char *clean;
	size_t n;
	int err;

	if(len == 0)
		return 0;
	if(plain(bytes, len))
		return give(v, mem, bytes, len < width ? len : width);
	clean = sb_json_clean(bytes, len, &n);
	if(clean == NULL)
		return -ENOMEM;
	err = give(v, mem, clean, cut(clean, n, width));
	free(clean);
	return err;
}

int sb_cl_key(struct sb_db_value *v, struct sb_cl_arena *mem, const void *bytes, size_t len, size_t width)
{
	size_t n = len < width ? len : width;
	char *p;

	if(n == 0)
		return 0;
	if(give(v, mem, bytes, n) != 0)
		return -ENOMEM;
	p = (char *)v->text;
	for(size_t i = 0; i < n; i++) {
		if(p[i] < 0x20 || p[i] > 0x7e)
			p[i] = '?';
	}
	return 0;
}

int sb_cl_time(struct sb_db_value *v, struct sb_cl_arena *mem, uint64_t us)
{
	char text[32];

	if(!sb_time_text(text, us))
		return 0;
	text[10] = ' ';
	return give(v, mem, text, strlen(text) - 1);
}

int sb_cl_number(struct sb_db_value *v, struct sb_cl_arena *mem, const void *uri, size_t len, size_t width)
{
	char e164[17];
	const char *user;

	if(sb_e164(e164, uri, len))
		return give(v, mem, e164, strlen(e164));
	sb_uri_user(uri, len, &user, &len);
	return sb_cl_text(v, mem, user, len, width);
}

int sb_cl_digits(struct sb_db_value *v, struct sb_cl_arena *mem, const void *uri, size_t len, size_t width)
{
	char back[64];
	const char *user;
	size_t n = 0, from = 0;

	sb_uri_user(uri, len, &user, &len);
	if(len >= 3 && strncasecmp(user, "%2b", 3) == 0)
		from = 3;
	else if(len >= 1 && user[0] == '+')
		from = 1;
	for(size_t i = len; i > from; i--) {
		char c = user[i - 1];

		if(c == '-' || c == '.' || c == '(' || c == ')')
			continue;
		if(c < '0' || c > '9')
			return 0;
		if(n < width && n < sizeof(back))
			back[n++] = c;
	}
	return n > 0 ? give(v, mem, back, n) : 0;
}

#define CUSTOMER "customer."
#define OTHER "attr."

static bool begins(const struct sb_field *f, const char *with)
{
	return f->len >= strlen(with) && memcmp(f->data, with, strlen(with)) == 0;
}

static int add_attribute(json_t *object, const uint8_t *p, size_t len)
{
	const uint8_t *equals = memchr(p, '=', len);
	size_t n = equals != NULL ? (size_t)(equals - p) : len;
	size_t skip = equals != NULL ? n + 1 : len;
	char *key = sb_json_clean(p, n, NULL);
	int rc = key != NULL ? json_object_set_new_nocheck(object, key, sb_json_string(p + skip, len - skip)) : -1;

	free(key);
	return rc == 0 ? 0 : -ENOMEM;
}

static bool remove_last(json_t *object)
{
	const char *last = NULL;

	for(void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i))
		last = json_object_iter_key(i);
	return last != NULL && json_object_del(object, last) == 0;
}

static int fit(
		struct sb_db_value *v, struct sb_cl_arena *mem, json_t *all, json_t *customer, json_t *other, size_t width)
{
	int err = -ENOMEM;
	char *text;

	while(json_object_size(customer) + json_object_size(other) > 0) {
		text = json_dumps(all, SB_JSON_FLAGS);
		if(text == NULL)
			return -ENOMEM;
		bool fits = cut(text, strlen(text), width) == strlen(text);
		err = fits ? give(v, mem, text, strlen(text)) : 0;
		free(text);
		if(fits)
			return err;
		if(!remove_last(other))
			remove_last(customer);
	}
	return 0;
}

int sb_cl_attributes(struct sb_db_value *v, struct sb_cl_arena *mem, const void *payload, size_t len, size_t width)
{
	json_t *all = NULL, *customer = NULL, *other = NULL;
	struct sb_field f;
	struct sb_in in;
	int err = 0;

	if(!sb_find(payload, len, SB_C_ATTRIBUTE, &f))
		return 0;
	customer = json_object();
	other = json_object();
	all = json_pack("{s:O,s:O}", "customer", customer, "attributes", other);
	if(all == NULL) {
		err = -ENOMEM;
		goto out;
	}
	sb_in_init(&in, payload, len);
	while(err == 0 && sb_in_next(&in, &f) == 1) {
		if(f.col != SB_C_ATTRIBUTE || f.kind != SB_STR)
			continue;
		bool theirs = begins(&f, CUSTOMER);
		size_t skip = theirs ? strlen(CUSTOMER) : begins(&f, OTHER) ? strlen(OTHER) : 0;
		err = add_attribute(theirs ? customer : other, f.data + skip, f.len - skip);
	}
	if(err == 0)
		err = fit(v, mem, all, customer, other, width);
out:
	json_decref(all);
	json_decref(customer);
	json_decref(other);
	return err;
}
