#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# The first process of the virtual machine. Does what /plan says and tells on the second serial
# port what became of it; the first is the kernel's console. For each row of the plan:
#
#	ROW NAME STATUS
#	1 a line of its standard output
#	2 a line of its standard error
#	END NAME
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up
stty -F /dev/ttyS1 raw -echo
exec 7>/dev/ttyS1

tell()
{
	{
		echo "ROW $1 $2"
		sed 's/^/1 /' /tmp/out
		sed 's/^/2 /' /tmp/err
		echo "END $1"
	} >&7
}

# NAME COMMAND...: runs it to its end.
row()
{
	name=$1
	shift
	timeout 120 "$@" </dev/null >/tmp/out 2>/tmp/err
	tell "$name" $?
}

# Waits until the command succeeds, as long as the tracer and its program live, a minute at most.
until_true()
{
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		kill -0 "$traced" && kill -0 "$tracer" && [ $tries -lt 3000 ] || return 1
		usleep 20000
	done
}

said()
{
	grep -q -- "$1" /tmp/said
}

# how many lines
answered()
{
	[ "$(wc -l </tmp/said)" -ge "$1" ]
}

# NAME START INPUT-FILE STOP OPTIONS -- PROGRAM...: traces a running program by -p. It is given its
# input when the tracer has begun; START and STOP are what has to hold before and after (words for
# the shell), then the tracer is told to end and compares, while the program waits.
attached()
{
	name=$1 start=$2 input=$3 stop=$4 options=$5
	shift 6
	rm -f /tmp/in
	mkfifo /tmp/in
	: >/tmp/said
	: >/tmp/out
	"$@" </tmp/in >/tmp/said 2>/tmp/trouble &
	traced=$! tracer=$!
	exec 8>/tmp/in
	until_true $start
	fdtrace -j $options -p $traced 8>&- >/tmp/out 2>/tmp/err &
	tracer=$!
	until_true grep -q fdtrace.state /tmp/out && cat "$input" >&8
	until_true $stop || echo "the program did not get there: $(cat /tmp/trouble)" >>/tmp/err
	kill -TERM $tracer
	wait $tracer
	status=$?
	exec 8>&-
	wait $traced
	tell "$name" $status
}

echo HELLO >&7
. /plan
dmesg >/tmp/out
: >/tmp/err
tell dmesg 0
exec 7>&-
poweroff -f
