#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh DIR [RESULTS]: runs each fuzzer in DIR for FUZZ_SECONDS (60), from tests/fuzz/corpus/NAME and what earlier runs
# found. An input that breaks one is kept in build/fuzz/found/. Appends "pass NAME" or "fail NAME" to RESULTS.
set -u

dir=$1
results=${2:-}
failed=0
seconds=${FUZZ_SECONDS:-60}

cd "$(dirname "$0")" || exit 2
work=$(cd ../.. && pwd)/build/fuzz
mkdir -p "$work/found" "$work/log"
for source in fuzz_*.c; do
	[ -f "$source" ] || continue
	name=${source%.c}
	case ,${ONLY:-$name}, in *,"$name",* | *,"${name#fuzz_}",*) ;; *) continue ;; esac
	mkdir -p "$work/corpus/$name"
	corpus=("$work/corpus/$name")
	[ ! -d "corpus/${name#fuzz_}" ] || corpus+=("corpus/${name#fuzz_}")
	log=$work/log/$name
	if [ ! -x "$dir/$name" ]; then
		printf '  FAIL %-28s was not built\n' "$name"
		[ -z "$results" ] || echo "fail fuzz $name: was not built" >>"$results"
		failed=1
	elif "$dir/$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
		-artifact_prefix="$work/found/$name-" "${corpus[@]}" >"$log" 2>&1; then
		printf '  ok   %-28s %s inputs in %s s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
		[ -z "$results" ] || echo "pass fuzz $name" >>"$results"
	else
		printf '  FAIL %-28s\n' "$name"
		grep -E 'ERROR|SUMMARY|runtime error|Test unit written|Assertion' "$log" | head -n 8 | sed 's/^/       /'
		echo "       Log: $log"
		[ -z "$results" ] || echo "fail fuzz $name" >>"$results"
		failed=1
	fi
done
exit $failed
