/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * POSTs over libcurl's multi interface, in one process: HTTP/1.1 keep-alive, connections and handles reused, hard
 * time-outs, no redirects, no proxy from the environment, http and https only. Every address is judged by guard.h before a
 * socket is opened to it, and again before each request on a connection that is reused: connections are shared by peers.
 */
#ifndef SB_HOOK_HTTP_H
#define SB_HOOK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guard.h"
#include "log.h"
#include "sign.h"

#define SB_HTTP_RESPONSE_MAX 65536u /* bytes of headers, and of the body, that are read of a response */
#define SB_HTTP_RETRY_AFTER_MAX 86400u

struct sb_http;
struct sb_http_peer;

struct sb_http_result
{
	unsigned status;        /* 0: none came, or its headers did not end */
	bool sent;              /* at least in part: the receiver may have seen it */
	unsigned retry_after_s; /* at most SB_HTTP_RETRY_AFTER_MAX; 0: not said, in the past, or not understood */
	const char *error;      /* "" when the status is 2xx; ends with the call */
};

/** Called from sb_http_perform() and sb_http_cancel(); may post again. */
typedef void (*sb_http_done_f)(void *arg, const struct sb_http_result *result);

struct sb_http_peer_cfg
{
	const char *url; /* this and all that is pointed to here is kept by the caller */
	unsigned connect_timeout_ms, timeout_ms;
	unsigned concurrency;
	struct sb_signer *signer;
	const struct sb_guard *guard;
	const char *ca_file, *cert_file, *key_file; /* PEM; NULL or "": the system's authorities, none, in cert_file */
};

struct sb_http_post
{
	const char *id; /* webhook-id; these three are kept by the caller until done() */
	const void *body;
	size_t len;
	int64_t unix_s; /* of this try */
	void *arg;
};

/** After the fork. @param connections kept open at most @return 0 or -ENOMEM */
int sb_http_new(struct sb_http **out, unsigned connections, sb_http_done_f done);
void sb_http_free(struct sb_http *h); /* its peers first */

int sb_http_peer_new(struct sb_http_peer **out, struct sb_http *h, const struct sb_http_peer_cfg *cfg);
void sb_http_peer_free(struct sb_http_peer *p); /* nothing may be in flight */

/** Starts one try. @return 0, -EBUSY (concurrency reached), -ENOMEM, -EIO (cannot sign), -EINVAL (an id of more than 128 characters) */
int sb_http_post(struct sb_http_peer *p, const struct sb_http_post *post);

/** Moves everything on that can move, and reports what ended. */
void sb_http_perform(struct sb_http *h);
/** Sleeps until something can be done, wake_fd (-1: none) is readable, or ms have passed. @return true: wake_fd */
bool sb_http_wait(struct sb_http *h, int wake_fd, int ms);
unsigned sb_http_flying(const struct sb_http *h);
/** Ends everything in flight; done() gets status 0. */
void sb_http_cancel(struct sb_http *h);

#endif
