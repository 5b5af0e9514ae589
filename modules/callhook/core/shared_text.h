/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A text in shared memory that one process writes and others read, without a lock: one that is killed in the middle holds up nobody. */
#ifndef SB_SHARED_TEXT_H
#define SB_SHARED_TEXT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/** @param version beside the text, 0 to begin with; odd while the text is being written */
void sb_shared_text_set(_Atomic uint32_t *version, char *to, size_t room, const char *text);
/** @param out "" while the text is being written, or where its writer was killed in the middle @param room of both */
void sb_shared_text_get(const _Atomic uint32_t *version, const char *from, char *out, size_t room);
/** In a new writer, before its first text: the one before it may have been killed in the middle. */
void sb_shared_text_take_over(_Atomic uint32_t *version);

#endif
