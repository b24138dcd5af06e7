#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where lines go: a real syslog daemon, a real journal, a full disk; and what explain prints of a run."""
import contextlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (BUILD, FDTRACE, NOBODY, PYTHON, TOP, Skip, case, main, need_tracing, run,  # noqa: E402
                     until)

LINES = os.path.join(BUILD, "tests/live/channel_lines")
JOURNALD = "/lib/systemd/systemd-journald"
RSYSLOGD = "/usr/sbin/rsyslogd"
SCHEMA = os.path.join(TOP, "src/output/json/finding.schema.json")
GUILTY = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
kept = []
try:
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
"""


class Channel:
    """tests/live/channel_lines at work: a channel that is told what to do."""

    def __init__(self, *args, prefix=(), **popen):
        self.child = subprocess.Popen([*prefix, LINES, *args], stdin=subprocess.PIPE,
                                      stderr=subprocess.PIPE, **popen)

    def say(self, *words):
        self.child.stdin.write("".join(w + "\n" for w in words).encode())
        self.child.stdin.flush()

    def counters(self):
        """Sent, dropped, bytes that wait, failures: once all that was said is done."""
        self.say("?")
        ready, _, _ = select.select([self.child.stderr], [], [], 30)
        assert ready, "the channel does not answer within 30 s: it waits for something"
        return [int(n) for n in self.child.stderr.readline().split()]

    def end(self):
        self.child.stdin.close()
        assert self.child.wait(timeout=30) == 0
        self.child.stderr.close()


def put_all(channel, lines):
    """No faster than they are taken: none is to be dropped for want of room."""
    for begin in range(0, len(lines), 10):
        channel.say(*lines[begin:begin + 10])
        until("all is sent", lambda: channel.say("+1") or not channel.counters()[2])
    assert channel.counters()[:2] == [len(lines), 0]


def numbered(numbers, pad=0):
    return [json.dumps({"n": n, "pad": "x" * pad}, separators=(",", ":")) for n in numbers]


@contextlib.contextmanager
def server(argv, **popen):
    """A daemon in the foreground, ended by its pid."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **popen) as child:
        try:
            yield child
        finally:
            child.terminate()
            child.wait(timeout=30)


def is_socket(path):
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        probe.connect(path)
        return True
    except OSError:
        return False
    finally:
        probe.close()


RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
module(load="mmjsonparse")
input(type="imuxsock" Socket="{folder}/log" CreatePath="off" RateLimit.Interval="0" Ruleset="own"
      UsePIDFromSystem="off" UseSysTimeStamp="off")
template(name="all" type="string" string="%programname%|%procid%|%syslogfacility-text%|%syslogseverity-text%|%$!n%|%msg%\\n")
ruleset(name="own") {{
    action(type="mmjsonparse" cookie="")
    action(type="omfile" file="{folder}/out" template="all")
}}
"""


@case("rsyslogd reads the form of /dev/log, JSON and all")
def rsyslog_bsd():
    if not os.path.exists(RSYSLOGD):
        raise Skip("there is no rsyslogd")
    with tempfile.TemporaryDirectory() as folder:
        config, out = os.path.join(folder, "conf"), os.path.join(folder, "out")
        with open(config, "w", encoding="ascii") as file:
            file.write(RSYSLOG.format(folder=folder))
        with server([RSYSLOGD, "-n", "-f", config, "-i", os.path.join(folder, "pid")]) as syslog:
            until("rsyslogd listens", lambda: syslog.poll() is not None or is_socket(folder + "/log"))
            assert syslog.poll() is None, syslog.stdout.read().decode()
            channel = Channel("syslog", folder + "/log")
            put_all(channel, numbered(range(1, 101), 3000))
            until("all is written", lambda: os.path.exists(out) and open(out, "rb").read().count(b"\n") == 100)
            pid = channel.child.pid
            channel.end()
        for n, line in enumerate(open(out, encoding="utf-8"), 1):
            name, said_pid, facility, severity, parsed, text = line.rstrip("\n").split("|", 5)
            assert (name, said_pid, facility, severity) == ("fdtrace", str(pid), "daemon", "err"), line[:100]
            assert parsed == str(n), f"mmjsonparse did not parse line {n}: {line[:100]}"
            assert json.loads(text)["n"] == n


RSYSLOG_TCP = """
module(load="imptcp")
input(type="imptcp" path="{folder}/log" unlink="on" SupportOctetCountedFraming="on" Ruleset="own")
template(name="all" type="string" string="%protocol-version%|%programname%|%procid%|%msgid%|%syslogseverity-text%|%hostname%|%msg%\\n")
ruleset(name="own") {{ action(type="omfile" file="{folder}/out" template="all") }}
"""


@case("rsyslogd reads octet-counted RFC 5424 from a stream")
def rsyslog_5424():
    if not os.path.exists(RSYSLOGD):
        raise Skip("there is no rsyslogd")
    with tempfile.TemporaryDirectory() as folder:
        config, out = os.path.join(folder, "conf"), os.path.join(folder, "out")
        with open(config, "w", encoding="ascii") as file:
            file.write(RSYSLOG_TCP.format(folder=folder))
        with server([RSYSLOGD, "-n", "-f", config, "-i", os.path.join(folder, "pid")]) as syslog:
            until("rsyslogd listens",
                  lambda: syslog.poll() is not None or os.path.exists(folder + "/log"))
            assert syslog.poll() is None, syslog.stdout.read().decode()
            channel = Channel("syslog", folder + "/log", "rfc5424")
            put_all(channel, numbered(range(1, 101), 3000))
            until("all is written", lambda: os.path.exists(out) and open(out, "rb").read().count(b"\n") == 100)
            channel.end()
        for n, line in enumerate(open(out, encoding="utf-8"), 1):
            version, name, _, msgid, severity, host, text = line.rstrip("\n").split("|", 6)
            assert (version, name, msgid, severity) == ("1", "fdtrace", "close.unowned", "err"), line[:100]
            assert host == os.uname().nodename, line[:100]
            assert json.loads(text)["n"] == n


PRIVATE_JOURNAL = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nForwardToSyslog=no\\nForwardToWall=no\\nRateLimitBurst=0\\n' \\
    >/run/systemd/journald.conf.d/own.conf
exec "$1"
"""


