#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What --events and findings say of a descriptor, on real things: endpoints and states of
sockets in their own network namespace, unix names, the other end of a pipe, unlinked files,
chroots and mount namespaces, kinds of what was open before the attach.

    tests/live/details.py [PART-OF-A-NAME...]
"""
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, PYTHON, Background, attach, case, fdtrace, main, need_tracing, program, run
from recording import detail

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = os.path.join(HERE, "..", "..", "src", "output", "json", "finding.schema.json")


STEPS = """
import fcntl, os, socket, sys
number = 500
def show(fd):  # a duplicate is told with what the file is like now; goes on when that was seen
    global number
    fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, number)
    number += 1
    sys.stdin.readline()
"""


def told(tracer, number):
    """The event that told of the duplicate at that number, once it has come."""
    while True:
        for line in tracer.out[:tracer.out.rfind(b"\n") + 1].splitlines():
            event = json.loads(line)
            if event["fdtrace"].get("fd") == number and event["fdtrace"].get("op") == "open":
                return event
        tracer.wait_for_more()


def valid(out):
    checked = run([PYTHON, os.path.join(HERE, "validate_jsonl.py"), SCHEMA], text=out)
    assert checked.status == 0, f"{checked}"


def shown(count, script, *prefix):
    """Runs a python script that calls show() `count` times; gives the events of the duplicates."""
    need_tracing()
    with Background([FDTRACE, "-j", "-e", "--", *prefix, PYTHON, "-c", STEPS + script]) as tracer:
        events = []
        for number in range(500, 500 + count):
            events.append(told(tracer, number))
            tracer.say(b"\n")
        result = tracer.finish()
    assert result.status == 0, f"{result}"
    valid(result.out)
    return events


ASKS = """
import fcntl, os, sys
def ask(fd):
    print(fd, flush=True)
    sys.stdin.readline()
"""


def facts(count, script):
    """Runs a python script that calls ask(fd) `count` times; gives what the inspector says each time."""
    need_tracing()
    answers = []
    with tempfile.TemporaryDirectory() as folder, Background([PYTHON, "-c", ASKS + script], cwd=folder) as asker:
        while len(answers) < count:
            lines = asker.out[:asker.out.rfind(b"\n") + 1].splitlines()
            if len(lines) <= len(answers):
                asker.wait_for_more()
                continue
            answer = run([program("inspect"), str(asker.child.pid), lines[-1].decode()])
            assert answer.status == 0, f"{answer}"
            answers.append(detail(answer.out))
            asker.say(b"\n")
        result = asker.finish()
    assert result.status == 0, f"{result}"
    return answers


def equal(seen, expected):
    assert seen == expected, f"expected {expected!r}, got {seen!r}"


TCP = """
family, address = %s
l = socket.socket(family); l.bind((address, 0)); l.listen(7)
c = socket.socket(family); c.connect(l.getsockname())
a = l.accept()[0]
show(l.fileno())
show(a.fileno())
c.send(b'12345')
c.close()
import select
p = select.poll(); p.register(a, select.POLLRDHUP); p.poll()
show(a.fileno())
"""


def check_tcp(events, address):
    listener, established, left = events
    equal({e["fdtrace"]["kind"] for e in events}, {"tcp"})
    equal(listener["network"]["connection"]["state"], "listening")
    equal(listener["network"]["local"]["address"], address)
    equal(listener["fdtrace"]["socket"]["backlog_max"], 7)
    equal(established["network"]["connection"]["state"], "established")
    equal(established["network"]["peer"]["address"], address)
    equal(established["network"]["local"], listener["network"]["local"])
    equal(left["network"]["connection"]["state"], "close-wait")
    equal(left["fdtrace"]["socket"]["unread_bytes"], 5)


@case("IPv4: listening, established, close-wait with bytes unread")
def tcp4():
    check_tcp(shown(3, TCP % "(socket.AF_INET, '127.0.0.1')"), "127.0.0.1")


@case("IPv6: listening, established, close-wait with bytes unread")
def tcp6():
    check_tcp(shown(3, TCP % "(socket.AF_INET6, '::1')"), "::1")


@case("sockets of another network namespace")
def other_network():
    check_tcp(shown(3, TCP % "(socket.AF_INET, '127.0.0.1')", "unshare", "-n", "sh", "-c",
                     "ip link set lo up && exec \"$@\"", "sh"), "127.0.0.1")


@case("unix sockets: named, abstract, connected to one, a pair")
def unix():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sock et")
        named, abstract, client, half = shown(4, f"""
def bound(name):
    s = socket.socket(socket.AF_UNIX); s.bind(name); s.listen(1); show(s.fileno()); return s
