# SPDX-License-Identifier: BSD-2-Clause
"""Debian's cloud kernels: fetched by apt-get with a configuration of its own, unpacked, never installed.

The system's lists and packages are neither read nor changed, only its mirror is asked for. What
has been fetched stays in the cache: a second run needs no network.
"""
import glob
import os
import re
import shutil
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org/debian"
FETCH_S = 300

# name: suites that may have it, and what its package is called; of several the newest
KERNELS = {
    "5.10": (["bullseye"], r"linux-image-5\.10\.0-[\d.]+-cloud-amd64"),
    "6.1": (["bookworm-security", "bookworm"], r"linux-image-6\.1\.0-[\d.]+-cloud-amd64"),
    "6.12": (["bookworm-security", "trixie"], r"linux-image-6\.12\.[\w.+]+-cloud-amd64"),
    "newest": (["sid"], r"linux-image-\d[\w.+]+-cloud-amd64"),
}


class Missing(Exception):
    """The mirror does not have that kernel; says so in a line."""


class Kernel:
    """A bootable image."""

    def __init__(self, name, folder):
        self.name = name
        self.image = os.path.join(folder, "vmlinuz")
        with open(os.path.join(folder, "release"), encoding="ascii") as release:
            self.release = release.read().strip()


def mirror():
    """Where this machine gets Debian's packages from."""
    try:
        told = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
                              stdout=subprocess.PIPE, check=True, timeout=FETCH_S).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return MIRROR
    found = [uri.rstrip("/") for uri in told.split() if uri.rstrip("/").endswith("/debian")]
    return found[0] if found else MIRROR


def source_of(suite):
    uri = mirror() + ("-security" if suite.endswith("-security") else "")
    return (f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: amd64\n"
            f"Signed-By: {KEYRING}\n")


class Apt:
    """apt-get and apt-cache for one suite, with lists and packages in a folder of ours."""

    def __init__(self, folder, suite):
        self.folder, self.suite = folder, suite
        for part in ("lists/partial", "cache/archives/partial", "fetched"):
            os.makedirs(os.path.join(folder, part), exist_ok=True)
        self.write("suite.sources", source_of(suite))
        self.write("status", "")
        self.write("apt.conf", f'Dir::State "{folder}"; Dir::State::lists "{folder}/lists";\n'
                               f'Dir::State::status "{folder}/status"; Dir::Cache "{folder}/cache";\n'
                               f'Dir::Etc::sourcelist "{folder}/suite.sources"; Dir::Etc::sourceparts "-";\n'
                               'APT::Architecture "amd64"; APT::Sandbox::User "root"; Acquire::Languages "none";\n'
                               'Acquire::Check-Valid-Until "false"; APT::Update::Error-Mode "any";\n'
                               '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n')
        self.run("apt-get", "-q", "update")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def run(self, *argv):
        done = subprocess.run(argv, cwd=os.path.join(self.folder, "fetched"), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=FETCH_S, check=False,
                              env={**os.environ, "APT_CONFIG": os.path.join(self.folder, "apt.conf")})
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().replace("\n", " ")
            raise Missing(f"{' '.join(argv)} for {self.suite}: {reason}")
        return done.stdout.decode("utf-8", "replace")

    def newest(self, pattern):
        names = [n for n in self.run("apt-cache", "pkgnames", "linux-image-").split() if re.fullmatch(pattern, n)]
        return max(names, key=lambda n: [int(d) for d in re.findall(r"\d+", n)], default=None)

    def unpack(self, package, into):
        self.run("apt-get", "-q", "download", package)
        self.run("dpkg-deb", "-x", glob.glob(os.path.join(self.folder, "fetched", package + "_*"))[0], into)

    def holder(self, package):
        """The package that holds the image, where the named one only depends on it."""
        return re.search(r"Depends: (linux-binary-\S+)", self.run("apt-cache", "depends", package))[1]


def image_in(folder):
    """(path, release) of the image there."""
    for path in glob.glob(os.path.join(folder, "boot/vmlinuz-*")):
        return path, os.path.basename(path).removeprefix("vmlinuz-")
    for path in glob.glob(os.path.join(folder, "usr/lib/modules/*/vmlinuz")):
        return path, os.path.basename(os.path.dirname(path))
    return None


def fetch(name, folder, work):
    suites, pattern = KERNELS[name]
    why = []
    for suite in suites:
        try:
            apt = Apt(os.path.join(work, suite), suite)
            package = apt.newest(pattern)
            if not package:
                raise Missing(f"{suite} has no such package")
            unpacked = os.path.join(work, name)
            apt.unpack(package, unpacked)
            if not image_in(unpacked):
                apt.unpack(apt.holder(package), unpacked)
        except Missing as missing:
            why.append(str(missing))
            continue
        return keep(image_in(unpacked), folder)
    raise Missing(f"Linux {name} is not to be had: {'; '.join(why)}")


def keep(found, folder):
    image, release = found
    os.makedirs(folder, exist_ok=True)
    shutil.copy(image, os.path.join(folder, "vmlinuz"))
    with open(os.path.join(folder, "release"), "w", encoding="ascii") as file:
        file.write(release)


def kernel(name, cache):
    """The kernel of that name, fetched if the cache does not have it. Raises Missing."""
    folder, work = os.path.join(cache, name), os.path.join(cache, "work")
    if not os.path.exists(os.path.join(folder, "release")):
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        try:
            fetch(name, folder, os.path.abspath(work))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Kernel(name, folder)
