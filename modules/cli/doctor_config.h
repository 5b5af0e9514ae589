/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What a Kamailio configuration says of the modules: enough of its preprocessor (#!define, #!trydef, #!ifdef, include_file, import_file) to
 * read their parameters. Pure but for the files it is given through `load`.
 */
#ifndef SB_CLI_DOCTOR_CONFIG_H
#define SB_CLI_DOCTOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_VALUE 600u
#define CONFIG_MAX 128u

struct config_pair
{
	char key[96]; /* "callstate.spool_dir", "mpath"; a name for a define */
	char value[CONFIG_VALUE];
};

struct config
{
	struct config_pair define[CONFIG_MAX], set[CONFIG_MAX];
	size_t defines, sets;
	unsigned depth, files;
};

/** The text of a file, to be freed; NULL: there is none. Names are relative to the file that includes them. */
typedef char *(*config_load)(const char *path, void *arg);

/** Reads a file and all that it includes. @return false: the first file is not there */
bool config_read(struct config *c, const char *path, config_load load, void *arg);

/** The last value of a parameter, "callstate.spool_dir"; NULL: not set. */
const char *config_get(const struct config *c, const char *key);
bool config_defined(const struct config *c, const char *name);

#endif
