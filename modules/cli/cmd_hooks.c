/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signalbox hooks: who gets the webhooks, and how well. */
#include "hooks_dead.h"
#include "hooks_state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS 8
#define WIDTH 120u

static const char *const heading[COLUMNS] = {
		"ENDPOINT", "STATE", "LAG", "RATE", "PENDING", "DEAD", "LAST SUCCESS", "LAST ERROR"};

struct line
{
	char cell[COLUMNS][TEXT_MAX];
	enum tone state;
};

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/** 1234567 → "1,234,567" */
static struct text thousands(uint64_t n)
{
	char digits[32];
	struct text t = {""};
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	for(int i = 0; i < len; i++)
		SAY(t.s, "%s%c", i > 0 && (len - i) % 3 == 0 ? "," : "", digits[i]);
	return t;
}

static struct text lag_text(const struct hooks_endpoint *e, uint64_t now)
{
	struct text t = {""};
	if(!e->counted)
		SAY(t.s, "?");
	else if(e->behind == 0 && e->pending == 0)
		SAY(t.s, "-");
	else
		SAY(t.s, "%s, %s%s", hooks_age(e->oldest_at, now).s, e->more ? "more than " : "", thousands(e->behind).s);
	return t;
}

static struct text rate_text(double rate)
{
	struct text t;
	snprintf(t.s, sizeof(t.s), rate > 0 && rate < 10 ? "%.1f/s" : "%.0f/s", rate);
	return t;
}

static struct text ago(uint64_t at, uint64_t now)
{
	struct text t = hooks_age(at, now);
	if(at != 0)
		SAY(t.s, " ago");
	return t;
}

static void line_of(struct line *l, const struct hooks_endpoint *e, bool live, uint64_t now)
{
	memset(l, 0, sizeof(*l));
	l->state = strcmp(e->state, "up") == 0 ? GOOD : strcmp(e->state, "off") == 0 ? DIM : BAD;
	SAY(l->cell[0], "%s", e->id);
	SAY(l->cell[1], "%s%s%s", e->state, e->since > 0 ? " " : "", e->since > 0 ? hooks_age(e->since, now).s : "");
	SAY(l->cell[2], "%s", lag_text(e, now).s);
	SAY(l->cell[3], "%s", live ? rate_text(e->rate_10s).s : "-");
	SAY(l->cell[4], "%s", thousands(e->pending).s);
	SAY(l->cell[5], "%s", thousands(e->dead).s);
	SAY(l->cell[6], "%s", ago(e->success_at, now).s);
	if(e->error[0] == '\0')
		SAY(l->cell[7], "-");
	else
		SAY(l->cell[7], "%s%s%s", e->failure_at > 0 ? ago(e->failure_at, now).s : "", e->failure_at > 0 ? ": " : "",
				text_plain(e->error, strlen(e->error)).s);
}

