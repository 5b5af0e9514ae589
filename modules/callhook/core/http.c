/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "http.h"

enum
{
	H_TYPE,
	H_AGENT,
	H_EXPECT,
	H_ID,
	H_TIME,
	H_SIGNATURE,
	H_COUNT
};

struct slot
{
	struct sb_http_peer *peer;
	CURL *easy;
	struct slot *next; /* unused ones */
	void *arg;
	bool flying, cut;
	size_t body, head;
	struct curl_slist header[H_COUNT];
	char id[128], stamp[48], signature[24 + SB_SIGNATURE_LEN];
	char error[CURL_ERROR_SIZE];
};

struct sb_http_peer
{
	struct sb_http *http;
	struct sb_http_peer_cfg cfg;
	struct slot *unused;
	struct slot slots[];
};

struct sb_http
{
	CURLM *multi;
	sb_http_done_f done;
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
	if(s->body <= SB_HTTP_RESPONSE_MAX)
		return size * n;
	s->cut = true;
	return 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct slot *s = arg;

	(void)data;
	s->head += size * n;
	return s->head <= SB_HTTP_RESPONSE_MAX ? size * n : 0;
}

static int slot_open(struct slot *s)
{
	const struct sb_http_peer_cfg *cfg = &s->peer->cfg;
	CURL *e = curl_easy_init();
	bool bad = false;

	if(e == NULL)
		return -ENOMEM;
#define SET(option, value) bad = bad || curl_easy_setopt(e, CURLOPT_##option, value) != CURLE_OK
	SET(PROTOCOLS_STR, "http,https");
	SET(URL, cfg->url);
	SET(POST, 1L);
	SET(HTTPHEADER, s->header);
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
	SET(ERRORBUFFER, s->error);
	SET(PRIVATE, s);
#undef SET
	if(bad) {
		curl_easy_cleanup(e);
		return -ENOMEM;
	}
	s->easy = e;
	return 0;
}

int sb_http_peer_new(struct sb_http_peer **out, struct sb_http *h, const struct sb_http_peer_cfg *cfg)
{
	static char type[] = "Content-Type: application/json", agent[] = "User-Agent: Signalbox", expect[] = "Expect:";
	struct slot **more = realloc(h->in_flight, (h->room + cfg->concurrency) * sizeof(*more));
	struct sb_http_peer *p;

	if(more == NULL)
		return -ENOMEM;
	h->in_flight = more;
	p = calloc(1, sizeof(*p) + cfg->concurrency * sizeof(p->slots[0]));
	if(p == NULL)
		return -ENOMEM;
	h->room += cfg->concurrency;
	p->http = h;
	p->cfg = *cfg;
	for(unsigned i = cfg->concurrency; i > 0; i--) {
		struct slot *s = &p->slots[i - 1];
		char *const text[H_COUNT] = {type, agent, expect, s->id, s->stamp, s->signature};
		for(int k = 0; k < H_COUNT; k++)
			s->header[k] = (struct curl_slist){text[k], k + 1 < H_COUNT ? &s->header[k + 1] : NULL};
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
	p->http->room -= p->cfg.concurrency;
	free(p);
}

int sb_http_post(struct sb_http_peer *p, const struct sb_http_post *post)
{
	struct slot *s = p->unused;
	struct sb_http *h = p->http;
	char signature[SB_SIGNATURE_LEN];
	int err;

	if(s == NULL)
		return -EBUSY;
	if(s->easy == NULL && slot_open(s) != 0)
		return -ENOMEM;
	err = sb_sign(p->cfg.signer, post->id, post->unix_s, post->body, post->len, signature);
	if(err != 0)
		return err;
	snprintf(s->id, sizeof(s->id), "webhook-id: %s", post->id);
	snprintf(s->stamp, sizeof(s->stamp), "webhook-timestamp: %" PRId64, post->unix_s);
	snprintf(s->signature, sizeof(s->signature), "webhook-signature: %s", signature);
	s->arg = post->arg;
	s->body = s->head = 0;
	s->cut = false;
	s->error[0] = '\0';
	if(curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len) != CURLE_OK
			|| curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, post->body) != CURLE_OK
			|| curl_multi_add_handle(h->multi, s->easy) != CURLM_OK)
		return -ENOMEM;
	p->unused = s->next;
	s->flying = true;
	h->in_flight[h->flying++] = s;
	return 0;
}

static void land(struct slot *s)
{
	struct sb_http *h = s->peer->http;

	curl_multi_remove_handle(h->multi, s->easy);
	for(unsigned i = 0; i < h->flying; i++) {
		if(h->in_flight[i] == s) {
			h->in_flight[i] = h->in_flight[--h->flying];
			break;
		}
	}
	s->flying = false;
	s->next = s->peer->unused;
	s->peer->unused = s;
}

static void report(struct slot *s, CURLcode code)
{
	struct sb_http *h = s->peer->http;
	struct sb_http_result r = {.error = ""};
	char error[CURL_ERROR_SIZE + 16];
	curl_off_t after = 0;
	long status = 0, sent = 0;

	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	r.sent = curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK && sent > 0;
	if(status >= 200 && status <= 999)
		r.status = (unsigned)status;
	if(curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		r.retry_after_s = after > 86400 ? 86400 : (unsigned)after;
	if(r.status == 0) {
		snprintf(error, sizeof(error), "%s",
				s->error[0] != '\0' ? s->error
				: code != CURLE_OK  ? curl_easy_strerror(code)
									: "no HTTP status came");
		r.error = error;
	} else if(r.status >= 300) {
		snprintf(error, sizeof(error), "HTTP %u", r.status);
		r.error = error;
	}
	land(s);
	h->done(s->arg, &r);
}

void sb_http_perform(struct sb_http *h)
{
	struct slot *s;
	CURLMsg *m;
	int running, left;

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
