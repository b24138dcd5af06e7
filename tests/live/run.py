#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Guilty programs are reported, and nothing but what they are guilty of; their innocent twins
are silent. Each row runs one program under fdtrace and names the exact set of findings.

    tests/live/run.py [PART-OF-A-NAME...]
"""
import os
import re
import shlex
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (PYTHON, Result, add_case, case, expect_findings, fdtrace, main,
                     need_descriptors, need_tracing, program, run, the)

# Windows of 200 ms instead of 10 s, so that a leak shows within two seconds.
FAST = ["--set", "leak.window=200ms", "--set", "leak.min_age=500ms", "--set", "leak.min_count=16"]
SLOW_LEAK = ["--set", "leak.window=600ms", "--set", "leak.min_age=500ms", "--set", "leak.min_count=4"]


def traced(argv, *options, status=0, **popen):
    """Runs argv under fdtrace -j; the status must be the command's own."""
    need_tracing()
    result = fdtrace("-j", *options, "--", *argv, **popen)
    assert result.status == status, f"expected status {status}\n{result}"
    assert len(result.dataset("summary")) >= 1, f"no summary\n{result}"
    return result


def row(name, argv, expected=(), options=(), status=0, facts=None, floor="info", descriptors=0):
    """expected: every (rule, severity) from floor up. facts(findings): what they have to say."""
    def check():
        need_descriptors(descriptors)
        result = traced(argv, *options, status=status)
        found = expect_findings(result, list(expected), floor=floor)
        if facts:
            try:
                facts(found)
            except (AssertionError, KeyError, TypeError) as why:
                raise AssertionError(f"{type(why).__name__}: {why}\n{result}") from None
    add_case(name, check)


def shell(script, name="sh"):
    return [f"/bin/{name}", "-c", script]


def python(script):
    return [PYTHON, "-c", script]


# --- what the findings of the guilty have to say ---

def equal(seen, expected):
    assert seen == expected, f"expected {expected!r}, got {seen!r}"


def detail(finding):
    return finding["fdtrace"]


def mix_facts(found):
    leaks = [f for f in found if f["rule"]["id"] == "leak.exit"]
    equal(sorted(detail(f)["kind"] for f in leaks), ["eventfd", "file", "tcp"])
    equal(sorted(detail(f)["opened"]["syscall"] for f in leaks), ["eventfd2", "openat", "socket"])
    equal({f["process"]["name"] for f in leaks}, {"mix"})
    inherited = the(found, "exec.inherit")
    equal(inherited["process"]["name"], "true")
    equal(detail(inherited)["opened"]["name"], "mix")
    assert "2 descriptors" in inherited["message"], inherited["message"]


def growth_facts(found):
    leak = the(found, "leak.growth")
    site = detail(leak)["sites"][0]
    assert site["open"] >= 3, site
    equal(site["kind"], "file")
    assert detail(leak)["limit"]["rate_per_min"] > 0, detail(leak)["limit"]


def near_facts(found):
    growth_facts(found)
    limit = detail(the(found, "leak.growth"))["limit"]
    equal(limit["soft"], 512)
    assert 0 < limit["exhausted_in_s"] < 3600, limit


def emfile_facts(found):
    full = the(found, "limit.emfile")
    equal(detail(full)["limit"]["soft"], 64)
    equal(detail(full)["limit"]["open"], 64)
    equal(full["error"]["code"], "EMFILE")
    site = detail(full)["sites"][0]
    equal(site["kind"], "file")
    assert site["open"] >= 60, site


def unowned_facts(found):
    wrong = the(found, "close.unowned")
    closed, used = detail(wrong)["closed"], detail(wrong)["used"]
    assert closed["tid"] != used["tid"], (closed, used)
    equal(closed["syscall"], "close")
    equal((used["syscall"], used["error"]), ("read", "EBADF"))
    equal(wrong["error"]["code"], "EBADF")
    equal(detail(wrong)["kind"], "file")


def reused_facts(found):
    unowned_facts(found)
    wrong = detail(the(found, "close.unowned"))
    assert wrong["generation"] >= 2, wrong
    assert wrong["opened"]["tid"] == wrong["used"]["tid"], "the owner opened the number's last generation"
    before = wrong["history"][0]
    equal(before["generation"], wrong["generation"] - 1)
    equal(before["closed"]["tid"], wrong["closed"]["tid"])


def sweep_facts(found):
    sweep = the(found, "close.sweep")
    equal(detail(sweep)["closed"]["tid"], sweep["process"]["pid"])
    assert "4 descriptors" in sweep["message"], sweep["message"]


def reload_facts(found):
    piling = the([f for f in found if f["severity"] == "warning"], "exec.inherit")
    equal(detail(piling)["opened"]["name"], "inherit")


def received_facts(found):
    equal(detail(the(found, "leak.exit"))["opened"]["syscall"], "recvmsg")


# --- C programs and their twins ---

ERROR, WARN, INFO = "error", "warning", "info"
MIX = [("leak.exit", INFO)] * 3 + [("close.double", INFO), ("exec.inherit", INFO)]

