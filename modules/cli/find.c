/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/** First line of a file below dir, without its end; "" if there is none. */
static void first_line(char *out, size_t cap, const char *dir, const char *name)
{
	char path[CLI_PATH + 32];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	out[0] = '\0';
	FILE *f = fopen(path, "re");
	if(f == NULL)
		return;
	if(fgets(out, (int)cap, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	fclose(f);
}

static int no_journal(struct cli *c)
{
	if(!is_dir(c->dir))
		fprintf(c->err, "signalbox: %s: no such directory.\n", c->dir);
	else if(access(c->dir, R_OK | X_OK) != 0 || (is_dir(c->journal) && access(c->journal, R_OK | X_OK) != 0))
		fprintf(c->err, "signalbox: %s may not be read by this user. Run it as the user of Kamailio or as root.\n",
				c->journal);
	else
		fprintf(c->err, "signalbox: no journal: looked for segments (*.seg) in %s/ and in the spool%s%s.\n", c->journal,
				c->spool[0] != '\0' ? " " : "", c->spool);
	fprintf(c->err, "Give the directory that holds journal/ and hooks/ with --dir DIR or $SIGNALBOX_DIR; it is filled "
					"once Kamailio runs "
					"with callstate.\n");
	return CLI_NOT_FOUND;
}

int cli_find(struct cli *c)
{
	char above[CLI_PATH];
	size_t n = strlen(c->dir);
	while(n > 1 && c->dir[n - 1] == '/')
		c->dir[--n] = '\0';
	if(n > SB_LOG_PATH - 32) {
		fprintf(c->err, "signalbox: the path given with --dir is too long (%zu bytes, at most %u).\n", n,
				SB_LOG_PATH - 32);
		return CLI_USAGE;
	}
	c->journal[0] = c->hooks[0] = '\0';
	SAY(c->journal, "%s/journal", c->dir);
	SAY(c->hooks, "%s/hooks", c->dir);
	if(!is_dir(c->journal)) {
		first_line(above, sizeof(above), c->dir, "node");
		if(above[0] != '\0') {
			memcpy(c->journal, c->dir, sizeof(c->journal));
			c->hooks[0] = '\0';
			SAY(c->hooks, "%s/../hooks", c->dir);
		}
	}
	first_line(c->spool, sizeof(c->spool), c->journal, "spool");
	first_line(c->node, sizeof(c->node), c->journal, "node");
	if(c->spool[0] != '\0' && !is_dir(c->spool))
		c->spool[0] = '\0';
	return CLI_OK;
}

int cli_reader(struct cli *c, struct sb_pos from, struct sb_reader **out)
{
	uint64_t first = 0, last = 0;
	int rc = cli_find(c);
	if(rc != CLI_OK)
		return rc;
	rc = sb_log_segments(c->journal, c->spool, &first, &last);
	if(rc < 0 || first == 0)
		return no_journal(c);
	if(from.segment < first)
		from = (struct sb_pos){first, 0};
	rc = sb_reader_open(out, c->journal, c->spool, from);
	if(rc < 0) {
		fprintf(c->err, "signalbox: %s cannot be read: %s.\n", c->journal, strerror(-rc));
		return CLI_NOT_FOUND;
	}
	return CLI_OK;
}

void cli_say_damage(struct cli *c, const struct sb_reader *r)
{
	uint64_t n = sb_reader_damaged(r);
	if(n > 0)
		fprintf(c->err, "signalbox: %" PRIu64 " damaged %s in %s skipped.\n", n, n == 1 ? "place" : "places",
				c->journal);
}
