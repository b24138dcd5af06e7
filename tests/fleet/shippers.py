#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The shippers of src/fleet/shippers at work with the very files an operator installs, on lines
that fdtrace wrote: every line arrives, byte by byte, and its fields can be used."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import yaml

from harness import FDTRACE, PYTHON, TOP, case, free_port, main, need_tracing, program, run, until
from shipping import SHIPPERS, executable, read_lines, rsyslog, syslog_ng, unpacked_environment

HOLDER = os.path.join(TOP, "tests", "stories", "pipe_holder.py")
SOURCE = "/var/log/fdtrace/"
LOG = SOURCE + "fdtrace.jsonl"
STORE = "/var/log/fdtrace-fleet"


def append_findings(path, *command, options=()):
    """fdtrace's JSON lines of one run, appended to path by fdtrace itself."""
    with open(path, "ab") as file:
        done = subprocess.run([FDTRACE, "-j", "-o", "-", *options, "--", *command], stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode < 125, done.stderr.decode()


def hard_lines(folder):
    """Lines of fdtrace with what shippers stumble over; each of these is asserted to be there."""
    path = os.path.join(folder, "hard.jsonl")
    foreign = os.path.join(folder, "Prüfstand 日本 \"1\" 100%n\\")
    os.mkdir(foreign)
    guilty = shutil.copy(program("close_twice"), foreign)
    append_findings(path, guilty, "guilty")
    append_findings(path, PYTHON, HOLDER, "guilty", "x" * 5000)
    append_findings(path, PYTHON, HOLDER, "guilty", *["%d ${x} $(y) \t\n é€𝄞"] * 20, options=["-e"])
    lines = read_lines(path)
    assert 3900 <= max(map(len, lines)) <= 4000, max(map(len, lines))
    assert any("日本" in line.decode() for line in lines), "no line with letters beyond ASCII"
    assert any(isinstance(json.loads(line)["fdtrace"].get("truncated"), bool) for line in lines)
    return lines


_hard = []


def hard(folder):
    """Made once, for all shippers: they are slow to make."""
    if not _hard:
        _hard.extend(hard_lines(folder))
        _hard.extend([big_numbers(), long_line()])
    return _hard


def big_numbers():
    """The largest that a line of fdtrace may hold, as numbers; beyond them it writes strings."""
    return json.dumps({"event": {"dataset": "fdtrace.finding", "id": "big", "sequence": 2**63 - 1},
                       "fdtrace": {"count": 2**53 + 1, "fd": 0}, "none": [], "inode": str(2**64 - 1)}).encode()


def long_line():
    """As `--json=full` may write them; a shipper's default would cut it."""
    return json.dumps({"event": {"dataset": "fdtrace.state", "id": "long"}, "pad": "ä" * 25000},
                      ensure_ascii=False).encode()


def listening(port):
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def rig(client, collector):
    """A shipper, its collector and their folders: (file to write, store to read, both daemons).

    client, collector: functions that make a daemon of (folder, port, second port).
    """
    need_tracing()
    with tempfile.TemporaryDirectory(prefix="fdtrace-ship-") as folder:
        for name in ("log", "store", "queue", "collector"):
            os.mkdir(os.path.join(folder, name))
        ports = free_port(), free_port()
        with collector(folder, *ports) as store:
            until("a collector that listens", lambda: listening(ports[0]) or store.child.child.poll() is not None)
            with client(folder, *ports) as shipper:
                yield folder, shipper, store


def rsyslog_client(folder, port, _, changes=()):
    return rsyslog(folder + "/client", "rsyslog.conf", {
        SOURCE: folder + "/log/", "/var/spool/rsyslog": folder + "/queue", "collector.example": "127.0.0.1",
        'port="10514"': f'port="{port}"', 'resumeInterval="5"': 'resumeInterval="1"', **dict(changes)})


def relp_client(folder, _, port):
    return rsyslog(folder + "/client", "rsyslog-relp.conf", {
        SOURCE: folder + "/log/", "/var/spool/rsyslog": folder + "/queue", "collector.example": "127.0.0.1",
        'port="10515"': f'port="{port}"', 'resumeInterval="5"': 'resumeInterval="1"'})


def rsyslog_collector(folder, port, relp):
    return rsyslog(folder + "/collector", "rsyslog-collector.conf", {
        STORE: folder + "/store", 'port="10514"': f'port="{port}"', 'port="10515"': f'port="{relp}"'})


def syslog_ng_client(folder, port, _, changes=()):
    return syslog_ng(folder + "/client", "syslog-ng.conf", {
        SOURCE: folder + "/log/", "/var/lib/syslog-ng": folder + "/queue", "collector.example": "127.0.0.1",
        "port(10514)": f"port({port})", "time-reopen(5)": "time-reopen(1)", **dict(changes)})


def syslog_ng_collector(folder, port, _):
    return syslog_ng(folder + "/collector", "syslog-ng-collector.conf", {
        STORE: folder + "/store", "port(10514)": f"port({port})"})


def arrived(folder, lines, daemons):
    """Waits until each of the lines is in the collector's file, once or more, and nothing else is."""
    path = folder + "/store/fdtrace.jsonl"
    try:
        until("every line at the collector", lambda: set(lines) <= set(read_lines(path)))
    except AssertionError as late:
        missing = set(lines) - set(read_lines(path))
        said = "\n".join(d.said() for d in daemons if d.child)
        raise AssertionError(f"{late}: {len(missing)} missing, e.g. {sorted(missing)[:1]}\n{said}") from None
    foreign = set(read_lines(path)) - set(lines)
    assert not foreign, f"lines that nobody wrote: {sorted(foreign)[:2]}"


def put(folder, lines, name="fdtrace.jsonl"):
    with open(f"{folder}/log/{name}", "ab") as file:
        for line in lines:
            os.write(file.fileno(), line + b"\n")


def index_line(line):
    record = json.loads(line)
    if record["event"]["dataset"] != "fdtrace.finding" or "rule" not in record:
        return None
    return " ".join([record["@timestamp"], record["host"]["name"], record["fdtrace"]["fingerprint"],
                     record["rule"]["id"], record["severity"], record["message"]]).encode()


def fields_are_usable(folder, lines):
    """The index holds for each finding what its fields say."""
    wanted = {index_line(line) for line in lines} - {None}
    assert len(wanted) >= 3, wanted
    until("every finding in the index", lambda: wanted <= set(read_lines(folder + "/store/findings.txt")))


def ships(client, collector):
    with rig(client, collector) as (folder, shipper, store):
        put(folder, hard(folder))
        arrived(folder, hard(folder), (shipper, store))
        fields_are_usable(folder, hard(folder))


def numbered(first, count):
    return [json.dumps({"event": {"dataset": "fdtrace.state", "id": f"n{n}"}, "fdtrace": {"schema": 1}}).encode()
            for n in range(first, first + count)]


def bad_day(client, collector, number):
    """The collector goes away by a signal, the file is rotated, the shipper is killed; all of it arrives."""
    with rig(client, collector) as (folder, shipper, store):
        lines = numbered(0, 500)
        put(folder, lines[:100])
        arrived(folder, lines[:100], (shipper, store))
        store.end(number)
        put(folder, lines[100:200])
        rotate(folder)
        put(folder, lines[200:220], "fdtrace.jsonl.1")  # between rename and reopening
        put(folder, lines[220:300])
        until("what was rotated is read", lambda: shipper_has(folder, lines[299]))
        shipper.end(signal.SIGKILL)
        put(folder, lines[300:400])
        shipper.start()
        store.start()
        put(folder, lines[400:])
        arrived(folder, lines, (shipper, store))


def full_queue(client, collector, full, count, size):
    """More comes than the shipper's queue takes while the collector is away: the rest waits in the file."""
    with rig(client, collector) as (folder, shipper, store):
        store.end()
        lines = [line[:-1] + b',"pad":"' + b"x" * size + b'"}' for line in numbered(0, count)]
        put(folder, lines)
        until("a full queue", lambda: full(folder))
        assert not shipper_has(folder, lines[-1]), "the queue was large enough for all"
        store.start()
        arrived(folder, lines, (shipper, store))


def queue_bytes(folder):
    return sum(os.path.getsize(os.path.join(folder, "queue", name)) for name in os.listdir(folder + "/queue"))


def rotate(folder):
    os.rename(folder + "/log/fdtrace.jsonl", folder + "/log/fdtrace.jsonl.1")


def shipper_has(folder, line):
    """The line stands in one of the queue's files."""
    return any(line in open(os.path.join(folder, "queue", name), "rb").read()
               for name in os.listdir(folder + "/queue"))


@case("rsyslog: every line whole, its fields usable")
def rsyslog_ships():
    ships(rsyslog_client, rsyslog_collector)


@case("rsyslog with RELP: every line whole, its fields usable")
def relp_ships():
    ships(relp_client, rsyslog_collector)


@case("syslog-ng: every line whole, its fields usable")
def syslog_ng_ships():
    ships(syslog_ng_client, syslog_ng_collector)


@case("syslog-ng to rsyslog: both count octets")
def syslog_ng_to_rsyslog():
    ships(syslog_ng_client, rsyslog_collector)


@case("rsyslog: collector ended, file rotated, shipper killed: nothing lost")
def rsyslog_bad_day():
    bad_day(rsyslog_client, rsyslog_collector, signal.SIGTERM)


@case("rsyslog with RELP: collector killed, file rotated, shipper killed: nothing lost")
def relp_bad_day():
    bad_day(relp_client, rsyslog_collector, signal.SIGKILL)


@case("rsyslog with RELP: collector killed twice in the middle of a burst: nothing lost")
def relp_burst():
    with rig(relp_client, rsyslog_collector) as (folder, shipper, store):
        lines = numbered(0, 4000)
        put(folder, lines)
        for share in (500, 2000):
            until(f"{share} lines", lambda n=share: len(read_lines(folder + "/store/fdtrace.jsonl")) >= n)
            store.end(signal.SIGKILL)
            assert len(set(read_lines(folder + "/store/fdtrace.jsonl"))) < len(lines), "the burst is over already"
            store.start()
        arrived(folder, lines, (shipper, store))


@case("rsyslog: a full queue leaves the rest in the file: nothing lost")
def rsyslog_full():
    full_queue(lambda *where: rsyslog_client(*where, {'queue.size="50000"': 'queue.size="2000"'}),
               rsyslog_collector, lambda folder: queue_bytes(folder) > 1900 * 1000, 4000, 1000)


@case("syslog-ng: a full disk buffer leaves the rest in the file: nothing lost")
def syslog_ng_full():
    full_queue(lambda *where: syslog_ng_client(*where, {"268435456": "2097152"}),
               syslog_ng_collector, lambda folder: queue_bytes(folder) > 1100 * 1024, 800, 3800)


@case("syslog-ng: collector ended, file rotated, shipper killed: nothing lost")
def syslog_ng_bad_day():
    bad_day(syslog_ng_client, syslog_ng_collector, signal.SIGTERM)


# --- journald ---

# In a mount namespace of its own, with an empty /run and /var/log; the machine's journal is not touched.
JOURNAL = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs none /run
cp -a /etc /run/etc
mount --bind /run/etc /etc
mount -t tmpfs none /var/log
echo 3f1b5a8c9d7e4f20a1b2c3d4e5f60718 > /etc/machine-id
mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d
cat > /run/systemd/journald.conf.d/zz-test.conf << END
[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
ForwardToSyslog=no
ForwardToConsole=no
END
"$1" &
while [ ! -S /run/systemd/journal/stdout ]; do kill -0 $!; done
systemd-cat -t fdtrace cat "$2"
journalctl --sync
eval "$3"
"""


def documented_command():
    """How journald.md reads the lines back."""
    with open(os.path.join(SHIPPERS, "journald.md"), encoding="utf-8") as file:
        commands = [line.strip() for line in file if line.startswith("    journalctl")]
    assert len(commands) == 1, commands
    return commands[0]


@case("journald: every line comes back as it was written")
def journald_keeps():
    need_tracing()
    with tempfile.TemporaryDirectory(prefix="fdtrace-journal-") as folder:
        lines = [line for line in hard(folder) if len(line) < 48 * 1024]
        os.mkdir(folder + "/log")
        put(folder, lines)
        tools = os.path.dirname(executable("journalctl"))
        environment = {**unpacked_environment(), "PATH": tools + ":/usr/sbin:/usr/bin:/sbin:/bin"}
        result = run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", JOURNAL,
                      "sh", executable("systemd-journald"), folder + "/log/fdtrace.jsonl", documented_command()],
                     env=environment)
        assert result.status == 0, result
        assert result.out.splitlines() == lines, result


# --- what Debian does not have ---

# Keys by what holds them, as the documentation of the three names them.
DOCUMENTED = {
    "fluent-bit.yaml": {
        "service": "flush storage.path storage.sync storage.checksum storage.backlog.mem_limit",
        "parsers": "name format time_key time_format time_keep",
        "pipeline.inputs": "name tag parser path rotate_wait refresh_interval read_from_head db db.sync db.locking "
                           "buffer_chunk_size buffer_max_size skip_long_lines storage.type",
        "pipeline.outputs": "name match host port uri format json_date_key retry_limit",
    },
    "vector.yaml": {
        "data_dir": "",
        "sources.fdtrace_file": "type include fingerprint read_from max_line_bytes glob_minimum_cooldown_ms",
        "transforms.fdtrace": "type inputs drop_on_error reroute_dropped source",
        "sinks.fdtrace_collector": "type inputs uri encoding framing acknowledgements buffer",
    },
    "filebeat.yml": {
        "filebeat.inputs": "type id paths file_identity.fingerprint prospector.scanner.fingerprint.enabled "
                           "prospector.scanner.fingerprint.offset prospector.scanner.fingerprint.length parsers "
                           "publisher_pipeline.disable_host",
        "queue.disk": "max_size",
        "processors": "copy_fields",
        "setup.template.enabled": "",
        "setup.ilm.enabled": "",
        "output.elasticsearch": "hosts index",
    },
}


def load_yaml(name):
    with open(os.path.join(SHIPPERS, name), encoding="utf-8") as file:
        return yaml.safe_load(file)


def sections(name, config):
    """(path, mapping) of what DOCUMENTED speaks of; what it doesn't know is a mistake."""
    for key, value in config.items():
        known = [k for k in DOCUMENTED[name] if k == key or k.startswith(key + ".")]
        assert known, f"{name}: {key} is not documented"
        inner = [(key, value)] if key in known else [(f"{key}.{k}", v) for k, v in value.items()]
        for path, held in inner:
            assert path in DOCUMENTED[name], f"{name}: {path} is not documented"
            for mapping in held if isinstance(held, list) else [held]:
                yield path, mapping


def documented_only(name):
    config = load_yaml(name)
    for path, mapping in sections(name, config):
        strange = set(mapping if isinstance(mapping, dict) else ()) - set(DOCUMENTED[name][path].split())
        assert not strange, f"{name}: {path}: {strange}"
    return config


@case("Fluent Bit: YAML with documented keys; buffers on disk, long lines do not end the file (not run: not in Debian)")
def fluent_bit_file():
    config = documented_only("fluent-bit.yaml")
    source, sink = config["pipeline"]["inputs"][0], config["pipeline"]["outputs"][0]
    assert source["path"] == LOG and source["storage.type"] == "filesystem"
    assert source["skip_long_lines"] is True and source["buffer_max_size"] == "1M"
    assert source["parser"] == config["parsers"][0]["name"]
    assert sink["match"] == source["tag"] and sink["retry_limit"] == "no_limits"
    assert source["db"].startswith("/var/lib/") and config["service"]["storage.path"].startswith("/var/lib/")


@case("Vector: YAML with documented keys; buffer on disk, acknowledged (not run: not in Debian)")
def vector_file():
    config = documented_only("vector.yaml")
    sink = config["sinks"]["fdtrace_collector"]
    assert config["sources"]["fdtrace_file"]["include"] == [LOG, LOG + ".1"]
    assert config["transforms"]["fdtrace"]["inputs"] == list(config["sources"])
    assert sink["inputs"] == list(config["transforms"])
    assert sink["buffer"] == {"type": "disk", "max_size": 268435488, "when_full": "block"}
    assert sink["acknowledgements"] == {"enabled": True}


@case("Filebeat: YAML with documented keys; a first finding is enough to be read (not run: not in Debian)")
def filebeat_file():
    config = documented_only("filebeat.yml")
    source = config["filebeat.inputs"][0]
    assert source["paths"] == [LOG, LOG + ".1"] and source["file_identity.fingerprint"] is None
    assert source["prospector.scanner.fingerprint.length"] == 64
    assert source["parsers"] == [{"ndjson": {"target": "", "overwrite_keys": True, "add_error_key": True}}]
    assert source["publisher_pipeline.disable_host"] is True and config["queue.disk"]["max_size"] == "256MB"


@case("two files of fdtrace differ in their first 64 bytes, by which Filebeat distinguishes them")
def first_bytes_differ():
    need_tracing()
    with tempfile.TemporaryDirectory(prefix="fdtrace-ship-") as folder:
        for name in ("one", "two"):
            append_findings(os.path.join(folder, name), program("close_twice"), "guilty")
        one, two = (read_lines(os.path.join(folder, name))[0] for name in ("one", "two"))
        assert one[:64] != two[:64] and len(one) > 64, (one, two)


if __name__ == "__main__":
    main()
