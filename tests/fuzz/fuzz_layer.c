/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Any bytes as a record's payload, under every type and bound: what comes out is one line of valid JSON within the bound whose record is
 * found again, or nothing.
 */
#include "event.h"
#include "layer_line.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NODE "6f1c2a4e-0d5b-4b7a-9c3e-1a2b3c4d5e6f"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The two columns without which there is no event, so that the bytes get past that check. */
static size_t head(uint8_t *to)
{
	struct sb_out o = {.p = to, .cap = 64};
	const uint8_t id[16] = {1};

	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, 1769868127114000ull);
	return o.len;
}

static void render(uint16_t type, size_t max, const uint8_t *payload, size_t len)
{
	struct sb_rec rec = {.hdr = {.type = type, .len = (uint32_t)len, .seq = len, .epoch = 7}, .payload = payload};
	char *out = malloc(max);
	int n = sb_layer_line(out, max, &rec, NODE);
	uint32_t epoch;
	uint64_t seq;

	if(n > 0) {
		json_t *back = json_loadb(out, (size_t)n, 0, NULL);
		if((size_t)n > max || back == NULL || memchr(out, '\n', (size_t)n) != out + n - 1
				|| !sb_layer_line_id(out, (size_t)n - 1, NODE, &epoch, &seq) || epoch != 7 || seq != len)
			abort();
		json_decref(back);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t payload[SB_LOG_MAX_RECORD];
	uint32_t epoch;
	uint64_t seq;
	uint16_t type;
	size_t n;

	sb_layer_line_id((const char *)data, size, NODE, &epoch, &seq);
	if(size < 1 || size > sizeof(payload) - 64)
		return 0;
	type = data[0] % 20;
	n = head(payload);
	memcpy(payload + n, data + 1, size - 1);
	render(type, SB_LAYER_LINE_MAX, payload, n + size - 1);
	render(type, SB_LAYER_LINE_MIN, payload, n + size - 1);
	render(type, SB_LAYER_SYSLOG_MAX, data + 1, size - 1);
	return 0;
}
