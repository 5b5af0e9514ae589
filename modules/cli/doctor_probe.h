/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * Where everything is, and the facts of this machine.
 */
#ifndef SB_CLI_DOCTOR_PROBE_H
#define SB_CLI_DOCTOR_PROBE_H

#include "cli.h"
#include "doctor.h"
#include "doctor_config.h"

struct doctor
{
	struct cli *c;
	const char *config_file; /* as given, or found; "": none */
	const char *rtpengine;   /* as given; NULL: of the configuration */
	struct config config;
	struct findings all;
	pid_t pid; /* of the Kamailio that holds the spool; 0: none */
	char user_name[64];
	bool user_known;
	uid_t user;
	char cmdline[2048];
	char config_path[600];
	char spool[600];
};

/** Finds the running Kamailio, its user and its configuration. */
void doctor_find(struct doctor *d);

void doctor_process(struct doctor *d);
void doctor_modules(struct doctor *d);
void doctor_folders(struct doctor *d);
void doctor_room(struct doctor *d);
void doctor_damage_and_clock(struct doctor *d);
void doctor_systemd(struct doctor *d);
/* doctor_peers.c */
void doctor_database(struct doctor *d);
void doctor_rtpengines(struct doctor *d);
void doctor_endpoints(struct doctor *d);

/** A number of the configuration, or the module's default. */
uint64_t doctor_number(const struct doctor *d, const char *key, uint64_t otherwise);

#endif
