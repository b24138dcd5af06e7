#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fdtrace on arm64: Debian's kernels in qemu, once each. What was run in there comes out on the
console line by line; what it should have said is judged out here.

    tests/vm/arm64.py [PART-OF-A-NAME...]      after `make arm64`
"""
import functools
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import BUILD, Result, add_case, expect_findings, main, the

# Kernel, and the release of Debian that has it.
KERNELS = {"6.1": "bookworm", "6.12": "trixie"}
# --hooks=function is to stand here as soon as there is such a set: in 6.1 by kprobes (no fentry).
HOOKS = ["tracepoint", "function"]
ARM64 = BUILD + "-arm64"
CACHE = os.path.join(BUILD, "vm-arm64")
DEADLINE_S = 240  # for all that is run in one machine: two to three times what it takes
MEMORY_MB, CPUS = 1024, 2
# So that a leak shows within seconds; everything takes its time in a machine made of software.
FAST = "--set leak.window=600ms --set leak.min_age=500ms --set leak.min_count=8"
INFO, WARN, ERROR = "info", "warning", "error"


# --- what is run in the machine: a shell script of busybox's, line by line into OUT and ERR ---

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp; mount -t tracefs trace /sys/kernel/tracing
ulimit -n 4096
# A job's output, prefixed, so that the kernel's own lines cannot be taken for it.
told() { sed "s/^/@out $1 /" /tmp/out; sed "s/^/@err $1 /" /tmp/err; echo "@end $1 $2"; }
# Polls until a file holds a text: `until_in TEXT FILE`. The whole machine has a deadline.
until_in() { until grep -q "$1" "$2" 2>/dev/null; do usleep 20000; done; }
. /jobs
dmesg > /tmp/out; : > /tmp/err; told dmesg 0
sync; poweroff -f
"""

# Eight threads race for ROUNDS rounds under --verify; compared while they go on and once they stand still.
RACE = """mkfifo /tmp/in; %s 20000 < /tmp/in > /tmp/raced & racer=$!
exec 3> /tmp/in; until_in up /tmp/raced
fdtrace -j --verify --hooks=%s -o /tmp/out.json -p $racer 2> /tmp/err & tracer=$!
until_in fdtrace.state /tmp/out.json; echo >&3
until_in ready /tmp/raced; kill -INT $tracer; wait $tracer; status=$?
exec 3>&-; wait $racer; mv /tmp/out.json /tmp/out; rm /tmp/in /tmp/raced"""


class Job:
    """One thing to run in the machine, and what has to come of it."""

    def __init__(self, name, hooks, script, judge):
        self.name, self.hooks, self.script, self.judge = name, hooks, script, judge

    @property
    def token(self):
        return re.sub(r"[^a-z0-9]+", "-", f"{self.hooks} {self.name}".lower())

    def lines(self):
        return f": > /tmp/out; : > /tmp/err; status=0\n{self.script}\ntold {self.token} $status\n"


def command(argv):
    return f"{argv} > /tmp/out 2> /tmp/err; status=$?"


# --- the jobs ---

def judge_doctor(result):
    assert result.status == 0, f"{result}"
    said = result.out.decode()
    for words in ("aarch64", "stacks", "not supported yet on arm64", "Would trace: every descriptor"):
        assert words in said, f"{words!r} is missing\n{result}"
    assert not re.search(r"^fail", said, re.M), f"{result}"


def judge_race(result):
    found = re.search(r"verify: (\d+) tables? compared .*; (\d+) difference", result.messages)
    assert found and int(found[1]) and not int(found[2]), f"{result}"
    assert result.status == 0, f"{result}"


def judge_text(result):
    """The start says that there will be no stacks, and a finding names calls instead of functions."""
    assert "no stack traces: not supported yet on arm64" in result.messages, f"{result}"
    assert "info[leak.exit]" in result.out.decode(), f"{result}"


def findings(expected, facts=None):
    def judge(result):
        assert result.status == 0, f"{result}"
        assert len(result.dataset("summary")) >= 1, f"no summary\n{result}"
        found = expect_findings(result, expected)
        if facts:
            facts(found)
    return judge


def opened_by(rule, syscall):
    """The finding says by which call the descriptor was opened: arguments and numbers are arm64's."""
    def facts(found):
        seen = the(found, rule)["fdtrace"]["opened"]["syscall"]
        assert seen == syscall, f"{rule}: opened by {seen!r}"
    return facts


def no_frames(found):
    """Sites are system calls; nothing pretends to be a stack."""
    said = json.dumps(found)
    assert '"stack' not in said and '"syscall": "read"' in said, said


def jobs_of(hooks):
    def traced(argv, options=""):
        return command(f"fdtrace -j -o - --hooks={hooks} {options} -- {argv}")

    rows = [
        ("a leak that will hit the limit", "growth near", [("leak.growth", ERROR)], FAST, None),
        ("a plateau is no leak", "growth plateau", [], FAST, None),
        ("a worker that closes what it was handed", "unowned handed-over", [], "", None),
        ("asking whether numbers are open", "use_closed probe", [], "", None),
        ("EBADF for the wrong access mode", "use_closed wrong-mode", [], "", None),
        ("marked close-on-exec", "inherit marked", [], "", None),
    ]
    # They rest on calls that fail or use a descriptor, of which only the hook on system calls hears.
    rows += [
        ("two descriptors forgotten across exec", "inherit forgotten", [("exec.inherit", INFO)], "",
         opened_by("exec.inherit", "openat")),
        ("closed by another thread, then used", "unowned closed-by-another", [("close.unowned", ERROR)], "", None),
        ("reading a number it closed itself", "use_closed own-mistake", [("use.closed", WARN)], "", no_frames),
        ("32 bits: reading a number it closed itself", "use_closed32 own-mistake", [("use.closed", WARN)], "",
         no_frames),
    ] if hooks == "tracepoint" else []
    rows += [
        ("32 bits: received in a message and kept", "scm_rights32 kept", [("leak.exit", INFO)], "", None),
        ("32 bits: received in a message and closed", "scm_rights32 closed", [], "", None),
        ("32 bits: asking whether numbers are open", "use_closed32 probe", [], "", None),
    ]
    jobs = [Job(name, hooks, traced(argv, options), findings(expected, facts))
            for name, argv, expected, options, facts in rows]
    jobs.append(Job("a finding in words", hooks, command(f"fdtrace -o - --hooks={hooks} --min-severity info -- "
                                                         "scm_rights32 kept"), judge_text))
    jobs += [Job(f"{name}: no difference from the kernel's table", hooks, RACE % (program, hooks), judge_race)
             for name, program in (("racing threads", "race"), ("racing threads of a 32-bit program", "race32"))]
    return jobs


