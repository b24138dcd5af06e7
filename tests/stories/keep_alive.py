# SPDX-License-Identifier: BSD-2-Clause
"""Story 5, keep-alive: gevent.pywsgi serves HTTP/1.1, its clients never close, and the limit is low.

    keep_alive.py guilty | repaired            the server: prints its port, ends with its stdin
    keep_alive.py clients PORT                 for the guilty one: never answer a close, never close
    keep_alive.py patient-clients PORT         for the repaired one: stay until the server closes
"""
import resource
import socket
import sys
import time

LIMIT = 40
CLIENTS, PATIENT_CLIENTS, WAVE = 60, 150, 15
PACE_S = 0.04  # slow enough for the forecast to come before the limit
TIMEOUT_S = 0.05
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def application(_, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]


def serve(guilty):
    from gevent import os as gevent_os
    from gevent.pywsgi import WSGIHandler, WSGIServer

    class Handler(WSGIHandler):
        def handle(self):
            if not guilty:
                self.socket.settimeout(TIMEOUT_S)
            super().handle()

    class Server(WSGIServer):
        refused = 0

        def do_read(self):
            try:
                return super().do_read()
            except OSError:
                self.refused += 1
                raise

    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    server = Server(("127.0.0.1", 0), application, backlog=CLIENTS, handler_class=Handler, log=None)
    server.start()
    print(server.server_port, flush=True)
    while gevent_os.tp_read(0, 100):
        pass
    assert bool(server.refused) == guilty, f"{server.refused} times too many open files"
    server.stop()


def clients(address):
    """Each is answered once, if at all: connecting goes on when the server can't accept any more."""
    connections = []
    for _ in range(CLIENTS):
        connection = socket.create_connection(address)
        connection.sendall(REQUEST)
        connections.append(connection)
        time.sleep(PACE_S)
    print("connected", flush=True)
    sys.stdin.read()


def patient_clients(address):
    for _ in range(PATIENT_CLIENTS // WAVE):
        wave = [socket.create_connection(address) for _ in range(WAVE)]
        for connection in wave:
            connection.sendall(REQUEST)
        for connection in wave:
            with connection, connection.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
                assert answer.read().endswith(b"\r\n\r\nok\n")  # and then the server has closed
    print("answered", flush=True)


def main():
    role = sys.argv[1]
    if role in ("guilty", "repaired"):
        serve(role == "guilty")
    else:
        (clients if role == "clients" else patient_clients)(("127.0.0.1", int(sys.argv[2])))


main()
