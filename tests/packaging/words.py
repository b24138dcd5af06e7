#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The man pages and completions name what the program knows, all of it, and nothing else; and the
completions work in the shells they are for.
"""
import contextlib
import os
import pty
import re
import select
import shlex
import sys
import tempfile
import time

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, DEADLINE_S, TOP, add_case, case, fdtrace, main, run

README, YAML = os.path.join(TOP, "README.md"), os.path.join(TOP, "src/daemon/fdtrace.yaml")
PAGE, FILE_PAGE = (os.path.join(TOP, "src/man", name) for name in ("fdtrace.8", "fdtrace.yaml.5"))
SHELLS = {shell: os.path.join(TOP, "src/completions", "fdtrace." + shell) for shell in ("bash", "zsh", "fish")}


def source(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


# --- what the program knows ---

def options():
    """{long name: letter or ""} of the option table."""
    rows = re.findall(r'^\t\{ "([a-z-]+)", (?:\'(\w)\'|0), TYPE_', source("src/cli/options.c"), re.M)
    assert len(rows) >= 20, rows
    return dict(rows)


def commands():
    """Those that are words: --daemon and the like are options, too."""
    found = re.findall(r'^\tX\([A-Z_]+, \w+, "(\w+)",', source("src/cli/commands.h"), re.M)
    assert "replay" in found, found
    return set(found)


def rules():
    return [line.split()[0] for line in fdtrace("--rules", "help").out.decode().splitlines()]


def settings():
    """{key: standard value}"""
    lines = fdtrace("--set", "help").out.decode().splitlines()
    return dict(line.split()[0].split("=", 1) for line in lines)


def severities():
    """{rule: (severity, on or off)}"""
    rows = [line.split()[:3] for line in fdtrace("--rules", "help").out.decode().splitlines()]
    return {name: ("warning" if severity == "warn" else severity, on) for name, severity, on in rows}


def restart_settings():
    """Settings that SIGHUP does not change; the knobs for tests are no business of the service."""
    rows = re.findall(r'^\t\{ "([a-z._]+)",(.*?)\},$', source("src/engine/settings.c"), re.M | re.S)
    found = {key for key, row in rows if "RELOAD_RESTART" in row}
    if not found:  # a list of their own says so
        text = re.search(r"fixed\[\] = \{(.*?)\};", source("src/daemon/daemon.c"), re.S)[1]
        found = set(re.findall(r'"([a-z]+\.[a-z]+)"', text))
    assert "ring.size" in found, found
    return {key for key in found if not key.startswith("fault.")}


def keys():
    """{key: does a change need a restart?} of the configuration's tables; a key below another has a dot."""
    tables = dict(re.findall(r"^static const struct yaml_row (\w+)\[\] = \{\n(.*?)^\};", source("src/daemon/config.c"), re.M | re.S))

    def rows(table, above):
        for key, row in re.findall(r'^\t\{ "(\w+)", (YAML_.*?) \},$', tables[table], re.M | re.S):
            yield above + key, ".restart = true" in row
            below = re.search(r"\.rows = (\w+)", row)
            yield from rows(below[1], f"{above}{key}.") if below else ()

    found = dict(rows("config_rows", ""))
    assert len(found) >= 25 and found["metrics.listen"] and not found["rules"], found
    return found


# --- what is written ---

def shown(path):
    """The page as text, in one line a paragraph."""
    said = run(["mandoc", "-T", "ascii", "-O", "width=1000", path])
    return re.sub(".\b", "", said.out.decode())


def section(text, name):
    return re.search(rf"^{name}\n(.*?)(?=^[A-Z]|\Z)", text, re.M | re.S)[1]


def compare(what, known, written):
    assert not set(known) - set(written), f"{what} not there: {sorted(set(known) - set(written))}"
    assert not set(written) - set(known), f"{what} that fdtrace does not know: {sorted(set(written) - set(known))}"


def long_options(text):
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text))


@case("--help has no option that the table does not have")
def _():
    table = options()
    text = fdtrace("--help").out.decode()
    assert long_options(text) <= set(table), long_options(text) - set(table)


