#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Load on the tables: full tables, tracees that are killed, frozen or elsewhere (namespaces), too
little memory. The tables stay the kernel's, memory stays bounded, and what could not be kept is
reported."""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (FDTRACE, Background, Skip, allowed_descriptors, attach, case, fdtrace, main,
                     need_descriptors, need_tracing, program, run, until)
from tables import NAMESPACES, judge_true, totals, traced

MIB = 1 << 20
FREEZERS = (("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED"),
            ("/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0"),
            ("/sys/fs/cgroup", "cgroup.freeze", "1", "0"))


# --- full tables ---

@case("opening as fast as it goes up to the limit: no difference, and the limit is reported")
def up_to_the_limit():
    need_tracing()
    result = traced([program("fill_table"), "full", str(allowed_descriptors(20000))])
    judge_true(result)
    assert any(f["rule"]["id"] == "limit.emfile" for f in result.findings), f"{result}"


@case("memory.max is reached: it holds, refusals are reported, and no incomplete table is called complete")
def out_of_memory():
    need_tracing()
    need_descriptors(20000)
    result = traced([program("fill_table"), "full", "20000"], "--set", "memory.max=1M", "--set",
                    "audit.interval=100ms", "-i", "100ms", act=audited)
    seen = totals(result)
    assert seen["refused"] > 0 and seen["memory_bytes"] <= MIB, f"{seen}\n{result}"
    assert "memory.max=1M" in result.messages, f"{result}"
    judge_true(result, at_least=0)
    assert not re.search(r"skipped: .* 0 waiting for repair", result.messages), f"{result}"
    told = [f["message"] for f in result.findings if f["rule"]["id"] == "limit.emfile"]
    assert told and not any("another limit" in m for m in told), f"a confident lie: {told}\n{result}"


def audited(_, tracer):
    """Several audits later: none may make a table that did not fit look whole."""
    seen = tracer.out.count(b'"fdtrace.summary"')
    tracer.wait_for(b'-s%d"' % (seen + 16))  # at most two lines an interval


@case("memory.max is reached: the text summary shows it, too")
def out_of_memory_in_words():
    need_tracing()
    need_descriptors(20000)
    result = fdtrace("--set", "memory.max=1M", "--", program("fill_table"), "full", "20000", text=b"\n")
    assert re.search(rb"^refused: [\d,]+ requests? ", result.out, re.M), f"{result}"
    assert b"fill_table[" in result.out, f"the process is not listed\n{result}"


# --- killed, frozen ---

@case("fdtrace itself is stopped while a crowd of tracees ends: they are not alive for ever")
def tracer_stopped():
    need_tracing()
    with Background([program("short_lives"), "crowd"]) as helper:
        helper.wait_for(b"running")
        with attach(helper.pid, "--verify", "-i", "200ms", "--set", "ring.size=4M") as tracer:
            helper.say(b"\n")
            helper.wait_for(b"crowded")
            tracer.wait_for(b'"tasks":301,')
            os.kill(tracer.pid, signal.SIGSTOP)
            until("fdtrace stands still", lambda: set(states(tracer.pid)) == {"T"})
            helper.say(b"\n")
            helper.wait_for(b"ready")
            os.kill(tracer.pid, signal.SIGCONT)
            tracer.wait_for(b'"tasks":1,', since=len(tracer.out))
            result = tracer.interrupt()
        helper.finish()
    assert totals(result)["lost"] > 0, f"{result}"
    judge_true(result)


@case("killed in the middle of opening: fdtrace ends with it, nothing is left")
def killed():
    need_tracing()
    with Background([program("fill_table"), "endless", str(allowed_descriptors(20000))]) as helper:
        helper.wait_for(b"running")
        with attach(helper.pid, "--verify") as tracer:
            helper.say(b"\n")
            helper.wait_for(b"opening")
            helper.child.kill()
            result = tracer.finish()
    seen = totals(result)
    judge_true(result, at_least=0)
    assert (seen["tasks"], seen["descriptors"]) == (0, 0) or seen["lost"], f"{seen}\n{result}"


@case("one of two that share a table is killed in the middle of opening: the other's is true")
def sharer_killed():
    need_tracing()
    with Background([program("fill_table"), "shared", str(allowed_descriptors(4000))]) as helper:
        helper.wait_for(b"running")
        with attach(helper.pid, "--verify") as tracer:
            helper.say(b"\n")
            helper.wait_for(b"opening")
            child = int(re.search(rb"child (\d+)", helper.out)[1])
            os.kill(child, signal.SIGKILL)
            helper.wait_for(b"ready")
            until("the child is gone", lambda: is_gone(child))
            result = tracer.interrupt()
        helper.finish()
    judge_true(result)


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def states(pid):
    """The state letters of all threads."""
    letters = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat", encoding="ascii", errors="replace") as stat:
            letters.append(stat.read().rsplit(")", 1)[1].split()[0])
    return letters


def judge_frozen(freeze, thaw):
    """A racing program held still by force: true while it is, and true after it went on."""
    with Background([program("churn")]) as racing:
        racing.wait_for(b"running")
        with attach(racing.pid, "--verify", "--set", "audit.interval=100ms", "-i", "100ms") as tracer:
            freeze(racing.pid)
            audited(racing, tracer)
            with attach(racing.pid, "--verify") as second:  # whose snapshot is of the frozen
                judge_true(second.interrupt())
            thaw(racing.pid)
            racing.say(b"\n")
            racing.wait_for(b"ready")
            result = tracer.interrupt()
        assert racing.finish().status == 0
    judge_true(result)


@case("stopped by SIGSTOP in the middle of a race")
def stopped():
    need_tracing()

    def stop(pid):
        os.kill(pid, signal.SIGSTOP)
        until("all threads stand still", lambda: set(states(pid)) == {"T"})
    judge_frozen(stop, lambda pid: os.kill(pid, signal.SIGCONT))


def write_to(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="ascii") as file:
        file.write(text)


def is_frozen(group, name, frozen):
    if name == "freezer.state":
        with open(os.path.join(group, name), encoding="ascii") as file:
            return file.read().strip() == frozen
    with open(os.path.join(group, "cgroup.events"), encoding="ascii") as file:
        return "frozen 1" in file.read()


def make_group():
    """(folder, file, what freezes, what thaws) of a control group of our own."""
    for top, name, frozen, thawed in FREEZERS:
        group = os.path.join(top, f"fdtrace-test-{os.getpid()}")
        try:
            os.mkdir(group)
        except OSError:
            continue
        if os.path.exists(os.path.join(group, name)):
            return group, name, frozen, thawed
        os.rmdir(group)
    raise Skip("no control group that freezes: " + ", ".join(top for top, *_ in FREEZERS))


@case("frozen by its control group in the middle of a race")
def frozen_by_group():
    need_tracing()
    group, name, frozen, thawed = make_group()

    def freeze(pid):
        write_to(group, "cgroup.procs", str(pid))
        write_to(group, name, frozen)
        until("the group is frozen", lambda: is_frozen(group, name, frozen))
    try:
        judge_frozen(freeze, lambda _: write_to(group, name, thawed))
    finally:
        write_to(group, name, thawed)
        until("the group is empty", lambda: not remaining(group))
        os.rmdir(group)


def remaining(group):
    with open(os.path.join(group, "cgroup.procs"), encoding="ascii") as file:
        return file.read().split()


# --- elsewhere ---

@case("a command that unshares: its children are seen, by outer pids, and are guilty as ever")
def unsharing_command():
    need_tracing()
    for unshare in NAMESPACES.values():
        result = fdtrace("-j", "--verify", "--", *unshare, program("use_closed"), "own-mistake")
        judge_true(result, at_least=0)
        found = [f for f in result.findings if f["rule"]["id"] == "use.closed"]
        assert len(found) == 1 and found[0]["process"]["pid"] > 2, f"{unshare}\n{result}"


main()
