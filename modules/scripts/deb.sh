#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make deb: build/deb/signalbox_VERSION_ARCH.deb, for the Kamailio package that is installed, and for no other. Needs dpkg-deb only.
# The same tree gives the same bytes: dates are SOURCE_DATE_EPOCH, else the last commit's, else that of the newest source.
# DEBFULLNAME and DEBEMAIL are the maintainer; DEB_DIR is another folder for the package.
set -euo pipefail
export LC_ALL=C
umask 022

top=$(cd "$(dirname "$0")/../.." && pwd)
out=${DEB_DIR:-$top/build/deb}
packaging=$top/modules/packaging/debian

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

[ -z "${KSR_SRC:-}" ] || die "make deb: KSR_SRC is set. A package depends on the exact package of Kamailio it was built for; for $KSR_SRC there is none: make install."
read -r status kamailio source arch < <(
	dpkg-query -W -f '${db:Status-Status} ${Version} ${source:Version} ${Architecture}\n' kamailio 2>/dev/null) || true
[ "${status:-}" = installed ] || die "make deb: the package kamailio is not installed: make deps"
[ "$(cat "$top/build/headers/current/version" 2>/dev/null)" = "$source" ] ||
	die "make deb: the modules were not built for kamailio $kamailio: make distclean && make deb"
module_dir=$(dirname "$(dpkg -L kamailio | grep '/modules/tm\.so$')")
version=$(sed -n 's/^#define SIGNALBOX_VERSION "\(.*\)"$/\1/p' "$top/modules/cli/cli.h")
# one for another Kamailio is another package
version=$version+kamailio${kamailio#*:}

last_change() {
	git -C "$top" log -1 --format=%ct 2>/dev/null ||
		find "$top"/{modules,routing,db,docs,README.md,Makefile} -type f -printf '%Ts\n' | sort -n | tail -n 1
}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(last_change)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
doc=$root/usr/share/doc/signalbox

DESTDIR=$root PREFIX=/usr MODULE_DIR=$module_dir "$top/modules/scripts/install.sh" >/dev/null
rm -r "${root:?}/var" "$root/usr/share/signalbox/installed"
elf=("$root$module_dir"/*.so "$root/usr/bin/signalbox")
strip --strip-unneeded --remove-section=.comment "${elf[@]}"
mkdir -p "$doc"
cp -r "$top/README.md" "$top/docs" "$packaging/copyright" "$doc/"
chmod -R u=rwX,go=rX "$doc"

# libc6 (>= …): as dpkg-shlibdeps finds it; where that is not installed, as the libraries' packages ask for in their shlibs files.
libraries() {
	if command -v dpkg-shlibdeps >/dev/null; then
		mkdir -p "$work/debian"
		echo 'Source: signalbox' >"$work/debian/control"
		(cd "$work" && dpkg-shlibdeps -O "${elf[@]}" 2>"$work/shlibdeps.log") | sed -n 's/^shlibs:Depends=//p'
		return
	fi
	local info=/var/lib/dpkg/info files
	# those of this architecture first: another package may have the same library for a foreign one
	mapfile -t files < <(find "$info" -name "*:$arch.shlibs"; find "$info" -name '*.shlibs' ! -name '*:*')
	readelf -d "${elf[@]}" | sed -n 's/.*(NEEDED).*\[\(.*\)\.so\.\(.*\)\]/\1 \2/p' | sort -u | while read -r name so; do
		awk -v n="$name" -v s="$so" '$1 == n && $2 == s {sub(/^[^ ]+ +[^ ]+ +/, ""); print; found = 1; exit} END {exit !found}' \
			"${files[@]}" || die "make deb: no installed package says whose lib $name.so.$so is"
	done | sort -u | paste -sd, | sed 's/,/, /g'
}
depends=$(libraries)
[ -n "$depends" ] || { cat "$work"/*.log >&2; die "make deb: the packages of the libraries were not found"; }

maintainer="${DEBFULLNAME:-Signalbox} <${DEBEMAIL:-signalbox@localhost}>"
{
	echo "signalbox ($version) unstable; urgency=medium"
	echo
	echo "  * For kamailio $kamailio."
	echo
	echo " -- $maintainer  $(date -Rud "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.Debian.gz"

size=$(find "$root" -type f -printf '%s\n' | awk '{kb += int(($1 + 1023) / 1024)} END {print kb}')
mkdir "$root/DEBIAN"
sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$maintainer|; s|@SIZE@|$size|; s|@KAMAILIO@|$kamailio|g; s|@LIBRARIES@|$depends|" \
	"$packaging/control.in" >"$root/DEBIAN/control"
install -m 755 "$packaging"/{postinst,prerm,postrm} "$root/DEBIAN/"
(cd "$root" && find etc -type f | sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
rm -f "$out"/signalbox_*.deb
deb=$out/signalbox_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$root" "$deb.new" >/dev/null
mv "$deb.new" "$deb"
echo "  package    ${deb#"$top/"}, for kamailio $kamailio"
