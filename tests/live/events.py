#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel side reports, whatever rules make of it: record locks, foreign changes of an
epoll, close-on-exec marks, tables that are full, threads that keep using a refilled number.
Read from recordings; where no rule wants them, nothing of the kind may be there.

    tests/live/events.py [PART-OF-A-NAME...]
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import ALL_STACKS, FDTRACE, PYTHON, add_case, case, main, need_tracing, program, run, the
from recording import (ERROR, LOCK, MARK, OP_STALE_USE, READ_LOCK, REGISTER, UNLOCK, USE, WRITE_LOCK, events, sites)

EMFILE, RECVMSG = 24, 56


def equal(seen, expected):
    assert seen == expected, f"expected {expected!r}\n     got {seen!r}"


def recorded(script, rules, *kinds):
    """The events of these kinds that a traced python script causes, and the finished run.

    The run is told which process the script was (pid) and which stacks were recorded (sites).
    """
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        record, pids = os.path.join(folder, "recording"), os.path.join(folder, "pids")
        script = f"import os\nos.chdir({folder!r})\nopen({pids!r}, 'w').write(str(os.getpid()))\n{script}"
        result = run([FDTRACE, "-j", *ALL_STACKS, "--rules=" + rules, "-r", record, "--", PYTHON, "-c", script])
        assert result.status == 0, f"{result}"
        with open(pids, encoding="ascii") as number:
            result.pid = int(number.read())
        result.sites = sites(record)
        return events(record, *kinds), result


LOCKS = """
import fcntl, struct
fd = os.open('data', os.O_RDWR | os.O_CREAT)
os.write(fd, b'x' * 1000)
os.lseek(fd, 100, os.SEEK_SET)
other = os.open('data', os.O_RDWR)
def lock(command, type, whence, start, length):
    fcntl.fcntl(fd, command, struct.pack('hhqqi4x', type, whence, start, length, 0))
lock(fcntl.F_SETLK, fcntl.F_WRLCK, os.SEEK_SET, 5, 10)
lock(fcntl.F_SETLKW, fcntl.F_RDLCK, os.SEEK_CUR, -20, 0)
lock(fcntl.F_SETLK, fcntl.F_WRLCK, os.SEEK_END, -50, -25)
lock(fcntl.F_SETLK, fcntl.F_UNLCK, os.SEEK_SET, 0, 0)
# these are not told: open file description locks, flock, questions, and what failed
lock(37, fcntl.F_WRLCK, os.SEEK_SET, 0, 1)
fcntl.flock(other, fcntl.LOCK_SH)
lock(fcntl.F_GETLK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1)
if not os.fork():
    try: lock(fcntl.F_SETLK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1)
    except OSError: os._exit(0)
    os._exit(1)
assert os.wait()[1] == 0
"""


@case("record locks: each whence, a negative length, removal; nothing else is reported")
def locks():
    told, result = recorded(LOCKS, "close.lock", LOCK)
    equal([(e.type, e.start, e.length) for e in told],
          [(WRITE_LOCK, 5, 10), (READ_LOCK, 80, 0), (WRITE_LOCK, 925, 25), (UNLOCK, 0, 0)])
    equal({(e.fd, e.head.tgid, e.file.inode != 0) for e in told}, {(told[0].fd, result.pid, True)})
    assert all(e.site in result.sites for e in told), f"a site without its stack\n{result}"


def compat_locks():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        record = os.path.join(folder, "recording")
        result = run([FDTRACE, "-j", "--rules=close.lock", "-r", record, "--", program("compat_locks"),
                      os.path.join(folder, "data")])
        assert result.status == 0, f"{result}"
        told = events(record, LOCK)
    equal([(e.type, e.start, e.length) for e in told],
          [(WRITE_LOCK, 5, 10), (READ_LOCK, 100, 0), (WRITE_LOCK, 1 << 33, (1 << 34) + 1), (UNLOCK, 0, 0)])


# A kernel without them (ia32_emulation=off, some hypervisors) has nothing to test there.
def has_i386():
    with tempfile.TemporaryDirectory() as folder:
        return run([program("compat_locks"), os.path.join(folder, "data")]).status != 77


if has_i386():
    add_case("record locks of 32-bit callers: both layouts", compat_locks)
else:
    print("# not there: record locks of 32-bit callers: this kernel has no system calls of i386 (int 0x80)", flush=True)


@case("record locks are not sent unless a rule needs them")
def no_locks():
    equal(recorded(LOCKS, "-close.lock", LOCK)[0], [])


