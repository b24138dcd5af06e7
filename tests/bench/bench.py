#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What fdtrace costs, beside its peers, the least a hook can cost, and nothing (as root).

`make bench` has all ways of tracing, some five minutes; `make bench-quick` (argument "quick") leaves the
peers out. One process makes the calls, on one CPU; whoever traces is on another. The ways take turns:
a baseline, then attached, then a baseline again, so each figure is relative to what stood beside it. The
way called "nothing" is such a turn without a tracer: what differs from 1 there is noise.

Whoever else traces the machine meanwhile is in all of the figures. Fails only if fdtrace saw less than was done
and did not say so.

BENCH_ROUNDS: turns of each way (default 7, quick 3). BENCH_MS: length of a sample (default 60, quick 30).
BENCH_ONLY: ways, by words in their names ("fdtrace,strace -k"). BENCH_WORKLOADS: "w1,w4". BENCH_BUDGET_MS:
length of a sample under a budget (default 8000, quick 4000), which has a single turn.
"""
import contextlib
import ctypes
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import textwrap
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, FDTRACE, Background, until
from report import Report, quartiles

QUICK = sys.argv[1:] == ["quick"]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3" if QUICK else "7"))
MS = int(os.environ.get("BENCH_MS", "30" if QUICK else "60"))
BUDGET_MS = int(os.environ.get("BENCH_BUDGET_MS", "4000" if QUICK else "8000"))
ONLY = [word.strip() for word in os.environ.get("BENCH_ONLY", "").split(",") if word.strip()]
PROGRAMS = os.path.join(BUILD, "tests", "bench")
CPUS = sorted(os.sched_getaffinity(0))
WORKLOADS = {"w1": "open close", "w2": "open read close", "w3": "pipe 2 closes", "w4": "dup close", "w5": "getppid",
             "w6": "read a byte", "w7": "spawn wait", "w7f": "fork exec wait", "w8": "close range", "w9": "failing close"}
WANTED = [w for w in os.environ.get("BENCH_WORKLOADS", ",".join(WORKLOADS)).split(",") if w in WORKLOADS]
PAIRS = ("w1", "w2", "w3", "w4")  # each iteration is two events or more
JUDGED_PAIRS, JUDGED_FEW = 20000, 20
PROBE = {"w7": 2, "w7f": 2}  # iterations to learn how long one takes; others 16
OPENS = ["open", "openat", "dup", "pipe", "pipe2"]
WITH_TRACEFS = ["unshare", "--mount", "sh", "-c", "[ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs "
                "/sys/kernel/tracing; exec \"$@\"", "sh"]  # nothing stays mounted
MUTE = ["sh", "-c", "exec \"$@\" >/dev/null", "sh"]
BPFTRACE = """
tracepoint:syscalls:sys_exit_open, tracepoint:syscalls:sys_exit_openat, tracepoint:syscalls:sys_exit_dup
/pid == {pid} && args->ret >= 0/ { @open[args->ret] = WHAT; }
tracepoint:syscalls:sys_enter_close /pid == {pid}/ { delete(@open[args->fd]); }
END { clear(@open); }
"""
SETTLE_MS = 300
PIDFD_GETFD = 438  # of all architectures
POLLS = ("7", "232", "271", "281")  # poll, epoll_wait, ppoll, epoll_pwait of x86-64


class Unable(Exception):
    """This way of tracing does not work here; says why."""


class Deaf(Exception):
    """It attached, and not all calls reached it: no figure of this turn."""


class Load:
    """A process that makes the calls asked for; a prefix of argv and an environment can put it under a tracer."""

    def __init__(self, prefix=(), **environment):
        self.child = Background([*prefix, os.path.join(PROGRAMS, "workloads"), str(CPUS[0])], env={**os.environ, **environment})
        self.pid, self.pairs = self.child.pid, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.child.finish()
        self.child.__exit__()

    def run(self, name, count):
        """CPU and elapsed nanoseconds of an iteration."""
        self.pairs += count if name in PAIRS else 0
        self.child.out = b""
        self.child.say(f"{name} {count}\n".encode())
        self.child.wait_for(b"\n", timeout=120)
        cpu, elapsed = self.child.out.split()
        return float(cpu), float(elapsed)

    def fitting(self, name, ms):
        """As many iterations as take so long, by what a few take."""
        return max(1, int(ms * 1e6 / self.run(name, PROBE.get(name, 16))[1]))

    def sample(self, name, ms=MS):
        _, elapsed = self.run(name, self.fitting(name, ms / 4))
        return self.run(name, max(1, int(ms * 1e6 / elapsed)))


class Way:
    """Nothing, or a way of tracing: `with way.on(base, other) as load` has load traced."""
    rounds = ROUNDS
    ms = MS
    tool = None  # to be found in PATH

    def __init__(self, name, workloads=tuple(WORKLOADS)):
        self.name, self.workloads, self.notes = name, [w for w in workloads if w in WANTED], []
        self.samples = {name: [] for name in self.workloads}  # of (got, baseline)
        self.unsound = False  # its figures are not to be trusted as they stand; a note says why

    @contextlib.contextmanager
    def on(self, base, _other):
        yield base

    def judge(self, base):
        """Did it really see what was done? Adds notes."""

    def unable(self):
        """Why it cannot work here, or nothing."""
        return f"{self.tool} is not installed" if self.tool and not shutil.which(self.tool) else None


class Floor(Way):
    def __init__(self, name, *options):
        super().__init__(name)
        self.argv = [*WITH_TRACEFS, os.path.join(PROGRAMS, "floor"), *options]

    @contextlib.contextmanager
    def on(self, base, _other):
        with Background(self.argv) as floor:
            until_attached(floor, lambda: floor_ready(floor))
            yield base
            floor.finish()


class Fdtrace(Way):
    """scope: "traced" (-p of the process measured), "other" (-p of another) or "all" (-a)."""

    def __init__(self, name, scope, *options, workloads=tuple(WORKLOADS)):
        super().__init__(name, workloads)
        self.scope, self.options = scope, options
        self.made, self.events, self.lost, self.stackless = 0, 0, 0, 0
        self.missed = False  # fewer events than it says itself

    def whom(self, base, other):
        return {"traced": ["-p", str(base.pid)], "other": ["-p", str(other.pid)], "all": ["-a"]}[self.scope]

    @contextlib.contextmanager
    def on(self, base, other):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out")
            with Background([FDTRACE, "-j", "-o", out, *self.options, *self.whom(base, other)]) as tracer:
                until_attached(tracer, lambda: b"fdtrace.state" in contents(out))
                before = base.pairs
                self.settle(base)
                yield base
                tracer.interrupt()
            self.hear(run_summary(contents(out)), 2 * (base.pairs - before))

    def settle(self, base):
        """Until unwind tables are there and what stacks have in reserve is used up; what a start costs is no figure here."""
        base.run("w1", base.fitting("w1", SETTLE_MS))

    def hear(self, total, made):
        self.made += made
        self.events += total["events"]
        self.lost += total["lost"]
        self.stackless += total["stacks_skipped"]

    def judge(self, _base):
        if self.scope == "other":
            return
        self.notes.append(f"{self.events:,} events delivered of at least {self.made:,} made, {self.lost:,} lost; "
                          f"{self.stackless:,} went without a stack for the budget of stacks")
        self.missed = self.events + self.lost < self.made
        self.unsound = self.lost > 0 or self.missed


class Budgeted(Fdtrace):
    """As the service runs: what is kept for bursts is used up first, then long samples average over hooks on and off."""
    rounds = 1
    ms = BUDGET_MS

    def settle(self, base):
        base.run("w1", base.fitting("w1", self.ms / 2))

    def hear(self, total, made):
        self.unsound = total["lost"] > 0
        self.notes.append(f"hooks were on for {total.get('coverage_ratio', 1) * 100:.0f} % of its last minute, {total['lost']:,} "
                          "events lost; what was kept for bursts is used up before")

    def judge(self, _base):
        pass


class Attached(Way):
    """A peer that attaches.

    argv has {pid} in it and maybe {out}; sign tells from the pids of tracer and traced that it has attached; delivered
    counts, in what it wrote and in its messages, the events that reached it (it is asked in a run of its own, as
    what it writes is too much to keep).
    """

    def __init__(self, name, argv, sign, delivered=None, workloads=tuple(WORKLOADS)):
        super().__init__(name, workloads)
        self.tool, self.argv, self.sign, self.delivered = argv[0], argv, sign, delivered
        self.deaf = 0  # turns

    @contextlib.contextmanager
    def writing(self, base, out):
        argv = [word.replace("{pid}", str(base.pid)).replace("{out}", out) for word in self.argv]
        with Background([*WITH_TRACEFS, *MUTE, *argv]) as tracer:
            until_attached(tracer, lambda: self.sign(tracer.pid, base.pid))
            self.need_hearing(tracer, base)
            yield tracer
            tracer.interrupt()

    def need_hearing(self, tracer, base):
        """The kernel now and then enables perf's events of some calls only, for as long as it is attached."""
        if self.sign is not perf_waits or self.tool != "perf":
            return
        before = counted_by_perf(tracer.pid)
        base.run("w4", JUDGED_FEW)
        if counted_by_perf(tracer.pid) - before < 2 * JUDGED_FEW:
            self.deaf += 1
            raise Deaf

    @contextlib.contextmanager
    def on(self, base, _other):
        with self.writing(base, "/dev/null"):
            yield base

    def judge(self, base):
        if self.deaf:
            self.notes.append(f"{self.deaf} turns left out, in which not all calls reached it")
        if self.delivered:
            self.count_delivered(base)

    def count_delivered(self, base):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out")
            with self.writing(base, out) as tracer:
                base.run("w4", JUDGED_PAIRS)
                said = tracer.interrupt().messages
            count = self.delivered(out, said)
        self.notes.append(f"delivered {count:,} of {2 * JUDGED_PAIRS:,} events of W4 in a row")
        self.unsound = count < 2 * JUDGED_PAIRS


