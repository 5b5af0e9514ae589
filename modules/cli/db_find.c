/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000u

/* The file that callhook writes: the URL of the call log. @return false: not there, or empty */
static bool from_file(struct cli *c, char *out, size_t cap, char *path, size_t path_cap)
{
	snprintf(path, path_cap, "%s/hooks/database", c->dir);
	FILE *f = fopen(path, "re");
	if(f == NULL)
		return false;
	if(fgets(out, (int)cap, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	fclose(f);
	return out[0] != '\0';
}

int cli_database_url(struct cli *c, struct sb_db_url *out)
{
	char text[CLI_DB], path[CLI_PATH + 32], err[SB_DB_ERROR];
	const char *url = c->db, *from = "--db", *env = getenv("SIGNALBOX_DB");
	if(url[0] == '\0' && env != NULL && env[0] != '\0') {
		url = env;
		from = "$SIGNALBOX_DB";
	} else if(url[0] == '\0' && from_file(c, text, sizeof(text), path, sizeof(path))) {
		url = text;
		from = path;
	} else if(url[0] == '\0') {
		char *dir = realpath(c->dir, NULL);
		snprintf(text, sizeof(text), "sqlite://%s/signalbox.db", dir != NULL ? dir : c->dir);
		free(dir);
		url = text;
		from = "--dir";
	}
	if(sb_db_url_parse(out, url, err, sizeof(err)) == 0)
		return CLI_OK;
	fprintf(c->err, "signalbox: %s: %s.\n", from, err);
	return CLI_USAGE;
}

int cli_database(struct cli *c, struct sb_db **out)
{
	struct sb_db_url url;
	char err[SB_DB_ERROR];
	int rc = cli_database_url(c, &url);
	if(rc != CLI_OK)
		return rc;
	if(sb_db_open(out, &url, false, TIMEOUT_MS, err, sizeof(err)) == 0)
		return CLI_OK;
	fprintf(c->err,
			"signalbox: %s.\nWhich database: --db URL, else $SIGNALBOX_DB, else the one callhook wrote into "
			"%s/hooks/database.\n",
			err, c->dir);
	return CLI_NOT_FOUND;
}
