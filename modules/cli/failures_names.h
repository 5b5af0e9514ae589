/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Texts as numbers: the same text has the same number, 1, 2, 3…; 0 is none.
 */
#ifndef SB_CLI_FAILURES_NAMES_H
#define SB_CLI_FAILURES_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names
{
	char **text; /* by number - 1 */
	uint32_t *slot;
	size_t used, slots;
};

/** @return its number; 0: none given, or no memory (then *failed is set) */
uint32_t names_number(struct names *n, const char *text, int *failed);
/** Its number if it has one, else 0. */
uint32_t names_find(const struct names *n, const char *text);
static inline const char *names_text(const struct names *n, uint32_t number)
{
	return number != 0 ? n->text[number - 1] : NULL;
}
void names_free(struct names *n);

#endif
