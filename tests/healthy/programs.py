# SPDX-License-Identifier: BSD-2-Clause
"""Healthy programs, a row each: how one is set up, loaded, reloaded and ended; driver.py does it.

Scripts are bash's, run with -eu -o pipefail in the program's folder, with FOLDER, PORT and OTHER (a second
port) set and what TOOLS defines; a script that ends well has checked that its work was really done.
In files @FOLDER@ and so on stand for the values. A server runs in the foreground, so that its end
by its pid is the end of it all.
"""
import dataclasses
import signal


@dataclasses.dataclass
class Program:
    name: str
    does: str
    load: str
    files: dict = dataclasses.field(default_factory=dict)  # name: text; a script begins with #!
    setup: str = ""
    start: str = ""  # a command; none: the load is all there is
    beside: str = ""  # a command that serves it, ended after it
    ready: str = "exec 3<>/dev/tcp/127.0.0.1/$PORT"  # tried until it ends well
    reload: tuple = ()  # of signals and scripts; it is loaded again after each
    end: int = signal.SIGTERM
    expected: dict = dataclasses.field(default_factory=dict)  # a rule: why its finding is true of this program


TOOLS = r"""
set -eu -o pipefail
requests() # NUMBER PATH [OPTION...]: all of them are answered with 200
{
	local number=$1 path=$2
	shift 2
	ab -q -n "$number" -c 10 "$@" "${SCHEME:-http}://127.0.0.1:$PORT$path" > ab.out
	grep -q "Complete requests: *$number$" ab.out
	! grep -E 'Non-2xx|Failed requests: *[1-9]' ab.out
}
count() { test "$(cat)" -eq "$1"; }
has() { grep "$@" > /dev/null; } # reads all there is: who writes it goes on
until_it() { local i; for ((i = 0; i < 600; i++)); do if ( "$@" ) > /dev/null 2>&1; then return; fi; sleep 0.05; done; "$@"; }
"""

HTTPD = "busybox httpd -f -p 127.0.0.1:$OTHER -h www"
WWW = "mkdir -p www && seq 2000 > www/a.txt && cp www/a.txt www/index.html\n"

APACHE = """
LoadModule mpm_@MPM@_module /usr/lib/apache2/modules/mod_mpm_@MPM@.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule @CGI@_module /usr/lib/apache2/modules/mod_@CGI@.so
ServerRoot @FOLDER@
ServerName localhost
PidFile @FOLDER@/pid
DefaultRuntimeDir @FOLDER@
Listen 127.0.0.1:@PORT@
User www-data
Group www-data
DocumentRoot @FOLDER@/www
ErrorLog @FOLDER@/error.log
LogFormat "%r %>s" short
CustomLog "|/usr/bin/rotatelogs @FOLDER@/access.log 20K" short
@SOCKET@
ScriptAlias /cgi/ @FOLDER@/cgi/
<Directory @FOLDER@>
Require all granted
</Directory>
"""
CGI = "#!/bin/sh\necho Content-Type: text/plain\necho\nls / | wc -l\n"
APACHE_LOAD = "requests 500 /a.txt; requests 200 /a.txt -k; requests 30 /cgi/hello"


def apache(mpm, cgi, socket):
    text = APACHE.replace("@MPM@", mpm).replace("@CGI@", cgi).replace("@SOCKET@", socket)
    return {"apache.conf": text, "cgi/hello": CGI}


WSGI = """
def app(environ, start):
    with open(__file__, encoding="utf-8") as file:
        body = file.read().encode()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = app
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""

# NUMBER connections of a line protocol, each with what it sends and what it must hear.
TALK = """
import concurrent.futures, socket, sys
port, number, say, hear = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
def one(turn):
    with socket.create_connection(("127.0.0.1", port), 20) as peer:
        peer.sendall(say.encode().decode("unicode_escape").replace("%d", str(turn)).encode())
        heard = b""
        while hear.encode() not in heard:
            more = peer.recv(65536)
            assert more, (turn, heard)
            heard += more
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(one, range(number)))
"""

HAPROXY = """
global
	maxconn 400
defaults
	mode http
	timeout connect 5s
	timeout client 5s
	timeout server 5s
	timeout check 9s
frontend in
	bind 127.0.0.1:@PORT@
	default_backend out
backend out
	option httpchk GET /a.txt
	server one 127.0.0.1:@OTHER@ check inter 200ms
