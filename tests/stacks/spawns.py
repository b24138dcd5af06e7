# SPDX-License-Identifier: BSD-2-Clause
"""Starts children as the subprocess module does: by vfork, and by posix_spawn."""
import subprocess


def by_vfork():
    subprocess.run(["/bin/true"], stdout=subprocess.PIPE, check=True)


def by_posix_spawn():
    subprocess.run(["/bin/true"], stdout=subprocess.PIPE, close_fds=False, check=True)


by_vfork()
by_posix_spawn()
