/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox doctor` makes of what it found, and how it reads a configuration.
 */
#include "../../modules/cli/doctor.h"
#include "../../modules/cli/doctor_config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MIB (UINT64_C(1024) * 1024)
#define NOW UINT64_C(1769868000000000) /* 2026-01-31 14:00:00 */

static struct findings all;

static int begin(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	return 0;
}

/** The finding at a place: its level, a part of what was found, a part of the fix; "": no fix */
static void assert_finding(size_t i, enum level level, const char *found, const char *fix)
{
	assert_true(i < all.n);
	if(all.f[i].level != level)
		fail_msg("level %d, not %d: %s", all.f[i].level, level, all.f[i].found);
	if(strstr(all.f[i].found, found) == NULL)
		fail_msg("'%s' is not in '%s'", found, all.f[i].found);
	if(fix[0] == '\0' ? all.f[i].fix[0] != '\0' : strstr(all.f[i].fix, fix) == NULL)
		fail_msg("'%s' is not in the fix '%s'", fix, all.f[i].fix);
}

static struct folder_facts a_folder(void)
{
	return (struct folder_facts){.name = "journal dir",
			.path = "/j",
			.is_dir = true,
			.uid = 105,
			.mode = 0750,
			.owner = "kamailio",
			.user_known = true,
			.user = 105,
			.user_name = "kamailio",
			.private = true};
}

static void a_folder_must_be_there_and_belong_to_kamailio(void **state)
{
	(void)state;
	struct folder_facts f = a_folder();
	check_folder(&all, &f);
	assert_finding(0, LEVEL_OK, "/j: of kamailio, mode 750", "");
	f.error = ENOENT;
	check_folder(&all, &f);
	assert_finding(1, LEVEL_BAD, "No such file", "install -d -m 750 -o kamailio -g kamailio /j");
	f = a_folder();
	f.uid = 0;
	f.owner = "root";
	check_folder(&all, &f);
	assert_finding(2, LEVEL_BAD, "belongs to root, Kamailio is kamailio", "chown -R kamailio: /j");
	f.user = 0;
	check_folder(&all, &f);
	assert_finding(3, LEVEL_OK, "of root", "");
	f = a_folder();
	f.mode = 0757;
	check_folder(&all, &f);
	assert_finding(4, LEVEL_BAD, "anybody may write", "chmod 750 /j");
	f.mode = 0755;
	check_folder(&all, &f);
	assert_finding(5, LEVEL_WARN, "anybody may read", "chmod 750 /j");
	f = a_folder();
	f.is_dir = false;
	check_folder(&all, &f);
	assert_finding(6, LEVEL_BAD, "not a directory", "install -d");
}

static void the_spool_wants_tmpfs_with_room_for_its_limit(void **state)
{
	(void)state;
	struct room_facts f = {
			.path = "/s", .tmpfs = true, .size = 512 * MIB, .free = 400 * MIB, .used = 8 * MIB, .limit = 256 * MIB};
	check_spool(&all, &f);
	assert_finding(0, LEVEL_OK, "tmpfs, 400 MiB free", "");
	f.free = 100 * MIB;
	check_spool(&all, &f);
	assert_finding(1, LEVEL_WARN, "does not fit", "size=320m");
	f.free = 10 * MIB;
	check_spool(&all, &f);
	assert_finding(2, LEVEL_BAD, "nearly full", "kamcmd callstate.journal");
	f.free = 400 * MIB;
	f.tmpfs = false;
	check_spool(&all, &f);
	assert_finding(3, LEVEL_WARN, "no tmpfs", "spool_dir");
	f.error = ENOENT;
	check_spool(&all, &f);
	assert_finding(4, LEVEL_BAD, "No such file", "systemd-tmpfiles");
}

static void the_journal_wants_room_for_its_limit(void **state)
{
	(void)state;
	struct room_facts f = {
			.path = "/j", .size = 100 * 1024 * MIB, .free = 50 * 1024 * MIB, .used = MIB, .limit = 8192 * MIB};
	check_journal(&all, &f);
	assert_finding(0, LEVEL_OK, "50 GiB free, holds 1024 kiB, journal_limit 8192 MiB", "");
	f.free = 5000 * MIB;
	check_journal(&all, &f);
	assert_finding(1, LEVEL_WARN, "before the limit is reached", "journal_limit to 4501 (MB)");
	f.free = 50 * MIB;
	check_journal(&all, &f);
	assert_finding(2, LEVEL_BAD, "nearly full", "make room");
	f.used = 9000 * MIB;
	f.free = 2000 * MIB;
	check_journal(&all, &f);
	assert_finding(3, LEVEL_OK, "2000 MiB free", "");
}

static void a_running_kamailio_its_allocator_and_limits(void **state)
{
	(void)state;
	struct process_facts f = {.pid = 77,
			.user_name = "kamailio",
			.cmdline = "/usr/sbin/kamailio -x fm -X fm -f /k.cfg",
			.files_limit = 8192,
			.files_most = 40};
	check_process(&all, &f);
	assert_int_equal(all.n, 4);
	assert_finding(0, LEVEL_OK, "runs as kamailio, pid 77", "");
	assert_finding(1, LEVEL_OK, "fm", "");
	assert_finding(2, LEVEL_OK, "40 open at most, 8192", "");
	assert_finding(3, LEVEL_OK, "on", "");
	f.cmdline = "/usr/sbin/kamailio -X fm -f /k.cfg -x fmx";
	f.files_most = 7000;
	f.core_off = f.module_replaced = true;
	check_process(&all, &f);
	assert_finding(4, LEVEL_WARN, "a module was replaced", "systemctl restart kamailio");
	assert_finding(5, LEVEL_WARN, "not the fast one", "-x fm -X fm");
	assert_finding(6, LEVEL_BAD, "7000 open", "LimitNOFILE");
	assert_finding(7, LEVEL_OK, "off: a crash would leave nothing", "");
	f.cmdline = "kamailio -f /k.cfg -x qm -xfm";
	f.files_limit = 256;
	f.files_most = 10;
	check_process(&all, &f);
	assert_finding(9, LEVEL_OK, "fm", "");
	assert_finding(10, LEVEL_WARN, "256 are allowed", "LimitNOFILE");
}

static void none_running_is_no_error(void **state)
{
	(void)state;
	struct process_facts f = {0};
	check_process(&all, &f);
	assert_int_equal(all.n, 1);
	assert_finding(0, LEVEL_WARN, "none runs on this spool", "systemctl start kamailio");
}

static void a_module_must_be_built_for_this_kamailio(void **state)
{
	(void)state;
	struct version_facts f = {.module = "callstate",
			.path = "/m/callstate.so",
			.core = "kamailio 5.6.3 (x86_64/linux)",
			.built_for = "kamailio 5.6.3 (x86_64/linux)",
			.core_flags = "USE_TCP, USE_TLS",
			.built_with = "USE_TCP, USE_TLS"};
	check_version(&all, &f);
	assert_finding(0, LEVEL_OK, "built for kamailio 5.6.3", "");
	strcpy(f.core, "kamailio 6.0.1 (x86_64/linux)");
	check_version(&all, &f);
	assert_finding(
			1, LEVEL_BAD, "built for kamailio 5.6.3 (x86_64/linux), this is kamailio 6.0.1", "make distclean && make");
	strcpy(f.core, f.built_for);
	strcpy(f.built_with, "USE_TCP");
	check_version(&all, &f);
	assert_finding(2, LEVEL_BAD, "other options", "kamailio -V");
	f.error = ENOENT;
	check_version(&all, &f);
	assert_finding(3, LEVEL_BAD, "No such file", "make install");
	f.error = 0;
	f.built_for[0] = '\0';
	check_version(&all, &f);
	assert_finding(4, LEVEL_BAD, "no module of Kamailio", "make install");
	strcpy(f.built_for, "kamailio 5.6.3 (x86_64/linux)");
	f.core[0] = '\0';
	check_version(&all, &f);
	assert_finding(5, LEVEL_OK, "not known", "");
}

static void a_clock_that_is_wrong(void **state)
{
	(void)state;
	struct clock_facts f = {.now = NOW, .newest_record = NOW - 1, .kernel_known = true, .synchronised = true};
	check_clock(&all, &f);
	assert_finding(0, LEVEL_OK, "2026-01-31 14:00:00 UTC, kept by NTP", "");
	f.synchronised = false;
	check_clock(&all, &f);
	assert_finding(1, LEVEL_WARN, "nothing keeps it right", "chrony");
	f.newest_record = NOW + 60000000;
	check_clock(&all, &f);
	assert_finding(2, LEVEL_BAD, "the newest event is of 2026-01-31 14:01:00, so it was set back", "chrony");
	f.now = 1000000;
	check_clock(&all, &f);
	assert_finding(3, LEVEL_BAD, "not set", "chrony");
	f = (struct clock_facts){.now = NOW};
	check_clock(&all, &f);
	assert_finding(4, LEVEL_OK, "cannot be told here", "");
}

static void damage_and_files_put_aside(void **state)
{
	(void)state;
	struct damage_facts f = {.path = "/j", .read_bytes = 64 * MIB};
	check_damage(&all, &f);
	assert_finding(0, LEVEL_OK, "no damage in the newest 64 MiB", "");
	f.aside = 2;
	strcpy(f.one, "/j/1.seg.aside");
	check_damage(&all, &f);
	assert_finding(1, LEVEL_WARN, "2 files were put aside, as /j/1.seg.aside", "rm /j/1.seg.aside");
	f.damaged = 1;
	check_damage(&all, &f);
	assert_finding(2, LEVEL_BAD, "1 damaged place", "smartctl");
	assert_non_null(strstr(all.f[2].fix, "rm /j"));
}

static void systemd_must_not_delete_the_spool(void **state)
{
	(void)state;
	check_systemd(&all, "RuntimeDirectory=kamailio\nRuntimeDirectoryPreserve=no\n", "/run/signalbox/spool");
	assert_finding(0, LEVEL_OK, "leaves the spool", "");
	check_systemd(&all, "RuntimeDirectoryPreserve=no\nRuntimeDirectory=kamailio signalbox\n", "/run/signalbox/spool");
	assert_finding(1, LEVEL_BAD, "/run/signalbox is made by the unit", "RuntimeDirectoryPreserve=yes");
	check_systemd(&all, "RuntimeDirectory=signalbox\nRuntimeDirectoryPreserve=yes\n", "/run/signalbox/spool");
	assert_finding(2, LEVEL_OK, "RuntimeDirectoryPreserve=yes", "");
	check_systemd(&all, "RuntimeDirectory=signal\nRuntimeDirectoryPreserve=no\n", "/run/signalbox/spool");
	assert_finding(3, LEVEL_OK, "leaves the spool", "");
	check_systemd(&all, "", "/run/signalbox/spool");
	assert_finding(4, LEVEL_OK, "leaves the spool", "");
}

static void an_endpoint_that_is_away(void **state)
{
	(void)state;
	struct endpoint_facts f = {.id = "crm", .state = "up", .error = "", .now = NOW};
	check_endpoint(&all, &f);
	assert_finding(0, LEVEL_OK, "crm: up", "");
	f.state = "paused";
	f.error = "connection refused";
	f.pending = 12;
	f.oldest_at = NOW - 90000000;
	check_endpoint(&all, &f);
	assert_finding(
			1, LEVEL_WARN, "crm: paused, 12 events wait, oldest 90.0 s behind: connection refused", "nothing is lost");
	f.state = "disabled";
	check_endpoint(&all, &f);
	assert_finding(2, LEVEL_BAD, "disabled", "kamcmd callhook.enable crm");
	f = (struct endpoint_facts){.id = "crm", .state = "up", .error = "", .now = NOW, .dead = 3};
	check_endpoint(&all, &f);
	assert_finding(3, LEVEL_WARN, "3 given up", "kamcmd callhook.replay crm");
	f = (struct endpoint_facts){
			.id = "crm", .state = "up", .error = "", .now = NOW, .pending = 1, .oldest_at = NOW - 1000};
	check_endpoint(&all, &f);
	assert_finding(4, LEVEL_OK, "1 event waits", "");
}

static void an_rtpengine_that_is_silent(void **state)
{
	(void)state;
	check_rtpengine(&all, "udp:127.0.0.1:2223", NULL, 312);
	assert_finding(0, LEVEL_OK, "answered a ping", "");
	check_rtpengine(&all, "udp:127.0.0.1:2223", "no answer within 1 s", 1000000);
	assert_finding(1, LEVEL_BAD, "no answer within 1 s", "systemctl status rtpengine-daemon");
}

static void too_many_findings_do_no_harm(void **state)
{
	(void)state;
	for(int i = 0; i < 200; i++)
		check_rtpengine(&all, "udp:127.0.0.1:2223", "no answer within 1 s", 1);
	assert_int_equal(all.n, DOCTOR_FINDINGS);
}

/* ---- configuration ---- */

struct file
{
	const char *name, *text;
};

static char *load(const char *path, void *arg)
{
	for(const struct file *f = arg; f->name != NULL; f++) {
		if(strcmp(f->name, path) == 0)
			return strdup(f->text);
	}
	return NULL;
}

static struct config conf;

static const char *get(const struct file *files, const char *key)
{
	memset(&conf, 0, sizeof(conf));
	assert_true(config_read(&conf, files[0].name, load, (void *)files));
	return config_get(&conf, key);
}

static void parameters_are_found_through_defines_and_includes(void **state)
{
	const struct file files[] = {
			{"/e/main.cfg",
					"#!KAMAILIO\nimport_file \"local.cfg\"\n#!trydef SPOOL \"/run/default\"\n#!trydef LIMIT 256\n"
					"include_file \"sub/modules.cfg\"\nrequest_route {\n}\n"},
			{"/e/local.cfg", "  #!define SPOOL \"/run/mine\"\n#!define RTP \"udp:127.0.0.1:2223\"\r\n"},
			{"/e/sub/modules.cfg",
					"modparam(\"callstate\", \"spool_dir\", SPOOL)\nmodparam( \"callstate|callhook\" , \"x\",7 )\n"
					"modparam(\"callstate\", \"spool_limit\", LIMIT)\nmodparam(\"tm\", \"fr_timer\", 1)\n"
					"modparam(\"rtpengine\", \"rtpengine_sock\", RTP)\nmpath=\"/a:/b\"\n# modparam(\"callstate\", "
					"\"calls_max\", 1)\n"},
			{NULL, NULL}};
	(void)state;
	assert_string_equal(get(files, "callstate.spool_dir"), "/run/mine");
	assert_string_equal(config_get(&conf, "callstate.spool_limit"), "256");
	assert_string_equal(config_get(&conf, "callhook.x"), "7");
	assert_string_equal(config_get(&conf, "rtpengine.rtpengine_sock"), "udp:127.0.0.1:2223");
	assert_string_equal(config_get(&conf, "mpath"), "/a:/b");
	assert_null(config_get(&conf, "tm.fr_timer"));
	assert_null(config_get(&conf, "callstate.calls_max"));
}

static void conditions_are_followed(void **state)
{
	const struct file files[] = {{"k.cfg", "#!define A\n#!ifdef A\nmodparam(\"callstate\", \"a\", 1)\n#!ifdef "
										   "B\nmodparam(\"callstate\", \"b\", 1)\n"
										   "#!else\nmodparam(\"callstate\", \"c\", 1)\n#!endif\n#!else\n#!ifndef "
										   "B\nmodparam(\"callstate\", \"d\", 1)\n"
										   "#!endif\n#!endif\n#!ifndef A\nmodparam(\"callstate\", \"e\", "
										   "1)\n#!endif\nmodparam(\"callstate\", \"f\", 1)\n"},
			{NULL, NULL}};
	(void)state;
	assert_non_null(get(files, "callstate.a"));
	assert_null(config_get(&conf, "callstate.b"));
	assert_non_null(config_get(&conf, "callstate.c"));
	assert_null(config_get(&conf, "callstate.d"));
	assert_null(config_get(&conf, "callstate.e"));
	assert_non_null(config_get(&conf, "callstate.f"));
}

static void a_configuration_that_includes_itself_ends(void **state)
{
	const struct file files[] = {{"/k.cfg", "include_file \"k.cfg\"\ninclude_file \"k.cfg\"\n#!define A B\n#!define B "
											"A\nmodparam(\"callstate\", \"a\", A)\n#!endif\n#!else\n"},
			{NULL, NULL}};
	(void)state;
	assert_non_null(get(files, "callstate.a"));
	assert_true(conf.files < 1000);
	memset(&conf, 0, sizeof(conf));
	assert_false(config_read(&conf, "/not/there", load, (void *)files));
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
			T(a_folder_must_be_there_and_belong_to_kamailio),
			T(the_spool_wants_tmpfs_with_room_for_its_limit),
			T(the_journal_wants_room_for_its_limit),
			T(a_running_kamailio_its_allocator_and_limits),
			T(none_running_is_no_error),
			T(a_module_must_be_built_for_this_kamailio),
			T(a_clock_that_is_wrong),
			T(damage_and_files_put_aside),
			T(systemd_must_not_delete_the_spool),
			T(an_endpoint_that_is_away),
			T(an_rtpengine_that_is_silent),
			T(too_many_findings_do_no_harm),
			T(parameters_are_found_through_defines_and_includes),
			T(conditions_are_followed),
			T(a_configuration_that_includes_itself_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
