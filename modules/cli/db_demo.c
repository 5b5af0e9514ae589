/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signalbox db demo: a made-up day, to look around in. Numbers are of the ranges that Ofcom keeps for drama. */
#include "db_cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "log.h"

#define CALLS 600u
#define HOUR_US 3600000000u
#define COLUMNS 40u

static const char *const trunks[] = {"carrier-a", "carrier-b", "carrier-c"};
static const char *const destinations[] = {"udp:192.0.2.11:5060", "udp:192.0.2.12:5060", "tls:192.0.2.13:5061"};
static const char *const agents[] = {"anna", "ben", "carla", "dario", "eva", "finn"};

/* How calls end, and how often in a hundred. carrier-c fails more: something to find. */
static const struct fate
{
	unsigned share, share_c;
	unsigned code; /* 0: answered */
	const char *reason, *state, *outcome, *by, *cause;
	unsigned q850;
	bool local;
} fates[] = {{68, 38, 0, "OK", "disconnected", NULL, "caller", "bye", 0, false},
		{9, 8, 486, "Busy Here", "failed", "busy", "callee", "final_reply", 17, false},
		{7, 6, 487, "Request Terminated", "failed", "cancelled", "caller", "cancel", 0, false},
		{6, 5, 480, "Temporarily Unavailable", "failed", "unavailable", "callee", "final_reply", 18, false},
		{3, 3, 404, "Not Found", "failed", "not_found", "callee", "final_reply", 1, false},
		{3, 30, 503, "Service Unavailable", "failed", "unavailable", "callee", "final_reply", 34, false},
		{2, 8, 408, "Request Timeout", "timeout", "no_response", "proxy", "no_response", 0, true},
		{2, 2, 403, "Forbidden", "failed", "forbidden", "callee", "final_reply", 21, false}};

struct demo
{
	struct cli *c;
	struct sb_db *db;
	uint64_t random, sequence;
	char node[37];
	int64_t calls, attempts, events;
};

/* The same day every time. xorshift64* */
static unsigned below(struct demo *d, unsigned n)
{
	d->random ^= d->random >> 12;
	d->random ^= d->random << 25;
	d->random ^= d->random >> 27;
	return (unsigned)((d->random * 0x2545f4914f6cdd1du) >> 33) % n;
}

struct row
{
	char names[900], marks[200], held[COLUMNS][300];
	struct sb_db_value v[COLUMNS];
	unsigned n;
};

static struct sb_db_value *column(struct row *r, const char *name)
{
	SAY(r->names, "%s%s", r->n > 0 ? ", " : "", name);
	SAY(r->marks, "%s?", r->n > 0 ? ", " : "");
	return &r->v[r->n++];
}

static void text(struct row *r, const char *name, const char *value)
{
	if(value == NULL)
		return;
	char *held = r->held[r->n];
	snprintf(held, sizeof(r->held[0]), "%s", value);
	*column(r, name) = (struct sb_db_value){SB_DB_TEXT, 0, held, strlen(held)};
}

static void number(struct row *r, const char *name, int64_t value)
{
	*column(r, name) = (struct sb_db_value){SB_DB_INT, value, NULL, 0};
}

static void when(struct row *r, const char *name, uint64_t us)
{
	if(us != 0)
		text(r, name, db_time(us).s);
}

static void backwards(struct row *r, const char *name, const char *e164)
{
	char digits[40];
	size_t n = strlen(e164);
	for(size_t i = 0; i + 1 < n; i++)
		digits[i] = e164[n - 1 - i];
	digits[n - 1] = '\0';
	text(r, name, digits);
}

static int insert(struct demo *d, const char *table, struct row *r)
{
	char sql[1300];
	snprintf(sql, sizeof(sql), "INSERT INTO %s (%s) VALUES (%s)", table, r->names, r->marks);
	int64_t n = sb_db_query(d->db, sql, r->v, r->n, NULL, NULL);
	return n < 0 ? (int)n : 0;
}

struct made
{
	const struct fate *fate;
	char id[37], sip[80], from[24], to[24];
	bool inbound;
	unsigned trunk, agent, tries;
	uint64_t started, ringing, answered, ended;
	unsigned events;
};

static void make(struct demo *d, struct made *m, uint64_t at)
{
	uint8_t id[16], random[10];
	unsigned roll = below(d, 100), sum = 0;
	memset(m, 0, sizeof(*m));
	for(size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)below(d, 256);
	sb_uuid7(id, at / 1000, random);
	sb_uuid_text(m->id, id);
	snprintf(m->sip, sizeof(m->sip), "demo-%.8s@192.0.2.1", m->id + 28);
	m->inbound = below(d, 10) < 6;
	m->trunk = below(d, 3);
	m->agent = below(d, 6);
	snprintf(m->from, sizeof(m->from), "+4420794601%02u", below(d, 40));
	snprintf(m->to, sizeof(m->to), "+4416329600%02u", below(d, 40));
	for(m->fate = fates; roll >= (sum += m->trunk == 2 ? m->fate->share_c : m->fate->share); m->fate++)
		;
	m->started = at;
	bool rang = m->fate->code == 0 || m->fate->code == 480 || m->fate->code == 487;
	m->ringing = rang ? at + 300000 + below(d, 2500000) : 0;
	m->answered = m->fate->code == 0 ? m->ringing + 1000000 + below(d, 20000000) : 0;
	m->ended = m->answered != 0 ? m->answered + 3000000 + below(d, 600000000)
			   : rang           ? m->ringing + 5000000 + below(d, 25000000)
								: at + 80000 + below(d, 900000) + (m->fate->local ? 5000000 : 0);
	m->tries = !m->inbound && m->fate->code == 503 ? 2 : 1;
	m->events = (m->ringing != 0) + (m->answered != 0) + 3;
}

