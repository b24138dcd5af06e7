#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The daemon in trouble: full disks, files and readers that come and go, garbage, floods, lack of memory. And what an operator asks of it on such a day."""
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, Skip, alive, case, fdtrace, free_port, main, need_tracing, run, until
from harness import program as test_program
from service import be_guilty, cgroup, end, flood, inside, place, program, reload, sin, small_memory, warm_up

CLOSE_TWICE = test_program("close_twice")
ALL = "rules: close\nset:\n  findings.every: 0s\n"  # each finding is told, however many
COUNT = 120


def numbers(name, lines):
    """Which of a flood's findings the lines tell, in their order. What came before stands in their histories."""
    told = []
    for line in lines:
        if b'"fdtrace.finding"' in line:
            told += sorted(re.findall(name.encode() + rb"_(\d{4})_twice", line))[-1:]
    return [int(n) for n in told]


def all_told(at, name, count=COUNT):
    until(f"{count} findings of {name}", lambda: len(numbers(name, at.lines())) >= count)
    assert sorted(numbers(name, at.lines())) == list(range(count)), "one is told twice or not at all"


# --- disks ---

SMALL = 'mkdir "$0" && mount -t tmpfs -o size=256k none "$0" && exec "$@"'


def fill(path):
    with open(path, "wb", buffering=0) as filler:
        with contextlib.suppress(OSError):
            while filler.write(b"x" * 4096):
                pass


@case("a full disk: findings wait, state and evidence errors are reported once; with room again all continues")
def _():
    need_tracing()
    with place() as at:
        disk = at.folder + "/disk"
        at.out, at.state = disk + "/out.jsonl", disk + "/reported.json"
        at.write("rules: close\n", evidence=disk + "/evidence")
        with at.start(before=["unshare", "-m", "sh", "-c", SMALL, disk]) as daemon:
            disk = f"/proc/{daemon.pid}/root{disk}"
            at.out, at.state = disk + "/out.jsonl", disk + "/reported.json"
            warm_up(at)
            be_guilty("room")
            at.wait("room")
            fill(disk + "/filler")
            for name in ("full_one", "full_two"):
                be_guilty(name)
            daemon.wait_for_message(b"queueing up to")
            daemon.wait_for_message(b"cannot store evidence: No space left on device")
            assert not at.findings("full_two") and at.records(), "a line is torn, or there was room"
            with open(at.out, "rb") as out:
                assert out.read().endswith(b"\n"), "half a line stands in the file"
            os.unlink(disk + "/filler")
            one, = at.wait("full_one")
            two, = at.wait("full_two")
            assert one["event"]["id"] != two["event"]["id"]
            be_guilty("room_again")
            last, = at.wait("room_again")
            assert glob.glob(f"{disk}/evidence/{last['fdtrace']['fingerprint']}.*.jsonl")
            assert daemon.err().count(b"queueing up to") == daemon.err().count(b"output recovered") == 1, daemon.err()
            kept = os.open(disk, os.O_RDONLY)  # its mount lives on with us
            try:
                said = end(daemon)
                with open(f"/proc/self/fd/{kept}/reported.json", encoding="utf-8") as state:
                    told = {row["fingerprint"] for row in json.load(state)["reported"]}
            finally:
                os.close(kept)
        assert {r["fdtrace"]["fingerprint"] for r in (one, two, last)} <= told, f"{told}\n{said}"


@case("a disk that is full from the start: it is said and tracing goes on")
def _():
    need_tracing()
    with place() as at:
        disk = at.folder + "/disk"
        at.out, at.state = disk + "/out.jsonl", disk + "/reported.json"
        at.write("rules: close\n", evidence=disk + "/evidence")
        script = SMALL.replace("&& exec", '&& { cat /dev/zero >"$0/filler" 2>/dev/null; true; } && exec')
        with at.start(before=["unshare", "-m", "sh", "-c", script, disk]) as daemon:
            there = f"/proc/{daemon.pid}/root{disk}"
            at.out = there + "/out.jsonl"
            be_guilty("never_room")
            daemon.wait_for_message(b"reported.json: cannot be written: No space left on device")
            os.unlink(there + "/filler")
            at.wait("never_room")
            end(daemon)


# --- files ---

def refused(make, *words):
    with place() as at:
        make(at.out)
        said = fdtrace("--daemon", "-c", at.config, env=at.environment)
        assert said.status == 3 and at.out in said.messages, said
        for word in words:
            assert word in said.messages, said


def foreign(path):
    with open(path, "wb"):
        os.chown(path, 65534, 65534)


def link(path):
    foreign(path + ".other")
    os.symlink(path + ".other", path)


