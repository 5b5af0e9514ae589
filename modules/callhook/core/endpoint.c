/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"

struct check
{
	const char *table;
	const struct sb_endpoint_row *row;
	void (*bad)(const char *sentence, void *arg);
	void *arg;
	int found;
};

static const char *const names[] = {
#define X(name, good) #name,
		SB_ENDPOINT_COLUMNS(X)
#undef X
};
static const char *const good_values[] = {
#define X(name, good) good,
		SB_ENDPOINT_COLUMNS(X)
#undef X
};

const char *sb_endpoint_col_name(enum sb_endpoint_col col)
{
	return col < SB_EP_COLUMNS ? names[col] : NULL;
}

/* Bytes that a log line can take: what is not printable becomes '?'. */
static void printable(char *out, size_t room, const char *s)
{
	size_t i = 0;

	for(; s[i] != '\0' && i + 1 < room; i++)
		out[i] = isprint((unsigned char)s[i]) ? s[i] : '?';
	out[i] = '\0';
}

static void complain(struct check *c, enum sb_endpoint_col col, const char *good)
{
	const char *v = c->row->col[col], *id = c->row->col[SB_EP_id];
	char text[SB_ENDPOINT_ERR_LEN], right[200], key[SB_ENDPOINT_ID_LEN] = "", value[100] = "";

	printable(key, sizeof(key), id != NULL ? id : "");
	if(v == NULL)
		snprintf(value, sizeof(value), "NULL");
	else if(col == SB_EP_secret)
		snprintf(value, sizeof(value), "a text of %zu characters (not shown)", strlen(v));
	else {
		value[0] = '"';
		printable(value + 1, sizeof(value) - 2, v);
		strcat(value, "\"");
	}
	snprintf(right, sizeof(right), "%s", good != NULL ? good : good_values[col]);
	printable(right, sizeof(right), right);
	snprintf(text, sizeof(text), "table %s, row id=\"%s\", column %s: found %s; right would be: %s", c->table, key,
			names[col], value, right);
	c->found++;
	c->bad(text, c->arg);
}

static bool number(const char *s, unsigned long max, unsigned *out)
{
	size_t n = strspn(s, "0123456789");
	unsigned long v;

	if(n == 0 || n > 9 || s[n] != '\0')
		return false;
	v = strtoul(s, NULL, 10);
	*out = (unsigned)v;
	return v <= max;
}

static bool good_id(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && n < SB_ENDPOINT_ID_LEN && s[n] == '\0';
}

static bool good_port(const char *p, const char *end)
{
	unsigned long port = 0;

	if(p == end)
		return false;
	for(; p < end; p++) {
		if(!isdigit((unsigned char)*p))
			return false;
		port = port * 10 + (unsigned long)(*p - '0');
		if(port > 65535)
			return false;
	}
	return port > 0;
}

/* scheme://host[:port][/path][?query], no user, no fragment, printable ASCII without spaces (RFC 3986) */
static bool good_url(const char *s)
{
	const char *host, *end, *colon;

	if(strncmp(s, "http://", 7) == 0)
		host = s + 7;
	else if(strncmp(s, "https://", 8) == 0)
		host = s + 8;
	else
		return false;
	if(strlen(s) >= SB_ENDPOINT_URL_LEN)
		return false;
	for(const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++) {
		if(*p <= ' ' || *p >= 127 || strchr("\"<>\\^`{|}#", *p) != NULL)
			return false;
	}
	end = host + strcspn(host, "/?");
	if(end == host || memchr(host, '@', (size_t)(end - host)) != NULL)
		return false;
	if(*host == '[') {
		colon = memchr(host, ']', (size_t)(end - host));
		if(colon == NULL || colon == host + 1)
			return false;
		colon++;
		return colon == end || (*colon == ':' && good_port(colon + 1, end));
	}
	if(strcspn(host, "[]") < (size_t)(end - host))
		return false;
	colon = memchr(host, ':', (size_t)(end - host));
	return colon == NULL || (colon > host && good_port(colon + 1, end));
}

static bool has_control(const char *s)
{
	for(; *s != '\0'; s++) {
		if(iscntrl((unsigned char)*s))
			return true;
	}
	return false;
}

static void check_secret(struct check *c, struct sb_endpoint *e)
{
	const char *v = c->row->col[SB_EP_secret];
	int n = v != NULL ? sb_secret_decode(e->secret, v) : -EINVAL;

	if(n < 0)
		complain(c, SB_EP_secret, NULL);
	else
		e->secret_len = (size_t)n;
}

static void check_numbers(struct check *c, struct sb_endpoint *e)
{
	const char *v = c->row->col[SB_EP_enabled];
	unsigned n = 0;

	if(v == NULL || !number(v, 1, &n))
		complain(c, SB_EP_enabled, NULL);
	e->enabled = n == 1;
	v = c->row->col[SB_EP_timeout_ms];
	if(v == NULL || !number(v, 300000, &e->timeout_ms) || (e->timeout_ms > 0 && e->timeout_ms < 100))
		complain(c, SB_EP_timeout_ms, NULL);
	v = c->row->col[SB_EP_concurrency];
	if(v == NULL || !number(v, 256, &e->concurrency) || e->concurrency == 0)
		complain(c, SB_EP_concurrency, NULL);
}

int sb_endpoint_from_row(struct sb_endpoint *out, const char *table, const struct sb_endpoint_row *row,
		void (*bad)(const char *sentence, void *arg), void *arg)
{
	struct check c = {.table = table, .row = row, .bad = bad, .arg = arg};
	char why[128];
	const char *v;

	memset(out, 0, sizeof(*out));
	v = row->col[SB_EP_id];
	if(v == NULL || !good_id(v))
		complain(&c, SB_EP_id, NULL);
	else
		snprintf(out->id, sizeof(out->id), "%s", v);
	v = row->col[SB_EP_url];
	if(v == NULL || !good_url(v))
		complain(&c, SB_EP_url, NULL);
	else
		snprintf(out->url, sizeof(out->url), "%s", v);
	check_secret(&c, out);
	v = row->col[SB_EP_events];
	if(v == NULL)
		complain(&c, SB_EP_events, NULL);
	else if(sb_filter_parse(&out->filter, v, why, sizeof(why)) != 0)
		complain(&c, SB_EP_events, why);
	check_numbers(&c, out);
	v = row->col[SB_EP_description];
	if(v != NULL && (strlen(v) >= sizeof(out->description) || has_control(v)))
		complain(&c, SB_EP_description, NULL);
	else if(v != NULL)
		snprintf(out->description, sizeof(out->description), "%s", v);
	return c.found == 0 ? 0 : -EINVAL;
}
