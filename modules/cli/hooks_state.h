/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The endpoints as state.sqlite shows them, and how far each is behind in the log. Beside a running Kamailio, or of a dead one.
 */
#ifndef SB_CLI_HOOKS_STATE_H
#define SB_CLI_HOOKS_STATE_H

#include "cli.h"
#include "filter.h"
#include "text.h"

#define HOOKS_COUNTED 1000000u /* events that are counted of one endpoint's lag */

struct hooks_endpoint
{
	char id[64], state[16];
	char *url, *error;         /* error: of the last failure, "" if there was none */
	struct sb_filter *filters; /* 3: events, trunks, DIDs */
	struct sb_pos cursor;
	uint64_t since, delivered, failed, given_up;
	uint64_t success_at, failure_at, probe_at, updated_at; /* µs, 0: none */
	double rate_10s, rate_60s;
	uint64_t pending, dead;
	/* counted in the log from the cursor on */
	uint64_t behind, oldest_at; /* oldest_at: of what is not done, 0: nothing, or not known */
	bool more;                  /* there is more than was counted */
	bool counted;               /* false: the log could not be read */
};

struct hooks_state
{
	struct hooks_endpoint *ep;
	size_t count;
	int pid; /* of the process that delivers, 0: none lives */
	uint64_t started_at, updated_at;
};

/** @return CLI_OK, or CLI_NOT_FOUND after saying what is not there, and what to do */
int hooks_state_read(struct hooks_state *h, struct cli *c);
void hooks_state_free(struct hooks_state *h);

/** What to do next about it; "" if it is well. */
struct text hooks_next(const struct hooks_endpoint *e, uint64_t now);

/** "12 s", "3 min", "5 h", "2 d": how long ago, at a glance */
struct text hooks_age(uint64_t at, uint64_t now);

#endif
