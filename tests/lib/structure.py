#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The structure of the sources: layers, names, sizes, documents. Needs no build and no root.

    tests/lib/structure.py [PART-OF-A-NAME...]

The last cases plant a fault for each check in a copy of the tree and expect the check to find it.
"""
import collections
import contextlib
import glob
import os
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import TOP, add_case, case, main

# The folders that each folder of src may include; include/ is open to all.
FLOORS = {
    "base": "",
    "util": "base",
    "model": "base",
    "engine": "base model",
    "detect": "base model engine",
    "symbol": "base util model",
    "output": "base util model engine",
    "source": "base util model engine symbol",
    "run": "base util model engine detect symbol output source",
    "daemon": "base util model engine detect output source run",
    "cli": "base util model engine detect symbol output source run daemon",
}
# Circles that are meant: the folders or modules, and the reason.
FOLDER_CIRCLES = {
    frozenset({"source/doctor", "source/live"}):
        "doctor asks the loader's probes, and the loader explains a failure by doctor's obstacles",
}
MODULE_CIRCLES = {
    frozenset({"symbol/language", "symbol/python/python_language"}): "a table and the type of its rows",
    frozenset({"symbol/mapping", "symbol/unwind/unwind_copy"}): "the reader of memory and its results",
}
FUNCTION_LINES = 60
README_LINES, README_COLUMNS = 250, 100  # lines: of the first
READMES = ("README.md", "src/README.md", "bpf/README.md", "tests/README.md")
NAMES = "tests/lib/structure_names.txt"
NAMES_MOST = 12

LANGUAGE = re.compile(r"python|pypy|ruby|perl\b|php|java\b|golang|nodejs", re.I)
LANGUAGE_HOMES = ("src/symbol/python/", "include/fdtrace/python.h", "bpf/python.bpf.h")
LANGUAGE_ALLOWED = {
    "include/fdtrace/language.h": "the table of languages",
    "src/symbol/language.c": "the table of their operations",
    "src/symbol/runtimes.c": "the table of their native code",
    "bpf/language.bpf.h": "the table of their walkers",
    "bpf/fdtrace.bpf.c": "includes the walkers",
    "bpf/stack.bpf.h": "the scratch memory of a walk",
    "include/fdtrace/stack.h": "what user space hands to the walkers",
    "src/source/live/stacking.h": "the values of --stacks",
    "src/source/live/stacking.c": "the maps of the walkers",
    "src/source/doctor/interpreters.c": "finds interpreters",
    "src/source/doctor/probe_interpreters.c": "reports interpreters",
    "src/source/doctor/probe.c": "reports what stacks hold",
    "src/daemon/config.c": "the values of stacks:",
    "src/daemon/config.h": "the same",
    "src/daemon/daemon.c": "the same",
    "src/cli/options.c": "the values of --stacks",
    "src/cli/main.c": "the same",
    "src/engine/help.c": "the table of remedies by language",
    "src/output/text/text_stack.c": "why a stack has no frames of the interpreter",
}


# --- reading ---

def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def sources(root, *patterns):
    found = [os.path.relpath(path, root) for pattern in patterns
             for path in glob.glob(os.path.join(root, pattern), recursive=True)]
    return sorted(found)


def user_space(root):
    return sources(root, "src/**/*.[ch]")


def all_code(root):
    return user_space(root) + sources(root, "bpf/*.[ch]")


def without_comments(text):
    """The code with its strings; comments become spaces, so that lines keep their numbers."""
    token = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)
    return token.sub(lambda m: m[0] if m[0][0] in "\"'" else re.sub(r"[^\n]", " ", m[0]), text)


def functions(text):
    """(name, is static, first line, lines of the body) of each function: its braces stand in column 0."""
    lines = without_comments(text).split("\n")
    for at, line in enumerate(lines):
        if line != "{":
            continue
        first = at
        while first > 0 and lines[first - 1].strip() and not re.search(r"[;}]$|^#|^\}", lines[first - 1]):
            first -= 1
        head = " ".join(lines[first:at])
        name = re.search(r"\bBPF_\w+\((\w+)", head) or re.search(r"(\w+)\s*\(", re.sub(r"__\w+\(.*?\)+|SEC\(.*?\)", "", head))
        if name:
            yield name[1], re.search(r"\bstatic\b", head) is not None, first + 1, lines.index("}", at) - at - 1


def floor(path):
    return path.split("/")[1]


def folder(path):
    return "/".join(path.split("/")[1:-1])


def module(path):
    return re.sub(r"^src/|\.[ch]$", "", path)


def includes(root):
    """(file, included file), both below src."""
    for path in user_space(root):
        for name in re.findall(r'^#include "(.*?)"', read(root, path), re.M):
            if os.path.exists(os.path.join(root, "src", name)):
                yield path, f"src/{name}"


def circles(edges):
    """The sets of nodes that reach each other."""
    onward = collections.defaultdict(set)
    for one, other in edges:
        if one != other:
            onward[one].add(other)

    def reached(start):
        seen, todo = set(), [start]
        while todo:
            for other in onward.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    reach = {node: reached(node) for node in list(onward)}
    return {frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in reach if a in reach[a]}


# --- checks: each returns the faults it has found ---

def check_floors(root):
    faults = [f"{path} includes {other}: {floor(path)} stands below {floor(other)} or beside it"
              for path, other in includes(root)
              if floor(path) != floor(other) and floor(other) not in FLOORS.get(floor(path), "").split()]
    faults += [f"src/{name} has no row in FLOORS" for name in {floor(path) for path in user_space(root)} - set(FLOORS)]
    return faults


def check_table(root):
    """The table of detectors is handed to the engine by whoever starts it."""
    return [f"{path} includes {other}" for path, other in includes(root)
            if other == "src/detect/detectors.h" and floor(path) not in ("run", "cli", "daemon", "detect")]


def check_circles(root):
    edges = list(includes(root))
    faults = [f"files include each other: {sorted(circle)}" for circle in circles(edges)]
    nested = lambda a, b: a.startswith(b + "/") or b.startswith(a + "/")
    beside = [(folder(a), folder(b)) for a, b in edges if not nested(folder(a), folder(b))]
    faults += [f"folders include each other: {sorted(circle)}" for circle in circles(beside)
               if circle not in FOLDER_CIRCLES]
    faults += [f"modules include each other across folders: {sorted(circle)}"
               for circle in circles([(module(a), module(b)) for a, b in edges])
               if circle not in MODULE_CIRCLES and len({os.path.dirname(m) for m in circle}) > 1]
    return faults


def check_sizes(root):
    return [f"{path}:{line}: {name}() has {length} lines" for path in all_code(root)
            for name, _, line, length in functions(read(root, path)) if length > FUNCTION_LINES]


def duplicate_names(root):
    where = collections.defaultdict(set)
    for path in all_code(root):
        for name, static, _, _ in functions(read(root, path)):
            if static:
                where[name].add(path)
    return {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}


def check_names(root):
    """Reads NAMES: `name  reason` a line. The reason "to be renamed" is for names of the past."""
    rows = [line.split(None, 1) for line in read(root, NAMES).splitlines() if line and not line.startswith("#")]
    faults = [f"{NAMES}: '{row[0]}' has no reason" for row in rows if len(row) < 2]
    allowed = {row[0]: row[1] for row in rows if len(row) == 2}
    kept = [name for name, reason in allowed.items() if reason != "to be renamed"]
    if len(kept) > NAMES_MOST:
        faults.append(f"{NAMES} allows {len(kept)} names for good, more than {NAMES_MOST}")
    found = duplicate_names(root)
    faults += [f"static {name}() stands in {', '.join(paths)}" for name, paths in sorted(found.items())
               if name not in allowed]
    for name in sorted(set(allowed) - set(found)) if root == TOP else ():
        print(f"# {NAMES}: '{name}' is unique by now; remove the line")
    return faults


def check_readme(root):
    lines = {name: read(root, name).splitlines() for name in READMES}
    faults = [f"{name}:{n}: {len(line)} columns" for name in READMES for n, line in enumerate(lines[name], 1)
              if len(line) > README_COLUMNS]
    if len(lines["README.md"]) > README_LINES:
        faults.append(f"README.md has {len(lines['README.md'])} lines")
    return faults


def subfolders(root, top):
    """All folders below `top` that hold files, relative to it."""
    for path, folders, names in os.walk(os.path.join(root, top)):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        if names and path != os.path.join(root, top):
            yield os.path.relpath(path, os.path.join(root, top))


def check_folders(root):
    """Folders are named in the README beside them; the first column of its tables names what exists."""
    faults = []
    for top in ("src", "bpf", "tests"):
        text = read(root, f"{top}/README.md")
        named = {word.rstrip("/") for span in re.findall(r"`([^`\n]+)`", text) for word in re.split(r"[\s,]+", span)}
        faults += [f"{top}/README.md does not name {top}/{path}" for path in sorted(subfolders(root, top))
                   if path not in named]
        for cell in re.findall(r"^\| (`.*?) \|", text, re.M):
            faults += [f"{top}/README.md names {word}, which does not exist" for word in re.findall(r"`([\w./-]+)`", cell)
                       if not os.path.exists(os.path.join(root, top, word))]
    return faults


def check_languages(root):
    faults = []
    for path in all_code(root) + sources(root, "include/fdtrace/*.h"):
        found = LANGUAGE.search(without_comments(read(root, path)))
        if found and path not in LANGUAGE_ALLOWED and not path.startswith(LANGUAGE_HOMES):
            faults.append(f"{path} names a language: {found[0]}")
    return faults


# --- cases ---

CHECKS = {
    "folders include only those on floors below them": check_floors,
    "only who starts an engine includes the table of detectors": check_table,
    "no circle of files, folders or modules": check_circles,
    f"no function has more than {FUNCTION_LINES} lines": check_sizes,
    "names of static functions are unique": check_names,
    f"README.md has at most {README_LINES} lines, and no README more than {README_COLUMNS} columns": check_readme,
    "the README of src, bpf and tests name the folders that exist": check_folders,
    "languages are named only where languages are described": check_languages,
}
for _name, _check in CHECKS.items():
    def _holds(check=_check):
        faults = check(TOP)
        assert not faults, "\n" + "\n".join(faults)
    add_case(_name, _holds)


def append(root, path, text):
    with open(os.path.join(root, path), "a", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def planted(path, text):
    """A copy of what the checks read, with the text at the end of that file."""
    with tempfile.TemporaryDirectory() as root:
        for name in ("src", "bpf", "include", "tests/lib"):
            shutil.copytree(os.path.join(TOP, name), os.path.join(root, name))
        for name in ("README.md", "tests/README.md"):
            shutil.copy(os.path.join(TOP, name), os.path.join(root, name))
        for name in subfolders(TOP, "tests"):
            os.makedirs(os.path.join(root, "tests", name), exist_ok=True)
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        append(root, path, text)
        yield root


def body(lines):
    return "{\n" + "\tx();\n" * lines + "}\n"


FAULTS = {
    "base includes util": (check_floors, "src/base/map.h", '#include "util/io.h"\n', "src/base/map.h"),
    "engine includes detect": (check_floors, "src/engine/engine.c", '#include "detect/new.h"\n', None),
    "the core includes output": (check_floors, "src/detect/leak_stale.c", '#include "output/sink.h"\n', "leak_stale.c"),
    "output includes run": (check_floors, "src/output/sink.h", '#include "run/session.h"\n', "src/output/sink.h"),
    "a folder without a floor": (check_floors, "src/attic/new.c", "int x;\n", "src/attic"),
    "a header includes itself by another": (check_circles, "src/base/hash.h", '#include "base/mem.h"\n', None),
    "folders of one floor include each other": (check_circles, "src/symbol/elf/elf_file.h",
                                                '#include "symbol/unwind/cfi.h"\n', "symbol/unwind"),
    "a long function": (check_sizes, "bpf/emit.bpf.h", f"static void planted(void)\n{body(61)}", "planted() has 61"),
    "a name in two files": (check_names, "src/base/map.c", f"static int copy_is_granted(void)\n{body(1)}",
                            "copy_is_granted()"),
    "a name without a reason": (check_names, NAMES, "planted\n", "'planted' has no reason"),
    "too many names for good": (check_names, NAMES, "".join(f"planted{i} because\n" for i in range(13)), "more than"),
    "a wide line": (check_readme, "README.md", "x" * 101 + "\n", "101 columns"),
    "a wide line of a folder's README": (check_readme, "tests/README.md", "x" * 101 + "\n", "101 columns"),
    "a long README": (check_readme, "README.md", "x\n" * 251, "README.md has"),
    "a folder that no README names": (check_folders, "src/run/attic/new.c", "int x;\n", "src/run/attic"),
    "a README that names what is gone": (check_folders, "tests/README.md", "\n| `attic` | nothing |\n", "attic"),
    "a language in code": (check_languages, "src/base/map.c", "static int is_ruby;\n", "ruby"),
}


def finds(check, path, text, expected):
    def run():
        if check is check_floors and expected is None:  # what is included has to exist
            with planted("src/detect/new.h", "\n") as root:
                append(root, path, text)
                faults = check(root)
            assert any("src/detect/new.h" in fault for fault in faults), faults
            return
        with planted(path, text) as root:
            if expected is None:
                append(root, "src/base/mem.h", '#include "base/hash.h"\n')
            faults = check(root)
        assert any((expected or path) in fault for fault in faults), f"not found: {faults}"
    return run


for _name, _fault in FAULTS.items():
    add_case(f"planted: {_name}", finds(*_fault))


@case("planted: the engine includes the table of detectors")
def _():
    with planted("src/detect/detectors.h", "\n") as root:
        append(root, "src/engine/engine.c", '#include "detect/detectors.h"\n')
        assert check_table(root)


@case("comments, strings and heads of functions are recognised")
def _():
    assert not LANGUAGE.search(without_comments("/* Python */ int x; // ruby\n"))
    assert LANGUAGE.search(without_comments('/* */ char *x = "/* python";\n'))
    text = "SEC(\"fexit/x\")\nint BPF_PROG(fdt_x, int a)\n{\n\ta();\n}\n\nstatic int\n*two(struct s *s,\n     int b)\n{\n\n}\n"
    assert [f[:2] for f in functions(text)] == [("fdt_x", False), ("two", True)], list(functions(text))


if __name__ == "__main__":
    main()