class Launched(Way):
    """A peer that has to start what it traces: a process of its own is compared with the untraced one."""

    def __init__(self, name, prefix=(), **environment):
        super().__init__(name)
        self.tool, self.prefix, self.environment = prefix[0] if prefix else None, prefix, environment

    @contextlib.contextmanager
    def on(self, _base, _other):
        with Load(self.prefix, **self.environment) as load:
            try:
                load.run("w5", 1)
            except (AssertionError, BrokenPipeError) as why:
                raise Unable(last_line(load.child.err().decode("utf-8", "replace")) or str(why)) from None
            yield load


def contents(path):
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return b""


def run_summary(out):
    records = [json.loads(line) for line in out.splitlines()]
    return [r["fdtrace"] for r in records if r["event"]["dataset"] == "fdtrace.summary" and r["fdtrace"]["scope"] == "run"][-1]


def last_line(text):
    return "".join(text.strip().splitlines()[-1:])


def until_attached(tracer, sign):
    until(f"{tracer.argv} attached", lambda: tracer.child.poll() is not None or sign(), timeout=30)
    if tracer.child.poll() is not None:
        raise Unable(last_line(tracer.err().decode("utf-8", "replace")) or f"ended with status {tracer.child.returncode}")


def floor_ready(floor):
    with contextlib.suppress(AssertionError):
        floor.wait_for(b"ready", timeout=0.1)
    return b"ready" in floor.out


