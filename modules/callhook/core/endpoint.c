/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "endpoint.h"

#define PEM_LOOK 65536u /* bytes of a PEM file that are looked at */

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

/* Without user and password, and without the query, which may hold a token. */
static void url_shown(char *out, size_t room, const char *url)
{
	const char *begin = strstr(url, "://"), *at = strrchr(url, '@');
	size_t scheme = begin != NULL && (at == NULL || begin < at) ? (size_t)(begin + 3 - url) : 0;
	const char *rest = at != NULL ? at : url + scheme;
	size_t shown = strcspn(rest, "?");

	snprintf(out, room, "%.*s%s%.*s%s", (int)scheme, url, at != NULL ? "..." : "", (int)shown, rest,
			rest[shown] != '\0' ? "?..." : "");
}

static void complain(struct check *c, enum sb_endpoint_col col, const char *good)
{
	const char *v = c->row->col[col], *id = c->row->col[SB_EP_id];
	char text[SB_ENDPOINT_ERR_LEN], right[200], key[SB_ENDPOINT_ID_LEN] = "", value[100] = "", shown[100];

	printable(key, sizeof(key), id != NULL ? id : "");
	if(v == NULL)
		snprintf(value, sizeof(value), "NULL");
	else if(col == SB_EP_secret)
		snprintf(value, sizeof(value), "a text of %zu characters (not shown)", strlen(v));
	else {
		value[0] = '"';
		if(col == SB_EP_url)
			url_shown(shown, sizeof(shown), v);
		printable(value + 1, sizeof(value) - 2, col == SB_EP_url ? shown : v);
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
	v = c->row->col[SB_EP_rate_limit];
	if(v == NULL || !number(v, 100000, &e->rate))
		complain(c, SB_EP_rate_limit, NULL);
}

static void check_wanted(struct check *c, struct sb_endpoint *e)
{
	const char *v = c->row->col[SB_EP_events];
	char why[160];

	if(v == NULL)
		complain(c, SB_EP_events, NULL);
	else if(sb_filter_parse(&e->filter, v, why, sizeof(why)) != 0)
		complain(c, SB_EP_events, why);
	v = c->row->col[SB_EP_trunks];
	if(v == NULL)
		complain(c, SB_EP_trunks, NULL);
	else if(sb_filter_parse_names(&e->trunks, "trunks", v, why, sizeof(why)) != 0)
		complain(c, SB_EP_trunks, why);
	v = c->row->col[SB_EP_dids];
	if(v == NULL)
		complain(c, SB_EP_dids, NULL);
	else if(sb_filter_parse_names(&e->dids, "DIDs", v, why, sizeof(why)) != 0)
		complain(c, SB_EP_dids, why);
	v = c->row->col[SB_EP_allow_addresses];
	if(v == NULL)
		complain(c, SB_EP_allow_addresses, NULL);
	else if(sb_guard_parse(&e->guard, v, why, sizeof(why)) != 0)
		complain(c, SB_EP_allow_addresses, why);
}

/* A regular file that can be read and has such a PEM block. @return NULL, or what is wrong */
static const char *pem_wrong(const char *path, const char *block, struct stat *st)
{
	static char text[PEM_LOOK + 1]; /* one thread reads the table */
	size_t n;
	FILE *f;

	if(stat(path, st) != 0)
		return strerror(errno);
	if(!S_ISREG(st->st_mode))
		return "it is no regular file";
	f = fopen(path, "re");
	if(f == NULL)
		return strerror(errno);
	n = fread(text, 1, PEM_LOOK, f);
	fclose(f);
	text[n] = '\0';
	for(const char *p = text; (p = strstr(p, "-----BEGIN ")) != NULL; p++) {
		const char *end = strstr(p + 11, "-----");

		if(end != NULL && memmem(p, (size_t)(end - p), block, strlen(block)) != NULL)
			return NULL;
	}
	return strcmp(block, "CERTIFICATE") == 0 ? "there is no PEM CERTIFICATE in it"
											 : "there is no PEM PRIVATE KEY in it";
}

/* @return true: a path that can be looked at further */
static bool check_path(struct check *c, enum sb_endpoint_col col, char to[SB_ENDPOINT_TEXT_LEN])
{
	const char *v = c->row->col[col];

	if(v != NULL && *v == '\0')
		return false;
	if(v == NULL || *v != '/' || strlen(v) >= SB_ENDPOINT_TEXT_LEN || has_control(v)) {
		complain(c, col, NULL);
		return false;
	}
	strcpy(to, v);
	return true;
}

static bool check_pem(struct check *c, enum sb_endpoint_col col, const char *path, const char *block)
{
	struct stat st;
	const char *wrong = pem_wrong(path, block, &st);
	char right[200];

	if(wrong != NULL)
		snprintf(right, sizeof(right), "a PEM file that the user Kamailio runs as can read (%s)", wrong);
	else if(strcmp(block, "PRIVATE KEY") == 0 && (st.st_mode & S_IRWXO) != 0)
		snprintf(right, sizeof(right),
				"a private key that only its owner and group can read (mode %03o lets everybody; chmod 600)",
				(unsigned)st.st_mode & 0777);
	else
		return true;
	complain(c, col, right);
	return false;
}

static bool empty(const struct check *c, enum sb_endpoint_col col)
{
	return c->row->col[col] != NULL && *c->row->col[col] == '\0';
}

static void check_files(struct check *c, struct sb_endpoint *e)
{
	if(check_path(c, SB_EP_ca_file, e->ca_file))
		check_pem(c, SB_EP_ca_file, e->ca_file, "CERTIFICATE");
	if(check_path(c, SB_EP_cert_file, e->cert_file) && check_pem(c, SB_EP_cert_file, e->cert_file, "CERTIFICATE")
			&& empty(c, SB_EP_key_file))
		check_pem(c, SB_EP_cert_file, e->cert_file, "PRIVATE KEY");
	if(check_path(c, SB_EP_key_file, e->key_file) && check_pem(c, SB_EP_key_file, e->key_file, "PRIVATE KEY")
			&& empty(c, SB_EP_cert_file))
		complain(c, SB_EP_key_file, "empty, or cert_file with the certificate of this key");
}

int sb_endpoint_from_row(struct sb_endpoint *out, const char *table, const struct sb_endpoint_row *row,
		void (*bad)(const char *sentence, void *arg), void *arg)
{
	struct check c = {.table = table, .row = row, .bad = bad, .arg = arg};
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
	check_wanted(&c, out);
	check_numbers(&c, out);
	v = row->col[SB_EP_description];
	if(v != NULL && (strlen(v) >= sizeof(out->description) || has_control(v)))
		complain(&c, SB_EP_description, NULL);
	else if(v != NULL)
		snprintf(out->description, sizeof(out->description), "%s", v);
	check_files(&c, out);
	return c.found == 0 ? 0 : -EINVAL;
}
