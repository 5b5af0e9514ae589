/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A small HTTP/1.1 receiver in a process of its own: a rule decides each answer, everything is written down. */
#ifndef HOOK_SERVER_H
#define HOOK_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVER_MAX 20000

struct request
{
	unsigned call, sequence;
	int status;
	char id[64];
};

struct server
{
	pthread_mutex_t lock;
	pthread_cond_t taken;
	int fd;
	unsigned port;
	int away_status;
	/* status to answer; 0: close the connection; -1: never answer. tries: earlier requests of this event */
	int (*rule)(unsigned call, unsigned sequence, unsigned tries);
	struct request seen[SERVER_MAX];
	unsigned count, accepted;
};

static pid_t server_pid;      /* not shared: the child's copy is 0, and kill(0) would end the whole group */
static struct server *server; /* shared: the receiver is a process of its own, so that tests may fork without threads */

static inline int server_note(const char *head, const char *body)
{
	struct request r = {0};
	const char *id = strcasestr(head, "\r\nwebhook-id: "), *call = strstr(body, "\"sip_call_id\""),
			   *seq = strstr(body, "\"sequence\"");
	unsigned tries = 0;

	if(id == NULL || call == NULL || seq == NULL)
		return 400;
	sscanf(id + 14, "%63[^\r]", r.id);
	sscanf(call + 13, "%*[^0-9]%u", &r.call);
	sscanf(seq + 10, "%*[^0-9]%u", &r.sequence);
	pthread_mutex_lock(&server->lock);
	for(unsigned i = 0; i < server->count; i++)
		tries += strcmp(server->seen[i].id, r.id) == 0;
	r.status = server->rule(r.call, r.sequence, tries);
	if(server->count < SERVER_MAX)
		server->seen[server->count++] = r;
	server->accepted += r.status == 200;
	pthread_cond_signal(&server->taken);
	pthread_mutex_unlock(&server->lock);
	return r.status;
}

static inline void *server_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	static const size_t room = 65536;
	char *buf = calloc(1, room), *end, *length;
	size_t have = 0, body, need;
	ssize_t n;

	for(;;) {
		while((end = strstr(buf, "\r\n\r\n")) == NULL || (length = strcasestr(buf, "content-length: ")) == NULL
				|| have < (need = (size_t)(end + 4 - buf) + (body = strtoul(length + 16, NULL, 10)))) {
			n = read(fd, buf + have, room - 1 - have);
			if(n <= 0)
				goto out;
			have += (size_t)n;
			buf[have] = '\0';
		}
		int status = server_note(buf, end + 4);
		char answer[128];
		if(status == 0)
			goto out;
		if(status > 0) {
			int len = snprintf(answer, sizeof(answer), "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status);
			if(write(fd, answer, (size_t)len) != len)
				goto out;
		}
		memmove(buf, buf + need, have - need + 1);
		have -= need;
	}
out:
	close(fd);
	free(buf);
	return NULL;
}

static inline void *server_accept(void *arg)
{
	(void)arg;
	for(;;) {
		int fd = accept(server->fd, NULL, NULL);
		pthread_t t;

		if(fd < 0)
			return NULL;
		pthread_create(&t, NULL, server_connection, (void *)(intptr_t)fd);
		pthread_detach(t);
	}
}

static inline void server_shared(void)
{
	pthread_mutexattr_t m;
	pthread_condattr_t c;

	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&m);
	pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&server->lock, &m);
	pthread_condattr_init(&c);
	pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&server->taken, &c);
}

static inline void server_start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	pid_t parent = getpid();

	server_shared();
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(server->fd, (struct sockaddr *)&a, sizeof(a));
	listen(server->fd, 64);
	getsockname(server->fd, (struct sockaddr *)&a, &len);
	server->port = ntohs(a.sin_port);
	server_pid = fork();
	if(server_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if(getppid() == parent)
			server_accept(NULL);
		_exit(0);
	}
	close(server->fd);
}

static inline void server_stop(void)
{
	if(server_pid <= 0)
		return;
	kill(server_pid, SIGKILL);
	waitpid(server_pid, NULL, 0);
}

static inline unsigned server_accepted(void)
{
	pthread_mutex_lock(&server->lock);
	unsigned n = server->accepted;
	pthread_mutex_unlock(&server->lock);
	return n;
}

/* Until goal events were accepted, or s seconds have passed. @return true: they were */
static inline bool server_wait(unsigned goal, unsigned s)
{
	struct timespec until;
	bool ok;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += s;
	pthread_mutex_lock(&server->lock);
	while(server->accepted < goal && pthread_cond_timedwait(&server->taken, &server->lock, &until) == 0)
		;
	ok = server->accepted >= goal;
	pthread_mutex_unlock(&server->lock);
	return ok;
}

#endif
