/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lag.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int add(struct sb_lag *l, uint64_t segment, uint64_t bytes)
{
	if(l->count == l->room) {
		unsigned room = l->room > 0 ? l->room * 2 : 64;
		void *more = realloc(l->s, room * sizeof(*l->s));

		if(more == NULL)
			return -ENOMEM;
		l->s = more;
		l->room = room;
	}
	l->s[l->count++] = (struct sb_lag_segment){segment, bytes};
	return 0;
}

static int read_dir(struct sb_lag *l, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int err = 0;

	if(d == NULL)
		return errno == ENOENT ? 0 : -errno;
	while(err == 0 && (e = readdir(d)) != NULL) {
		struct stat st;

		if(strspn(e->d_name, "0123456789abcdef") == 16 && strcmp(e->d_name + 16, ".seg") == 0
				&& fstatat(dirfd(d), e->d_name, &st, 0) == 0)
			err = add(l, strtoull(e->d_name, NULL, 16), (uint64_t)st.st_size);
	}
	closedir(d);
	return err;
}

static int by_segment(const void *a, const void *b)
{
	const struct sb_lag_segment *x = a, *y = b;

	return x->segment < y->segment ? -1 : x->segment > y->segment;
}

int sb_lag_read(struct sb_lag *l, const char *journal_dir, const char *spool_dir)
{
	unsigned n = 0;
	int err;

	memset(l, 0, sizeof(*l));
	err = read_dir(l, journal_dir);
	if(err == 0)
		err = read_dir(l, spool_dir);
	if(l->count > 0)
		qsort(l->s, l->count, sizeof(*l->s), by_segment);
	for(unsigned i = 0; i < l->count; i++) {
		if(n > 0 && l->s[n - 1].segment == l->s[i].segment) {
			if(l->s[i].bytes > l->s[n - 1].bytes)
				l->s[n - 1].bytes = l->s[i].bytes;
		} else {
			l->s[n++] = l->s[i];
		}
	}
	l->count = n;
	if(err != 0)
		sb_lag_free(l);
	return err;
}

void sb_lag_behind(const struct sb_lag *l, struct sb_pos from, uint64_t *bytes, uint64_t *segments)
{
	*bytes = *segments = 0;
	for(unsigned i = 0; i < l->count; i++) {
		const struct sb_lag_segment *s = &l->s[i];
		uint64_t done = s->segment == from.segment ? from.offset : 0;

		if(s->segment < from.segment || s->bytes <= done)
			continue;
		*bytes += s->bytes - done;
		++*segments;
	}
}

void sb_lag_free(struct sb_lag *l)
{
	free(l->s);
	memset(l, 0, sizeof(*l));
}
