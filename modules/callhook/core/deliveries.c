/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliveries.h"
#include "event.h"

#define BUFFER (256u * 1024)
#define RECORD_MAX 2048u
#define SEGMENT_MAX (8u << 20)

struct sb_deliveries
{
	char dir[SB_LOG_PATH];
	uint64_t limit, segment_size;
	uint64_t segment, written; /* of the one that is open */
	uint64_t seq, lost;
	uint32_t epoch, salt;
	uint32_t buffered; /* records in buf */
	int fd;
	size_t len;
	uint8_t buf[BUFFER];
};

static void path_of(const struct sb_deliveries *d, uint64_t segment, char *out, size_t room)
{
	snprintf(out, room, "%s/%016" PRIx64 ".seg", d->dir, segment);
}

static bool segment_name(const char *name, uint64_t *segment)
{
	char *end;

	if(strlen(name) != 20 || strcmp(name + 16, ".seg") != 0)
		return false;
	*segment = strtoull(name, &end, 16);
	return end == name + 16;
}

/* First and last segment there, and the bytes of all. */
static int look(const struct sb_deliveries *d, uint64_t *first, uint64_t *last, uint64_t *bytes)
{
	struct dirent *e;
	struct stat st;
	uint64_t n;
	DIR *dir = opendir(d->dir);

	*first = *last = *bytes = 0;
	if(dir == NULL)
		return -errno;
	while((e = readdir(dir)) != NULL) {
		if(!segment_name(e->d_name, &n))
			continue;
		if(*first == 0 || n < *first)
			*first = n;
		if(n > *last)
			*last = n;
		if(fstatat(dirfd(dir), e->d_name, &st, 0) == 0)
			*bytes += (uint64_t)st.st_size;
	}
	closedir(dir);
	return 0;
}

static void make_room(struct sb_deliveries *d)
{
	char path[SB_LOG_PATH + 32];
	uint64_t first, last, bytes;

	while(look(d, &first, &last, &bytes) == 0 && first != last && bytes + d->segment_size > d->limit) {
		path_of(d, first, path, sizeof(path));
		if(unlink(path) != 0)
			return;
	}
}

int sb_deliveries_open(struct sb_deliveries **out, const char *dir, uint64_t limit, uint32_t epoch, uint32_t salt)
{
	struct sb_deliveries *d;
	uint64_t first, last, bytes;
	int err;

	if(limit < 65536 || strlen(dir) >= SB_LOG_PATH)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if(d == NULL)
		return -ENOMEM;
	strcpy(d->dir, dir);
	d->fd = -1;
	d->limit = limit;
	d->segment_size = limit / 8 > SEGMENT_MAX ? SEGMENT_MAX : limit / 8;
	d->epoch = epoch;
	d->salt = salt;
	err = look(d, &first, &last, &bytes);
	if(err != 0) {
		free(d);
		return err;
	}
	d->segment = (uint64_t)epoch << 32;
	if(last > d->segment)
		d->segment = last;
	*out = d;
	return 0;
}

void sb_deliveries_close(struct sb_deliveries *d)
{
	if(d == NULL)
		return;
	sb_deliveries_flush(d);
	if(d->fd >= 0)
		close(d->fd);
	free(d);
}

int sb_deliveries_add(struct sb_deliveries *d, const struct sb_delivery *v)
{
	const char *error = v->error != NULL ? v->error : "";
	struct sb_out o;
	int64_t size;

	if(d->len + RECORD_MAX > sizeof(d->buf))
		sb_deliveries_flush(d);
	o = (struct sb_out){
			.p = d->buf + d->len + sizeof(struct sb_rec_hdr), .cap = RECORD_MAX - sizeof(struct sb_rec_hdr)};
	sb_put_uuid(&o, SB_C_CALL_ID, v->call);
	if(v->sequence > 0)
		sb_put_u64(&o, SB_C_SEQUENCE, v->sequence);
	sb_put_time(&o, SB_C_AT, v->at);
	sb_put_str(&o, SB_C_D_ENDPOINT, v->endpoint, strlen(v->endpoint));
	sb_put_u64(&o, SB_C_D_EPOCH, v->epoch);
	sb_put_u64(&o, SB_C_D_SEQ, v->seq);
	sb_put_u64(&o, SB_C_D_TYPE, v->type);
	sb_put_u64(&o, SB_C_D_TRIES, v->tries);
	if(v->code > 0)
		sb_put_u64(&o, SB_C_D_CODE, v->code);
	sb_put_str(&o, SB_C_D_ERROR, error, strlen(error));
	if(v->latency_us > 0)
		sb_put_u64(&o, SB_C_D_LATENCY_US, v->latency_us);
	sb_put_u64(&o, SB_C_D_DELIVERED, v->delivered);
	if(o.overflow)
		return -EOVERFLOW;
	size = sb_rec_seal(d->buf + d->len, SB_X_DELIVERY, (uint32_t)o.len, ++d->seq, d->epoch, d->salt);
	if(size < 0)
		return (int)size;
	d->len += (size_t)size;
	d->buffered++;
	return 0;
}

static int next_segment(struct sb_deliveries *d)
{
	char path[SB_LOG_PATH + 32];

	if(d->fd >= 0)
		close(d->fd);
	make_room(d);
	d->written = 0;
	path_of(d, ++d->segment, path, sizeof(path));
	d->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0640);
	return d->fd >= 0 ? 0 : -errno;
}

/* Nothing of what was not written whole stays; with a disk that is full, no file for each try. */
static void cut(struct sb_deliveries *d)
{
	if(ftruncate(d->fd, (off_t)d->written) == 0)
		return;
	close(d->fd);
	d->fd = -1;
}

int sb_deliveries_flush(struct sb_deliveries *d)
{
	ssize_t n = 0;
	int err = 0;

	if(d->len == 0)
		return 0;
	if(d->fd < 0 || d->written >= d->segment_size)
		err = next_segment(d);
	if(err == 0) {
		n = write(d->fd, d->buf, d->len);
		if(n != (ssize_t)d->len) {
			err = n < 0 ? -errno : -ENOSPC;
			cut(d);
		} else {
			d->written += (uint64_t)n;
		}
	}
	if(err != 0)
		d->lost += d->buffered;
	d->len = 0;
	d->buffered = 0;
	return err;
}

uint64_t sb_deliveries_lost(const struct sb_deliveries *d)
{
	return d->lost;
}
