/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "guard.h"

struct known4
{
	uint32_t net; /* host order */
	uint8_t bits;
	const char *what;
};

static const struct known4 known4[] = {
		{0x00000000, 8, "of this network (RFC 791)"},
		{0x0a000000, 8, "private (RFC 1918)"},
		{0x64400000, 10, "shared by carrier NAT (RFC 6598)"},
		{0x7f000000, 8, "loopback (RFC 1122)"},
		{0xa9fe0000, 16, "link-local, where clouds keep their metadata (RFC 3927)"},
		{0xac100000, 12, "private (RFC 1918)"},
		{0xc0000000, 24, "for IETF protocols (RFC 6890)"},
		{0xc0000200, 24, "for documentation (RFC 5737)"},
		{0xc0586300, 24, "a 6to4 relay (RFC 7526)"},
		{0xc0a80000, 16, "private (RFC 1918)"},
		{0xc6120000, 15, "for benchmarks (RFC 2544)"},
		{0xc6336400, 24, "for documentation (RFC 5737)"},
		{0xcb007100, 24, "for documentation (RFC 5737)"},
		{0xe0000000, 4, "multicast (RFC 5771)"},
		{0xffffffff, 32, "broadcast (RFC 919)"},
		{0xf0000000, 4, "reserved (RFC 1112)"},
};

/* How an IPv6 address may carry an IPv4 one. */
enum inside
{
	NOTHING,
	LAST4,   /* its last 4 bytes */
	SIX4,    /* bytes 2 to 5 */
	TEREDO,  /* the last 4, inverted; and the server in bytes 4 to 7 */
	LOCAL64, /* the last 4; but the network chooses, so it is refused in any case */
};

struct known6
{
	uint8_t net[16];
	uint8_t bits;
	enum inside inside;
	const char *what;
};

/* The first that fits counts. */
static const struct known6 known6[] = {
		{{0}, 128, NOTHING, "unspecified (RFC 4291)"},
		{{[15] = 1}, 128, NOTHING, "loopback (RFC 4291)"},
		{{[10] = 0xff, [11] = 0xff}, 96, LAST4, "IPv4-mapped"},
		{{[8] = 0xff, [9] = 0xff}, 96, LAST4, "IPv4-translated"},
		{{0}, 96, LAST4, "IPv4-compatible"},
		{{0x00, 0x64, 0xff, 0x9b}, 96, LAST4, "NAT64"},
		{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, LOCAL64, "NAT64 of the local network (RFC 8215)"},
		{{0x20, 0x02}, 16, SIX4, "6to4"},
		{{0x20, 0x01}, 32, TEREDO, "Teredo"},
		{{0x20, 0x01, 0x00, 0x02}, 48, NOTHING, "for benchmarks (RFC 5180)"},
		{{0x20, 0x01, 0x0d, 0xb8}, 32, NOTHING, "for documentation (RFC 3849)"},
		{{0x20, 0x01}, 23, NOTHING, "for IETF protocols (RFC 2928)"},
		{{0x3f, 0xff}, 20, NOTHING, "for documentation (RFC 9637)"},
		{{0x20}, 3, NOTHING, NULL},
		{{0x01}, 64, NOTHING, "discarded (RFC 6666)"},
		{{0xfc}, 7, NOTHING, "private (RFC 4193)"},
		{{0xfe, 0x80}, 10, NOTHING, "link-local (RFC 4291)"},
		{{0xfe, 0xc0}, 10, NOTHING, "site-local (RFC 3879)"},
		{{0xff}, 8, NOTHING, "multicast (RFC 4291)"},
		{{0}, 0, NOTHING, "reserved (RFC 4291)"},
};

static bool within(const uint8_t *address, const uint8_t *net, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(address, net, bytes) == 0 && (rest == 0 || ((address[bytes] ^ net[bytes]) >> (8 - rest)) == 0);
}

static bool listed(const struct sb_guard *g, const uint8_t *address, bool v6)
{
	for(unsigned i = 0; i < g->count; i++) {
		if(g->net[i].v6 == v6 && within(address, g->net[i].address, g->net[i].bits))
			return true;
	}
	return false;
}

/* What an IPv4 address is, or NULL: public. */
static const char *kind4(const uint8_t a[4])
{
	for(size_t i = 0; i < sizeof(known4) / sizeof(known4[0]); i++) {
		uint32_t net = htonl(known4[i].net);

		if(within(a, (const uint8_t *)&net, known4[i].bits))
			return known4[i].what;
	}
	return NULL;
}

static bool judge4(const struct sb_guard *g, const uint8_t a[4], char *why)
{
	const char *what = kind4(a);
	char text[INET_ADDRSTRLEN];

	if(what == NULL || listed(g, a, false))
		return true;
	inet_ntop(AF_INET, a, text, sizeof(text));
	snprintf(why, SB_GUARD_WHY, "%s is %s; allow it with allow_addresses", text, what);
	return false;
}

/* The IPv4 address inside; false, with the reason, when it may not be dialled. */
static bool judge_inside(
		const struct sb_guard *g, const uint8_t a[4], const char *outer, const struct known6 *k, char *why)
{
	const char *what = kind4(a);
	char text[INET_ADDRSTRLEN];

	if(what == NULL || listed(g, a, false))
		return true;
	inet_ntop(AF_INET, a, text, sizeof(text));
	snprintf(why, SB_GUARD_WHY, "%s is %s and leads to %s, which is %s; allow it with allow_addresses", outer, k->what,
			text, what);
	return false;
}

