#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# `make demo`: guilty programs under fdtrace, as a person sees them. Fails if a finding fails to come.
set -u
cd "$(dirname "$0")/../.." || exit
build=${BUILD:-build}
fdtrace=$build/fdtrace
programs=$build/tests/live
folder=$(mktemp -d)
background=""
trap '[ -z "$background" ] || kill "$background" 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

bold="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$(printf '\033[1;36m') plain=$(printf '\033[0m')
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "demo: tracing needs root; try: sudo make demo" >&2
	exit 3
fi

say()
{
	printf '\n%s== %s%s\n' "$bold" "$*" "$plain"
}

# expect STATUS COMMAND...: shows the command, runs it; a status of 9 is fdtrace's "found something".
expect()
{
	wanted=$1
	shift
	printf '%s$ %s%s\n' "$bold" "$*" "$plain"
	"$@"
	status=$?
	[ "$status" -eq "$wanted" ] && return
	echo "demo: expected exit status $wanted, got $status" >&2
	exit 1
}

found=9
quick='--set leak.window=200ms --set leak.min_age=500ms --set leak.min_count=16'

say "1. Three leaks, a double close and a careless exec, in one program"
expect $found $fdtrace --min-severity info --set leak.exit=warning --error-exitcode $found -- $programs/mix guilty

say "2. A stale close in one thread takes away another thread's file"
expect $found $fdtrace --error-exitcode $found -- $programs/unowned number-reused

say "3. A loop that closes every number"
expect $found $fdtrace --error-exitcode $found -- $programs/sweep hits-other-threads

say "4. Attached to a running process: a leak is reported before the limit is reached"
# A busy machine needs a moment to attach.
sh -c 'sleep 4; exec "$0" near' $programs/growth &
background=$!
expect $found $fdtrace $quick --error-exitcode $found -p $background
background=""

say "5. Out of descriptors: who holds them?"
expect $found $fdtrace --error-exitcode $found -r "$folder/recording" -- $programs/emfile guilty

say "6. The same from the recording, without any privilege, as JSON (cut at 300 bytes)"
chmod 755 "$folder" && chmod 644 "$folder/recording"
cp $fdtrace "$folder/fdtrace"
expect 0 setpriv --reuid=65534 --regid=65534 --clear-groups -- \
	"$folder/fdtrace" replay -j "$folder/recording" > "$folder/lines"
cut -c 1-300 "$folder/lines"

say "7. The first program again, repaired: nothing to say"
expect 7 $fdtrace --error-exitcode $found -- $programs/mix innocent

say "What this machine offers"
expect 0 $fdtrace doctor
