#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `make test` and `make chaos` run:
#
#   run-all.sh          build, unit tests, FUZZ_SECONDS (3) of each fuzzer, integration tests, the modules in a Kamailio 6.0
#   run-all.sh chaos    build, KILLS (100) kills under load, long outages, 10^7 records from killed writers, DRAIN (10^6) events behind, FUZZ_SECONDS (60)
#                       of each fuzzer; its figures once more at the end
#
# Each part appends "pass NAME", "fail NAME" or "skip NAME: why" to one file; the last line printed is their sum; what was
# skipped is listed above it and counts as neither. A part that fails does not stop the next.
set -u

what=${1:-test}
cd "$(dirname "$0")/.." || exit 2
top=$PWD
out=$top/build/$what
mkdir -p "$out"
rm -f "$out/sum"
results=$out/results.$$.txt
figures=$out/figures.$$.txt
spool=/dev/shm/signalbox-$UID-chaos-$$
: >"$results"
: >"$figures"
trap 'rm -rf "$results" "$figures" "$spool" "$out/journal.$$"' EXIT

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

# integration TEXT [VARIABLE=value…]: the tests with TEXT in their names.
integration() {
	local text=$1
	shift
	env "$@" node tests/run.mjs --only "$text" --results "$results" | tee -a "$figures"
	return "${PIPESTATUS[0]}"
}

killed_writers() {
	mkdir -p "$spool" "$out/journal.$$"
	build/experiments/spool_writers "${RECORDS:-10000000}" "$spool" "$out/journal.$$" "${SEED:-$$}" 2>&1 | sed 's/^/  /' | tee -a "$figures"
	if [ "${PIPESTATUS[0]}" = 0 ]; then
		echo "pass killed writers lose nothing" >>"$results"
	else
		echo "fail killed writers lose nothing" >>"$results"
	fi
}

million_behind() {
	DRAIN=${DRAIN:-1000000} build/unit/test_callhook_deliver_backlog 2>&1 | sed 's/^/  /' | tee -a "$figures"
	if [ "${PIPESTATUS[0]}" = 0 ]; then
		echo "pass a million events behind" >>"$results"
	else
		echo "fail a million events behind" >>"$results"
	fi
}

fuzzers() {
	tests/fuzz/run.sh "$top/build/fuzz/bin" "$results" | tee -a "$figures"
	return "${PIPESTATUS[0]}"
}

case $what in
test)
	build all node unit
	build VARIANT=fuzz fuzz
	part "unit tests" tests/unit/run.sh "$top/build/unit" "$results"
	export FUZZ_SECONDS=${FUZZ_SECONDS:-3}
	part "fuzzers" fuzzers
	part "integration tests" node tests/run.mjs --results "$results"
	part "another Kamailio" compat
	;;
chaos)
	build all node bench unit
	build VARIANT=fuzz fuzz
	part "killed under load" integration sigkill KILLS="${KILLS:-100}"
	part "sinks' processes killed under load" integration sinks_killed KILLS="${KILLS:-100}"
	part "webhook receiver down, disk frozen meanwhile" integration outage_receiver_down OUTAGE_S="${OUTAGE_S:-60}"
	part "journal's disk frozen, full" integration outage_journal_disk_f OUTAGE_S="${OUTAGE_S:-30}"
	part "journal's disk broken" integration outage_journal_disk_b OUTAGE_S="${OUTAGE_S:-10}"
	part "journal's process stopped" integration outage_journal_process OUTAGE_S="${OUTAGE_S:-10}"
	part "spool full, its process stopped" integration outage_spool
	part "call log's database away" integration call_log_catches OUTAGE_S="${OUTAGE_S:-30}"
	part "killed writers" killed_writers
	part "a million events behind" million_behind
	export FUZZ_SECONDS=${FUZZ_SECONDS:-60}
	part "fuzzers" fuzzers
	;;
*)
	echo "run-all.sh: no tests are called $what: test, chaos" >&2
	exit 2
	;;
esac

cp "$results" "$out/results.txt"
passed=$(grep -c '^pass ' "$results")
failed=$(grep -c '^fail ' "$results")
skipped=$(grep -c '^skip ' "$results")
if [ "$what" = chaos ]; then
	# a failure's text is above, where it happened
	printf '\nFigures:\n'
	grep -vE '^ {7}|^ *$' "$figures" | tee "$out/figures.txt"
fi
[ "$failed" = 0 ] || printf '\nFailed:\n%s\n' "$(sed -n 's/^fail /  /p' "$results")"
[ "$skipped" = 0 ] || printf '\nSkipped, %s:\n%s\n' "$skipped" "$(sed -n 's/^skip /  /p' "$results")"
echo
echo "$passed passed, $failed failed" | tee "$out/sum"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
