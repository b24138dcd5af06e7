# SPDX-License-Identifier: BSD-2-Clause
"""Story 5, keep-alive: clients never close, the server has no timeout and a low limit.

    keep_alive.py guilty | repaired
"""
import http.server
import resource
import socket
import sys
import threading

LIMIT = 40
CLIENTS = 60
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.05 if sys.argv[1] == "repaired" else None

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = CLIENTS  # connects succeed in the backlog while accept fails
    full = threading.Event()

    def get_request(self):
        try:
            return super().get_request()
        except OSError:
            self.full.set()
            raise


def client(address):
    """The clients' process: each connection is answered once and never closed by us."""
    connections = []
    for _ in range(CLIENTS):
        connection = socket.create_connection(address)
        connection.sendall(REQUEST)
        connections.append(connection)
        if sys.argv[1] == "repaired":
            assert connection.recv(100).startswith(b"HTTP/1.1 200"), "no answer"
            assert connection.makefile("rb").read() is not None  # until the server's timeout closes it
    print("connected", flush=True)
    sys.stdin.read()


def main():
    if len(sys.argv) > 2:
        client(("127.0.0.1", int(sys.argv[2])))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    assert server.full.is_set() == (sys.argv[1] == "guilty")
    server.shutdown()
    server.server_close()


main()
