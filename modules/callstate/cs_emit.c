/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the state machine to the log: number, encode, append, tell the listeners. */
#include "callstate.h"

#include <time.h>

#include "core/parser/parse_cseq.h"
#include "modules/tm/h_table.h"

#define PAYLOAD_MAX 16384u

struct sb_log cs_log;
struct cs_listener cs_listener[CS_LISTENERS];
unsigned cs_listeners;

static struct
{
	struct sb_rec_hdr hdr;
	uint8_t payload[PAYLOAD_MAX];
} record;

uint64_t cs_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t cs_mono(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void cs_context(struct cs_ctx *x, struct sip_msg *msg)
{
	memset(x, 0, sizeof(*x));
	x->now = cs_now();
	x->mono = cs_mono();
	x->emit = cs_emit;
	if(msg == NULL || msg == FAKED_REPLY)
		return;
	if(msg->first_line.type == SIP_REPLY) {
		x->code = (uint16_t)msg->first_line.u.reply.statuscode;
		x->reason = cs_span_of(msg->first_line.u.reply.reason);
	}
	if(msg->via1 && msg->via1->branch)
		x->branch = cs_span_of(msg->via1->branch->value);
	if(msg->cseq && msg->cseq->parsed) {
		unsigned cseq;

		x->method = cs_span_of(get_cseq(msg)->method);
		if(str2int(&get_cseq(msg)->number, &cseq) == 0)
			x->cseq = cseq;
	}
}

static void count(uint16_t type, bool inferred)
{
	switch(type) {
		case SB_CALL_INITIATED:
			cs_sh->n.calls++;
			break;
		case SB_CALL_ANSWERED:
			cs_sh->n.answered++;
			cs_sh->n.inferred += inferred;
			break;
		case SB_CALL_FAILED:
			cs_sh->n.failed++;
			break;
		case SB_CALL_TIMEOUT:
			cs_sh->n.timeouts++;
			break;
		default:
			break;
	}
}

static bool append(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x)
{
	struct sb_out out = {.p = record.payload, .cap = sizeof(record.payload)};
	bool numbered = !sb_type_internal(type);
	int class = sb_type_shed(type);

	if(sb_log_would_shed(&cs_log, class)) {
		cs_sh->log.shed[class]++;
		return false;
	}
	c->sequence += numbered;
	cs_encode(c, type, a, x, &out);
	if(out.overflow || sb_log_append(&cs_log, type, class, &record, (uint32_t)out.len, NULL) < 0) {
		c->sequence -= numbered;
		return false;
	}
	cs_sh->n.events += numbered;
	for(unsigned i = 0; i < cs_listeners; i++)
		cs_listener[i].f(type, record.payload, out.len, cs_listener[i].arg);
	return true;
}

void cs_emit(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x)
{
	bool attempt_over = a && (a->flags & CS_A_DONE) && a->code >= 300;
	unsigned n = attempt_over ? a->n : 0;

	if(!sb_type_internal(type))
		count(type, x->inferred);
	if(!append(c, type, a, x))
		cs_sh->n.lost++;
	if(c->holds && type != SB_X_RELEASE && (cs_over(c) || n))
		cs_release_holds(c, cs_over(c) ? 0 : n);
}