@case("journald keeps every field, a line of 4,000 bytes whole")
def journal():
    if os.geteuid() != 0:
        raise Skip("mounting a /run of one's own needs root")
    if not os.path.exists(JOURNALD):
        raise Skip(f"there is no {JOURNALD}")
    with server(["unshare", "-m", "sh", "-c", PRIVATE_JOURNAL, "sh", JOURNALD]) as journald:
        there = os.path.join("/proc", str(journald.pid), "root", "run", "")
        path = there + "systemd/journal/socket"
        until("journald listens", lambda: journald.poll() is not None or is_private(journald.pid) and is_socket(path))
        assert journald.poll() is None, journald.stdout.read().decode()
        channel = Channel("journal", path)
        lines = numbered(range(1, 51), 3900)
        put_all(channel, lines)
        entries = until("all is kept", lambda: journal_entries(there, 50))
        channel.end()
    for n, entry in enumerate(entries):
        assert entry["FDTRACE_JSON"] == lines[n], f"line {n} came as {entry['FDTRACE_JSON'][:100]}"
        assert entry["MESSAGE"] == "fd 4 was closed by worker()"
        assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("3", "fdtrace")
        assert (entry["FDTRACE_RULE"], entry["FDTRACE_SEVERITY"]) == ("close.unowned", "error")
        assert (entry["FDTRACE_FINGERPRINT"], entry["FDTRACE_PID"]) == ("9f31c2d4a7b80e15", "4121")


def is_private(pid):
    """Before its unshare(2) a child's /run is everybody's."""
    return os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")


def journal_entries(there, count):
    said = run(["journalctl", "-D", there + "log/journal", "-o", "json", "--all", "-t", "fdtrace"])
    lines = said.out.splitlines()
    return [json.loads(line) for line in lines] if len(lines) == count else None


@case("a full disk holds lines back, tears none, and loses none that fits the queue")
def full_disk():
    if os.geteuid() != 0:
        raise Skip("mounting a small disk needs root")
    with tempfile.TemporaryDirectory() as folder:
        script = 'mount -t tmpfs -o size=32k none "$1" && exec "$2" file "$1/out"'
        channel = Channel(prefix=["unshare", "-m", "sh", "-c", script, "sh", folder])
        lines = numbered(range(1, 41), 1490)
        channel.say(*lines)
        sent, dropped, queued, failures = channel.counters()
        there = f"/proc/{channel.child.pid}/root{folder}/out"
        assert 0 < sent < 40 and not dropped and failures, f"{sent} sent, {dropped} dropped, {failures} failures"
        assert queued == sum(len(line) + 1 for line in lines[sent:])
        text = open(there, encoding="ascii").read()
        assert text == "".join(line + "\n" for line in lines[:sent]), f"torn: ...{text[-200:]}"
        with open(there, "r+b") as file:  # somebody makes room
            file.truncate(0)
        channel.say("+1")
        assert channel.counters()[:3] == [40, 0, 0]
        text = open(there, encoding="ascii").read()
        assert text == "".join(line + "\n" for line in lines[sent:]), text[:200]
        channel.end()


