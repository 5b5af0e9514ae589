/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Whether a text of the call log is about one number. Pure.
 */
#ifndef SB_CLI_DB_MATCH_H
#define SB_CLI_DB_MATCH_H

#include <stdbool.h>
#include <stddef.h>

/**
 * A number or a URI: as `signalbox journal --number` means it (text.h, number_matches()).
 * @param exact the same digits, not only the same end
 */
bool db_match_uri(const char *number, bool exact, const char *s, size_t len);

/**
 * Free text: a name, a note, attributes. A run of digits in it, with + - . ( ) / and spaces between them, that ends as the number does:
 * all digits of the number, or nine of them. Only for numbers of six digits and more.
 */
bool db_match_text(const char *number, bool exact, const char *s, size_t len);

/** A pattern for LIKE … ESCAPE '!' that lets through everything the two above take. @return false: it does not fit */
bool db_match_like(char *out, size_t cap, const char *number);

#endif
