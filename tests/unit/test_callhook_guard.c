/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which addresses may be dialled, and what the list of exceptions takes. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "guard_page.h"

static struct sb_guard guard_of(const char *list)
{
	struct sb_guard g;
	char why[200];

	if(sb_guard_parse(&g, list, why, sizeof(why)) != 0)
		fail_msg("%s: %s", list, why);
	return g;
}

static bool allowed(const char *list, const char *address, char why[SB_GUARD_WHY])
{
	struct sb_guard g = guard_of(list);
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};

	if(inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return sb_guard_allows(&g, (struct sockaddr *)&v4, sizeof(v4), why);
	assert_int_equal(1, inet_pton(AF_INET6, address, &v6.sin6_addr));
	return sb_guard_allows(&g, (struct sockaddr *)&v6, sizeof(v6), why);
}

static void what_is_not_public_is_refused_and_named(void **state)
{
	static const struct
	{
		const char *address, *what;
	} cases[] = {{"0.0.0.0", "this network"}, {"0.255.1.2", "this network"}, {"10.1.2.3", "private (RFC 1918)"},
			{"10.255.255.255", "private"}, {"100.64.0.1", "carrier NAT"}, {"100.127.255.255", "carrier NAT"},
			{"127.0.0.1", "loopback"}, {"127.255.255.254", "loopback"}, {"169.254.169.254", "metadata"},
			{"172.16.0.0", "private"}, {"172.31.255.255", "private"}, {"192.0.0.8", "IETF protocols"},
			{"192.0.2.1", "documentation"}, {"192.88.99.1", "6to4 relay"}, {"192.168.1.1", "private"},
			{"198.18.0.1", "benchmarks"}, {"198.19.255.255", "benchmarks"}, {"198.51.100.7", "documentation"},
			{"203.0.113.9", "documentation"}, {"224.0.0.1", "multicast"}, {"239.255.255.255", "multicast"},
			{"240.0.0.1", "reserved"}, {"255.255.255.254", "reserved"}, {"255.255.255.255", "broadcast"},
			{"::", "unspecified"}, {"::1", "loopback"}, {"fc00::1", "private (RFC 4193)"}, {"fdff::1", "private"},
			{"fe80::1", "link-local"}, {"febf::1", "link-local"}, {"fec0::1", "site-local"}, {"feff::1", "site-local"},
			{"ff02::1", "multicast"}, {"100::1", "discarded"}, {"2001:db8::1", "documentation"},
			{"3fff::1", "documentation"}, {"2001:2::1", "benchmarks"}, {"2001:20::1", "IETF protocols"},
			{"5f00::1", "reserved"}, {"4000::1", "reserved"}, {"::ffff:127.0.0.1", "leads to 127.0.0.1"},
			{"::ffff:10.0.0.1", "IPv4-mapped and leads to 10.0.0.1, which is private"},
			{"::ffff:0:c0a8:1", "leads to 192.168.0.1"}, {"::127.0.0.1", "IPv4-compatible"},
			{"::2", "leads to 0.0.0.2"}, {"64:ff9b::7f00:1", "NAT64 and leads to 127.0.0.1"},
			{"64:ff9b::a9fe:a9fe", "leads to 169.254.169.254"}, {"64:ff9b:1::7f00:1", "NAT64 of the local network"},
			{"64:ff9b:1::808:808", "NAT64 of the local network"}, {"64:ff9b:2::1", "reserved"},
			{"2002:7f00:1::1", "6to4 and leads to 127.0.0.1"}, {"2002:c0a8:101::", "leads to 192.168.1.1"},
			{"2001::80ff:fffe", "leads to 127.0.0.1"}, {"2001:0:a00:1::f7f7:f7f7", "leads to 10.0.0.1"}};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char why[SB_GUARD_WHY] = "";

		if(allowed("", cases[i].address, why))
			fail_msg("%s is allowed", cases[i].address);
		if(strncmp(why, cases[i].address, strlen(cases[i].address)) != 0 || strstr(why, cases[i].what) == NULL
				|| strstr(why, "; allow it with allow_addresses") == NULL)
			fail_msg("%s: %s", cases[i].address, why);
	}
}

static void public_addresses_are_allowed(void **state)
{
	static const char *const good[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255",
			"100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
			"172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
			"223.255.255.255", "2000::1", "2001:200::1", "2606:4700::1111", "2a00::1", "3fff:1000::1", "::ffff:8.8.8.8",
			"::8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2001:0:808:808::f7f7:f7f7"};
	char why[SB_GUARD_WHY] = "";

	(void)state;
	for(size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if(!allowed("", good[i], why))
			fail_msg("%s", why);
	}
}

