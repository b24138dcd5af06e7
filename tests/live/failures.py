#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad input and a machine in trouble: each has its own message and the documented exit status."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (FDTRACE, NOBODY, PYTHON, Background, Result, add_case, case, expect_findings, fdtrace, main,
                     need_tracing, open_numbers, program, run)


def refused(name, args, status, *words, tracing=False):
    """fdtrace must end with this status, say each of the words on stderr, and nothing on stdout."""
    def check():
        if tracing:
            need_tracing()
        result = fdtrace(*args)
        judge_refusal(result, status, words)
    add_case(name, check)


def judge_refusal(result, status, words):
    assert result.status == status, f"expected status {status}\n{result}"
    assert result.messages.startswith("fdtrace: "), f"the message is not fdtrace's\n{result}"
    for word in words:
        assert word.lower() in result.messages.lower(), f"{word!r} is not said\n{result}"
    assert not result.out, f"stdout carries data only\n{result}"


# --- wrong usage: status 2, the bad word, what is allowed ---

refused("no arguments", [], 2)
refused("an unknown option", ["--jsn", "--", "true"], 2, "--jsn", "--json")
refused("an unknown letter", ["-Z"], 2, "-Z")
refused("a bad pid", ["-p", "12x"], 2, "12x")
refused("pid 0", ["-p", "0"], 2, "0")
refused("a pid beyond all pids", ["-p", "99999999999999999999"], 2)
refused("an empty pid list", ["-p", "1,"], 2)
refused("a bad duration", ["-a", "-d", "soon"], 2, "soon", "10s")
refused("a negative duration", ["-a", "-d", "-5s"], 2, "-5s")
refused("an endless duration", ["-a", "-d", "99999999999999999d"], 2)
refused("an unknown rule", ["--rules", "leek", "--", "true"], 2, "leek", "leak")
refused("an unknown severity", ["--min-severity", "fatal", "--", "true"], 2, "fatal", "warning")
refused("an unknown threshold", ["--set", "leak.windw=1s", "--", "true"], 2, "leak.windw", "leak.window")
refused("a bad threshold", ["--set", "leak.window=much", "--", "true"], 2, "leak.window")
refused("a threshold out of range", ["--set", "leak.window=1ms", "--", "true"], 2, "out of range")
refused("exit code 0 for errors", ["--error-exitcode", "0", "--", "true"], 2, "1", "255")
refused("exit code 256", ["--error-exitcode", "256", "--", "true"], 2, "255")
refused("a missing value", ["-p"], 2, "pid")
refused("-p and -a together", ["-a", "-p", "1"], 2)
refused("-a and a command together", ["-a", "--", "true"], 2)
refused("replay of nothing", ["replay"], 2, "FILE")
refused("an unknown hook set", ["--hooks", "magic", "--", "true"], 2, "magic", "tracepoint")
refused("a name that is no option value for the terminal", ["--rules", "\x1b[31mred\n"], 2, "\\x1b")

# --- the command is not to be had ---

refused("a command that does not exist", ["--", "/nonexistent/program"], 127, "/nonexistent/program", tracing=True)
refused("a command not in PATH", ["--", "no-such-program-here"], 127, "no-such-program-here", tracing=True)
refused("a command that is a folder", ["--", "/"], 126, "/", tracing=True)
refused("a command that is not executable", ["--", "/etc/passwd"], 126, "/etc/passwd", tracing=True)


# --- where findings go ---

for _option in ("-o", "-r"):
    refused(f"{_option} in a folder that is not there", ["-a", "-j", _option, "/nonexistent/file"], 3,
            "/nonexistent/file", tracing=True)
    refused(f"{_option} in a folder that is not there: the command is not started",
            [_option, "/nonexistent/file", "--", "/bin/echo"], 125, "/nonexistent/file", tracing=True)


@case("a pid that is gone")
def no_such_pid():
    need_tracing()
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    judge_refusal(fdtrace("-j", "-p", str(ended.pid)), 3, [f"{ended.pid}", "no such process"])


@case("not root: what is missing and what to do")
def not_root():
    need_tracing()
    for mode in (["-a", "-d", "1s"], ["-p", str(os.getpid())], ["--", "/bin/true"]):
        result = run([*NOBODY, readable_fdtrace(), "-j", *mode])
        judge_refusal(result, 125 if mode[0] == "--" else 3, ["CAP_", "sudo"])


_copies = []


