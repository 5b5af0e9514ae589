/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * What `signalbox doctor` says of folders, files, room, and of the log on its way to the disk.
 */
#include "doctor_fixture.h"

static struct who user;

static struct folder_facts a_folder(void)
{
	user = (struct who){.known = true, .uid = 105, .group = {110, 120}, .groups = 2, .name = "kamailio"};
	return (struct folder_facts){.name = "journal dir",
			.path = "/v/j",
			.is_dir = true,
			.uid = 105,
			.gid = 110,
			.mode = 0750,
			.owner = "kamailio",
			.blocked = "",
			.who = &user};
}

static void a_folder_must_be_there_and_be_a_folder(void **state)
{
	(void)state;
	struct folder_facts f = a_folder();
	check_folder(&all, &f);
	assert_finding(0, LEVEL_OK, "/v/j: of kamailio, mode 750", "");
	f.error = ENOENT;
	check_folder(&all, &f);
	assert_finding(1, LEVEL_BAD, "No such file", "install -d -m 750 -o kamailio -g kamailio /v/j");
	f.error = EIO;
	check_folder(&all, &f);
	assert_finding(2, LEVEL_BAD, "Input/output error", "findmnt -T /v/j");
	f = a_folder();
	f.is_dir = false;
	check_folder(&all, &f);
	assert_finding(3, LEVEL_BAD, "not a directory", "move away what is in its place, then: install -d");
	f = a_folder();
	f.read_only = true;
	check_folder(&all, &f);
	assert_finding(4, LEVEL_BAD, "read-only", "mount -o remount,rw");
}

static void a_folder_that_may_not_be_looked_at_is_unknown(void **state)
{
	(void)state;
	struct folder_facts f = a_folder();
	f.error = EACCES;
	check_folder(&all, &f);
	assert_finding(0, LEVEL_UNKNOWN, "may not be looked at", "sudo signalbox doctor");
	f = a_folder();
	user.known = false;
	check_folder(&all, &f);
	assert_finding(1, LEVEL_UNKNOWN, "which user Kamailio is, is not known", "start Kamailio");
	f.mode = 0757;
	check_folder(&all, &f);
	assert_finding(2, LEVEL_BAD, "anybody may write", "chmod 750 /v/j");
}

static void writable_is_what_owner_group_and_mode_say(void **state)
{
	static const struct
	{
		uid_t uid;
		gid_t gid;
		mode_t mode;
		enum level level;
		const char *found, *fix;
	} row[] = {
			{105, 0, 0500, LEVEL_BAD, "kamailio may not write to it (mode 500)", "chmod 750 /v/j"},
			{105, 0, 0600, LEVEL_BAD, "kamailio may not write to it (mode 600)", "chmod 750 /v/j"},
			{105, 110, 0070, LEVEL_BAD, "kamailio may not write to it (mode 070)", "chmod 750 /v/j"},
			{105, 0, 0700, LEVEL_OK, "mode 700", ""},
			{0, 110, 0770, LEVEL_OK, "mode 770", ""},
			{0, 120, 02770, LEVEL_OK, "mode 770", ""},
			{0, 120, 0750, LEVEL_BAD, "belongs to owner (mode 750), Kamailio is kamailio", "chown -R kamailio: /v/j"},
			{0, 130, 0770, LEVEL_BAD, "belongs to owner (mode 770), Kamailio is kamailio", "chown -R kamailio: /v/j"},
			{105, 110, 0757, LEVEL_BAD, "anybody may write", "chmod 750 /v/j"},
			{105, 110, 0755, LEVEL_WARN, "anybody may read", "chmod 750 /v/j"},
	};
	(void)state;
	for(size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct folder_facts f = a_folder();
		f.uid = row[i].uid;
		f.gid = row[i].gid;
		f.mode = row[i].mode;
		f.owner = "owner";
		check_folder(&all, &f);
		assert_finding(i, row[i].level, row[i].found, row[i].fix);
	}
	struct folder_facts f = a_folder();
	f.uid = 7;
	f.mode = 0700;
	user.uid = 0;
	check_folder(&all, &f);
	assert_finding(all.n - 1, LEVEL_OK, "mode 700", "");
	f = a_folder();
	f.blocked = "/v";
	check_folder(&all, &f);
	assert_finding(all.n - 1, LEVEL_BAD, "kamailio may not enter /v above it", "chmod o+x /v");
}

static void the_user_of_a_process_and_its_groups(void **state)
{
	struct who w = {0};
	(void)state;
	assert_true(who_of_status(
			&w, "Name:\tkamailio\nUid:\t0\t105\t0\t0\nGid:\t0\t110\t0\t0\nFDSize:\t64\nGroups:\t5 120 \nNStgid:\t9\n"));
	assert_true(w.known);
	assert_int_equal(w.uid, 105);
	assert_int_equal(w.groups, 3);
	assert_int_equal(w.group[0], 110);
	assert_int_equal(w.group[1], 5);
	assert_int_equal(w.group[2], 120);
	assert_true(who_of_status(&w, "x\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t \nNStgid:\t9\n"));
	assert_int_equal(w.groups, 1);
	assert_int_equal(w.group[0], 8);
	w = (struct who){0};
	assert_false(who_of_status(&w, "Name:\tkamailio\n"));
	assert_false(w.known);
}

