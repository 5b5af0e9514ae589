/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log back into calls: what was written is what is known again, from whatever checkpoint the reading begins.
 * Random calls: SEED=… repeats those of a run. */
#include "machine_fixture.h"

#include <time.h>

#define CALLS 3000u
#define STEPS 60u

static uint64_t seed, state_of_random;
static struct cs_call shadow; /* folded from each record as it was written */

static uint32_t any(uint32_t below)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	state_of_random ^= state_of_random << 17;
	return (uint32_t)(state_of_random >> 33) % below;
}

static bool maybe(void)
{
	return any(2);
}

static enum cs_by someone(void)
{
	return maybe() ? CS_BY_CALLER : CS_BY_CALLEE;
}

#define ONE_OF(list) (list)[any(sizeof(list) / sizeof((list)[0]))]

static struct cs_span word(void)
{
	static const struct cs_span words[] = {{"Fine", 4}, {"", 0}, {"Request Terminated", 18}, {"x", 1}};

	return ONE_OF(words);
}

static struct cs_attempt *numbered(struct cs_call *c, unsigned n)
{
	for(unsigned i = 0; i < c->attempts_kept; i++)
		if(c->attempt[i].n == n)
			return &c->attempt[i];
	fail_msg("attempt %u is not in the folded call", n);
	return NULL;
}

/* The first column in which two records differ. */
static const char *difference(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	struct sb_in in[2];
	struct sb_field f = {0}, g;

	sb_in_init(&in[0], a, a_len);
	sb_in_init(&in[1], b, b_len);
	while(sb_in_next(&in[0], &f) == 1 && sb_in_next(&in[1], &g) == 1)
		if(f.col != g.col || f.len != g.len || memcmp(f.data, g.data, f.len) != 0)
			break;
	return sb_col_name(f.col);
}

/* Writes as the adapter does, folds what was written, and asks the folded call for the same record. */
static void write_and_fold(struct cs_call *c, uint16_t type, const struct cs_attempt *a, const struct cs_ctx *x)
{
	uint8_t again[PAYLOAD];
	struct sb_out out = {.p = again, .cap = sizeof(again)};
	const struct written *w = &records[record_count];

	write_record(c, type, a, x);
	cs_fold(&shadow, type, w->payload, w->len);
	shadow.last_by = c->last_by; /* said in the event that it causes, and never again */
	cs_encode(&shadow, type, a ? numbered(&shadow, a->n) : NULL, x, &out);
	if(out.len != w->len || memcmp(again, w->payload, out.len) != 0)
		fail_msg("the folded call would not have written the same %s (record %u): %s", sb_type_name(type), record_count,
				difference(w->payload, w->len, again, out.len));
}

static struct cs_ctx at(void)
{
	struct cs_ctx x = now();

	x.emit = write_and_fold;
	x.cseq = any(4);
	x.code = (uint16_t)any(700);
	x.method = SPAN("INVITE");
	return x;
}

static struct cs_span some_media(void)
{
	static uint8_t columns[200];
	struct sb_out out = {.p = columns, .cap = sizeof(columns)};

	for(unsigned i = 0; i <= any(2); i++) {
		size_t mark = sb_group_begin(&out, SB_C_MEDIA);

		sb_put_str(&out, SB_C_M_KIND, i ? "video" : "audio", 5);
		sb_put_u64(&out, SB_C_M_PORT, 10000 + any(10000));
		sb_group_end(&out, mark);
	}
	return (struct cs_span){(char *)columns, out.len};
}

static struct cs_msg some_message(uint16_t code)
{
	static const struct cs_span tags[] = {{"tag-one", 7}, {"another-tag", 11}, {"", 0}};
	static const struct cs_span contacts[] = {{"sip:bob@192.0.2.7", 17}, {"sip:bob@192.0.2.107:5070", 24}, {"", 0}};
	struct cs_msg m = {.code = code,
			.local = any(3) == 0,
			.reason = word(),
			.to_tag = ONE_OF(tags),
			.contact = ONE_OF(contacts),
			.dst = SPAN("udp:192.0.2.7:5060"),
			.socket = SPAN("udp:192.0.2.1:5060")};

	if(any(4) == 0) {
		m.why.q850 = (uint16_t)(1 + any(127));
		m.why.q850_text = word();
	}
	if(maybe()) {
		m.has_sdp = true;
		m.sdp.hold = maybe();
		m.sdp.print = 1 + any(3);
		m.media = some_media();
	}
	return m;
}

static unsigned some_branch(void)
{
	return any(3) | (any(8) == 0 ? CS_BRANCH_OLD : 0);
}

