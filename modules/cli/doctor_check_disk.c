/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folders, files, room, and what of the log is where. */
#include "doctor.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1024) * 1024)

static struct text size(uint64_t bytes)
{
	struct text t = {""};
	if(bytes >= 10 * 1024 * MIB)
		SAY(t.s, "%" PRIu64 " GiB", bytes / 1024 / MIB);
	else if(bytes >= 10 * MIB)
		SAY(t.s, "%" PRIu64 " MiB", bytes / MIB);
	else
		SAY(t.s, "%" PRIu64 " kiB", bytes / 1024);
	return t;
}

bool who_of_status(struct who *w, const char *status)
{
	const char *uid = strstr(status, "\nUid:"), *gid = strstr(status, "\nGid:"), *more = strstr(status, "\nGroups:");
	unsigned long real, effective;
	if(uid == NULL || gid == NULL || sscanf(uid, "\nUid: %lu %lu", &real, &effective) != 2)
		return false;
	w->uid = (uid_t)effective;
	if(sscanf(gid, "\nGid: %lu %lu", &real, &effective) != 2)
		return false;
	w->group[0] = (gid_t)effective;
	w->groups = 1;
	for(char *end; more != NULL; more = end) {
		more += w->groups == 1 && *more == '\n' ? strlen("\nGroups:") : 0;
		more += strspn(more, " \t");
		gid_t g = (gid_t)strtoul(more, &end, 10);
		if(end == more || *more == '\n' || w->groups == sizeof(w->group) / sizeof(w->group[0]))
			break;
		w->group[w->groups++] = g;
	}
	w->known = true;
	return true;
}

bool who_may(const struct who *w, uid_t uid, gid_t gid, mode_t mode, unsigned bits)
{
	unsigned shift = 0;
	if(w->uid == 0)
		return true;
	for(size_t i = 0; i < w->groups; i++) {
		if(w->group[i] == gid)
			shift = 3;
	}
	if(w->uid == uid)
		shift = 6;
	return ((mode >> shift) & bits) == bits;
}

/** What keeps Kamailio out of a folder that is there. @return false: nothing does */
static bool kept_out(struct finding *r, const struct folder_facts *f)
{
	const struct who *w = f->who;
	if(f->read_only) {
		SAY(r->found, ": its file system is read-only");
		SAY(r->fix, "dmesg says why; then: mount -o remount,rw \"$(findmnt -no TARGET -T %s)\"", f->path);
	} else if((f->mode & S_IWOTH) != 0) {
		SAY(r->found, ": anybody may write to it (mode %03o)", f->mode & 0777);
		SAY(r->fix, "chmod 750 %s", f->path);
	} else if(w->known && f->blocked[0] != '\0') {
		SAY(r->found, ": %s may not enter %s above it", w->name, f->blocked);
		SAY(r->fix, "chmod o+x %s, or chown it to %s", f->blocked, w->name);
	} else if(w->known && !who_may(w, f->uid, f->gid, f->mode, 7) && f->uid == w->uid) {
		SAY(r->found, ": %s may not write to it (mode %03o)", w->name, f->mode & 0777);
		SAY(r->fix, "chmod 750 %s", f->path);
	} else if(w->known && !who_may(w, f->uid, f->gid, f->mode, 7)) {
		SAY(r->found, ": belongs to %s (mode %03o), Kamailio is %s", f->owner, f->mode & 0777, w->name);
		SAY(r->fix, "chown -R %s: %s", w->name, f->path);
	} else {
		return false;
	}
	r->level = LEVEL_BAD;
	return true;
}

/** A folder that is not as it must be, whoever Kamailio is. */
static void no_folder(struct finding *r, const struct folder_facts *f)
{
	const char *user = f->who->known ? f->who->name : "kamailio";
	r->level = LEVEL_BAD;
	SAY(r->found, ": %s", f->error != 0 ? strerror(f->error) : "not a directory");
	if(f->error == 0 || f->error == ENOTDIR)
		SAY(r->fix, "move away what is in its place, then: ");
	if(f->error == 0 || f->error == ENOTDIR || f->error == ENOENT)
		SAY(r->fix, "install -d -m 750 -o %s -g %s %s", user, user, f->path);
	else
		SAY(r->fix, "look after that file system: findmnt -T %s; dmesg", f->path);
}

