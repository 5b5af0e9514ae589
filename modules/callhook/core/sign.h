/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Standard Webhooks 1.0.0, signature v1: "v1," and the base64 of HMAC-SHA256(secret, "id.timestamp.body").
 */
#ifndef SB_HOOK_SIGN_H
#define SB_HOOK_SIGN_H

#include <stddef.h>
#include <stdint.h>

#define SB_SECRET_MIN 24u /* bytes of the decoded secret */
#define SB_SECRET_MAX 64u
#define SB_SIGNATURE_LEN 48u /* "v1,", 44 characters of base64, NUL */

/**
 * Decodes a secret: an optional "whsec_" and base64 (RFC 4648 section 4, padding required).
 *
 * @param out room of SB_SECRET_MAX bytes
 * @return number of bytes, or -EINVAL (not base64), -ERANGE (fewer than SB_SECRET_MIN or more than SB_SECRET_MAX)
 */
int sb_secret_decode(uint8_t *out, const char *text);

/** A key made ready once and used for many signatures. Not shared between threads. */
struct sb_signer;

/** @return 0, -ENOMEM, or -ENOSYS (libcrypto offers no HMAC-SHA256). The caller frees it with sb_signer_free(). */
int sb_signer_new(struct sb_signer **out, const uint8_t *secret, size_t len);
void sb_signer_free(struct sb_signer *s);

/**
 * Signs one try. The body is signed as it is sent, byte for byte.
 *
 * @param unix_s time of this try, seconds
 * @return 0 or -EIO (libcrypto failed; out is not touched)
 */
int sb_sign(
		struct sb_signer *s, const char *id, int64_t unix_s, const void *body, size_t len, char out[SB_SIGNATURE_LEN]);

#endif
