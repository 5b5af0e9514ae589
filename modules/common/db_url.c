/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORM "expected sqlite:///path, or mysql://user:password@host:port/database"

struct span
{
	const char *s;
	size_t len;
};

__attribute__((format(printf, 3, 4))) static int bad(char *err, size_t err_len, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(err, err_len, format, ap);
	va_end(ap);
	return -EINVAL;
}

static int hex(char c)
{
	if(c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986, 2.1. what: for the error, which never repeats the value: it may be the password */
static int decode(char *out, size_t cap, struct span in, const char *what, char *err, size_t err_len)
{
	size_t n = 0;
	for(size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.s[i];
		if(c == '%') {
			int high = i + 2 < in.len ? hex(in.s[i + 1]) : -1;
			int low = high >= 0 ? hex(in.s[i + 2]) : -1;
			if(low < 0)
				return bad(err, err_len,
						"in the database URL, %s has a %% that is not followed by two hexadecimal digits; write %%25 "
						"for "
						"the character %%",
						what);
			c = (unsigned char)(high << 4 | low);
			i += 2;
		}
		if(c < 0x20 || c == 0x7f)
			return bad(err, err_len, "in the database URL, %s has a control character", what);
		if(n + 1 >= cap)
			return bad(err, err_len, "in the database URL, %s is too long; at most %zu bytes", what, cap - 1);
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

static struct span cut(struct span *in, char at)
{
	struct span head = *in;
	const char *p = in->len > 0 ? memchr(in->s, at, in->len) : NULL;
	if(p == NULL) {
		*in = (struct span){in->s + in->len, 0};
		return head;
	}
	head.len = (size_t)(p - in->s);
	*in = (struct span){p + 1, in->len - head.len - 1};
	return head;
}

static bool is(struct span a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.s, b, a.len) == 0;
}

static int option(struct sb_db_url *u, struct span one, char *err, size_t err_len)
{
	const struct
	{
		const char *name;
		char *to;
	} row[] = {{"socket", u->socket}, {"ca", u->ca}, {"cert", u->cert}, {"key", u->key}};
	struct span value = one, name = cut(&value, '=');
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if(!is(name, row[i].name))
			continue;
		int rc = decode(row[i].to, sizeof(u->socket), value, row[i].name, err, err_len);
		if(rc != 0)
			return rc;
		if(row[i].to[0] != '/')
			return bad(err, err_len, "in the database URL, %s is no absolute path; expected %s=/path", row[i].name,
					row[i].name);
		return 0;
	}
	if(is(name, "tls") && is(value, "require")) {
		u->tls = true;
		return 0;
	}
	if(is(name, "tls"))
		return bad(
				err, err_len, "in the database URL, tls has a value that is not known; expected tls=require, or none");
	return bad(err, err_len,
			"in the database URL, an option behind '?' is not known; there are socket, ca, cert, key and tls");
}

static int port(unsigned *out, struct span s, char *err, size_t err_len)
{
	unsigned long n = 0;
	for(size_t i = 0; i < s.len && n <= 65535; i++)
		n = s.s[i] >= '0' && s.s[i] <= '9' ? n * 10 + (unsigned long)(s.s[i] - '0') : 65536;
	if(s.len == 0 || n == 0 || n > 65535)
		return bad(err, err_len,
				"in the database URL, the port is not a number from 1 to 65535; in a user or password, write : as %%3A "
				"and / as %%2F");
	*out = (unsigned)n;
	return 0;
}

static int host(struct sb_db_url *u, struct span s, char *err, size_t err_len)
{
	struct span name;
	if(s.len > 0 && s.s[0] == '[') {
		s = (struct span){s.s + 1, s.len - 1};
		if(memchr(s.s, ']', s.len) == NULL)
			return bad(err, err_len, "in the database URL, the host has a [ without its ]");
		name = cut(&s, ']');
		if(s.len > 0 && s.s[0] != ':')
			return bad(err, err_len, "in the database URL, something that is no port follows the host's ]");
		if(s.len > 0 && port(&u->port, (struct span){s.s + 1, s.len - 1}, err, err_len) != 0)
			return -EINVAL;
	} else {
		bool has_port = s.len > 0 && memchr(s.s, ':', s.len) != NULL;
		name = cut(&s, ':');
		if(has_port && port(&u->port, s, err, err_len) != 0)
			return -EINVAL;
	}
	return decode(u->host, sizeof(u->host), name, "the host", err, err_len);
}

static int mysql_url(struct sb_db_url *u, struct span s, char *err, size_t err_len)
{
	struct span rest = s, authority = cut(&rest, '/'), user = {authority.s, 0};
	for(size_t i = authority.len; i > 0; i--) {
		if(authority.s[i - 1] == '@') {
			user.len = i - 1;
			authority = (struct span){authority.s + i, authority.len - i};
			break;
		}
	}
	struct span options = rest, database = cut(&options, '?'), password = user, name = cut(&password, ':');
	if(decode(u->user, sizeof(u->user), name, "the user", err, err_len) != 0
			|| decode(u->password, sizeof(u->password), password, "the password", err, err_len) != 0
			|| host(u, authority, err, err_len) != 0
			|| decode(u->database, sizeof(u->database), database, "the database's name", err, err_len) != 0)
		return -EINVAL;
	if(u->database[0] == '\0' || strpbrk(u->database, "/\\`") != NULL)
		return bad(err, err_len,
				"in the database URL, the name of the database is missing or has a / in it; expected "
				"mysql://user:password@host:port/database");
	while(options.len > 0) {
		if(option(u, cut(&options, '&'), err, err_len) != 0)
			return -EINVAL;
	}
	if(u->host[0] == '\0' && u->socket[0] == '\0')
		return bad(err, err_len, "in the database URL, the host is missing (or socket=/path behind '?')");
	if((u->cert[0] == '\0') != (u->key[0] == '\0'))
		return bad(err, err_len, "in the database URL, cert and key are not both there; the client's own need both");
	u->tls = u->tls || u->ca[0] != '\0' || u->cert[0] != '\0';
	return 0;
}

static void show(struct sb_db_url *u)
{
	char at[16] = "";
	bool six = strchr(u->host, ':') != NULL;
	if(u->port != 0)
		snprintf(at, sizeof(at), ":%u", u->port);
	int n = snprintf(u->shown, sizeof(u->shown), "mysql://%s%s%s%s%s%s/%s", u->user, u->user[0] != '\0' ? "@" : "",
			six ? "[" : "", u->host, six ? "]" : "", at, u->database);
	if(u->socket[0] != '\0' && n > 0 && (size_t)n < sizeof(u->shown))
		snprintf(u->shown + n, sizeof(u->shown) - (size_t)n, "?socket=%s", u->socket);
}

int sb_db_url_parse(struct sb_db_url *out, const char *url, char *err, size_t err_len)
{
	struct sb_db_url u = {.dialect = SB_SQLITE};
	if(strncmp(url, "mysql://", 8) == 0) {
		u.dialect = SB_MARIADB;
		if(mysql_url(&u, (struct span){url + 8, strlen(url + 8)}, err, err_len) != 0)
			return -EINVAL;
		show(&u);
	} else if(strncmp(url, "sqlite://", 9) == 0) {
		const char *path = url + 9;
		if(path[0] != '/' || path[strspn(path, "/")] == '\0')
			return bad(err, err_len, "the database URL sqlite:// has no absolute path; expected sqlite:///path");
		while(path[1] == '/')
			path++;
		if(strlen(path) >= sizeof(u.path) - sizeof("sqlite://"))
			return bad(err, err_len, "the path in the database URL is too long; at most %zu bytes",
					sizeof(u.path) - sizeof("sqlite://") - 1);
		for(const char *p = path; *p != '\0'; p++) {
			if((unsigned char)*p < 0x20 || *p == 0x7f)
				return bad(err, err_len, "the path in the database URL has a control character");
		}
		strcpy(u.path, path);
		snprintf(u.shown, sizeof(u.shown), "sqlite://%.*s", (int)(sizeof(u.shown) - 10), path);
	} else {
		return bad(err, err_len, "the database URL begins with something else; " FORM);
	}
	*out = u;
	return 0;
}
