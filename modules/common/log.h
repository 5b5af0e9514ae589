/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The log: every change of a call, written once.
 *
 * Two stages, one format. Writers append whole records to segment files in the spool (tmpfs); the mover copies the
 * very same bytes to files of the same name in the journal (disk), syncs them, and only then lets a spool segment go.
 * So (segment, offset) names the same record in both, and what has been moved is the length of the journal's file.
 *
 * No Kamailio header, no clock, no allocation hidden from the caller. Functions return 0 or a negative errno unless
 * they say otherwise.
 */
#ifndef SB_LOG_H
#define SB_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_LOG_MAGIC 0x31474253u /* "SBG1" in the file */
#define SB_LOG_MAX_RECORD 65536u /* header and payload, bytes */
#define SB_LOG_WRITERS 1024u     /* highest writer index, exclusive */
#define SB_LOG_SINKS 16u
#define SB_LOG_PATH 512u

/**
 * A record's header as it is in the file, little endian; the payload follows, then the next record without padding (a
 * torn write may leave any length, so nothing in the file is aligned).
 */
struct sb_rec_hdr
{
	uint32_t magic;
	uint32_t len;   /* payload bytes */
	uint32_t crc;   /* CRC-32C of everything in the record behind this field, payload included */
	uint16_t type;  /* enum sb_type, event.h */
	uint16_t flags; /* 0 */
	uint64_t seq;   /* unique within (node, epoch), not dense, not ordered between calls */
	uint32_t epoch; /* fsynced and raised at every start: (node, epoch, seq) never repeats */
	uint32_t salt; /* random at every start: behind damage, bytes in a payload that look like a record are told by it */
};

/** Where a record begins. Ordered first by segment, then by offset. Valid in spool and journal alike. */
struct sb_pos
{
	uint64_t segment; /* rising; a start begins at (epoch << 32) + 1, below it is what it found in rings; 0 = none */
	uint64_t offset;  /* bytes from the start of the segment */
};

struct sb_rec
{
	struct sb_rec_hdr hdr;
	const uint8_t *payload; /* valid until the next call on the same reader */
	struct sb_pos pos;      /* of this record */
	struct sb_pos next;     /* of the one behind it */
};

/** What is shed first when the spool nears its limit; a record's class is given with each append. */
enum sb_shed
{
	SB_KEEP = 0,   /* starts, answers, ends, CDRs and what the fold needs: only at the hard limit */
	SB_DETAIL = 1, /* ringing, early media, held, resumed, transfers: from 95 % of spool_limit */
	SB_EXTRA = 2   /* updated, custom, dtmf: from 85 % */
};

struct sb_log_cfg
{
	char spool_dir[SB_LOG_PATH];
	char journal_dir[SB_LOG_PATH];
	uint64_t segment_size; /* bytes after which a segment is sealed, 4 kB … 1 GB; a record is never split */
	uint64_t spool_limit; /* bytes in the spool, ≥ 2 segments; what happens near it: enum sb_shed. sb_log_open() lowers
							 * it to nine tenths of the spool's file system; 0 means just that */
	uint64_t ring_size; /* bytes, a power of two ≥ 128 kB: writers put records into rings (below); 0: into segments */
	uint64_t journal_keep; /* bytes of delivered history kept for `signalbox why` */
	uint64_t
			journal_limit; /* bytes; beyond it the oldest segment goes even if a sink has not read it (counted); 0 = none */
};

/** A writer's place in the shared memory, one cache line: what it does must not slow its neighbours. */
struct sb_slot
{
	_Atomic uint64_t segment; /* it is writing to this one just now, 0 = to none */
	_Atomic uint32_t ring;    /* 1: it has a ring */
	_Atomic uint32_t pid;     /* a slot of a process that is gone holds back nothing */
	uint32_t pad[12];
};

