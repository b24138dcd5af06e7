#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every known pattern as a guilty and an innocent program: the guilty is reported and its
culprit named, the innocent is silent. Each program says itself what has to be reported of it:

    EXPECT silent [none=RULE]...         no warning and no error; nor an info of those rules
    EXPECT RULE SEVERITY [KEY=VALUE]...  such a finding, and no other warning or error
        culprit=FUNCTION  in the culprit's stack     not=FUNCTION   neither there nor in the message
        victim=FUNCTION   in the stack of the call that failed, or of a victim
        shows=TEXT        anywhere in the finding    says=TEXT      in its message, reason or help
        process=NAME      of the process it is about
        count=NUMBER      so many findings of that rule

    tests/live/patterns.py [PART-OF-A-NAME...]
    tests/live/patterns.py --table [PART-OF-A-NAME...]     pattern | verdict expected | verdict given
"""
import fcntl
import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
from harness import ALL_STACKS, BUILD, FDTRACE, GRAVE, PYTHON, Background, add_case, main, need_tracing, run

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "patterns")
AT_A_TIME = os.cpu_count() or 1  # starting fdtrace is work, and other steps run beside this one
# Limits of tenths of a second instead of many seconds.
QUICK = ["--set", "leak.window=200ms", "--set", "leak.min_age=600ms", "--set", "leak.min_count=16",
         "--set", "exec.unused_after=300ms", "--set", "orphan.after=500ms"]
ALL_RULES = ["--rules", "all"]


def program(name):
    return os.path.join(BUILD, "tests", "live", "patterns", name)


# --- what a program expects ---

class Expectation:
    """One EXPECT line."""

    def __init__(self, line):
        words = shlex.split(line)
        self.silent = words[0] == "silent"
        self.rule, self.severity = (None, None) if self.silent else words[:2]
        self.facts = [word.split("=", 1) for word in words[1 if self.silent else 2:]]

    def __str__(self):
        facts = ", ".join(f"{key} {value}" for key, value in self.facts)
        return ("silent" if self.silent else f"{self.rule} {self.severity}") + (f" ({facts})" if facts else "")


def expectations(out):
    """One of each: a second image may say the same again."""
    lines = dict.fromkeys(line[7:] for line in out.decode().splitlines() if line.startswith("EXPECT "))
    return [Expectation(line) for line in lines]


def frames(stack, function):
    return any(frame.split(" (")[0] == function for frame in stack)


def culprit_stack(finding):
    """The frames of the one to blame; of a leak, of the site that leaks."""
    trace = finding.get("error", {}).get("stack_trace")
    sites = finding["fdtrace"].get("sites")
    if trace:
        return trace.splitlines()
    return sites[0].get("stack", []) if sites else finding["fdtrace"].get("opened", {}).get("stack", [])


def victim_stacks(finding):
    detail = finding["fdtrace"]
    victims = detail.get("victims", [])
    parties = [detail.get("used")] + [v.get(key) for v in victims for key in ("opened", "hurt")]
    return [frame for party in parties if party for frame in party.get("stack", [])]


def spoken(finding):
    return " ".join([finding["message"], finding["event"].get("reason", ""), finding["fdtrace"].get("help", "")])


def holds(finding, key, value):
    return {"culprit": lambda: frames(culprit_stack(finding), value),
            "not": lambda: not frames(culprit_stack(finding), value) and value not in finding["message"],
            "victim": lambda: frames(victim_stacks(finding), value),
            "shows": lambda: value in json.dumps(finding),
            "process": lambda: finding["process"]["name"] == value,
            "says": lambda: value in spoken(finding)}[key]()


def complaint(expected, findings):
    """What is wrong with the findings, None if they are as expected."""
    if expected.silent:
        told = [f["rule"]["id"] for f in findings]
        wrong = [value for key, value in expected.facts if key == "none" and value in told]
        return f"{wrong[0]} was told" if wrong else None
    fitting = [f for f in findings if (f["rule"]["id"], f["severity"]) == (expected.rule, expected.severity)]
    if not fitting:
        return f"no {expected.rule} {expected.severity}"
    for key, value in expected.facts:
        if key == "count" and len(fitting) != int(value):
            return f"{len(fitting)} findings of {expected.rule}"
        if key != "count" and not any(holds(f, key, value) for f in fitting):
            return f"{expected.rule}: not {key}={value}"
    return None


def judge(expected, findings):
    assert expected, "the program did not say what is expected"
    wanted = {(e.rule, e.severity) for e in expected if not e.silent}
    wrong = [complaint(e, findings) for e in expected]
    wrong += [f"{f['rule']['id']} {f['severity']} was told: {f['message']}" for f in findings
              if f["severity"] in GRAVE and (f["rule"]["id"], f["severity"]) not in wanted]
    wrong = [w for w in wrong if w]
    assert not wrong, "; ".join(wrong)


# --- running one case ---

class Case:
    """A row of the table, one of its twins."""

    def __init__(self, pattern, twin, argv, options, traced):
        self.pattern, self.twin, self.argv, self.options, self.traced = pattern, twin, argv, options, traced
        self.expected, self.findings, self.error, self.future = [], [], None, None

    @property
    def name(self):
        return f"{self.pattern}: {self.twin}"

    def execute(self):
        """In a folder of its own, beside other cases."""
        with tempfile.TemporaryDirectory(prefix="fdtrace-pattern-") as folder:
            need_tracing()
            out, self.findings, said = self.traced(self, folder)
            self.expected = expectations(out)
            try:
                judge(self.expected, self.findings)
            except AssertionError as why:
                raise AssertionError(f"{why}\n{said}\n--- findings\n" + "\n".join(
                    json.dumps(f) for f in self.findings)) from None

    def given(self):
        """The verdict in a few words: what is grave, and the infos that were asked for."""
        asked = {e.rule for e in self.expected if not e.silent}
        told = {f"{f['rule']['id']} {f['severity']}" for f in self.findings
                if f["severity"] in GRAVE or f["rule"]["id"] in asked}
        return ", ".join(sorted(told)) or "silent"


def findings_in(data):
    records = [json.loads(line) for line in data.splitlines()]
    return [r for r in records if r["event"]["dataset"] == "fdtrace.finding"]


def environment(folder):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**env, "PATTERNS": program(""), "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}


def as_command(case, folder):
    data = os.path.join(folder, "findings")
    result = run([FDTRACE, "--json=full", "-o", data, *ALL_STACKS, *QUICK, *case.options, "--", *case.argv], cwd=folder,
                 env=environment(folder))
    assert result.status == 0, f"status {result.status}: {result.messages.strip()}\n{result}"
    with open(data, "rb") as file:
        return result.out, findings_in(file.read()), str(result)


def attached(case, folder):
    """The program waits at its start until it is traced by -p."""
    with Background([*case.argv, "--wait"], cwd=folder, env=environment(folder)) as child:
        child.wait_for(b"ready\n")
        with harness.attach(child.pid, "--json=full", *QUICK, *case.options) as tracer:
            child.say(b"\n")
            ended = child.finish()
            result = tracer.finish()
    assert ended.status == 0 and result.status == 0, f"{ended}\n{result}"
    return ended.out, findings_in(result.out), f"{result}"


CASES = []
# Which cases there are not, and why; what the kernel refuses is added.
NOT_HERE = ["runtime.runfinq of Go as the closer: these are programs in C, Python and shell only"]


def twin(pattern, name, argv, options=(), traced=as_command):
    CASES.append(Case(pattern, name, argv, list(options), traced))


# --- the table ---

def c(name, *argv):
    return [program(name), *argv]


def probed(name):
    """Programs that need something of the kernel tell whether it is there."""
    result = run(c(name, "probe"))
    if result.status:
        NOT_HERE.append(f"{name}: {result.messages.strip()}")
    return result.status == 0


def row(pattern, name, guilty=(), innocent=(), options=(), traced=as_command, probe=False):
    """Variants of one C program; probe: where the kernel has what it needs."""
    if probe and not probed(name):
        return
    for variant in guilty:
        twin(pattern, f"guilty, {variant}", c(name, variant), options, traced)
    for variant in innocent:
        twin(pattern, f"innocent, {variant}", c(name, variant), options, traced)


def scripts(pattern, guilty=(), innocent=(), traced=as_command):
    """Variants of the Python program."""
    for kind, names in ("guilty", guilty), ("innocent", innocent):
        for name in names:
            twin(pattern, f"{kind}, {name}", [PYTHON, os.path.join(HERE, "scripts.py"), name], (), traced)


def shells(pattern, guilty=(), innocent=()):
    for kind, names in ("guilty", guilty), ("innocent", innocent):
        for name in names:
            twin(pattern, f"{kind}, {name}", ["/bin/bash", os.path.join(HERE, "shells.sh"), name])


def activated(case, folder):
    """The service manager starts its service when a client connects."""
    path = os.path.join(folder, "socket")

    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(path) == 0
    case.argv = ["systemd-socket-activate", "-l", path, *case.argv]
    with ThreadPoolExecutor(1) as client:
        served = client.submit(harness.until, "a listening service manager", connect)
        result = as_command(case, folder)
        served.result()
    return result


def socket_activation():
    if not shutil.which("systemd-socket-activate"):
        NOT_HERE.append("systemd-socket-activate: not installed; a small launcher stands in for it")
        return
    row("systemd-socket-activate", "images", ["service-with-grandchild"], ["service"], traced=activated)


def rows():
    shells("shell redirections, saved numbers, process substitution", ["piles_up"],
           ["redirections", "substitution", "slow_pipeline", "crosses_once"])
    shells("make jobserver", ["jobserver_unnamed"], ["jobserver"])
    shells("a log file on 1 and 2 of a child", [], ["logged"])
    scripts("subprocess and its close_fds", ["close_all_here"], ["close_fds", "close_range_in_child"])
    scripts("Python set_inheritable, pass_fds", ["inheritable_by_accident"], ["set_inheritable", "pass_fds"])
    scripts("one log file per logger", ["same_file_again"], ["one_file_per_logger"])
    scripts("a finalizer or the collector as the closer", ["finalizer_closes", "collector_closes"], ["objects_close"])
    row("two threads race to close", "closes", ["race-harmless", "race-hurts"], ["handed-over"])
    row("victim, bystander, offender on one number", "closes", ["bystander-between", "stale-close"],
        ["each-its-own"])
    row("closedir and close(dirfd), fclose and close(fileno)", "closes",
        ["directory-twice", "stream-twice", "directory-hurts", "stream-hurts"], ["closed-once"])
    row("a number refilled by another thread, then written to", "closes", ["refilled"], ["handed-anew"], ALL_RULES)
    row("a number refilled by another thread, then written to", "closes", [], ["refilled-by-default"])
    row("a listener inherited by a child after its opener closed it or died", "images",
        ["listener-held", "listener-orphaned"], ["listener-marked"])
    row("prefork workers accepting on an inherited listener", "images", ["prefork-helper-holds"],
        ["prefork", "prefork-execs"])
    row("re-exec for an upgrade, handing over the listener", "images", ["upgrade-leaves-logs"],
        ["upgrade-named", "upgrade-used"])
    row("generations of a program by fork and exec", "images", ["generations-leave-logs"],
        ["generations-mark-logs", "calls-itself"])
    row("a pipe's write end inherited: no EOF", "images", ["pipe-held"], ["pipe-marked", "pipe-slow-writer"])
    row("posix_spawn file actions, popen, dup2 onto 0/1/2", "images", ["spawn-forgets"], ["spawn-closes", "popen"])
    row("fork between open and F_SETFD", "images", ["raced"], ["marked-in-time"])
    row("a number named on the new command line or in the environment", "images",
        ["other-number-in-environment"], ["in-environment", "on-command-line"])
    row("a log file on 1 and 2 of a child", "images", ["log-also-on-3"], ["log-on-1-and-2"])
    row("socket activation", "images", ["activates-with-grandchild"], ["activates-service"])
    socket_activation()
    row("SCM_RIGHTS received and kept", "leaks", ["received-and-kept"], ["received-and-closed"])
    row("SCM_RIGHTS received at a full table", "limits", ["received-at-full-table"], ["received-without-room"])
    row("a connection pool at its plateau, warmed workers", "leaks", ["pool-grows"],
        ["pool-at-plateau", "workers-warmed"])
    row("mmap then close", "leaks", ["mapped-and-kept"], ["mapped-and-closed"])
    row("a few left behind by a site that closes", "leaks", ["error-path-forgets"],
        ["error-path-closes", "two-for-ever"])
    row("dead for certain: the peer has gone", "leaks", ["peer-has-gone", "writer-has-gone", "one-writer-has-gone"],
        ["peer-has-gone-closed", "peer-is-quiet", "pipe-to-itself"])
    row("dead for certain: deleted and untouched", "leaks", ["deleted-and-untouched"],
        ["deleted-and-used", "deleted-and-mapped"])
    row("a program exits with files open", "leaks", ["open-and-forget"], ["open-and-close"])
    row("inotify_init: EMFILE with an empty table", "limits", ["table-full", "too-many-instances"])
    row("a spare descriptor at the limit", "limits", ["spare-at-the-limit"], ["spare-below-the-limit"])
    row("close() retried after EIO or EINTR", "retries", ["eio-retried", "eintr-retried", "retry-hurts"],
        ["not-retried"], probe=True)
    row("io_uring", "uring", ["closed-then-read", "accepted-and-kept", "closed-under-its-owner"],
        ["fixed-files", "in-order"], probe=True)
    row("a close loop or close_range in a child before exec", "sweeps", ["a-million-before-exec"],
        ["before-exec", "vfork", "range-before-exec"])
    row("daemonize sweep", "sweeps", ["daemonizes-a-million", "daemonizes-late"], ["daemonizes"])
    row("close_range(3, ~0, CLOEXEC)", "sweeps", ["closes-all"], ["marks-all"])
    row("F_GETFD loop over a million numbers", "sweeps", ["asks-a-million"], ["asks-a-thousand"])
    row("0/1/2 closed, then a data file or socket opened there", "files", ["data-on-2", "socket-on-0"],
        ["output-on-0", "put-by-dup2", "null-on-0-and-2", "terminal-on-0"])
    row("a record lock lost with another descriptor of the file", "files", ["lock-lost"],
        ["lock-of-description", "lock-of-whole-file", "lock-released-before", "lock-closed", "lock-other-file"])
    row("an epoll keeps a closed file alive", "epolls", ["kept-by-dup", "kept-by-fork"],
        ["removed-first", "closed-alone"])
    row("a forked process changes the shared epoll", "epolls", ["foreign"], ["of-its-own"])
    attached_rows()


def attached_rows():
    """Some of them again, where fdtrace comes to a program that runs already."""
    row("-p: victim, bystander, offender on one number", "closes", ["stale-close", "race-hurts"], ["each-its-own"],
        traced=attached)
    row("-p: a listener inherited by a child", "images", ["listener-held"], ["prefork", "prefork-execs"],
        traced=attached)
    row("-p: close_range(3, ~0, CLOEXEC)", "sweeps", ["closes-all"], ["marks-all"], traced=attached)
    row("-p: a connection pool", "leaks", ["pool-grows"], ["pool-at-plateau"], traced=attached)


# --- running all of them ---

def chosen(words):
    return [case for case in CASES if not words or any(word in case.name for word in words)]


def start(pool, cases):
    for case in cases:
        case.future = pool.submit(case.execute)


def table(cases):
    """As Markdown; the cases that are not as expected are marked."""
    print("| pattern | verdict expected | verdict given |\n|---|---|---|")
    bad = 0
    for case in cases:
        try:
            case.future.result()
            mark = ""
        except Exception as why:
            mark, bad = " **" + (str(why).splitlines() or ["failed"])[0].replace("|", "/") + "**", bad + 1
        expected = "; ".join(str(e) for e in case.expected) or "?"
        print(f"| {case.name} | {expected} | {case.given()}{mark} |".replace("\n", " "), flush=True)
    print(f"\n{len(cases) - bad} of {len(cases)} as expected")
    sys.exit(1 if bad else 0)


def tap(cases):
    for case in cases:
        add_case(case.name, case.future.result)
    main()


def everything():
    words = [w for w in sys.argv[1:] if w != "--table"]
    rows()
    for why in NOT_HERE:
        print(f"# {why}")
    cases = chosen(words)
    with harness._lock(fcntl.LOCK_SH), ThreadPoolExecutor(AT_A_TIME) as pool:
        start(pool, cases)
        (table if "--table" in sys.argv else tap)(cases)


if __name__ == "__main__":
    everything()
