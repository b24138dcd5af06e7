#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A healthy machine's hour in minutes: builds, shells, servers under load, reloads, logins, jobs.

    tests/healthy/driver.py RESULTS [PART-OF-A-PHASE'S-NAME...]

Real software only, each in a folder, on a port and with a configuration of its own, ended by its
pid. A phase that went well has checked that its work was really done. RESULTS gets a JSON line a
phase: its name, when it began and ended, what it did or why it failed. healthy.py runs this under
fdtrace and judges. Phases that need more than a table's row are here; the rows are in programs.py.
"""
import asyncio
import concurrent.futures
import contextlib
import ctypes
import functools
import glob
import http.client
import json
import multiprocessing
import os
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PYTHON, TOP, free_port
from programs import PROGRAMS, TOOLS

DEADLINE_S = 150
PR_SET_CHILD_SUBREAPER = 36
SETTLE_S = 3  # a sweep is told two seconds later: a finding belongs to the phase it is told in

phases = []


def phase(name):
    def register(function):
        phases.append((name, function))
        return function
    return register


# --- running things ---

def clean_environment(**extra):
    """Debian's own programs first, in a language that is always there, no user's settings."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYENV", "GIT_", "MAKE", "MFLAGS"))}
    keep.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8", **extra)
    return keep


def do(argv, cwd=None, status=0, text=None, **popen):
    """Runs argv to its end, gives its stdout; another exit status is a failure."""
    popen.setdefault("env", clean_environment())
    done = subprocess.run([os.fspath(a) for a in argv], cwd=cwd, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False,
                          stdin=subprocess.DEVNULL if text is None else None, **popen)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == status, \
        f"{argv}: status {done.returncode}\n{said[-2000:]}\n{done.stderr.decode('utf-8', 'replace')[-2000:]}"
    return said


def shell(script, cwd, name="bash", **popen):
    return do([name, "-c", script], cwd, **popen)


def until(what, condition, timeout=30):
    """Polls until condition gives something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"after {timeout} s still not: {what}"
        time.sleep(0.02)


def ended(pid):
    """True once that child, or adopted grandchild, is gone; takes it from the process table."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not os.path.exists(f"/proc/{pid}")


def stop(pid, number=signal.SIGTERM):
    """Ends one process and waits for its end; kills it if it does not obey."""
    os.kill(pid, number)
    try:
        until(f"the end of pid {pid}", lambda: ended(pid))
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        until(f"the end of pid {pid}", lambda: ended(pid))
        raise


