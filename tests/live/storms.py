#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Fork bombs and lives of microseconds, here and in namespaces: the tables stay the kernel's, memory
stays bounded, and what could not be kept is reported. They take the processors from everybody, so no
other test may run meanwhile."""
import os
import re
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Background, add_case, attach, case, fdtrace, main, need_tracing, program, until
from tables import NAMESPACES, judge_true, totals, traced

MIB = 1 << 20
# Where it does not go by their number: 1,000 forks instead of 3,000.
BOMB = [program("short_lives"), "bomb", "1000"]


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) * 1024


def storm(kind):
    def check():
        need_tracing()
        result = traced([program("short_lives"), kind])
        judge_true(result)
        assert totals(result)["events"] > 150, f"{result}"
    return check


for _kind in ("bomb", "forks", "vforks", "spawns", "clones", "threads", "dead-leaders"):
    add_case(f"{_kind} at full speed: no difference", storm(_kind))


@case("what a storm has left is forgotten: no task, no table, no descriptor too many")
def nothing_stays():
    need_tracing()
    for kind in ("bomb", "clones", "dead-leaders"):
        result = traced(BOMB if kind == "bomb" else [program("short_lives"), kind], "--set", "ring.size=64M")
        seen = totals(result)
        assert (seen["lost"], seen["tasks"], seen["tables"]) == (0, 1, 1), f"{kind}: {seen}\n{result}"


@case("a fork bomb with a ring far too small: losses are reported, tables true, memory bounded")
def bomb_with_losses():
    need_tracing()
    peak = []
    result = traced([program("short_lives"), "bomb"], "--set", "ring.size=64K",
                    act=lambda _, tracer: peak.append(peak_bytes(tracer.pid)))
    assert totals(result)["lost"] > 0, f"{result}"
    assert peak[0] < 64 * MIB, f"fdtrace's own memory reached {peak[0]} bytes"
    judge_true(result, at_least=0)


@case("a fork bomb with too little memory: it holds, and refusals are reported")
def bomb_out_of_memory():
    need_tracing()
    result = traced(BOMB, "--set", "memory.max=1M")
    seen = totals(result)
    assert seen["refused"] > 0 and seen["memory_bytes"] <= MIB, f"{seen}\n{result}"
    judge_true(result, at_least=0)


@case("a fork bomb as a command")
def bomb_as_command():
    need_tracing()
    result = fdtrace("-j", "--verify", "--", *BOMB, text=b"\n")
    judge_true(result, at_least=0)


# --- in namespaces ---

def outer_pid(helper, name):
    """The pid, as we see it, of the program that unshare turned into or started."""
    def look():
        with open(f"/proc/{helper.pid}/task/{helper.pid}/children", encoding="ascii") as children:
            for pid in [helper.pid, *map(int, children.read().split())]:
                with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                    if comm.read().strip() == name:
                        return pid
        return None
    return until(f"{name} runs", look)


def elsewhere(namespace, kind):
    def check():
        need_tracing()
        argv = BOMB if kind == "bomb" else [program("short_lives"), kind]
        with Background([*NAMESPACES[namespace], *argv]) as helper:
            helper.wait_for(b"running")
            pid = outer_pid(helper, "short_lives")
            with attach(pid, "--verify") as tracer:
                helper.say(b"\n")
                helper.wait_for(b"ready")
                result = tracer.interrupt()
            helper.finish()
        judge_true(result)
        rows = [s for s in result.dataset("summary") if s["fdtrace"]["scope"] == "process"]
        assert pid in [r["process"]["pid"] for r in rows], f"{pid} is not told by its outer pid\n{result}"
        assert totals(result)["events"] > 150, f"{result}"
    return check


for _namespace in NAMESPACES:
    for _kind in ("clones", "bomb"):
        add_case(f"{_kind} in {_namespace}: no difference", elsewhere(_namespace, _kind))


main()
