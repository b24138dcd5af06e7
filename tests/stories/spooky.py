# SPDX-License-Identifier: BSD-2-Clause
"""Story 4, spooky descriptors: os.close(f.fileno()), and later the forgotten object's destructor
closes the number once more, when it belongs to another file.

    spooky.py alone | threads | repaired
"""
import errno
import os
import sys
import threading


def reading_fails(file):
    try:
        file.read()
    except OSError as why:
        return why.errno == errno.EBADF
    return False


def drop(holder):
    holder.clear()


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def main():
    holder = [open("/proc/self/status", encoding="ascii")]
    if sys.argv[1] == "repaired":
        holder[0].close()
    else:
        os.close(holder[0].fileno())
    second = open("/proc/self/stat", encoding="ascii")
    if sys.argv[1] == "threads":
        in_thread(drop, holder)
    else:
        drop(holder)
    assert reading_fails(second) == (sys.argv[1] != "repaired")
    if sys.argv[1] == "repaired":
        second.close()
    else:
        os._exit(0)  # or the destructor of `second` would add a third chapter


main()