@case("fdtrace(8): every option, with its letter, in a paragraph of its own")
def _():
    text = shown(PAGE)
    compare("options", options(), long_options(text))
    headings = re.findall(r"^ {5}(-.*)$", section(text, "COMMANDS") + section(text, "OPTIONS"), re.M)
    for name, letter in options().items():
        begins = re.escape(f"-{letter}") + r"( \S+)?, " if letter else ""
        found = [h for h in headings if re.match(rf"{begins}--{name}(?![\w-])", h)]
        assert len(found) == 1, f"--{name}: {found}"
    letters = {letter for letter in options().values() if letter}
    compare("letters", letters, re.findall(r"(?<![\w-])-(\w)(?![\w-])", section(text, "SYNOPSIS") + "\n".join(headings)))


@case("fdtrace(8): every command")
def _():
    text = shown(PAGE)
    compare("commands", commands(), re.findall(r"^ {5}fdtrace (\w+)", section(text, "SYNOPSIS"), re.M))
    compare("commands", commands(), re.findall(r"^ {5}([a-z]+)(?= |$)", section(text, "COMMANDS"), re.M))


@case("fdtrace(8): every rule, every threshold with its standard value")
def _():
    text = shown(PAGE)
    compare("rules", rules(), re.findall(r"^ {5}([a-z]+\.[a-z]+)", section(text, "RULES"), re.M))
    written = dict(re.findall(r"^ {5}(?:[a-z.]+=\S+, )?([a-z][a-z._]+)=(\S+)(?: \(restart\))?$",
                              section(text, "SETTINGS"), re.M))
    written.update(re.findall(r"^ {5}([a-z][a-z._]+)=(\S+), ", section(text, "SETTINGS"), re.M))
    compare("thresholds", settings(), written)
    assert written == settings(), f"{written}\n{settings()}"
    families = {name.split(".")[0] for name in [*rules(), *settings()] if "." in name}
    known = {*rules(), *settings()}
    words = re.findall(rf"(?<![\w./-])((?:{'|'.join(families)})\.[a-z_]+)", text)
    unknown = {word for word in words if word not in known and not word.endswith(".json")}
    assert not unknown, unknown


@case("fdtrace(8), README: the severity of every rule, and which are off by default")
def _():
    page = dict(re.findall(r"^ {5}([a-z]+\.[a-z]+)\n +(.*)$", section(shown(PAGE), "RULES"), re.M))
    table = re.findall(r"^\| ([a-z]+\.[a-z]+) \| (\w+) \| (.*) \|$", source(README), re.M)
    compare("rules", rules(), [name for name, _, _ in table])
    compare("rules", rules(), page)
    for name, severity, meaning in table:
        known, on = severities()[name]
        assert severity == known, f"README: {name} is {known}"
        assert ("off by default" in meaning) == (on == "off"), f"README: {name} is {on}"
        assert re.match(rf"{known}\b", page[name], re.I), f"fdtrace(8): {name} is {known}: {page[name]}"
        begins = page[name].split(".")[0]
        assert ("off by default" in begins) == (on == "off"), f"fdtrace(8): {name} is {on}"


@case("fdtrace(8), fdtrace.yaml(5), fdtrace.yaml: which settings need a restart, and their standard values")
def _():
    text = section(shown(PAGE), "SETTINGS")
    compare("(restart)", restart_settings(), re.findall(r"^ {5}([a-z.]+)=\S+ \(restart\)$", text, re.M))
    text = re.search(r"by default\. (.*?): \(restart\)", shown(FILE_PAGE))[1]
    compare("(restart)", restart_settings(), re.findall(r"[a-z]+\.[a-z]+", text))
    block = re.search(r"^set:\n((?:  .*\n)+)", source(YAML), re.M)[1]
    rows = re.findall(r"^  ([a-z._]+): (\S+) +# (\*?)", block, re.M)
    compare("*", restart_settings(), [key for key, _, mark in rows if mark])
    known = {**settings(), "ring.size": "4M"}  # the service's own
    same = {"60s": "1m"}
    for key, value, _ in rows:
        assert known[key] == same.get(value, value), f"{key}: {value}, {known[key]} is standard"
    compare("settings", [key for key in known if not key.startswith("fault.")], [key for key, _, _ in rows])


@case("README: at most 250 lines of at most 100 columns")
def _():
    lines = source(README).splitlines()
    assert len(lines) <= 250, len(lines)
    long = [number for number, line in enumerate(lines, 1) if len(line) > 100]
    assert not long, f"longer than 100 columns: lines {long}"


# Words that people who speak English at work do not use so.
STRANGE = re.compile(r"\b(told|tells?|anew|so often|no matter|to be had|called like|by number|graver?|gravest|"
                     r"whoever|meant|bound of|was hurt|who hurt|goes? (?:on|off)|takes? no harm)\b|"
                     r"(?<![Tt]here )\b(?:is|are) no (?!longer)", re.I)


