/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What became of a call's webhooks: the history of deliveries, and what waits or was given up (state.sqlite).
 */
#ifndef SB_CLI_HOOKS_H
#define SB_CLI_HOOKS_H

#include <sqlite3.h>

#include "cli.h"
#include "story.h"
#include "text.h"

enum hook_fate
{
	HOOK_BEHIND, /* the endpoint has not got this far in the log: it is away, or behind */
	HOOK_WAITING,
	HOOK_GIVEN_UP,
	HOOK_DELIVERED
};

struct hook
{
	char endpoint[64];
	uint32_t epoch;
	uint64_t seq; /* with epoch: the event */
	enum hook_fate fate;
	uint64_t tries;
	uint64_t code;    /* HTTP status, 0: none came */
	uint64_t at;      /* µs: delivered, given up, or next try (0: behind an earlier event of its call) */
	uint64_t latency; /* µs, delivered only */
	struct text error;
};

struct hooks
{
	struct hook *hook;
	size_t hooks;
	size_t delivered, waiting, given_up; /* waiting: those that are behind, too */
	uint64_t slowest;                    /* µs */
	bool known;                          /* there is a history or a state.sqlite at all */
	struct text disabled;                /* "crm since …: 410 Gone", the first endpoint switched off */
};

/** state.sqlite, read-only; of a dead system in a folder that may not be written, as immutable. @return NULL: it cannot be read */
sqlite3 *hooks_open(const char *path);

/** Reads both; what is not there is no error. Says on c->err what could not be read. */
void hooks_read(struct hooks *h, struct cli *c, const struct story *s);
void hooks_free(struct hooks *h);

#endif
