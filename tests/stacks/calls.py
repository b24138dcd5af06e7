# -*- coding: utf-8 -*-
# SPDX-License-Identifier: BSD-2-Clause
"""Opens files in FOLDER from many kinds of Python frames, each under the name of the kind, and
writes what Python itself says about the stack at each of these calls to TRUTH, as JSON:
{name: [[file, line, function], ...]}, innermost first. Runs on Python 2.7 and 3.6 to 3.14.
"""
import gc
import json
import os
import sys
import threading

FOLDER, TRUTH = sys.argv[1:3]
FLAGS = os.O_RDWR | os.O_CREAT
truth = {}
kept = []


def chain(frame):
    out = []
    while frame:
        code = frame.f_code
        out.append([code.co_filename, frame.f_lineno, getattr(code, "co_qualname", code.co_name)])
        frame = frame.f_back
    return out


def audit(event, args):
    if event == "open" and isinstance(args[0], str) and args[0].startswith(FOLDER + "/"):
        truth[args[0][len(FOLDER) + 1:]] = chain(sys._getframe(1))


AUDITED = hasattr(sys, "addaudithook")  # 3.8: asks at the very call; before that, on the same line
if AUDITED:
    sys.addaudithook(audit)


def path(name):
    if not AUDITED:
        truth[name] = chain(sys._getframe(1))
    return FOLDER + "/" + name


def plain():
    kept.append(os.open(path("plain"), FLAGS))


def deep(n):
    if n:
        return deep(n - 1)
    return kept.append(os.open(path("deep"), FLAGS))


def generator():
    yield 1
    yield os.open(path("generator"), FLAGS)


def decorate(function):
    def wrapper(*args):
        return function(*args)
    return wrapper


@decorate
def decorated(name):
    kept.append(os.open(path(name), FLAGS))


class Holder(object):
    def __init__(self, name):
        self.name = name
        self.fd = os.open(path(name), FLAGS)

    @property
    def opened(self):
        return os.open(path("property"), FLAGS)

    @classmethod
    def made(cls):
        return cls("classmethod")

    class Inner(object):
        def method(self):
            return os.open(path("inner"), FLAGS)

    def __enter__(self):
        kept.append(os.open(path("enter"), FLAGS))
        return self

    def __exit__(self, *unused):
        kept.append(os.open(path("exit"), FLAGS))


class Finalized(object):
    def __init__(self, name):
        self.name = name
        self.cycle = None

    def __del__(self):
        kept.append(os.open(path(self.name), FLAGS))


def finalized():
    holder = Finalized("del")
    del holder
    cyclic = Finalized("collected")
    cyclic.cycle = cyclic
    del cyclic
    gc.collect()


def closures():
    def outer():
        def inner():
            return (lambda: os.open(path("closure"), FLAGS))()
        return inner()
    return outer()


def comprehension():
    return [os.open(path("comprehension%d" % i), FLAGS) for i in range(2)]


def key(value):
    if value == 2:
        kept.append(os.open(path("sorted"), FLAGS))
    return value


def in_thread(name):
    kept.append(os.open(path(name), FLAGS))


def threads():
    for name in ("thread1", "thread2"):
        thread = threading.Thread(target=in_thread, args=(name,))
        thread.start()
        thread.join()


def forked():
    pid = os.fork()
    if not pid:
        os.close(os.open(path("fork"), FLAGS))
        os._exit(0)
    os.waitpid(pid, 0)
    if AUDITED:
        truth.pop("fork", None)


def io_open():
    with open(path("io"), "w") as f:
        f.write("x")


def multi_line():
    kept.append(
        os.open(
            path("multi"),
            FLAGS))


def other_names():
    name = u"f\u00fcnf_\u4e94" if sys.version_info[0] > 2 else "funf"
    folder = u"/\u00fcber/\U0001f40d.py" if sys.version_info[0] > 2 else "/uber.py"
    scope = {"os": os, "path": path, "FLAGS": FLAGS, "kept": kept}
    text = u"\n\n\ndef %s():\n    kept.append(os.open(path('names'), FLAGS))\n" % name
    exec(compile(text, folder, "exec"), scope)
    scope[name]()


def long_function():
    """A line table of more than 4 KiB."""
    text = "def long():\n" + "".join("    a%d = %d\n" % (i % 7, i) for i in range(3000))
    text += "    kept.append(os.open(path('long'), FLAGS))\n"
    scope = {"os": os, "path": path, "FLAGS": FLAGS, "kept": kept}
    exec(compile(text, "/long.py", "exec"), scope)
    scope["long"]()


def coroutine():
    if sys.version_info < (3, 7):
        return
    text = ("import asyncio\n"
            "async def inner():\n"
            "    await asyncio.sleep(0)\n"
            "    kept.append(os.open(path('coroutine'), FLAGS))\n"
            "async def outer():\n"
            "    await inner()\n"
            "asyncio.run(outer())\n")
    exec(compile(text, "/coroutine.py", "exec"), {"os": os, "path": path, "FLAGS": FLAGS, "kept": kept})


def main():
    plain()
    deep(40)
    kept.extend(fd for fd in generator() if fd > 1)
    decorated("decorated")
    holder = Holder("init")
    kept.append(holder.opened)
    kept.append(Holder.made())
    kept.append(Holder.Inner().method())
    with holder:
        pass
    finalized()
    kept.append(closures())
    kept.extend(comprehension())
    sorted([3, 2, 1], key=key)
    kept.extend(map(lambda name: os.open(path(name), FLAGS), ["map"]))
    threads()
    forked()
    io_open()
    if AUDITED:
        multi_line()
    other_names()
    long_function()
    coroutine()


def first():
    """What a process has just loaded may be unknown to fdtrace yet: whoever compares says when it is not."""
    count = 0
    while sys.stdin.readline() == "again\n":
        os.close(os.open(FOLDER + "/first-%d" % count, FLAGS))
        count += 1


first()
truth.clear()
main()
with open(TRUTH, "w") as out:
    json.dump(truth, out)
