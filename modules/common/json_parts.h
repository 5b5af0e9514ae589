/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The pieces json.c is made of; the command line uses them for what is no event: merged attempts, plain times.
 */
#ifndef SB_JSON_PARTS_H
#define SB_JSON_PARTS_H

#include <jansson.h>
#include "event.h"

/** Bytes a rendered event may have at most; what is left out first: sb_json_trim(). */
#define SB_BODY_MAX 19500u

/** Flags of every json_dump of an event: one line, 15 significant digits (µs of a duration up to 30 years). */
#define SB_JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(15))

/** First field of each column; col is 0 where there is none. */
struct sb_fields
{
	struct sb_field f[256];
};

/** @return 0, or -EBADMSG */
int sb_fields_read(struct sb_fields *out, const void *payload, size_t len);

/** Bytes of the sequence at p, ≥ 1 of left, and whether it is a character (Unicode 15, table 3-7; NUL is none); if not, bytes to replace. */
size_t sb_utf8_sequence(const uint8_t *p, size_t left, bool *good);

/** Valid UTF-8, never a NUL inside: each wrong sequence and each NUL becomes U+FFFD. The caller frees it. NULL: no memory */
char *sb_json_clean(const void *bytes, size_t len, size_t *out_len);

/** "2026-01-31T12:00:00.000000Z"; false if us is 0 or past the year 9999. @param out ≥ 32 bytes */
bool sb_time_text(char *out, uint64_t us);
json_t *sb_json_time(uint64_t us);

/**
 * The number in a SIP or tel URI, or in a bare user part, if it is one in E.164 with its "+": RFC 3966 global number, visual
 * separators dropped. @param out ≥ 17 bytes, "+" and 5 to 15 digits @return false if it is none
 */
bool sb_e164(char *out, const void *uri, size_t len);

/** The user part of a SIP URI or the number of a tel URI, without parameters and password; points into uri. */
void sb_uri_user(const void *uri, size_t len, const char **user, size_t *user_len);

/** One attempt {n, trunk, …} from the A_ columns of a group. NULL: no memory */
json_t *sb_json_attempt(const struct sb_fields *f);

/** Shortens an event to SB_BODY_MAX and names in data.truncated what was cut. @return 0 or -ENOMEM */
int sb_json_trim(json_t *body);

#endif
