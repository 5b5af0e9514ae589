/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RPC: what calls there are, ending one, and how the log does. Calls are copied under their lock and shown outside. */
#include "cs_view.h"
#include "fields.h"

#include "core/rpc.h"
#include "core/rpc_lookup.h"

#define LIMIT_DEFAULT 50
#define SHOWN_MAX 512u /* bytes of one text */

/** One open reply: rc < 0 once something did not fit. */
struct view
{
	rpc_t *rpc;
	void *h; /* structure */
	uint64_t mono;
	int rc;
};

static void add_text(struct view *w, const char *name, const char *s, size_t len)
{
	char buf[SHOWN_MAX + 1];
	str v = {.s = buf};

	if(s == NULL || len == 0 || w->rc < 0)
		return;
	v.len = (int)(len < SHOWN_MAX ? len : SHOWN_MAX);
	memcpy(buf, s, (size_t)v.len);
	buf[v.len] = '\0';
	cs_clean(buf, (size_t)v.len);
	w->rc = w->rpc->struct_add(w->h, "S", name, &v);
}

static void add_line(struct view *w, const char *name, const char *s)
{
	add_text(w, name, s, strlen(s));
}

static void add_int(struct view *w, const char *name, int64_t v)
{
	if(w->rc < 0)
		return;
	if(v >= INT32_MIN && v <= INT32_MAX)
		w->rc = w->rpc->struct_add(w->h, "d", name, (int)v);
	else
		w->rc = w->rpc->struct_add(w->h, "L", name, (long long)v);
}

static void add_time(struct view *w, const char *name, uint64_t us)
{
	char buf[CS_VALUE_BUF];

	cs_time_text(buf, us);
	add_line(w, name, buf);
}

static void add_str(struct view *w, const char *name, const struct cs_call *c, struct cs_str s)
{
	add_text(w, name, cs_ptr(c, s), s.len);
}

static void add_fields(struct view *w, const struct cs_call *c, bool brief)
{
	for(const struct cs_field *f = cs_fields; f->name != NULL; f++) {
		struct cs_value v;
		if(brief && !f->brief)
			continue;
		cs_field_get(f, c, w->mono, &v);
		if(v.kind == CS_V_INT)
			add_int(w, f->name, (int64_t)v.n);
		else
			add_text(w, f->name, v.text.s, v.text.len);
	}
}

/** Seconds are too coarse for what happens within an attempt: times as they were, in UTC with microseconds. */
static void add_attempt(struct view *w, const struct cs_call *c, const struct cs_attempt *a)
{
	add_int(w, "n", a->n);
	add_str(w, "uri", c, a->uri);
	add_str(w, "destination", c, a->dst);
	add_str(w, "trunk", c, a->trunk);
	add_str(w, "agent", c, a->agent);
	add_time(w, "started", a->started);
	add_time(w, "ringing", a->ringing ? a->started + a->ringing : 0);
	add_time(w, "early_media", a->early ? a->started + a->early : 0);
	add_time(w, "answered", a->answered ? a->started + a->answered : 0);
	add_time(w, "ended", a->ended ? a->started + a->ended : 0);
	if(a->pdd)
		add_int(w, "pdd", (a->pdd + 500) / 1000);
	if(a->code) {
		add_int(w, "code", a->code);
		add_int(w, "local", (a->flags & CS_A_LOCAL) != 0);
	}
	add_str(w, "reason", c, a->reason);
	if(a->q850)
		add_int(w, "q850", a->q850);
}

static void add_attempts(struct view *w, const struct cs_call *c)
{
	void *list = NULL;

	if(w->rc < 0 || c->attempts_kept == 0)
		return;
	w->rc = w->rpc->struct_add(w->h, "[", "attempts_list", &list);
	for(unsigned i = 0; i < c->attempts_kept && w->rc >= 0; i++) {
		struct view one = {.rpc = w->rpc, .mono = w->mono};
		one.rc = w->rpc->array_add(list, "{", &one.h);
		add_attempt(&one, c, &c->attempt[i]);
		w->rc = one.rc;
	}
}

static void add_attributes(struct view *w, const struct cs_call *c)
{
	struct view inner = {.rpc = w->rpc};
	struct sb_in in;
	struct sb_field f;

	if(w->rc < 0 || c->text[CS_T_ATTRS].len == 0)
		return;
	inner.rc = w->rpc->struct_add(w->h, "{", "attributes", &inner.h);
	sb_in_init(&in, cs_ptr(c, c->text[CS_T_ATTRS]), c->text[CS_T_ATTRS].len);
	while(inner.rc >= 0 && sb_in_next(&in, &f) == 1) {
		char name[SHOWN_MAX + 1];
		const uint8_t *eq = memchr(f.data, '=', f.len);
		size_t n = eq != NULL ? (size_t)(eq - f.data) : 0;
		if(n == 0 || n > SHOWN_MAX)
			continue;
		memcpy(name, f.data, n);
		name[n] = '\0';
		cs_clean(name, n);
		add_text(&inner, name, (const char *)eq + 1, f.len - n - 1);
	}
	w->rc = inner.rc;
}

