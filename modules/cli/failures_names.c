/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failures_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *s)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	for(; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h ^ h >> 32;
}

static size_t place(const struct names *n, const char *text)
{
	size_t i = hash(text) & (n->slots - 1);
	while(n->slot[i] != 0 && strcmp(n->text[n->slot[i] - 1], text) != 0)
		i = (i + 1) & (n->slots - 1);
	return i;
}

static int grow(struct names *n)
{
	size_t slots = n->slots > 0 ? n->slots * 2 : 64;
	uint32_t *slot = calloc(slots, sizeof(*slot));
	char **text = slot != NULL ? realloc(n->text, slots / 2 * sizeof(*text)) : NULL;
	if(text == NULL) {
		free(slot);
		return -ENOMEM;
	}
	free(n->slot);
	n->slot = slot;
	n->slots = slots;
	n->text = text;
	for(size_t i = 0; i < n->used; i++)
		n->slot[place(n, n->text[i])] = (uint32_t)i + 1;
	return 0;
}

uint32_t names_number(struct names *n, const char *text, int *failed)
{
	if(text == NULL || text[0] == '\0')
		return 0;
	if(n->used * 2 >= n->slots && grow(n) != 0) {
		*failed = -ENOMEM;
		return 0;
	}
	size_t i = place(n, text);
	if(n->slot[i] != 0)
		return n->slot[i];
	n->text[n->used] = strdup(text);
	if(n->text[n->used] == NULL) {
		*failed = -ENOMEM;
		return 0;
	}
	n->slot[i] = (uint32_t)++n->used;
	return n->slot[i];
}

uint32_t names_find(const struct names *n, const char *text)
{
	return n->used > 0 && text != NULL && text[0] != '\0' ? n->slot[place(n, text)] : 0;
}

void names_free(struct names *n)
{
	for(size_t i = 0; i < n->used; i++)
		free(n->text[i]);
	free(n->text);
	free(n->slot);
	*n = (struct names){0};
}
