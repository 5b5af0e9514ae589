/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcurl as it is, against receivers that answer anything. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "http.h"

#define PATIENCE_S 10

enum after
{
	KEEP,
	CLOSE,
	RESET,
	SILENT, /* never answers */
	AGAIN   /* the text for ever */
};

struct answer
{
	const char *path, *text; /* "%T": an HTTP date 30 s ahead, "%P": one in the past */
	enum after after;
};

static const struct answer answers[] = {
		{"/ok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", KEEP},
		{"/redirect", "HTTP/1.1 307 Go\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/gone", "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-seconds", "HTTP/1.1 429 X\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-date", "HTTP/1.1 503 X\r\nRetry-After: %T\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-past", "HTTP/1.1 503 X\r\nRetry-After: %P\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-negative", "HTTP/1.1 429 X\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-bad", "HTTP/1.1 429 X\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-empty", "HTTP/1.1 429 X\r\nRetry-After:\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-huge", "HTTP/1.1 429 X\r\nRetry-After: 99999999999999999999999\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-words", "HTTP/1.1 429 X\r\nRetry-After: 5 bananas\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-spaces", "HTTP/1.1 429 X\r\nretry-after: \t 0007  \r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-100", "HTTP/1.1 103 X\r\nRetry-After: 9\r\n\r\nHTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/wait-long", "HTTP/1.1 429 X\r\nRetry-After: 2147483648\r\nContent-Length: 0\r\n\r\n", KEEP},
		{"/garbage", "\x16\x03\x01\x02 I am no HTTP\r\n\r\n", CLOSE},
		{"/http09", "<html>welcome</html>\r\n", CLOSE},
		{"/nothing", "", CLOSE},
		{"/reset", "", RESET},
		{"/half-status", "HTTP/1.1 200", CLOSE},
		{"/half-headers", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y", CLOSE},
		{"/half-headers-reset", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n", RESET},
		{"/slow-headers", "HTTP/1.1 200 OK\r\n", SILENT},
		{"/never", "", SILENT},
		{"/slow-body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx", SILENT},
		{"/half-body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx", CLOSE},
		{"/bad-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx", CLOSE},
		{"/bad-chunk-500", "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx", CLOSE},
		{"/bad-length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", CLOSE},
		{"/204-with-body", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 smuggled\r\n\r\n", CLOSE},
		{"/100-then-ok",
				"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: y\r\n\r\nHTTP/1.1 202 OK\r\nContent-Length: "
				"0\r\n\r\n",
				KEEP},
		{"/100-only", "HTTP/1.1 100 Continue\r\n\r\n", CLOSE},
		{"/100-for-ever", "HTTP/1.1 100 Continue\r\n\r\n", AGAIN},
		{"/101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", CLOSE},
		{"/headers-for-ever", "HTTP/1.1 200 OK\r\n%H", AGAIN},
		{"/header-for-ever", "HTTP/1.1 200 OK\r\nX: %X", AGAIN},
		{"/body-for-ever", "HTTP/1.1 200 OK\r\n\r\n%B", AGAIN},
		{"/gzip-bomb", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n%B", AGAIN},
		{"/odd-status", "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", KEEP},
};

struct server
{
	unsigned requests, connections;
	size_t written;  /* bytes of the answer that never ends */
	char head[8192]; /* of the last request */
};

static struct server *server; /* shared */
static pid_t server_pid;
static unsigned port;

static void say_time(char *out, size_t room, int ahead)
{
	time_t t = time(NULL) + ahead;
	struct tm tm;

	strftime(out, room, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
}

static bool put(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n = len > 0 ? send(fd, text, len, MSG_NOSIGNAL) : 0;

	if(n > 0)
		server->written += (size_t)n;
	return n == (ssize_t)len;
}

static void for_ever(int fd, const char *text)
{
	static const char line[] = "X-More: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
	const char *mark = strchr(text, '%');
	char first[256];

	if(mark == NULL) {
		while(put(fd, text))
			;
		return;
	}
	snprintf(first, sizeof(first), "%.*s", (int)(mark - text), text);
	put(fd, first);
	while(mark[1] == 'X' ? put(fd, "0123456789") : put(fd, line))
		;
}

/* @return true: the connection stays */
static bool serve(int fd, const char *head)
{
	const struct answer *a = NULL;
	struct linger hard = {1, 0};
	char text[512], when[64];
	const char *mark;

	for(size_t i = 0; i < sizeof(answers) / sizeof(answers[0]) && a == NULL; i++) {
		size_t n = strlen(answers[i].path);
		if(strncmp(head + 5, answers[i].path, n) == 0 && head[5 + n] == ' ')
			a = &answers[i];
	}
	if(a == NULL)
		return false;
	server->requests++;
	snprintf(server->head, sizeof(server->head), "%s", head);
	server->written = 0;
	if(a->after == AGAIN) {
		for_ever(fd, a->text);
		return false;
	}
	mark = strchr(a->text, '%');
	say_time(when, sizeof(when), mark != NULL && mark[1] == 'T' ? 30 : -30);
	if(mark != NULL)
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - a->text), a->text, when, mark + 2);
	else
		snprintf(text, sizeof(text), "%s", a->text);
	put(fd, text);
	if(a->after == RESET)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if(a->after == SILENT)
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_S * 1000);
	return a->after == KEEP;
}

static void connection(int fd)
{
	char buf[8192];
	size_t have = 0;

	for(;;) {
		ssize_t n = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);
		char *end;

		if(n <= 0)
			return;
		have += (size_t)n;
		buf[have] = '\0';
		end = strstr(buf, "\r\n\r\n{}");
		if(end == NULL)
			continue;
		if(!serve(fd, buf))
			return;
		have = 0;
	}
}

static int server_start(void **state)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), no = 0;
	socklen_t len = sizeof(v6);
	pid_t parent = getpid();

	(void)state;
	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if(fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) == 0
			&& bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0) {
		getsockname(fd, (struct sockaddr *)&v6, &len);
		port = ntohs(v6.sin6_port);
	} else {
		len = sizeof(v4);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(0, bind(fd, (struct sockaddr *)&v4, sizeof(v4)));
		getsockname(fd, (struct sockaddr *)&v4, &len);
		port = ntohs(v4.sin_port);
	}
	assert_int_equal(0, listen(fd, 16));
	server_pid = fork();
	if(server_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		while(getppid() == parent) {
			int c = accept(fd, NULL, NULL);
			server->connections++;
			if(fork() == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				connection(c);
				_exit(0);
			}
			close(c);
		}
		_exit(0);
	}
	close(fd);
	return 0;
}

