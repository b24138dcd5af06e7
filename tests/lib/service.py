# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the daemon share: a place for one, and programs for it to find guilty."""
import contextlib
import itertools
import os
import re
import shutil
import signal
import tempfile

from harness import FDTRACE, PYTHON, Background, Skip, check_line, fdtrace, until

# A program with one function of its own name: its findings can be recognised by that.
GUILTY = """
import os, sys
def {name}():
    return os.open("/dev/null", os.O_RDONLY)
def {name}_twice(fd):
    os.close(fd)
    try:
        os.close(fd)
    except OSError:
        pass
fd = {name}()
print("open", flush=True)
sys.stdin.read(1)
{name}_twice(fd)
print("done", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def place():
    """A folder for one daemon: configuration, output, state, lock, notify socket."""
    folder = tempfile.mkdtemp(prefix="fdtrace-daemon-")
    try:
        os.mkdir(os.path.join(folder, "run"))
        yield Place(folder)
    finally:
        shutil.rmtree(folder)


def whole_attention():
    """Findings go by their stacks here: none may be left out to keep to a budget."""
    known = fdtrace("--set", "help").out.decode()
    return [f"{key}=100%" for key in ("budget", "stacks.budget") if f"\n{key}=" in known]


class Place:
    def __init__(self, folder):
        self.folder = folder
        self.config, self.out, self.state = (os.path.join(folder, n) for n in ("c.yaml", "out.jsonl", "reported.json"))
        self.known = {}  # records by their lines: the file is polled, and others' findings are in it, too
        self.environment = {**os.environ, "RUNTIME_DIRECTORY": os.path.join(folder, "run")}
        self.write()

    def write(self, more="", outputs="", evidence="off", listen="off"):
        """`outputs`: YAML of more places than the file; `more`: of other keys."""
        with open(self.config, "w", encoding="utf-8") as config:
            config.write(f"outputs:\n- type: file\n  path: {self.out}\n{outputs}state: {self.state}\n"
                         f"evidence:\n  path: {evidence}\nmetrics:\n  listen: {listen}\n{more}")

    def lines(self):
        try:
            with open(self.out, "rb") as out:
                return [line for line in out.read().split(b"\n")[:-1]]
        except FileNotFoundError:
            return []

    def record(self, line):
        if line not in self.known:
            self.known[line] = check_line(line, self.out)
        return self.known[line]

    def records(self):
        return [self.record(line) for line in self.lines()]

    def findings(self, name):
        """Those about the program whose functions are called so."""
        return [record for line, record in [(line, self.record(line)) for line in self.lines()]
                if record["event"]["dataset"] == "fdtrace.finding" and name.encode() + b"_twice" in line]

    def wait(self, name, count=1):
        return until(f"{count} finding(s) of {name} in {self.lines()[-5:]}",
                     lambda: len(self.findings(name)) >= count and self.findings(name))

    def start(self, *args, before=(), ready=b"the whole machine is traced", budget="100%"):
        """`budget` None: what the file says."""
        settings = [word for setting in whole_attention() if budget or not setting.startswith("budget=")
                    for word in ("--set", setting)]
        daemon = Background([*before, FDTRACE, "--daemon", "-c", self.config, *settings, *args],
                            env=self.environment)
        try:
            daemon.wait_for_message(ready)
        except BaseException:
            daemon.__exit__()
            raise
        return daemon


def end(daemon, number=signal.SIGTERM):
    result = daemon.interrupt(number)
    assert result.status == 0, result
    return result


@contextlib.contextmanager
def program(name, before=()):
    """Has opened, and closes twice when asked to."""
    with Background([*before, PYTHON, "-c", GUILTY.format(name=name)]) as guilty:
        guilty.wait_for(b"open")
        yield guilty


def sin(guilty):
    guilty.say(b"x")
    guilty.wait_for(b"done")


def be_guilty(name, before=()):
    with program(name, before) as guilty:
        sin(guilty)


def warm_up(at):
    """Until Python's frames are known. Before that, places are bare addresses, and all of them one finding."""
    names = (f"warm_up_{n}" for n in itertools.count())

    def is_known():
        be_guilty(next(names))
        return any(re.search(rb'"warm_up_\d+_twice \(', line) for line in at.lines())
    until("the frames of Python are known", is_known)


def reload(daemon, message=b": reloaded"):
    before = daemon.err().count(message)
    os.kill(daemon.pid, signal.SIGHUP)
    until(f"{message!r} again in {daemon.err()!r}", lambda: daemon.err().count(message) > before)

# Closes twice in so many functions that each time is a finding of its own; others to warm up with.
FLOOD = """
import os, sys
def make(name):
    scope = {{"os": os}}
    exec(f"def {{name}}_twice(fd):\\n"
         "    os.close(fd)\\n    try:\\n        os.close(fd)\\n    except OSError:\\n        pass\\n", scope)
    return scope[name + "_twice"]
made, warm = [make(f"{name}_{{i:04}}") for i in range({count})], 0
print("ready", flush=True)
while word := sys.stdin.read(1):
    warm += word == "w"
    (make(f"{name}_warm{{warm}}") if word == "w" else made.pop(0))(os.open("/dev/null", os.O_RDONLY))
"""


@contextlib.contextmanager
def flood(at, name, count):
    """Sins once for each "x" that is said to it; `findings.every: 0s` lets all of that be reported.

    Python's frames are known a moment after a program's start: the flood is ready when they are.
    """
    with Background([PYTHON, "-c", FLOOD.format(name=name, count=count)]) as guilty:
        guilty.wait_for(b"ready")

        def is_warm():
            guilty.say(b"w")
            return any(re.search(name.encode() + rb"_warm\d", line) for line in at.lines())  # no command line has the digit
        until(f"the frames of {name} are known", is_warm)
        yield guilty


# --- control groups ---

def hierarchy(kind, option=""):
    """Where cgroups are mounted: "cgroup2", or "cgroup" with a controller among the options."""
    with open("/proc/self/mounts", encoding="ascii", errors="replace") as mounts:
        for mount in mounts:
            _, folder, fs, options, *_ = mount.split()
            if fs == kind and (not option or option in options.split(",")):
                return folder
    return None


@contextlib.contextmanager
def cgroup(name, parent=None):
    """A group of our own, removed in the end: processes in it have ended by then."""
    parent = parent or hierarchy("cgroup2") or hierarchy("cgroup", "name=systemd")
    if not parent:
        raise Skip("neither cgroup2 nor systemd's cgroup is mounted here")
    folder = os.path.join(parent, name)
    try:
        os.mkdir(folder)
    except OSError as why:
        raise Skip(f"no cgroup can be made here: {why}") from None
    try:
        yield folder
    finally:
        os.rmdir(folder)


def inside(folder):
    """In front of a command: it runs in that cgroup."""
    return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', folder]


@contextlib.contextmanager
def small_memory(size):
    """In front of a command: it runs in a control group of that many bytes, of version 1 or 2."""
    for kind, option, name in (("cgroup", "memory", "memory.limit_in_bytes"), ("cgroup2", "", "memory.max")):
        parent = hierarchy(kind, option)
        if not parent:
            continue
        with cgroup(f"fdtrace-memory-{os.getpid()}", parent) as group:
            if os.path.exists(os.path.join(group, name)):
                with open(os.path.join(group, name), "w", encoding="ascii") as limit:
                    limit.write(str(size))
                yield inside(group)
                return
    raise Skip("no memory controller can be used here")
