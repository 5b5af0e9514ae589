#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# smoke.sh DIR MODULE… : loads the modules that were just built in Kamailio. The core
# compares version and compile flags of each, and refuses a module on a difference.
#
# KSR_SRC: a source tree, whose own kamailio and modules are used if they are built.
set -euo pipefail

dir=$(cd "$1" && pwd)
shift
bin=${KSR_BIN:-}
system=
if [ -n "${KSR_SRC:-}" ]; then
	src=$KSR_SRC
	[ ! -d "$src/src" ] || src=$src/src
	[ -n "$bin" ] || bin=$src/kamailio
	[ -x "$bin" ] || {
		echo "  load       not tried: no $bin (KSR_BIN=/path/to/kamailio says where it is)"
		exit 0
	}
	[ ! -f "$src/modules/tm/tm.so" ] || system=$src/modules
fi
[ -n "$bin" ] || bin=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v kamailio) || {
	echo "  load       not tried: there is no kamailio here"
	exit 0
}
[ -n "$system" ] || system=${MODULE_DIR:-$(dirname "$(dpkg -L kamailio 2>/dev/null | grep '/modules/tm\.so$' || echo /)")}

version=$("$bin" -v | sed -n '1s/^version: \(\S* \S*\).*/\1/p')
stamp=$dir/.loaded
now=$(cd "$dir" && sha256sum "${@/%/.so}" && "$bin" -v)
[ "$now" != "$(cat "$stamp" 2>/dev/null)" ] || exit 0

cfg=$dir/.smoke.cfg
{
	echo '#!KAMAILIO'
	echo "mpath=\"$dir:$system\""
	printf 'loadmodule "%s.so"\n' tm rr sl pv
	for m in callstate "$@"; do
		[ ! -f "$dir/$m.so" ] || echo "loadmodule \"$m.so\""
	done | awk '!seen[$0]++'
	echo 'request_route { exit; }'
} >"$cfg"

if ! "$bin" -c -x fm -X fm -Y "$dir" -f "$cfg" >"$dir/.smoke.log" 2>&1; then
	echo "The modules were built, but $version refuses to load them:" >&2
	grep -E 'ERROR|CRITICAL' "$dir/.smoke.log" | sed 's/^ *[0-9]*([0-9]*) //' | tail -n 8 >&2 || tail -n 8 "$dir/.smoke.log" >&2
	! grep -qE 'module version|compile flags' "$dir/.smoke.log" ||
		echo "They were built from other sources than this kamailio: make distclean and make, or KSR_SRC=… KSR_BIN=… that belong together." >&2
	! grep -q 'undefined symbol' "$dir/.smoke.log" || echo "A function is used there that no source file defines." >&2
	echo "Log: $dir/.smoke.log" >&2
	exit 1
fi
echo "$now" >"$stamp"
echo "  load       $version loads $*"