static void secrets_are_for_their_owner_and_state_for_kamailio_to_write(void **state)
{
	(void)state;
	a_folder();
	struct file_facts f = {.path = "/v/hooks/state.sqlite",
			.uid = 105,
			.gid = 110,
			.mode = 0600,
			.owner = "kamailio",
			.who = &user,
			.no = 077,
			.written = true};
	assert_true(check_file(&all, &f));
	assert_int_equal(all.n, 0);
	f.mode = 0640;
	assert_false(check_file(&all, &f));
	assert_finding(0, LEVEL_BAD, "others may read or write it (mode 640)", "chmod 600 /v/hooks/state.sqlite");
	f.no = 007;
	assert_true(check_file(&all, &f));
	f.mode = 0644;
	assert_false(check_file(&all, &f));
	assert_finding(1, LEVEL_BAD, "(mode 644)", "chmod o= /v/hooks/state.sqlite");
	f.no = 022;
	assert_true(check_file(&all, &f));
	f.mode = 0664;
	assert_false(check_file(&all, &f));
	assert_finding(2, LEVEL_BAD, "others may write it (mode 664)", "chmod go-w /v/hooks/state.sqlite");
	f.mode = 0600;
	f.uid = 0;
	f.owner = "root";
	assert_false(check_file(&all, &f));
	assert_finding(
			3, LEVEL_BAD, "belongs to root (mode 600), Kamailio is kamailio", "chown kamailio: /v/hooks/state.sqlite");
	f.written = false;
	assert_true(check_file(&all, &f));
	f.written = true;
	user.known = false;
	assert_true(check_file(&all, &f));
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
	f.error = EIO;
	check_spool(&all, &f);
	assert_finding(4, LEVEL_BAD, "/s: Input/output error", "findmnt -T /s");
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
	f.error = EIO;
	check_journal(&all, &f);
	assert_finding(4, LEVEL_BAD, "/j: Input/output error", "findmnt -T /j");
}

static void a_folder_that_is_not_there_is_said_once(void **state)
{
	static const int error[] = {ENOENT, ENOTDIR, EACCES};
	(void)state;
	for(size_t i = 0; i < 3; i++) {
		struct room_facts f = {.path = "/s", .error = error[i]};
		check_spool(&all, &f);
		check_journal(&all, &f);
		check_inodes(&all, &f);
	}
	struct damage_facts d = {.path = "/j", .error = ENOENT};
	check_damage(&all, &d);
	assert_int_equal(all.n, 0);
}

static void the_journal_wants_inodes_for_its_segments(void **state)
{
	(void)state;
	struct room_facts f = {
			.path = "/j", .used = MIB, .limit = 801 * MIB, .segment = 8 * MIB, .inodes = 5000, .inodes_free = 200};
	check_inodes(&all, &f);
	assert_finding(0, LEVEL_OK, "200 of 5000 free", "");
	f.inodes_free = 199;
	check_inodes(&all, &f);
	assert_finding(1, LEVEL_WARN, "needs 100 more files", "df -i /j");
	f.inodes_free = 99;
	check_inodes(&all, &f);
	assert_finding(2, LEVEL_BAD, "no new segment soon", "df -i /j");
	f.inodes = f.inodes_free = 0;
	check_inodes(&all, &f);
	assert_finding(3, LEVEL_OK, "does not count them", "");
}

static void the_mover_must_keep_up(void **state)
{
	(void)state;
	struct mover_facts f = {.journal = "/j", .runs = true, .looked = true, .limit = 256 * MIB};
	check_mover(&all, &f);
	assert_finding(0, LEVEL_OK, "the journal has all", "");
	f.waiting = 3 * MIB;
	f.segments = 1;
	f.oldest = 150000;
	check_mover(&all, &f);
	assert_finding(1, LEVEL_OK,
			"3072 kiB in 1 segment of the spool is not in the journal yet, the oldest of it for 150 ms", "");
	f.oldest = 2100000;
	check_mover(&all, &f);
	assert_finding(2, LEVEL_WARN, "2.10 s", "kamcmd callstate.journal");
	f.oldest = 45000000;
	check_mover(&all, &f);
	assert_finding(3, LEVEL_BAD, "45.0 s", "df /j");
	f.oldest = 150000;
	f.waiting = 33 * MIB;
	f.segments = 5;
	check_mover(&all, &f);
	assert_finding(4, LEVEL_WARN, "33 MiB in 5 segments of the spool are not", "iostat");
	f.waiting = 129 * MIB;
	check_mover(&all, &f);
	assert_finding(5, LEVEL_BAD, "129 MiB", "iostat");
	f.runs = false;
	check_mover(&all, &f);
	assert_finding(6, LEVEL_OK, "the next start takes it there", "");
	f.looked = false;
	check_mover(&all, &f);
	assert_finding(7, LEVEL_UNKNOWN, "may not be read", "sudo");
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
	f.error = EACCES;
	check_damage(&all, &f);
	assert_finding(3, LEVEL_UNKNOWN, "/j: Permission denied", "sudo signalbox doctor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
			T(a_folder_must_be_there_and_be_a_folder),
			T(a_folder_that_may_not_be_looked_at_is_unknown),
			T(writable_is_what_owner_group_and_mode_say),
			T(the_user_of_a_process_and_its_groups),
			T(secrets_are_for_their_owner_and_state_for_kamailio_to_write),
			T(the_spool_wants_tmpfs_with_room_for_its_limit),
			T(the_journal_wants_room_for_its_limit),
			T(a_folder_that_is_not_there_is_said_once),
			T(the_journal_wants_inodes_for_its_segments),
			T(the_mover_must_keep_up),
			T(damage_and_files_put_aside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
