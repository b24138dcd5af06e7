#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Statements about every process of the machine, so that no other test may run meanwhile: nothing is
reported of a compiler at work, and no table differs from the kernel's."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, TOP, Background, alone, case, main, need_tracing, open_numbers, program, run
from tables import NAMESPACES, judge_true, same_as_kernel


@case("-a while a compiler builds this project: no warning, no error, tables as the kernel's")
@alone
def compiler():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder, Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        with Background([FDTRACE, "-j", "-a", "-d", "10s"]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            build = run(["make", "-s", "-j2", f"B={folder}/b", "CC=gcc", "CFLAGS=-O0", f"{folder}/b/fdtrace"], cwd=TOP,
                        timeout=240)
            assert build.status == 0, f"{build}"
            result = tracer.finish()
        assert result.status == 0, f"{result.messages}"
        grave = [f"{r['process'].get('command_line', r['process']['name'])}: {r['message']}" for r in result.grave()]
        assert not grave, "\n".join(grave)
        same_as_kernel(result, held.pid, open_numbers(held.pid))
        held.finish()


@case("the whole machine with a namespace and storms in it: no difference")
@alone
def storms():
    need_tracing()
    with Background([*NAMESPACES["another pid namespace"], program("short_lives"), "bomb"]) as inside, \
            Background([program("short_lives"), "clones"]) as outside:
        inside.wait_for(b"running")
        outside.wait_for(b"running")
        with Background([FDTRACE, "-j", "--verify", "-a"]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            inside.say(b"\n")
            outside.say(b"\n")
            inside.wait_for(b"ready")
            outside.wait_for(b"ready")
            result = tracer.interrupt()
    judge_true(result, at_least=5)


main()
