/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What the processes of callhook share, in memory of its own made before the fork: who lives, the endpoints, what is asked of delivery.
 *
 * A keeper writes its worker's record and, while no worker lives, the set of endpoints; the worker of delivery writes the status of
 * each endpoint; RPC processes write requests. Nobody waits for a lock here: a process that is killed holds none.
 */
#ifndef HOOK_SHARED_H
#define HOOK_SHARED_H

#include "hook.h"

#define HOOK_MAILS 8
#define HOOK_TEXT 8192 /* what was wrong with a table, one sentence a line */

/** A sink's process, as its keeper sees it. */
struct hook_worker
{
	_Atomic int32_t keeper, pid;   /* 0: none */
	_Atomic uint64_t started_at;   /* µs, this one */
	_Atomic uint64_t starts, ends; /* ends: that nobody had asked for */
	_Atomic uint64_t ended_at, next_at;
	_Atomic int32_t ended; /* the last such end, as waitpid() says it */
};

enum hook_reload_state
{
	HOOK_RELOAD_NONE,
	HOOK_RELOAD_ASKING, /* being filled in */
	HOOK_RELOAD_ASKED,
	HOOK_RELOAD_READING,
	HOOK_RELOAD_SWITCHING,
	HOOK_RELOAD_DONE,
	HOOK_RELOAD_REFUSED
};

struct hook_reload_record
{
	_Atomic uint32_t state;
	_Atomic uint64_t number; /* of the request; raised with each */
	_Atomic uint64_t at;     /* µs: asked, then ended */
	char by[64];
	unsigned added, removed, changed, same;
	unsigned errors;      /* sentences, also those that text has no room for */
	char text[HOOK_TEXT]; /* sentences, one a line */
};

struct hook_set
{
	unsigned count;
	struct sb_pos begin; /* of endpoints that are new in it; 0: the first record of this start */
	struct sb_endpoint ep[HOOK_ENDPOINTS_MAX];
};

enum hook_asked
{
	HOOK_ENABLE,
	HOOK_DISABLE,
	HOOK_REPLAY,
	HOOK_TEST
};

/** Something asked of the delivery process, and its answer. */
struct hook_mail
{
	_Atomic uint32_t state; /* hook_mail.c */
	enum hook_asked what;
	char endpoint[SB_ENDPOINT_ID_LEN];
	char text[128];
	uint32_t timeout_ms;
	/* the answer */
	int err;
	char why[300];
	uint64_t events, lost;
	uint32_t status, ms;
	char id[64];
};

struct hook_shared
{
	struct hook_worker worker[HOOK_SINKS];
	struct hook_reload_record reload;
	struct hook_mail mail[HOOK_MAILS];
	_Atomic uint32_t version;        /* of set and status: odd while the keeper changes them */
	_Atomic uint64_t gone[3];        /* delivered, failed, dead of endpoints that were removed */
	struct hook_set set, fresh;      /* fresh: what a reload has read */
	struct sb_deliver_status status; /* HOOK_ENDPOINTS_MAX behind it */
};
extern struct hook_shared *hook_shared;

/** What is shown of one endpoint: a copy. */
struct hook_view
{
	char id[SB_ENDPOINT_ID_LEN], url[SB_ENDPOINT_URL_LEN], description[SB_ENDPOINT_TEXT_LEN];
	struct sb_endpoint_status status;
};
/** All of one set, never a mixture of two. @return 0 or -ENOMEM; *out by malloc(), the caller's */
int hook_views(struct hook_view **out, unsigned *count);
/** True if the present set has it. @param id may be NULL-terminated anywhere behind len */
bool hook_has(const char *id, size_t len);

/** Asks the delivery process and waits, at most wait_ms. @return 0 (see m->err), -ETIMEDOUT, -EBUSY (too many ask) */
int hook_ask(struct hook_mail *m, unsigned wait_ms);
/** In the delivery process, once: what the one before it had begun is answered. */
void hook_mail_begin(void);
/** In the delivery process, between turns. */
void hook_mail_serve(struct sb_deliver *d);

/** From here on this process allocates nothing in Kamailio's shared memory, and so never holds its lock: it may be killed any time. */
void hook_leave_shared_memory(void);

/** A sink's table that can be read again. All of it is called by the keeper. */
struct hook_reload
{
	bool (*wanted)(void);            /* somebody asks for it: begins it */
	int (*load)(void);               /* in a child of the keeper's, that may be killed. @return 0: it is good */
	void (*failed)(const char *why); /* NULL: load() has said why */
	void (*switch_to)(void);         /* no worker lives */
	unsigned timeout_s;
};
/** Wakes the keeper of that sink. */
void hook_keeper_wake(const struct hook_sink *s);

/** hook_reload.c: asks for a reload. @return its number, or 0: one is under way */
uint64_t hook_reload_ask(const char *by);
extern const struct hook_reload hook_endpoints_reload;
int hook_endpoints_first(void); /* mod_init: the set that this start begins with */

#endif
