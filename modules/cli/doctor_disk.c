/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folders, files, room, how far the log has got to the disk, its damage. */
#include "doctor_probe.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RECORDS_MAX 1000u

uint64_t doctor_now(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/** The uppermost folder above this one that the user may not enter; "": none */
static void blocked_at(const struct who *w, const char *path, char *out, size_t cap)
{
	struct stat st;
	char *real = realpath(path, NULL);
	out[0] = '\0';
	for(char *p = real; w->known && p != NULL && (p = strchr(p, '/')) != NULL; p++) {
		snprintf(out, cap, "%.*s", p == real ? 1 : (int)(p - real), real);
		if(stat(out, &st) == 0 && !who_may(w, st.st_uid, st.st_gid, st.st_mode, 1))
			break;
		out[0] = '\0';
	}
	free(real);
}

static void folder(struct doctor *d, const char *name, const char *path)
{
	struct stat st = {0};
	struct statvfs fs;
	char blocked[600];
	struct folder_facts f = {.name = name, .path = path, .who = &d->who, .blocked = blocked};
	f.error = stat(path, &st) == 0 ? 0 : errno;
	f.is_dir = S_ISDIR(st.st_mode);
	f.read_only = f.error == 0 && statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0;
	f.uid = st.st_uid;
	f.gid = st.st_gid;
	f.mode = st.st_mode;
	struct text owner = doctor_user(st.st_uid);
	f.owner = owner.s;
	blocked_at(&d->who, path, blocked, sizeof(blocked));
	check_folder(&d->all, &f);
}

void doctor_folders(struct doctor *d)
{
	folder(d, "journal dir", d->c->journal);
	folder(d, "hooks dir", d->c->hooks);
	if(d->spool[0] != '\0')
		folder(d, "spool dir", d->spool);
	else
		SAY(finding_unknown(&d->all, "spool dir")->found, "where it is, is in %s", d->lock);
}

struct looked
{
	unsigned well, wrong, hidden;
	char one[700]; /* of those that could not be looked at */
};

static void file(struct doctor *d, struct looked *l, const char *path, mode_t no, bool written)
{
	struct stat st;
	if(stat(path, &st) != 0) {
		if(errno == EACCES && l->hidden++ == 0)
			snprintf(l->one, sizeof(l->one), "%s", path);
		return;
	}
	struct text owner = doctor_user(st.st_uid);
	struct file_facts f = {.path = path,
			.uid = st.st_uid,
			.gid = st.st_gid,
			.mode = st.st_mode,
			.owner = owner.s,
			.who = &d->who,
			.no = no,
			.written = written};
	if(check_file(&d->all, &f))
		l->well++;
	else
		l->wrong++;
}

/** With what SQLite keeps beside it. */
static void sqlite_files(struct doctor *d, struct looked *l, const char *path, mode_t no)
{
	static const char *const end[] = {"", "-wal", "-shm", "-journal"};
	char name[700];
	for(size_t i = 0; i < sizeof(end) / sizeof(end[0]); i++) {
		snprintf(name, sizeof(name), "%.680s%s", path, end[i]);
		file(d, l, name, no, true);
	}
}

void doctor_files(struct doctor *d)
{
	static const char *const state[] = {"state", "call_log", "layer_log"}; /* the last one has no secrets */
	char path[CLI_PATH + 32], first[SB_DB_URL] = "";
	struct sb_db_url url;
	struct looked l = {0};
	snprintf(path, sizeof(path), "%s/database", d->c->hooks);
	file(d, &l, path, 077, false);
	for(size_t i = 0; i < sizeof(state) / sizeof(state[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s.sqlite", d->c->hooks, state[i]);
		sqlite_files(d, &l, path, i < 2 ? 077 : 022);
	}
	if(doctor_database_url(d, &url, NULL, 0) && url.dialect == SB_SQLITE) {
		snprintf(first, sizeof(first), "%s", url.path);
		sqlite_files(d, &l, url.path, 007);
	}
	const char *more[] = {config_get(&d->config, "callhook.db_url"), config_get(&d->config, "usrloc.db_url")};
	for(size_t i = 0; i < 2; i++) {
		char err[SB_DB_ERROR];
		if(more[i] != NULL && sb_db_url_parse(&url, more[i], err, sizeof(err)) == 0 && url.dialect == SB_SQLITE
				&& strcmp(url.path, first) != 0)
			sqlite_files(d, &l, url.path, 007);
		if(i == 0 && more[0] != NULL && more[1] != NULL && strcmp(more[0], more[1]) == 0)
			break;
	}
	if(l.hidden > 0)
		SAY(finding_unknown(&d->all, "files")->found, "%s may not be looked at by this user", l.one);
	else if(l.wrong == 0)
		SAY(finding_add(&d->all, LEVEL_OK, "files")->found, "%u with secrets or state: nobody else may read them",
				l.well);
}

/** Bytes of the files in a folder. */
static uint64_t bytes_in(const char *path, const char *skip)
{
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;
	DIR *dir = opendir(path);
	while(dir != NULL && (e = readdir(dir)) != NULL) {
		if((skip == NULL || strncmp(e->d_name, skip, strlen(skip)) != 0) && fstatat(dirfd(dir), e->d_name, &st, 0) == 0
				&& S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	if(dir != NULL)
		closedir(dir);
	return sum;
}

static struct room_facts room(const char *path, uint64_t limit, const char *skip)
{
	struct statfs fs;
	struct room_facts f = {.path = path, .limit = limit};
	f.error = statfs(path, &fs) == 0 ? 0 : errno;
	if(f.error != 0)
		return f;
	f.tmpfs = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	f.size = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	f.free = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	f.inodes = (uint64_t)fs.f_files;
	f.inodes_free = (uint64_t)fs.f_ffree;
	f.used = bytes_in(path, skip);
	return f;
}

void doctor_room(struct doctor *d)
{
	struct room_facts f = room(d->spool, doctor_number(d, "callstate.spool_limit", 256) * DOCTOR_MB, "ring-");
	if(d->spool[0] != '\0')
		check_spool(&d->all, &f);
	f = room(d->c->journal, doctor_number(d, "callstate.journal_limit", 8192) * DOCTOR_MB, NULL);
	f.segment = doctor_number(d, "callstate.segment_size", 8) * DOCTOR_MB;
	check_journal(&d->all, &f);
	check_inodes(&d->all, &f);
}

/** µs since the event at a place of the log, or the next one there; 0: there is none, or it has no time */
uint64_t doctor_age(struct doctor *d, struct sb_pos from, int *error)
{
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field at;
	uint64_t now = doctor_now(CLOCK_REALTIME), age = 0;
	int rc = sb_reader_open(&r, d->c->journal, d->spool, from);
	*error = rc < 0 ? -rc : 0;
	if(rc < 0)
		return 0;
	for(unsigned n = 0; n < RECORDS_MAX && age == 0 && (rc = sb_reader_next(r, &rec)) == 1; n++) {
		if(sb_find(rec.payload, rec.hdr.len, SB_C_AT, &at) && sb_field_u64(&at) < now)
			age = now - sb_field_u64(&at);
	}
	*error = rc < 0 ? -rc : 0;
	sb_reader_close(r);
	return age;
}

static bool segment_of(const char *name, uint64_t *segment)
{
	char *end;
	*segment = strtoull(name, &end, 16);
	return end == name + 16 && strcmp(end, ".seg") == 0;
}

/** Adds what the journal has not of one segment of the spool; begin: where the oldest of it is. */
static void compare(struct mover_facts *f, struct sb_pos *begin, int spool, int journal, const char *name)
{
	struct stat from, to = {0};
	uint64_t segment;
	if(!segment_of(name, &segment) || fstatat(spool, name, &from, 0) != 0)
		return;
	if(fstatat(journal, name, &to, 0) != 0 && errno != ENOENT)
		f->looked = false;
	if(from.st_size <= to.st_size)
		return;
	f->waiting += (uint64_t)(from.st_size - to.st_size);
	f->segments++;
	if(begin->segment == 0 || segment < begin->segment)
		*begin = (struct sb_pos){segment, (uint64_t)to.st_size};
}

void doctor_mover(struct doctor *d)
{
	struct mover_facts f = {.journal = d->c->journal,
			.runs = d->pid != 0,
			.looked = true,
			.limit = doctor_number(d, "callstate.spool_limit", 256) * DOCTOR_MB};
	struct sb_pos begin = {0, 0};
	struct dirent *e;
	int error = 0, journal = open(d->c->journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int journal_error = journal < 0 ? errno : 0;
	DIR *spool = opendir(d->spool);
	int spool_error = spool == NULL ? errno : 0;
	f.looked = journal_error != EACCES && spool_error != EACCES;
	while(journal >= 0 && spool != NULL && (e = readdir(spool)) != NULL)
		compare(&f, &begin, dirfd(spool), journal, e->d_name);
	if(begin.segment != 0)
		f.oldest = doctor_age(d, begin, &error);
	if(spool != NULL)
		closedir(spool);
	if(journal >= 0)
		close(journal);
	/* a folder that is not there is said already */
	if((spool != NULL && journal >= 0) || !f.looked)
		check_mover(&d->all, &f);
}

static void count_aside(const char *path, struct damage_facts *f)
{
	struct dirent *e;
	DIR *dir = path[0] != '\0' ? opendir(path) : NULL;
	while(dir != NULL && (e = readdir(dir)) != NULL) {
		size_t n = strlen(e->d_name);
		if(n < 6 || strcmp(e->d_name + n - 6, ".aside") != 0)
			continue;
		if(f->aside++ == 0)
			snprintf(f->one, sizeof(f->one), "%.120s/%.120s", path, e->d_name);
	}
	if(dir != NULL)
		closedir(dir);
}

/** The last segments of the log, some 64 DOCTOR_MB of them at most. @param newest time of the newest event, µs */
static void read_newest(struct doctor *d, struct damage_facts *f, uint64_t *newest)
{
	uint64_t first = 0, last = 0;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_field at;
	*newest = 0;
	int rc = sb_log_segments(d->c->journal, d->spool, &first, &last);
	f->error = rc < 0 ? -rc : 0;
	if(rc < 0 || first == 0)
		return;
	uint64_t from = last > first + 2 ? last - 2 : first;
	if(sb_reader_open(&r, d->c->journal, d->spool, (struct sb_pos){from, 0}) != 0)
		return;
	while(f->read_bytes < 64 * DOCTOR_MB && (rc = sb_reader_next(r, &rec)) == 1) {
		f->read_bytes += sizeof(rec.hdr) + rec.hdr.len;
		if(sb_find(rec.payload, rec.hdr.len, SB_C_AT, &at) && sb_field_u64(&at) > *newest)
			*newest = sb_field_u64(&at);
	}
	f->error = rc < 0 ? -rc : 0;
	f->damaged = sb_reader_damaged(r);
	sb_reader_close(r);
}

void doctor_damage_and_clock(struct doctor *d)
{
	struct damage_facts f = {.path = d->c->journal};
	struct clock_facts clock = {.now = doctor_now(CLOCK_REALTIME)};
	struct timex t = {0};
	int state = adjtimex(&t);
	count_aside(d->c->journal, &f);
	count_aside(d->spool, &f);
	read_newest(d, &f, &clock.newest_record);
	check_damage(&d->all, &f);
	clock.kernel_known = state >= 0;
	clock.synchronised = state >= 0 && state != TIME_ERROR && (t.status & STA_UNSYNC) == 0;
	check_clock(&d->all, &clock);
}
