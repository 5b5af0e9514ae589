/* SPDX-License-Identifier: GPL-2.0-or-later */
/** Findings, and what a test says of one. */
#ifndef DOCTOR_FIXTURE_H
#define DOCTOR_FIXTURE_H

#include "../../modules/cli/doctor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MIB (UINT64_C(1024) * 1024)
#define NOW UINT64_C(1769868000000000) /* 2026-01-31 14:00:00 */

static struct findings all;

static int begin(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	return 0;
}

/** The finding at a place: its level, a part of what was found, a part of the fix; "": no fix */
static void assert_finding(size_t i, enum level level, const char *found, const char *fix)
{
	assert_true(i < all.n);
	if(all.f[i].level != level)
		fail_msg("level %d, not %d: %s", all.f[i].level, level, all.f[i].found);
	if(strstr(all.f[i].found, found) == NULL)
		fail_msg("'%s' is not in '%s'", found, all.f[i].found);
	if(fix[0] == '\0' ? all.f[i].fix[0] != '\0' : strstr(all.f[i].fix, fix) == NULL)
		fail_msg("'%s' is not in the fix '%s'", fix, all.f[i].fix);
}

#define T(name) cmocka_unit_test_setup(name, begin)

#endif