named = bound({path!r}); abstract = bound('\\0fd trace' + str(os.getpid()))
c = socket.socket(socket.AF_UNIX); c.connect({path!r}); show(c.fileno())
pair = socket.socketpair()
print(os.fstat(pair[1].fileno()).st_ino, file=open({folder!r} + '/inode', 'w'), flush=True)
show(pair[0].fileno())
""")
        equal(named["network"]["local"]["address"], path)
        assert abstract["network"]["local"]["address"].startswith("@fd trace"), abstract
        equal(client["network"]["peer"]["address"], path)
        with open(os.path.join(folder, "inode"), encoding="ascii") as inode:
            equal(half["fdtrace"]["socket"]["peer_inode"], inode.read().strip())


def inherited(script):
    """What exec.inherit says of a descriptor that cat inherits; a replay gives the same bytes.

    The script makes it with dup2: to clear close-on-exec would mean it.
    """
    need_tracing()
    body = script + "\nos.execv('/bin/cat', ['cat'])"
    with tempfile.TemporaryDirectory() as folder:
        record = os.path.join(folder, "recording")
        with Background([FDTRACE, "-j", "--rules=exec.inherit", "--set", "exec.unused_after=200ms", "-r", record,
                         "--", PYTHON, "-c", body]) as tracer:
            tracer.wait_for(b"exec.inherit")
            result = tracer.finish()
        again = fdtrace("replay", "-j", record)
        valid(result.out)
        lines = [[line for line in r.out.splitlines() if b'"fdtrace.finding"' in line] for r in (result, again)]
        assert lines[0] and lines[0] == lines[1], f"not the same in a replay\n{result}\n{again}"
        return result.findings[0]


@case("the other end of a pipe: held by another process")
def pipe_held():
    found = inherited("""
import os
r, w = os.pipe()
if not os.fork():
    os.close(w); os.read(r, 1); os._exit(0)
os.close(r); os.dup2(w, 20)
""")
    equal(found["fdtrace"]["kind"], "pipe")
    end = found["fdtrace"]["other_end"]
    equal([(h["pid"] != found["process"]["pid"], h["name"], h["fd"]) for h in end["holders"]], [(True, "python3", 3)])
    equal(end["open"], True)


@case("the other end of a pipe: closed")
def pipe_closed():
    found = inherited("import os\nr, w = os.pipe(); os.dup2(r, 20)")
    equal(found["fdtrace"]["other_end"], {"open": False})


@case("the other end of a socketpair: held by another process")
def pair_held():
    found = inherited("""
import os, socket
a, b = socket.socketpair()
if not os.fork():
    a.close(); b.recv(1); os._exit(0)
b.close(); os.dup2(a.fileno(), 20)
""")
    equal([(h["name"], h["fd"]) for h in found["fdtrace"]["other_end"]["holders"]], [("python3", 4)])


@case("a socket whose peer has closed, inherited: its state")
def close_wait():
    found = inherited("""
import os, socket
l = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(l.getsockname()); a = l.accept()[0]
c.close(); os.dup2(a.fileno(), 20)
""")
    equal(found["network"]["connection"]["state"], "close-wait")
    equal(found["fdtrace"]["socket"]["unread_bytes"], 0)


@case("an unlinked file is distinguished from one whose name looks like it, in a chroot, too")
def deleted():
    with tempfile.TemporaryDirectory() as folder:
        script = f"""
os.chdir({folder!r})
%s
fds = [os.open(n, os.O_CREAT | os.O_RDWR) for n in ('gone', 'odd (deleted)', 'kept')]
os.unlink('gone')
for fd in fds: show(fd)
"""
        for root in ("", "os.chroot('.')"):
            equal([f["file"]["path"] for f in shown(3, script % root)],
                  [f"{folder}/gone (deleted)", f"/.{folder}/odd (deleted)", f"{folder}/kept"])


@case("a file in another mount namespace has its path there")
def mounts():
    with tempfile.TemporaryDirectory() as folder:
        file, = shown(1, f"show(os.open({folder!r} + '/inside', os.O_CREAT | os.O_RDWR))",
                      "unshare", "-m", "sh", "-c", f"mount -t tmpfs none {folder} && exec \"$@\"", "sh")
        equal(file["file"]["path"], f"{folder}/inside")
        equal(os.listdir(folder), [])


@case("close-on-exec of the number that was asked about, not of its file")
def cloexec():
    marked, plain, cleared, far = facts(4, """
fd = os.open('/dev/null', os.O_RDONLY)
ask(fd)
ask(os.dup2(fd, fd + 1))
os.set_inheritable(fd, True); ask(fd)
ask(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 900))
""")
    equal(["cloexec" in f.facts for f in (marked, plain, cleared, far)], [True, False, False, True])
    equal(len({f.file.file for f in (marked, plain, cleared, far)}), 1)


@case("a regular file: size, mapped, locked by fcntl, flock or lease")
def regular():
    bare, larger, mapped, unmapped, posix, unlocked, flock, lease, null = facts(9, """