row("five faults in one program, exactly those", [program("mix"), "guilty"], MIX, status=7, facts=mix_facts)
row("the same program in order", [program("mix"), "innocent"], status=7)

row("a leak that will hit the limit within the hour", [program("growth"), "near"],
    [("leak.growth", ERROR)], FAST, facts=near_facts)
row("a leak far from the limit", [program("growth"), "far"], [("leak.growth", WARN)], SLOW_LEAK,
    facts=growth_facts, descriptors=20000)
row("a sawtooth is not a leak", [program("growth"), "sawtooth"], (), FAST)
row("a plateau is not a leak", [program("growth"), "plateau"], (), FAST)

row("EMFILE names who holds the table", [program("emfile"), "guilty"], [("limit.emfile", ERROR)],
    facts=emfile_facts)
row("a table filled to the brim is not an EMFILE", [program("emfile"), "innocent"])

row("closed by another thread, then used", [program("unowned"), "closed-by-another"],
    [("close.unowned", ERROR)], facts=unowned_facts)
row("a stale close hits the number's new owner", [program("unowned"), "number-reused"],
    [("close.unowned", ERROR)], facts=reused_facts)
row("a worker that closes what it was handed", [program("unowned"), "handed-over"])

row("closed twice, without effect", [program("close_twice"), "guilty"], [("close.double", INFO)])
row("closing both of two duplicates", [program("close_twice"), "duplicates"])
row("dup2 onto an open number", [program("close_twice"), "replaced"])

row("a sweep over other threads' files", [program("sweep"), "hits-other-threads"],
    [("close.sweep", WARN)], facts=sweep_facts)
row("a daemon's sweep after fork", [program("sweep"), "daemonize"])
row("a sweep before exec in a child", [program("sweep"), "before-exec"])
row("close_range before exec in a child", [program("sweep"), "range-before-exec"])
row("close_range that only marks close-on-exec", [program("sweep"), "mark-before-exec"])

row("reading a number it closed itself", [program("use_closed"), "own-mistake"], [("use.closed", WARN)])
row("polling a number it closed itself", [program("use_closed"), "polled"], [("use.closed", WARN)])
row("EBADF for the wrong access mode", [program("use_closed"), "wrong-mode"])
row("asking whether numbers are open", [program("use_closed"), "probe"])

row("two descriptors forgotten across exec", [program("inherit"), "forgotten"], [("exec.inherit", INFO)])
row("marked close-on-exec", [program("inherit"), "marked"])
row("inherited and used by the new image", [program("inherit"), "used"])
row("inherited and named to the new image", [program("inherit"), "named"])
row("restarting itself piles them up", [program("inherit"), "reload"], [("exec.inherit", WARN)],
    facts=reload_facts, floor=WARN)

row("vfork and exec", [program("spawn"), "vfork"])
row("posix_spawn with file actions", [program("spawn"), "file-actions"])
row("popen and system", [program("spawn"), "popen"])

row("received in a message and kept", [program("scm_rights"), "kept"], [("leak.exit", INFO)],
    facts=received_facts)
row("received in a message and closed", [program("scm_rights"), "closed"])

row("one descriptor of each kind, all closed", [program("kinds"), "pass"])

# --- other people's programs: no warning, no error ---

row("a shell pipeline and redirections",
    shell("ls / | cat >/dev/null; (exec 3<>/dev/null; echo hi >&3); { echo a; } 2>&1 | wc -l >/dev/null"), floor=WARN)
row("bash: pipeline, process substitution, here-document",
    shell("cat <(echo one) <(echo two) | sort | tail -1 >/dev/null; cat <<<three >/dev/null; "
          "exec 5</dev/null; cat <&5; exec 5<&-", "bash"), floor=WARN)
row("python: subprocess with pipes",
    python("import subprocess\nfor i in range(5):\n"
           " assert subprocess.run(['cat'], input=b'x', capture_output=True).stdout == b'x'"), floor=WARN)
row("python: a pool of threads",
    python("from concurrent.futures import ThreadPoolExecutor as P\n"
           "def f(i):\n with open('/proc/self/status') as s: return len(s.read())\n"
           "with P(4) as p: assert all(p.map(f, range(200)))"), floor=WARN)
row("python: processes by fork and by spawn",
    python("import multiprocessing as m\nif __name__ == '__main__':\n"
           " for how in 'fork', 'spawn':\n"
           "  with m.get_context(how).Pool(2) as p: assert p.map(abs, [-1, 2]) == [1, 2]"), floor=WARN)


@case("make -j2 and its jobserver")
def jobserver():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "Makefile"), "w", encoding="ascii") as makefile:
            makefile.write("all: a b c d\na b c d:\n\t@$(MAKE) -s -f Makefile sub-$@\n"
                           "sub-%:\n\t@cat Makefile | sort >/dev/null\n")
        expect_findings(traced(["make", "-s", "-j2", "-C", folder]), [], floor=WARN)


