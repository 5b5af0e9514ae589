/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "make_journal.h"
#include "event.h"
#include "log.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define S 1000000ull
#define MS 1000ull

struct
try {
	unsigned n;
	const char *trunk, *agent, *uri, *dst;
	uint64_t start, ring, early, answer, end; /* µs after the INVITE; 0 = did not happen, start excepted */
	unsigned code, local, q850;
	const char *reason;
};

struct maker
{
	struct sb_log log;
	uint8_t buf[SB_LOG_MAX_RECORD];
	struct sb_out out;
	uint16_t type;
	enum made_call n;
	uint64_t t0, sequence;
	uint64_t seq[MADE_CALLS][16]; /* of the events written: for the deliveries */
	uint16_t types[MADE_CALLS][16];
	const char *from, *from_name, *to, *sip_call_id;
	uint64_t ringing, answered, ended, pdd;
	int err;
};

void made_id(uint8_t id[16], enum made_call n)
{
	const uint8_t rnd[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, (uint8_t)n};
	sb_uuid7(id, (MADE_AT + 60 * S * n) / 1000, rnd);
}

static void text(struct maker *m, enum sb_col col, const char *s)
{
	if(s != NULL)
		sb_put_str(&m->out, col, s, strlen(s));
}

static void time_at(struct maker *m, enum sb_col col, uint64_t after)
{
	if(after != 0)
		sb_put_time(&m->out, col, m->t0 + after);
}

static void put_try(struct maker *m, const struct try *t)
{
	size_t mark = sb_group_begin(&m->out, SB_C_ATTEMPT);
	sb_put_u64(&m->out, SB_C_A_N, t->n);
	text(m, SB_C_A_TRUNK, t->trunk);
	text(m, SB_C_A_AGENT, t->agent);
	text(m, SB_C_A_URI, t->uri);
	text(m, SB_C_A_DST, t->dst);
	sb_put_time(&m->out, SB_C_A_STARTED_AT, m->t0 + t->start);
	time_at(m, SB_C_A_RINGING_AT, t->ring);
	time_at(m, SB_C_A_EARLY_AT, t->early);
	time_at(m, SB_C_A_ANSWERED_AT, t->answer);
	time_at(m, SB_C_A_ENDED_AT, t->end);
	if(t->ring != 0)
		sb_put_u64(&m->out, SB_C_A_PDD_US, t->ring - t->start);
	if(t->code != 0)
		sb_put_u64(&m->out, SB_C_A_CODE, t->code);
	text(m, SB_C_A_REASON, t->reason);
	if(t->local != 0)
		sb_put_u64(&m->out, SB_C_A_LOCAL, 1);
	if(t->q850 != 0)
		sb_put_u64(&m->out, SB_C_A_Q850, t->q850);
	sb_group_end(&m->out, mark);
}

static void begin(struct maker *m, uint16_t type, uint64_t after, enum sb_state state)
{
	uint8_t id[16];
	made_id(id, m->n);
	m->type = type;
	m->out =
			(struct sb_out){.p = m->buf + sizeof(struct sb_rec_hdr), .cap = sizeof(m->buf) - sizeof(struct sb_rec_hdr)};
	sb_put_uuid(&m->out, SB_C_CALL_ID, id);
	text(m, SB_C_SIP_CALL_ID, m->sip_call_id);
	sb_put_time(&m->out, SB_C_AT, m->t0 + after);
	sb_put_u64(&m->out, SB_C_STATE, state);
	if(sb_type_internal(type))
		return;
	sb_put_u64(&m->out, SB_C_SEQUENCE, ++m->sequence);
	text(m, SB_C_FROM_URI, m->from);
	text(m, SB_C_FROM_NAME, m->from_name);
	text(m, SB_C_TO_URI, m->to);
	text(m, SB_C_RURI, m->to);
	text(m, SB_C_SOURCE, "udp:192.0.2.1:5060");
	sb_put_time(&m->out, SB_C_STARTED_AT, m->t0);
	time_at(m, SB_C_RINGING_AT, m->ringing);
	time_at(m, SB_C_ANSWERED_AT, m->answered);
	time_at(m, SB_C_ENDED_AT, m->ended);
	if(m->pdd != 0)
		sb_put_u64(&m->out, SB_C_PDD_US, m->pdd);
	text(m, SB_C_SIP_METHOD, type == SB_CALL_ENDED ? "BYE" : "INVITE");
	text(m, SB_C_FROM_TAG, "a1");
}

