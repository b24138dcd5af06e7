#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A service lives for weeks: after as many processes and descriptors as those bring it is as small as it was.

What it knows again after a restart is part of `make check`. What it has grown by shows after millions
of descriptors only: `make soak`, SOAK=1, runs a part of that in a minute or two; `make long-life`,
LONG_LIFE=full, 100,000 processes and 100 million descriptors without stacks, and again with them.
"""
import contextlib
import os
import re
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (FDTRACE, Background, add_case, case, check_line, main, need_descriptors, need_tracing,
                     program, until)

FULL = os.environ.get("LONG_LIFE") == "full"
SOAK = FULL or os.environ.get("SOAK") == "1"
PARTS = 5
PROCESSES, DESCRIPTORS = (100_000, 100_000_000) if FULL else (2_500, 2_500_000)  # in each of two runs
PART_S = 3600 if FULL else 240
# What it may have beyond the first part, by what stacks are taken. Without any it is the tables of
# what else runs on the machine: a byte kept of each descriptor, or 1 KiB of each process, would be
# 2 MB. With stacks the symbols of the files that other programs bring come on top.
GROWTH_KIB = {"off": 1536, "auto": 16384}
HELD = 5000  # descriptors, told apart from what else the machine does by their number
OTHERS_PROCESSES, OTHERS_DESCRIPTORS = 100, 2500  # by which the rest of the machine may differ
LONG_LIFE = program("long_life")

CONFIG = """
outputs:
- type: file
  path: {0}/out.jsonl
  summaries: false
state: {0}/reported.json
evidence:
  path: off
metrics:
  listen: off
  textfile: {0}/fdtrace.prom
set:
  budget: 100%
  findings.every: 0
stacks: {1}
"""


class Place:
    def __init__(self, folder, stacks):
        self.folder = folder
        self.config, self.out, self.prom = (os.path.join(folder, n) for n in ("c.yaml", "out.jsonl", "fdtrace.prom"))
        os.mkdir(os.path.join(folder, "run"))
        with open(self.config, "w", encoding="ascii") as config:
            config.write(CONFIG.format(folder, stacks))

    def start(self):
        daemon = Background([FDTRACE, "--daemon", "-c", self.config],
                            env={**os.environ, "RUNTIME_DIRECTORY": os.path.join(self.folder, "run")})
        try:
            daemon.wait_for_message(b"the whole machine is traced")
        except BaseException:
            daemon.__exit__()
            raise
        return daemon

    def metrics(self, after=None):
        """The sums by name, of a publication that began after this one had been seen."""
        def newer():
            with contextlib.suppress(FileNotFoundError):
                stat = os.stat(self.prom)
                return stat.st_mtime_ns > after and stat
        after = time.time_ns() if after is None else after
        until("the metrics are published", newer)
        sums = {}
        with open(self.prom, encoding="utf-8") as prom:
            for name, value in re.findall(r"^(fdtrace_\w+)(?:\{.*\})? ([-+.\deE]+)$", prom.read(), re.M):
                sums[name] = sums.get(name, 0) + float(value)
        return sums

    def findings_of(self, pid):
        with open(self.out, "rb") as out:
            records = [check_line(line, self.out) for line in out.read().split(b"\n")[:-1]]
        return [r["rule"]["id"] for r in records
                if r["event"]["dataset"] == "fdtrace.finding" and r["process"]["pid"] == pid]


@contextlib.contextmanager
def place(stacks="auto"):
    folder = tempfile.mkdtemp(prefix="fdtrace-life-")
    try:
        yield Place(folder, stacks)
    finally:
        shutil.rmtree(folder)


def anonymous_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read()).group(1))


def own_descriptors(pid):
    """Without those of the ELF files that it has met: the rest of the machine may bring some."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(n for n in names if n.startswith("anon_inode:"))


