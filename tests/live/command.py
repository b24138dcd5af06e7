#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A command under trace: where results go, who goes on after it, and processes named with -p."""
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (ALL_STACKS, FDTRACE, PYTHON, Background, Result, alive, case, fdtrace, main, need_tracing, program,
                     run, until)

# Opens a FIFO for reading, which takes until somebody opens it for writing. It holds no pipe of ours.
READS = '(exec >/dev/null 2>&1; exec cat <"$0")'
LEAVES = READS + " & echo started; exit 3"


class Fifo:
    """Holds what reads from it until release()."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "fifo")
        os.mkfifo(self.path)
        return self

    def release(self):
        with open(self.path, "wb"):
            pass

    def __exit__(self, *_):
        # whoever opens for reading only afterwards would wait for ever
        fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.folder.cleanup()
        os.close(fd)


def traced(*options, command=(program("close_twice"), "guilty"), **kwargs):
    """As a user runs it, without what the harness adds."""
    need_tracing()
    return run([FDTRACE, *options, "--", *command], collect=False, **kwargs)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def check_json(path):
    records = Result([path], 0, b"", b"").records(read(path))
    assert [r for r in records if r["event"]["dataset"] == "fdtrace.finding"], records
    return records


# --- where results go ---

@case("what fdtrace reports of a command goes to stderr, as text and as JSON")
def to_stderr():
    script = f"echo mine; exec {shlex.quote(program('close_twice'))} guilty"
    for options, word in ((["--min-severity", "info", "-e"], "info[close.double]"), (["-j"], '"rule":{"id":"close.double"')):
        result = traced(*options, command=["/bin/sh", "-c", script])
        assert result.out == b"mine\n" and word in result.messages, result
        assert result.status == 0, result


@case("-o - is standard output; a format before a file, and several of them")
def several():
    with tempfile.TemporaryDirectory() as folder:
        lines, words, colon = (os.path.join(folder, name) for name in ("lines", "words", "a:b"))
        result = traced("--min-severity", "info", "-o", "text:-", "-o", "json:" + lines, "-o", "text:" + words, "-o", colon)
        assert b"info[close.double]" in result.out and not result.err, result
        check_json(lines)
        for path in (words, colon):
            assert b"info[close.double]" in read(path), path
        result = traced("-j", "-o", lines, "-o", "text:" + words)
        assert not result.out and not result.err, result
        check_json(lines)
        assert b"fdtrace: " in read(words)


@case("two outputs to one file are refused, and what it held is still there")
def one_file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kept")
        os.symlink("kept", os.path.join(folder, "other"))
        with open(path, "w", encoding="ascii") as file:
            file.write("kept")
        for options in (["-o", path, "-o", "json:" + os.path.join(folder, "other")], ["-o", path, "-r", path]):
            result = traced(*options, command=["/bin/echo", "ran"])
            assert result.status in (2, 125) and not result.out and "same file" in result.messages, result
            assert read(path) == b"kept"
    assert traced("-o", "/dev/null", "-o", "json:/dev/null").status == 0


@case("a reader that leaves ends one output; the other gets all, and so does the status")
def reader_leaves():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lines")
        script = (f"{{ {shlex.quote(FDTRACE)} -e -o text:- -o json:{shlex.quote(path)} -- "
                  f"{shlex.quote(program('close_twice'))} guilty; echo $? >&2; }} | true")
        result = run(["/bin/sh", "-c", script], collect=False)
        assert result.err.split() == [b"0"], result
        records = check_json(path)
        assert records[-1]["event"].get("action") == "stop", records[-1]


# --- who goes on ---

@case("descendants that go on after the command are named, with how to go on")
def goes_on():
    with Fifo() as fifo:
        result = traced(command=["/bin/sh", "-c", LEAVES, fifo.path])
        assert result.status == 3 and result.out == b"started\n", result
        told = re.search(r"1 process is still running, no longer traced: sh\[(\d+)\] \(\d+ descriptors? open\)\n"
                         r"fdtrace: to continue: fdtrace -p (\d+); to trace until the last has ended: --wait\n$", result.messages)
        assert told and told[1] == told[2] and alive(int(told[1])), result
        fifo.release()
        until("it ends", lambda: not alive(int(told[1])))


@case("many of them are counted, not all named")
def many_go_on():
    with Fifo() as fifo:
        script = f"for i in 1 2 3 4 5 6 7 8 9 10; do {READS} & done; exit 0"
        result = traced(command=["/bin/sh", "-c", script, fifo.path])
        assert "10 processes are still running, no longer traced: " in result.messages and ", and 2 more\n" in result.messages, result
        pids = [int(p) for p in re.search(r"fdtrace -p ([\d,]+);", result.messages)[1].split(",")]
        assert len(pids) == 8 and all(alive(p) for p in pids), result
        for pid in pids:
            os.kill(pid, signal.SIGTERM)  # they have nobody else
        until("they end", lambda: not any(alive(p) for p in pids))
        fifo.release()


def stays(*options):
    with Fifo() as fifo, Background([FDTRACE, "-j", "-e", *options, "--", "/bin/sh", "-c",
                                     LEAVES + "; : ", fifo.path]) as tracer:
        tracer.wait_for(b"started")
        until("the command has ended", lambda: b'"op":"exit"' in tracer.out or tracer.wait_for_more() or
              b'"op":"exit"' in tracer.out)
        assert tracer.child.poll() is None
        fifo.release()
        result = tracer.finish()
    assert result.status == 3, result
    assert b'"fd":0,"kind":"fifo"' in result.out, "what the descendant did later is missing"
    assert "no longer traced" not in result.messages, result


@case("--wait stays until the last has ended, and so does -d; the status is the command's")
def waits():
    need_tracing()
    stays("--wait")
    stays("-d", "100s")


@case("-d ends a run whose descendants go on, and an interrupt one that waits for them")
def waits_no_longer():
    need_tracing()
    with Fifo() as fifo:
        result = traced("-d", "100ms", command=["/bin/sh", "-c", LEAVES, fifo.path])
        assert result.status == 3 and "is still running, no longer traced" in result.messages, result
        fifo.release()
    with Fifo() as fifo, Background([FDTRACE, "-j", "-e", "--wait", "--", "/bin/sh", "-c", LEAVES, fifo.path]) as tracer:
        until("the command has ended", lambda: b'"op":"exit"' in tracer.out or tracer.wait_for_more())
        until("it is reaped", lambda: not os.path.exists(f"/proc/{command_of(tracer)}"))
        result = tracer.interrupt()
        assert result.status == 3 and "is still running, no longer traced" in result.messages, result
        fifo.release()


def command_of(tracer):
    exits = [json.loads(line) for line in tracer.out.splitlines() if b'"op":"exit"' in line]
    return exits[0]["process"]["pid"]


# --- what is said of its beginning ---

@case("fdtrace's own launcher is in nobody's history; what was open before is inherited")
def no_launcher():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, FDTRACE_EVIDENCE=os.path.join(folder, "evidence"))
        lines, words = os.path.join(folder, "lines"), os.path.join(folder, "words")
        script = ("import os, sys\n"
                  "for fd in range(3, 40):\n"  # those of the launcher were among them
                  "    os.dup2(0, fd); os.close(fd)\n"
                  "    try: os.close(fd)\n"
                  "    except OSError: pass\n"
                  "    try: os.read(fd, 1)\n"
                  "    except OSError: pass\n")
        result = run([FDTRACE, *ALL_STACKS, "-vv", "-e", "--min-severity", "info", "-o", "text:" + words, "-o",
                      "json:" + lines, "--json=full", "--", PYTHON, "-c", script], env=env, collect=False)
        assert result.status == 0, result
        kept = b"".join(read(os.path.join(folder, "evidence", name)) for name in os.listdir(env["FDTRACE_EVIDENCE"]))
        assert b"use.closed" in kept, kept
        for text in (read(lines), read(words), kept):
            for word in (b"launch.c", b"fork_child", b"run_child", b"launch_new", b"before attach"):
                assert word not in text, f"{word} in {text[:5000]}"
        events = [r for r in map(json.loads, read(lines).splitlines()) if r["event"]["dataset"] == "fdtrace.event"]
        assert events[0]["fdtrace"]["op"] == "exec" and events[0]["process"]["name"].startswith("python3"), events[0]


@case("before attach is said of an attach only")
def inherited():
    need_tracing()
    with Fifo() as fifo, open("/dev/null", "rb") as null:
        result = traced(command=["/bin/sh", "-c", LEAVES, fifo.path], pass_fds=[null.fileno()])
        fifo.release()
        assert "from the shell or program that started fdtrace" in result.messages, result
        assert "before attach" not in result.messages, result
    with Background(["/bin/cat"]) as held:
        result = fdtrace("-d", "100ms", "-p", str(held.pid))
        assert "opened before attach" in result.out.decode(), result


# --- processes by name ---

@case("-p takes a process's name, its executable's, and pids as pidof prints them")
def by_name():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        name = f"held-{os.getpid()}-by-a-long-name"  # longer than a comm can be
        cat = shutil.copy("/bin/cat", os.path.join(folder, name))
        with Background([cat]) as first, Background([cat]) as second:
            pids = sorted((first.pid, second.pid))
            until("they run it", lambda: all(os.readlink(f"/proc/{p}/exe") == cat for p in pids))
            for how in (["-p", name], ["-p", name[:15]], ["-p", f"{pids[0]},{name}"], ["-p", *map(str, pids)],
                        ["-p", " ".join(map(str, pids))]):
                result = fdtrace("-j", "-d", "100ms", *how)
                found = sorted(r["process"]["pid"] for r in result.dataset("summary") if r["fdtrace"]["scope"] == "process")
                assert result.status == 0 and found == pids, f"{how}: {found}\n{result}"


@case("a name that nobody has, and a process that was meant as -p")
def no_name():
    result = fdtrace("-p", "no-such-process")
    assert result.status == 3 and "no process is called 'no-such-process'" in result.messages, result
    assert "ps -e" in result.messages, result
    need_tracing()
    result = fdtrace("4194304")
    assert result.status == 127 and "did you mean: fdtrace -p 4194304?" in result.messages, result


if __name__ == "__main__":
    main()