EPOLL = """
import select
poll = select.epoll()
ours, theirs = os.pipe(), os.pipe()
poll.register(ours[0])
poll.modify(ours[0], select.EPOLLIN)
if not os.fork():
    poll.register(theirs[0])
    poll.modify(ours[0], 0)
    poll.unregister(ours[0])
    own = select.epoll()
    own.register(ours[0])
    os._exit(0)
assert os.wait()[1] == 0
poll.unregister(theirs[0])
"""


@case("an epoll's maker changes it in silence; a child's changes are reported, but not of its own epoll")
def epoll():
    told, result = recorded(EPOLL, "epoll", REGISTER)
    equal([e.head.flags for e in told], [1, 3, 2])  # add, modify, delete
    equal({(e.maker_tgid, e.head.tgid != result.pid) for e in told}, {(result.pid, True)})
    equal(len({e.epoll.file for e in told}), 1)
    equal(told[1].file, told[2].file)
    assert told[0].file != told[1].file and told[0].file.file, told
    assert all(e.site in result.sites for e in told), f"a site without its stack\n{result}"


@case("an epoll whose maker has ended belongs to whoever continues with it: not reported, as with daemons")
def daemon():
    told, _ = recorded("""
import select
(r, w), changed, done = os.pipe(), os.pipe(), os.pipe()
if not os.fork():  # the maker: its child goes on
    own = select.epoll()
    own.register(r)
    if not os.fork():
        parent = os.getppid()
        own.modify(r, 0)  # told: the maker is there
        os.write(changed[1], b'x')
        while os.getppid() == parent: pass
        own.modify(r, 1)
        own.unregister(r)
        os.write(done[1], b'y')
        os._exit(0)
    os.read(changed[0], 1)
    os._exit(0)
os.read(done[0], 1)
os.wait()
""", "epoll", REGISTER)
    equal([e.head.flags for e in told], [3])


@case("changes of epolls are not sent unless a rule needs them")
def no_epoll():
    equal(recorded(EPOLL, "-epoll", REGISTER)[0], [])


@case("an epoll made before we looked belongs to the first that is seen to change it")
def inherited_epoll():
    make = ("import os, select, sys; poll = select.epoll(); os.set_inheritable(poll.fileno(), True); "
            "os.dup2(poll.fileno(), 900); os.execv(sys.argv[1], sys.argv[1:])")
    change = """
import os, select
poll = select.epoll.fromfd(900)
r, w = os.pipe()
poll.register(r)
if not os.fork():
    poll.register(w)
    os._exit(0)
assert os.wait()[1] == 0
"""
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        record = os.path.join(folder, "recording")
        result = run([PYTHON, "-c", make, FDTRACE, "-j", "--rules=epoll", "-r", record, "--", PYTHON, "-c", change])
        assert result.status == 0, f"{result}"
        told = events(record, REGISTER)
    equal([(e.epoll_fd, e.head.flags, e.maker_tgid != e.head.tgid) for e in told], [(900, 1, True)])


MARKS = """
import fcntl, ctypes
fd = os.open('/dev/null', os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETFD, 0)
fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
fcntl.ioctl(fd, 0x5450)  # FIONCLEX
fcntl.ioctl(fd, 0x5451)  # FIOCLEX
try: fcntl.fcntl(fd + 1, fcntl.F_SETFD, 0)
except OSError: pass
number = fcntl.fcntl(fd, fcntl.F_DUPFD, 700)
fcntl.fcntl(number, fcntl.F_GETFD)
fcntl.fcntl(number, fcntl.F_SETFD, 0)
"""


@case("close-on-exec: set and cleared, by fcntl and ioctl; failures and queries are not reported")
def marks():
    told, result = recorded(MARKS, "exec", MARK)
    told = [e for e in told if e.head.tgid == result.pid][-5:]
    equal([e.result for e in told], [0, 1, 0, 1, 0])
    equal([e.fd for e in told], [told[0].fd] * 4 + [700])
    equal(len({e.file.file for e in told}), 1)
    assert told[0].file.file, told


@case("marks are not sent unless a rule needs them, and do not count as uses")
def no_marks():
    equal(recorded(MARKS, "-exec", MARK)[0], [])
    script = ("import fcntl\nfd = os.open('/dev/null', os.O_RDONLY); os.set_inheritable(fd, True); os.dup2(fd, 800)\n"
              "os.execv('/usr/bin/python3', ['python3', '-c', "
              "'import fcntl; fcntl.fcntl(800, fcntl.F_SETFD, 0); fcntl.ioctl(800, 0x5450)'])")
    told, _ = recorded(script, "exec", MARK, USE)
    equal([e.head.kind for e in told if e.fd == 800], [MARK, MARK])


