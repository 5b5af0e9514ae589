/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>

#include "guard_page.h"
#include "sdp.h"

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
#define CONN "c=IN IP4 192.0.2.1\r\nt=0 0\r\n"
#define AUDIO "m=audio 4000 RTP/AVP 0 8 97 101\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"

static struct cs_sdp read_ok(const char *text)
{
	struct cs_sdp info;
	assert_int_equal(0, cs_sdp_read(text, strlen(text), &info, NULL));
	return info;
}

/** Every MEDIA group as "kind direction codecs address port proto", a line each; "-" for what is not there. */
static const char *media_of(const char *text)
{
	static char all[2048];
	uint8_t buf[2048];
	struct sb_out out = {.p = buf, .cap = sizeof(buf)};
	struct cs_sdp info;
	struct sb_in in;
	struct sb_field g;
	static const enum sb_col cols[] = {
			SB_C_M_KIND, SB_C_M_DIRECTION, SB_C_M_CODECS, SB_C_M_ADDRESS, SB_C_M_PORT, SB_C_M_PROTO};
	assert_int_equal(0, cs_sdp_read(text, strlen(text), &info, &out));
	assert_false(out.overflow);
	all[0] = '\0';
	sb_in_init(&in, out.p, out.len);
	while(sb_in_next(&in, &g) == 1) {
		assert_int_equal(SB_C_MEDIA, g.col);
		for(size_t i = 0; i < sizeof(cols) / sizeof(cols[0]); i++) {
			struct sb_field f;
			size_t n = strlen(all);
			const char *end = i + 1 < sizeof(cols) / sizeof(cols[0]) ? " " : "\n";
			if(!sb_find(g.data, g.len, cols[i], &f))
				snprintf(all + n, sizeof(all) - n, "-%s", end);
			else if(f.kind == SB_U64)
				snprintf(all + n, sizeof(all) - n, "%llu%s", (unsigned long long)sb_field_u64(&f), end);
			else
				snprintf(all + n, sizeof(all) - n, "%.*s%s", (int)f.len, (const char *)f.data, end);
		}
	}
	return all;
}

static void usual_offer_is_one_active_audio_stream(void **s)
{
	(void)s;
	struct cs_sdp i = read_ok(HEAD CONN AUDIO "a=ptime:20\r\na=sendrecv\r\n");
	assert_int_equal(1, i.streams);
	assert_int_equal(1, i.kinds);
	assert_false(i.hold);
	assert_string_equal(
			media_of(HEAD CONN AUDIO), "audio sendrecv PCMU,PCMA,opus,telephone-event 192.0.2.1 4000 RTP/AVP\n");
}

static void lines_may_end_in_lf_alone_and_the_last_in_nothing(void **s)
{
	(void)s;
	assert_string_equal(media_of("v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 9 18 3"),
			"audio sendrecv G722,G729,GSM 192.0.2.1 4000 RTP/AVP\n");
}

