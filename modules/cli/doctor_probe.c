/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor_probe.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t doctor_number(const struct doctor *d, const char *key, uint64_t otherwise)
{
	const char *s = config_get(&d->config, key);
	char *end;
	uint64_t n = s != NULL ? strtoull(s, &end, 10) : 0;
	return s != NULL && end != s ? n : otherwise;
}

/** All of a small file, to be freed; NULL: not there, or not readable. */
static char *whole_file(const char *path, size_t most, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = f != NULL ? malloc(most + 1) : NULL;
	if(text != NULL) {
		size_t n = fread(text, 1, most, f);
		text[n] = '\0';
		if(len != NULL)
			*len = n;
	}
	if(f != NULL)
		fclose(f);
	return text;
}

static char *load_config(const char *path, void *arg)
{
	(void)arg;
	return whole_file(path, 4 * DOCTOR_MB, NULL);
}

/** The process that holds the lock of the spool; the file has its number. 0: nobody does */
static void find_holder(struct doctor *d)
{
	char path[64], text[32] = "";
	d->pid = 0;
	snprintf(d->lock, sizeof(d->lock), "%s/lock", d->spool);
	int fd = open(d->lock, O_RDONLY | O_CLOEXEC);
	d->locked_out = fd < 0 && errno == EACCES;
	if(fd < 0)
		return;
	bool is_free = flock(fd, LOCK_SH | LOCK_NB) == 0;
	ssize_t n = is_free ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	d->pid = n > 0 ? (pid_t)atoi(text) : 0;
	snprintf(path, sizeof(path), "/proc/%d", (int)d->pid);
	d->hidden = d->pid != 0 && access(path, F_OK) != 0;
}

struct text doctor_user(uid_t uid)
{
	const struct passwd *p = getpwuid(uid);
	struct text t = {""};
	if(p != NULL)
		SAY(t.s, "%s", p->pw_name);
	else
		SAY(t.s, "uid %u", (unsigned)uid);
	return t;
}

/** That of the running Kamailio; while none runs, kamailio. */
static void find_user(struct doctor *d)
{
	char path[64];
	const struct passwd *p = getpwnam("kamailio");
	int n = (int)(sizeof(d->who.group) / sizeof(d->who.group[0]));
	snprintf(path, sizeof(path), "/proc/%d/status", (int)d->pid);
	char *status = d->pid != 0 ? whole_file(path, 8192, NULL) : NULL;
	if(status != NULL) {
		who_of_status(&d->who, status);
	} else if(d->pid == 0 && !d->locked_out && p != NULL
			  && getgrouplist("kamailio", p->pw_gid, d->who.group, &n) >= 0) {
		d->who.known = true;
		d->who.uid = p->pw_uid;
		d->who.groups = (size_t)n;
	}
	free(status);
	if(d->who.known)
		SAY(d->who.name, "%s", doctor_user(d->who.uid).s);
}

static void find_cmdline(struct doctor *d)
{
	char path[64];
	size_t n = 0;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)d->pid);
	char *text = d->pid != 0 ? whole_file(path, sizeof(d->cmdline) - 1, &n) : NULL;
	for(size_t i = 0; i + 1 < n; i++)
		d->cmdline[i] = text[i] != '\0' ? text[i] : ' ';
	free(text);
}

/** The word behind -f, made absolute by the working directory of the process. */
static bool config_of_process(struct doctor *d)
{
	char link[64], cwd[300] = "";
	const char *p = strstr(d->cmdline, " -f ");
	if(p == NULL)
		return false;
	p += 4;
	int n = (int)strcspn(p, " ");
	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)d->pid);
	ssize_t len = readlink(link, cwd, sizeof(cwd) - 1);
	if(p[0] == '/' || len <= 0)
		snprintf(d->config_path, sizeof(d->config_path), "%.*s", n, p);
	else
		snprintf(d->config_path, sizeof(d->config_path), "%.*s/%.*s", (int)len, cwd, n, p);
	return true;
}

static void find_config(struct doctor *d)
{
	static const char *const usual[] = {"/etc/kamailio/signalbox/signalbox.cfg", "/etc/kamailio/kamailio.cfg"};
	d->config_path[0] = '\0';
	if(d->config_file != NULL)
		snprintf(d->config_path, sizeof(d->config_path), "%s", d->config_file);
	else if(!config_of_process(d) && d->pid != 0)
		snprintf(d->config_path, sizeof(d->config_path), "/etc/kamailio/kamailio.cfg");
	for(size_t i = 0; d->config_path[0] == '\0' && i < 2; i++) {
		if(access(usual[i], R_OK) == 0)
			snprintf(d->config_path, sizeof(d->config_path), "%s", usual[i]);
	}
	if(d->config_path[0] == '\0')
		return;
	struct finding *f = finding_add(&d->all, LEVEL_OK, "configuration");
	SAY(f->found, "%s", d->config_path);
	d->config_known = config_read(&d->config, d->config_path, load_config, NULL);
	if(d->config_known)
		return;
	bool hidden = access(d->config_path, R_OK) != 0 && errno == EACCES;
	f->level = hidden ? LEVEL_UNKNOWN : LEVEL_WARN;
	SAY(f->found, ": %s; the modules' defaults are taken for what it says",
			hidden ? "may not be read by this user" : "not readable");
	SAY(f->fix, "%s", hidden ? "sudo signalbox doctor" : "name the file: --config FILE");
}