static void done(struct maker *m)
{
	uint64_t seq = 0;
	int rc =
			m->out.overflow ? -EOVERFLOW : sb_log_append(&m->log, m->type, SB_KEEP, m->buf, (uint32_t)m->out.len, &seq);
	if(rc < 0 && m->err == 0)
		m->err = rc;
	if(!sb_type_internal(m->type) && m->sequence <= 16) {
		m->seq[m->n][m->sequence - 1] = seq;
		m->types[m->n][m->sequence - 1] = m->type;
	}
}

static void call(struct maker *m, enum made_call n, const char *from, const char *to)
{
	static char sip_call_id[64];
	snprintf(sip_call_id, sizeof(sip_call_id), "made-%d@192.0.2.1", (int)n);
	m->n = n;
	m->t0 = MADE_AT + 60 * S * n;
	m->sequence = 0;
	m->from = from;
	m->from_name = NULL;
	m->to = to;
	m->sip_call_id = sip_call_id;
	m->ringing = m->answered = m->ended = m->pdd = 0;
}

static void initiated(struct maker *m)
{
	begin(m, SB_CALL_INITIATED, 0, SB_ST_CALLING);
	text(m, SB_C_DIRECTION, "inbound");
	done(m);
}

/** The record of an attempt's start: what came later is not known yet. */
static void started(struct maker *m, const struct try *t)
{
	struct try begun = {
			.n = t->n, .trunk = t->trunk, .agent = t->agent, .uri = t->uri, .dst = t->dst, .start = t->start};
	begin(m, SB_X_ATTEMPT, t->start, SB_ST_CALLING);
	put_try(m, &begun);
	done(m);
}

static void finished(struct maker *m, const struct try *t)
{
	begin(m, SB_X_ATTEMPT, t->end, SB_ST_CALLING);
	put_try(m, t);
	done(m);
}

static void rang(struct maker *m, const struct try *t)
{
	struct try now = *t;
	now.answer = now.end = now.code = now.local = now.q850 = 0;
	now.reason = NULL;
	if(m->ringing == 0) {
		m->ringing = t->ring;
		m->pdd = t->ring;
	}
	begin(m, SB_CALL_RINGING, t->ring, SB_ST_RINGING);
	put_try(m, &now);
	done(m);
}

static void answered(struct maker *m, const struct try *t)
{
	m->answered = t->answer;
	begin(m, SB_CALL_ANSWERED, t->answer, SB_ST_CONFIRMED);
	put_try(m, t);
	size_t mark = sb_group_begin(&m->out, SB_C_MEDIA);
	text(m, SB_C_M_KIND, "audio");
	text(m, SB_C_M_DIRECTION, "sendrecv");
	text(m, SB_C_M_CODECS, "PCMU,telephone-event");
	text(m, SB_C_M_ADDRESS, "192.0.2.8");
	sb_put_u64(&m->out, SB_C_M_PORT, 40000);
	text(m, SB_C_M_PROTO, "RTP/AVP");
	sb_group_end(&m->out, mark);
	done(m);
}

struct end
{
	uint16_t type;
	enum sb_state state;
	uint64_t after;
	const char *outcome, *by, *cause, *reason;
	unsigned code, q850;
	uint64_t ack, duration; /* ack: µs after the INVITE, 1 = it did not come */
};

