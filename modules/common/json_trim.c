/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json_parts.h"

#include <errno.h>

static size_t size_of(const json_t *j)
{
	return json_dumpb(j, NULL, 0, SB_JSON_FLAGS | JSON_ENCODE_ANY);
}

/** Drops the first attempts of a CDR; the last of them stays. @return bytes won */
static size_t drop_attempts(json_t *data, size_t too_many)
{
	json_t *list = json_object_get(data, "attempts");
	size_t n = json_array_size(list);
	size_t won = 0;
	size_t gone = 0;
	while(gone + 1 < n && won < too_many)
		won += size_of(json_array_get(list, gone++)) + 1;
	for(size_t i = gone; i < n; i++)
		json_array_set(list, i - gone, json_array_get(list, i));
	for(size_t i = n; i > n - gone; i--)
		json_array_remove(list, i - 1);
	return won;
}

static size_t drop_entries(json_t *object, size_t too_many)
{
	const char *key;
	json_t *value;
	void *next;
	size_t won = 0;
	json_object_foreach_safe(object, next, key, value)
	{
		if(won >= too_many)
			break;
		won += size_of(value) + strlen(key) + 4;
		json_object_del(object, key);
	}
	return won;
}

static json_t *shorter(const json_t *string, size_t max)
{
	static const char dots[] = "\xe2\x80\xa6";
	char out[1024 + sizeof(dots)];
	const char *s = json_string_value(string);
	while(max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	memcpy(out, s, max);
	memcpy(out + max, dots, sizeof(dots));
	return json_string_nocheck(out);
}

static void shorten_strings(json_t *j, size_t max)
{
	const char *key;
	json_t *value;
	size_t i;
	json_object_foreach(j, key, value)
	{
		if(json_is_string(value) && json_string_length(value) > max)
			json_object_set_new_nocheck(j, key, shorter(value, max));
		else
			shorten_strings(value, max);
	}
	json_array_foreach(j, i, value)
	{
		if(json_is_string(value) && json_string_length(value) > max)
			json_array_set_new(j, i, shorter(value, max));
		else
			shorten_strings(value, max);
	}
}

static size_t halve_list(json_t *list)
{
	size_t won = 0;
	for(size_t n = json_array_size(list), keep = n / 2; n > keep; n--) {
		won += size_of(json_array_get(list, n - 1)) + 1;
		json_array_remove(list, n - 1);
	}
	return won;
}

int sb_json_trim(json_t *body)
{
	static const size_t string_max[] = {1024, 256, 64};
	json_t *data = json_object_get(body, "data");
	size_t size = size_of(body);
	if(size <= SB_BODY_MAX)
		return 0;

	json_t *cut = json_array();
	if(cut == NULL || json_object_set_new(data, "truncated", cut) != 0)
		return -ENOMEM;
	size_t limit = SB_BODY_MAX - 100; /* room for the list itself */

	if((size = size_of(body)) > limit && json_array_size(json_object_get(data, "attempts")) > 1) {
		json_array_append_new(cut, json_string("attempts"));
		size -= drop_attempts(data, size - limit);
	}
	for(size_t i = 0; i < 2 && size > limit; i++) {
		if(i == 0)
			json_array_append_new(cut, json_string("strings"));
		shorten_strings(data, string_max[i]);
		size = size_of(body);
	}
	static const char *const object[] = {"attributes", "customer"};
	for(size_t i = 0; i < 2 && size > limit; i++) {
		json_t *o = json_object_get(data, object[i]);
		if(json_object_size(o) == 0)
			continue;
		json_array_append_new(cut, json_string(object[i]));
		drop_entries(o, size - limit);
		size = size_of(body);
	}
	json_t *media = json_object_get(json_object_get(data, "sip"), "media");
	if(size > limit && json_array_size(media) > 0)
		json_array_append_new(cut, json_string("media"));
	while(size > limit && json_array_size(media) > 0)
		size -= halve_list(media);
	if(size > limit)
		shorten_strings(data, string_max[2]);
	return 0;
}
