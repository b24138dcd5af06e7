#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random programs of descriptor operations over threads, forks and execs, run for real.

After each the kernel's tables (/proc) must be those of a naive model, and fdtrace, which followed
all of them, must know the same (--verify, without a single correction). A program that fails is
shrunk to the smallest that still does. PROPERTY_PROGRAMS, PROPERTY_STEPS, PROPERTY_SEED: more.
"""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, Background, attach, case, main, need_tracing
from steps import random_program

PROGRAMS = int(os.environ.get("PROPERTY_PROGRAMS", "40"))
STEPS = int(os.environ.get("PROPERTY_STEPS", "60"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
LIMIT = 100  # numbers from here on belong to the harness of steps.c


class Model:
    """The tables as a textbook would keep them: number -> close-on-exec."""

    def __init__(self, table):
        self.table_of = {(0, 0): dict(table)}

    def table(self, process, thread):
        return self.table_of.setdefault((process, thread), self.table_of[(process, 0)])

    def lowest(self, table, start=0):
        return next(n for n in range(start, LIMIT + 1) if n not in table)

    def add(self, table, cloexec, start=0):
        table[self.lowest(table, start)] = cloexec

    def step(self, process, thread, op, a, b):
        table = self.table(process, thread)
        if op == "o":
            self.add(table, bool(a))
        elif op == "c":
            table.pop(a, None)
        elif op == "d" and a in table:
            self.add(table, False)
        elif op in "DT" and a in table and a != b:
            table[b] = op == "T"
        elif op == "F" and a in table:
            self.add(table, False, b)
        elif op == "C" and a in table:
            table[a] = bool(b)
        elif op in "rU" and a <= b:
            if op == "U":
                table = self.unshare(process, thread)
            for number in [n for n in table if a <= n <= b]:
                del table[number]
        elif op == "m" and a <= b:
            for number in [n for n in table if a <= n <= b]:
                table[number] = True
        elif op == "u":
            self.unshare(process, thread)
        elif op in "ps":
            self.add(table, op == "p")
            self.add(table, op == "p")
        elif op == "e":
            self.add(table, False)
        elif op == "f":
            self.table_of[(a, 0)] = dict(table)
        elif op == "x":
            self.table_of = {k: t for k, t in self.table_of.items() if k[0] != process}
            self.table_of[(process, 0)] = {n: False for n, cloexec in table.items() if not cloexec}

    def unshare(self, process, thread):
        self.table_of[(process, thread)] = dict(self.table(process, thread))
        return self.table_of[(process, thread)]


def runnable(program):
    """Shrinking may have taken away the fork of a process that is still used."""
    alive = {0}
    for process, _, op, a, _ in program:
        if process not in alive:
            return False
        if op == "f":
            alive.add(a)
    return True


def numbers_of(pid, tid):
    return {int(n) for n in os.listdir(f"/proc/{pid}/task/{tid}/fd") if int(n) < LIMIT}


class Runner:
    """steps under fdtrace; programs run one after the other and stay for the last comparison."""

    def __init__(self):
        self.steps = Background([os.path.join(BUILD, "tests/property/steps")])

    def ask(self, line):
        self.steps.say(line.encode() + b"\n")
        self.steps.wait_for(b"\n")
        answer, _, self.steps.out = self.steps.out.partition(b"\n")
        return answer.decode()

    def run(self, program):
        """A sentence about the first table that is not the model's, or None."""
        self.ask("n")
        pid, tid = self.ask("0 0 c 99 0").split()[1:]
        known, model = {(0, 0): (pid, tid)}, Model({n: False for n in numbers_of(pid, tid)})
        for process, thread, op, a, b in program:
            answer = self.ask(f"{process} {thread} {op} {a} {b}").split()
            model.step(process, thread, op, a, b)
            if op == "x":
                known = {k: v for k, v in known.items() if k[0] != process}
                thread = 0
            known[(process, thread)] = answer[1:]
            if op == "f":
                known[(a, 0)] = [answer[0], answer[0]]
        for (process, thread), (pid, tid) in known.items():
            kernel, ours = numbers_of(pid, tid), set(model.table(process, thread))
            if kernel != ours:
                return f"process {process} thread {thread}: /proc {sorted(kernel)}, the model {sorted(ours)}"
        return None


def fails(programs):
    """What is wrong with the programs, run under one fdtrace; None: nothing."""
    runner = Runner()
    with runner.steps:
        with attach(runner.steps.child.pid, "--verify", "--set", "audit.interval=0") as tracer:
            for program in programs:
                wrong = runner.run(program)
                if wrong:
                    return wrong
            result = tracer.interrupt(signal.SIGINT)
        runner.steps.finish()
    verdict = re.search(r"; (\d+) difference", result.messages)
    totals = [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"][-1]
    if not verdict or verdict[1] != "0" or totals["corrections"] or result.status:
        return f"fdtrace: {result.messages} corrections {totals['corrections']}"
    return None


def shrink(program):
    """Leaves out steps, many at a time, then fewer, as long as the rest still fails."""
    size = len(program) // 2
    while size:
        start = 0
        while start < len(program):
            less = program[:start] + program[start + size:]
            if runnable(less) and fails([less]):
                program = less
            else:
                start += size
        size //= 2
    return program


@case(f"{PROGRAMS} random programs of {STEPS} steps: /proc, a naive model and fdtrace agree")
def random_programs():
    need_tracing()
    programs = [random_program(SEED * 100000 + i, STEPS) for i in range(PROGRAMS)]
    wrong = fails(programs)
    if not wrong:
        return
    guilty = next((p for p in programs if fails([p])), None)
    if not guilty:
        raise AssertionError(f"{wrong}\nbut no program fails alone (seed {SEED})")
    smallest = shrink(guilty)
    raise AssertionError(f"{fails([smallest]) or wrong}\nsmallest program: {smallest}")


@case("a wrong model is noticed and the program shrunk")
def shrinks():
    need_tracing()
    program = [(0, 0, "o", 0, 0), (0, 1, "p", 0, 0), (0, 0, "o", 1, 0), (0, 0, "c", 4, 0)]
    honest, Model.step = Model.step, lambda self, p, t, op, a, b: None if op == "p" else honest(self, p, t, op, a, b)
    try:
        assert [step[2] for step in shrink(program)] == ["p"]
    finally:
        Model.step = honest


main()
