#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the tests, one step after the other, and ends with the line

    N passed, N failed

Usage: check.py [check | live | valgrind | sanitize | list | STEP...]

check: everything that `make check` promises. live: what needs root and guilty programs.
valgrind, sanitize: the unit tests and the replays under these. list: prints the names of the steps.

A step is one or more TAP programs run by prove, or a command that must succeed. A step prints one
line with its time, and what failed; with V=1, everything. Skips are listed with their reasons; with
CI=true they are failures.
"""
import glob
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")
VERBOSE = os.environ.get("V") == "1"
PYTHON = "/usr/bin/python3"
JOBS = f"-j{os.cpu_count() or 1}"
VALGRIND = "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,possible"
ASAN = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
# Why a unit test is not run under valgrind; the sanitizers run all of them.
NOT_UNDER_VALGRIND = {
    "test_launch": "valgrind 3.19 does not support pidfd_open, which waits for a command",
    "test_session": "the same",
    "test_verify": "compares its own descriptors with /proc, which also lists those of valgrind",
    "test_json_sink": "its lines of 40 MB take minutes",
}
# The only list of test programs: steps of `make check`, which can also be run one by one.
LIVE = {
    "run": ["tests/live/run.py"],
    "patterns": ["tests/live/patterns.py"],
    "attach": ["tests/live/attach.py"],
    "verify": ["tests/live/verify.py", "tests/live/installs.py"],
    "details": ["tests/live/details.py"],
    "rates": ["tests/live/rates.py"],
    "budget": ["tests/live/budget.py"],
    "events": ["tests/live/events.py"],
    "outputs": ["tests/live/outputs.py"],
    "metrics": ["tests/live/metrics.py", "tests/fleet/prometheus.py"],
    "cgroup": ["tests/live/cgroup.py", "tests/live/deploy.py"],
    "stacks": ["tests/stacks/stacks.py", "tests/stacks/places.py"],
    "failures": ["tests/live/failures.py", "tests/live/doctor.py"],
    "load": ["tests/live/load.py"],
    "daemon": ["tests/live/daemon.py"],
    "long-life": ["tests/fleet/long_life.py"],
    "daemon-failures": ["tests/live/daemon_failures.py"],
    "stories": ["tests/stories/run.py"],
}
STRUCTURE = ["tests/lib/structure.py"]
OTHERS = {
    "installation": ["tests/packaging/install.py", "tests/packaging/words.py", "tests/packaging/licences.py"],
    "cost": ["tests/bench/cost.py"],
    "replay": ["tests/replay/replay.py"],
    "property": ["tests/property/property.py"],
    "fleet": ["tests/fleet/shippers.py", "tests/fleet/fleet.py"],
}
STEP_S = 420  # three times what the slowest step takes; a step that hangs is killed

passed, failed, skipped = 0, 0, []


def environment(extra):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    env.update({"BUILD": BUILD, "CMOCKA_MESSAGE_OUTPUT": "TAP", **extra})
    return env


def execute(argv, extra):
    """The exit status and all output."""
    try:
        done = subprocess.run(argv, cwd=TOP, env=environment(extra), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STEP_S, check=False)
    except subprocess.TimeoutExpired as late:
        return 1, (late.stdout or b"").decode("utf-8", "replace") + f"\nkilled after {STEP_S} s\n"
    return done.returncode, done.stdout.decode("utf-8", "replace")


def close_step(name, good, bad, start, shown):
    global passed, failed
    passed += good
    failed += bad
    print(f"{'ok  ' if not bad else 'FAIL'} {name}: {good} passed, {bad} failed ({time.monotonic() - start:.0f} s)",
          flush=True)
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
    status, output = execute(["prove", "-v", "-j", str(jobs), "-e", interpreter, *files], extra)
    results = RESULT.findall(output)
    skips = [f"{name}: {test + ': ' if test else ''}{why}" for _, test, why in results if why]
    good = sum(1 for result, _, why in results if result == "ok" and not why)
    bad = sum(1 for result, _, why in results if result != "ok" and not why)  # cmocka skips as "not ok # SKIP"
    skipped.extend(skips)
    shown = output.splitlines() if VERBOSE else failures(output)
    if (status and not bad) or not results:  # a crash, a wrong plan, an error reported by valgrind or ASan
        bad, shown = 1, shown if VERBOSE else output.splitlines()[-60:]
    close_step(name, good, bad, start, "\n".join(shown))


def make(*words):
    return ["make", "-s", JOBS, *words]


def unit_programs(build):
    return [os.path.join(build, "tests/unit", os.path.basename(c)[:-2])
            for c in sorted(glob.glob(os.path.join(TOP, "tests/unit/test_*.c")))]


def check_steps():
    if not command("build with gcc", make(f"B={BUILD}", "CC=gcc", "CFLAGS=-O2 -g -Werror", "all", "unit-programs",
                                          "live-programs", "bench-programs")):
        return
    clang = BUILD + "-clang"
    command("build with clang", make(f"B={clang}", "CC=clang", "CFLAGS=-O2 -g -Werror", "objects"))
    command("format", make("format-check"))
    tests("structure", STRUCTURE, PYTHON)
    command("purity", make(f"B={BUILD}", "purity"))
    if os.path.exists("/sys/kernel/btf/vmlinux"):
        command("vmlinux.h agrees with this kernel", make(f"B={BUILD}", "check-vmlinux"))
    tests("unit", unit_programs(BUILD))
    for name, files in {**OTHERS, **LIVE}.items():
        tests(name, files, PYTHON)


def live_steps():
    for name, files in LIVE.items():
        tests(name, files, PYTHON)


def sanitizer_steps():
    asan = BUILD + "-asan"
    if not command("build with sanitizers", make(f"B={asan}", "CC=gcc", f"SANITIZE={ASAN}", "all", "unit-programs")):
        return
    recorder = os.path.abspath(os.path.join(TOP, BUILD, "fdtrace"))
    tests("unit, sanitizers", unit_programs(asan), jobs=os.cpu_count() or 1)
    tests("replay, sanitizers", ["tests/replay/replay.py"], PYTHON, BUILD=asan, FDTRACE_RECORDER=recorder)


def valgrind_steps():
    """Takes three minutes, and is not part of `make check` to keep that below ten."""
    tests("unit, valgrind", [p for p in unit_programs(BUILD) if os.path.basename(p) not in NOT_UNDER_VALGRIND],
          VALGRIND, jobs=os.cpu_count() or 1)
    tests("replay, valgrind", ["tests/replay/replay.py"], PYTHON, REPLAY_WRAPPER=VALGRIND)


GROUPS = {"check": check_steps, "live": live_steps, "valgrind": valgrind_steps, "sanitize": sanitizer_steps}


def run_steps(names):
    known = {"structure": STRUCTURE, **LIVE, **OTHERS}
    for name in names:
        if name not in GROUPS and name not in known:
            sys.exit(f"check.py: unknown step '{name}'; the steps are: {' '.join([*GROUPS, *known])}")
    for name in names:
        if name in GROUPS:
            GROUPS[name]()
        else:
            tests(name, known[name], PYTHON)


def main():
    global failed
    if sys.argv[1:] == ["list"]:
        print(*GROUPS, "structure", *OTHERS, *LIVE)
        return
    start = time.monotonic()
    run_steps(sys.argv[1:] or ["check"])
    if os.environ.get("CI") == "true":
        failed += len(skipped)
    if skipped:
        print(f"{len(skipped)} skipped:")
        print("\n".join("  " + line for line in skipped))
    print(f"{time.monotonic() - start:.0f} s in all")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
