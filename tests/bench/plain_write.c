/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least that a record in a file can cost: write() of so many bytes to a file on tmpfs, opened with O_APPEND.
 *
 *   plain_write [RECORDS [BYTES [DIR]]]      200000, 1024, /dev/shm
 *
 * Prints {"p50_ns":…,"p99_ns":…,"records":…,"bytes":…}; the times include the readings of the clock.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (8u << 20) /* as a segment: then it starts again */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int measure(int fd, uint32_t *ns, size_t records, size_t bytes)
{
	static char data[65536];
	size_t in_file = 0;

	for(size_t i = 0; i < records; i++) {
		uint64_t a;

		if((in_file += bytes) > FILE_MAX) {
			in_file = bytes;
			if(ftruncate(fd, 0) != 0)
				return -1;
		}
		a = now_ns();
		if(write(fd, data, bytes) != (ssize_t)bytes)
			return -1;
		ns[i] = (uint32_t)(now_ns() - a);
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t records = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000,
		   bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 1024;
	char path[256];
	uint32_t *ns;
	int fd, rc = 1;

	snprintf(path, sizeof(path), "%s/plain_write-XXXXXX", argc > 3 ? argv[3] : "/dev/shm");
	fd = mkostemp(path, O_APPEND);
	if(fd < 0) {
		fprintf(stderr, "plain_write: %s cannot be made; give a writable tmpfs as third argument\n", path);
		return 1;
	}
	unlink(path);
	ns = calloc(records, sizeof(*ns));
	if(ns == NULL || records < 100 || bytes == 0 || bytes > 65536) {
		fprintf(stderr, "plain_write: at least 100 records of 1 to 65536 bytes are expected\n");
		goto out;
	}
	if(measure(fd, ns, records, bytes) != 0) {
		perror("plain_write: write");
		goto out;
	}
	qsort(ns, records, sizeof(*ns), by_size);
	printf("{\"p50_ns\":%u,\"p99_ns\":%u,\"records\":%zu,\"bytes\":%zu}\n", ns[records / 2], ns[records / 100 * 99],
			records, bytes);
	rc = 0;
out:
	free(ns);
	close(fd);
	return rc;
}
