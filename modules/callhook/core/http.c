/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "http.h"

#define ID_MAX 128u
#define HEADERS_MAX 512u

struct slot
{
	struct sb_http_peer *peer;
	CURL *easy;
	struct slot *next; /* unused ones */
	void *arg;
	unsigned index; /* in in_flight, while it flies */
	bool dialled;   /* a socket was opened in this try */
	bool complete;  /* the headers of a final answer ended */
	bool too_much;  /* over the limit of headers or body */
	unsigned retry_after_s;
	size_t body, head;
	struct curl_slist header; /* one for all: libcurl looks at each again and again */
	char headers[HEADERS_MAX];
	char error[CURL_ERROR_SIZE], refused[SB_GUARD_WHY];
};

struct sb_http_peer
{
	struct sb_http *http;
	struct sb_http_peer_cfg cfg;
	CURLU *url; /* parsed once; NULL: libcurl does not take it, and every try says so */
	struct slot *unused;
	char allowed[INET6_ADDRSTRLEN]; /* the address that was judged last, if it may be dialled */
	struct slot slots[];
};

struct sb_http
{
	CURLM *multi;
	sb_http_done_f done;
	unsigned fresh; /* posts that libcurl has not begun with */
	int64_t stamp_at;
	char stamp[24]; /* the second stamp_at */
	unsigned flying;
	struct slot **in_flight; /* for sb_http_cancel() */
	unsigned room;
};

int sb_http_new(struct sb_http **out, unsigned connections, sb_http_done_f done)
{
	struct sb_http *h = calloc(1, sizeof(*h));

	if(h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(h);
		return -ENOMEM;
	}
	h->multi = curl_multi_init();
	if(h->multi == NULL) {
		free(h);
		curl_global_cleanup();
		return -ENOMEM;
	}
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)(connections > 0 ? connections : 1));
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	h->done = done;
	*out = h;
	return 0;
}

void sb_http_free(struct sb_http *h)
{
	if(h == NULL)
		return;
	curl_multi_cleanup(h->multi);
	curl_global_cleanup();
	free(h->in_flight);
	free(h);
}

/* Reads up to the limit and no further: a short count ends the transfer. */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct slot *s = arg;

	(void)data;
	s->body += size * n;
	s->too_much = s->body > SB_HTTP_RESPONSE_MAX;
	return s->too_much ? 0 : size * n;
}

/* RFC 9110, 10.2.3: seconds, or a date. @return 0: not understood, or not in the future */
static unsigned retry_after(const char *s, size_t len)
{
	char text[64];
	size_t digits;
	int64_t v = 0;

	while(len > 0 && (*s == ' ' || *s == '\t'))
		s++, len--;
	while(len > 0 && strchr(" \t\r\n", s[len - 1]) != NULL)
		len--;
	if(len == 0 || len >= sizeof(text) || memchr(s, '\0', len) != NULL)
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';
	digits = strspn(text, "0123456789");
	if(digits < len) {
		v = (int64_t)curl_getdate(text, NULL);
		v = digits == 0 && v > 0 ? v - (int64_t)time(NULL) : 0;
	} else {
		for(size_t i = 0; i < len && v <= SB_HTTP_RETRY_AFTER_MAX; i++)
			v = v * 10 + text[i] - '0';
	}
	return v <= 0 ? 0 : v > SB_HTTP_RETRY_AFTER_MAX ? SB_HTTP_RETRY_AFTER_MAX : (unsigned)v;
}

