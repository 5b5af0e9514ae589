/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1024) * 1024)

struct finding *finding_add(struct findings *all, enum level level, const char *what)
{
	struct finding *f = &all->f[all->n < DOCTOR_FINDINGS ? all->n++ : DOCTOR_FINDINGS - 1];
	*f = (struct finding){.level = level};
	SAY(f->what, "%s", what);
	return f;
}

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

void check_folder(struct findings *all, const struct folder_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, f->name);
	const char *user = f->user_known ? f->user_name : "kamailio";
	SAY(r->found, "%s", f->path);
	if(f->error != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": %s", strerror(f->error));
		if(f->error == ENOENT)
			SAY(r->fix, "install -d -m 750 -o %s -g %s %s", user, user, f->path);
		else
			SAY(r->fix, "run signalbox doctor as root");
	} else if(!f->is_dir) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": not a directory");
		SAY(r->fix, "move it away, then: install -d -m 750 -o %s -g %s %s", user, user, f->path);
	} else if(f->user_known && f->uid != f->user && f->user != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": belongs to %s, Kamailio is %s", f->owner, f->user_name);
		SAY(r->fix, "chown -R %s: %s", user, f->path);
	} else if((f->mode & S_IWOTH) != 0 || (f->private && (f->mode & (S_IROTH | S_IXOTH)) != 0)) {
		r->level = (f->mode & S_IWOTH) != 0 ? LEVEL_BAD : LEVEL_WARN;
		SAY(r->found, ": anybody may %s it (mode %03o)", (f->mode & S_IWOTH) != 0 ? "write to" : "read",
				f->mode & 0777);
		SAY(r->fix, "chmod 750 %s", f->path);
	} else {
		SAY(r->found, ": of %s, mode %03o", f->owner, f->mode & 0777);
	}
}

void check_spool(struct findings *all, const struct room_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "spool room");
	if(f->error != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, "%s: %s", f->path, strerror(f->error));
		SAY(r->fix, "systemd-tmpfiles --create, or: install -d -m 750 -o kamailio -g kamailio %s", f->path);
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
	struct finding *r = finding_add(all, LEVEL_OK, "journal room");
	if(f->error != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, "%s: %s", f->path, strerror(f->error));
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

/** The word behind an option in a command line, where it stands for the last time; "-xfm" is taken as "-x fm". */
static bool has_option(const char *cmdline, const char *option, const char *value)
{
	char want[16];
	bool has = false;
	snprintf(want, sizeof(want), " %s", option);
	for(const char *p = cmdline; p != NULL && (p = strstr(p, want)) != NULL;) {
		p += strlen(want);
		p += strspn(p, " ");
		has = strncmp(p, value, strlen(value)) == 0 && (p[strlen(value)] == ' ' || p[strlen(value)] == '\0');
	}
	return has;
}

static void check_files(struct findings *all, const struct process_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "open files");
	SAY(r->found, "a process has %" PRIu64 " open at most, %" PRIu64 " are allowed", f->files_most, f->files_limit);
	if(f->files_most * 5 >= f->files_limit * 4)
		r->level = LEVEL_BAD;
	else if(f->files_limit < 1024)
		r->level = LEVEL_WARN;
	if(r->level != LEVEL_OK)
		SAY(r->fix, "LimitNOFILE=65536 in the unit (systemctl edit kamailio), or ulimit -n 65536 before the start");
}

void check_process(struct findings *all, const struct process_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "kamailio");
	if(f->pid == 0) {
		r->level = LEVEL_WARN;
		SAY(r->found, "none runs on this spool");
		SAY(r->fix, "systemctl start kamailio; when it does not come up, its log says why");
		return;
	}
	SAY(r->found, "runs as %s, pid %d", f->user_name, (int)f->pid);
	if(f->exe_replaced || f->module_replaced) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": %s was replaced since it started", f->exe_replaced ? "its program" : "a module");
		SAY(r->fix, "systemctl restart kamailio (answered calls go on)");
	}
	r = finding_add(all, LEVEL_OK, "allocator");
	if(has_option(f->cmdline, "-x", "fm")) {
		SAY(r->found, "fm");
	} else {
		r->level = LEVEL_WARN;
		SAY(r->found, "not the fast one; each call costs twice the time");
		SAY(r->fix, "start Kamailio with -x fm -X fm (docs/operating.md)");
	}
	check_files(all, f);
	r = finding_add(all, LEVEL_OK, "core dumps");
	SAY(r->found,
			f->core_off ? "off: a crash would leave nothing to look at (LimitCORE=infinity turns them on)" : "on");
}

void check_version(struct findings *all, const struct version_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, f->module);
	SAY(r->found, "%s", f->path);
	if(f->error != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": %s", strerror(f->error));
		SAY(r->fix, "make install, or the package signalbox");
	} else if(f->built_for[0] == '\0') {
		r->level = LEVEL_BAD;
		SAY(r->found, ": this is no module of Kamailio");
		SAY(r->fix, "make install");
	} else if(f->core[0] == '\0') {
		SAY(r->found, ": built for %s; which Kamailio is here is not known", f->built_for);
	} else if(strcmp(f->core, f->built_for) != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": built for %s, this is %s: it will not be loaded", f->built_for, f->core);
		SAY(r->fix, "make distclean && make && make install, or the package for this version");
	} else if(f->core_flags[0] != '\0' && f->built_with[0] != '\0' && strcmp(f->core_flags, f->built_with) != 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": built with other options than this Kamailio: it will not be loaded");
		SAY(r->fix, "make distclean && make && make install; they must be the same: kamailio -V");
	} else {
		SAY(r->found, ": built for %s", f->built_for);
	}
}

