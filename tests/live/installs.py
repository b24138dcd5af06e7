#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors that no result of a system call names: each is known at once, with who made it.

    tests/live/installs.py [PART-OF-A-NAME...]
"""
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import ALL_STACKS, Background, Skip, add_case, attach, fdtrace, main, need_tracing, program

NOT_HERE = 77


def run_alone(*words):
    """Under fdtrace, from its start to its end."""
    result = fdtrace("-j", *ALL_STACKS, "--set", "audit.interval=0", "--", program("installs"), *words)
    if result.status == NOT_HERE:
        raise Skip(result.messages.splitlines()[0])
    assert result.status == 0, f"{result}"
    return result


def made(messages):
    return int(re.search(r"made (\d+)", messages)[1])


def leaks_of(result):
    return [f for f in result.findings if f["rule"]["id"] == "leak.exit"]


def kept(variant, syscall, function):
    """All that stay open are reported at the exit, with the call and the function that made them."""
    result = run_alone(variant)
    leaks = [f for f in leaks_of(result) if f["fdtrace"]["opened"]["syscall"] == syscall]
    assert sum(f["fdtrace"]["sites"][0]["open"] for f in leaks) >= made(result.messages), f"{result}"
    if function:
        assert any(function in f["error"]["stack_trace"] for f in leaks), f"{result}"


def compared(variant):
    """Attached before they are made: the table is the kernel's."""
    with Background([program("installs"), variant, "wait"]) as target:
        target.wait_for(b"up\n")
        with attach(target.pid, "--verify", "--set", "audit.interval=0") as tracer:
            target.say(b"\n")
            target.wait_for(b"held\n")
            result = tracer.interrupt(signal.SIGINT)
        target.say(b"\n")
        assert target.finish().status == 0
    assert re.search(r"verify: [1-9]\d* tables? compared .*; 0 difference", result.messages), f"{result}"
    assert result.status == 0, f"{result}"


def row(variant, syscall, function):
    """One that io_uring makes has no stack, so no function."""
    def check():
        need_tracing()
        kept(variant, syscall, function)
        compared(variant)
        innocent = run_alone(variant, "closed")
        assert not leaks_of(innocent), f"{innocent}"
    add_case(variant, check)


row("fanotify", "read", "read_group")
row("fanotify-early", "read", "read_group")
row("fanotify-pidfd", "read", "read_group")
row("fanotify-parts", "readv", "read_group")
row("fanotify-received", "read", "read_group")
row("userfault", "read", "read_fork")
row("autofs", "ioctl", "autofs")
row("ring-polled", "openat", None)
row("ring-recvmsg", "recvmsg", None)
row("ring-fanotify", "read", None)

main()
