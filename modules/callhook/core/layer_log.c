/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layer_log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "layer_line.h"
#include "layer_parts.h"
#include "layer_syslog.h"
#include "shared_text.h"
#include "sink_place.h"

#define RETRY_FIRST_US 100000u
#define RETRY_LONGEST_US 5000000u

static const char syslog_prefix[] = "syslog:";

void sb_layer_say(const struct sb_layer_cfg *cfg, bool error, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cfg->say(error, text);
}

void sb_layer_set_error(struct sb_layer_status *s, const char *text)
{
	atomic_fetch_add(&s->errors, 1);
	sb_shared_text_set(&s->text_version, s->error, sizeof(s->error), text);
}

void sb_layer_status_error(const struct sb_layer_status *s, char out[SB_LAYER_ERROR_LEN])
{
	sb_shared_text_get(&s->text_version, s->error, out, SB_LAYER_ERROR_LEN);
}

const char *sb_layer_state_name(uint32_t state)
{
	static const char *const names[] = {"off", "writing", "waiting"};

	return state < 3 ? names[state] : "?";
}

static const char *reason(int err)
{
	switch(err) {
		case -ENOTSUP:
			return "it is not a regular file";
		case -ELOOP:
			return "it is a symbolic link, and none is followed; name the file itself";
		case -EAGAIN:
			return "the daemon does not read: its queue is full";
		default:
			return strerror(-err);
	}
}

static int init_target(const struct sb_layer_cfg *cfg, struct sb_layer_file *file, struct sb_layer_syslog *syslog,
		char *err, size_t err_len)
{
	size_t n = strlen(syslog_prefix);
	int rc;

	if(strncmp(cfg->target, syslog_prefix, n) != 0) {
		rc = sb_layer_file_init(file, cfg->target, cfg->size, cfg->files);
		if(rc != 0)
			snprintf(err, err_len,
					"layer_log \"%s\": must be \"\" (off), the absolute name of a file of at most %u characters, or "
					"syslog:FACILITY",
					cfg->target, SB_LAYER_PATH - 1);
		return rc;
	}
	rc = sb_layer_syslog_init(syslog, cfg->target + n);
	if(rc == -ENOENT)
		snprintf(err, err_len, "layer_log \"%s\": there is no such facility; there are: %s", cfg->target,
				SB_LAYER_FACILITIES);
	else if(rc != 0)
		snprintf(err, err_len,
				"layer_log \"%s\": behind the facility may stand the daemon's socket, as in syslog:local0:%s: an "
				"absolute name, at "
				"most 107 characters",
				cfg->target, SB_LAYER_SYSLOG_SOCKET);
	return rc;
}

/* Is the file one that can be written? What passes by itself (no room, a read-only disk) is no reason to refuse the start. */
static int try_file(const struct sb_layer_cfg *cfg, struct sb_layer_file *f, char *err, size_t err_len)
{
	int rc = sb_layer_file_follow(f);

	sb_layer_file_close(f);
	if(rc >= 0)
		return 0;
	if(rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS || rc == -EIO) {
		sb_layer_say(cfg, true,
				"layer_log %s: cannot be written now: %s; it is tried again, and its lines wait in the journal",
				cfg->target, reason(rc));
		return 0;
	}
	snprintf(err, err_len,
			"layer_log %s: cannot be opened for writing: %s; it must be a file in a folder that is there and writable "
			"for the user "
			"Kamailio runs as: install -d -m 0750 -o kamailio -g kamailio FOLDER",
			cfg->target, reason(rc));
	return rc;
}

