/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What others ask of the delivery process: a few places in shared memory, taken without a lock. */
#include "hook_shared.h"

#include <errno.h>
#include <unistd.h>

enum
{
	MAIL_FREE,
	MAIL_FILLED, /* being filled in by who asks */
	MAIL_ASKED,  /* … and ready */
	MAIL_TAKEN,  /* the delivery process works on it */
	MAIL_ANSWERED,
	MAIL_LEFT /* taken, and nobody waits for the answer any more */
};

#define LOOK_US 2000

static struct hook_mail *take_place(void)
{
	for(unsigned i = 0; i < HOOK_MAILS; i++) {
		uint32_t is = MAIL_FREE;

		if(atomic_compare_exchange_strong(&hook_shared->mail[i].state, &is, MAIL_FILLED))
			return &hook_shared->mail[i];
	}
	return NULL;
}

static void wake_delivery(void)
{
	const uint64_t one = 1;

	if(write(hook_callstate.log->wake_fd, &one, sizeof(one)) < 0)
		LM_DBG("the delivery process sees it at its next turn\n");
}

/* @return true: it was answered in the last moment */
static bool give_up(struct hook_mail *place)
{
	uint32_t is = MAIL_ASKED;

	if(atomic_compare_exchange_strong(&place->state, &is, MAIL_FREE))
		return false;
	is = MAIL_TAKEN;
	return !atomic_compare_exchange_strong(&place->state, &is, MAIL_LEFT);
}

int hook_ask(struct hook_mail *m, unsigned wait_ms)
{
	struct hook_mail *place = take_place();

	if(place == NULL)
		return -EBUSY;
	place->what = m->what;
	place->timeout_ms = m->timeout_ms;
	memcpy(place->endpoint, m->endpoint, sizeof(place->endpoint));
	memcpy(place->text, m->text, sizeof(place->text));
	place->err = 0;
	place->why[0] = place->id[0] = '\0';
	place->events = place->lost = 0;
	place->status = place->ms = 0;
	atomic_store(&place->state, MAIL_ASKED);
	wake_delivery();
	for(uint64_t us = 0; atomic_load(&place->state) != MAIL_ANSWERED; us += LOOK_US) {
		if(us >= wait_ms * 1000ull && !give_up(place))
			return -ETIMEDOUT;
		usleep(LOOK_US);
	}
	memcpy((char *)m + sizeof(m->state), (char *)place + sizeof(place->state), sizeof(*m) - sizeof(m->state));
	atomic_store(&place->state, MAIL_FREE);
	return 0;
}

static void answer(struct hook_mail *m)
{
	uint32_t is = MAIL_TAKEN;

	if(!atomic_compare_exchange_strong(&m->state, &is, MAIL_ANSWERED))
		atomic_store(&m->state, MAIL_FREE);
}

void hook_mail_begin(void)
{
	for(unsigned i = 0; i < HOOK_MAILS; i++) {
		struct hook_mail *m = &hook_shared->mail[i];
		uint32_t state = atomic_load(&m->state);

		if(state != MAIL_TAKEN && state != MAIL_LEFT)
			continue;
		m->err = -ECONNRESET;
		snprintf(m->why, sizeof(m->why),
				"the delivery process ended while it worked on this; it has been started again");
		answer(m);
	}
}

static void tested(void *arg, const struct sb_deliver_tested *r)
{
	struct hook_mail *m = arg;

	m->status = r->status;
	m->ms = r->ms;
	snprintf(m->why, sizeof(m->why), "%s", r->error);
	snprintf(m->id, sizeof(m->id), "%s", r->id);
	answer(m);
}

static void serve(struct sb_deliver *d, struct hook_mail *m)
{
	m->endpoint[sizeof(m->endpoint) - 1] = m->text[sizeof(m->text) - 1] = '\0';
	switch(m->what) {
		case HOOK_ENABLE:
			m->err = sb_deliver_enable(d, m->endpoint, m->why, sizeof(m->why));
			break;
		case HOOK_DISABLE:
			m->err = sb_deliver_disable(d, m->endpoint, m->why, sizeof(m->why));
			break;
		case HOOK_REPLAY:
			m->err = sb_deliver_replay(d, m->endpoint, m->text, &m->events, &m->lost, m->why, sizeof(m->why));
			break;
		case HOOK_TEST:
			m->err = sb_deliver_test(d, m->endpoint, m->timeout_ms, tested, m, m->why, sizeof(m->why));
			if(m->err == 0)
				return; /* answered by tested() */
			break;
		default:
			m->err = -EINVAL;
	}
	answer(m);
}

void hook_mail_serve(struct sb_deliver *d)
{
	for(unsigned i = 0; i < HOOK_MAILS; i++) {
		uint32_t is = MAIL_ASKED;

		if(atomic_load_explicit(&hook_shared->mail[i].state, memory_order_relaxed) == MAIL_ASKED
				&& atomic_compare_exchange_strong(&hook_shared->mail[i].state, &is, MAIL_TAKEN))
			serve(d, &hook_shared->mail[i]);
	}
}