static void what_is_not_sdp_is_refused_and_info_left_alone(void **s)
{
	(void)s;
	static const char *const bad[] = {"", "v", "v=", "v=1\r\nm=audio 1 RTP/AVP 0\r\n", "m=audio 1 RTP/AVP 0\r\n",
			" v=0\r\n", "<?xml version=\"1.0\"?>", "v=00\r\n", "\r\nv=0\r\n"};
	struct cs_sdp info;
	memset(&info, 0x5a, sizeof(info));
	for(size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(-EBADMSG, cs_sdp_read(bad[i], strlen(bad[i]), &info, NULL));
	assert_int_equal(-EBADMSG, cs_sdp_read(NULL, 0, &info, NULL));
	assert_int_equal(0x5a, info.streams);
}

static void direction_of_the_session_holds_for_streams_without_their_own(void **s)
{
	(void)s;
	struct cs_sdp i = read_ok(HEAD CONN "a=sendonly\r\n" AUDIO);
	assert_true(i.hold);
	i = read_ok(HEAD CONN "a=sendonly\r\n" AUDIO "a=sendrecv\r\n");
	assert_false(i.hold);
	assert_string_equal(
			media_of(HEAD CONN "a=inactive\r\nm=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 34\r\na=recvonly\r\n"),
			"audio inactive PCMU 192.0.2.1 4000 RTP/AVP\nvideo recvonly H263 192.0.2.1 4002 RTP/AVP\n");
}

static void sendonly_and_inactive_hold_but_recvonly_does_not(void **s)
{
	(void)s;
	assert_true(read_ok(HEAD CONN AUDIO "a=sendonly\r\n").hold);
	assert_true(read_ok(HEAD CONN AUDIO "a=inactive\r\n").hold);
	assert_false(read_ok(HEAD CONN AUDIO "a=recvonly\r\n").hold);
	assert_false(read_ok(HEAD CONN AUDIO "a=sendonly2\r\n").hold);
}

static void address_zero_is_a_hold(void **s)
{
	(void)s;
	assert_true(read_ok(HEAD "c=IN IP4 0.0.0.0\r\n" AUDIO).hold);
	assert_true(read_ok(HEAD "c=IN IP6 ::\r\n" AUDIO).hold);
	assert_true(read_ok(HEAD "c=IN IP6 0:0:0:0:0:0:0:0\r\n" AUDIO).hold);
	assert_true(read_ok(HEAD CONN AUDIO "c=IN IP4 0.0.0.0\r\n").hold);
	assert_false(read_ok(HEAD "c=IN IP4 0.0.0.0\r\n" AUDIO "c=IN IP4 192.0.2.7/127\r\n").hold);
	assert_false(read_ok(HEAD "c=IN IP6 ::1\r\n" AUDIO).hold);
}

static void address_zero_with_port_9_is_ice_that_trickles_not_a_hold(void **s)
{
	(void)s;
	assert_false(
			read_ok(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n").hold);
	assert_true(read_ok(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\n").hold);
}

static void hold_needs_every_active_stream(void **s)
{
	(void)s;
	assert_false(read_ok(HEAD CONN AUDIO "a=sendonly\r\nm=video 4002 RTP/AVP 34\r\n").hold);
	assert_true(read_ok(HEAD CONN AUDIO "a=sendonly\r\nm=video 0 RTP/AVP 34\r\n").hold);
	assert_false(read_ok(HEAD CONN "m=audio 0 RTP/AVP 0\r\na=sendonly\r\n").hold);
	assert_false(read_ok(HEAD CONN).hold);
}

static void refused_stream_is_listed_but_not_counted(void **s)
{
	(void)s;
	const char *text = HEAD CONN "m=audio 4000 RTP/AVP 8\r\nm=image 0 udptl t38\r\n";
	struct cs_sdp i = read_ok(text);
	assert_int_equal(1, i.streams);
	assert_int_equal(1, i.kinds);
	assert_string_equal(
			media_of(text), "audio sendrecv PCMA 192.0.2.1 4000 RTP/AVP\nimage sendrecv t38 192.0.2.1 0 udptl\n");
}

static void kinds_have_a_bit_each(void **s)
{
	(void)s;
	struct cs_sdp i =
			read_ok(HEAD CONN "m=audio 1 RTP/AVP 0\r\nm=video 2 RTP/AVP 34\r\nm=image 3 udptl t38\r\n"
							  "m=application 4 UDP/DTLS/SCTP webrtc-datachannel\r\nm=message 5 TCP/MSRP *\r\n");
	assert_int_equal(5, i.streams);
	assert_int_equal(1 | 2 | 4 | 8 | 16, i.kinds);
}

static void four_streams_and_four_codecs_are_written_at_most(void **s)
{
	(void)s;
	const char *m =
			media_of(HEAD CONN "m=audio 1 RTP/AVP 0 8 9 18 3 4\r\nm=audio 2 RTP/AVP 0\r\nm=audio 3 RTP/AVP 0\r\n"
							   "m=audio 4 RTP/AVP 0\r\nm=audio 5 RTP/AVP 0\r\n");
	assert_non_null(strstr(m, "PCMU,PCMA,G722,G729 "));
	assert_non_null(strstr(m, " 4 RTP/AVP\n"));
	assert_null(strstr(m, " 5 RTP/AVP\n"));
}

static void codec_without_a_name_is_its_number(void **s)
{
	(void)s;
	assert_string_equal(
			media_of(HEAD CONN "m=audio 4000 RTP/AVP 97 0\r\n"), "audio sendrecv 97,PCMU 192.0.2.1 4000 RTP/AVP\n");
}

static void rtpmap_overrules_the_static_table(void **s)
{
	(void)s;
	assert_string_equal(media_of(HEAD CONN "m=audio 4000 RTP/AVP 4\r\na=rtpmap:4 G7231/8000\r\n"),
			"audio sendrecv G7231 192.0.2.1 4000 RTP/AVP\n");
}

static void codec_name_cannot_bring_a_comma_in(void **s)
{
	(void)s;
	assert_string_equal(
			media_of(HEAD CONN "m=audio 4000 RTP/AVP 97 98\r\na=rtpmap:97 a,b\"/8000\r\na=rtpmap:98 /8000\r\n"),
			"audio sendrecv a,98 192.0.2.1 4000 RTP/AVP\n");
}

static void rtpmap_of_one_stream_does_not_name_another(void **s)
{
	(void)s;
	assert_string_equal(
			media_of(HEAD CONN "m=audio 4000 RTP/AVP 97\r\na=rtpmap:97 opus/48000\r\nm=video 4002 RTP/AVP 97\r\n"),
			"audio sendrecv opus 192.0.2.1 4000 RTP/AVP\nvideo sendrecv 97 192.0.2.1 4002 RTP/AVP\n");
}

static void broken_media_line_takes_its_attributes_with_it(void **s)
{
	(void)s;
	static const char *const broken[] = {"m=audio\r\n", "m=audio x RTP/AVP 0\r\n", "m=audio 65536 RTP/AVP 0\r\n",
			"m=audio 1\r\n", "m= \r\n", "m=audio -1 RTP/AVP 0\r\n", "m=audio 99999999999999999999 RTP/AVP 0\r\n"};
	for(size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text), HEAD CONN "m=audio 4000 RTP/AVP 0\r\n%sa=sendonly\r\nm=video 4002 RTP/AVP 34\r\n",
				broken[i]);
		struct cs_sdp info = read_ok(text);
		assert_int_equal(2, info.streams);
		assert_false(info.hold);
		assert_int_equal(3, info.kinds);
	}
}

static void fingerprint_follows_kind_and_first_codec_only(void **s)
{
	(void)s;
	uint32_t pcmu = read_ok(HEAD CONN "m=audio 4000 RTP/AVP 0 8\r\n").print;
	assert_int_equal(pcmu, read_ok(HEAD "c=IN IP4 192.0.2.9\r\nm=audio 7000 RTP/AVP 0\r\na=sendonly\r\n").print);
	assert_int_equal(pcmu, read_ok(HEAD CONN "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 pcmu/8000\r\n").print);
	assert_int_equal(pcmu, read_ok(HEAD CONN "m=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 34\r\n").print);
	assert_int_not_equal(pcmu, read_ok(HEAD CONN "m=audio 4000 RTP/AVP 8 0\r\n").print);
	assert_int_not_equal(pcmu, read_ok(HEAD CONN "m=image 4000 udptl t38\r\n").print);
	assert_int_not_equal(pcmu, read_ok(HEAD CONN "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 34\r\n").print);
}

static void overflow_of_the_record_is_remembered_and_the_summary_still_given(void **s)
{
	(void)s;
	uint8_t buf[24];
	struct sb_out out = {.p = buf, .cap = sizeof(buf)};
	struct cs_sdp info;
	assert_int_equal(0, cs_sdp_read(HEAD CONN AUDIO, strlen(HEAD CONN AUDIO), &info, &out));
	assert_true(out.overflow);
	assert_int_equal(1, info.streams);
}

static void long_words_are_clipped(void **s)
{
	(void)s;
	char text[4096], word[1024];
	uint8_t buf[2048];
	struct sb_out out = {.p = buf, .cap = sizeof(buf)};
	struct cs_sdp info;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	snprintf(text, sizeof(text), HEAD "c=IN IP4 %s\r\nm=%s 1 %s 0 1\r\na=rtpmap:0 %s\r\n", word, "audio", word, word);
	assert_int_equal(0, cs_sdp_read(text, strlen(text), &info, &out));
	assert_false(out.overflow);
	assert_in_range(out.len, 40, 200);
}

static bool find(const char *body, const char *type, const char **sdp, size_t *len)
{
	return cs_sdp_find(body, strlen(body), type, type != NULL ? strlen(type) : 0, sdp, len);
}

static void plain_body_is_found_by_its_type(void **s)
{
	(void)s;
	const char *sdp;
	size_t len;
	assert_true(find(HEAD, "application/sdp", &sdp, &len));
	assert_int_equal(strlen(HEAD), len);
	assert_true(find(HEAD, " Application/SDP ; charset=utf-8", &sdp, &len));
	assert_true(find(HEAD, NULL, &sdp, &len));
	assert_false(find(HEAD, "application/sdpx", &sdp, &len));
	assert_false(find("Signal=1\r\n", "application/dtmf-relay", &sdp, &len));
	assert_false(find("hello", NULL, &sdp, &len));
	assert_false(find("", "application/sdp", &sdp, &len));
}

static void sdp_is_found_inside_multipart(void **s)
{
	(void)s;
	const char *sdp;
	size_t len;
	const char *body =
			"preamble\r\n--b1\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x02\r\n--b1\r\n"
			"content-type: application/sdp\r\nContent-Disposition: session\r\n ;handling=required\r\n\r\n" HEAD AUDIO
			"\r\n--b1--\r\nepilogue";
	assert_true(find(body, "multipart/mixed;boundary=\"b1\"", &sdp, &len));
	assert_memory_equal("v=0\r\n", sdp, 5);
	struct cs_sdp info;
	assert_int_equal(0, cs_sdp_read(sdp, len, &info, NULL));
	assert_int_equal(1, info.streams);
	assert_true(find(body, "multipart/mixed; a=\";boundary=no\"; boundary=b1", &sdp, &len));
	assert_false(find(body, "multipart/mixed;boundary=b2", &sdp, &len));
	assert_false(find(body, "multipart/mixed", &sdp, &len));
	assert_false(find(body, "multipart/mixed;boundary=", &sdp, &len));
}

static void sdp_is_found_in_a_multipart_of_a_multipart_but_not_endlessly(void **s)
{
	(void)s;
	const char *sdp;
	size_t len;
	assert_true(find("--a\r\nContent-Type:\r\n multipart/alternative;\r\n boundary=i\r\n\r\n--i\r\nContent-Type: "
					 "text/plain\r\n\r\nx\r\n"
					 "--i\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--i--\r\n--a--\r\n",
			"multipart/mixed;boundary=a", &sdp, &len));
	assert_int_equal(0, memcmp(sdp, "v=0", 3));
	char deep[2048] = "";
	for(int i = 0; i < 12; i++)
		strcat(deep, "--a\r\nContent-Type: multipart/mixed;boundary=a\r\n\r\n");
	strcat(deep, "--a\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n");
	find(deep, "multipart/mixed;boundary=a", &sdp, &len);
}

static void every_piece_of_a_body_is_read_without_leaving_it(void **s)
{
	(void)s;
	static const char text[] = "--b\r\nContent-Type: application/sdp\r\n\r\n" HEAD CONN "a=sendonly\r\n" AUDIO
							   "m=video 0/2 RTP/AVP 34\r\nc=IN IP6 ::\r\nm=image 9 udptl t38\r\n--b--\r\n";
	struct guard_page g;
	guard_open(&g, sizeof(text));
	for(size_t from = 0; from < sizeof(text); from++) {
		for(size_t len = 0; from + len < sizeof(text); len++) {
			char *p = guard_put(&g, text + from, len);
			const char *sdp = p;
			size_t n = len;
			struct cs_sdp info;
			uint8_t buf[256];
			struct sb_out out = {.p = buf, .cap = from % 2 ? sizeof(buf) : len % sizeof(buf)};
			cs_sdp_read(p, len, &info, &out);
			if(cs_sdp_find(p, len, "multipart/mixed;boundary=b", 26, &sdp, &n)) {
				assert_true(sdp >= p && sdp + n <= p + len);
				cs_sdp_read(sdp, n, &info, &out);
			}
			cs_sdp_find("x", 1, p, len, &sdp, &n);
			assert_true(out.len <= out.cap);
		}
	}
	guard_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(usual_offer_is_one_active_audio_stream),
			cmocka_unit_test(lines_may_end_in_lf_alone_and_the_last_in_nothing),
			cmocka_unit_test(what_is_not_sdp_is_refused_and_info_left_alone),
			cmocka_unit_test(direction_of_the_session_holds_for_streams_without_their_own),
			cmocka_unit_test(sendonly_and_inactive_hold_but_recvonly_does_not),
			cmocka_unit_test(address_zero_is_a_hold),
			cmocka_unit_test(address_zero_with_port_9_is_ice_that_trickles_not_a_hold),
			cmocka_unit_test(hold_needs_every_active_stream),
			cmocka_unit_test(refused_stream_is_listed_but_not_counted),
			cmocka_unit_test(kinds_have_a_bit_each),
			cmocka_unit_test(four_streams_and_four_codecs_are_written_at_most),
			cmocka_unit_test(codec_without_a_name_is_its_number),
			cmocka_unit_test(rtpmap_overrules_the_static_table),
			cmocka_unit_test(codec_name_cannot_bring_a_comma_in),
			cmocka_unit_test(rtpmap_of_one_stream_does_not_name_another),
			cmocka_unit_test(broken_media_line_takes_its_attributes_with_it),
			cmocka_unit_test(fingerprint_follows_kind_and_first_codec_only),
			cmocka_unit_test(overflow_of_the_record_is_remembered_and_the_summary_still_given),
			cmocka_unit_test(long_words_are_clipped),
			cmocka_unit_test(plain_body_is_found_by_its_type),
			cmocka_unit_test(sdp_is_found_inside_multipart),
			cmocka_unit_test(sdp_is_found_in_a_multipart_of_a_multipart_but_not_endlessly),
			cmocka_unit_test(every_piece_of_a_body_is_read_without_leaving_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
