/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_parts.h"
#include "log_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sb_log_leave_ring(struct sb_log *log)
{
	if(log->ring == NULL)
		return;
	sb_ring_close(log->ring);
	free(log->ring);
	log->ring = NULL;
}

static int ring_enter(struct sb_log *log)
{
	log->ring = malloc(sizeof(*log->ring));
	if(log->ring == NULL)
		return -ENOMEM;
	int rc = sb_ring_open(log->ring, log->cfg.spool_dir, log->writer, log->cfg.ring_size);
	if(rc != 0) {
		free(log->ring);
		log->ring = NULL;
		return rc;
	}
	atomic_store(&log->sh->slot[log->writer].ring, 1);
	atomic_fetch_add(&log->sh->rings, 1);
	return 0;
}

int sb_log_attach_direct(struct sb_log *log, unsigned writer)
{
	if(writer >= SB_LOG_WRITERS)
		return -EINVAL;
	if(log->fd >= 0)
		close(log->fd);
	log->fd = -1;
	log->fd_segment = 0;
	log->writer = writer;
	sb_log_leave_ring(log);
	atomic_store(&log->sh->slot[writer].segment, 0);
	atomic_store(&log->sh->slot[writer].pid, (uint32_t)getpid());
	return 0;
}

int sb_log_attach(struct sb_log *log, unsigned writer)
{
	int rc = sb_log_attach_direct(log, writer);

	return rc == 0 && log->cfg.ring_size != 0 ? ring_enter(log) : rc;
}

static bool slot_names(struct sb_slot *slot, uint64_t segment)
{
	if(atomic_load(&slot->segment) != segment)
		return false;
	pid_t pid = (pid_t)atomic_load(&slot->pid);
	if(kill(pid, 0) == 0 || errno != ESRCH)
		return true;
	/* it may have been taken by a new process meanwhile: free it only if it is still as it was */
	uint64_t expected = segment;
	atomic_compare_exchange_strong(&slot->segment, &expected, 0);
	return false;
}

bool sb_log_complete(struct sb_log_shared *sh, uint64_t segment)
{
	if(atomic_load(&sh->current) <= segment)
		return false;
	for(unsigned i = 0; i < SB_LOG_WRITERS; i++)
		if(slot_names(&sh->slot[i], segment))
			return false;
	return true;
}

static bool nearly_full(uint64_t bytes, uint64_t limit, enum sb_shed class)
{
	switch(class) {
		case SB_EXTRA:
			return bytes >= limit / 100 * 85;
		case SB_DETAIL:
			return bytes >= limit / 100 * 95;
		case SB_KEEP:
			break;
	}
	return bytes >= limit;
}

bool sb_log_would_shed(const struct sb_log *log, enum sb_shed class)
{
	uint64_t limit = log->cfg.spool_limit;

	if(limit != 0 && nearly_full(atomic_load_explicit(&log->sh->spool_bytes, memory_order_relaxed), limit, class))
		return true;
	return log->ring != NULL && nearly_full(sb_ring_used(log->ring), log->ring->size - SB_LOG_MAX_RECORD, class);
}

int64_t sb_rec_seal(void *rec, uint16_t type, uint32_t len, uint64_t seq, uint32_t epoch, uint32_t salt)
{
	const size_t covered = offsetof(struct sb_rec_hdr, type);
	struct sb_rec_hdr hdr = {.magic = SB_LOG_MAGIC, .len = len, .type = type, .seq = seq, .epoch = epoch, .salt = salt};

	if(len > SB_LOG_MAX_RECORD - SB_LOG_HDR)
		return -EOVERFLOW;
	memcpy(rec, &hdr, sizeof(hdr));
	hdr.crc = sb_crc32c(0, (uint8_t *)rec + covered, SB_LOG_HDR - covered + len);
	memcpy((uint8_t *)rec + offsetof(struct sb_rec_hdr, crc), &hdr.crc, sizeof(hdr.crc));
	return (int64_t)SB_LOG_HDR + len;
}

static void seal(struct sb_log_shared *sh, uint64_t segment)
{
	atomic_compare_exchange_strong(&sh->current, &segment, segment + 1);
}

/* Bytes in the segment with these, or 0 if it is no longer the newest. */
static uint64_t grown(struct sb_log_shared *sh, uint64_t segment, uint64_t bytes)
{
	uint64_t was = atomic_load(&sh->current_len), now;

	do {
		int32_t ahead = (int32_t)((uint32_t)(was >> 32) - (uint32_t)segment);
		if(ahead > 0)
			return 0;
		now = (ahead == 0 ? was : segment << 32) + bytes;
	} while(!atomic_compare_exchange_weak(&sh->current_len, &was, now));
	return now & 0xffffffffu;
}

