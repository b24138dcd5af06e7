#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fdtrace doctor, here and where things are missing: without BTF, without bpf(2), locked down, root of a user namespace...

In each case doctor and the tracer have to name the same obstacle and what to do about it.
"""
import contextlib
import fcntl
import json
import os
import platform
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios

import jsonschema

sys.dont_write_bytecode = True  # no __pycache__ in the tree
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import FDTRACE, NOBODY, PYTHON, TOP, Background, Skip, add_case, case, main, need_tracing, program, run
from podman import Podman
from service import cgroup, hierarchy, inside

with open(os.path.join(TOP, "src", "cli", "doctor.schema.json"), encoding="utf-8") as _file:
    SCHEMA = json.load(_file)
HOOKS = ("task_storage", "tracepoint_hooks", "classic_tracepoint", "task_iterator", "io_uring", "function_hooks")
BPF = {"x86_64": 321, "aarch64": 280}


class Doctor:
    """What it said, as text and as JSON; both have to agree."""

    def __init__(self, before, fdtrace=FDTRACE):
        self.text, as_json = run([*before, fdtrace, "doctor"]), run([*before, fdtrace, "doctor", "--json"])
        assert as_json.out.count(b"\n") == 1 and not as_json.err, f"one line of JSON\n{as_json}"
        self.told = json.loads(as_json.out)
        jsonschema.validate(self.told, SCHEMA)
        self.checks = {c["name"]: c for c in self.told["checks"]}
        assert len(self.checks) == len(self.told["checks"]), f"a name twice\n{as_json}"
        self.status = as_json.status
        assert self.status == self.text.status == (0 if self.told["can_trace"] else 3), f"{self.text}"
        assert "None" not in str(self.text) and "(null)" not in str(self.text), f"{self.text}"
        self.judge()

    def __str__(self):
        return str(self.text)

    def __getitem__(self, name):
        return self.checks[name]

    def verdicts(self, *names):
        return {self[name]["verdict"] for name in names}

    def judge(self):
        """What holds everywhere."""
        words = self.text.out.decode()
        for check in self.checks.values():
            assert re.search(rf"^\S+ +{re.escape(check['what'])} ", words, re.M), f"{check}\n{self}"
            assert check["verdict"] != "ok" or not {"consequence", "remedy"} & set(check), f"{check}"
            consequence = check.get("consequence")
            assert not consequence or consequence in self.told["degraded"], f"{check}"
        assert f"Would trace: {self.told['summary']}." in words, f"{self}"
        assert ("remedy" in self.told) != self.told["can_trace"], f"{self}"
        assert not self.told["can_trace"] or self.told["obstacle"] == "none", f"{self}"


# --- here ---

@case("doctor names everything it has to, each check once, in both forms")
def complete():
    need_tracing()
    doctor = Doctor([])
    missing = set(SCHEMA["properties"]["checks"]["items"]["properties"]["name"]["enum"]) - set(doctor.checks)
    assert missing <= {"python_unknown"}, missing
    assert doctor.status == 0 and doctor.verdicts("programs", "btf", "bpf_system_call", "ring_buffer") == {"ok"}, doctor
    assert platform.release() in doctor["kernel"]["found"], f"{doctor}"


def setting(name):
    with open("/proc/sys/" + name, encoding="ascii") as file:
        return file.read().strip()


@case("limits are those of this machine")
def limits():
    need_tracing()
    doctor = Doctor([])
    for check, path in (("perf_event_paranoid", "kernel/perf_event_paranoid"), ("kptr_restrict", "kernel/kptr_restrict"),
                        ("unprivileged_bpf", "kernel/unprivileged_bpf_disabled"), ("bpf_jit_enable", "net/core/bpf_jit_enable")):
        assert doctor[check]["found"].split(":")[0] == setting(path), f"{check}\n{doctor}"


@case("python: what is known, what the system has, what runs")
def python():
    need_tracing()
    version = run([PYTHON, "-c", "import platform; print(platform.python_version(), flush=True)"]).out.decode().strip()
    with Background([PYTHON, "-c", "print('ready', flush=True); input()"]) as child:
        child.wait_for(b"ready")
        doctor = Doctor([])
    assert doctor["python"]["found"].startswith("2.7, 3.6 to 3."), f"{doctor}"
    assert f"python3 here: CPython {version.rsplit('.', 1)[0]}" in doctor["python"]["found"], f"{doctor}"
    assert re.search(rf"CPython {re.escape(version)} \([1-9]", doctor["python_running"]["found"]), f"{doctor}"


@case("a python3 that is linked to libpython is as good")
def linked_python():
    need_tracing()
    linked = shutil.which("gdb")
    if not linked or "libpython3" not in run(["ldd", linked]).out.decode():
        raise Skip("there is no program that is linked to libpython")
    doctor = Doctor(mounts(f"mount --bind {linked} /usr/bin/python3"))
    assert "python3 here: CPython 3." in doctor["python"]["found"], f"{doctor}"


@case("an unknown interpreter is reported, as the system's and as one that runs")
def strange_python():
    need_tracing()
    description = "unknown build of CPython 3.99.0 (size 12345)"
    doctor = Doctor(mounts(f"mount --bind {program('strange_python')} /usr/bin/python3"))
    assert doctor["python"]["verdict"] == "warn" and description in doctor["python"]["found"], f"{doctor}"
    with Background([program("strange_python")]) as strange:
        strange.wait_for(b"ready")
        doctor = Doctor([])
        assert re.search(re.escape(description) + r" \([1-9]", doctor["python_unknown"]["found"]), f"{doctor}"
        assert "only native stacks for unknown interpreters" in doctor.told["degraded"] and doctor.status == 0, f"{doctor}"
        assert strange.finish().status == 0


def on_terminal(argv, columns):
    """Its lines on a terminal of that width."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.execv(argv[0], argv)
    said = b""
    with contextlib.suppress(OSError):  # EIO: it has ended
        while chunk := os.read(terminal, 65536):
            said += chunk
    os.close(terminal)
    os.waitpid(pid, 0)
    return said.decode().replace("\r\n", "\n").splitlines()