void check_folder(struct findings *all, const struct folder_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, f->name);
	SAY(r->found, "%s", f->path);
	if(f->error == EACCES || f->error == EPERM) {
		r->level = LEVEL_UNKNOWN;
		SAY(r->found, ": may not be looked at by this user");
		SAY(r->fix, "sudo signalbox doctor");
	} else if(f->error != 0 || !f->is_dir) {
		no_folder(r, f);
	} else if(kept_out(r, f)) {
		return;
	} else if((f->mode & (S_IROTH | S_IXOTH)) != 0) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": anybody may read it (mode %03o)", f->mode & 0777);
		SAY(r->fix, "chmod 750 %s", f->path);
	} else {
		SAY(r->found, ": of %s, mode %03o", f->owner, f->mode & 0777);
		if(f->who->known)
			return;
		r->level = LEVEL_UNKNOWN;
		SAY(r->found, "; which user Kamailio is, is not known");
		SAY(r->fix, "start Kamailio, then look again");
	}
}

bool check_file(struct findings *all, const struct file_facts *f)
{
	if((f->mode & f->no) != 0) {
		struct finding *r = finding_add(all, LEVEL_BAD, "files");
		SAY(r->found, "%s: %s (mode %03o)", f->path,
				f->no == 022 ? "others may write it" : "has secrets, and others may read or write it", f->mode & 0777);
		SAY(r->fix, "chmod %s %s", f->no == 077 ? "600" : f->no == 007 ? "o=" : "go-w", f->path);
		return false;
	}
	if(f->written && f->who->known && !who_may(f->who, f->uid, f->gid, f->mode, 6)) {
		struct finding *r = finding_add(all, LEVEL_BAD, "files");
		SAY(r->found, "%s: belongs to %s (mode %03o), Kamailio is %s and may not write it", f->path, f->owner,
				f->mode & 0777, f->who->name);
		SAY(r->fix, "chown %s: %s && chmod 600 %s", f->who->name, f->path, f->path);
		return false;
	}
	return true;
}

static bool said_by_folder(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES;
}

static void no_statfs(struct finding *r, const struct room_facts *f)
{
	r->level = LEVEL_BAD;
	SAY(r->found, "%s: %s", f->path, strerror(f->error));
	SAY(r->fix, "look after that file system: findmnt -T %s; dmesg", f->path);
}

void check_spool(struct findings *all, const struct room_facts *f)
{
	if(said_by_folder(f->error))
		return;
	struct finding *r = finding_add(all, LEVEL_OK, "spool room");
	if(f->error != 0) {
		no_statfs(r, f);
		return;
	}
	uint64_t wants = f->limit > f->used ? f->limit - f->used : 0;
	SAY(r->found, "%s, %s free, holds %s, spool_limit %s", f->tmpfs ? "tmpfs" : "no tmpfs", size(f->free).s,
			size(f->used).s, size(f->limit).s);
	if(!f->tmpfs) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": SIP workers wait for a disk");
		SAY(r->fix, "modparam(\"callstate\", \"spool_dir\", \"/run/signalbox/spool\") or another folder on tmpfs");
	}
	if(f->free < f->size / 20) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": nearly full, events are about to be left out");
		SAY(r->fix, "%ssee what fills it: du -a %s; is the journal's disk full? kamcmd callstate.journal",
				r->fix[0] != '\0' ? "; " : "", f->path);
	} else if(f->free < wants && r->level == LEVEL_OK) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": spool_limit does not fit; nine tenths of the file system count instead");
		SAY(r->fix, "lower spool_limit, or give it a tmpfs of its own: mount -t tmpfs -o size=%" PRIu64 "m tmpfs %s",
				(f->limit + f->limit / 4) / MIB, f->path);
	}
}

