/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failures_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

double failures_weight(unsigned code, bool rang)
{
	static const struct
	{
		unsigned code;
		double weight;
	} row[] = {{401, 0.8}, {402, 0.8}, {403, 0.8}, {404, 0.4}, {407, 0.8}, {410, 0.4}, {415, 0.8}, {476, 1}, {477, 1},
			{478, 1}, {479, 1}, {480, 0.15}, {484, 0.4}, {485, 0.4}, {486, 0.1}, {487, 0.1}, {488, 0.8}, {600, 0.1},
			{603, 0.15}, {604, 0.4}, {606, 0.8}};
	if(code == 408)
		return rang ? 0.1 : 1;
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if(row[i].code == code)
			return row[i].weight;
	}
	return code >= 500 && code < 600 ? 1 : 0.6;
}

struct failures *failures_new(void)
{
	return calloc(1, sizeof(struct failures));
}

static void forget_groups(struct failures *f)
{
	free(f->group);
	free(f->slot);
	free(f->of);
	free(f->member);
	free(f->at);
	f->at = NULL;
	free(f->candidate);
	f->candidate = NULL;
	f->candidates = 0;
	f->group = NULL;
	f->slot = NULL;
	f->of = NULL;
	f->member = NULL;
	f->groups = f->group_room = f->slots = 0;
}

void failures_free(struct failures *f)
{
	if(f == NULL)
		return;
	for(int d = 0; d < FAILURES_DIMS; d++)
		names_free(&f->names[d]);
	names_free(&f->calls);
	forget_groups(f);
	free(f->item);
	free(f);
}

size_t failures_count(const struct failures *f)
{
	return f->items;
}

int failures_add(struct failures *f, const struct failure *in)
{
	int failed = 0;
	if(f->items == f->room) {
		size_t room = f->room > 0 ? f->room * 2 : 1024;
		struct item *p = realloc(f->item, room * sizeof(*p));
		if(p == NULL)
			return -ENOMEM;
		f->item = p;
		f->room = room;
	}
	struct item *i = &f->item[f->items];
	*i = (struct item){.at = in->at,
			.rescued = in->rescued,
			.what = (uint16_t)(in->code % 1000 * 2 + (in->code == 408 && in->rang))};
	for(int d = 0; d < FAILURES_DIMS; d++)
		i->name[d] = names_number(&f->names[d], in->name[d], &failed);
	i->call = names_number(&f->calls, in->call_id, &failed);
	if(failed == 0)
		f->items++;
	return failed;
}

