/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_ring.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH (4u * SB_LOG_MAX_RECORD)

/* What one pass sees of a ring. */
struct source
{
	struct sb_ring ring;
	uint64_t at, head;
	uint64_t taken; /* of it, what is in the batch */
	uint64_t seq;	/* of the record at `at` */
	const uint8_t *rec;
	size_t len; /* 0: nothing more in this pass */
	unsigned writer;
};

struct sb_collector
{
	struct sb_log *log;
	struct source *source;
	unsigned count;
	uint32_t rings_seen;
	bool known[SB_LOG_WRITERS];
	size_t batch_len;
	uint64_t batch_records;
	uint8_t batch[BATCH];
};

static int source_add(struct sb_collector *c, unsigned writer)
{
	struct source *more = realloc(c->source, (c->count + 1) * sizeof(*more));

	if(more == NULL)
		return -ENOMEM;
	c->source = more;
	struct source *s = &more[c->count];
	memset(s, 0, sizeof(*s));
	s->writer = writer;
	int rc = sb_ring_open(&s->ring, c->log->cfg.spool_dir, writer, 0);
	if(rc != 0)
		return rc;
	c->known[writer] = true;
	c->count++;
	return 0;
}

static int sources_new(struct sb_collector *c)
{
	uint32_t rings = atomic_load(&c->log->sh->rings);

	if(rings == c->rings_seen)
		return 0;
	for(unsigned i = 0; i < SB_LOG_WRITERS; i++) {
		if(c->known[i] || atomic_load_explicit(&c->log->sh->slot[i].ring, memory_order_acquire) == 0)
			continue;
		int rc = source_add(c, i);
		if(rc != 0)
			return rc;
	}
	c->rings_seen = rings;
	return 0;
}

/* Looks at the record at s->at; one numbered behind `until` is for a later pass. */
static void look(struct source *s, uint64_t until)
{
	struct sb_rec_hdr hdr;

	s->len = s->at < s->head ? sb_ring_record(&s->ring, s->at, s->head, &s->rec) : 0;
	if(s->len == 0)
		return;
	memcpy(&hdr, s->rec, sizeof(hdr));
	s->seq = hdr.seq;
	if(hdr.seq > until)
		s->len = 0;
}

static struct source *lowest(struct sb_collector *c)
{
	struct source *low = NULL;

	for(unsigned i = 0; i < c->count; i++)
		if(c->source[i].len != 0 && (low == NULL || c->source[i].seq < low->seq))
			low = &c->source[i];
	return low;
}

/* Tails move up to what was written; a batch that was cut stays where it is. */
static void note(struct sb_collector *c)
{
	for(unsigned i = 0; i < c->count; i++) {
		struct source *s = &c->source[i];
		if(s->taken != 0)
			atomic_store_explicit(&s->ring.hdr->tail, s->taken, memory_order_release);
		s->taken = 0;
	}
}

/* @return records collected, or -errno. What a short write() let in is found again by skip(). */
static int64_t flush(struct sb_collector *c)
{
	uint64_t records = c->batch_records;

	if(c->batch_len == 0)
		return 0;
	ssize_t n = sb_segment_write(c->log, c->batch, c->batch_len);
	bool whole = n == (ssize_t)c->batch_len;
	c->batch_len = 0;
	c->batch_records = 0;
	if(!whole)
		return n < 0 ? n : -ENOSPC;
	note(c);
	atomic_fetch_add(&c->log->sh->records, records);
	sb_log_poke(&c->log->sh->waiting, c->log->wake_fd);
	return (int64_t)records;
}

static int64_t collect(struct sb_collector *c, uint64_t until)
{
	int64_t done = 0, n;
	struct source *s;

	for(unsigned i = 0; i < c->count; i++) {
		s = &c->source[i];
		s->taken = 0;
		s->at = atomic_load_explicit(&s->ring.hdr->tail, memory_order_relaxed);
		s->head = atomic_load_explicit(&s->ring.hdr->head, memory_order_acquire);
		look(s, until);
	}
	while((s = lowest(c)) != NULL) {
		if(c->batch_len + s->len > sizeof(c->batch)) {
			if((n = flush(c)) < 0)
				return n;
			done += n;
		}
		memcpy(c->batch + c->batch_len, s->rec, s->len);
		c->batch_len += s->len;
		c->batch_records++;
		s->at += s->len;
		s->taken = s->at;
		look(s, until);
	}
	n = flush(c);
	return n < 0 ? n : done + n;
}

