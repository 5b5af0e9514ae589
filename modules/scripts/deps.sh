#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deps.sh GROUP… (build proxy run test bench): installs the Debian packages that are missing. What is installed stays as it
# is, Kamailio above all; no service is started; package lists are refreshed only when a package is not found in them.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
log=$top/build/deps.log
build="gcc make libc6-dev pkg-config libjansson-dev libcurl4-openssl-dev libcurl3-gnutls nettle-dev libssl-dev libsqlite3-dev libmariadb-dev"
proxy="kamailio kamailio-sqlite-modules kamailio-mysql-modules"
run="$proxy mariadb-server-core mariadb-client-core rtpengine-daemon sip-tester baresip-core sqlite3 procps"
test="libcmocka-dev clang libclang-rt-dev flex bison openssl kamailio-tls-modules"
bench="wrk nginx-light"
services="kamailio rtpengine-daemon nginx"

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

node_packages() {
	command -v node >/dev/null || echo nodejs
	command -v npm >/dev/null || echo npm
}

node_is_new_enough() {
	local version
	version=$(node --version 2>/dev/null) || return 0
	version=${version#v}
	[ "${version%%.*}" -ge 18 ] || die "$(command -v node) is version $version: 18 or later is needed."
}

# "name" or, for a part of an installed Kamailio, "name=version": it must not be upgraded on the side.
wanted() {
	local p version
	version=$(dpkg-query -W -f '${db:Status-Status}=${Version}' kamailio 2>/dev/null | sed -n 's/^installed=//p') || version=
	for p in "$@"; do
		installed "$p" && continue
		case $p in
		kamailio-*) echo "$p${version:+=$version}" ;;
		*) echo "$p" ;;
		esac
	done
}

known() {
	local p
	for p in "$@"; do
		apt-cache show --no-all-versions "$p" >/dev/null 2>&1 || return 1
	done
}

# Counts apt's own progress on a terminal; elsewhere stays silent.
progress() {
	[ -t 1 ] || { cat >/dev/null; return; }
	awk -F: '$1 == "dlstatus" || $1 == "pmstatus" {printf "\r  packages   %s %3d %%  ", $1 == "dlstatus" ? "fetched" : "set up ", $3; fflush()}
		END {printf "\r\033[K"}'
}

# sudo closes every descriptor above 2, so apt's progress (3) is opened behind it. Two runs beside each other on one
# machine take turns: apt does not wait for all of its own locks.
apt() {
	# shellcheck disable=SC2016
	"${sudo[@]}" bash -c 'exec 3>&1 >>"$0" 2>&1
		DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 PATH=$PATH:/usr/sbin:/sbin exec flock -w 900 /var/lib/apt apt-get "$@"' \
		"$log" -q -y -o APT::Status-Fd=3 -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" | progress
}

failed() {
	tail -n 15 "$log" >&2
	die "$1 Log: $log"
}

# RUNLEVEL=1 is what keeps init scripts from starting a service; units are masked until the next boot at most.
new_services() {
	local s
	[ -d /run/systemd/system ] || return 0
	for s in $services; do
		case " ${missing[*]} " in *" $s "*) echo "$s.service" ;; esac
	done
}

command -v apt-get >/dev/null ||
	die "This is not a Debian: there is no apt-get. Needed are: $build $run $test nodejs (18 or later) npm"

names=
for group in "$@"; do
	case $group in
	build | proxy | run | test | bench) names="$names ${!group}" ;;
	*) die "deps.sh: no group $group (build, proxy, run, test, bench)" ;;
	esac
	[ "$group" != run ] || { names="$names $(node_packages)" && node_is_new_enough; }
done
# shellcheck disable=SC2086
mapfile -t missing < <(wanted $names)
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || die "Packages are missing, and this is neither root nor is there sudo. As root:" \
		"  apt-get install --no-install-recommends ${missing[*]}"
	sudo=(sudo)
fi

mkdir -p "$top/build"
: >"$log"
start=$SECONDS
echo "  packages   installing ${#missing[@]}: ${missing[*]}"
if ! known "${missing[@]%%=*}"; then
	apt update || failed "apt-get update failed."
fi
mapfile -t units < <(new_services)
[ ${#units[@]} = 0 ] || "${sudo[@]}" systemctl mask --quiet --runtime "${units[@]}" >>"$log" 2>&1
status=0
apt install --no-install-recommends "${missing[@]}" || {
	# The lists may be older than the mirror.
	apt update && apt install --no-install-recommends "${missing[@]}" || status=$?
}
if [ ${#units[@]} != 0 ]; then
	"${sudo[@]}" systemctl unmask --quiet --runtime "${units[@]}" >>"$log" 2>&1 || true
	"${sudo[@]}" systemctl disable --quiet --now "${units[@]}" >>"$log" 2>&1 || true
fi
[ "$status" = 0 ] || failed "apt-get could not install: ${missing[*]}."
echo "  packages   installed in $((SECONDS - start)) s"