def everybodys(path):
    with open(path, "wb"):
        os.chmod(path, 0o666)


@case("a log file that is a directory, link, FIFO or owned by others is refused at the start, with a remedy")
def _():
    need_tracing()
    refused(os.mkdir, "Is a directory", "name a regular file")
    refused(os.mkfifo, "name a regular file")
    refused(link, "symbolic links are not followed")
    refused(foreign, "must be owned by root")
    refused(everybodys, "not be writable by others")
    refused(lambda path: os.mkdir(path + ".x") or os.symlink(path + ".x", path), "symbolic links are not followed")


@case("a log file that becomes one of these while it runs is reported once; lines wait until it is mended")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        for i, make in enumerate((os.mkdir, os.mkfifo, link, foreign)):
            os.rename(at.out, f"{at.out}.{i}")
            make(at.out)
            until("it is said", lambda n=i: daemon.err().count(b"cannot open: ") > n)
            be_guilty(f"hidden_{i}")
            (os.rmdir if make is os.mkdir else os.unlink)(at.out)
            at.wait(f"hidden_{i}")
            until("that it works again", lambda n=i: daemon.err().count(b"output recovered") > n)
        assert daemon.err().count(b"cannot open: ") == 4, daemon.err()
        end(daemon)


def rotate(at, number, daemon):
    """As logrotate with `nocreate`; gives how long the old file was when there was a new one."""
    old = f"{at.out}.{number}"
    os.rename(at.out, old)
    if number % 2:
        os.kill(daemon.pid, signal.SIGHUP)
    until("a new file", lambda: os.path.exists(at.out))
    return old, os.stat(old).st_size


@case("rotated by rename while findings flow: none is lost, and the old file is done with before there is a new one")
def _():
    need_tracing()
    with place() as at:
        at.write(ALL)
        with at.start() as daemon, flood(at, "rotated", COUNT) as guilty:
            rotated = []
            flow = threading.Thread(target=lambda: [guilty.say(b"x") for _ in range(COUNT)])
            flow.start()
            for number in range(6):
                until("a line", lambda: os.path.exists(at.out) and os.stat(at.out).st_size)
                rotated.append(rotate(at, number, daemon))
                be_guilty(f"between_{number}")
            flow.join()
            files = [path for path, _ in rotated] + [at.out]

            def lines():
                return [line for path in files for line in open(path, "rb").read().split(b"\n")[:-1]]
            until("all of them", lambda: len(numbers("rotated", lines())) >= COUNT)
            assert numbers("rotated", lines()) == list(range(COUNT)), numbers("rotated", lines())
            grown = [path for path, size in rotated if os.stat(path).st_size != size]
            assert not grown, f"lines went to {grown} when there was a new file already"
            end(daemon)


# --- readers ---

