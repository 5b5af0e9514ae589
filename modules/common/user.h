/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modules are initialised while a Kamailio with -u is still root, and their files are written by the user it becomes: what
 * they make must belong to that user, and what that user may not do must be found then.
 */
#ifndef SB_USER_H
#define SB_USER_H

#include <sys/types.h>

struct sb_user
{
	uid_t uid;
	gid_t gid;
};

/**
 * Acts as uid and gid from here on, for the whole process.
 * @param uid, gid as Kamailio's core has them from -u and -g; 0 = stays
 * @param was for sb_user_leave()
 * @return 0; -errno: nothing has changed
 */
int sb_user_enter(int uid, int gid, struct sb_user *was);

void sb_user_leave(const struct sb_user *was);

#endif
