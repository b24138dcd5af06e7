#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""fdtrace as another user with few capabilities: run mode, -p and -a, and what doctor says.

With -a all tables of the machine are compared: nothing else may change them meanwhile.
"""
import contextlib
import json
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, Background, case, main, need_tracing, program, run
from tables import judge_true


@contextlib.contextmanager
def poor_fdtrace(*capabilities):
    """argv of an fdtrace that everybody may execute, as nobody with these capabilities only."""
    some = ",".join(["-all", *("+" + c for c in capabilities)])
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(FDTRACE, folder)
        os.chmod(copy, 0o755)
        yield ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={some}",
               f"--ambient-caps={some}", f"--bounding-set={some}", "--", copy]


def judge_poor(fdtrace_argv, names):
    """Run mode, -p and -a work; `names`: other users' descriptors are looked up and compared. What is opened while
    they are traced has its path from the kernel."""
    filling = ["/bin/sh", "-c", 'exec "$0" full 100 9</etc/hostname', program("fill_table")]
    result = run([*fdtrace_argv, "-j", "--verify", "--", "/bin/sh", "-c", "exec 3</etc/passwd; read x <&3; exit 5"])
    judge_true(result, at_least=0, status=5)
    for mode in ("-p", "-a"):
        with Background(filling) as helper:
            helper.wait_for(b"running")
            with Background([*fdtrace_argv, "-j", "-e", "--verify",
                             *(["-a"] if mode == "-a" else ["-p", str(helper.pid)])]) as tracer:
                tracer.wait_for(b"fdtrace.state" if mode == "-a" else b'"scope":"process"')
                helper.say(b"\n")
                helper.wait_for(b"ready")
                result = tracer.interrupt()
            helper.finish()
        judge_true(result, at_least=int(names))
        judge_poor_events(result, helper.pid, names)
        if mode == "-p":
            assert ("/etc/hostname" in json.dumps(result.dataset("inventory"))) == names, f"{names}\n{result}"


def judge_poor_events(result, pid, names):
    found = [f for f in result.findings if f["rule"]["id"] == "limit.emfile" and f["process"]["pid"] == pid]
    assert found, f"no finding\n{result}"
    told = any(e.get("file", {}).get("path") == "/dev/null" for e in result.dataset("event")
               if e["process"]["pid"] == pid)
    assert told, f"no path of what was opened\n{result}"
    assert ("of other users" in result.messages) == (not names), f"{result}"


@case("CAP_BPF and CAP_PERFMON are enough; what they do not show is reported")
def two_capabilities():
    need_tracing()
    with poor_fdtrace("bpf", "perfmon") as argv:
        judge_poor(argv, names=False)
        result = run([*argv, "doctor"])
        assert result.status == 0 and b"CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH missing" in result.out, f"{result}"


@case("CAP_SYS_PTRACE without CAP_DAC_READ_SEARCH shows no more descriptors")
def three_capabilities():
    need_tracing()
    with poor_fdtrace("bpf", "perfmon", "sys_ptrace") as argv:
        judge_poor(argv, names=False)
        result = run([*argv, "doctor"])
        assert result.status == 0 and b"CAP_DAC_READ_SEARCH missing" in result.out, f"{result}"


@case("with both, other users' descriptors have names and are compared")
def four_capabilities():
    need_tracing()
    with poor_fdtrace("bpf", "perfmon", "sys_ptrace", "dac_read_search") as argv:
        judge_poor(argv, names=True)
        result = run([*argv, "doctor"])
        assert result.status == 0 and b"all present" in result.out, f"{result}"


main()