/** Characters on the screen. */
static size_t width(const char *s)
{
	size_t n = 0;
	for(; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(struct cli *c, const char *s, size_t room, enum tone tone, bool right)
{
	int pad = (int)(room > width(s) ? room - width(s) : 0);
	fprintf(c->out, "%*s%s%s%s%*s", right ? pad : 0, "", tone_on(c, tone), s, tone_off(c, tone), right ? 0 : pad, "");
}

/** The last column takes what is left of the width. */
static void print_last(struct cli *c, const char *s, size_t used, enum tone tone)
{
	size_t room = used + 24 < WIDTH ? WIDTH - used : 24, n = 0;
	const char *p = s;
	for(; *p != '\0' && (n < room - 1 || width(p) == 1); p++)
		n += ((unsigned char)p[1] & 0xc0) != 0x80;
	fprintf(c->out, "%s%.*s%s%s\n", tone_on(c, tone), (int)(p - s), s, *p != '\0' ? "…" : "", tone_off(c, tone));
}

static void print_table(struct cli *c, const struct line *lines, size_t count)
{
	size_t room[COLUMNS], used = 0;
	for(int k = 0; k < COLUMNS; k++) {
		room[k] = strlen(heading[k]);
		for(size_t i = 0; i < count; i++)
			room[k] = width(lines[i].cell[k]) > room[k] ? width(lines[i].cell[k]) : room[k];
		used += k < COLUMNS - 1 ? room[k] + 2 : 0;
	}
	for(int k = 0; k < COLUMNS - 1; k++) {
		print_cell(c, heading[k], room[k], BOLD, k >= 3 && k <= 5);
		fputs("  ", c->out);
	}
	print_last(c, heading[COLUMNS - 1], used, BOLD);
	for(size_t i = 0; i < count; i++) {
		for(int k = 0; k < COLUMNS - 1; k++) {
			enum tone t = k == 1 ? lines[i].state : k == 5 && strcmp(lines[i].cell[5], "0") != 0 ? BAD : PLAIN;
			print_cell(c, lines[i].cell[k], room[k], t, k >= 3 && k <= 5);
			fputs("  ", c->out);
		}
		print_last(c, lines[i].cell[COLUMNS - 1], used, PLAIN);
	}
}

static void print_process(struct cli *c, const struct hooks_state *h, uint64_t now)
{
	if(h->pid > 0)
		fprintf(c->out, "delivery runs since %s %.8s UTC, pid %d\n", text_date(h->started_at).s,
				text_clock(h->started_at).s, h->pid);
	else
		fprintf(c->out, "%sdelivery does not run%s%s%s: what stands here is of its last second\n", tone_on(c, BAD),
				tone_off(c, BAD), h->updated_at > 0 ? "; last seen " : "",
				h->updated_at > 0 ? ago(h->updated_at, now).s : "");
}

/** Of a dead system only what lasts over its start. */
static struct text next_of(const struct hooks_state *h, size_t i, uint64_t now)
{
	struct text none = {""};
	return h->pid == 0 && strcmp(h->ep[i].state, "paused") == 0 ? none : hooks_next(&h->ep[i], now);
}

static void print_next(struct cli *c, const struct hooks_state *h, uint64_t now)
{
	bool any = h->pid == 0;
	size_t room = 0;
	for(size_t i = 0; i < h->count; i++) {
		if(next_of(h, i, now).s[0] != '\0' && strlen(h->ep[i].id) > room)
			room = strlen(h->ep[i].id);
	}
	any = any || room > 0;
	if(any)
		fprintf(c->out, "\n%snext%s\n", tone_on(c, BOLD), tone_off(c, BOLD));
	if(h->pid == 0)
		fprintf(c->out,
				"  start Kamailio, or see why it does not: systemctl status kamailio; journalctl -u kamailio -n 50\n");
	for(size_t i = 0; i < h->count; i++) {
		struct text next = next_of(h, i, now);
		if(next.s[0] != '\0')
			fprintf(c->out, "  %-*s  %s\n", (int)room, h->ep[i].id, next.s);
	}
}

static int show_all(struct cli *c, const struct hooks_state *h, uint64_t now)
{
	struct line *lines = calloc(h->count + 1, sizeof(*lines));
	if(lines == NULL)
		return CLI_NOT_FOUND;
	for(size_t i = 0; i < h->count; i++)
		line_of(&lines[i], &h->ep[i], h->pid > 0, now);
	print_process(c, h, now);
	if(h->count > 0) {
		fputc('\n', c->out);
		print_table(c, lines, h->count);
	} else {
		fputs("no endpoints: add a row to callhook_endpoint, then: kamcmd callhook.reload\n", c->out);
	}
	print_next(c, h, now);
	free(lines);
	return CLI_OK;
}

static void detail(struct cli *c, const char *name, const char *value)
{
	fprintf(c->out, "%-14s %s\n", name, value);
}

static void moment(struct cli *c, const char *name, uint64_t at, uint64_t now)
{
	struct text t = {"never"};
	if(at > 0) {
		t.s[0] = '\0';
		SAY(t.s, "%s %s UTC, %s", text_date(at).s, text_clock(at).s, at > now ? "in " : "");
		SAY(t.s, "%s", at > now ? hooks_age(now, at).s : ago(at, now).s);
	}
	detail(c, name, t.s);
}

static int show_one(struct cli *c, const struct hooks_endpoint *e, uint64_t now)
{
	struct text next = hooks_next(e, now), lag = lag_text(e, now), n;
	detail(c, "endpoint", e->id);
	detail(c, "url", text_plain(e->url, strlen(e->url)).s);
	detail(c, "state", e->state);
	moment(c, "since", e->since, now);
	detail(c, "lag", lag.s);
	snprintf(n.s, sizeof(n.s), "%016llx:%llu", (unsigned long long)e->cursor.segment,
			(unsigned long long)e->cursor.offset);
	detail(c, "cursor", n.s);
	snprintf(n.s, sizeof(n.s), "%.1f/s in the last 10 s, %.1f/s in the last minute", e->rate_10s, e->rate_60s);
	detail(c, "rate", n.s);
	n.s[0] = '\0';
	SAY(n.s, "%s, tries that failed %s, given up %s (since Kamailio's start)", thousands(e->delivered).s,
			thousands(e->failed).s, thousands(e->given_up).s);
	detail(c, "delivered", n.s);
	detail(c, "pending", thousands(e->pending).s);
	detail(c, "dead", thousands(e->dead).s);
	moment(c, "last success", e->success_at, now);
	moment(c, "last failure", e->failure_at, now);
	if(e->error[0] != '\0')
		detail(c, "last error", text_plain(e->error, strlen(e->error)).s);
	if(e->probe_at > 0)
		moment(c, "next probe", e->probe_at, now);
	detail(c, "next", next.s[0] != '\0' ? next.s : "nothing to do");
	return CLI_OK;
}

static json_t *time_json(uint64_t us)
{
	char iso[32];
	return us > 0 && sb_time_text(iso, us) ? json_string(iso) : json_null();
}

static json_t *plain_json(const char *s)
{
	return json_string(text_plain(s, strlen(s)).s);
}

static json_t *endpoint_json(const struct hooks_endpoint *e, uint64_t now)
{
	struct text next = hooks_next(e, now);
	json_t *j = json_pack("{s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "id", e->id, "url",
			plain_json(e->url), "state", e->state, "since", time_json(e->since), "delivered", (json_int_t)e->delivered,
			"tries_failed", (json_int_t)e->failed, "given_up", (json_int_t)e->given_up, "pending",
			(json_int_t)e->pending, "dead", (json_int_t)e->dead, "rate_10s", e->rate_10s, "rate_60s", e->rate_60s);
	if(j == NULL)
		return NULL;
	json_object_set_new(j, "lag_s",
			e->oldest_at > 0 && now > e->oldest_at ? json_real((double)(now - e->oldest_at) / 1e6) : json_real(0));
	json_object_set_new(j, "behind", e->counted ? json_integer((json_int_t)e->behind) : json_null());
	json_object_set_new(j, "behind_is_more", json_boolean(e->more));
	json_object_set_new(j, "last_success", time_json(e->success_at));
	json_object_set_new(j, "last_failure", time_json(e->failure_at));
	json_object_set_new(j, "last_error", e->error[0] != '\0' ? plain_json(e->error) : json_null());
	json_object_set_new(j, "next_probe", time_json(e->probe_at));
	json_object_set_new(j, "next", next.s[0] != '\0' ? json_string(next.s) : json_null());
	return j;
}

static int show_json(struct cli *c, const struct hooks_state *h, uint64_t now)
{
	json_t *list = json_array(), *j;
	for(size_t i = 0; i < h->count; i++)
		json_array_append_new(list, endpoint_json(&h->ep[i], now));
	j = json_pack("{s:b, s:i, s:o, s:o, s:o}", "running", h->pid > 0, "pid", h->pid, "started_at",
			time_json(h->started_at), "updated_at", time_json(h->updated_at), "endpoints", list);
	if(j == NULL)
		return CLI_NOT_FOUND;
	print_json(c, j, true);
	return CLI_OK;
}

static int show(struct cli *c, const struct hooks_state *h, const char *id)
{
	uint64_t now = now_us();
	for(size_t i = 0; id != NULL && i < h->count; i++) {
		if(strcmp(h->ep[i].id, id) != 0)
			continue;
		if(!c->json)
			return show_one(c, &h->ep[i], now);
		print_json(c, endpoint_json(&h->ep[i], now), true);
		return CLI_OK;
	}
	if(id != NULL) {
		fprintf(c->err, "signalbox: no endpoint '%s'. There are:", id);
		for(size_t i = 0; i < h->count; i++)
			fprintf(c->err, " %s", h->ep[i].id);
		fputs(h->count > 0 ? ".\n" : " none.\n", c->err);
		return CLI_NOT_FOUND;
	}
	return c->json ? show_json(c, h, now) : show_all(c, h, now);
}

int cmd_hooks(struct cli *c, int argc, char **argv)
{
	struct cli_options o;
	struct hooks_state h;
	int rc;
	if(argc > 0 && strcmp(argv[0], "dead") == 0)
		return hooks_dead(c, argc - 1, argv + 1);
	rc = cli_options(c, argc, argv, "", &o);
	if(rc != CLI_OK)
		return rc;
	if(o.words > 1) {
		fputs("signalbox: hooks takes the id of one endpoint. See: signalbox help\n", c->err);
		return CLI_USAGE;
	}
	rc = hooks_state_read(&h, c);
	if(rc != CLI_OK)
		return rc;
	rc = show(c, &h, o.words > 0 ? o.word[0] : NULL);
	hooks_state_free(&h);
	return rc;
}
