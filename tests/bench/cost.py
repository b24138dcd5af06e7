#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Has it become dearer? `make check-cost`, a step of `make check`.

Nothing is timed. What an event costs the engine is counted in instructions, under callgrind, which gives the same
number in every run and on a busy machine; what the kernel's programs cost is their size and what the verifier goes
through. The figures are compared with those in limits.json, which were accepted last; and what is done for one of many
must not cost more where there are more of them.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import BUILD, FDTRACE, case, main, need_tracing, run

ENGINE = os.path.join(BUILD, "tests", "bench", "engine")
OBJECTS = ["fdtrace.bpf.o", "inspect.bpf.o"]
LIMITS = os.path.join(HERE, "limits.json")
HOW = "If that is meant: make check-cost ACCEPT=1, and commit tests/bench/limits.json"
INSTRUCTION_BYTES = 8
# The C library has a memcpy for each kind of CPU: all but the plainest are ruled out, for equal counts everywhere.
PLAIN_CPU = "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX512F,-AVX512F_Usable,-AVX512VL,-ERMS,-FSRM,-SSSE3,-SSE4_1,-SSE4_2"
# Each is a story of tests/bench/stream.h, and small: a third of a second.
SCENARIOS = {
    "churn without stacks": ["churn", "descriptors=500", "processes=4", "rounds=2000"],
    "churn with known sites": ["churn", "descriptors=500", "processes=4", "sites=50", "rounds=2000"],
    "fork, exec, exit": ["lives", "descriptors=8", "processes=10", "sites=10", "rounds=200"],
    "audit of 10 tables of 500": ["audit", "descriptors=500", "processes=10", "sites=10"],
    "fork with 10,000 descriptors": ["fork", "descriptors=10000", "sites=10"],
    "ticks over 200 processes": ["ticks", "descriptors=20", "processes=200", "sites=10", "rounds=100"],
}
# What grows, from where to where; the cost of an event, or (True) of one of what grows, must not grow with it.
GROWTH = {
    "open and close, by descriptors": (["churn", "sites=10", "rounds=4000"], "descriptors", 100, 20_000, False),
    "open and close, by processes": (["churn", "descriptors=2", "sites=2", "rounds=8000"], "processes", 10, 2_000, False),
    "open and close, by sites": (["churn", "descriptors=1000", "rounds=12000"], "sites", 10, 2_000, False),
    "open and close, by threads": (["churn", "descriptors=1000", "sites=10", "rounds=4000"], "threads", 1, 64, False),
    "fork, exec, exit, by processes": (["lives", "descriptors=4", "rounds=200"], "processes", 10, 2_000, False),
    "failures, by descriptors": (["full", "sites=10", "rounds=10000"], "descriptors", 100, 2_000, False),
    "fork, by descriptors": (["fork", "sites=10"], "descriptors", 500, 20_000, True),
    "audit, by descriptors": (["audit", "sites=10"], "descriptors", 500, 20_000, True),
    "audit, by processes": (["audit", "descriptors=2"], "processes", 50, 2_000, True),
    "ended unseen, by processes": (["vanish", "descriptors=1"], "processes", 500, 8_000, True),
    "images judged at once": (["inherit", "descriptors=1", "sites=1"], "processes", 500, 4_000, True),
}
GROWTH_PERCENT = 25

with open(LIMITS, encoding="utf-8") as accepted:
    limits = json.load(accepted)


def say(*lines):
    for line in lines:
        print("# " + line, flush=True)


def output(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def engine_compiler():
    """Of this architecture, too: both decide how many instructions there are."""
    return f"{output(ENGINE, 'compiler')}, {os.uname().machine}"


def bpf_compiler():
    major = re.search(r"version (\d+)", output(os.environ.get("CLANG", "clang"), "--version"))
    return f"clang {major[1]}" if major else "unknown"


def margin_percent(part, compiler):
    """The wide one where another compiler made it than what the figures are of."""
    if compiler == limits[part]["compiler"]:
        return limits[part]["margin_percent"]
    say(f"made by {compiler}, the figures are of {limits[part]['compiler']}: "
        f"{limits[part]['other_margin_percent']} % more are allowed")
    return limits[part]["other_margin_percent"]


def compare(part, compiler, counted, unit):
    """Fails with what grew from what to what."""
    if os.environ.get("ACCEPT") == "1":
        limits[part].update({"compiler": compiler, "accepted": counted})
        with open(LIMITS, "w", encoding="utf-8") as out:
            json.dump(limits, out, indent=1)
            out.write("\n")
    known, margin, grown = limits[part]["accepted"], margin_percent(part, compiler), []
    for what, count in counted.items():
        was = known.get(what)
        say(f"{what:<34} {count:>10,} {unit}" + (f", accepted {was:,}" if was is not None else ""))
        if was is None:
            grown.append(f"{what} is new ({count:,} {unit}) and has no limit yet")
        elif count * 100 > was * (100 + margin):
            grown.append(f"{what} grew from {was:,} to {count:,} {unit} (up to {margin} % more are allowed)")
        elif count * 100 < was * (100 - margin):
            say("    which is fewer: make check-cost ACCEPT=1 keeps it so")
    grown += [f"{what} is gone, but has a limit" for what in known if what not in counted]
    assert not grown, "\n".join([*grown, HOW])


def count(argv):
    """Instructions of the scenario, and its events."""
    result = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=measure", ENGINE,
                  *argv], env={**os.environ, "GLIBC_TUNABLES": PLAIN_CPU})
    collected = re.search(r"Collected : (\d+)", result.messages)
    assert result.status == 0 and collected and int(collected[1]), result
    return int(collected[1]), json.loads(result.out)["events"]


