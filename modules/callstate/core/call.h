/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * One call: everything that is known of it, in one bounded record without pointers, so that it can live in shared
 * memory, be copied, and be rebuilt from the log. No lock, no clock, no allocation in here.
 */
#ifndef CS_CALL_H
#define CS_CALL_H

#include <stddef.h>

#include "event.h"

#define CS_ATTEMPTS 16u /* kept in the record; older ones that have ended make room (they stay in the log) */
#define CS_HOLDS 6u     /* kept for one call */
#define CS_ARENA \
	2048u /* bytes for all texts of one call; what finds and ends it (tags, targets, routes) has precedence */
#define CS_CALL_ID_MAX 255u /* of a SIP Call-ID; what is longer is told apart by its first 255 bytes */
#define CS_CALL_MAX 4096    /* a record is never larger */

/** Texts of a call. X(NAME, column, most bytes kept) — longer ones are clipped. */
#define CS_TEXTS(X)                                  \
	X(SIP_CALL_ID, SB_C_SIP_CALL_ID, CS_CALL_ID_MAX) \
	X(FROM_TAG, SB_C_FROM_TAG, 128)                  \
	X(TO_TAG, SB_C_TO_TAG, 128)                      \
	X(FROM_URI, SB_C_FROM_URI, 192)                  \
	X(FROM_NAME, SB_C_FROM_NAME, 80)                 \
	X(TO_URI, SB_C_TO_URI, 192)                      \
	X(TO_NAME, SB_C_TO_NAME, 80)                     \
	X(RURI, SB_C_RURI, 192)                          \
	X(DIRECTION, SB_C_DIRECTION, 16)                 \
	X(DID, SB_C_DID, 64)                             \
	X(FLOW, SB_C_FLOW, 64)                           \
	X(AGENT, SB_C_AGENT, 64)                         \
	X(TRUNK, SB_C_TRUNK, 64)                         \
	X(SOURCE, SB_C_SOURCE, 64)                       \
	X(CONTACT_A, SB_C_F_CONTACT_A, 255)              \
	X(CONTACT_B, SB_C_F_CONTACT_B, 255)              \
	X(ROUTE_A, SB_C_F_ROUTE_A, 400)                  \
	X(ROUTE_B, SB_C_F_ROUTE_B, 400)                  \
	X(SOCKET_A, SB_C_F_SOCKET_A, 64)                 \
	X(SOCKET_B, SB_C_F_SOCKET_B, 64)                 \
	X(HANGUP_REASON, SB_C_HANGUP_REASON, 64)         \
	X(Q850_TEXT, SB_C_Q850_TEXT, 64)                 \
	X(XFER_TARGET, SB_C_TRANSFER_TARGET, 192)        \
	X(XFER_REASON, SB_C_TRANSFER_REASON, 64)

enum cs_text
{
#define X(name, col, max) CS_T_##name,
	CS_TEXTS(X)
#undef X
			CS_T_MEDIA, /* MEDIA groups, as columns */
	CS_T_ATTRS,         /* ATTRIBUTE fields, as columns */
	CS_T_COUNT
};

struct cs_str
{
	uint16_t off, len; /* into the arena */
};

enum cs_by
{
	CS_BY_UNKNOWN,
	CS_BY_CALLER,
	CS_BY_CALLEE,
	CS_BY_PROXY
};

#define CS_OUTCOMES(X)            \
	X(NONE, "")                   \
	X(BUSY, "busy")               \
	X(REJECTED, "rejected")       \
	X(CANCELLED, "cancelled")     \
	X(UNAVAILABLE, "unavailable") \
	X(FORBIDDEN, "forbidden")     \
	X(NOT_FOUND, "not_found")     \
	X(ERROR, "error")             \
	X(NO_ANSWER, "no_answer")     \
	X(NO_RESPONSE, "no_response") \
	X(EXPIRED, "expired")

#define CS_CAUSES(X)                                                                  \
	X(NONE, "")                                                                       \
	X(BYE, "bye")                                                                     \
	X(CANCEL, "cancel")                                                               \
	X(BYE_BEFORE_ANSWER, "bye_before_answer")                                         \
	X(FINAL_REPLY, "final_reply")                                                     \
	X(NO_ANSWER, "no_answer")                                                         \
	X(NO_RESPONSE, "no_response")                                                     \
	X(SEND_ERROR, "send_error")                                                       \
	X(MAX_DURATION, "max_duration")                                                   \
	X(RPC, "rpc")                                                                     \
	X(DROPPED, "dropped") /* the script neither relayed nor answered */               \
	X(LOST, "lost")       /* set-up was cut by a restart and nothing came after it */ \
	X(REPLACED, "replaced")                                                           \
	X(OTHER_MODULE, "other_module") /* BYEs of the proxy that are not ours */

