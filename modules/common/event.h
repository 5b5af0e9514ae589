/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Events as typed binary columns: what a record of the log carries.
 *
 * A payload is a sequence of (column u8, kind u8, length u16, bytes), little endian. A column that is not there is
 * unknown, never zero. Readers skip columns they do not know. A group column holds columns of its own.
 */
#ifndef SB_EVENT_H
#define SB_EVENT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum sb_kind
{
	SB_STR = 1,  /* bytes as they came from the wire, any encoding; the renderer makes them valid UTF-8 */
	SB_U64 = 2,  /* 8 bytes */
	SB_TIME = 3, /* 8 bytes, µs since 1970 UTC */
	SB_UUID = 4, /* 16 bytes */
	SB_GROUP = 5
};

/* Record types. name is the event's `type`; the internal ones ("x.") stay in the journal and are never delivered.
 * X(NAME, number, "type", shed class) */
#define SB_TYPES(X)                                               \
	X(CALL_INITIATED, 1, "call.initiated", SB_KEEP)               \
	X(CALL_RINGING, 2, "call.ringing", SB_DETAIL)                 \
	X(CALL_EARLY_MEDIA, 3, "call.early_media", SB_DETAIL)         \
	X(CALL_ANSWERED, 4, "call.answered", SB_KEEP)                 \
	X(CALL_HELD, 5, "call.held", SB_DETAIL)                       \
	X(CALL_RESUMED, 6, "call.resumed", SB_DETAIL)                 \
	X(CALL_TRANSFERRED, 7, "call.transferred", SB_DETAIL)         \
	X(CALL_TRANSFER_FAILED, 8, "call.transfer_failed", SB_DETAIL) \
	X(CALL_ENDED, 9, "call.ended", SB_KEEP)                       \
	X(CALL_FAILED, 10, "call.failed", SB_KEEP)                    \
	X(CALL_TIMEOUT, 11, "call.timeout", SB_KEEP)                  \
	X(CALL_UPDATED, 12, "call.updated", SB_EXTRA)                 \
	X(CALL_CDR, 13, "call.cdr", SB_KEEP)                          \
	X(CALL_ROUTED, 14, "call.routed", SB_DETAIL)                  \
	X(CUSTOM, 15, "custom", SB_EXTRA) /* `type` is column NAME */ \
	X(X_START, 200, "x.start", SB_KEEP)                           \
	X(X_ATTEMPT, 201, "x.attempt", SB_KEEP)                       \
	X(X_DIALOG, 202, "x.dialog", SB_KEEP)                         \
	X(X_HOLD, 203, "x.hold", SB_KEEP)                             \
	X(X_RELEASE, 204, "x.release", SB_KEEP)                       \
	X(X_DELIVERY, 205, "x.delivery", SB_KEEP) /* in hooks/deliveries */

enum sb_type
{
#define X(name, n, text, shed) SB_##name = n,
	SB_TYPES(X)
#undef X
};