static bool judge6(const struct sb_guard *g, const uint8_t a[16], char *why)
{
	const struct known6 *k = known6;
	char text[INET6_ADDRSTRLEN];
	uint8_t client[4];

	while(!within(a, k->net, k->bits))
		k++;
	if(k->what == NULL || listed(g, a, true))
		return true;
	inet_ntop(AF_INET6, a, text, sizeof(text));
	switch(k->inside) {
		case LAST4:
			return judge_inside(g, a + 12, text, k, why);
		case SIX4:
			return judge_inside(g, a + 2, text, k, why);
		case TEREDO:
			for(int i = 0; i < 4; i++)
				client[i] = a[12 + i] ^ 0xff;
			return judge_inside(g, client, text, k, why) && judge_inside(g, a + 4, text, k, why);
		case LOCAL64:
			if(listed(g, a + 12, false))
				return true;
			break;
		case NOTHING:
			break;
	}
	snprintf(why, SB_GUARD_WHY, "%s is %s; allow it with allow_addresses", text, k->what);
	return false;
}

bool sb_guard_allows(const struct sb_guard *g, const struct sockaddr *sa, socklen_t len, char why[static SB_GUARD_WHY])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	sa_family_t family = AF_UNSPEC;

	if(len >= offsetof(struct sockaddr, sa_family) + sizeof(family))
		memcpy(&family, (const uint8_t *)sa + offsetof(struct sockaddr, sa_family), sizeof(family));
	if(family == AF_INET && len >= sizeof(v4)) {
		memcpy(&v4, sa, sizeof(v4));
		return judge4(g, (const uint8_t *)&v4.sin_addr, why);
	}
	if(family == AF_INET6 && len >= sizeof(v6)) {
		memcpy(&v6, sa, sizeof(v6));
		return judge6(g, v6.sin6_addr.s6_addr, why);
	}
	snprintf(why, SB_GUARD_WHY, "an address of family %u is neither IPv4 nor IPv6", family);
	return false;
}

/* Decimal, without sign and leading zeros. @return -1: none, or more than max */
static int prefix_length(const char *s, int max)
{
	int n = 0;

	if(*s == '\0' || (*s == '0' && s[1] != '\0'))
		return -1;
	for(; *s != '\0'; s++) {
		if(*s < '0' || *s > '9')
			return -1;
		n = n * 10 + *s - '0';
		if(n > max)
			return -1;
	}
	return n;
}

static int parse_net(struct sb_guard_net *n, const char *item, char *why, size_t why_len)
{
	char address[64], text[INET6_ADDRSTRLEN];
	const char *slash = strchr(item, '/');
	uint8_t net[16] = {0};
	int most, bits;

	snprintf(address, sizeof(address), "%.*s", (int)(slash != NULL ? slash - item : (ptrdiff_t)strlen(item)), item);
	memset(n, 0, sizeof(*n));
	n->v6 = strchr(address, ':') != NULL;
	most = n->v6 ? 128 : 32;
	if(inet_pton(n->v6 ? AF_INET6 : AF_INET, address, n->address) != 1) {
		snprintf(why, why_len, "addresses and networks like 10.1.0.0/16 or fd00::/8 ; \"%.50s\" is neither", item);
		return -EINVAL;
	}
	bits = slash != NULL ? prefix_length(slash + 1, most) : most;
	if(bits < 0) {
		snprintf(why, why_len, "a prefix length of 0 to %d in \"%.50s\"", most, item);
		return -EINVAL;
	}
	n->bits = (uint8_t)bits;
	for(int i = 0; i < bits; i++)
		net[i / 8] |= n->address[i / 8] & (uint8_t)(0x80 >> i % 8);
	if(memcmp(net, n->address, (size_t)most / 8) != 0) {
		inet_ntop(n->v6 ? AF_INET6 : AF_INET, net, text, sizeof(text));
		snprintf(why, why_len, "%s/%d, or %s alone: \"%.50s\" has bits behind its prefix", text, bits, address, item);
		return -EINVAL;
	}
	return 0;
}

int sb_guard_parse(struct sb_guard *g, const char *text, char *why, size_t why_len)
{
	char item[64];

	memset(g, 0, sizeof(*g));
	text += strspn(text, " \t");
	if(*text == '\0')
		return 0;
	for(;;) {
		size_t n = strcspn(text, ", \t");

		if(n == 0 || n >= sizeof(item)) {
			snprintf(why, why_len,
					"networks separated by commas, like 10.1.0.0/16,127.0.0.1 ; at \"%.50s\" there is none", text);
			return -EINVAL;
		}
		if(g->count == SB_GUARD_NETS) {
			snprintf(why, why_len, "at most %u networks", SB_GUARD_NETS);
			return -EINVAL;
		}
		snprintf(item, sizeof(item), "%.*s", (int)n, text);
		if(parse_net(&g->net[g->count], item, why, why_len) != 0)
			return -EINVAL;
		g->count++;
		text += n + strspn(text + n, " \t");
		if(*text == '\0')
			return 0;
		if(*text != ',') {
			snprintf(why, why_len, "a comma between two networks; before \"%.50s\" there is none", text);
			return -EINVAL;
		}
		text += 1 + strspn(text + 1, " \t");
	}
}
