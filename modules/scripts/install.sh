#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make install: modules into Kamailio's module folder, the command into PREFIX/bin, the routing script into
# /etc/kamailio/signalbox (a rules.cfg that is there already is kept), database schemas into PREFIX/share/signalbox.
# DESTDIR is put in front of everything; MODULE_DIR=… is for a Kamailio that is not from a Debian package.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
root=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
etc=/etc/kamailio/signalbox
state=/var/lib/signalbox
user=kamailio

module_dir=${MODULE_DIR:-$(dirname "$(dpkg -L kamailio 2>/dev/null | grep '/modules/tm\.so$' || echo /)")}
[ "$module_dir" != / ] || {
	echo "Where are Kamailio's modules? There is no Debian package kamailio: make install MODULE_DIR=/path/to/kamailio/modules" >&2
	exit 1
}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || {
	echo "make install writes to $module_dir, $etc and $state: run it as root (sudo make install), or with DESTDIR=…" >&2
	exit 1
}

put() {
	install -D -m "$1" "$2" "$root$3"
	echo "  install    $root$3"
}

for so in "$top"/build/modules/*.so; do
	put 644 "$so" "$module_dir/${so##*/}"
done
put 755 "$top/build/bin/signalbox" "$prefix/bin/signalbox"
for cfg in "$top"/routing/*.cfg; do
	to=$etc/${cfg##*/}
	if [ "${cfg##*/}" = rules.cfg ] && [ -e "$root$to" ] && ! cmp -s "$cfg" "$root$to"; then
		put 644 "$cfg" "$to.new"
		echo "             (your $root$to is kept)"
	else
		put 644 "$cfg" "$to"
	fi
done
(cd "$top/db" && find . -type f -name '*.sql' -printf '%P\n') | while IFS= read -r sql; do
	put 644 "$top/db/$sql" "$prefix/share/signalbox/db/$sql"
done

# Folders, and the spool on tmpfs at every boot.
tmpfiles=$root/usr/lib/tmpfiles.d/signalbox.conf
mkdir -p "${tmpfiles%/*}"
{
	echo "d /run/signalbox 0750 $user $user -"
	echo "d /run/signalbox/spool 0750 $user $user -"
} >"$tmpfiles"
echo "  install    $tmpfiles"
install -d -m 750 "$root$state" "$root$state/journal" "$root$state/hooks"
if [ -z "$root" ]; then
	if getent passwd "$user" >/dev/null; then
		chown "$user:$user" "$state" "$state/journal" "$state/hooks"
	fi
	if [ -d /run/systemd/system ]; then
		systemd-tmpfiles --create "$tmpfiles"
	else
		install -d -m 750 /run/signalbox /run/signalbox/spool
		! getent passwd "$user" >/dev/null || chown "$user:$user" /run/signalbox /run/signalbox/spool
	fi
fi
