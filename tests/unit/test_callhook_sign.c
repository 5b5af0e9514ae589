/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "sign.h"

#define SECRET "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define EXPECTED "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static const char body[] = "{\"test\": 2432232314}";

static void the_known_vector_comes_out_each_time(void **state)
{
	uint8_t key[SB_SECRET_MAX];
	char out[SB_SIGNATURE_LEN];
	struct sb_signer *s;
	int n = sb_secret_decode(key, "whsec_" SECRET);

	(void)state;
	assert_int_equal(24, n);
	assert_int_equal(0, sb_signer_new(&s, key, (size_t)n));
	for(int i = 0; i < 3; i++) {
		assert_int_equal(0, sb_sign(s, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body), out));
		assert_string_equal(EXPECTED, out);
		assert_int_equal(0, sb_sign(s, "another", 1, body, 3, out));
		assert_string_not_equal(EXPECTED, out);
	}
	sb_signer_free(s);
}

static void the_prefix_may_be_left_out(void **state)
{
	uint8_t a[SB_SECRET_MAX], b[SB_SECRET_MAX];

	(void)state;
	assert_int_equal(24, sb_secret_decode(a, SECRET));
	assert_int_equal(24, sb_secret_decode(b, "whsec_" SECRET));
	assert_memory_equal(a, b, 24);
}

static void secrets_of_24_to_64_bytes_are_taken_as_they_are(void **state)
{
	(void)state;
	for(int len = 1; len <= 80; len++) {
		uint8_t raw[80], back[SB_SECRET_MAX];
		char text[128] = "whsec_";

		for(int i = 0; i < len; i++)
			raw[i] = (uint8_t)(255 - i * 7);
		EVP_EncodeBlock((uint8_t *)text + 6, raw, len);
		if(len < 24 || len > 64) {
			assert_int_equal(-ERANGE, sb_secret_decode(back, text));
			continue;
		}
		assert_int_equal(len, sb_secret_decode(back, text));
		assert_memory_equal(raw, back, (size_t)len);
	}
}

static void what_is_not_base64_is_refused(void **state)
{
	static const char *const bad[] = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
			"whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw", "whsec_====", "whsec_MfKQ9r8G=YqrTwjUPD8ILPZIo2LaLaSw",
			"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa=w", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
	uint8_t out[SB_SECRET_MAX];

	(void)state;
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(-EINVAL, sb_secret_decode(out, bad[i]));
	assert_int_equal(-ERANGE, sb_secret_decode(out, "whsec_"));
	assert_int_equal(-ERANGE, sb_secret_decode(out, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(the_known_vector_comes_out_each_time),
			cmocka_unit_test(the_prefix_may_be_left_out),
			cmocka_unit_test(secrets_of_24_to_64_bytes_are_taken_as_they_are),
			cmocka_unit_test(what_is_not_base64_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
