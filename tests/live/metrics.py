#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The metrics, read by their readers: promtool, Prometheus, node_exporter; and misbehaving
clients. Served by metrics_server.c, which has made-up facts.

    tests/live/metrics.py [PART-OF-A-NAME...]
"""
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Background, case, free_port, main, need_descriptors, program, run, until

SERVER = program("metrics_server")
LIFE_S = 10  # of a connection
CONNECTIONS = 32
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """metrics_server, and what it is told to do."""

    def __init__(self, listen="127.0.0.1:0", *rest, facts=True):
        self.background = Background([SERVER, listen, "local", *rest])
        try:
            self.background.wait_for(b"\n")
            self.text_address = self.background.out.split()[1].decode()
            host, port = self.text_address.rsplit(":", 1)
            self.address = (host.strip("[]"), int(port))
            self.pid = self.background.pid
            if facts:
                self.say("0")
            self.idle_fds = self.fds()  # nobody is connected
        except BaseException:
            self.background.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.background.__exit__()

    def say(self, line):
        """Publishes anew; gives how many descriptors the server has."""
        since = len(self.background.out)
        self.background.say(line.encode() + b"\n")
        self.background.wait_for(b"\n", timeout=5, since=since)
        return int(self.background.out.split()[-1])

    def connect(self, said=b""):
        client = socket.create_connection(self.address, timeout=30)
        client.sendall(said)
        return client

    def ask(self, said):
        """Everything that is answered, to the end of the connection."""
        with self.connect(said) as client:
            return read_all(client)

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_all(client):
    data = b""
    while True:
        part = client.recv(65536)
        if not part:
            return data
        data += part


def status_of(answer):
    assert answer.startswith(b"HTTP/1.1 "), f"{answer!r}"
    return int(answer.split()[1])


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode("utf-8")


def is_fine(server):
    answer = server.ask(GET)
    assert status_of(answer) == 200 and b"\nfdtrace_build_info{" in answer, f"{answer[:300]!r}"


# --- who reads them ---

@case("promtool has nothing to say against what is served, hostile names and all")
def _():
    with Server() as server:
        answer = server.ask(GET)
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head, head
    assert b"\r\nConnection: close" in head, head
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) == len(body), head
    assert rb'exe="/tmp/bad\\xFF\\xFE\\r\\nname \"quoted\" \\ back"' in body, body
    result = run(["promtool", "check", "metrics"], text=body)
    assert result.status == 0 and not result.err.strip(), f"{result}"


@contextlib.contextmanager
def prometheus(target):
    """A Prometheus of our own that scrapes the target each second; gives how to query it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"scrape_configs": [{"job_name": "fdtrace", "scrape_interval": "1s", "scrape_timeout": "1s",
                                           "static_configs": [{"targets": [target]}]}]}, file)
        with Background(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]):
            def query(expression):
                words = urllib.parse.urlencode({"query": expression})
                try:
                    answer = json.loads(fetch(f"http://127.0.0.1:{port}/api/v1/query?{words}"))
                except (urllib.error.URLError, ConnectionError):
                    return []  # not up yet
                return [(r["metric"], float(r["value"][1])) for r in answer["data"]["result"]]
            yield query


@case("a real Prometheus scrapes it and knows every series")
def _():
    with Server() as server, prometheus(server.text_address) as query:
        info = until("fdtrace_build_info is known", lambda: query("fdtrace_build_info"))
        assert len(info) == 1 and info[0][1] == 1 and re.match(r"\d+\.\d+", info[0][0]["version"]), info
        found = query("fdtrace_findings_total")
        assert len(found) == len({json.dumps(m, sort_keys=True) for m, _ in found}) == 16 * 3, found
        assert all(value == 0 for _, value in found), found
        leaks = 'fdtrace_findings_total{rule="leak.growth",severity="warning"}'
        server.say("3")
        until("the findings are counted", lambda: [v for _, v in query(leaks)] == [3])
        until("they make a rate", lambda: query(f"increase({leaks}[1m]) > 0"))
        names = {m["exe"] for m, _ in query("fdtrace_limit_used_ratio")}
        assert names == {"/usr/sbin/nginx", '/tmp/bad\\xFF\\xFE\\r\\nname "quoted" \\ back'}, names
        assert [v for _, v in query('up{job="fdtrace"}')] == [1]
        assert query("process_open_fds > 0"), "process_open_fds"


@case("before anything was measured Prometheus counts it as down, not as empty")
def _():
    with Server(facts=False) as server, prometheus(server.text_address) as query:
        assert status_of(server.ask(GET)) == 503
        until("it is down", lambda: [v for _, v in query("up")] == [0])
        server.say("0")
        until("it is up", lambda: [v for _, v in query("up")] == [1])


