# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of stacks share: taking them from fdtrace's JSON and comparing them with gdb's."""
import json
import os
import re

from harness import BUILD, TOP, fdtrace, need_tracing, run

STACKS = os.path.join(TOP, "tests", "stacks")
# Nothing may be left out to save time where every stack is compared.
ALL = ["--json=full", "-e", "--set", "stacks.budget=100%"]


def built(name):
    return os.path.join(BUILD, "tests", "stacks", name)


def stacks_of(out, folder):
    """{name: stack} of the files opened in that folder, by the event of the opening.

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


def gdb_frames(folder, *command):
    result = run(["gdb", "-q", "-batch", "-x", os.path.join(STACKS, "gdb_frames.py"), "--args", *command], timeout=120,
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


def python_frames(stack):
    """Those that are no native ones: file and line of a Python program, or a name without a module."""
    frames = [parse(f) for f in stack or [] if f != "..."]  # native frames may be missing at the end
    return [[where, line, function] for function, where, line, address in frames
            if address is None and (where.endswith(".py") or where.startswith("<"))]
