/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The keeper of a sink's process. Kamailio starts and watches the keeper, and ends as a whole when one of its own dies; what the keeper
 * started may die: it is started again after 100 ms, then 200 ms, … 10 s, and after 100 ms again once it lived 1 s. When the keeper
 * dies, what it started is killed.
 */
#ifndef HOOK_KEEPER_H
#define HOOK_KEEPER_H

#include "hook_shared.h"

/**
 * The keeper's whole life: does not return. SIGTERM ends it and its worker, in 5 s at most.
 *
 * @param wake_fd an eventfd; written when a reload is asked for
 * @param parent  Kamailio's main process: the keeper ends with it
 */
void hook_keep(const struct hook_sink *sink, struct hook_worker *rec, int wake_fd, pid_t parent)
		__attribute__((noreturn));

/** "killed by signal 9 (Killed)" @param status as waitpid() gave it */
void hook_end_text(char *out, size_t room, int status);

#endif
