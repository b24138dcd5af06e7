# SPDX-License-Identifier: BSD-2-Clause
"""What the fleet tests share: the shippers of this machine, or unpacked by `make deps-test`, and
their configurations from src/fleet/shippers with other names, ports and folders put in."""
import glob
import os
import shutil
import signal

from harness import BUILD, DEADLINE_S, TOP, Background, until

SHIPPERS = os.path.join(TOP, "src", "fleet", "shippers")
UNPACKED = os.path.join(BUILD, "packages")


def library_folders():
    found = glob.glob(UNPACKED + "/usr/lib/*-linux-gnu") + glob.glob(UNPACKED + "/usr/lib/syslog-ng")
    return found + glob.glob(UNPACKED + "/usr/lib/*-linux-gnu/systemd")


def unpacked_environment():
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(library_folders()), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def executable(name):
    """The unpacked program, or the machine's own."""
    for folder in ("/usr/sbin", "/usr/bin", "/bin", "/lib/systemd"):
        if os.access(UNPACKED + folder + "/" + name, os.X_OK):
            return UNPACKED + folder + "/" + name
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd")
    assert found, f"{name} is not here: make deps-test"
    return found


def modules(pattern):
    """The folder with the unpacked program's modules; None: it knows its own."""
    return next(iter(glob.glob(UNPACKED + pattern)), None)


def configured(name, changes, folder=SHIPPERS):
    """The text of a configuration file with each key of `changes` replaced, as an operator would
    by sed. A key that isn't in the file is a mistake of the test or of the file's comment."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        text = file.read()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def read_lines(*paths):
    """Whole lines of files, as bytes without the newline; none of a file that isn't there yet."""
    lines = []
    for path in paths:
        if os.path.exists(path):
            with open(path, "rb") as file:
                lines += file.read().split(b"\n")[:-1]
    return lines


class Daemon:
    """A shipper or collector that can be ended and started again with the same folders."""

    def __init__(self, argv, within=()):
        self.argv, self.within, self.child = [*within, *argv], within, None

    def start(self):
        assert self.child is None
        self.child = Background(self.argv, env=unpacked_environment())
        return self

    def end(self, number=signal.SIGTERM):
        child, self.child = self.child, None
        with child:
            os.kill(child.pid, number)
            child.child.wait(DEADLINE_S)

    def hangup(self):
        os.kill(self.child.pid, signal.SIGHUP)

    def said(self):
        return self.child.err().decode("utf-8", "replace")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.child:
            self.end(signal.SIGKILL)


def rsyslog(folder, name, changes, within=()):
    """rsyslogd with its configuration, state and queue in `folder`, which is made."""
    os.makedirs(folder, exist_ok=True)
    state = f'global(workDirectory="{folder}")\n'
    config = write(folder + "/rsyslog.conf", state + configured(name, changes))
    argv = [executable("rsyslogd"), "-n", "-f", config, "-i", folder + "/pid"]
    own = modules("/usr/lib/*/rsyslog")
    return Daemon(argv + (["-M", own] if own else []), within)


def syslog_ng(folder, name, changes, within=()):
    os.makedirs(folder, exist_ok=True)
    config = write(folder + "/syslog-ng.conf", configured(name, changes))
    argv = [executable("syslog-ng"), "--foreground", "--no-caps", "--stderr", "-f", config,
            "-R", folder + "/persist", "-p", folder + "/pid", "-c", folder + "/control"]
    own = modules("/usr/lib/syslog-ng/3.*") or modules("/usr/lib/syslog-ng/[0-9]*")
    return Daemon(argv + (["--module-path", own] if own else []), within)