static void put_end(struct maker *m, const struct end *e)
{
	uint64_t none = 0;
	text(m, SB_C_OUTCOME, e->outcome);
	text(m, SB_C_HANGUP_BY, e->by);
	text(m, SB_C_HANGUP_CAUSE, e->cause);
	text(m, SB_C_HANGUP_REASON, e->reason);
	if(e->code != 0)
		sb_put_u64(&m->out, SB_C_HANGUP_CODE, e->code);
	if(e->q850 != 0)
		sb_put_u64(&m->out, SB_C_Q850, e->q850);
	if(e->ack > 1)
		time_at(m, SB_C_ACK_AT, e->ack);
	else if(e->ack == 1)
		sb_put(&m->out, SB_C_ACK_AT, SB_TIME, &none, sizeof(none));
	if(e->duration != 0)
		sb_put_u64(&m->out, SB_C_DURATION_US, e->duration);
}

/** The end's event, then the CDR with every attempt. */
static void over(struct maker *m, const struct end *e, const struct try *t, unsigned tries)
{
	m->ended = e->after;
	begin(m, e->type, e->after, e->state);
	if(e->type != SB_CALL_ENDED && tries > 0)
		put_try(m, &t[tries - 1]);
	put_end(m, e);
	done(m);
	begin(m, SB_CALL_CDR, e->after + 1 * MS, e->state);
	sb_put_u64(&m->out, SB_C_ATTEMPTS_TOTAL, tries);
	for(unsigned i = 0; i < tries; i++)
		put_try(m, &t[i]);
	put_end(m, e);
	done(m);
}

#define CARRIER_A .trunk = "carrier-a", .uri = "sip:+12125550199@192.0.2.7", .dst = "udp:192.0.2.7:5060"
#define CARRIER_B .trunk = "carrier-b", .uri = "sip:+12125550199@192.0.2.8", .dst = "udp:192.0.2.8:5060"

static void failover(struct maker *m)
{
	struct try t[] = {{.n = 1,
							  CARRIER_A,
							  .start = 2 * MS,
							  .end = 1902 * MS,
							  .code = 408,
							  .local = 1,
							  .reason = "Request Timeout"},
			{.n = 2,
					CARRIER_B,
					.start = 1903 * MS,
					.ring = 2103 * MS,
					.answer = 3303 * MS,
					.end = 3303 * MS,
					.code = 200,
					.reason = "OK"}};
	call(m, MADE_FAILOVER, "sip:+442079460142@192.0.2.1", "sip:+12125550199@example.com");
	initiated(m);
	begin(m, SB_CALL_ROUTED, 1 * MS, SB_ST_CALLING);
	text(m, SB_C_TEXT, "trunk us: carrier-a, carrier-b");
	done(m);
	started(m, &t[0]);
	finished(m, &t[0]);
	started(m, &t[1]);
	rang(m, &t[1]);
	answered(m, &t[1]);
	over(m,
			&(struct end){.type = SB_CALL_ENDED,
					.state = SB_ST_DISCONNECTED,
					.after = 14307 * MS,
					.by = "caller",
					.cause = "bye",
					.q850 = 16,
					.ack = 3315 * MS,
					.duration = 11004321},
			t, 2);
}

static void made_refusal(
		struct maker *m, enum made_call n, struct try t, const char *outcome, const char *by, const char *cause)
{
	call(m, n, "sip:+442079460142@192.0.2.1", "sip:+12125550199@example.com");
	initiated(m);
	started(m, &t);
	if(t.ring != 0)
		rang(m, &t);
	finished(m, &t);
	over(m,
			&(struct end){.type = t.local && t.code == 408 ? SB_CALL_TIMEOUT : SB_CALL_FAILED,
					.state = t.local && t.code == 408 ? SB_ST_TIMEOUT : SB_ST_FAILED,
					.after = t.end,
					.outcome = outcome,
					.by = by,
					.cause = cause,
					.code = t.code,
					.reason = t.reason,
					.q850 = t.q850},
			&t, 1);
}