enum cs_outcome
{
#define X(name, text) CS_O_##name,
	CS_OUTCOMES(X)
#undef X
};

enum cs_cause
{
#define X(name, text) CS_C_##name,
	CS_CAUSES(X)
#undef X
};

enum cs_flag
{
	CS_F_CANCELLED = 1u << 0, /* the caller gave up */
	CS_F_RESTORED = 1u << 1,  /* came back from the log */
	CS_F_ENDING = 1u << 2,    /* we are sending BYEs */
	CS_F_INFERRED = 1u << 3,  /* the answer was proved by an ACK or BYE, not seen */
	CS_F_AUTH_WAIT = 1u << 4, /* 401, 407, 422 relayed: the caller may try again */
	CS_F_ATTACHED = 1u << 5,  /* a tm transaction reports on it */
	CS_F_CDR_DONE = 1u << 6,
	CS_F_WALL = 1u << 7, /* duration over a reboot */
	CS_F_HELD_A = 1u << 8,
	CS_F_HELD_B = 1u << 9,
	CS_F_OFFER_LATE = 1u << 13, /* no SDP in the re-INVITE: the ACK will say */
	CS_F_XFER_A = 1u << 14,     /* REFER of the caller is pending … */
	CS_F_XFER_B = 1u << 15,     /* … of the callee */
	CS_F_XFER_ATTENDED = 1u << 16,
	CS_F_ACK_UNKNOWN = 1u << 17, /* restored: whether the ACK came is not known */
	CS_F_BYE_OK = 1u << 18,      /* one side confirmed our BYE */
	CS_F_NO_CONTACT = 1u << 19,  /* a target or route set was too long: we cannot end this call */
	CS_F_BYE_A = 1u << 20,       /* our BYE to the caller is under way */
	CS_F_BYE_B = 1u << 21,
	CS_F_TWO_DIALOGS = 1u << 22, /* a second 200 of a fork came */
	CS_F_BYE_EARLY = 1u << 23    /* the callee's BYE overtook its 200 */
};
/** What of the flags outlives a restart. */
#define CS_F_LOGGED                                                                                              \
	(CS_F_CANCELLED | CS_F_INFERRED | CS_F_HELD_A | CS_F_HELD_B | CS_F_XFER_A | CS_F_XFER_B | CS_F_XFER_ATTENDED \
			| CS_F_NO_CONTACT | CS_F_WALL)

enum cs_attempt_flag
{
	CS_A_LOCAL = 1, /* the code is ours: timer or send error */
	CS_A_OLD = 2,   /* from before a restart: its branch number means nothing any more */
	CS_A_DONE = 4,
	CS_A_LOGGED = 8 /* its end stands in the log */
};

/** One branch. Times are µs after started, 0 = did not happen. */
struct cs_attempt
{
	uint64_t started; /* wall clock µs */
	uint32_t ringing, early, answered, ended, pdd;
	uint16_t n; /* 1, 2, 3… within the call */
	uint16_t code;
	uint16_t q850;
	uint8_t branch; /* tm's index */
	uint8_t flags;
	struct cs_str uri, reason, dst, trunk, agent;
};

/** Something that another module reserved for an attempt, as "owner=key". */
struct cs_hold
{
	uint16_t attempt; /* n */
	struct cs_str what;
};

struct cs_call
{
	/* place in the adapter's table */
	uint32_t gen;      /* raised at each reuse; odd = in use */
	uint32_t self;     /* its index */
	uint32_t next;     /* chain of the bucket or of the free list, index + 1 */
	uint64_t hash;     /* of the Call-ID */
	uint64_t deadline; /* monotonic µs at which the timer looks at it, 0 = never */

