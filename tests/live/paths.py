#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What files are called that were open for a moment, or by a program of a moment: their paths are
taken where they are opened, go into the recording, and a replay has them, too.

    tests/live/paths.py [PART-OF-A-NAME...]
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import case, fdtrace, main, need_tracing, program, the

ROUNDS = 5


def equal(seen, expected):
    assert seen == expected, f"expected {expected!r}\n     got {seen!r}"


def opened(result, folder):
    """The paths of what was opened in that folder (as "./NAME"), and of devices and memfds, in order."""
    paths = [e.get("file", {}).get("path") or e["fdtrace"].get("name", "")
             for e in result.dataset("event") if e["fdtrace"].get("op") == "open"]
    ours = [p for p in paths if p.startswith((folder, "/dev/", "memfd:"))]
    return ["." + p[len(folder):] if p.startswith(folder) else p for p in ours]


def traced(variant, *options, judge):
    """Judges a run of that variant, and the replay of its recording."""
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        inside, recording = os.path.join(folder, "inside"), os.path.join(folder, "recording")
        os.mkdir(inside)
        for again in [("-r", recording, "--", program("paths"), variant, inside), ("replay", recording)]:
            words = list(again[:1] if again[0] == "replay" else ())
            result = fdtrace(*words, "-j", *options, *again[len(words):])
            assert result.status == 0, f"{result}"
            judge(result, inside)


def left_open(result, folder):
    leak = the(result.findings, "leak.exit")
    equal(leak["file"]["path"], folder + "/left.0")
    equal(leak["fdtrace"]["sites"][0]["open"], 10)


@case("what a program of a moment left open has its path, each of five times")
def left():
    for _ in range(ROUNDS):
        traced("left", judge=left_open)


@case("--events names a file, a folder, a FIFO, a device and a memfd that were closed at once")
def moment():
    def judge(result, folder):
        equal(opened(result, folder), ["./file", ".", "./fifo", "/dev/null", "memfd:anonymous"])
    traced("moment", "-e", judge=judge)


@case("an unlinked file has the name it was opened by; opened again, it is said to be unlinked")
def unlinked():
    def judge(result, folder):
        equal(opened(result, folder), ["./unlinked", "./unlinked (deleted)"])
    traced("unlinked", "-e", judge=judge)


@case("a renamed file has the name it was opened by; opened again, the new one")
def renamed():
    def judge(result, folder):
        equal(opened(result, folder), ["./before", "./after"])
    traced("renamed", "-e", judge=judge)


@case("a descriptor closed twice: the file it was is called what it was")
def reused():
    def judge(result, folder):
        equal(the(result.findings, "close.double")["file"]["path"], folder + "/orders.db")
    traced("reused", judge=judge)


@case("names.rate=0: no path is taken")
def none():
    def judge(result, folder):
        equal(opened(result, folder), [])
    # once stopped, the program cannot be asked about what it has closed
    traced("moment", "-e", "--set", "names.rate=0", judge=judge)


main()
