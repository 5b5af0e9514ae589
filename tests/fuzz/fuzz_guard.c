/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address lists and addresses of any bytes: a list is taken or refused with a sentence; an IPv4 address is judged alike however IPv6 wraps it. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

static bool judge6(const struct sb_guard *g, const uint8_t address[16])
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	char why[SB_GUARD_WHY] = "";
	bool ok;

	memcpy(&sa.sin6_addr, address, 16);
	ok = sb_guard_allows(g, (struct sockaddr *)&sa, sizeof(sa), why);
	assert(ok == (why[0] == '\0') && strlen(why) < sizeof(why) - 1);
	return ok;
}

static bool judge4(const struct sb_guard *g, const uint8_t address[4])
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	char why[SB_GUARD_WHY] = "";
	bool ok;

	memcpy(&sa.sin_addr, address, 4);
	ok = sb_guard_allows(g, (struct sockaddr *)&sa, sizeof(sa), why);
	assert(ok == (why[0] == '\0') && strlen(why) < sizeof(why) - 1);
	return ok;
}

/* Independent of guard.c's tables: what may never be dialled without being listed. */
static bool never(const uint8_t a[4])
{
	return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 || (a[0] == 100 && a[1] >= 64 && a[1] < 128)
		   || (a[0] == 169 && a[1] == 254) || (a[0] == 172 && a[1] >= 16 && a[1] < 32) || (a[0] == 192 && a[1] == 168);
}

static void wrapped(const struct sb_guard *g, const uint8_t a[4], bool ok)
{
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff}, nat[16] = {0, 0x64, 0xff, 0x9b}, six[16] = {0x20, 2};

	memcpy(mapped + 12, a, 4);
	memcpy(nat + 12, a, 4);
	memcpy(six + 2, a, 4);
	assert(judge6(g, mapped) == ok && judge6(g, nat) == ok && judge6(g, six) == ok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sb_guard none;
	char why[200] = "", any[SB_GUARD_WHY];
	struct sb_guard g;
	size_t text_len;
	char *text;
	int r;

	if(size < 16)
		return 0;
	assert(!never(data) || !judge4(&none, data));
	wrapped(&none, data, judge4(&none, data));
	judge6(&none, data);
	text_len = size - 16;
	text = malloc(text_len + 1);
	memcpy(text, data + 16, text_len);
	text[text_len] = '\0';
	r = sb_guard_parse(&g, text, why, sizeof(why));
	assert((r == 0) == (why[0] == '\0') && g.count <= SB_GUARD_NETS);
	if(r == 0) {
		assert(judge4(&g, data) || !judge4(&none, data));
		assert(judge6(&g, data) || !judge6(&none, data));
		for(unsigned i = 0; i < g.count; i++)
			assert(g.net[i].v6 ? judge6(&g, g.net[i].address) : judge4(&g, g.net[i].address));
	}
	sb_guard_allows(&none, (const struct sockaddr *)data, (socklen_t)size, any);
	free(text);
	return 0;
}