/* Columns. X(NAME, number, kind). JSON places are in json.c, one row each. */
#define SB_COLUMNS(X)                                                                                                  \
	/* the call */                                                                                                     \
	X(CALL_ID, 1, SB_UUID) /* ours, UUIDv7 */                                                                          \
	X(SEQUENCE, 2, SB_U64) /* 1, 2, 3… within the call; not on internal records */                                   \
	X(AT, 3, SB_TIME)      /* when it happened: the event's timestamp */                                               \
	X(STATE, 4, SB_U64)    /* enum sb_state, after this event */                                                       \
	X(SIP_CALL_ID, 5, SB_STR)                                                                                          \
	X(DIRECTION, 6, SB_STR) /* inbound, outbound, internal; as the script set it */                                    \
	X(FROM_URI, 7, SB_STR)                                                                                             \
	X(FROM_NAME, 8, SB_STR)                                                                                            \
	X(TO_URI, 9, SB_STR)                                                                                               \
	X(TO_NAME, 10, SB_STR)                                                                                             \
	X(RURI, 11, SB_STR) /* as the caller sent it */                                                                    \
	X(DID, 12, SB_STR)                                                                                                 \
	X(FLOW, 13, SB_STR)                                                                                                \
	X(AGENT, 14, SB_STR)                                                                                               \
	X(TRUNK, 15, SB_STR)                                                                                               \
	X(ATTRIBUTE, 16, SB_STR) /* "name=value", repeated; customer.* among them */                                       \
	X(SOURCE, 17, SB_STR)    /* "udp:192.0.2.1:5060": where the INVITE came from */                                    \
	X(STARTED_AT, 20, SB_TIME)                                                                                         \
	X(RINGING_AT, 21, SB_TIME)                                                                                         \
	X(ANSWERED_AT, 22, SB_TIME)                                                                                        \
	X(ENDED_AT, 23, SB_TIME)                                                                                           \
	X(ACK_AT, 24, SB_TIME)                                                                                             \
	X(DURATION_US, 25, SB_U64)   /* answer to end, monotonic clock */                                                  \
	X(DURATION_WALL, 26, SB_U64) /* 1: over a reboot, so from the wall clock */                                        \
	X(INFERRED, 27, SB_U64)      /* 1: proved by a later message, not seen itself */                                   \
	X(PDD_US, 28, SB_U64)        /* INVITE to first 18x, RFC 6076 SRD; the call's */                                   \
	X(EARLY_AT, 29, SB_TIME)                                                                                           \
	/* attempts: one for every branch tried */                                                                         \
	X(ATTEMPT, 30, SB_GROUP) /* the one concerned; on call.cdr every one */                                            \
	X(ATTEMPTS_TOTAL, 31, SB_U64)                                                                                      \
	X(A_N, 32, SB_U64) /* 1, 2, 3… */                                                                                \
	X(A_URI, 33, SB_STR)                                                                                               \
	X(A_CODE, 34, SB_U64) /* final SIP code; not there while it runs */                                                \
	X(A_REASON, 35, SB_STR)                                                                                            \
	X(A_LOCAL, 36, SB_U64) /* 1: the code is ours (timer, send error), nothing was received */                         \
	X(A_STARTED_AT, 37, SB_TIME)                                                                                       \
	X(A_RINGING_AT, 38, SB_TIME)                                                                                       \
	X(A_EARLY_AT, 39, SB_TIME)                                                                                         \
	X(A_ANSWERED_AT, 40, SB_TIME)                                                                                      \
	X(A_ENDED_AT, 41, SB_TIME)                                                                                         \
	X(A_PDD_US, 42, SB_U64)                                                                                            \
	X(A_DST, 43, SB_STR) /* "udp:192.0.2.7:5060" it was sent to */                                                     \
	X(A_TRUNK, 44, SB_STR)                                                                                             \
	X(A_AGENT, 45, SB_STR)                                                                                             \
	X(A_BRANCH, 46, SB_U64) /* tm branch index, for the fold */                                                        \
	X(A_Q850, 47, SB_U64)                                                                                              \
	/* how it ended */                                                                                                 \
	X(OUTCOME, 50,                                                                                                     \
			SB_STR) /* busy rejected cancelled unavailable forbidden not_found error; no_answer no_response expired */ \
	X(HANGUP_BY, 51, SB_STR)     /* caller callee proxy unknown */                                                     \
	X(HANGUP_CAUSE, 52, SB_STR)  /* bye cancel max_duration rpc final_reply no_answer no_response expired … */       \
	X(HANGUP_CODE, 53, SB_U64)   /* SIP code, if one ended it */                                                       \
	X(HANGUP_REASON, 54, SB_STR) /* its reason phrase */                                                               \
	X(Q850, 55, SB_U64)          /* Reason: Q.850;cause=, RFC 3326 */                                                  \
	X(Q850_TEXT, 56, SB_STR)                                                                                           \
	/* hold, transfer, media */                                                                                        \
	X(BY, 60, SB_STR)              /* caller callee: who held, resumed, transferred */                                 \
	X(TRANSFER_KIND, 61, SB_STR)   /* blind attended */                                                                \
	X(TRANSFER_TARGET, 62, SB_STR) /* Refer-To URI */                                                                  \
	X(TRANSFERRED_FROM, 63, SB_UUID)                                                                                   \
	X(TRANSFERRED_TO, 64, SB_UUID)                                                                                     \
	X(TRANSFER_CODE, 65, SB_U64) /* of the sipfrag, or of the refusal */                                               \
	X(TRANSFER_REASON, 66, SB_STR)                                                                                     \
	X(MEDIA, 67, SB_GROUP)     /* one for each m= line of the newest SDP */                                            \
	X(M_KIND, 68, SB_STR)      /* audio video image application */                                                     \
	X(M_DIRECTION, 69, SB_STR) /* sendrecv sendonly recvonly inactive */                                               \
	X(M_CODECS, 70, SB_STR)    /* "PCMU,telephone-event", in order of preference */                                    \
	X(M_ADDRESS, 71, SB_STR)                                                                                           \
	X(M_PORT, 72, SB_U64)                                                                                              \
	X(M_PROTO, 73, SB_STR) /* RTP/AVP, RTP/SAVP, … */                                                                \
	X(NAME, 74, SB_STR)    /* custom.*: the event's type */                                                            \
	X(TEXT, 75, SB_STR)    /* custom.*, call.routed: what the script said */                                           \
	/* the message behind it: method, transaction, dialog */                                                           \
	X(SIP_METHOD, 80, SB_STR)                                                                                          \
	X(SIP_BRANCH, 81, SB_STR) /* top Via branch of the request */                                                      \
	X(SIP_CSEQ, 82, SB_U64)                                                                                            \
	X(SIP_CODE, 83, SB_U64)                                                                                            \
	X(SIP_REASON, 84, SB_STR)                                                                                          \
	X(FROM_TAG, 85, SB_STR)                                                                                            \
	X(TO_TAG, 86, SB_STR)                                                                                              \
	/* what restoring a call needs; never rendered */                                                                  \
	X(F_CONTACT_A, 101, SB_STR) /* caller's target */                                                                  \
	X(F_CONTACT_B, 102, SB_STR)                                                                                        \
	X(F_ROUTE_A, 103, SB_STR) /* route set towards the caller */                                                       \
	X(F_ROUTE_B, 104, SB_STR)                                                                                          \
	X(F_CSEQ_A, 105, SB_U64) /* last CSeq the caller used */                                                           \
	X(F_CSEQ_B, 106, SB_U64)                                                                                           \
	X(F_FLAGS, 107, SB_U64)                                                                                            \
	X(F_SOCKET_A, 108, SB_STR) /* "udp:192.0.2.1:5060" we talk to the caller on */                                     \
	X(F_SOCKET_B, 109, SB_STR)                                                                                         \
	X(F_MONO_ANSWER, 110, SB_U64)  /* monotonic µs of the answer … */                                               \
	X(F_BOOT, 111, SB_UUID)        /* … of this boot */                                                              \
	X(F_MAX_DURATION, 112, SB_U64) /* seconds, 0 = none */                                                             \
	X(F_INVITE_CSEQ, 113, SB_U64)                                                                                      \
	X(F_MONO_START, 114, SB_U64)                                                                                       \
	X(HOLD, 120, SB_STR) /* "owner=key"; a checkpoint may hold several, each behind its attempt */                     \
	X(HOLD_ATTEMPT, 122, SB_U64)                                                                                       \
	X(NODE, 130, SB_STR) /* x.start */                                                                                 \
	X(VERSION, 131, SB_STR)                                                                                            \
	/* x.delivery: one webhook delivered, or given up; CALL_ID and SEQUENCE are the event's */                         \
	X(D_ENDPOINT, 140, SB_STR)                                                                                         \
	X(D_EPOCH, 141, SB_U64)                                                                                            \
	X(D_SEQ, 142, SB_U64)  /* record's sequence: with D_EPOCH the event's id */                                        \
	X(D_TYPE, 143, SB_U64) /* enum sb_type of the event */                                                             \
	X(D_TRIES, 144, SB_U64)                                                                                            \
	X(D_CODE, 145, SB_U64) /* HTTP status of the last try; not there if none came */                                   \
	X(D_ERROR, 146, SB_STR)                                                                                            \
	X(D_LATENCY_US, 147, SB_U64) /* event's timestamp to the receiver's 2xx */                                         \
	X(D_DELIVERED, 148, SB_U64)  /* 1 delivered, 0 given up */

