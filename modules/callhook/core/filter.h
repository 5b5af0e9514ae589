/* SPDX-License-Identifier: GPL-2.0-or-later */
/** What an endpoint wants: globs, separated by commas, of event types ("call.*,custom.*"), trunks or DIDs ("+4420*"). */
#ifndef SB_HOOK_FILTER_H
#define SB_HOOK_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#define SB_FILTER_LEN 512u

struct sb_filter
{
	char text[SB_FILTER_LEN]; /* globs, each ended by NUL, the last by two */
	bool all;                 /* "*" is among them: the empty text matches too */
};

/**
 * Globs of event types: a-z, 0-9, '.', '_', '-' and '*' (any number of characters, dots included).
 *
 * @param why on failure: what is wrong, as the end of a sentence
 * @return 0 or -EINVAL; an empty text matches nothing and is refused
 */
int sb_filter_parse(struct sb_filter *f, const char *text, char *why, size_t why_len);
/** Globs of trunks or DIDs: A-Z, '+', ':' and '@' too. @param what "trunks" or "DIDs", for why */
int sb_filter_parse_names(struct sb_filter *f, const char *what, const char *text, char *why, size_t why_len);
/** @param text of len bytes; what an event does not have is the empty text, and only "*" takes it */
bool sb_filter_match(const struct sb_filter *f, const char *text, size_t len);

#endif
