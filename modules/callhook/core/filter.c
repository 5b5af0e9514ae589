/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "filter.h"

#define GLOB_CHARS "abcdefghijklmnopqrstuvwxyz0123456789._-*"

int sb_filter_parse(struct sb_filter *f, const char *text, char *why, size_t why_len)
{
	size_t at = 0;

	memset(f, 0, sizeof(*f));
	for(const char *p = text;; p++) {
		size_t n;

		p += strspn(p, " \t");
		n = strspn(p, GLOB_CHARS);
		if(n == 0) {
			snprintf(why, why_len,
					"globs of event types separated by commas, like call.*,custom.* ; at \"%.20s\" there is none", p);
			return -EINVAL;
		}
		if(at + n + 2 > sizeof(f->text)) {
			snprintf(why, why_len, "less than %u characters", SB_FILTER_LEN - 1);
			return -EINVAL;
		}
		memcpy(f->text + at, p, n);
		if(n == 1 && *p == '*')
			f->all = true;
		at += n + 1;
		p += n;
		p += strspn(p, " \t");
		if(*p == '\0')
			return 0;
		if(*p != ',') {
			snprintf(why, why_len, "globs made of a-z 0-9 . _ - * separated by commas; \"%.20s\" is not", p);
			return -EINVAL;
		}
	}
}

static bool glob(const char *g, const char *s, size_t len)
{
	const char *end = s + len, *star = NULL, *mark = NULL;

	while(s < end) {
		if(*g == '*') {
			star = ++g;
			mark = s;
		} else if(*g == *s) {
			g++;
			s++;
		} else if(star != NULL) {
			g = star;
			s = ++mark;
		} else {
			return false;
		}
	}
	while(*g == '*')
		g++;
	return *g == '\0';
}

bool sb_filter_match(const struct sb_filter *f, const char *type, size_t len)
{
	if(f->all)
		return true;
	for(const char *g = f->text; *g != '\0'; g += strlen(g) + 1) {
		if(glob(g, type, len))
			return true;
	}
	return false;
}
