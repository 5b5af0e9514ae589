/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_parts.h"

#include <endian.h>
#include <string.h>

_Static_assert(sizeof(struct sb_rec_hdr) == 32, "the header is 32 bytes in the file");
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the file is little endian and read as it is");

enum look
{
	LOOK_NONE,
	LOOK_SHORT, /* it may be a record: its end is not there yet */
	LOOK_RECORD
};

static enum look look(const uint8_t *p, size_t len, struct sb_rec_hdr *hdr)
{
	const uint32_t magic = SB_LOG_MAGIC;
	const size_t covered = offsetof(struct sb_rec_hdr, type);

	if(memcmp(p, &magic, len < 4 ? len : 4) != 0)
		return LOOK_NONE;
	if(len < 8)
		return LOOK_SHORT;
	memcpy(&hdr->len, p + offsetof(struct sb_rec_hdr, len), 4);
	if(hdr->len > SB_LOG_MAX_RECORD - SB_LOG_HDR)
		return LOOK_NONE;
	if(len < SB_LOG_HDR + hdr->len)
		return LOOK_SHORT;
	memcpy(hdr, p, SB_LOG_HDR);
	if(sb_crc32c(0, p + covered, SB_LOG_HDR - covered + hdr->len) != hdr->crc)
		return LOOK_NONE;
	return LOOK_RECORD;
}

static size_t next_magic(const uint8_t *buf, size_t from, size_t len)
{
	while(from < len) {
		const uint8_t *p = memchr(buf + from, SB_LOG_MAGIC & 0xff, len - from);
		if(p == NULL)
			return len;
		from = (size_t)(p - buf);
		const uint32_t magic = SB_LOG_MAGIC;
		if(memcmp(p, &magic, len - from < 4 ? len - from : 4) == 0)
			return from;
		from++;
	}
	return len;
}

void sb_walk_segment(struct sb_walk *w, uint64_t segment)
{
	w->lost = false;
	w->salted = w->salted && w->epoch == (uint32_t)(segment >> 32);
}

int sb_walk_next(struct sb_walk *w, const uint8_t *buf, size_t len, size_t *at, bool sealed, struct sb_rec *rec)
{
	size_t o = *at;

	while(o < len) {
		struct sb_rec_hdr hdr;
		enum look found = look(buf + o, len - o, &hdr);

		if(found == LOOK_SHORT && !sealed)
			break;
		if(found == LOOK_RECORD && !(w->lost && w->salted && hdr.salt != w->salt)) {
			/* what was found by searching may be a payload's: its salt must not shut out the others */
			if(!w->lost) {
				w->salted = true;
				w->salt = hdr.salt;
				w->epoch = hdr.epoch;
			}
			w->lost = false;
			rec->hdr = hdr;
			rec->payload = buf + o + SB_LOG_HDR;
			rec->pos = (struct sb_pos){0, o};
			*at = o + SB_LOG_HDR + hdr.len;
			rec->next = (struct sb_pos){0, *at};
			return 1;
		}
		if(!w->lost) {
			w->lost = true;
			w->damaged++;
		}
		o = next_magic(buf, o + 1, len);
	}
	*at = o;
	return 0;
}

int sb_scan(const uint8_t *buf, size_t len, size_t *offset, bool sealed, struct sb_rec *rec, uint64_t *damaged)
{
	struct sb_walk w = {0};
	size_t at = *offset;
	int found = sb_walk_next(&w, buf, len, &at, sealed, rec);

	if(found == 1 || sealed) {
		*offset = at;
		*damaged += w.damaged;
	}
	return found;
}
