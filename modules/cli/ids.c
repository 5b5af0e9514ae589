/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ids.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t none[16];

static int put_id(struct ids *s, const uint8_t id[16])
{
	uint64_t h;
	memcpy(&h, id + 8, sizeof(h));
	h *= 0x9e3779b97f4a7c15u;
	for(size_t i = (size_t)(h >> 20) & (s->size - 1);; i = (i + 1) & (s->size - 1)) {
		if(memcmp(s->slot[i], id, 16) == 0)
			return 0;
		if(memcmp(s->slot[i], none, 16) == 0) {
			memcpy(s->slot[i], id, 16);
			s->used++;
			return 1;
		}
	}
}

int ids_add(struct ids *s, const uint8_t id[16])
{
	if(s->used * 2 >= s->size) {
		struct ids bigger = {.size = s->size > 0 ? s->size * 2 : 1024};
		if((bigger.slot = calloc(bigger.size, 16)) == NULL)
			return -ENOMEM;
		for(size_t i = 0; i < s->size; i++) {
			if(memcmp(s->slot[i], none, 16) != 0)
				put_id(&bigger, s->slot[i]);
		}
		free(s->slot);
		*s = bigger;
	}
	return put_id(s, id);
}

void ids_free(struct ids *s)
{
	free(s->slot);
	memset(s, 0, sizeof(*s));
}
