/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Texts from the wire made fit for a terminal, times and numbers as people write them. Pure.
 */
#ifndef SB_CLI_TEXT_H
#define SB_CLI_TEXT_H

#include "event.h"

#define TEXT_MAX 160u

/** A short text by value, so that several fit in one printf. */
struct text
{
	char s[TEXT_MAX];
};

/** Valid UTF-8, no control character (no escape sequence reaches the terminal), cut with "…". */
struct text text_plain(const void *bytes, size_t len);
struct text text_field(const struct sb_field *f); /* "" where the column is unknown */
/** The number or user part of a URI; the whole URI where it has none. */
struct text text_user(const struct sb_field *uri);
/** "200 ms", "1.90 s", "41.3 s", "12 min 4 s" */
struct text text_span(uint64_t us);
/** "14:02:07.114", UTC */
struct text text_clock(uint64_t us);
/** "2026-01-31", UTC */
struct text text_date(uint64_t us);

/** Appends to a terminated text; what does not fit is cut between two characters. */
void say(char *text, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define SAY(array, ...) say(array, sizeof(array), __VA_ARGS__)

/** Digits alone; false if there is anything but digits, +, -, ., (, ), space and / or fewer than two digits. */
bool digits_of(char *out, size_t cap, const char *s, size_t len);

/**
 * Whether a number somebody typed means this URI: digits only, without leading zeros, one being the end of the other
 * with at least six digits; shorter ones must be the same. What is no number must be the user part as it is.
 */
bool number_matches(const char *typed, const struct sb_field *uri);

/**
 * "90s", "10m", "2h", "3d" before now; "2026-01-31", "2026-01-31T14:02", "2026-01-31T14:02:07[.123][Z]"; "14:02[:07]" of today. UTC.
 * @return 0 or -EINVAL
 */
int since_parse(const char *s, uint64_t now_us, uint64_t *out_us);

#endif