static void a_listed_network_is_allowed_and_no_other(void **state)
{
	static const struct
	{
		const char *list, *address;
		bool allowed;
	} cases[] = {{"127.0.0.0/8", "127.0.0.1", true}, {"127.0.0.0/8", "128.0.0.1", true},
			{"127.0.0.0/8", "10.0.0.1", false}, {"127.0.0.0/8", "::1", false}, {"127.0.0.1", "127.0.0.1", true},
			{"127.0.0.1", "127.0.0.2", false}, {"127.0.0.1/32", "127.0.0.1", true}, {"10.1.0.0/16", "10.1.255.1", true},
			{"10.1.0.0/16", "10.2.0.1", false}, {"10.128.0.0/9", "10.127.0.1", false},
			{"10.128.0.0/9", "10.200.0.1", true}, {"0.0.0.0/0", "169.254.169.254", true}, {"0.0.0.0/0", "::1", false},
			{"10.0.0.0/8 , fd00::/8\t,::1", "fd12::1", true}, {"10.0.0.0/8,fd00::/8,::1", "::1", true},
			{"10.0.0.0/8,fd00::/8,::1", "fc00::1", false}, {"::/0", "fe80::1", true}, {"::/0", "127.0.0.1", false},
			{"127.0.0.0/8", "::ffff:127.0.0.1", true}, {"127.0.0.0/8", "64:ff9b::7f00:1", true},
			{"127.0.0.0/8", "2002:7f00:1::", true}, {"127.0.0.0/8", "64:ff9b:1::7f00:1", true},
			{"64:ff9b:1::/48", "64:ff9b:1::7f00:1", true}, {"10.0.0.0/8", "::ffff:127.0.0.1", false},
			{"::ffff:0:0/96", "::ffff:127.0.0.1", true}, {"::ffff:0:0/96", "127.0.0.1", false},
			{"127.0.0.0/8", "2001:0:a00:1::80ff:fffe", false},
			{"127.0.0.0/8,10.0.0.1", "2001:0:a00:1::80ff:fffe", true}};

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char why[SB_GUARD_WHY] = "";

		if(allowed(cases[i].list, cases[i].address, why) != cases[i].allowed)
			fail_msg("%s with %s: %s", cases[i].address, cases[i].list, why);
	}
}

static void a_bad_list_is_refused_with_what_would_be_right(void **state)
{
	static const struct
	{
		const char *list, *why;
	} cases[] = {{"localhost", "\"localhost\" is neither"}, {"10.1.2", "\"10.1.2\" is neither"}, {"0x7f.1", "neither"},
			{"2130706433", "neither"}, {"010.0.0.1", "neither"}, {"1.2.3.256", "neither"}, {"10.0.0.0/33", "0 to 32"},
			{"fd00::/129", "0 to 128"}, {"10.0.0.0/", "prefix length"}, {"10.0.0.0/08", "prefix length"},
			{"10.0.0.0/-1", "prefix length"}, {"10.0.0.0/8/8", "prefix length"},
			{"10.0.0.0/255.0.0.0", "prefix length"}, {"10.1.2.3/8", "10.0.0.0/8, or 10.1.2.3 alone"},
			{"fd00::1/8", "fd00::/8, or fd00::1 alone"}, {"127.0.0.1,", "there is none"}, {",", "there is none"},
			{"10.0.0.0/8 127.0.0.1", "a comma between"}, {"[::1]", "neither"}, {"::1%lo", "neither"},
			{"10.0.0.0/8;::1", "prefix length"}, {"/8", "neither"}, {"fe80::1::", "neither"},
			{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", "there is none"}};
	char many[SB_GUARD_NETS * 8 + 16] = "";
	struct sb_guard g;
	char why[200];

	(void)state;
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(-EINVAL, sb_guard_parse(&g, cases[i].list, why, sizeof(why)));
		if(strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].list, why);
	}
	for(unsigned i = 0; i < SB_GUARD_NETS; i++)
		strcat(many, "1.1.1.1,");
	strcat(many, "::1");
	assert_int_equal(-EINVAL, sb_guard_parse(&g, many, why, sizeof(why)));
	assert_non_null(strstr(why, "at most 64"));
	many[strlen(many) - 4] = '\0';
	assert_int_equal(0, sb_guard_parse(&g, many, why, sizeof(why)));
	assert_int_equal(SB_GUARD_NETS, g.count);
	assert_int_equal(0, sb_guard_parse(&g, " ", why, sizeof(why)));
	assert_int_equal(0, g.count);
}

static void an_address_that_is_cut_or_of_another_family_is_refused(void **state)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sb_guard g = guard_of("0.0.0.0/0,::/0");
	struct guard_page page;
	char why[SB_GUARD_WHY];

	(void)state;
	guard_open(&page, sizeof(v6));
	for(size_t n = 0; n <= sizeof(v4); n++)
		assert_int_equal(n == sizeof(v4), sb_guard_allows(&g, (void *)guard_put(&page, (char *)&v4, n), n, why));
	for(size_t n = 0; n <= sizeof(v6); n++)
		assert_int_equal(n == sizeof(v6), sb_guard_allows(&g, (void *)guard_put(&page, (char *)&v6, n), n, why));
	guard_close(&page);
	v4.sin_family = AF_UNIX;
	assert_false(sb_guard_allows(&g, (struct sockaddr *)&v4, sizeof(v4), why));
	assert_non_null(strstr(why, "family 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			cmocka_unit_test(what_is_not_public_is_refused_and_named),
			cmocka_unit_test(public_addresses_are_allowed),
			cmocka_unit_test(a_listed_network_is_allowed_and_no_other),
			cmocka_unit_test(a_bad_list_is_refused_with_what_would_be_right),
			cmocka_unit_test(an_address_that_is_cut_or_of_another_family_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
