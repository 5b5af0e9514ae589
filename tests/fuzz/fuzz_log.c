/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over a damaged segment. What must hold for any bytes: nothing is read beyond them, every record stands in them
 * with a right CRC, positions only rise, and what stands whole behind the damage is found.
 */
#include "log_parts.h"

#include <stdlib.h>
#include <string.h>

#define HDR sizeof(struct sb_rec_hdr)

static void check(int holds)
{
	if(!holds)
		abort();
}

static uint64_t walk(const uint8_t *data, size_t size, bool sealed, size_t *last)
{
	uint64_t records = 0, damaged = 0;
	size_t at = 0, before = 0;
	struct sb_rec rec;

	while(sb_scan(data, size, &at, sealed, &rec, &damaged) == 1) {
		check(rec.pos.offset >= before && rec.next.offset == rec.pos.offset + HDR + rec.hdr.len);
		check(at == rec.next.offset && at <= size && rec.payload == data + rec.pos.offset + HDR);
		check(memcmp(data + rec.pos.offset, "SBG1", 4) == 0);
		check(sb_crc32c(0, data + rec.pos.offset + 12, HDR - 12 + rec.hdr.len) == rec.hdr.crc);
		before = at;
		records++;
	}
	check(at <= size && (!sealed || at == size));
	check(damaged <= records + 1);
	*last = before;
	return records;
}

/* As a reader walks: it remembers the salt of what it has read. */
static uint64_t walk_salted(const uint8_t *data, size_t size, size_t *last)
{
	struct sb_walk w = {0};
	uint64_t records = 0;
	struct sb_rec rec;

	for(size_t at = *last = 0; sb_walk_next(&w, data, size, &at, true, &rec) == 1; records++)
		*last = rec.next.offset;
	return records;
}

/*
 * The bytes become payloads of right records, so that the CRC does not keep the fuzzer out; then one of them is damaged.
 * The salt depends on all bytes, so that they cannot contain it: else a payload can end in a look-alike that goes on into
 * the next record, its CRC right.
 */
static void in_records(const uint8_t *data, size_t size)
{
	enum
	{
		MOST = 8
	};
	size_t piece = size / MOST + 1, len = 0, last, begins[MOST + 1];
	uint8_t *log = malloc(size + (MOST + 1) * HDR);
	uint32_t salt = sb_crc32c(0, data, size);
	unsigned n = 0;

	for(size_t at = 0; at < size; at += piece, n++) {
		size_t part = size - at < piece ? size - at : piece;
		memcpy(log + len + HDR, data + at, part);
		begins[n] = len;
		int64_t whole = sb_rec_seal(log + len, 7, (uint32_t)part, n, 1, salt);
		check(whole == (int64_t)(HDR + part));
		len += (size_t)whole;
	}
	check(walk(log, len, true, &last) == n && last == len);
	check(walk_salted(log, len, &last) == n && last == len);
	size_t hit = (size_t)data[0] * 131 % len;
	log[hit] ^= (uint8_t)(1u << (data[size - 1] & 7));
	/* a look-alike in a payload may only be found inside the damaged one */
	uint64_t left = walk_salted(log, len, &last);
	/* if the first one is damaged no salt is known: look-alikes one behind the other are then taken for records */
	if(n > 1 && hit >= begins[1]) {
		check(left + 1 >= n);
		if(hit < begins[n - 1])
			check(last == len);
	}
	free(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t last, last_sealed;

	if(size == 0 || size > 200000)
		return 0;
	uint64_t open = walk(data, size, false, &last);
	uint64_t sealed = walk(data, size, true, &last_sealed);
	check(sealed >= open && last_sealed >= last);
	in_records(data, size);
	return 0;
}
