# SPDX-License-Identifier: BSD-2-Clause
"""Story 3, OsPipeHolder: a reference cycle keeps a pipe open until the collector comes by.

    pipe_holder.py guilty | original | sawtooth | repaired

guilty: the collector is off, each retry leaks two descriptors until EMFILE.
original: for Python 2.7, whose collector never frees a cycle with a __del__ in it.
sawtooth: the collector comes by every 20 retries; what looks like a leak goes away again and again.
"""
import errno
import gc
import os
import resource
import sys
import time

RETRIES = 200
PACE_S = 0.01
COLLECT_EVERY = 20  # pinned, so that its period is shorter than the windows of a two-second test


class OsPipeHolder(object):
    def __init__(self, cycle):
        self.reader = None
        self.reader, self.writer = os.pipe()
        if cycle:
            self.isClosed = self.is_closed

    def is_closed(self):
        return self.reader is None

    def close(self):
        os.close(self.reader)
        os.close(self.writer)
        self.reader = None

    def __del__(self):
        if not self.is_closed():
            self.close()


def retry(cycle):
    holder = OsPipeHolder(cycle)
    os.write(holder.writer, b"x")


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    variant = sys.argv[1]
    if variant != "original":
        gc.disable()
    try:
        for i in range(RETRIES):
            if variant == "sawtooth" and i % COLLECT_EVERY == 0:
                gc.collect()
            retry(cycle=variant != "repaired")
            time.sleep(PACE_S)
    except OSError as why:
        assert why.errno == errno.EMFILE and variant in ("guilty", "original"), why
    else:
        assert variant in ("sawtooth", "repaired"), "no EMFILE"


main()
