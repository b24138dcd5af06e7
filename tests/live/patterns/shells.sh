#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Patterns of shells and make: bash shells.sh PATTERN. Each says first what is expected of it.
set -eu
here=$(dirname "$0")
nothing='silent none=exec.inherit none=exec.held none=leak.growth'

expect() {
	echo "EXPECT $*"
}

# Numbers from 10 on and 255 are where shells put what they come back to.
redirections() {
	expect silent
	for i in 1 2 3 4 5 6 7 8; do
		{ echo one; echo two >&2; } >out 2>err
		while read -r line; do echo "$line" | cat >/dev/null; done <out
		exec 3<out 4>>err
		cat <&3 >&4
		exec 3<&- 4>&-
		(exec 2>&1; echo three) | sort | tail -1 >/dev/null
		cat <<<"four $i" >/dev/null
	done
}

# The number stays open over the exec: 63, named on the command line as /dev/fd/63.
substitution() {
	expect "$nothing"
	cat <(echo one) <(echo two) >/dev/null
	tee >(cat >/dev/null) <<<three >/dev/null
	exec cat <(echo four; sleep 1)
}

# A pipeline whose first part says nothing for long.
slow_pipeline() {
	expect "$nothing"
	sleep 1 | cat
	(sleep 1; echo x) | cat >/dev/null
}

# What a service manager does: output into a log file.
logged() {
	expect "$nothing"
	sleep 1 >>log 2>&1
	exec >>log 2>&1
	sleep 1
}

# One process that executes itself again and again, and each time leaves a file open.
piles_up() {
	if [ "$1" = x ]; then
		expect exec.inherit warning
	fi
	[ "$1" != xxxxx ] || exit 0
	exec {file}</etc/hostname
	exec bash "$0" piles_up "x$1"
}

# Once is a shell's daily bread.
crosses_once() {
	expect silent
	exec 7</etc/hostname
	exec sleep 1
}

jobserver() {
	expect "$nothing"
	make -s -j2 -f "$here/jobserver.mk" named
}

jobserver_unnamed() {
	expect exec.inherit info process=sleep
	make -s -j2 -f "$here/jobserver.mk" unnamed
}

"$1" "${2:-x}"