/** Shared between all processes; allocate sb_log_shared_size() zeroed bytes in shared memory. */
struct sb_log_shared
{
	_Atomic uint64_t current;     /* segment that is written now */
	_Atomic uint64_t current_len; /* low half of a segment's number << 32 | bytes in it: sb_log_current_len() */
	_Atomic uint64_t next_seq;
	_Atomic uint64_t spool_bytes; /* bytes appended and not yet unlinked */
	_Atomic uint64_t records;     /* appended since start */
	_Atomic uint64_t shed[3];     /* not appended, by class */
	_Atomic uint64_t failed;      /* write() failed (spool full, no file) */
	/* written by the mover */
	_Atomic uint64_t moved_segment, moved_offset; /* synced to the journal up to here */
	_Atomic uint64_t journal_bytes, journal_segments, damaged, dropped_segments;
	_Atomic int64_t journal_errno; /* last error of the mover, 0 = fine */
	_Atomic uint64_t last_sync_us; /* as given to sb_mover_step() */
	/* sinks: the segment each still needs; 0 = needs everything. Names are set before the fork. */
	_Atomic uint64_t sink_segment[SB_LOG_SINKS];
	char sink_name[SB_LOG_SINKS][32];
	_Atomic uint32_t sinks;
	/* A reader that sleeps sets waiting, asks sb_reader_next() once more, then polls wake_fd (an eventfd); the writer that
	 * sees waiting clears it and pokes wake_fd. One process may sleep so. */
	_Atomic uint32_t waiting;
	/* the same for the collector and collect_fd */
	_Atomic uint32_t collector_waiting;
	_Atomic uint64_t ring_damaged; /* what of `damaged` was met in rings: places, and files that are no ring */
	_Atomic uint32_t rings;        /* raised with each ring that is entered */
	struct sb_slot slot[SB_LOG_WRITERS];
};

static inline size_t sb_log_shared_size(void)
{
	return sizeof(struct sb_log_shared);
}

/** Bytes in the segment that is written now. */
static inline uint64_t sb_log_current_len(struct sb_log_shared *sh)
{
	return atomic_load(&sh->current_len) & 0xffffffffu;
}

/** A log that one process owns or writes to. Copied by fork(); each process calls sb_log_attach() after it. */
struct sb_log
{
	struct sb_log_cfg cfg;
	struct sb_log_shared *sh;
	char node[37]; /* uuid of this node, kept in journal_dir/node */
	uint32_t epoch;
	uint32_t salt;
	int lock_fd;          /* flock on spool_dir/lock; inherited by every child on purpose */
	int journal_fd;       /* journal_dir, flock on it: two spools must not share a journal */
	struct sb_ring *ring; /* of this process, or NULL */
	int collect_fd;       /* eventfd */
	int wake_fd;          /* eventfd */
	unsigned writer;
	int fd; /* this process's spool segment */
	uint64_t fd_segment;
};

/**
 * Opens the log before any fork: checks both directories (they must exist and be writable), takes the lock, reads or
 * makes the node's uuid, raises and fsyncs the epoch, and starts a fresh segment behind all that exist.
 *
 * @param sh      zeroed shared memory, SB_LOG_WRITERS slots
 * @param wait_ms how long to wait for the lock when a dying instance still holds it
 * @param err     on failure: one sentence that says what was found, what is expected and what mends it
 * @return 0, or -errno: -ENOENT/-EACCES/-EROFS (directory), -EWOULDBLOCK (held by another instance, err names its pid), …
 */
int sb_log_open(struct sb_log *log, const struct sb_log_cfg *cfg, struct sb_log_shared *sh, unsigned wait_ms, char *err,
		size_t err_len);
void sb_log_close(struct sb_log *log);

/** 1 if dir is on tmpfs, 0 if not, -errno of statfs(). */
int sb_log_on_tmpfs(const char *dir);

/**
 * After fork(): forgets the parent's open segment and takes a writer slot. Taking the slot of a process that died frees it.
 *
 * @param writer unique among the processes that live
 * @return 0, -EINVAL (writer ≥ SB_LOG_WRITERS), or of its ring: -ENOSPC, -EBADMSG (the file is no ring of this size), or
 * -errno; then this process must not append
 */
int sb_log_attach(struct sb_log *log, unsigned writer);

/**
 * Appends one record with one write(), or into the ring. The caller holds the call's lock, so that a call's records stand in order.
 *
 * @param rec   room of sizeof(struct sb_rec_hdr) followed by len bytes of payload; the header is filled in here
 * @param out   the record's sequence; may be NULL
 * @return 0; -EOVERFLOW (longer than SB_LOG_MAX_RECORD), -ENOSPC (shed, counted in sh->shed), or -errno of write()
 */
int sb_log_append(struct sb_log *log, uint16_t type, enum sb_shed class, void *rec, uint32_t len, uint64_t *out);

/** True if an append of this class would be shed now: ask before numbering an event, so that no gap is left. */
bool sb_log_would_shed(const struct sb_log *log, enum sb_shed class);

/**
 * Fills in the header of a record that goes elsewhere than into this log (same room as sb_log_append).
 * @return bytes to write, or -EOVERFLOW
 */
int64_t sb_rec_seal(void *rec, uint16_t type, uint32_t len, uint64_t seq, uint32_t epoch, uint32_t salt);

/** Before the fork: registers a sink whose cursor holds back deletion. @return its index or -ENOSPC */
int sb_log_sink(struct sb_log_shared *sh, const char *name);
/** The sink has done with everything before this segment. */
void sb_log_sink_done(struct sb_log_shared *sh, int sink, uint64_t segment);

