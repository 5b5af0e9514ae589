/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "json_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

static const char replacement[3] = {'\xef', '\xbf', '\xbd'};

/** Bytes of the sequence at p, and whether it is a character (Unicode 15, table 3-7); if not, bytes to replace. */
static size_t sequence(const uint8_t *p, size_t left, bool *good)
{
	static const struct
	{
		uint8_t first, last, low, high, more;
	} row[] = {{0x01, 0x7f, 0, 0, 0}, {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
			{0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
			{0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3}};

	*good = false;
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if(p[0] < row[i].first || p[0] > row[i].last)
			continue;
		for(size_t n = 1; n <= row[i].more; n++) {
			uint8_t low = n == 1 ? row[i].low : 0x80;
			uint8_t high = n == 1 ? row[i].high : 0xbf;
			if(n >= left || p[n] < low || p[n] > high)
				return n;
		}
		*good = true;
		return 1u + row[i].more;
	}
	return 1;
}

static bool all_good(const uint8_t *p, size_t len)
{
	for(size_t i = 0; i < len;) {
		bool good = true;
		i += p[i] != 0 && p[i] < 0x80 ? 1 : sequence(p + i, len - i, &good);
		if(!good)
			return false;
	}
	return true;
}

char *sb_json_clean(const void *bytes, size_t len, size_t *out_len)
{
	const uint8_t *p = bytes;
	char *out = malloc(len * sizeof(replacement) + 1);
	if(out == NULL)
		return NULL;
	size_t n = 0;
	for(size_t i = 0; i < len;) {
		bool good;
		size_t used = sequence(p + i, len - i, &good);
		memcpy(out + n, good ? (const char *)p + i : replacement, good ? used : sizeof(replacement));
		n += good ? used : sizeof(replacement);
		i += used;
	}
	out[n] = '\0';
	if(out_len != NULL)
		*out_len = n;
	return out;
}

json_t *sb_json_string(const void *bytes, size_t len)
{
	if(all_good(bytes, len))
		return json_stringn_nocheck(len > 0 ? bytes : "", len);
	char *text = sb_json_clean(bytes, len, &len);
	json_t *s = text != NULL ? json_stringn_nocheck(text, len) : NULL;
	free(text);
	return s;
}

bool sb_time_text(char *out, uint64_t us)
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	if(us == 0 || s > 253402300799 || gmtime_r(&s, &tm) == NULL)
		return false;
	size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 32 - n, ".%06uZ", (unsigned)(us % 1000000));
	return true;
}

json_t *sb_json_time(uint64_t us)
{
	char text[32];
	return sb_time_text(text, us) ? json_string_nocheck(text) : json_null();
}

static bool starts(const char *p, size_t len, const char *scheme)
{
	size_t n = strlen(scheme);
	return len >= n && strncasecmp(p, scheme, n) == 0;
}

void sb_uri_user(const void *uri, size_t len, const char **user, size_t *user_len)
{
	const char *p = uri;
	const char *end = p + len;
	bool tel = starts(p, len, "tel:");
	bool sip = starts(p, len, "sip:") || starts(p, len, "sips:");
	if(tel || sip)
		p = (const char *)memchr(p, ':', len) + 1;
	if(!tel) {
		const char *at = memchr(p, '@', (size_t)(end - p));
		if(at == NULL && sip)
			end = p;
		else if(at != NULL)
			end = at;
	}
	for(const char *q = p; q < end; q++) {
		if(*q == ';' || (sip && *q == ':'))
			end = q;
	}
	*user = p;
	*user_len = (size_t)(end - p);
}

bool sb_e164(char *out, const void *uri, size_t len)
{
	const char *p;
	size_t n = 1;
	sb_uri_user(uri, len, &p, &len);
	size_t i = starts(p, len, "%2b") ? 3 : starts(p, len, "+") ? 1 : 0;
	if(i == 0)
		return false;
	char text[17] = "+";
	for(; i < len; i++) {
		if(strchr("-.()", p[i]) != NULL && p[i] != '\0')
			continue;
		if(p[i] < '0' || p[i] > '9' || n > 15)
			return false;
		text[n++] = p[i];
	}
	if(n < 6 || text[1] == '0')
		return false;
	memcpy(out, text, sizeof(text));
	return true;
}