static void too_much(rpc_t *rpc, void *ctx)
{
	rpc->fault(ctx, 500,
			"The reply is larger than this transport's buffer: ask for fewer calls (callstate.calls LIMIT), "
			"or raise ctl's binrpc_max_body_size and binrpc_struct_max_body_size");
}

/** @return the number of that state, or -1 and a fault that names all */
static int state_of(rpc_t *rpc, void *ctx, const str *name)
{
	char known[160];
	size_t n = 0;

	for(unsigned i = SB_ST_CALLING; i <= SB_ST_TIMEOUT; i++) {
		const char *s = sb_state_name(i);
		if(strlen(s) == (size_t)name->len && memcmp(s, name->s, (size_t)name->len) == 0)
			return (int)i;
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n > 0 ? ", " : "", s);
	}
	rpc->fault(ctx, 400, "No state is called \"%.*s\"; the states are: %s", name->len > 40 ? 40 : name->len, name->s,
			known);
	return -1;
}

/** Without a state: what is open. A call that is over is kept for some seconds more. */
static bool wanted(const struct cs_call *c, int state)
{
	return state != 0 ? c->state == state : !cs_over(c);
}

/** One argument of callstate.calls: a number is the limit, a word a state. @return false and a fault */
static bool read_filter(rpc_t *rpc, void *ctx, const str *arg, int *limit, int *state)
{
	str v = *arg;
	unsigned n = 0;

	if(v.len <= 0 || v.s[0] < '0' || v.s[0] > '9')
		return (*state = state_of(rpc, ctx, arg)) > 0;
	if(str2int(&v, &n) < 0 || n < 1 || n > INT32_MAX) {
		rpc->fault(ctx, 400, "callstate.calls [LIMIT] [STATE]: LIMIT is a number from 1");
		return false;
	}
	*limit = (int)n;
	return true;
}

static void rpc_calls(rpc_t *rpc, void *ctx)
{
	struct view w = {.rpc = rpc, .mono = cs_mono()};
	int limit = LIMIT_DEFAULT, state = 0, shown = 0;
	uint32_t made = cs_sh->made;
	struct cs_call c;
	str arg;

	for(int i = 0; i < 2 && rpc->scan(ctx, "*.S", &arg) > 0; i++)
		if(!read_filter(rpc, ctx, &arg, &limit, &state))
			return;
	for(uint32_t i = 0; i < made && shown < limit; i++) {
		if(!wanted(cs_at(i), state) || !cs_copy_at(i, &c) || !wanted(&c, state))
			continue;
		w.rc = rpc->add(ctx, "{", &w.h);
		add_fields(&w, &c, true);
		if(w.rc < 0) {
			too_much(rpc, ctx);
			return;
		}
		shown++;
	}
}

/** Scans the id and finds the call. @return its ref, or 0 and a fault */
static uint64_t find(rpc_t *rpc, void *ctx, const char *usage, struct cs_call *copy)
{
	str id = STR_NULL;

	if(rpc->scan(ctx, ".S", &id) < 1 || id.len <= 0) {
		rpc->fault(ctx, 400, "%s: the call's id (UUID) or its SIP Call-ID is missing", usage);
		return 0;
	}
	uint64_t ref = cs_search(id.s, (size_t)id.len, copy);
	if(ref == 0)
		rpc->fault(ctx, 404, "No open call has the id or Call-ID \"%.*s\"; callstate.calls lists those that are open",
				id.len > 100 ? 100 : id.len, id.s);
	return ref;
}

static void rpc_call(rpc_t *rpc, void *ctx)
{
	struct view w = {.rpc = rpc, .mono = cs_mono()};
	struct cs_call c;

	if(find(rpc, ctx, "callstate.call ID", &c) == 0)
		return;
	w.rc = rpc->add(ctx, "{", &w.h);
	add_fields(&w, &c, false);
	add_attempts(&w, &c);
	add_attributes(&w, &c);
	if(w.rc < 0)
		too_much(rpc, ctx);
}

static void put_reason(uint64_t ref, const str *reason)
{
	struct cs_call *c = cs_get(ref);

	if(c == NULL)
		return;
	if(!cs_over(c) && !(c->flags & CS_F_ENDING))
		cs_text_set(c, CS_T_HANGUP_REASON, reason->s, (size_t)reason->len);
	cs_put(c);
}

static void rpc_end(rpc_t *rpc, void *ctx)
{
	struct view w = {.rpc = rpc};
	struct cs_call c;
	char id[37];
	str reason = STR_NULL;

	uint64_t ref = find(rpc, ctx, "callstate.end ID [REASON]", &c);
	if(ref == 0)
		return;
	if(rpc->scan(ctx, "*.S", &reason) > 0 && reason.len > 0)
		put_reason(ref, &reason);
	int rc = cs_end_call(ref, CS_C_RPC);
	sb_uuid_text(id, c.id);
	if(rc == -ENOENT || rc == -EALREADY) {
		rpc->fault(ctx, 409, "Call %s is %s", id, rc == -ENOENT || cs_over(&c) ? "over" : "being ended already");
	} else if(rc < 0) {
		rpc->fault(ctx, 500, "Call %s could not be ended: %s; Kamailio's log has more", id, strerror(-rc));
	} else {
		w.rc = rpc->add(ctx, "{", &w.h);
		add_line(&w, "id", id);
		add_text(&w, "sip_call_id", cs_ptr(&c, c.text[CS_T_SIP_CALL_ID]), c.text[CS_T_SIP_CALL_ID].len);
		add_line(&w, "sent", cs_in_setup(&c) ? "CANCEL" : "BYE");
	}
}