/* A cursor that was kept for another log means nothing in this one. @param kept zeroed */
static int find_cursor(const struct sb_layer_cfg *cfg, struct sb_layer_store *store, struct sb_layer_kept *kept)
{
	int rc = sb_layer_store_get(store, kept);
	int same = rc == 0 ? sb_layer_store_of_node(store, cfg->log->node) : rc;
	const char *why = same < 0 ? NULL : sb_log_is_another(cfg->log, same == 1, kept->pos);

	if(same < 0 && same != -ENOENT)
		return same;
	if(same == 1 && why == NULL)
		return 0;
	if(why != NULL)
		sb_layer_say(cfg, false,
				"layer_log %s: the journal in %s is another one than before (%s): it goes on with what happens from "
				"now on",
				cfg->target, cfg->log->cfg.journal_dir, why);
	if(why != NULL || same == -ENOENT)
		kept->pos = sb_log_this_start(cfg->log);
	return sb_layer_store_begin(store, kept, cfg->log->node);
}

static void store_path(const struct sb_layer_cfg *cfg, char *out, size_t room)
{
	snprintf(out, room, "%s/layer_log.sqlite", cfg->state_dir);
}

int sb_layer_prepare(const struct sb_layer_cfg *cfg, char *err, size_t err_len)
{
	struct sb_layer_kept kept = {0};
	struct sb_layer_store *store = NULL;
	char path[SB_LOG_PATH + 32];
	struct sb_layer_syslog syslog = {.fd = -1};
	struct sb_layer_file file = {.fd = -1};
	struct stat st;
	int rc = init_target(cfg, &file, &syslog, err, err_len);

	if(rc != 0)
		return rc;
	if(stat(cfg->state_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		snprintf(err, err_len,
				"state_dir %s is not a directory: make it, for the user Kamailio runs as: install -d -m 0750 -o "
				"kamailio -g kamailio %s",
				cfg->state_dir, cfg->state_dir);
		return -ENOENT;
	}
	rc = file.path[0] != '\0' ? try_file(cfg, &file, err, err_len) : 0;
	if(rc != 0)
		return rc;
	store_path(cfg, path, sizeof(path));
	rc = sb_layer_store_open(&store, path, true, err, err_len);
	if(rc != 0)
		return rc;
	rc = find_cursor(cfg, store, &kept);
	if(rc != 0)
		snprintf(err, err_len, "%s cannot be used: %s; it must be writable, with room on its disk", path,
				sb_layer_store_error(store));
	cfg->status->lines_before = kept.lines;
	cfg->status->bytes_before = kept.bytes;
	sb_layer_store_close(store);
	return rc;
}

static void show(struct sb_layer_log *l)
{
	struct sb_layer_status *s = l->cfg.status;

	atomic_store(&s->lines, l->kept.lines - s->lines_before);
	atomic_store(&s->bytes, l->kept.bytes - s->bytes_before);
	atomic_store(&s->segment, l->kept.pos.segment);
	atomic_store(&s->offset, l->kept.pos.offset);
}

int sb_layer_new(struct sb_layer_log **out, const struct sb_layer_cfg *cfg, char *err, size_t err_len)
{
	struct sb_layer_log *l = calloc(1, sizeof(*l));
	char path[SB_LOG_PATH + 32];
	int rc;

	if(l == NULL) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	l->cfg = *cfg;
	l->file.fd = l->syslog.fd = -1;
	rc = init_target(cfg, &l->file, &l->syslog, err, err_len);
	if(rc != 0)
		goto out;
	l->to_syslog = l->file.path[0] == '\0';
	l->line_max = l->to_syslog ? SB_LAYER_SYSLOG_MAX : SB_LAYER_LINE_MAX;
	store_path(cfg, path, sizeof(path));
	rc = sb_layer_store_open(&l->store, path, false, err, err_len);
	if(rc != 0)
		goto out;
	rc = sb_layer_store_get(l->store, &l->kept);
	if(rc != 0) {
		snprintf(err, err_len, "%s cannot be read: %s", path, sb_layer_store_error(l->store));
		goto out;
	}
	l->read = l->kept.pos;
	l->recovered = l->to_syslog;
	if(cfg->sink >= 0)
		sb_log_sink_done(cfg->log->sh, cfg->sink, l->kept.pos.segment);
	show(l);
	sb_shared_text_take_over(&cfg->status->text_version);
	atomic_store(&cfg->status->state, SB_LAYER_WRITING);
	*out = l;
	l = NULL;
out:
	if(l != NULL) {
		sb_layer_store_close(l->store);
		free(l);
	}
	return rc;
}

void sb_layer_failed(struct sb_layer_log *l, uint64_t now, const char *what, const char *why)
{
	uint64_t wait = l->failures < 6 ? RETRY_FIRST_US << l->failures : RETRY_LONGEST_US;
	char text[SB_LAYER_ERROR_LEN];

	snprintf(text, sizeof(text), "%s: %s", what, why);
	sb_layer_set_error(l->cfg.status, text);
	if(l->failures++ == 0)
		sb_layer_say(&l->cfg, true,
				"layer_log %s: %s; its lines wait in the journal, and it is tried again until it works", l->cfg.target,
				text);
	if(!l->recovered && atomic_load(&l->cfg.status->oldest_at) == 0)
		atomic_store(&l->cfg.status->oldest_at, l->wall);
	atomic_store(&l->cfg.status->state, SB_LAYER_WAITING);
	l->retry_at = now + wait;
}

static void works(struct sb_layer_log *l)
{
	if(l->failures > 0)
		sb_layer_say(&l->cfg, false, "layer_log %s: it is written again, from where it stopped", l->cfg.target);
	l->failures = 0;
	atomic_store(&l->cfg.status->state, SB_LAYER_WRITING);
}

static int recover(struct sb_layer_log *l)
{
	int rc;

	sb_layer_forget_written(l);
	rc = sb_layer_file_recover(&l->file, &l->kept.mark, sb_layer_line_begins, sb_layer_note_written, l);
	if(rc != 0)
		return rc;
	sb_layer_sort_written(l);
	l->recovered = true;
	return 0;
}

static bool keep(struct sb_layer_log *l, uint64_t now)
{
	/* while records are passed whose lines stand behind the mark, it stays */
	if(l->passed || l->to_syslog)
		l->kept.mark = l->to_syslog ? (struct sb_layer_mark){0} : l->file.end;
	l->keep_failed = true;
	if(sb_layer_store_put(l->store, &l->kept) != 0) {
		sb_layer_failed(l, now, "layer_log.sqlite in state_dir cannot be written", sb_layer_store_error(l->store));
		return false;
	}
	l->keep_failed = false;
	l->kept_at = now;
	l->changed = false;
	if(l->cfg.sink >= 0)
		sb_log_sink_done(l->cfg.log->sh, l->cfg.sink, l->kept.pos.segment);
	return true;
}

/* The first `lines` of the batch are written. */
static void advance(struct sb_layer_log *l, unsigned lines)
{
	size_t bytes;

	if(lines == 0)
		return;
	bytes = l->line[lines - 1].end;
	l->kept.pos = l->line[lines - 1].next;
	l->kept.lines += lines;
	l->kept.bytes += bytes;
	l->changed = true;
	memmove(l->buf, l->buf + bytes, l->len - bytes);
	l->len -= bytes;
	l->lines -= lines;
	for(unsigned i = 0; i < l->lines; i++) {
		l->line[i] = l->line[i + lines];
		l->line[i].end -= bytes;
	}
	show(l);
}

static int send_lines(struct sb_layer_log *l)
{
	size_t at = 0;
	unsigned n = 0;
	int rc = 0;

	while(n < l->lines && rc == 0) {
		rc = sb_layer_syslog_send(&l->syslog, l->buf + at, l->line[n].end - at - 1, l->wall);
		if(rc == 0)
			at = l->line[n++].end;
	}
	advance(l, n);
	return rc;
}

/* A file that cannot be renamed is written on: its lines matter more than its size. */
static bool rotate(struct sb_layer_log *l, uint64_t now)
{
	char text[SB_LAYER_ERROR_LEN];
	int rc;

	if(now < l->rotate_at)
		return true;
	if(!keep(l, now))
		return false;
	rc = sb_layer_file_rotate(&l->file);
	if(rc == 0) {
		l->rotate_said = false;
		return keep(l, now);
	}
	l->rotate_at = now + SB_LAYER_SECOND_US;
	snprintf(text, sizeof(text), "it cannot be rotated: %s", strerror(-rc));
	sb_layer_set_error(l->cfg.status, text);
	if(!l->rotate_said)
		sb_layer_say(&l->cfg, true,
				"layer_log %s: %s; it grows on (is its folder writable for the user Kamailio runs as?)", l->cfg.target,
				text);
	l->rotate_said = true;
	return true;
}

/* Another file than before is kept before a line goes into it: so at most one file holds lines behind the mark beside the current one. */
static bool follow(struct sb_layer_log *l, uint64_t now)
{
	int rc = sb_layer_file_follow(&l->file);

	if(rc < 0)
		sb_layer_failed(l, now, "it cannot be opened", reason(rc));
	l->file_looked = now;
	return rc < 0 ? false : rc == 0 || keep(l, now);
}

/* @return 0, -ECANCELED: said already, or -errno */
static int write_lines(struct sb_layer_log *l, uint64_t now)
{
	size_t done = 0;
	unsigned n = 0;
	int rc;

	if(!follow(l, now) || (sb_layer_file_full(&l->file, l->len) && !rotate(l, now)))
		return -ECANCELED;
	rc = sb_layer_file_append(&l->file, l->buf, l->len, &done);
	while(n < l->lines && l->line[n].end <= done)
		n++;
	advance(l, n);
	return rc;
}

static bool flush(struct sb_layer_log *l, uint64_t now)
{
	int rc = 0;

	if(l->lines > 0)
		rc = l->to_syslog ? send_lines(l) : write_lines(l, now);
	if(rc == 0)
		return true;
	if(rc != -ECANCELED && rc != -EINTR)
		sb_layer_failed(l, now, "it cannot be written", reason(rc));
	return false;
}

static int until(uint64_t at, uint64_t now)
{
	uint64_t ms = at > now ? (at - now + 999) / 1000 : 0;

	return ms < SB_LAYER_IDLE_MS ? (int)ms : SB_LAYER_IDLE_MS;
}

static void write_what_is_new(struct sb_layer_log *l, uint64_t now)
{
	_Atomic uint64_t *oldest = &l->cfg.status->oldest_at;
	uint64_t newest = 0;

	/* somebody may have moved the file while nothing happens */
	if(!l->to_syslog && now >= l->file_looked + SB_LAYER_SECOND_US && !follow(l, now))
		return;
	sb_layer_fill(l, now);
	if(l->lines > 0) {
		newest = l->line[l->lines - 1].at;
		atomic_store(oldest, l->line[0].at);
	}
	if(flush(l, now))
		atomic_store(oldest, l->more ? newest : 0);
}

int sb_layer_turn(struct sb_layer_log *l, uint64_t wall_us, uint64_t now)
{
	int rc;

	l->wall = wall_us;
	if(now < l->retry_at)
		return until(l->retry_at, now);
	l->retry_at = 0;
	rc = l->recovered ? 0 : recover(l);
	if(rc != 0)
		sb_layer_failed(l, now, "it cannot be opened", reason(rc));
	else if(!l->keep_failed || keep(l, now))
		write_what_is_new(l, now);
	if(l->retry_at == 0 && l->changed && now >= l->kept_at + SB_LAYER_KEEP_MS * 1000u)
		keep(l, now);
	if(l->retry_at != 0)
		return until(l->retry_at, now);
	works(l);
	show(l);
	return l->more || l->lines > 0 ? 0 : SB_LAYER_IDLE_MS;
}

void sb_layer_stop(struct sb_layer_log *l, uint64_t wall_us, uint64_t now)
{
	l->wall = wall_us;
	if(l->recovered)
		flush(l, now);
	if(l->changed)
		keep(l, now);
	sb_reader_close(l->reader);
	sb_layer_store_close(l->store);
	sb_layer_file_close(&l->file);
	sb_layer_syslog_close(&l->syslog);
	free(l->written);
	free(l);
}
