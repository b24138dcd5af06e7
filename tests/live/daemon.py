#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The daemon: from its configuration to a line in a file, reloads, restarts, and with no more rights than its unit gives it."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (DEADLINE_S, FDTRACE, NEEDED_CAPABILITIES, PYTHON, TOP, case, fdtrace, free_port,
                     judge_capabilities, main, need_tracing, until)
from service import be_guilty, end, place, program, reload, sin

CAPS = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"]

# --- --check-config ---

def check_config(text, status, *words):
    with place() as at:
        with open(at.config, "w", encoding="utf-8") as config:
            config.write(text)
        result = fdtrace("--check-config", "-c", at.config)
        said = result.messages + result.out.decode()
        assert result.status == status, result
        for word in words:
            assert word.replace("FILE", at.config) in said, f"{word!r} is not said\n{result}"


@case("a good configuration is called good")
def _():
    check_config("rules: leak\n", 0, "FILE: ok\n")
    check_config("", 0, "FILE: ok\n")
    result = fdtrace("--check-config", "-c", os.path.join(TOP, "src/daemon/fdtrace.yaml"))
    assert result.status == 0 and result.out.endswith(b"fdtrace.yaml: ok\n"), result


@case("a bad configuration is reported with line and column")
def _():
    check_config("rules: leak\nstacks: on\n", 2, "FILE:2:9: ", '"on"', "auto, native, python, off")
    check_config("rulse: leak\n", 2, "FILE:1:1: ", 'did you mean "rules"?')
    check_config("suppress: [/does/not/exist]\n", 2, "/does/not/exist")
    result = fdtrace("--check-config", "-c", "/does/not/exist")
    assert result.status == 2 and "/does/not/exist" in result.messages, result
    result = fdtrace("--daemon", "-c", "/dev")
    assert result.status == 2 and "a directory" in result.messages, result


# --- a service ---

def notified(listener):
    listener.settimeout(DEADLINE_S)
    return dict(line.split("=", 1) for line in listener.recv(4096).decode().splitlines())


def notified_until(listener, key):
    while True:
        got = notified(listener)
        if key in got:
            return got


