#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stacks wherever a process may have come from: running already, from a deleted or replaced file,
in another mount namespace, with an interpreter inside, with code made at run time, or hostile.

    tests/stacks/places.py [PART-OF-A-NAME...]
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from frames import ALL, STACKS, built, gdb_frames, parse, python_frames, stacks_of, trace
from harness import FDTRACE, PYTHON, Background, attach, case, fdtrace, main, need_tracing, until

OPENS_PY = os.path.join(STACKS, "opens.py")


def line_of(source, text):
    """The line of the only place in tests/stacks/`source` where that text stands."""
    with open(os.path.join(STACKS, source), encoding="utf-8") as lines:
        found = [n for n, line in enumerate(lines, 1) if text in line]
    assert len(found) == 1, f"{text!r} stands in {len(found)} lines of {source}"
    return found[0]


C_CALLS = [["inner", line_of("opens.c", "/* inner */")], ["outer", line_of("opens.c", "/* outer */")],
           ["main", line_of("opens.c", "/* main */")]]
PYTHON_CALLS = [["inner", line_of("opens.py", "def inner") + 1], ["outer", line_of("opens.py", "return inner(path)")],
                ["<module>", line_of("opens.py", "    outer(line")]]


def whole_c(stack, name, calls=None):
    """From the system call to _start, by the functions and lines of opens.c."""
    assert stack, f"{name}: no stack"
    assert "..." not in stack, f"{name}: cut: {stack}"
    frames = [parse(f) for f in stack]
    ours = [[function, line] for function, where, line, _ in frames if where.endswith("opens.c")]
    assert ours == (calls or C_CALLS), f"{name}: {ours}\n{stack}"
    assert frames[-1][0] == "_start", f"{name}: does not end at _start: {stack}"


def whole_python(stack, name, end=("_start",)):
    assert stack, f"{name}: no stack"
    got = python_frames(stack)
    assert got == [[OPENS_PY, line, function] for function, line in PYTHON_CALLS], f"{name}: {got}\n{stack}"
    assert "..." not in stack and parse(stack[-1])[0] in end, f"{name}: does not end at _start: {stack}"


@contextlib.contextmanager
def place():
    """A folder for a program, and in it one for what it opens."""
    with tempfile.TemporaryDirectory(prefix="fdtrace-") as folder:
        os.mkdir(folder + "/opened")
        yield folder, folder + "/opened"


@contextlib.contextmanager
def running(argv, folder=None):
    """A program that says it is ready, and then opens what it is told to."""
    env = {**os.environ, "OPENS_FOLDER": folder or ""}
    with Background(argv, env=env) as program:
        program.wait_for(b"ready")
        yield program


def tell(program, *names):
    for name in names:
        since = len(program.out)
        program.say(name.encode() + b"\n")
        program.wait_for(b"opened", since=since)


def attached(program, *names, options=()):
    """The result of fdtrace that is attached while the program opens these."""
    need_tracing()
    with attach(program.pid, *ALL, *options) as tracer:
        tell(program, *names)
        return tracer.interrupt()


# --- where a process comes from ---

@case("-p of a running C program: its first event has a whole stack")
def attach_c():
    with place() as (_, opened), running([built("opens"), opened]) as program:
        result = attached(program, "first")
        whole_c(stacks_of(result.out, opened).get("first"), "first")


@case("-p of a running Python program: its first event has a whole stack")
def attach_python():
    with place() as (_, opened), running([PYTHON, OPENS_PY], opened) as program:
        result = attached(program, "first")
        whole_python(stacks_of(result.out, opened).get("first"), "first")


def text_of(name):
    with open(name, "rb") as text:
        return text.read()


def wait_until_known(tracer, program):
    """For the table of every file the program runs code of."""
    with open(f"/proc/{program.pid}/maps", encoding="utf-8") as maps:
        files = {line.rstrip("\n").split(None, 5)[5] for line in maps if "r-xp" in line and "/" in line}
    for file in files:
        tracer.wait_for_message(b"unwind table of %s:" % file.encode())