static int server_stop(void **state)
{
	(void)state;
	kill(server_pid, SIGKILL);
	waitpid(server_pid, NULL, 0);
	return 0;
}

static struct
{
	unsigned count;
	struct sb_http_result last;
	char error[1024];
} ended;

static void done(void *arg, const struct sb_http_result *r)
{
	(void)arg;
	ended.count++;
	ended.last = *r;
	snprintf(ended.error, sizeof(ended.error), "%s", r->error);
}

struct client
{
	struct sb_http *http;
	struct sb_signer *signer;
	struct sb_http_peer *peer[2];
	struct sb_guard guard[2];
	char url[2][256];
};

static void client_open(struct client *c, unsigned i, const char *url, const char *allow)
{
	struct sb_http_peer_cfg cfg = {
			.url = c->url[i], .connect_timeout_ms = 2000, .timeout_ms = 700, .concurrency = 2, .guard = &c->guard[i]};
	static const uint8_t secret[24] = "abcdefghijklmnopqrstuvw";
	char why[200];

	if(c->http == NULL) {
		assert_int_equal(0, sb_http_new(&c->http, 4, done));
		assert_int_equal(0, sb_signer_new(&c->signer, secret, sizeof(secret)));
	}
	cfg.signer = c->signer;
	snprintf(c->url[i], sizeof(c->url[i]), "%s", url);
	assert_int_equal(0, sb_guard_parse(&c->guard[i], allow, why, sizeof(why)));
	assert_int_equal(0, sb_http_peer_new(&c->peer[i], c->http, &cfg));
}

static void client_close(struct client *c)
{
	for(int i = 0; i < 2; i++)
		sb_http_peer_free(c->peer[i]);
	sb_http_free(c->http);
	sb_signer_free(c->signer);
	memset(c, 0, sizeof(*c));
}

/* One try, to its end. */
static const struct sb_http_result *post(struct client *c, unsigned i)
{
	struct sb_http_post p = {.id = "id-1", .body = "{}", .len = 2, .unix_s = 1700000000};
	unsigned before = ended.count;
	time_t until = time(NULL) + PATIENCE_S;

	assert_int_equal(0, sb_http_post(c->peer[i], &p));
	while(ended.count == before) {
		if(time(NULL) > until)
			fail_msg("%s does not end", c->url[i]);
		sb_http_perform(c->http);
		if(ended.count == before)
			sb_http_wait(c->http, -1, 20);
	}
	return &ended.last;
}

