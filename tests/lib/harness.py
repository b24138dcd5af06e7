# SPDX-License-Identifier: BSD-2-Clause
"""What the test programs share: cases that print TAP, and running fdtrace with a deadline.

A test program registers its cases with @case and ends with main(). A case fails by raising
(assert, or anything else) and is skipped by raising Skip with a probed reason; with CI=true in
the environment a skip is a failure, because there everything has to be there.
"""
import contextlib
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))
FDTRACE = os.path.join(BUILD, "fdtrace")
os.environ.setdefault("FDTRACE_EVIDENCE", "/run/fdtrace-tests-evidence")  # not the machine's own; only root has one
PYTHON = "/usr/bin/python3"  # Debian's own, whatever else stands first in PATH
DEADLINE_S = 120  # for what hangs: on a busy machine all takes longer
LOCK = "/run/fdtrace-tests.lock"
GRAVE = ("warning", "error")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


class Skip(Exception):
    """This case can't run here; says which probed fact stops it."""


_cases = []


def case(name):
    def register(function):
        _cases.append((name, function))
        return function
    return register


def add_case(name, function):
    _cases.append((name, function))


def program(name):
    """One of the small C programs of tests/live."""
    return os.path.join(BUILD, "tests", "live", name)


def _diagnose(text):
    for line in text.rstrip("\n").splitlines():
        print("# " + line.encode("ascii", "backslashreplace").decode(), flush=True)


@contextlib.contextmanager
def _lock(how):
    """Cases of several test runs on one machine go on beside each other, except where one is alone."""
    if os.geteuid() != 0:
        yield
        return
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def alone(function):
    """Decorates a case that looks at the whole machine: no other run's guilty programs meanwhile."""
    function.how = fcntl.LOCK_EX
    return function


def _run_case(number, name, function):
    try:
        with _lock(getattr(function, "how", fcntl.LOCK_SH)):
            function()
    except Skip as why:
        if os.environ.get("CI") == "true":
            print(f"not ok {number} - {name}")
            _diagnose(f"skipped, which CI does not allow: {why}")
            return False
        print(f"ok {number} - {name} # SKIP {why}", flush=True)
        return True
    except AssertionError as error:
        print(f"not ok {number} - {name}")
        _diagnose(str(error) or traceback.format_exc())
        return False
    except Exception:  # a broken test is a failed test
        print(f"not ok {number} - {name}")
        _diagnose(traceback.format_exc())
        return False
    print(f"ok {number} - {name}", flush=True)
    return True


def main():
    """Runs the cases, or with arguments only those whose names contain one of them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and by our children, too
    wanted = [c for c in _cases if len(sys.argv) < 2 or any(a in c[0] for a in sys.argv[1:])]
    print(f"1..{len(wanted)}", flush=True)
    good = [_run_case(i, *c) for i, c in enumerate(wanted, 1)]
    sys.exit(0 if all(good) else 1)


def need_tracing():
    """Tracing needs root and BTF; without them a case is skipped, saying which is missing."""
    if os.geteuid() != 0:
        raise Skip(f"tracing needs root, this is uid {os.geteuid()}")
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        raise Skip("the kernel has no /sys/kernel/btf/vmlinux")


def need_descriptors(count):
    """Programs of this test raise their soft limit to count; the hard one is raised here if it must and may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard in (resource.RLIM_INFINITY, max(hard, count)):
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, count))
    except (ValueError, PermissionError) as why:
        raise Skip(f"needs {count:,} descriptors, the hard limit is {hard:,}: {why}") from None


def allowed_descriptors(count):
    """count, or as many as the machine allows."""
    with contextlib.suppress(Skip):
        need_descriptors(count)
    return min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


# --- running fdtrace ---

