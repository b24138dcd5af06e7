#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Five bugs that cost people days, in their simplest form: the guilty program is reported, the
repaired one is silent (no warning, no error)."""
import os
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (PYTHON, Background, attach, case, expect_findings, fdtrace, main, need_tracing, the,
                     until)

HERE = os.path.dirname(os.path.abspath(__file__))
FAST = ["--set", "leak.window=200ms", "--set", "leak.min_age=400ms", "--set", "leak.min_count=16"]


def story(name):
    return os.path.join(HERE, name + ".py")


def tell(name, variant, expected, *options, allowed=()):
    need_tracing()
    result = fdtrace("-j", *options, "--", PYTHON, story(name), variant)
    assert result.status == 0, f"the story itself went wrong\n{result}"
    return expect_findings(result, expected, allowed, floor="warn")


@case("1 close-all, guilty")
def close_all_guilty():
    sweep = the(tell("close_all", "guilty", [("close.sweep", "warn")]), "close.sweep")
    assert "from 3 to 511" in sweep["message"], sweep["message"]


@case("1 close-all, repaired")
def close_all_repaired():
    tell("close_all", "repaired", [])


@case("2 auto-reload, guilty")
def reload_guilty():
    tell("reload", "guilty", [("exec.inherit", "warn")])


@case("2 auto-reload, repaired")
def reload_repaired():
    tell("reload", "repaired", [])


@case("3 OsPipeHolder, guilty: the leak before the limit, then the limit")
def holder_guilty():
    found = tell("pipe_holder", "guilty", [("leak.growth", "error"), ("limit.emfile", "error")], *FAST)
    growth, full = the(found, "leak.growth"), the(found, "limit.emfile")
    assert growth["event"]["sequence"] < full["event"]["sequence"], "the forecast came too late"
    site = full["fdtrace"]["sites"][0]
    assert site["kind"] == "pipe" and site["open"] >= 240, site


@case("3 OsPipeHolder with a collector: a sawtooth")
def holder_sawtooth():
    tell("pipe_holder", "sawtooth", [], *FAST)


@case("3 OsPipeHolder, repaired")
def holder_repaired():
    tell("pipe_holder", "repaired", [], *FAST)


@case("4 spooky descriptors, the destructor runs in another thread")
def spooky_threads():
    wrong = the(tell("spooky", "threads", [("close.unowned", "error")]), "close.unowned")["fdtrace"]
    assert wrong["generation"] >= 2 and wrong["history"], wrong
    assert wrong["closed"]["tid"] != wrong["used"]["tid"], wrong


@case("4 spooky descriptors in one thread: told with both lives of the number")
def spooky_alone():
    need_tracing()
    result = fdtrace("-j", "--", PYTHON, story("spooky"), "alone")
    assert result.status == 0, f"{result}"
    assert result.grave(), f"not told\n{result}"
    for wrong in result.grave():
        told = wrong["fdtrace"]
        assert wrong["rule"]["id"] == "close.unowned", f"{result}"
        assert told["generation"] == told["history"][0]["generation"] + 1, f"{result}"
        assert any(frame.startswith("drop (") for frame in told["closed"]["stack"]), f"{result}"
        assert any(frame.startswith("reading_fails (") for frame in told["used"]["stack"]), f"{result}"


@case("4 spooky descriptors, repaired")
def spooky_repaired():
    tell("spooky", "repaired", [])


@case("5 keep-alive without a timeout")
def keep_alive_guilty():
    need_tracing()
    with Background([PYTHON, story("keep_alive"), "guilty"]) as server:
        server.wait_for(b"\n")
        with attach(server.pid) as tracer:
            with Background([PYTHON, story("keep_alive"), "guilty", server.out.decode().strip()]) as clients:
                clients.wait_for(b"connected")
                tracer.wait_for(b"limit.emfile")
            result = tracer.interrupt()
        full = the(expect_findings(result, [("limit.emfile", "error")], floor="warn"), "limit.emfile")
        site = full["fdtrace"]["sites"][0]
        assert site["kind"] == "tcp" and site["open"] >= 30, site
        assert full["fdtrace"]["opened" if "opened" in full["fdtrace"] else "used"]["syscall"] == "accept4", full
        until("the server is alive", lambda: server.child.poll() is None)


@case("5 keep-alive with a timeout")
def keep_alive_repaired():
    need_tracing()
    with Background([PYTHON, story("keep_alive"), "repaired"]) as server:
        server.wait_for(b"\n")
        with attach(server.pid) as tracer:
            with Background([PYTHON, story("keep_alive"), "repaired", server.out.decode().strip()]) as clients:
                clients.wait_for(b"connected")
            result = tracer.interrupt()
        expect_findings(result, [], floor="warn")
        assert server.finish().status == 0


if __name__ == "__main__":
    main()
