#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Kamailio's source, as Debian offers it: a module needs its headers, and Debian
# has no -dev package for them.
#
#   ksr-source.sh installed        of the version that is installed
#   ksr-source.sh suite trixie     of another Debian release, for make compat
#   ksr-source.sh --have installed exit status 0 if it is there already
#   ksr-source.sh --check DIR      is DIR/Makefile.modules of a version we build against?
#
# It is fetched with apt from the machine's own mirror, checked by apt with the
# machine's own keys, and lands in build/headers/kamailio-VERSION; "current" and
# SUITE are links to it. The package lists are private: nothing in /etc or /var
# changes, and no root is needed.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$top/build/headers
log=$dir/fetch.log

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

installed_version() {
	dpkg-query -W -f '${db:Status-Status} ${source:Version}\n' kamailio 2>/dev/null | sed -n 's/^installed //p' || true
}

need_installed() {
	version=$(installed_version)
	[ -n "$version" ] && return
	bin=$(command -v kamailio || true)
	[ -z "$bin" ] || die "$bin is not from a Debian package, so its source cannot be looked up." \
		"Say where it is: make KSR_SRC=/path/to/kamailio KSR_BIN=$bin"
	die "Kamailio is not installed: make deps installs Debian's, or make KSR_SRC=/path builds against a source tree."
}

# Prints the version that src/ of a source tree says it has.
tree_version() {
	awk -F'[ \t]*=[ \t]*' '/^(VERSION|PATCHLEVEL|SUBLEVEL)[ \t]*=/ {sub(/[ \t]*$/, "", $2); v = v s $2; s = "."}
		END {print v}' "$1/Makefile.defs" 2>/dev/null
}

check_version() {
	case $1 in
	5.6.* | 5.7.* | 5.8.* | 6.*) ;;
	*) die "Kamailio $1 is too old or unknown ($2). Signalbox builds against 5.6 (Debian 12) to 6.x." ;;
	esac
}

# The machine's own sources, as deb-src, in the format that each file has.
private_sources() {
	rm -rf "$1" && mkdir -p "$1"
	local f
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$f" ] && sed -nE 's/^[[:space:]]*deb[[:space:]]+/deb-src /p' "$f" >>"$1/machine.list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -f "$f" ] && awk -v RS= '
			!/(^|\n)Types:[^\n]*deb([ \t\n]|$)/ || /(^|\n)Enabled:[ \t]*(no|false)/ {next}
			{gsub(/(^|\n)Types:[^\n]*/, "\nTypes: deb-src"); sub(/^\n/, ""); print $0 "\n"}' "$f" >>"$1/machine.sources"
	done
	find "$1" -empty -type f -delete
}

# Keeps what names one of the addresses (of the mirrors that have kamailio).
keep_addresses() {
	local f
	[ -n "$2" ] || return 0
	for f in "$1"/machine.*; do
		[ -f "$f" ] || continue
		case $f in
		*.list) grep -F -- "$2" "$f" >"$f.new" || true ;;
		*) awk -v RS= -v addresses="$2" '
			BEGIN {n = split(addresses, a, "\n")}
			{for (i = 1; i <= n; i++) if (index($0, a[i])) {print $0 "\n"; next}}' "$f" >"$f.new" ;;
		esac
		mv "$f.new" "$f"
	done
}

apt_private() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/apt/sources" \
		-o Dir::State="$dir/apt/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$dir/apt/cache" \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}

# The source versions that the private lists offer, newest first.
offered() {
	apt_private apt-cache showsrc --only-source kamailio 2>/dev/null | sed -n 's/^Version: //p' | sort -Vru || true
}

# fetch VERSION LINK: VERSION may be "newest"
fetch() {
	local want=$1 link=$2 offers upstream
	mkdir -p "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial"
	apt_private apt-get update >"$log" 2>&1 || true
	offers=$(offered)
	[ "$want" != newest ] || want=${offers%%$'\n'*}
	if [ -z "$offers" ] || ! grep -qxF -- "$want" <<<"$offers"; then
		tail -n 5 "$log" >&2
		die "The source of Kamailio ${want:-($link)} cannot be had from this machine's package sources." \
			"Offered there: $(tr '\n' ' ' <<<"${offers:-nothing}")" \
			"Either install an offered version (apt-get update && apt-get install kamailio), or: make KSR_SRC=/path/to/its/source" \
			"Log: $log"
	fi
	upstream=${want#*:}
	upstream=${upstream%-*}
	check_version "$upstream" "package $want"
	local tmp=$dir/.new
	rm -rf "$tmp" && mkdir -p "$tmp"
	(cd "$tmp" && apt_private apt-get source --download-only --tar-only "kamailio=$want") >>"$log" 2>&1 || {
		tail -n 5 "$log" >&2
		die "The source of Kamailio $want was not fetched. Log: $log"
	}
	tar -xf "$tmp"/kamailio_*.orig.tar.* -C "$tmp" --strip-components=1 --wildcards '*/src'
	rm -f "$tmp"/kamailio_*
	echo "$want" >"$tmp/version"
	rm -rf "$dir/kamailio-$want" && mv "$tmp" "$dir/kamailio-$want"
	ln -sfn "kamailio-$want" "$dir/$link"
	rm -rf "$dir/apt"
}

have() {
	[ "$(cat "$dir/$1/version" 2>/dev/null)" = "$2" ]
}

case ${1:-}${2:+ $2} in
"--have installed")
	version=$(installed_version)
	[ -n "$version" ] && have current "$version"
	;;
"--check "*)
	[ -f "$2/Makefile.modules" ] || die "KSR_SRC: there is no Kamailio source in $2 (src/Makefile.modules is expected)."
	check_version "$(tree_version "$2")" "$2"
	;;
"installed")
	need_installed
	have current "$version" && exit 0
	check_version "${version#*:}" "installed package kamailio $version"
	if [ -f "$dir/kamailio-$version/version" ]; then
		ln -sfn "kamailio-$version" "$dir/current"
		exit 0
	fi
	echo "  headers    Kamailio $version, as installed: fetching its source"
	private_sources "$dir/apt/sources"
	keep_addresses "$dir/apt/sources" "$(apt-cache madison kamailio 2>/dev/null | awk -F'|' '{split($3, a, " "); print a[1]}' | sort -u)"
	fetch "$version" current
	;;
"suite "*)
	[ ! -f "$dir/$2/version" ] || exit 0
	. /etc/os-release
	echo "  headers    Kamailio of Debian $2: fetching its source"
	private_sources "$dir/apt/sources"
	for f in "$dir"/apt/sources/*; do
		sed -i "s/\\b$VERSION_CODENAME\\b/$2/g" "$f"
	done
	keep_addresses "$dir/apt/sources" "$2"
	fetch newest "$2"
	;;
*)
	sed -n '3,16s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
