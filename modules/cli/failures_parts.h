/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What failures_group.c (what failed, sorted into groups) and failures_find.c (which group stands out) share.
 */
#ifndef SB_CLI_FAILURES_PARTS_H
#define SB_CLI_FAILURES_PARTS_H

#include "failures_group.h"
#include "failures_names.h"

#define PATTERNS (2 * FAILURES_DIMS + 1) /* each name, each name with the code, the code */
#define NONE UINT32_MAX
#define CODES 2000

struct item
{
	uint64_t at;
	uint32_t name[FAILURES_DIMS];
	uint32_t call;
	uint16_t what; /* code * 2 + rang */
	bool rescued, set_aside;
};

struct group
{
	uint32_t name;
	uint16_t what; /* 0: any */
	uint8_t dim;
	bool counts_calls, taken, asked;
	enum
	{
		GUESSED,
		KNOWN
	} state;                        /* of rate */
	uint32_t members, first_member; /* in failures.member: indexes of items, by time */
	uint32_t left;                  /* not set aside */
	double weight;                  /* of those */
	double rate;                    /* how far it stands out */
	size_t good, all_good;          /* answered in the stretch; in all the time (asked, of what = 0) */
	double take;                    /* failures in the stretch */
	uint64_t most_first, most_last;
};

struct failures
{
	struct names names[FAILURES_DIMS], calls;
	struct item *item;
	size_t items, room;
	struct group *group;
	size_t groups, group_room;
	uint32_t *slot; /* open addressing over group */
	size_t slots;
	uint32_t (*of)[PATTERNS]; /* groups of an item */
	uint32_t *member;
	uint64_t *at;        /* of all items, in order */
	uint32_t *candidate; /* groups that may be worth showing */
	size_t candidates;
};

/** Sorts all into groups anew. @return 0 or -ENOMEM */
int failures_sort(struct failures *f);
/** The group of a name and a code (0: any), whose members are known to be there. */
struct group *failures_group_at(struct failures *f, uint8_t dim, uint32_t name, uint16_t what);

#endif
