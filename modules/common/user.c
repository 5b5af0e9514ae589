/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "user.h"

#include <errno.h>
#include <unistd.h>

int sb_user_enter(int uid, int gid, struct sb_user *was)
{
	was->uid = geteuid();
	was->gid = getegid();
	if(gid > 0 && setegid((gid_t)gid) != 0)
		return -errno;
	if(uid > 0 && seteuid((uid_t)uid) != 0) {
		int err = errno;
		(void)!setegid(was->gid);
		return -err;
	}
	return 0;
}

void sb_user_leave(const struct sb_user *was)
{
	(void)!seteuid(was->uid);
	(void)!setegid(was->gid);
}