static void refusals(struct maker *m)
{
	made_refusal(m, MADE_BUSY,
			(struct try){.n = 1,
					.agent = "ben",
					.uri = "sip:ben@192.0.2.20",
					.dst = "udp:192.0.2.20:5060",
					.start = 2 * MS,
					.end = 90 * MS,
					.code = 486,
					.reason = "Busy Here",
					.q850 = 17},
			"busy", "callee", "final_reply");
	made_refusal(m, MADE_CANCELLED,
			(struct try){
					.n = 1, CARRIER_A, .start = 2 * MS, .end = 4200 * MS, .code = 487, .reason = "Request Terminated"},
			"cancelled", "caller", "cancel");
	made_refusal(m, MADE_UNALLOCATED,
			(struct try){
					.n = 1, CARRIER_A, .start = 2 * MS, .end = 300 * MS, .code = 404, .reason = "Not Found", .q850 = 1},
			"not_found", "callee", "final_reply");
	made_refusal(m, MADE_NO_RESPONSE,
			(struct try){.n = 1,
					CARRIER_A,
					.start = 2 * MS,
					.end = 5002 * MS,
					.code = 408,
					.local = 1,
					.reason = "Request Timeout"},
			"no_response", "proxy", "no_response");
	made_refusal(m, MADE_NO_CODEC,
			(struct try){
					.n = 1, CARRIER_B, .start = 2 * MS, .end = 44 * MS, .code = 488, .reason = "Not Acceptable Here"},
			"error", "callee", "final_reply");
	made_refusal(m, MADE_SENT_NOWHERE,
			(struct try){.n = 1,
					.trunk = "carrier-c",
					.uri = "sip:+12125550199@carrier-c.invalid",
					.start = 2 * MS,
					.end = 3 * MS,
					.code = 503,
					.local = 1,
					.reason = "Service Unavailable"},
			"unavailable", "proxy", "send_error");
}

static void no_answer(struct maker *m)
{
	struct try t[] = {{.n = 1,
							  .agent = "anna",
							  .uri = "sip:anna@192.0.2.21",
							  .dst = "tls:192.0.2.21:5061",
							  .start = 2 * MS,
							  .ring = 80 * MS,
							  .end = 20002 * MS,
							  .code = 408,
							  .local = 1,
							  .reason = "Request Timeout"},
			{.n = 2,
					.agent = "carl",
					.uri = "sip:carl@192.0.2.22",
					.dst = "udp:192.0.2.22:5060",
					.start = 2 * MS,
					.ring = 120 * MS,
					.end = 20003 * MS,
					.code = 408,
					.local = 1,
					.reason = "Request Timeout"}};
	call(m, MADE_NO_ANSWER, "sip:+442079460142@192.0.2.1", "sip:0100@example.com");
	initiated(m);
	for(int i = 0; i < 2; i++)
		started(m, &t[i]);
	for(int i = 0; i < 2; i++)
		rang(m, &t[i]);
	for(int i = 0; i < 2; i++)
		finished(m, &t[i]);
	over(m,
			&(struct end){.type = SB_CALL_TIMEOUT,
					.state = SB_ST_TIMEOUT,
					.after = 20003 * MS,
					.outcome = "no_answer",
					.by = "proxy",
					.cause = "no_answer",
					.code = 408,
					.reason = "Request Timeout"},
			t, 2);
}

static void no_ack(struct maker *m)
{
	struct try t = {.n = 1,
			CARRIER_B,
			.start = 2 * MS,
			.ring = 200 * MS,
			.answer = 900 * MS,
			.end = 900 * MS,
			.code = 200,
			.reason = "OK"};
	call(m, MADE_NO_ACK, "sip:+442079460142@192.0.2.1", "sip:+12125550199@example.com");
	initiated(m);
	started(m, &t);
	rang(m, &t);
	answered(m, &t);
	over(m,
			&(struct end){.type = SB_CALL_ENDED,
					.state = SB_ST_DISCONNECTED,
					.after = 32900 * MS,
					.by = "callee",
					.cause = "bye",
					.ack = 1,
					.duration = 32000000},
			&t, 1);
}

