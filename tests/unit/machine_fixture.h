/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be observed of the call of call_fixture.h, a line each; each lets some time pass. */
#ifndef MACHINE_FIXTURE_H
#define MACHINE_FIXTURE_H

#include "call_fixture.h"

static inline void start(void)
{
	struct cs_ctx x = now();

	cs_on_start(&call, &x);
	call.flags |= CS_F_ATTACHED;
	pass(1000);
}

static inline void attempt(unsigned branch)
{
	struct cs_ctx x = now();

	cs_on_attempt(&call, branch, SPAN("sip:agent@192.0.2.7"), &x);
	pass(1000);
}

static inline struct cs_msg reply_of(uint16_t code)
{
	return (struct cs_msg){.code = code, .dst = SPAN("udp:192.0.2.7:5060")};
}

static inline void reply(unsigned branch, uint16_t code)
{
	struct cs_msg m = reply_of(code);
	struct cs_ctx x = now();

	cs_on_reply(&call, branch, &m, &x);
	pass(SECOND);
}

static inline void early(unsigned branch)
{
	struct cs_msg m = reply_of(183);
	struct cs_ctx x = now();

	m.has_sdp = true;
	cs_on_reply(&call, branch, &m, &x);
	pass(SECOND);
}

static inline void answer_from(unsigned branch, struct cs_span tag)
{
	struct cs_msg m = reply_of(200);
	struct cs_ctx x = now();

	m.to_tag = tag;
	m.contact = SPAN("sip:bob@192.0.2.7:5060");
	cs_on_reply(&call, branch, &m, &x);
	pass(SECOND);
}

static inline void branch_final(unsigned branch, uint16_t code, bool local)
{
	struct cs_msg m = reply_of(code);
	struct cs_ctx x = now();

	m.local = local;
	m.reason = SPAN("Because");
	cs_on_branch_final(&call, branch, &m, &x);
	pass(1000);
}

static inline void final(uint16_t code, bool local)
{
	struct cs_msg m = {.code = code, .local = local, .reason = SPAN("Because")};
	struct cs_ctx x = now();

	cs_on_final(&call, &m, &x);
	pass(1000);
}

static inline void cancel(void)
{
	struct cs_msg m = {0};
	struct cs_ctx x = now();

	cs_on_cancel(&call, &m, &x);
	pass(1000);
}

static inline void ack(void)
{
	struct cs_msg m = {.to_tag = SPAN("a6c85cf")};
	struct cs_ctx x = now();

	cs_on_ack(&call, &m, &x);
	pass(1000);
}

static inline void bye(enum cs_by by)
{
	struct cs_msg m = {.to_tag = SPAN("a6c85cf")};
	struct cs_ctx x = now();

	cs_on_bye(&call, by, &m, &x);
	pass(1000);
}

static inline void destroyed(void)
{
	struct cs_ctx x = now();

	cs_on_destroyed(&call, &x);
}

static inline void script_ends(uint16_t code)
{
	struct cs_msg m = {.code = code, .local = true};
	struct cs_ctx x = now();

	cs_on_script_end(&call, &m, &x);
}

static inline enum cs_due deadline(void)
{
	struct cs_ctx x = now();

	return cs_on_deadline(&call, &x);
}

static inline bool end_begin(enum cs_cause cause)
{
	struct cs_ctx x = now();

	return cs_end_begin(&call, cause, &x);
}

static inline void end_reply(enum cs_by side, int code)
{
	struct cs_ctx x = now();

	cs_end_reply(&call, side, code, &x);
}

static inline bool cancel_begin(void)
{
	struct cs_ctx x = now();

	return cs_cancel_begin(&call, CS_C_RPC, &x);
}

/* All processes are killed; the call comes back without its transaction. */
static inline void restart(void)
{
	call.flags &= CS_F_LOGGED;
	cs_on_restored(&call, wall, mono, true, 200 * SECOND);
	records_seen = record_count;
}

static inline void ringing(void)
{
	start();
	attempt(0);
	reply(0, 180);
	records_seen = record_count;
}

static inline void answered(void)
{
	ringing();
	answer_from(0, SPAN("a6c85cf"));
	records_seen = record_count;
}

static inline void over_with(enum sb_state state, enum cs_outcome o, enum cs_by by, enum cs_cause cause)
{
	assert_string_equal(sb_state_name(state), sb_state_name(call.state));
	assert_string_equal(cs_outcome_name(o), cs_outcome_name(call.outcome));
	assert_string_equal(cs_by_name(by), cs_by_name(call.by));
	assert_string_equal(cs_cause_name(cause), cs_cause_name(call.cause));
}

#endif