def plain_english(name, text):
    found = [f"{match[0]!r} in {line.strip()!r}" for line in text.splitlines() for match in [STRANGE.search(line)] if match]
    assert not found, f"{name}: " + "; ".join(found)


@case("README, fdtrace(8), fdtrace.yaml(5), fdtrace.yaml: plain English")
def _():
    for path in (README, YAML):
        plain_english(os.path.basename(path), source(path))
    for path in (PAGE, FILE_PAGE):
        plain_english(os.path.basename(path), shown(path))


@case("--help, --rules help, --set help: plain English")
def _():
    for argv in (["--help"], ["--rules", "help"], ["--set", "help"]):
        plain_english(" ".join(argv), fdtrace(*argv).out.decode())


@case("fdtrace(8): every exit status, every variable of the environment")
def _():
    text = shown(PAGE)
    for status in re.findall(r"^\tEXIT_\w+ = (\d+)", source("src/util/error.h"), re.M):
        assert re.search(rf"\b{status}\b", section(text, "EXIT STATUS")), status
    folder, read = os.path.join(TOP, "src"), set()
    for where, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".c", ".h")):
                code = source(os.path.join(where, name))
                read |= set(re.findall(r'getenv\("(\w+)"\)', code))
                read |= set(re.findall(r'^#define (?:EVIDENCE_ENVIRON|HOST_NAME_VARIABLE) "(\w+)"', code, re.M))
    assert {"NO_COLOR", "FDTRACE_EVIDENCE", "FDTRACE_HOST_NAME"} <= read, read
    written = re.findall(r"\b\w+\b", section(text, "ENVIRONMENT"))
    assert read <= set(written), read - set(written)


def page_keys():
    """{key: (value, paragraph)} of fdtrace.yaml(5); the names of keys below another have a dot."""
    found, above, key = {}, "", ""
    for line in section(shown(FILE_PAGE), "KEYS").splitlines():
        tag = re.match(r"( {5}| {13})([a-z_0-9]+)(?:: (\S.*)|  +(\S.*)|)$", line)
        if tag:
            above = "" if len(tag[1]) == 5 else above or key + "."
            key = above + tag[2]
            found[key] = tag[3] or "", tag[4] or ""
        elif key:
            found[key] = found[key][0], f"{found[key][1]} {line.strip()}"
    return found


@case("fdtrace.yaml(5): every key, with the value that the file in src/daemon has")
def _():
    written = page_keys()
    compare("keys", keys(), written)
    standard = yaml.load(source("src/daemon/fdtrace.yaml"), yaml.BaseLoader)
    flat = dict(standard)
    for above, below in (("metrics", standard["metrics"]), ("evidence", standard["evidence"]),
                         ("outputs", standard["outputs"][0])):
        flat.update({f"{above}.{key}": value for key, value in below.items()})
    for key, (value, _) in written.items():
        if value and key not in ("set", "outputs", "outputs.rfc5424"):
            wanted = [] if value == "[]" else value
            assert flat[key] == wanted, f"{key}: {value}, the file has {flat[key]}"


@case("fdtrace.yaml, fdtrace.yaml(5): the keys outside set that need a restart, as in the table")
def _():
    fixed = {key for key, restart in keys().items() if restart}
    compare("(restart)", fixed, [key for key, (_, words) in page_keys().items() if "(restart)" in words and key != "set"])
    marked, above = [], ""
    for line in source(YAML).splitlines():
        key = re.match(r"(  )?([a-z_]\w*):(.*)", line)
        if key and not key[1]:
            above = key[2] + "."
        if key and above != "set." and re.search(r"# \*", key[3]):
            marked.append(above + key[2] if key[1] else key[2])
    compare("*", fixed, marked)


@case("fdtrace.yaml(5), fdtrace(8): the bounds of a file")
def _():
    header, config = source("src/util/yaml_tree.h") + source("src/util/yaml_reader.h"), source("src/daemon/config.c")
    text = " ".join(section(shown(FILE_PAGE), "DESCRIPTION").split())
    assert re.search(r"^#define YAML_BYTES_MAX \(1 << 20\)", header, re.M) and "1 MiB" in text, text
    for name, words in (("YAML_NODES_MAX", "keys and values"), ("YAML_DEPTH_MAX", "levels"), ("YAML_TEXT_MAX", "bytes"),
                        ("LIST_MAX", "entries")):
        value = int(re.search(rf"^#define {name} (\d+)", header + config, re.M)[1])
        assert f"{value:,} {words}" in text, f"{name} is {value:,}"
    value = int(re.search(r"^#define SUPPRESS_ENTRIES_MAX (\d+)", source("src/run/suppress.h"), re.M)[1])
    assert f"{value:,} entries" in section(shown(PAGE), "SUPPRESSIONS"), value


