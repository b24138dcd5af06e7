# SPDX-License-Identifier: BSD-2-Clause
"""Story 4, spooky descriptors: os.close(f.fileno()), and later the forgotten object's destructor
closes the number once more, when it belongs to another file.

    spooky.py alone | threads | repaired

Its second half: asyncio's event loop is shared over fork, and what one side does to the shared
epoll the other side feels, without any error.

    spooky.py loop              the child closes the loop, the parent's wakeups come no more
    spooky.py loop-own          innocent: the child makes, runs and closes a loop of its own
    spooky.py loop-exit         innocent: the child leaves the loop alone and exits
    spooky.py loop-spawn        innocent: a child that is no copy runs a loop
"""
import errno
import os
import sys
import threading
import time

LATE_S = 0.6  # when the parent wakes up anyway
EPOLL_WAIT = b"232 "  # its number on x86-64


def reading_fails(file):
    try:
        file.read()
    except (IOError, OSError) as why:
        return why.errno == errno.EBADF
    return False


def drop(holder):
    holder.pop()


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def two_files(variant):
    holder = [open("/proc/self/status")]
    if variant == "repaired":
        holder[0].close()
    else:
        os.close(holder[0].fileno())
    second = open("/proc/self/stat")
    if variant == "threads":
        in_thread(drop, holder)
    else:
        drop(holder)
    assert reading_fails(second) == (variant != "repaired")
    if variant == "repaired":
        second.close()
    else:
        os._exit(0)  # or the destructor of `second` would add a third chapter


def child_closes(loop):
    loop.close()  # in the child: takes the wakeup pipe out of the epoll that both have
    os._exit(0)


def run_own_loop():
    import asyncio
    own = asyncio.new_event_loop()
    own.run_until_complete(asyncio.sleep(0))
    own.close()


def child_makes_its_own(_):
    run_own_loop()
    os._exit(0)


def child_exits(_):
    os._exit(0)


def fork_child(act, loop):
    child = os.fork()
    if child == 0:
        act(loop)
    assert os.waitpid(child, 0)[1] == 0


def spawn_child():
    import multiprocessing
    child = multiprocessing.get_context("spawn").Process(target=run_own_loop)
    child.start()
    child.join()
    assert child.exitcode == 0


def stop_once_asleep(loop):
    """Not before the main thread waits in its epoll: only then does it have to be woken."""
    with open("/proc/self/task/%d/syscall" % os.getpid(), "rb", buffering=0) as syscall:
        while not os.pread(syscall.fileno(), 100, 0).startswith(EPOLL_WAIT):
            pass
    loop.call_soon_threadsafe(loop.stop)


def waits_for(loop):
    """How long the loop takes to notice that a thread wants something of it."""
    thread = threading.Thread(target=stop_once_asleep, args=(loop,))
    loop.call_soon(thread.start)
    start = time.monotonic()
    loop.call_later(LATE_S, loop.stop)
    loop.run_forever()
    thread.join()
    return time.monotonic() - start


def shared_loop(variant):
    import asyncio
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    if variant == "loop-spawn":
        spawn_child()
    else:
        fork_child({"loop": child_closes, "loop-own": child_makes_its_own, "loop-exit": child_exits}[variant], loop)
    assert (waits_for(loop) >= LATE_S) == (variant == "loop")
    loop.close()


if __name__ == "__main__":
    (shared_loop if sys.argv[1].startswith("loop") else two_files)(sys.argv[1])
