/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/base64.h>
#include <nettle/hmac.h>

#include "sign.h"

/* nettle, not OpenSSL: under the module tls OpenSSL's state is shared by all processes of Kamailio. */
struct sb_signer
{
	struct hmac_sha256_ctx ctx;
	int64_t at; /* the second that is in stamp */
	size_t stamp_len;
	char stamp[32];
};

static int digit(char c)
{
	if(c >= 'A' && c <= 'Z')
		return c - 'A';
	if(c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if(c >= '0' && c <= '9')
		return c - '0' + 52;
	if(c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Up to 3 bytes of one group of 4 characters. @return bytes, or -1 */
static int group(const char *p, bool last, uint8_t b[3])
{
	int d[4], n = 3;

	for(int i = 0; i < 4; i++)
		d[i] = digit(p[i]);
	if(last && p[3] == '=') {
		n = 2;
		d[3] = 0;
		if(p[2] == '=') {
			n = 1;
			d[2] = 0;
		}
	}
	if(d[0] < 0 || d[1] < 0 || d[2] < 0 || d[3] < 0)
		return -1;
	b[0] = (uint8_t)(d[0] << 2 | d[1] >> 4);
	b[1] = (uint8_t)((d[1] & 15) << 4 | d[2] >> 2);
	b[2] = (uint8_t)((d[2] & 3) << 6 | d[3]);
	return n;
}

int sb_secret_decode(uint8_t *out, const char *text)
{
	uint8_t b[3];
	size_t chars, n = 0;

	if(strncmp(text, "whsec_", 6) == 0)
		text += 6;
	chars = strlen(text);
	if(chars == 0)
		return -ERANGE;
	if(chars % 4 != 0)
		return -EINVAL;
	for(size_t i = 0; i < chars; i += 4) {
		int k = group(text + i, i + 4 == chars, b);
		if(k < 0)
			return -EINVAL;
		for(int j = 0; j < k; j++, n++) {
			if(n < SB_SECRET_MAX)
				out[n] = b[j];
		}
	}
	return n < SB_SECRET_MIN || n > SB_SECRET_MAX ? -ERANGE : (int)n;
}

int sb_signer_new(struct sb_signer **out, const uint8_t *secret, size_t len)
{
	struct sb_signer *s = calloc(1, sizeof(*s));

	if(s == NULL)
		return -ENOMEM;
	hmac_sha256_set_key(&s->ctx, len, secret);
	*out = s;
	return 0;
}

void sb_signer_free(struct sb_signer *s)
{
	if(s == NULL)
		return;
	explicit_bzero(s, sizeof(*s));
	free(s);
}

int sb_sign(
		struct sb_signer *s, const char *id, int64_t unix_s, const void *body, size_t len, char out[SB_SIGNATURE_LEN])
{
	uint8_t sum[SHA256_DIGEST_SIZE];

	if(s->stamp_len == 0 || s->at != unix_s) {
		s->stamp_len = (size_t)snprintf(s->stamp, sizeof(s->stamp), ".%" PRId64 ".", unix_s);
		s->at = unix_s;
	}
	hmac_sha256_update(&s->ctx, strlen(id), (const uint8_t *)id);
	hmac_sha256_update(&s->ctx, s->stamp_len, (const uint8_t *)s->stamp);
	hmac_sha256_update(&s->ctx, len, body);
	hmac_sha256_digest(&s->ctx, sizeof(sum), sum);
	memcpy(out, "v1,", 3);
	base64_encode_raw(out + 3, sizeof(sum), sum);
	out[3 + BASE64_ENCODE_RAW_LENGTH(sizeof(sum))] = '\0';
	return 0;
}