@case("systemd's protocol: ready, reloading, alive, stopping")
def _():
    need_tracing()
    with place() as at:
        for address in (os.path.join(at.folder, "notify"), f"\0fdtrace-test-{os.getpid()}"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
                listener.bind(address)
                at.environment["NOTIFY_SOCKET"] = address.replace("\0", "@")
                at.environment["WATCHDOG_USEC"] = "1000000"
                with at.start() as daemon:
                    first = notified(listener)
                    assert first.get("READY") == "1" and "STATUS" in first, first
                    notified_until(listener, "WATCHDOG")
                    start = time.monotonic()
                    for _ in range(4):
                        notified_until(listener, "WATCHDOG")
                    took = time.monotonic() - start
                    assert took < 4, f"five watchdog messages in {took} s, one was due each 0.5 s"
                    os.kill(daemon.pid, signal.SIGHUP)
                    reloading = notified_until(listener, "RELOADING")
                    assert abs(int(reloading["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 60, reloading
                    assert notified_until(listener, "READY")["READY"] == "1"
                    end(daemon)
                    assert notified_until(listener, "STOPPING")["STOPPING"] == "1"


@case("a guilty program's finding arrives in the file")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        be_guilty("arrives")
        finding, = at.wait("arrives")
        assert finding["rule"]["id"] == "close.double", finding
        assert stat.S_IMODE(os.stat(at.out).st_mode) & 0o007 == 0, "the world may read it"
        end(daemon)
        actions = [r["event"].get("action") for r in at.records() if r["event"]["dataset"] == "fdtrace.state"]
        assert actions[0] == "start" and actions[-1] == "stop", actions
        assert os.path.exists(at.state) and stat.S_IMODE(os.stat(at.state).st_mode) == 0o600
        with open(at.out, "rb") as lines:
            check = subprocess.run([PYTHON, os.path.join(TOP, "tests/live/validate_jsonl.py"),
                                    os.path.join(TOP, "src/output/json/finding.schema.json")],
                                   stdin=lines, capture_output=True, check=False)
        assert check.returncode == 0, check.stdout + check.stderr


@case("SIGHUP changes rules and thresholds and forgets no table")
def _():
    need_tracing()
    with place() as at:
        at.write("rules: leak\n")
        with at.start() as daemon, program("reloaded") as guilty:
            be_guilty("unwanted")
            at.write("rules: leak,close\n")
            reload(daemon)
            sin(guilty)
            finding, = at.wait("reloaded")
            assert not at.findings("unwanted"), "a rule that was off has told something"
            opened = json.dumps(finding["fdtrace"])
            assert "reloaded (<string>:" in opened.replace("reloaded_twice", ""), \
                f"who opened it before the reload is not known any more: {opened}"
            assert not finding["fdtrace"]["confidence"] == "after_loss", finding
            end(daemon)


@case("SIGHUP with a mistake in the file keeps what is in force")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        at.write("rules: close\nrulez: x\n")
        reload(daemon, b"keeping the previous configuration")
        assert f"{at.config}:".encode() in daemon.err() and b'"rulez"' in daemon.err(), daemon.err()
        be_guilty("still")
        at.wait("still")
        os.unlink(at.config)
        reload(daemon, b"keeping the previous configuration")
        at.write("outputs:\n- type: file\n  path: /does/not/exist/x\n")
        reload(daemon, b"keeping the previous configuration")
        be_guilty("even_now")
        at.wait("even_now")
        end(daemon)


@case("a storm of SIGHUP is a few reloads")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        for _ in range(2000):
            os.kill(daemon.pid, signal.SIGHUP)
        reload(daemon)
        be_guilty("storm")
        at.wait("storm")
        end(daemon)
        assert daemon.out == b"", daemon.out


@case("a new output is written from the reload on, the old one is closed")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        be_guilty("first_place")
        at.wait("first_place")
        old, at.out = at.out, os.path.join(at.folder, "other.jsonl")
        at.write()
        reload(daemon)
        be_guilty("second_place")
        at.wait("second_place")
        names = {os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.pid}/fd")}
        assert old not in names and at.out in names, names
        end(daemon)


def shares(at):
    """The coverage ratio of each summary of the run so far."""
    return [r["fdtrace"]["coverage_ratio"] for r in at.records()
            if r["event"]["dataset"] == "fdtrace.summary" and r["fdtrace"].get("scope") == "run"]


@case("SIGHUP changes the budget: the next summaries show it, both ways")
def _():
    need_tracing()
    with place() as at:
        at.write("summary_interval: 1s\nset:\n  budget: 0%\n")
        with at.start(budget=None) as daemon:
            until(f"no coverage in {shares(at)}", lambda: shares(at)[-1:] and shares(at)[-1] < 0.5)
            at.write("summary_interval: 1s\nset:\n  budget: 100%\n")
            reload(daemon)
            until(f"full coverage in {shares(at)}", lambda: shares(at)[-1] > 0.9)
            at.write("summary_interval: 1s\nset:\n  budget: 0%\n")
            reload(daemon)
            until(f"no coverage in {shares(at)}", lambda: shares(at)[-1] < 0.5)
            assert b"restart fdtrace" not in daemon.err(), daemon.err()
            end(daemon)


@case("what needs a restart is said, at each reload until then")
def _():
    need_tracing()
    with place() as at, at.start() as daemon:
        at.write("set:\n  ring.size: 1M\nrules: use.stale\nhooks: tracepoint\n")
        reload(daemon)
        for what in (b"ring.size", b"use.stale", b"hooks"):
            assert re.search(what + b" changed; restart fdtrace to apply it", daemon.err()), \
                daemon.err()
        assert at.config.encode() + b": ring.size changed" in daemon.err(), daemon.err()
        before = daemon.err().count(b"ring.size changed")
        reload(daemon)
        assert daemon.err().count(b"ring.size changed") == before + 1, daemon.err()
        end(daemon)


@case("a second daemon is refused, naming the first")
def _():
    need_tracing()
    with place() as at:
        with at.start() as daemon:
            second = fdtrace("--daemon", "-c", at.config, env=at.environment)
            assert second.status == 3 and f"pid {daemon.pid} " in second.messages, second
            daemon.child.kill()
            daemon.child.wait()
        with at.start() as daemon:  # the dead one's lock is no lock
            end(daemon, signal.SIGINT)


# --- what was told ---

# Until a file's tables are there a stack may be short, and so another place with another fingerprint.
WITHOUT_STACKS = "rules: close\nstacks: off\n"

def told(at):
    try:
        with open(at.state, encoding="utf-8") as state:
            return {row["fingerprint"]: row for row in json.load(state)["reported"]}
    except FileNotFoundError:
        return {}


def warm_up(at, name):
    """Until stacks are whole: findings are told apart by them, and the interpreter's tables take a moment."""
    for n in range(200):
        be_guilty(f"{name}_{n}")
        if any(f"{name}_" in str(found["fdtrace"].get("closed", {}).get("stack")) for k in range(n)
               for found in at.findings(f"{name}_{k}")):
            return
    raise AssertionError(f"no finding of {n} has a stack that names its function")


@case("after kill -9 and a start nothing is reported again, but counted")
def _():
    need_tracing()
    with place() as at:
        at.write("rules: close\n")
        with at.start() as daemon:
            warm_up(at, "warm")
            be_guilty("killed")
            finding, = at.wait("killed")
            fingerprint = finding["fdtrace"]["fingerprint"]
            # Another program's finding may have been kept just before: then it is a minute.
            until("the finding is kept", lambda: fingerprint in told(at))
            daemon.child.kill()
            daemon.child.wait()
        with at.start() as daemon:
            warm_up(at, "warm_again")
            be_guilty("killed")
            be_guilty("fence")
            at.wait("fence")
            assert len(at.findings("killed")) == 1, "it is told again"
            end(daemon)
        assert told(at)[fingerprint]["count"] == 2, told(at)[fingerprint]


@case("an hour later it is reported again, as ongoing")
def _():
    need_tracing()
    with place() as at:
        at.write(WITHOUT_STACKS)
        with at.start() as daemon:
            be_guilty("hourly")
            finding, = at.wait("hourly")
            end(daemon)
        with open(at.state, encoding="utf-8") as state:
            kept = json.load(state)
        for row in kept["reported"]:
            row["reported"] -= 3601
        with open(at.state, "w", encoding="utf-8") as state:
            json.dump(kept, state)
        with at.start() as daemon:
            be_guilty("hourly")
            _, again = at.wait("hourly", 2)
            end(daemon)
        assert again["fdtrace"]["fingerprint"] == finding["fdtrace"]["fingerprint"]
        assert (finding["fdtrace"]["state"], again["fdtrace"]["state"]) == ("new", "ongoing"), again["fdtrace"]
        assert again["fdtrace"]["count"] == 2, again["fdtrace"]


def bad_state(name, make, kept=True):
    @case(f"a state file that is {name} is reported once and replaced")
    def _():
        need_tracing()
        with place() as at:
            make(at.state)
            with at.start() as daemon:
                assert daemon.err().count(b"cannot be read") == 1, daemon.err()
                be_guilty("bad_state")
                finding, = at.wait("bad_state")
                end(daemon)
            assert not kept or finding["fdtrace"]["fingerprint"] in told(at)


def write_state(data):
    def make(path):
        with open(path, "wb") as state:
            state.write(data)
    return make


def foreign(path):
    write_state(b'{"format":2,"reported":[]}')(path)
    os.chown(path, 65534, 65534)


def symlink(path):
    write_state(b'{"format":2,"reported":[]}')(path + ".other")
    os.symlink(path + ".other", path)


bad_state("empty", write_state(b""))
bad_state("cut", write_state(b'{"format":2,"reported":[{"fingerprint":"0123'))
bad_state("of another format", write_state(b'{"format":3,"reported":[]}'))
bad_state("binary", write_state(bytes(range(256)) * 64))
bad_state("somebody else's", foreign)
bad_state("a link", symlink)
bad_state("a directory", os.mkdir, kept=False)


# --- with no more rights than the unit gives ---

def unit_lines(key):
    with open(os.path.join(TOP, "src/systemd/fdtrace.service"), encoding="utf-8") as unit:
        return re.findall(rf"^{key}=(.*)$", unit.read(), re.M)


def unit_capabilities():
    line, = unit_lines("CapabilityBoundingSet")
    return sorted(c.lower().removeprefix("cap_") for c in line.split())


def call_numbers():
    """Of all system calls, as the C library's header has them."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-"], stdin=subprocess.DEVNULL,
                          capture_output=True, check=True, text=True).stdout
    values = dict(re.findall(r"^#define (__NR\w*) (\w+)$", text, re.M))
    while any(v in values for v in values.values()):
        values = {k: values.get(v, v) for k, v in values.items()}
    return {k.removeprefix("__NR_"): int(v) for k, v in values.items() if v.isdigit()}


def call_sets():
    """systemd's groups of system calls: name -> calls and names of other groups."""
    said = subprocess.run(["systemd-analyze", "syscall-filter"], stdin=subprocess.DEVNULL, capture_output=True,
                          check=True, text=True).stdout
    sets, calls = {}, None
    for line in said.splitlines():
        if line.startswith("@"):
            calls = sets[line.strip()] = []
        elif line.startswith("    ") and calls is not None and not line.strip().startswith("#"):
            calls.append(line.strip())
    return sets


def expand(sets, word):
    return {c for w in sets[word] for c in expand(sets, w)} if word.startswith("@") else {word}


def unit_calls():
    """What the unit's SystemCallFilter= lines let through, by number."""
    sets, numbers, allowed = call_sets(), call_numbers(), set()
    for words in unit_lines("SystemCallFilter"):
        for word in words.removeprefix("~").split():
            (allowed.difference_update if words.startswith("~") else allowed.update)(expand(sets, word))
    assert "bpf" in allowed and "reboot" not in allowed and len(allowed) > 100, sorted(allowed)
    return ",".join(str(numbers[call]) for call in sorted(allowed) if call in numbers)


def hardened(at, setpriv):
    """As ProtectSystem=strict and the unit's filter do: everything read-only but the daemon's own folder."""
    script = (f"mount --make-rprivate / && mount --bind {at.folder} {at.folder} && mount -o remount,ro,bind / && "
              f'! touch /etc/fdtrace-test 2>/dev/null && exec setpriv --no-new-privs {setpriv} "$@"')
    return ["unshare", "--mount", "sh", "-c", script, "sh",
            PYTHON, os.path.join(TOP, "tests/lib/seccomp.py"), unit_calls()]


def suffices(setpriv, uid):
    need_tracing()
    with place() as at:
        os.chown(at.folder, uid, uid)
        os.chown(os.path.join(at.folder, "run"), uid, uid)
        os.chmod(at.folder, 0o755)
        with at.start(before=hardened(at, setpriv)) as daemon:
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
                said = status.read()
                effective, = re.findall(r"^CapEff:\s*([0-9a-f]+)", said, re.M)
                assert "\nSeccomp:\t2\n" in said and "\nNoNewPrivs:\t1\n" in said, said
            assert bin(int(effective, 16)).count("1") == len(CAPS), effective
            name = f"hardened_{uid}"
            warm_up(at, f"warm_{uid}")
            be_guilty(name, ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "--"])
            finding, = at.wait(name)
            assert finding["process"]["user"]["id"] == "1234", finding["process"]
            assert "/dev/null" in json.dumps(finding), "the descriptor's name is not known"
            assert f"{name}_twice (<string>:" in json.dumps(finding["fdtrace"]), finding["fdtrace"]
            end(daemon)
        assert finding["fdtrace"]["fingerprint"] in told(at)


@case("started by hand as root, no thread keeps a capability that tracing does not need, not even that of the metrics")
def _():
    need_tracing()
    with place() as at:
        at.write("rules: close\n", listen=f"127.0.0.1:{free_port()}")
        with at.start() as daemon:
            judge_capabilities(daemon.pid, NEEDED_CAPABILITIES)
            end(daemon)


@case("the unit's capabilities are those tested here")
def _():
    assert unit_capabilities() == sorted(CAPS), unit_capabilities()


@case("systemd understands the unit")
def _():
    with tempfile.TemporaryDirectory(prefix="fdtrace-unit-") as folder:
        with open(os.path.join(TOP, "src/systemd/fdtrace.service"), encoding="utf-8") as unit:
            text = unit.read().replace("=/usr/bin/fdtrace", "=" + FDTRACE).replace("Documentation=", "#")
        with open(os.path.join(folder, "fdtrace.service"), "w", encoding="utf-8") as unit:
            unit.write(text)
        said = subprocess.run(["systemd-analyze", "verify", "--man=no", unit.name], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, text=True)
        about = [line for line in said.stderr.splitlines() if "fdtrace" in line]
        assert said.returncode == 0 and not about, said.stderr


@case("the unit's capabilities and system calls suffice for root, with a read-only file system")
def _():
    suffices("--bounding-set=-all," + ",".join("+" + c for c in CAPS), 0)


@case("the unit's capabilities and system calls suffice for another user, with a read-only file system")
def _():
    caps = ",".join("+" + c for c in CAPS)
    suffices(f"--reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,{caps} --ambient-caps={caps} "
             f"--bounding-set=-all,{caps}", 65534)


if __name__ == "__main__":
    main()