class Daemon:
    """A server in the foreground, its words in a log. Leaving the block ends it by its pid."""

    def __init__(self, argv, folder, number=signal.SIGTERM, name=None, **popen):
        popen.setdefault("env", clean_environment())
        self.log = os.path.join(folder, (name or os.path.basename(argv[0])) + ".log")
        self.number = number
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT, **popen)
        self.pid = self.child.pid

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.send_signal(self.number)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def matched(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in {text[-2000:]!r}"
    return found.group(1)


def account(name, folder):
    """The user, and the folder is theirs."""
    user = pwd.getpwnam(name)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


# --- shells and tools ---

SCRIPT = r"""
set -eu
for i in $(seq 200); do echo "line $i of many"; done > lines
test "$(sort -r lines | awk '{ print $2 }' | sort -n | tail -n 1)" = 200
cat <<END > here
$(wc -l < lines)
END
grep -q '^200$' here
exec 7>held; echo kept >&7; exec 7>&-
exec 8<lines; read -r first <&8; exec 8<&-
test "$first" = "line 1 of many"
( cd / && ls > /dev/null ) & wait $!
for round in 1 2 3 4 5 6 7 8 9 10; do
	tar -cf - lines here | gzip -1 | gunzip | tar -tf - > listed
	test "$(wc -l < listed)" -eq 2
	find . -name 'l*' -print0 | xargs -0 -P 4 -n 1 md5sum > sums
	test "$(wc -l < sums)" -eq 2
	echo "$round" >> rounds
done
while read -r line; do echo "$line"; done < lines | tee copy | cksum > /dev/null
cmp lines copy
trap 'rm -f doomed' EXIT
touch doomed
wc -l < rounds
"""

BASH = r"""
set -euo pipefail
diff <(sort lines) <(sort -r lines | sort)
paste <(cut -d' ' -f2 lines) <(cut -d' ' -f1 lines) | tail -n 1
coproc CAT { cat; }
echo spoken >&"${CAT[1]}"; read -r heard <&"${CAT[0]}"; test "$heard" = spoken
eval "exec ${CAT[1]}>&-"; wait "$CAT_PID"
seq 50 | tee >(wc -l > counted) >(tail -n 1 > last) > /dev/null
until [ -s counted ] && [ -s last ]; do :; done
exec {own}<lines; mapfile -t all <&"$own"; exec {own}<&-
test "${#all[@]}" -eq 200
grep -c many <<< "$(cat lines)"
( flock 9; echo locked > flocked ) 9> lock
for i in {1..8}; do ( head -c 100000 /dev/zero | cksum ) & done > /dev/null; wait
timeout 5 sleep 0.1; nohup true 2> /dev/null; env -i true; nice true
"""


@phase("shells")
def shells(folder):
    for name in ("dash", "bash", "busybox"):
        where = os.path.join(folder, name)
        os.mkdir(where)
        argv = [name, "sh", "-c", SCRIPT] if name == "busybox" else [name, "-c", SCRIPT]
        assert do(argv, where).strip() == "10", f"{name}: not all rounds"
    assert "200" in shell(BASH, os.path.join(folder, "bash"))
    return "10 rounds of pipes in each of dash, bash and busybox; substitutions and a coprocess"


@phase("tools")
def tools(folder):
    count = shell("find /usr/share/doc -type f -print0 | xargs -0 -P 4 -n 400 grep -l -i licen[sc]e | wc -l || true",
                  folder)
    assert int(count) > 50, count
    shell("tar -C /usr/share -cf - doc/base-files misc 2>/dev/null | xz -1 -T2 > a.xz && xz -dc a.xz | tar -tf - "
          "| grep -q misc", folder)
    shell("perl -e 'for my $i (1..50) { open my $h, q(-|), q(echo), $i or die; $s += <$h>; close $h } "
          "open my $o, q(>), q(sum) or die; print $o $s' && grep -qx 1275 sum", folder)
    shell("seq 20000 | awk 'BEGIN { while ((\"ls /\" | getline l) > 0) n++; close(\"ls /\") } "
          "{ s += $1; print $1 > \"odd\" ($1 % 2) } END { print s, (n > 3) }' | grep -qx '200010000 1'", folder)
    shell("gcc -x c -O1 -pipe -o hello - <<'END' && ./hello | grep -qx hello\n#include <stdio.h>\n"
          "int main(void) { return puts(\"hello\") < 0; }\nEND", folder)
    shell("sqlite3 t.db 'create table t(a); with recursive c(x) as (select 1 union all select x + 1 from c where "
          "x < 5000) insert into t select x from c; pragma journal_mode=wal; vacuum;' && "
          "for i in 1 2 3 4; do sqlite3 -cmd '.timeout 20000' t.db 'update t set a = a + 1' & done; wait; "
          "sqlite3 t.db 'select min(a) from t' | grep -qx 5", folder)
    shell("rsync -a /usr/share/perl5/Debconf/ copy/ && rsync -ac --delete /usr/share/perl5/Debconf/ copy/ && diff -r /usr/share/perl5/Debconf copy",
          folder)
    return f"{count.strip()} files found, archives, perl, awk, gcc, sqlite3, rsync"


@phase("git")
def git(folder):
    env = clean_environment(HOME=folder, GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b",
                            GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")
    own = os.path.join(folder, "own")
    write(os.path.join(folder, ".gitconfig"), "[safe]\n\tdirectory = *\n")
    shell(f"git init -q own && cp -r '{TOP}/src' '{TOP}/tests' own/ && cd own && git add . && git commit -qm one && "
          "git checkout -q -b side && sed -i 's/static/static /' src/engine/*.c && git commit -qam two && "
          "git checkout -q - && git merge -q --no-ff -m merged side && git rebase -q --root && git stash list && "
          "git worktree add -q ../tree HEAD~1 && git tag -a -m t v1", folder, env=env)
    shell(f"git clone -q --no-hardlinks 'file://{own}' copy && cd copy && git log -p --stat | wc -l && git gc -q && "
          "git grep -c include | wc -l && git fsck && git blame src/engine/engine.c > /dev/null && "
          "git archive HEAD | tar -tf - | wc -l && git fetch -q --all && git repack -adq && git status", folder, env=env)
    commits = do(["git", "rev-list", "--count", "--all"], os.path.join(folder, "copy"), env=env)
    assert int(commits) >= 2, commits
    return f"{commits.strip()} commits made, cloned, packed, searched"


@phase("build")
def build(folder):
    for name in ("Makefile", "src", "bpf", "include", "vmlinux", "tests", ".clang-format"):
        if os.path.isdir(os.path.join(TOP, name)):
            shutil.copytree(os.path.join(TOP, name), os.path.join(folder, name))
        else:
            shutil.copy(os.path.join(TOP, name), folder)
    do(["make", "-s", "-j", str(os.cpu_count()), "B=out", "CFLAGS=-O0"], folder)
    said = do(["out/fdtrace", "--version"], folder)
    assert "fdtrace" in said, said
    do(["make", "-s", "B=out", "CFLAGS=-O0", "purity"], folder)
    return "fdtrace built by make -j"


# --- packages ---

@phase("packages")
def packages(folder):
    lists = ["-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache", "-o",
             "Acquire::http::Timeout=5", "-o", "Acquire::Retries=0", "-o", "APT::Sandbox::User=root"]
    os.makedirs(os.path.join(folder, "lists/partial"))
    os.makedirs(os.path.join(folder, "cache/archives/partial"))
    try:
        do(["apt-get", "-q", *lists, "update", "--error-on=any"])
        network = "the archive's lists fetched"
    except (AssertionError, subprocess.TimeoutExpired):
        network = "no archive within reach"
    installed = do(["dpkg", "-l"]).count("\nii ")
    assert installed > 50, installed
    do(["apt-get", "-s", "install", "--reinstall", "bash"])
    assert "bash" in do(["apt-cache", "search", "--names-only", "^bash$"]) or network
    do(["apt-cache", "policy", "bash"])
    assert "/bin/bash" in do(["dpkg", "-L", "bash"])
    os.makedirs(os.path.join(folder, "p/DEBIAN"))
    write(os.path.join(folder, "p/DEBIAN/control"),
          "Package: own\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: own\n")
    do(["dpkg-deb", "-b", "p", "own.deb"], folder)
    assert "own" in do(["dpkg-deb", "-I", "own.deb"], folder)
    return f"{installed} packages listed, one built; {network}"


# --- Python ---

@phase("venv")
def venv(folder):
    do([PYTHON, "-m", "venv", "v"], folder)
    listed = do(["v/bin/python", "-m", "pip", "--disable-pip-version-check", "list"], folder)
    assert "pip" in listed, listed
    do(["v/bin/python", "-m", "compileall", "-q", "-f", "-j", "2", "v/lib"], folder)
    do(["v/bin/python", "-m", "pip", "--disable-pip-version-check", "check"], folder)
    return "a virtual environment with pip, compiled again by two processes"


def square(number):
    return number * number


def pool_work():
    with multiprocessing.Pool(4) as pool:
        assert sum(pool.map(square, range(2000))) == sum(n * n for n in range(2000))
    for how in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(how)
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(square, range(200), chunksize=20)) == [n * n for n in range(200)]
    with multiprocessing.Manager() as manager:
        shared = manager.list(range(10))
        assert sum(shared) == 45


def thread_work(folder):
    def one(number):
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 1000)
            file.flush()
            subprocess.run(["/bin/true"], check=True)
            return os.fstat(file.fileno()).st_size
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(200))) == 200000


