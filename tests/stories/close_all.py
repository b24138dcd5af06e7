# SPDX-License-Identifier: BSD-2-Clause
"""Story 1, the close-all optimisation: a helper closes every number and ignores the errors, in a
program whose other threads own some of them.

    close_all.py guilty | repaired
"""
import errno
import os
import socket
import sys
import threading

opened, swept = threading.Barrier(2), threading.Barrier(2)
failures = []


def attempt(action):
    try:
        action()
    except OSError as why:
        failures.append(why.errno)


def owner():
    log = os.open("/dev/null", os.O_WRONLY)
    database, peer = socket.socketpair()
    os.write(log, b"begun\n")
    opened.wait()
    swept.wait()
    attempt(lambda: os.write(log, b"end\n"))
    attempt(lambda: database.send(b"commit"))
    for close in (database.close, peer.close, lambda: os.close(log)):
        attempt(close)


def optimise_file_handles():
    for number in range(3, 512):
        try:
            os.close(number)
        except OSError:
            pass


def main():
    mine = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
    thread = threading.Thread(target=owner)
    thread.start()
    opened.wait()
    if sys.argv[1] == "guilty":
        optimise_file_handles()
    else:
        for number in mine:
            os.close(number)
    swept.wait()
    thread.join()
    if sys.argv[1] == "guilty":
        assert failures[:2] == [errno.EBADF] * 2, failures
    else:
        assert not failures, failures


main()
