/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Everything the journal has on one call, put together. Pure: records in, a story out.
 */
#ifndef SB_CLI_STORY_H
#define SB_CLI_STORY_H

#include "json_parts.h"
#include "log.h"
#include "text.h"

struct story_event
{
	struct sb_rec rec; /* its payload belongs to the story */
	struct sb_fields fields;
};

struct story_attempt
{
	uint64_t n;
	struct sb_fields f; /* the newest value of each A_ column */
};

struct story
{
	uint8_t id[16];
	char call_id[37];
	struct story_event *event; /* in the order of the log */
	size_t events;
	struct story_attempt *attempt; /* by n */
	size_t attempts;
	struct sb_fields call; /* the newest value of each column */
	struct sb_fields end;  /* of the CDR, or of the event that ended the call; empty while it goes on */
	uint16_t
			end_type; /* CALL_ENDED, CALL_FAILED or CALL_TIMEOUT; 0: the call goes on, or its end is not in the journal */
};

void story_init(struct story *s, const uint8_t id[16]);
void story_free(struct story *s);
/** Takes a copy of one record of the call, in the order of the log. @return 0, -EBADMSG (not taken) or -ENOMEM */
int story_add(struct story *s, const struct sb_rec *rec);

/** How many delivered event records there are (internal ones left out). */
size_t story_event_count(const struct story *s);

bool story_rang(const struct story_attempt *a);
bool story_answered(const struct story *s);
/** Who was tried: trunk, agent, or where it was sent. */
struct text attempt_name(const struct story_attempt *a);
/** "192.0.2.7:5060" of "udp:192.0.2.7:5060"; "" if unknown */
struct text attempt_host(const struct story_attempt *a);
/** "no reply for 1.90 s", "180 at 200 ms · 200 at 1.40 s", "486 Busy Here at 1.10 s" */
struct text attempt_answers(const struct story *s, const struct story_attempt *a);

/** A line of the ladder. */
struct rung
{
	uint64_t at; /* µs; 0: unknown */
	enum
	{
		RUNG_PLAIN,
		RUNG_GOOD,
		RUNG_BAD
	} tone;
	char label[12];
	struct text text, more;
};

struct ladder
{
	struct rung *rung;
	size_t rungs, room;
};

/** @return 0 or -ENOMEM; ladder_free() in both cases */
int ladder_build(struct ladder *l, const struct story *s);
void ladder_free(struct ladder *l);
/** "14:02:07.114" for the first line, "+0.002" for the others: seconds after the first. */
struct text ladder_time(const struct ladder *l, size_t i);

struct verdict
{
	char cause[320]; /* one line */
	char next[320];  /* one step or command */
};

/** What the call's end means. Uses the tables of meanings.c. */
void diagnose(struct verdict *v, const struct story *s);

/** A SIP code or a Q.850 cause in plain words. */
struct meaning
{
	uint16_t code;
	const char *is;      /* "busy" */
	const char *usually; /* "the callee is on another call" */
	const char *next;    /* {host} {ip} {user} {name} {call} {sip} are filled in; NULL: none */
	const char *agent;   /* the same where an agent was tried, not a trunk; NULL: next */
};
const struct meaning *sip_meaning(
		uint64_t code); /* of the class (4xx…) if the code itself has no row; NULL: no SIP code */
const struct meaning *q850_meaning(uint64_t cause); /* NULL if unknown */

static inline uint64_t story_u64(const struct sb_fields *f, uint8_t col)
{
	return f->f[col].col != 0 ? sb_field_u64(&f->f[col]) : 0;
}
static inline bool story_has(const struct sb_fields *f, uint8_t col)
{
	return f->f[col].col != 0;
}
static inline bool story_is(const struct sb_fields *f, uint8_t col, const char *s)
{
	return f->f[col].col != 0 && f->f[col].len == strlen(s) && memcmp(f->f[col].data, s, f->f[col].len) == 0;
}

#endif