static void odd_bytes(struct maker *m)
{
	struct try t = {.n = 1,
			.agent = "\x1b[31mred",
			.uri = "sip:\xff@192.0.2.23",
			.dst = "udp:192.0.2.23:5060",
			.start = 2 * MS,
			.end = 50 * MS,
			.code = 603,
			.reason = "\xe2\x82 Decline\r\n\x07"};
	call(m, MADE_ODD_BYTES, "sip:+4930901820@192.0.2.1", "sip:0200@example.com");
	m->from_name = "J\xf6rg \"quoted\" \x01";
	initiated(m);
	begin(m, SB_CUSTOM, 1 * MS, SB_ST_CALLING);
	text(m, SB_C_NAME, "custom.menu");
	text(m, SB_C_TEXT, "\xc3\xa9t\xc3\xa9");
	text(m, SB_C_ATTRIBUTE, "customer.vip=1");
	text(m, SB_C_ATTRIBUTE, "customer.name=Acme \xe2\x82\xac");
	text(m, SB_C_ATTRIBUTE, "attr.queue=sales");
	done(m);
	started(m, &t);
	finished(m, &t);
	over(m,
			&(struct end){.type = SB_CALL_FAILED,
					.state = SB_ST_FAILED,
					.after = 50 * MS,
					.outcome = "rejected",
					.by = "callee",
					.cause = "final_reply",
					.code = 603,
					.reason = t.reason},
			&t, 1);
}

static void held(struct maker *m)
{
	struct try t = {.n = 1,
			CARRIER_B,
			.start = 2 * MS,
			.ring = 200 * MS,
			.answer = 900 * MS,
			.end = 900 * MS,
			.code = 200,
			.reason = "OK"};
	call(m, MADE_HELD, "sip:+4930901820@192.0.2.1", "sip:+12125550111@example.com");
	initiated(m);
	started(m, &t);
	rang(m, &t);
	answered(m, &t);
	begin(m, SB_CALL_HELD, 5 * S, SB_ST_HELD);
	text(m, SB_C_BY, "callee");
	done(m);
}

/** A log in dir/<name> whose records the mover has brought to disk if on_disk. */
static int log_open(struct maker *m, const char *journal, const char *spool)
{
	char err[512] = "";
	struct sb_log_cfg cfg = {
			.segment_size = 1 << 20, .spool_limit = 16 << 20, .journal_keep = 64 << 20, .journal_limit = 128 << 20};
	snprintf(cfg.spool_dir, sizeof(cfg.spool_dir), "%s", spool);
	snprintf(cfg.journal_dir, sizeof(cfg.journal_dir), "%s", journal);
	mkdir(spool, 0755);
	mkdir(journal, 0755);
	struct sb_log_shared *sh = calloc(1, sizeof(*sh));
	int rc = sh != NULL ? sb_log_open(&m->log, &cfg, sh, 0, err, sizeof(err)) : -ENOMEM;
	if(rc == 0)
		rc = sb_log_attach(&m->log, 1);
	if(rc < 0)
		fprintf(stderr, "make_journal: %s: %s\n", strerror(-rc), err);
	return rc;
}

static int log_close(struct maker *m, int on_disk)
{
	struct sb_mover *mover;
	int rc = on_disk ? sb_mover_new(&mover, &m->log) : 0;
	if(on_disk && rc == 0) {
		int64_t moved = sb_mover_step(mover, MADE_AT + 3600 * S);
		rc = moved < 0 ? (int)moved : 0;
		sb_mover_free(mover);
	}
	struct sb_log_shared *sh = m->log.sh;
	sb_log_close(&m->log);
	free(sh);
	return rc;
}

static void delivery(
		struct maker *m, uint64_t seq, uint16_t type, const char *endpoint, uint64_t latency, const char *error)
{
	begin(m, SB_X_DELIVERY, 20 * S, SB_ST_NONE);
	text(m, SB_C_D_ENDPOINT, endpoint);
	sb_put_u64(&m->out, SB_C_D_EPOCH, 1);
	sb_put_u64(&m->out, SB_C_D_SEQ, seq);
	sb_put_u64(&m->out, SB_C_D_TYPE, type);
	sb_put_u64(&m->out, SB_C_D_TRIES, error != NULL ? 10 : 1);
	if(error == NULL) {
		sb_put_u64(&m->out, SB_C_D_CODE, 204);
		sb_put_u64(&m->out, SB_C_D_LATENCY_US, latency);
		sb_put_u64(&m->out, SB_C_D_DELIVERED, 1);
	}
	text(m, SB_C_D_ERROR, error);
	done(m);
}

