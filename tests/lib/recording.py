# SPDX-License-Identifier: BSD-2-Clause
"""What a recording (fdtrace -r FILE) holds, as include/fdtrace/event.h lays it out."""
import struct
from collections import namedtuple

HEADER = 24
SLOT, ERROR, USE, LOCK, REGISTER, MARK, DETAIL, SITE, ENVIRON, CGROUP = 1, 5, 6, 13, 14, 15, 22, 23, 24, 25
OP_USE, OP_STALE_USE = 13, 18
READ_LOCK, WRITE_LOCK, UNLOCK = 0, 1, 2
FACTS = {"idle": 128, "regular": 256, "mapped": 512, "locked": 1024, "cloexec": 2048, "waited": 4096, "watched": 8192}

Head = namedtuple("Head", "kind op size syscall flags tgid tid time_ns table")
File = namedtuple("File", "file inode dev magic detail mode flags")
Slot = namedtuple("Slot", "head fd result site file")
Error = namedtuple("Error", "head fd error count")
Lock = namedtuple("Lock", "head fd type start length site file")
Register = namedtuple("Register", "head epoll_fd fd maker_tgid site epoll file")
Detail = namedtuple("Detail", "head fd facts file idle_ns size registration_count registrations")
Environ = namedtuple("Environ", "head numbers")
Place = namedtuple("Place", "head inner_pid cgroup")


def _records(data):
    at = HEADER
    while at < len(data):
        size = struct.unpack_from("<H", data, at + 2)[0]
        assert size >= 32, f"a record of {size} bytes at {at}"
        yield data[at:at + size]
        at += (size + 7) // 8 * 8


def _file(record, at):
    return File(*struct.unpack_from("<QQIIIHH", record, at))


def _slot(head, r):
    return Slot(head, *struct.unpack_from("<iiQ", r, 32), _file(r, 48))


def _lock(head, r):
    return Lock(head, *struct.unpack_from("<iIqqQ", r, 32), _file(r, 64))


def _register(head, r):
    epoll_fd, fd, maker, _, site = struct.unpack_from("<iiIIQ", r, 32)
    return Register(head, epoll_fd, fd, maker, site, _file(r, 56), _file(r, 88))


def _detail(head, r):
    fd, facts, _ = struct.unpack_from("<iHH", r, 32)
    idle_ns, size, count = struct.unpack_from("<QQI", r, 264)
    watchers = [struct.unpack_from("<Qi", r, 288 + 16 * i) for i in range(min(count, 4))]
    names = {name for name, bit in FACTS.items() if facts & bit}
    return Detail(head, fd, names, _file(r, 40), idle_ns, size, count, watchers)


def _environ(head, r):
    words = struct.unpack_from("<64Q", r, 32)
    return Environ(head, [n for n in range(64 * 64) if words[n // 64] >> n % 64 & 1])


def _cgroup(head, r):
    return Place(head, struct.unpack_from("<I", r, 32)[0], r[40:head.size])


def _error(head, r):
    return Error(head, *struct.unpack_from("<iiI", r, 32))


_DECODERS = {SLOT: _slot, USE: _slot, MARK: _slot, ERROR: _error, LOCK: _lock, REGISTER: _register,
             DETAIL: _detail, ENVIRON: _environ, CGROUP: _cgroup}


def events(path, *kinds):
    """The events of these kinds in the recording at path, in order."""
    with open(path, "rb") as recording:
        data = recording.read()
    found = []
    for record in _records(data):
        head = Head(*struct.unpack_from("<BBHHHIIQQ", record))
        if head.kind in kinds:
            found.append(_DECODERS[head.kind](head, record))
    return found


def detail(record):
    """One FDT_DETAIL record."""
    return _detail(Head(*struct.unpack_from("<BBHHHIIQQ", record)), record)


def sites(path):
    """The hashes whose stacks the recording holds."""
    with open(path, "rb") as recording:
        data = recording.read()
    return {struct.unpack_from("<Q", r, 32)[0] for r in _records(data) if r[0] == SITE}
