/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** The first of the mildest. */
static size_t mildest(const struct findings *all)
{
	static const unsigned weight[LEVELS] = {[LEVEL_OK] = 0, [LEVEL_UNKNOWN] = 1, [LEVEL_WARN] = 2, [LEVEL_BAD] = 3};
	size_t at = 0;
	for(size_t i = 1; i < all->n; i++) {
		if(weight[all->f[i].level] < weight[all->f[at].level])
			at = i;
	}
	return at;
}

struct finding *finding_add(struct findings *all, enum level level, const char *what)
{
	if(all->n == DOCTOR_FINDINGS) {
		size_t at = mildest(all);
		all->left_out[all->f[at].level]++;
		all->n--;
		memmove(&all->f[at], &all->f[at + 1], (all->n - at) * sizeof(all->f[0]));
	}
	struct finding *f = &all->f[all->n++];
	*f = (struct finding){.level = level};
	SAY(f->what, "%s", what);
	return f;
}

struct finding *finding_unknown(struct findings *all, const char *what)
{
	struct finding *f = finding_add(all, LEVEL_UNKNOWN, what);
	SAY(f->fix, "sudo signalbox doctor");
	return f;
}

void findings_count(const struct findings *all, size_t count[LEVELS])
{
	memcpy(count, all->left_out, sizeof(all->left_out));
	for(size_t i = 0; i < all->n; i++)
		count[all->f[i].level]++;
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
	if(!f->files_known) {
		SAY(finding_unknown(all, "open files")->found, "those of pid %d may not be looked at by this user",
				(int)f->pid);
		return;
	}
	struct finding *r = finding_add(all, LEVEL_OK, "open files");
	SAY(r->found, "a process has %" PRIu64 " open at most, %" PRIu64 " are allowed", f->files_most, f->files_limit);
	if(f->files_most * 5 >= f->files_limit * 4)
		r->level = LEVEL_BAD;
	else if(f->files_limit < 1024)
		r->level = LEVEL_WARN;
	if(r->level != LEVEL_OK)
		SAY(r->fix, "LimitNOFILE=65536 in the unit (systemctl edit kamailio), or ulimit -n 65536 before the start");
}

static void check_running(struct findings *all, const struct process_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "kamailio");
	SAY(r->found, "runs as %s, pid %d", f->user_name, (int)f->pid);
	if(f->exe_replaced || f->module_replaced) {
		r->level = LEVEL_WARN;
		SAY(r->found, ": %s was replaced since it started", f->exe_replaced ? "its program" : "a module");
		SAY(r->fix, "systemctl restart kamailio (answered calls go on)");
	} else if(!f->exe_known) {
		r->level = LEVEL_UNKNOWN;
		SAY(r->found, "; whether its program or a module was replaced since it started, this user may not see");
		SAY(r->fix, "sudo signalbox doctor");
	}
}

static void check_allocator(struct findings *all, const struct process_facts *f)
{
	if(f->cmdline[0] == '\0') {
		SAY(finding_unknown(all, "allocator")->found, "the command line of pid %d may not be read by this user",
				(int)f->pid);
		return;
	}
	struct finding *r = finding_add(all, LEVEL_OK, "allocator");
	if(has_option(f->cmdline, "-x", "fm")) {
		SAY(r->found, "fm");
		return;
	}
	r->level = LEVEL_WARN;
	SAY(r->found, "not the fast one; each call costs twice the time");
	SAY(r->fix, "start Kamailio with -x fm -X fm (docs/operating.md)");
}

void check_process(struct findings *all, const struct process_facts *f)
{
	if(f->locked_out) {
		SAY(finding_unknown(all, "kamailio")->found, "whether one runs: %s may not be read by this user", f->lock);
		return;
	}
	if(f->hidden) {
		SAY(finding_unknown(all, "kamailio")->found,
				"pid %d holds %s, and is not to be seen in /proc: of another user, or in a container", (int)f->pid,
				f->lock);
		return;
	}
	if(f->pid == 0) {
		struct finding *r = finding_add(all, LEVEL_WARN, "kamailio");
		SAY(r->found, "none runs on this spool");
		SAY(r->fix, "systemctl start kamailio; when it does not come up, its log says why");
		return;
	}
	check_running(all, f);
	check_allocator(all, f);
	check_files(all, f);
	if(!f->files_known)
		return;
	SAY(finding_add(all, LEVEL_OK, "core dumps")->found,
			f->core_off ? "off: a crash would leave nothing to look at (LimitCORE=infinity turns them on)" : "on");
}

void check_version(struct findings *all, const struct version_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, f->module);
	SAY(r->found, "%s", f->path);
	if(f->error == EACCES || (f->error != 0 && f->guessed)) {
		r->level = LEVEL_UNKNOWN;
		SAY(r->found, f->guessed ? ": not there; what Kamailio has loaded, this user may not see"
								 : ": may not be read by this user");
		SAY(r->fix, "sudo signalbox doctor");
	} else if(f->error != 0) {
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
