/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_match.h"

#include <stdio.h>
#include <string.h>

#include "json_parts.h"
#include "text.h"

#define ENOUGH 9u  /* digits that say who it is without the country */
#define LEAST 6u   /* shorter numbers are in every text by chance */
#define PATTERN 6u /* as number_matches(): that many are the same in any case */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number without the zeros in front, which say national or international. @return false: no number */
static bool significant(char out[64], const char *s, size_t len)
{
	char digits[64];
	if(!digits_of(digits, sizeof(digits), s, len))
		return false;
	snprintf(out, 64, "%s", digits + strspn(digits, "0"));
	return true;
}

bool db_match_uri(const char *number, bool exact, const char *s, size_t len)
{
	struct sb_field f = {.col = 1,
			.kind = SB_STR,
			.len = (uint16_t)(len < UINT16_MAX ? len : UINT16_MAX),
			.data = (const uint8_t *)s};
	char want[64], have[64];
	const char *user;
	size_t user_len;
	if(!number_matches(number, &f))
		return false;
	if(!exact)
		return true;
	sb_uri_user(s, len, &user, &user_len);
	if(user_len >= 3 && strncmp(user, "%2B", 3) == 0) {
		user += 3;
		user_len -= 3;
	}
	if(!digits_of(want, sizeof(want), number, strlen(number)) || !digits_of(have, sizeof(have), user, user_len))
		return true; /* no number: it was the user part itself */
	return strcmp(want, have) == 0;
}

static bool run_matches(const char *want, bool exact, const char *digits, size_t n)
{
	while(n > 0 && *digits == '0') {
		digits++;
		n--;
	}
	size_t w = strlen(want), same = w < n ? w : n;
	if(exact ? n != w : same < ENOUGH && same != w)
		return false;
	return memcmp(want + w - same, digits + n - same, same) == 0;
}

bool db_match_text(const char *number, bool exact, const char *s, size_t len)
{
	char want[64], run[64];
	size_t n = 0;
	if(!significant(want, number, strlen(number)) || strlen(want) < LEAST)
		return false;
	for(size_t i = 0; i <= len; i++) {
		if(i < len && is_digit(s[i])) {
			if(n == sizeof(run))
				memmove(run, run + 1, --n);
			run[n++] = s[i];
		} else if(i == len || strchr("+-.()/ ", s[i]) == NULL || s[i] == '\0') {
			if(n > 0 && run_matches(want, exact, run, n))
				return true;
			n = 0;
		}
	}
	return false;
}

bool db_match_like(char *out, size_t cap, const char *number)
{
	char digits[64];
	size_t n = 0;
	if(cap < 8)
		return false;
	out[n++] = '%';
	if(significant(digits, number, strlen(number)) && digits[0] != '\0') {
		size_t len = strlen(digits);
		for(const char *p = digits + (len > PATTERN ? len - PATTERN : 0); *p != '\0' && n + 3 < cap; p++) {
			out[n++] = *p;
			out[n++] = '%';
		}
		out[n] = '\0';
		return true;
	}
	for(const char *p = number; *p != '\0'; p++) {
		if(n + 4 >= cap)
			return false;
		if(*p == '%' || *p == '_' || *p == '!')
			out[n++] = '!';
		out[n++] = *p;
	}
	out[n++] = '%';
	out[n] = '\0';
	return true;
}
