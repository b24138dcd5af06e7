#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How much fdtrace bears: `make bench-capacity` (as root, some minutes).

Prints figures, judges nothing; they are kept in BUILD/bench/capacity.json. CAPACITY_ONLY: which parts, by name
(throughput cpu memory snapshot start fork exec). CAPACITY_MS: of a measurement of throughput (default 500).
Targets stand beside the figures. Whoever else works on or traces the machine meanwhile is in all of them.
"""
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, FDTRACE, Background, until
from report import Report

PROGRAM = os.path.join(BUILD, "tests", "bench", "capacity")
CALLS = os.path.join(BUILD, "tests", "bench", "calls_cost")
LOAD = os.path.join(BUILD, "tests", "bench", "load")
MS = int(os.environ.get("CAPACITY_MS", "500"))
PARTS = "throughput cpu memory snapshot start fork exec"
RINGS = ("1M", "4M", "8M", "16M", "64M")
PERIODS_MS = (5, 20, 50, 100)
SLEEPERS, SHORT_LIVED = 25000, 100000  # live ones: as far as the limits on processes go
MANY = 100000
OPENERS = 60  # of a million descriptors: no limit on those of one process is so low
LAST = max(os.sched_getaffinity(0))
SETTLE_S = 0.3  # what is left in the ring is read


def answers(child, line):
    """The numbers a program answers a line with."""
    told = len(child.out)
    child.say(line.encode() + b"\n")
    child.wait_for(b"\n", timeout=300, since=told)
    return [float(word) for word in child.out[told:].split()]


def answer(child, line):
    return answers(child, line)[0]


@contextlib.contextmanager
def tracing(*options, pids=(), cpu=None):
    """fdtrace, attached, as JSON on a pipe; on a CPU of its own if one is named."""
    whom = ["-p", ",".join(str(pid) for pid in pids)] if pids else ["-a"]
    pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
    with Background([FDTRACE, "-j", *options, *whom], preexec_fn=pin) as tracer:
        tracer.wait_for(b"fdtrace.state")
        yield tracer


@contextlib.contextmanager
def workers(count, binary=PROGRAM, *args):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Background([binary, *args])) for _ in range(count)]


@contextlib.contextmanager
def holders(total):
    """Processes that have so many descriptors between them: of one no more than its hard limit allows."""
    with contextlib.ExitStack() as stack:
        made, held = [], 0
        while held < total:
            one = stack.enter_context(Background([PROGRAM]))
            held += answer(one, f"open {total - held}")
            made.append(one)
        yield [one.pid for one in made], f"{held:,.0f} descriptors in {len(made)} processes"


def scheduled_s(pid):
    """(running, waiting for a CPU), of all threads; stat counts in ticks, which short work slips between."""
    running, waiting = 0, 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as schedstat:
            words = schedstat.read().split()
        running, waiting = running + int(words[0]), waiting + int(words[1])
    return running / 1e9, waiting / 1e9


def cpu_s(pid):
    return scheduled_s(pid)[0]


def memory_mib(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(rf"{what}:\s+(\d+)", status.read()).group(1)) / 1024


def rss_mib(pid):
    return memory_mib(pid)


def private(pid):
    """The ring is mapped twice in a row, and RSS counts it twice."""
    return f"{memory_mib(pid, 'RssAnon'):.1f} of it anonymous, the rest the ring, which counts twice, and files"


def totals(result):
    return [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"][-1]


def losses(run):
    return f"; {run['lost']:,} lost" if run["lost"] else ""


# --- throughput ---

def pour(producers, rate, ms, *options):
    """(events a second, share lost, what else is to know); producers at rate pairs a second each, 0: full speed."""
    count, alone = len(producers), len(producers) < LAST + 1
    with tracing(*options, pids=[p.pid for p in producers], cpu=LAST if alone else None) as tracer:
        before = scheduled_s(tracer.pid)
        for cpu, one in enumerate(producers):
            one.out = b""
            one.say(f"pairs {rate} {ms} {cpu}\n".encode())
        for one in producers:
            one.wait_for(b"\n")
        time.sleep(SETTLE_S)
        running, waiting = (now - then for now, then in zip(scheduled_s(tracer.pid), before))
        run = totals(tracer.interrupt())
    made = sum(2 * float(one.out.split()[0]) for one in producers)
    took = max(float(one.out.split()[1]) for one in producers) / 1e3
    known = f"fdtrace {running / took * 100:.0f} % of a CPU, waited {waiting * 1e3:.0f} ms for it"
    if run["events"] + run["lost"] < made:
        known += f", {made - run['events'] - run['lost']:,.0f} events neither delivered nor told as lost"
    return min(made, run["events"]) / took, run["lost"] / made, known


def shares(count):
    return "" if count <= LAST else f", {count} producers share {LAST + 1} CPUs with fdtrace"


def full_speed(report, producers):
    for ring in RINGS:
        for period in PERIODS_MS:
            got, lost, known = pour(producers, 0, MS, "--stacks=off", "--set", f"ring.size={ring}",
                                    "--set", f"drain.interval={period}ms")
            report.figure("throughput", f"{len(producers)} at full speed, ring {ring}, each {period} ms", "events/s", got,
                          note=f"{lost:.1%} lost, {known}{shares(len(producers))}")


def without_loss(report, producers):
    """By halving: the highest rate of which nothing was lost, and what was then really reached."""
    low, high, rate, best = 0, 2000000, 2000000, 0
    for _ in range(6):
        got, lost, _ = pour(producers, rate / len(producers), 2 * MS, "--stacks=off")
        if lost:
            high = rate
        else:
            low, best = rate, max(best, got)
        if low == 2000000:
            break  # faster they cannot be
        rate = (low + high) / 2
    report.figure("throughput", f"{len(producers)} paced, no loss, default settings", "events/s", best,
                  note=f"must >= 2,000,000, aim >= 4,000,000 at 8M{shares(len(producers))}")


def throughput(report):
    for count in (1, 2):
        with workers(count) as producers:
            full_speed(report, producers)
            without_loss(report, producers)


# --- CPU ---

def text_of(pid, ms, producer, *options):
    """(CPU seconds, text of the summary): findings as text go to stdout, events with -e to /dev/null."""
    with Background([FDTRACE, "-vv", *options, "-p", str(pid)]) as tracer:
        tracer.wait_for_message(b"walked by the kernel")
        before = cpu_s(tracer.pid)
        made = 2 * answer(producer, f"pairs 250000 {ms} 0")
        time.sleep(SETTLE_S)
        cpu = cpu_s(tracer.pid) - before
        result = tracer.interrupt()
    found = re.search(r"([\d,]+) lost", result.out.decode())
    return cpu, made, found.group(1) if found else "?"


def cpu(report):
    ways = {"no stacks": ["--stacks=off"], "stacks auto": ["--stacks=auto"],
            "no stacks, every event printed (-e)": ["--stacks=off", "-e", "-o", "/dev/null"]}
    with workers(1) as (producer,):
        for name, options in ways.items():
            taken = [text_of(producer.pid, 1000, producer, *options) for _ in range(3)]
            lost = [t[2] for t in taken if t[2] not in ("0", "?")]
            report.figure("cpu", f"of 1 M events as text, {name}", "ms", [t[0] / t[1] * 1e9 for t in taken],
                          note=("" if "-e" in options else "must <= 100, aim <= 20") + (f"; lost {', '.join(lost)}" if lost else ""))


# --- memory ---

def hold(report, count):
    """Descriptors known by a snapshot."""
    with holders(count) as (pids, held):
        with tracing("--stacks=off", "--set", "memory.max=1G", pids=pids) as tracer:
            time.sleep(SETTLE_S)
            rss, parts = rss_mib(tracer.pid), private(tracer.pid)
            run = totals(tracer.interrupt())
    report.figure("memory", f"RSS with {count:,} descriptors", "MiB", rss, note=f"must <= 64, aim <= 16; {held}; {parts}{losses(run)}")
    report.figure("memory", "    of it the engine's tables", "MiB", run["memory_bytes"] / 2**20)


def opened(report, count):
    """Descriptors whose opening was seen."""
    with workers(OPENERS) as openers:
        with tracing("--stacks=off", "--set", "memory.max=1G", pids=[one.pid for one in openers]) as tracer:
            held = sum(answer(one, f"open {count / OPENERS}") for one in openers)
            time.sleep(SETTLE_S)
            rss = rss_mib(tracer.pid)
            run = totals(tracer.interrupt())
    report.figure("memory", f"RSS, {held:,.0f} descriptors seen to open", "MiB", rss,
                  note=f"must <= 64, aim <= 16; by {OPENERS} processes{losses(run)}")


def idle_daemon(report):
    with tempfile.TemporaryDirectory() as folder:
        config, out = os.path.join(folder, "c.yaml"), os.path.join(folder, "out")
        with open(config, "w", encoding="utf-8") as yaml:
            yaml.write(f"outputs:\n- type: file\n  path: {out}\nstate: {folder}/reported.json\n"
                       "evidence:\n  path: off\nmetrics:\n  listen: off\n")
        environment = {**os.environ, "RUNTIME_DIRECTORY": folder}
        with Background([FDTRACE, "--daemon", "-c", config], env=environment) as daemon:
            until("the daemon has begun", lambda: os.path.exists(out) and os.path.getsize(out))
            time.sleep(3)
            report.figure("memory", "RSS of an idle daemon", "MiB", rss_mib(daemon.pid),
                          note=f"must <= 20, aim <= 10; {private(daemon.pid)}")
            daemon.interrupt()


def processes(report):
    with workers(1) as (maker,), tracing("--stacks=off", pids=[maker.pid]) as tracer:
        before = rss_mib(tracer.pid)
        count = answer(maker, f"chain {SHORT_LIVED}")
        time.sleep(SETTLE_S)
        after = rss_mib(tracer.pid)
        run = totals(tracer.interrupt())
    report.figure("memory", f"RSS grew by, {count:,.0f} short-lived processes", "MiB", after - before, note=f"{before:.1f} before{losses(run)}")
    with workers(1) as (maker,), tracing("--stacks=off", pids=[maker.pid]) as tracer:
        before = rss_mib(tracer.pid)
        count = answer(maker, f"sleepers {SLEEPERS}")
        time.sleep(SETTLE_S)
        after = rss_mib(tracer.pid)
        run = totals(tracer.interrupt())
    report.figure("memory", f"RSS grew by, {count:,.0f} processes that live", "MiB", after - before,
                  note=f"{before:.1f} before, {(after - before) * 2**20 / max(1, count):,.0f} bytes each{losses(run)}")


def sites(report):
    with workers(1, CALLS) as (caller,), tracing("--set", "stacks.budget=100%", "--set", "ring.size=64M", pids=[caller.pid]) as tracer:
        answer(caller, "sites 4 0")
        time.sleep(SETTLE_S)
        before = rss_mib(tracer.pid)
        count = answer(caller, "sites 14 0")
        time.sleep(1)  # what has been told is in words by then
        after = rss_mib(tracer.pid)
        run = totals(tracer.interrupt())
    report.figure("memory", "RSS grew by, 10,000 sites", "MiB", (after - before) / count * 10000,
                  note=f"of {count:,.0f} measured, with their stacks in words{losses(run)}")


def memory(report):
    hold(report, 1000000)
    opened(report, 1000000)
    idle_daemon(report)
    processes(report)
    sites(report)


# --- snapshots ---

def audits(report, count, note):
    with holders(count) as (pids, held):
        with tracing("-vv", "--stacks=off", "--set", "memory.max=1G", "--set", "audit.interval=300ms", pids=pids) as tracer:
            time.sleep(3)
            messages = tracer.interrupt().messages
    took = [float(ms) for ms in re.findall(r"read and applied in ([\d.]+) ms", messages)]
    walked = [float(ms) for ms in re.findall(r"walked by the kernel in ([\d.]+) ms", messages)]
    report.figure("snapshot", f"of {count:,} descriptors", "ms", took,
                  note=f"{statistics.median(walked[1:]):.1f} of it in the kernel{note}; {held}")
    report.figure("snapshot", "    the kernel's part of the one at the start", "ms", walked[0])


def snapshot(report):
    audits(report, MANY, "; must <= 10, aim <= 1")
    audits(report, 1000000, "")


# --- start ---

def first_event(pid):
    began = time.monotonic()
    with Background([FDTRACE, "-j", "-e", "-p", str(pid)]) as tracer:
        tracer.wait_for(b'"fdtrace.event"')
        took = time.monotonic() - began
        tracer.interrupt()
    return took * 1e3


def start(report):
    with Background([LOAD, "1000", "60"]) as busy:  # one a millisecond: all of them are printed
        busy.wait_for(b"started")
        report.figure("start", "from exec to the first event told, -p", "ms", [first_event(busy.pid) for _ in range(5)],
                      note="must <= 300, aim <= 100")
        told = subprocess.run([FDTRACE, "-vv", "-d", "100ms", "-o", "/dev/null", "-p", str(busy.pid)], stderr=subprocess.PIPE, check=True)
    for what, ms in re.findall(r"start: (.*) in ([\d.]+) ms", told.stderr.decode("utf-8", "replace")):
        report.figure("start", f"of it, {what}", "ms", float(ms), note="with -vv, which is slower")


# --- fork ---

def fork(report):
    for children in (1, 10):
        costs, own, grown, lost = {"untraced": [], "traced": []}, [], [], 0
        for _ in range(3):
            with workers(1) as (parent,):
                held = answer(parent, f"open {MANY}")
                costs["untraced"].append(answer(parent, f"fork {children}"))
            with workers(1) as (parent,):
                answer(parent, f"open {MANY}")
                with tracing("--stacks=off", pids=[parent.pid]) as tracer:
                    before, rss = cpu_s(tracer.pid), rss_mib(tracer.pid)
                    costs["traced"].append(answer(parent, f"fork {children}"))
                    time.sleep(SETTLE_S)
                    own.append((cpu_s(tracer.pid) - before) * 1e3)
                    grown.append(rss_mib(tracer.pid) - rss)
                    lost += totals(tracer.interrupt())["lost"]
        bare = report.figure("fork", f"{held:,.0f} descriptors, {children} children, untraced", "us each", costs["untraced"],
                             note=f"as many as the hard limit allows, {MANY:,} wanted" if held < MANY else "")
        added = [us - bare for us in costs["traced"]]
        report.figure("fork", "    added by -p", "us each", added,
                      note=f"must <= 1,000 of {MANY:,}: in proportion {statistics.median(added) * MANY / held:,.0f}{losses({'lost': lost})}")
        report.figure("fork", "    fdtrace's own CPU time", "ms", own)
        report.figure("fork", "    fdtrace's RSS grew by", "MiB", grown)


# --- exec ---

def exec_(report):
    costs, lost = {"untraced": [], "-p": [], "-a": []}, {"-p": 0, "-a": 0}
    with workers(1) as (parent,):
        for _ in range(5):
            costs["untraced"].append(answer(parent, "exec 400"))
            for way, pids in (("-p", [parent.pid]), ("-a", ())):
                with tracing("--stacks=auto", pids=pids) as tracer:
                    costs[way].append(answer(parent, "exec 400"))
                    lost[way] += totals(tracer.interrupt())["lost"]
    report.figure("exec", "fork, exec, wait of /bin/true, untraced", "us CPU", costs["untraced"])
    for way in ("-p", "-a"):
        added = [(us / bare - 1) * 100 for us, bare in zip(costs[way], costs["untraced"])]
        report.figure("exec", f"added by {way}", "%", added, note="must <= 2, aim <= 1" + losses({"lost": lost[way]}))


def main():
    parts = {"throughput": throughput, "cpu": cpu, "memory": memory, "snapshot": snapshot, "start": start, "fork": fork, "exec": exec_}
    with Report("capacity") as report:
        for part in os.environ.get("CAPACITY_ONLY", PARTS).split():
            parts[part](report)


main()