def is_ptraced(_tracer, traced):
    return b"TracerPid:\t0\n" not in contents(f"/proc/{traced}/status")


def waits(tracer):
    """Its main thread waits for events: all is set up."""
    return contents(f"/proc/{tracer}/syscall").decode().split(" ")[0] in POLLS


def counted_by_perf(tracer):
    """What all its events have counted so far."""
    libc, handle, total = ctypes.CDLL(None, use_errno=True), os.pidfd_open(tracer), 0
    for fd in os.listdir(f"/proc/{tracer}/fd"):
        if "perf_event" not in os.readlink(f"/proc/{tracer}/fd/{fd}"):
            continue
        copy = libc.syscall(PIDFD_GETFD, handle, int(fd), 0)
        total += int.from_bytes(os.read(copy, 64)[:8], sys.byteorder)
        os.close(copy)
    os.close(handle)
    return total


def perf_waits(tracer, _traced):
    """It has opened its events and waits for them."""
    with contextlib.suppress(OSError):
        links = [os.readlink(f"/proc/{tracer}/fd/{fd}") for fd in os.listdir(f"/proc/{tracer}/fd")]
        return any("perf_event" in link for link in links) and waits(tracer)
    return False


def delivered_by_record(_out, said):
    samples = re.search(r"\((\d+) samples\)", said)
    return int(samples[1]) if samples else 0


