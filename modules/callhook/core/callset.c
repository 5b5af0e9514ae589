/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "callset.h"

static uint32_t home(const uint8_t call[16], uint32_t size)
{
	uint64_t a, b;

	memcpy(&a, call, 8);
	memcpy(&b, call + 8, 8);
	a = (a ^ (b * 0x9e3779b97f4a7c15ull)) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(a >> 32) & (size - 1);
}

/* The call's item, or the free one where it would go (linear probing; never full). */
static struct sb_callset_item *find(struct sb_callset_item *items, uint32_t size, const uint8_t call[16])
{
	uint32_t i = home(call, size);

	while(items[i].count > 0 && memcmp(items[i].call, call, 16) != 0)
		i = (i + 1) & (size - 1);
	return &items[i];
}

static int grow(struct sb_callset *s)
{
	uint32_t size = s->size > 0 ? s->size * 2 : 64;
	struct sb_callset_item *items = calloc(size, sizeof(*items));

	if(items == NULL)
		return -ENOMEM;
	for(uint32_t i = 0; i < s->size; i++) {
		if(s->items[i].count > 0)
			*find(items, size, s->items[i].call) = s->items[i];
	}
	free(s->items);
	s->items = items;
	s->size = size;
	return 0;
}

int sb_callset_add(struct sb_callset *s, const uint8_t call[16], uint32_t n)
{
	struct sb_callset_item *it;

	if((s->used + 1) * 4 > s->size * 3 && grow(s) != 0)
		return -ENOMEM;
	it = find(s->items, s->size, call);
	if(it->count == 0) {
		memcpy(it->call, call, 16);
		s->used++;
	}
	it->count += n;
	s->total += n;
	return 0;
}

/* Closes the hole at i, so that no search ends early. */
static void close_hole(struct sb_callset *s, uint32_t i)
{
	uint32_t mask = s->size - 1;

	for(uint32_t j = (i + 1) & mask; s->items[j].count > 0; j = (j + 1) & mask) {
		uint32_t h = home(s->items[j].call, s->size);
		if(((j - h) & mask) >= ((j - i) & mask)) {
			s->items[i] = s->items[j];
			s->items[j].count = 0;
			i = j;
		}
	}
}

uint32_t sb_callset_sub(struct sb_callset *s, const uint8_t call[16])
{
	struct sb_callset_item *it;

	if(s->size == 0)
		return 0;
	it = find(s->items, s->size, call);
	if(it->count == 0)
		return 0;
	s->total--;
	if(--it->count > 0)
		return it->count;
	s->used--;
	close_hole(s, (uint32_t)(it - s->items));
	return 0;
}

uint32_t sb_callset_count(const struct sb_callset *s, const uint8_t call[16])
{
	return s->size > 0 ? find(s->items, s->size, call)->count : 0;
}

void sb_callset_free(struct sb_callset *s)
{
	free(s->items);
	memset(s, 0, sizeof(*s));
}