class Moment:
    """The daemon after a part, once it has taken in all of it."""

    def __init__(self, at, daemon):
        self.metrics = at.metrics()
        self.kib, self.descriptors = anonymous_kib(daemon.pid), own_descriptors(daemon.pid)

    def get(self, name):
        return self.metrics["fdtrace_" + name]

    def __str__(self):
        return (f"RssAnon {self.kib} KiB, {len(self.descriptors)} descriptors, "
                f"{self.get('tracked_processes'):.0f} processes with {self.get('tracked_descriptors'):.0f} tracked, "
                f"{self.get('events_total'):.0f} events, {self.get('events_lost_total'):.0f} lost")


def live_through(at, daemon):
    """The moments before the first part, after it, and after the last."""
    moments = []
    with Background([LONG_LIFE, str(PARTS), str(PROCESSES // PARTS), str(DESCRIPTORS // PARTS)]) as churn:
        for part in range(PARTS + 1):
            since = len(churn.out)
            churn.wait_for(b"part\n", PART_S, since)
            if FULL or part in (0, 1, PARTS):
                moments.append(Moment(at, daemon))
                print(f"# {moments[-1]}", flush=True)
            churn.say(b"\n")
        assert churn.finish().status == 0
    return moments


def check_moments(moments, growth_kib):
    before, first, last = moments[0], moments[1], moments[-1]
    story = "\n".join(str(m) for m in moments)
    assert last.kib <= first.kib + growth_kib, f"it has grown\n{story}"
    assert last.descriptors == first.descriptors, f"{first.descriptors}\n{last.descriptors}"
    for name, others in (("tracked_processes", OTHERS_PROCESSES), ("tracked_descriptors", OTHERS_DESCRIPTORS)):
        assert last.get(name) < before.get(name) + others, f"{name}: those that ended are kept\n{story}"
    told = sum(last.get(n) - before.get(n) for n in ("events_total", "events_lost_total"))
    assert told >= 2 * (DESCRIPTORS - 10 * PROCESSES), f"{told:.0f} events are less than there were\n{story}"


def live(stacks):
    need_tracing()
    with place(stacks) as at, at.start() as daemon:
        check_moments(live_through(at, daemon), GROWTH_KIB[stacks])
        assert daemon.interrupt().status == 0


if SOAK:
    add_case("after thousands of processes and millions of descriptors it is as small as before", lambda: live("off"))
    add_case("the same with stacks", lambda: live("auto"))


def say_and_wait(holder):
    since = len(holder.out)
    holder.say(b"\n")
    holder.wait_for(b"part\n", since=since)


def saved(at, daemon):
    """What was told is kept within a second or a minute; which, only the file tells."""
    path = os.path.join(at.folder, "reported.json")
    until("what was told is kept", lambda: os.path.exists(path) and b"known" not in daemon.err() and
          os.stat(path).st_size > 2)


@case("killed and restarted it knows every table again, and reports nothing twice")
def _():
    need_tracing()
    need_descriptors(HELD + 64)
    # Without stacks: until a file's tables are there a stack may be short, and so another place.
    with place("off") as at, Background([LONG_LIFE, "hold", str(HELD)]) as holder:
        holder.wait_for(b"part\n")
        with at.start() as daemon:
            say_and_wait(holder)
            until("the finding", lambda: at.findings_of(holder.pid) == ["close.double"])
            before = at.metrics()
            saved(at, daemon)
            daemon.child.kill()
            assert daemon.child.wait() < 0
        with at.start() as daemon:
            assert b"already been reported" in daemon.err(), daemon.err()
            say_and_wait(holder)
            after = at.metrics()
            for moment in (before, after):
                assert moment["fdtrace_tracked_descriptors"] >= HELD, moment
            assert at.findings_of(holder.pid) == ["close.double"], at.findings_of(holder.pid)
            daemon.child.kill()
            daemon.child.wait()
        os.unlink(os.path.join(at.folder, "reported.json"))
        with at.start() as daemon:  # that it would be told otherwise
            say_and_wait(holder)
            until("the finding again", lambda: at.findings_of(holder.pid) == ["close.double"] * 2)
            holder.finish()
            until("the descriptors are gone", lambda: at.metrics()["fdtrace_tracked_descriptors"] <
                  after["fdtrace_tracked_descriptors"] - HELD + OTHERS_DESCRIPTORS)
            assert daemon.interrupt().status == 0


main()