@case("-a: programs started when their files are known have whole stacks")
def everything():
    need_tracing()
    c, python = [built("opens")], [PYTHON, OPENS_PY]
    with place() as (folder, opened), Background([FDTRACE, *ALL, "-vv", "-o", folder + "/out", "-a"]) as tracer:
        until("it traces", lambda: os.path.exists(folder + "/out") and b"fdtrace.state" in text_of(folder + "/out"))
        for command in (c, python):
            with running([*command, opened], opened) as program:
                tell(program, "learn")
                wait_until_known(tracer, program)
        with running([*c, opened], opened) as program:
            tell(program, "c")
        with running(python, opened) as program:
            tell(program, "python")
        result = tracer.interrupt()
        found = stacks_of(text_of(folder + "/out"), opened)
        whole_c(found.get("c"), f"c: {result.status}")
        whole_python(found.get("python"), "python")


@case("a program whose file was deleted: functions and lines are still right")
def deleted():
    with place() as (folder, opened):
        program = shutil.copy(built("opens"), folder + "/program")
        with running([program, opened]) as process:
            os.unlink(program)
            result = attached(process, "first")
            whole_c(stacks_of(result.out, opened).get("first"), "first")


@case("a program whose file was replaced by another: functions and lines are still its own")
def replaced():
    with place() as (folder, opened):
        program = shutil.copy(built("opens"), folder + "/program")
        with running([program, opened]) as process:
            os.rename(shutil.copy(built("calls"), folder + "/other"), program)
            result = attached(process, "first")
            whole_c(stacks_of(result.out, opened).get("first"), "first")


@case("another mount namespace, where another file stands under the name: functions and lines are its own")
def mount_namespace():
    with place() as (folder, opened):
        name = shutil.copy(built("calls"), folder + "/program")
        script = 'mount --bind "$1" "$2" && exec "$2" "$3"'
        command = ["unshare", "-m", "sh", "-c", script, "sh", built("opens"), name, opened]
        with running(command) as process:
            result = attached(process, "first")
            whole_c(stacks_of(result.out, opened).get("first"), "first")


@case("a root of its own: functions and lines are right")
def root_of_its_own():
    with place() as (folder, opened):
        shutil.copy(built("opens"), folder + "/program")
        listed = subprocess.run(["ldd", built("opens")], stdout=subprocess.PIPE, check=True).stdout.decode()
        for library in re.findall(r"(/\S+) \(0x", listed):
            os.makedirs(folder + os.path.dirname(library), exist_ok=True)
            shutil.copy(library, folder + library)
        with running(["chroot", folder, "/program", "/opened"]) as process:
            result = attached(process, "first")
            whole_c(stacks_of(result.out, opened).get("first"), "first")


@case("an interpreter inside another program (gdb): its Python frames")
def embedded():
    with place() as (_, opened), running(["gdb", "-nx", "-q", "-batch", "-x", OPENS_PY], opened) as process:
        result = attached(process, "first")
        # gdb is stripped, even of the name of _start
        whole_python(stacks_of(result.out, opened).get("first"), "first", (None,))


@case("a child of the subprocess module shows the Python line that started it: vfork, posix_spawn")
def children():
    need_tracing()
    script = os.path.join(STACKS, "spawns.py")
    result = fdtrace(*ALL, "--", PYTHON, script)
    assert result.status == 0, f"{result}"
    events = [json.loads(line) for line in result.out.splitlines() if b"fdtrace.event" in line]
    parent = events[0]["process"]["pid"]
    lines = {"by_vfork": line_of("spawns.py", 'stdout=subprocess.PIPE, check'), "by_posix_spawn": line_of("spawns.py", "close_fds=False")}
    for function, line in lines.items():
        wanted = [script, line, function]
        ops = {e["fdtrace"]["op"] for e in events if e["process"]["pid"] != parent
               and wanted in python_frames(e["fdtrace"].get("stack"))}
        assert "dup2" in ops or "close" in ops, f"{function}: {ops}\n{result}"


# --- what is taken ---

@case("--stacks: native has no Python frames, python has nothing else, off has nothing at all")
def modes():
    for mode in ("native", "python", "off"):
        with place() as (_, opened), running([PYTHON, OPENS_PY], opened) as program:
            result = attached(program, "first", options=["--stacks=" + mode])
            stack = stacks_of(result.out, opened)["first"]
        native = [f for f in stack or [] if parse(f)[3] is not None]
        told = f"{mode}: {stack}"
        if mode == "native":
            assert parse(stack[-1])[0] == "_start" and not python_frames(stack), told
            assert any(parse(f)[0] == "_PyEval_EvalFrameDefault" for f in stack), told
        elif mode == "python":
            assert len(python_frames(stack)) == len(stack) == len(PYTHON_CALLS) and not native, told
        else:
            assert not stack, told


