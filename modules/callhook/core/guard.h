/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Which addresses may be dialled for a URL that somebody else chose. Judged is the very address that is about to be
 * connected to, never a name or a spelling of it. Pure: no clock, no memory of its own, no network.
 *
 * Refused is what is not globally reachable unicast (IANA's IPv4 and IPv6 special-purpose registries, RFC 6890), and IPv6
 * addresses that carry such an IPv4 address inside: v4-mapped, v4-compatible, v4-translated, NAT64 (RFC 6052), 6to4
 * (RFC 3056), Teredo (RFC 4380). A list of networks allows what would be refused otherwise.
 */
#ifndef SB_HOOK_GUARD_H
#define SB_HOOK_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define SB_GUARD_NETS 64u
#define SB_GUARD_WHY 256u /* the longest reason, with NUL */

struct sb_guard_net
{
	uint8_t address[16]; /* network order; of IPv4 the first 4 */
	uint8_t bits;        /* of the prefix */
	bool v6;
};

/** All zero: nothing is allowed beyond what is public. */
struct sb_guard
{
	struct sb_guard_net net[SB_GUARD_NETS];
	unsigned count;
};

/**
 * Parses "10.1.0.0/16,127.0.0.1,fd00::/8": addresses and networks (RFC 4632, RFC 4291), IPv4 in four decimal parts, no bits
 * set behind the prefix. An empty text is an empty list. An IPv4 network also allows the IPv6 addresses that carry one of
 * its addresses inside.
 *
 * @param why on failure: what is wrong and what would be right, as the end of a sentence
 * @return 0 or -EINVAL
 */
int sb_guard_parse(struct sb_guard *g, const char *text, char *why, size_t why_len);

/**
 * @param sa  with its port or without
 * @param len bytes of it
 * @param why when refused: a sentence that names the address, what it is, and how to allow it; room for SB_GUARD_WHY
 */
bool sb_guard_allows(const struct sb_guard *g, const struct sockaddr *sa, socklen_t len, char why[static SB_GUARD_WHY]);

#endif
