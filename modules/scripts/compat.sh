#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make compat: builds a minimal Kamailio of Debian 13 in build/compat/, builds the modules against it, and loads them in it.
# Exit status 77: its source cannot be had here.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$top/build/compat
log=$dir/build.log
suite=trixie
modules="tm rr sl pv"
jobs=${JOBS:-$(nproc)}

# The generated parser first, alone: its headers have no dependencies in Kamailio's makefiles.
minimal_core() {
	local m
	make -C "$src" cfg-defs LIBSSL_SET_MUTEX_SHARED=1 &&
		make -C "$src" core/cfg.tab.c core/lex.yy.c &&
		make -C "$src" -j"$jobs" kamailio || return 1
	for m in $modules; do
		make -C "$src/modules/$m" -j"$jobs" || return 1
	done
	[ -x "$src/kamailio" ]
}

exec 9>"$top/build/.lock"
flock 9
"$top/modules/scripts/ksr-source.sh" suite "$suite" || exit 77
source=$top/build/headers/$suite
version=$(cat "$source/version")
src=$dir/kamailio/src
start=$SECONDS

if [ "$(cat "$dir/built" 2>/dev/null)" != "$version" ]; then
	echo "  compat     building a minimal Kamailio $version (log: $log)"
	rm -rf "$dir" && mkdir -p "$dir"
	cp -r "$source/." "$dir/kamailio"
	minimal_core >"$log" 2>&1 </dev/null || {
		tail -n 15 "$log" >&2
		echo "Kamailio $version did not build. Log: $log" >&2
		exit 1
	}
	echo "$version" >"$dir/built"
	echo "  compat     Kamailio $version built in $((SECONDS - start)) s"
fi
flock -u 9
KSR_SRC=$src KSR_BIN=$src/kamailio flock "$top/build/.lock" make -C "$top" -f modules/build.mk --no-print-directory -s -k \
	-j"$jobs" B="$dir" modules smoke
