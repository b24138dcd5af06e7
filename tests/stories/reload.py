# SPDX-License-Identifier: BSD-2-Clause
"""Story 2, auto-reload by exec: a development server restarts itself; its logs are inheritable and
the new interpreter knows nothing of them.

    reload.py guilty | repaired [one letter for each restart so far]
"""
import os
import sys

RESTARTS = 6


def open_logs():
    """Two inheritable descriptors, as libraries that predate close-on-exec make them."""
    reader = os.open("/dev/null", os.O_WRONLY)
    logs = [os.dup2(reader, number) for number in free_numbers(2)]
    os.close(reader)
    return logs


def free_numbers(count):
    taken = {int(n) for n in os.listdir("/proc/self/fd")}
    return [n for n in range(20, 200) if n not in taken][:count]


def main():
    restarts = sys.argv[2] if len(sys.argv) > 2 else ""
    logs = open_logs()
    for log in logs:
        os.write(log, b"begun\n")
    if sys.argv[1] == "repaired" or len(restarts) == RESTARTS:
        for log in logs:
            os.close(log)
    if len(restarts) < RESTARTS:
        os.execv(sys.executable, [sys.executable, __file__, sys.argv[1], restarts + "x"])


main()
