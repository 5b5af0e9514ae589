/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The four-layer log: reads the log, writes a line for every event (layer_line.h) to a file (layer_file.h) or to syslog
 * (layer_syslog.h). One process, one thread; time is a parameter.
 *
 * To a file every event's line is written once, whatever is killed when: the store keeps cursor and end of file together, and
 * at start the lines behind that end are read back. To syslog, where nothing can be read back, the lines of the last
 * SB_LAYER_KEEP_MS may come again after a SIGKILL, with the same id.
 */
#ifndef SB_LAYER_LOG_H
#define SB_LAYER_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define SB_LAYER_KEEP_MS 200 /* how often cursor and counters are kept, when they changed */
#define SB_LAYER_IDLE_MS 50  /* how often an idle log is looked at */
#define SB_LAYER_ERROR_LEN 200u

enum sb_layer_state
{
	SB_LAYER_OFF,
	SB_LAYER_WRITING,
	SB_LAYER_WAITING /* it cannot be written, and is tried again */
};

/** In shared memory: the log's process writes, everybody reads. */
struct sb_layer_status
{
	_Atomic uint32_t state;
	_Atomic uint64_t lines, bytes; /* since the start of Kamailio */
	_Atomic uint64_t errors;       /* tries to write or to keep that failed, damaged records, segments that were gone */
	_Atomic uint64_t segment, offset;    /* cursor */
	_Atomic uint64_t oldest_at;          /* µs: the first event that is not written yet; 0: all are */
	uint64_t lines_before, bytes_before; /* what the store had at the start of Kamailio */
	_Atomic uint32_t text_version;       /* odd while error is being written */
	char error[SB_LAYER_ERROR_LEN];      /* the last one */
};

/** Copies the error text without tearing it. */
void sb_layer_status_error(const struct sb_layer_status *s, char out[SB_LAYER_ERROR_LEN]);
const char *sb_layer_state_name(uint32_t state);

struct sb_layer_cfg
{
	struct sb_log *log;
	int sink;                       /* as sb_log_sink() gave it, or -1 */
	const char *state_dir;          /* holds layer_log.sqlite */
	const char *target;             /* "/path/of/file" or "syslog:FACILITY" or "syslog:FACILITY:/path/of/socket" */
	uint64_t size;                  /* bytes of a file, then it is rotated */
	unsigned files;                 /* rotated files that are kept */
	struct sb_layer_status *status; /* zeroed */
	void (*say)(bool error, const char *text);
};

/**
 * Before the fork: checks the target, makes or checks the store; a new one, or one that was kept for another log, begins with the first
 * record of this start. A file that
 * cannot be written for want of room, or on a read-only disk, is said, and no failure.
 *
 * @param err one sentence: what was found, what is expected, what mends it
 * @return 0 or a negative errno
 */
int sb_layer_prepare(const struct sb_layer_cfg *cfg, char *err, size_t err_len);

struct sb_layer_log;
/** In the log's process. @return 0 or a negative errno, err as above */
int sb_layer_new(struct sb_layer_log **out, const struct sb_layer_cfg *cfg, char *err, size_t err_len);
/**
 * One turn: reads, writes, keeps.
 *
 * @param wall_us wall clock, µs since 1970: what syslog is told
 * @param mono_us never goes back: what is waited for is measured by it
 * @return ms to wait before the next one
 */
int sb_layer_turn(struct sb_layer_log *l, uint64_t wall_us, uint64_t mono_us);
/** Writes what is read, keeps the cursor, frees everything. */
void sb_layer_stop(struct sb_layer_log *l, uint64_t wall_us, uint64_t mono_us);

#endif
