/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log_parts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

void sb_path_segment(char *out, const char *dir, uint64_t segment)
{
	snprintf(out, SB_LOG_FILE, "%s/%016" PRIx64 ".seg", dir, segment);
}

/* 0 if the name is not that of a segment */
static uint64_t segment_of(const char *name)
{
	if(strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, ".seg") != 0)
		return 0;
	return strtoull(name, NULL, 16);
}

int sb_dir_sum(const char *dir, uint64_t below, struct sb_dir_sum *sum)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	memset(sum, 0, sizeof(*sum));
	if(d == NULL)
		return -errno;
	while((e = readdir(d)) != NULL) {
		uint64_t segment = segment_of(e->d_name);
		struct stat st;
		if(segment == 0 || fstatat(dirfd(d), e->d_name, &st, 0) != 0)
			continue;
		if(sum->first == 0 || segment < sum->first)
			sum->first = segment;
		if(segment > sum->last)
			sum->last = segment;
		sum->segments++;
		sum->bytes += (uint64_t)st.st_size;
		if(segment < below)
			sum->past_bytes += (uint64_t)st.st_size;
	}
	closedir(d);
	return 0;
}

static int newest_in(const char *dir, uint64_t *newest)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if(d == NULL)
		return errno == ENOENT ? 0 : -errno;
	while((e = readdir(d)) != NULL) {
		uint64_t segment = segment_of(e->d_name);
		struct stat st;
		if(segment > *newest && fstatat(dirfd(d), e->d_name, &st, 0) == 0 && st.st_size > 0)
			*newest = segment;
	}
	closedir(d);
	return 0;
}

int sb_segment_newest(const struct sb_log_cfg *cfg, uint64_t *segment)
{
	*segment = 0;
	int rc = newest_in(cfg->spool_dir, segment);
	if(rc == 0)
		rc = newest_in(cfg->journal_dir, segment);
	return rc < 0 ? rc : *segment != 0;
}

int sb_dir_next(const char *dir, uint64_t from, uint64_t *segment)
{
	DIR *d = opendir(dir);
	uint64_t best = 0;
	struct dirent *e;

	if(d == NULL)
		return errno == ENOENT ? 0 : -errno;
	while((e = readdir(d)) != NULL) {
		uint64_t s = segment_of(e->d_name);
		if(s != 0 && s >= from && (best == 0 || s < best))
			best = s;
	}
	closedir(d);
	if(best == 0)
		return 0;
	*segment = best;
	return 1;
}

ssize_t sb_file_read(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if(fd < 0)
		return -errno;
	ssize_t n = read(fd, out, cap);
	int error = errno;
	close(fd);
	if(n < 0)
		return -error;
	if((size_t)n == cap)
		return -EFBIG;
	while(n > 0 && isspace((unsigned char)out[n - 1]))
		n--;
	out[n] = '\0';
	return n;
}

int sb_dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if(fd < 0)
		return -errno;
	int rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

int sb_file_replace(const char *dir, const char *name, const char *text)
{
	char path[SB_LOG_FILE], fresh[SB_LOG_FILE];
	size_t len = strlen(text);
	int rc = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s/%s.new", dir, name);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, SB_LOG_MODE);
	if(fd < 0)
		return -errno;
	ssize_t n = write(fd, text, len);
	if(n != (ssize_t)len)
		rc = n < 0 ? -errno : -ENOSPC;
	else if(fsync(fd) != 0)
		rc = -errno;
	close(fd);
	if(rc == 0 && rename(fresh, path) != 0)
		rc = -errno;
	if(rc != 0) {
		unlink(fresh);
		return rc;
	}
	return sb_dir_sync(dir);
}

int sb_log_on_tmpfs(const char *dir)
{
	struct statfs fs;

	if(statfs(dir, &fs) != 0)
		return -errno;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
}

int sb_log_segments(const char *journal_dir, const char *spool_dir, uint64_t *first, uint64_t *last)
{
	struct sb_dir_sum journal, spool = {0};
	int rc = sb_dir_sum(journal_dir, 0, &journal);

	if(rc != 0)
		return rc;
	if(spool_dir != NULL && spool_dir[0] != '\0') {
		rc = sb_dir_sum(spool_dir, 0, &spool);
		if(rc != 0 && rc != -ENOENT)
			return rc;
	}
	*first = journal.first == 0 || (spool.first != 0 && spool.first < journal.first) ? spool.first : journal.first;
	*last = spool.last > journal.last ? spool.last : journal.last;
	return 0;
}
