# SPDX-License-Identifier: BSD-2-Clause
"""Podman with a store of its own, and images without a distribution: programs and what they are linked to."""
import contextlib
import glob
import os
import re
import shutil
import tarfile

from harness import Skip, run, until


def image_of(programs, path):
    """A root file system as a tar file: {where it goes: program}."""
    libraries = {file for program in programs.values()
                 for file in re.findall(r"(/\S+) \(0x", run(["ldd", program]).out.decode())}
    assert libraries, "no libraries?"
    with tarfile.open(path, "w") as tar:
        for file in sorted(libraries):
            tar.add(os.path.realpath(file), arcname=file)
        for name, program in programs.items():
            tar.add(program, arcname=name)


class Podman:
    """What it keeps goes below a folder."""

    def __init__(self, folder):
        if not shutil.which("podman"):
            raise Skip("podman is missing")
        self.folder = folder
        self.argv = ["podman", "--root", folder + "/root", "--runroot", folder + "/run", "--tmpdir", folder + "/tmp",
                     "--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none"]
        if shutil.which("runc"):  # crun refuses a hybrid of both versions of cgroups
            self.argv += ["--runtime", "runc"]

    def run(self, *argv):
        result = run(self.argv + list(argv))
        assert result.status == 0, f"{result}"
        return result.out.decode().strip()

    def settle(self):
        """Waits for what podman has started to tidy up: it writes below the folder even after `rm`."""
        until("podman has tidied up", lambda: not self.processes())

    def processes(self):
        """The command lines of all that works on the folder."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                found += [line for line in [file.read()] if self.folder.encode() in line]
        return found

    def image(self, programs, name="fdtrace-test"):
        image_of(programs, self.folder + "/image.tar")
        self.run("import", "-q", self.folder + "/image.tar", name)
        return name
