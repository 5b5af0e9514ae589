/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_parts.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* Castagnoli, reflected */

static uint32_t table[8][256];

__attribute__((constructor)) static void table_make(void)
{
	for(unsigned i = 0; i < 256; i++) {
		uint32_t c = i;
		for(int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		table[0][i] = c;
	}
	for(unsigned i = 0; i < 256; i++)
		for(unsigned k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

uint32_t sb_crc32c_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t c = ~crc;

	for(; len >= 8; len -= 8, p += 8) {
		c ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		c = table[7][c & 0xff] ^ table[6][c >> 8 & 0xff] ^ table[5][c >> 16 & 0xff] ^ table[4][c >> 24] ^ table[3][p[4]]
			^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	while(len-- > 0)
		c = c >> 8 ^ table[0][(c ^ *p++) & 0xff];
	return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = (uint32_t)~crc;

	for(; len >= 8; len -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	while(len-- > 0)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return ~(uint32_t)c;
}
#endif

uint32_t sb_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if(__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, data, len);
#endif
	return sb_crc32c_table(crc, data, len);
}
