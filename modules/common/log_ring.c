/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_MAGIC 0x31474e5247424753ull /* "SGBGRNG1" */

void sb_path_ring(char *out, const char *dir, unsigned writer)
{
	snprintf(out, SB_LOG_FILE, "%s/ring-%u", dir, writer);
}

bool sb_ring_size_valid(uint64_t size)
{
	return size >= 2ull * SB_LOG_MAX_RECORD && (size & (size - 1)) == 0 && size <= 1ull << 30;
}

/* @return 0 and the ring's size, -ENOENT (empty, or its maker was killed before the header), -EBADMSG, or -errno */
static int check(int fd, uint64_t *size)
{
	struct sb_ring_hdr hdr;
	struct stat st;

	if(fstat(fd, &st) != 0)
		return -errno;
	ssize_t n = pread(fd, &hdr, sizeof(hdr), 0);
	if(st.st_size == 0 || (n == sizeof(hdr) && hdr.magic == 0))
		return -ENOENT;
	if(n != sizeof(hdr) || hdr.magic != RING_MAGIC || !sb_ring_size_valid(hdr.size)
			|| (uint64_t)st.st_size != SB_RING_PAGE + hdr.size)
		return -EBADMSG;
	*size = hdr.size;
	return 0;
}

static int make(int fd, uint64_t size)
{
	struct sb_ring_hdr hdr = {.magic = RING_MAGIC, .size = size};

	if(ftruncate(fd, 0) != 0)
		return -errno;
	/* all of it now: a page that tmpfs could not give later would be a SIGBUS in a SIP worker */
	int rc = posix_fallocate(fd, 0, (off_t)(SB_RING_PAGE + size));
	if(rc != 0) {
		(void)!ftruncate(fd, 0);
		return -rc;
	}
	return pwrite(fd, &hdr, sizeof(hdr), 0) == sizeof(hdr) ? 0 : -EIO;
}

static int map(struct sb_ring *r, int fd, uint64_t size)
{
	const int access = PROT_READ | PROT_WRITE, shared = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
	uint8_t *at = mmap(NULL, SB_RING_PAGE + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if(at == MAP_FAILED)
		return -errno;
	if(mmap(at, SB_RING_PAGE + size, access, shared, fd, 0) == MAP_FAILED
			|| mmap(at + SB_RING_PAGE + size, size, access, shared, fd, SB_RING_PAGE) == MAP_FAILED) {
		int err = errno;
		munmap(at, SB_RING_PAGE + 2 * size);
		return -err;
	}
	r->hdr = (struct sb_ring_hdr *)(void *)at;
	r->data = at + SB_RING_PAGE;
	r->size = size;
	return 0;
}

int sb_ring_open(struct sb_ring *r, const char *spool_dir, unsigned writer, uint64_t size)
{
	char path[SB_LOG_FILE];
	uint64_t found = size;

	memset(r, 0, sizeof(*r));
	if(size != 0 && !sb_ring_size_valid(size))
		return -EINVAL;
	sb_path_ring(path, spool_dir, writer);
	int fd = open(path, O_RDWR | O_CLOEXEC | (size != 0 ? O_CREAT : 0), SB_LOG_MODE);
	if(fd < 0)
		return -errno;
	int rc = check(fd, &found);
	if(rc == -ENOENT && size != 0)
		rc = make(fd, size);
	if(rc == 0 && size != 0 && found != size)
		rc = -EBADMSG;
	/* a hole would be a SIGBUS on a full tmpfs */
	if(rc == 0 && fallocate(fd, 0, 0, (off_t)(SB_RING_PAGE + found)) != 0 && errno != EOPNOTSUPP)
		rc = -errno;
	if(rc == 0)
		rc = map(r, fd, found);
	close(fd);
	if(rc == 0 && sb_ring_used(r) > r->size) {
		sb_ring_close(r);
		rc = -EBADMSG;
	}
	return rc;
}

void sb_ring_close(struct sb_ring *r)
{
	if(r->hdr != NULL)
		munmap(r->hdr, SB_RING_PAGE + 2 * r->size);
	memset(r, 0, sizeof(*r));
}

int sb_ring_remove(const char *spool_dir, unsigned writer)
{
	char path[SB_LOG_FILE];

	sb_path_ring(path, spool_dir, writer);
	return unlink(path) == 0 ? 0 : -errno;
}

int sb_ring_aside(const char *spool_dir, unsigned writer)
{
	char path[SB_LOG_FILE], aside[SB_LOG_FILE + 8];

	sb_path_ring(path, spool_dir, writer);
	snprintf(aside, sizeof(aside), "%s.aside", path);
	return rename(path, aside) == 0 ? 0 : -errno;
}

uint64_t sb_ring_used(const struct sb_ring *r)
{
	return atomic_load_explicit(&r->hdr->head, memory_order_relaxed)
		   - atomic_load_explicit(&r->hdr->tail, memory_order_acquire);
}

uint8_t *sb_ring_room(const struct sb_ring *r, size_t len)
{
	if(sb_ring_used(r) + len > r->size)
		return NULL;
	return r->data + (atomic_load_explicit(&r->hdr->head, memory_order_relaxed) & (r->size - 1));
}

void sb_ring_publish(struct sb_ring *r, size_t len)
{
	uint64_t head = atomic_load_explicit(&r->hdr->head, memory_order_relaxed);

	atomic_store_explicit(&r->hdr->head, head + len, memory_order_release);
}