@contextlib.contextmanager
def node_exporter(folder):
    """node_exporter with the textfile collector; gives functions that ask it, and read its log."""
    port = free_port()
    name = shutil.which("prometheus-node-exporter") or "node_exporter"
    with Background([name, "--collector.disable-defaults", "--collector.textfile",
                     f"--collector.textfile.directory={folder}", f"--web.listen-address=127.0.0.1:{port}",
                     "--log.level=error"]) as exporter:
        def ask():
            try:
                return fetch(f"http://127.0.0.1:{port}/metrics")
            except (urllib.error.URLError, ConnectionError):
                return ""  # not up yet
        until("node_exporter answers", ask)
        yield ask, exporter.err


@case("node_exporter shows the textfile beside its own metrics")
def _():
    with tempfile.TemporaryDirectory() as folder:
        with Server("127.0.0.1:0", os.path.join(folder, "fdtrace.prom")) as server, node_exporter(folder) as (ask, log):
            text = ask()
            assert "\nnode_textfile_scrape_error 0\n" in text, text
            assert "\nfdtrace_build_info{" in text, text
            assert text.count("\nprocess_cpu_seconds_total ") == 1, text
            assert text.count("\nfdtrace_findings_total{") == 16 * 3, text
            server.say("4")
            assert '\nfdtrace_findings_total{rule="leak.growth",severity="warning"} 4\n' in ask()
            assert os.listdir(folder) == ["fdtrace.prom"], os.listdir(folder)
            assert b"error gathering metrics" not in log(), log()


@case("process_ metrics in a textfile would make node_exporter complain: that is why they are left out")
def _():
    with tempfile.TemporaryDirectory() as folder, node_exporter(folder) as (ask, log), Server() as server:
        with open(os.path.join(folder, "all.prom"), "wb") as file:
            file.write(server.ask(GET).split(b"\r\n\r\n", 1)[1])
        ask()
        assert b"gathered metric family process_" in log(), "it can take them by now"


# --- what is served ---

@case("HTTP/1.0 and 1.1, GET and HEAD, the start page, and nothing else")
def _():
    with Server() as server:
        page = server.ask(GET).split(b"\r\n\r\n", 1)[1]
        for said, status, body in [
                (b"GET /metrics HTTP/1.0\r\n\r\n", 200, page),
                (b"GET /metrics HTTP/1.1\n\n", 200, page),
                (b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200, page),
                (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200, b""),
                (b"HEAD /none HTTP/1.1\r\n\r\n", 404, b""),
                (b"GET / HTTP/1.1\r\n\r\n", 200, None),
                (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404, None),
                (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404, None),
                (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405, None),
                (b"DELETE / HTTP/1.1\r\n\r\n", 405, None),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, None),
                (b"GET /metrics HTTP/1.9\r\n\r\n", 505, None),
                (b"GET /metrics\r\n", 400, None),  # HTTP/0.9
                (b"GET\r\n", 400, None),
                (b"\r\n", 400, None),
                (b"GET  /metrics HTTP/1.1\r\n\r\n", 400, None),
                (b"GET /metrics\0 HTTP/1.1\r\n\r\n", 400, None),
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400, None)]:  # TLS
            answer = server.ask(said)
            assert status_of(answer) == status, f"{said!r}: {answer[:200]!r}"
            head, got = answer.split(b"\r\n\r\n", 1)
            assert body is None or got.split(b"\nprocess_")[0] == body.split(b"\nprocess_")[0], f"{said!r}: {got!r}"
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            assert length == len(got) or said.startswith(b"HEAD"), f"{said!r}: {length} {len(got)}"
            assert status != 405 or b"\r\nAllow: GET, HEAD\r\n" in answer, f"{answer!r}"
        assert b'href="/metrics"' in server.ask(b"GET / HTTP/1.1\r\n\r\n")
        until("nothing is left of them", lambda: server.fds() == server.idle_fds)
        assert server.say("0") == server.idle_fds


@case("pipelined requests get one answer and the end")
def _():
    with Server() as server:
        answer = server.ask(GET * 100)
        assert answer.count(b"HTTP/1.1 200") == 1, f"{answer[:200]!r}"


@case("a request in single bytes is understood")
def _():
    with Server() as server, server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET:
            client.sendall(bytes([byte]))
        assert status_of(read_all(client)) == 200


@case("huge headers and garbage without end are refused")
def _():
    with Server() as server:
        for said in (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 1000000, b"\xff" * 5000, b"A" * 4096,
                     b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 100000):
            with server.connect() as client:
                with contextlib.suppress(ConnectionError):  # it need not read all of it
                    client.settimeout(LIFE_S + 5)
                    client.sendall(said)
                answer = client.recv(65536)
                assert status_of(answer) == 431, f"{answer[:100]!r}"
        is_fine(server)


