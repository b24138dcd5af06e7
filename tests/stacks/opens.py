# SPDX-License-Identifier: BSD-2-Clause
"""The same as opens.c, in Python; the folder stands in OPENS_FOLDER, for there may be no argv."""
import os
import sys


def inner(path):
    return os.open(path, os.O_RDWR | os.O_CREAT)


def other(path):
    return os.open(path, os.O_RDWR | os.O_CREAT)


def outer(name):
    path = os.environ["OPENS_FOLDER"] + "/" + name
    if name.startswith("other"):
        return other(path)
    return inner(path)


print("ready", flush=True)
for line in sys.stdin:
    outer(line.rstrip("\n"))
    print("opened", flush=True)
