#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""--verify: tables that equal the kernel's, slot by slot, and a tool that notices when they do not.

The tables are made wrong on purpose by dropping and delaying assertions (--set fault.*).
"""
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Background, attach, case, fdtrace, main, need_tracing, open_numbers, program, until
from tables import totals, verdict


def race(pid, seconds_of_cpu=1):
    ticks = cpu_ticks(pid) + seconds_of_cpu * os.sysconf("SC_CLK_TCK")
    until("it raced under trace", lambda: cpu_ticks(pid) > ticks)


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def churned(*options):
    """fdtrace's result for four threads that race, then stand still until it is over."""
    with Background([program("churn")]) as racing:
        racing.wait_for(b"running")
        with attach(racing.pid, "--verify", *options) as tracer:
            race(racing.pid)
            racing.say(b"\n")
            racing.wait_for(b"ready")
            result = tracer.interrupt(signal.SIGINT)
        assert racing.finish().status == 0
    return result


@case("four racing threads: no difference")
def racing_threads():
    need_tracing()
    result = churned()
    compared, differences = verdict(result)
    assert compared and not differences and result.status == 0, f"{result}"


@case("a ring far too small: losses are reported and repaired")
def small_ring():
    need_tracing()
    result = churned("--set", "ring.size=64K")
    assert totals(result)["lost"] > 0, f"nothing was lost\n{result}"
    assert verdict(result)[1] == 0 and result.status == 0, f"{result}"


@case("dropped assertions are noticed: exit 1, with what was heard of the slot")
def noticed():
    need_tracing()
    result = churned("--set", "fault.drop=50", "--set", "ring.size=128M", "--set", "audit.interval=0")
    assert verdict(result)[1] > 0 and result.status == 1, f"{result}"
    assert "the kernel has" in result.messages, f"{result}"


@case("dropped and late assertions are repaired by the next audit")
def repaired():
    need_tracing()
    with Background([program("churn")]) as racing:
        racing.wait_for(b"running")
        with attach(racing.pid, "-i", "500ms", "--set", "fault.drop=20", "--set", "fault.delay=10",
                    "--set", "audit.interval=300ms") as tracer:
            race(racing.pid)
            racing.say(b"\n")
            racing.wait_for(b"ready")
            held = len(open_numbers(racing.pid))
            seen = tracer.out.count(b'"fdtrace.summary"')
            tracer.wait_for(b'-s%d"' % (seen + 7))  # three more intervals, two lines each
            result = tracer.interrupt(signal.SIGINT)
        racing.finish()
    rows = [s["fdtrace"] for s in result.dataset("summary")
            if s["fdtrace"]["scope"] == "process" and not s["fdtrace"]["final"] and s["process"]["pid"] == racing.pid]
    assert rows[-1]["open"] == held, f"open {rows[-1]['open']}, /proc says {held}\n{result}"
    assert totals(result)["corrections"] > 0, f"nothing was corrected\n{result}"


@case("the whole machine: no difference")
def whole_machine():
    need_tracing()
    result = fdtrace("-j", "-a", "--verify", "-d", "2s")
    compared, differences = verdict(result)
    assert compared > 5 and not differences and result.status == 0, f"{result}"


@case("a process that shares its table with one that was not asked for")
def sharers():
    need_tracing()
    with Background([program("share")]) as sharing:
        sharing.wait_for(b"ready")
        with attach(sharing.pid, "--verify") as tracer:
            sharing.say(b"\n")
            sharing.wait_for(b"done")
            result = tracer.interrupt(signal.SIGINT)
        sharing.finish()
    assert verdict(result)[1] == 0 and result.status == 0, f"{result}"


def vforked(*, until_over):
    """fdtrace's result for a vfork with a pidfd, looked at while the call goes on or when it is over."""
    with Background([program("vfork_pidfd")]) as parent:
        parent.wait_for(b"up")
        with attach(parent.pid, "-e", "--verify", "--set", "audit.interval=0") as tracer:
            parent.say(b"\n")
            parent.wait_for(b"held")
            if until_over:
                parent.say(b"\n")
                parent.wait_for(b"over")
            result = tracer.interrupt(signal.SIGINT)
        assert parent.finish().status == 0
    return result


@case("a pidfd is known while the vfork that made it still waits, and is reported once")
def pidfd_of_vfork():
    need_tracing()
    for until_over in (False, True):
        result = vforked(until_over=until_over)
        assert verdict(result)[1] == 0 and result.status == 0, f"{result}"
        opened = [e for e in result.dataset("event") if e["fdtrace"]["op"] == "open"]
        assert len(opened) == 1, f"told {len(opened)} times\n{result}"


main()