class Result:
    """What a finished run of fdtrace left: status, stdout, stderr, and the JSON lines in it."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __str__(self):
        return (f"$ {' '.join(os.fsdecode(a) for a in self.argv)}\nstatus {self.status}\n--- stdout\n"
                f"{self.out.decode('utf-8', 'backslashreplace')}\n--- stderr\n"
                f"{self.err.decode('utf-8', 'backslashreplace')}")

    @property
    def messages(self):
        return self.err.decode("utf-8", "backslashreplace")

    def records(self, out=None):
        return [check_line(line, self) for line in (self.out if out is None else out).splitlines()]

    def dataset(self, name):
        return [r for r in self.records() if r["event"]["dataset"] == "fdtrace." + name]

    @property
    def findings(self):
        return self.dataset("finding")

    def grave(self):
        return [f for f in self.findings if f["severity"] in GRAVE]


def _no_null(value):
    if isinstance(value, dict):
        return all(_no_null(v) for v in value.values())
    if isinstance(value, list):
        return all(_no_null(v) for v in value)
    return value is not None


def check_line(line, context):
    """What holds for every JSON line, whatever it says."""
    assert len(line) <= 4000, f"a JSON line of {len(line)} bytes\n{context}"
    bad = [b for b in line if b < 0x20 or b == 0x7f]
    assert not bad, f"raw control bytes {bad[:4]} in a JSON line\n{context}"
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError as why:
        raise AssertionError(f"not JSON: {why}\n{line!r}\n{context}") from None
    assert isinstance(record, dict) and "event" in record, f"not a record: {line!r}\n{context}"
    assert _no_null(record), f"null in {line!r}\n{context}"
    assert record["fdtrace"]["schema"] == 1, f"schema in {line!r}\n{context}"
    return record


def collected(argv):
    """argv, with what a traced command's fdtrace writes to stderr on stdout, unless it says where: apart from messages."""
    argv = [os.fsencode(a) for a in argv]
    at = next((i for i, word in enumerate(argv) if os.path.basename(word) in (b"fdtrace", b"fdtrace-static")), None)
    if at is None or b"--" not in argv[at:]:
        return argv
    options = argv[at + 1:argv.index(b"--", at)]
    if any(o == b"-o" or o.startswith(b"--output") for o in options):
        return argv
    return [*argv[:at + 1], b"-o", b"-", *argv[at + 1:]]