@case("it is wrapped to the terminal; lines that are ok take one line each")
def width():
    need_tracing()
    for columns in (60, 80, 100, 200):
        lines = on_terminal([FDTRACE, "doctor"], columns)
        assert max(map(len, lines)) <= columns or columns < 80, "\n".join(lines)
        starts = [line for line in lines if re.match(r"(ok|warn|fail|-) ", line)]
        assert 20 <= len(starts) <= 28, "\n".join(lines)
        for here, following in zip(lines, lines[1:]):
            long = "python running" in here  # a part for each interpreter that runs here
            assert columns < 80 or long or not here.startswith("ok ") or not following.startswith(" "), \
                "\n".join(lines)


# --- bad days ---

def mounts(script):
    """In front of a command: a mount namespace in which the script was run."""
    return ["unshare", "--mount", "sh", "-ec", script + '\nexec "$@"', "sh"]


def without_bpf():
    allowed = ",".join(str(n) for n in range(500) if n != BPF[platform.machine()])
    return ["setpriv", "--no-new-privs", "--", PYTHON, os.path.join(HERE, "..", "lib", "seccomp.py"), allowed]


LOCKED_DOWN = ("mount -t tmpfs none /sys/kernel/security\n"
               "echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown")
# obstacle: (in front of a command, the check that fails, words of the cause, words of the remedy)
DAYS = {
    "seccomp": (without_bpf(), "bpf_system_call", "seccomp filter", "seccomp=unconfined"),
    "user_namespace": (["unshare", "--user", "--map-root-user"], "user_namespace", "root of a user namespace only", "sudo"),
    "capabilities": (["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"], "capabilities", "CAP_BPF and CAP_PERFMON",
                     "--cap-add BPF"),
    "btf": (mounts("mount -t tmpfs none /sys/kernel/btf"), "btf", "/sys/kernel/btf/vmlinux does not exist",
            "CONFIG_DEBUG_INFO_BTF"),
    "sysfs": (mounts("mount -t tmpfs none /sys"), "btf", "/sys is not mounted", "mount -t sysfs"),
    "proc": (mounts("mount -t tmpfs none /proc"), "pid_namespace", "/proc is not mounted", "mount -t proc"),
    "lockdown": (mounts(LOCKED_DOWN), "lockdown", "lockdown is at confidentiality", "lockdown=integrity"),
    "pid_namespace": (["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"], "pid_namespace",
                      "pids here differ from those that the kernel's hooks see", "--pid=host"),
}


