#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What an event costs the engine, and how that grows with the work: `make bench-engine` (no root needed).

The engine is fed made-up streams (tests/bench/stream.h). Times are CPU time of the process. Fails where the
engine refused memory or knows something else in the end than the stream told. What costs worse than in
proportion is flagged; so is a tick that gets longer with what it looks over, for ticks come ten times a second.
"""
import json
import math
import os
import resource
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from report import BUILD, Report

ENGINE = os.path.join(BUILD, "tests", "bench", "engine")
FDTRACE = os.path.join(BUILD, "fdtrace")
REPEATS = 3  # the smallest is taken: noise only adds
MIX = {"descriptors": 200, "processes": 50, "threads": 4, "sites": 200, "rounds": 400_000}


def run(scenario, **counts):
    """The fastest of a few runs."""
    argv = [ENGINE, scenario, *(f"{key}={value}" for key, value in counts.items())]
    rows = [json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout) for _ in range(REPEATS)]
    return min(rows, key=lambda row: row["ns"])


def expect(row, **known):
    for what, value in known.items():
        assert row[what] == value, f"{row['scenario']}: {row[what]:,} {what} in the end, not {value:,}"
    assert not row["corrections"], f"{row['scenario']}: an audit had to correct {row['corrections']} slots"


# --- shapes ---

def slope(points):
    """Of log(cost) over log(size), by least squares: 0 is constant, 1 in proportion."""
    xs, ys = [math.log(size) for size, _ in points], [math.log(max(cost, 1e-9)) for _, cost in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


def shape(points):
    """In words, by the larger sizes: what grows slowly at first is hidden behind fixed costs."""
    steep = max(slope(points[len(points) // 2 - 1:]), slope(points[-2:]))
    word = ("constant" if steep < 0.15 else "logarithmic, or caches" if steep < 0.5 else
            "linear" if steep < 1.2 else "worse than linear")
    return word, steep


def curve(report, section, unit, points, linear_is_bad=True):
    """Prints each point and the shape. points: (size, what it is called, cost of one)."""
    for _, what, cost in points:
        report.figure(section, what, unit, cost)
    word, steep = shape([(size, cost) for size, _, cost in points])
    flag = ""
    if word == "worse than linear" or (word == "linear" and linear_is_bad):
        flag = "  <-- worse than in proportion, in total" if linear_is_bad else "  <-- grows worse than what it looks over"
    elif word == "linear":
        flag = "  (in proportion to what it looks over)"
    print(f"{section:>14}  = {word}: a slope of {steep:.2f} on log-log{flag}", flush=True)
    report.rows[-1]["shape"] = {"word": word, "slope": round(steep, 3), "flagged": flag.startswith("  <--")}
    return flag.startswith("  <--")


# --- the curves ---

def by_descriptors(report, sizes):
    fill, churn, memory = [], [], []
    for n in sizes:
        row = run("fill", descriptors=n, sites=10)
        expect(row, descriptors=n + 3)
        fill.append((n, f"open, {n:,} descriptors", row["ns"] / row["events"]))
        memory.append((n, f"memory of one of {n:,}", (row["bytes_after"] - row["bytes_before"]) / n))
        row = run("churn", descriptors=n, sites=10, rounds=200_000)
        expect(row, descriptors=n + 3)
        churn.append((n, f"close or open, {n:,} descriptors", row["ns"] / row["events"]))
    return (curve(report, "descriptors", "ns/event", fill) + curve(report, "descriptors", "ns/event", churn) +
            curve(report, "descriptors", "bytes", memory))


def by_processes(report, sizes):
    churn, lives, memory = [], [], []
    for n in sizes:
        counts = {"processes": n, "descriptors": 4, "sites": 10}
        row = run("churn", rounds=max(200_000, 2 * n), **counts)
        expect(row, descriptors=7 * n, processes=n)
        churn.append((n, f"close or open, {n:,} processes", row["ns"] / row["events"]))
        memory.append((n, f"memory of one of {n:,}", row["bytes_before"] / n))
        row = run("lives", rounds=20_000, **counts)
        expect(row, descriptors=7 * n, processes=n)
        lives.append((n, f"fork, exec, 4 uses, exit beside {n:,}", row["ns"] / row["events"]))
    return (curve(report, "processes", "ns/event", churn) + curve(report, "processes", "ns/event", lives) +
            curve(report, "processes", "bytes", memory))


def by_sites(report, sizes):
    churn, memory = [], []
    for n in sizes:
        row = run("churn", sites=n, descriptors=20_000, rounds=200_000)
        expect(row, stacks=2 * n, descriptors=20_003)
        churn.append((n, f"close or open, at {n:,} sites each", row["ns"] / row["events"]))
        memory.append((n, row["bytes_before"]))
    base = memory[0][1]
    per_site = [(n, f"memory of one of {2 * n:,} (stack of 12)", (size - base) / (2 * (n - 1))) for n, size in memory if n > 1]
    return curve(report, "sites", "ns/event", churn) + curve(report, "sites", "bytes", per_site)


def by_threads(report, sizes):
    points = []
    for n in sizes:
        row = run("churn", threads=n, descriptors=1_000, sites=10, rounds=200_000)
        expect(row, tasks=n, descriptors=1_003)
        points.append((n, f"close or open, {n} threads of one table", row["ns"] / row["events"]))
    return curve(report, "threads", "ns/event", points)


def fork(report, sizes):
    points, memory = [], []
    for n in sizes:
        row = run("fork", descriptors=n, sites=10)
        expect(row, descriptors=2 * (n + 3), processes=2)
        points.append((n, f"a copy of {n:,}", row["ns"] / n))
        memory.append((n, f"memory of one of {n:,}", (row["bytes_after"] - row["bytes_before"]) / n))
        if n == 100_000:
            report.figure("fork", f"fork with {n:,} descriptors", "ms", row["ns"] / 1e6)
            report.figure("fork", f"fork with {n:,} descriptors", "MiB", (row["bytes_after"] - row["bytes_before"]) / 2**20)
    return curve(report, "fork", "ns/descriptor", points) + curve(report, "fork", "bytes", memory)


def audit(report, descriptors, processes):
    tables, people = [], []
    for n in descriptors:
        row = run("audit", descriptors=n, sites=10)
        expect(row, descriptors=n + 3)
        tables.append((n, f"one table of {n:,}", row["ns"] / n))
    for n in processes:
        row = run("audit", processes=n, descriptors=4, sites=10)
        expect(row, processes=n)
        people.append((n, f"{n:,} processes", row["ns"] / n))
    return curve(report, "audit", "ns/descriptor", tables) + curve(report, "audit", "ns/process", people)


def ticks(report, key, sizes):
    points, worst = [], []
    for n in sizes:
        row = run("ticks", **{"descriptors": 4, "sites": 10, "rounds": 1200, key: n})
        expect(row, **{key: n + 3 if key == "descriptors" else n})
        points.append((n, f"{n:,} {key}, mean of 1,200", row["ns"] / row["events"]))
        worst.append((n, f"{n:,} {key}, the longest of 1,200", row["worst_ns"]))
    return (curve(report, "tick", "ns/tick", points, linear_is_bad=False) +
            curve(report, "tick", "ns/tick", worst, linear_is_bad=False))


def bad_moments(report, processes, descriptors):
    """What comes all at once."""
    vanish, inherit, full = [], [], []
    for n in processes:
        row = run("vanish", processes=n, descriptors=4, sites=10)
        expect(row, processes=1)
        vanish.append((n, f"{n:,} processes ended unseen", row["ns"] / n))
        row = run("inherit", processes=n, descriptors=4, sites=10)
        expect(row, processes=n)
        inherit.append((n, f"{n:,} images judged in one tick", row["ns"] / n))
    for n in descriptors:
        row = run("full", descriptors=n, sites=10, rounds=100_000)
        full.append((n, f"EMFILE in a table of {n:,}", row["ns"] / row["events"]))
    return (curve(report, "at once", "ns/process", vanish) + curve(report, "at once", "ns/process", inherit) +
            curve(report, "at once", "ns/event", full))


# --- a recording ---

def replay(report):
    """The same stream through the engine alone, and as a recording through the whole program."""
    row = run("mix", **MIX)
    report.figure("recording", "engine alone", "events/s", row["events"] / row["ns"] * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stream")
        made = json.loads(subprocess.run([ENGINE, f"record={path}", "mix", *(f"{k}={v}" for k, v in MIX.items())],
                                         stdout=subprocess.PIPE, check=True).stdout)["events"]
        times = []
        for _ in range(REPEATS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([FDTRACE, "replay", "-j", "--set", "memory.max=8G", path], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime - before.ru_utime)
        total = [json.loads(line)["fdtrace"] for line in done.stdout.splitlines() if b'"scope":"run"' in line][-1]
    assert not total.get("refused") and not total["lost"] and not total["corrections"], f"not all was taken: {total}"
    report.figure("recording", f"fdtrace replay of {made:,} events, user CPU", "ms/1 M events",
                  [seconds * 1e9 / made for seconds in times])


def main():
    with Report("engine") as report:
        replay(report)
        bad = by_descriptors(report, [10, 100, 1_000, 10_000, 100_000, 1_000_000])
        bad += by_processes(report, [1, 10, 100, 1_000, 10_000, 100_000])
        bad += by_sites(report, [1, 10, 100, 1_000, 10_000])
        bad += by_threads(report, [1, 2, 4, 8, 16, 32, 64])
        bad += fork(report, [10, 100, 1_000, 10_000, 100_000])
        bad += audit(report, [10, 1_000, 100_000, 1_000_000], [1, 100, 10_000, 100_000])
        bad += ticks(report, "descriptors", [10, 1_000, 100_000, 1_000_000])
        bad += ticks(report, "processes", [1, 100, 1_000, 10_000, 100_000])
        bad += bad_moments(report, [100, 1_000, 10_000, 60_000], [10, 1_000, 100_000, 1_000_000])
        print(f"{bad} curve{'' if bad == 1 else 's'} flagged")


main()
