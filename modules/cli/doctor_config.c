/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor_config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16u
#define FILES_MAX 500u

const char *config_get(const struct config *c, const char *key)
{
	for(size_t i = c->sets; i > 0; i--) {
		if(strcmp(c->set[i - 1].key, key) == 0)
			return c->set[i - 1].value;
	}
	return NULL;
}

static const char *defined(const struct config *c, const char *name)
{
	for(size_t i = 0; i < c->defines; i++) {
		if(strcmp(c->define[i].key, name) == 0)
			return c->define[i].value;
	}
	return NULL;
}

bool config_defined(const struct config *c, const char *name)
{
	return defined(c, name) != NULL;
}

static void keep(struct config_pair *list, size_t *n, const char *key, const char *value)
{
	size_t i = 0;
	while(i < *n && strcmp(list[i].key, key) != 0)
		i++;
	if(i == CONFIG_MAX)
		return;
	snprintf(list[i].key, sizeof(list[i].key), "%s", key);
	snprintf(list[i].value, sizeof(list[i].value), "%s", value);
	if(i == *n)
		(*n)++;
}

/** One word: of a quoted one what is between the quotes. @return behind it */
static const char *word(const char *p, char *out, size_t cap, bool *quoted)
{
	size_t n = 0;
	while(*p == ' ' || *p == '\t' || *p == ',' || *p == '(' || *p == '=')
		p++;
	*quoted = *p == '"' || *p == '\'';
	if(*quoted) {
		char quote = *p++;
		for(; *p != '\0' && *p != quote; p++) {
			if(n + 1 < cap)
				out[n++] = *p;
		}
		p += *p == quote;
	} else {
		for(; *p != '\0' && strchr(" \t,()\r=", *p) == NULL; p++) {
			if(n + 1 < cap)
				out[n++] = *p;
		}
	}
	out[n] = '\0';
	return p;
}

/** A value with the defines put in: Kamailio replaces bare names. */
static const char *value_word(const struct config *c, const char *p, char *out, size_t cap)
{
	bool quoted;
	p = word(p, out, cap, &quoted);
	for(int round = 0; !quoted && round < 4; round++) {
		const char *d = defined(c, out);
		char inner[CONFIG_VALUE];
		if(d == NULL)
			break;
		snprintf(inner, sizeof(inner), "%s", d);
		word(inner, out, cap, &quoted);
	}
	return p;
}

static void define(struct config *c, const char *p, bool anew)
{
	char name[96];
	bool quoted;
	p = word(p, name, sizeof(name), &quoted);
	while(*p == ' ' || *p == '\t')
		p++;
	if(name[0] != '\0' && (anew || defined(c, name) == NULL))
		keep(c->define, &c->defines, name, p);
}

static void modparam(struct config *c, const char *p)
{
	char modules[96], name[64], value[CONFIG_VALUE], key[192];
	bool quoted;
	p = word(p, modules, sizeof(modules), &quoted);
	p = word(p, name, sizeof(name), &quoted);
	value_word(c, p, value, sizeof(value));
	for(char *save = NULL, *m = strtok_r(modules, "|", &save); m != NULL; m = strtok_r(NULL, "|", &save)) {
		snprintf(key, sizeof(key), "%s.%s", m, name);
		if(strcmp(m, "callstate") == 0 || strcmp(m, "callhook") == 0 || strcmp(m, "rtpengine") == 0
				|| strcmp(key, "usrloc.db_url") == 0)
			keep(c->set, &c->sets, key, value);
	}
}

static void include(struct config *c, const char *p, const char *from, config_load load, void *arg)
{
	char name[CONFIG_VALUE], path[CONFIG_VALUE * 2];
	const char *slash = strrchr(from, '/');
	value_word(c, p, name, sizeof(name));
	if(name[0] == '/' || slash == NULL)
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - from), from, name);
	config_read(c, path, load, arg);
}

static bool begins(const char *line, const char *with, const char **rest)
{
	size_t n = strlen(with);
	*rest = line + n;
	return strncmp(line, with, n) == 0 && !isalnum((unsigned char)line[n]) && line[n] != '_';
}

/** @param off depth of the outermost #!ifdef that does not hold, 0: none; @param depth of them all */
static bool condition(const struct config *c, const char *line, unsigned *depth, unsigned *off)
{
	const char *rest;
	char name[96];
	bool quoted, if_def = begins(line, "#!ifdef", &rest) || begins(line, "!!ifdef", &rest);
	bool if_not = !if_def && (begins(line, "#!ifndef", &rest) || begins(line, "!!ifndef", &rest));
	if(if_def || if_not) {
		word(rest, name, sizeof(name), &quoted);
		++*depth;
		if(*off == 0 && (defined(c, name) != NULL) != if_def)
			*off = *depth;
		return true;
	}
	if(begins(line, "#!else", &rest) || begins(line, "!!else", &rest)) {
		if(*off == *depth)
			*off = 0;
		else if(*off == 0)
			*off = *depth;
		return true;
	}
	if(begins(line, "#!endif", &rest) || begins(line, "!!endif", &rest)) {
		if(*off == *depth)
			*off = 0;
		*depth -= *depth > 0;
		return true;
	}
	return false;
}

static void take_line(struct config *c, const char *line, const char *path, config_load load, void *arg)
{
	const char *rest;
	char value[CONFIG_VALUE];
	if(begins(line, "#!define", &rest) || begins(line, "#!redefine", &rest) || begins(line, "!!define", &rest))
		define(c, rest, true);
	else if(begins(line, "#!trydef", &rest) || begins(line, "#!trydefine", &rest))
		define(c, rest, false);
	else if(begins(line, "include_file", &rest) || begins(line, "import_file", &rest)
			|| begins(line, "#!include_file", &rest) || begins(line, "#!import_file", &rest))
		include(c, rest, path, load, arg);
	else if(begins(line, "modparam", &rest) || begins(line, "modparamx", &rest))
		modparam(c, rest);
	else if(begins(line, "mpath", &rest)) {
		value_word(c, rest, value, sizeof(value));
		keep(c->set, &c->sets, "mpath", value);
	}
}

bool config_read(struct config *c, const char *path, config_load load, void *arg)
{
	unsigned depth = 0, off = 0;
	char *text = c->depth < DEPTH_MAX && c->files++ < FILES_MAX ? load(path, arg) : NULL;
	if(text == NULL)
		return false;
	c->depth++;
	for(char *save = NULL, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		line[strcspn(line, "\r")] = '\0';
		if(!condition(c, line, &depth, &off) && off == 0)
			take_line(c, line, path, load, arg);
	}
	c->depth--;
	free(text);
	return true;
}
