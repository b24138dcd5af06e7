#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package: the same bytes from any folder, nothing for lintian to say; installed,
upgraded, removed and purged in a Debian of its own beside the build folder.

systemd does not run there. What the maintainer scripts ask of a running one is recorded by stand-ins
for systemctl and deb-systemd-invoke; what enables (deb-systemd-helper, systemctl --root) is real.
"""
import functools
import hashlib
import os
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, FDTRACE, TOP, case, main, run

LONG_S = 400  # a build, or a Debian from a slow mirror
FRESH, ROOT = BUILD + "-debian/fresh", BUILD + "-debian/used"  # not below BUILD: make looks for *.d there
LOG = "/run/asked"
CONFIG = "/etc/fdtrace/fdtrace.yaml"
WANTED = "/etc/systemd/system/multi-user.target.wants/fdtrace.service"


def call(argv, **kwargs):
    kwargs.setdefault("timeout", LONG_S)
    said = run(argv, **kwargs)
    assert said.status == 0, said
    return said.out.decode()


def environment(**more):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**env, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
            "/usr/bin:/sbin:/bin", **more}


def build(source, build_folder, *words, umask=0o022, **env):
    """Gives the package's path."""
    said = call(["make", "-s", f"-j{os.cpu_count()}", "-C", source, f"B={build_folder}", *words, "deb"],
                umask=umask, env=environment(**env))
    return os.path.join(source, said.splitlines()[-1])


@functools.lru_cache(maxsize=None)
def package():
    return build(TOP, BUILD)


def field(name, deb=None):
    return call(["dpkg-deb", "-f", deb or package(), name]).strip()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@case("two builds in different folders, languages, zones and with other masks: one checksum")
def _():
    package()
    epoch = call(["git", "-C", TOP, "-c", "safe.directory=*", "log", "-1", "--format=%ct"]).strip()
    names = call(["git", "-C", TOP, "-c", "safe.directory=*", "ls-files", "-z"]).split("\0")
    with tempfile.TemporaryDirectory(prefix="fdtrace-elsewhere-") as folder:
        for name in filter(None, names):
            target = os.path.join(folder, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.join(TOP, name), target)
        other = build(folder, "out", f"SOURCE_DATE_EPOCH={epoch}", umask=0o077, TZ="Asia/Tokyo", LC_ALL="C.UTF-8",
                      HOME=folder)
        assert digest(os.path.join(folder, "out/deb/fdtrace")) == digest(os.path.join(BUILD, "deb/fdtrace"))
        assert digest(other) == digest(package()), call(["cmp", other, package()])


@case("lintian has nothing to say")
def _():
    said = run(["lintian", "--allow-root", "--fail-on", "error,warning", package()], env=environment(), timeout=LONG_S)
    assert said.status == 0 and not said.out, said


@case("its fields: version and architecture; what it needs is what the program is linked with")
def _():
    with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as makefile:
        version = re.search(r"^VERSION := (\S+)$", makefile.read(), re.M)[1]
    assert field("Version") == version + "-1", field("Version")
    needed = re.findall(r"NEEDED +lib(\w+)", call(["objdump", "-p", os.path.join(BUILD, "deb/fdtrace")]))
    depends = field("Depends")
    assert len(needed) > 5, needed
    for name in needed:
        name = {"c": "c6", "z": "zlib1g", "cap": "cap-ng", "yaml": "yaml-0", "pthread": "c6"}.get(name, name)
        assert name in depends, f"{name}: {depends}"


@case("root owns all; what is below /etc are conffiles; the sums are right")
def _():
    listed = call(["dpkg-deb", "-c", package()]).splitlines()
    assert len(listed) > 30, listed
    for line in listed:
        assert re.match(r"(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root/root ", line), line
    with tempfile.TemporaryDirectory() as folder:
        call(["dpkg-deb", "-R", package(), folder])
        with open(os.path.join(folder, "DEBIAN/conffiles"), encoding="ascii") as file:
            assert file.read().split() == [CONFIG, "/etc/logrotate.d/fdtrace"]
        call(["md5sum", "-c", "--quiet", "DEBIAN/md5sums"], cwd=folder)


# --- a Debian of its own ---