static void add_stat(const char *name, int64_t value, void *arg)
{
	add_int(arg, name, value);
}

static void rpc_stats(rpc_t *rpc, void *ctx)
{
	struct view w = {.rpc = rpc};

	w.rc = rpc->add(ctx, "{", &w.h);
	cs_stats_each(add_stat, &w);
	if(w.rc < 0)
		too_much(rpc, ctx);
}

/** A segment by the name of its file. */
static void add_segment(struct view *w, const char *name, uint64_t segment)
{
	char text[24];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)segment);
	add_line(w, name, segment != 0 ? text : "none");
}

/** Numbers of segments are dense within one start only, so that a distance is known only there. */
static void add_sinks(struct view *w)
{
	struct sb_log_shared *l = &cs_sh->log;
	uint64_t current = l->current;
	uint32_t sinks = l->sinks;
	void *list = NULL;

	if(w->rc < 0 || sinks == 0)
		return;
	w->rc = w->rpc->struct_add(w->h, "[", "sinks", &list);
	for(uint32_t i = 0; i < sinks && i < SB_LOG_SINKS && w->rc >= 0; i++) {
		struct view one = {.rpc = w->rpc};
		uint64_t needs = l->sink_segment[i];
		one.rc = w->rpc->array_add(list, "{", &one.h);
		add_line(&one, "name", l->sink_name[i]);
		add_segment(&one, "segment", needs);
		if(needs <= current && needs >> 32 == current >> 32)
			add_int(&one, "segments_behind", (int64_t)(current - needs));
		w->rc = one.rc;
	}
}

static void rpc_journal(rpc_t *rpc, void *ctx)
{
	struct view w = {.rpc = rpc};
	struct sb_log_shared *l = &cs_sh->log;
	char alarm[768];

	w.rc = rpc->add(ctx, "{", &w.h);
	add_line(&w, "node", cs_log.node);
	add_int(&w, "epoch", cs_log.epoch);
	add_int(&w, "records", (int64_t)l->records);
	add_line(&w, "spool_dir", cs_log.cfg.spool_dir);
	add_int(&w, "spool_bytes", (int64_t)l->spool_bytes);
	add_int(&w, "spool_limit", (int64_t)cs_log.cfg.spool_limit);
	add_line(&w, "journal_dir", cs_log.cfg.journal_dir);
	add_int(&w, "journal_bytes", (int64_t)l->journal_bytes);
	add_int(&w, "journal_limit", (int64_t)cs_log.cfg.journal_limit);
	add_int(&w, "journal_segments", (int64_t)l->journal_segments);
	add_int(&w, "journal_lag", (int64_t)cs_journal_lag());
	add_time(&w, "journal_synced", l->last_sync_us);
	add_segment(&w, "segment", l->current);
	add_int(&w, "shed_extra", (int64_t)l->shed[SB_EXTRA]);
	add_int(&w, "shed_detail", (int64_t)l->shed[SB_DETAIL]);
	add_int(&w, "shed_keep", (int64_t)l->shed[SB_KEEP]);
	add_int(&w, "write_errors", (int64_t)l->failed);
	add_int(&w, "damaged", (int64_t)l->damaged);
	add_int(&w, "dropped_segments", (int64_t)l->dropped_segments);
	add_line(&w, "error", l->journal_errno != 0 ? strerror((int)llabs(l->journal_errno)) : "none");
	add_line(&w, "alarm", cs_journal_alarm(alarm, sizeof(alarm), cs_mono()) ? alarm : "none");
	add_sinks(&w);
	if(w.rc < 0)
		too_much(rpc, ctx);
}

static const char *doc_calls[] = {"Lists calls: callstate.calls [LIMIT] [STATE]", NULL};
static const char *doc_call[] = {
		"Everything about one call: callstate.call ID; ID is the call's id or its SIP Call-ID", NULL};
static const char *doc_end[] = {"Ends a call with a BYE to both sides, or a CANCEL: callstate.end ID [REASON]", NULL};
static const char *doc_stats[] = {"The statistics of callstate", NULL};
static const char *doc_journal[] = {"How the log does: spool, journal, what was shed, alarm, sinks", NULL};

static rpc_export_t rpc_cmds[] = {
		{"callstate.calls", rpc_calls, doc_calls, RET_ARRAY},
		{"callstate.call", rpc_call, doc_call, 0},
		{"callstate.end", rpc_end, doc_end, 0},
		{"callstate.stats", rpc_stats, doc_stats, 0},
		{"callstate.journal", rpc_journal, doc_journal, 0},
		{NULL, NULL, NULL, 0},
};

int cs_rpc_init(void)
{
	return rpc_register_array(rpc_cmds);
}
