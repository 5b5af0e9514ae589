/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <inttypes.h>
#include <stdio.h>

void sb_event_id(char *out, const char *node, uint32_t epoch, uint64_t seq)
{
	unsigned n = 0;

	for(; *node != '\0' && n < 36; node++)
		if(*node != '-')
			out[n++] = *node;
	snprintf(out + n, 64 - n, "-%" PRIx32 "-%" PRIx64, epoch, seq);
}