@case("fdtrace.yaml(5), fdtrace(8): their examples are understood")
def _():
    with tempfile.TemporaryDirectory() as folder:
        for page, name in ((FILE_PAGE, "fdtrace.yaml"), (PAGE, "known.yaml")):
            block = re.search(r"^\.Bd .*\n((?:outputs|\\- name)(?:.*\n)*?)\.Ed", source(page), re.M)[1]
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(block.replace("\\-", "-").replace("\\(aq", "'"))
        said = fdtrace("--check-config", "-c", os.path.join(folder, "fdtrace.yaml"))
        assert said.status == 0, said
        with open(os.path.join(folder, "fdtrace.yaml"), "a", encoding="utf-8") as file:
            file.write(f"suppress: ['{folder}/known.yaml']\n")
        said = fdtrace("--check-config", "-c", os.path.join(folder, "fdtrace.yaml"))
        assert said.status == 0, said


@case("what needs a restart is marked in fdtrace.yaml and fdtrace.yaml(5), and nothing else is")
def _():
    lines = fdtrace("--set", "help").out.decode().splitlines()
    fixed = {line.split("=")[0] for line in lines if line.endswith("(restart)")}
    assert "ring.size" in fixed and "budget" not in fixed, fixed
    fixed = {key for key in fixed if not key.startswith("fault.")}  # for tests: not in either file
    block = re.search(r"^set:\n((?:  .*\n)+)", source(YAML), re.M)[1]
    marked = re.findall(r"^  ([a-z][a-z._]+): \S+ +# \*", block, re.M)
    compare("settings marked *", fixed, marked)
    text = " ".join(section(shown(FILE_PAGE), "KEYS").split())
    listed = re.search(r"set: \{\} (.*?)\(restart\)", text)[1]
    compare("settings with (restart)", fixed, re.findall(r"\b[a-z]+\.[a-z_]+\b", listed.split("4M.")[-1]))


# Pages of other packages need not be on this machine, nor an index of them.
ELSEWHERE = re.compile(r"referenced manual not found|outdated mandoc.db|No such file.*mandoc.db")


