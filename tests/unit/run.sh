#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh DIR [RESULTS]: runs the cmocka programs in DIR; ONLY=name,… some of them. One line a program, the
# whole output of one that fails. Appends "pass NAME", "fail NAME" or "skip NAME: why" for each test to RESULTS.
set -u

dir=$1
results=${2:-}
failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

record() {
	[ -z "$results" ] || echo "$1" >>"$results"
}

cd "$(dirname "$0")" || exit 2
for source in test_*.c; do
	[ -f "$source" ] || continue
	name=${source%.c}
	case ,${ONLY:-$name}, in *,"$name",* | *,"${name#test_}",*) ;; *) continue ;; esac
	if [ ! -x "$dir/$name" ]; then
		printf '  FAIL %-28s was not built\n' "$name"
		record "fail unit $name: was not built"
		failed=1
		continue
	fi
	CMOCKA_MESSAGE_OUTPUT=TAP timeout --kill-after=5 "${UNIT_SECONDS:-120}" "$dir/$name" >"$out" 2>&1
	status=$?
	passed=$(grep -c '^ok ' "$out")
	skipped=$(grep -c '^not ok [0-9]* # SKIP ' "$out")
	bad=$(($(grep -c '^not ok ' "$out") - skipped))
	planned=$(sed -n 's/^1\.\.//p' "$out" | awk '{n += $1} END {print n + 0}')
	while IFS= read -r line; do
		case $line in
		"ok "*) record "pass unit $name: ${line#* - }" ;;
		*"# SKIP "*) record "skip unit $name: ${line#*# SKIP }: needs root (or mounts are not allowed here)" ;;
		*) record "fail unit $name: ${line#* - }" ;;
		esac
	done < <(grep -E '^(not )?ok ' "$out")
	why=
	[ "$status" = 0 ] || why="exit status $status"
	[ "$status" != 124 ] || why="stopped after ${UNIT_SECONDS:-120} s"
	[ "$status" -le 128 ] || why="killed by signal $((status - 128))"
	[ "$planned" = $((passed + bad + skipped)) ] && [ "$planned" != 0 ] || why="ran $((passed + bad + skipped)) of $planned tests${why:+, $why}"
	if [ -n "$why" ]; then
		printf '  FAIL %-28s %s passed, %s failed: %s\n' "$name" "$passed" "$bad" "$why"
		sed 's/^/       /' "$out"
		[ "$bad" != 0 ] || record "fail unit $name: $why"
		failed=1
	else
		skips=
		[ "$skipped" = 0 ] || skips=", $skipped skipped"
		printf '  ok   %-28s %s\n' "$name" "$passed$skips"
	fi
done
exit $failed
