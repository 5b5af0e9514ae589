/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_ring.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH (4u * SB_LOG_MAX_RECORD)

/* What one pass sees of a ring. */
struct source
{
	struct sb_ring ring;
	unsigned writer;
	uint64_t at;      /* what is before it is written, in the batch, or damage */
	uint64_t head;    /* as it was when the pass began */
	uint64_t damaged; /* places before `at` that are not yet counted */
	/* the next record, if len is not 0, and … */
	const uint8_t *rec;
	size_t len;
	struct id
	{
		uint64_t epoch, seq;
	} id;
	uint64_t next; /* … what follows it */
	uint64_t torn; /* places between `at` and the record */
};

struct sb_collector
{
	struct sb_log *log;
	struct source *source;
	unsigned count;
	uint32_t rings_seen;
	bool known[SB_LOG_WRITERS];
	bool unsure;         /* something may be in a segment that no tail tells of */
	struct sb_walk walk; /* with the salt of the last record met undamaged: all rings are of one start */
	size_t batch_len;
	uint64_t batch_records;
	uint8_t batch[BATCH];
};

static void damage(struct sb_log_shared *sh, uint64_t places)
{
	if(places == 0)
		return;
	atomic_fetch_add(&sh->ring_damaged, places);
	atomic_fetch_add(&sh->damaged, places);
}

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
	if(rc == 0)
		c->count++;
	return rc;
}

/* A ring that is gone or no ring holds up no other; what may go away (no memory, no file handle) is tried again. */
static int sources_new(struct sb_collector *c)
{
	uint32_t rings = atomic_load(&c->log->sh->rings);

	if(rings == c->rings_seen)
		return 0;
	for(unsigned i = 0; i < SB_LOG_WRITERS; i++) {
		if(c->known[i] || atomic_load_explicit(&c->log->sh->slot[i].ring, memory_order_acquire) == 0)
			continue;
		int rc = source_add(c, i);
		if(rc == -ENOENT || rc == -EBADMSG)
			damage(c->log->sh, 1);
		else if(rc != 0)
			return rc;
		c->known[i] = true;
	}
	c->rings_seen = rings;
	return 0;
}

static void take(struct source *s)
{
	s->at = s->next;
	s->damaged += s->torn;
	s->torn = 0;
}

/* Finds the next record; one numbered behind `until` is for a later pass. Damage is passed as in a segment. */
static void look(struct sb_collector *c, struct source *s, uint64_t until)
{
	const uint8_t *from = s->ring.data + (s->at & (s->ring.size - 1));
	struct sb_walk walk = c->walk;
	struct sb_rec rec;
	size_t next = 0;

	s->len = 0;
	if(s->at == s->head)
		return;
	int found = sb_walk_next(&walk, from, (size_t)(s->head - s->at), &next, true, &rec);
	s->next = s->at + next;
	s->torn = walk.damaged;
	if(found == 1 && walk.damaged == 0)
		c->walk = walk;
	if(found == 0) {
		take(s);
	} else if(rec.hdr.seq <= until) {
		s->rec = from + rec.pos.offset;
		s->len = SB_LOG_HDR + rec.hdr.len;
		s->id = (struct id){rec.hdr.epoch, rec.hdr.seq};
	}
}

static void begin(struct sb_collector *c, struct source *s, uint64_t until)
{
	s->at = atomic_load_explicit(&s->ring.hdr->tail, memory_order_relaxed);
	s->head = atomic_load_explicit(&s->ring.hdr->head, memory_order_acquire);
	s->damaged = 0;
	if(s->head - s->at > s->ring.size) { /* somebody wrote over them: what was in the ring cannot be told */
		s->at = s->head;
		s->damaged = 1;
	}
	look(c, s, until);
}

static struct source *lowest(struct sb_collector *c)
{
	struct source *low = NULL;

	for(unsigned i = 0; i < c->count; i++)
		if(c->source[i].len != 0 && (low == NULL || c->source[i].id.seq < low->id.seq))
			low = &c->source[i];
	return low;
}

/* The batch is written: tails move up to it. */
static void note(struct sb_collector *c)
{
	for(unsigned i = 0; i < c->count; i++) {
		struct source *s = &c->source[i];
		if(atomic_load_explicit(&s->ring.hdr->tail, memory_order_relaxed) != s->at)
			atomic_store_explicit(&s->ring.hdr->tail, s->at, memory_order_release);
		damage(c->log->sh, s->damaged);
		s->damaged = 0;
	}
}

static void tell(struct sb_collector *c, uint64_t records)
{
	atomic_fetch_add(&c->log->sh->records, records);
	sb_log_poke(&c->log->sh->waiting, c->log->wake_fd);
}

/* @return records collected, or -errno */
static int64_t flush(struct sb_collector *c)
{
	size_t len = c->batch_len;
	uint64_t records = c->batch_records;

	c->batch_len = 0;
	c->batch_records = 0;
	if(len != 0) {
		ssize_t n = sb_segment_write(c->log, c->batch, len);
		if(n < 0)
			return n;
		if((size_t)n != len) {
			c->unsure = true;
			return -ENOSPC;
		}
	}
	note(c);
	if(records != 0)
		tell(c, records);
	return (int64_t)records;
}