/** By call, and within a call by time: so a group sees the attempts of one call one after another. */
static int by_call(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	if(a->call != b->call)
		return a->call < b->call ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static uint32_t place(const struct failures *f, uint8_t dim, uint32_t name, uint16_t what)
{
	uint64_t h = ((uint64_t)name << 20 | (uint64_t)what << 4 | dim) * 0x9e3779b97f4a7c15u;
	size_t i = (h >> 24) & (f->slots - 1);
	for(; f->slot[i] != 0; i = (i + 1) & (f->slots - 1)) {
		const struct group *g = &f->group[f->slot[i] - 1];
		if(g->name == name && g->what == what && g->dim == dim)
			break;
	}
	return (uint32_t)i;
}

static int grow_groups(struct failures *f)
{
	size_t slots = f->slots > 0 ? f->slots * 2 : 4096;
	uint32_t *slot = calloc(slots, sizeof(*slot));
	struct group *group = slot != NULL ? realloc(f->group, slots / 2 * sizeof(*group)) : NULL;
	if(group == NULL) {
		free(slot);
		return -ENOMEM;
	}
	free(f->slot);
	f->slot = slot;
	f->slots = slots;
	f->group = group;
	for(size_t i = 0; i < f->groups; i++)
		f->slot[place(f, group[i].dim, group[i].name, group[i].what)] = (uint32_t)i + 1;
	return 0;
}

/** @return its index, or NONE: no memory */
static uint32_t group_of(struct failures *f, uint8_t dim, uint32_t name, uint16_t what)
{
	if(f->groups * 2 >= f->slots && grow_groups(f) != 0)
		return NONE;
	uint32_t at = place(f, dim, name, what);
	if(f->slot[at] == 0) {
		f->group[f->groups] = (struct group){.dim = dim, .name = name, .what = what, .rate = 1};
		f->group[f->groups].counts_calls = dim == BY_THE_NUMBER || dim == BY_THE_CALLER;
		f->slot[at] = (uint32_t)++f->groups;
	}
	return f->slot[at] - 1;
}

/** Every item's groups, and every group's items. A number's or a caller's are calls: the last attempt stands for all with the same code. */
static int build(struct failures *f)
{
	if(f->items > 0)
		qsort(f->item, f->items, sizeof(*f->item), by_call);
	f->of = malloc((f->items > 0 ? f->items : 1) * sizeof(*f->of));
	if(f->of == NULL)
		return -ENOMEM;
	for(size_t i = 0; i < f->items; i++) {
		const struct item *it = &f->item[i];
		uint32_t *of = f->of[i];
		for(int p = 0; p < PATTERNS; p++) {
			uint8_t dim = (uint8_t)(p / 2);
			bool code = p % 2 == 1 || dim == BY_THE_CODE;
			uint32_t name = dim < FAILURES_DIMS ? it->name[dim] : 0;
			of[p] = NONE;
			if(dim < FAILURES_DIMS && name == 0)
				continue;
			of[p] = group_of(f, dim, name, code ? it->what : 0);
			if(of[p] == NONE)
				return -ENOMEM;
			if(f->group[of[p]].counts_calls && i > 0 && f->item[i - 1].call == it->call && f->of[i - 1][p] == of[p])
				f->of[i - 1][p] = NONE;
			else
				f->group[of[p]].members++;
		}
	}
	return 0;
}

static int by_time(const void *x, const void *y, void *items)
{
	const struct item *item = items;
	const struct item *a = &item[*(const uint32_t *)x], *b = &item[*(const uint32_t *)y];
	return a->at < b->at ? -1 : a->at > b->at;
}

static int index_members(struct failures *f)
{
	size_t all = 0;
	uint32_t *order = malloc((f->items > 0 ? f->items : 1) * sizeof(*order));
	for(size_t g = 0; g < f->groups; g++) {
		f->group[g].first_member = (uint32_t)all;
		all += f->group[g].members;
	}
	f->member = malloc((all > 0 ? all : 1) * sizeof(*f->member));
	f->at = malloc((f->items > 0 ? f->items : 1) * sizeof(*f->at));
	if(order == NULL || f->member == NULL || f->at == NULL) {
		free(order);
		return -ENOMEM;
	}
	for(size_t i = 0; i < f->items; i++)
		order[i] = (uint32_t)i;
	if(f->items > 0)
		qsort_r(order, f->items, sizeof(*order), by_time, f->item);
	for(size_t i = 0; i < f->items; i++) {
		const struct item *it = &f->item[order[i]];
		f->at[i] = it->at;
		double w = failures_weight(it->what / 2, it->what % 2 != 0);
		for(int p = 0; p < PATTERNS; p++) {
			uint32_t at = f->of[order[i]][p];
			if(at == NONE)
				continue;
			struct group *g = &f->group[at];
			f->member[g->first_member + g->left++] = order[i];
			g->weight += w;
		}
	}
	free(order);
	return 0;
}

struct group *failures_group_at(struct failures *f, uint8_t dim, uint32_t name, uint16_t what)
{
	return &f->group[f->slot[place(f, dim, name, what)] - 1];
}

int failures_sort(struct failures *f)
{
	forget_groups(f);
	int rc = build(f);
	return rc != 0 ? rc : index_members(f);
}
