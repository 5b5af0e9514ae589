/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * A journal with calls of every kind, without a Kamailio: what callstate would write, with fixed times and ids.
 */
#ifndef MAKE_JOURNAL_H
#define MAKE_JOURNAL_H

#include <stdint.h>

/** µs of the first call's INVITE: 2026-01-31 14:02:07.114 UTC; call n starts n minutes later, n from 0. */
#define MADE_AT 1769868127114000ull

enum made_call
{
	MADE_FAILOVER, /* carrier-a silent, carrier-b answers, the caller hangs up */
	MADE_BUSY,
	MADE_NO_ANSWER, /* two agents ring at once */
	MADE_CANCELLED,
	MADE_UNALLOCATED, /* 404 with Q.850 1 */
	MADE_NO_RESPONSE,
	MADE_NO_CODEC,
	MADE_SENT_NOWHERE, /* our 503 */
	MADE_NO_ACK,
	MADE_ODD_BYTES, /* names that are no UTF-8, escape sequences, attributes */
	MADE_HELD,      /* still up */
	MADE_CALLS
};

/** Our id of a made call. */
void made_id(uint8_t id[16], enum made_call n);

/**
 * Fills dir/journal, dir/spool, dir/hooks (made if they are not there).
 * @param on_disk 0 leaves every record in the spool, as beside a running system
 * @return 0 or -errno
 */
int make_journal(const char *dir, int on_disk);

#endif
