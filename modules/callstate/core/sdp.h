/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What an SDP body says about a call, in one pass and without allocation (RFC 8866, RFC 3264).
 */
#ifndef CS_SDP_H
#define CS_SDP_H

#include "event.h"

struct cs_sdp
{
	uint8_t streams; /* m= lines with a port other than 0 */
	bool hold;       /* every stream with a port is sendonly, inactive or at 0.0.0.0 / :: */
	uint32_t kinds;  /* bit set over the active streams: 1 audio, 2 video, 4 image, 8 application, 16 other */
	uint32_t print;  /* fingerprint over kind and first codec of every active stream: differs if the media changed */
};

/**
 * Finds the SDP in a message body, a multipart one too (RFC 5621).
 * @return true and the part's place, or false: no SDP in it
 */
bool cs_sdp_find(
		const char *body, size_t len, const char *content_type, size_t type_len, const char **sdp, size_t *sdp_len);

/**
 * Reads an SDP.
 * @param out NULL, or where one MEDIA group for each m= line is written (at most 4; codecs at most 4 a stream, clipped)
 * @return 0, or -EBADMSG: not an SDP (info is not touched)
 */
int cs_sdp_read(const char *sdp, size_t len, struct cs_sdp *info, struct sb_out *out);

#endif
