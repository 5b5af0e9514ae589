/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"
#include "json_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char replacement[3] = {'\xef', '\xbf', '\xbd'};

size_t sb_utf8_sequence(const uint8_t *p, size_t left, bool *good)
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
		i += p[i] != 0 && p[i] < 0x80 ? 1 : sb_utf8_sequence(p + i, len - i, &good);
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
		size_t used = sb_utf8_sequence(p + i, len - i, &good);
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

static char *two(char *p, unsigned v, char behind)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	p[2] = behind;
	return p + 3;
}

/* Days since 1970-01-01 as a date of the Gregorian calendar: years that begin in March, eras of 400 of them. */
static char *date(char *p, unsigned days)
{
	unsigned shifted = days + 719468, era = shifted / 146097, day = shifted % 146097;
	unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	unsigned of_year = day - (365 * year + year / 4 - year / 100);
	unsigned march = (5 * of_year + 2) / 153, month = march < 10 ? march + 3 : march - 9;

	year += era * 400 + (month <= 2);
	two(p, year / 100, 0);
	p = two(p + 2, year % 100, '-');
	p = two(p, month, '-');
	return two(p, of_year - (153 * march + 2) / 5 + 1, 'T');
}

bool sb_time_text(char *out, uint64_t us)
{
	uint64_t s = us / 1000000;
	unsigned part = (unsigned)(us % 1000000), of_day = (unsigned)(s % 86400);
	char *p;

	if(us == 0 || s > 253402300799)
		return false;
	p = date(out, (unsigned)(s / 86400));
	p = two(p, of_day / 3600, ':');
	p = two(p, of_day / 60 % 60, ':');
	p = two(p, of_day % 60, '.');
	for(int i = 5; i >= 0; i--) {
		p[i] = (char)('0' + part % 10);
		part /= 10;
	}
	memcpy(p + 6, "Z", 2);
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
		if(p[i] == '-' || p[i] == '.' || p[i] == '(' || p[i] == ')')
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
