/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "filter.h"

#define TYPE_CHARS "abcdefghijklmnopqrstuvwxyz0123456789._-*"
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ+:@" TYPE_CHARS

struct kind
{
	const char *what, *chars, *said, *example;
};

static int parse(struct sb_filter *f, const struct kind *k, const char *text, char *why, size_t why_len)
{
	size_t at = 0;

	memset(f, 0, sizeof(*f));
	for(const char *p = text;; p++) {
		size_t n;

		p += strspn(p, " \t");
		n = strspn(p, k->chars);
		if(n == 0) {
			snprintf(why, why_len, "globs of %s separated by commas, like %s ; at \"%.20s\" there is none", k->what,
					k->example, p);
			return -EINVAL;
		}
		if(at + n + 2 > sizeof(f->text)) {
			snprintf(why, why_len, "less than %u characters", SB_FILTER_LEN - 1);
			return -EINVAL;
		}
		memcpy(f->text + at, p, n);
		if(strspn(p, "*") == n)
			f->all = true;
		at += n + 1;
		p += n;
		p += strspn(p, " \t");
		if(*p == '\0')
			return 0;
		if(*p != ',') {
			snprintf(why, why_len, "globs made of %s separated by commas; \"%.20s\" is not", k->said, p);
			return -EINVAL;
		}
	}
}

int sb_filter_parse(struct sb_filter *f, const char *text, char *why, size_t why_len)
{
	static const struct kind types = {"event types", TYPE_CHARS, "a-z 0-9 . _ - *", "call.*,custom.*"};

	return parse(f, &types, text, why, why_len);
}

int sb_filter_parse_names(struct sb_filter *f, const char *what, const char *text, char *why, size_t why_len)
{
	const struct kind names = {what, NAME_CHARS, "A-Z a-z 0-9 . _ - + : @ *", "carrier-*,+4420*"};

	return parse(f, &names, text, why, why_len);
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

bool sb_filter_match(const struct sb_filter *f, const char *text, size_t len)
{
	if(f->all)
		return true;
	for(const char *g = f->text; *g != '\0'; g += strlen(g) + 1) {
		if(glob(g, text, len))
			return true;
	}
	return false;
}