/* Names the current segment in the slot, so that it is neither taken for complete nor unlinked, and opens it. */
static int segment_enter(struct sb_log *log, struct sb_slot *slot, uint64_t *segment)
{
	char path[SB_LOG_FILE];
	uint64_t current = atomic_load(&log->sh->current), named;

	do {
		named = current;
		atomic_store(&slot->segment, named);
		current = atomic_load(&log->sh->current);
	} while(current != named);
	*segment = named;
	if(log->fd >= 0 && log->fd_segment == named)
		return 0;
	if(log->fd >= 0)
		close(log->fd);
	sb_path_segment(path, log->cfg.spool_dir, named);
	log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, SB_LOG_MODE);
	log->fd_segment = named;
	return log->fd >= 0 ? 0 : -errno;
}

/* The last to leave a sealed segment takes away its write permission: readers elsewhere see that it is complete. */
static void segment_leave(struct sb_log *log, struct sb_slot *slot, uint64_t segment)
{
	atomic_store(&slot->segment, 0);
	if(atomic_load(&log->sh->current) != segment && log->fd >= 0 && sb_log_complete(log->sh, segment))
		fchmod(log->fd, SB_LOG_MODE_DONE);
}

ssize_t sb_segment_write(struct sb_log *log, const void *buf, size_t len)
{
	struct sb_log_shared *sh = log->sh;
	struct sb_slot *slot = &sh->slot[log->writer];
	uint64_t segment;
	ssize_t n = segment_enter(log, slot, &segment);

	if(n == 0) {
		n = write(log->fd, buf, len);
		if(n < 0)
			n = -errno;
		if(n > 0) {
			atomic_fetch_add(&sh->spool_bytes, (uint64_t)n);
			/* nothing may follow a torn record: what tells its end would be a guess */
			if(grown(sh, segment, (uint64_t)n) >= log->cfg.segment_size || (size_t)n != len)
				seal(sh, segment);
		}
	}
	segment_leave(log, slot, segment);
	return n;
}

void sb_log_poke(_Atomic uint32_t *waiting, int fd)
{
	const uint64_t one = 1;

	if(atomic_load(waiting) != 0 && atomic_exchange(waiting, 0) != 0)
		(void)!write(fd, &one, sizeof(one));
}

static int to_segment(struct sb_log *log, const void *rec, size_t size)
{
	ssize_t n = sb_segment_write(log, rec, size);
	int rc = n == (ssize_t)size ? 0 : n < 0 ? (int)n : -ENOSPC;

	atomic_fetch_add(rc == 0 ? &log->sh->records : &log->sh->failed, 1);
	sb_log_poke(&log->sh->waiting, log->wake_fd);
	return rc;
}

static int to_ring(struct sb_log *log, const void *rec, size_t size)
{
	uint8_t *room = sb_ring_room(log->ring, size);

	if(room == NULL) {
		atomic_fetch_add(&log->sh->failed, 1);
		return -ENOSPC;
	}
	memcpy(room, rec, size);
	sb_ring_publish(log->ring, size);
	atomic_thread_fence(memory_order_seq_cst); /* a collector that falls asleep sees the record, or we see it asleep */
	sb_log_poke(&log->sh->collector_waiting, log->collect_fd);
	return 0;
}

int sb_log_append(struct sb_log *log, uint16_t type, enum sb_shed class, void *rec, uint32_t len, uint64_t *out)
{
	struct sb_log_shared *sh = log->sh;

	if(sb_log_would_shed(log, class)) {
		atomic_fetch_add(&sh->shed[class], 1);
		return -ENOSPC;
	}
	uint64_t seq = atomic_fetch_add(&sh->next_seq, 1) + 1;
	int64_t size = sb_rec_seal(rec, type, len, seq, log->epoch, log->salt);
	if(size < 0)
		return (int)size;
	int rc = log->ring != NULL ? to_ring(log, rec, (size_t)size) : to_segment(log, rec, (size_t)size);
	if(rc == 0 && out != NULL)
		*out = seq;
	return rc;
}

int sb_log_sink(struct sb_log_shared *sh, const char *name)
{
	uint32_t sink = atomic_load(&sh->sinks);

	if(sink >= SB_LOG_SINKS)
		return -ENOSPC;
	strncpy(sh->sink_name[sink], name, sizeof(sh->sink_name[sink]) - 1);
	atomic_store(&sh->sinks, sink + 1);
	return (int)sink;
}

void sb_log_sink_done(struct sb_log_shared *sh, int sink, uint64_t segment)
{
	if(sink >= 0 && (unsigned)sink < SB_LOG_SINKS)
		atomic_store(&sh->sink_segment[sink], segment);
}
