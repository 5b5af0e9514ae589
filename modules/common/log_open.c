/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PAUSE_MS 10
#define LOCK_LEAST_MS 50 /* a reader tries the lock for an instant to see whether anybody lives */

/** Where the one sentence goes that sb_log_open() fails with. */
struct sentence
{
	char *text;
	size_t cap;
};

__attribute__((format(printf, 3, 4))) static int fail(struct sentence *s, int rc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->text, s->cap, format, args);
	va_end(args);
	return rc;
}

static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw != NULL ? pw->pw_name : "root";
}

static int dir_check(const char *what, const char *dir, struct sentence *s)
{
	const char *user = user_name();
	struct stat st;

	if(dir[0] != '/')
		return fail(s, -EINVAL, "%s is \"%s\": an absolute path is expected", what, dir);
	if(stat(dir, &st) != 0) {
		if(errno == ENOENT)
			return fail(s, -ENOENT, "%s %s does not exist; make it: install -d -o %s -m 0750 %s", what, dir, user, dir);
		return fail(s, -errno, "%s %s cannot be looked at by user %s: %s", what, dir, user, strerror(errno));
	}
	if(!S_ISDIR(st.st_mode))
		return fail(s, -ENOTDIR, "%s %s is not a directory; move it away and make one: install -d -o %s -m 0750 %s",
				what, dir, user, dir);
	if(faccessat(AT_FDCWD, dir, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	if(errno == EROFS)
		return fail(s, -EROFS,
				"%s %s is on a file system mounted read-only; mount it writable: mount -o remount,rw "
				"\"$(findmnt -n -o TARGET --target %s)\"",
				what, dir, dir);
	return fail(s, -errno, "%s %s cannot be written by user %s: %s; give it to that user: chown -R %s %s", what, dir,
			user, strerror(errno), user, dir);
}

static int cfg_check(struct sb_log_cfg *cfg, struct sentence *s)
{
	struct statfs fs;
	int rc = dir_check("spool_dir", cfg->spool_dir, s);

	if(rc == 0)
		rc = dir_check("journal_dir", cfg->journal_dir, s);
	if(rc != 0)
		return rc;
	if(cfg->segment_size < 4096 || cfg->segment_size > 1u << 30)
		return fail(
				s, -EINVAL, "segment_size is %" PRIu64 " bytes: 4096 to 1073741824 are expected", cfg->segment_size);
	if(cfg->ring_size != 0 && !sb_ring_size_valid(cfg->ring_size))
		return fail(s, -EINVAL,
				"ring_size is %" PRIu64 " bytes: 0 or a power of two from 131072 to 1073741824 is expected",
				cfg->ring_size);
	if(cfg->spool_limit != 0 && cfg->spool_limit < 2 * cfg->segment_size)
		return fail(s, -EINVAL, "spool_limit is %" PRIu64 " bytes: at least two segments are expected, %" PRIu64,
				cfg->spool_limit, 2 * cfg->segment_size);
	if(statfs(cfg->spool_dir, &fs) == 0 && fs.f_blocks > 0) {
		uint64_t room = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / 10 * 9;
		if(room < 2 * cfg->segment_size)
			return fail(s, -ENOSPC,
					"the file system of spool_dir %s holds %" PRIu64 " bytes: at least two segments of %" PRIu64
					" bytes and a tenth more are expected; enlarge it (mount -o remount,size=…) or lower segment_size",
					cfg->spool_dir, room / 9 * 10, cfg->segment_size);
		if(cfg->spool_limit == 0 || cfg->spool_limit > room)
			cfg->spool_limit = room;
	}
	return 0;
}

static int lock_take(int fd, unsigned wait_ms)
{
	const struct timespec pause = {0, LOCK_PAUSE_MS * 1000000L};

	for(unsigned waited = 0;; waited += LOCK_PAUSE_MS) {
		if(flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if(errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if(waited >= (wait_ms > LOCK_LEAST_MS ? wait_ms : LOCK_LEAST_MS))
			return -EWOULDBLOCK;
		nanosleep(&pause, NULL);
	}
}

static void holder(const char *spool_dir, char *out, size_t cap)
{
	char path[SB_LOG_FILE], pid[32];

	snprintf(path, sizeof(path), "%s/lock", spool_dir);
	if(sb_file_read(path, pid, sizeof(pid)) > 0)
		snprintf(out, cap, "pid %s", pid);
	else
		snprintf(out, cap, "whose pid is not in %s", path);
}

static int lock_spool(struct sb_log *log, unsigned wait_ms, struct sentence *s)
{
	char path[SB_LOG_FILE], who[SB_LOG_FILE + 64];

	snprintf(path, sizeof(path), "%s/lock", log->cfg.spool_dir);
	log->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, SB_LOG_MODE);
	if(log->lock_fd < 0)
		return fail(s, -errno, "the lock %s cannot be opened by user %s: %s; remove it if no instance runs: rm %s",
				path, user_name(), strerror(errno), path);
	int rc = lock_take(log->lock_fd, wait_ms);
	if(rc == -EWOULDBLOCK) {
		holder(log->cfg.spool_dir, who, sizeof(who));
		return fail(s, rc,
				"spool_dir %s is in use by another instance, %s (or a process it left behind: fuser -v %s); stop it, "
				"or "
				"give this one a spool_dir and a journal_dir of its own",
				log->cfg.spool_dir, who, path);
	}
	if(rc != 0)
		return fail(s, rc, "the lock %s cannot be taken: %s", path, strerror(-rc));
	if(ftruncate(log->lock_fd, 0) != 0 || dprintf(log->lock_fd, "%d\n", (int)getpid()) < 0)
		return fail(s, -errno, "the lock %s cannot be written: %s; free some room in %s", path, strerror(errno),
				log->cfg.spool_dir);
	return 0;
}

static int lock_journal(struct sb_log *log, unsigned wait_ms, struct sentence *s)
{
	const char *dir = log->cfg.journal_dir;
	char path[SB_LOG_FILE], spool[SB_LOG_PATH], who[SB_LOG_FILE + 64];

	log->journal_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if(log->journal_fd < 0)
		return fail(s, -errno, "journal_dir %s cannot be opened: %s", dir, strerror(errno));
	int rc = lock_take(log->journal_fd, wait_ms);
	if(rc != -EWOULDBLOCK)
		return rc == 0 ? 0 : fail(s, rc, "journal_dir %s cannot be locked: %s", dir, strerror(-rc));
	snprintf(path, sizeof(path), "%s/spool", dir);
	if(sb_file_read(path, spool, sizeof(spool)) <= 0)
		return fail(s, rc, "journal_dir %s is in use by another instance; give this one a journal_dir of its own", dir);
	holder(spool, who, sizeof(who));
	return fail(s, rc,
			"journal_dir %s is in use by another instance, the one of spool_dir %s, %s; stop it, or give this one a "
			"journal_dir of its own",
			dir, spool, who);
}

static bool uuid_valid(const char *text)
{
	if(strlen(text) != 36)
		return false;
	for(unsigned i = 0; i < 36; i++)
		if(i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL)
			return false;
	return true;
}

static int uuid_make(char out[37])
{
	uint8_t b[16];

	if(getrandom(b, sizeof(b), 0) != sizeof(b))
		return -errno;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for(unsigned i = 0, n = 0; i < 16; i++)
		n += (unsigned)sprintf(out + n, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
	return 0;
}

static int write_failed(const char *dir, const char *name, int rc, struct sentence *s)
{
	return fail(s, rc, "%s/%s cannot be written by user %s: %s; see df %s and ls -l %s", dir, name, user_name(),
			strerror(-rc), dir, dir);
}

static int not_ours(const char *path, const char *dir, struct sentence *s)
{
	return fail(s, -EACCES, "%s belongs to somebody else, and user %s may not read it: chown -R %s %s", path,
			user_name(), user_name(), dir);
}

/* The epoch is written before the node is made: a node without an epoch has lost it, and ids would repeat. */
static int identity(struct sb_log *log, struct sentence *s)
{
	const char *dir = log->cfg.journal_dir;
	char path[SB_LOG_FILE], text[64];
	unsigned long epoch = 0;

	snprintf(path, sizeof(path), "%s/node", dir);
	ssize_t n = sb_file_read(path, text, sizeof(text));
	bool known = n != -ENOENT;
	if(n == -EACCES)
		return not_ours(path, dir, s);
	if(known && (n < 0 || !uuid_valid(text)))
		return fail(s, n < 0 ? (int)n : -EINVAL,
				"%s cannot be used (%s): a UUID in lower case is expected; remove it to get a new one: rm %s", path,
				n < 0 ? strerror((int)-n) : text, path);
	if(known)
		memcpy(log->node, text, sizeof(log->node));

	snprintf(path, sizeof(path), "%s/epoch", dir);
	n = sb_file_read(path, text, sizeof(text));
	if(n == -EACCES)
		return not_ours(path, dir, s);
	if(n == -ENOENT && known)
		return fail(s, -ENOENT,
				"%s is missing while %s/node is there: event ids could repeat; remove that too, for a new identity: rm "
				"%s/node",
				path, dir, dir);
	if(n != -ENOENT) {
		char *end = text;
		if(n > 0)
			epoch = strtoul(text, &end, 10);
		if(n <= 0 || *end != '\0' || text[0] == '-' || epoch >= UINT32_MAX)
			return fail(s, n < 0 ? (int)n : -EINVAL,
					"%s cannot be used (%s): a number is expected; remove it and %s/node for a new identity: rm %s "
					"%s/node",
					path,
					n < 0    ? strerror((int)-n)
					: n == 0 ? "empty"
							 : text,
					dir, path, dir);
	}
	log->epoch = (uint32_t)epoch + 1;
	snprintf(text, sizeof(text), "%" PRIu32 "\n", log->epoch);
	int rc = sb_file_replace(dir, "epoch", text);
	if(rc != 0)
		return write_failed(dir, "epoch", rc, s);
	if(known)
		return 0;
	if((rc = uuid_make(log->node)) != 0)
		return fail(s, rc, "no random bytes for %s/node: %s", dir, strerror(-rc));
	snprintf(text, sizeof(text), "%s\n", log->node);
	rc = sb_file_replace(dir, "node", text);
	return rc == 0 ? 0 : write_failed(dir, "node", rc, s);
}

static int spool_note(const struct sb_log_cfg *cfg, struct sentence *s)
{
	char real[4096], text[SB_LOG_PATH + 2];

	if(realpath(cfg->spool_dir, real) == NULL || strlen(real) >= SB_LOG_PATH)
		return fail(s, -ENAMETOOLONG, "spool_dir %s has no absolute path below %u bytes", cfg->spool_dir, SB_LOG_PATH);
	snprintf(text, sizeof(text), "%.*s\n", (int)SB_LOG_PATH - 1, real);
	int rc = sb_file_replace(cfg->journal_dir, "spool", text);
	return rc == 0 ? 0 : write_failed(cfg->journal_dir, "spool", rc, s);
}

/* What is in the spool now is complete: an earlier instance held the lock, and is dead. */
static void leftovers_mark(const char *spool_dir)
{
	char path[SB_LOG_FILE];

	for(uint64_t segment = 0; sb_dir_next(spool_dir, segment + 1, &segment) == 1;) {
		sb_path_segment(path, spool_dir, segment);
		(void)!chmod(path, SB_LOG_MODE_DONE);
	}
}

/* By the epoch also behind those that a power cut took, spool and all, after a sink had read them. */
static int segments_begin(struct sb_log *log, struct sentence *s)
{
	const struct sb_log_cfg *cfg = &log->cfg;
	struct sb_dir_sum journal, spool;
	int rc = sb_dir_sum(cfg->journal_dir, 0, &journal);

	if(rc != 0)
		return fail(s, rc, "journal_dir %s cannot be listed: %s", cfg->journal_dir, strerror(-rc));
	if((rc = sb_dir_sum(cfg->spool_dir, 0, &spool)) != 0)
		return fail(s, rc, "spool_dir %s cannot be listed: %s", cfg->spool_dir, strerror(-rc));
	uint64_t first = (uint64_t)log->epoch << 32;
	uint64_t last = journal.last > spool.last ? journal.last : spool.last;
	if(first <= last)
		first = last + 1;
	atomic_store(&log->sh->current_len, first << 32);
	atomic_store(&log->sh->spool_bytes, spool.bytes);
	atomic_store(&log->sh->journal_bytes, journal.bytes);
	atomic_store(&log->sh->journal_segments, journal.segments);
	atomic_store(&log->sh->current, first);
	return 0;
}

/* Behind what the last run left in rings, in a segment of its own: behind damage, a record is told by its start's salt. */
static int segment_start(struct sb_log *log, struct sentence *s)
{
	const char *dir = log->cfg.spool_dir;
	char path[SB_LOG_FILE];
	int rc = sb_collect_leftovers(log);

	if(rc != 0)
		return fail(s, rc,
				"what the last run left in %s/ring-* cannot be written to a segment there: %s; see df %s and ls -l %s",
				dir, strerror(-rc), dir, dir);
	leftovers_mark(dir);
	uint64_t first = atomic_load(&log->sh->current);
	if((uint32_t)first == atomic_load(&log->sh->current_len) >> 32)
		first++;
	sb_path_segment(path, dir, first);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, SB_LOG_MODE);
	if(fd < 0)
		return fail(s, -errno, "the segment %s cannot be made: %s; see df %s", path, strerror(errno), dir);
	if(log->fd >= 0)
		close(log->fd);
	log->fd = fd;
	log->fd_segment = first;
	atomic_store(&log->sh->current_len, first << 32);
	atomic_store(&log->sh->current, first);
	return 0;
}

int sb_log_open(struct sb_log *log, const struct sb_log_cfg *cfg, struct sb_log_shared *sh, unsigned wait_ms, char *err,
		size_t err_len)
{
	struct sentence s = {err, err_len};

	memset(log, 0, sizeof(*log));
	log->cfg = *cfg;
	log->sh = sh;
	log->lock_fd = log->journal_fd = log->wake_fd = log->collect_fd = log->fd = -1;
	int rc = cfg_check(&log->cfg, &s);
	if(rc == 0)
		rc = lock_spool(log, wait_ms, &s);
	if(rc == 0)
		rc = lock_journal(log, wait_ms, &s);
	if(rc == 0)
		rc = identity(log, &s);
	if(rc == 0)
		rc = spool_note(&log->cfg, &s);
	if(rc == 0 && getrandom(&log->salt, sizeof(log->salt), 0) != sizeof(log->salt))
		rc = fail(&s, -errno, "no random bytes for the log: %s", strerror(errno));
	if(rc == 0 && (log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		rc = fail(&s, -errno, "no eventfd for the log: %s; raise the limit of open files (ulimit -n)", strerror(errno));
	if(rc == 0 && (log->collect_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		rc = fail(&s, -errno, "no eventfd for the log: %s; raise the limit of open files (ulimit -n)", strerror(errno));
	if(rc == 0)
		rc = segments_begin(log, &s);
	if(rc == 0)
		rc = segment_start(log, &s);
	if(rc == 0) {
		atomic_store(&sh->slot[0].pid, (uint32_t)getpid());
		return 0;
	}
	sb_log_close(log);
	return rc;
}

void sb_log_close(struct sb_log *log)
{
	sb_log_leave_ring(log);
	int *fds[] = {&log->fd, &log->wake_fd, &log->collect_fd, &log->journal_fd, &log->lock_fd};

	for(unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if(*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