def readable_fdtrace():
    """A copy that everybody may execute, wherever the tree stands."""
    if not _copies:
        folder = tempfile.mkdtemp()
        os.chmod(folder, 0o755)
        _copies.append(folder)
        shutil.copy(FDTRACE, folder)
        os.chmod(os.path.join(folder, "fdtrace"), 0o755)
    return os.path.join(_copies[0], "fdtrace")


@case("-o to a full disk is reported and does not affect the command")
def full_disk():
    need_tracing()
    result = fdtrace("-j", "-o", "/dev/full", "--", program("mix"), "guilty")
    assert "no space left" in result.messages.lower(), f"{result}"
    assert result.status == 7, f"{result}"


@case("-r to a full disk is reported and does not affect the command")
def full_disk_recording():
    need_tracing()
    result = fdtrace("-j", "-r", "/dev/full", "--", program("mix"), "guilty")
    assert "no space left" in result.messages.lower(), f"{result}"
    assert len(result.findings) == 5, f"the findings must come all the same\n{result}"


@case("a reader that goes away ends the run quietly")
def head():
    need_tracing()
    slowly = "import time\nprint('running', flush=True)\nwhile True:\n    open('/dev/null').close()\n    time.sleep(0.01)\n"
    with Background([PYTHON, "-c", slowly]) as opening:
        opening.wait_for(b"running")
        script = f"{shlex.quote(FDTRACE)} -j -e -p {opening.pid} -d 30s | head -1; echo ${{PIPESTATUS[0]}}"
        result = run(["/bin/bash", "-c", script], timeout=20)
        first, status = result.out.split(b"\n")[:2]
        json.loads(first)
        assert status in (b"0", b"141"), f"{result}"
        assert not result.err.strip() or result.messages.startswith("fdtrace: "), f"{result}"


@case("a script without #! runs as a shell would run it, or is refused as not executable")
def no_shebang():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="ascii") as f:
            f.write("exit 6\n")
        os.chmod(script, 0o755)
        result = fdtrace("-j", "--", script)
        assert result.status in (6, 126), f"{result}"
        if result.status == 126:
            judge_refusal(result, 126, [script])


@case("a command line of 100,000 bytes")
def long_arguments():
    need_tracing()
    result = fdtrace("-j", "--", "/bin/true", *["argument"] * 5000, "x" * 60000)
    assert result.status == 0, f"{result}"
    expect_findings(result, [])


@case("an argument that is not UTF-8 and tries to control the terminal")
def hostile_name():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        evil = os.path.join(os.fsencode(folder), b"\x1b[2J\r\n\xff\xc2\x9b\xe2\x80\xae\"\\")
        os.symlink(os.fsencode(program("use_closed")), evil)
        with open(evil + b"data", "wb"):
            pass
        for options in (["-j"], ["-j", "-e"], ["-e", "-v"]):
            result = fdtrace(*options, "--", evil, "own-mistake")
            assert result.status == 0, f"{result}"
            judge_printable(result)
            script = b'exec 3<"$1"; exec 3<&-; read x <&3; exit 0'
            result = run([FDTRACE, *options, "--", "/bin/bash", "-c", script, "bash", evil + b"data"])
            judge_printable(result)


def judge_printable(result):
    for name, data in (("stdout", result.out), ("stderr of fdtrace", result.err)):
        data = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"bash: "))
        bad = re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae\xa8\xa9]", data)
        if name == "stdout" or not bad:
            assert not bad, f"{bad.group()!r} reached {name}\n{result}"
    result.out.decode("utf-8")  # raises where it is not UTF-8
    if result.argv[1] == "-j":
        result.records()


def with_closed(numbers):
    """Started with some of 0, 1 and 2 closed, fdtrace works and the command finds them closed."""
    def check():
        need_tracing()
        with tempfile.TemporaryDirectory() as folder:
            out, seen = os.path.join(folder, "out"), os.path.join(folder, "seen")
            closing = " ".join(f"{n}{'<' if n == 0 else '>'}&-" for n in numbers)
            inner = f"ls -l /proc/self/fd > {seen} 2>/dev/null; exit 4"
            script = f"exec {shlex.quote(FDTRACE)} -j -o {out} -- /bin/sh -c '{inner}' {closing}"
            result = run(["/bin/sh", "-c", script])
            assert result.status == 4, f"{result}"
            with open(out, "rb") as data:
                written = Result(result.argv, 4, data.read(), b"")
            assert written.dataset("summary"), f"no summary in the -o file\n{written}"
            bad = [f for f in written.findings if f["process"]["name"] == "fdtrace"]
            assert not bad, f"{written}"
            with open(seen, encoding="utf-8", errors="replace") as listing:
                listed = listing.read()
            for n in set(numbers) - {1, 2}:  # the redirections above opened 1 and 2 anew
                assert f" {n} -> /dev/null" not in listed, f"{n} was not handed on closed:\n{listed}"
    return check