static void set_up_step(const struct cs_ctx *x)
{
	static const uint16_t provisional[] = {100, 180, 180, 183, 183, 182};
	static const uint16_t final_code[] = {486, 487, 408, 477, 500, 503, 407, 401, 404, 600};
	struct cs_msg m;

	switch(any(9)) {
		case 0:
		case 1:
			cs_on_attempt(&call, any(3), SPAN("sip:agent@192.0.2.7"), x);
			break;
		case 2:
		case 3:
			m = some_message(ONE_OF(provisional));
			cs_on_reply(&call, some_branch(), &m, x);
			break;
		case 4:
			m = some_message(200);
			cs_on_reply(&call, some_branch(), &m, x);
			break;
		case 5:
		case 6:
			m = some_message(ONE_OF(final_code));
			cs_on_branch_final(&call, some_branch(), &m, x);
			break;
		case 7:
			m = some_message(ONE_OF(final_code));
			cs_on_final(&call, &m, x);
			break;
		default:
			m = some_message(0);
			cs_on_cancel(&call, &m, x);
			break;
	}
}

static void dialog_step(const struct cs_ctx *x)
{
	struct cs_msg m = some_message(maybe() ? 200 : 603), other = some_message(200);
	static struct cs_refer r;

	switch(any(7)) {
		case 0:
			cs_on_ack(&call, &m, x);
			break;
		case 1:
		case 2:
			cs_on_offer_done(&call, someone(), &m, &other, x);
			break;
		case 3:
			cs_on_late_answer(&call, &m, x);
			break;
		case 4:
			r.uri = maybe() ? SPAN("sip:carol@192.0.2.8") : SPAN("sip:dave@192.0.2.18");
			r.attended = maybe();
			cs_on_refer(&call, someone(), &r, x);
			break;
		case 5:
			cs_on_refer_reply(&call, someone(), &m, x);
			break;
		default:
			cs_on_notify(&call, someone(), (int)any(700), word(), x);
			break;
	}
}

static void end_step(const struct cs_ctx *x)
{
	static const int codes[] = {200, 481, 408, 0};
	static const uint16_t stateless[] = {0, 403, 407, 100};
	struct cs_msg m = some_message(ONE_OF(stateless));

	switch(any(7)) {
		case 0:
			cs_on_bye(&call, someone(), &m, x);
			break;
		case 1:
			cs_on_destroyed(&call, x);
			break;
		case 2:
			cs_on_script_end(&call, &m, x);
			break;
		case 3:
			cs_cancel_begin(&call, CS_C_RPC, x);
			break;
		case 4:
			cs_end_begin(&call, maybe() ? CS_C_RPC : CS_C_MAX_DURATION, x);
			break;
		case 5:
			cs_end_reply(&call, someone(), ONE_OF(codes), x);
			break;
		default:
			if(any(4) == 0)
				cs_on_deadline(&call, x);
			break;
	}
}

static void restart_step(void)
{
	uint64_t hash = call.hash;

	call = shadow;
	call.hash = hash;
	if(maybe())
		mono = 50 * SECOND + any(1000000);
	cs_on_restored(&call, wall, mono, maybe(), 200 * SECOND);
	shadow = call;
}

static void hold_step(struct cs_ctx *x)
{
	char what[CS_HOLD_MAX + 1];
	unsigned attempt = 1 + any(3);

	if(maybe()) {
		snprintf(what, sizeof(what), "flow=trunk-%u", any(3));
		for(unsigned i = 0; i < call.holds; i++)
			if(call.hold[i].attempt == attempt && call.hold[i].what.len == strlen(what)
					&& memcmp(cs_ptr(&call, call.hold[i].what), what, strlen(what)) == 0)
				return;
		if(cs_hold_add(&call, attempt, what, strlen(what)) < 0)
			return;
		x->code = (uint16_t)attempt;
		x->text = (struct cs_span){what, strlen(what)};
		write_and_fold(&call, SB_X_HOLD, NULL, x);
	} else if(cs_hold_take(&call, attempt, what)) {
		x->code = (uint16_t)attempt;
		x->text = (struct cs_span){what, strlen(what)};
		write_and_fold(&call, SB_X_RELEASE, NULL, x);
	}
}

static void script_step(struct cs_ctx *x)
{
	static const char *const names[] = {"attr.a", "attr.b", "customer.vip"};
	const char *name = ONE_OF(names);
	struct cs_span value = word();

	switch(any(6)) {
		case 0:
			cs_attr_set(&call, name, strlen(name), value.s, value.len);
			break;
		case 1:
			cs_text_set(&call, maybe() ? CS_T_AGENT : CS_T_TRUNK, value.s, value.len);
			break;
		case 2:
			x->name = SPAN("custom.thing");
			x->text = word();
			write_and_fold(&call, SB_CUSTOM, NULL, x);
			break;
		case 3:
			if(cs_in_setup(&call))
				cs_on_continue(&call, call.invite_cseq + any(2));
			call.flags ^= CS_F_ATTACHED;
			break;
		case 4:
			memset(call.xfer_to, (int)(1 + any(200)), sizeof(call.xfer_to));
			break;
		default:
			hold_step(x);
			break;
	}
}