async def async_work():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def client(port, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d\n" % number)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return int(line)

    async def child(number):
        process = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
        out, _ = await process.communicate(b"%d" % number)
        return int(out)

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for _ in range(10):
            assert sum(await asyncio.gather(*(client(port, n) for n in range(50)))) == 1225
    assert sum(await asyncio.gather(*(child(n) for n in range(20)))) == 190


@phase("python")
def python(folder):
    script = (f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\n"
              "import asyncio, driver\nif __name__ == '__main__':\n"
              f"    driver.pool_work(); driver.thread_work({folder!r}); asyncio.run(driver.async_work())\n")
    do([PYTHON, "-B", write(os.path.join(folder, "work.py"), script)], folder)
    with Daemon([PYTHON, "-m", "http.server", "--bind", "127.0.0.1", str(port := free_port())], folder) as server:
        until("the server listens", lambda: answers(port))
        for _ in range(200):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/work.py")
            assert connection.getresponse().read().decode() == script
            connection.close()
        assert server.child.poll() is None
    return "pools of three kinds, 200 threads' children, 500 asyncio connections, 200 requests"


# Those that do nothing on purpose that is wrong: most others of the stdlib's tests close foreign
# numbers, use closed ones or sweep, because that is what they test. Not among them is test_mailbox: MH
# loses its lock when it reads the sequences, which it has locked, through another descriptor (close.lock).
STDLIB = ["test_zipfile", "test_tarfile", "test_gzip", "test_shutil", "test_glob", "test_pathlib", "test_configparser",
          "test_csv", "test_json", "test_netrc", "test_dbm_dumb", "test_shelve", "test_queue",
          "test_threading_local", "test_httpservers", "test_ftplib", "test_smtplib", "test_poplib", "test_filecmp",
          "test_fileinput", "test_linecache", "test_tokenize", "test_sched", "test_wsgiref", "test_xmlrpc",
          "test_urllib2_localnet"]


@phase("stdlib")
def stdlib(folder):
    said = do([PYTHON, "-B", "-m", "test", "-j2", "--tempdir", folder, *STDLIB], folder)
    assert "Result: SUCCESS" in said or "Tests result: SUCCESS" in said, said[-1000:]
    return f"{len(STDLIB)} of the standard library's tests"


@phase("node")
def node(folder):
    script = """
const http = require('http'), fs = require('fs'), { spawn, Worker } = require('child_process');
const threads = require('worker_threads');
let served = 0;
const server = http.createServer((q, a) => fs.createReadStream(__filename).pipe(a));
server.listen(0, '127.0.0.1', async () => {
  for (let r = 0; r < 10; r++)
    await Promise.all(Array.from({ length: 20 }, () => new Promise((ok, bad) =>
      http.get({ port: server.address().port, agent: false }, a => { a.resume(); a.on('end', () => { served++; ok(); }); })
        .on('error', bad))));
  for (let r = 0; r < 10; r++)
    await new Promise(ok => spawn('/bin/cat', [__filename], { stdio: ['ignore', 'pipe', 'inherit'] }).on('close', ok)
      .stdout.resume());
  await new Promise(ok => new threads.Worker('setTimeout(() => 0, 50)', { eval: true }).on('exit', ok));
  server.close(() => console.log(served));
});
"""
    said = do(["node", write(os.path.join(folder, "work.js"), script)], folder)
    assert said.strip() == "200", said
    return "200 requests served, 10 children"


# --- servers ---

NGINX = """
worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log notice;
events {{ worker_connections 256; }}
http {{
	access_log {folder}/access.log; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
	fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
	open_file_cache max=100; sendfile on;
	upstream back {{ server 127.0.0.1:{back}; keepalive 8; }}
	server {{ listen 127.0.0.1:{port} reuseport; root {folder}/www;
		location /back/ {{ proxy_pass http://back/; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
	server {{ listen 127.0.0.1:{back}; root {folder}/www; }}
}}
"""


def load(port, path, requests, *options):
    """ab's requests, all answered."""
    said = do(["ab", "-q", "-n", str(requests), "-c", "20", *options, f"http://127.0.0.1:{port}{path}"])
    done = int(matched(r"Complete requests:\s+(\d+)", said))
    assert done == requests and "Non-2xx" not in said, said
    return done


def pid_in(path):
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read() or 0)
    except OSError:
        return 0