def delivered_by_trace(out, _said):
    return len(re.findall(rb"(?:dup|close)\(", contents(out)))


def fdtrace_ways():
    return [Way("nothing"),
            Floor("floor: tp_btf"),
            Floor("floor: classic", "classic"),
            Fdtrace("fdtrace -p, stacks off", "traced", "--stacks=off"),
            Fdtrace("fdtrace -p, stacks auto", "traced"),
            Fdtrace("fdtrace -p, stacks all", "traced", "--set", "stacks.budget=100%"),
            Fdtrace("fdtrace -p, bystander", "other"),
            Fdtrace("fdtrace -a", "all"),
            Budgeted("fdtrace -a, budget=1%", "all", "--set", "budget=1%", workloads=("w4", "w5") if QUICK else ("w1", "w4", "w5"))]


def peers():
    strace = ["strace", "-f", "-e", "trace=desc,process", "-o", "/dev/null"]
    record = ["perf", "record", "-e", ",".join(f"syscalls:sys_exit_{call}" for call in [*OPENS, "close"]), "-c", "1",
              "--call-graph", "dwarf,8192", "-o", "{out}", "-p", "{pid}"]
    no_pipes = [name for name in WORKLOADS if name != "w3"]  # their numbers are in the program's memory
    return [Attached("strace", [*strace, "-p", "{pid}"], is_ptraced),
            Launched("strace --seccomp-bpf", [*strace, "--seccomp-bpf"]),
            Attached("strace -k", [*strace, "-k", "-p", "{pid}"], is_ptraced),
            Attached("perf trace", ["perf", "trace", "-o", "{out}", "-p", "{pid}"], perf_waits, delivered_by_trace),
            Attached("perf record, dwarf 8k", record, perf_waits, delivered_by_record),
            *(Attached(f"bpftrace, {name}", ["bpftrace", "-e", BPFTRACE.replace("WHAT", what)], perf_waits, workloads=no_pipes)
              for name, what in (("map", "nsecs"), ("ustack", "ustack"))),
            Launched("valgrind --track-fds", ["valgrind", "-q", "--tool=none", "--track-fds=yes"]),
            Launched("LD_PRELOAD table", LD_PRELOAD=os.path.join(PROGRAMS, "libpreload.so"))]


def chosen():
    ways = fdtrace_ways() + ([] if QUICK else peers())
    return [way for way in ways if not ONLY or any(word in way.name for word in ONLY)]


def sample_all(load, workloads, ms=MS):
    return {name: load.sample(name, ms) for name in workloads}


def turn(way, base, other, before):
    """One way's turn between two baselines, longer ones for long samples. Returns the second."""
    if way.ms > MS:
        before = sample_all(base, way.workloads, way.ms / 4)
    with way.on(base, other) as load:
        got = sample_all(load, way.workloads, way.ms)
    after = sample_all(base, WANTED)
    if way.ms > MS:
        after.update(sample_all(base, way.workloads, way.ms / 4))
    for name in way.workloads:
        way.samples[name].append((got[name], tuple(statistics.mean(two) for two in zip(before[name], after[name]))))
    return after


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def peer_may_fail(way, base):
    """What goes wrong with a peer is told and no failure, unless the measured process is gone."""
    try:
        yield
    except (AssertionError, OSError) as why:
        if not isinstance(way, (Attached, Launched)) or base.child.child.poll() is not None:
            raise
        raise Unable(str(why).splitlines()[0]) from None


def measure(ways, base, other):
    """All rounds; the order is another one in each. Returns the baselines, and who could not work, with reasons."""
    baselines, unable = [sample_all(base, WANTED)], {}
    for number in range(max(way.rounds for way in ways)):
        begin = number % len(ways)
        for way in ways[begin:] + ways[:begin]:
            if number >= way.rounds or way in unable:
                continue
            progress(f"round {number + 1} of {ROUNDS}: {way.name}")
            try:
                with contextlib.suppress(Deaf), peer_may_fail(way, base):
                    baselines.append(turn(way, base, other, baselines[-1]))
            except Unable as why:
                unable[way] = str(why)
    progress("")
    deaf = [way for way in ways if way not in unable and way.workloads and not any(way.samples.values())]
    unable.update((way, "in no turn did all calls reach it") for way in deaf)
    return baselines, unable


