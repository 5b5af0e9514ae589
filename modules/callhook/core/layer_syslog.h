/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Lines to the local syslog daemon, as RFC 3164 and syslog(3) write them: "<PRI>Mmm dd hh:mm:ss signalbox[pid]: line".
 *
 * Not by syslog(3): that drops a line when no daemon takes it, and does not say so.
 */
#ifndef SB_LAYER_SYSLOG_H
#define SB_LAYER_SYSLOG_H

#include <stddef.h>
#include <stdint.h>

#define SB_LAYER_SYSLOG_SOCKET "/dev/log"
#define SB_LAYER_FACILITIES "local0 local1 local2 local3 local4 local5 local6 local7 user daemon"

struct sb_layer_syslog
{
	char socket[108]; /* of the daemon */
	int priority;     /* facility and severity */
	int fd;           /* -1: not connected */
};

/**
 * @param where "local0", or "local0:/path/of/socket"
 * @return 0, -ENOENT (no such facility: SB_LAYER_FACILITIES) or -EINVAL (not an absolute path, or too long)
 */
int sb_layer_syslog_init(struct sb_layer_syslog *s, const char *where);

/**
 * Sends one line; waits while the daemon's queue is full, a second at most.
 *
 * @param line   without "\n"
 * @param now_us wall clock
 * @return 0, -EAGAIN (the queue is full), -ENOENT or -ECONNREFUSED (no daemon), or -errno
 */
int sb_layer_syslog_send(struct sb_layer_syslog *s, const char *line, size_t len, uint64_t now_us);
void sb_layer_syslog_close(struct sb_layer_syslog *s);

#endif