	uint8_t id[16];
	uint32_t sequence; /* of the newest event */
	uint32_t flags;    /* enum cs_flag */
	uint8_t state;     /* enum sb_state */
	uint8_t by, outcome, cause;
	uint16_t code, q850;
	uint32_t invite_cseq, cseq_a, cseq_b;
	uint32_t offer_cseq;   /* of the newest accepted offer, so that its retransmitted 2xx is known; */
	uint32_t offer_by;     /* and whose it was */
	uint32_t max_duration; /* s, 0 = none */
	uint32_t pdd;          /* µs */

	uint64_t started_at, ringing_at, early_at, answered_at, ack_at, ended_at; /* wall clock µs, 0 = not known */
	uint64_t mono_start, mono_answer, duration_us;                            /* monotonic µs */
	uint8_t xfer_from[16], xfer_to[16];
	uint16_t xfer_code;
	uint16_t attempts_total;
	uint8_t attempts_kept, holds;
	uint8_t txn;              /* which INVITE transaction speaks for the call: an older one may live on for a while */
	uint8_t xfer_by, last_by; /* enum cs_by: who asked for the transfer; who held, resumed, updated last */
	uint32_t media_print;     /* of the media in use; 0 = not known */

	uint16_t arena_len;
	struct cs_str text[CS_T_COUNT];
	/* from here on only what the counts above say is in use */
	struct cs_hold hold[CS_HOLDS];
	struct cs_attempt attempt[CS_ATTEMPTS];
	char arena[CS_ARENA];
};

_Static_assert(sizeof(struct cs_call) <= CS_CALL_MAX, "a call in progress costs at most 4 kB");

/** Empties the record; gen, next, hash stay. */
void cs_call_clear(struct cs_call *c);

static inline const char *cs_ptr(const struct cs_call *c, struct cs_str s)
{
	return c->arena + s.off;
}

/** A text of the call; not terminated. */
static inline const char *cs_text(const struct cs_call *c, enum cs_text t, size_t *len)
{
	*len = c->text[t].len;
	return c->arena + c->text[t].off;
}

bool cs_text_is(const struct cs_call *c, enum cs_text t, const char *s, size_t len);

/** Sets a text, clipped to its bound; MEDIA is kept whole or not at all. s may be a text of c. @return true if it was kept whole */
bool cs_text_set(struct cs_call *c, enum cs_text t, const char *s, size_t len);

/** The same for any string of the record, at most max ≤ 640 bytes. */
bool cs_str_set(struct cs_call *c, struct cs_str *dst, const char *s, size_t len, size_t max);

/** Sets or replaces an attribute. @return 0, -ENOSPC (512 bytes for all of a call's), -EINVAL (empty name, '=' in it) */
int cs_attr_set(struct cs_call *c, const char *name, size_t name_len, const char *value, size_t value_len);
/** @return the value's place, or NULL */
const char *cs_attr_get(const struct cs_call *c, const char *name, size_t name_len, size_t *len);

/** Adds a hold on attempt n. @param what "owner=key" @return 0, -ENOSPC (six of them, or no room for the text) */
int cs_hold_add(struct cs_call *c, unsigned attempt, const char *what, size_t len);
/** Takes one out: of attempt n, or any if 0. @param what ≥ CS_HOLD_MAX + 1 bytes, terminated @return false: none is left */
#define CS_HOLD_MAX 96u
bool cs_hold_take(struct cs_call *c, unsigned attempt, char *what);

/** The attempt of a live tm branch, or NULL. */
struct cs_attempt *cs_attempt_of(struct cs_call *c, unsigned branch);
/** Room for a new attempt; the oldest finished one goes if all are taken. NULL: sixteen are running. */
struct cs_attempt *cs_attempt_new(struct cs_call *c);
/** The newest attempt that still runs, or the newest of all, or NULL. */
struct cs_attempt *cs_attempt_last(struct cs_call *c);

const char *cs_by_name(unsigned by);
const char *cs_outcome_name(unsigned o);
const char *cs_cause_name(unsigned c);

static inline bool cs_answered(const struct cs_call *c)
{
	return c->state == SB_ST_CONFIRMED || c->state == SB_ST_HELD || c->state == SB_ST_TRANSFERRED;
}
static inline bool cs_in_setup(const struct cs_call *c)
{
	return c->state >= SB_ST_CALLING && c->state <= SB_ST_EARLY_MEDIA;
}
static inline bool cs_over(const struct cs_call *c)
{
	return c->state >= SB_ST_DISCONNECTED;
}

#endif
