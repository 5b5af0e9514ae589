#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make uninstall: takes away what make install put there, by its list. What was changed since stays, and so do journal, call log and spool.
set -euo pipefail
export LC_ALL=C

root=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
list=$root$prefix/share/signalbox/installed

[ -f "$list" ] || {
	echo "make install was not here: there is no $list (PREFIX=… if it was installed with one)" >&2
	exit 1
}
[ -w "$list" ] || {
	echo "$list belongs to somebody else: run it as root (sudo make uninstall)" >&2
	exit 1
}
installed=$(cat "$list")

while read -r was path; do
	file=$root$path
	[ "$was" != dir ] && [ -f "$file" ] || continue
	if [ "$was" != "$(sha256sum <"$file" | cut -d' ' -f1)" ]; then
		echo "  keep       $file: it was changed"
		continue
	fi
	rm "$file"
	echo "  remove     $file"
done <<<"$installed"
rm "$list"

# the innermost first; what still holds something stays
sort -rk2 <<<"$installed" | while read -r was path; do
	dir=$root$path
	[ "$was" = dir ] && [ -d "$dir" ] || continue
	rmdir "$dir" 2>/dev/null || echo "  keep       $dir: it is not empty"
done

[ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl --system daemon-reload
if [ -z "$root" ] && grep -Eqs '^[[:space:]]*loadmodule[[:space:]].*(callstate|callhook)' /etc/kamailio/*.cfg; then
	echo "/etc/kamailio has a configuration that loads callstate or callhook: take the lines out before Kamailio is started again" >&2
fi
