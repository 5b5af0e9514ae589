/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

static char *put_hex(char *out, uint64_t v)
{
	unsigned shift = 60;

	while(shift > 0 && v >> shift == 0)
		shift -= 4;
	for(;; shift -= 4) {
		*out++ = "0123456789abcdef"[v >> shift & 15];
		if(shift == 0)
			return out;
	}
}

void sb_event_id(char *out, const char *node, uint32_t epoch, uint64_t seq)
{
	char *p = out;

	for(; *node != '\0' && p < out + 36; node++)
		if(*node != '-')
			*p++ = *node;
	*p++ = '-';
	p = put_hex(p, epoch);
	*p++ = '-';
	*put_hex(p, seq) = '\0';
}