def suite():
    """(mirror, suite, components) by which this machine itself is kept."""
    with open("/etc/os-release", encoding="utf-8") as release:
        name = re.search(r"^VERSION_CODENAME=(\w+)", release.read(), re.M)[1]
    rows = [line.split() for line in call(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)",
                                           "Created-By: Packages"]).splitlines()]
    mirrors = [row[0] for row in rows if row[1:] == [name, "main"]]
    assert mirrors, rows
    components = {row[2] for row in rows if row[:2] == [mirrors[0], name]} & {"main", "universe"}
    return mirrors[0], name, ",".join(sorted(components))


def debian():
    """The cached one, with systemd and what the package needs."""
    mirror, name, components = suite()
    needs = sorted({re.split(r"[ |]", part.strip())[0] for part in field("Depends").split(",")} - {"libc6"} | {"systemd"})
    key = f"{mirror} {name} {components} {needs}\n"
    mark = FRESH + ".key"
    if os.path.exists(mark):
        with open(mark, encoding="utf-8") as file:
            if file.read() == key:
                return FRESH
        os.unlink(mark)
    shutil.rmtree(FRESH, ignore_errors=True)
    os.makedirs(os.path.dirname(FRESH), exist_ok=True)
    call(["debootstrap", "--variant=minbase", f"--components={components}", f"--include={','.join(needs)}", name, FRESH,
          mirror], env=environment())
    with open(mark, "w", encoding="utf-8") as file:
        file.write(key)
    return FRESH


# dpkg's own, and caches it or its triggers keep
OF_DPKG = re.compile(r"^(var/lib/dpkg|var/cache|var/log/dpkg\.log|etc/ld\.so\.cache|run/|tmp/|proc/|sys/|dev/)")


def files(root):
    found = {os.path.relpath(os.path.join(where, name), root) for where, folders, names in os.walk(root)
             for name in names + folders}
    return {name for name in found if not OF_DPKG.match(name + "/")}


