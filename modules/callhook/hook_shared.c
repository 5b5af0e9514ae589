/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that callhook's processes share. */
#include "hook_shared.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/mem/shm.h"

struct hook_shared *hook_shared;

/* A mapping of its own: it costs what is used of it, and fragments nothing that calls live on. */
int hook_shared_init(void)
{
	size_t size = sizeof(struct hook_shared) + HOOK_ENDPOINTS_MAX * sizeof(struct sb_endpoint_status);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if(p == MAP_FAILED) {
		LM_ERR("no memory that processes share (%zu bytes): %s\n", size, strerror(errno));
		return -1;
	}
	hook_shared = p;
	return 0;
}

static void copy_views(struct hook_view *out, unsigned count)
{
	for(unsigned i = 0; i < count; i++) {
		const struct sb_endpoint *e = &hook_shared->set.ep[i];

		memcpy(out[i].id, e->id, sizeof(out[i].id));
		memcpy(out[i].url, e->url, sizeof(out[i].url));
		memcpy(out[i].description, e->description, sizeof(out[i].description));
		out[i].id[sizeof(out[i].id) - 1] = out[i].url[sizeof(out[i].url) - 1] = '\0';
		out[i].description[sizeof(out[i].description) - 1] = '\0';
		memcpy(&out[i].status, &hook_shared->status.endpoint[i], sizeof(out[i].status));
		sb_endpoint_status_error(&hook_shared->status.endpoint[i], out[i].status.error);
	}
}

int hook_views(struct hook_view **out, unsigned *count)
{
	struct hook_view *v = calloc(HOOK_ENDPOINTS_MAX, sizeof(*v));

	if(v == NULL)
		return -ENOMEM;
	for(;;) {
		uint32_t before = atomic_load(&hook_shared->version);

		*count = hook_shared->set.count <= HOOK_ENDPOINTS_MAX ? hook_shared->set.count : 0;
		if((before & 1) == 0) {
			copy_views(v, *count);
			atomic_thread_fence(memory_order_acquire);
			if(atomic_load(&hook_shared->version) == before)
				break;
		}
		sched_yield();
	}
	*out = v;
	return 0;
}

bool hook_has(const char *id, size_t len)
{
	struct hook_view *v;
	unsigned count;
	bool found = false;

	if(hook_views(&v, &count) != 0)
		return false;
	for(unsigned i = 0; i < count && !found; i++)
		found = strlen(v[i].id) == len && memcmp(v[i].id, id, len) == 0;
	free(v);
	return found;
}

/*
 * What the database modules of the core ask for, and OpenSSL under the module tls, comes from Kamailio's shared memory, under one lock for
 * all processes: one that is killed there would stop every call. So a process that may be killed gets its memory elsewhere. What was
 * allocated before the fork is not its own to free.
 */
#ifdef DBG_SR_MEMORY
#define WHERE , const char *file, const char *func, unsigned int line, const char *mname
#else
#define WHERE
#endif

static void *own_malloc(void *pool, size_t size WHERE)
{
	return malloc(size);
}

static void *own_zeroed(void *pool, size_t size WHERE)
{
	return calloc(1, size);
}

static void own_free(void *pool, void *p WHERE)
{
	if(p != NULL && !shm_address_in(p))
		free(p);
}

/* How much of a block of the shared memory there is to copy is not known: as much as is wanted, and is there. */
static void *renewed(void *p, size_t size)
{
	char *new;

	if(p == NULL || !shm_address_in(p))
		return realloc(p, size);
	new = malloc(size);
	for(size_t n = 0; new != NULL &&n < size &&shm_address_in((char *)p + n); n++)
		new[n] = ((char *)p)[n];
	return new;
}

static void *own_realloc(void *pool, void *p, size_t size WHERE)
{
	return renewed(p, size);
}

static void *own_realloc_or_free(void *pool, void *p, size_t size WHERE)
{
	void *new = renewed(p, size);

	if(new == NULL && p != NULL && !shm_address_in(p))
		free(p);
	return new;
}

static void *own_resize(void *pool, void *p, size_t size WHERE)
{
	if(p != NULL && !shm_address_in(p))
		free(p);
	return malloc(size);
}

/*
 * Connector/C uses OpenSSL, for passwords too. Under the module tls OpenSSL's lists were made in the shared memory, and all processes look
 * into them: they must not lead to memory of ours.
 */
static bool openssl_is_shared(void)
{
	return module_loaded("tls")
		   && (strncmp(hook_params.db_url, "mysql:", 6) == 0 || strncmp(hook_params.call_log, "mysql:", 6) == 0);
}

void hook_leave_shared_memory(void)
{
	if(openssl_is_shared())
		return;
	_shm_root.xmalloc = _shm_root.xmalloc_unsafe = own_malloc;
	_shm_root.xmallocxz = own_zeroed;
	_shm_root.xfree = _shm_root.xfree_unsafe = own_free;
	_shm_root.xrealloc = own_realloc;
	_shm_root.xreallocxf = own_realloc_or_free;
	_shm_root.xresize = own_resize;
}