@case("a reader that stops delays no one; drops are reported by a line of the schema")
def slow_reader():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/sock"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(path)
        listening.listen()
        channel = Channel("unix", path)
        reader, _ = listening.accept()
        channel.say(*numbered(range(1, 1001), 1000))
        sent, dropped, queued, _ = channel.counters()
        assert dropped and queued <= 65536
        channel.child.stdin.close()
        text = b""
        reader.settimeout(30)
        while part := reader.recv(65536):
            text += part
        channel.child.wait(timeout=30)
        reader.close()
        listening.close()
    whole = text[:text.rindex(b"\n") + 1].splitlines()
    assert [json.loads(line)["n"] for line in whole] == list(range(1, len(whole) + 1))
    assert len(whole) >= sent


@case("the line that reports drops is valid")
def marker():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/sock"
        reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        reader.bind(path)
        channel = Channel("unix", path)
        channel.say(*numbered(range(1, 1001), 1000))
        dropped = channel.counters()[1]
        told = []
        reader.settimeout(30)
        while not told or b"fdtrace.state" not in told[-1]:
            told.append(reader.recv(65536))
            channel.say("+1")
        channel.end()
        reader.close()
    said = json.loads(told[-1])
    assert said["fdtrace"]["dropped"] == dropped and said["event"]["action"] == "drop", said
    check = run([PYTHON, os.path.join(TOP, "tests/live/validate_jsonl.py"), SCHEMA], text=told[-1])
    assert check.status == 0, check


def guilty_run(evidence, *options):
    env = dict(os.environ, FDTRACE_EVIDENCE=evidence)
    result = run([FDTRACE, *options, "--", PYTHON, "-c", GUILTY, "--password", "hunter2"], env=env)
    assert result.status == 0, result
    return result, env


@case("explain prints a run's findings, whole and without secrets")
def explain():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        evidence = os.path.join(folder, "evidence")
        result, env = guilty_run(evidence)
        text = result.out.decode()
        more = re.search(r"= more: fdtrace explain ([0-9a-f]{8})", text)
        assert more and f"Next: fdtrace explain {more[1]}" in text, result
        told = run([FDTRACE, "explain", more[1]], env=env)
        assert told.status == 0 and b"limit.emfile" in told.out and b"<module>" in told.out, told
        assert b"hunter2" not in told.out and b"--password [redacted]" in told.out, told
        raw = run([FDTRACE, "explain", "-j", more[1]], env=env)
        check = run([PYTHON, os.path.join(TOP, "tests/live/validate_jsonl.py"), "--full", SCHEMA], text=raw.out)
        assert check.status == 0, check
        assert json.loads(raw.out)["fdtrace"]["sites"][0]["stack_ids"], raw
        assert run([FDTRACE, "explain", "0123"], env=env).status == 3
        assert run([FDTRACE, "explain", "xyz"], env=env).status == 2
        listed = run([FDTRACE, "explain"], env=env)
        assert listed.status == 0 and more[1] in listed.out.decode() and b"limit.emfile" in listed.out, listed
        nothing = run([FDTRACE, "explain"], env={**env, "FDTRACE_EVIDENCE": folder})
        assert nothing.status == 3 and "no evidence of any finding" in nothing.messages, nothing
        os.chmod(folder, 0o755)
        denied = run([*NOBODY, FDTRACE, "explain", more[1]], env=env)
        assert denied.status == 3 and "sudo" in denied.messages, denied


@case("nothing is kept when it is switched off, by others than root, or of a replay")
def not_kept():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        evidence, recording = os.path.join(folder, "evidence"), os.path.join(folder, "recording")
        result, env = guilty_run(evidence, "--set", "evidence.max=0", "-r", recording)
        assert b"limit.emfile" in result.out and b"explain" not in result.out, result
        assert not os.path.exists(evidence)
        again = run([FDTRACE, "replay", "--set", "evidence.max=64M", recording], env=env)
        assert b"limit.emfile" in again.out and b"explain" not in again.out, again
        assert not os.path.exists(evidence)


@case("a store that cannot be used is said at -v only, and the findings come all the same")
def no_store():
    need_tracing()
    with tempfile.NamedTemporaryFile() as file:
        quiet, _ = guilty_run(file.name)
        assert b"limit.emfile" in quiet.out and b"explain" not in quiet.out, quiet
        assert "not kept" not in quiet.messages, quiet
        verbose, _ = guilty_run(file.name, "-v")
        assert verbose.messages.count("not storing findings for fdtrace explain") == 1, verbose


if __name__ == "__main__":
    main()