static int put_call(struct demo *d, const struct made *m)
{
	struct row r = {.n = 0};
	char uri[100];
	text(&r, "call_id", m->id);
	text(&r, "sip_call_id", m->sip);
	text(&r, "node", d->node);
	number(&r, "last_sequence", m->events);
	text(&r, "state", m->fate->state);
	text(&r, "direction", m->inbound ? "inbound" : "outbound");
	text(&r, "from_number", m->from);
	text(&r, "to_number", m->to);
	backwards(&r, "from_digits", m->from);
	backwards(&r, "to_digits", m->to);
	snprintf(uri, sizeof(uri), "sip:%s@sip.example.com", m->from);
	text(&r, "from_uri", uri);
	snprintf(uri, sizeof(uri), "sip:%s@sip.example.com", m->to);
	text(&r, "to_uri", uri);
	text(&r, "request_uri", uri);
	text(&r, "source", m->inbound ? destinations[m->trunk] : "udp:198.51.100.20:5060");
	text(&r, "did", m->inbound ? m->to : NULL);
	text(&r, "trunk", trunks[m->trunk]);
	text(&r, "agent", m->inbound ? agents[m->agent] : NULL);
	when(&r, "started_at", m->started);
	when(&r, "ringing_at", m->ringing);
	when(&r, "answered_at", m->answered);
	when(&r, "ended_at", m->ended);
	when(&r, "failed_at", m->answered == 0 ? m->ended : 0);
	if(m->answered != 0)
		number(&r, "duration_ms", (int64_t)((m->ended - m->answered) / 1000));
	if(m->ringing != 0)
		number(&r, "pdd_ms", (int64_t)((m->ringing - m->started) / 1000));
	number(&r, "attempts", m->tries);
	text(&r, "outcome", m->fate->outcome);
	if(m->fate->code != 0)
		number(&r, "sip_code", m->fate->code);
	text(&r, "sip_reason", m->fate->code != 0 ? m->fate->reason : NULL);
	if(m->fate->q850 != 0)
		number(&r, "q850", m->fate->q850);
	text(&r, "hangup_by", m->answered != 0 && m->agent % 2 == 0 ? "callee" : m->fate->by);
	text(&r, "hangup_cause", m->fate->cause);
	d->calls++;
	return insert(d, "callstate_call", &r);
}

static int put_attempt(struct demo *d, const struct made *m, unsigned n)
{
	struct row r = {.n = 0};
	char uri[100];
	/* the first of two tries was the other carrier */
	unsigned trunk = n < m->tries ? (m->trunk + 1) % 3 : m->trunk;
	text(&r, "call_id", m->id);
	number(&r, "n", n);
	number(&r, "last_sequence", m->events);
	snprintf(uri, sizeof(uri), "sip:%s@%s", m->inbound ? agents[m->agent] : m->to,
			m->inbound ? "sip.example.com" : "192.0.2.11");
	text(&r, "uri", uri);
	text(&r, "destination", m->inbound ? "udp:198.51.100.20:5060" : destinations[trunk]);
	text(&r, "trunk", m->inbound ? NULL : trunks[trunk]);
	text(&r, "agent", m->inbound ? agents[m->agent] : NULL);
	text(&r, "to_number", m->inbound ? agents[m->agent] : m->to);
	when(&r, "started_at", m->started + n * 1000);
	when(&r, "ringing_at", n == m->tries ? m->ringing : 0);
	when(&r, "answered_at", m->answered);
	when(&r, "ended_at", m->ended);
	when(&r, "failed_at", m->fate->code != 0 && m->fate->code != 487 ? m->ended : 0);
	number(&r, "code", m->fate->code != 0 ? m->fate->code : 200);
	text(&r, "reason", m->fate->reason);
	number(&r, "code_local", m->fate->local);
	if(m->fate->q850 != 0)
		number(&r, "q850", m->fate->q850);
	d->attempts++;
	return insert(d, "callstate_attempt", &r);
}