import mmap
fd = os.open('data', os.O_RDWR | os.O_CREAT)
ask(fd)
os.truncate('data', 5 << 32); ask(fd)
m = mmap.mmap(fd, 4096); ask(fd)
m.close(); ask(fd)
fcntl.lockf(fd, fcntl.LOCK_EX); ask(fd)
fcntl.lockf(fd, fcntl.LOCK_UN); ask(fd)
fcntl.flock(fd, fcntl.LOCK_SH); ask(fd)
leased = os.open('leased', os.O_RDONLY | os.O_CREAT)
fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK); ask(leased)
ask(os.open('/dev/null', os.O_RDONLY))
""")
    of_file = {"cloexec", "regular"}
    equal([f.facts for f in (bare, larger, mapped, unmapped)], [of_file, of_file, of_file | {"mapped"}, of_file])
    equal([f.facts for f in (posix, unlocked, flock, lease)],
          [of_file | {"locked"}, of_file, of_file | {"locked"}, of_file | {"locked"}])
    equal([f.size for f in (bare, larger, mapped)], [0, 5 << 32, 5 << 32])
    equal((null.facts, null.size), ({"cloexec"}, 0))


@case("a pipe that is read or polled, and one that is not")
def waited():
    idle, reading, polled, left = facts(4, """
import select, threading
def sleeping(thread):
    return open(f'/proc/self/task/{thread.native_id}/stat').read().rsplit(')', 1)[1].split()[0] == 'S'
r, w = os.pipe()
ask(w)
t = threading.Thread(target=os.read, args=(r, 1)); t.start()
while not sleeping(t): pass
ask(w)
os.write(w, b'x'); t.join()
poll = select.epoll(); poll.register(r)
ask(w)
poll.close()
ask(r)
""")
    equal(["waited" in f.facts for f in (idle, reading, polled, left)], [False, True, True, False])


@case("epolls that watch a file, with the numbers it has there; sockets and epolls, too")
def registrations():
    none, two, many, socket, nested, gone = facts(6, """
import select, socket
r, w = os.pipe()
ask(r)
polls = [select.epoll() for i in range(70)]
other = fcntl.fcntl(r, fcntl.F_DUPFD, 900)
polls[0].register(r); polls[0].register(other)
ask(r)
for p in polls[1:]: p.register(r)
ask(r)
s = socket.socket(); polls[0].register(s); ask(s.fileno())
polls[1].register(polls[0].fileno()); ask(polls[0].fileno())
for p in polls: p.close()
ask(r)
""")
    equal([("watched" in f.facts, f.registration_count) for f in (none, two, many, socket, nested, gone)],
          [(False, 0), (True, 2), (True, 64), (True, 1), (True, 1), (False, 0)])
    equal(len({epoll for epoll, _ in two.registrations}), 1)
    equal({fd for _, fd in two.registrations}, {two.fd, 900})
    equal(len({epoll for epoll, _ in many.registrations}), 4)
    equal(socket.registrations[0][0], two.registrations[0][0])
    assert nested.registrations[0][0] not in (0, two.registrations[0][0]), nested


@case("how long a connection has been idle; what never was connected has no such time")
def idle():
    never, fresh, rested, talked, listener, pipe = facts(6, """
import socket, time
s = socket.socket(); ask(s.fileno())
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()
c = socket.create_connection(l.getsockname()); a = l.accept()[0]
began = time.monotonic_ns()
ask(a.fileno())
while time.monotonic_ns() < began + 700_000_000: pass  # a time that passes is what is tested
ask(a.fileno())
c.send(b'x'); a.recv(1)
ask(a.fileno())
ask(l.fileno())
ask(os.pipe()[0])
""")
    equal(["idle" in f.facts for f in (never, fresh, rested, talked, listener, pipe)],
          [False, True, True, True, False, False])
    assert 600_000_000 < rested.idle_ns < 30_000_000_000, rested
    assert fresh.idle_ns < rested.idle_ns and talked.idle_ns < rested.idle_ns, (fresh, rested, talked)


KINDS = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
mask = ctypes.create_string_buffer(128)
fds = {'memfd': os.memfd_create('early'), 'epoll': libc.epoll_create1(0),
       'eventfd': libc.eventfd(0, 0), 'timerfd': libc.timerfd_create(1, 0), 'signalfd': libc.signalfd(-1, mask, 0),
       'inotify': libc.inotify_init1(0), 'fanotify': libc.fanotify_init(0, 0), 'pidfd': os.pidfd_open(os.getpid()),
       'userfaultfd': libc.syscall(323 if os.uname().machine == "x86_64" else 282, 1)}
assert all(fd >= 0 for fd in fds.values()), fds
print(json.dumps({str(fd): kind for kind, fd in fds.items()}), flush=True)
input()
"""


@case("kinds of what was open before the attach, memfd among them")
def before_attach():
    need_tracing()
    with Background([PYTHON, "-c", KINDS]) as target:
        target.wait_for(b"\n")
        opened = json.loads(target.out)
        with attach(target.pid, "-i", "200ms") as tracer:
            tracer.wait_for(b'"kinds":{')
            tracer.wait_for(b'"memfd":1')
            kinds = tracer.interrupt().dataset("summary")[-1]["fdtrace"]["kinds"]
    equal({kind: kinds.get(kind) for kind in opened.values()}, {kind: 1 for kind in opened.values()})


if __name__ == "__main__":
    main()
