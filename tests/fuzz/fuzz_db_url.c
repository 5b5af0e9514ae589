/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Database URLs of any bytes, and schema texts of any bytes: taken or refused with one sentence, never more. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "db_schema.h"

static void one_sentence(const char *err)
{
	size_t n = strlen(err);
	assert(n > 0 && n < SB_DB_ERROR);
}

static void url(const char *text)
{
	struct sb_db_url u;
	char err[SB_DB_ERROR] = "";
	memset(&u, 0xa5, sizeof(u));
	if(sb_db_url_parse(&u, text, err, sizeof(err)) != 0) {
		one_sentence(err);
		return;
	}
	assert(strlen(u.shown) < sizeof(u.shown) && strlen(u.path) < sizeof(u.path));
	assert(u.port <= 65535);
	if(u.dialect == SB_SQLITE) {
		assert(u.path[0] == '/' && u.path[1] != '/');
		return;
	}
	assert(u.database[0] != '\0' && (u.host[0] != '\0' || u.socket[0] != '\0'));
	assert((u.cert[0] == '\0') == (u.key[0] == '\0'));
	for(const unsigned char *p = (const unsigned char *)u.shown; *p != '\0'; p++)
		assert(*p >= ' ' && *p != 0x7f);
	/* a password that is in nothing else is not shown */
	if(strlen(u.password) > 6 && strstr(u.user, u.password) == NULL && strstr(u.host, u.password) == NULL
			&& strstr(u.database, u.password) == NULL && strstr(u.socket, u.password) == NULL
			&& strpbrk(u.password, "@:/?") == NULL)
		assert(strstr(u.shown, u.password) == NULL);
}

static void schema(const char *text, size_t len, enum sb_dialect dialect)
{
	char *out = NULL, *at, *sql, err[SB_DB_ERROR] = "";
	int rc = sb_schema_expand(&out, dialect, text, len, err, sizeof(err));
	if(rc != 0) {
		assert(rc == -EINVAL && out == NULL);
		one_sentence(err);
		return;
	}
	size_t all = strlen(out), used = 0;
	at = out;
	while((sql = sb_schema_next(&at)) != NULL) {
		used += strlen(sql);
		assert(used <= all && at >= out && at <= out + all);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if(size < 1)
		return 0;
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if(data[0] % 3 == 0)
		url(text);
	else
		schema(text, size - 1, data[0] % 3 == 1 ? SB_SQLITE : SB_MARIADB);
	free(text);
	return 0;
}
