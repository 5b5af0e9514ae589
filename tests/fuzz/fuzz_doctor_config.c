/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * The reader of Kamailio configurations in `signalbox doctor`: any text ends, within its limits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../modules/cli/doctor_config.h"

struct text
{
	const uint8_t *data;
	size_t size;
};

/** Every file is the same text: it may include itself. */
static char *load(const char *path, void *arg)
{
	const struct text *t = arg;
	char *copy = malloc(t->size + 1);
	(void)path;
	if(copy != NULL) {
		memcpy(copy, t->data, t->size);
		copy[t->size] = '\0';
	}
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config c;
	struct text t = {data, size < 2000 ? size : 2000};
	memset(&c, 0, sizeof(c));
	config_read(&c, "/k.cfg", load, &t);
	if(c.depth != 0 || c.sets > CONFIG_MAX || c.defines > CONFIG_MAX)
		abort();
	for(size_t i = 0; i < c.sets; i++) {
		if(config_get(&c, c.set[i].key) == NULL)
			abort();
	}
	return 0;
}