static const struct sb_http_result *ask(const char *path)
{
	struct client c = {0};
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
	client_open(&c, 0, url, "127.0.0.0/8");
	post(&c, 0);
	client_close(&c);
	return &ended.last;
}

static void what_a_receiver_answers_counts_when_its_headers_have_ended(void **state)
{
	static const struct
	{
		const char *path;
		unsigned status;
		const char *error;
	} cases[] = {{"/ok", 200, ""}, {"/redirect", 307, "HTTP 307"}, {"/gone", 410, "HTTP 410"},
			{"/garbage", 0, "HTTP/0.9"}, {"/http09", 0, "HTTP/0.9"}, {"/nothing", 0, "Empty reply"},
			{"/reset", 0, "reset"}, {"/half-status", 0, ""}, {"/half-headers", 0, ""},
			{"/half-headers-reset", 0, "reset"}, {"/slow-headers", 0, "timed out"}, {"/never", 0, "timed out"},
			{"/slow-body", 200, ""}, {"/half-body", 200, ""}, {"/bad-chunk", 200, ""},
			{"/bad-chunk-500", 500, "HTTP 500"}, {"/bad-length", 0, "Content-Length"}, {"/204-with-body", 204, ""},
			{"/100-then-ok", 202, ""}, {"/100-only", 0, ""}, {"/100-for-ever", 0, "more than 65536 bytes of headers"},
			{"/101", 0, ""}, {"/headers-for-ever", 0, "more than 65536 bytes of headers"},
			{"/header-for-ever", 0, "more than 65536 bytes of headers"}, {"/body-for-ever", 200, ""},
			{"/gzip-bomb", 200, ""}, {"/odd-status", 999, "HTTP 999"}};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sb_http_result *r = ask(cases[i].path);

		if(r->status != cases[i].status || strstr(ended.error, cases[i].error) == NULL
				|| (r->status >= 200 && r->status < 300) != (ended.error[0] == '\0'))
			fail_msg("%s: %u, \"%s\"", cases[i].path, r->status, ended.error);
		assert_true(r->sent);
	}
}

static void no_more_than_64_kb_is_read_of_headers_or_body(void **state)
{
	static const char *const paths[] = {
			"/100-for-ever", "/headers-for-ever", "/header-for-ever", "/body-for-ever", "/gzip-bomb"};

	(void)state;
	for(size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		ask(paths[i]);
		clock_gettime(CLOCK_MONOTONIC, &b);
		/* what the kernel has taken off the sender beside: its buffers */
		if(server->written > 16u << 20)
			fail_msg("%s: %zu bytes were taken", paths[i], server->written);
		assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 650);
	}
}

static void a_redirect_is_not_followed(void **state)
{
	unsigned before = server->requests;

	(void)state;
	assert_int_equal(307, ask("/redirect")->status);
	assert_int_equal(before + 1, server->requests);
	assert_non_null(strstr(server->head, "POST /redirect HTTP/1.1\r\n"));
}

static void no_proxy_of_the_environment_is_used(void **state)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"};

	(void)state;
	for(int i = 0; i < 5; i++)
		setenv(names[i], "http://127.0.0.1:1", 1);
	assert_int_equal(200, ask("/ok")->status);
	assert_non_null(strstr(server->head, "POST /ok HTTP/1.1\r\n"));
	for(int i = 0; i < 5; i++)
		unsetenv(names[i]);
}

static void retry_after_is_understood_and_clamped(void **state)
{
	static const struct
	{
		const char *path;
		unsigned low, high;
	} cases[] = {{"/ok", 0, 0}, {"/wait-seconds", 17, 17}, {"/wait-date", 28, 31}, {"/wait-past", 0, 0},
			{"/wait-negative", 0, 0}, {"/wait-bad", 0, 0}, {"/wait-empty", 0, 0}, {"/wait-words", 0, 0},
			{"/wait-spaces", 7, 7}, {"/wait-100", 0, 0},
			{"/wait-huge", SB_HTTP_RETRY_AFTER_MAX, SB_HTTP_RETRY_AFTER_MAX},
			{"/wait-long", SB_HTTP_RETRY_AFTER_MAX, SB_HTTP_RETRY_AFTER_MAX}};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned s = ask(cases[i].path)->retry_after_s;
		if(s < cases[i].low || s > cases[i].high)
			fail_msg("%s: %u s", cases[i].path, s);
	}
}