@case("random bytes do no harm")
def _():
    with Server() as server:
        for size in (0, 1, 7, 100, 4095, 4097, 30000):
            for _ in range(10):
                client = server.connect(os.urandom(size))
                client.close()
        is_fine(server)
        until("they are gone", lambda: server.fds() == server.idle_fds)


@case("IPv6 is served")
def _():
    with Server("[::1]:0") as server:
        assert server.text_address.startswith("[::1]:"), server.text_address
        is_fine(server)


@case("a port in use is reported as such, and addresses other than loopback are refused")
def _():
    with Server() as server:
        result = run([SERVER, server.text_address, "local"])
        assert result.status == 3 and "Address already in use" in result.messages, f"{result}"
        assert "another program listens on it" in result.messages, f"{result}"
    result = run([SERVER, "0.0.0.0:0", "local"])
    assert result.status == 2 and "not a loopback address" in result.messages, f"{result}"


# --- bad days ---

@case("clients that dribble, send nothing or never read are dropped after ten seconds, and others do not wait")
def _():
    with Server() as server:
        began = time.monotonic()
        dribbler, silent = server.connect(b"GET /met"), server.connect()
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.connect(server.address)
        deaf.sendall(GET)
        with dribbler, silent, deaf:
            def dribble():
                try:
                    dribbler.sendall(b"x")
                except ConnectionError:
                    return True
                is_fine(server)  # meanwhile
                assert server.say("1") >= server.idle_fds
                return server.fds() == server.idle_fds
            until("all of them are gone", dribble, timeout=LIFE_S + 5)
            lasted = time.monotonic() - began
            assert lasted > LIFE_S - 1, f"only {lasted:.1f} s"
        until("nothing is left of them", lambda: server.fds() == server.idle_fds)


@case("thirty-two are served at once; the others wait and are not refused")
def _():
    with Server() as server, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(CONNECTIONS)]
        until("all are accepted", lambda: server.fds() == server.idle_fds + CONNECTIONS)
        late = stack.enter_context(server.connect(GET))
        late.settimeout(0.5)
        try:
            late.recv(1)
            raise AssertionError("the thirty-third is served at once")
        except TimeoutError:
            pass
        assert server.fds() == server.idle_fds + CONNECTIONS
        idle[7].close()
        late.settimeout(5)
        assert status_of(read_all(late)) == 200


@case("ten thousand connections: it has thirty-two of them, goes on publishing, and recovers")
def _():
    count = 10000
    need_descriptors(count + 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, hard))
    clients = []
    try:
        with Server() as server:
            for _ in range(count):
                client = socket.socket()
                clients.append(client)
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.connect(server.address)
            until("it is full", lambda: server.fds() == server.idle_fds + CONNECTIONS)
            assert server.say("1") <= server.idle_fds + CONNECTIONS
            spent = server.cpu_s()
            assert spent < 2, f"{spent} s of CPU"
            for client in clients:
                client.close()
            is_fine(server)
            until("nothing is left of them", lambda: server.fds() == server.idle_fds)
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@case("out of descriptors it neither spins nor gives up")
def _():
    with Server() as server:
        server.say(f"soft {server.idle_fds}")  # those it has: no more
        with server.connect(GET) as client:
            client.settimeout(2.5)
            try:
                client.recv(1)
                raise AssertionError("it was served without a descriptor")
            except TimeoutError:
                pass
            assert server.cpu_s() < 0.5, f"{server.cpu_s()} s of CPU"
            server.say("soft 100")
            client.settimeout(5)
            assert status_of(read_all(client)) == 200


@case("it stops at once, with connections open")
def _():
    with Server() as server, server.connect(), server.connect(b"GET "):
        until("both are accepted", lambda: server.fds() == server.idle_fds + 2)
        began = time.monotonic()
        result = server.background.finish(timeout=5)
        assert result.status == 0 and time.monotonic() - began < 2, f"{result}"


@case("no signal ever comes to its thread")
def _():
    with Server() as server:
        blocked = []
        for task in os.listdir(f"/proc/{server.pid}/task"):
            with open(f"/proc/{server.pid}/task/{task}/status", encoding="ascii", errors="replace") as status:
                blocked.append(int(re.search(r"^SigBlk:\s*(\w+)$", status.read(), re.M)[1], 16))
    terminating = [1 << n - 1 for n in (1, 2, 3, 13, 15)]
    assert sorted(all(mask & bit for bit in terminating) for mask in blocked) == [False, True], blocked


main()
