/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What fails together. Pure: failures in, groups out, the one to look at first.
 *
 * A group is all failures of one trunk, agent, dialled number, destination or caller, or those among them with one code, or one code
 * alone. Its weight is how many there are, each by what its code says of the one who is asked (a 503 is the trunk's fault, a 486 is
 * nobody's), times how far the share that failed of
 * what was tried there stands out from what is usual, in the stretch of time in which it does so most. The heaviest group is taken, its failures are
 * set aside, and so on: what is but a part of a better group is not listed.
 */
#ifndef SB_CLI_FAILURES_GROUP_H
#define SB_CLI_FAILURES_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum failures_dim
{
	BY_THE_TRUNK,
	BY_THE_AGENT,
	BY_THE_NUMBER,
	BY_THE_DESTINATION,
	BY_THE_CALLER,
	FAILURES_DIMS,
	BY_THE_CODE = FAILURES_DIMS
};

/** One attempt that failed, or one call that failed without an attempt that did. */
struct failure
{
	const char *name[FAILURES_DIMS]; /* NULL or "": unknown */
	const char *call_id;
	uint64_t at; /* µs */
	unsigned code;
	bool rang;    /* a 408 after ringing is no answer, without it is no response */
	bool rescued; /* the call went on elsewhere */
};

struct failures;
/** NULL: no memory */
struct failures *failures_new(void);
void failures_free(struct failures *f);
/** Texts are copied. @return 0 or -ENOMEM */
int failures_add(struct failures *f, const struct failure *in);
size_t failures_count(const struct failures *f);

#define FAILURES_CODES 5u
/** The most frequent codes, the first one first; count 0: no more. */
struct failures_codes
{
	unsigned code;
	bool rang;
	size_t count;
};

struct failures_group
{
	enum failures_dim dim;
	const char *name; /* of the trunk, …; NULL for BY_THE_CODE. All texts live with failures */
	unsigned code;    /* 0: several */
	bool rang;
	size_t count;                      /* failed attempts; of a number or caller: failed calls */
	size_t rescued;                    /* of count: the call went on elsewhere */
	uint64_t first, last;              /* µs, all of them */
	uint64_t most_first, most_last;    /* the stretch in which it stands out */
	size_t most;                       /* failures in that stretch */
	size_t good;                       /* answered there in that stretch, about */
	const char *example;               /* call id of the newest */
	const char *common[FAILURES_DIMS]; /* what nine of ten of them have in common beside; NULL: nothing */
	struct failures_codes codes[FAILURES_CODES];
};

/**
 * How many calls were answered by that trunk, agent, number, caller or destination (or at all: BY_THE_CODE) between two times; about is
 * enough; FAILURES_NO_TIME ends the asking, and with it the search. `via` is the trunk or agent that nearly all of the group went through, or NULL: for a destination.
 */
#define FAILURES_NO_TIME SIZE_MAX
typedef size_t (*failures_good)(enum failures_dim dim, const char *name, enum failures_dim via_dim, const char *via,
		uint64_t first, uint64_t last, void *arg);

/**
 * @param good may be NULL: nothing is known of what went well
 * @return how many of `most` were found, or -ENOMEM
 */
int failures_find(struct failures *f, failures_good good, void *arg, struct failures_group *out, size_t most);

/** Those in no group that failures_find() gave. @return how many */
size_t failures_rest(const struct failures *f, struct failures_codes out[FAILURES_CODES]);

/** 0 … 1: how much a failure says about the one who answered so, not about the callee or the caller. */
double failures_weight(unsigned code, bool rang);

#endif