def instructions_per_event(scenario):
    instructions, events = count(SCENARIOS[scenario])
    return round(instructions / events)


def count_grown(what):
    """Instructions for one, at the smaller and the larger size."""
    argv, key, *sizes, of_size = GROWTH[what]
    counted = [(size, *count([*argv, f"{key}={size}"])) for size in sizes]
    return what, sizes, [instructions / (size if of_size else events) for size, instructions, events in counted]


@case("an event, or one of many, costs no more where there are many")
def _():
    grown = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for what, sizes, (small, large) in pool.map(count_grown, GROWTH):
            say(f"{what:<34} {small:>10,.0f} instructions at {sizes[0]:,}, {large:,.0f} at {sizes[1]:,}")
            if large * 100 > small * (100 + GROWTH_PERCENT):
                grown.append(f"{what}: {small:,.0f} instructions at {sizes[0]:,}, but {large:,.0f} at {sizes[1]:,}: "
                             "some loop goes over all of them")
    assert not grown, "\n".join(grown)


@case("an event costs the engine no more instructions than before")
def _():
    compiler = engine_compiler()
    assert "optimized" in compiler, f"{ENGINE} was built without optimization ({compiler}): its instructions say nothing"
    compare("engine", compiler, {name: instructions_per_event(name) for name in SCENARIOS},
            "instructions an event")


@case("they are counted alike in another environment")
def _():
    name = "fork, exec, exit"
    os.environ["FDTRACE_TEST_PADDING"] = "x" * 3000  # moves the stack
    assert instructions_per_event(name) == instructions_per_event(name), "the count depends on more than the stream"
    del os.environ["FDTRACE_TEST_PADDING"]


SECTION = re.compile(r"^ *\[ *\d+\] (\S+) +PROGBITS +\S+ +\S+ +([0-9a-f]+) +\S+ +AX ", re.M)


def program_sizes():
    """Instructions of each section of programs, as clang made them; .text: what they call."""
    sizes = {}
    for name in OBJECTS:
        listing = output("readelf", "-SW", os.path.join(BUILD, name))
        for section, size in SECTION.findall(listing):
            if int(size, 16):
                sizes[f"{name.split('.')[0]} {section}"] = int(size, 16) // INSTRUCTION_BYTES
    return sizes


@case("the programs in the kernel are no larger than before")
def _():
    compare("programs", bpf_compiler(), program_sizes(), "instructions")


PROGRAM = re.compile(r"program (\w+): (\d+) instructions, (\d+) verified, loaded in ([0-9.]+) ms")


@case("the verifier goes through few enough instructions")
def _():
    need_tracing()
    ceiling = limits["verifier"]["ceiling"]
    result = run([FDTRACE, "-vv", "--rules", "all", "--", "/bin/true"])
    told = PROGRAM.findall(result.messages)
    names = {name for name, _, _, _ in told}
    assert {"fdt_sys_exit", "fdt_newtask", "fdt_snapshot", "fdt_inspect"} <= names, f"only {names} were reported\n{result}"
    for name, kept, verified, took in told:
        say(f"{name:<34} {int(kept):>10,} instructions, {int(verified):>8,} verified in {took} ms")
    over = [f"{name}: {int(verified):,}" for name, _, verified, _ in told if int(verified) > ceiling]
    assert not over, (f"the verifier goes through more than {ceiling:,} instructions; it gives up at 1,000,000, on other "
                      f"kernels earlier: {', '.join(over)}\nA higher \"ceiling\" in tests/bench/limits.json allows it")


main()
