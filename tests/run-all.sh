#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `make test` runs: build, unit tests, FUZZ_SECONDS (3) of each fuzzer, integration tests, the modules in a
# Kamailio 6.0 (make compat). Each part appends "pass NAME", "fail NAME" or "skip NAME: why" to one file; the last line
# printed is their sum; what was skipped is listed above it and counts as neither. A part that fails does not stop the next.
set -u

cd "$(dirname "$0")/.." || exit 2
top=$PWD
mkdir -p build/test
rm -f build/test/sum
results=$top/build/test/results.$$.txt
: >"$results"
trap 'rm -f "$results"' EXIT

build() {
	flock build/.lock make -f modules/build.mk --no-print-directory ${V:+V=$V} "$([ "${V:-0}" != 0 ] && echo -k || echo -sk)" \
		-j"${JOBS:-$(nproc)}" "$@" || echo "fail build: $*" >>"$results"
}

# part NAME COMMAND…: a failure that the part did not record itself is one failure.
part() {
	local name=$1 before status
	shift
	before=$(grep -c '^fail ' "$results")
	echo "$name"
	"$@"
	status=$?
	[ "$status" = 0 ] || [ "$(grep -c '^fail ' "$results")" -gt "$before" ] ||
		echo "fail $name: ended with exit status $status" >>"$results"
}

# compat: exit status 77 says that its source cannot be had here (no network, another mirror).
compat() {
	modules/scripts/compat.sh
	case $? in
	0) echo "pass modules load in Kamailio 6.0" >>"$results" ;;
	77) echo "skip modules load in Kamailio 6.0: its source cannot be had here" >>"$results" ;;
	*) echo "fail modules load in Kamailio 6.0" >>"$results" ;;
	esac
}

build all node unit
build VARIANT=fuzz fuzz

part "unit tests" tests/unit/run.sh "$top/build/unit" "$results"
export FUZZ_SECONDS=${FUZZ_SECONDS:-3}
part "fuzzers" tests/fuzz/run.sh "$top/build/fuzz/bin" "$results"
[ ! -f tests/run.mjs ] || part "integration tests" node tests/run.mjs --results "$results"
part "another Kamailio" compat

cp "$results" build/test/results.txt
passed=$(grep -c '^pass ' "$results")
failed=$(grep -c '^fail ' "$results")
[ "$failed" = 0 ] || printf '\nFailed:\n%s\n' "$(sed -n 's/^fail /  /p' "$results")"
skipped=$(grep -c '^skip ' "$results")
[ "$skipped" = 0 ] || printf '\nSkipped, %s:\n%s\n' "$skipped" "$(sed -n 's/^skip /  /p' "$results")"
echo
echo "$passed passed, $failed failed" | tee build/test/sum
[ "$failed" = 0 ] && [ "$passed" != 0 ]
