/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A call as columns, and back: writing its events, and folding the log into open calls again.
 */
#ifndef CS_RECORD_H
#define CS_RECORD_H

#include "machine.h"

/** Boot id as sixteen bytes: monotonic times of another boot mean nothing. */
extern uint8_t cs_boot[16];

/** Writes the payload of one event. @param a the attempt concerned, or NULL */
void cs_encode(
		const struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x, struct sb_out *out);

/** Writes everything that is known (a checkpoint's record, type SB_X_DIALOG). */
void cs_encode_whole(const struct cs_call *c, const struct cs_ctx *x, struct sb_out *out);

/** Applies a record to the call that it is about (found or made by the caller through CALL_ID). Idempotent. */
void cs_fold(struct cs_call *c, uint16_t type, const uint8_t *payload, size_t len);

/** Whether the monotonic times in the call are of this boot (cs_fold() remembers what the log said). */
bool cs_fold_same_boot(const uint8_t *payload, size_t len);

#endif
