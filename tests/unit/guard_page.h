/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A buffer that ends where an unmapped page begins: reading one byte too many is a crash, not luck. */
#ifndef TEST_GUARD_PAGE_H
#define TEST_GUARD_PAGE_H

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard_page
{
	char *map;
	size_t size; /* usable bytes */
};

static inline void guard_open(struct guard_page *g, size_t room)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	g->size = (room + page - 1) / page * page;
	g->map = mmap(NULL, g->size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(g->map != MAP_FAILED);
	assert(mprotect(g->map + g->size, page, PROT_NONE) == 0);
}

/** @return a copy of the len bytes whose last byte is the last of the mapping */
static inline char *guard_put(struct guard_page *g, const char *bytes, size_t len)
{
	assert(len <= g->size);
	return memcpy(g->map + g->size - len, bytes, len);
}

static inline void guard_close(struct guard_page *g)
{
	munmap(g->map, g->size + (size_t)sysconf(_SC_PAGESIZE));
}

#endif
