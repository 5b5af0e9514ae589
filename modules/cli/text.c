/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "text.h"
#include "json_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char dots[] = "\xe2\x80\xa6";

struct text text_plain(const void *bytes, size_t len)
{
	struct text t = {""};
	size_t n = 0;
	bool cut = len > TEXT_MAX * 4;
	char *clean = sb_json_clean(bytes, cut ? TEXT_MAX * 4 : len, &len);
	for(size_t i = 0; clean != NULL && i < len;) {
		unsigned char c = (unsigned char)clean[i];
		size_t used = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		bool control = c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)clean[i + 1] < 0xa0);
		if(n + used + sizeof(dots) > TEXT_MAX) {
			cut = true;
			break;
		}
		if(control)
			t.s[n++] = '?';
		else
			memcpy(t.s + n, clean + i, used);
		n += control ? 0 : used;
		i += used;
	}
	memcpy(t.s + n, cut ? dots : "", cut ? sizeof(dots) : 1);
	free(clean);
	return t;
}

void say(char *text, size_t cap, const char *format, ...)
{
	va_list ap;
	size_t n = strlen(text);
	va_start(ap, format);
	size_t more = (size_t)vsnprintf(text + n, cap - n, format, ap);
	va_end(ap);
	if(more < cap - n)
		return;
	for(n = cap - 1; n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80; n--)
		;
	if(n > 0 && (unsigned char)text[n - 1] >= 0xc0)
		text[n - 1] = '\0';
}

struct text text_field(const struct sb_field *f)
{
	return text_plain(f->data, f->col != 0 ? f->len : 0);
}

struct text text_user(const struct sb_field *uri)
{
	const char *user;
	size_t len;
	if(uri->col == 0)
		return (struct text){"unknown"};
	sb_uri_user(uri->data, uri->len, &user, &len);
	return len > 0 ? text_plain(user, len) : text_field(uri);
}

struct text text_span(uint64_t us)
{
	struct text t;
	uint64_t s = us / 1000000;
	if(us < 1000000)
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " ms", us / 1000);
	else if(us < 10000000)
		snprintf(t.s, sizeof(t.s), "%.2f s", (double)us / 1e6);
	else if(s < 600)
		snprintf(t.s, sizeof(t.s), "%.1f s", (double)us / 1e6);
	else if(s < 36000)
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	return t;
}

struct text text_clock(uint64_t us)
{
	char iso[32];
	struct text t = {"--:--:--.---"};
	if(sb_time_text(iso, us))
		snprintf(t.s, sizeof(t.s), "%.12s", iso + 11);
	return t;
}

struct text text_date(uint64_t us)
{
	char iso[32];
	struct text t = {"----------"};
	if(sb_time_text(iso, us))
		snprintf(t.s, sizeof(t.s), "%.10s", iso);
	return t;
}

bool digits_of(char *out, size_t cap, const char *s, size_t len)
{
	size_t n = 0;
	for(size_t i = 0; i < len; i++) {
		if(s[i] >= '0' && s[i] <= '9') {
			if(n + 1 >= cap)
				return false;
			out[n++] = s[i];
		} else if(s[i] == '\0' || strchr("+-.()/ ", s[i]) == NULL)
			return false;
	}
	out[n] = '\0';
	return n >= 2;
}

bool number_matches(const char *typed, const struct sb_field *uri)
{
	char want[64], have[64];
	const char *user;
	size_t len;
	if(uri->col == 0)
		return false;
	sb_uri_user(uri->data, uri->len, &user, &len);
	if(len == strlen(typed) && len > 0 && memcmp(user, typed, len) == 0)
		return true;
	if(len >= 3 && strncmp(user, "%2B", 3) == 0) {
		user += 3;
		len -= 3;
	}
	if(!digits_of(want, sizeof(want), typed, strlen(typed)) || !digits_of(have, sizeof(have), user, len))
		return false;
	if(strcmp(want, have) == 0)
		return true;
	const char *w = want + strspn(want, "0");
	const char *h = have + strspn(have, "0");
	size_t wn = strlen(w), hn = strlen(h);
	size_t n = wn < hn ? wn : hn;
	return n >= 6 && memcmp(w + wn - n, h + hn - n, n) == 0;
}

static int since_span(const char *s, uint64_t now_us, uint64_t *out_us)
{
	static const struct
	{
		char unit;
		uint64_t seconds;
	} row[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char *end;
	uint64_t n = strtoull(s, &end, 10);
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if(*end == row[i].unit && end[1] == '\0' && end > s && n < 1000000000u) {
			uint64_t back = n * row[i].seconds * 1000000;
			*out_us = back < now_us ? now_us - back : 1;
			return 0;
		}
	}
	return -EINVAL;
}

int since_parse(const char *s, uint64_t now_us, uint64_t *out_us)
{
	static const char *const form[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
			"%Y-%m-%d", "%H:%M:%S", "%H:%M"};
	if(s[0] >= '0' && s[0] <= '9' && since_span(s, now_us, out_us) == 0)
		return 0;
	for(size_t i = 0; i < sizeof(form) / sizeof(form[0]); i++) {
		time_t now = (time_t)(now_us / 1000000);
		struct tm tm;
		gmtime_r(&now, &tm);
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		const char *end = strptime(s, form[i], &tm);
		uint64_t us = 0;
		if(end == NULL)
			continue;
		if(*end == '.') {
			uint64_t unit = 100000;
			for(end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
				us += unit * (uint64_t)(*end - '0');
		}
		if(*end == 'Z')
			end++;
		time_t t = timegm(&tm);
		if(*end != '\0' || t <= 0)
			continue;
		*out_us = (uint64_t)t * 1000000 + us;
		return 0;
	}
	return -EINVAL;
}
