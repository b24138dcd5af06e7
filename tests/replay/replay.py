#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A recording tells what the live run told, to anybody; and whatever has happened to the file,
replay ends in time with a documented status and never crashes.

The recordings are made here, by tracing; where that is not possible the cases are skipped.
With REPLAY_WRAPPER in the environment (valgrind ...) fdtrace replay runs under that.
"""
import functools
import os
import random
import shlex
import shutil
import struct
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (BUILD, FDTRACE, NOBODY, add_case, case, main, need_tracing, program, run)

RECORDER = os.environ.get("FDTRACE_RECORDER", FDTRACE)  # a sanitizer build may be no good for tracing
WRAPPER = shlex.split(os.environ.get("REPLAY_WRAPPER", ""))
THOROUGH = not WRAPPER  # under valgrind each run costs a second
HEADER = 24
STATUS_DAMAGED = (0, 3)
SECONDS = 60

PROGRAMS = {
    "mix": ([], ["mix", "guilty"]),
    "unowned": ([], ["unowned", "number-reused"]),
    "sweep": ([], ["sweep", "hits-other-threads"]),
    "reload": ([], ["inherit", "reload"]),
    "emfile": ([], ["emfile", "guilty"]),
    "growth": (["--set", "leak.window=200ms", "--set", "leak.min_age=500ms", "--set", "leak.min_count=16"],
               ["growth", "near"]),
}

_folder = tempfile.mkdtemp(prefix="fdtrace-replay-")
os.chmod(_folder, 0o755)


def path(name):
    return os.path.join(_folder, name)


def live_program(name):
    """Beside the recorder: a sanitizer build has no live programs of its own."""
    own = program(name)
    return own if os.path.exists(own) else os.path.join(os.path.dirname(RECORDER), "tests", "live", name)


@functools.lru_cache(maxsize=None)
def recording(name):
    """The recorded bytes and the finding lines of the live run."""
    need_tracing()
    options, argv = PROGRAMS[name]
    result = run([RECORDER, "-j", "-o", path(name + ".json"), "-r", path(name), *options, "--",
                  live_program(argv[0]), *argv[1:]])
    assert result.status in (0, 7), f"{result}"
    with open(path(name), "rb") as f, open(path(name + ".json"), "rb") as lines:
        return f.read(), finding_lines(lines.read())


def finding_lines(data):
    return [line for line in data.splitlines() if b'"dataset":"fdtrace.finding"' in line]


def replay(name, *options, **kwargs):
    return run([*WRAPPER, FDTRACE, "replay", *options, path(name)], timeout=SECONDS, **kwargs)


def same_findings(name):
    def check():
        _, expected = recording(name)
        assert expected, "the live run found nothing"
        result = replay(name, "-j")
        assert result.status == 0, f"{result}"
        seen = finding_lines(result.out)
        assert seen == expected, "live:\n%s\nreplayed:\n%s" % tuple(
            b"\n".join(lines).decode("utf-8", "replace") for lines in (expected, seen))
    return check


for _name in PROGRAMS:
    add_case(f"{_name}: a replay finds the same, byte for byte", same_findings(_name))


@case("without any privilege, and from stdin")
def unprivileged():
    data, expected = recording("mix")
    os.chmod(path("mix"), 0o644)
    shutil.copy(FDTRACE, path("fdtrace"))
    os.chmod(path("fdtrace"), 0o755)
    result = run([*NOBODY, path("fdtrace"), "replay", "-j", path("mix")])
    assert result.status == 0 and finding_lines(result.out) == expected, f"{result}"
    with open(path("mix"), "rb") as stdin:
        result = run([*NOBODY, path("fdtrace"), "replay", "-j", "-"], stdin=stdin)
    assert result.status == 0 and finding_lines(result.out) == expected, f"{result}"
    assert len(data) > HEADER


@case("--error-exitcode, --rules and text work on a recording")
def options():
    recording("unowned")
    assert replay("unowned", "-j", "--error-exitcode", "9").status == 9
    result = replay("unowned", "-j", "--rules", "leak")
    assert result.status == 0 and not finding_lines(result.out), f"{result}"
    text = replay("unowned")
    assert b"error[close.unowned]" in text.out and b"\x1b" not in text.out, f"{text}"


# --- files that are no recordings ---

def no_recording(name, content, *words):
    def check():
        with open(path("bad"), "wb") as f:
            f.write(content() if callable(content) else content)
        result = replay("bad", "-j")
        assert result.status == 3, f"expected status 3\n{result}"
        assert not finding_lines(result.out), f"{result}"
        for word in words:
            assert word in result.messages.lower(), f"{word!r} is not said\n{result}"
    add_case(name, check)


def with_header(offset, fmt, value):
    def content():
        data = bytearray(recording("mix")[0])
        struct.pack_into(fmt, data, offset, value)
        return bytes(data)
    return content


no_recording("an empty file", b"", "empty")
no_recording("a text file", b"hello\n" * 100, "not a recording")
no_recording("a header cut in the middle", lambda: recording("mix")[0][:HEADER - 5])
no_recording("another magic", with_header(0, "<8s", b"fdtracE\n"), "not a recording")
no_recording("another ABI", with_header(12, "<I", 77), "77")
no_recording("another byte order", with_header(8, "<I", 0x04030201), "byte order")
no_recording("a header that claims 4 GiB", with_header(16, "<I", 0xffffffff))
no_recording("a header that claims nothing", with_header(16, "<I", 0))


@case("a recording that is not there, and a folder")
def not_a_file():
    for wrong in ("nowhere", "."):
        result = replay(wrong, "-j")
        assert result.status == 3 and result.messages.startswith("fdtrace: "), f"{result}"


# --- recordings that something happened to ---

def survives(data, what):
    with open(path("damaged"), "wb") as f:
        f.write(data)
    result = replay("damaged", "-j")
    assert result.status in STATUS_DAMAGED, f"{what}\n{result}"
    if result.status:
        assert result.messages.startswith("fdtrace: "), f"{what}\n{result}"
    result.records()
    return result


def records(data):
    """The recording as a list of byte strings: header first, then its records."""
    parts, at = [data[:HEADER]], HEADER
    while at < len(data):
        size = struct.unpack_from("<H", data, at + 2)[0]
        step = (size + 7) // 8 * 8
        assert size >= 32 and at + step <= len(data), f"record of {size} bytes at {at} of {len(data)}"
        parts.append(data[at:at + step])
        at += step
    return parts


@case("the recording is whole: every record has its size")
def whole():
    for name in PROGRAMS:
        assert len(records(recording(name)[0])) > 10


@case("cut at every KiB")
def cut():
    data, _ = recording("mix")
    step = 1024 if THOROUGH else max(1024, len(data) // 20 // 8 * 8 + 4)
    for length in range(step, len(data), step):
        survives(data[:length], f"cut at {length}")
    result = survives(data[:len(data) // 2 + 3], "cut in the middle of a record")
    assert result.status != 0 or result.messages, f"a cut tail is not told\n{result}"


@case("flipped bytes")
def flipped():
    data, _ = recording("mix")
    chance = random.Random(1)
    for round_number in range(200 if THOROUGH else 15):
        damaged = bytearray(data)
        for _ in range(1 + round_number % 20):
            damaged[chance.randrange(HEADER, len(data))] ^= 1 << chance.randrange(8)
        survives(bytes(damaged), f"flipped, round {round_number} of seed 1")


@case("records doubled, dropped, reordered, reversed")
def reordered():
    chance = random.Random(2)
    for name in PROGRAMS:
        head, *parts = records(recording(name)[0])
        shuffled = parts[:]
        chance.shuffle(shuffled)
        variants = {"each twice": [p for p in parts for _ in (0, 1)], "twice over": parts + parts,
                    "reversed": parts[::-1], "shuffled": shuffled,
                    "every third missing": [p for i, p in enumerate(parts) if i % 3],
                    "without its beginning": parts[len(parts) // 2:],
                    "no end of one record": [parts[0]] * 5000}
        for what, order in variants.items():
            survives(head + b"".join(order), f"{name}: {what}")


def with_fields(name, offset, fmt, value, kinds=None):
    """Every record (of these kinds) says this at that offset."""
    head, *parts = records(recording(name)[0])
    changed = []
    for part in parts:
        part = bytearray(part)
        if (kinds is None or part[0] in kinds) and offset + struct.calcsize(fmt) <= len(part):
            struct.pack_into(fmt, part, offset, value)
        changed.append(bytes(part))
    return head + b"".join(changed)


@case("lies: huge numbers, sizes, times and counts")
def lies():
    slot, vec, words, task, error = 1, 2, 3, 4, 5
    for name in ("mix", "sweep"):
        for kinds, offset, fmt, values in (
                ({slot, error}, 32, "<i", (-1, -2**31, 2**31 - 1, 2**30)),          # fd
                ({vec, words}, 32, "<I", (2**32 - 64, 63, 2**31)),                  # first_fd
                ({vec, words}, 36, "<I", (0, 1, 2**32 - 1)),                        # max_fds
                ({error}, 40, "<I", (0, 2**32 - 1)),                                # count
                (None, 1, "<B", (0, 255)),                                          # op
                (None, 0, "<B", (0, 255)),                                          # kind
                (None, 2, "<H", (0, 1, 31, 33, 4096, 65535)),                       # size
                (None, 4, "<H", (65535,)),                                          # syscall
                (None, 6, "<H", (0, 65535)),                                        # flags
                (None, 8, "<I", (0, 2**32 - 1)),                                    # tgid
                (None, 16, "<Q", (0, 2**64 - 1, 2**63)),                            # time
                (None, 24, "<Q", (0, 1)),                                           # table
                ({task}, 48, "<Q", (0, 2**64 - 1))):                                # nofile
            for value in values if THOROUGH else values[:1]:
                survives(with_fields(name, offset, fmt, value, kinds), f"{name}: {kinds} {offset} {fmt} {value}")


@case("a file of random bytes behind a good header")
def noise():
    data, _ = recording("mix")
    chance = random.Random(3)
    for size in (1, 7, 8, 31, 32, 1000, 1 << 20):
        survives(data[:HEADER] + chance.randbytes(size), f"{size} random bytes")


@case("names in a recording cannot control the terminal")
def hostile_names():
    head, *parts = records(recording("mix")[0])
    evil = b"\x1b[2J\r\xff\xc2\x9b\xe2\x80\xae\x07"
    for kind, offset in ((4, 64), (7, 56), (7, 312), (19, 72), (21, 32)):
        changed = []
        for part in parts:
            part = bytearray(part)
            end = min(len(part), offset + len(evil))
            if part[0] == kind and end > offset:
                part[offset:end] = evil[:end - offset]
            changed.append(bytes(part))
        survives(head + b"".join(changed), f"kind {kind}")
        for options_ in (["-e"], ["-e", "-v", "--min-severity", "info"]):
            out = replay("damaged", *options_).out
            bad = [b for b in out if b < 0x20 and b != 10 or b == 0x7f]
            assert not bad and b"\xc2\x9b" not in out and b"\xe2\x80\xae" not in out, out
            out.decode("utf-8")


if __name__ == "__main__":
    try:
        assert os.path.exists(FDTRACE), f"build it first: {BUILD}"
        main()
    finally:
        shutil.rmtree(_folder)