def judge_refusal(result, status, cause, remedy):
    """Three lines: what was tried, what stopped it, what to do."""
    assert result.status == status and not result.out, f"expected status {status}\n{result}"
    lines = result.messages.splitlines()
    assert len(lines) == 3 and lines[0].startswith("fdtrace: cannot "), f"{result}"
    assert lines[1].startswith("  ") and cause in lines[1], f"{result}"
    assert lines[2].startswith("  ") and remedy in lines[2], f"{result}"
    assert "libbpf" not in result.messages, f"{result}"


def bad_day(obstacle, before, check, cause, remedy):
    def judge():
        need_tracing()
        doctor = Doctor(before)
        assert doctor.status == 3 and doctor.told["obstacle"] == obstacle, f"{doctor}"
        assert cause in doctor.told["summary"] and remedy in doctor.told["remedy"], f"{doctor}"
        assert doctor.verdicts(check, "programs") == {"fail"} and remedy in doctor[check]["remedy"], f"{doctor}"
        failing = {name for name, c in doctor.checks.items() if c["verdict"] == "fail"}
        assert failing <= {check, "programs", "bpf_system_call"}, f"what is only a consequence is no failure\n{doctor}"
        for mode in (["-p", "1"], ["-a", "-d", "1s"]):
            judge_refusal(run([*before, FDTRACE, "-j", *mode]), 3, cause, remedy)
        judge_refusal(run([*before, FDTRACE, "-j", "--", "/bin/echo", "started"]), 125, cause, remedy)
    return judge


for _obstacle, _day in DAYS.items():
    add_case(f"{_obstacle}: doctor and the tracer name it and the remedy", bad_day(_obstacle, *_day))


@case("hooks behind an obstacle are called not tried, with where to look")
def not_tried():
    need_tracing()
    for day, what in (("seccomp", "see bpf system call"), ("btf", "see BTF")):
        doctor = Doctor(DAYS[day][0])
        assert doctor.verdicts(*HOOKS) == {"unknown"}, f"{doctor}"
        assert all(what in doctor[name]["found"] for name in HOOKS), f"{doctor}"


@case("two at once: the deeper one is reported")
def two_at_once():
    need_tracing()
    doctor = Doctor(["unshare", "--user", "--map-root-user", *without_bpf()])
    assert doctor.told["obstacle"] == "user_namespace", f"{doctor}"
    doctor = Doctor(["unshare", "--user"])  # not even root there
    assert doctor.told["obstacle"] == "user_namespace" and "user of a user namespace" in doctor.told["summary"], f"{doctor}"


# --- days that are only worse ---

def changed(name, value):
    """A mount namespace where that file says something else."""
    return mounts(f"f=$(mktemp)\necho {value} > $f\nmount --bind $f /proc/sys/{name}\nrm $f")


@case("no JIT: reported with its cost, and tracing continues")
def no_jit():
    need_tracing()
    doctor = Doctor(changed("net/core/bpf_jit_enable", "0"))
    assert doctor.status == 0 and doctor["bpf_jit_enable"]["verdict"] == "warn", f"{doctor}"
    assert any("interpreted" in lost for lost in doctor.told["degraded"]), f"{doctor}"
    assert "Degraded: " in doctor.text.out.decode(), f"{doctor}"


@case("tracefs: what is lost without it is gone with it")
def tracefs():
    need_tracing()
    without = Doctor(mounts("umount /sys/kernel/tracing 2>/dev/null || true; umount /sys/kernel/debug 2>/dev/null || true"))
    assert without.status == 0 and without["classic_tracepoint"]["verdict"] == "warn", f"{without}"
    assert "not mounted" in without["tracefs"]["found"], f"{without}"
    remedy = without["classic_tracepoint"]["remedy"]
    assert remedy.startswith("mount -t tracefs "), f"{without}"
    mended = Doctor(mounts(remedy))
    assert mended["classic_tracepoint"]["verdict"] == "ok" and "/sys/kernel/tracing" in mended["tracefs"]["found"], f"{mended}"
    assert set(without.told["degraded"]) - set(mended.told["degraded"]), "mounting it must mend something"


@case("preemption is reported where debugfs shows it")
def preemption():
    need_tracing()
    for modes, word in (("none voluntary (full) lazy", "full: events that are skipped are counted"),
                        ("(none) voluntary full lazy", "none: no event is skipped")):
        script = f"mount -t tmpfs none /sys/kernel/debug\nmkdir /sys/kernel/debug/sched\necho '{modes}' > /sys/kernel/debug/sched/preempt"
        assert Doctor(mounts(script))["preemption"]["found"] == word