@case("events name every kind of descriptor")
def kinds():
    result = traced([program("kinds"), "pass"], "-e")
    opened = {r["fdtrace"]["kind"] for r in result.dataset("event") if r["fdtrace"].get("op") == "open"}
    missing = {"file", "dir", "chr", "memfd", "pipe", "tcp", "udp", "netlink", "unix", "eventfd",
               "epoll", "timerfd", "signalfd", "inotify", "pidfd"} - opened
    assert not missing, f"never seen: {sorted(missing)}\n{result}"


@case("--error-exitcode replaces the command's status only for a warning or an error")
def error_exitcode():
    traced([program("use_closed"), "own-mistake"], "--error-exitcode", "9", status=9)
    traced([program("close_twice"), "guilty"], "--error-exitcode", "9", status=0)
    traced([program("mix"), "innocent"], "--error-exitcode", "9", status=7)
    traced([program("mix"), "guilty"], "--error-exitcode=9", "--set", "leak.exit=warning", status=9)


@case("--fail-on: a rule, a family, a severity, and what a baseline does not cover")
def fail_on():
    double = [program("close_twice"), "guilty"]
    traced(double, "--fail-on", "close.double", status=10)
    traced(double, "--fail-on", "leak,close.*", "--error-exitcode", "9", status=9)
    traced(double, "--fail-on", "warning,close.unowned,exec", status=0)
    result = traced(double, "--fail-on", "info", status=10)
    summary = next(s for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run")
    assert summary["fdtrace"]["failed"] == {"exit_status": 10, "rules": ["close.double"]}, result
    with tempfile.TemporaryDirectory() as folder:
        known, nothing = os.path.join(folder, "known.yaml"), os.path.join(folder, "nothing.yaml")
        with open(known, "w", encoding="ascii") as file:
            file.write("- name: it closes twice\n  rule: close.double\n")
        with open(nothing, "w", encoding="ascii"):
            pass
        new = ["--fail-on", "new", "--min-severity", "info", "--suppress"]
        traced(double, *new, known, status=0)
        traced(double, *new, nothing, status=10)
        traced(double, "--fail-on", "new", "--suppress", nothing, status=0)
        traced([program("use_closed"), "own-mistake"], "--fail-on", "new", "--suppress", known, status=10)


@case("what fails a run is printed though --min-severity hides its like, which the summary names")
def fail_on_shows():
    need_tracing()
    guilty = fdtrace("--fail-on", "close.double", "--", program("mix"), "guilty")
    text = guilty.out + guilty.err
    assert guilty.status == 10 and b"info[close.double]" in text and b"info[leak.exit]" not in text, guilty
    assert re.search(rb"hidden: [0-9] info \(3 leak.exit.*show them with --min-severity info", text), guilty
    assert b"failed because of: close.double; exit status 10" in text, guilty


@case("--rules leaves out what was not asked for")
def rules():
    expect_findings(traced([program("mix"), "guilty"], "--rules", "leak", status=7), [("leak.exit", INFO)] * 3)
    expect_findings(traced([program("mix"), "guilty"], "--rules=-leak,-exec", status=7),
                    [("close.double", INFO)])


@case("--min-severity leaves out what is less grave")
def min_severity():
    expect_findings(traced([program("mix"), "guilty"], "--min-severity", "warning", status=7), [])


@case("jq reads every line, command line and all")
def read_by_jq():
    result = traced([program("mix"), "guilty", "\x1b[1m\u202e", b"\xff\xfe"], "-e", status=7)
    read = run(["jq", "-e", "-c", ".event.dataset"], text=result.out)
    assert read.status == 0 and len(read.out.splitlines()) == len(result.out.splitlines()), f"{read}"


@case("the same fingerprint in every run")
def fingerprints():
    runs = [sorted(detail(f)["fingerprint"] for f in traced([program("mix"), "guilty"], status=7).findings)
            for _ in range(2)]
    assert runs[0] == runs[1] and len(runs[0]) == len(MIX), runs


@case("text: the finding, the summary, no colour in a pipe")
def text():
    need_tracing()
    result = fdtrace("--min-severity", "info", "--", program("mix"), "guilty")
    assert result.status == 7, f"{result}"
    out = result.out.decode()
    for words in ("info[leak.exit]: mix ended with", "info[close.double]:", "info[exec.inherit]: true inherited 2",
                  "fdtrace: 5 info in 5 sites"):
        assert words in out, f"{words!r} is missing\n{result}"
    assert "\x1b" not in out, f"colour in a pipe\n{result}"


@case("-o writes data there and leaves stdout to the command")
def output():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.json")
        result = fdtrace_in_file(path)
        with open(path, "rb") as data:
            records = Result(result.argv, result.status, data.read(), b"").findings
        assert len(records) == len(MIX), f"{len(records)} findings in the file\n{result}"


def fdtrace_in_file(path):
    need_tracing()
    result = fdtrace("-j", "-o", path, "--", "/bin/sh", "-c", f"echo mine; exec {shlex.quote(program('mix'))} guilty")
    assert result.out == b"mine\n", f"stdout is not the command's alone\n{result}"
    assert result.status == 7, f"{result}"
    return result


if __name__ == "__main__":
    main()
