/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox doctor` says of callhook's processes, what they have not done, and of the receivers.
 */
#include "doctor_fixture.h"

static struct sink_facts a_sink(void)
{
	return (struct sink_facts){.what = "call log",
			.rpc = "callhook.call_log",
			.state_file = "/h/call_log.sqlite",
			.runs = true,
			.looked = true,
			.worker = 71,
			.worker_is = 'S',
			.keeper = 70,
			.keeper_is = 'S',
			.lag_known = true};
}

static void a_sink_and_its_keeper_must_run(void **state)
{
	(void)state;
	struct sink_facts f = a_sink();
	check_sink(&all, &f);
	assert_finding(0, LEVEL_OK, "pid 71 below its keeper 70, behind nothing", "");
	assert_string_equal(all.f[0].what, "call log");
	f.worker_is = 'T';
	check_sink(&all, &f);
	assert_finding(1, LEVEL_BAD, "pid 71 is stopped", "kill -CONT 71");
	f.worker_is = 'R';
	f.keeper_is = 'T';
	check_sink(&all, &f);
	assert_finding(2, LEVEL_BAD, "pid 70 is stopped", "kill -CONT 70");
	f.worker = f.keeper = 0;
	check_sink(&all, &f);
	assert_finding(3, LEVEL_BAD, "its process does not run", "kamcmd callhook.sinks");
	f.runs = false;
	check_sink(&all, &f);
	assert_finding(4, LEVEL_OK, "goes on with the next start", "");
}

static void a_sink_that_may_not_be_looked_at_is_unknown(void **state)
{
	(void)state;
	struct sink_facts f = a_sink();
	f.looked = false;
	f.worker = 0;
	check_sink(&all, &f);
	assert_finding(0, LEVEL_UNKNOWN, "may not be seen", "sudo signalbox doctor");
	f = a_sink();
	f.error = EACCES;
	f.lag_known = false;
	check_sink(&all, &f);
	assert_finding(1, LEVEL_UNKNOWN, "/h/call_log.sqlite: Permission denied", "sudo signalbox doctor");
	f.error = ENOENT;
	check_sink(&all, &f);
	assert_finding(2, LEVEL_WARN, "/h/call_log.sqlite: No such file", "systemctl restart kamailio");
	f.runs = false;
	check_sink(&all, &f);
	assert_finding(3, LEVEL_OK, "No such file", "");
	f = a_sink();
	f.worker = 0;
	f.error = EACCES;
	check_sink(&all, &f);
	assert_finding(4, LEVEL_BAD, "does not run", "callhook.sinks");
}

static void a_sink_must_not_be_late(void **state)
{
	(void)state;
	struct sink_facts f = a_sink();
	f.lag = 59000000;
	check_sink(&all, &f);
	assert_finding(0, LEVEL_OK, "59.0 s behind", "");
	f.lag = 61000000;
	check_sink(&all, &f);
	assert_finding(1, LEVEL_WARN, "61.0 s behind", "kamcmd callhook.call_log");
	f.lag = 3700000000;
	check_sink(&all, &f);
	assert_finding(2, LEVEL_BAD, "61 min 40 s behind", "kamcmd callhook.call_log");
	f.runs = false;
	check_sink(&all, &f);
	assert_finding(3, LEVEL_OK, "61 min 40 s behind", "");
}

static void rows_that_were_set_aside_are_to_be_looked_at(void **state)
{
	(void)state;
	struct sink_facts f = a_sink();
	f.aside = 1;
	strcpy(f.aside_error, "CHECK constraint\nfailed");
	check_sink(&all, &f);
	assert_finding(0, LEVEL_WARN, "1 row was refused by the database and set aside: CHECK constraint",
			"sqlite3 /h/call_log.sqlite \"SELECT");
	assert_null(strchr(all.f[0].found, '\n'));
	f.aside = 100000;
	check_sink(&all, &f);
	assert_finding(1, LEVEL_BAD, "100000 rows were refused", "sqlite3 /h/call_log.sqlite");
	f.aside = 2;
	f.worker = 0;
	check_sink(&all, &f);
	assert_finding(2, LEVEL_BAD, "2 rows were refused", "callhook.sinks; sqlite3");
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
	assert_finding(3, LEVEL_WARN, "3 given up and kept", "signalbox hooks dead crm");
	f.state = "disabled";
	check_endpoint(&all, &f);
	assert_finding(4, LEVEL_BAD, "3 given up", "kamcmd callhook.enable crm; see why");
	f = (struct endpoint_facts){
			.id = "crm", .state = "up", .error = "", .now = NOW, .pending = 1, .oldest_at = NOW - 1000};
	check_endpoint(&all, &f);
	assert_finding(5, LEVEL_OK, "1 event waits", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			T(a_sink_and_its_keeper_must_run),
			T(a_sink_that_may_not_be_looked_at_is_unknown),
			T(a_sink_must_not_be_late),
			T(rows_that_were_set_aside_are_to_be_looked_at),
			T(an_endpoint_that_is_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
