#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a stack costs, in time and memory: `make bench-stacks` (as root).

Prints figures; fails only where no stacks were taken. Times are CPU time of the thread that makes
the calls, so they stand a busy machine, as far as caches do. The ways of tracing take turns and
one process makes all calls; each figure is the best of the medians of STACKS_ROUNDS rounds
(default 3) of STACKS_MS milliseconds (default 60). STACKS_ONLY: which parts, by name. Whoever else
traces the machine meanwhile is in all of the figures; "nobody" tells.
"""
import os
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, PYTHON, Background, attach

ROUNDS = int(os.environ.get("STACKS_ROUNDS", "3"))
MS = int(os.environ.get("STACKS_MS", "60"))
ONLY = os.environ.get("STACKS_ONLY", "native python memory throughput").split()
CALLS = os.path.join(BUILD, "tests", "bench", "calls_cost")
DEPTHS = (1, 15, 43)
QUIET = ["-vv", "--rules", "limit", "--set", "stacks.budget=100%", "--set", "ring.size=64M"]
PYTHON_CALLS = """
import os, sys, time
def run(ms, dup):
    blocks, begin = [], time.thread_time_ns()
    while time.thread_time_ns() - begin < ms * 1000000:
        start = time.thread_time_ns()
        for _ in range(100):
            os.close(os.dup(0) if dup else os.open("/dev/null", os.O_RDONLY))
        blocks.append((time.thread_time_ns() - start) / 100)
    return f"{sorted(blocks)[len(blocks) // 2]:.1f} {len(blocks) * 100}"
def down(levels, ms, dup):
    return down(levels - 1, ms, dup) if levels else run(ms, dup)
for line in sys.stdin:
    calls, frames, ms = line.split()
    print(down(int(frames) - 3, int(ms), calls == "w4"), flush=True)
