/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must be there before delivery begins: directories, the state file, a cursor for each endpoint. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "deliver_parts.h"

struct gone
{
	const struct sb_deliver_cfg *cfg;
	char (*id)[SB_ENDPOINT_ID_LEN];
	unsigned count;
	bool failed;
};

static void note_gone(const char *endpoint, void *arg)
{
	struct gone *g = arg;
	void *more;

	for(unsigned i = 0; i < g->cfg->count; i++) {
		if(strcmp(g->cfg->endpoints[i].id, endpoint) == 0)
			return;
	}
	more = realloc(g->id, (g->count + 1) * sizeof(*g->id));
	if(more == NULL) {
		g->failed = true;
		return;
	}
	g->id = more;
	snprintf(g->id[g->count++], sizeof(*g->id), "%s", endpoint);
}

static int forget_gone(const struct sb_deliver_cfg *cfg, struct sb_store *s)
{
	struct gone g = {.cfg = cfg};
	char text[256];
	uint64_t n = 0;
	int err = sb_store_endpoints(s, note_gone, &g);

	if(g.failed)
		err = -ENOMEM;
	for(unsigned i = 0; i < g.count && err == 0; i++) {
		err = sb_store_forget(s, g.id[i], &n);
		snprintf(text, sizeof(text),
				"endpoint %s is no longer in the table: its cursor and %llu waiting events are forgotten", g.id[i],
				(unsigned long long)n);
		cfg->say(SB_DELIVER_NOTICE, text);
	}
	free(g.id);
	return err;
}

static struct sb_pos beginning(const struct sb_deliver_cfg *cfg)
{
	return cfg->begin.segment != 0 ? cfg->begin : (struct sb_pos){((uint64_t)cfg->log->epoch << 32) + 1, 0};
}

/* Nothing would be read until the epoch has come so far: the journal is a new one, or an older copy. */
static bool ahead_of_the_log(const struct sb_deliver_cfg *cfg, const struct sb_endpoint *e, struct sb_cursor *c)
{
	char text[256];

	if(c->pos.segment >> 32 <= cfg->log->epoch)
		return false;
	snprintf(text, sizeof(text),
			"endpoint %s: its cursor %016llx is of another journal than the one in journal_dir, or of a newer copy: it "
			"begins as a new endpoint",
			e->id, (unsigned long long)c->pos.segment);
	cfg->say(SB_DELIVER_WARNING, text);
	c->pos = beginning(cfg);
	return true;
}

static int prepare_endpoint(const struct sb_deliver_cfg *cfg, struct sb_store *s, const struct sb_endpoint *e)
{
	struct sb_cursor c = {.pos = beginning(cfg)};
	int err = sb_store_cursor(s, e->id, &c);
	bool moved;

	if(err != 0 && err != -ENOENT)
		return err;
	moved = ahead_of_the_log(cfg, e, &c);
	if(err == 0 && !moved && strcmp(c.url, e->url) == 0 && (c.disabled_at == 0 || e->enabled))
		return 0;
	if(strcmp(c.url, e->url) != 0 || !e->enabled) {
		c.disabled_at = 0;
		c.disabled_why[0] = '\0';
	}
	snprintf(c.url, sizeof(c.url), "%s", e->url);
	return sb_store_set_cursor(s, e->id, &c);
}

static int directories(const struct sb_deliver_cfg *cfg, char *err, size_t err_len)
{
	char path[SB_LOG_PATH + 32];
	struct stat st;
	int r;

	if(stat(cfg->state_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		snprintf(err, err_len,
				"state_dir %s is not a directory (%s): make it, for the user Kamailio runs as: install -d -m 0750 -o "
				"kamailio -g kamailio %s",
				cfg->state_dir, strerror(errno), cfg->state_dir);
		return -ENOENT;
	}
	snprintf(path, sizeof(path), "%s/deliveries", cfg->state_dir);
	if(mkdir(path, 0750) == 0 || errno == EEXIST)
		return 0;
	r = -errno;
	snprintf(err, err_len,
			"%s cannot be made: %s; state_dir must be writable for the user Kamailio runs as: chown -R kamailio: %s",
			path, strerror(-r), cfg->state_dir);
	return r;
}

int sb_deliver_prepare(const struct sb_deliver_cfg *cfg, char *err, size_t err_len)
{
	char path[SB_LOG_PATH + 32];
	struct sb_store *s = NULL;
	int r = directories(cfg, err, err_len);

	if(r != 0)
		return r;
	snprintf(path, sizeof(path), "%s/state.sqlite", cfg->state_dir);
	r = sb_store_open(&s, path, true, err, err_len);
	if(r != 0)
		return r;
	r = forget_gone(cfg, s);
	for(unsigned i = 0; i < cfg->count && r == 0; i++)
		r = prepare_endpoint(cfg, s, &cfg->endpoints[i]);
	if(r == 0)
		r = sb_store_commit(s);
	if(r != 0)
		snprintf(err, err_len,
				"%s cannot be written: %s; it must be writable, with room on its disk: chown -R kamailio: %s", path,
				sb_store_error(s), cfg->state_dir);
	sb_store_close(s);
	return r;
}
