/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Any bytes as a record's payload, under every type: what comes out is valid JSON within its bound, or nothing.
 */
#include "event.h"
#include "json.h"
#include "json_parts.h"

#include <stdlib.h>

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

static void render(uint16_t type, const uint8_t *payload, size_t len)
{
	struct sb_rec rec = {.hdr = {.type = type, .len = (uint32_t)len}, .payload = payload};
	size_t n = 0;
	char *text = sb_event_text(&rec, "node", &n);
	if(text == NULL)
		return;
	json_t *back = json_loadb(text, n, 0, NULL);
	if(n > 20000 || back == NULL)
		abort();
	json_decref(back);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t payload[SB_LOG_MAX_RECORD];
	if(size < 1 || size > sizeof(payload) - 64)
		return 0;
	uint16_t type = data[0];
	size_t n = head(payload);
	memcpy(payload + n, data + 1, size - 1);
	render(type, payload, n + size - 1);
	render(SB_CALL_CDR, payload, n + size - 1);
	render(type, data + 1, size - 1);
	json_decref(sb_json_string(data, size));
	return 0;
}