enum sb_col
{
#define X(name, n, kind) SB_C_##name = n,
	SB_COLUMNS(X)
#undef X
};

/** The nine states. Order matters nowhere; names are the JSON's. */
#define SB_STATES(X)                   \
	X(NONE, 0, "")                     \
	X(CALLING, 1, "calling")           \
	X(RINGING, 2, "ringing")           \
	X(EARLY_MEDIA, 3, "early_media")   \
	X(CONFIRMED, 4, "confirmed")       \
	X(HELD, 5, "held")                 \
	X(TRANSFERRED, 6, "transferred")   \
	X(DISCONNECTED, 7, "disconnected") \
	X(FAILED, 8, "failed")             \
	X(TIMEOUT, 9, "timeout")

enum sb_state
{
#define X(name, n, text) SB_ST_##name = n,
	SB_STATES(X)
#undef X
};

#define SB_HEAD 4u /* bytes in front of a column's own */

/** Writing: never fails half-way; overflow is remembered and the whole record refused at the end. */
struct sb_out
{
	uint8_t *p;
	size_t len, cap;
	bool overflow;
};

/** Room for one column of len bytes, its head written. @return where the bytes go, or NULL: overflow */
static inline uint8_t *sb_room(struct sb_out *o, enum sb_col col, enum sb_kind kind, size_t len)
{
	uint32_t head = htole32((uint32_t)col | (uint32_t)kind << 8 | (uint32_t)len << 16);
	uint8_t *p = o->p + o->len;

	if(len > UINT16_MAX || o->cap - o->len < SB_HEAD + len) {
		o->overflow = true;
		return NULL;
	}
	memcpy(p, &head, SB_HEAD);
	o->len += SB_HEAD + len;
	return p + SB_HEAD;
}

