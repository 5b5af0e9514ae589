/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The history of deliveries: one x.delivery record (columns D_*, event.h) for each webhook delivered or given up, in
 * segment files of the log's format. Written by the delivery process alone, one write() a turn, never synced; bounded
 * by size: the oldest segment goes.
 */
#ifndef SB_HOOK_DELIVERIES_H
#define SB_HOOK_DELIVERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

struct sb_deliveries;

struct sb_delivery
{
	const char *endpoint;
	const uint8_t *call; /* 16 bytes; all zero: none */
	uint64_t sequence;   /* the event's, within its call; 0: unknown */
	uint64_t at;         /* now, µs */
	uint32_t epoch;
	uint64_t seq;
	uint16_t type;
	uint32_t tries;
	unsigned code;       /* HTTP status of the last try, 0: none came */
	const char *error;   /* NULL or "": none */
	uint64_t latency_us; /* 0: unknown */
	bool delivered;
};

/**
 * @param dir   must exist
 * @param limit bytes of all segments together, ≥ 64 kB; a segment is an eighth of it, at most 8 MB
 * @return 0, -EINVAL, -ENOMEM, or -errno of reading the directory
 */
int sb_deliveries_open(struct sb_deliveries **out, const char *dir, uint64_t limit, uint32_t epoch, uint32_t salt);
void sb_deliveries_close(struct sb_deliveries *d); /* writes what is left */

/** @return 0, or -EOVERFLOW; written with the next flush */
int sb_deliveries_add(struct sb_deliveries *d, const struct sb_delivery *v);
/** @return 0, or -errno of write(): those records are lost (counted), and nothing of them stays in the segment */
int sb_deliveries_flush(struct sb_deliveries *d);
uint64_t sb_deliveries_lost(const struct sb_deliveries *d);

#endif
