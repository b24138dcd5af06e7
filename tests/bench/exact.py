#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How exact the tables are: `make bench-exact` (as root). What they cost: `make bench-capacity`.

Prints figures; fails only where a table differs from the kernel's. EXACT_STRESS_S: seconds of
stress-ng (default 300, 0: none). EXACT_ROUNDS: of the race (default 15,000,000); 0: the stress
alone. EXACT_STRESSORS: which, by name. EXACT_OPTIONS: of the tracer then, e.g. "--set ring.size=1M".
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, Background, attach, program, until

STRESS_S = int(os.environ.get("EXACT_STRESS_S", "300"))
ROUNDS = int(os.environ.get("EXACT_ROUNDS", "15000000"))
STRESSORS = ["close", "dup", "open", "fd-fork", "fd-race", "sockfd", "sockpair", "pipe", "eventfd", "timerfd", "memfd",
             "epoll", "io-uring", "pidfd", "exec", "fork", "vfork", "clone", "unshare", "spawn", "daemon"]
failed = False


def totals(result):
    return [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"][-1]


def report(name, result):
    global failed
    verdict = re.search(r"verify: (\d+) tables? .*; (\d+) difference.*", result.messages)
    run = totals(result)
    differences = int(verdict[2]) if verdict else -1
    failed |= differences != 0
    print(f"{name}: {run['events']:,} events, {run['lost']:,} lost, {run['corrections']:,} corrected by audits; "
          f"{verdict[0] if verdict else 'no verdict'}", flush=True)
    for line in [m for m in result.messages.splitlines() if "verify: pid" in m][:5]:
        print("   ", line)


def race(name, *options):
    with Background([program("race"), str(ROUNDS)]) as fight:
        fight.wait_for(b"up")
        with attach(fight.pid, *options) as tracer:
            fight.say(b"\n")
            fight.wait_for(b"ready", timeout=600)
            result = tracer.interrupt(signal.SIGINT, timeout=120)
        fight.finish()
    report(name, result)


def run_rows(path):
    """The machine's rows of the summaries told so far; a line may be half written."""
    with open(path, "rb") as lines:
        rows = [json.loads(line) for line in lines if line.endswith(b"\n") and b'"scope":"run"' in line]
    return [row["fdtrace"] for row in rows]


def so_far(path):
    """What is counted by now: the second summary from here began after all that came before."""
    known = len(run_rows(path))
    row = until("two more summaries", lambda: run_rows(path)[known + 1:], timeout=300)[-1]
    return {"events": row["events"], "lost": row["lost"], "corrections": row["corrections"], **row["corrections_by"]}


def one_stressor(stressor, seconds, scratch, told):
    before = so_far(told)
    subprocess.run(["stress-ng", "-q", "--" + stressor, "2", "-t", f"{seconds}s", "--temp-path", scratch],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=scratch, check=False)
    after = so_far(told)
    print(f"    {stressor}: " + ", ".join(f"{after[what] - before[what]:,} {what}" for what in after), flush=True)


def stress():
    if not STRESS_S or not shutil.which("stress-ng"):
        print("stress-ng: left out")
        return
    known = subprocess.run(["stress-ng", "--stressors"], capture_output=True, text=True, check=True).stdout.split()
    asked = os.environ.get("EXACT_STRESSORS", "").split() or STRESSORS
    wanted = [s for s in asked if s in known]
    each = max(1, STRESS_S // len(wanted))
    print(f"stress-ng, {each} s each: {' '.join(wanted)}; not in this version: {' '.join(sorted(set(asked) - set(known)))}")
    with tempfile.TemporaryDirectory() as scratch:
        told = os.path.join(scratch, "told.json")  # a file: a pipe that nobody reads meanwhile would hold the tracer up
        with Background([FDTRACE, "-j", "-a", "-i", "1s", "-o", told, "--verify", "--rules", "limit",
                         *os.environ.get("EXACT_OPTIONS", "").split()]) as tracer:
            until("it traces", lambda: os.path.exists(told) and run_rows(told))
            for stressor in wanted:
                one_stressor(stressor, each, scratch, told)
            result = tracer.interrupt(signal.SIGINT, timeout=300)
        with open(told, "rb") as lines:
            result.out = lines.read()
    report("stress-ng, whole machine", result)


def answer(program_, command):
    """Until the program says that it has done what it was told."""
    program_.out = b""
    program_.say(command)
    program_.wait_for(b"\n", timeout=120)


def large(count):
    """A table as large as the hard limit allows, forked and emptied."""
    with Background([program("hold_many"), str(count)]) as many:
        many.wait_for(b"\n")
        held = int(many.out)
        with attach(many.pid, "--verify", "--set", "memory.max=1G", "--set", "ring.size=64M") as tracer:
            answer(many, b"f\n")
            answer(many, b"c\n")
            result = tracer.interrupt(signal.SIGINT, timeout=120)
        many.finish()
    report(f"{held:,} descriptors, forked, then closed", result)


if ROUNDS:
    race("eight threads, a dozen numbers", "--verify")
    large(1000000)
stress()
sys.exit(failed)
