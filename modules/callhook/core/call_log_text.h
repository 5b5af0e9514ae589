/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of the call log from what came over the wire. All return 0 or -ENOMEM; *v stays NULL where nothing is known. */
#ifndef SB_CALL_LOG_TEXT_H
#define SB_CALL_LOG_TEXT_H

#include "call_log_rows.h"

/** Valid UTF-8, at most width characters. Empty: NULL */
int sb_cl_text(struct sb_db_value *v, struct sb_cl_arena *mem, const void *bytes, size_t len, size_t width);
/** Printable ASCII, anything else becomes '?', at most width bytes. Empty: NULL */
int sb_cl_key(struct sb_db_value *v, struct sb_cl_arena *mem, const void *bytes, size_t len, size_t width);
/** "2026-01-31 14:02:07.123456" @param us 0, or past the year 9999: NULL */
int sb_cl_time(struct sb_db_value *v, struct sb_cl_arena *mem, uint64_t us);
/** Of a SIP or tel URI: the number in E.164 if it is one, else its user part. No user part: NULL */
int sb_cl_number(struct sb_db_value *v, struct sb_cl_arena *mem, const void *uri, size_t len, size_t width);
/** Of a user part that is written as a number: its last width digits, backwards. Else NULL */
int sb_cl_digits(struct sb_db_value *v, struct sb_cl_arena *mem, const void *uri, size_t len, size_t width);
/** ATTRIBUTE columns of a payload as {"customer": {…}, "attributes": {…}}; none: NULL. What would be longer than width goes, the last first. */
int sb_cl_attributes(struct sb_db_value *v, struct sb_cl_arena *mem, const void *payload, size_t len, size_t width);

#endif
