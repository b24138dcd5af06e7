#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Load on the tables: fork bombs, lives of microseconds, full tables, tracees that are killed,
frozen or elsewhere (namespaces), too little memory, few privileges. The tables stay the kernel's,
memory stays bounded, and what could not be kept is reported."""
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (FDTRACE, Background, Skip, add_case, allowed_descriptors, alone, attach, case, fdtrace, main,
                     need_descriptors, need_tracing, program, run, until)

MIB = 1 << 20
FREEZERS = (("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED"),
            ("/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0"),
            ("/sys/fs/cgroup", "cgroup.freeze", "1", "0"))


def verdict(result):
    """(tables compared, differences) of the closing message."""
    found = re.search(r"verify: (\d+) tables? compared .*; (\d+) difference", result.messages)
    assert found, f"no verdict\n{result}"
    return int(found[1]), int(found[2])


def judge_true(result, at_least=1, status=0):
    compared, differences = verdict(result)
    assert not differences, f"{differences} differences\n{result}"
    assert compared >= at_least, f"only {compared} tables were compared\n{result}"
    assert result.status == status, f"{result}"


def totals(result):
    return [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"][-1]


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) * 1024


def traced(argv, *options, act=None):
    """fdtrace's result for a helper that was attached before its line came and stood still after it."""
    with Background(argv) as helper:
        helper.wait_for(b"running")
        with attach(helper.pid, "--verify", *options) as tracer:
            helper.say(b"\n")
            helper.wait_for(b"ready")
            if act:
                act(helper, tracer)
            result = tracer.interrupt(signal.SIGINT)
        assert helper.finish().status == 0, f"{argv}"
    return result


# --- short lives ---

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
        result = traced([program("short_lives"), kind], "--set", "ring.size=64M")
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
    result = traced([program("short_lives"), "bomb"], "--set", "memory.max=1M")
    seen = totals(result)
    assert seen["refused"] > 0 and seen["memory_bytes"] <= MIB, f"{seen}\n{result}"
    judge_true(result, at_least=0)


@case("a fork bomb as a command")
def bomb_as_command():
    need_tracing()
    result = fdtrace("-j", "--verify", "--", program("short_lives"), "bomb", text=b"\n")
    judge_true(result, at_least=0)


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
    assert not re.search(r"left out: .* 0 in need of repair", result.messages), f"{result}"
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

NAMESPACES = {
    "another pid namespace": ["unshare", "-p", "-f", "--mount-proc", "--kill-child"],
    "a user namespace": ["unshare", "-U", "-r"],
    "user, pid and mount namespaces": ["unshare", "-U", "-r", "-p", "-f", "--mount-proc", "--kill-child"],
}


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
        with Background([*NAMESPACES[namespace], program("short_lives"), kind]) as helper:
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


@case("a command that unshares: its children are seen, by outer pids, and are guilty as ever")
def unsharing_command():
    need_tracing()
    for unshare in NAMESPACES.values():
        result = fdtrace("-j", "--verify", "--", *unshare, program("use_closed"), "own-mistake")
        judge_true(result, at_least=0)
        found = [f for f in result.findings if f["rule"]["id"] == "use.closed"]
        assert len(found) == 1 and found[0]["process"]["pid"] > 2, f"{unshare}\n{result}"


@case("the whole machine with a namespace and storms in it: no difference")
@alone
def whole_machine():
    need_tracing()
    with Background([*NAMESPACES["another pid namespace"], program("short_lives"), "bomb"]) as inside, \
            Background([program("short_lives"), "clones"]) as outside:
        inside.wait_for(b"running")
        outside.wait_for(b"running")
        with Background([FDTRACE, "-j", "--verify", "-a"]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            inside.say(b"\n")
            outside.say(b"\n")
            inside.wait_for(b"ready")
            outside.wait_for(b"ready")
            result = tracer.interrupt()
    judge_true(result, at_least=5)


# --- few privileges ---

@contextlib.contextmanager
def poor_fdtrace(*capabilities):
    """argv of an fdtrace that everybody may execute, as nobody with these capabilities only."""
    some = ",".join(["-all", *("+" + c for c in capabilities)])
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(FDTRACE, folder)
        os.chmod(copy, 0o755)
        yield ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={some}",
               f"--ambient-caps={some}", f"--bounding-set={some}", "--", copy]


def judge_poor(fdtrace_argv, names):
    """Run mode, -p and -a work; `names`: other users' descriptors are named and compared."""
    result = run([*fdtrace_argv, "-j", "--verify", "--", "/bin/sh", "-c", "exec 3</etc/passwd; read x <&3; exit 5"])
    judge_true(result, at_least=0, status=5)
    for mode in ("-p", "-a"):
        with Background([program("fill_table"), "full", "100"]) as helper:
            helper.wait_for(b"running")
            with Background([*fdtrace_argv, "-j", "-e", "--verify",
                             *(["-a"] if mode == "-a" else ["-p", str(helper.pid)])]) as tracer:
                tracer.wait_for(b"fdtrace.state")
                helper.say(b"\n")
                helper.wait_for(b"ready")
                result = tracer.interrupt()
            helper.finish()
        judge_true(result, at_least=int(names))
        judge_poor_events(result, helper.pid, names)


def judge_poor_events(result, pid, names):
    found = [f for f in result.findings if f["rule"]["id"] == "limit.emfile" and f["process"]["pid"] == pid]
    assert found, f"no finding\n{result}"
    told = any(e.get("file", {}).get("path") == "/dev/null" for e in result.dataset("event")
               if e["process"]["pid"] == pid)
    assert told == names, f"names: {told}, expected: {names}\n{result}"
    assert ("of other users" in result.messages) == (not names), f"{result}"


@case("CAP_BPF and CAP_PERFMON are enough; what they do not show is reported")
def two_capabilities():
    need_tracing()
    with poor_fdtrace("bpf", "perfmon") as argv:
        judge_poor(argv, names=False)
        result = run([*argv, "doctor"])
        assert result.status == 0 and b"CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH missing" in result.out, f"{result}"


@case("CAP_SYS_PTRACE without CAP_DAC_READ_SEARCH shows no more descriptors")
def three_capabilities():
    need_tracing()
    with poor_fdtrace("bpf", "perfmon", "sys_ptrace") as argv:
        judge_poor(argv, names=False)
        result = run([*argv, "doctor"])
        assert result.status == 0 and b"CAP_DAC_READ_SEARCH missing" in result.out, f"{result}"


@case("with both, other users' descriptors have names and are compared")
def four_capabilities():
    need_tracing()
    with poor_fdtrace("bpf", "perfmon", "sys_ptrace", "dac_read_search") as argv:
        judge_poor(argv, names=True)
        result = run([*argv, "doctor"])
        assert result.status == 0 and b"all present" in result.out, f"{result}"


main()
