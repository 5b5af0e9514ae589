/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shared_text.h"

#include <stdio.h>
#include <string.h>

#define TRIES 100

void sb_shared_text_set(_Atomic uint32_t *version, char *to, size_t room, const char *text)
{
	atomic_fetch_add(version, 1);
	snprintf(to, room, "%s", text);
	atomic_fetch_add(version, 1);
}

void sb_shared_text_get(const _Atomic uint32_t *version, const char *from, char *out, size_t room)
{
	for(int i = 0; i < TRIES; i++) {
		uint32_t before = atomic_load(version);

		memcpy(out, from, room);
		out[room - 1] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if((before & 1) == 0 && atomic_load(version) == before)
			return;
	}
	out[0] = '\0';
}

void sb_shared_text_take_over(_Atomic uint32_t *version)
{
	if((atomic_load(version) & 1) != 0)
		atomic_fetch_add(version, 1);
}
