#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The static program: no library, nothing loaded at run time, and it traces as the other one does."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, NOBODY, case, expect_findings, main, need_tracing, program, run

STATIC = os.path.join(BUILD, "fdtrace-static")
SIZE_MAX = 8 << 20  # an initramfs and a container's layer should not notice it


@case("file and ldd call it static and stripped; what was taken away stands beside it")
def is_static():
    told = run(["file", "-b", STATIC]).out.decode()
    assert "statically linked" in told and ", stripped" in told, told
    assert run(["ldd", STATIC]).status != 0, "it has libraries"
    assert "debug_info" in run(["file", "-b", STATIC + ".debug"]).out.decode()
    size = os.stat(STATIC).st_size
    print(f"# {size} bytes", flush=True)
    assert size < SIZE_MAX, size


@case("no client of debuginfod in it")
def no_download():
    with open(STATIC, "rb") as file:
        content = file.read()
    assert b"libdebuginfod" not in content and b"debuginfod_begin" not in content


@case("doctor says the same as that of the dynamic program")
def doctor():
    need_tracing()
    ours, other = run([STATIC, "doctor"]), run([os.path.join(BUILD, "fdtrace"), "doctor"])
    assert ours.status == other.status and ours.out == other.out, f"{ours}\n{other}"


@case("a guilty program is reported")
def guilty():
    need_tracing()
    result = run([STATIC, "-j", "--", program("close_twice"), "guilty"])
    expect_findings(result, [("close.double", "info")])
    assert result.status == 0, f"{result}"


@case("as another user it says which capabilities are missing, and prints that user's id")
def as_nobody():
    need_tracing()
    result = run([*NOBODY, STATIC, "doctor"])
    assert result.status == 3 and b"CAP_BPF" in result.out and b"uid 65534" in result.out, f"{result}"


main()