static int write_state(struct maker *m, const char *path)
{
	static const char row[] = "endpoint TEXT NOT NULL, call_id BLOB NOT NULL, epoch INT NOT NULL, seq INT NOT NULL, "
							  "segment INT NOT NULL, "
							  "offset INT NOT NULL, tries INT NOT NULL, next_at INT NOT NULL, error TEXT NOT NULL";
	char sql[1024];
	char id_text[33] = "";
	uint8_t id[16];
	sqlite3 *db;
	made_id(id, MADE_BUSY);
	for(int i = 0; i < 16; i++)
		snprintf(id_text + 2 * i, 3, "%02x", id[i]);
	snprintf(sql, sizeof(sql),
			"CREATE TABLE cursor (endpoint TEXT PRIMARY KEY, segment INT, offset INT, url TEXT, disabled_at INT, "
			"disabled_why TEXT);"
			"CREATE TABLE pending (%s); CREATE TABLE dead (%s, given_up_at INT NOT NULL);"
			"INSERT INTO pending VALUES ('crm', x'%s', 1, %llu, 1, 0, 3, %llu, '503 Service Unavailable');"
			"INSERT INTO pending VALUES ('crm', x'%s', 1, %llu, 1, 0, 0, 0, '');",
			row, row, id_text, (unsigned long long)m->seq[MADE_BUSY][0], (unsigned long long)(MADE_AT + 600 * S),
			id_text, (unsigned long long)m->seq[MADE_BUSY][1]);
	int rc = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
	if(rc != 0)
		fprintf(stderr, "make_journal: %s: %s\n", path, sqlite3_errmsg(db));
	sqlite3_close(db);
	return rc;
}

static int make_hooks(struct maker *m, const char *dir)
{
	char hooks[300], spool[320], history[320], state[320];
	snprintf(hooks, sizeof(hooks), "%s/hooks", dir);
	snprintf(spool, sizeof(spool), "%s/.spool", hooks);
	snprintf(history, sizeof(history), "%s/deliveries", hooks);
	snprintf(state, sizeof(state), "%s/state.sqlite", hooks);
	mkdir(hooks, 0755);
	int rc = log_open(m, history, spool);
	if(rc < 0)
		return rc;
	m->n = MADE_FAILOVER;
	for(int i = 0; i < 6; i++)
		delivery(m, m->seq[MADE_FAILOVER][i], m->types[MADE_FAILOVER][i], "crm", (2 + (uint64_t)i) * MS, NULL);
	m->n = MADE_BUSY;
	delivery(m, m->seq[MADE_BUSY][0], SB_CALL_INITIATED, "wallboard", 3 * MS, NULL);
	delivery(m, m->seq[MADE_BUSY][1], SB_CALL_FAILED, "wallboard", 0, "connect: Connection refused");
	rc = log_close(m, 1);
	return rc == 0 ? write_state(m, state) : rc;
}

int make_journal(const char *dir, int on_disk)
{
	char journal[300], spool[300];
	struct maker *m = calloc(1, sizeof(*m));
	if(m == NULL)
		return -ENOMEM;
	mkdir(dir, 0755);
	snprintf(journal, sizeof(journal), "%s/journal", dir);
	snprintf(spool, sizeof(spool), "%s/spool", dir);
	int rc = log_open(m, journal, spool);
	if(rc == 0) {
		failover(m);
		refusals(m);
		no_answer(m);
		no_ack(m);
		odd_bytes(m);
		held(m);
		rc = log_close(m, on_disk);
	}
	if(rc == 0)
		rc = make_hooks(m, dir);
	rc = rc == 0 ? m->err : rc;
	free(m);
	return rc;
}
