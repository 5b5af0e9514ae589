/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first byte says how much of the input is the Content-Type; the rest is the body. */
#include <stdint.h>
#include <stdlib.h>

#include "sdp.h"

static void inside(const char *p, size_t n, const char *whole, size_t len)
{
	if(p < whole || p + n > whole + len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t room[512];
	if(size == 0)
		return 0;
	size_t type_len = data[0] < size ? data[0] : size - 1;
	const char *type = (const char *)data + 1, *body = type + type_len, *sdp = body;
	size_t len = size - 1 - type_len, sdp_len = len;
	struct cs_sdp info, again;
	if(cs_sdp_find(body, len, type, type_len, &sdp, &sdp_len))
		inside(sdp, sdp_len, body, len);

	struct sb_out out = {.p = room, .cap = data[0] % 2 ? sizeof(room) : data[0]};
	if(cs_sdp_read(sdp, sdp_len, &info, &out) != 0)
		return 0;
	if(out.len > out.cap || cs_sdp_read(sdp, sdp_len, &again, NULL) != 0)
		abort();
	if(again.print != info.print || again.hold != info.hold || again.streams != info.streams
			|| again.kinds != info.kinds)
		abort();
	if((info.streams == 0) != (info.kinds == 0) || (info.hold && info.streams == 0))
		abort();
	struct sb_in in;
	struct sb_field f;
	int ret = 0, groups = 0;
	for(sb_in_init(&in, out.p, out.len); !out.overflow && (ret = sb_in_next(&in, &f)) == 1; groups++) {
		if(f.col != SB_C_MEDIA)
			abort();
	}
	if(ret < 0 || groups > 4)
		abort();
	return 0;
}