def judge_dmesg(result):
    bad = [line for line in result.out.decode("utf-8", "replace").splitlines()
           if re.search(r"WARNING|BUG|Oops|Call trace|Unable to handle|rcu.*stall|lockup", line)]
    assert len(result.out.splitlines()) > 50 and not bad, "\n".join(bad) or f"no kernel messages\n{result}"


DMESG = Job("the kernel's messages", "", "", judge_dmesg)
DOCTOR = Job("doctor", "", command("fdtrace doctor"), judge_doctor)
JOBS = [DOCTOR] + [job for hooks in HOOKS for job in jobs_of(hooks)]


# --- the machine ---

def fetched(kernel, suite):
    """The folder with that kernel's package, downloaded if it is not there."""
    folder = os.path.join(CACHE, kernel)
    subprocess.run([os.path.join(HERE, "arm64_fetch.sh"), os.path.join(BUILD, "apt-arm64"), folder, suite,
                    "linux-image-cloud-arm64", "busybox-static"], check=True, stdout=subprocess.DEVNULL)
    return folder


def put_programs(root):
    os.makedirs(os.path.join(root, "bin"))
    subprocess.run(["cp", f"{ARM64}/fdtrace-static", os.path.join(root, "bin/fdtrace")],
                   check=True)
    for path in glob.glob(f"{ARM64}/tests/live/*"):
        if not path.endswith(".d"):
            shutil.copy(path, os.path.join(root, "bin"))


def make_root(root, package):
    put_programs(root)
    for folder in ("proc", "sys", "dev", "tmp", "etc", "var/lib", "run"):
        os.makedirs(os.path.join(root, folder))
    busybox, = glob.glob(f"{package}/bin/busybox") + glob.glob(f"{package}/usr/bin/busybox")
    shutil.copy(busybox, os.path.join(root, "bin"))
    for name, text, mode in (("etc/passwd", "root:x:0:0:root:/:/bin/sh\n", 0o644), ("init", INIT, 0o755),
                             ("jobs", "".join(job.lines() for job in JOBS), 0o644)):
        with open(os.path.join(root, name), "w", encoding="ascii") as out:
            out.write(text)
        os.chmod(os.path.join(root, name), mode)


def pack(root, image):
    names = sorted(os.path.relpath(os.path.join(at, name), root)
                   for at, folders, files in os.walk(root) for name in folders + files)
    with open(image, "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, stdout=out, check=True,
                       input="\n".join(names).encode())


def boot(kernel, image):
    """Everything that stood on the console, in lines."""
    argv = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi",
            "-m", str(MEMORY_MB), "-smp", str(CPUS), "-nic", "none", "-display", "none", "-monitor", "none",
            "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", image,
            "-append", "console=ttyAMA0 quiet loglevel=1 panic=-1 rdinit=/init"]
    try:
        said = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DEADLINE_S, check=False).stdout
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"") + f"\nno end after {DEADLINE_S} s\n".encode()
    return said.replace(b"\r\n", b"\n").split(b"\n")


@functools.lru_cache(maxsize=None)
def console_of(version):
    package = fetched(version, KERNELS[version])
    kernel, = glob.glob(os.path.join(package, "boot/vmlinuz-*"))
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root, image = os.path.join(folder, "root"), os.path.join(folder, "initrd")
        make_root(root, package)
        pack(root, image)
        lines = boot(kernel, image)
    with open(os.path.join(CACHE, f"{version}.log"), "wb") as log:
        log.write(b"\n".join(lines))
    return lines


def result_of(version, job, token):
    """What one job said; that it was run to its end has to stand on the console as well."""
    lines = console_of(version)
    of = {}
    for kind in (b"@out", b"@err"):
        prefix = kind + b" " + token.encode() + b" "
        of[kind] = b"".join(line[len(prefix):] + b"\n" for line in lines if line.startswith(prefix))
    ends = [line for line in lines if line.startswith(b"@end " + token.encode() + b" ")]
    assert len(ends) == 1, f"{token} was not run to its end; the console's last lines:\n" + \
        b"\n".join(lines[-30:]).decode("utf-8", "backslashreplace")
    return Result(shlex.split(job.script, comments=False) if job.script else [token],
                  int(ends[0].split()[2]), of[b"@out"], of[b"@err"])


def add(version, job, token):
    add_case(f"{version} {job.hooks + ': ' if job.hooks else ''}{job.name}",
             lambda: job.judge(result_of(version, job, token)))


for release in KERNELS:
    for one in JOBS:
        add(release, one, one.token)
    add(release, DMESG, "dmesg")

if __name__ == "__main__":
    main()