@phase("nginx")
def nginx(folder):
    port, back = free_port(), free_port()
    os.mkdir(os.path.join(folder, "www"))
    write(os.path.join(folder, "www/index.html"), "hello\n" * 500)
    conf = write(os.path.join(folder, "nginx.conf"), NGINX.format(folder=folder, port=port, back=back))
    command = ["/usr/sbin/nginx", "-p", folder, "-c", conf]
    pid_file = os.path.join(folder, "nginx.pid")
    do(command)  # a daemon: in the foreground it does not let itself be replaced
    first = until("nginx has told its pid", lambda: pid_in(pid_file))
    master = first
    try:
        until("nginx listens", lambda: answers(port))
        served = load(port, "/", 5000, "-k") + load(port, "/back/", 3000, "-k")
        for _ in range(3):
            do([*command, "-s", "reload"])
            served += load(port, "/", 1500, "-r")
        do([*command, "-s", "reopen"])
        os.kill(first, signal.SIGUSR2)
        until("the new binary runs", lambda: pid_in(pid_file) not in (0, first))
        second = pid_in(pid_file)
        until("the new one has workers", lambda: children(second))
        stop(first, signal.SIGQUIT)
        master = second
        served += load(port, "/", 1500, "-r") + load(port, "/back/", 1500, "-k")
    finally:
        stop(master, signal.SIGQUIT)
    return f"{served} requests, 3 reloads, a binary upgrade"


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(p) for p in file.read().split()]
    except OSError:
        return []


