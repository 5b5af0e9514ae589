/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A row of the table callhook_endpoint, and the endpoint it becomes. */
#ifndef SB_HOOK_ENDPOINT_H
#define SB_HOOK_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter.h"
#include "guard.h"
#include "sign.h"

#define SB_ENDPOINT_ID_LEN 64u /* with NUL */
#define SB_ENDPOINT_URL_LEN 1024u
#define SB_ENDPOINT_TEXT_LEN 256u
#define SB_ENDPOINT_ERR_LEN 512u

/* Columns in the order they are asked for. X(name, what a good value is) */
#define SB_ENDPOINT_COLUMNS(X)                                                                                         \
	X(id, "1 to 63 characters of A-Z a-z 0-9 . _ -")                                                                   \
	X(url, "http://host/path or https://host/path, without user and password, at most 1023 characters")                \
	X(secret, "whsec_ and the base64 of 24 to 64 random bytes (make one: printf 'whsec_%s' \"$(openssl rand -base64 "  \
			  "32)\")")                                                                                                \
	X(events, "globs of event types separated by commas, like * or call.*,custom.*")                                   \
	X(enabled, "0 or 1")                                                                                               \
	X(timeout_ms, "0 (the module's timeout_ms) or 100 to 300000")                                                      \
	X(concurrency, "1 to 256")                                                                                         \
	X(description, "at most 255 characters, no control characters")                                                    \
	X(trunks, "globs of trunks separated by commas, like carrier-*; * also takes calls without one")                   \
	X(dids, "globs of DIDs separated by commas, like +4420*; * also takes calls without one")                          \
	X(allow_addresses, "empty, or networks separated by commas that may be dialled although they are not public, "     \
					   "like 10.1.0.0/16,127.0.0.1,fd00::/8")                                                          \
	X(rate_limit, "0 (none) or 1 to 100000 requests a second")                                                         \
	X(ca_file, "empty (the system's authorities), or the absolute path of a PEM file with the only ones to trust")     \
	X(cert_file, "empty, or the absolute path of a PEM file with the client certificate to show")                      \
	X(key_file, "empty (the key stands in cert_file), or the absolute path of a PEM file that only the user Kamailio " \
				"runs as can read")

enum sb_endpoint_col
{
#define X(name, good) SB_EP_##name,
	SB_ENDPOINT_COLUMNS(X)
#undef X
			SB_EP_COLUMNS
};

/** A row as the database gave it; NULL is SQL's NULL. Texts end with NUL and live as long as the call. */
struct sb_endpoint_row
{
	const char *col[SB_EP_COLUMNS];
};

struct sb_endpoint
{
	char id[SB_ENDPOINT_ID_LEN];
	char url[SB_ENDPOINT_URL_LEN];
	char description[SB_ENDPOINT_TEXT_LEN];
	uint8_t secret[SB_SECRET_MAX];
	size_t secret_len;
	struct sb_filter filter, trunks, dids;
	struct sb_guard guard; /* what may be dialled */
	bool enabled;
	unsigned timeout_ms; /* 0: the module's */
	unsigned concurrency;
	unsigned rate; /* requests a second at most, 0: any number */
	char ca_file[SB_ENDPOINT_TEXT_LEN], cert_file[SB_ENDPOINT_TEXT_LEN], key_file[SB_ENDPOINT_TEXT_LEN];
};

const char *sb_endpoint_col_name(enum sb_endpoint_col col);

/**
 * Checks every column, and looks whether the files are there. A secret is never repeated in an error.
 *
 * @param table its name, for the errors
 * @param bad   called once for each bad column with one sentence: table, key, column, value found, what would be right
 * @return 0, or -EINVAL (out is not to be used)
 */
int sb_endpoint_from_row(struct sb_endpoint *out, const char *table, const struct sb_endpoint_row *row,
		void (*bad)(const char *sentence, void *arg), void *arg);

#endif
