#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What it costs a call that a rule wants to be told of it, and an open that the path is taken: `make bench-wanted` (as root).

Prints, for each kind of call, the nanoseconds without a tracer, and what is added with one that
does not want it and one that does. Without stacks (--stacks=off): those have a budget and a
bench of their own. Medians of ROUNDS rounds; the machine's noise is some 20 ns.
"""
import os
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, Background, attach

ROUNDS = int(os.environ.get("WANTED_ROUNDS", "3"))
MS = 100
CALLS = ["getppid", "write", "w4", "w1", "again", "paths", "lock", "mod", "foreign", "mark"]
WANTED = {"nothing": "limit", "locks": "close.lock", "registrations": "epoll", "marks": "exec", "stale uses": "use.stale",
          "paths": "limit", "paths, all": "limit"}
NAMES = {"paths": "10000", "paths, all": "1000000"}  # names.rate; 0: no path is taken


def cost(target, calls):
    target.out = b""
    target.say(f"{calls} 1 {MS}\n".encode())
    target.wait_for(b"\n")
    return float(target.out.split()[0])


def costs(target):
    return {calls: statistics.median(cost(target, calls) for _ in range(ROUNDS)) for calls in CALLS}


def main():
    with Background([os.path.join(BUILD, "tests", "bench", "calls_cost")]) as target:
        bare = costs(target)
        print(f"{'added, ns':>15}" + "".join(f"{c:>10}" for c in CALLS))
        print(f"{'(untraced)':>15}" + "".join(f"{bare[c]:10.0f}" for c in CALLS), flush=True)
        for name, rules in WANTED.items():
            rate = "names.rate=" + NAMES.get(name, "0")
            with attach(target.pid, "--stacks=off", "--set", rate, "--rules=" + rules) as tracer:
                row = costs(target)
                tracer.interrupt()
            print(f"{name:>15}" + "".join(f"{row[c] - bare[c]:10.0f}" for c in CALLS), flush=True)


main()
