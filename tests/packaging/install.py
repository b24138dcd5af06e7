#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make install and make uninstall: which files, where, with which modes; what an administrator has
changed stays.
"""
import os
import re
import stat
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, TOP, Skip, case, main, run

CONFIGURATION = {"etc/fdtrace/fdtrace.yaml", "etc/logrotate.d/fdtrace"}
BELOW_PREFIX = {
    "bin/fdtrace", "lib/systemd/system/fdtrace.service",
    "share/man/man8/fdtrace.8", "share/man/man5/fdtrace.yaml.5",
    "share/bash-completion/completions/fdtrace", "share/zsh/site-functions/_fdtrace",
    "share/fish/vendor_completions.d/fdtrace.fish",
    "share/doc/fdtrace/README.md", "share/doc/fdtrace/LICENSE",
    "share/fdtrace/finding.schema.json", "share/fdtrace/doctor.schema.json", "share/fdtrace/fleet/README.md",
    "share/fdtrace/fleet/grafana/dashboard.json", "share/fdtrace/fleet/prometheus/alerts.yaml",
    "share/fdtrace/fleet/kubernetes/daemonset.yaml", "share/fdtrace/fleet/kubernetes/kustomization.yaml",
}


def expected(prefix):
    shippers = {"share/fdtrace/fleet/shippers/" + name for name in os.listdir(os.path.join(TOP, "src/fleet/shippers"))}
    assert len(shippers) > 5, shippers
    return CONFIGURATION | {os.path.join(prefix.lstrip("/"), name) for name in BELOW_PREFIX | shippers}


def make(target, folder, *words, umask=0o022):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    said = run(["make", "-s", "-C", TOP, f"B={os.path.relpath(BUILD, TOP)}", f"DESTDIR={folder}", *words, target], env=env, umask=umask)
    assert said.status == 0, said
    return said


def files(folder):
    return {os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names}


def content(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


@case("what is listed is there, and nothing else; any umask gives the same modes")
def _():
    for prefix, words, umask in (("/usr/local", [], 0o077), ("/usr", ["PREFIX=/usr"], 0o000)):
        with tempfile.TemporaryDirectory() as folder:
            said = make("install", folder, *words, umask=umask)
            assert files(folder) == expected(prefix), files(folder) ^ expected(prefix)
            listed = {os.path.relpath(line, folder) for line in said.out.decode().splitlines()}
            assert listed == files(folder), listed ^ files(folder)
            for where, folders, names in os.walk(folder):
                for name in folders + names:
                    mode = stat.S_IMODE(os.lstat(os.path.join(where, name)).st_mode)
                    wanted = 0o755 if name in folders or where.endswith("/bin") else 0o644
                    assert mode == wanted, f"{where}/{name}: {mode:o}"


@case("it builds in a folder whose name has spaces, and the program does not name that")
def _():
    with tempfile.TemporaryDirectory(prefix="fdtrace two words ") as folder:
        for name in ("Makefile", "bpf", "include", "src", "tests", "vmlinux"):
            os.symlink(os.path.join(TOP, name), os.path.join(folder, name))
        where = os.path.join("src", "base", "map.o")
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        said = run(["make", "-s", "-C", folder, "B=build", os.path.join("build", where)], env=env)
        assert said.status == 0, said
        with open(os.path.join(folder, "build", where), "rb") as made:
            assert b"two words" not in made.read()
        said = run(["make", "-C", folder, "-n", "B=two words"], env=env)
        assert said.status == 2 and "without spaces" in said.messages, said


@case("after sudo make what was built belongs to the owner of the sources, and nothing else does")
def _():
    if os.geteuid() != 0:
        raise Skip("giving files away needs root")
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(folder + "/sources/build-asan")
        os.chown(folder + "/sources", 65534, 65534)
        os.symlink(folder, folder + "/sources/build-asan/link")
        said = run([os.path.join(TOP, "tests/lib/owned.sh"), "sh", "-c", "mkdir -p build/a && touch build/a/b kept; exit 7"],
                   cwd=folder + "/sources", env={**os.environ, "BUILD": "build"})
        assert said.status == 7, said
        owners = {name: os.lstat(f"{folder}/sources/{name}").st_uid
                  for name in ("build", "build/a", "build/a/b", "build-asan", "build-asan/link", "kept", "..")}
        assert owners == {name: 0 if name in ("kept", "..") else 65534 for name in owners}, owners


@case("the unit starts the program that was installed, and it is this one")
def _():
    for prefix in ("/usr/local", "/usr", "/opt/fdtrace"):
        with tempfile.TemporaryDirectory() as folder:
            make("install", folder, f"PREFIX={prefix}")
            unit = content(folder + prefix, "lib/systemd/system/fdtrace.service")
            programs = set(re.findall(r"^Exec(?:Start|StartPre)=(\S*fdtrace) ", unit, re.M))
            assert programs == {f"{prefix}/bin/fdtrace"}, programs
            assert unit.count("bin/fdtrace") == 2, unit
            version = re.search(r"^VERSION := (\S+)$", content(TOP, "Makefile"), re.M)[1]
            said = run([folder + programs.pop(), "--version"])
            assert said.out.decode() == f"fdtrace {version}\n", said
            said = run([f"{folder}{prefix}/bin/fdtrace", "--check-config", "-c", f"{folder}/etc/fdtrace/fdtrace.yaml"])
            assert said.status == 0, said


@case("uninstalling leaves nothing that fdtrace alone has filled")
def _():
    with tempfile.TemporaryDirectory() as folder:
        make("install", folder)
        make("uninstall", folder)
        assert not files(folder), files(folder)
        left = [where for where, _, _ in os.walk(folder) if where.endswith("/fdtrace")]
        assert not left, left
        make("uninstall", folder)  # nothing to do is no mistake


@case("a changed configuration is neither overwritten nor removed; any other file of it is")
def _():
    with tempfile.TemporaryDirectory() as folder:
        make("install", folder)
        path = os.path.join(folder, "etc/fdtrace/fdtrace.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("rules: leak\n")
        said = make("install", folder)
        assert content(path) == "rules: leak\n" and path in said.messages, said
        assert path not in said.out.decode(), said
        said = make("uninstall", folder)
        assert files(folder) == {"etc/fdtrace/fdtrace.yaml"} and path in said.messages, said


main()