@case("descriptors thrown away because the table is full: limit.emfile, by recvmsg")
def control_data_cut():
    told, result = recorded("""
import resource, socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.send_fds(a, [b'x'], [0, 1, 2])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while os.dup(0) < 62: pass
fds, flags = socket.recv_fds(b, 1, 3)[1:3]
assert len(fds) == 1 and flags & socket.MSG_CTRUNC, (fds, flags)
""", "limit.emfile", ERROR)
    equal([(e.head.syscall, e.error, e.fd, e.count) for e in told if e.error == EMFILE], [(RECVMSG, EMFILE, -1, 1)])
    the(result.findings, "limit.emfile")


@case("a table that is not full: control data that did not fit is not a lack of descriptors")
def control_data_short():
    _, result = recorded("""
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.send_fds(a, [b'x'], [0, 1, 2])
flags = b.recvmsg(1, socket.CMSG_LEN(4))[2]
assert flags & socket.MSG_CTRUNC, flags
""", "limit.emfile")
    equal(result.findings, [])


STALE = """
import fcntl, threading
victim, others = 600, os.pipe()
os.dup2(others[1], victim)
def elsewhere(work):
    t = threading.Thread(target=work); t.start(); t.join()
def fill(fd):
    assert fcntl.fcntl(fd, fcntl.F_DUPFD, victim) == victim
def refill(fd=None):
    os.close(victim)
    fill(others[1] if fd is None else fd)
"""


def stale(script):
    told, result = recorded(STALE + script, "use.stale", USE)
    told = [e for e in told if e.head.op == OP_STALE_USE and e.fd == 600]
    assert all(e.site in result.sites for e in told), f"a site without its stack\n{result}"
    return [(e.head.tid == result.pid, e.head.tgid == result.pid) for e in told]


@case("a stale use: refilled by another thread between two writes; reported once")
def stale_write():
    equal(stale("os.write(victim, b'a')\nelsewhere(refill)\nos.write(victim, b'b')\nos.write(victim, b'c')\n"),
          [(True, True)])


@case("no stale use: the thread filled the number itself, or never had used it, or closed it before")
def fresh_writes():
    equal(stale("os.write(victim, b'a')\nrefill()\nos.write(victim, b'b')\n"), [])
    equal(stale("elsewhere(refill)\nos.write(victim, b'b')\n"), [])
    equal(stale("""
os.write(victim, b'a')
os.close(victim)
elsewhere(lambda: fill(others[1]))
os.write(victim, b'b')
"""), [])
    equal(stale("""
os.write(victim, b'a')
os.closerange(victim, victim + 1)
elsewhere(lambda: fill(others[1]))
os.write(victim, b'b')
"""), [])


@case("no stale use: dup2 by another thread swaps a file on purpose")
def swapped():
    equal(stale("os.write(victim, b'a')\nelsewhere(lambda: os.dup2(os.pipe()[1], victim))\nos.write(victim, b'b')\n"), [])


@case("no stale use by a read that began before the change; the next one is reported")
def waiting_read():
    read = f"READ = {0 if os.uname().machine == 'x86_64' else 63}\n" + """
os.dup2(others[0], victim)
os.write(others[1], b'a'); os.read(victim, 1)
fresh = os.pipe()
reading = f'{READ} {hex(victim)}'
def change():  # while the main thread waits in read(): then there is a byte
    while not open(f'/proc/{os.getpid()}/task/{os.getpid()}/syscall').read().startswith(reading): pass
    refill(fresh[0])
    os.write(others[1], b'b')
t = threading.Thread(target=change); t.start()
assert os.read(victim, 1) == b'b'
t.join()
"""
    equal(stale(read), [])
    equal(stale(read + "os.write(fresh[1], b'c')\nassert os.read(victim, 1) == b'c'\n"), [(True, True)])


@case("no stale use where threads pass numbers from hand to hand, each minding its own")
def recycled():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        record = os.path.join(folder, "recording")
        result = run([FDTRACE, "-j", "--rules=use.stale", "--stacks=off", "-r", record, "--",
                      program("recycle"), "6", "5000"])
        assert result.status == 0, f"{result}"
        told = events(record, USE)
    equal([e for e in told if e.head.op == OP_STALE_USE], [])


@case("stale uses are not reported unless asked for")
def no_stale():
    told, _ = recorded(STALE + "os.write(victim, b'a')\nelsewhere(refill)\nos.write(victim, b'b')\n", "-use.stale", USE)
    equal([e for e in told if e.head.op == OP_STALE_USE], [])


if __name__ == "__main__":
    main()
