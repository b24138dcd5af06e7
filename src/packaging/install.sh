#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What make install and make uninstall do. Below $DESTDIR:
#     install.sh install|uninstall 'CONFIGURED...' INSTALLED...
# each of them FROM:TO:MODE. CONFIGURED belongs to the administrator once it is there: a file that
# differs is kept, and told.
set -eu
: "${DESTDIR:=}"
action=$1
configured=$2
shift 2

split()
{
	from=${1%%:*}
	mode=${1##*:}
	to=${1#*:}
	to=$DESTDIR${to%:*}
}

put()
{
	install -d -m 755 "$(dirname "$to")"
	install -m "$mode" "$from" "$to"
	echo "$to"
}

# The folders that only fdtrace fills, if they are empty by now.
tidy()
{
	folder=$(dirname "$1")
	while case $folder in */fdtrace | */fdtrace/*) ;; *) false ;; esac; do
		rmdir "$folder" 2>/dev/null || break
		folder=$(dirname "$folder")
	done
}

for entry in "$@"; do
	split "$entry"
	case $action in
	install) put ;;
	uninstall)
		rm -f "$to"
		tidy "$to"
		;;
	esac
done
for entry in $configured; do
	split "$entry"
	if [ -e "$to" ] && ! cmp -s "$from" "$to"; then
		echo "kept as it is: $to" >&2
	elif [ "$action" = install ]; then
		put
	else
		rm -f "$to"
		tidy "$to"
	fi
done
