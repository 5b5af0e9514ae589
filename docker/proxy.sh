#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Starts the proxy in a container: settings from the environment, the database brought up to date, then Kamailio in the foreground.
#
#   LISTEN             udp:192.0.2.10:5060      the address phones and trunks reach; a second one behind a space
#   LOCAL_DOMAIN       sip.example.com
#   TRUNK_ADDRESSES    198.51.100.7,203.0.113.0/24
#   RTPENGINE_SOCK     udp:127.0.0.1:2223; "none": no media proxy
#   DB_URL             mysql://user:password@host/database; not set: from DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD_FILE;
#                      neither: SQLite in /var/lib/signalbox
#   DB_WAIT            seconds to wait for the database at start (60)
#   SHM_MB, PKG_MB     Kamailio's memory (256, 16)
#   CHILDREN, LOG_LEVEL, MAX_DURATION, CALLS_MAX, …: any other setting of routing/settings.cfg as SIGNALBOX_<NAME>
set -euo pipefail

etc=/etc/kamailio/signalbox
state=/var/lib/signalbox
user=kamailio

die() {
	echo "signalbox-proxy: $*" >&2
	exit 1
}

# What goes into the configuration must not leave its quotes or its line.
checked() {
	case $2 in
	*[\"$'\n'$'\r'\\]*) die "$1: a quote, a backslash or a line's end in its value" ;;
	esac
}

define() { # NAME value: a number, or text
	checked "$1" "$2"
	case $2 in
	*[!0-9]* | '') echo "#!define $1 \"$2\"" ;;
	*) echo "#!define $1 $2" ;;
	esac
}

define_listen() {
	local n=0 l
	for l in $LISTEN; do
		case $l in
		udp:*:* | tcp:*:* | tls:*:*) checked LISTEN "$l" ;;
		*) die "LISTEN is \"$l\"; expected udp:ADDRESS:PORT or tcp:ADDRESS:PORT" ;;
		esac
		n=$((n + 1))
		[ $n -le 2 ] || die "LISTEN has more than two addresses"
		if [ $n = 1 ]; then echo "#!define LISTEN $l"; else echo "#!define LISTEN_$n $l"; fi
	done
}

database_url() {
	local password=
	if [ -n "${DB_URL:-}" ]; then
		echo "$DB_URL"
	elif [ -n "${DB_HOST:-}" ]; then
		[ -z "${DB_PASSWORD_FILE:-}" ] || password=$(cat "$DB_PASSWORD_FILE") || die "DB_PASSWORD_FILE $DB_PASSWORD_FILE cannot be read"
		case $password in *[!A-Za-z0-9._~-]*) die "the password in DB_PASSWORD_FILE may hold only A-Z a-z 0-9 . _ ~ -" ;; esac
		echo "mysql://${DB_USER:-signalbox}:$password@$DB_HOST:${DB_PORT:-3306}/${DB_NAME:-signalbox}"
	else
		echo "sqlite:///$state/signalbox.db"
	fi
}

settings() {
	[ -z "${LISTEN:-}" ] || define_listen
	[ -z "${LOCAL_DOMAIN:-}" ] || define LOCAL_DOMAIN "$LOCAL_DOMAIN"
	[ -z "${TRUNK_ADDRESSES:-}" ] || define TRUNK_ADDRESSES "$TRUNK_ADDRESSES"
	case ${RTPENGINE_SOCK:-} in
	none) echo '#!define WITHOUT_RTPENGINE' ;;
	?*) define RTPENGINE_SOCK "$RTPENGINE_SOCK" ;;
	esac
	define DB_URL "$url"
	case $url in
	mysql://*)
		define DB_MODULE db_mysql.so
		define REGISTER_DB_URL "sqlite:///$state/registrations.db"
		;;
	esac
	env | sed -n 's/^SIGNALBOX_\([A-Z_0-9]*\)=.*/\1/p' | while IFS= read -r name; do
		[ "$name" != DB ] && [ "$name" != DIR ] || continue
		value=SIGNALBOX_$name
		define "$name" "${!value}"
	done
}

# The database may still be starting. Its password is not on a command line.
migrate() { # URL
	local until=$((SECONDS + ${DB_WAIT:-60})) said=
	until said=$(SIGNALBOX_DB=$1 as_user signalbox db migrate --with-routing 2>&1); do
		[ $SECONDS -lt "$until" ] || die "the database is not ready after ${DB_WAIT:-60} s: $said"
		sleep 1
	done
	[ -z "$said" ] || echo "$said"
}

as_user() {
	if [ "$(id -u)" = 0 ]; then setpriv --reuid "$user" --regid "$user" --init-groups "$@"; else "$@"; fi
}

[ "$(id -u)" = 0 ] || die "start the container as root: Kamailio itself runs as $user"
umask 027
mkdir -p /run/signalbox/spool "$state/journal" "$state/hooks"
chown "$user:$user" /run/signalbox /run/signalbox/spool "$state" "$state/journal" "$state/hooks"
chmod 750 /run/signalbox /run/signalbox/spool "$state" "$state/journal" "$state/hooks"
[ "$(stat -f -c %T /run/signalbox/spool)" = tmpfs ] ||
	echo 'signalbox-proxy: /run/signalbox is not on tmpfs: SIP workers may wait for a disk. Mount the host'"'"'s /run/signalbox there' >&2

url=$(database_url)
settings >"$etc/settings-local.cfg.new"
chgrp "$user" "$etc/settings-local.cfg.new"
mv "$etc/settings-local.cfg.new" "$etc/settings-local.cfg"
migrate "$url"
case $url in mysql://*) migrate "sqlite:///$state/registrations.db" ;; esac
exec kamailio -DD -E -x fm -X fm -m "${SHM_MB:-256}" -M "${PKG_MB:-16}" -u "$user" -g "$user" -Y /run/signalbox \
	-f "$etc/signalbox.cfg" "$@"