static void step(void)
{
	struct cs_ctx x = at();

	pass(1 + any(3000000));
	if(any(50) == 0)
		wall -= SECOND * 2;
	switch(any(10)) {
		case 0:
		case 1:
		case 2:
		case 3:
			set_up_step(&x);
			break;
		case 4:
		case 5:
		case 6:
			dialog_step(&x);
			break;
		case 7:
			end_step(&x);
			break;
		case 8:
			script_step(&x);
			break;
		default:
			if(any(6) == 0)
				restart_step();
			break;
	}
}

static void begin_call(uint64_t number)
{
	struct cs_ctx x;

	state_of_random = (seed + number) * 0x9e3779b97f4a7c15ull | 1;
	fresh(NULL);
	memset(&shadow, 0, sizeof(shadow));
	x = at();
	cs_on_start(&call, &x);
	call.flags |= CS_F_ATTACHED;
}

static size_t whole(const struct cs_call *c, uint8_t *payload)
{
	struct cs_ctx x = {.now = wall, .mono = mono};
	struct sb_out out = {.p = payload, .cap = PAYLOAD};

	cs_encode_whole(c, &x, &out);
	assert_false(out.overflow);
	return out.len;
}

static void fold_records(struct cs_call *c, unsigned from)
{
	for(unsigned i = from; i < record_count; i++)
		cs_fold(c, records[i].type, records[i].payload, records[i].len);
}

static void same_text(const struct cs_call *a, const struct cs_call *b, enum cs_text t)
{
	if(!cs_text_is(a, t, cs_ptr(b, b->text[t]), b->text[t].len))
		fail_msg("text %d differs: \"%.*s\" and \"%.*s\"", t, a->text[t].len, cs_ptr(a, a->text[t]), b->text[t].len,
				cs_ptr(b, b->text[t]));
}

static void same_attempts(const struct cs_call *a, const struct cs_call *b)
{
	assert_int_equal(a->attempts_total, b->attempts_total);
	assert_int_equal(a->attempts_kept, b->attempts_kept);
	for(unsigned i = 0; i < a->attempts_kept; i++) {
		const struct cs_attempt *p = &a->attempt[i], *q = &b->attempt[i];

		assert_int_equal(p->n, q->n);
		assert_int_equal(p->code, q->code);
		assert_int_equal(p->q850, q->q850);
		assert_int_equal(p->branch, q->branch);
		assert_int_equal(p->flags & (CS_A_LOCAL | CS_A_DONE), q->flags & (CS_A_LOCAL | CS_A_DONE));
		assert_int_equal(p->ringing, q->ringing);
		assert_int_equal(p->early, q->early);
		assert_int_equal(p->answered, q->answered);
		assert_int_equal(p->ended, q->ended);
		assert_int_equal(p->reason.len, q->reason.len);
	}
}

static void same_holds(const struct cs_call *a, const struct cs_call *b)
{
	assert_int_equal(a->holds, b->holds);
	for(unsigned i = 0; i < a->holds; i++) {
		bool found = false;

		for(unsigned j = 0; j < b->holds; j++)
			found |= a->hold[i].attempt == b->hold[j].attempt && a->hold[i].what.len == b->hold[j].what.len
					 && memcmp(cs_ptr(a, a->hold[i].what), cs_ptr(b, b->hold[j].what), a->hold[i].what.len) == 0;
		assert_true(found);
	}
}

/* All that a restart needs. */
static void same(const struct cs_call *a, const struct cs_call *b)
{
	static const enum cs_text texts[] = {CS_T_SIP_CALL_ID, CS_T_FROM_TAG, CS_T_TO_TAG, CS_T_FROM_URI, CS_T_TO_URI,
			CS_T_CONTACT_A, CS_T_CONTACT_B, CS_T_SOCKET_B, CS_T_XFER_TARGET, CS_T_XFER_REASON};

	assert_memory_equal(a->id, b->id, sizeof(a->id));
	assert_int_equal(a->sequence, b->sequence);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->flags & (CS_F_LOGGED & ~(unsigned)CS_F_WALL), b->flags & (CS_F_LOGGED & ~(unsigned)CS_F_WALL));
	assert_int_equal(a->started_at, b->started_at);
	assert_int_equal(a->ringing_at, b->ringing_at);
	assert_int_equal(a->early_at, b->early_at);
	assert_int_equal(a->answered_at, b->answered_at);
	assert_int_equal(a->ended_at, b->ended_at);
	assert_int_equal(a->xfer_code, b->xfer_code);
	assert_int_equal(a->xfer_by, b->xfer_by);
	assert_int_equal(a->max_duration, b->max_duration);
	for(unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		same_text(a, b, texts[i]);
	same_attempts(a, b);
	same_holds(a, b);
	if(cs_over(a)) {
		assert_int_equal(a->by, b->by);
		assert_int_equal(a->outcome, b->outcome);
		assert_int_equal(a->cause, b->cause);
		assert_int_equal(a->code, b->code);
		assert_int_equal(a->q850, b->q850);
		assert_int_equal(a->duration_us, b->duration_us);
		same_text(a, b, CS_T_HANGUP_REASON);
		same_text(a, b, CS_T_Q850_TEXT);
	}
}