def native_addresses(stack):
    return [[where, address] for _, where, _, address in map(parse, stack) if address is not None]


@case("Debian's stripped python3: its native frames are gdb's, but for the evaluation of Python's")
def stripped_python():
    script = ("import os\n"
              "def opened(name):\n"
              "    return os.open(os.environ['GDB_FRAMES_FOLDER'] + '/' + name, os.O_RDWR | os.O_CREAT)\n"
              "opened('plain')\n"
              "sorted([2, 1], key=lambda n: opened('key%d' % n))\n"
              "list(map(opened, ['map']))\n"
              "class Closing:\n"
              "    def __del__(self): opened('del')\n"
              "Closing()\n"
              "exec('opened(\"exec\")')\n")
    with place() as (_, opened):
        command = [os.path.realpath(PYTHON), "-S", "-E", "-c", script]
        gdbs = gdb_frames(opened, *command)
        for name in os.listdir(opened):
            os.unlink(os.path.join(opened, name))
        os.environ["GDB_FRAMES_FOLDER"] = opened
        ours, _ = trace(opened, *command)
    assert sorted(gdbs) == ["del", "exec", "key1", "key2", "map", "plain"], sorted(gdbs)
    for name, frames in gdbs.items():
        wanted = [[module, address] for function, _, _, module, address in frames
                  if module and function != "_PyEval_EvalFrameDefault"]
        assert native_addresses(ours[name]) == wanted, f"{name}: {ours[name]}\n{frames}"
        runs = sum(1 for frame in frames if frame[0] == "_PyEval_EvalFrameDefault")
        assert 0 < runs <= len(python_frames(ours[name])), f"{name}: {ours[name]}\n{frames}"


@case("stacks.budget=0%: errors carry stacks, nothing else does")
def no_budget():
    need_tracing()
    script = "import os\nfor i in range(200):\n    fd = os.open('/dev/null', 0)\n    os.close(fd)\n    try: os.close(fd)\n    except OSError: pass\n"
    result = fdtrace("--json=full", "-e", "--set", "stacks.budget=0%", "--", PYTHON, "-c", script)
    assert result.status == 0, f"{result}"
    events = [r["fdtrace"] for r in result.dataset("event")]
    failed = [e for e in events if "error" in e or "errno" in e]
    assert len(failed) >= 200 and all(e.get("stack") for e in failed), f"{failed[:3]} of {len(failed)}"
    others = [e for e in events if e not in failed and e.get("stack")]
    assert not others, f"{others[:3]}"


def fingerprints(*names):
    """Of what opens.c, run anew, leaves open: {label: fingerprint}."""
    need_tracing()
    with place() as (folder, opened):
        result = fdtrace("-j", "--set", "stacks.budget=100%", "-o", folder + "/out", "--", built("opens"), opened,
                         text="".join(n + "\n" for n in names).encode())
        with open(folder + "/out", "rb") as out:
            result.out = out.read()
    assert result.status == 0, f"{result}"
    found = [f["fdtrace"] for f in result.findings if f["rule"]["id"] == "leak.exit"]
    assert found, f"{result}"
    return {f["opened"]["stack"][1]: f["fingerprint"] for f in found}


@case("the fingerprint of a finding is the same in each run; another function's is another")
def same_fingerprint():
    first, again, other = fingerprints("a", "b"), fingerprints("c"), fingerprints("other")
    assert list(first.values()) == list(again.values()), f"{first} {again}"
    assert not set(first.values()) & set(other.values()), f"{first} {other}"


SCRIPT = """import os, helpers
def descend(depth):
    return descend(depth - 1) if depth else helpers.inner()
descend({depth})
os._exit(0)
"""