/* One line a call; 1xx answers and trailers come here too. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct slot *s = arg;

	n *= size;
	s->head += n;
	s->too_much = s->head > SB_HTTP_RESPONSE_MAX;
	if(s->too_much)
		return 0;
	if(n > 5 && memcmp(data, "HTTP/", 5) == 0) {
		s->complete = false;
		s->retry_after_s = 0;
	} else if(n <= 2 && (*data == '\r' || *data == '\n')) {
		s->complete = true;
	} else if(n > 12 && (*data | 0x20) == 'r' && strncasecmp(data, "retry-after:", 12) == 0) {
		s->retry_after_s = retry_after(data + 12, n - 12);
	}
	return n;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct slot *s = arg;
	int fd;

	if(purpose != CURLSOCKTYPE_IPCXN || !sb_guard_allows(s->peer->cfg.guard, &a->addr, a->addrlen, s->refused))
		return CURL_SOCKET_BAD;
	fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if(fd >= 0)
		s->dialled = true;
	return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

/* Before each request: the connection may have been dialled for another peer, who may go where this one may not. */
static int on_request(void *arg, char *ip, char *own_ip, int port, int own_port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct slot *s = arg;
	bool ok;

	(void)own_ip, (void)port, (void)own_port;
	if(strcmp(ip, s->peer->allowed) == 0)
		return CURL_PREREQFUNC_OK;
	if(inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
		ok = sb_guard_allows(s->peer->cfg.guard, (struct sockaddr *)&v4, sizeof(v4), s->refused);
	else if(inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1)
		ok = sb_guard_allows(s->peer->cfg.guard, (struct sockaddr *)&v6, sizeof(v6), s->refused);
	else
		ok = false;
	if(ok)
		snprintf(s->peer->allowed, sizeof(s->peer->allowed), "%s", ip);
	else
		s->dialled = false;
	return ok ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

#define SET(option, value) bad = bad || curl_easy_setopt(e, CURLOPT_##option, value) != CURLE_OK

static bool has(const char *file)
{
	return file != NULL && *file != '\0';
}

static bool set_tls(CURL *e, const struct sb_http_peer_cfg *cfg)
{
	bool bad = false;

	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	if(has(cfg->ca_file)) {
		SET(CAINFO, cfg->ca_file);
		SET(CAPATH, NULL);
	}
	if(has(cfg->cert_file)) {
		SET(SSLCERT, cfg->cert_file);
		SET(SSLKEY, has(cfg->key_file) ? cfg->key_file : cfg->cert_file);
	}
	return !bad;
}

static int slot_open(struct slot *s)
{
	const struct sb_http_peer_cfg *cfg = &s->peer->cfg;
	CURL *e = curl_easy_init();
	bool bad = false;

	if(e == NULL)
		return -ENOMEM;
	SET(PROTOCOLS_STR, "http,https");
	if(s->peer->url != NULL)
		SET(CURLU, s->peer->url);
	else
		SET(URL, cfg->url);
	SET(POST, 1L);
	SET(HTTPHEADER, &s->header);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(FOLLOWLOCATION, 0L);
	SET(PROXY, "");
	SET(NOPROXY, "*");
	SET(NETRC, (long)CURL_NETRC_IGNORED);
	SET(NOSIGNAL, 1L);
	SET(CONNECTTIMEOUT_MS, (long)cfg->connect_timeout_ms);
	SET(TIMEOUT_MS, (long)cfg->timeout_ms);
	SET(TCP_KEEPALIVE, 1L);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, s);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, s);
	SET(OPENSOCKETFUNCTION, on_socket);
	SET(OPENSOCKETDATA, s);
	SET(PREREQFUNCTION, on_request);
	SET(PREREQDATA, s);
	SET(ERRORBUFFER, s->error);
	SET(PRIVATE, s);
	if(bad || !set_tls(e, cfg)) {
		curl_easy_cleanup(e);
		return -ENOMEM;
	}
	s->easy = e;
	return 0;
}
#undef SET