"""

LIGHTTPD = """
server.modules = ( "mod_cgi", "mod_accesslog" )
server.document-root = "@FOLDER@/www"
server.bind = "127.0.0.1"
server.port = @PORT@
server.errorlog = "@FOLDER@/error.log"
accesslog.filename = "@FOLDER@/access.log"
server.pid-file = "@FOLDER@/pid"
cgi.assign = ( ".sh" => "/bin/sh" )
"""

SQUID = """
http_port 127.0.0.1:@PORT@ accel defaultsite=localhost
cache_peer 127.0.0.1 parent @OTHER@ 0 no-query originserver
http_access allow all
cache_dir ufs @FOLDER@/cache 16 4 4
cache_log @FOLDER@/cache.log
access_log stdio:@FOLDER@/access.log
pid_filename @FOLDER@/pid
coredump_dir @FOLDER@
shutdown_lifetime 0 seconds
pinger_enable off
cache_effective_user proxy
"""

MOSQUITTO = """
listener @PORT@ 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location @FOLDER@/
log_dest file @FOLDER@/log
log_type all
"""
MOSQUITTO_LOAD = """
mosquitto_sub -p $PORT -t test/+ -q 1 -C 300 -i reader$$ -W 60 > heard & reader=$!
until_it grep -q "Sending SUBACK to reader$$" log
seq 300 | mosquitto_pub -p $PORT -t test/one -q 1 -l
wait $reader
wc -l < heard | count 300
"""

STUNNEL = """
foreground = yes
pid =
output = @FOLDER@/log
[http]
accept = 127.0.0.1:@PORT@
connect = 127.0.0.1:@OTHER@
cert = @FOLDER@/cert.pem
key = @FOLDER@/key.pem
"""
CERTIFICATE = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem -days 2\n"

ZONE = """$TTL 60
@ IN SOA ns root 1 60 60 60 60
@ IN NS ns
ns IN A 127.0.0.1
$GENERATE 1-254 host$ A 10.0.0.$
"""
PLAIN_ZONE = ZONE.replace("$GENERATE 1-254 host$ A 10.0.0.$\n", "".join(f"host{n} IN A 10.0.0.{n}\n" for n in range(1, 255)))
DNS_LOAD = """
for i in $(seq 200); do echo "host$i.example.test A"; done > names
dig +short +tries=1 +time=10 @127.0.0.1 -p $PORT -f names | grep -c '^10\\.' | count 200
dig +short +tcp @127.0.0.1 -p $PORT host7.example.test | has '^10\\.'
"""
DNS_READY = "dig +short +tries=1 +time=1 @127.0.0.1 -p $PORT host7.example.test | has '^10\\.'"

NAMED = """
options { directory "@FOLDER@"; listen-on port @PORT@ { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
	pid-file "@FOLDER@/pid"; session-keyfile "@FOLDER@/session.key"; };
controls { };
logging { channel file { file "@FOLDER@/log" versions 2 size 20k; severity info; }; category default { file; }; };
zone "example.test" { type master; file "@FOLDER@/zone"; };
"""

UNBOUND = """
server:
	interface: 127.0.0.1@@PORT@
	port: @PORT@
	username: ""
	chroot: ""
	directory: "@FOLDER@"
	pidfile: "@FOLDER@/pid"
	use-syslog: no
	logfile: "@FOLDER@/log"
	num-threads: 2
	do-daemonize: no
	local-zone: "example.test." static
""" + "".join(f'\tlocal-data: "host{n}.example.test. A 10.0.0.{n}"\n' for n in range(1, 255))

NSD = """
server:
	ip-address: 127.0.0.1@@PORT@
	username: root
	chroot: ""
	zonesdir: "@FOLDER@"
	pidfile: "@FOLDER@/nsd.pid"
	database: ""
	zonelistfile: "@FOLDER@/zone.list"
	xfrdfile: "@FOLDER@/xfrd.state"
	xfrdir: "@FOLDER@"
	logfile: "@FOLDER@/nsd.log"
	server-count: 2
remote-control:
	control-enable: no
zone:
	name: example.test
	zonefile: zone
"""

PHP_FPM = """
[global]
error_log = @FOLDER@/fpm.log
pid = @FOLDER@/fpm.pid
[www]
user = www-data
group = www-data
listen = 127.0.0.1:@OTHER@
pm = dynamic
pm.max_children = 6
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
pm.max_requests = 200
"""
FPM_NGINX = """
daemon off; master_process off; pid @FOLDER@/nginx.pid; error_log @FOLDER@/error.log;
events { worker_connections 256; }
http { access_log off; client_body_temp_path @FOLDER@/b; proxy_temp_path @FOLDER@/p; fastcgi_temp_path @FOLDER@/f;
	uwsgi_temp_path @FOLDER@/u; scgi_temp_path @FOLDER@/s;
	server { listen 127.0.0.1:@PORT@; root @FOLDER@/www;
		location / { fastcgi_pass 127.0.0.1:@OTHER@; include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME @FOLDER@/www/a.php; } } }
"""
PHP = "<?php $f = fopen(__FILE__, 'r'); $n = strlen(fread($f, 1000)); fclose($f); echo 'read ', $n, \"\\n\";\n"

RSYNCD = """
use chroot = no
pid file = @FOLDER@/pid
log file = @FOLDER@/log
[m]
	path = @FOLDER@/from
	read only = false
"""

VSFTPD = """
listen=YES
listen_address=127.0.0.1
listen_port=@PORT@
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=@FOLDER@/www
secure_chroot_dir=@FOLDER@/empty
seccomp_sandbox=NO
"""

XINETD = """
defaults
{
	log_type = FILE @FOLDER@/log
	instances = 60
	cps = 1000 1
}
service one
{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	wait = no
	user = root
	bind = 127.0.0.1
	port = @PORT@
	server = /bin/cat
}
"""

SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile @FOLDER@/pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "dc=test"
rootdn "cn=admin,dc=test"
rootpw secret
directory @FOLDER@/db
maxsize 16777216
"""
LDAP_LOAD = """
for i in $(seq 100); do printf 'dn: cn=%s-%s,dc=test\\nobjectClass: person\\ncn: %s-%s\\nsn: x\\n\\n' $$ $i $$ $i; done > people
ldapadd -x -H ldap://127.0.0.1:$PORT -D cn=admin,dc=test -w secret -f people > added
for i in $(seq 10); do ldapsearch -x -LLL -H ldap://127.0.0.1:$PORT -b dc=test "(cn=$$-*)" cn | grep -c '^dn' | count 100; done
"""

SUPERVISORD = """
[supervisord]
nodaemon=true
user=root
logfile=@FOLDER@/log
pidfile=@FOLDER@/pid
childlogdir=@FOLDER@
[inet_http_server]
port=127.0.0.1:@PORT@
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=http://127.0.0.1:@PORT@
[program:talker]
command=/bin/sh -c 'while echo a line; do sleep 0.05; done'
numprocs=3
startsecs=0
process_name=%(program_name)s%(process_num)d
stdout_logfile=@FOLDER@/%(program_name)s%(process_num)d.log
stdout_logfile_maxbytes=2KB
"""
SUPERVISOR_LOAD = """
supervisorctl -c conf restart all > /dev/null
supervisorctl -c conf status | grep -c RUNNING | count 3
supervisorctl -c conf tail talker:talker0 | has 'a line'
"""

VCL = """vcl 4.1;
backend back { .host = "127.0.0.1"; .port = "@OTHER@"; .probe = { .url = "/a.txt"; .interval = 200ms; } }
sub vcl_recv { if (req.url ~ "pass") { return (pass); } }
"""

NGIRCD = """
[Global]
Name = irc.example.test
Listen = 127.0.0.1
Ports = @PORT@
ServerUID = root
ServerGID = root
[Limits]
MaxConnectionsIP = 0
[Options]
DNS = no
Ident = no
PAM = no
"""

TINYPROXY = """
Port @PORT@
Listen 127.0.0.1
LogFile "@FOLDER@/log"
PidFile "@FOLDER@/pid"
MaxClients 50
Allow 127.0.0.1
"""
PRIVOXY = """
confdir /etc/privoxy
logdir @FOLDER@
logfile log
listen-address 127.0.0.1:@PORT@
toggle 0
"""
PROXY_LOAD = """
ab -q -n 200 -c 8 -X 127.0.0.1:$PORT http://127.0.0.1:$OTHER/a.txt > ab.out
grep -q 'Complete requests: *200$' ab.out
! grep Non-2xx ab.out
for i in $(seq 10); do curl -s -f -x http://127.0.0.1:$PORT http://127.0.0.1:$OTHER/a.txt | cmp - www/a.txt; done
"""

RUN = "#!/bin/sh\nexec 2>&1\nwhile echo a line; do sleep 0.02; done\n"
LOG = "#!/bin/sh\nexec svlogd -tt ./main\n"

CMAKE = """cmake_minimum_required(VERSION 3.10)
project(own C)
enable_testing()
foreach(i RANGE 1 6)
	file(WRITE ${CMAKE_BINARY_DIR}/f${i}.c "int main(void) { return 0; }\\n")
	add_executable(f${i} ${CMAKE_BINARY_DIR}/f${i}.c)
	add_test(NAME t${i} COMMAND f${i})
endforeach()
"""

TORNADO = """
import subprocess
import tornado.ioloop, tornado.process, tornado.httpserver, tornado.web, tornado.httpclient


class Main(tornado.web.RequestHandler):
    def get(self):
        self.write("hello")


async def main():
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Main)]))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    url = "http://127.0.0.1:%d/" % sockets[0].getsockname()[1]
    client = tornado.httpclient.AsyncHTTPClient()
    for _ in range(200):
        assert (await client.fetch(url)).body == b"hello"
    for _ in range(20):
        child = tornado.process.Subprocess(["cat", __file__], stdout=tornado.process.Subprocess.STREAM)
        assert b"tornado" in await child.stdout.read_until_close()
        assert await child.wait_for_exit() == 0
    server.stop()


tornado.ioloop.IOLoop.current().run_sync(main)
"""
TWISTED = """
from twisted.internet import defer, endpoints, protocol, reactor, utils


class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


class Client(protocol.Protocol):
    def __init__(self):
        self.done = defer.Deferred()

    def connectionMade(self):
        self.transport.write(b"hello")

    def dataReceived(self, data):
        self.transport.loseConnection()
        self.done.callback(data)


@defer.inlineCallbacks
def main():
    port = reactor.listenTCP(0, protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
    where = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    for _ in range(200):
        client = yield endpoints.connectProtocol(where, Client())
        assert (yield client.done) == b"hello"
    for _ in range(20):
        assert b"twisted" in (yield utils.getProcessOutput("/bin/cat", [__file__]))
    yield port.stopListening()


def run():
    done = main()
    done.addErrback(lambda why: (why.printTraceback(), failed.append(why)))
    done.addBoth(lambda _: reactor.stop())


failed = []
reactor.callWhenRunning(run)
reactor.run()
raise SystemExit(len(failed))
"""

PROGRAMS = [
    Program("apache2 event", "2,200 requests with CGI by its daemon and a piped log, graceful and hard restarts",
            files=apache("event", "cgid", "ScriptSock @FOLDER@/socket"), setup=WWW, start="apache2 -f "
                    "$FOLDER/apache.conf -DFOREGROUND",
            load=APACHE_LOAD, reload=(signal.SIGUSR1, signal.SIGHUP)),
    Program("apache2 prefork", "the same in processes, CGI by fork",
            files=apache("prefork", "cgi", ""), setup=WWW, start="apache2 -f $FOLDER/apache.conf -DFOREGROUND",
            load=APACHE_LOAD, reload=(signal.SIGUSR1, signal.SIGHUP)),
    Program("haproxy", "1,500 requests to a server that it checks, two reloads of master and worker",
            files={"conf": HAPROXY}, setup=WWW, beside=HTTPD, start="haproxy -W -f $FOLDER/conf",
            ready="curl -sf http://127.0.0.1:$PORT/a.txt", load="requests 300 /a.txt; requests 200 /a.txt -k",
            reload=(signal.SIGUSR2, signal.SIGUSR2)),
    Program("mariadb", "600 queries of 8 clients, a dump, logs and tables flushed",
            setup="mariadb-install-db --no-defaults --user=root --datadir=$FOLDER/data "
                  "--auth-root-authentication-method=normal > /dev/null",
            start="mariadbd --no-defaults --user=root --datadir=$FOLDER/data --socket=$FOLDER/socket --port=$PORT "
                  "--bind-address=127.0.0.1 --general-log=1 --general-log-file=$FOLDER/general --pid-file=$FOLDER/pid",
            load="mariadb-slap --no-defaults -uroot -S socket -a --concurrency=8 --number-of-queries=600 | has "
                 "'Number of clients running queries: 8'\n"
                 "mariadb-dump --no-defaults -uroot -S socket mysql | has 'CREATE TABLE'",
            reload=("mariadb-admin --no-defaults -uroot -S socket flush-logs flush-tables",)),
    Program("memcached", "400 connections that set and get, four threads", files={"talk.py": TALK},
            start="memcached -u root -l 127.0.0.1 -p $PORT -t 4 -U 0",
            load=r"$PYTHON talk.py $PORT 400 'set k%d 0 0 5\r\nhello\r\nget k%d\r\n' hello"),
    Program("gunicorn sync", "1,300 requests to three processes that are replaced after 200; log reopened, reloaded",
            files={"app.py": WSGI}, load="requests 650 /",
            start="gunicorn -w 3 --max-requests 200 -b 127.0.0.1:$PORT --access-logfile $FOLDER/log app:app",
            reload=(signal.SIGUSR1, signal.SIGHUP)),
    Program("gunicorn gthread", "1,300 requests to threads, reloaded",
            files={"app.py": WSGI}, load="requests 650 /", reload=(signal.SIGHUP,),
            start="gunicorn -k gthread -w 2 --threads 4 --preload -b 127.0.0.1:$PORT --log-file $FOLDER/log app:app"),
    Program("uwsgi", "1,300 requests; a reload closes all numbers but its own, executes itself and asks for each what "
                     "it is",
            files={"app.py": WSGI}, load="requests 650 /", reload=(signal.SIGHUP, "touch touched"),
            setup="touch touched",
            start="uwsgi --plugin python3 --http-socket 127.0.0.1:$PORT --master --processes 2 --threads 2 "
                  "--wsgi-file app.py --touch-reload touched --die-on-term"),
    Program("uvicorn", "1,000 requests, reloaded as its source changes",
            files={"app.py": ASGI}, load="requests 500 /", reload=("echo >> app.py; until_it grep -qi reloading server.log",),
            start="$PYTHON -m uvicorn --reload --port $PORT app:app", end=signal.SIGINT),
    Program("waitress", "1,000 requests", files={"app.py": WSGI}, load="requests 1000 /",
            start="waitress-serve --listen=127.0.0.1:$PORT app:app"),
    Program("puma", "900 requests, workers replaced one after the other, all of it executed again",
            files={"config.ru": 'run lambda { |e| [200, {"content-type" => "text/plain"}, ["hello"]] }\n'},
            start="puma -q -w 2 -t 2:4 -b tcp://127.0.0.1:$PORT -e production config.ru", load="requests 300 /",
            reload=(signal.SIGUSR1, signal.SIGUSR2)),
    Program("lighttpd", "2,000 requests, scripts among them, graceful restart, logs reopened",
            files={"conf": LIGHTTPD, "www/hello.sh": CGI}, setup=WWW, start="lighttpd -D -f $FOLDER/conf",
            load="requests 640 /a.txt; requests 30 /hello.sh", reload=(signal.SIGHUP, signal.SIGUSR1)),
    Program("php -S", "400 requests to three workers", files={"www/a.php": PHP}, load="requests 400 /a.php",
            start="env PHP_CLI_SERVER_WORKERS=3 php -S 127.0.0.1:$PORT -t www"),
    Program("php-fpm", "900 requests by way of nginx, log reopened, reloaded, processes replaced after 200",
            files={"fpm.conf": PHP_FPM, "nginx.conf": FPM_NGINX, "www/a.php": PHP}, load="requests 300 /a.php",
            start="$(ls /usr/sbin/php-fpm*) -F -y $FOLDER/fpm.conf", beside="nginx -p $FOLDER -c $FOLDER/nginx.conf",
            ready="curl -sf http://127.0.0.1:$PORT/a.php", reload=(signal.SIGUSR1, signal.SIGUSR2)),
    Program("squid", "800 requests to a server behind it, reconfigured, logs rotated",
            files={"conf": SQUID}, setup=WWW + "chmod 755 . && chown proxy . && squid -N -z -f $FOLDER/conf", beside=HTTPD,
            start="squid --foreground -f $FOLDER/conf", load="requests 270 /a.txt",
            ready="curl -sf http://127.0.0.1:$PORT/a.txt",
            reload=("squid -k reconfigure -f $FOLDER/conf", "squid -k rotate -f $FOLDER/conf")),
    Program("varnish", "2,000 requests cached and passed, a second configuration compiled and used",
            files={"one.vcl": VCL, "two.vcl": VCL}, setup=WWW, beside=HTTPD,
            start="varnishd -F -j none -a 127.0.0.1:$PORT -f $FOLDER/one.vcl -n $FOLDER/v -s malloc,32m",
            ready="curl -sf http://127.0.0.1:$PORT/a.txt", load="requests 850 /a.txt -k; requests 150 '/a.txt?pass'",
            reload=("varnishadm -n $FOLDER/v vcl.load two $FOLDER/two.vcl; varnishadm -n $FOLDER/v vcl.use two",)),
    Program("tinyproxy", "420 requests through it, reloaded", files={"conf": TINYPROXY}, setup=WWW, beside=HTTPD,
            start="tinyproxy -d -c $FOLDER/conf", load=PROXY_LOAD, reload=(signal.SIGUSR1,)),
    Program("privoxy", "420 requests through it, reloaded", files={"conf": PRIVOXY}, setup=WWW, beside=HTTPD,
            start="privoxy --no-daemon $FOLDER/conf", load=PROXY_LOAD, reload=(signal.SIGHUP,)),
    Program("stunnel", "200 TLS connections, reloaded", files={"conf": STUNNEL}, setup=WWW + CERTIFICATE, beside=HTTPD,
            start="stunnel4 $FOLDER/conf", load="SCHEME=https requests 100 /a.txt", reload=(signal.SIGHUP,)),
    Program("openssl s_server", "20 TLS connections", setup=WWW + CERTIFICATE,
            start="env -C www openssl s_server -accept 127.0.0.1:$PORT -cert ../cert.pem -key ../key.pem -WWW -quiet",
            load="for i in $(seq 20); do curl -sf -k https://127.0.0.1:$PORT/a.txt | cmp - www/a.txt; done"),
    Program("mosquitto", "600 messages published and received, reloaded", files={"conf": MOSQUITTO}, load=MOSQUITTO_LOAD,
            start="mosquitto -c $FOLDER/conf", reload=(signal.SIGHUP,)),
    Program("dnsmasq", "201 questions, reloaded", load=DNS_LOAD, ready=DNS_READY, reload=(signal.SIGHUP,),
            start="dnsmasq -k --no-resolv --no-hosts --conf-file=/dev/null --user=root --listen-address=127.0.0.1 "
                  "--bind-interfaces "
                  "-p $PORT --pid-file=$FOLDER/pid --address=/example.test/10.1.2.3"),
    Program("bind9", "201 questions, reloaded", files={"conf": NAMED, "zone": ZONE}, load=DNS_LOAD, ready=DNS_READY,
            start="named -f -c $FOLDER/conf", reload=(signal.SIGHUP,)),
    Program("unbound", "201 questions to two threads, reloaded", files={"conf": UNBOUND}, load=DNS_LOAD, ready=DNS_READY,
            start="unbound -d -c $FOLDER/conf", reload=(signal.SIGHUP,)),
    Program("nsd", "201 questions to two processes, zones and configuration read again", files={"conf": NSD, "zone": PLAIN_ZONE},
            load=DNS_LOAD, ready=DNS_READY, start="nsd -d -c $FOLDER/conf", reload=(signal.SIGHUP,)),
    Program("snmpd", "a walk and 20 questions, reloaded", files={"conf": "rocommunity public 127.0.0.1\n"},
            setup="mkdir state", start="env SNMP_PERSISTENT_DIR=$FOLDER/state snmpd -f -Lo -C -c $FOLDER/conf "
                                       "udp:127.0.0.1:$PORT",
            ready="snmpget -v2c -c public -t 1 -r 0 127.0.0.1:$PORT 1.3.6.1.2.1.1.5.0",
            load="snmpwalk -v2c -c public 127.0.0.1:$PORT 1.3.6.1.2.1.2 | grep -c . > walked; test $(cat walked) -gt "
                 "20\n"
                 "for i in $(seq 10); do snmpget -v2c -c public 127.0.0.1:$PORT 1.3.6.1.2.1.1.5.0; done | grep -c "
                 "STRING | count 10",
            reload=(signal.SIGHUP,)),
    Program("slapd", "100 entries added and read ten times by 11 connections", files={"conf": SLAPD},
            setup="mkdir db && printf 'dn: dc=test\\nobjectClass: dcObject\\nobjectClass: organization\\ndc: "
                  "test\\no: t\\n' | "
                  "slapadd -f conf", start="slapd -d 0 -f $FOLDER/conf -h ldap://127.0.0.1:$PORT", load=LDAP_LOAD),
    Program("beanstalkd", "300 jobs put, reserved and deleted, with its log of them", files={"talk.py": TALK}, setup="mkdir jobs",
            start="beanstalkd -l 127.0.0.1 -p $PORT -b jobs",
            load=r"$PYTHON talk.py $PORT 300 'put 0 0 60 5\r\nhello\r\nreserve\r\n' RESERVED"),
    Program("ngircd", "60 users that join and say something, reloaded", files={"conf": NGIRCD, "talk.py": TALK},
            start="ngircd -n -f $FOLDER/conf", reload=(signal.SIGHUP,),
            load=r"$PYTHON talk.py $PORT 60 'NICK n%d\r\nUSER u 0 * :u\r\nJOIN #c%d\r\nPRIVMSG #c%d :hello\r\nPING "
                 r"x\r\n' 'End of NAMES'"),
    Program("rsync daemon", "whole trees fetched and sent by five clients", files={"conf": RSYNCD},
            setup="mkdir from && cp -r /usr/share/perl5/Debconf from/", start="rsync --daemon --no-detach "
                    "--config=conf --address=127.0.0.1 --port=$PORT",
            load="for i in 1 2 3 4 5; do rsync -a rsync://127.0.0.1:$PORT/m/ to$i/ && diff -r from to$i; done\n"
                 "rsync -a --delete to1/ rsync://127.0.0.1:$PORT/m/ && diff -r from to1"),
    Program("svnserve", "a working copy, ten commits, its history", setup="svnadmin create repo && printf "
                    "'[general]\\nanon-access = write\\n' > repo/conf/svnserve.conf",
            start="svnserve -d --foreground -T --listen-host 127.0.0.1 --listen-port $PORT -r $FOLDER",
            load="rm -rf work; svn -q co svn://127.0.0.1:$PORT/repo work; before=$(svnlook youngest repo)\n"
                 "for i in $(seq 10); do echo $i-$$ >> work/f; svn -q add --force work/f; svn -q ci -m $i work; done\n"
                 "svnlook youngest repo | count $((before + 10)); svn log svn://127.0.0.1:$PORT/repo | grep -c '^r' | "
                 "count $((before + 10))"),
    Program("hg serve", "a repository of five changes, cloned twice", files={".hgrc": "[ui]\nusername = a\n"},
            setup="export HOME=$FOLDER; hg init repo; cd repo; echo 1 > f; hg -q add f; for i in $(seq 5); do echo $i "
                  ">> f; hg -q ci -m $i; done",
            start="env HOME=$FOLDER hg serve -R repo -a 127.0.0.1 -p $PORT",
            load="export HOME=$FOLDER; for i in 1 2; do rm -rf c; hg -q clone http://127.0.0.1:$PORT/ c; hg -R c log "
                 "| grep -c changeset | count 5; done"),
    Program("vsftpd", "10 files fetched, folders listed, a login each", files={"conf": VSFTPD},
            setup=WWW + "mkdir empty; chmod 755 www", start="vsftpd $FOLDER/conf",
            load="for i in $(seq 10); do curl -sf ftp://127.0.0.1:$PORT/a.txt | cmp - www/a.txt; curl -sf "
                 "ftp://127.0.0.1:$PORT/ | has a.txt; done"),
    Program("xinetd", "120 connections, a child each, reloaded", files={"conf": XINETD, "talk.py": TALK},
            start="xinetd -dontfork -f $FOLDER/conf -pidfile $FOLDER/pid", reload=(signal.SIGHUP,),
            load=r"$PYTHON talk.py $PORT 60 'hello %d\n' hello"),
    Program("socat", "120 connections, a child each", files={"talk.py": TALK}, start="socat "
                    "TCP-LISTEN:$PORT,bind=127.0.0.1,fork,reuseaddr EXEC:cat",
            load=r"$PYTHON talk.py $PORT 120 'hello %d\n' hello"),
    Program("supervisord", "three programs restarted by a client, their logs rotated, reloaded",
            files={"conf": SUPERVISORD}, start="supervisord -c $FOLDER/conf", load=SUPERVISOR_LOAD,
            ready="supervisorctl -c conf status | grep -c RUNNING | count 3",
            reload=("supervisorctl -c conf reload", signal.SIGUSR2),
            expected={"use.closed": "it polls a client's number once more after that client has gone, and drops it at "
                                    "POLLNVAL"}),
    Program("runit", "a service with its logger under runsvdir, restarted and stopped",
            files={"s/one/run": RUN, "s/one/log/run": LOG}, setup="mkdir -p s/one/log/main",
            start="runsvdir -P s", end=signal.SIGHUP,
            ready="grep -q line s/one/log/main/current",
            load="export SVDIR=$FOLDER/s; for i in 1 2 3; do sv -w 60 restart one > /dev/null; done\n"
                 "until_it sh -c 'sv status one | grep -q ^run'"),
    Program("Xvfb", "a display with its keyboard compiled, asked by two clients", start="Xvfb :77 -screen 0 "
                    "640x480x24 -nolisten tcp",
            ready="DISPLAY=:77 xdpyinfo", load="DISPLAY=:77 xdpyinfo | has 640x480; DISPLAY=:77 setxkbmap -layout de; "
                                               "DISPLAY=:77 xkbcomp :77 out.xkb 2> /dev/null; test -s out.xkb"),
    Program("tmux", "a server, ten windows, their output captured", start="tmux -L own$PORT -f /dev/null -D",
            ready="tmux -L own$PORT has-session -t s || tmux -L own$PORT new-session -d -s s", reload=("tmux -L "
                    "own$PORT source-file /dev/null",),
            load="for i in $(seq 10); do tmux -L own$PORT new-window -t s 'seq 2000; echo end; read x'; done\n"
                 "until_it sh -c 'tmux -L own$PORT capture-pane -p -t s | grep -q end'; tmux -L own$PORT list-windows "
                 "-t s | grep -c . > n; test $(cat n) -gt 10"),
    Program("screen", "a session that logs, and script(1)", setup="mkdir -m 700 dir",
            load="export SCREENDIR=$FOLDER/dir TERM=xterm; screen -D -m -L -Logfile log sh -c 'seq 500; echo end'; "
                 "grep -q end log\n"
                 "script -q -c 'seq 500; echo end' typed < /dev/null > /dev/null && grep -q end typed"),
    Program("editors", "vim, ed and emacs edit a file, in batch",
            load="seq 1000 > f; printf '%%s/^1/x/\\nwq\\n' | vim.tiny -es -u NONE f; grep -c '^x' f | count 112\n"
                 "printf '%%s/^2/y/\\nw g\\nq\\n' | sed 's/%%/%/' | ed -s f; grep -c '^y' g | count 111\n"
                 "emacs --batch --eval '(progn (find-file \"g\") (goto-char (point-max)) (insert \"end\") (write-file "
                 "\"h\"))' 2> /dev/null; grep -q end h"),
    Program("ffmpeg", "two seconds coded, cut into pieces and piped through another",
            load="ffmpeg -v error -f lavfi -i testsrc=d=2:s=160x120 -c:v mpeg4 -f matroska - < /dev/null | ffmpeg -v "
                 "error -y -i - -f hls -hls_time 1 out.m3u8 && test -s out.m3u8\n"
                 "ffmpeg -v error -y -i out.m3u8 -f mpegts out.ts < /dev/null && test -s out.ts"),
    Program("graphics", "ghostscript, gnuplot and ImageMagick draw and convert",
            load="gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=a.pdf -c '100 100 moveto 300 300 lineto "
                 "stroke showpage' && gs -q -dBATCH -dNOPAUSE -sDEVICE=png16m -sOutputFile=a.png a.pdf\n"
                 "gnuplot -e 'set term pngcairo; set output \"b.png\"; plot sin(x)' && convert a.png -resize 50% "
                 "c.jpg && convert b.png c.jpg -append d.png && identify d.png | has PNG"),
    Program("compilers", "gcc, g++, cpp and as read their standard input",
            load="for i in 1 2 3; do echo 'int main(void) { return 0; }' | gcc -x c - -o x && ./x; echo 'int main() { "
                 "return 0; }' | g++ -x c++ - -o y && ./y\n"
                 "echo 'int q;' | gcc -x c -c -MMD -MF d.d - -o x.o; echo 'int x;' | cpp - -o z; echo .text | as -o "
                 "a.o -; done; test -e d.d && test -s z && test -s a.o"),
    Program("cmake", "six programs configured, built by ninja and by make, tested", files={"CMakeLists.txt": CMAKE},
            load="cmake -G Ninja -B n . > /dev/null && ninja -C n > /dev/null && (cd n && ctest -j4 | has '100% tests "
                 "passed')\n"
                 "cmake -G 'Unix Makefiles' -B m . > /dev/null && make -j4 -C m > /dev/null && (cd m && ctest | has "
                 "'100% tests passed')"),
    Program("debuggers", "gdb and strace follow a program",
            load="gdb -q -batch -ex 'set breakpoint pending on' -ex 'break write' -ex run -ex bt -ex kill --args "
                 "/bin/echo hello > gdb.out 2>&1 < /dev/null; grep -q 'Breakpoint 1, .*write' gdb.out\n"
                 "strace -f -o trace sh -c 'ls / | wc -l; (cat conf* > /dev/null; true)' > /dev/null; grep -q exited "
                 "trace"),
    Program("tornado", "200 requests and 20 children in one loop", files={"work.py": TORNADO}, load="$PYTHON work.py"),
    Program("twisted", "200 connections and 20 children in one loop", files={"work.py": TWISTED}, load="$PYTHON work.py"),
    Program("ruby", "threads, children, temporary files and sockets",
            files={"work.rb": "require 'socket'; require 'open3'; require 'tempfile'\n"
                              "server = TCPServer.new('127.0.0.1', 0)\n"
                              "Thread.new { loop { c = server.accept; c.write(c.gets); c.close } }\n"
                              "100.times { |i| s = TCPSocket.new('127.0.0.1', server.addr[1]); s.puts i; raise unless "
                              "s.gets.to_i == i; s.close }\n"
                              "20.times { out, st = Open3.capture2('cat', stdin_data: 'hello'); raise unless out == "
                              "'hello' && st.success? }\n"
                              "50.times { Tempfile.create('x') { |f| f.write('x'); f.flush } }\nserver.close; puts "
                              "'done'\n"},
            load="ruby work.rb | has done"),
]