void doctor_find(struct doctor *d)
{
	cli_find(d->c);
	snprintf(d->spool, sizeof(d->spool), "%s", d->c->spool);
	if(d->spool[0] != '\0')
		find_holder(d);
	find_cmdline(d);
	find_config(d);
	if(d->spool[0] == '\0') {
		const char *s = config_get(&d->config, "callstate.spool_dir");
		snprintf(d->spool, sizeof(d->spool), "%s", s != NULL ? s : "/run/signalbox/spool");
		snprintf(d->lock, sizeof(d->lock), "%s/spool", d->c->journal);
		d->locked_out = s == NULL && access(d->lock, R_OK) != 0 && errno == EACCES;
		if(!d->locked_out)
			find_holder(d);
		else
			d->spool[0] = '\0';
		find_cmdline(d);
	}
	find_user(d);
}

/** @param known set to false if they may not be looked at */
static size_t files_of(int pid, bool *known)
{
	char path[64];
	size_t n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	*known = *known && (dir != NULL || errno != EACCES);
	while(dir != NULL && readdir(dir) != NULL)
		n++;
	if(dir != NULL)
		closedir(dir);
	return n > 2 ? n - 2 : 0;
}

/** Most files of one process of Kamailio: of the first one, and of those with the same program and process group. */
static size_t most_files(pid_t pid, bool *known)
{
	size_t most = files_of(pid, known);
	DIR *dir = opendir("/proc");
	struct dirent *e;
	while(dir != NULL && (e = readdir(dir)) != NULL) {
		int other = atoi(e->d_name);
		if(other <= 0 || getpgid(other) != getpgid(pid))
			continue;
		size_t n = files_of(other, known);
		most = n > most ? n : most;
	}
	if(dir != NULL)
		closedir(dir);
	return most;
}

/** The soft limit of a line of /proc/PID/limits; unlimited: UINT64_MAX */
static uint64_t limit_of(const char *limits, const char *name)
{
	const char *p = limits != NULL ? strstr(limits, name) : NULL;
	if(p == NULL)
		return 0;
	p += strlen(name);
	p += strspn(p, " ");
	return strncmp(p, "unlimited", 9) == 0 ? UINT64_MAX : strtoull(p, NULL, 10);
}

/** @param known set to false if it may not be looked at */
static bool exe_replaced(pid_t pid, bool *known)
{
	char path[64], target[600];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	*known = n >= 0 || errno != EACCES;
	return n > 10 && strncmp(target + n - 10, " (deleted)", 10) == 0;
}

/** Where a module was loaded from. @param gone the file there is another one by now */
static bool loaded_from(pid_t pid, const char *module, char *out, size_t cap, bool *gone)
{
	char path[64], line[1200], want[64];
	bool found = false;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	snprintf(want, sizeof(want), "/%s.so", module);
	FILE *f = pid != 0 ? fopen(path, "re") : NULL;
	while(f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		char *at = strchr(line, '/'), *end = at != NULL ? strstr(at, want) : NULL;
		if(end == NULL)
			continue;
		end += strlen(want);
		*gone = strncmp(end, " (deleted)", 10) == 0;
		*end = '\0';
		snprintf(out, cap, "%s", at);
		found = true;
	}
	if(f != NULL)
		fclose(f);
	return found;
}

void doctor_process(struct doctor *d)
{
	char path[64], where[600];
	struct process_facts f = {.pid = d->pid,
			.locked_out = d->locked_out,
			.hidden = d->hidden,
			.lock = d->lock,
			.user_name = d->who.known ? d->who.name : "a user that is not known",
			.cmdline = d->cmdline};
	if(d->pid != 0 && !d->hidden) {
		bool gone = false;
		snprintf(path, sizeof(path), "/proc/%d/limits", (int)d->pid);
		char *limits = whole_file(path, 8192, NULL);
		f.files_known = limits != NULL;
		f.files_limit = limit_of(limits, "Max open files");
		f.core_off = limit_of(limits, "Max core file size") == 0;
		f.files_most = most_files(d->pid, &f.files_known);
		f.exe_replaced = exe_replaced(d->pid, &f.exe_known);
		f.module_replaced = (loaded_from(d->pid, "callstate", where, sizeof(where), &gone) && gone)
							|| (loaded_from(d->pid, "callhook", where, sizeof(where), &gone) && gone);
		free(limits);
	}
	check_process(&d->all, &f);
}

