/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "db_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* $: what stands in the token's brackets */
static const struct
{
	const char *name;
	const char *as[2];
} token[] = {
		{"serial", {"INTEGER PRIMARY KEY NOT NULL", "INT UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL"}},
		{"uuid", {"CHAR(36)", "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"}},
		{"key()", {"VARCHAR($)", "VARCHAR($) CHARACTER SET ascii COLLATE ascii_bin"}},
		{"time", {"VARCHAR(26)", "DATETIME(6)"}},
		{"seconds", {"TIMESTAMP", "DATETIME"}},
		{"real", {"REAL", "FLOAT(10,2)"}},
		{"table", {"", " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"}},
		{"new", {"", "IF NOT EXISTS"}},
		{"ignore", {"OR IGNORE", "IGNORE"}},
		{"join()", {"($)", "CONCAT($)"}},
};

static bool named(const char *name, const char *s, size_t len, bool brackets)
{
	size_t n = strcspn(name, "(");
	return n == len && memcmp(name, s, n) == 0 && (name[n] == '(') == brackets;
}

/* In join(), a comma between two parts is || in SQLite; not one inside a quoted text. */
static void put_inside(FILE *out, const char *s, size_t len, bool bars)
{
	bool quoted = false;
	for(size_t i = 0; i < len; i++) {
		quoted ^= s[i] == '\'';
		if(bars && !quoted && s[i] == ',')
			fputs(" ||", out);
		else
			fputc(s[i], out);
	}
}

static bool put_token(FILE *out, enum sb_dialect dialect, const char *s, size_t len)
{
	const char *open = len > 0 ? memchr(s, '(', len) : NULL;
	size_t name = open != NULL ? (size_t)(open - s) : len;
	if(open != NULL && s[len - 1] != ')')
		return false;
	for(size_t i = 0; i < sizeof(token) / sizeof(token[0]); i++) {
		if(!named(token[i].name, s, name, open != NULL))
			continue;
		for(const char *p = token[i].as[dialect]; *p != '\0'; p++) {
			if(*p == '$')
				put_inside(out, open + 1, len - name - 2, dialect == SB_SQLITE && strcmp(token[i].name, "join()") == 0);
			else
				fputc(*p, out);
		}
		return true;
	}
	return false;
}

static int no_token(const char *s, size_t len, unsigned line, char *err, size_t err_len)
{
	int n = snprintf(
			err, err_len, "line %u: no token is called {%.*s}; there are", line, (int)(len < 40 ? len : 40), s);
	for(size_t i = 0; i < sizeof(token) / sizeof(token[0]) && n > 0 && (size_t)n < err_len; i++)
		n += snprintf(err + n, err_len - (size_t)n, " {%s}", token[i].name);
	return -EINVAL;
}

int sb_schema_expand(char **out, enum sb_dialect dialect, const char *text, size_t len, char *err, size_t err_len)
{
	char *made = NULL;
	size_t made_len = 0;
	unsigned line = 1;
	int rc = 0;
	FILE *f = open_memstream(&made, &made_len);
	if(f == NULL)
		return -ENOMEM;
	for(size_t i = 0; i < len && rc == 0; i++) {
		line += text[i] == '\n';
		if(text[i] != '{') {
			fputc(text[i], f);
			continue;
		}
		const char *token_at = text + i + 1, *end = memchr(token_at, '}', len - i - 1);
		size_t n = end != NULL ? (size_t)(end - token_at) : len - i - 1;
		if(end == NULL || !put_token(f, dialect, token_at, n))
			rc = no_token(token_at, n, line, err, err_len);
		i += n + 1;
	}
	bool full = ferror(f) != 0;
	if(fclose(f) != 0 || full) {
		snprintf(err, err_len, "out of memory");
		rc = -ENOMEM;
	}
	if(rc == 0)
		*out = made;
	else
		free(made);
	return rc;
}

static bool is_comment(const char *line)
{
	line += strspn(line, " \t\r");
	return strncmp(line, "--", 2) == 0 || *line == '\n' || *line == '\0';
}

char *sb_schema_next(char **at)
{
	char *from = *at, *begin = NULL, *to = NULL;
	while(*from != '\0') {
		size_t n = strcspn(from, "\n");
		char *next = from + n + (from[n] == '\n');
		if(is_comment(from)) {
			from = next;
			continue;
		}
		if(begin == NULL)
			begin = to = from;
		size_t keep = n;
		while(keep > 0 && strchr(" \t\r", from[keep - 1]) != NULL)
			keep--;
		bool last = from[keep - 1] == ';';
		memmove(to, from, keep);
		to += keep;
		from = next;
		if(last) {
			to[-1] = '\0';
			break;
		}
		if(*from == '\0')
			*to = '\0';
		else
			*to++ = '\n';
	}
	*at = from;
	return begin;
}

unsigned sb_schema_last(bool routing)
{
	unsigned last = 0;
	for(unsigned i = 0; i < sb_schema_file_count; i++) {
		if(sb_schema_files[i].routing == routing)
			last = sb_schema_files[i].number;
	}
	return last;
}