class Machine:
    """A copy of that Debian to install into; with_systemd: as if it ran, stand-ins answer for it.
    Without, it is as in a container, where there is not even a systemctl.
    """

    def __init__(self, with_systemd=True):
        shutil.rmtree(ROOT, ignore_errors=True)
        call(["cp", "-a", "--reflink=auto", debian(), ROOT])
        os.rename(ROOT + "/usr/bin/systemctl", ROOT + "/usr/bin/systemctl.real")
        if with_systemd:
            os.makedirs(ROOT + "/run/systemd/system", exist_ok=True)
            note = f'#!/bin/sh\necho "${{0##*/}} $*" >> {LOG}\n'
            offline = 'case "$1" in --root=*) exec systemctl.real "$@" ;; esac\n'
            self.write("/usr/bin/deb-systemd-invoke", note, 0o755)
            self.write("/usr/bin/systemctl", note.replace("\n", "\n" + offline, 1), 0o755)
        else:
            shutil.rmtree(ROOT + "/run/systemd", ignore_errors=True)
        self.files = files(ROOT)

    def write(self, path, text, mode=0o644):
        with open(ROOT + path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(ROOT + path, mode)

    def read(self, path):
        with open(ROOT + path, encoding="utf-8") as file:
            return file.read()

    def there(self, path):
        return os.path.lexists(ROOT + path)

    def run(self, *argv):
        """In there, with this kernel's /proc and /sys, which are gone afterwards."""
        mounts = "mount --rbind /proc $0/proc && mount --rbind /sys $0/sys && mount --rbind /dev $0/dev && exec chroot $0 \"$@\""
        return run(["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, ROOT, *argv],
                   env=environment(), timeout=LONG_S)

    def must(self, *argv):
        said = self.run(*argv)
        assert said.status == 0, said
        return said.out.decode()

    def install(self, deb):
        shutil.copy(deb, ROOT + "/tmp/fdtrace.deb")
        self.must("dpkg", "-i", "--force-confold", "/tmp/fdtrace.deb")
        os.unlink(ROOT + "/tmp/fdtrace.deb")

    def expect_asked(self, *lines):
        """What systemd was asked for since the last time."""
        asked = self.read(LOG).splitlines() if self.there(LOG) else []
        self.write(LOG, "")
        assert asked == list(lines), asked


RELOAD = "systemctl --system daemon-reload"
START, RESTART, STOP = (f"deb-systemd-invoke {verb} fdtrace.service" for verb in ("start", "restart", "stop"))


def older(folder):
    """The package as an earlier version with another standard configuration had it."""
    tree, deb = os.path.join(folder, "tree"), os.path.join(folder, "older.deb")
    call(["dpkg-deb", "-R", package(), tree])
    for path, old, new in (("DEBIAN/control", f"Version: {field('Version')}", "Version: 0.0.9-1"),
                           (CONFIG.lstrip("/"), "state:", "# what an earlier version said\nstate:")):
        with open(os.path.join(tree, path), encoding="utf-8") as file:
            text = file.read()
        assert old in text, path
        with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
    call(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, deb])
    return deb


@case("installed: the program runs, understands its configuration, and sees what it sees outside")
def _():
    machine = Machine(with_systemd=False)
    machine.install(package())
    assert machine.must("fdtrace", "--version") == "fdtrace " + field("Version").rsplit("-", 1)[0] + "\n"
    machine.must("fdtrace", "--check-config", "-c", CONFIG)
    outside, inside = run([FDTRACE, "doctor"]), machine.run("fdtrace", "doctor")
    assert inside.status == outside.status, f"{outside}\n{inside}"
    assert re.findall(rb"^\w+ +BTF +.*", inside.out, re.M) == re.findall(rb"^\w+ +BTF +.*", outside.out, re.M), inside
    assert machine.there(WANTED), "not enabled"
    said = machine.run("systemd-analyze", "verify", "--man=no", "fdtrace.service")
    assert said.status == 0 and b"fdtrace" not in said.err, said


@case("without systemd nothing is asked of it, and purging leaves no file")
def _():
    machine = Machine(with_systemd=False)
    machine.install(package())
    machine.must("dpkg", "--purge", "fdtrace")
    assert files(ROOT) == machine.files, files(ROOT) ^ machine.files


@case("systemd is asked to start, to restart on an upgrade, to stop on removal")
def _():
    machine = Machine()
    with tempfile.TemporaryDirectory() as folder:
        machine.install(older(folder))
    machine.expect_asked(RELOAD, START)
    machine.install(package())
    machine.expect_asked(RELOAD, RESTART)
    machine.must("dpkg", "-r", "fdtrace")
    machine.expect_asked(STOP, RELOAD)
    machine.must("dpkg", "--purge", "fdtrace")
    assert files(ROOT) == machine.files, files(ROOT) ^ machine.files


@case("a service that cannot start does not fail the installation")
def _():
    machine = Machine()
    machine.write("/usr/bin/deb-systemd-invoke", "#!/bin/sh\nexit 1\n", 0o755)
    machine.install(package())
    assert "install ok installed" in machine.must("dpkg", "-s", "fdtrace")


@case("who has disabled the service is not overruled by an upgrade")
def _():
    machine = Machine()
    with tempfile.TemporaryDirectory() as folder:
        machine.install(older(folder))
    assert machine.there(WANTED)
    machine.must("systemctl.real", "--root=/", "disable", "fdtrace.service")
    assert not machine.there(WANTED)
    machine.install(package())
    assert not machine.there(WANTED)


@case("an upgrade brings a new configuration, but keeps a changed one; so does removal; purging takes all")
def _():
    machine = Machine()
    with tempfile.TemporaryDirectory() as folder:
        machine.install(older(folder))
        assert "an earlier version" in machine.read(CONFIG)
        machine.install(package())
        assert "an earlier version" not in machine.read(CONFIG)
        machine.install(os.path.join(folder, "older.deb"))
    mine = machine.read(CONFIG) + "summary_interval: 1h\n"
    machine.write(CONFIG, mine)
    machine.install(package())
    assert machine.read(CONFIG) == mine
    for folder in ("/var/lib/fdtrace/evidence", "/var/log/fdtrace"):
        os.makedirs(ROOT + folder)
    for path in ("/var/lib/fdtrace/reported.json", "/var/lib/fdtrace/evidence/0123456789abcdef.jsonl",
                 "/var/log/fdtrace/findings.jsonl", "/etc/fdtrace/known.yaml"):
        machine.write(path, "")
    machine.must("dpkg", "-r", "fdtrace")
    assert machine.read(CONFIG) == mine and machine.there("/var/lib/fdtrace/reported.json")
    assert not machine.there("/usr/bin/fdtrace")
    machine.must("dpkg", "--purge", "fdtrace")
    assert files(ROOT) == machine.files, files(ROOT) ^ machine.files
    shutil.rmtree(ROOT)


main()
