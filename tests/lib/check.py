#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make check`: the tests of the project, one step after the other (`make valgrind`, `make sanitize`:
unit tests and replays once more under these), and a closing line

    N passed, N failed

Each step prints TAP through prove, or is a command that has to succeed. What fails is shown;
the rest is a line a step. Skips are listed with their reasons; with CI=true they fail.
"""
import glob
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")
PYTHON = "/usr/bin/python3"
JOBS = f"-j{os.cpu_count() or 1}"
VALGRIND = "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,possible"
ASAN = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
# Why a unit test is not run under valgrind; the sanitizers run all of them.
NOT_UNDER_VALGRIND = {
    "test_launch": "valgrind 3.19 knows no pidfd_open, by which a command is waited for",
    "test_session": "the same",
    "test_verify": "it compares its own descriptors with /proc, where valgrind's own stand as well",
    "test_json_sink": "lines of 40 MB take minutes there",
}
STEP_S = 420  # no step takes a third of that; one that hangs is ended

passed, failed, skipped = 0, 0, []


def environment(extra):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    env.update({"BUILD": BUILD, "CMOCKA_MESSAGE_OUTPUT": "TAP", **extra})
    return env


def execute(argv, extra):
    """The status and everything that was said."""
    try:
        done = subprocess.run(argv, cwd=TOP, env=environment(extra), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STEP_S, check=False)
    except subprocess.TimeoutExpired as late:
        return 1, (late.stdout or b"").decode("utf-8", "replace") + f"\nno end after {STEP_S} s\n"
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
    """One check: the command succeeds. False if not."""
    start = time.monotonic()
    status, said = execute(argv, extra)
    close_step(name, int(status == 0), int(status != 0), start, said if status else "")
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
        close_step(name, 0, 1, start, "there are no such tests")
        return
    status, said = execute(["prove", "-v", "-j", str(jobs), "-e", interpreter, *files], extra)
    results = RESULT.findall(said)
    skips = [f"{name}: {test + ': ' if test else ''}{why}" for _, test, why in results if why]
    good = sum(1 for result, _, why in results if result == "ok" and not why)
    bad = sum(1 for result, _, why in results if result != "ok" and not why)  # cmocka skips as "not ok # SKIP"
    skipped.extend(skips)
    shown = failures(said)
    if (status and not bad) or not results:  # a crash, a wrong plan, an error that valgrind or ASan told
        bad, shown = 1, said.splitlines()[-60:]
    close_step(name, good, bad, start, "\n".join(shown))


def make(*words):
    return ["make", "-s", JOBS, *words]


def unit_programs(build):
    return [os.path.join(build, "tests/unit", os.path.basename(c)[:-2])
            for c in sorted(glob.glob(os.path.join(TOP, "tests/unit/test_*.c")))]


def steps():
    if not command("build with gcc", make(f"B={BUILD}", "CC=gcc", "CFLAGS=-O2 -g -Werror", "all", "unit-programs",
                                          "live-programs", "bench-programs")):
        return
    clang = BUILD + "-clang"
    command("build with clang", make(f"B={clang}", "CC=clang", "CFLAGS=-O2 -g -Werror", "objects"))
    command("format", make("format-check"))
    command("the core is pure", make(f"B={BUILD}", "purity"))
    if os.path.exists("/sys/kernel/btf/vmlinux"):
        command("vmlinux.h agrees with this kernel", make(f"B={BUILD}", "check-vmlinux"))
    tests("installation", ["tests/packaging/install.py", "tests/packaging/words.py", "tests/packaging/licences.py"],
          PYTHON)
    tests("unit", unit_programs(BUILD))
    tests("cost", ["tests/bench/cost.py"], PYTHON)
    tests("live", ["tests/live/run.py"], PYTHON)
    tests("patterns", ["tests/live/patterns.py"], PYTHON)
    tests("attach", ["tests/live/attach.py"], PYTHON)
    tests("verify", ["tests/live/verify.py"], PYTHON)
    tests("details", ["tests/live/details.py"], PYTHON)
    tests("rates", ["tests/live/rates.py"], PYTHON)
    tests("budget", ["tests/live/budget.py"], PYTHON)
    tests("events", ["tests/live/events.py"], PYTHON)
    tests("outputs", ["tests/live/outputs.py"], PYTHON)
    tests("metrics", ["tests/live/metrics.py", "tests/fleet/prometheus.py"], PYTHON)
    tests("where", ["tests/live/where.py", "tests/live/deploy.py"], PYTHON)
    tests("stacks", ["tests/stacks/stacks.py", "tests/stacks/places.py"], PYTHON)
    tests("property", ["tests/property/property.py"], PYTHON)
    tests("bad days", ["tests/live/bad_days.py", "tests/live/doctor.py"], PYTHON)
    tests("hard days", ["tests/live/hard_days.py"], PYTHON)
    tests("daemon", ["tests/live/daemon.py"], PYTHON)
    tests("long life", ["tests/fleet/long_life.py"], PYTHON)
    tests("daemon's bad days", ["tests/live/daemon_days.py"], PYTHON)
    tests("stories", ["tests/stories/run.py"], PYTHON)
    tests("fleet", ["tests/fleet/shippers.py", "tests/fleet/fleet.py"], PYTHON)
    tests("replay", ["tests/replay/replay.py"], PYTHON)


def sanitizer_steps():
    asan = BUILD + "-asan"
    if not command("build with sanitizers", make(f"B={asan}", "CC=gcc", f"SANITIZE={ASAN}", "all", "unit-programs")):
        return
    recorder = os.path.abspath(os.path.join(TOP, BUILD, "fdtrace"))
    tests("unit, sanitizers", unit_programs(asan), jobs=os.cpu_count() or 1)
    tests("replay, sanitizers", ["tests/replay/replay.py"], PYTHON, BUILD=asan, FDTRACE_RECORDER=recorder)


def valgrind_steps():
    """Three minutes of their own: `make check` stays below ten without them."""
    tests("unit, valgrind", [p for p in unit_programs(BUILD) if os.path.basename(p) not in NOT_UNDER_VALGRIND],
          VALGRIND, jobs=os.cpu_count() or 1)
    tests("replay, valgrind", ["tests/replay/replay.py"], PYTHON, REPLAY_WRAPPER=VALGRIND)


def main():
    global failed
    {"valgrind": valgrind_steps, "sanitize": sanitizer_steps, "check": steps}[(sys.argv[1:] or ["check"])[0]]()
    if os.environ.get("CI") == "true":
        failed += len(skipped)
    if skipped:
        print(f"{len(skipped)} skipped:")
        print("\n".join("  " + line for line in skipped))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
