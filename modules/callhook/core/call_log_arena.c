/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_log_rows.h"

#include <stdlib.h>

#define BLOCK 65536u
#define ALIGN(n) (((n) + 15u) & ~(size_t)15u)

struct sb_cl_block
{
	struct sb_cl_block *next;
	size_t len, at;
	_Alignas(16) char bytes[];
};

void *sb_cl_alloc(struct sb_cl_arena *a, size_t len)
{
	struct sb_cl_block *b = a->first;
	size_t want = ALIGN(len);
	void *p;

	if(b == NULL || b->len - b->at < want) {
		size_t room = want > BLOCK ? want : BLOCK;

		b = malloc(sizeof(*b) + room);
		if(b == NULL)
			return NULL;
		b->next = a->first;
		b->len = room;
		b->at = 0;
		a->first = b;
	}
	p = b->bytes + b->at;
	b->at += want;
	a->used += want;
	return p;
}

static void drop(struct sb_cl_block *b)
{
	while(b != NULL) {
		struct sb_cl_block *next = b->next;

		free(b);
		b = next;
	}
}

void sb_cl_reset(struct sb_cl_arena *a)
{
	if(a->first != NULL) {
		drop(a->first->next);
		a->first->next = NULL;
		a->first->at = 0;
	}
	a->used = 0;
}

void sb_cl_free(struct sb_cl_arena *a)
{
	drop(a->first);
	a->first = NULL;
	a->used = 0;
}
