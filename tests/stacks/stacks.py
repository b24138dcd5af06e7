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
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from frames import ALL, STACKS, built, compare_with_gdb, gdb_frames, parse, python_frames, stacks_of
from harness import FDTRACE, PYTHON, Background, Skip, add_case, case, main, need_tracing, until

PYENV = os.path.expanduser("~/.pyenv/versions")
# --- native frames and gdb ---

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


def wait_until_known(tracer, folder):
    """Until the program's stacks have Python frames: the tables of its interpreter are made meanwhile."""
    for count in range(10000):
        path = f"{folder}/first-{count}"
        tracer.say(b"again\n")
        until(path, lambda: os.path.exists(path))
        inode = b'"inode":"%d"' % os.stat(path).st_ino
        tracer.wait_for(inode)
        tracer.wait_for(b"\n", since=tracer.out.index(inode))
        lines = tracer.out[tracer.out.rindex(b"\n", 0, tracer.out.index(inode)) + 1:tracer.out.rindex(b"\n") + 1]
        if python_frames(stacks_of(lines, folder).get(os.path.basename(path))):
            return
    raise AssertionError("its stacks never had Python frames")


def compared(interpreter, folder, truth):
    need_tracing()
    with Background([FDTRACE, *ALL, "--", interpreter, os.path.join(STACKS, "calls.py"), folder, truth]) as tracer:
        wait_until_known(tracer, folder)
        result = tracer.finish(120)
    assert result.status == 0, f"{result.argv}: status {result.status}\n{result.messages}"
    return stacks_of(result.out, folder), result


def python_case(interpreter):
    def compare():
        if not interpreter:
            raise Skip("no such interpreter is installed here")
        with tempfile.TemporaryDirectory(prefix="fdtrace-") as place:
            folder, truth = os.path.join(place, "opened"), os.path.join(place, "truth")
            os.mkdir(folder)
            ours, result = compared(interpreter, folder, truth)
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
        add_case(f"{_name}: every frame as Python itself reports it", python_case(_path))


main()
