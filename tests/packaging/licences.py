#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every source file says under which licence it is, and LICENSE has the texts."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import TOP, case, main, run

USER, KERNEL = "BSD-2-Clause", "GPL-2.0-only OR BSD-2-Clause"
# What has no place for a comment, or is no source: prose, JSON, forms of others, dotfiles.
BARE = re.compile(r"(^|/)(LICENSE|README\.md|journald\.md|\.[\w-]+)$|\.json$|"
                  r"^src/packaging/deb/(control|changelog|copyright)$")
LINE = re.compile(r"SPDX-License-Identifier: (.*?)(?: \*/)?$", re.M)


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def tracked():
    said = run(["git", "-C", TOP, "-c", "safe.directory=*", "ls-files", "-z"])
    assert said.status == 0, said
    names = [name for name in said.out.decode().split("\0") if name and os.path.exists(os.path.join(TOP, name))]
    assert len(names) > 200, names
    return names


def for_the_kernel():
    """What is compiled for the kernel, with all that it includes."""
    todo = [name for name in tracked() if name.startswith(("bpf/", "vmlinux/")) or re.search(r"\.bpf\.[ch]$", name)]
    seen = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for included in re.findall(r'^#include "(.*?)"', read(name), re.M):
            found = [path for path in (os.path.normpath(os.path.join(folder, included)) for folder in
                                       (os.path.dirname(name), "include", "bpf", "vmlinux"))
                     if os.path.exists(os.path.join(TOP, path))]
            assert found, f"{name} includes {included}"
            if found[0] not in seen:
                todo.append(found[0])
    return seen


@case("every source file has an SPDX line near its beginning")
def _():
    bare = [name for name in tracked() if not BARE.search(name) and not LINE.search("\n".join(read(name).split("\n")[:3]))]
    assert not bare, bare


@case("BSD-2-Clause, and the GPL to choose where the kernel is concerned")
def _():
    kernel, wrong = for_the_kernel(), []
    assert "include/fdtrace/event.h" in kernel and "bpf/fdtrace.bpf.c" in kernel, kernel
    for name in tracked():
        said = None if BARE.search(name) else LINE.search("\n".join(read(name).split("\n")[:3]))
        if said and said[1] != (KERNEL if name in kernel else USER):
            wrong.append(f"{name}: {said[1]}")
    assert not wrong, wrong


@case("LICENSE and the package's copyright name these files; LICENSE holds both texts")
def _():
    licence, package = read("LICENSE"), read("src/packaging/deb/copyright")
    for name in for_the_kernel():
        folder = name.split("/")[0]
        for text in (licence, package):
            assert name in text or f"{folder}/" in text and folder in ("bpf", "vmlinux") or \
                "*.bpf.c" in text and name.endswith(".bpf.c"), name
    named = set(re.findall(r"include/fdtrace/\w+\.h", licence + package))
    assert named <= for_the_kernel(), named
    text = " ".join(licence.split())
    for part in ("Redistributions in binary form must reproduce", "GNU GENERAL PUBLIC LICENSE Version 2, June 1991",
                 "you conspicuously and appropriately publish on each copy", "END OF TERMS AND CONDITIONS"):
        assert part in text, part


main()
