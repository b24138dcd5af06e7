#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Five bugs that cost people days, with the libraries they happened in: the guilty program is
reported with the culprit's line, the repaired one and its innocent twins are silent (no warning,
no error). What happened under Python 2.7 first is told there, too, where there is one."""
import contextlib
import glob
import os
import re
import shutil
import socket
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (ALL_STACKS, PYTHON, Background, add_case, attach, case, expect_findings, fdtrace, free_port,
                     main, need_tracing, the)

HERE = os.path.dirname(os.path.abspath(__file__))
FAST = ["--set", "leak.window=200ms", "--set", "leak.min_age=400ms", "--set", "leak.min_count=16"]
SOON = ["--set", "exec.unused_after=200ms"]


def old_python():
    """A Python 2.7 of the system or of pyenv; None if there is none."""
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    built = sorted(glob.glob(os.path.join(root, "versions", "2.7*", "bin", "python2.7")))
    return next(iter(built), None) or shutil.which("python2.7", path="/usr/bin:/usr/local/bin")


OLD_PYTHON = old_python()


def case_27(name):
    """Registers nothing where there is no Python 2.7: such a machine has nothing to test there."""
    def register(function):
        if OLD_PYTHON:
            add_case(f"{name}, Python 2.7", function)
        else:
            print(f"# not there: {name}, Python 2.7: no such interpreter", flush=True)
        return function
    return register


def story(name):
    return os.path.join(HERE, name + ".py")


def tell(name, variant, expected, *options, allowed=(), status=0, python=PYTHON, args=(), **popen):
    """The story under fdtrace: exactly the expected warnings and errors."""
    need_tracing()
    result = fdtrace("-j", *ALL_STACKS, *options, "--", python, story(name), variant, *args, **popen)
    assert result.status == status, f"the story itself went wrong\n{result}"
    return expect_findings(result, expected, allowed, floor="warning")


def in_python(stack):
    """The frames of Python code, innermost first: native ones stand there, too, if there is room."""
    return [frame for frame in stack if ".py:" in frame]


def culprit(finding):
    return in_python(finding["error"]["stack_trace"].splitlines())


def line_of(name, text):
    """`file:line` of the only line of that story with `text`, as frames have it."""
    with open(story(name), encoding="utf-8") as source:
        found = [i for i, line in enumerate(source, 1) if text in line]
    assert len(found) == 1, f"{text!r} stands in lines {found} of {name}"
    return f"{story(name)}:{found[0]}"


# --- 1: the close-all optimisation ---

@case("1 close-all with a database and ZeroMQ, guilty")
def close_all_guilty():
    found = tell("close_all", "guilty", [("close.sweep", "warning")], status=128 + 6)
    sweep = the(found, "close.sweep")
    assert culprit(sweep)[0] == f"close_everything ({line_of('close_all', 'os.close(number)  # whose')})", sweep
    told = sweep["fdtrace"]
    assert told["sweep"]["first"] == 0 and told["sweep"]["last"] == 4095 and told["sweep"]["tries"] == 4096, told
    assert told["sweep"]["duration_s"] > 0, told
    victims = told["victims"]
    owned = [v for v in victims if v.get("opened", {}).get("tid") not in (None, told["closed"]["tid"]) and "hurt" in v]
    assert sorted(v["kind"] for v in owned) == ["file", "tcp"] and owned == victims[:2], victims
    assert all(v["hurt"]["tid"] == v["opened"]["tid"] and v["hurt"]["error"] == "EBADF" for v in owned), victims


@case("1 close-all in words: what was closed, by whom it had been opened, and the time it took")
def close_all_text():
    need_tracing()
    result = fdtrace(*ALL_STACKS, "--", PYTHON, story("close_all"), "guilty")
    said = result.out.decode()
    assert result.status == 128 + 6 and said.count("close.sweep]") == 1, f"{result}"
    for opened in "connection = socket.create_connection(", "log = os.open(":
        assert f"in {os.path.basename(line_of('close_all', opened))} Ledger.run" in said, f"{result}"
    assert "swept 0 to 4095: 4,096 tries" in said and ", took " in said, f"{result}"


@case("1 close-all, repaired")
def close_all_repaired():
    tell("close_all", "repaired", [])


@case("1 close-all's innocent twin: a daemon's sweep in a fresh child")
def close_all_daemonize():
    tell("close_all", "daemonize", [])


@case("1 close-all's innocent twin: a sweep between fork and exec")
def close_all_subprocess():
    tell("close_all", "subprocess", [])


@case_27("1 close-all's innocent twin: close_fds")
def close_all_subprocess_27():
    tell("close_all", "subprocess", [], python=OLD_PYTHON)


# --- 2: auto-reload by exec ---

def reload(variant, expected, *options):
    with tempfile.TemporaryDirectory() as folder:
        found = tell("reload", variant, expected, *SOON, *options, args=[str(free_port())], cwd=folder)
        assert os.path.getsize(os.path.join(folder, "images")) == 5, "not five images"
    return found


@case("2 auto-reload of CherryPy, guilty")
def reload_guilty():
    # native frames would leave a JSON line too little room for the rest
    found = the(reload("guilty", [("exec.inherit", "warning")], "--stacks=python"), "exec.inherit")
    assert culprit(found)[0].startswith(f"OldLibraryHandler._open ({line_of('reload', '.open(os.fsencode')}"), found
    names = [os.path.basename(v["name"]) for v in found["fdtrace"]["victims"]]
    assert set(names) == {"error.log", "access.log"}, found
    inherited = re.search(r"inherited (\d+) descriptors across exec", found["message"])
    assert int(inherited[1]) >= 5, found  # two by each of three images before the one that is judged


@case("2 auto-reload of CherryPy as it comes: 2,016 numbers looked at, not one closed")
def reload_unmodified():
    reload("unmodified", [])


@case("2 auto-reload of CherryPy, repaired")
def reload_repaired():
    reload("repaired", [])


# --- 3: OsPipeHolder ---

def holder_leaks(variant, python):
    found = tell("pipe_holder", variant, [("leak.growth", "error"), ("limit.emfile", "error")], *FAST, python=python)
    growth, full = the(found, "leak.growth"), the(found, "limit.emfile")
    assert growth["event"]["sequence"] < full["event"]["sequence"], "the forecast came too late"
    assert growth["fdtrace"]["limit"]["exhausted_in_s"] < 60, growth
    for site in growth["fdtrace"]["sites"][0], full["fdtrace"]["sites"][0]:
        stack = in_python(site["stack"])
        assert f"__init__ ({line_of('pipe_holder', 'os.pipe()')})" in stack[0], site
        assert stack[1] == f"retry ({line_of('pipe_holder', 'holder = OsPipeHolder(')})", site
    assert site["kind"] == "pipe" and site["open"] >= 240, site


@case("3 OsPipeHolder, guilty: the leak before the limit, then the limit")
def holder_guilty():
    holder_leaks("guilty", PYTHON)


@case_27("3 OsPipeHolder as it was, its collector running")
def holder_27():
    holder_leaks("original", OLD_PYTHON)


@case("3 OsPipeHolder with a collector: a sawtooth")
def holder_sawtooth():
    tell("pipe_holder", "sawtooth", [], *FAST)


@case("3 OsPipeHolder, repaired")
def holder_repaired():
    tell("pipe_holder", "repaired", [], *FAST)


@case_27("3 OsPipeHolder, repaired")
def holder_repaired_27():
    tell("pipe_holder", "repaired", [], *FAST, python=OLD_PYTHON)


# --- 4: spooky descriptors ---

@case("4 spooky descriptors, the destructor runs in another thread")
def spooky_threads():
    found = the(tell("spooky", "threads", [("close.unowned", "error")]), "close.unowned")
    wrong = found["fdtrace"]
    assert wrong["generation"] == wrong["history"][0]["generation"] + 1, wrong
    assert wrong["closed"]["tid"] != wrong["used"]["tid"], wrong
    assert culprit(found)[0] == f"drop ({line_of('spooky', 'holder.pop()')})", found


def told_with_both_lives(result):
    """In one thread there may be a finding for each call that was hurt."""
    assert result.status == 0 and result.grave(), f"not told\n{result}"
    for wrong in result.grave():
        told = wrong["fdtrace"]
        first_life = told["history"][0]
        assert wrong["rule"]["id"] == "close.unowned", f"{result}"
        assert told["generation"] == first_life["generation"] + 1, f"{result}"
        assert line_of("spooky", "os.close(holder[0]") in " ".join(first_life["closed"]["stack"]), f"{result}"
        assert in_python(told["closed"]["stack"])[0] == f"drop ({line_of('spooky', 'holder.pop()')})", f"{result}"
        assert in_python(told["used"]["stack"])[0] == f"reading_fails ({line_of('spooky', 'file.read()')})", f"{result}"


@case("4 spooky descriptors in one thread: reported with both lives of the number")
def spooky_alone():
    need_tracing()
    told_with_both_lives(fdtrace("-j", *ALL_STACKS, "--", PYTHON, story("spooky"), "alone"))


@case_27("4 spooky descriptors in one thread: reported with both lives of the number")
def spooky_alone_27():
    need_tracing()
    # Its library's tables are made while others run it: alone it is over in 10 ms.
    warm = 'for n in 1 2 3 4 5 6 7 8 9 10; do "$0" -c ""; done; exec "$0" "$@"'
    told_with_both_lives(fdtrace("-j", *ALL_STACKS, "--", "/bin/sh", "-c", warm, OLD_PYTHON, story("spooky"), "alone"))


@case("4 spooky descriptors, repaired")
def spooky_repaired():
    tell("spooky", "repaired", [])


@case_27("4 spooky descriptors, repaired")
def spooky_repaired_27():
    tell("spooky", "repaired", [], python=OLD_PYTHON)


@case("4 asyncio's loop closed by a forked child: the change of the parent's epoll is reported")
def spooky_loop():
    found = the(tell("spooky", "loop", [("epoll.foreign", "warning")]), "epoll.foreign")
    assert "child_closes (" + line_of("spooky", "loop.close()  # in the child") in found["error"]["stack_trace"], found


@case("4 asyncio, repaired: the child has a loop of its own")
def spooky_loop_own():
    tell("spooky", "loop-own", [])


@case("4 asyncio, repaired: the child leaves the loop alone")
def spooky_loop_exit():
    tell("spooky", "loop-exit", [])


@case("4 asyncio, repaired: the child is spawned, not forked")
def spooky_loop_spawn():
    tell("spooky", "loop-spawn", [])


# --- 5: keep-alive ---

@contextlib.contextmanager
def served(variant, role):
    """A server under trace and its clients, which are not; both end with the block."""
    need_tracing()
    with Background([PYTHON, story("keep_alive"), variant]) as server:
        server.wait_for(b"\n")
        port = server.out.decode().strip()
        with attach(server.pid, *FAST) as tracer, \
                Background([PYTHON, story("keep_alive"), role, port]) as clients:
            yield server, tracer, clients


@case("5 gevent.pywsgi and clients that never close")
def keep_alive_guilty():
    with served("guilty", "clients") as (server, tracer, clients):
        clients.wait_for(b"connected")
        tracer.wait_for(b"limit.emfile")
        result = tracer.interrupt()
        assert clients.finish().status == 0 and server.finish().status == 0, server.err()
    found = expect_findings(result, [("leak.growth", "error"), ("limit.emfile", "error")], floor="warning")
    growth, full = the(found, "leak.growth"), the(found, "limit.emfile")
    assert growth["event"]["sequence"] < full["event"]["sequence"], "the forecast came too late"
    site = full["fdtrace"]["sites"][0]
    assert site["kind"] == "tcp" and site["open"] >= 30, site
    accept = in_python(site["stack"])[0]
    assert accept.startswith("StreamServer.do_read (") and "/gevent/server.py:" in accept, site
    assert full["fdtrace"]["used"]["syscall"] == "accept4", full
    assert "held by idle accepted connections" in full["message"], full["message"]
    assert site["idle"] >= 30 and site["idle_s"] >= 1 and site["established"] >= 30, site
    assert "keep-alive" in full["fdtrace"]["help"], full["fdtrace"]["help"]


@case("5 gevent.pywsgi with a timeout in the handler: 150 clients")
def keep_alive_repaired():
    with served("repaired", "patient-clients") as (server, tracer, clients):
        assert clients.finish().status == 0, clients.err()
        result = tracer.interrupt()
        assert server.finish().status == 0, server.err()
    expect_findings(result, [], floor="warning")


if __name__ == "__main__":
    main()