void check_journal(struct findings *all, const struct room_facts *f)
{
	if(said_by_folder(f->error))
		return;
	struct finding *r = finding_add(all, LEVEL_OK, "journal room");
	if(f->error != 0) {
		no_statfs(r, f);
		return;
	}
	uint64_t wants = f->limit > f->used ? f->limit - f->used : 0;
	SAY(r->found, "%s free, holds %s, journal_limit %s", size(f->free).s, size(f->used).s, size(f->limit).s);
	if(f->free < 100 * MIB || f->free < f->size / 100) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": nearly full; then events wait in the spool, and are left out once that is full");
		SAY(r->fix, "make room on the disk of %s, or lower journal_keep and journal_limit", f->path);
	} else if(f->free < wants) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": with a receiver away for long the disk is full before the limit is reached");
		SAY(r->fix, "lower journal_limit to %" PRIu64 " (MB), or make room", (f->used + f->free / 10 * 9) / MIB);
	}
}

void check_inodes(struct findings *all, const struct room_facts *f)
{
	if(f->error != 0)
		return;
	struct finding *r = finding_add(all, LEVEL_OK, "inodes");
	uint64_t spare = 100, files = f->segment > 0 && f->limit > f->used ? (f->limit - f->used) / f->segment : 0;
	if(f->inodes == 0) {
		SAY(r->found, "the journal's file system does not count them");
		return;
	}
	SAY(r->found, "%" PRIu64 " of %" PRIu64 " free on the journal's file system", f->inodes_free, f->inodes);
	if(f->inodes_free < spare) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": no new segment soon; then events wait in the spool, and are left out once that is full");
	} else if(f->inodes_free < files + spare) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": the journal needs %" PRIu64 " more files up to its limit", files);
	}
	if(r->level != LEVEL_OK)
		SAY(r->fix, "remove small files from that disk: df -i %s; du --inodes -x -d 3 \"$(findmnt -no TARGET -T %s)\"",
				f->path, f->path);
}

void check_mover(struct findings *all, const struct mover_facts *f)
{
	const uint64_t second = 1000000;
	if(!f->looked) {
		SAY(finding_unknown(all, "mover")->found, "spool and journal may not be read by this user");
		return;
	}
	struct finding *r = finding_add(all, LEVEL_OK, "mover");
	if(f->waiting == 0) {
		SAY(r->found, "the journal has all that the spool has");
		return;
	}
	SAY(r->found, "%s in %" PRIu64 " %s of the spool %s not in the journal yet", size(f->waiting).s, f->segments,
			f->segments == 1 ? "segment" : "segments", f->segments == 1 ? "is" : "are");
	if(!f->runs) {
		SAY(r->found, "; the next start takes it there");
		return;
	}
	if(f->oldest > 0)
		SAY(r->found, ", the oldest of it for %s", text_span(f->oldest).s);
	if(f->oldest > 10 * second || f->waiting > f->limit / 2)
		r->level = LEVEL_BAD;
	else if(f->oldest > 2 * second || f->waiting > f->limit / 8)
		r->level = LEVEL_WARN;
	if(r->level != LEVEL_OK)
		SAY(r->fix,
				"the journal's disk is full, slow or broken: kamcmd callstate.journal (alarm); df %s; iostat -x 1; "
				"dmesg",
				f->journal);
}

void check_damage(struct findings *all, const struct damage_facts *f)
{
	if(f->error == ENOENT || f->error == ENOTDIR)
		return;
	if(f->error != 0) {
		SAY(finding_unknown(all, "journal")->found, "%s: %s", f->path, strerror(f->error));
		return;
	}
	struct finding *r = finding_add(all, LEVEL_OK, "journal");
	if(f->damaged > 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, "%" PRIu64 " damaged %s in the newest %s; ", f->damaged, f->damaged == 1 ? "place" : "places",
				size(f->read_bytes).s);
		SAY(r->fix, "look after that disk (smartctl -a, dmesg); what is damaged is passed over");
	}
	if(f->aside > 0) {
		r->level = r->level == LEVEL_BAD ? LEVEL_BAD : LEVEL_WARN;
		SAY(r->found, "%zu %s put aside, as %s; ", f->aside, f->aside == 1 ? "file was" : "files were", f->one);
		SAY(r->fix, "%sa power cut, or two systems on one folder; keep what you want of it, then: rm %s",
				r->fix[0] != '\0' ? "; " : "", f->one);
	}
	if(r->level == LEVEL_OK)
		SAY(r->found, "no damage in the newest %s", size(f->read_bytes).s);
	else
		r->found[strlen(r->found) - 2] = '\0';
}