static void an_inner_address_is_not_dialled_however_it_is_spelled(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.1",
			"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::1]", "localhost", "LOCALHOST",
			"%6cocalhost", "receiver.localhost", "0", "0.0.0.0", "[::]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
			"169.254.169.254", "[fe80::1]"};

	(void)state;
	for(size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct client c = {0};
		unsigned before = server->connections;
		char url[128];

		snprintf(url, sizeof(url), "http://%s:%u/ok", hosts[i], port);
		client_open(&c, 0, url, "");
		post(&c, 0);
		client_close(&c);
		if(ended.last.status != 0 || ended.last.sent || server->connections != before
				|| strstr(ended.error, "not dialled: ") != ended.error
				|| strstr(ended.error, "allow_addresses") == NULL)
			fail_msg("%s: %u, \"%s\"", url, ended.last.status, ended.error);
	}
}

static void a_name_that_leads_to_inner_addresses_is_not_dialled(void **state)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	struct client c = {0};
	char name[65] = "", why[SB_GUARD_WHY], url[160];
	static const struct sb_guard none;
	bool inner;

	(void)state;
	gethostname(name, sizeof(name) - 1);
	inner = getaddrinfo(name, NULL, &hint, &list) == 0;
	for(struct addrinfo *a = list; a != NULL; a = a->ai_next)
		inner = inner && !sb_guard_allows(&none, a->ai_addr, a->ai_addrlen, why);
	if(list != NULL)
		freeaddrinfo(list);
	if(!inner)
		return; /* this machine has no such name */
	snprintf(url, sizeof(url), "http://%s:%u/ok", name, port);
	client_open(&c, 0, url, "");
	post(&c, 0);
	client_close(&c);
	if(ended.last.status != 0 || strstr(ended.error, "not dialled: ") != ended.error)
		fail_msg("%s: %u, \"%s\"", url, ended.last.status, ended.error);
}

/* localhost is ::1 and 127.0.0.1 for libcurl, whatever the machine says. */
static void every_address_of_a_name_is_judged_by_itself(void **state)
{
	struct client c = {0};
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "http://localhost:%u/ok", port);
	client_open(&c, 0, url, "127.0.0.1");
	assert_int_equal(200, post(&c, 0)->status);
	client_close(&c);
	client_open(&c, 0, url, "::1");
	post(&c, 0);
	client_close(&c);
	if(ended.last.status != 200 && strstr(ended.error, "127.0.0.1 is loopback") == NULL)
		fail_msg("%s", ended.error);
}

static void a_connection_of_a_peer_that_may_is_of_no_use_to_one_that_may_not(void **state)
{
	struct client c = {0};
	unsigned before = server->connections, requests;
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", port);
	client_open(&c, 0, url, "127.0.0.0/8");
	client_open(&c, 1, url, "10.0.0.0/8");
	assert_int_equal(200, post(&c, 0)->status);
	assert_int_equal(200, post(&c, 0)->status);
	assert_int_equal(before + 1, server->connections);
	requests = server->requests;
	for(int i = 0; i < 3; i++) {
		post(&c, 1);
		assert_int_equal(0, ended.last.status);
		assert_string_equal(
				"not dialled: 127.0.0.1 is loopback (RFC 1122); allow it with allow_addresses", ended.error);
	}
	assert_int_equal(requests, server->requests);
	assert_int_equal(200, post(&c, 0)->status);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(what_a_receiver_answers_counts_when_its_headers_have_ended),
			cmocka_unit_test(no_more_than_64_kb_is_read_of_headers_or_body),
			cmocka_unit_test(a_redirect_is_not_followed),
			cmocka_unit_test(no_proxy_of_the_environment_is_used),
			cmocka_unit_test(retry_after_is_understood_and_clamped),
			cmocka_unit_test(an_inner_address_is_not_dialled_however_it_is_spelled),
			cmocka_unit_test(a_name_that_leads_to_inner_addresses_is_not_dialled),
			cmocka_unit_test(every_address_of_a_name_is_judged_by_itself),
			cmocka_unit_test(a_connection_of_a_peer_that_may_is_of_no_use_to_one_that_may_not),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, server_start, server_stop);
}