"""
failed = False


def answer(child, line):
    child.out = b""
    child.say(line.encode() + b"\n")
    child.wait_for(b"\n", timeout=120)
    return [float(word) for word in child.out.split()]


COUNTED = re.compile(r"stacks: (?P<taken>\d+) taken \((?P<frames>\d+) frames, (?P<walk_ns>\d+) ns\), (?P<told>\d+) told, "
                     r"(?P<skipped>\d+) skipped, (?P<lost>\d+) lost; (?P<resolved>\d+) resolved \((?P<resolve_ns>\d+) ns\), "
                     r"(?P<copies>\d+) copies, (?P<codes>\d+) codes; tables (?P<tables>\d+) of")


def counted(result):
    """What fdtrace says at its end of the stacks it took."""
    told = COUNTED.search(result.messages)
    assert told, f"nothing about stacks\n{result.messages}"
    return {what: int(number) for what, number in told.groupdict().items()}


def totals(result):
    return [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"][-1]


def measure(worker, other, ways, shapes):
    """({(way, shape): best median ns}, {way: counters of its last run})"""
    best, counters = {}, {}
    for _ in range(ROUNDS):
        for way, (whom, options) in ways.items():
            pid = {"worker": worker.pid, "other": other.pid}.get(whom)
            tracer = attach(pid, *QUIET, *options) if pid else None
            try:
                for shape in shapes:
                    ns = answer(worker, f"{shape[0]} {shape[1]} {MS}")[0]
                    best[way, shape] = min(ns, best.get((way, shape), ns))
                if tracer:
                    result = tracer.interrupt(signal.SIGINT)
                    if COUNTED.search(result.messages):
                        counters[way] = counted(result)
            finally:
                if tracer:
                    tracer.__exit__()
    return best, counters


def table(title, ways, shapes, best):
    print(f"\n{title}: CPU ns a pair (in brackets: an event, more than with --stacks=off)")
    print(" " * 26 + "".join(f"{calls}/{frames:<2}".rjust(18) for calls, frames in shapes))
    for way in ways:
        row = f"{way:26}"
        for shape in shapes:
            cell = f"{best[way, shape]:,.0f}"
            if ways[way][0] == "worker" and way != "off":
                cell += f" ({(best[way, shape] - best['off', shape]) / 2:+,.0f})"
            row += cell.rjust(18)
        print(row, flush=True)


def walks(counters):
    global failed
    for way, c in counters.items():
        failed |= c["taken"] == 0 and not way.startswith("bystander")
        if c["taken"]:
            print(f"    {way}: {c['taken']:,} stacks of {c['frames'] / c['taken']:.1f} frames, {c['walk_ns'] / c['taken']:.0f} ns "
                  f"each by the walkers' own clock; {c['told']} told, {c['skipped']} skipped, {c['lost']} lost, {c['copies']} "
                  f"copies, {c['codes']} codes, {c['tables'] / 2**20:.1f} MiB of tables; "
                  f"{c['resolve_ns'] / max(1, c['resolved']) / 1e3:.0f} us to put one into words", flush=True)


def native():
    ways = {"nobody": (None, []),
            "off": ("worker", ["--stacks=off"]),
            "auto": ("worker", ["--stacks=auto"]),
            "bystander, off": ("other", ["--stacks=off"]),
            "bystander, auto": ("other", ["--stacks=auto"])}
    shapes = [(calls, depth) for calls in ("w1", "w4") for depth in DEPTHS]
    with Background([CALLS]) as worker, Background([CALLS]) as other:
        best, counters = measure(worker, other, ways, shapes)
    table("native frames", ways, shapes, best)
    walks(counters)


def python():
    ways = {"nobody": (None, []), "off": ("worker", ["--stacks=off"])}
    ways.update({mode: ("worker", [f"--stacks={mode}"]) for mode in ("native", "python", "auto")})
    shapes = [("w1", 15), ("w4", 15)]
    with Background([PYTHON, "-c", PYTHON_CALLS]) as worker:
        answer(worker, "w1 15 1")
        best, counters = measure(worker, worker, ways, shapes)
    table("Debian's Python, 15 Python frames", ways, shapes, best)
    walks(counters)


def memory_kib(pid, what):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(rf"{what}:\s+(\d+)", status.read())[1])


def sites(depth, *options):
    with Background([CALLS]) as worker:
        answer(worker, "sites 4 0")
        with attach(worker.pid, *QUIET, *options) as tracer:
            answer(worker, "sites 4 0")
            before = memory_kib(tracer.pid, "VmRSS")
            start = time.monotonic()
            count = answer(worker, f"sites {depth} 0")[0]
            time.sleep(1)  # for a figure: what has been told is in words by then
            after, took = memory_kib(tracer.pid, "VmRSS"), time.monotonic() - start
            result = tracer.interrupt(signal.SIGINT)
    return count, after - before, took, totals(result), result


def memory():
    print()
    small = sites(4)[3]["memory_bytes"]
    count, rss_kib, _, run, result = sites(14)
    c = counted(result)
    each = 10000 / max(1, c["resolved"])
    print(f"{count:,.0f} places of {c['frames'] / c['taken']:.0f} frames, two events each: {c['told']:,} told, {c['lost']:,} lost, "
          f"{c['resolved']:,} resolved; fdtrace's RSS grew by {rss_kib / 1024 * each:.1f} MiB for 10,000 sites, the engine's "
          f"tables by {(run['memory_bytes'] - small) * each / 2**20:.1f} MiB; {c['resolve_ns'] / max(1, c['resolved']) / 1e3:.1f} us "
          f"to put one into words; {run['lost']:,} events lost")


def throughput():
    print()
    for calls in ("w1", "w4"):
        for mode in ("off", "auto"):
            with Background([CALLS]) as worker, attach(worker.pid, *QUIET, f"--stacks={mode}") as tracer:
                start = time.monotonic()
                pairs = answer(worker, f"{calls} 15 1000")[1]
                took = time.monotonic() - start
                run = totals(tracer.interrupt(signal.SIGINT))
            print(f"{calls} at 15 frames, --stacks={mode}: {2 * pairs / took:,.0f} events/s by the clock on the wall, "
                  f"{run['lost']:,} of {run['events']:,} lost", flush=True)


for part in ONLY:
    {"native": native, "python": python, "memory": memory, "throughput": throughput}[part]()
sys.exit(failed)
