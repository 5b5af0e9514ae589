/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The adapter's inside: shared state, the table of calls, and what its parts offer each other.
 * Other modules see callstate_api.h only.
 */
#ifndef CALLSTATE_H
#define CALLSTATE_H

#include "core/sr_module.h"
#include "core/parser/msg_parser.h"
#include "core/locking.h"
#include "modules/tm/tm_load.h"
#include "modules/rr/api.h"
#include "callstate_api.h"
#include "core/call.h"
#include "core/machine.h"
#include "core/record.h"
#include "core/rpc.h"

#define CS_BUCKETS 2048u
#define CS_CHUNK 16u /* calls allocated at a time */
#define CS_LISTENERS 8u
#define CS_OWNERS 8u

/** Counters since start, all in shared memory. */
struct cs_counters
{
	_Atomic uint64_t calls, answered, failed, timeouts, restored, untracked, inferred;
	_Atomic uint64_t events, lost;          /* written; refused by the log */
	_Atomic int64_t active, restored_setup; /* open calls; restored ones without a transaction still in set-up */
};

struct cs_shared
{
	struct cs_counters n;
	_Atomic uint64_t
			stalled_since; /* monotonic µs: something is to be moved to the journal, and nothing moves; 0 = fine */
	uint32_t max;          /* most calls at a time */
	_Atomic uint32_t made; /* records that exist; they are never given back */
	uint32_t free;         /* index + 1 of the first free record */
	gen_lock_t free_lock;
	gen_lock_t lock[CS_BUCKETS];
	uint32_t head[CS_BUCKETS]; /* index + 1 */
	struct cs_call **chunk;
	_Atomic uint64_t *due; /* deadline of each record, side by side: a tick over 10,000 calls reads 80 kB, not 40 MB */
	struct sb_log_shared log;
};

/** Parameters; their table, defaults and bounds are in callstate_mod.c. */
struct cs_params
{
	str spool_dir, journal_dir;
	int calls_max, setup_timeout, max_duration, sync_ms, checkpoint_s, auto_start;
	int segment_size, spool_limit, journal_keep, journal_limit; /* MiB */
};

extern struct cs_params cs_params;
extern struct cs_shared *cs_sh;
extern struct sb_log cs_log;
extern struct tm_binds cs_tm;

/* cs_table.c: calls by Call-ID. "Locked" = the bucket's lock is held; give the call back with cs_put(). Never call tm or
 * anything that may lock while holding it. */
int cs_table_init(unsigned max);
uint64_t cs_hash(const char *call_id, size_t len);
/** A free record, cleared, linked and locked; NULL: all are taken. The caller has the bucket locked with cs_lock(). */
struct cs_call *cs_new_locked(uint64_t hash);
void cs_lock(uint64_t hash);
/** Where no call was changed; a call that was is given back with cs_put(), by its old hash if it was freed. */
void cs_unlock(uint64_t hash);
/** Unlocks a call. What the timer looks at is brought up to date here, and nowhere else once there are workers. */
void cs_put(struct cs_call *c);
/** The timer's copy of the deadline; for cs_put(), cs_free_locked() and the restore. */
void cs_due_set(const struct cs_call *c);
/** First call of that Call-ID and caller's tag, those that are not over first. The bucket is locked. */
struct cs_call *cs_find_locked(uint64_t hash, const str *call_id, const str *from_tag);
/** Unlinks and frees; still locked afterwards. */
void cs_free_locked(struct cs_call *c);
/** A name that outlives the record: cs_get() gives NULL once it is reused. Bits: generation 32, side 1 (cs_end.c),
 * transaction 7 (cs_tm.c), index + 1 24. */
#define CS_REF_INDEX 0xffffffu
#define CS_REF_TXN 24
#define CS_TXN_MASK 0x7fu
uint64_t cs_ref(const struct cs_call *c);
/** Locked, or NULL (not locked). */
struct cs_call *cs_get(uint64_t ref);
/** i-th record, i < cs_sh->made; look at gen (odd = in use) and hash, then cs_lock(hash) and look again. */
struct cs_call *cs_at(uint32_t i);
/** Copies a call out. @param i as cs_at() @return true if it is in use */
bool cs_copy_at(uint32_t i, struct cs_call *copy);
/** By our id (36 characters) or by SIP Call-ID, the newest. @return its ref, 0 = there is none */
uint64_t cs_search(const char *id, size_t len, struct cs_call *copy);
/** The call a message belongs to, either direction. Locked, or NULL. @param by who sent it; may be NULL */
struct cs_call *cs_of_msg(struct sip_msg *msg, enum cs_by *by);

/* cs_emit.c */
void cs_emit(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x);
/** The time, and the message's layers. @param msg may be NULL or FAKED_REPLY */
void cs_context(struct cs_ctx *x, struct sip_msg *msg);
uint64_t cs_now(void);
uint64_t cs_mono(void);

