#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The log shippers of the fleet tests, unpacked into a folder and not installed: rsyslog and
# syslog-ng exclude each other, and a machine keeps the system log it has. Nothing of them is
# started, no unit or timer is enabled. Their libraries are installed as usual.
# Usage: unpack.sh FOLDER
set -eu
folder=$1
packages="rsyslog rsyslog-relp librelp0 syslog-ng-core logrotate"
[ -x /lib/systemd/systemd-journald ] || packages="$packages systemd libsystemd-shared"

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

PATH=$PATH:/usr/sbin:/sbin
if ! command -v apt-get >/dev/null; then
	for program in rsyslogd syslog-ng logrotate; do
		command -v $program >/dev/null && continue
		echo "make deps-test: missing: $program (Fedora: rsyslog rsyslog-relp syslog-ng logrotate;" \
			"Arch: rsyslog librelp syslog-ng logrotate)" >&2
		exit 1
	done
	exit 0
fi
[ "$(cat "$folder/unpacked" 2>/dev/null)" != "$packages" ] || exit 0

echo "unpacking:" $packages
rm -rf "$folder" && mkdir -p "$folder/deb"
as_root apt-get -q update || echo "unpacking: going on with what is known of packages" >&2
(cd "$folder/deb" && apt-get -q download $packages)
for deb in "$folder"/deb/*.deb; do
	dpkg-deb -x "$deb" "$folder"
	case $deb in
	*/systemd_*) ;; # its library is unpacked beside it, of the same version
	# What they need of each other is here; of the rest only libraries, no daemon
	*) dpkg-deb -f "$deb" Pre-Depends Depends | sed 's/^[A-Za-z-]*: //' | tr ',' '\n' |
		sed 's/^ *//' | grep -Ev '^(rsyslog|librelp0|init-system|cron|anacron)' ;;
	esac
done | sort -u > "$folder/needs"
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 satisfy -y --no-install-recommends \
	"$(paste -sd, "$folder/needs")"
rm -rf "$folder/deb"
echo "$packages" > "$folder/unpacked"