def run(argv, timeout=DEADLINE_S, text=None, collect=True, **popen):
    """Runs argv to its end and gives a Result; a run beyond the deadline is killed and fails."""
    argv = collected(argv) if collect else [os.fspath(a) for a in argv]
    popen.setdefault("stdin", subprocess.DEVNULL if text is None else subprocess.PIPE)
    with subprocess.Popen(argv, stdout=popen.pop("stdout", subprocess.PIPE),
                          stderr=popen.pop("stderr", subprocess.PIPE), **popen) as child:
        try:
            out, err = child.communicate(text, timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = b"", b""
            with contextlib.suppress(subprocess.TimeoutExpired):  # who it has started may hold the pipes
                out, err = child.communicate(timeout=5)
            raise AssertionError(
                f"no end after {timeout} s\n{Result(argv, child.returncode, out or b'', err or b'')}") from None
    return Result(argv, child.returncode, out or b"", err or b"")


def fdtrace(*args, **kwargs):
    return run([FDTRACE, *args], **kwargs)


def until(what, condition, timeout=DEADLINE_S):
    """Polls condition until it gives something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"after {timeout} s still not: {what}"
        time.sleep(0.01)


class Background:
    """A program that runs beside the test. Leaving the `with` block ends it by its own pid."""

    def __init__(self, argv, **popen):
        self.argv = collected(argv)
        popen.setdefault("stdin", subprocess.PIPE)
        self._err = tempfile.TemporaryFile()
        self.child = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=self._err, **popen)
        self.pid = self.child.pid
        self.out = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        self.child.wait()
        self._err.close()

    def err(self):
        self._err.seek(0)
        return self._err.read()

    def _read_some(self, end):
        ready, _, _ = select.select([self.child.stdout], [], [], max(0, end - time.monotonic()))
        data = os.read(self.child.stdout.fileno(), 65536) if ready else b""
        self.out += data
        return bool(data)

    def wait_for(self, text, timeout=DEADLINE_S, since=0):
        """Reads stdout until text has come, beyond the first `since` bytes."""
        end = time.monotonic() + timeout
        while text not in self.out[since:]:
            assert self._read_some(end), f"{text!r} did not come from {self.argv}: {self.out!r} {self.err()!r}"

    def wait_for_more(self, timeout=DEADLINE_S):
        """Reads stdout until there is more of it."""
        assert self._read_some(time.monotonic() + timeout), f"no more from {self.argv}: {self.err()!r}"

    def wait_for_message(self, text, timeout=DEADLINE_S):
        """Waits until text stands on stderr."""
        until(f"{text!r} on stderr of {self.argv}: {self.err()!r}",
              lambda: text in self.err() or self.child.poll() is not None, timeout)
        assert text in self.err(), f"{self.argv} ended without {text!r}: {self.err()!r}"

    def say(self, text):
        self.child.stdin.write(text)
        self.child.stdin.flush()

    def finish(self, timeout=DEADLINE_S):
        """Closes stdin, reads to the end, gives a Result."""
        try:
            out, _ = self.child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
            raise AssertionError(f"no end after {timeout} s: {self.argv}: {self.err()!r}") from None
        self.out += out
        return Result(self.argv, self.child.returncode, self.out, self.err())

    def interrupt(self, number=signal.SIGINT, timeout=DEADLINE_S):
        self.child.send_signal(number)
        return self.finish(timeout)


# Where a test goes by stacks: on a slow machine none may be left out to keep to the budget.
ALL_STACKS = ["--set", "stacks.budget=100%"]


def attach(pid, *args):
    """fdtrace -j -p pid, already attached: its first record says so."""
    chosen = any(arg.startswith(("--stacks", "stacks.budget=")) for arg in args)
    tracer = Background([FDTRACE, "-j", *([] if chosen else ALL_STACKS), *args, "-p", str(pid)])
    try:
        tracer.wait_for(b"fdtrace.state")
    except BaseException:
        tracer.__exit__()
        raise
    return tracer


def free_port():
    """A port of the loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# --- looking at processes ---

# linux/capability.h: DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF, CHECKPOINT_RESTORE
NEEDED_CAPABILITIES = {2, 19, 38, 39, 40}
CAP_KILL = 5


def capabilities(pid, key):
    """Of each thread: the set of capabilities that its status shows under key."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii", errors="replace") as status:
            bits, = re.findall(rf"^{key}:\s*([0-9a-f]+)", status.read(), re.M)
            yield {bit for bit in range(64) if int(bits, 16) >> bit & 1}


def judge_capabilities(pid, expected):
    had, = capabilities(os.getpid(), "CapEff")
    for key in ("CapEff", "CapPrm", "CapBnd"):
        for held in capabilities(pid, key):
            assert held == (had & expected if key != "CapBnd" else held & expected), f"{key}: {sorted(held)}"


def open_numbers(pid):
    return sorted(int(n) for n in os.listdir(f"/proc/{pid}/fd"))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


# --- judging findings ---

def rules_of(findings):
    return sorted((f["rule"]["id"], f["severity"]) for f in findings)


def expect_findings(result, expected, allowed=(), floor="info"):
    """Exactly the (rule, severity) pairs of `expected`, in any order, nothing else from `floor` up.

    `allowed` names rules that may or may not be there. Gives the expected findings, sorted
    like `expected`.
    """
    seen = result.findings if floor == "info" else result.grave()
    seen = [f for f in seen if f["rule"]["id"] not in allowed]
    assert rules_of(seen) == sorted(expected), \
        f"expected {sorted(expected)}\n     got {rules_of(seen)}\n{result}"
    return seen


def the(findings, rule):
    """The only finding of that rule."""
    found = [f for f in findings if f["rule"]["id"] == rule]
    assert len(found) == 1, f"{len(found)} findings of {rule}"
    return found[0]