void check_clock(struct findings *all, const struct clock_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "clock");
	const uint64_t year_2024 = 1704067200000000ull, tolerated = 5000000;
	SAY(r->found, "%s %.8s UTC", text_date(f->now).s, text_clock(f->now).s);
	if(f->now < year_2024) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": it is not set");
	} else if(f->newest_record > f->now + tolerated) {
		r->level = LEVEL_BAD;
		SAY(r->found, ": the newest event is of %s %.8s, so it was set back", text_date(f->newest_record).s,
				text_clock(f->newest_record).s);
	} else if(f->kernel_known && !f->synchronised) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": nothing keeps it right");
	}
	if(r->level != LEVEL_OK)
		SAY(r->fix, "apt-get install chrony; chronyc tracking");
	else if(!f->kernel_known)
		SAY(r->found, "; whether it is kept right cannot be told here");
	else
		SAY(r->found, ", kept by NTP");
}

void check_damage(struct findings *all, const struct damage_facts *f)
{
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

/** The value of "Key=" in lines; "" if it is not there. */
static struct text value_of(const char *lines, const char *key)
{
	struct text t = {""};
	size_t n = strlen(key);
	for(const char *p = lines; p != NULL && *p != '\0'; p = strchr(p, '\n') != NULL ? strchr(p, '\n') + 1 : NULL) {
		if(strncmp(p, key, n) == 0 && p[n] == '=')
			SAY(t.s, "%.*s", (int)strcspn(p + n + 1, "\n"), p + n + 1);
	}
	return t;
}

void check_systemd(struct findings *all, const char *show, const char *spool)
{
	struct text dirs = value_of(show, "RuntimeDirectory"), keep = value_of(show, "RuntimeDirectoryPreserve");
	struct finding *r;
	char path[TEXT_MAX + 8];
	for(char *save = NULL, *d = strtok_r(dirs.s, " ", &save); d != NULL; d = strtok_r(NULL, " ", &save)) {
		int n = snprintf(path, sizeof(path), "/run/%s", d);
		if(strncmp(spool, path, (size_t)n) != 0 || (spool[n] != '/' && spool[n] != '\0'))
			continue;
		r = finding_add(all, strcmp(keep.s, "yes") == 0 ? LEVEL_OK : LEVEL_BAD, "systemd");
		SAY(r->found, "%s is made by the unit, RuntimeDirectoryPreserve=%s", path, keep.s[0] != '\0' ? keep.s : "no");
		if(r->level == LEVEL_BAD) {
			SAY(r->found, ": a stop deletes the spool, and the events in it");
			SAY(r->fix, "systemctl edit kamailio: [Service] RuntimeDirectoryPreserve=yes");
		}
		return;
	}
	r = finding_add(all, LEVEL_OK, "systemd");
	SAY(r->found, "a stop of the unit leaves the spool");
}

void check_endpoint(struct findings *all, const struct endpoint_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "endpoint");
	const uint64_t late = 60ull * 1000000;
	SAY(r->found, "%s: %s", f->id, f->state);
	if(f->pending > 0)
		SAY(r->found, ", %" PRIu64 " %s", f->pending, f->pending == 1 ? "event waits" : "events wait");
	if(f->dead > 0)
		SAY(r->found, ", %" PRIu64 " given up", f->dead);
	if(f->oldest_at != 0 && f->now > f->oldest_at)
		SAY(r->found, ", oldest %s behind", text_span(f->now - f->oldest_at).s);
	if(strcmp(f->state, "disabled") == 0) {
		r->level = LEVEL_BAD;
		SAY(r->fix, "mend the receiver, then: kamcmd callhook.enable %s", f->id);
	} else if(strcmp(f->state, "paused") == 0 || (f->oldest_at != 0 && f->now > f->oldest_at + late)) {
		r->level = LEVEL_WARN;
		SAY(r->fix, "mend the receiver; nothing is lost meanwhile. kamcmd callhook.endpoints");
	} else if(f->dead > 0) {
		r->level = LEVEL_WARN;
		SAY(r->fix, "see why, then send them again: kamcmd callhook.dead %s; kamcmd callhook.replay %s", f->id, f->id);
	}
	if(r->level != LEVEL_OK && f->error[0] != '\0')
		SAY(r->found, ": %s", text_plain(f->error, strlen(f->error)).s);
}

void check_rtpengine(struct findings *all, const char *address, const char *error, uint64_t us)
{
	struct finding *r = finding_add(all, error == NULL ? LEVEL_OK : LEVEL_BAD, "rtpengine");
	if(error == NULL) {
		SAY(r->found, "%s answered a ping after %s", address, text_span(us).s);
		return;
	}
	SAY(r->found, "%s: %s; calls go on with the media as it was offered", address, error);
	SAY(r->fix, "systemctl status rtpengine-daemon; is its listen-ng this address? ss -lunp | grep rtpengine");
}
