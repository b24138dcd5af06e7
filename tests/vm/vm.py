#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fdtrace on Debian's kernels, in virtual machines, with each set of hooks.

A machine runs a plan of rows without being asked anything (init.sh) and tells what each left;
here it is judged, by what the other tests use as well. VM_KERNELS="6.1 6.12": only those.
VM_ACCELERATOR=tcg|kvm: no trying. The cache of kernels is build/vm/cache.
"""
import collections
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("lib", "live", "property")]
import kernels
import machine
import patterns
from harness import BUILD, add_case, expect_findings, main
from steps import random_program

CACHE = os.path.join(BUILD, "vm", "cache")
PROGRAMS = {os.path.basename(p): p for p in os.environ["VM_PROGRAMS"].split()}
PROGRAMS["fdtrace"] = os.path.join(BUILD, "fdtrace-static")
SETS = ("tracepoint", "function")
MACHINES_AT_A_TIME = os.cpu_count() or 1

# A machine: the name of its kernel and what is added to the kernel's command line.
Machine = collections.namedtuple("Machine", "kernel arguments needed")
MACHINES = [Machine("6.1", "", True), Machine("6.12", "", True), Machine("6.12", "preempt=full", True),
            Machine("newest", "", False)]
TOO_OLD = Machine("5.10", "", False)

RACE_ROUNDS = 60000
STEPS_PROGRAMS, STEPS = 12, 60
# On an emulated processor a stack uses the budget up, and a site counts as two: with its stack and without.
FAST = "--stacks off --set leak.window=200ms --set leak.min_age=500ms --set leak.min_count=16"

ERROR, WARN, INFO = "error", "warning", "info"
# Under one fdtrace, to load it once; what is told of each. Failing calls and uses are seen by the
# tracepoint set only, and so are the rules that need them.
GUILTY = [
    ("growth near", [("leak.growth", ERROR)], SETS),
    ("scm_rights kept", [("leak.exit", INFO)], SETS),
    ("emfile guilty", [("limit.emfile", ERROR)], SETS[:1]),
    ("close_twice guilty", [("close.double", INFO)], SETS),
    ("unowned closed-by-another", [("close.unowned", ERROR)], SETS[:1]),
    ("use_closed own-mistake", [("use.closed", WARN)], SETS[:1]),
    ("use_closed polled", [("use.closed", WARN)], SETS[:1]),
    ("inherit forgotten", [("exec.inherit", INFO)], SETS[:1]),
    ("sweep hits-other-threads", [("close.sweep", WARN)], SETS[:1]),
]
INNOCENT = ["growth sawtooth", "growth plateau", "scm_rights closed", "close_twice duplicates", "close_twice replaced",
            "unowned handed-over", "use_closed wrong-mode", "use_closed probe", "inherit marked", "inherit used",
            "inherit named", "spawn vfork", "spawn file-actions", "kinds pass", "sweep daemonize",
            "sweep before-exec", "sweep range-before-exec"]
URING = {"closed-then-read": SETS[:1], "accepted-and-kept": SETS, "closed-under-its-owner": SETS[:1],
         "fixed-files": SETS, "in-order": SETS}


# --- the plan ---

def together(lines):
    """A shell that runs all of them; what one makes fail must not stop the next."""
    return "sh -c '" + "; ".join(lines) + "'"


def attached(name, hooks, program, start, given, stop):
    """As in init.sh; the input is a file of the machine."""
    return f"attached '{name}' '{start}' /{given} '{stop}' '{hooks} --verify --set audit.interval=0' -- {program}"


def plan_of_set(hook_set):
    hooks, prefix = f"--hooks={hook_set}", hook_set + " "
    guilty = together(line for line, _, sets in GUILTY if hook_set in sets)
    rows = [f"row '{prefix}loads' fdtrace -vv {hooks} -o /tmp/loads -- true",
            f"row '{prefix}guilty' fdtrace -j -o - {hooks} {FAST} -- {guilty}",
            f"row '{prefix}innocent' fdtrace -j -o - {hooks} {FAST} -- {together(INNOCENT)}",
            f"row '{prefix}kinds' fdtrace -j -e -o - {hooks} -- kinds pass",
            attached(prefix + "race", hooks, f"race {RACE_ROUNDS}", "said up", "line", "said ready"),
            attached(prefix + "share", hooks, "share", "said ready", "line", "said done"),
            attached(prefix + "vfork", hooks, "vfork_pidfd", "said up", "lines", "said over"),
            attached(prefix + "steps", hooks, "steps", "true", "steps", f"answered {len(step_lines())}")]
    rows += [f"row '{prefix}uring {name}' fdtrace --json=full --set stacks.budget=100% {hooks} -o /tmp/found -- uring {name}\n"
             f"row '{prefix}found {name}' cat /tmp/found" for name, sets in URING.items() if hook_set in sets]
    return rows


def plan():
    """Every row, then the machine is made worse and worse."""
    return "\n".join([
        "row 'uring probe' uring probe", "row doctor fdtrace doctor", "row 'doctor json' fdtrace doctor --json",
        *(row for hook_set in SETS for row in plan_of_set(hook_set)),
        "row 'functions' grep -wE 'close_fd|close_fd_get_file|file_close_fd' /proc/kallsyms",
        "umount /sys/kernel/debug/tracing; umount /sys/kernel/debug; umount /sys/kernel/tracing",
        "row 'no tracefs' fdtrace doctor --json",
        "row 'no tracefs traces' fdtrace -j -o - -- close_twice guilty",
        "mkdir /tmp/none; mount --bind /tmp/none /sys/kernel/btf",
        "row 'no btf' fdtrace doctor --json", "row 'no btf traces' fdtrace -- true", "umount /sys/kernel/btf",
        "echo confidentiality >/sys/kernel/security/lockdown",
        "row 'lockdown' fdtrace doctor --json", "row 'lockdown traces' fdtrace -- true", ""])


def plan_of_too_old():
    return "row 'doctor json' fdtrace doctor --json\nrow traces fdtrace -- true\n"


def step_lines():
    lines = []
    for seed in range(1, STEPS_PROGRAMS + 1):
        program = random_program(seed, STEPS)
        lines += ["n"] + [" ".join(str(word) for word in step) for step in program]
    return lines


FILES = {"line": b"\n", "lines": b"\n\n", "steps": "\n".join(step_lines() + [""]).encode()}


# --- what holds for a plan's rows ---

def said_by(result):
    return f"{result}"


def doctor_of(outcome, row):
    """(status, the verdict's object, its checks by name)"""
    result = outcome.row(row)
    told = json.loads(result.out)
    return result, told, {check["what"]: check for check in told["checks"]}


def check_doctor(outcome):
    text = outcome.row("doctor")
    result, told, checks = doctor_of(outcome, "doctor json")
    assert text.status == 0 == result.status, f"{text}\n{result}"
    assert told["can_trace"], f"{result}"
    assert re.search(r"^Would trace: every descriptor event", text.out.decode(), re.M), f"{text}"
    assert re.search(r"hooks: (tracepoint|function)", checks["programs"]["found"]), f"{result}"
    bad = [check for check in told["checks"] if check["verdict"] != "ok"]
    assert not bad, f"degraded on a kernel that has all: {bad}\n{text}"


def words_of(check):
    return " ".join(check.get(part, "") for part in ("found", "consequence", "remedy"))


def check_no_tracefs(outcome):
    result, told, checks = doctor_of(outcome, "no tracefs")
    assert told["can_trace"] and result.status == 0, f"{result}"
    degraded = [c for c in checks.values() if c["verdict"] == "warn" and "tracefs" in words_of(c)]
    assert degraded and any("mount" in c["remedy"] for c in degraded), f"{result}"
    expect_findings(outcome.row("no tracefs traces"), [("close.double", INFO)])


def check_refused(outcome, row, check, words, said):
    """doctor fails at that check, in these words, and the tracer says so as well."""
    result, told, checks = doctor_of(outcome, row)
    assert result.status == 3 and not told["can_trace"], f"{result}"
    assert checks[check]["verdict"] == "fail", f"{result}"
    assert re.search(words, words_of(checks[check])), f"{result}"
    tracer = outcome.row(row + " traces")
    assert tracer.status == 125, f"{tracer}"
    assert re.search(said, tracer.messages), f"{tracer}"


def check_no_btf(outcome):
    check_refused(outcome, "no btf", "BTF", "CONFIG_DEBUG_INFO_BTF", "BTF")


def check_lockdown(outcome):
    check_refused(outcome, "lockdown", "lockdown", "boot with(out)? lockdown", "lockdown")


def check_too_old(outcome):
    result, told, checks = doctor_of(outcome, "doctor json")
    assert result.status == 3 and not told["can_trace"], f"{result}"
    assert "5.17 or newer" in words_of(checks["kernel"]), f"{result}"
    tracer = outcome.row("traces")
    assert tracer.status == 125, f"{tracer}"
    assert re.search(r"5\.17|doctor", tracer.messages), f"{tracer}"


def check_dmesg(outcome):
    bad = re.compile(rb"WARNING|BUG|Oops|rcu: INFO|general protection|Call Trace|unable to handle")
    log = outcome.row("dmesg").out + outcome.console
    lines = [line.decode("utf-8", "replace") for line in log.splitlines() if bad.search(line)]
    assert not lines, "\n".join(lines) + "\n" + outcome.tail()


def loaded(outcome, hook_set):
    """Of each program of the set: instructions, verified ones, milliseconds."""
    result = outcome.row(hook_set + " loads")
    found = re.findall(r"program (\w+): (\d+) instructions, (\d+) verified, loaded in ([\d.]+) ms", result.messages)
    assert result.status == 0 and found, f"status {result.status}\n{result.messages[-3000:]}"
    return {name: tuple(facts) for name, *facts in found}


def check_loads(outcome, hook_set):
    assert len(loaded(outcome, hook_set)) >= 5, loaded(outcome, hook_set)


def check_guilty(outcome, hook_set):
    expected = [finding for _, findings, sets in GUILTY if hook_set in sets for finding in findings]
    expect_findings(outcome.row(hook_set + " guilty"), expected)


def check_innocent(outcome, hook_set):
    result = outcome.row(hook_set + " innocent")
    expect_findings(result, [])
    assert result.status == 0, f"{result}"


KINDS = {"file", "dir", "chr", "memfd", "pipe", "tcp", "udp", "netlink", "unix", "eventfd", "epoll", "timerfd",
         "signalfd", "inotify", "pidfd"}


def check_kinds(outcome, hook_set):
    result = outcome.row(hook_set + " kinds")
    opened = {r["fdtrace"]["kind"] for r in result.dataset("event") if r["fdtrace"].get("op") == "open"}
    assert not KINDS - opened, f"never seen: {sorted(KINDS - opened)}\n{result}"


def check_exact(outcome, row):
    """No table differs from the kernel's, and no audit had to help but after a loss that was told."""
    result = outcome.row(row)
    verdict = re.search(r"verify: (\d+) tables? compared .*; (\d+) difference", result.messages)
    assert verdict and int(verdict[1]), f"{result}"
    assert verdict[2] == "0" and result.status == 0, f"{result}"
    totals = [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"][-1]
    by = totals["corrections_by"]
    assert not by["filled"] and not by["emptied"], f"{result}"
    assert not totals["lost"] or "skips events" in result.messages, f"{result}"


def check_uring(outcome, hook_set, name):
    expected = patterns.expectations(outcome.row(f"{hook_set} uring {name}").out)
    for one in expected if hook_set == "function" else ():  # it sees the slot, not what the ring was asked for
        one.facts = [fact for fact in one.facts if fact[0] != "shows"]
    patterns.judge(expected, patterns.findings_in(outcome.row(f"{hook_set} found {name}").out))


def cases_of_set(outcome, hook_set):
    yield "all programs load", lambda: check_loads(outcome(), hook_set)
    yield "guilty programs are reported, each for what it did", lambda: check_guilty(outcome(), hook_set)
    yield "innocent programs are silent", lambda: check_innocent(outcome(), hook_set)
    yield "every kind of descriptor is known", lambda: check_kinds(outcome(), hook_set)
    yield "eight racing threads: no difference", lambda: check_exact(outcome(), hook_set + " race")
    yield "a shared table: no difference", lambda: check_exact(outcome(), hook_set + " share")
    yield "vfork with a pidfd: no difference", lambda: check_exact(outcome(), hook_set + " vfork")
    yield "random programs of threads, forks, execs: no difference", \
        lambda: check_exact(outcome(), hook_set + " steps")
    for name, sets in URING.items():
        if hook_set in sets:
            yield f"io_uring {name}", lambda name=name: check_uring(outcome(), hook_set, name)


def cases(outcome):
    yield "doctor finds all there", lambda: check_doctor(outcome())
    for hook_set in SETS:
        for name, function in cases_of_set(outcome, hook_set):
            yield f"{hook_set}: {name}", function
    yield "no tracefs: told, and it traces", lambda: check_no_tracefs(outcome())
    yield "no BTF: told, by doctor and tracer", lambda: check_no_btf(outcome())
    yield "lockdown=confidentiality: told, by doctor and tracer", lambda: check_lockdown(outcome())
    yield "nothing grave in the kernel's log", lambda: check_dmesg(outcome())


def cases_of_too_old(outcome):
    yield "doctor and tracer say what is missing", lambda: check_too_old(outcome())
    yield "nothing grave in the kernel's log", lambda: check_dmesg(outcome())


# --- machines ---

def start(pool, number, one, kernel, text):
    folder = os.path.join(BUILD, "vm", f"machine-{number}")
    initramfs = machine.build(folder, PROGRAMS, text, FILES)
    return pool.submit(machine.boot, kernel.image, initramfs, os.path.join(folder, "console"), one.arguments)


def fetched(one):
    """The machine's kernel, or None with a line that says why there is none."""
    try:
        return kernels.kernel(one.kernel, CACHE)
    except kernels.Missing as why:
        if one.needed:
            raise
        print(f"# left out: {why}", flush=True)
        return None


def title(one, kernel):
    return " ".join(["Linux", kernel.release.removesuffix("-cloud-amd64"), one.arguments]).strip()


def table(outcomes):
    """What the verifiers did: programs by kernels."""
    columns = [(name, hook_set, loaded(outcome, hook_set)) for name, outcome in outcomes for hook_set in SETS]
    names = list(dict.fromkeys(program for *_, found in columns for program in found))
    print("# program: instructions, verified, ms")
    for name, hook_set, found in columns:
        print(f"# {name}, {hook_set} hooks")
        for program in names:
            if program in found:
                print("#   {:24} {:>6} {:>8} {:>8}".format(program, *found[program]), flush=True)


def register(name, found):
    for what, function in found:
        add_case(f"{name}: {what}", function)


def run_machines(pool):
    wanted = os.environ.get("VM_KERNELS", "").split()
    chosen = [m for m in [TOO_OLD, *MACHINES] if not wanted or m.kernel in wanted]
    running = [(one, kernel, start(pool, i, one, kernel, plan_of_too_old() if one is TOO_OLD else plan()))
               for i, (one, kernel) in enumerate((one, fetched(one)) for one in chosen) if kernel]
    outcomes = []
    for one, kernel, future in running:
        outcome, name = future.result(), title(one, kernel)
        if one is TOO_OLD:
            register(name, cases_of_too_old(lambda o=outcome: o))
            continue
        register(name, cases(lambda o=outcome: o))
        outcomes.append((name, outcome))
    return outcomes


def everything():
    with ThreadPoolExecutor(MACHINES_AT_A_TIME) as pool:
        outcomes = run_machines(pool)
    try:
        table(outcomes)
    except AssertionError as why:
        print(f"# no table: {why}".splitlines()[0])
    main()


everything()