/**
 * Rings and the collector. With ring_size set, an append is a copy into memory that outlives SIGKILL, without a system call;
 * one process collects what is in all rings, in batches of one write(), into the spool's segments. A call's records keep
 * their order: a pass takes the records numbered before it began, sorted by number, and a call's next record is numbered
 * only after the one before it was put in. A collector that was killed between its write() and its note of it leaves its batch in
 * the newest segment, where the next one finds it: nothing is repeated. What a killed instance left in rings is collected by the
 * next sb_log_open(). Damage in a ring is passed as in a segment, and counted; a file that is no ring is kept as <name>.aside.
 * While there is a collector, nobody else writes to segments.
 */
struct sb_collector;
/** @param writer a writer index of its own. @return 0 or -errno */
int sb_collector_new(struct sb_collector **out, struct sb_log *log, unsigned writer);
void sb_collector_free(struct sb_collector *c);
/** One pass over all rings. @return records collected, or -errno (spool full: they stay where they are, for a later pass) */
int64_t sb_collector_pass(struct sb_collector *c);
/** Sleeps until a writer has put something in, at most timeout_ms. */
void sb_collector_wait(struct sb_collector *c, int timeout_ms);

/** Mover: one process copies spool → journal. */
struct sb_mover;
int sb_mover_new(struct sb_mover **out, struct sb_log *log);
void sb_mover_free(struct sb_mover *m);
/**
 * Copies what is new, syncs, unlinks sealed spool segments that are done, drops old journal segments by the limits.
 * Segments are finished one after another. Errors (disk full, read-only) are kept in sh->journal_errno and tried again at
 * the next step; on a full disk the oldest segment that every sink is past goes, one a step, whatever journal_keep says.
 * A journal's file that is no beginning of the spool's (a power cut, two systems mixed up) is kept as <name>.aside.
 * @return bytes moved, or -errno
 */
int64_t sb_mover_step(struct sb_mover *m, uint64_t now_us);

/**
 * Reader: any process, running beside the writers or on a dead system; reads the spool's copy where there is one.
 *
 * It leaves a segment only when nothing can be appended to it any more, so that it never passes a record that a slow
 * writer is still about to write. It knows that from one of these:
 *   in a process of the instance (sb_reader_attach): `current` is past the segment and no slot names it;
 *   the spool's copy is gone: the mover unlinks it only then, and after all of it was synced to the journal;
 *   the spool's copy has lost its write permission: the last writer to leave a sealed segment (else the mover, else the
 *   next start) takes it away;
 *   nobody holds the lock: all writers are dead;
 *   only a journal: a later segment is there, since the mover finishes one before it begins the next.
 * No time-out is among them. What then still stands at its end is a torn record: counted as damage, and passed.
 */
struct sb_reader;
/**
 * @param spool_dir may be NULL or "" (journal alone), or not be there (a dead system after a reboot)
 * @param from	    the first record at or behind it is next; a segment that is gone means the next one that is there
 * @return 0, -ENOENT (no journal_dir), -ENAMETOOLONG, -ENOMEM, or -errno
 */
int sb_reader_open(struct sb_reader **out, const char *journal_dir, const char *spool_dir, struct sb_pos from);
/** In a process of the instance: saves looking into directories to find out whether a segment is complete. */
void sb_reader_attach(struct sb_reader *r, struct sb_log_shared *sh);
void sb_reader_close(struct sb_reader *r);
/**
 * The next record. Damage is skipped to the next magic with a right CRC and counted.
 * @return 1 (rec is set), 0 (nothing more now: an incomplete tail of the newest segment means wait), or -errno
 */
int sb_reader_next(struct sb_reader *r, struct sb_rec *rec);
uint64_t sb_reader_damaged(const struct sb_reader *r);

/** The same walk over one buffer, for the fuzzer and the cut-and-flip test. @return as sb_reader_next */
int sb_scan(const uint8_t *buf, size_t len, size_t *offset, bool sealed, struct sb_rec *rec, uint64_t *damaged);

/** Event id text: "<node uuid without dashes>-<epoch hex>-<seq hex>"; no dot in it. @param out ≥ 64 bytes */
void sb_event_id(char *out, const char *node, uint32_t epoch, uint64_t seq);

/** First and last segment present in journal and spool together; 0, 0 if none. */
int sb_log_segments(const char *journal_dir, const char *spool_dir, uint64_t *first, uint64_t *last);

/** CRC-32C (RFC 3720 B.4), hardware where the CPU has it. @param crc 0 to begin */
uint32_t sb_crc32c(uint32_t crc, const void *data, size_t len);

#endif
