#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes a Debian package of what `make install` has put below ROOT:
#     SOURCE_DATE_EPOCH=SECONDS build.sh ROOT VERSION ARCHITECTURE MAINTAINER FILE.deb
# The program stays dynamically linked: what libelf, libdw, zlib and libyaml read was written by
# others, and Debian's security updates of them then reach fdtrace without a new package of it.
set -eu
umask 022
root=$1 version=$2 architecture=$3 maintainer=$4 deb=$5
here=$(dirname "$0")
work=$root.work
doc=$root/usr/share/doc/fdtrace
export SOURCE_DATE_EPOCH

rm -rf "$work" && mkdir -p "$work/debian" "$root/DEBIAN"

fill()
{
	sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" \
		-e "s|@DATE@|$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")|" \
		-e "s|@MAINTAINER@|$maintainer|" -e "s|@DEPENDS@|${depends-}|" -e "s|@SIZE@|${size-}|" "$1"
}

# Names come with the distribution it is built on: libdw1 here is libdw1t64 elsewhere.
depends()
{
	binary=$(realpath "$root/usr/bin/fdtrace")
	(cd "$work" && printf 'Source: fdtrace\n\nPackage: fdtrace\nArchitecture: any\n' > debian/control &&
		dpkg-shlibdeps -O "$binary" 2> shlibdeps.log || { cat shlibdeps.log >&2; exit 1; }) |
		sed -n 's/^shlibs:Depends=//p'
}

strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/fdtrace"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
rm "$doc/LICENSE" # copyright says it, in the form of Debian
install -m 644 "$here/copyright" "$doc/copyright"
fill "$here/changelog" | gzip -9n > "$doc/changelog.Debian.gz"
install -D -m 644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/fdtrace"

depends=$(depends)
[ -n "$depends" ]
# As dpkg-gencontrol counts: files in KiB, one for each folder.
size=$(find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' -o -printf '1\n' |
	awk '{ kib += $1 == 1 ? 1 : int(($1 + 1023) / 1024) } END { print kib }')
fill "$here/control" > "$root/DEBIAN/control"
for script in postinst prerm postrm; do
	install -m 755 "$here/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find etc -type f -printf '/%p\n' | LC_ALL=C sort > DEBIAN/conffiles)
# Conffiles are told apart by dpkg itself.
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)

chmod -R u+rwX,go+rX,go-w "$root"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
# One thread: how many there are must not show in the bytes.
DPKG_DEB_THREADS_MAX=1 dpkg-deb --build --root-owner-group -Zxz "$root" "$deb" > "$work/build.log"
rm -rf "$work"