static int put_event(
		struct demo *d, const struct made *m, unsigned sequence, const char *type, uint64_t at, const char *state)
{
	struct row r = {.n = 0};
	char id[64];
	bool last = sequence + 1 >= m->events;
	sb_event_id(id, d->node, 1, ++d->sequence);
	text(&r, "event_id", id);
	text(&r, "call_id", m->id);
	number(&r, "sequence", sequence);
	text(&r, "type", type);
	when(&r, "at", at);
	text(&r, "state", state);
	text(&r, "trunk", trunks[m->trunk]);
	text(&r, "agent", m->inbound ? agents[m->agent] : NULL);
	text(&r, "outcome", last ? m->fate->outcome : NULL);
	text(&r, "cause", last ? m->fate->cause : NULL);
	if(last && m->fate->code != 0)
		number(&r, "sip_code", m->fate->code);
	d->events++;
	return insert(d, "callstate_event", &r);
}

static int put(struct demo *d, const struct made *m)
{
	unsigned n = 0;
	int rc = put_call(d, m);
	for(unsigned i = 1; i <= m->tries && rc == 0; i++)
		rc = put_attempt(d, m, i);
	if(rc == 0)
		rc = put_event(d, m, ++n, "call.initiated", m->started, "calling");
	if(rc == 0 && m->ringing != 0)
		rc = put_event(d, m, ++n, "call.ringing", m->ringing, "ringing");
	if(rc == 0 && m->answered != 0)
		rc = put_event(d, m, ++n, "call.answered", m->answered, "confirmed");
	const char *end = m->answered != 0 ? "call.ended" : m->fate->state[0] == 't' ? "call.timeout" : "call.failed";
	if(rc == 0)
		rc = put_event(d, m, ++n, end, m->ended, m->fate->state);
	if(rc == 0)
		rc = put_event(d, m, ++n, "call.cdr", m->ended, m->fate->state);
	return rc;
}

/* A receiver to look at: its address is an example, and it is switched off. */
static int put_endpoint(struct demo *d)
{
	struct row r = {.n = 0};
	uint8_t bytes[32];
	char base64[64], secret[80];
	if(RAND_bytes(bytes, sizeof(bytes)) != 1)
		return -EIO;
	EVP_EncodeBlock((unsigned char *)base64, bytes, sizeof(bytes));
	snprintf(secret, sizeof(secret), "whsec_%s", base64);
	text(&r, "id", "demo");
	text(&r, "url", "https://crm.example.com/signalbox");
	text(&r, "secret", secret);
	number(&r, "enabled", 0);
	text(&r, "description", "made by signalbox db demo");
	int rc = insert(d, "callhook_endpoint", &r);
	return rc == -EEXIST ? 0 : rc;
}

/* Calls come as a working day has them: few at night, most at eleven and three. */
static uint64_t next_call(struct demo *d, uint64_t from, unsigned i)
{
	static const uint8_t hour[24] = {1, 0, 0, 0, 0, 1, 2, 5, 9, 12, 14, 14, 9, 10, 13, 14, 12, 9, 6, 4, 3, 2, 2, 1};
	unsigned sum = 0, of = 0, h = 0;
	for(unsigned k = 0; k < 24; k++)
		of += hour[k];
	unsigned at = i * of / CALLS;
	while(sum + hour[h] <= at)
		sum += hour[h++];
	/* from is a whole hour: the one of these 24 in which the clock says h */
	uint64_t after = (h + 24 - from / HOUR_US % 24) % 24;
	return from + after * HOUR_US + below(d, 3600) * 1000000u + below(d, 1000000);
}

static int fill(struct demo *d)
{
	/* one hour is left for the last of them to end */
	uint64_t from = (db_now() / HOUR_US - 25) * HOUR_US;
	int rc = sb_db_begin(d->db);
	for(unsigned i = 0; i < CALLS && rc == 0; i++) {
		struct made m;
		make(d, &m, next_call(d, from, i));
		rc = put(d, &m);
	}
	if(rc == 0)
		rc = put_endpoint(d);
	if(rc == 0)
		rc = sb_db_exec(d->db, "COMMIT");
	if(rc != 0)
		sb_db_rollback(d->db);
	return rc;
}

int db_demo(struct cli *c, int argc, char **argv)
{
	struct demo d = {.c = c, .random = 0x5157414c424f58u, .node = "00000000-0000-7000-8000-00000000de30"};
	struct sb_db_url url;
	int rc = db_options(c, "demo", argc, argv, NULL, 0);
	if(rc == CLI_OK)
		rc = db_open(c, false, &d.db, &url);
	if(rc != CLI_OK)
		return rc;
	int64_t there = sb_db_query(d.db, "SELECT 1 FROM callstate_call LIMIT 1", NULL, 0, NULL, NULL);
	if(there < 0) {
		rc = db_failed(c, "the call log cannot be read (signalbox db check says more)", d.db);
	} else if(there > 0) {
		fprintf(c->err, "signalbox: there are calls in %s: made-up ones are put into an empty call log only.\n",
				url.shown);
		rc = CLI_NOT_FOUND;
	} else if(fill(&d) != 0) {
		rc = db_failed(c, "writing", d.db);
	} else {
		fprintf(c->out,
				"%s\n%" PRId64 " made-up calls of one day, with %" PRId64 " attempts and %" PRId64
				" events; an endpoint demo, switched off\n",
				url.shown, d.calls, d.attempts, d.events);
	}
	sb_db_close(d.db);
	return rc;
}