for _numbers in ((0,), (1,), (2,), (0, 1, 2)):
    add_case(f"started with {', '.join(map(str, _numbers))} closed", with_closed(_numbers))


@case("the command gets fdtrace's own descriptors, signals and nothing more")
def clean_inheritance():
    need_tracing()
    plain = run(["/bin/sh", "-c", "ls /proc/self/fd; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"])
    with tempfile.TemporaryDirectory() as folder:
        traced = run([FDTRACE, "-j", "-o", os.path.join(folder, "out"), "--", "/bin/sh", "-c",
                      "ls /proc/self/fd; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"])
    assert traced.out == plain.out, f"without:\n{plain.out.decode()}\nunder fdtrace:\n{traced}"


@case("a command killed by a signal gives 128 + signal")
def killed_command():
    need_tracing()
    for number in (9, 15, 11):
        result = fdtrace("-j", "--", "/bin/sh", "-c", f"kill -{number} $$")
        assert result.status == 128 + number, f"{result}"


@case("the attached process ends: so does fdtrace")
def target_ends():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        with Background([FDTRACE, "-j", "-p", str(held.pid)]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            assert held.finish().status == 0
            result = tracer.finish()
        assert result.status == 0, f"{result}"


@case("the attached process is killed in the middle")
def target_killed():
    need_tracing()
    with Background([program("churn")]) as racing:
        racing.wait_for(b"running")
        with Background([FDTRACE, "-j", "-p", str(racing.pid)]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            racing.child.kill()
            racing.child.wait()
            result = tracer.finish()
        assert result.status == 0, f"{result}"
        expect_findings(result, [], floor="warning")


@case("fdtrace with hardly any descriptors of its own says so")
def few_descriptors():
    need_tracing()
    result = run(["/bin/sh", "-c", 'ulimit -n 8; exec "$0" -j -- /bin/true', FDTRACE])
    assert result.status in (0, 3, 4, 125), f"{result}"
    if result.status:
        judge_refusal(result, result.status, ["too many open files"])


@case("help, version and lists go to stdout with status 0")
def listings():
    for args, word in ((["--help"], "replay"), (["-V"], "0.1"), (["--set", "help"], "leak.window"),
                       (["--rules", "help"], "close.unowned")):
        result = fdtrace(*args)
        assert result.status == 0 and word in result.out.decode(), f"{result}"
    assert max(map(len, fdtrace("--help").out.decode().splitlines())) <= 80, "help is wider than 80"


@case("listings to a full disk and without a reader")
def listings_lost():
    with open("/dev/full", "wb") as full:
        result = fdtrace("--help", stdout=full)
    assert result.status != 0, f"writing to a full disk went unnoticed\n{result}"


@case("doctor describes the machine in words, as root and as nobody")
def doctor():
    result = fdtrace("doctor")
    assert "BTF" in result.out.decode(), f"{result}"
    assert result.status == (0 if os.geteuid() == 0 else 3), f"{result}"
    if os.geteuid() == 0:
        poor = run([*NOBODY, readable_fdtrace(), "doctor"])
        assert poor.status == 3 and "fail" in poor.out.decode(), f"{poor}"
        for line in run([*NOBODY, readable_fdtrace(), "doctor", "--json"]).out.splitlines():
            json.loads(line)


def flags_of(pid, number):
    """As open(2) has them; None: it was closed in the meantime."""
    try:
        with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as info:
            return int(re.search(r"flags:\s*(\d+)", info.read()).group(1), 8)
    except FileNotFoundError:
        return None


@case("fdtrace's own descriptors are all close-on-exec and above 2")
def own_descriptors():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        with Background([FDTRACE, "-j", "-p", str(held.pid)]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            numbers = open_numbers(tracer.pid)
            flags = {n: flags_of(tracer.pid, n) for n in numbers}
            bad = [n for n in numbers if n > 2 and flags[n] is not None and not flags[n] & os.O_CLOEXEC]
            assert len(numbers) > 10 and not bad, f"of {numbers} not close-on-exec: {bad}"
            tracer.interrupt()
        held.finish()


if __name__ == "__main__":
    try:
        main()
    finally:
        for _folder in _copies:
            shutil.rmtree(_folder)
