/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox doctor` finds. Probing (doctor_probe.c, doctor_peers.c) collects facts; the checks (doctor_check.c) are pure: facts in, findings
 * out, each with the command that mends it.
 */
#ifndef SB_CLI_DOCTOR_H
#define SB_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DOCTOR_TEXT 400u
#define DOCTOR_FINDINGS 64u

enum level
{
	LEVEL_OK,
	LEVEL_WARN,
	LEVEL_BAD
};

struct finding
{
	enum level level;
	char what[16]; /* "spool" */
	char found[DOCTOR_TEXT];
	char fix[DOCTOR_TEXT]; /* a command, or what to change; "": nothing */
};

struct findings
{
	struct finding f[DOCTOR_FINDINGS];
	size_t n;
};

/** Adds one; the texts are formatted by say() into the last of them afterwards. What is too much is dropped. */
struct finding *finding_add(struct findings *all, enum level level, const char *what);

struct folder_facts
{
	const char *name, *path;
	int error; /* errno of stat(), 0: it is there */
	bool is_dir;
	uid_t uid;
	mode_t mode;
	const char *owner; /* name of uid */
	bool user_known;   /* which user Kamailio is, or will be */
	uid_t user;
	const char *user_name;
	bool private; /* others must not read it: secrets */
};
void check_folder(struct findings *all, const struct folder_facts *f);

struct room_facts
{
	const char *path;
	int error; /* errno of statfs() */
	bool tmpfs, sees_rings;
	uint64_t size, free, used; /* bytes: of the file system, of it free for Kamailio, of our own files there */
	uint64_t limit;            /* spool_limit or journal_limit */
};
void check_spool(struct findings *all, const struct room_facts *f);
void check_journal(struct findings *all, const struct room_facts *f);

struct process_facts
{
	pid_t pid; /* of Kamailio's first process; 0: none runs on this spool */
	const char *user_name;
	const char *cmdline;              /* words separated by blanks */
	uint64_t files_limit, files_most; /* soft limit of open files; most that one of its processes has open */
	bool core_off;
	bool exe_replaced, module_replaced; /* the file it runs from is not there any more: upgraded since */
};
void check_process(struct findings *all, const struct process_facts *f);

/** "kamailio 5.6.3 (x86_64/linux)" as the core and a module have it; "": not found. */
struct version_facts
{
	const char *module, *path; /* "callstate", where it was looked for */
	int error;                 /* errno of opening it */
	char core[64], built_for[64];
	char core_flags[512], built_with[512];
};
void check_version(struct findings *all, const struct version_facts *f);

struct clock_facts
{
	uint64_t now;           /* µs */
	uint64_t newest_record; /* µs, 0: none */
	bool kernel_known, synchronised;
};
void check_clock(struct findings *all, const struct clock_facts *f);

struct damage_facts
{
	const char *path;
	size_t aside;        /* files put aside */
	char one[256];       /* one of them */
	uint64_t damaged;    /* places in the newest segments */
	uint64_t read_bytes; /* how much of them was read */
};
void check_damage(struct findings *all, const struct damage_facts *f);

/** @param show what systemctl show -p RuntimeDirectory -p RuntimeDirectoryPreserve said of the unit */
void check_systemd(struct findings *all, const char *show, const char *spool);

struct endpoint_facts
{
	const char *id, *state, *error;    /* as callhook has it: active, paused, disabled … */
	uint64_t pending, dead, oldest_at; /* µs, 0: nothing waits */
	uint64_t now, updated_at;
};
void check_endpoint(struct findings *all, const struct endpoint_facts *f);

/** @param error NULL: it answered, in us microseconds */
void check_rtpengine(struct findings *all, const char *address, const char *error, uint64_t us);

#endif
