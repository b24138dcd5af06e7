# SPDX-License-Identifier: BSD-2-Clause
# make install, make uninstall, make deb; included by the top Makefile.

PREFIX      ?= /usr/local
# /etc whatever PREFIX is: the program looks for its configuration there.
SYSCONFDIR  ?= /etc
# Root's as well as anybody's: replay, explain and doctor need no privilege.
BINDIR      ?= $(PREFIX)/bin
MANDIR      ?= $(PREFIX)/share/man
DATADIR     ?= $(PREFIX)/share/fdtrace
DOCDIR      ?= $(PREFIX)/share/doc/fdtrace
UNITDIR     ?= $(PREFIX)/lib/systemd/system
BASHDIR     ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR      ?= $(PREFIX)/share/zsh/site-functions
FISHDIR     ?= $(PREFIX)/share/fish/vendor_completions.d

# The Dockerfile is for the source tree, logrotate's file has a place of its own.
fleet_files := $(filter-out %/Dockerfile %.test.yaml,$(sort $(wildcard src/fleet/*.md src/fleet/*/*)))

# FROM:TO:MODE of every file. Configuration (below SYSCONFDIR) is listed apart: what an
# administrator has changed is neither overwritten nor removed.
installed := \
	$(B)/fdtrace:$(BINDIR)/fdtrace:755 \
	$(B)/fdtrace.service:$(UNITDIR)/fdtrace.service:644 \
	src/man/fdtrace.8:$(MANDIR)/man8/fdtrace.8:644 \
	src/man/fdtrace.yaml.5:$(MANDIR)/man5/fdtrace.yaml.5:644 \
	src/completions/fdtrace.bash:$(BASHDIR)/fdtrace:644 \
	src/completions/fdtrace.zsh:$(ZSHDIR)/_fdtrace:644 \
	src/completions/fdtrace.fish:$(FISHDIR)/fdtrace.fish:644 \
	src/output/json/finding.schema.json:$(DATADIR)/finding.schema.json:644 \
	src/cli/doctor.schema.json:$(DATADIR)/doctor.schema.json:644 \
	$(foreach f,$(fleet_files),$(f):$(DATADIR)/$(f:src/%=%):644) \
	README.md:$(DOCDIR)/README.md:644 \
	LICENSE:$(DOCDIR)/LICENSE:644
configured := \
	src/daemon/fdtrace.yaml:$(SYSCONFDIR)/fdtrace/fdtrace.yaml:644 \
	src/fleet/logrotate:$(SYSCONFDIR)/logrotate.d/fdtrace:644

# The unit names the program as it will be called, whatever was built here before.
$(B)/fdtrace.service: src/systemd/fdtrace.service FORCE
	@mkdir -p $(@D)
	$(Q)sed 's|/usr/bin/fdtrace|$(BINDIR)/fdtrace|' $< > $@.tmp && mv $@.tmp $@

install: $(B)/fdtrace $(B)/fdtrace.service
	$(Q)DESTDIR='$(DESTDIR)' src/packaging/install.sh install '$(configured)' $(installed)

uninstall:
	$(Q)DESTDIR='$(DESTDIR)' src/packaging/install.sh uninstall '$(configured)' $(installed)

# --- the Debian package ---

# Of the last commit, not of now: the same sources give the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git -c safe.directory='*' log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)
# 1: the first packaging of this version
DEB_REVISION ?= 1
DEB_VERSION  ?= $(VERSION)-$(DEB_REVISION)
# Reserved for what reaches nobody: who gives the package to others names himself.
DEB_MAINTAINER ?= fdtrace maintainers <maintainers@fdtrace.invalid>
DEB_ARCH     := $(shell dpkg --print-architecture 2>/dev/null)
deb          := $(B)/fdtrace_$(DEB_VERSION)_$(DEB_ARCH).deb
flags         = $(shell DEB_BUILD_MAINT_OPTIONS='hardening=+all optimize=-lto' dpkg-buildflags --get $(1))

# A build folder of its own, for Debian's flags. No debhelper: what it would do is in
# src/packaging/deb/build.sh, a page.
deb: deps deps-deb
	+$(Q)$(MAKE) --no-print-directory B=$(B)/deb CFLAGS='$(call flags,CFLAGS) $(call flags,CPPFLAGS)' LDFLAGS='$(call flags,LDFLAGS)' all
	+$(Q)rm -rf $(B)/deb/root && $(MAKE) --no-print-directory B=$(B)/deb DESTDIR=$(B)/deb/root PREFIX=/usr \
		ZSHDIR=/usr/share/zsh/vendor-completions install > $(B)/deb/install.log
	$(Q)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) src/packaging/deb/build.sh $(B)/deb/root $(DEB_VERSION) $(DEB_ARCH) \
		'$(DEB_MAINTAINER)' $(deb)
	@echo $(deb)

# Builds it twice, installs, upgrades, removes and purges it in a root of its own: as root.
check-deb: deps deps-packaging
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(B) prove -v -e /usr/bin/python3 tests/packaging/deb.py

# What is installed, what is written of it, and licences; a step of make check.
check-install: deps deps-installation
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)$(CHECK) installation

deps-installation deps-deb deps-packaging: deps-%:
	$(Q)tests/lib/deps.sh $*

FORCE:
.PHONY: install uninstall deb check-deb check-install deps-installation deps-deb deps-packaging FORCE
