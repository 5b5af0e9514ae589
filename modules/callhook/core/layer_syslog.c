/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layer_syslog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static const struct
{
	const char *name;
	int facility;
} facility[] = {{"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},
		{"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
		{"user", LOG_USER}, {"daemon", LOG_DAEMON}};

int sb_layer_syslog_init(struct sb_layer_syslog *s, const char *where)
{
	size_t len = strcspn(where, ":");
	const char *socket = where[len] == ':' ? where + len + 1 : SB_LAYER_SYSLOG_SOCKET;

	memset(s, 0, sizeof(*s));
	s->fd = -1;
	if(socket[0] != '/' || strlen(socket) >= sizeof(s->socket))
		return -EINVAL;
	strcpy(s->socket, socket);
	for(size_t i = 0; i < sizeof(facility) / sizeof(facility[0]); i++) {
		if(strlen(facility[i].name) == len && memcmp(facility[i].name, where, len) == 0) {
			s->priority = facility[i].facility | LOG_INFO;
			return 0;
		}
	}
	return -ENOENT;
}

void sb_layer_syslog_close(struct sb_layer_syslog *s)
{
	if(s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int connect_to(struct sb_layer_syslog *s)
{
	const struct timeval longest = {.tv_sec = 1};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int err;

	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if(s->fd < 0)
		return -errno;
	memcpy(to.sun_path, s->socket, strlen(s->socket));
	if(setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest)) != 0
			|| connect(s->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		err = -errno;
		sb_layer_syslog_close(s);
		return err;
	}
	return 0;
}

static int send_parts(struct sb_layer_syslog *s, struct iovec *part, size_t parts)
{
	struct msghdr msg = {.msg_iov = part, .msg_iovlen = parts};
	int err = s->fd >= 0 ? 0 : connect_to(s);

	if(err != 0)
		return err;
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL) >= 0 ? 0 : -errno;
}

int sb_layer_syslog_send(struct sb_layer_syslog *s, const char *line, size_t len, uint64_t now_us)
{
	time_t now = (time_t)(now_us / 1000000);
	char head[64], stamp[24];
	struct iovec part[2];
	struct tm tm;
	int err;

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	part[0].iov_base = head;
	part[0].iov_len = (size_t)snprintf(head, sizeof(head), "<%d>%s signalbox[%d]: ", s->priority, stamp, (int)getpid());
	part[1].iov_base = (char *)(uintptr_t)line;
	part[1].iov_len = len;
	err = send_parts(s, part, 2);
	if(err == 0 || err == -EAGAIN || err == -EINTR)
		return err;
	sb_layer_syslog_close(s); /* the daemon was started anew: its socket is another one */
	err = send_parts(s, part, 2);
	if(err != 0 && err != -EAGAIN && err != -EINTR)
		sb_layer_syslog_close(s);
	return err;
}