def script_fingerprint(folder, depth):
    """Of a script and its module in that folder, which leave a descriptor open in a recursion."""
    os.makedirs(folder)
    for name, text in (("helpers.py", "import os\ndef inner():\n    return os.open('/dev/null', 0)\n"),
                       ("main.py", SCRIPT.format(depth=depth))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(text)
    result = fdtrace("-j", "--set", "stacks.budget=100%", "-o", folder + "/out", "--", PYTHON, folder + "/main.py")
    result.out = text_of(folder + "/out")
    assert result.status == 0, f"{result}"
    found = [f["fdtrace"] for f in result.findings if f["rule"]["id"] == "leak.exit"]
    assert len(found) == 1 and "inner" in str(found[0]["opened"]["stack"]), f"{result}"
    return found[0]["fingerprint"]


@case("the folder of a script and the depth of its recursion are no part of the fingerprint")
def released_again():
    need_tracing()
    with place() as (folder, _):
        prints = {script_fingerprint(folder + path, depth)
                  for path, depth in (("/srv/app", 1), ("/releases/20261129", 1), ("/releases/20261130/app", 4))}
    assert len(prints) == 1, prints


def names_of(result, opened):
    """What a program and the frames of an opening are called: (executable, frames), and the fingerprints of it."""
    assert result.status == 0, f"{result.status}\n{result.messages}"
    records = [json.loads(line) for line in result.out.splitlines() if line.startswith(b"{")]
    found = [r for r in records if r["fdtrace"].get("fingerprint") and r.get("rule", {}).get("id") == "leak.exit"]
    programs = {r["process"]["executable"] for r in records if r.get("process", {}).get("name") == "alias"
                and "executable" in r["process"]}
    frames = [frame for frame in stacks_of(result.out, opened)["a"] if "opens" in frame or "libc" in frame]
    return (programs, frames), [r["fdtrace"]["fingerprint"] for r in found]


@case("a program that is run by a link has one name, run by fdtrace, by a shell, or attached to; one fingerprint")
def one_name():
    need_tracing()
    with place() as (folder, opened):
        link = folder + "/alias"
        os.symlink(os.path.realpath(built("opens")), link)
        names, prints = [], []
        for command in ([link, opened], ["/bin/sh", "-c", f"{link} {opened}; :"]):
            result = fdtrace(*ALL, "-o", folder + "/out", "--", *command, text=b"a\n")
            result.out = text_of(folder + "/out")
            names.append(names_of(result, opened)[0])
            prints.append(names_of(result, opened)[1])
        with Background([link, opened]) as process:
            process.wait_for(b"ready")
            with attach(process.pid, *ALL) as tracer:
                process.say(b"a\n")
                assert process.finish().status == 0
                names.append(names_of(tracer.finish(), opened)[0])
        assert names[0] == names[1] == names[2], names
        assert names[0][0] == {os.path.realpath(link)}, names
        assert prints[0] == prints[1] and len(prints[0]) == 1, prints


@case("the first stack of a program is whole, wherever in a page it begins")
def first_stacks():
    need_tracing()
    with place() as (folder, opened), Background([FDTRACE, *ALL, "-o", folder + "/out", "--", "/bin/sh"]) as shell:
        def seen():
            whole = text_of(folder + "/out").rpartition(b"\n")[0] if os.path.exists(folder + "/out") else b""
            return stacks_of(whole, opened)

        def first_stack(name):
            """Of a program that nobody has seen yet; the kernel chooses where in a page its stack begins."""
            shell.say(f"cp {built('opens')} {folder}/{name}; echo {name} | {folder}/{name} {opened}\n".encode())
            return until(f"the event of {name}", lambda: seen().get(name))

        tries = iter(range(1000))  # until the C library is known
        until("a whole stack", lambda: "_start (" in " ".join(first_stack(f"warm{next(tries)}")[-1:]))
        # Nine or so begin where a page above was never touched. A program may end before its file is had: then
        # there is no more than its innermost frame.
        stacks = [stack for stack in (first_stack(f"new{i}") for i in range(32)) if len(stack) > 3]
        assert len(stacks) >= 16 and all(stack[-1].startswith("_start (") for stack in stacks), stacks
        shell.say(b"exit\n")
        assert shell.finish().status == 0


# --- programs that live for a millisecond ---

def brief_finding(folder, argument=""):
    """Of brief.c, run by a shell as a file that nobody has seen yet."""
    program = shutil.copy(built("brief"), os.path.join(folder, "brief"))
    result = fdtrace("--json=full", "--set", "stacks.budget=100%", "-o", folder + "/out", "--", "/bin/sh", "-c",
                     f"{program} {argument}; :")
    with open(folder + "/out", "rb") as out:
        result.out = out.read()
    assert result.status == 0, f"{result}"
    found = [f["fdtrace"] for f in result.findings if f["rule"]["id"] == "close.double"]
    assert len(found) == 1, f"{result}"
    return found[0]


def stacks_in(value):
    """All stacks in what JSON gave."""
    if isinstance(value, dict):
        if isinstance(value.get("stack"), list):
            yield value["stack"]
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from stacks_in(part)


@case("a static, stripped program that lives for a millisecond: five runs, whole stacks, no raw address, one fingerprint")
def brief():
    need_tracing()
    prints = set()
    for _ in range(5):
        with tempfile.TemporaryDirectory(prefix="fdtrace-") as folder:
            found = brief_finding(folder)
        prints.add(found["fingerprint"])
        stacks = list(stacks_in(found))
        assert stacks, found
        for stack in stacks:
            assert len(stack) > 3 and "..." not in stack, stack
            assert all(re.fullmatch(r"\?\? \(brief\+0x[0-9a-f]+\)", frame) for frame in stack), stack
    assert len(prints) == 1, prints
    with tempfile.TemporaryDirectory(prefix="fdtrace-") as folder:
        assert brief_finding(folder, "other")["fingerprint"] not in prints, "two bugs share a fingerprint"


# --- code made at run time ---

@contextlib.contextmanager
def jit(*options):
    with place() as (_, opened), running([built("jit"), opened, *options]) as program:
        name = f"/tmp/perf-{program.pid}.map"
        try:
            yield opened, program, name
        finally:
            if os.path.lexists(name):
                os.unlink(name)


def functions(stack):
    return [re.sub(r" \(.*", "", frame) for frame in stack]


@case("code made at run time: its name from the map for perf, the frames below by its frame pointer")
def jitted():
    with jit() as (opened, program, _):
        stack = stacks_of(attached(program, "").out, opened)["jitted"]
        assert functions(stack)[1:5] == ["callback", "jitted_function", "run", "main"], stack
        assert functions(stack)[-1] == "_start", stack


@case("a frame pointer that points to itself: what it leads to is no code, and so no frame")
def pointer_loop():
    with jit("loop") as (opened, program, _):
        stack = stacks_of(attached(program, "").out, opened)["jitted"]
        assert functions(stack)[1:] == ["callback", "jitted_function", "..."], stack


def fifo(name):
    os.mkfifo(name)


def link(name):
    os.symlink("/etc/passwd", name)


def device(name):
    os.symlink("/dev/zero", name)


def garbage(name):
    """100 MiB: lines that look right, and then bytes of all kinds."""
    lines = b"".join(b"%x 10 function_%d\n" % (i * 16, i) for i in range(20000)) + bytes(range(256)) * 400
    with open(name, "wb") as out:
        for _ in range((100 << 20) // len(lines) + 1):
            out.write(lines)


@case("a map for perf that is a FIFO, a link, a device, 100 MiB of garbage: read not at all or in part, in time")
def hostile_maps():
    for make in (fifo, link, device, garbage):
        with jit() as (opened, program, name):
            make(name)
            stack = stacks_of(attached(program, "", options=["--verify"]).out, opened)["jitted"]
            assert functions(stack)[1:4] in (["callback", "??", "run"], ), f"{make.__name__}: {stack}"


# --- hostile processes ---

@case("a process that looks like CPython, moves its stack and truncates its library: every event, no difference")
def hostile():
    need_tracing()
    with place() as (folder, opened):
        library = shutil.copy(built("libhidden.so"), folder + "/library.so")
        with Background([built("hostile"), opened, library]) as process:
            process.wait_for(b"ready")
            with attach(process.pid, *ALL, "--verify") as tracer:
                process.say(b"\n")
                said = process.finish()
                result = tracer.finish()
        assert said.status == 0 and result.status == 0, f"{said}\nfdtrace: {result.status}\n{result.messages}"
        for line in said.out.decode().splitlines():
            if "fatal here" in line:
                print(f"# not tried: {line}", flush=True)
        assert "0 differences" in result.messages, result.messages
        found = stacks_of(result.out, opened)
        assert sorted(found) == sorted(os.listdir(opened)), set(os.listdir(opened)) ^ set(found)
        assert [f[2] for f in python_frames_of_names(found["sane"])] == ["abc"], found["sane"]


def python_frames_of_names(stack):
    return [[where, line, function] for function, where, line, address in map(parse, stack) if where == "abc"]


main()