static void folding_what_was_written_gives_the_call_that_wrote_it(void **state)
{
	(void)state;
	for(unsigned n = 0; n < CALLS; n++) {
		begin_call(n);
		for(unsigned i = 0; i < STEPS; i++)
			step();
		same(&call, &shadow);
		assert_int_equal(call.flags & CS_F_CDR_DONE, shadow.flags & CS_F_CDR_DONE);
	}
}

static void a_whole_record_is_the_whole_call(void **state)
{
	static struct cs_call back;
	uint8_t first[PAYLOAD], second[PAYLOAD];

	(void)state;
	for(unsigned n = 0; n < CALLS; n++) {
		begin_call(n);
		for(unsigned i = 0; i < 1 + n % STEPS; i++)
			step();
		size_t len = whole(&call, first);

		memset(&back, 0, sizeof(back));
		cs_fold(&back, SB_X_DIALOG, first, len);
		assert_int_equal(len, whole(&back, second));
		assert_memory_equal(first, second, len);
	}
}

/* The checkpoint's place in the log is older than what is in it: the reading begins before. */
static void a_checkpoint_and_an_overlapping_replay_give_the_same_call(void **state)
{
	static struct cs_call plain, resumed;
	uint8_t checkpoint[PAYLOAD];

	(void)state;
	for(unsigned n = 0; n < CALLS; n++) {
		unsigned place = 0, mark, taken;
		size_t len = 0;

		begin_call(n);
		mark = any(STEPS);
		taken = mark + any(STEPS - mark);
		for(unsigned i = 0; i < STEPS; i++) {
			if(i == mark)
				place = record_count;
			step();
			if(i == taken)
				len = whole(&call, checkpoint);
		}
		memset(&plain, 0, sizeof(plain));
		fold_records(&plain, 0);
		memset(&resumed, 0, sizeof(resumed));
		cs_fold(&resumed, SB_X_DIALOG, checkpoint, len);
		fold_records(&resumed, place);
		same(&plain, &resumed);
	}
}

static void replaying_what_was_read_already_changes_nothing(void **state)
{
	static struct cs_call once, twice;

	(void)state;
	for(unsigned n = 0; n < CALLS; n++) {
		begin_call(n);
		for(unsigned i = 0; i < STEPS; i++)
			step();
		memset(&once, 0, sizeof(once));
		fold_records(&once, 0);
		twice = once;
		fold_records(&twice, any(record_count));
		same(&once, &twice);
	}
}

static void more_attempts_than_are_kept_survive_an_overlapping_replay(void **state)
{
	static struct cs_call back;
	uint8_t checkpoint[PAYLOAD];
	size_t len;

	(void)state;
	begin_call(1);
	for(unsigned i = 0; i < 25; i++) {
		struct cs_ctx x = at();
		struct cs_msg m = {.code = 486};

		cs_on_attempt(&call, i, SPAN("sip:agent@192.0.2.7"), &x);
		cs_on_branch_final(&call, i, &m, &x);
	}
	len = whole(&call, checkpoint);
	memset(&back, 0, sizeof(back));
	cs_fold(&back, SB_X_DIALOG, checkpoint, len);
	fold_records(&back, 0);
	same(&call, &back);
	assert_int_equal(10, back.attempt[0].n);
}

static int choose_seed(void **state)
{
	const char *given = getenv("SEED");

	(void)state;
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("# SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
			cmocka_unit_test(folding_what_was_written_gives_the_call_that_wrote_it),
			cmocka_unit_test(a_whole_record_is_the_whole_call),
			cmocka_unit_test(a_checkpoint_and_an_overlapping_replay_give_the_same_call),
			cmocka_unit_test(replaying_what_was_read_already_changes_nothing),
			cmocka_unit_test(more_attempts_than_are_kept_survive_an_overlapping_replay),
	};
	return cmocka_run_group_tests(tests, choose_seed, NULL);
}
