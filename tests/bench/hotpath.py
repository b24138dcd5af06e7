#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What each decision about the hot path is worth: `make bench-hotpath` (as root).

Prints what each variant of tests/bench/hotpath.bpf.c adds to a call or to a pair of dup and close,
and how far that is from the reference: exit of calls only, direct loads, no hash, coarse clock,
self-counted wakeups, filter by bitmap. HOTPATH_ROUNDS (15) and HOTPATH_MS (5, for each
measurement) make it longer; arguments are the names of the only variants to measure.
"""
import collections
import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
from report import BUILD, Report, quartiles

ROUNDS = os.environ.get("HOTPATH_ROUNDS", "15")
MS = os.environ.get("HOTPATH_MS", "5")
NOISE = 0.04  # of a call without hooks; what a foreign hook adds is three times that
SECTIONS = {"pair": "traced pair", "getppid": "bystander", "read": "read", "pair_untraced": "untraced pair"}
MIXES = {"pair": 0, "mix_1": 1, "mix_3": 3, "mix_10": 10, "mix_100": 100}  # other calls after each of dup and close
MIXED = [("reference", "classic_set"), ("product", "product_set")]  # all calls against the set
WHAT = {
    "empty": "empty program, exit only: the floor",
    "reference": "reference",
    "probe_read": "the file by probe_read",
    "hash_state": "a hash of descriptors kept",
    "clock": "the clock read for each event",
    "wakeup_each": "wakeups left to the ring",
    "enter_empty": "an empty program on enter",
    "enter_hash": "arguments saved on enter, in a hash",
    "enter_task": "arguments saved on enter, with the task",
    "filter_hash": "filter: hash by tgid",
    "first_bitmap": "filter first, bitmap",
    "first_hash": "filter first, hash by tgid",
    "classic_raw_empty": "empty, tp/raw_syscalls/sys_exit",
    "classic_raw": "tp/raw_syscalls/sys_exit",
    "classic_rare": "one empty tp/syscalls, on a rare call",
    "classic_set": "the set of tp/syscalls",
    "product": "fdtrace",
    "product_unmeasured": "fdtrace without MEASURED()",
    "product_measuring": "fdtrace, while its cost is sampled",
    "product_classic": "fdtrace on tp/raw_syscalls/sys_exit",
    "product_set": "fdtrace on the set of tp/syscalls",
}


class Samples:
    """What tests/bench/hotpath printed."""

    def __init__(self, lines):
        self.base, self.added = collections.defaultdict(list), collections.defaultdict(dict)
        self.attach, self.lost, self.disturbed = collections.defaultdict(list), collections.Counter(), 0
        self.left_out = 0
        rows = []
        for kind, *words in map(str.split, lines):
            if kind == "sample":
                rows.append((int(words[0]), words[1], words[2], float(words[3]), float(words[4])))
            elif kind == "attach":
                self.attach[words[0]].append([float(w) for w in words[1:]])
            elif kind == "lost":
                self.lost[words[0]] += int(words[1])
            elif kind == "disturbed":
                self.disturbed = int(words[0])
        self.keep_quiet(rows)

    def keep_quiet(self, rows):
        """Where the calls alone took longer than they do, somebody else had hooks that could not be seen."""
        base = collections.defaultdict(list)
        for _, _, workload, without, _ in rows:
            base[workload].append(without)
        usual = {w: sorted(ns)[len(ns) // 20] for w, ns in base.items()}
        for number, variant, workload, without, with_it in rows:
            if without > usual[workload] * (1 + NOISE):
                self.left_out += 1
                continue
            self.base[workload].append(without)
            self.added[variant, workload][number] = with_it - without

    def of(self, variant, workload):
        return list(self.added[variant, workload].values()) if (variant, workload) in self.added else []


def run():
    argv = [os.path.join(BUILD, "tests", "bench", "hotpath"), ROUNDS, MS, *sys.argv[1:]]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as bench:
        samples = Samples(bench.stdout)
    if bench.returncode:
        sys.exit(bench.returncode)
    return samples


def against_reference(samples, variant, workload):
    """Round by round: what changes in the machine over time changes both."""
    reference, own = samples.added.get(("reference", workload), {}), samples.added[variant, workload]
    differences = [own[n] - reference[n] for n in own if n in reference]
    if variant == "reference" or not differences:
        return ""
    low, middle, high = quartiles(differences)
    return f"{middle:+.1f} [{low:+.1f} .. {high:+.1f}] to the reference"


def added(report, samples):
    for workload, section in SECTIONS.items():
        unit = "ns a pair" if workload.startswith("pair") else "ns a call"
        report.figure(section, "without any hook", unit, samples.base[workload])
        for variant, what in WHAT.items():
            if samples.of(variant, workload):
                report.figure(section, what, unit, samples.of(variant, workload),
                              against_reference(samples, variant, workload))


def mixes(report, samples):
    """Nanoseconds added to a call on average, by how many others there are for each that concerns descriptors."""
    for workload, other in MIXES.items():
        for pair in MIXED:
            mean = {v: [a / (2 + 2 * other) for a in samples.of(v, workload)] for v in pair}
            if not all(mean.values()):
                continue
            for variant in pair:
                gain = statistics.median(mean[pair[0]]) - statistics.median(mean[variant])
                report.figure(f"mix 1:{other}", WHAT[variant], "ns a call", mean[variant],
                              f"{gain:+.1f} saved by the set" if variant == pair[1] else "")


def break_even(report, samples):
    """The share of descriptor calls at which the set costs as much as the exit of all calls."""
    for every, some in MIXED:
        if not all(samples.of(v, w) for v in (every, some) for w in ("pair", "getppid")):
            continue
        cost = {(v, w): statistics.median(samples.of(v, w)) for v in (every, some) for w in ("pair", "getppid")}
        loss = (cost[some, "pair"] - cost[every, "pair"]) / 2
        gain = cost[every, "getppid"] - cost[some, "getppid"]
        share = gain / (gain + loss) if gain > 0 and loss > 0 else float(gain > 0)
        report.figure("break-even", WHAT[some], "% of calls", 100 * share,
                      f"the set saves {gain:.1f} ns on another call and adds {loss:.1f} on one that concerns descriptors")


def hooks(report, samples):
    for variant in ("reference", "classic_raw", "classic_set"):
        if variant in samples.attach:
            on, off, count = zip(*samples.attach[variant])
            report.figure("to attach", WHAT[variant], "ms", on, f"{count[0]:.0f} hooks")
            report.figure("to detach", WHAT[variant], "ms", off)


def main():
    with Report("hotpath") as report:
        samples = run()
        added(report, samples)
        mixes(report, samples)
        break_even(report, samples)
        hooks(report, samples)
        report.figure("trust", "measured anew: another tracer was there", "times", samples.disturbed)
        report.figure("trust", "left out: the calls alone were slower", "times", samples.left_out)
        report.figure("trust", "events lost", "events", sum(samples.lost.values()),
                      ", ".join(f"{v} {n:,}" for v, n in samples.lost.items()))


main()
