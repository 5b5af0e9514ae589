/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Where everything is, and the facts of this machine.
 */
#ifndef SB_CLI_DOCTOR_PROBE_H
#define SB_CLI_DOCTOR_PROBE_H

#include "cli.h"
#include "doctor.h"
#include "doctor_config.h"
#include "text.h"

#include <time.h>

#define DOCTOR_MB (UINT64_C(1024) * 1024)

struct doctor
{
	struct cli *c;
	const char *config_file; /* as given, or found; "": none */
	const char *rtpengine;   /* as given; NULL: of the configuration */
	struct config config;
	struct findings all;
	pid_t pid;       /* of the Kamailio that holds the spool; 0: none */
	bool locked_out; /* `lock` may not be read */
	bool hidden;     /* it has the lock, but /proc does not have it */
	bool config_known;
	struct who who;
	char cmdline[2048];
	char config_path[600];
	char spool[600]; /* "": this user may not see where it is */
	char lock[640];  /* the file that says who runs, or where that file is */
};

/** Finds the running Kamailio, its user and its configuration. */
void doctor_find(struct doctor *d);

void doctor_process(struct doctor *d);
void doctor_modules(struct doctor *d);
void doctor_systemd(struct doctor *d);
/* doctor_disk.c */
void doctor_folders(struct doctor *d);
void doctor_files(struct doctor *d);
void doctor_room(struct doctor *d);
void doctor_mover(struct doctor *d);
void doctor_damage_and_clock(struct doctor *d);
/* doctor_sinks.c */
void doctor_sinks(struct doctor *d);
void doctor_endpoints(struct doctor *d);
/* doctor_peers.c */
void doctor_database(struct doctor *d);
void doctor_registrations(struct doctor *d);
void doctor_rtpengines(struct doctor *d);

/** A number of the configuration, or the module's default. */
uint64_t doctor_number(const struct doctor *d, const char *key, uint64_t otherwise);
/** µs */
uint64_t doctor_now(clockid_t which);
/** "kamailio", "uid 105" */
struct text doctor_user(uid_t uid);
/**
 * How old the first event at or behind a place of the log is.
 * @param error 0, or errno of reading it
 * @return µs, 0: there is none
 */
uint64_t doctor_age(struct doctor *d, struct sb_pos from, int *error);
/** The database that all commands take. @param said why not, may be NULL @return false: it has no right URL */
bool doctor_database_url(struct doctor *d, struct sb_db_url *url, char *said, size_t cap);

#endif
