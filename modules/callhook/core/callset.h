/* SPDX-License-Identifier: GPL-2.0-or-later */
/** How many events of each call are parked: a call that is in here has its later events parked too. */
#ifndef SB_HOOK_CALLSET_H
#define SB_HOOK_CALLSET_H

#include <stdint.h>

struct sb_callset_item
{
	uint8_t call[16];
	uint32_t count; /* 0: unused */
};

struct sb_callset
{
	struct sb_callset_item *items;
	uint32_t size, used; /* size is a power of 2, or 0 */
	uint64_t total;      /* events */
};

/** @return 0 or -ENOMEM (nothing has changed) */
int sb_callset_add(struct sb_callset *s, const uint8_t call[16], uint32_t n);
/** @return how many are left of that call */
uint32_t sb_callset_sub(struct sb_callset *s, const uint8_t call[16]);
uint32_t sb_callset_count(const struct sb_callset *s, const uint8_t call[16]);
void sb_callset_free(struct sb_callset *s);

#endif