int sb_http_peer_new(struct sb_http_peer **out, struct sb_http *h, const struct sb_http_peer_cfg *cfg)
{
	struct slot **more = realloc(h->in_flight, (h->room + cfg->concurrency) * sizeof(*more));
	struct sb_http_peer *p;

	if(more == NULL)
		return -ENOMEM;
	h->in_flight = more;
	p = calloc(1, sizeof(*p) + cfg->concurrency * sizeof(p->slots[0]));
	if(p == NULL)
		return -ENOMEM;
	p->url = curl_url();
	if(p->url != NULL && curl_url_set(p->url, CURLUPART_URL, cfg->url, 0) != CURLUE_OK) {
		curl_url_cleanup(p->url);
		p->url = NULL;
	}
	h->room += cfg->concurrency;
	p->http = h;
	p->cfg = *cfg;
	for(unsigned i = cfg->concurrency; i > 0; i--) {
		struct slot *s = &p->slots[i - 1];
		s->header.data = s->headers;
		s->peer = p;
		s->next = p->unused;
		p->unused = s;
	}
	*out = p;
	return 0;
}

void sb_http_peer_free(struct sb_http_peer *p)
{
	if(p == NULL)
		return;
	for(unsigned i = 0; i < p->cfg.concurrency; i++) {
		if(p->slots[i].easy != NULL)
			curl_easy_cleanup(p->slots[i].easy);
	}
	curl_url_cleanup(p->url);
	p->http->room -= p->cfg.concurrency;
	free(p);
}

/* Content-Type leads: libcurl looks for it at the begin. */
static int write_headers(struct slot *s, const struct sb_http_post *post)
{
	char signature[SB_SIGNATURE_LEN], *p = s->headers;
	struct sb_http *h = s->peer->http;
	int err = sb_sign(s->peer->cfg.signer, post->id, post->unix_s, post->body, post->len, signature);

	if(err != 0)
		return err;
	if(strlen(post->id) > ID_MAX)
		return -EINVAL;
	if(h->stamp[0] == '\0' || h->stamp_at != post->unix_s)
		snprintf(h->stamp, sizeof(h->stamp), "%" PRId64, post->unix_s);
	h->stamp_at = post->unix_s;
	p = stpcpy(p, "Content-Type: application/json\r\nUser-Agent: Signalbox\r\nwebhook-id: ");
	p = stpcpy(stpcpy(p, post->id), "\r\nwebhook-timestamp: ");
	p = stpcpy(stpcpy(p, h->stamp), "\r\nwebhook-signature: ");
	stpcpy(p, signature);
	return 0;
}

int sb_http_post(struct sb_http_peer *p, const struct sb_http_post *post)
{
	struct slot *s = p->unused;
	struct sb_http *h = p->http;
	int err;

	if(s == NULL)
		return -EBUSY;
	if(s->easy == NULL && slot_open(s) != 0)
		return -ENOMEM;
	err = write_headers(s, post);
	if(err != 0)
		return err;
	s->arg = post->arg;
	s->body = s->head = 0;
	s->retry_after_s = 0;
	s->dialled = s->complete = s->too_much = false;
	s->error[0] = s->refused[0] = '\0';
	if(curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len) != CURLE_OK
			|| curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, post->body) != CURLE_OK
			|| curl_multi_add_handle(h->multi, s->easy) != CURLM_OK)
		return -ENOMEM;
	p->unused = s->next;
	s->index = h->flying;
	h->in_flight[h->flying++] = s;
	h->fresh++;
	return 0;
}

static void land(struct slot *s)
{
	struct sb_http *h = s->peer->http;

	curl_multi_remove_handle(h->multi, s->easy);
	h->in_flight[s->index] = h->in_flight[--h->flying];
	h->in_flight[s->index]->index = s->index;
	s->next = s->peer->unused;
	s->peer->unused = s;
}

/* What was wrong with the receiver's certificate, or NULL. libcurl over GnuTLS keeps the bits of gnutls_certificate_status_t. */
static const char *certificate_error(const struct slot *s, CURLcode code)
{
	static const struct
	{
		long bit;
		const char *text;
	} bits[] = {{1 << 10, "it has expired"}, {1 << 9, "it is not yet valid"}, {1 << 5, "it was revoked"},
			{1 << 6, "it is not signed by an authority that is trusted here: self-signed, or its CA is not in ca_file"},
			{1 << 7, "it is signed by one that is no authority"}, {1 << 8, "its algorithm is too weak"},
			{1 << 14, "its name is not the host's"}};
	long result = 0;

	if(code != CURLE_PEER_FAILED_VERIFICATION
			|| curl_easy_getinfo(s->easy, CURLINFO_SSL_VERIFYRESULT, &result) != CURLE_OK || result <= 0)
		return NULL;
	for(size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		if(result & bits[i].bit)
			return bits[i].text;
	}
	return NULL;
}

