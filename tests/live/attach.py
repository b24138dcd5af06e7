#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Attaching to what runs already: a server with clients, a process in turmoil, and fdtrace itself.
The tables that fdtrace reports must be the kernel's.
"""
import contextlib
import fcntl
import http.client
import json
import os
import pty
import signal
import struct
import sys
import tempfile
import termios
import threading

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (BUILD, CAP_KILL, FDTRACE, NEEDED_CAPABILITIES, PYTHON, TOP, Background, alive, attach,
                     capabilities, case, expect_findings, fdtrace, judge_capabilities, main, need_tracing,
                     open_numbers, program, run, until)
from tables import same_as_kernel, summary_of, totals

HERE = os.path.dirname(os.path.abspath(__file__))


def request(connection):
    connection.request("GET", "/")
    reply = connection.getresponse()
    body = reply.read()
    assert reply.status == 200 and body.startswith(b"Name:"), (reply.status, body)


@contextlib.contextmanager
def server_with_clients(count):
    with Background([PYTHON, os.path.join(HERE, "server.py")]) as server:
        server.wait_for(b"\n")
        clients = [http.client.HTTPConnection("127.0.0.1", int(server.out), timeout=20) for _ in range(count)]
        try:
            for client in clients:
                request(client)
            yield server, clients
        finally:
            for client in clients:
                client.close()


@case("-p and -a keep only the capabilities that tracing needs")
def drops_capabilities():
    need_tracing()
    with Background([PYTHON, "-c", "import time; print('up', flush=True); time.sleep(60)"]) as target:
        target.wait_for(b"up")
        for mode in (["-p", str(target.pid)], ["-a"]):
            with Background([FDTRACE, "-j", *mode]) as tracer:
                tracer.wait_for(b"fdtrace.state")
                judge_capabilities(tracer.pid, NEEDED_CAPABILITIES)
                assert tracer.interrupt().status == 0


@case("a traced command keeps its capabilities; fdtrace keeps what it takes to signal it")
def command_keeps_capabilities():
    need_tracing()
    had, = capabilities(os.getpid(), "CapEff")
    script = "import os; print(os.getpid(), flush=True); input(); open('/dev/null').close()"
    with Background([FDTRACE, "-q", "-o", "/dev/null", "--", PYTHON, "-c", script]) as tracer:
        tracer.wait_for(b"\n")
        judge_capabilities(tracer.pid, NEEDED_CAPABILITIES | {CAP_KILL})
        assert list(capabilities(int(tracer.out), "CapEff")) == [had]
        tracer.say(b"\n")
        assert tracer.finish().status == 0


@case("-p on a threaded server: its table, its health, nothing to complain about")
def threaded_server():
    need_tracing()
    with server_with_clients(8) as (server, clients):
        with attach(server.pid) as tracer:
            for _ in range(50):
                for client in clients:
                    request(client)
            clients.pop().close()
            numbers = until("the server closed the connection", lambda: len(open_numbers(server.pid)) < 3 + 9
                            and open_numbers(server.pid))
            result = tracer.interrupt()
        assert result.status == 0, f"{result}"
        expect_findings(result, [], floor="warning")
        same_as_kernel(result, server.pid, numbers)
        for client in clients:
            request(client)
        assert server.finish().status == 0, "the server did not end well"


@case("-d ends an attached run, the process goes on")
def duration():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        result = fdtrace("-j", "-p", str(held.pid), "-d", "300ms")
        assert result.status == 0, f"{result}"
        same_as_kernel(result, held.pid, open_numbers(held.pid))
        kinds = summary_of(result, held.pid)["kinds"]
        for kind in ("dir", "tcp", "udp", "netlink", "eventfd", "epoll", "timerfd", "signalfd",
                     "inotify", "pidfd"):
            assert kinds.get(kind) == 1, f"{kind}: {kinds}\n{result}"
        assert held.finish().status == 0


def in_terminal(argv, env, columns):
    """What fdtrace, attached to `argv`'s process, prints in a terminal of its own until ^C ends it."""
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe(argv[0], argv, env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    text, asked = b"", False
    try:
        while True:
            if not asked and b"attached to" in text and text.endswith(b"\n\r\n"):
                os.write(terminal, b"\x03")
                asked = True
            text += os.read(terminal, 4096)
    except OSError:  # EIO: the other side is closed
        pass
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert status == 0 and asked, (status, text)
    return text


@case("in a terminal ^C is on a line of its own, before the summary")
def ctrl_c():
    need_tracing()
    env = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        black = in_terminal([FDTRACE, "--color=never", "-p", str(held.pid)], env, 100)
        assert b"^C\r\nfdtrace: nothing found" in black and b"\x1b" not in black, black
        colored = in_terminal([FDTRACE, "-p", str(held.pid)], env, 100)
        assert b"\x1b[0;1mfdtrace: " in colored, colored
        assert held.finish().status == 0


@case("--color and --width also where there is no terminal; COLUMNS")
def laid_out():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        options = ["-p", str(held.pid), "-d", "100ms"]
        plain = run([FDTRACE, *options])
        assert b"\x1b" not in plain.out and max(map(len, plain.out.splitlines())) > 70, plain
        colored = run([FDTRACE, "--color=always", *options])
        assert b"\x1b[0;1mfdtrace: " in colored.out, colored
        for narrow in (run([FDTRACE, "--width", "50", *options]),
                       run([FDTRACE, *options], env={**os.environ, "COLUMNS": "50"})):
            assert max(map(len, narrow.out.splitlines())) <= 50, narrow
        assert held.finish().status == 0


@case("-j says at once what is open, before the summary")
def inventory():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        result = fdtrace("-j", "-p", str(held.pid), "-d", "100ms")
        total, process = result.dataset("inventory")
        names = [r["event"]["dataset"] for r in result.records()]
        assert names.index("fdtrace.inventory") < names.index("fdtrace.summary"), names
        assert total["fdtrace"]["scope"] == "run" and total["fdtrace"]["processes"] == 1, total
        assert total["fdtrace"]["descriptors"] == process["fdtrace"]["open"] == len(open_numbers(held.pid)), result
        assert process["process"]["pid"] == held.pid and process["fdtrace"]["kinds"]["epoll"] == 1, process
        assert sum(site["open"] for site in process["fdtrace"]["sites"]) <= process["fdtrace"]["open"], process
        assert process["fdtrace"]["unknown_opener"] == process["fdtrace"]["open"], process
        assert not fdtrace("-j", "--", "true").dataset("inventory")
        checked = run([PYTHON, os.path.join(HERE, "validate_jsonl.py"),
                       os.path.join(TOP, "src/output/json/finding.schema.json")], text=result.out)
        assert checked.status == 0, checked
        assert held.finish().status == 0


@case("four racing threads: the table is the kernel's when they stand still")
def churn():
    need_tracing()
    with Background([program("churn")]) as racing:
        racing.wait_for(b"running")
        with attach(racing.pid) as tracer:
            until("it ran a while under trace", lambda: cpu_ticks(racing.pid) > 100)
            racing.say(b"\n")
            racing.wait_for(b"ready")
            result = tracer.interrupt()
        expect_findings(result, [], floor="warning")
        same_as_kernel(result, racing.pid, open_numbers(racing.pid))
        assert totals(result)["corrections"] == 0, f"{result}"
        assert racing.finish().status == 0


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@case("fdtrace under fdtrace leaks nothing and hands nothing down")
def under_itself():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        result = fdtrace("-j", "--", FDTRACE, "-j", "-o", os.path.join(folder, "inner"), "-r",
                         os.path.join(folder, "rec"), "--", program("mix"), "innocent")
        assert result.status == 7, f"{result}"
        expect_findings(result, [])


@case("fdtrace replay under fdtrace leaks nothing")
def replay_under_itself():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        recording = os.path.join(folder, "rec")
        fdtrace("-j", "-r", recording, "--", program("mix"), "guilty")
        result = fdtrace("-j", "--", FDTRACE, "replay", "-j", "-o", os.path.join(folder, "inner"), recording)
        assert result.status == 0, f"{result}"
        expect_findings(result, [])


@case("two fdtraces at once, on the same process")
def two_at_once():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        with attach(held.pid) as one, attach(held.pid) as other:
            results = [one.interrupt(), other.interrupt()]
        for result in results:
            assert result.status == 0, f"{result}"
            same_as_kernel(result, held.pid, open_numbers(held.pid))


def ends_by(number):
    def check():
        need_tracing()
        with Background([program("kinds"), "hold"]) as held:
            held.wait_for(b"ready")
            with attach(held.pid) as tracer:
                result = tracer.interrupt(number)
            assert result.status == 0, f"{result}"
            same_as_kernel(result, held.pid, open_numbers(held.pid))
            assert alive(held.pid), "the traced process did not survive"
            held.finish()
    return check


for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    case(f"{_number.name} ends with the summary, the attached process goes on")(ends_by(_number))


@case("SIGTERM to fdtrace is passed on to the command it started")
def command_is_told():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        script = "trap 'echo told; exit 5' TERM; echo up; while :; do read x || exit 6; done"
        with Background([FDTRACE, "-j", "-o", out, "--", "/bin/sh", "-c", script]) as tracer:
            tracer.wait_for(b"up")
            tracer.child.send_signal(signal.SIGTERM)
            tracer.wait_for(b"told")
            result = tracer.finish()
        assert result.status == 5, f"{result}"
        with open(out, "rb") as data:
            assert any(r["event"]["dataset"] == "fdtrace.summary" for r in result.records(data.read())), f"{result}"


@case("nothing stays attached when fdtrace is killed outright")
def killed():
    need_tracing()
    with Background([program("kinds"), "hold"]) as held:
        held.wait_for(b"ready")
        with attach(held.pid) as tracer:
            programs = bpf_programs_of(tracer.pid)
            assert programs, "no BPF program seen while tracing"
            tracer.interrupt(signal.SIGKILL)
        until("its BPF programs are gone", lambda: not programs & loaded_bpf_programs())
        assert held.finish().status == 0


def bpf_programs_of(pid):
    ids = set()
    for number in open_numbers(pid):
        with contextlib.suppress(FileNotFoundError):  # a file that fdtrace has closed since the list was made
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as info:
                ids.update(int(line.split()[1]) for line in info if line.startswith("prog_id:"))
    return ids


def loaded_bpf_programs():
    listed = run(["bpftool", "-j", "prog", "list"], env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
    assert listed.status == 0, f"{listed}"
    return {p["id"] for p in json.loads(listed.out)}


@case("a thread that starts and ends while fdtrace attaches")
def thread_storm():
    need_tracing()
    stop = threading.Event()
    with server_with_clients(1) as (server, _):
        def storm():
            while not stop.is_set():
                client = http.client.HTTPConnection("127.0.0.1", int(server.out), timeout=20)
                request(client)
                client.close()
        thread = threading.Thread(target=storm)
        thread.start()
        try:
            results = [fdtrace("-j", "-p", str(server.pid), "-d", "200ms") for _ in range(5)]
        finally:
            stop.set()
            thread.join()
        for result in results:
            assert result.status == 0, f"{result}"
            expect_findings(result, [], floor="warning")
        assert server.finish().status == 0


if __name__ == "__main__":
    assert os.path.exists(FDTRACE), f"build it first: {BUILD}"
    main()
