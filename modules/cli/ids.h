/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A set of call ids.
 */
#ifndef SB_CLI_IDS_H
#define SB_CLI_IDS_H

#include <stddef.h>
#include <stdint.h>

struct ids
{
	uint8_t (*slot)[16];
	size_t size, used;
};

/** @return 1 (new), 0 (there already), -ENOMEM */
int ids_add(struct ids *s, const uint8_t id[16]);
void ids_free(struct ids *s);

#endif
