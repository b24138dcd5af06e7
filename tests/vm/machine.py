# SPDX-License-Identifier: BSD-2-Clause
"""A virtual machine that runs a plan: an initramfs of busybox, fdtrace and test programs, booted by qemu.

KVM is tried for some seconds, once: where it is missing, or there and does not get on, the processor
is emulated.
"""
import gzip
import os
import shutil
import subprocess
import threading

from harness import Background, Result

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MIB, CPUS = 1024, 2
KVM_S, HELLO_S, PLAN_S = 6, 120, 600
FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp", "var", "root")

_lock, _tried = threading.Lock(), {}


def pack(folder):
    """The folder as an initramfs."""
    names = sorted(os.path.relpath(os.path.join(at, name), folder)
                   for at, folders, files in os.walk(folder) for name in folders + files)
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=folder, input="\n".join(names).encode(),
                             stdout=subprocess.PIPE, check=True).stdout
    return gzip.compress(archive, 1)


def build(folder, programs, plan, files):
    """programs: name in /bin -> path of a static one. plan: shell text. files: name in / -> bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        os.makedirs(os.path.join(folder, "root", name))
    root = os.path.join(folder, "root")
    for name, path in {**programs, "busybox": shutil.which("busybox")}.items():
        shutil.copy(path, os.path.join(root, "bin", name))
    shutil.copy(os.path.join(HERE, "init.sh"), os.path.join(root, "init"))
    os.chmod(os.path.join(root, "init"), 0o755)
    for name, content in {**files, "plan": plan.encode(), "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n"}.items():
        with open(os.path.join(root, name), "wb") as file:
            file.write(content)
    path = os.path.join(folder, "initramfs.gz")
    with open(path, "wb") as file:
        file.write(pack(root))
    return path


def qemu(accelerator, kernel, initramfs, console, arguments):
    """The second serial port is stdout. Emulated processors take turns: beside each other, qemu 7.2 lets
    one run into a breakpoint in code that another has finished patching (Oops: int3 in __schedule)."""
    how = {"kvm": ["-accel", "kvm", "-cpu", "host"], "tcg": ["-accel", "tcg,thread=single", "-cpu", "max"]}
    return ["qemu-system-x86_64", *how[accelerator], "-m", str(MEMORY_MIB), "-smp", str(CPUS), "-display", "none",
            "-no-reboot", "-nodefaults", "-kernel", kernel, "-initrd", initramfs, "-serial", "file:" + console,
            "-serial", "stdio", "-append", f"console=ttyS0 quiet panic=-1 {arguments}"]


def kvm_gets_on(*what):
    """Whether a machine on KVM says hello in time."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with Background(qemu("kvm", *what)) as machine:
        try:
            machine.wait_for(b"HELLO", KVM_S)
        except AssertionError:
            return False
    return True


def accelerator(*what):
    with _lock:
        if not _tried:
            forced = os.environ.get("VM_ACCELERATOR")
            _tried["name"] = forced or ("kvm" if kvm_gets_on(*what) else "tcg")
            print(f"# the machines run by {_tried['name']}", flush=True)
    return _tried["name"]


class Outcome:
    """What a machine has told: a Result for each row of its plan."""

    def __init__(self, said, console):
        self.rows, self.console = {}, console
        name, status, parts = None, 0, {}
        for line in said.splitlines():
            word, _, rest = line.partition(b" ")
            if word == b"ROW":
                name, status = rest.decode().rsplit(" ", 1)
                parts = {b"1": [], b"2": []}
            elif word in parts and name:
                parts[word].append(rest)
            elif word == b"END" and rest.decode() == name:
                self.rows[name] = Result([name], int(status), *(b"".join(p + b"\n" for p in parts[k])
                                                                for k in (b"1", b"2")))
                name = None

    def row(self, name):
        assert name in self.rows, f"the machine told nothing of {name!r}; it ended in\n" + self.tail()
        return self.rows[name]

    def tail(self):
        return self.console.decode("utf-8", "replace")[-800:]


def boot(kernel, initramfs, console, arguments=""):
    """Runs the machine to its end; a machine that hangs is ended, and what it told until then counts."""
    what = (kernel, initramfs, console, arguments)
    with Background(qemu(accelerator(*what), *what)) as machine:
        try:
            machine.wait_for(b"HELLO", HELLO_S)
            machine.wait_for(b"END dmesg\n", PLAN_S)
            machine.finish()
        except AssertionError:
            pass  # the rows that are missing tell
        said, err = machine.out, machine.err()
    with open(console, "rb") as file:
        return Outcome(said, file.read() + err)