@case("no formatter has anything to say against the pages")
def _():
    for page in (PAGE, FILE_PAGE):
        for argv in (["mandoc", "-T", "lint", page], ["groff", "-mandoc", "-ww", "-Tutf8", "-z", page],
                     ["man", "--warnings", "-l", page]):
            said = run(argv, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
            told = said.messages + (said.out.decode() if argv[0] == "mandoc" else "")
            told = [line for line in told.splitlines() if not ELSEWHERE.search(line)]
            assert not told, "\n".join(told)


@case("the lint does look")
def _():
    with tempfile.NamedTemporaryFile("w", suffix=".8") as page:
        page.write(source(PAGE).replace(".Sh FILES", ".Sh FILES\n.Bogus macro"))
        page.flush()
        assert "Bogus" in run(["mandoc", "-T", "lint", page.name]).out.decode()


# --- completions ---

def completed(shell):
    """(long names, letters) that the file offers."""
    text = source(SHELLS[shell])
    if shell == "fish":
        text = "\n".join(line for line in text.splitlines() if line.startswith("complete -c fdtrace"))
        return re.findall(r" -l ([a-z-]+)", text), re.findall(r" -s (\w)\b", text)
    if shell == "bash":
        text = re.search(r'compgen -W "(-p .*?)"', text, re.S)[1]
        return long_options(text), re.findall(r"(?<![\w-])-(\w)\b", text)
    text = re.search(r"options=\((.*?)\n\t\)", text, re.S)[1]
    names = re.findall(r"(?:^\t\t[\"'*]*|,)--([a-z-]+?)(?==|\[|\})", text, re.M)
    return [n.rstrip("-") for n in names], re.findall(r"[{]-(\w)\+?,", text)


def names_all(shell):
    names, letters = completed(shell)
    compare("options", options(), names)
    compare("letters", [letter for letter in options().values() if letter], letters)
    text = source(SHELLS[shell])
    missing = [c for c in commands() if not re.search(rf"\b{c}\b", text)]
    assert not missing, missing


def syntax(shell):
    said = run([shell, "-n", SHELLS[shell]])
    assert said.status == 0 and not said.messages, said


class Terminal:
    """An interactive shell with nobody's settings but the completion."""
    SETUP = {
        "bash": "PS1='> '; bind 'set enable-bracketed-paste off'; source {file}",
        "zsh": "PS1='> '; fpath=({folder} $fpath); autoload -U compinit; compinit -D -u",
    }
    ARGV = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
    TABS = {"bash": "\t\t", "zsh": "\t"}  # until several possibilities are listed

    def __init__(self, shell, folder):
        self.shell = shell
        os.symlink(SHELLS[shell], os.path.join(folder, "_fdtrace"))
        env = {**environment(folder), "TERM": "vt100", "COLUMNS": "200"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(shell, self.ARGV[shell], env)
        self.out = b""
        self.say(self.SETUP[shell].format(file=shlex.quote(SHELLS[shell]), folder=folder) + "; stty cols 200; echo rea''dy\n")
        self.wait_for("ready\r\n")

    def say(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, *words):
        end = time.monotonic() + DEADLINE_S
        while not all(word.encode() in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\0", b"", self.out) for word in words):
            left = end - time.monotonic()
            assert left > 0, f"{words} did not come: {self.out!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.out += os.read(self.fd, 65536)

    def complete(self, line, *words):
        self.out = b""
        self.say(line + self.TABS[self.shell])
        self.wait_for(*words)
        self.say("\x15echo rea''dy\n")  # ^U: the line goes
        self.wait_for("ready\r\n")

    def close(self):
        os.close(self.fd)  # a hangup: the shell ends
        os.waitpid(self.pid, 0)


def environment(folder):
    """The program under test is found first, and there is evidence of one finding."""
    if not os.path.exists(os.path.join(folder, "evidence")):
        os.mkdir(os.path.join(folder, "evidence"))
        for name in (*(f"evidence/0123456789abcdef{n}.jsonl" for n in ("", ".0000000000000001.00000000", ".0000000000000002.00000000")),
                     "recorded.fdt"):
            with open(os.path.join(folder, name), "w", encoding="ascii"):
                pass
    return {**os.environ, "PATH": BUILD + ":" + os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8",
            "FDTRACE_EVIDENCE": os.path.join(folder, "evidence")}


# What is typed, and what has to come of it (in bash and zsh: what is typed is echoed, so not that).
LINES = [("fdtrace --ver", "bose", "ify", "sion"), ("fdtrace --rules close.s", "close.stdio", "close.sweep"),
         ("fdtrace --rules leak,-use.s", "tale"), ("fdtrace --rules=epo", "ll"), ("fdtrace --set leak.m", "in_"),
         ("fdtrace --set stacks.b", "udget"), ("fdtrace --set budget=1% --no-f", "ollow"),
         ("fdtrace --stacks py", "thon"), ("fdtrace explain 01", "23456789abcdef "), ("fdtrace replay rec", "orded.fdt"),
         ("fdtrace replay x --min-s", "everity"), ("fdtrace doct", "or"), ("fdtrace -o x -- cat rec", "orded.fdt")]


def in_terminal(shell):
    with tempfile.TemporaryDirectory(prefix="fdtrace-words-") as folder:
        with contextlib.closing(Terminal(shell, folder)) as terminal:
            for line, *words in LINES:
                terminal.complete(line, *words)


@case("fish: completes")
def _():
    with tempfile.TemporaryDirectory(prefix="fdtrace-words-") as folder:
        env = environment(folder)
        for line, *words in LINES:
            said = run(["fish", "--no-config", "-c", f"source {shlex.quote(SHELLS['fish'])}; complete -C '{line}'"],
                       env=env, cwd=folder)
            assert not said.messages and all(word.strip() in said.out.decode() for word in words), said
            assert said.out.count(b"0123456789abcdef") < 2 and b".0000" not in said.out, said


for _shell in SHELLS:
    add_case(f"{_shell}: no error of syntax", lambda s=_shell: syntax(s))
    add_case(f"{_shell}: names every option and command, and no other", lambda s=_shell: names_all(s))
for _shell in ("bash", "zsh"):
    add_case(f"{_shell}: completes in a terminal", lambda s=_shell: in_terminal(s))

main()
