#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tracing a whole machine costs, with and without a budget: `make bench-fleet` (as root, some minutes).

Prints figures, judges nothing. On a machine that is otherwise idle: what else runs is in them.
With arguments only the parts named: idle load census alert.
"""
import os
import re
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, FDTRACE, Background

LOAD = os.path.join(BUILD, "tests", "bench", "load")
SECONDS = int(os.environ.get("FLEET_SECONDS", "20"))
DUTY_SECONDS = int(os.environ.get("FLEET_DUTY_SECONDS", "120"))  # several cycles
RATE, DESCRIPTORS = "100000", 100000
CPUS = os.cpu_count()
LAST = str(CPUS - 1)
ALERT_S = 900


def machine(*options):
    tracer = Background([FDTRACE, "-a", "-j", *options])
    tracer.wait_for(b'"action":"start"')
    return tracer


def cpu_s(pid):
    """Of all threads; utime and stime of stat are counted in ticks, which short work slips between."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as schedstat:
            total += int(schedstat.read().split()[0])
    return total / 1e9


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def share_of(pid, seconds):
    """Of one CPU."""
    before = cpu_s(pid)
    time.sleep(seconds)
    return (cpu_s(pid) - before) / seconds * 100


def summary(result):
    return next(s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"].get("scope") == "run")


def figure(name, text):
    print(f"{name:>42}  {text}", flush=True)


def idle():
    for name, options in (("idle, -a", ()), ("idle, budget=1%", ("--set", "budget=1%"))):
        with machine(*options) as tracer:
            time.sleep(3)
            figure(name, f"{share_of(tracer.pid, SECONDS):.2f} % of a CPU, {rss_mib(tracer.pid):.1f} MiB resident")
            tracer.interrupt()


def busy(seconds):
    """ns of CPU time of a pair, and how many a second were reached."""
    with Background([LOAD, RATE, str(seconds), LAST]) as load:
        result = load.finish(seconds + 60)
    rate, ns = re.search(r"(\d+) pairs/s, (\d+) ns each", result.out.decode()).groups()
    return float(ns), float(rate)


def loaded(name, bare, seconds, *options):
    with machine(*options) as tracer:
        time.sleep(2)
        before = cpu_s(tracer.pid)
        ns, rate = busy(seconds)
        own = (cpu_s(tracer.pid) - before) / seconds * 100
        result = tracer.interrupt()
    total = summary(result)
    added = (ns - bare) * rate / 1e9 / CPUS * 100
    figure(name, f"{ns:.0f} ns a pair ({(ns / bare - 1) * 100:+.1f} %), {rate:.0f} pairs/s; "
                 f"fdtrace itself {own:.2f} % of a CPU; lost {total['lost']}")
    figure("", f"measured from outside: {added + own / CPUS:.2f} % of all CPUs")
    if "coverage_ratio" in total:
        figure("", f"it says: hooks on {total['coverage_ratio'] * 100:.1f} % of the last minute, "
                   f"overhead {total['overhead_ratio'] * 100:.2f} % of all CPUs")


def load():
    bare = statistics.median(busy(3)[0] for _ in range(3))
    figure(f"{RATE} pairs/s, untraced", f"{bare:.0f} ns a pair")
    loaded("the same, -a", bare, SECONDS)
    loaded("the same, budget=1%", bare, DUTY_SECONDS, "--set", "budget=1%")


def snapshots(messages):
    return [float(ms) for ms in re.findall(r"read and applied in ([\d.]+) ms", messages)]


def census():
    with Background([LOAD, "hold", str(DESCRIPTORS)]) as held:
        held.wait_for(b"started\n")
        with machine("-v", "-v", "--set", "audit.interval=1s") as tracer:
            time.sleep(3)
            share = share_of(tracer.pid, 10)
            took = snapshots(tracer.interrupt().messages)
    figure(f"census of {DESCRIPTORS} descriptors", f"{statistics.median(took[1:]):.1f} ms; "
           f"the first {took[0]:.1f} ms; one each second: {share:.2f} % of a CPU")


def alert_after(*options):
    with machine(*options) as tracer, Background([LOAD, "leak", "1", str(ALERT_S)]) as leak:
        leak.wait_for(b"started\n")
        began = time.monotonic()
        tracer.wait_for(b'"id":"leak.growth"', ALERT_S)
        took = time.monotonic() - began
        result = tracer.interrupt()
    found = [f for f in result.findings if f["rule"]["id"] == "leak.growth"]
    total = summary(result)
    return f"{took:.0f} s, {total['coverage']}: {found[0]['message'] if found else '?'}"


def alert():
    figure("leak of 1 a second told after, full", alert_after())
    with Background([LOAD, "0", str(ALERT_S), LAST]) as heavy:
        heavy.wait_for(b"started\n")
        figure("under full load of a CPU, budget=1%", alert_after("--set", "budget=1%"))
    figure("budget=0 (censuses alone)", alert_after("--set", "budget=0"))


def main():
    parts = {"idle": idle, "load": load, "census": census, "alert": alert}
    for part in sys.argv[1:] or parts:
        parts[part]()


main()
