/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls_ask.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const states[] = {
		"calling", "ringing", "early_media", "confirmed", "held", "transferred", "disconnected", "failed", "timeout"};
#define LIVE 6u /* the first of them */

static const char *const outcomes[] = {"busy", "rejected", "cancelled", "unavailable", "forbidden", "not_found",
		"error", "no_answer", "no_response", "expired"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const char *one_of(const char *s, const char *const *list, size_t n)
{
	for(size_t i = 0; i < n; i++) {
		if(strcmp(s, list[i]) == 0)
			return list[i];
	}
	return NULL;
}

static int not_in(char *err, size_t err_len, const char *option, const char *s, const char *first,
		const char *const *list, size_t n)
{
	struct text shown = text_plain(s, strlen(s));
	err[0] = '\0';
	say(err, err_len, "%s %s is not known; there are: %s", option, shown.s, first);
	for(size_t i = 0; i < n; i++)
		say(err, err_len, " %s", list[i]);
	return -EINVAL;
}

static int take_state(struct calls_ask *a, const char *s, char *err, size_t err_len)
{
	const char *name = one_of(s, states, COUNT(states));
	if(strcmp(s, "live") == 0) {
		memcpy(a->state, states, LIVE * sizeof(states[0]));
		a->states = LIVE;
	} else if(name != NULL) {
		a->state[a->states++] = name;
	} else {
		return not_in(err, err_len, "--state", s, "live", states, COUNT(states));
	}
	return 0;
}

static int take_outcome(struct calls_ask *a, const char *s, char *err, size_t err_len)
{
	a->outcome_name = one_of(s, outcomes, COUNT(outcomes));
	a->outcome = OUTCOME_NAMED;
	if(strcmp(s, "answered") == 0)
		a->outcome = OUTCOME_ANSWERED;
	else if(strcmp(s, "failed") == 0)
		a->outcome = OUTCOME_FAILED;
	else if(a->outcome_name == NULL)
		return not_in(err, err_len, "--outcome", s, "answered failed", outcomes, COUNT(outcomes));
	return 0;
}

int calls_code_parse(const char *s, unsigned *min, unsigned *max)
{
	if(strlen(s) != 3 || s[0] < '1' || s[0] > '6')
		return -EINVAL;
	unsigned class = (unsigned)(s[0] - '0') * 100;
	if((s[1] == 'x' || s[1] == 'X') && (s[2] == 'x' || s[2] == 'X')) {
		*min = class;
		*max = class + 99;
		return 0;
	}
	if(s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9')
		return -EINVAL;
	*min = *max = class + (unsigned)(s[1] - '0') * 10 + (unsigned)(s[2] - '0');
	return 0;
}

static int wrong(char *err, size_t err_len, const char *option, const char *s, const char *expected)
{
	snprintf(err, err_len, "%s %s: %s", option, text_plain(s, strlen(s)).s, expected);
	return -EINVAL;
}

#define A_TIME "a time is 90s, 10m, 2h, 3d ago; 2026-01-31T14:02:07; 14:02 (UTC)"

int calls_ask_parse(struct calls_ask *a, const struct calls_words *w, uint64_t now_us, char *err, size_t err_len)
{
	int rc = 0;
	*a = (struct calls_ask){
			.number = w->number, .trunk = w->trunk, .agent = w->agent, .did = w->did, .limit = CALLS_LIMIT};
	if(w->code != NULL && calls_code_parse(w->code, &a->code_min, &a->code_max) != 0)
		return wrong(err, err_len, "--code", w->code, "a SIP code, 503, or a class of them, 5xx");
	if(w->state != NULL && (rc = take_state(a, w->state, err, err_len)) != 0)
		return rc;
	if(w->outcome != NULL && (rc = take_outcome(a, w->outcome, err, err_len)) != 0)
		return rc;
	if(w->since != NULL && since_parse(w->since, now_us, &a->since) != 0)
		return wrong(err, err_len, "--since", w->since, A_TIME);
	if(w->until != NULL && since_parse(w->until, now_us, &a->until) != 0)
		return wrong(err, err_len, "--until", w->until, A_TIME);
	if(w->limit != NULL) {
		char *end;
		unsigned long n = strtoul(w->limit, &end, 10);
		if(w->limit[0] < '0' || w->limit[0] > '9' || *end != '\0' || n < 1 || n > CALLS_LIMIT_MAX)
			return wrong(err, err_len, "--limit", w->limit, "a number from 1 to 1000000");
		a->limit = (unsigned)n;
	}
	return 0;
}

void calls_time(char *out, uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	gmtime_r(&t, &tm);
	size_t n = strftime(out, 20, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(out + n, 8, ".%06u", (unsigned)(us % 1000000));
}

uint64_t calls_time_parse(const char *s)
{
	struct tm tm = {0};
	const char *end = s != NULL ? strptime(s, "%Y-%m-%d %H:%M:%S", &tm) : NULL;
	time_t t = end != NULL ? timegm(&tm) : 0;
	if(t <= 0)
		return 0;
	uint64_t us = (uint64_t)t * 1000000, unit = 100000;
	if(*end == '.') {
		for(end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			us += unit * (uint64_t)(*end - '0');
	}
	return us;
}

static void backwards(char out[33], const char *digits, size_t n)
{
	size_t len = n < 32 ? n : 32, all = strlen(digits);
	for(size_t i = 0; i < len; i++)
		out[i] = digits[all - 1 - i];
	out[len] = '\0';
}

int calls_digits(struct calls_digits *d, const char *typed)
{
	char digits[64];
	const size_t enough = 6;
	memset(d, 0, sizeof(*d));
	if(!digits_of(digits, sizeof(digits), typed, strlen(typed)))
		return -EINVAL;
	const char *plain = digits + strspn(digits, "0");
	size_t n = strlen(plain);
	if(n > 32)
		return -EINVAL;
	if(n < enough) {
		backwards(d->exact[d->exacts++], digits, strlen(digits));
		return 0;
	}
	backwards(d->prefix, plain, n);
	for(size_t k = enough; k < n; k++) {
		for(size_t zeros = 0; zeros <= 2 && k + zeros < 33 && d->exacts < COUNT(d->exact); zeros++) {
			/* one that goes on as the number does is found by the prefix of another k */
			backwards(d->exact[d->exacts], plain, k);
			memset(d->exact[d->exacts] + k, '0', zeros);
			d->exact[d->exacts][k + zeros] = '\0';
			if(strncmp(d->exact[d->exacts], d->prefix, k + zeros) != 0 || zeros == 0)
				d->exacts++;
		}
	}
	return 0;
}
