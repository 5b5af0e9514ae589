/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The call log: reads the log, and writes its calls, attempts and events into a database. One process, one thread; it runs in
 * Kamailio's process and in a plain program alike. The clock comes in as a parameter.
 *
 * Records are gathered into a batch. A batch is one transaction of the database; then the cursor moves, in a file of its own. Killed
 * in between, it writes the batch again, which changes nothing. While the database is away or slow the batch waits, nothing
 * more is read, and it is tried again after 1 s, 2 s, … 30 s, for as long as it takes. A row that the database refuses is
 * found by halving the batch, put aside, and the others are written. Where a table refuses every one of many rows in turn, it is
 * the table that is wrong: then nothing is put aside, and it waits.
 */
#ifndef SB_CALL_LOG_H
#define SB_CALL_LOG_H

#include <stdatomic.h>

#include "call_log_store.h"
#include "log.h"

#define SB_CALL_LOG_FILE "call_log.sqlite"
#define SB_CALL_LOG_BAD_RUN 100u     /* more rows of a table refused in turn, none taken between them: it waits */
#define SB_CALL_LOG_BYTES (8u << 20) /* a batch has no more, roughly */
#define SB_CALL_LOG_RETRY_MIN_US 1000000ull
#define SB_CALL_LOG_RETRY_MAX_US 30000000ull

enum sb_call_log_state
{
	SB_CALL_LOG_STOPPED,
	SB_CALL_LOG_UP,
	SB_CALL_LOG_WAITING /* for the database, or for its own file */
};

/** In shared memory, zeroed: the sink's process writes, everybody reads. Counters since the start of Kamailio. */
struct sb_call_log_status
{
	_Atomic uint32_t state;
	_Atomic uint64_t since_at;           /* µs: when the state changed */
	_Atomic uint64_t rows[SB_CL_TABLES]; /* written, or there already */
	_Atomic uint64_t batches;
	_Atomic uint64_t aside;      /* rows set aside */
	_Atomic uint64_t aside_kept; /* rows in the table aside, of earlier starts too */
	_Atomic uint64_t lost_segments;
	_Atomic uint64_t pruned;          /* calls deleted by their age */
	_Atomic uint64_t oldest_at;       /* µs: time of the oldest event that is not written yet, 0: all are */
	_Atomic uint64_t segment, offset; /* cursor */
	_Atomic uint64_t error_at;        /* µs, 0: never */
	_Atomic uint32_t text_version;    /* odd while error is being written */
	char error[SB_CL_ERROR];          /* the last one */
};

void sb_call_log_status_error(const struct sb_call_log_status *s, char out[SB_CL_ERROR]);
const char *sb_call_log_state_name(uint32_t state);

enum sb_call_log_level
{
	SB_CALL_LOG_ERROR,
	SB_CALL_LOG_WARNING,
	SB_CALL_LOG_NOTICE
};

struct sb_call_log_cfg
{
	struct sb_log *log; /* directories, node; sh may be NULL */
	int sink;           /* as sb_log_sink() gave it, or -1 */
	const char *state_dir;
	unsigned batch;            /* events */
	unsigned delay_ms;         /* longest wait for a batch to fill */
	unsigned keep_days;        /* older calls are deleted; 0: none */
	struct sb_cl_store *store; /* the caller's, not open */
	struct sb_call_log_status *status;
	void (*say)(enum sb_call_log_level level, const char *text);
};

/** Before the fork: makes its own file, or looks whether it can be used. @param err one sentence @return 0 or -errno */
int sb_call_log_prepare(const char *state_dir, char *err, size_t err_len);

struct sb_call_log;
/** In the process that writes. @param err one sentence @return 0 or -errno: its own file cannot be used */
int sb_call_log_new(
		struct sb_call_log **out, const struct sb_call_log_cfg *cfg, uint64_t now_us, char *err, size_t err_len);
/**
 * Reads what is there, writes a batch that is full or old enough.
 * @param now_us wall clock, µs since 1970
 * @param mono_us never goes back: what is waited for is measured by it
 * @return µs after which it wants to be called again; 0: at once
 */
uint64_t sb_call_log_turn(struct sb_call_log *c, uint64_t now_us, uint64_t mono_us);
/** Writes what it has read if the database is there, closes the store, frees everything but the store. */
void sb_call_log_stop(struct sb_call_log *c, uint64_t now_us);

#endif
