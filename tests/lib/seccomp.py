#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a command that may make only the system calls with these numbers: seccomp.py N,N... COMMAND [ARG...]

All others fail with EPERM, as with SystemCallFilter= and SystemCallErrorNumber=EPERM in a systemd unit. The
caller has set no_new_privs (setpriv --no-new-privs).
"""
import ctypes
import os
import struct
import sys

LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
ALLOW, EPERM = 0x7fff0000, 0x00050001        # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def program(numbers):
    """The call's number is the first word of what a filter is shown."""
    yield LOAD, 0, 0, 0
    for number in numbers:
        yield JUMP_EQUAL, 0, 1, number
        yield RETURN, 0, 0, ALLOW
    yield RETURN, 0, 0, EPERM


def main():
    code = b"".join(struct.pack("=HBBI", *i) for i in program(int(n) for n in sys.argv[1].split(",")))
    kept = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(code) // 8, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(head), 0, 0) < 0:
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
