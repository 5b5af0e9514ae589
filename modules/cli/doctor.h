/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox doctor` finds. Probing (doctor_probe.c, doctor_disk.c, doctor_sinks.c, doctor_peers.c) collects facts; the checks
 * (doctor_check.c, doctor_check_disk.c, doctor_check_sinks.c) are pure: facts in, findings out, each with the command that mends it.
 */
#ifndef SB_CLI_DOCTOR_H
#define SB_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DOCTOR_TEXT 400u
#define DOCTOR_FINDINGS 512u

/**
 * Every check, X(function, names of its findings), in the order in which they run and are printed. docs/doctor.md has a row for each name, in
 * this order.
 */
#define DOCTOR_CHECKS(X)                                             \
	X(doctor_find, "configuration")                                  \
	X(doctor_process, "kamailio, allocator, open files, core dumps") \
	X(doctor_modules, "callstate, callhook")                         \
	X(doctor_folders, "journal dir, hooks dir, spool dir")           \
	X(doctor_files, "files")                                         \
	X(doctor_room, "spool room, journal room, inodes")               \
	X(doctor_mover, "mover")                                         \
	X(doctor_systemd, "systemd")                                     \
	X(doctor_damage_and_clock, "journal, clock")                     \
	X(doctor_database, "database")                                   \
	X(doctor_registrations, "registrations")                         \
	X(doctor_sinks, "delivery, call log, layer log")                 \
	X(doctor_endpoints, "endpoint")                                  \
	X(doctor_rtpengines, "rtpengine")

enum level
{
	LEVEL_OK,
	LEVEL_WARN,
	LEVEL_BAD,
	LEVEL_UNKNOWN /* it could not be looked at */
};
#define LEVELS 4

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
	size_t left_out[LEVELS];
};

/**
 * Adds one; the caller formats its texts, and may change its level until the next one is added. When there is no room, one that is
 * well goes for it, else one of the mildest: left_out counts them.
 * @return valid until the next one is added
 */
struct finding *finding_add(struct findings *all, enum level level, const char *what);
/** As LEVEL_UNKNOWN, with what lets doctor look. */
struct finding *finding_unknown(struct findings *all, const char *what);
/** How many of each level were added, those that were left out too. */
void findings_count(const struct findings *all, size_t count[LEVELS]);

/** The user that Kamailio runs as, or will. */
struct who
{
	bool known;
	uid_t uid;
	gid_t group[64];
	size_t groups;
	char name[64];
};
/** Uid, Gid and Groups of /proc/PID/status; the name is left to the caller. @return false: they are not in it */
bool who_of_status(struct who *w, const char *status);
/** By owner, group and mode bits. @param bits of 4 (read), 2 (write), 1 (enter) */
bool who_may(const struct who *w, uid_t uid, gid_t gid, mode_t mode, unsigned bits);

struct folder_facts
{
	const char *name, *path;
	int error; /* errno of stat(), 0: it is there */
	bool is_dir, read_only;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	const char *owner;   /* name of uid */
	const char *blocked; /* a folder above that Kamailio may not enter; "": none */
	const struct who *who;
};
void check_folder(struct findings *all, const struct folder_facts *f);

struct file_facts
{
	const char *path;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	const char *owner;
	const struct who *who;
	mode_t no;    /* what its mode must not have: 077 or 007 for secrets, 022 for state without */
	bool written; /* Kamailio writes it while it runs */
};
/** @return false: something is wrong with it, and was added */
bool check_file(struct findings *all, const struct file_facts *f);

struct room_facts
{
	const char *path;
	int error; /* errno of statfs() */
	bool tmpfs, sees_rings;
	uint64_t size, free, used;    /* bytes: of the file system, of it free for Kamailio, of our own files there */
	uint64_t limit;               /* spool_limit or journal_limit */
	uint64_t segment;             /* bytes of a file */
	uint64_t inodes, inodes_free; /* 0, 0: the file system does not count them */
};
/* A folder that is not there, or not to be seen, is said by check_folder() alone. */
void check_spool(struct findings *all, const struct room_facts *f);
void check_journal(struct findings *all, const struct room_facts *f);
void check_inodes(struct findings *all, const struct room_facts *f);

struct mover_facts
{
	const char *journal;
	bool runs, looked;          /* Kamailio; spool and journal could be read */
	uint64_t waiting, segments; /* bytes that the spool has and the journal has not, and in how many files */
	uint64_t oldest;            /* µs since the oldest of them was written, 0: not known */
	uint64_t limit;             /* spool_limit */
};
void check_mover(struct findings *all, const struct mover_facts *f);

struct process_facts
{
	pid_t pid;        /* of Kamailio's first process; 0: none runs on this spool */
	bool locked_out;  /* `lock` may not be read */
	bool hidden;      /* it holds the lock, but /proc does not have it */
	bool files_known; /* limit and open files could be read */
	bool exe_known;   /* its program and modules could be looked at */
	const char *lock; /* the file that says who runs, or where that file is */
	const char *user_name;
	const char *cmdline;              /* words separated by blanks; "": not known */
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
	bool guessed;              /* what the running Kamailio has loaded could not be seen */
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
	int error;           /* errno of reading them */
};
void check_damage(struct findings *all, const struct damage_facts *f);

/** @param show what systemctl show -p RuntimeDirectory -p RuntimeDirectoryPreserve said of the unit */
void check_systemd(struct findings *all, const char *show, const char *spool);

struct endpoint_facts
{
	const char *id, *state, *error; /* as callhook has it: active, paused, disabled … */
	uint64_t pending, dead;         /* dead: letters that are kept */
	uint64_t oldest_at;             /* µs, 0: nothing waits */
	uint64_t now;
};
void check_endpoint(struct findings *all, const struct endpoint_facts *f);

/** A process of callhook below its keeper. */
struct sink_facts
{
	const char *what, *rpc;    /* "call log"; "callhook.call_log" */
	const char *state_file;    /* "/var/lib/signalbox/hooks/call_log.sqlite" */
	bool runs, looked;         /* Kamailio; its processes could be seen */
	pid_t worker, keeper;      /* 0: none */
	char worker_is, keeper_is; /* as in /proc/PID/stat: 'T' is stopped */
	int error;                 /* errno of reading state_file; ENOENT: it is not there */
	bool lag_known;
	uint64_t lag;          /* µs since the oldest event that it has not done, 0: it has done them all */
	uint64_t aside;        /* rows that the database refused */
	char aside_error[200]; /* of the last of them */
};
void check_sink(struct findings *all, const struct sink_facts *f);

/** @param error NULL: it answered, in us microseconds */
void check_rtpengine(struct findings *all, const char *address, const char *error, uint64_t us);

#endif
