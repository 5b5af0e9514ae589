/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open calls are a fold over the log: from the newest checkpoint on, at start, before there are workers. */
#include "callstate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINT_MAGIC 0x31504b43u /* "CKP1" */
#define RECORD_MAX 8192u

struct checkpoint_hdr
{
	uint32_t magic, crc; /* of pos */
	struct sb_pos pos;
};

static void path_of(char *path, size_t size, const char *suffix)
{
	snprintf(path, size, "%s/checkpoint%s", cs_log.cfg.journal_dir, suffix);
}

static int write_all(FILE *f)
{
	static struct
	{
		struct sb_rec_hdr hdr;
		uint8_t payload[RECORD_MAX];
	} rec;
	static struct cs_call copy;
	uint32_t made = cs_sh->made;
	struct cs_ctx x;

	cs_context(&x, NULL);
	for(uint32_t i = 0; i < made; i++) {
		struct sb_out out = {.p = rec.payload, .cap = sizeof(rec.payload)};
		int64_t len;

		if(!cs_copy_at(i, &copy) || (copy.flags & CS_F_CDR_DONE))
			continue;
		cs_encode_whole(&copy, &x, &out);
		if(out.overflow)
			return -EOVERFLOW;
		len = sb_rec_seal(&rec, SB_X_DIALOG, (uint32_t)out.len, i, cs_log.epoch, cs_log.salt);
		if(len < 0)
			return (int)len;
		if(fwrite(&rec, 1, (size_t)len, f) != (size_t)len)
			return -EIO;
	}
	return 0;
}

int cs_checkpoint(void)
{
	struct checkpoint_hdr h = {.magic = CHECKPOINT_MAGIC};
	char tmp[SB_LOG_PATH + 32], path[SB_LOG_PATH + 32];
	FILE *f;
	int err = -EIO;

	h.pos.segment = cs_sh->log.moved_segment;
	h.pos.offset = cs_sh->log.moved_offset;
	h.crc = sb_crc32c(0, &h.pos, sizeof(h.pos));
	path_of(tmp, sizeof(tmp), ".new");
	path_of(path, sizeof(path), "");
	f = fopen(tmp, "w");
	if(f == NULL)
		return -errno;
	if(fwrite(&h, sizeof(h), 1, f) == 1)
		err = write_all(f);
	if(err == 0 && (fflush(f) != 0 || fdatasync(fileno(f)) != 0))
		err = -errno;
	fclose(f);
	if(err == 0 && rename(tmp, path) < 0)
		err = -errno;
	if(err == 0 && fsync(cs_log.journal_fd) < 0)
		err = -errno;
	if(err == 0 && cs_checkpoint_sink >= 0)
		sb_log_sink_done(&cs_sh->log, cs_checkpoint_sink, h.pos.segment);
	return err;
}

/* The call of a record: by our id, among those of its SIP Call-ID. */
static struct cs_call *call_of(const struct sb_rec *rec, bool make)
{
	struct sb_field id, sip;
	uint64_t hash;
	struct cs_call *c;

	if(!sb_find(rec->payload, rec->hdr.len, SB_C_CALL_ID, &id)
			|| !sb_find(rec->payload, rec->hdr.len, SB_C_SIP_CALL_ID, &sip))
		return NULL;
	hash = cs_hash((const char *)sip.data, sip.len);
	for(uint32_t i = cs_sh->head[hash % CS_BUCKETS]; i; i = c->next) {
		c = cs_at(i - 1);
		if(memcmp(c->id, id.data, sizeof(c->id)) == 0)
			return c;
	}
	c = make ? cs_new_locked(hash) : NULL;
	if(c)
		memcpy(c->id, id.data, sizeof(c->id));
	return c;
}

/* Whether the monotonic times of a call are of this boot, kept in its deadline until all records are read. */
static void fold(const struct sb_rec *rec, bool make)
{
	struct cs_call *c = call_of(rec, make);

	if(c == NULL)
		return;
	cs_fold(c, rec->hdr.type, rec->payload, rec->hdr.len);
	if(cs_fold_same_boot(rec->payload, rec->hdr.len))
		c->deadline = 1;
	if(c->flags & CS_F_CDR_DONE)
		cs_free_locked(c);
}

static char *slurp(const char *path, size_t *len)
{
	struct stat st;
	char *buf = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if(fd < 0)
		return NULL;
	if(fstat(fd, &st) == 0 && (buf = malloc((size_t)st.st_size + 1)) != NULL) {
		ssize_t n = read(fd, buf, (size_t)st.st_size);

		*len = n > 0 ? (size_t)n : 0;
	}
	close(fd);
	return buf;
}

static struct sb_pos read_checkpoint(void)
{
	struct sb_pos from = {0, 0};
	struct checkpoint_hdr h;
	char path[SB_LOG_PATH + 32];
	uint64_t damaged = 0;
	struct sb_rec rec;
	size_t len = 0, at;
	char *buf;

	path_of(path, sizeof(path), "");
	buf = slurp(path, &len);
	if(buf == NULL)
		return from;
	if(len >= sizeof(h)) {
		memcpy(&h, buf, sizeof(h));
		if(h.magic == CHECKPOINT_MAGIC && h.crc == sb_crc32c(0, &h.pos, sizeof(h.pos))) {
			from = h.pos;
			at = 0;
			while(sb_scan((uint8_t *)buf + sizeof(h), len - sizeof(h), &at, true, &rec, &damaged) == 1)
				fold(&rec, true);
		}
	}
	if(damaged || from.segment == 0)
		LM_WARN("%s is damaged (%llu places): reading the journal from %s\n", path, (unsigned long long)damaged,
				from.segment ? "where it stood" : "its beginning");
	free(buf);
	return from;
}

static uint64_t read_log(struct sb_pos from)
{
	struct sb_reader *r;
	struct sb_rec rec;
	uint64_t n = 0;
	int err = sb_reader_open(&r, cs_log.cfg.journal_dir, cs_log.cfg.spool_dir, from);

	if(err < 0) {
		LM_ERR("the log cannot be read: %s\n", strerror(-err));
		return 0;
	}
	sb_reader_attach(r, &cs_sh->log);
	while(sb_reader_next(r, &rec) == 1) {
		fold(&rec, rec.hdr.type == SB_CALL_INITIATED);
		n++;
	}
	sb_reader_close(r);
	return n;
}

int cs_restore(void)
{
	uint64_t records = read_log(read_checkpoint());
	uint64_t now = cs_now(), mono = cs_mono();
	unsigned calls = 0, setup = 0;

	for(uint32_t i = 0; i < cs_sh->made; i++) {
		struct cs_call *c = cs_at(i);

		if(!(c->gen & 1))
			continue;
		cs_on_restored(c, now, mono, c->deadline == 1, (uint64_t)cs_params.setup_timeout * 1000000);
		cs_due_set(c);
		calls++;
		setup += cs_in_setup(c);
	}
	if(cs_sh->n.untracked)
		LM_ERR("%llu open calls of the log found no room: calls_max is %u, or shared memory is too small (-m)\n",
				(unsigned long long)cs_sh->n.untracked, cs_sh->max);
	cs_sh->n.restored = calls;
	cs_sh->n.restored_setup = setup;
	if(calls)
		LM_NOTICE("%u open calls came back from the log (%u in set-up), %llu records read\n", calls, setup,
				(unsigned long long)records);
	return 0;
}
