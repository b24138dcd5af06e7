# SPDX-License-Identifier: BSD-2-Clause
"""Runs inside gdb: at each openat of a file in FOLDER prints what gdb's unwinder says, as JSON.

A frame is [function or null, source or null, line, module, address in the module].
"""
import json
import os

import gdb

FOLDER = os.environ["GDB_FRAMES_FOLDER"] + "/"


def bases():
    """The lowest address at which each file is mapped, and whether addresses in it are relative to that."""
    found = {}
    for line in open(f"/proc/{gdb.selected_inferior().pid}/maps", encoding="utf-8"):
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5].startswith("/"):
            start, end = (int(x, 16) for x in parts[0].split("-"))
            found.setdefault(parts[5].strip(), []).append((start, end))
    return found


def is_fixed(path):
    with open(path, "rb") as elf:
        return elf.read(18)[16] == 2  # ET_EXEC


def module_of(address, found):
    for path, ranges in found.items():
        if any(start <= address < end for start, end in ranges):
            base = 0 if is_fixed(path) else min(start for start, _ in ranges)
            return os.path.basename(path), address - base
    return None, address


def frames():
    found, frame, out = bases(), gdb.newest_frame(), []
    while frame:
        where = frame.find_sal()
        source = where.symtab.filename if where.symtab else None
        if frame.type() == gdb.TAILCALL_FRAME:
            pass  # worked out by gdb from debug information: there is no such frame on the stack
        elif frame.type() == gdb.INLINE_FRAME:
            out.append([frame.name(), source, where.line, None, 0])
        else:
            module, address = module_of(frame.pc(), found)
            out.append([frame.name(), source, where.line, module, address])
        frame = frame.older()
    return out


def stopped(event):
    if not isinstance(event, gdb.StopEvent):
        return
    try:
        name = gdb.parse_and_eval("(char *)$rsi").string()
    except (gdb.error, gdb.MemoryError, UnicodeDecodeError):
        return
    if name.startswith(FOLDER) and int(gdb.parse_and_eval("$rax")) >= 0:
        print("FRAMES " + json.dumps([name[len(FOLDER):], frames()]), flush=True)


for command in ("set pagination off", "set confirm off", "set debuginfod enabled off", "set backtrace limit 400", "set backtrace past-main on", "set backtrace past-entry on",
                "handle SIGUSR1 SIGUSR2 nostop noprint pass", "catch syscall openat"):
    gdb.execute(command)
gdb.events.stop.connect(stopped)
gdb.execute("run")
while gdb.selected_inferior().pid:
    gdb.execute("continue")