/* A receiver that wants another client certificate, or one at all, ends the connection; GnuTLS does not tell which alert came. */
static bool after_tls(const struct slot *s, CURLcode code, const char *curl)
{
	return strstr(curl, "fatal alert") != NULL
		   || (has(s->peer->cfg.cert_file) && (code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING));
}

/* Why no status came. */
static void explain(const struct slot *s, CURLcode code, char *out, size_t room)
{
	const char *certificate = certificate_error(s, code);
	const char *curl = s->error[0] != '\0' ? s->error : code != CURLE_OK ? curl_easy_strerror(code) : "no HTTP status";

	if(s->too_much)
		snprintf(out, room, "more than %u bytes of headers", SB_HTTP_RESPONSE_MAX);
	else if(certificate != NULL)
		snprintf(out, room, "TLS: the receiver's certificate was refused: %s", certificate);
	else if(after_tls(s, code, curl))
		snprintf(out, room, "TLS: the receiver ended the connection (%.100s); it may %s", curl,
				has(s->peer->cfg.cert_file) ? "not take the client certificate in cert_file"
											: "want a client certificate (cert_file, key_file)");
	else if(code == CURLE_OUT_OF_MEMORY) /* which is what libcurl says of one line of 100 kB too */
		snprintf(out, room, "more than %u bytes of headers, or no memory", SB_HTTP_RESPONSE_MAX);
	else if(s->refused[0] != '\0' && !s->dialled)
		snprintf(out, room, "not dialled: %s", s->refused);
	else if(s->refused[0] != '\0')
		snprintf(out, room, "%.100s; another address was not dialled: %s", curl, s->refused);
	else
		snprintf(out, room, "%s", curl);
}

static void report(struct slot *s, CURLcode code)
{
	struct sb_http *h = s->peer->http;
	struct sb_http_result r = {.error = ""};
	char error[CURL_ERROR_SIZE + SB_GUARD_WHY];
	long status = 0, sent = 0;

	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	if(s->complete && status >= 200 && status <= 999)
		r.status = (unsigned)status;
	r.sent = r.status > 0 || (curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK && sent > 0);
	if(r.status > 0)
		r.retry_after_s = s->retry_after_s;
	if(r.status == 0)
		explain(s, code, error, sizeof(error));
	else if(r.status >= 300)
		snprintf(error, sizeof(error), "HTTP %u", r.status);
	if(r.status < 200 || r.status >= 300)
		r.error = error;
	land(s);
	h->done(s->arg, &r);
}

void sb_http_perform(struct sb_http *h)
{
	struct slot *s;
	CURLMsg *m;
	int running, left;

	h->fresh = 0;
	curl_multi_perform(h->multi, &running);
	while((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		if(m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
		report(s, code);
	}
}

bool sb_http_wait(struct sb_http *h, int wake_fd, int ms)
{
	struct curl_waitfd fd = {.fd = wake_fd, .events = CURL_WAIT_POLLIN};
	uint64_t count;

	if(h->fresh > 0)
		return false;
	curl_multi_poll(h->multi, &fd, wake_fd >= 0 ? 1 : 0, ms, NULL);
	if(wake_fd < 0 || (fd.revents & CURL_WAIT_POLLIN) == 0)
		return false;
	return read(wake_fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

unsigned sb_http_flying(const struct sb_http *h)
{
	return h->flying;
}

void sb_http_cancel(struct sb_http *h)
{
	static const struct sb_http_result cancelled = {.error = "cancelled"};

	while(h->flying > 0) {
		struct slot *s = h->in_flight[0];
		void *arg = s->arg;

		land(s);
		h->done(arg, &cancelled);
	}
}