static inline void sb_put(struct sb_out *o, enum sb_col col, enum sb_kind kind, const void *data, size_t len)
{
	uint8_t *p = sb_room(o, col, kind, len);

	if(p != NULL && len > 0)
		memcpy(p, data, len);
}

static inline void sb_put_u64(struct sb_out *o, enum sb_col col, uint64_t v)
{
	v = htole64(v);
	sb_put(o, col, SB_U64, &v, sizeof(v));
}

/** 0 = unknown: nothing is written */
static inline void sb_put_time(struct sb_out *o, enum sb_col col, uint64_t us)
{
	uint64_t v = htole64(us);

	if(us != 0)
		sb_put(o, col, SB_TIME, &v, sizeof(v));
}

/** Empty: nothing is written */
static inline void sb_put_str(struct sb_out *o, enum sb_col col, const char *s, size_t len)
{
	if(s != NULL && len > 0)
		sb_put(o, col, SB_STR, s, len);
}

/** All zero: nothing is written */
static inline void sb_put_uuid(struct sb_out *o, enum sb_col col, const uint8_t id[16])
{
	static const uint8_t none[16];

	if(memcmp(id, none, sizeof(none)) != 0)
		sb_put(o, col, SB_UUID, id, sizeof(none));
}

size_t sb_group_begin(struct sb_out *o, enum sb_col col); /* returns a mark for … */
void sb_group_end(struct sb_out *o, size_t mark);

/** Reading. */
struct sb_in
{
	const uint8_t *p;
	size_t len, at;
};
struct sb_field
{
	uint8_t col; /* enum sb_col, or a number this version does not know */
	uint8_t kind;
	uint16_t len;
	const uint8_t *data;
};
void sb_in_init(struct sb_in *in, const void *payload, size_t len);
/** @return 1 (field is set), 0 (end), -EBADMSG (lengths do not add up, or a fixed kind has the wrong length) */
int sb_in_next(struct sb_in *in, struct sb_field *f);
uint64_t sb_field_u64(const struct sb_field *f); /* U64, TIME */
/** First field of that column at the top level. @return true if it is there and well-formed */
bool sb_find(const void *payload, size_t len, enum sb_col col, struct sb_field *out);

const char *sb_type_name(uint16_t type); /* "call.ringing", or NULL */
enum sb_kind sb_col_kind(uint8_t col);   /* 0 if unknown */
const char *sb_col_name(uint8_t col);    /* "CALL_ID", or NULL */
const char *sb_state_name(unsigned state);
int sb_type_shed(uint16_t type); /* enum sb_shed */
static inline bool sb_type_internal(uint16_t type)
{
	return type >= 200;
}

/** UUIDv7 (RFC 9562) from milliseconds and 10 random bytes. */
void sb_uuid7(uint8_t out[16], uint64_t unix_ms, const uint8_t rnd[10]);
void sb_uuid_text(char out[37], const uint8_t id[16]);
/** @return 0 or -EINVAL */
int sb_uuid_parse(uint8_t out[16], const char *text);

#endif
