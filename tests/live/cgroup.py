#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where a process is: findings name container, unit and the pid inside, in real cgroups and pid
namespaces, made by hand and by podman; a replay tells the same.
"""
import contextlib
import functools
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import recording
from harness import FDTRACE, Background, Skip, attach, case, fdtrace, main, need_tracing, program, until
from podman import Podman

ID = "3f2a9c1b7d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"
POD = "1b4c2a33-9d1e-4f0a-8b77-0123456789ab"
OURS = f"/fdtrace-test-{os.getpid()}/"
FILL_TABLE = ["fill_table", "endless", "64"]  # a line on stdin, and it fills its table: limit.emfile


def hierarchies():
    """Folders where cgroups are mounted: the unified hierarchy first, then systemd's."""
    with open("/proc/self/mounts", encoding="ascii", errors="replace") as mounts:
        rows = [line.split() for line in mounts]
    return ([r[1] for r in rows if r[2] == "cgroup2"] +
            [r[1] for r in rows if r[2] == "cgroup" and "name=systemd" in r[3]])


def make_top():
    """A cgroup of our own below the first hierarchy that allows it."""
    whys = []
    for folder in hierarchies():
        top = folder + OURS.rstrip("/")
        try:
            os.mkdir(top)
            return top
        except OSError as why:
            whys.append(str(why))
    raise Skip(f"no cgroup can be made here: {whys or 'none is mounted'}")


@contextlib.contextmanager
def cgroup(path):
    """A cgroup of that name, gone afterwards; its folder, and its path as /proc tells it."""
    top = make_top()
    folder = top
    try:
        for name in path.split("/"):
            folder = os.path.join(folder, name)
            os.mkdir(folder)
        yield folder, folder[folder.index(OURS):]
    finally:
        while folder != os.path.dirname(top):
            until(f"{folder} is empty", functools.partial(remove, folder))
            folder = os.path.dirname(folder)


def remove(folder):
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:  # who was in it is about to end
        return False
    return True


def enter(folder):
    with open(os.path.join(folder, "cgroup.procs"), "w", encoding="ascii") as procs:
        procs.write("0")


def first_child(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return int((children.read().split() or ["0"])[0])


def contained(folder, *argv):
    """argv as pid 1 of a pid namespace, in the cgroup."""
    return Background(["unshare", "--pid", "--fork", "--kill-child", "--", program(argv[0]), *argv[1:]],
                      preexec_fn=lambda: enter(folder))


def full_table(result, within=OURS):
    """The first such finding that has this in its cgroup: others may be at work on the machine."""
    found = [f for f in result.findings
             if f["rule"]["id"] == "limit.emfile" and within in f["fdtrace"].get("cgroup", "")]
    assert found, f"{result}"
    return found[0]


def place_of(finding):
    return {key: finding.get(key) for key in ("service", "container", "orchestrator", "kubernetes")}


def check_docker(finding, pid, path):
    assert finding["container"] == {"id": ID, "runtime": "docker"}, finding
    assert finding["process"]["pid"] == pid, finding
    assert finding["fdtrace"]["pid_in_container"] == 1, finding
    assert finding["fdtrace"]["cgroup"] == path, finding
    assert "service" not in finding and "orchestrator" not in finding, finding


@case("-p: container and inner pid of a process in a docker-like cgroup and a pid namespace; a replay says the same")
def by_pid():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder, cgroup("docker/" + ID) as (at, path), contained(at, *FILL_TABLE) as child:
        pid = until("it has begun", lambda: first_child(child.pid))
        with attach(pid, "-r", folder + "/rec") as tracer:
            child.say(b"\n")
            tracer.wait_for(b'"limit.emfile"')
            result = tracer.interrupt()
        check_docker(full_table(result), pid, path)
        places = recording.events(folder + "/rec", recording.CGROUP)
        assert [(p.head.tgid, p.inner_pid, p.cgroup) for p in places] == [(pid, 1, path.encode())], places
        again = fdtrace("replay", "-j", folder + "/rec")
        check_docker(full_table(again), pid, path)
        shown = fdtrace("replay", folder + "/rec")
        assert f"[{pid}] docker {ID[:12]}   ".encode() in shown.out, shown


@case("-a: a process in a pod, its container, and the pod's id with dashes")
def whole_machine():
    need_tracing()
    path = f"kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/cri-containerd-{ID}.scope"
    with cgroup(path) as (at, _), Background([FDTRACE, "-j", "-a"]) as tracer:
        tracer.wait_for(b"fdtrace.state")
        with contained(at, *FILL_TABLE) as child:
            child.say(b"\n")
            tracer.wait_for(OURS.encode())
            result = tracer.interrupt()
    finding = full_table(result)
    assert place_of(finding) == {"service": None, "container": {"id": ID, "runtime": "containerd"},
                                 "orchestrator": {"type": "kubernetes", "resource": {"type": "pod", "id": POD}},
                                 "kubernetes": {"pod": {"uid": POD}}}, finding
    assert finding["fdtrace"]["pid_in_container"] == 1, finding


def traced_in(folder):
    """What is told of a program in that cgroup and in no namespace of its own."""
    with Background([program(FILL_TABLE[0]), *FILL_TABLE[1:]], preexec_fn=lambda: enter(folder)) as child:
        with attach(child.pid) as tracer:
            child.say(b"\n")
            tracer.wait_for(b'"limit.emfile"')
            return tracer.interrupt()


@case("a process in a service's cgroup: its unit, no container, no second pid")
def a_service():
    need_tracing()
    with cgroup("system.slice/app.service") as (at, path):
        finding = full_table(traced_in(at))
    assert finding["service"] == {"name": "app.service"} and "container" not in finding, finding
    assert finding["fdtrace"]["cgroup"] == path and "pid_in_container" not in finding["fdtrace"], finding


@case("a cgroup whose name is hostile: escaped, and the line is valid")
def a_hostile_name():
    need_tracing()
    name = b'\xff"\x1b[2J\\ {}:.service'
    with cgroup(os.fsdecode(name)) as (at, _):
        result = traced_in(at)
    finding = full_table(result)
    assert b"\x1b" not in result.out, f"{result}"
    assert finding["fdtrace"]["cgroup"].endswith('/\ufffd"\x1b[2J\\ {}:.service'), finding


# --- podman ---

@case("podman: the container's id, and pid 1")
def podman():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        pod = Podman(folder)
        pod.image({"/fill_table": program("fill_table")})
        made = pod.run("create", "-i", "--network=none", "--log-driver=none", "--ulimit=nofile=64:64",
                       "--ulimit=nproc=1000:1000", "fdtrace-test", "/" + FILL_TABLE[0], *FILL_TABLE[1:])
        try:
            with Background([FDTRACE, "-j", "-a"]) as tracer:
                tracer.wait_for(b"fdtrace.state")
                with Background(pod.argv + ["start", "-ai", made]) as client:
                    client.say(b"\n")
                    tracer.wait_for(f'"container":{{"id":"{made}"'.encode())
                    result = tracer.interrupt()
        finally:
            pod.run("rm", "-f", "-t", "0", made)
            pod.settle()
    finding = full_table(result, made)
    assert finding["container"] == {"id": made, "runtime": "podman"}, f"{made}: {finding}"
    assert finding["fdtrace"]["pid_in_container"] == 1, finding


main()
