#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make install: modules into Kamailio's module folder, the command into PREFIX/bin, the routing script into /etc/kamailio/signalbox, the
# schema's SQL into PREFIX/share/signalbox, folders of the user kamailio, tmpfiles.d, a drop-in for kamailio.service.
# DESTDIR is put in front of everything; MODULE_DIR=… is for a Kamailio that is not from a Debian package.
#
# PREFIX/share/signalbox/installed holds what was put where, with its checksum: make uninstall takes away that, and a file of the routing
# script that no longer is as the last install put it is somebody's own, and kept.
set -euo pipefail
export LC_ALL=C
umask 022

top=$(cd "$(dirname "$0")/../.." && pwd)
root=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
etc=/etc/kamailio/signalbox
state=/var/lib/signalbox
share=$prefix/share/signalbox
user=kamailio
list=$root$share/installed
before=$(cat "$list" 2>/dev/null || true)
now=

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

module_dir=${MODULE_DIR:-$(dirname "$(dpkg -L kamailio 2>/dev/null | grep '/modules/tm\.so$' || echo /)")}
[ "$module_dir" != / ] ||
	die "Where are Kamailio's modules? There is no Debian package kamailio: make install MODULE_DIR=/path/to/kamailio/modules"
[ -n "$root" ] || [ "$(id -u)" = 0 ] ||
	die "make install writes to $module_dir, $etc and $state: run it as root (sudo make install), or with DESTDIR=…"
[ -n "$root" ] || [ "$(dpkg-query -W -f '${db:Status-Status}' signalbox 2>/dev/null || true)" != installed ] ||
	die "The package signalbox is installed, and its files would be written over: apt-get remove signalbox, or upgrade it (make deb)."

# systemd looks below /usr/lib and /usr/local/lib, and nowhere else
case $prefix in
/usr | /usr/local) lib=$prefix/lib ;;
*) lib=/usr/local/lib ;;
esac

note() {
	now+=$1$'\n'
}

# Makes a folder and those above it; what was not there before is the install's own.
folder() {
	[ -n "$1" ] && [ ! -d "$root$1" ] || return 0
	folder "${1%/*}"
	mkdir "$root$1"
	note "dir  $1"
}

sum() {
	sha256sum <"$1" | cut -d' ' -f1
}

put() { # MODE FROM TO
	local to=$3
	if [[ $to = "$etc"/* ]] && [ -e "$root$to" ] && ! cmp -s "$2" "$root$to" && ! grep -qxF "$(sum "$root$to")  $to" <<<"$before"; then
		echo "  keep       $root$to: yours; the new one is ${to##*/}.new"
		to=$to.new
	fi
	folder "${to%/*}"
	install -m "$1" "$2" "$root$to"
	note "$(sum "$2")  $to"
	echo "  install    $root$to"
}

own() { # a folder of Kamailio's user
	[ ! -d "$root$1" ] || return 0
	folder "$1"
	chmod 750 "$root$1"
	[ -n "$root" ] || ! getent passwd "$user" >/dev/null || chown "$user:$user" "$1"
}

stale() { # of the last install, and not of this one
	local was path
	while read -r was path; do
		[ -n "$path" ] || continue
		if [ "$was" = dir ]; then
			[ ! -d "$root$path" ] || note "dir  $path"
		elif ! grep -qxF "  $path" <<<"$(cut -c65- <<<"$now")" && [ -f "$root$path" ] && [ "$(sum "$root$path")" = "$was" ]; then
			rm "$root$path"
			echo "  remove     $root$path"
		fi
	done <<<"$before"
}

mkdir -p "$root/"
for so in "$top"/build/modules/*.so; do
	put 644 "$so" "$module_dir/${so##*/}"
done
put 755 "$top/build/bin/signalbox" "$prefix/bin/signalbox"
for cfg in "$top"/routing/*.cfg; do
	[ "${cfg##*/}" = settings-local.cfg ] || put 644 "$cfg" "$etc/${cfg##*/}"
done
sql=$(mktemp -d)
trap 'rm -rf "$sql"' EXIT
for dialect in sqlite mariadb; do
	"$top/build/bin/signalbox" db sql "$dialect" >"$sql/$dialect.sql"
	"$top/build/bin/signalbox" db sql "$dialect" --with-routing >"$sql/$dialect-with-routing.sql"
done
for f in "$sql"/*.sql; do
	put 644 "$f" "$share/db/${f##*/}"
done
put 644 "$top/modules/packaging/tmpfiles.conf" "$lib/tmpfiles.d/signalbox.conf"
put 644 "$top/modules/packaging/systemd/signalbox.conf" "$lib/systemd/system/kamailio.service.d/signalbox.conf"
for f in "$top"/modules/packaging/systemd/*.conf; do
	[ "${f##*/}" = signalbox.conf ] || put 644 "$f" "$share/systemd/${f##*/}"
done
for dir in "$state" "$state/journal" "$state/hooks"; do
	own "$dir"
done
if [ -z "$root" ]; then
	own /run/signalbox
	own /run/signalbox/spool
fi
stale
sort -k2 -u <<<"${now%$'\n'}" >"$list"

[ -z "$root" ] || exit 0
[ ! -d /run/systemd/system ] || systemctl --system daemon-reload
getent passwd "$user" >/dev/null ||
	echo "There is no user $user: give $state, its folders and /run/signalbox/spool to the user your Kamailio runs as." >&2
cat <<END

Next:  sudo -u $user signalbox db migrate          makes the database, or brings it up to date
       docs/add-to-my-kamailio.md                  has the lines for your kamailio.cfg
       kamailio -c && systemctl restart kamailio   then: signalbox doctor
END