static int64_t collect(struct sb_collector *c, uint64_t until)
{
	int64_t done = 0, n;
	struct source *s;

	for(unsigned i = 0; i < c->count; i++)
		begin(c, &c->source[i], until);
	while((s = lowest(c)) != NULL) {
		if(c->batch_len + s->len > sizeof(c->batch)) {
			if((n = flush(c)) < 0)
				return n;
			done += n;
		}
		memcpy(c->batch + c->batch_len, s->rec, s->len);
		c->batch_len += s->len;
		c->batch_records++;
		take(s);
		look(c, s, until);
	}
	n = flush(c);
	return n < 0 ? n : done + n;
}

static int by_id(const void *a, const void *b)
{
	const struct id *x = a, *y = b;

	if(x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* What stands in a segment, sorted; to be freed, whatever is returned. @return how many, or -errno */
static int64_t ids_of(const struct sb_log *log, uint64_t segment, struct id **out)
{
	struct sb_reader *r;
	struct sb_rec rec;
	size_t room = 0, n = 0;

	*out = NULL;
	int rc = sb_reader_open(&r, log->cfg.journal_dir, log->cfg.spool_dir, (struct sb_pos){segment, 0});
	if(rc != 0)
		return rc;
	while((rc = sb_reader_next(r, &rec)) == 1 && rec.pos.segment == segment) {
		if(n == room) {
			room = room ? 2 * room : 4096;
			struct id *more = realloc(*out, room * sizeof(*more));
			if(more == NULL) {
				rc = -ENOMEM;
				break;
			}
			*out = more;
		}
		(*out)[n++] = (struct id){rec.hdr.epoch, rec.hdr.seq};
	}
	sb_reader_close(r);
	if(rc < 0)
		return rc;
	if(n > 0)
		qsort(*out, n, sizeof(**out), by_id);
	return (int64_t)n;
}

static bool anything(const struct sb_collector *c)
{
	for(unsigned i = 0; i < c->count; i++)
		if(sb_ring_used(&c->source[i].ring) != 0)
			return true;
	return false;
}

/*
 * Passes over what was written but not noted, by a collector that was killed or by a write() that was short: the last
 * batch, so that it stands in the newest segment, and begins each ring.
 */
static int skip(struct sb_collector *c)
{
	struct id *id = NULL;
	uint64_t segment, skipped = 0;
	int64_t n = 0;

	if(anything(c) && (n = sb_segment_newest(&c->log->cfg, &segment)) == 1)
		n = ids_of(c->log, segment, &id);
	for(unsigned i = 0; n > 0 && i < c->count; i++) {
		struct source *s = &c->source[i];
		for(begin(c, s, UINT64_MAX); s->len != 0 && bsearch(&s->id, id, (size_t)n, sizeof(*id), by_id); skipped++) {
			take(s);
			look(c, s, UINT64_MAX);
		}
	}
	free(id);
	if(n < 0)
		return (int)n;
	if(n > 0)
		note(c);
	if(skipped > 0)
		tell(c, skipped);
	c->unsure = false;
	return 0;
}

static struct sb_collector *collector_alloc(struct sb_log *log)
{
	struct sb_collector *c = calloc(1, sizeof(*c));

	if(c != NULL) {
		c->log = log;
		c->unsure = true;
	}
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
	c->walk = (struct sb_walk){.salted = true, .salt = log->salt};
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

	if(rc == 0 && c->unsure)
		rc = skip(c);
	return rc == 0 ? collect(c, until) : rc;
}

void sb_collector_wait(struct sb_collector *c, int timeout_ms)
{
	struct pollfd p = {.fd = c->log->collect_fd, .events = POLLIN};
	uint64_t poked;

	atomic_store(&c->log->sh->collector_waiting, 1);
	atomic_thread_fence(memory_order_seq_cst); /* we see the record, or its writer sees us asleep */
	if(sources_new(c) == 0 && !anything(c) && poll(&p, 1, timeout_ms) > 0)
		(void)!read(c->log->collect_fd, &poked, sizeof(poked));
	atomic_store(&c->log->sh->collector_waiting, 0);
}

static int leftover_open(struct sb_collector *c, unsigned writer)
{
	const char *dir = c->log->cfg.spool_dir;
	int rc = source_add(c, writer);

	if(rc == -EBADMSG) {
		damage(c->log->sh, 1);
		return sb_ring_aside(dir, writer);
	}
	return rc == -ENOENT ? sb_ring_remove(dir, writer) : rc;
}

static int leftovers_open(struct sb_collector *c)
{
	DIR *d = opendir(c->log->cfg.spool_dir);
	struct dirent *e;
	int rc = 0;

	if(d == NULL)
		return -errno;
	while(rc == 0 && (e = readdir(d)) != NULL) {
		char name[32];
		unsigned writer;
		if(sscanf(e->d_name, "ring-%u", &writer) != 1 || writer >= SB_LOG_WRITERS)
			continue;
		snprintf(name, sizeof(name), "ring-%u", writer);
		if(strcmp(name, e->d_name) == 0)
			rc = leftover_open(c, writer);
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
