/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What other modules get from callstate. Bind in mod_init: callstate_load_api(&cs).
 */
#ifndef CALLSTATE_API_H
#define CALLSTATE_API_H

#include "core/sr_module.h"
#include "core/parser/msg_parser.h"
#include "log.h"
#include "event.h"

/** Called in the process that appended the record, under the call's lock: be short, call nothing that waits. */
typedef void (*callstate_listener_f)(uint16_t type, const uint8_t *payload, size_t len, void *arg);

/** Gives back what a hold stands for; called exactly once for each hold, in any process. */
typedef void (*callstate_release_f)(const char *key, void *arg);

typedef struct callstate_api
{
	/** A custom.* event of the message's call. @param type begins with "custom." @return 0 or -errno (-ENOENT: no call) */
	int (*emit)(struct sip_msg *msg, const str *type, const str *text);
	/** Sets an attribute of the message's call, as callstate_set() does. @return 0, -ENOENT, -EINVAL (name), -ENOSPC */
	int (*annotate)(struct sip_msg *msg, const str *name, const str *value);
	/** Before the fork. @return 0 or -ENOSPC */
	int (*subscribe)(callstate_listener_f f, void *arg);
	/** Before the fork: who releases the holds of this owner. */
	int (*hold_owner)(const char *owner, callstate_release_f f, void *arg);
	/** Adds a hold to the message's call: released when the current attempt ends, or the call. @param key < 64 bytes */
	int (*hold)(struct sip_msg *msg, const char *owner, const char *key);
	/** After a restart, in mod_init of the owner or later: every hold of this owner that open calls still have. */
	int (*holds)(const char *owner, void (*each)(const char *key, void *arg), void *arg);

	/** The log. Valid from callstate's mod_init on; shared memory, directories, node uuid, wake_fd. */
	struct sb_log *log;
} callstate_api_t;

typedef int (*bind_callstate_f)(callstate_api_t *api);

static inline int callstate_load_api(callstate_api_t *api)
{
	bind_callstate_f bind = (bind_callstate_f)find_export("bind_callstate", 1, 0);
	if(bind == NULL) {
		LM_ERR("callstate is not loaded: put loadmodule \"callstate.so\" before this module\n");
		return -1;
	}
	return bind(api);
}

#endif