static int by_seq(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sequences of one epoch in the newest segment, sorted. @return how many, or -errno */
static int64_t newest_seqs(const struct sb_log *log, uint64_t segment, uint32_t epoch, uint64_t **out)
{
	struct sb_reader *r;
	struct sb_rec rec;
	size_t room = 0, n = 0;
	int rc = sb_reader_open(&r, log->cfg.journal_dir, log->cfg.spool_dir, (struct sb_pos){segment, 0});

	*out = NULL;
	if(rc != 0)
		return rc;
	while(rc == 0 && sb_reader_next(r, &rec) == 1 && rec.pos.segment == segment) {
		if(rec.hdr.epoch != epoch)
			continue;
		if(n == room) {
			room = room ? 2 * room : 4096;
			uint64_t *more = realloc(*out, room * sizeof(*more));
			if(more == NULL) {
				rc = -ENOMEM;
				break;
			}
			*out = more;
		}
		(*out)[n++] = rec.hdr.seq;
	}
	sb_reader_close(r);
	if(rc == 0 && n > 0)
		qsort(*out, n, sizeof(**out), by_seq);
	return rc == 0 ? (int64_t)n : rc;
}

static int first_epoch(const struct sb_collector *c, uint32_t *epoch)
{
	for(unsigned i = 0; i < c->count; i++) {
		const struct sb_ring *ring = &c->source[i].ring;
		uint64_t tail = atomic_load(&ring->hdr->tail), head = atomic_load(&ring->hdr->head);
		struct sb_rec_hdr hdr;
		const uint8_t *rec;

		if(tail < head && sb_ring_record(ring, tail, head, &rec) != 0) {
			memcpy(&hdr, rec, sizeof(hdr));
			*epoch = hdr.epoch;
			return 1;
		}
	}
	return 0;
}

/* Passes over what a collector before this one wrote but did not note: the beginning of each ring. */
static int skip(struct sb_collector *c)
{
	uint64_t *seq, segment;
	uint32_t epoch;

	if(!first_epoch(c, &epoch) || sb_segment_newest(&c->log->cfg, &segment) != 1)
		return 0;
	int64_t n = newest_seqs(c->log, segment, epoch, &seq);
	for(unsigned i = 0; n > 0 && i < c->count; i++) {
		struct source *s = &c->source[i];
		s->at = atomic_load(&s->ring.hdr->tail);
		s->head = atomic_load(&s->ring.hdr->head);
		for(look(s, UINT64_MAX); s->len != 0 && bsearch(&s->seq, seq, (size_t)n, sizeof(*seq), by_seq); look(s, UINT64_MAX))
			s->at += s->len;
		atomic_store(&s->ring.hdr->tail, s->at);
	}
	free(seq);
	return n < 0 ? (int)n : 0;
}

static struct sb_collector *collector_alloc(struct sb_log *log)
{
	struct sb_collector *c = calloc(1, sizeof(*c));

	if(c != NULL)
		c->log = log;
	return c;
}

int sb_collector_new(struct sb_collector **out, struct sb_log *log, unsigned writer)
{
	int rc = sb_log_attach_direct(log, writer);

	if(rc != 0)
		return rc;
	struct sb_collector *c = collector_alloc(log);
	if(c == NULL)
		return -ENOMEM;
	rc = sources_new(c);
	if(rc == 0)
		rc = skip(c);
	if(rc != 0) {
		sb_collector_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void sb_collector_free(struct sb_collector *c)
{
	if(c == NULL)
		return;
	for(unsigned i = 0; i < c->count; i++)
		sb_ring_close(&c->source[i].ring);
	free(c->source);
	free(c);
}

int64_t sb_collector_pass(struct sb_collector *c)
{
	/* before the heads: a record numbered by now whose forerunner of the same call is not there cannot be seen */
	uint64_t until = atomic_load(&c->log->sh->next_seq);
	int rc = sources_new(c);

	if(rc != 0)
		return rc;
	int64_t n = collect(c, until);
	if(n < 0 && (rc = skip(c)) != 0)
		return rc;
	return n;
}

static bool anything(struct sb_collector *c)
{
	for(unsigned i = 0; i < c->count; i++)
		if(sb_ring_used(&c->source[i].ring) != 0)
			return true;
	return false;
}

void sb_collector_wait(struct sb_collector *c, int timeout_ms)
{
	struct pollfd p = {.fd = c->log->collect_fd, .events = POLLIN};
	uint64_t poked;

	atomic_store(&c->log->sh->collector_waiting, 1);
	if(sources_new(c) == 0 && !anything(c) && poll(&p, 1, timeout_ms) > 0)
		(void)!read(c->log->collect_fd, &poked, sizeof(poked));
	atomic_store(&c->log->sh->collector_waiting, 0);
}

/* A ring file that is damaged is left where it is, and its records are lost: it is counted. */
static int leftovers_open(struct sb_collector *c)
{
	struct dirent *e;
	DIR *d = opendir(c->log->cfg.spool_dir);
	int rc = 0;

	if(d == NULL)
		return -errno;
	while(rc == 0 && (e = readdir(d)) != NULL) {
		unsigned writer;
		int end = 0;

		if(sscanf(e->d_name, "ring-%u%n", &writer, &end) != 1 || e->d_name[end] != '\0' || writer >= SB_LOG_WRITERS)
			continue;
		rc = source_add(c, writer);
		if(rc == -EBADMSG) {
			atomic_fetch_add(&c->log->sh->damaged, 1);
			sb_ring_remove(c->log->cfg.spool_dir, writer);
			rc = 0;
		}
	}
	closedir(d);
	return rc;
}

int sb_collect_leftovers(struct sb_log *log)
{
	struct sb_collector *c = collector_alloc(log);

	if(c == NULL)
		return -ENOMEM;
	int rc = leftovers_open(c);
	if(rc == 0)
		rc = skip(c);
	if(rc == 0) {
		int64_t n = collect(c, UINT64_MAX);
		rc = n < 0 ? (int)n : 0;
	}
	for(unsigned i = 0; rc == 0 && i < c->count; i++)
		sb_ring_remove(log->cfg.spool_dir, c->source[i].writer);
	sb_collector_free(c);
	return rc;
}
