#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Patterns of Python programs: python3 scripts.py PATTERN. Each says first what is expected of it."""
import gc
import logging
import os
import resource
import subprocess
import sys
import threading
import time

SLEEP = ["/bin/sleep", "1"]
STEPS, STEP_S = 80, 0.02
PATTERNS = {}


def pattern(expect):
    def register(function):
        PATTERNS[function.__name__] = (expect, function)
        return function
    return register


def unmarked():
    """An inheritable descriptor: os.dup2 makes one unless told otherwise."""
    return os.dup2(os.open("/proc/self/exe", os.O_RDONLY), 20)


@pattern("silent none=exec.inherit")
def set_inheritable():
    fd = os.open("/proc/self/exe", os.O_RDONLY)
    os.set_inheritable(fd, True)
    subprocess.run(SLEEP, close_fds=False, check=True)


@pattern("silent none=exec.inherit")
def pass_fds():
    fd = os.open("/proc/self/exe", os.O_RDONLY)
    subprocess.run(SLEEP, pass_fds=[fd], check=True)


@pattern("exec.inherit info culprit=unmarked process=sleep")
def inheritable_by_accident():
    unmarked()
    subprocess.run(SLEEP, close_fds=False, check=True)


@pattern("silent none=exec.inherit none=close.sweep")
def close_fds():
    unmarked()
    for _ in range(3):
        subprocess.run(["/bin/true"], close_fds=True, check=True)
        subprocess.run(["/bin/true"], preexec_fn=lambda: None, check=True)
    assert os.fstat(20)


@pattern("silent none=close.sweep")
def close_range_in_child():
    """What Python 2's subprocess and many a daemon do: a loop in the forked child."""
    unmarked()
    subprocess.run(["/bin/true"], close_fds=False, preexec_fn=lambda: os.closerange(3, 1024), check=True)


@pattern("close.sweep warning shows=close_all")
def close_all_here():
    other = threading.Thread(target=keep_file)
    other.start()
    OPENED.wait()
    close_all()
    CLOSED.set()
    other.join()


OPENED, CLOSED = threading.Event(), threading.Event()


def keep_file():
    fds = [os.open("/proc/self/exe", os.O_RDONLY) for _ in range(4)]
    OPENED.set()
    CLOSED.wait()
    for fd in fds:
        try:
            os.read(fd, 1)
        except OSError:
            continue
        raise AssertionError(f"{fd} is still open")


def close_all():
    for fd in range(3, 300):
        try:
            os.close(fd)
        except OSError:
            pass


# --- loggers ---

def add_logger(name, path):
    handler = logging.FileHandler(path)
    logging.getLogger(name).addHandler(handler)
    return handler


@pattern("silent none=leak.growth none=leak.stale")
def one_file_per_logger():
    for i in range(40):
        add_logger(f"part{i}", f"part{i}.log")
    for _ in range(STEPS):
        for i in range(40):
            logging.getLogger(f"part{i}").warning("alive")
        time.sleep(STEP_S)


@pattern("leak.growth error culprit=add_logger")
def same_file_again():
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    for i in range(STEPS):
        add_logger(f"request{i}", "all.log")
        time.sleep(STEP_S)


# --- who closes: an object that goes, the collector ---

def read_or_fail(file):
    try:
        os.read(file.fileno(), 1)
    except OSError:
        return False
    return True


def drop(holder):
    del holder[:]


def make_stale(cycle=False):
    """An object whose descriptor was closed behind its back."""
    stale = open("/proc/self/exe", "rb", buffering=0)
    os.close(stale.fileno())
    if not cycle:
        return [stale], stale.fileno()
    holder = [stale]
    holder.append(holder)
    return [], stale.fileno()


def hurt_by(close, cycle):
    gc.disable()
    holder, number = make_stale(cycle)
    fresh = open("/proc/self/status", "rb", buffering=0)
    assert fresh.fileno() == number
    other = threading.Thread(target=close, args=[holder])
    other.start()
    other.join()
    assert not read_or_fail(fresh), "nobody was hurt"
    os.dup2(0, number)  # so that the object's own close is in order


@pattern("close.unowned error culprit=drop shows=hurt_by")
def finalizer_closes():
    hurt_by(drop, cycle=False)


def collect(_holder):
    gc.collect()


@pattern("close.unowned error culprit=collect shows=hurt_by")
def collector_closes():
    hurt_by(collect, cycle=True)


@pattern("silent none=close.double")
def objects_close():
    for _ in range(50):
        holder = [open("/proc/self/exe", "rb", buffering=0)]
        drop(holder)
        with open("/proc/self/status", "rb") as file:
            file.read()
        cycle = [open("/proc/self/exe", "rb", buffering=0)]
        cycle.append(cycle)
        del cycle
    gc.collect()


def main():
    expect, function = PATTERNS[sys.argv[1]]
    os.write(1, f"EXPECT {expect}\n".encode())
    function()


main()
