# SPDX-License-Identifier: BSD-2-Clause
"""Story 2, auto-reload by exec: a CherryPy server re-executes itself whenever its source changes.
Its logs are opened without close-on-exec; each new interpreter knows nothing of them.

    reload.py guilty PORT       CherryPy's marking of every number is switched off
    reload.py unmodified PORT   CherryPy as it comes: before the exec it marks every number
    reload.py repaired PORT     not marked, either, but the logs are opened close-on-exec

The current folder keeps the logs, the file that is edited and a letter for each image so far.
"""
import ctypes
import logging
import os
import resource
import sys

import cherrypy

RESTARTS = 4
LIMIT = 2019  # 2,016 numbers to look at from 3 on
VARIANT, PORT = sys.argv[1], int(sys.argv[2])
EDITED, IMAGES = "application.py", "images"


class OldLibraryHandler(logging.FileHandler):
    """Logs by way of a C library that has never heard of O_CLOEXEC."""

    def _open(self):
        number = ctypes.CDLL(None).open(os.fsencode(self.baseFilename), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        assert number >= 0, self.baseFilename
        return os.fdopen(number, "a")


def configure():
    cherrypy.config.update({
        "server.socket_host": "127.0.0.1",
        "server.socket_port": PORT,
        "engine.autoreload.frequency": 0.05,
        "checker.on": False,
        "engine.autoreload.match": "^$",  # no module's file, only the one that is edited
        "log.screen": False,
    })
    handler = logging.FileHandler if VARIANT == "repaired" else OldLibraryHandler
    for log, name in ((cherrypy.log.error_log, "error.log"), (cherrypy.log.access_log, "access.log")):
        log.addHandler(handler(name))
    if VARIANT != "unmodified":
        cherrypy.engine.max_cloexec_files = 0


def count_image():
    with open(IMAGES, "a", encoding="ascii") as images:
        images.write("x")
    return os.stat(IMAGES).st_size


def edit(times):
    """Dates the file into the future, later each time, under the eyes of the reloader."""
    with open(EDITED, "a", encoding="ascii"):
        pass
    cherrypy.engine.autoreload.files.add(EDITED)
    cherrypy.engine.autoreload.mtimes[EDITED] = os.stat(EDITED).st_mtime
    date = os.stat(EDITED).st_mtime + 10 * times
    os.utime(EDITED, (date, date))


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    configure()
    cherrypy.engine.start()
    images = count_image()
    if images <= RESTARTS:
        edit(images)
        cherrypy.engine.block()  # and execute this program anew
    else:
        cherrypy.engine.exit()


main()
