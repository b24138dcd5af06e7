# SPDX-License-Identifier: BSD-2-Clause
"""Story 1, the close-all optimisation: "optimised file handles" close every number from 0 to the
limit and ignore the errors, in a program whose other threads own some of them: a connection to a
database, a log, and what ZeroMQ's own threads wait on.

    close_all.py guilty | repaired     ends by SIGABRT when guilty: ZeroMQ finds its eventfd closed
    close_all.py daemonize             innocent: a fresh child closes everything and becomes a daemon
    close_all.py subprocess            innocent: a fresh child closes everything before exec
                                       (Python 2's own close_fds; in Python 3 a preexec_fn)
    close_all.py database              the database: prints its port, ends with its stdin
"""
import errno
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading

LIMIT = 4096
EPOLL_WAIT = b"232 "  # its number on x86-64


def close_everything():
    for number in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        try:
            os.close(number)  # whose it is does not matter
        except OSError:
            pass


def echo_lines(connection):
    try:
        for line in connection.makefile("rb"):
            connection.sendall(line)
    except ConnectionError:  # the application has aborted
        pass


def accept_lines(listener):
    while True:
        threading.Thread(target=echo_lines, args=(listener.accept()[0],), daemon=True).start()


def echo_messages(pair):
    while True:
        pair.send(pair.recv())


def database():
    """Answers lines on one port and ZeroMQ's messages on another with themselves."""
    import zmq
    listener, pair = socket.create_server(("127.0.0.1", 0)), zmq.Context().socket(zmq.PAIR)
    ports = listener.getsockname()[1], pair.bind_to_random_port("tcp://127.0.0.1")
    threading.Thread(target=accept_lines, args=(listener,), daemon=True).start()
    threading.Thread(target=echo_messages, args=(pair,), daemon=True).start()
    sys.stdout.write("%d %d\n" % ports)
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


class Ledger(threading.Thread):
    """Owns a connection and a log: uses both before and after the helper function ran."""

    def __init__(self, port, folder):
        super().__init__()
        self.port, self.folder = port, folder
        self.opened, self.tidied = threading.Event(), threading.Event()
        self.failures = []

    def attempt(self, action, *args):
        try:
            action(*args)
        except OSError as why:
            self.failures.append(why.errno)

    def run(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        log = os.open(os.path.join(self.folder, "ledger.log"), os.O_WRONLY | os.O_CREAT, 0o600)
        connection.sendall(b"begin\n")
        assert connection.recv(100) == b"begin\n"
        os.write(log, b"begun\n")
        self.opened.set()
        self.tidied.wait()
        self.attempt(connection.sendall, b"commit\n")
        self.attempt(os.write, log, b"committed\n")
        self.attempt(connection.close)
        self.attempt(os.close, log)


def others_sleep():
    """Whether every other thread waits in an epoll: ZeroMQ's own do once they have nothing to do."""
    for tid in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/syscall" % tid, "rb") as syscall:
            if int(tid) != os.getpid() and not syscall.read().startswith(EPOLL_WAIT):
                return False
    return True


def publisher(port):
    """A ZeroMQ socket that has been of use: threads of its own have epolls, eventfds, a connection."""
    import zmq
    pair = zmq.Context().socket(zmq.PAIR)
    pair.connect("tcp://127.0.0.1:%d" % port)
    exchange(pair, b"begun")
    while not others_sleep():
        pass
    return pair


def exchange(pair, message):
    pair.send(message)
    assert pair.recv() == message


def undisturbed():
    """One of ZeroMQ's threads ends the program when it misses its numbers: not before the loop is over."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def application(guilty):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    server = subprocess.Popen([sys.executable, __file__, "database"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lines_port, messages_port = map(int, server.stdout.readline().split())
    pair = publisher(messages_port)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(lines_port, folder)
        ledger.start()
        ledger.opened.wait()
        if guilty:
            undisturbed()
            close_everything()  # the server's stdin is among it: it ends, too
        ledger.tidied.set()
        ledger.join()
    if guilty and ledger.failures != [errno.EBADF] * 4:
        os._exit(3)  # there is no stderr any more to say it on
    assert guilty or not ledger.failures, ledger.failures
    exchange(pair, b"committed")  # ZeroMQ aborts where it cannot wake its own thread
    pair.context.destroy()
    server.communicate()


def daemonize(fifo):
    """By the book: fork, a session of its own, fork, close everything, /dev/null on 0, 1 and 2."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    close_everything()
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    with open(fifo, "w") as ready:
        ready.write("ready")
    os._exit(0)


def daemon():
    with tempfile.TemporaryDirectory() as folder:
        fifo = os.path.join(folder, "ready")
        os.mkfifo(fifo)
        kept = [open(os.devnull) for _ in range(10)]
        daemonize(fifo)
        with open(fifo) as ready:
            assert ready.read() == "ready"
        os.wait()
        for file in kept:
            file.close()


def close_all_but_three():
    for number in range(3, LIMIT):
        try:
            os.close(number)
        except OSError:
            pass


def child_before_exec():
    kept = [open(os.devnull) for _ in range(10)]
    if sys.version_info[0] == 2:  # closes the numbers one by one; Python 3 takes close_range()
        how = {"close_fds": True}
    else:
        how = {"close_fds": False, "preexec_fn": close_all_but_three}
    assert subprocess.call(["/bin/true"], **how) == 0
    for file in kept:
        file.close()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    {"guilty": lambda: application(True), "repaired": lambda: application(False), "daemonize": daemon,
     "subprocess": child_before_exec, "database": database}[sys.argv[1]]()


main()
