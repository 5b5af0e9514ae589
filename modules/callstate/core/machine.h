/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The call's state machine: one function for each thing that can be observed, each turning it into events.
 *
 * State only rises: set-up < answered < ended, with one exception: a 2xx overrules a failure (RFC 3261 16.7 lets it
 * pass at any time). Every function is idempotent for retransmissions. The caller holds the call's lock.
 */
#ifndef CS_MACHINE_H
#define CS_MACHINE_H

#include "call.h"
#include "sdp.h"
#include "sip_text.h"

struct cs_ctx;
/** Appends one record. @param a the attempt concerned, or NULL */
typedef void (*cs_emit_f)(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *ctx);

/** What surrounds an observation: the time, and the message behind it as far as there is one. */
struct cs_ctx
{
	uint64_t now;  /* wall clock, µs */
	uint64_t mono; /* monotonic clock, µs */
	cs_emit_f emit;
	void *arg;
	struct cs_span method, branch, reason;
	uint32_t cseq;
	uint16_t code;
	struct cs_span name, text; /* custom.*: its type and what the script said; holds: "owner=key" */
	bool inferred;             /* the event was proved by this message, not seen itself */
};

/** A reply to the INVITE, or what an in-dialog message carries. */
struct cs_msg
{
	uint16_t code;                 /* replies */
	bool local;                    /* made by this proxy: timer, send error, script */
	struct cs_span reason;         /* phrase */
	struct cs_span to_tag;         /* the callee's tag, whoever sent the message */
	struct cs_span contact, route; /* of a 2xx; route: set towards the callee, in order of use */
	struct cs_span dst;            /* "udp:192.0.2.7:5060" the branch went to */
	struct cs_span socket;         /* ours, towards that side */
	struct cs_reason why;          /* Reason header */
	bool has_sdp;
	struct cs_sdp sdp;
	struct cs_span media; /* MEDIA groups, as columns */
};

#define CS_AUTH_WAIT_US 10000000ull /* for a new INVITE with credentials after a 401, 407 or 422 */
#define CS_OVERTAKEN_US 2000000ull  /* a 200 that the callee's BYE overtook in another worker is here by then */
#define CS_ENDED_US 1000000ull      /* a call that a BYE ended and whose CDR is written: tm absorbs what is repeated */
#define CS_LINGER_US 5000000ull     /* an ended call without a transaction stays this long, to absorb stragglers */
#define CS_CANCEL_WAIT_US 32000000ull /* 64*T1: a cancelled set-up restored without its transaction */
#define CS_LIMIT_SLACK_US 40000000ull /* our BYEs are answered or timed out by then */

/** The record is filled in; the call begins. */
void cs_on_start(struct cs_call *c, const struct cs_ctx *x);
/** The same call goes on in a new transaction: credentials after a 401 or 407, or a retransmission after a restart. */
void cs_on_continue(struct cs_call *c, uint32_t cseq);
/** A branch is about to be sent. */
void cs_on_attempt(struct cs_call *c, unsigned branch, struct cs_span uri, const struct cs_ctx *x);
/** As a branch: the attempt of that number from before a restart, whose transaction is gone. */
#define CS_BRANCH_OLD 0x100u
/** A reply below 300 goes to the caller. */
void cs_on_reply(struct cs_call *c, unsigned branch, const struct cs_msg *m, const struct cs_ctx *x);
/** A branch has its final answer ≥ 300, received or ours. */
void cs_on_branch_final(struct cs_call *c, unsigned branch, const struct cs_msg *m, const struct cs_ctx *x);
/** The caller gets a final answer ≥ 300. */
void cs_on_final(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x);
void cs_on_cancel(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x);
/** ACK to the 2xx, with SDP if the offer was late. */
void cs_on_ack(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x);
void cs_on_bye(struct cs_call *c, enum cs_by by, const struct cs_msg *m, const struct cs_ctx *x);
/** A re-INVITE or UPDATE was accepted: the request, and its first 2xx. A refused one changed nothing. */
void cs_on_offer_done(struct cs_call *c, enum cs_by by, const struct cs_msg *offer, const struct cs_msg *answer,
		const struct cs_ctx *x);
/** The ACK's SDP after a re-INVITE without one: the answer to a late offer. */
void cs_on_late_answer(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x);
/** REFER: the request, its reply, and the NOTIFYs that tell how it went. */
void cs_on_refer(struct cs_call *c, enum cs_by by, const struct cs_refer *r, const struct cs_ctx *x);
void cs_on_refer_reply(struct cs_call *c, enum cs_by by, const struct cs_msg *m, const struct cs_ctx *x);
void cs_on_notify(struct cs_call *c, enum cs_by by, int code, struct cs_span reason, const struct cs_ctx *x);
/** The transaction is gone: whatever is still open about the set-up is decided now, and the CDR written. */
void cs_on_destroyed(struct cs_call *c, const struct cs_ctx *x);
/** The script's end without relay or reply, or with a stateless one (code > 0). */
void cs_on_script_end(struct cs_call *c, const struct cs_msg *m, const struct cs_ctx *x);

/** We give up a call in set-up; the adapter cancels its branches. @return false if it is not in set-up */
bool cs_cancel_begin(struct cs_call *c, enum cs_cause cause, const struct cs_ctx *x);
/** We end the call: marks it; the adapter then sends the BYEs. @return false if there is nothing to end */
bool cs_end_begin(struct cs_call *c, enum cs_cause cause, const struct cs_ctx *x);
/** One of our BYEs is done. @param code final code; 408 also where nothing came; 0 = it could not be sent */
void cs_end_reply(struct cs_call *c, enum cs_by side, int code, const struct cs_ctx *x);

enum cs_due
{
	CS_DUE_NOTHING,
	CS_DUE_FREE,  /* the record can go */
	CS_DUE_LIMIT, /* max_duration reached: cs_end_begin() and send BYEs */
	CS_DUE_AGAIN  /* deadline was moved */
};
/** deadline has passed. */
enum cs_due cs_on_deadline(struct cs_call *c, const struct cs_ctx *x);

/** A call came back from the log: sets its deadline and marks what is unknown. @param same_boot monotonic times hold */
void cs_on_restored(struct cs_call *c, uint64_t now, uint64_t mono, bool same_boot, uint64_t setup_timeout_us);

enum cs_outcome cs_outcome_of(unsigned code);

#endif
