# SPDX-License-Identifier: BSD-2-Clause
# fdtrace for arm64, built and tested on another architecture; included by the top Makefile.
#   make deps-arm64   a cross compiler and qemu
#   make arm64        $(B)-arm64/fdtrace-static and the test programs, against Debian's libraries
#   make check-arm64  the same, and tests/vm/arm64.py runs it on Debian's kernels

ARM64_SYSROOT  := $(B)/sysroot-arm64
ARM64_SUITE     = $(shell . /etc/os-release && echo $$VERSION_CODENAME)
arm64_packages := libbpf-dev libelf-dev libdw-dev zlib1g-dev libiberty-dev libjansson-dev \
		  libcap-ng-dev libyaml-dev liblzma-dev libbz2-dev
arm64_make     := B=$(B)-arm64 ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- SYSROOT=$(ARM64_SYSROOT)

# The test programs that tests/vm/arm64.py runs.
arm64_programs := growth unowned use_closed inherit race
# And of these as 32-bit programs.
arm_programs   := race32 use_closed32 scm_rights32

deps-arm64: deps
	$(Q)tests/lib/deps.sh arm64

$(ARM64_SYSROOT)/unpacked: tests/vm/arm64_fetch.sh tests/vm/arm64.mk
	$(call say,FETCH,$@)
	$(Q)tests/vm/arm64_fetch.sh $(B)/apt-arm64 $(ARM64_SYSROOT) $(ARM64_SUITE) $(arm64_packages)
	@touch $@

arm64: $(ARM64_SYSROOT)/unpacked
	+$(Q)$(MAKE) --no-print-directory $(arm64_make) static
	+$(Q)$(MAKE) --no-print-directory $(arm64_make) LDFLAGS=-static arm64-programs

arm64-programs: $(addprefix $(B)/tests/live/,$(arm64_programs) $(arm_programs))

$(arm_programs:%=$(B)/tests/live/%): $(B)/tests/live/%32: tests/live/%.c
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)arm-linux-gnueabihf-gcc $(filter-out -isystem $(SYSROOT)/%,$(CPPFLAGS)) -Itests/lib $(CFLAGS) -static -pthread -o $@ $<

check-arm64: deps-arm64
	+$(Q)$(MAKE) --no-print-directory arm64
	$(Q)BUILD=$(B) prove -v -e /usr/bin/python3 tests/vm/arm64.py

.PHONY: deps-arm64 arm64 arm64-programs check-arm64
