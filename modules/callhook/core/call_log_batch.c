/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call_log_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

#define INDEX_MIN 256u
#define ATTEMPT_BIT 0x80000000u

static int grow(void **list, unsigned *room, unsigned count, size_t size)
{
	unsigned more = *room > 0 ? *room * 2 : 64;
	void *p;

	if(count < *room)
		return 0;
	p = realloc(*list, more * size);
	if(p == NULL)
		return -ENOMEM;
	*list = p;
	*room = more;
	return 0;
}

/* FNV-1a */
static uint32_t hash(enum sb_cl_table table, const struct sb_cl_row *row)
{
	uint32_t h = 2166136261u ^ (table == SB_CL_ATTEMPT ? (uint32_t)row->v[1].i + 1 : 0);

	for(size_t i = 0; i < row->v[0].len; i++)
		h = (h ^ (uint8_t)row->v[0].text[i]) * 16777619u;
	return h;
}

static bool same(enum sb_cl_table table, const struct sb_cl_row *a, const struct sb_cl_row *b)
{
	return a->v[0].len == b->v[0].len && memcmp(a->v[0].text, b->v[0].text, a->v[0].len) == 0
		   && (table != SB_CL_ATTEMPT || a->v[1].i == b->v[1].i);
}

/* The place of a row, or the free one where it belongs. */
static uint32_t *place(struct sb_cl_batch *b, enum sb_cl_table table, const struct sb_cl_row *row)
{
	uint32_t bit = table == SB_CL_ATTEMPT ? ATTEMPT_BIT : 0;

	for(uint32_t i = hash(table, row);; i++) {
		uint32_t *at = &b->index[i & (b->index_size - 1)];

		if(*at == 0)
			return at;
		if((*at & ATTEMPT_BIT) == bit && same(table, &b->set[table].row[(*at & ~ATTEMPT_BIT) - 1], row))
			return at;
	}
}

static void enter(struct sb_cl_batch *b, enum sb_cl_table table)
{
	for(unsigned i = 0; i < b->set[table].count; i++)
		*place(b, table, &b->set[table].row[i]) = (i + 1) | (table == SB_CL_ATTEMPT ? ATTEMPT_BIT : 0);
}

static int index_room(struct sb_cl_batch *b)
{
	unsigned need = 2 * (b->set[SB_CL_CALL].count + b->set[SB_CL_ATTEMPT].count + 1);
	unsigned size = b->index_size > 0 ? b->index_size : INDEX_MIN;
	uint32_t *index;

	while(size < need)
		size *= 2;
	if(size == b->index_size)
		return 0;
	index = calloc(size, sizeof(*index));
	if(index == NULL)
		return -ENOMEM;
	free(b->index);
	b->index = index;
	b->index_size = size;
	enter(b, SB_CL_CALL);
	enter(b, SB_CL_ATTEMPT);
	return 0;
}

static int take(enum sb_cl_table table, const struct sb_cl_row *row, void *arg)
{
	struct sb_cl_batch *b = arg;
	struct sb_cl_set *set = &b->set[table];
	uint32_t *at = NULL;

	if(grow((void **)&set->row, &set->room, set->count, sizeof(*set->row)) != 0)
		return -ENOMEM;
	if(table != SB_CL_EVENT) {
		if(index_room(b) != 0)
			return -ENOMEM;
		at = place(b, table, row);
		if(*at != 0) {
			sb_cl_fold(table, &set->row[(*at & ~ATTEMPT_BIT) - 1], row);
			return 0;
		}
		*at = (set->count + 1) | (table == SB_CL_ATTEMPT ? ATTEMPT_BIT : 0);
	}
	set->row[set->count++] = *row;
	return 0;
}

static int bad(struct sb_cl_batch *b, enum sb_cl_table table, const struct sb_cl_row *row, const char *error)
{
	if(grow((void **)&b->bad, &b->bad_room, b->bads, sizeof(*b->bad)) != 0)
		return -ENOMEM;
	b->bad[b->bads++] = (struct sb_cl_bad){table, *row, error};
	return 0;
}

static int unreadable(struct sb_cl_batch *b, const struct sb_rec *rec)
{
	struct sb_cl_row none = {.seq = rec->hdr.seq, .epoch = rec->hdr.epoch};

	if(bad(b, SB_CL_TABLES, &none, "no event: damaged, or without call, time or number") != 0)
		return -ENOMEM;
	b->unreadable++;
	return 0;
}

int sb_cl_batch_bad(struct sb_cl_batch *b, enum sb_cl_table table, const struct sb_cl_row *row, const char *error)
{
	char *text = sb_cl_alloc(&b->errors, strlen(error) + 1);

	if(text == NULL)
		return -ENOMEM;
	strcpy(text, error);
	return bad(b, table, row, text);
}

void sb_cl_batch_retry(struct sb_cl_batch *b)
{
	b->bads = b->unreadable;
	sb_cl_reset(&b->errors);
}

int sb_cl_batch_add(struct sb_cl_batch *b, const struct sb_rec *rec, const char *node)
{
	struct sb_field at;
	int err = sb_cl_rows(rec, node, &b->mem, take, b);

	if(err == -EBADMSG)
		err = unreadable(b, rec);
	if(err != 0)
		return err;
	b->records++;
	if(b->oldest_at == 0 && sb_find(rec->payload, rec->hdr.len, SB_C_AT, &at))
		b->oldest_at = sb_field_u64(&at);
	return 0;
}

void sb_cl_batch_reset(struct sb_cl_batch *b)
{
	for(unsigned t = 0; t < SB_CL_TABLES; t++)
		b->set[t].count = 0;
	if(b->index != NULL)
		memset(b->index, 0, b->index_size * sizeof(*b->index));
	b->records = b->unreadable = 0;
	b->oldest_at = 0;
	sb_cl_reset(&b->mem);
	sb_cl_batch_retry(b);
}

void sb_cl_batch_free(struct sb_cl_batch *b)
{
	for(unsigned t = 0; t < SB_CL_TABLES; t++)
		free(b->set[t].row);
	free(b->index);
	free(b->bad);
	sb_cl_free(&b->mem);
	sb_cl_free(&b->errors);
	memset(b, 0, sizeof(*b));
}
