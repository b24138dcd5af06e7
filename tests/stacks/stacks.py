#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stacks, compared with what others say of the same calls: gdb of native frames, Python itself
of its own.

    tests/stacks/stacks.py [PART-OF-A-NAME...]
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (BUILD, FDTRACE, PYTHON, Background, Skip, add_case, case, fdtrace, main, need_tracing, run, until)

HERE = os.path.dirname(os.path.abspath(__file__))
PYENV = os.path.expanduser("~/.pyenv/versions")
# Nothing may be left out to save time where every stack is compared.
ALL = ["--json=full", "-e", "--set", "stacks.budget=100%"]


def built(name):
    return os.path.join(BUILD, "tests", "stacks", name)


def stacks_of(out, folder):
    """{name: stack} of the files opened in that folder, by the event that told of the opening.

    By inode: what a short program opened is often called nothing any more when it is looked at.
    """
    names = {str(os.stat(os.path.join(folder, name)).st_ino): name for name in os.listdir(folder)}
    found = {}
    for line in out.splitlines():
        record = json.loads(line) if line.startswith(b"{") else None
        if not record or record["fdtrace"].get("op") != "open":
            continue
        name = names.get(record.get("file", {}).get("inode"))
        if name:
            found.setdefault(name, record["fdtrace"].get("stack"))
    return found


def trace(folder, *command, options=()):
    need_tracing()
    result = fdtrace(*ALL, *options, "--", *command, timeout=120)
    assert result.status == 0, f"{result.argv}: status {result.status}\n{result.messages}"
    return stacks_of(result.out, folder), result


FRAME = re.compile(r"^(.*) \((.*?)(?::(\d+)|\+0x([0-9a-f]+))?\)$", re.S)


def parse(frame):
    """(function or None, file or module, line or None, address or None)"""
    m = FRAME.match(frame)
    assert m, f"not a frame: {frame!r}"
    return (None if m[1] == "??" else m[1], m[2], int(m[3]) if m[3] else None, int(m[4], 16) if m[4] else None)


# --- native frames and gdb ---

def gdb_frames(folder, *command):
    result = run(["gdb", "-q", "-batch", "-x", os.path.join(HERE, "gdb_frames.py"), "--args", *command], timeout=120,
                 env={**os.environ, "GDB_FRAMES_FOLDER": folder, "DEBUGINFOD_URLS": ""}, text=b"\n" * 9)
    frames = [json.loads(line[7:]) for line in result.out.splitlines() if line.startswith(b"FRAMES ")]
    assert frames, f"gdb saw nothing\n{result}"
    return dict(frames)


def without_system_inlines(frames):
    """fdtrace looks up no lines in the C library, and so knows of nothing inlined there."""
    kept, module = [], None
    for frame in reversed(frames):
        module = frame[3] or module
        if frame[3] or not re.match(r"(libc|ld)[-.]", module or ""):
            kept.append(frame)
    return kept[::-1]


def same_frame(ours, gdbs):
    function, where, line, address = parse(ours)
    name, source, gdb_line, module, gdb_address = gdbs
    if address is not None:  # no line known to us: the address decides, and gdb may know no more
        return module == where and gdb_address == address
    return function == name and os.path.basename(source or "") == os.path.basename(where) and gdb_line == line


def compare_with_gdb(ours, gdbs, name):
    assert ours, f"{name}: no stack"
    gdbs = without_system_inlines(gdbs)
    listing = "\n".join(f"  {a!s:70} | {b}" for a, b in zip(ours + ["-"] * 200, gdbs))
    assert len(ours) == len(gdbs), f"{name}: {len(ours)} frames, gdb has {len(gdbs)}\n{listing}"
    for mine, other in zip(ours, gdbs):
        assert same_frame(mine, other), f"{name}: {mine!r} is not gdb's {other!r}\n{listing}"


@case("C without frame pointers: plain, deep, thread, signal handlers, callback, stripped library: equal to gdb")
def c_and_gdb():
    with tempfile.TemporaryDirectory(prefix="fdtrace-") as folder:
        command = [built("calls"), folder, built("libhidden.so")]
        with Background([FDTRACE, *ALL, "--", *command]) as tracer:
            tracer.wait_for(b"\n")
            until("hidden_first", lambda: os.path.exists(folder + "/hidden_first"))
            tracer.wait_for(b'"inode":"%d"' % os.stat(folder + "/hidden_first").st_ino)
            tracer.say(b"\n")
            result = tracer.finish()
            assert result.status == 0, f"{result}"
            ours = stacks_of(result.out, folder)
        for path in glob.glob(folder + "/*"):
            os.unlink(path)
        gdbs = gdb_frames(folder, *command)
    wanted = ["altstack", "deep", "handler", "hidden", "hidden_first", "plain", "sorted", "thread"]
    assert sorted(gdbs) == wanted, sorted(gdbs)
    del gdbs["hidden_first"]  # may end in a library that fdtrace has just met
    for name, frames in gdbs.items():
        compare_with_gdb(ours.get(name), frames, name)
    for name in ("fork", "vfork"):  # gdb stays with the parent
        functions = [parse(f)[0] for f in ours[name]]
        wanted = {"fork": ["leaf", "forked", "main"], "vfork": ["leaf", "vforked", "main"]}[name]
        assert [f for f in functions if f in wanted] == wanted, f"{name}: {ours[name]}"


# --- Python ---

def interpreters():
    found = [("Debian's python3", PYTHON)]
    versions = sorted(glob.glob(PYENV + "/*/bin/python"), key=lambda p: [int(n) for n in re.findall(r"\d+", p)])
    have = {re.match(r"\d+\.\d+", os.path.basename(os.path.dirname(os.path.dirname(p))))[0]: p for p in versions}
    for version in ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        found.append((f"CPython {version}", have.get(version)))
    return found


def python_frames(stack):
    """Those that are no native ones: file and line of a Python program, or a name without a module."""
    frames = [parse(f) for f in stack or [] if f != "..."]  # native frames may be missing at the end
    return [[where, line, function] for function, where, line, address in frames
            if address is None and (where.endswith(".py") or where.startswith("<"))]


def python_case(interpreter):
    def compare():
        if not interpreter:
            raise Skip("no such interpreter is installed here")
        with tempfile.TemporaryDirectory(prefix="fdtrace-") as place:
            folder, truth = os.path.join(place, "opened"), os.path.join(place, "truth")
            os.mkdir(folder)
            ours, result = trace(folder, interpreter, os.path.join(HERE, "calls.py"), folder, truth)
            with open(truth, encoding="utf-8") as f:
                wanted = json.load(f)
        assert len(wanted) > 20, sorted(wanted)
        for name, frames in wanted.items():
            got = python_frames(ours.get(name))
            listing = "\n".join(f"  {a!s:60} | {b}" for a, b in zip(got + ["-"] * 99, frames + ["-"] * (len(got) - len(frames))))
            assert got == frames, f"{name}: fdtrace | Python\n{listing}\n{ours.get(name)}\n{result.messages}"
    return compare


# What is not installed is named and skipped: only Debian's own is always there.
for _name, _path in interpreters():
    if _path or os.environ.get("CI") != "true":
        add_case(f"{_name}: every frame as Python itself tells it", python_case(_path))


main()
