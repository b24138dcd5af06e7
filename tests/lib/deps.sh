#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs what is missing, and only that. Usage: deps.sh build|test|installation|deb|packaging|healthy|bench|arm64|vm
# Debian and Ubuntu: by apt-get. Elsewhere it names the packages and fails.
set -eu

# What to look for (a program, one without libraries, a header, a Python module), and the package on Debian, Fedora, Arch.
build='
gcc                    gcc              gcc                     gcc
make                   make             make                    make
clang                  clang            clang                   clang
bpftool                bpftool          bpftool                 bpf
stdio.h                libc6-dev        glibc-devel             glibc
linux/types.h          linux-libc-dev   kernel-headers          linux-api-headers
bpf/libbpf.h           libbpf-dev       libbpf-devel            libbpf
libelf.h               libelf-dev       elfutils-libelf-devel   libelf
elfutils/libdwfl.h     libdw-dev        elfutils-devel          elfutils
libiberty/demangle.h   libiberty-dev    binutils-devel          binutils
zlib.h                 zlib1g-dev       zlib-devel              zlib
jansson.h              libjansson-dev   jansson-devel           jansson
cap-ng.h               libcap-ng-dev    libcap-ng-devel         libcap-ng
yaml.h                 libyaml-dev      libyaml-devel           libyaml
lzma.h                 liblzma-dev      xz-devel                xz
bzlib.h                libbz2-dev       bzip2-devel             bzip2
'
test='
cmocka.h               libcmocka-dev    libcmocka-devel         cmocka
prove                  perl             perl-Test-Harness       perl
python3                python3          python3                 python
python:yaml            python3-yaml     python3-pyyaml          python-yaml
ip                     iproute2         iproute                 iproute2
unshare                util-linux       util-linux              util-linux
python:jsonschema      python3-jsonschema python3-jsonschema    python-jsonschema
python:cherrypy        python3-cherrypy3 python3-cherrypy       python-cherrypy
python:gevent          python3-gevent   python3-gevent          python-gevent
python:zmq             python3-zmq      python3-zmq             python-pyzmq
python:yaml            python3-yaml     python3-pyyaml          python-yaml
podman                 podman           podman                  podman
runc                   runc             runc                    runc
valgrind               valgrind         valgrind                valgrind
jq                     jq               jq                      jq
clang-format           clang-format     clang-tools-extra       clang
strip                  binutils         binutils                binutils
setpriv                util-linux       util-linux              util-linux
bash                   bash             bash                    bash
git                    git              git                     git
gdb                    gdb              gdb                     gdb
rsyslogd               rsyslog          rsyslog                 rsyslog
/lib/systemd/systemd-journald systemd   systemd                 systemd
promtool               prometheus       golang-github-prometheus prometheus
prometheus-node-exporter prometheus-node-exporter node-exporter  prometheus-node-exporter
systemd-analyze        systemd          systemd                 systemd
'
# To make the Debian package.
deb='
dpkg-deb               dpkg             dpkg                    dpkg
dpkg-shlibdeps         dpkg-dev         dpkg-dev                dpkg
strip                  binutils         binutils                binutils
'
# What reads the manual and completes.
installation='
git                    git              git                     git
mandoc                 mandoc           mandoc                  mandoc
groff                  groff            groff                   groff
man                    man-db           man-db                  man-db
bash                   bash             bash                    bash
zsh                    zsh              zsh                     zsh
fish                   fish             fish                    fish
'
packaging="$deb"'
prove                  perl             perl-Test-Harness       perl
objdump                binutils         binutils                binutils
git                    git              git                     git
lintian                lintian          lintian                 lintian
debootstrap            debootstrap      debootstrap             debootstrap
'
# What a healthy machine runs. Servers (of test, too) are not started by being installed: see start_nothing.
healthy='
dash                   dash             dash                    dash
busybox                busybox          busybox                 busybox
git                    git              git                     git
rsync                  rsync            rsync                   rsync
xz                     xz-utils         xz                      xz
sqlite3                sqlite3          sqlite                  sqlite
perl                   perl             perl                    perl
node                   nodejs           nodejs                  nodejs
python:ensurepip       python3-venv     python3                 python
python:test.test_glob  libpython@PYTHON@-testsuite python3-test python
nginx                  nginx-light      nginx                   nginx
ab                     apache2-utils    httpd-tools             apache
redis-server           redis-server     redis                   redis
redis-benchmark        redis-tools      redis                   redis
/usr/lib/postgresql/*/bin/pgbench postgresql postgresql-contrib postgresql
sshd                   openssh-server   openssh-server          openssh
ssh                    openssh-client   openssh-clients         openssh
rsyslogd               rsyslog          rsyslog                 rsyslog
logger                 bsdutils         util-linux              util-linux
cron                   cron             cronie                  cronie
anacron                anacron          cronie-anacron          cronie
apache2                apache2          httpd                   apache
haproxy                haproxy          haproxy                 haproxy
mariadbd               mariadb-server   mariadb-server          mariadb
memcached              memcached        memcached               memcached
gunicorn               gunicorn         python3-gunicorn        gunicorn
uwsgi                  uwsgi-core       uwsgi                   uwsgi
/usr/lib/uwsgi/plugins/python3_plugin.so uwsgi-plugin-python3 uwsgi-plugin-python3    uwsgi-plugin-python
python:uvicorn         python3-uvicorn  python3-uvicorn         uvicorn
waitress-serve         python3-waitress python3-waitress        python-waitress
puma                   puma             rubygem-puma            ruby-puma
lighttpd               lighttpd         lighttpd                lighttpd
php                    php-cli          php-cli                 php
/usr/sbin/php-fpm*     php-fpm          php-fpm                 php-fpm
squid                  squid            squid                   squid
varnishd               varnish          varnish                 varnish
tinyproxy              tinyproxy        tinyproxy               tinyproxy
privoxy                privoxy          privoxy                 privoxy
stunnel4               stunnel4         stunnel                 stunnel
openssl                openssl          openssl                 openssl
mosquitto              mosquitto        mosquitto               mosquitto
mosquitto_pub          mosquitto-clients mosquitto               mosquitto
dnsmasq                dnsmasq-base     dnsmasq                 dnsmasq
named                  bind9            bind                    bind
dig                    bind9-dnsutils   bind-utils              bind
unbound                unbound          unbound                 unbound
nsd                    nsd              nsd                     nsd
snmpd                  snmpd            net-snmp                net-snmp
snmpwalk               snmp             net-snmp-utils          net-snmp
slapd                  slapd            openldap-servers        openldap
ldapsearch             ldap-utils       openldap-clients        openldap
beanstalkd             beanstalkd       beanstalkd              beanstalkd
ngircd                 ngircd           ngircd                  ngircd
svnserve               subversion       subversion              subversion
hg                     mercurial        mercurial               mercurial
vsftpd                 vsftpd           vsftpd                  vsftpd
curl                   curl             curl                    curl
xinetd                 xinetd           xinetd                  xinetd
socat                  socat            socat                   socat
supervisord            supervisor       supervisor              supervisor
runsvdir               runit            runit                   runit
Xvfb                   xvfb             xorg-x11-server-Xvfb    xorg-server-xvfb
xdpyinfo               x11-utils        xdpyinfo                xorg-xdpyinfo
xkbcomp                x11-xkb-utils    xkbcomp                 xorg-xkbcomp
tmux                   tmux             tmux                    tmux
screen                 screen           screen                  screen
vim.tiny               vim-tiny         vim-minimal             vim
ed                     ed               ed                      ed
emacs                  emacs-nox        emacs-nox               emacs-nox
ffmpeg                 ffmpeg           ffmpeg-free             ffmpeg
gs                     ghostscript      ghostscript             ghostscript
gnuplot                gnuplot-nox      gnuplot                 gnuplot
convert                imagemagick      ImageMagick             imagemagick
g++                    g++              gcc-c++                 gcc
cmake                  cmake            cmake                   cmake
ninja                  ninja-build      ninja-build             ninja
gdb                    gdb              gdb                     gdb
strace                 strace           strace                  strace
python:tornado         python3-tornado  python3-tornado         python-tornado
python:twisted         python3-twisted  python3-twisted         python-twisted
ruby                   ruby             ruby                    ruby
'
# Peers to compare with; a bench goes on without one that the distribution does not have.
bench='
python3                python3          python3                 python
unshare                util-linux       util-linux              util-linux
strace                 strace           strace                  strace
perf                   linux-perf       perf                    perf
bpftrace               bpftrace         bpftrace                bpftrace
valgrind               valgrind         valgrind                valgrind
'
# To build for arm64 and to run that; arm64's own packages come by tests/vm/arm64_packages.sh.
arm64='
aarch64-linux-gnu-gcc  gcc-aarch64-linux-gnu gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
/usr/aarch64-linux-gnu/include/stdio.h libc6-dev-arm64-cross sysroot-aarch64-fc41-glibc aarch64-linux-gnu-glibc
arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf gcc-arm-linux-gnu arm-linux-gnueabihf-gcc
/usr/arm-linux-gnueabihf/include/stdio.h libc6-dev-armhf-cross sysroot-arm-fc41-glibc arm-linux-gnueabihf-glibc
qemu-system-aarch64    qemu-system-arm  qemu-system-aarch64     qemu-system-aarch64
dpkg-deb               dpkg             dpkg                    dpkg
cpio                   cpio             cpio                    cpio
python3                python3          python3                 python
'
# Virtual machines: an initramfs without any library, an emulator.
vm='
python3                python3          python3                 python
prove                  perl             perl-Test-Harness       perl
setpriv                util-linux       util-linux              util-linux
file                   file             file                    file
strip                  binutils         binutils                binutils
qemu-system-x86_64     qemu-system-x86  qemu-system-x86         qemu-system-x86
static:busybox         busybox-static   busybox                 busybox
cpio                   cpio             cpio                    cpio
dpkg-deb               dpkg             dpkg                    dpkg
'

PATH=$PATH:/usr/sbin:/sbin

here()
{
	case $1 in
	/*) [ -n "$(ls $1 2>/dev/null)" ] ;;
	*.h) [ -n "$(find /usr/include/"$1" /usr/include/*/"$1" /usr/local/include/"$1" 2>/dev/null | head -n 1)" ] ;;
	# the tests run the system's own interpreter, whatever else stands in PATH
	python3) [ -x /usr/bin/python3 ] ;;
	static:*) command -v "${1#*:}" >/dev/null && ! ldd "$(command -v "${1#*:}")" >/dev/null 2>&1 ;;
	python:*) /usr/bin/python3 -c "import ${1#python:}" 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing()
{
	echo "$1" | while read -r probe debian fedora arch; do
		[ -z "$probe" ] || here "$probe" || echo "$probe $debian $fedora $arch"
	done
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "make deps: installing needs root, and there is no sudo; as root: $*" >&2
		exit 1
	fi
}