# Which number of a sample (0: CPU, 1: elapsed), and how it is compared with that of its baseline.
def cpu_factor(got, beside):
    return got[0] / beside[0]


def cpu_added(got, beside):
    return got[0] - beside[0]


def elapsed_factor(got, beside):
    return got[1] / beside[1]


def values(way, name, compare):
    return [compare(*sample) for sample in way.samples.get(name, ())]


def factor_text(value):
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def added_text(value):
    return f"{value:+,.0f}"


def row(label, cells):
    print(f"{label:25}" + "".join(f"{cell:>11}" for cell in cells), flush=True)


def table(title, ways, compare, text, spread):
    """Medians; below them the quartiles, if wanted."""
    print(f"\n{title}")
    row("", [name.upper() for name in WANTED])
    for way in ways:
        of = {name: quartiles(values(way, name, compare)) for name in way.workloads}
        mark = "!" if way.unsound else ""
        row(way.name, [text(of[name][1]) + mark if name in of else "-" for name in WANTED])
        if spread and way.rounds > 1:
            row("", [f"{text(of[name][0])}..{text(of[name][2])}" if name in of else "" for name in WANTED])


def show(ways, baselines):
    print()
    row("", [name.upper() for name in WANTED])
    row("untraced, ns of CPU time", [f"{statistics.median(b[name][0] for b in baselines):,.0f}" for name in WANTED])
    row("untraced, ns elapsed", [f"{statistics.median(b[name][1] for b in baselines):,.0f}" for name in WANTED])
    table("CPU time of the traced process, times that of the untraced one (below: quartiles)", ways, cpu_factor, factor_text, True)
    table("CPU time added, ns an iteration", ways, cpu_added, added_text, False)
    if not QUICK:
        table("Time elapsed, times that of the untraced one: waiting for a tracer, too", ways, elapsed_factor, factor_text, False)


def keep(report, ways, baselines):
    for name in WANTED:
        report.figure("untraced", f"{name} CPU", "ns", [b[name][0] for b in baselines], shown=False)
        report.figure("untraced", f"{name} elapsed", "ns", [b[name][1] for b in baselines], shown=False)
    for way in ways:
        for name in way.workloads:
            for what, unit, compare in (("CPU", "x", cpu_factor), ("CPU added", "ns", cpu_added), ("elapsed", "x", elapsed_factor)):
                report.figure(way.name, f"{name} {what}", unit, values(way, name, compare), "; ".join(way.notes), shown=False)


def explain(ways, unable):
    print()
    for way in ways:
        for note in way.notes:
            print(f"{way.name}: {note}{'; its figures are marked with !' if way.unsound else ''}")
    for way, why in unable.items():
        print(f"{way.name}: no figures: {why}")


def bench(report, ways):
    """Whether fdtrace missed anything without saying so."""
    unable = {way: way.unable() for way in ways if way.unable()}
    print(textwrap.fill("; ".join(f"{name.upper()} {WORKLOADS[name]}" for name in WANTED), 100), flush=True)
    with Load() as base, Load() as other:
        baselines, failed = measure([way for way in ways if way not in unable], base, other)
        unable.update(failed)
        ways = [way for way in ways if way not in unable]
        for way in ways:
            with contextlib.suppress(Unable, Deaf), peer_may_fail(way, base):
                way.judge(base)
    show(ways, baselines)
    explain(ways, unable)
    keep(report, ways, baselines)
    return any(isinstance(way, Fdtrace) and way.missed for way in ways)


def main():
    ways = chosen()
    if os.geteuid() != 0 or not ways or not WANTED:
        sys.exit("bench.py: needs root, and BENCH_ONLY and BENCH_WORKLOADS, if set, name something that exists")
    if len(CPUS) == 1:
        print("one CPU only: who traces is on the CPU of the traced process")
    os.sched_setaffinity(0, {CPUS[-1]})  # and so all tracers
    began = time.monotonic()
    with Report("bench-quick" if QUICK else "bench") as report:
        missed = bench(report, ways)
    print(f"\nthe machine-readable form: {os.path.join(BUILD, 'bench', report.name)}.json; took {time.monotonic() - began:.0f} s")
    sys.exit(missed)


main()