@case("RLIMIT_MEMLOCK of 0: reported, and irrelevant")
def memlock():
    need_tracing()
    before = ["sh", "-c", 'ulimit -l 0; exec "$@"', "sh"]
    doctor = Doctor(before)
    assert doctor.status == 0 and doctor["memlock"]["found"].startswith("0 KiB"), f"{doctor}"
    assert run([*before, FDTRACE, "-j", "--", "/bin/true"]).status == 0


@contextlib.contextmanager
def small_memory(mib):
    """In front of a command: it runs in a control group of that much memory."""
    for kind, option, name in (("cgroup", "memory", "memory.limit_in_bytes"), ("cgroup2", "", "memory.max")):
        parent = hierarchy(kind, option)
        if not parent:
            continue
        with cgroup(f"fdtrace-doctor-{os.getpid()}", parent) as group:
            if os.path.exists(os.path.join(group, name)):
                with open(os.path.join(group, name), "w", encoding="ascii") as limit:
                    limit.write(str(mib << 20))
                yield inside(group)
                return
    raise Skip("no memory controller can be used here")


@case("a small control group: its limit and what follows; a ring buffer that does not fit is refused in words")
def memory():
    need_tracing()
    with small_memory(128) as before:
        doctor = Doctor(before)
        assert doctor["memory"]["found"] == "128 MiB by a control group", f"{doctor}"
        assert doctor["memory"]["verdict"] == "warn" and "memory.max" in doctor["memory"]["remedy"], f"{doctor}"
        result = run([*before, FDTRACE, "-j", "--set", "ring.size=512M", "-p", "1"])
        judge_refusal(result, 3, "control group", "ring.size=4M")
        assert "refused a ring buffer of 524288 KiB" in result.messages, f"{result}"


@case("where control groups are out of sight no limit is denied")
def memory_unseen():
    need_tracing()
    doctor = Doctor(DAYS["sysfs"][0])
    assert doctor["memory"]["found"] == "no control group visible here", f"{doctor}"


# --- who else asks ---

@case("an ordinary user sees what is missing, and nothing of others")
def ordinary_user():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(FDTRACE, folder)
        os.chmod(copy, 0o755)
        doctor = Doctor(NOBODY, copy)
        result = run([*NOBODY, copy, "-j", "-p", str(os.getpid())])
    assert doctor.told["obstacle"] == "capabilities" and doctor["capabilities"]["verdict"] == "fail", f"{doctor}"
    assert "sudo" in doctor.told["remedy"] and doctor.told["uid"] == 65534, f"{doctor}"
    judge_refusal(result, 3, "CAP_PERFMON", "sudo")


def readme_options():
    """What src/fleet/README.md gives a container."""
    with open(os.path.join(TOP, "src", "fleet", "README.md"), encoding="utf-8") as readme:
        words = re.search(r"^    docker run (?:.*\\\n)*.*$", readme.read(), re.M)[0].replace("\\\n", " ").split()
    return [w for w in words if re.match(r"--(pid|uts|network|cap-add|cap-drop|security-opt|read-only)", w)]


@case("in a container: as the README has it all is there; without capabilities, bpf(2) or the host's pids it says so")
def container():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        made = Podman(folder)
        image = made.image({"/fdtrace": FDTRACE})
        limits_of_podman = ["--log-driver=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]

        def doctor(options):
            return Doctor([*made.argv, "run", "--rm", *limits_of_podman, *options, image], "/fdtrace")

        options = readme_options()
        assert len(options) > 8, options
        good = doctor(options)
        assert good.status == 0 and good.told["container"] and good["capabilities"]["found"].startswith("all present"), f"{good}"
        for lacking, obstacle in (("--cap-add", "capabilities"), ("--security-opt=seccomp", "seccomp"),
                                  ("--pid", "pid_namespace")):
            poor = doctor([o for o in options if not o.startswith(lacking)])
            assert poor.status == 3 and poor.told["obstacle"] == obstacle, f"without {lacking}\n{poor}"
        mapped = doctor([*options, "--uidmap=0:100000:1000"])  # as rootless
        assert mapped.status == 3 and mapped.told["obstacle"] == "user_namespace", f"{mapped}"


if __name__ == "__main__":
    main()