/* cs_msg.c: from a SIP message to the core's words. buf: where MEDIA columns are written */
#define CS_MEDIA_BUF 640
#define CS_ADDRESS_MAX 80
struct cs_msgbuf
{
	struct cs_msg m;
	char media[CS_MEDIA_BUF];
	char route[512];
	char dst[CS_ADDRESS_MAX];
};
struct cs_span cs_span_of(str s);
void cs_msg_request(struct cs_msgbuf *b, struct sip_msg *msg);
void cs_msg_reply(struct cs_msgbuf *b, struct sip_msg *rpl, int code);
/** Adds where the reply came from. */
void cs_msg_dst(struct cs_msgbuf *b, struct sip_msg *rpl);
/** Fills a new call from its INVITE. */
void cs_fill(struct cs_call *c, struct sip_msg *msg);
/** "udp:192.0.2.1:5060" @param ip as Kamailio writes it */
struct cs_span cs_address(char buf[CS_ADDRESS_MAX], int proto, const char *ip, unsigned port);
/** Call-ID, To with its tag, CSeq, and where From is. @return 0 or -1 */
int cs_parse_dialog_headers(struct sip_msg *msg);
/** Needs cs_parse_dialog_headers(). */
str cs_from_tag(struct sip_msg *msg);

/* cs_tm.c, cs_dialog.c, cs_stateless.c */
int cs_tm_init(void);
int cs_dialog_init(void);
int cs_stateless_init(void);
int cs_on_stateless_reply(struct sip_msg *msg);
/** Starts tracking the INVITE. @return 1, or -1: not an initial INVITE, or no room (counted) */
int cs_start(struct sip_msg *msg);
/** Remembers that this process's script started a call with this message, until the script's end. @param ref 0: no room */
void cs_started(struct sip_msg *msg, uint64_t ref);
/** @return the call's ref, or 0 */
uint64_t cs_was_started(struct sip_msg *msg);
/** A transaction reports on it: the script's end has nothing to say. */
void cs_was_attached(struct sip_msg *msg);
/** The script wanted a call to be followed, and there was no room. */
bool cs_was_refused(struct sip_msg *msg);
/** In-dialog transaction of a request that rr has just matched. */
void cs_dialog_attach(struct cell *t, struct sip_msg *msg);

/* cs_transfer.c: which new call a transfer leads to. A link is found while the new call is locked, and told to the
 * transferred call by cs_transfer_linked() once no lock is held. */
int cs_transfer_init(void);
void cs_transfer_asked(const struct cs_call *c, const struct cs_refer *r);
void cs_transfer_link(struct cs_call *c, struct sip_msg *msg);
void cs_transfer_linked(void);

/* cs_end.c: BYE to both sides, or CANCEL in set-up. @return 0, -ENOENT, -EALREADY, -EIO */
int cs_end_call(uint64_t ref, enum cs_cause cause);
/** @param ref 0: nobody is told how it went */
void cs_send_bye(const struct cs_call *copy, uint64_t ref, enum cs_by side);
/** Hears how a BYE ends that another module sends. @param side who gets it */
void cs_watch_bye(struct cell *t, uint64_t ref, enum cs_by side);

/* cs_beside.c: BYEs of other modules, and dialog, which must send them to know of them */
int cs_beside_init(void);
/** Between true and false, what tm sends is ours. */
void cs_beside_ours(bool on);
/** dialog sends the BYEs, where it knows the call. @return bits 1 << CS_BY_…: the sides that it sent one to */
unsigned cs_beside_ends(const struct cs_call *copy);

/* cs_loser.c: the second dialog of a fork with two 200s */
int cs_loser_init(void);
/** The call is locked. @param m the second 2xx */
void cs_loser_add(const struct cs_call *c, const struct cs_msg *m);
void cs_loser_ended(const str *call_id, const str *to_tag);
void cs_loser_tick(uint64_t mono);

/* cs_restore.c: checkpoint and fold */
int cs_restore(void);
int cs_checkpoint(void);

/* cs_proc.c: the journal process and the timer */
int cs_proc_register(void);
int cs_proc_fork(void);
extern int cs_checkpoint_sink;

/* cs_func.c */
/** @return 0, -ENOENT, -EINVAL, -ENOSPC */
int cs_set(struct sip_msg *msg, const str *name, const str *value);
/** Applies what was set for this INVITE before its call began. */
void cs_set_early(struct cs_call *c, struct sip_msg *msg);
int cs_bind_api(callstate_api_t *api);
extern struct cs_listener
{
	callstate_listener_f f;
	void *arg;
} cs_listener[CS_LISTENERS];
extern unsigned cs_listeners;
void cs_release_holds(struct cs_call *c, unsigned attempt);

/* cs_rpc.c, cs_pv.c, cs_stats.c */
int cs_rpc_init(void);
int cs_stats_init(void);
int cs_pv_parse_name(pv_spec_p sp, str *in);
int cs_pv_get(struct sip_msg *msg, pv_param_t *param, pv_value_t *res);

#endif
