#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the tests, several steps at a time, and ends with the line

    N passed, N failed

Usage: check.py [check | live | valgrind | sanitize | list | STEP...]

check: everything that `make check` promises. live: what needs root and guilty programs.
valgrind, sanitize: the unit tests and the replays under these. list: prints the names of the steps.

A step is one or more TAP programs run by prove, or a command that must succeed. A step prints one
line with its time, and what failed; with V=1, everything. Skips are listed with their reasons; with
CI=true they are failures.

Those that trace what they have started run first, one more than there are processors. Then one at a
time those that trace the whole machine, beside what traces nothing: others' storms would fill their
rings. Those that must have the machine to themselves come last, one after the other.
"""
import concurrent.futures
import contextlib
import functools
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")
VERBOSE = os.environ.get("V") == "1"
PYTHON = "/usr/bin/python3"
CPUS = os.cpu_count() or 1
# JOBS=1: one step at a time, whatever it is. The default is for people, who wait for it.
JOBS = int(os.environ.get("JOBS", "0")) or CPUS + 1
VALGRIND = "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,possible"
ASAN = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
# Why a unit test is not run under valgrind; the sanitizers run all of them.
NOT_UNDER_VALGRIND = {
    "test_launch": "valgrind 3.19 does not support pidfd_open, which waits for a command",
    "test_session": "the same",
    "test_verify": "compares its own descriptors with /proc, which also lists those of valgrind",
    "test_json_sink": "its lines of 40 MB take minutes",
}
# The only list of test programs: steps of `make check`, which can also be run one by one. The longest
# come first, so that none is left to run by itself in the end.

# They trace the whole machine.
WATCHING = {
    "daemon-failures": ["tests/live/daemon_failures.py"],
    "daemon": ["tests/live/daemon.py"],
    "verify": ["tests/live/verify.py"],
    "places": ["tests/stacks/places.py"],
    "long-life": ["tests/fleet/long_life.py"],
    "fleet": ["tests/fleet/fleet.py"],
    "cgroup": ["tests/live/cgroup.py", "tests/live/deploy.py"],
}
# They trace what they have started.
TRACING = {
    "patterns": ["tests/live/patterns.py"],
    "shippers": ["tests/fleet/shippers.py"],
    "run": ["tests/live/run.py"],
    "command": ["tests/live/command.py"],
    "stories": ["tests/stories/run.py"],
    "failures": ["tests/live/failures.py", "tests/live/doctor.py"],
    "load": ["tests/live/load.py"],
    "attach": ["tests/live/attach.py"],
    "stacks": ["tests/stacks/stacks.py"],
    "metrics": ["tests/live/metrics.py", "tests/fleet/prometheus.py"],
    "rates": ["tests/live/rates.py"],
    "details": ["tests/live/details.py"],
    "events": ["tests/live/events.py"],
    "installs": ["tests/live/installs.py"],
    "paths": ["tests/live/paths.py"],
    "property": ["tests/property/property.py"],
    "outputs": ["tests/live/outputs.py"],
}
# They load the whole machine or judge all of it: nothing else may run meanwhile, so they come last.
ALONE = {
    "storms": ["tests/live/storms.py"],
    "budget": ["tests/live/budget.py"],
    "whole-machine": ["tests/live/whole_machine.py", "tests/live/unprivileged.py"],
}
OTHERS = {
    "cost": ["tests/bench/cost.py"],
    "installation": ["tests/packaging/install.py", "tests/packaging/words.py", "tests/packaging/licences.py"],
    "replay": ["tests/replay/replay.py"],
    "structure": ["tests/lib/structure.py"],
}
BESIDE = {**WATCHING, **TRACING, **OTHERS}
STEP_S = 900  # far more than the slowest takes; a step that hangs is killed

passed, failed, skipped = 0, 0, []
closing = threading.Lock()  # the three above, and what is printed
running = set()  # the sessions of steps, by their pids


def environment(extra):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    env.update({"BUILD": BUILD, "CMOCKA_MESSAGE_OUTPUT": "TAP", **extra})
    return env


def execute(argv, extra):
    """The exit status and all output. In a session of its own: the kernel shares the processors among
    sessions, so that a fork bomb in one step leaves the others their part (sched_autogroup)."""
    with subprocess.Popen(argv, cwd=TOP, env=environment(extra), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as child:
        running.add(child.pid)
        try:
            out, _ = child.communicate(timeout=STEP_S)
            late = ""
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, _ = child.communicate()
            late = f"\nkilled after {STEP_S} s\n"
        running.discard(child.pid)
    return 1 if late else child.returncode, out.decode("utf-8", "replace") + late


def close_step(name, good, bad, start, shown):
    global passed, failed
    with closing:
        passed += good
        failed += bad
        print(f"{'ok  ' if not bad else 'FAIL'} {name}: {good} passed, {bad} failed "
              f"({time.monotonic() - start:.0f} s)", flush=True)
        if shown:
            print(shown, flush=True)


def command(name, argv, **extra):
    """A step that is one command. True if it succeeded."""
    start = time.monotonic()
    status, output = execute(argv, extra)
    close_step(name, int(status == 0), int(status != 0), start, output if status or VERBOSE else "")
    return status == 0


RESULT = re.compile(r"^(ok|not ok) \d+(?: - (.*?))?(?: # SKIP (.*))?$", re.M | re.I)


def failures(tap):
    """The failing tests with the diagnosis that follows them."""
    lines, shown = tap.splitlines(), []
    for i, line in enumerate(lines):
        if line.startswith("not ok") and " # SKIP " not in line:
            j = i + 1
            while j < len(lines) and not re.match(r"(not )?ok |1\.\.|\S.*\.\. ?$", lines[j]):
                j += 1
            shown += lines[i:j]
    return shown


def tests(name, files, interpreter="", jobs=1, **extra):
    """TAP programs under prove, `jobs` of them at a time."""
    start = time.monotonic()
    if not files:
        close_step(name, 0, 1, start, "no test programs found")
        return
    how = interpreter if interpreter == PYTHON else f"tests/lib/tap.sh {interpreter}"
    status, output = execute(["prove", "-v", "-j", str(jobs), "-e", how, *files], extra)
    results = RESULT.findall(output)
    skips = [f"{name}: {test + ': ' if test else ''}{why}" for _, test, why in results if why]
    good = sum(1 for result, _, why in results if result == "ok" and not why)
    bad = sum(1 for result, _, why in results if result != "ok" and not why)
    skipped.extend(skips)
    shown = output.splitlines() if VERBOSE else failures(output)
    if (status and not bad) or not results:  # a crash, a wrong plan, an error reported by valgrind or ASan
        bad, shown = 1, shown if VERBOSE else output.splitlines()[-60:]
    close_step(name, good, bad, start, "\n".join(shown))


def make(*words):
    return ["make", "-s", f"-j{CPUS}", *words]


def unit_programs(build):
    return [os.path.join(build, "tests/unit", os.path.basename(c)[:-2])
            for c in sorted(glob.glob(os.path.join(TOP, "tests/unit/test_*.c")))]


# --- groups of steps: what is to be built first is built, and the steps are returned ---

step = functools.partial  # of a function whose first argument is the step's name


def listed_steps(programs):
    return [step(tests, name, files, PYTHON) for name, files in programs.items()]


def check_steps():
    if not command("build with gcc", make(f"B={BUILD}", "CC=gcc", "CFLAGS=-O2 -g -Werror", "all", "unit-programs",
                                          "live-programs", "bench-programs")):
        return []
    return [
        *listed_steps({**WATCHING, **TRACING}),
        # Its warnings do not depend on the optimizer, which takes half of the time.
        step(command, "build with clang", make(f"B={BUILD}-clang", "CC=clang", "CFLAGS=-O0 -Werror", "objects")),
        step(tests, "unit", unit_programs(BUILD)),
        *listed_steps(OTHERS),
        step(command, "purity", make(f"B={BUILD}", "purity")),
        step(command, "format", make("format-check")),
        *([step(command, "vmlinux.h agrees with this kernel", make(f"B={BUILD}", "check-vmlinux"))]
          if os.path.exists("/sys/kernel/btf/vmlinux") else []),
    ]


def live_steps():
    return listed_steps({**WATCHING, **TRACING})


def sanitizer_steps():
    asan = BUILD + "-asan"
    if not command("build with sanitizers", make(f"B={asan}", "CC=gcc", f"SANITIZE={ASAN}", "all", "unit-programs")):
        return []
    recorder = os.path.abspath(os.path.join(TOP, BUILD, "fdtrace"))
    return [step(tests, "replay, sanitizers", ["tests/replay/replay.py"], PYTHON, BUILD=asan, FDTRACE_RECORDER=recorder),
            step(tests, "unit, sanitizers", unit_programs(asan), jobs=CPUS)]


def valgrind_steps():
    """Takes three minutes, and is not part of `make check` to keep that below ten."""
    programs = [p for p in unit_programs(BUILD) if os.path.basename(p) not in NOT_UNDER_VALGRIND]
    return [step(tests, "replay, valgrind", ["tests/replay/replay.py"], PYTHON, REPLAY_WRAPPER=VALGRIND),
            step(tests, "unit, valgrind", programs, VALGRIND, jobs=CPUS)]


GROUPS = {"check": check_steps, "live": live_steps, "valgrind": valgrind_steps, "sanitize": sanitizer_steps}
WITH_ALONE = {"check", "live"}


def end_running():
    for pid in list(running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGINT)


def run_beside(*lanes):
    """Lanes are (steps, how many of them at a time); an error in this file ends the run."""
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(concurrent.futures.ThreadPoolExecutor(width)) for _, width in lanes]
        try:
            started = [pool.submit(one) for pool, (steps, _) in zip(pools, lanes) for one in steps]
            for done in concurrent.futures.as_completed(started):
                done.result()
        except BaseException:
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)
            end_running()  # the pools wait for them
            raise


def of_kind(steps, kind):
    return [one for one in steps if one.args[0] in kind]


def run_steps(names):
    steps, alone = [], {}
    for name in names:
        if name in GROUPS:
            steps += GROUPS[name]()
            alone.update(ALONE if name in WITH_ALONE else {})
        elif name in ALONE:
            alone[name] = ALONE[name]
        else:
            steps += listed_steps({name: BESIDE[name]})
    run_beside((of_kind(steps, TRACING), JOBS))
    quiet = [one for one in steps if one.args[0] not in {**TRACING, **WATCHING}]
    if JOBS == 1:
        run_beside((of_kind(steps, WATCHING) + quiet, 1))
    else:
        run_beside((of_kind(steps, WATCHING), 1), (quiet, CPUS))
    for one in listed_steps(alone):
        one()


def check_names(names):
    known = [*GROUPS, *BESIDE, *ALONE]
    if names == ["list"]:
        print(*known)
        sys.exit(0)
    for name in names:
        if name not in known:
            sys.exit(f"check.py: unknown step '{name}'; the steps are: {' '.join(known)}")


def main():
    global failed
    names = sys.argv[1:] or ["check"]
    check_names(names)
    start = time.monotonic()
    try:
        run_steps(names)
    except KeyboardInterrupt:
        end_running()
        raise
    if os.environ.get("CI") == "true":
        failed += len(skipped)
    if skipped:
        print(f"{len(skipped)} skipped:")
        print("\n".join("  " + line for line in skipped))
    print(f"{time.monotonic() - start:.0f} s in all")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