python_version()
{
	/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo 3
}

# Debian starts servers when it installs them, unless this file says no; it goes again at the end.
start_nothing()
{
	policy=/usr/sbin/policy-rc.d
	[ -e $policy ] && return
	printf '#!/bin/sh\nexit 101\n' | as_root sh -c "cat >$policy && chmod 755 $policy"
	trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

# One by one, for what is wanted and not needed.
install_what_there_is()
{
	as_root apt-get -q update || echo "make deps-bench: going on with what is known of packages" >&2
	for package in "$@"; do
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$package" ||
			echo "make deps-bench: going on without $package" >&2
	done
}

case ${1-} in
build) wanted=$build ;;
test) wanted=$test ;;
installation) wanted=$installation ;;
deb) wanted=$deb ;;
packaging) wanted=$packaging ;;
healthy) wanted=$(echo "$healthy" | sed "s/@PYTHON@/$(python_version)/") ;;
bench) wanted=$bench ;;
vm) wanted=$vm ;;
arm64) wanted=$arm64 ;;
*) echo "usage: $0 build|test|installation|deb|packaging|healthy|bench|arm64|vm" >&2; exit 2 ;;
esac

lacking=$(missing "$wanted")
[ -n "$lacking" ] || exit 0

if command -v apt-get >/dev/null; then
	packages=$(echo "$lacking" | awk '{ print $2 }' | sort -u)
	echo "installing:" $packages
	[ "$1" = build ] || start_nothing
	if [ "$1" = bench ]; then
		install_what_there_is $packages
		exit 0
	fi
	# Another apt may be at work, as on a machine that updates itself: its list is as good as ours.
	as_root apt-get -q update || echo "make deps: going on with what is known of packages" >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $packages
	lacking=$(missing "$wanted")
	[ -z "$lacking" ] && exit 0
	echo "make deps: still missing after the installation:" $(echo "$lacking" | awk '{ print $1 }') >&2
	exit 1
fi
{
	echo "make deps: missing:" $(echo "$lacking" | awk '{ print $1 }')
	echo "  this script can install packages on Debian and Ubuntu only; install them yourself:"
	echo "  Fedora:  sudo dnf install" $(echo "$lacking" | awk '{ print $3 }' | sort -u)
	echo "  Arch:    sudo pacman -S" $(echo "$lacking" | awk '{ print $4 }' | sort -u)
	echo "  others:  look for the packages that hold the programs and headers named above"
} >&2
[ "$1" = bench ] # a bench goes on without
