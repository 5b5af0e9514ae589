/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of callhook_endpoint, retry schedules and secrets of any bytes: taken or refused, never more. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"
#include "schedule.h"

static void note(const char *sentence, void *arg)
{
	for(const unsigned char *p = (const unsigned char *)sentence; *p != '\0'; p++)
		assert(*p >= ' ' && *p < 127);
	assert(strlen(sentence) < SB_ENDPOINT_ERR_LEN);
	(*(int *)arg)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sb_endpoint_row base = {{"crm", "http://h/", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "*", "1",
			"0", "8", "", "*", "*", "", "0", "", "", ""}};
	struct sb_endpoint_row row = base;
	struct sb_endpoint e;
	struct sb_schedule s;
	char err[128];
	int said = 0, r;
	char *text;

	if(size < 1)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if(data[0] % (SB_EP_COLUMNS + 1) < SB_EP_COLUMNS) {
		row.col[data[0] % (SB_EP_COLUMNS + 1)] = text;
		r = sb_endpoint_from_row(&e, "t", &row, note, &said);
		assert((r == 0) == (said == 0));
		if(r == 0) {
			assert(e.concurrency >= 1 && e.concurrency <= 256 && e.secret_len >= SB_SECRET_MIN
					&& e.secret_len <= SB_SECRET_MAX);
			sb_filter_match(&e.filter, text, strlen(text));
			sb_filter_match(&e.filter, "call.ended", 10);
			sb_filter_match(&e.trunks, text, strlen(text));
			sb_filter_match(&e.dids, "+442079460000", 13);
			assert(e.guard.count <= SB_GUARD_NETS && e.rate <= 100000);
		}
	} else if(sb_schedule_parse(&s, text, data[0] / 3, err, sizeof(err)) == 0) {
		for(unsigned i = 1; i <= s.tries; i++)
			assert(sb_schedule_next(&s, i, (uint32_t)size * 2654435761u) >= (i == s.tries ? -1 : 0));
	}
	free(text);
	return 0;
}