@contextlib.contextmanager
def datagrams(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(path)
        reader.settimeout(30)
        try:
            yield reader
        finally:
            os.unlink(path)


def hears(reader, word):
    while True:
        got = reader.recv(65536)
        if word in got:
            return got


@case("a journal that is not there yet, goes and comes back gets all findings")
def _():
    need_tracing()
    with place() as at:
        path = at.folder + "/journal"
        at.write("rules: close\n", outputs=f"- type: journal\n  path: {path}\n")
        with at.start() as daemon:
            daemon.wait_for_message(b"queueing up to")
            for name in ("before", "after"):
                be_guilty(name)
                at.wait(name)
                with datagrams(path) as reader:
                    got = hears(reader, name.encode() + b"_twice")
                    assert b"\nFDTRACE_RULE=close.double\n" in got and b"\nFDTRACE_JSON={" in got, got
            end(daemon)


@case("a reader of a socket that never reads, dies and comes back: fdtrace does not wait, drops are reported")
def _():
    need_tracing()
    with place() as at, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        path = at.folder + "/reader"
        listening.bind(path)
        listening.listen()
        listening.settimeout(30)
        at.write(ALL, outputs=f"- type: unix\n  path: {path}\n  queue: 64K\n")
        with at.start() as daemon, flood(at, "deaf", 400) as guilty:
            reader, _ = listening.accept()
            guilty.say(b"x" * 400)
            all_told(at, "deaf", 400)
            reader.close()
            be_guilty("deaf_is_gone")
            at.wait("deaf_is_gone")
            reader, _ = listening.accept()
            with reader, reader.makefile("rb") as lines:
                marker = json.loads(next(line for line in lines if b'"dropped"' in line))
                assert marker["fdtrace"]["dropped"] > 0 and marker["event"]["action"] == "drop", marker
                be_guilty("deaf_no_more")
                next(line for line in lines if b"deaf_no_more" in line)
            end(daemon)


@case("a standard output without a reader, and one whose reader ends: the daemon continues")
def _():
    need_tracing()
    with place() as at:
        at.write(ALL, outputs="- type: stdout\n  queue: 64K\n")
        with at.start() as daemon, flood(at, "unread", 400) as guilty:
            guilty.say(b"x" * 400)
            all_told(at, "unread", 400)
            daemon.child.stdout.close()
            be_guilty("nobody_there")
            at.wait("nobody_there")
            assert end(daemon).messages.count("standard output: cannot") <= 2, daemon.err()


# --- metrics ---

def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return answer.read()


def served(port):
    with contextlib.suppress(OSError):
        return scrape(port)


def bother(port):
    """A thousand connections: silent ones, garbage, requests whose answers nobody reads."""
    said = (b"", b"\xff\0\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 100)
    clients = []
    for i in range(1000):
        client = socket.socket()
        clients.append(client)
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.connect(("127.0.0.1", port))
        with contextlib.suppress(OSError):
            client.send(said[i % len(said)])
    return clients


@case("metrics: what promtool accepts, findings and drops counted; a thousand bad clients delay no one")
def _():
    need_tracing()
    port = free_port()
    with place() as at:
        at.write("rules: close\n", listen=f"127.0.0.1:{port}")
        with at.start() as daemon:
            be_guilty("scraped")
            at.wait("scraped")
            body = until("it is counted", lambda: next(
                (b for b in [served(port)] if b and re.search(rb'rule="close.double",severity="\w+"} [1-9]', b)), None))
            assert re.search(rb'\nfdtrace_[a-z_]*lines[a-z_]*\{[^\n]*out.jsonl[^\n]*\} [1-9]', body), body
            if not shutil.which("promtool"):
                raise Skip("there is no promtool")
            checked = run(["promtool", "check", "metrics"], text=body)
            assert checked.status == 0 and not checked.err.strip(), checked
            clients = bother(port)
            be_guilty("bothered")
            at.wait("bothered")
            assert len(os.listdir(f"/proc/{daemon.pid}/fd")) < 200
            for client in clients:
                client.close()
            until("it serves again", lambda: served(port))
            end(daemon)


@case("a port in use is reported at the start")
def _():
    need_tracing()
    with place() as at, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at.write(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        said = fdtrace("--daemon", "-c", at.config, env=at.environment)
        assert said.status == 3 and "Address already in use" in said.messages, said
        assert "another program listens on it" in said.messages, said


# --- storms and want ---

@case("a storm of SIGHUP during a storm of findings loses and doubles none")
def _():
    need_tracing()
    with place() as at:
        at.write(ALL)
        with at.start() as daemon, flood(at, "both_storms", COUNT) as guilty:
            for _ in range(COUNT):
                guilty.say(b"x")
                for _ in range(10):
                    os.kill(daemon.pid, signal.SIGHUP)
            all_told(at, "both_storms")
            end(daemon)


def starved(at, before):
    """The daemon with too little of something: it goes on, or ends with an error of its own. Which?"""
    with program("starved") as guilty:
        try:
            with at.start("--set", "memory.max=8M", before=before, ready=b"fdtrace: ") as daemon:
                until("it works or ends", lambda: b"is traced" in daemon.err() or daemon.child.poll() is not None)
                sin(guilty)
                assert alive(guilty.pid), "a traced program was harmed"
                if daemon.child.poll() is None:
                    end(daemon)
                    return True
                assert daemon.child.returncode in (3, 70), (daemon.child.returncode, daemon.err())
                assert b"fdtrace: cannot " in daemon.err(), daemon.err()
                return False
        finally:
            assert alive(guilty.pid), "a traced program was harmed"


@case("with too little address space it says what it cannot do and ends, or goes on")
def _():
    need_tracing()
    with place() as at:
        went_on = [starved(at, ["prlimit", f"--as={size << 20}", "--"]) for size in (24, 48, 96, 1024)]
        assert went_on[-1] and not went_on[0], went_on


@case("killed for lack of memory it does no harm, and the next one starts")
def _():
    need_tracing()
    with small_memory(4 << 20) as before, place() as at:
        with program("squeezed") as guilty:
            first = subprocess.run([*before, FDTRACE, "--daemon", "-c", at.config], env=at.environment,
                                   stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
            assert first.returncode in (-signal.SIGKILL, 3, 70), first
            assert alive(guilty.pid)
            with at.start() as daemon:
                sin(guilty)
                at.wait("squeezed")
                end(daemon)


# --- what an operator asks ---

@case("cgroups and exclude_cgroups: findings of others are not reported, and don't use up the hour; SIGHUP changes it")
def _():
    need_tracing()
    name = f"fdtrace-days-{os.getpid()}"
    with cgroup(name + "-a") as a, cgroup(name + "-b") as b, place() as at:
        at.write(f"rules: close\ncgroups: ['/{name}-*']\nexclude_cgroups: ['*-b']\n")
        with at.start() as daemon:
            # All of them live on: who has ended before he was asked is in no known place.
            with program("grouped") as outside, program("grouped", inside(b)) as excluded, \
                 program("grouped", inside(a)) as wanted:
                for guilty in (outside, excluded, wanted):
                    sin(guilty)
                only, = at.wait("grouped")
            assert only["fdtrace"]["cgroup"] == f"/{name}-a" and only["fdtrace"]["count"] == 1, only
            at.write("rules: close\n")
            reload(daemon)
            with program("ungrouped", inside(b)) as guilty:
                sin(guilty)
                other, = at.wait("ungrouped")
            assert other["fdtrace"]["cgroup"] == f"/{name}-b", other
            end(daemon)


def told_command(at, daemon, name, config):
    """What is shown of a program's command line under this configuration."""
    at.write("rules: close\n" + config)
    reload(daemon)
    be_guilty(name)
    finding, = at.wait(name)
    return finding["process"]


@case("command_line and redact are obeyed and changed by SIGHUP")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        whole = told_command(at, daemon, "whole_line", "")
        assert "import os, sys" in whole["command_line"], whole
        alone = told_command(at, daemon, "argv0", "command_line: argv0\n")
        assert "import" not in json.dumps(alone) and "python3" in alone["command_line"], alone
        none = told_command(at, daemon, "no_line", "command_line: off\n")
        assert "import" not in json.dumps(none) and "command_line" not in none, none
        hidden = told_command(at, daemon, "redacted", "redact: ['import (os), sys']\n")
        assert "import [redacted], sys" in hidden["command_line"], hidden
        end(daemon)


@case("suppressions hold, change by SIGHUP, and unused ones are reported at the end")
def _():
    need_tracing()
    with place() as at:
        path = at.folder + "/known.yaml"

        def suppress(name):
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"- name: known one\n  rule: close\n  frame: '{name}_twice*'\n"
                           "- name: of no use\n  rule: leak\n  frame: nobody\n")
        suppress("hushed")
        at.write(f"rules: close\nsuppress: [{path}]\nset: {{findings.every: 0s}}\n")
        with at.start() as daemon, flood(at, "first", 1):  # a frame that is not known yet fits no glob
            be_guilty("hushed")
            be_guilty("spoken")
            at.wait("spoken")
            assert not at.findings("hushed")
            suppress("spoken_no_more")
            reload(daemon)
            be_guilty("hushed")
            at.wait("hushed")
            be_guilty("spoken_no_more")
            end(daemon)
        assert not at.findings("spoken_no_more")
        summary, = [r for r in at.records() if "suppressions_unused" in r["fdtrace"]]
        assert summary["fdtrace"]["suppressions_unused"] == ["of no use"], summary
        assert summary["fdtrace"]["findings_suppressed"] >= 1, summary


@case("explain prints what the daemon reported, by a prefix, with all stacks; -j whole")
def _():
    need_tracing()
    with place() as at:
        evidence = at.folder + "/evidence"
        at.write("rules: close\n", evidence=evidence)
        with at.start() as daemon:
            assert run([CLOSE_TWICE, "guilty"]).status == 0
            finding = until("it is told", lambda: next(
                (r for r in at.records() if r.get("process", {}).get("name") == "close_twice"), None))
            env = {**os.environ, "FDTRACE_EVIDENCE": evidence}
            prefix = finding["fdtrace"]["fingerprint"][:8]
            raw = fdtrace("explain", "-j", prefix, env=env)
            whole = json.loads(raw.out)
            assert whole["event"]["id"] == finding["event"]["id"], raw
            text = fdtrace("explain", prefix, env=env)
            assert text.status == 0 and b"close.double" in text.out, text
            stacks = [whole["fdtrace"][party]["stack"] for party in ("opened", "closed", "used")]
            for frame in sum(stacks, []):
                assert frame.split(" (")[0].encode() in text.out, f"{frame} is not told\n{text}"
            again = fdtrace("explain", "-j", "0123456789abcdef", env=env)
            assert again.status == 3 and evidence in again.messages, again
            end(daemon)


if __name__ == "__main__":
    main()