@phase("redis")
def redis(folder):
    port = str(free_port())
    with Daemon(["/usr/bin/redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes",
                 "--io-threads", "2", "--daemonize", "no"], folder):
        until("redis listens", lambda: answers(int(port)))
        client = ["redis-cli", "-p", port]
        said = do(["redis-benchmark", "-p", port, "-q", "-n", "20000", "-c", "30", "-t", "set,get,lpush"])
        rates = re.findall(r"([\d.]+) requests per second", said)
        assert len(rates) == 3, said
        do([*client, "bgrewriteaof"])
        until("the log is rewritten", lambda: "aof_rewrite_in_progress:0" in do([*client, "info", "persistence"]))
        do([*client, "bgsave"])
        until("it is saved", lambda: "rdb_bgsave_in_progress:0" in do([*client, "info", "persistence"]))
        do([*client, "config", "set", "appendonly", "no"])
        assert int(do([*client, "dbsize"])) > 0
    assert os.path.getsize(os.path.join(folder, "dump.rdb")) > 0
    return "60000 requests, its log rewritten, its data saved"


@phase("postgres")
def postgres(folder):
    home = max(glob.glob("/usr/lib/postgresql/*/bin"))
    own = account("postgres", folder)
    env = clean_environment(PGHOST=folder, PGPORT=str(free_port()), PGUSER="postgres", PGDATABASE="postgres", HOME=folder)
    client = {"env": env, **own}
    do([f"{home}/initdb", "-D", f"{folder}/data", "-A", "trust", "-N", "-U", "postgres"], folder, **client)
    with Daemon([f"{home}/postgres", "-D", f"{folder}/data", "-k", folder, "-h", "127.0.0.1", "-p", env["PGPORT"],
                 "-c", "max_wal_size=64MB", "-c", "autovacuum_naptime=2s", "-c", "logging_collector=on",
                 "-c", "log_rotation_size=10kB", "-c", "log_connections=on"], folder, signal.SIGINT, **client) as server:
        until("postgres is ready", lambda: subprocess.run([f"{home}/pg_isready", "-q"], env=env, check=False).returncode == 0)
        do([f"{home}/pgbench", "-i", "-q", "-s", "2"], folder, **client)
        said = do([f"{home}/pgbench", "-c", "6", "-j", "2", "-T", "6", "-P", "5"], folder, **client)
        done = int(matched(r"actually processed: (\d+)", said))
        assert done > 0 and "number of failed transactions: 0" in said, said
        said = do([f"{home}/pgbench", "-C", "-S", "-c", "4", "-t", "40"], folder, **client)  # a login each
        assert "160/160" in said, said
        do([f"{home}/psql", "-qc", "vacuum full analyze"], folder, **client)
        os.kill(server.pid, signal.SIGHUP)
        do(["bash", "-c", f"{home}/pg_dump -Fc | {home}/pg_restore -f dump.sql && grep -q pgbench dump.sql"], folder, **client)
        do([f"{home}/psql", "-qc", "set max_parallel_workers_per_gather=2; set parallel_setup_cost=0; "
            "set min_parallel_table_scan_size=0; select count(*) from pgbench_accounts"], folder, **client)
    return f"{done} transactions, 160 logins, vacuum, a dump"


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
StrictModes no
PermitRootLogin yes
Subsystem sftp /usr/lib/openssh/sftp-server
"""


@phase("ssh")
def ssh(folder):
    port = free_port()
    os.makedirs("/run/sshd", exist_ok=True)  # where sshd locks itself in; a system's start makes it
    for key in ("host", "user"):
        do(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, key)])
    conf = write(os.path.join(folder, "sshd_config"), SSHD.format(folder=folder, port=port, pam="yes"))
    options = ["-F", "none", "-i", f"{folder}/user", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known",
               "-o", "BatchMode=yes", "-o", f"Port={port}"]
    login = ["ssh", *options, "root@127.0.0.1"]
    with Daemon(["/usr/sbin/sshd", "-D", "-e", "-f", conf], folder) as server:
        until("sshd listens", lambda: answers(port))
        for number in range(8):
            assert do([*login, f"echo {number}; ls / | wc -l"]).split()[0] == str(number)
        quoted = " ".join(login)
        shell(f"tar -C /usr/share -cf - misc | {quoted} 'cat > {folder}/t.tar' && tar -tf t.tar | grep -q misc", folder)
        do(["scp", "-q", *options, f"root@127.0.0.1:{folder}/t.tar", f"{folder}/copy.tar"])
        do(["sftp", "-q", *options, "-b", "-", "root@127.0.0.1"], text=f"cd {folder}\nls\nget t.tar {folder}/again.tar\n".encode())
        shell(f"rsync -a -e '{' '.join(login[:-1])}' /usr/share/misc root@127.0.0.1:{folder}/ && cmp t.tar again.tar", folder)
        for number in range(3):
            assert do([*login, "-tt", f"echo {number}"]).strip() == str(number)
        os.kill(server.pid, signal.SIGHUP)  # it executes itself again
        until("sshd listens again", lambda: server.said().count("Server listening") == 2)
        assert do([*login, "echo again"]).strip() == "again"
    return "12 logins, tar, scp, sftp, rsync, a restart"


RSYSLOG = """
module(load="imuxsock" SysSock.Name="{folder}/dev" SysSock.RateLimit.Interval="0")
$WorkDirectory {folder}
*.* {folder}/all.log
mail.* {folder}/mail.log
$umask 0022
"""


@phase("rsyslog")
def rsyslog(folder):
    conf = write(os.path.join(folder, "rsyslog.conf"), RSYSLOG.format(folder=folder))
    log = os.path.join(folder, "all.log")
    with Daemon(["/usr/sbin/rsyslogd", "-n", "-f", conf, "-i", f"{folder}/pid"], folder) as server:
        until("its socket", lambda: os.path.exists(f"{folder}/dev"))
        for rotation in range(3):
            shell(f"for i in $(seq 40); do logger -u {folder}/dev -p mail.info \"message $i\"; done; "
                  f"seq 500 | logger -u {folder}/dev -t many", folder)
            until("all is written", lambda: os.path.exists(log) and open(log, encoding="utf-8").read().count("many") == 500)
            os.rename(log, f"{log}.{rotation}")
            os.kill(server.pid, signal.SIGHUP)
            shell(f"logger -u {folder}/dev after", folder)
            until("it writes to the new file", lambda: os.path.exists(log))
    return "1620 messages, 3 rotations"


# Its folders are compiled in: it gets others in a mount namespace of its own.
CRON = """
mount --make-rprivate / && mount -t tmpfs none /var/spool/cron && mkdir -p /var/spool/cron/crontabs
mount --bind {folder}/empty /etc/cron.d && mount --bind {folder}/run /run
printf '* * * * * echo done >> {folder}/minutes; ls / | wc -l\\n' > /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root && exec cron -f -L 0
"""
ANACRON = "1 0 job echo job >> {folder}/jobs\n1 0 other ls / | wc -l >> {folder}/jobs\n"


@phase("cron")
def cron(folder):
    for name in ("empty", "run", "spool"):
        os.mkdir(os.path.join(folder, name))
    write(os.path.join(folder, "anacrontab"), ANACRON.format(folder=folder))
    with Daemon(["unshare", "-m", "sh", "-c", CRON.format(folder=folder)], folder):
        do(["anacron", "-d", "-f", "-n", "-t", f"{folder}/anacrontab", "-S", f"{folder}/spool"])
        assert os.path.getsize(os.path.join(folder, "jobs")) > 0
        until("the minute's job has run", lambda: os.path.exists(os.path.join(folder, "minutes")), 75)
    return "a minute of cron, anacron's jobs"


@phase("sqlite")
def sqlite(folder):
    path = os.path.join(folder, "t.db")
    with sqlite3.connect(path) as base:
        base.execute("pragma journal_mode=wal")
        base.execute("create table t (a)")
    base.close()

    def add(number):
        connection = sqlite3.connect(path, timeout=30)
        with connection:
            connection.execute("insert into t values (?)", (number,))
        connection.close()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(200)))
    connection = sqlite3.connect(path)
    count = connection.execute("select count(*) from t").fetchone()[0]
    connection.close()
    assert count == 200, count
    return "200 connections of 4 threads to one file"


# --- the table's programs ---

def fill(text, values):
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def lay_out(program, folder, values):
    for name, text in program.files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, fill(text, values), 0o755 if text.startswith("#!") else 0o644)


def serve(program, folder, script, env):
    """Its server, ready, and what stands beside it, loaded before and after each reload."""
    def command(text, number, name):
        return Daemon(["bash", "-c", f"exec {text}"], folder, number, name, env=env, start_new_session=True)

    with contextlib.ExitStack() as stack:
        if program.beside:
            beside = stack.enter_context(command(program.beside, signal.SIGTERM, "beside"))
            until(f"{program.beside} runs", lambda: beside.child.poll() is None)
        server = stack.enter_context(command(program.start, program.end, "server"))
        try:
            until(f"{program.name} is ready", lambda: tried(program.ready, folder, env) or server.child.poll() is not None)
            script(program.load)
            for reload in program.reload:
                os.kill(server.pid, reload) if isinstance(reload, int) else script(reload)
                until(f"{program.name} is ready again", lambda: tried(program.ready, folder, env))
                script(program.load)
            assert server.child.poll() is None, f"it has ended by itself: {server.child.returncode}"
        except Exception as why:
            raise AssertionError(f"{why}\n--- {program.name}'s log\n{server.said()[-2000:]}") from why


def tried(ready, folder, env):
    return subprocess.run(["bash", "-c", TOOLS + ready], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=DEADLINE_S, check=False).returncode == 0


def work(program, folder):
    values = {"FOLDER": folder, "PORT": str(free_port()), "OTHER": str(free_port())}
    env = clean_environment(PYTHON=PYTHON, HOME=folder, **values)

    def script(text):
        shell(TOOLS + text, folder, env=env)

    lay_out(program, folder, values)
    script(program.setup)
    if program.start:
        serve(program, folder, script, env)
    else:
        script(program.load)
    return program.does


for row in PROGRAMS:
    phase(row.name)(functools.partial(work, row))
EXPECTED = {row.name: row.expected for row in PROGRAMS}


# --- the run ---

def one(name, function, top):
    folder = os.path.join(top, name.replace(" ", "-"))
    os.mkdir(folder)
    result = {"phase": name, "start": time.time(), "expected": EXPECTED.get(name, {})}
    try:
        result["done"] = function(folder)
    except Exception:  # whatever went wrong, the phase did not do its work
        result["error"] = traceback.format_exc()[-6000:]
    time.sleep(SETTLE_S)
    result["end"] = time.time()
    return result


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # nginx's second master becomes our child
    wanted = [p for p in phases if len(sys.argv) < 3 or any(a in p[0] for a in sys.argv[2:])]
    with open(sys.argv[1], "w", encoding="utf-8") as results, tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        for name, function in wanted:
            print(json.dumps(one(name, function, top)), file=results, flush=True)


if __name__ == "__main__":
    main()
