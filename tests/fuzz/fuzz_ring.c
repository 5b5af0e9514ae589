/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a killed instance may have left in rings, as any bytes: the next start collects it. What must hold: the start ends and
 * succeeds, no ring stays, every record that comes out stands in a ring with a right CRC and comes out once, and whole records that
 * no damage touches all come out, in order.
 *
 * Input: mode, tail, head, then the file as it is (mode & 1) or pieces of the ring: length, kind, bytes.
 */
#include "log_ring.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (2u * SB_LOG_MAX_RECORD)
#define MOST 4096u

static struct sb_log_cfg cfg = {.segment_size = 1 << 20, .ring_size = SIZE};
static struct sb_log_shared *shared;
static uint8_t file[SB_RING_PAGE + 2 * SIZE]; /* the second half of it as the second mapping shows it */

struct left
{
	uint64_t tail, head;
	uint64_t whole; /* records from the tail on until the first damage */
	uint64_t seq;
};

static void check(int holds)
{
	if(!holds)
		abort();
}

static char root[] = "/dev/shm/fuzz_ring-XXXXXX";

static void directories_end(void)
{
	static const char *const names[] = {
			"spool/lock", "spool", "journal/node", "journal/epoch", "journal/spool", "journal", ""};
	char path[SB_LOG_FILE];

	for(unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		remove(path);
	}
}

static void directories(void)
{
	if(shared != NULL)
		return;
	check(mkdtemp(root) != NULL && atexit(directories_end) == 0);
	shared = malloc(sb_log_shared_size());
	snprintf(cfg.spool_dir, SB_LOG_PATH, "%s/spool", root);
	snprintf(cfg.journal_dir, SB_LOG_PATH, "%s/journal", root);
	check(mkdir(cfg.spool_dir, 0700) == 0 && mkdir(cfg.journal_dir, 0700) == 0);
}

static void ring_byte(uint64_t at, uint8_t byte)
{
	file[SB_RING_PAGE + at % SIZE] = file[SB_RING_PAGE + SIZE + at % SIZE] = byte;
}

/* Pieces: whole records, or bytes as they are. */
static void fill(struct left *left, const uint8_t *data, size_t size)
{
	static uint8_t rec[MOST + SB_LOG_HDR];
	bool damage = false;

	for(size_t at = 0; at + 3 < size;) {
		size_t len = (size_t)(data[at] | data[at + 1] << 8) % MOST, kind = data[at + 2];
		at += 3;
		if(len > size - at)
			len = size - at;
		const uint8_t *bytes = data + at;
		at += len;
		if(kind & 1) {
			damage = true;
		} else {
			memcpy(rec + SB_LOG_HDR, bytes, len);
			len = (size_t)sb_rec_seal(rec, 7, (uint32_t)len, ++left->seq, 3, 0x5eed);
			bytes = rec;
			left->whole += !damage;
		}
		if(left->head + len - left->tail > SIZE)
			break;
		for(size_t i = 0; i < len; i++)
			ring_byte(left->head + i, bytes[i]);
		left->head += len;
	}
}

static size_t image(const uint8_t *data, size_t size, struct left *left)
{
	struct sb_ring_hdr hdr = {.magic = 0x31474e5247424753ull, .size = SIZE};
	uint8_t mode = data[0];

	memset(file, 0, sizeof(file));
	memcpy(&left->tail, data + 1, 8);
	if(mode & 1) {
		size_t len = size - 9 < SB_RING_PAGE + SIZE ? size - 9 : SB_RING_PAGE + SIZE;
		memcpy(file, data + 9, len);
		left->tail = left->head = 0;
		return mode & 2 ? SB_RING_PAGE + SIZE : len;
	}
	left->head = left->tail;
	fill(left, data + 9, size - 9);
	if(mode & 4) { /* a head that knows nothing of records */
		left->head += size % 7;
		left->whole = 0;
	}
	hdr.tail = left->tail;
	hdr.head = left->head;
	memcpy(file, &hdr, sizeof(hdr));
	return SB_RING_PAGE + SIZE;
}

static void put(unsigned writer, size_t len)
{
	char path[SB_LOG_FILE];

	sb_path_ring(path, cfg.spool_dir, writer);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	check(fd >= 0 && write(fd, file, len) == (ssize_t)len);
	close(fd);
}

static bool stands(const struct left *left, const struct sb_rec *rec)
{
	size_t len = SB_LOG_HDR + rec->hdr.len;

	for(uint64_t at = 0; at + len <= left->head - left->tail; at++) {
		const uint8_t *p = file + SB_RING_PAGE + (left->tail + at) % SIZE;
		if(memcmp(p, &rec->hdr, SB_LOG_HDR) == 0 && memcmp(p + SB_LOG_HDR, rec->payload, rec->hdr.len) == 0)
			return true;
	}
	return false;
}

/* Records of the pieces' own salt come in the order of their numbers; look-alikes in raw bytes may be any. */
static void read_all(const struct left *left)
{
	struct sb_reader *r;
	struct sb_rec rec;
	uint64_t last = 0, records = 0, bytes = 0;

	check(sb_reader_open(&r, cfg.journal_dir, cfg.spool_dir, (struct sb_pos){0, 0}) == 0);
	while(sb_reader_next(r, &rec) == 1) {
		check(stands(left, &rec));
		if(records < left->whole)
			check(rec.hdr.seq == last + 1 && rec.hdr.salt == 0x5eed);
		last = rec.hdr.seq;
		records++;
		bytes += SB_LOG_HDR + rec.hdr.len;
	}
	check(records >= left->whole && bytes <= left->head - left->tail);
	check(sb_reader_damaged(r) == 0 && records == shared->records);
	check(left->head == left->tail || bytes == left->head - left->tail || shared->damaged > 0);
	sb_reader_close(r);
}

static void clean(void)
{
	char path[SB_LOG_FILE];
	uint64_t segment;

	while(sb_dir_next(cfg.spool_dir, 1, &segment) == 1) {
		sb_path_segment(path, cfg.spool_dir, segment);
		check(unlink(path) == 0);
	}
	snprintf(path, sizeof(path), "%s/ring-5.aside", cfg.spool_dir);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct left left = {0};
	struct sb_log log;
	char err[1024], path[SB_LOG_FILE];

	if(size < 9)
		return 0;
	directories();
	put(5, image(data, size, &left));
	memset(shared, 0, sb_log_shared_size());
	check(sb_log_open(&log, &cfg, shared, 0, err, sizeof(err)) == 0);
	sb_path_ring(path, cfg.spool_dir, 5);
	check(access(path, F_OK) != 0);
	struct sb_ring_hdr hdr;
	memcpy(&hdr, file, sizeof(hdr));
	if(data[0] & 1 && shared->records > 0) { /* by luck it was a ring */
		left.tail = hdr.tail;
		left.head = hdr.head;
		memcpy(file + SB_RING_PAGE + SIZE, file + SB_RING_PAGE, SIZE);
	}
	read_all(&left);
	sb_log_close(&log);
	clean();
	return 0;
}
