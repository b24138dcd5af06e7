#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A fleet of three hosts on one machine: network and UTS namespaces of their own, a shipper in
each, and a collector in a fourth. The namespaces end with the processes that hold them.

web-1 and web-2 ship over RELP, web-3 over plain TCP. RELP promises that nothing is lost whatever
happens to the collector. TCP promises it for what is not on the wire when the collector ends: so
web-3 is quiet at that moment, the others are not.
"""
import contextlib
import glob
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from harness import ALL_STACKS, FDTRACE, PYTHON, TOP, Background, Skip, case, main, need_tracing, program, until
from shipping import configured, executable, read_lines, rsyslog, unpacked_environment, write

HOLDER = [PYTHON, os.path.join(TOP, "tests", "stories", "pipe_holder.py"), "guilty"]
CLOSE_TWICE = [program("close_twice"), "guilty"]
COLLECTOR = "10.77.0.1"
HOSTS = {"web-1": "rsyslog-relp.conf", "web-2": "rsyslog-relp.conf", "web-3": "rsyslog.conf"}
PROMPT = {'resumeInterval="5"': 'resumeInterval="1"'}


def misbehave(host, guilty):
    """Lets the bug happen on the host, under its fdtrace, which appends its lines to the host's file.

    The one place that knows how the host is watched. With a daemon in each host this becomes: run
    `guilty` in the host's own cgroup, which is what that daemon's configuration names, while
    `fdtrace --daemon -c` goes on. -o would truncate, so the file is opened here, to append.
    """
    with open(host.log, "ab") as file:
        done = subprocess.run([*host.within, FDTRACE, "-j", "-o", "-", *ALL_STACKS, "--", *guilty], stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode in (0, 1), f"{host.name}: {done.returncode} {done.stderr.decode()}"


class Place:
    """A network and UTS namespace with a name, for as long as its process runs."""

    def __init__(self, stack, name):
        script = 'hostname "$1" && ip link set lo up && echo ready && read -r _'
        self.name = name
        self.holder = stack.enter_context(Background(["unshare", "-n", "-u", "sh", "-c", script, "sh", name]))
        self.holder.wait_for(b"ready\n")
        self.within = ["nsenter", "-t", str(self.holder.pid), "-n", "-u", "--"]

    def ip(self, *words):
        subprocess.run([*self.within, "ip", *words], check=True)


class Host(Place):
    """One of the fleet: its log folder, its shipper, and the bug that happens on it again and again."""

    def __init__(self, stack, name, collector, folder):
        super().__init__(stack, name)
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder + "/log")
        os.mkdir(self.folder + "/queue")
        self.log = self.folder + "/log/fdtrace.jsonl"
        self._join(collector)
        changes = {"/var/log/fdtrace/": self.folder + "/log/", "/var/spool/rsyslog": self.folder + "/queue",
                   "collector.example": COLLECTOR, **PROMPT}
        self.shipper = stack.enter_context(rsyslog(self.folder + "/shipper", HOSTS[name], changes, self.within))

    def _join(self, collector):
        number = self.name[-1]
        self.ip("link", "add", "eth0", "type", "veth", "peer", "name", "to" + number,
                "netns", str(collector.holder.pid))
        collector.ip("link", "set", "to" + number, "master", "br0", "up")
        self.ip("address", "add", f"10.77.0.1{number}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")

    def lines(self):
        """All that was ever written here, rotated or not."""
        lines = read_lines(*(p for p in glob.glob(self.log + "*") if not p.endswith(".gz")))
        for path in glob.glob(self.log + "*.gz"):
            with gzip.open(path) as file:
                lines += file.read().split(b"\n")[:-1]
        return set(lines)

    def rotate(self):
        """By logrotate with the snippet that ships with fdtrace."""
        path = write(self.folder + "/logrotate.conf",
                     configured("logrotate", {"/var/log/fdtrace/": self.folder + "/log/"}, TOP + "/src/fleet"))
        os.chmod(path, 0o644)
        subprocess.run([executable("logrotate"), "-f", "-s", self.folder + "/logrotate.state", path], check=True,
                       env=unpacked_environment())
        assert os.path.exists(self.log + ".1"), os.listdir(self.folder + "/log")


class Trouble:
    """The bug happens on a host over and over, until the `with` block ends; can be held meanwhile."""

    def __init__(self, host):
        self.host, self.rounds, self.why = host, 0, None
        self._stop = threading.Event()
        self._free = threading.Lock()
        self._thread = threading.Thread(target=self._go_on)

    def _go_on(self):
        try:
            while not self._stop.is_set():
                with self._free:
                    misbehave(self.host, CLOSE_TWICE)
                self.rounds += 1
        except BaseException as why:  # told by the thread that waits for it
            self.why = why

    def more(self, rounds):
        goal = self.rounds + rounds
        until(f"{rounds} more rounds on {self.host.name}", lambda: self.rounds >= goal or self.why)
        if self.why:
            raise self.why

    def held(self):
        return self._free

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class Fleet:
    def __init__(self, stack, folder):
        self.store = folder + "/store/fdtrace.jsonl"
        self.index = folder + "/store/findings.txt"
        place = Place(stack, "collector")
        place.ip("link", "add", "br0", "type", "bridge")
        place.ip("address", "add", COLLECTOR + "/24", "dev", "br0")
        place.ip("link", "set", "br0", "up")
        self.collector = stack.enter_context(rsyslog(folder + "/collector", "rsyslog-collector.conf",
                                                     {"/var/log/fdtrace-fleet": folder + "/store"}, place.within))
        self.hosts = [Host(stack, name, place, folder) for name in HOSTS]

    def stored(self):
        return set(read_lines(self.store))

    def all_arrived(self, hosts=()):
        hosts = hosts or self.hosts
        wanted = set().union(*(host.lines() for host in hosts))
        try:
            until("all lines at the collector", lambda: wanted <= self.stored())
        except AssertionError as late:
            lost = wanted - self.stored()
            names = sorted({json.loads(line)["host"]["name"] for line in lost})
            said = "".join(host.shipper.said() for host in self.hosts)
            raise AssertionError(f"{late}: {len(lost)} of {len(wanted)} not there, from {names}\n{said}") from None
        return wanted


@contextlib.contextmanager
def fleet():
    need_tracing()
    if subprocess.run(["unshare", "-n", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("no network namespaces here (unshare -n fails)")
    with tempfile.TemporaryDirectory(prefix="fdtrace-fleet-") as folder, contextlib.ExitStack() as stack:
        yield Fleet(stack, folder)


def at_once(hosts, function):
    threads = [threading.Thread(target=function, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@case("the same bug on three hosts: one fingerprint, three names")
def one_fingerprint():
    with fleet() as it:
        at_once(it.hosts, lambda host: misbehave(host, HOLDER))
        records = [json.loads(line) for line in it.all_arrived()]
        found = [r for r in records if r["event"]["dataset"] == "fdtrace.finding"]
        assert sorted(r["host"]["name"] for r in found) == sorted(HOSTS), [r["host"] for r in found]
        assert {r["rule"]["id"] for r in found} == {"limit.emfile"}, found
        assert len({r["fdtrace"]["fingerprint"] for r in found}) == 1, found
        assert len({r["event"]["id"] for r in found}) == 3, found
        index = [line.decode().split(" ", 3) for line in read_lines(it.index)]
        assert {(host, print_) for _, host, print_, _ in index} \
            == {(r["host"]["name"], r["fdtrace"]["fingerprint"]) for r in found}, index


def outage(it, troubles, number):
    """The collector ends by a signal while findings go on, logs are rotated, and it comes back."""
    quiet = troubles[-1]
    with quiet.held():
        it.all_arrived([quiet.host])
        it.collector.end(number)
    for trouble in troubles:
        trouble.more(2)
        trouble.host.rotate()
        trouble.more(2)
    before = it.stored()
    it.collector.start()
    for trouble in troubles:
        until(f"{trouble.host.name} is heard again", lambda t=trouble: (it.stored() - before) & t.host.lines())


@case("the collector ends and is killed, logs are rotated, a shipper is killed: nothing is lost")
def nothing_lost():
    with fleet() as it, contextlib.ExitStack() as stack:
        with contextlib.ExitStack() as running:
            troubles = [running.enter_context(Trouble(host)) for host in it.hosts]
            for trouble in troubles:
                trouble.more(1)
            outage(it, troubles, signal.SIGTERM)
            it.hosts[0].shipper.end(signal.SIGKILL)
            troubles[0].more(2)
            it.hosts[0].shipper.start()
            outage(it, troubles, signal.SIGKILL)
        wanted = it.all_arrived()
        assert it.stored() == wanted, f"lines nobody wrote: {sorted(it.stored() - wanted)[:2]}"
        ids = {json.loads(line)["event"]["id"] for line in wanted}
        assert len(ids) == len(wanted), "an event.id twice"
        prints = {json.loads(line)["fdtrace"].get("fingerprint") for line in wanted
                  if json.loads(line)["event"]["dataset"] == "fdtrace.finding"}
        assert len(prints) == 1, prints


if __name__ == "__main__":
    main()
