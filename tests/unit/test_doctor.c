/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox doctor` makes of what it found, and how it reads a configuration.
 */
#include "../../modules/cli/doctor_config.h"
#include "../../modules/cli/text.h"
#include "doctor_fixture.h"

static void a_running_kamailio_its_allocator_and_limits(void **state)
{
	(void)state;
	struct process_facts f = {.pid = 77,
			.user_name = "kamailio",
			.cmdline = "/usr/sbin/kamailio -x fm -X fm -f /k.cfg",
			.files_known = true,
			.exe_known = true,
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

static void what_a_user_may_not_see_of_kamailio_is_unknown(void **state)
{
	(void)state;
	struct process_facts f = {.locked_out = true, .lock = "/s/lock", .user_name = "kamailio", .cmdline = ""};
	check_process(&all, &f);
	assert_int_equal(all.n, 1);
	assert_finding(0, LEVEL_UNKNOWN, "/s/lock may not be read", "sudo signalbox doctor");
	f = (struct process_facts){.pid = 77, .hidden = true, .lock = "/s/lock", .user_name = "", .cmdline = ""};
	check_process(&all, &f);
	assert_int_equal(all.n, 2);
	assert_finding(1, LEVEL_UNKNOWN, "pid 77 holds /s/lock, and is not to be seen", "sudo signalbox doctor");
	f.hidden = false;
	check_process(&all, &f);
	assert_int_equal(all.n, 5);
	assert_finding(2, LEVEL_UNKNOWN, "was replaced since it started, this user may not see", "sudo");
	assert_finding(3, LEVEL_UNKNOWN, "command line of pid 77", "sudo");
	assert_finding(4, LEVEL_UNKNOWN, "those of pid 77", "sudo");
	struct version_facts v = {.module = "callstate", .path = "/m/callstate.so", .error = EACCES};
	check_version(&all, &v);
	assert_finding(5, LEVEL_UNKNOWN, "may not be read", "sudo");
	v.error = ENOENT;
	v.guessed = true;
	check_version(&all, &v);
	assert_finding(6, LEVEL_UNKNOWN, "what Kamailio has loaded, this user may not see", "sudo");
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

static void an_rtpengine_that_is_silent(void **state)
{
	(void)state;
	check_rtpengine(&all, "udp:127.0.0.1:2223", NULL, 312);
	assert_finding(0, LEVEL_OK, "answered a ping", "");
	check_rtpengine(&all, "udp:127.0.0.1:2223", "no answer within 1 s", 1000000);
	assert_finding(1, LEVEL_BAD, "no answer within 1 s", "systemctl status rtpengine-daemon");
}

static void a_full_list_keeps_what_is_bad_and_counts_all(void **state)
{
	size_t count[LEVELS];
	(void)state;
	check_rtpengine(&all, "udp:first:1", "no answer within 1 s", 1);
	for(unsigned i = 0; i < DOCTOR_FINDINGS; i++)
		check_rtpengine(&all, "udp:127.0.0.1:2223", NULL, 1);
	SAY(finding_unknown(&all, "files")->found, "hidden");
	SAY(finding_add(&all, LEVEL_WARN, "clock")->found, "late");
	check_rtpengine(&all, "udp:last:1", "no answer within 1 s", 1);
	assert_int_equal(all.n, DOCTOR_FINDINGS);
	assert_finding(0, LEVEL_BAD, "udp:first:1", "systemctl");
	assert_finding(1, LEVEL_OK, "answered", "");
	assert_finding(DOCTOR_FINDINGS - 3, LEVEL_UNKNOWN, "hidden", "sudo");
	assert_finding(DOCTOR_FINDINGS - 2, LEVEL_WARN, "late", "");
	assert_finding(DOCTOR_FINDINGS - 1, LEVEL_BAD, "udp:last:1", "systemctl");
	findings_count(&all, count);
	assert_int_equal(count[LEVEL_OK], DOCTOR_FINDINGS);
	assert_int_equal(count[LEVEL_WARN], 1);
	assert_int_equal(count[LEVEL_UNKNOWN], 1);
	assert_int_equal(count[LEVEL_BAD], 2);
	for(unsigned i = 0; i < 2 * DOCTOR_FINDINGS; i++)
		check_rtpengine(&all, "udp:127.0.0.1:2223", "no answer within 1 s", 1);
	findings_count(&all, count);
	assert_int_equal(all.n, DOCTOR_FINDINGS);
	assert_int_equal(count[LEVEL_BAD], 2 + 2 * DOCTOR_FINDINGS);
	assert_int_equal(count[LEVEL_OK], DOCTOR_FINDINGS);
}

/** The next `name` at the beginning of a row of the docs' table; several have commas between them. */
static bool next_in_docs(FILE *f, char *out, size_t cap)
{
	static char line[2000], *at;
	for(;;) {
		char *begin = at != NULL ? strchr(at, '`') : NULL, *end = begin != NULL ? strchr(begin + 1, '`') : NULL;
		if(end != NULL && end < strchr(line + 2, '|')) {
			snprintf(out, cap, "%.*s", (int)(end - begin - 1), begin + 1);
			at = end + 1;
			return true;
		}
		at = NULL;
		if(fgets(line, sizeof(line), f) == NULL)
			return false;
		if(strncmp(line, "| `", 3) == 0 && strncmp(line, "| `--", 5) != 0)
			at = line;
	}
}

static void the_docs_have_a_row_for_each_check_in_its_order(void **state)
{
	(void)state;
#define X(run, names) names ","
	char names[] = DOCTOR_CHECKS(X), name[64];
#undef X
	FILE *f = fopen("../../docs/doctor.md", "re");
	assert_non_null(f);
	for(char *save = NULL, *n = strtok_r(names, ",", &save); n != NULL; n = strtok_r(NULL, ",", &save)) {
		n += strspn(n, " ");
		assert_true(strlen(n) < sizeof(((struct finding *)NULL)->what));
		if(!next_in_docs(f, name, sizeof(name)))
			fail_msg("the docs have no row for '%s'", n);
		assert_string_equal(name, n);
	}
	if(next_in_docs(f, name, sizeof(name)))
		fail_msg("the docs have a row '%s' that no check is for", name);
	fclose(f);
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
					"modparam(\"usrloc\", \"db_url\", RTP)\nmodparam(\"usrloc\", \"db_mode\", 2)\n"
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
	assert_string_equal(config_get(&conf, "usrloc.db_url"), "udp:127.0.0.1:2223");
	assert_null(config_get(&conf, "usrloc.db_mode"));
	assert_true(config_defined(&conf, "SPOOL"));
	assert_false(config_defined(&conf, "SPOO"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
			T(a_running_kamailio_its_allocator_and_limits),
			T(none_running_is_no_error),
			T(what_a_user_may_not_see_of_kamailio_is_unknown),
			T(a_module_must_be_built_for_this_kamailio),
			T(a_clock_that_is_wrong),
			T(systemd_must_not_delete_the_spool),
			T(an_rtpengine_that_is_silent),
			T(a_full_list_keeps_what_is_bad_and_counts_all),
			T(the_docs_have_a_row_for_each_check_in_its_order),
			T(parameters_are_found_through_defines_and_includes),
			T(conditions_are_followed),
			T(a_configuration_that_includes_itself_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