/** A text in a file that begins with `with` and goes on to the next NUL. */
static int text_in(const char *path, const char *with, const char *then, char *out, size_t cap)
{
	size_t n = strlen(with);
	struct stat st;
	out[0] = '\0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if(fd < 0 || fstat(fd, &st) != 0 || st.st_size > (off_t)(256 * DOCTOR_MB)) {
		int err = errno != 0 ? errno : EFBIG;
		if(fd >= 0)
			close(fd);
		return err;
	}
	char *text = malloc((size_t)st.st_size + 1);
	ssize_t len = text != NULL ? read(fd, text, (size_t)st.st_size) : -1;
	close(fd);
	if(len >= 0)
		text[len] = '\0';
	for(char *p = text; len > 0 && p != NULL && (p = memmem(p, (size_t)(text + len - p), with, n)) != NULL; p++) {
		if(strspn(p + n, then) == 0)
			continue;
		snprintf(out, cap, "%s", p);
		break;
	}
	free(text);
	return len >= 0 ? 0 : EIO;
}

static void versions_of(const char *path, char *version, size_t version_cap, char *flags, size_t flags_cap, int *error)
{
	int rc = text_in(path, "kamailio ", "0123456789", version, version_cap);
	if(error != NULL)
		*error = rc;
	version[strcspn(version, "\n")] = '\0';
	size_t n = strlen(version);
	while(n > 0 && version[n - 1] == ' ')
		version[--n] = '\0';
	text_in(path, "USE_TCP, ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", flags, flags_cap);
	flags[strcspn(flags, "\n")] = '\0';
}

/** mpath of the configuration, else where Debian and make install put them. */
static void module_path(const struct doctor *d, const char *module, char *out, size_t cap)
{
	static const char usual[] =
			"/usr/lib/x86_64-linux-gnu/kamailio/modules:/usr/lib/aarch64-linux-gnu/kamailio/modules:"
			"/usr/lib/kamailio/modules:/usr/local/lib64/kamailio/modules:/usr/local/lib/kamailio/modules";
	const char *mpath = config_get(&d->config, "mpath");
	char list[CONFIG_VALUE + sizeof(usual) + 2], first[400] = "";
	snprintf(list, sizeof(list), "%s%s%s", mpath != NULL ? mpath : "", mpath != NULL ? ":" : "", usual);
	for(char *save = NULL, *p = strtok_r(list, ":", &save); p != NULL; p = strtok_r(NULL, ":", &save)) {
		snprintf(out, cap, "%s%s%s.so", p, p[strlen(p) - 1] == '/' ? "" : "/", module);
		if(access(out, F_OK) == 0)
			return;
		char tm[400];
		snprintf(tm, sizeof(tm), "%.380s/tm.so", p);
		if(first[0] == '\0' && access(tm, F_OK) == 0)
			snprintf(first, sizeof(first), "%.380s", p);
	}
	snprintf(out, cap, "%.380s/%s.so", first[0] != '\0' ? first : "/usr/lib/kamailio/modules", module);
}

static bool may_see_maps(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *f = fopen(path, "re");
	if(f != NULL)
		fclose(f);
	return f != NULL;
}

void doctor_modules(struct doctor *d)
{
	static const char *const modules[] = {"callstate", "callhook"};
	static const char *const programs[] = {"/usr/sbin/kamailio", "/usr/local/sbin/kamailio"};
	char exe[64], core[64] = "", flags[512] = "", path[600];
	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)d->pid);
	if(d->pid != 0)
		versions_of(exe, core, sizeof(core), flags, sizeof(flags), NULL);
	for(size_t i = 0; core[0] == '\0' && i < 2; i++)
		versions_of(programs[i], core, sizeof(core), flags, sizeof(flags), NULL);
	for(size_t i = 0; i < 2; i++) {
		struct version_facts f = {.module = modules[i], .path = path};
		bool gone = false;
		if(!loaded_from(d->pid, modules[i], path, sizeof(path), &gone)) {
			module_path(d, modules[i], path, sizeof(path));
			f.guessed = d->locked_out || d->hidden || (d->pid != 0 && !may_see_maps(d->pid));
		}
		snprintf(f.core, sizeof(f.core), "%s", core);
		snprintf(f.core_flags, sizeof(f.core_flags), "%s", flags);
		versions_of(path, f.built_for, sizeof(f.built_for), f.built_with, sizeof(f.built_with), &f.error);
		check_version(&d->all, &f);
	}
}

void doctor_systemd(struct doctor *d)
{
	char show[1024] = "";
	size_t n = 0;
	if(access("/run/systemd/system", F_OK) != 0)
		return;
	FILE *p =
			popen("systemctl show kamailio.service -p RuntimeDirectory -p RuntimeDirectoryPreserve 2>/dev/null", "re");
	if(p != NULL) {
		n = fread(show, 1, sizeof(show) - 1, p);
		show[n] = '\0';
	}
	if(p != NULL && pclose(p) == 0 && n > 0)
		check_systemd(&d->all, show, d->spool);
}
