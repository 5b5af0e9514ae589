/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Which calls of the call log somebody wants to see. Pure.
 */
#ifndef SB_CLI_CALLS_ASK_H
#define SB_CLI_CALLS_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALLS_LIMIT 50u
#define CALLS_LIMIT_MAX 1000000u
#define CALLS_STATES_MAX 9u
#define CALLS_FORMS 8u

/** Of `--outcome`: a name that the column holds, or one of these two, which stand for several. */
enum calls_outcome
{
	OUTCOME_ANY,
	OUTCOME_ANSWERED, /* answered, and ended by a BYE or still up: the column is NULL */
	OUTCOME_FAILED,   /* everything that was not answered */
	OUTCOME_NAMED
};

struct calls_ask
{
	const char *number, *trunk, *agent, *did; /* NULL: any */
	unsigned code_min, code_max;              /* both 0: any; 503 503; 500 599 */
	const char *state[CALLS_STATES_MAX];      /* as the column has it */
	unsigned states;                          /* 0: any */
	enum calls_outcome outcome;
	const char *outcome_name; /* OUTCOME_NAMED */
	uint64_t since, until;    /* µs: since ≤ started < until; 0: open */
	unsigned limit;
	/* the number as the log has it, digits backwards: looked up by calls_walks_choose() */
	char form[CALLS_FORMS][33];
	unsigned forms; /* 0: none, or too many to look for them in rows */
};

/** What was typed; NULL: not given. */
struct calls_words
{
	const char *number, *trunk, *agent, *did, *code, *state, *outcome, *since, *until, *limit;
};

/** @param err one sentence: what was found, what is expected @return 0 or -EINVAL. Texts stay the caller's */
int calls_ask_parse(struct calls_ask *a, const struct calls_words *w, uint64_t now_us, char *err, size_t err_len);

/** "503" or "5xx". @return 0 or -EINVAL */
int calls_code_parse(const char *s, unsigned *min, unsigned *max);

/** "2026-01-31 14:02:07.123456", as the tables have it. @param out ≥ 27 bytes */
void calls_time(char *out, uint64_t us);
/** And back; 0: no time */
uint64_t calls_time_parse(const char *s);

/**
 * The values of from_digits or to_digits that a typed number means: digits backwards. `prefix`: it, and everything that begins with it;
 * `exact`: shorter ones that the number ends with. Numbers compare as with number_matches(): without leading zeros, from six digits on one
 * may be the end of the other; shorter ones must be the same.
 */
struct calls_digits
{
	char prefix[33]; /* "": none */
	char exact[80][33];
	unsigned exacts;
};
/** @return 0, or -EINVAL: this is no number */
int calls_digits(struct calls_digits *d, const char *typed);

#endif
