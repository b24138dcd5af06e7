#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a command; afterwards what root has left in the build folders belongs to whoever owns the
# sources: after sudo make demo, make and make clean work without sudo. Usage: owned.sh COMMAND...
# BUILD names the build folder; those of the sanitizers and of clang stand beside it.
set -u
trap : INT TERM # the command has had it, too; what it has built is handed over all the same
"$@"
status=$?
owner=$(stat -c %u:%g .)
if [ "$(id -u)" -eq 0 ] && [ "${owner%:*}" -ne 0 ]; then
	for folder in "$BUILD" "$BUILD"-*; do
		[ ! -d "$folder" ] || find "$folder" -user 0 -exec chown -h "$owner" {} +
	done
fi
exit $status
