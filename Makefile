# SPDX-License-Identifier: BSD-2-Clause
# Everything is built below build/; `make help` lists the targets, `make V=1` shows commands.

B      ?= build
# make ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- SYSROOT=FOLDER: see tests/vm/arm64.mk
ifdef CROSS_COMPILE
CC     := $(CROSS_COMPILE)gcc
endif
CC     ?= cc
CLANG  ?= clang
# sbin: where Debian keeps it, and no part of an ordinary user's PATH
BPFTOOL ?= $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool || echo bpftool)
ARCH   ?= $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
VERSION := 0.1.0
V      ?= 0
Q      := $(if $(filter 1,$(V)),,@)
say     = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' $(1) $(2))

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DFDTRACE_VERSION='"$(VERSION)"' -Iinclude -Isrc -I$(B)
ifdef SYSROOT
CPPFLAGS += -isystem $(SYSROOT)/usr/include
override LDFLAGS += -L$(SYSROOT)/usr/lib/$(CROSS_COMPILE:%-=%)
endif
override CFLAGS += -std=gnu11 $(WARN) $(SANITIZE)
LDLIBS := -lbpf -ldw -lelf -lz -liberty -ljansson -lcap-ng -lyaml -pthread
# What those need in turn; libelf of newer distributions also reads zstd.
STATIC_LDLIBS := $(LDLIBS) -llzma -lbz2 $(if $(wildcard /usr/lib/*/libzstd.a /usr/lib64/libzstd.a),-lzstd)
TESTLIBS := -lcmocka -ljansson
# The program is the same bytes wherever it is built: its debug information and BTF name no folders.
same     := -ffile-prefix-map='$(CURDIR)'=. -ffile-prefix-map=$(B)=build
$(if $(word 2,$(B)),$(error B='$(B)': make needs the name of a build folder to be without spaces))

core_src   := $(sort $(wildcard src/base/*.c src/model/*.c src/engine/*.c src/detect/*.c))
# Stand in for what only the static program must not have.
static_src := src/symbol/elf/no_debuginfod.c src/source/doctor/no_users.c
other_src  := $(filter-out $(static_src),$(sort $(foreach d,source symbol output run util daemon cli,$(wildcard src/$d/*.c src/$d/*/*.c))))
core_obj   := $(core_src:%.c=$(B)/%.o)
main_obj   := $(B)/src/cli/main.o
other_obj  := $(filter-out $(main_obj),$(other_src:%.c=$(B)/%.o))
static_obj := $(static_src:%.c=$(B)/%.o)
bpf_src    := $(wildcard bpf/*.bpf.c)
skeletons  := $(bpf_src:bpf/%.bpf.c=$(B)/%.skel.h)
unit_src   := $(wildcard tests/unit/test_*.c)
unit_bin   := $(unit_src:%.c=$(B)/%)
fuzz_bin   := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))

ifeq ($(MAKELEVEL),0)
$(if $(shell [ ! -d $(B) ] || [ -w $(B) ] || echo no),$(warning $(B) belongs to another user; try: sudo chown -R $$(id -u) $(B)))
endif

all: $(B)/fdtrace

# All but main(): what a test takes of it is what it calls.
library := $(B)/libfdtrace.a
$(library): $(core_obj) $(other_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(CROSS_COMPILE)ar rcs $@ $^

$(B)/fdtrace: $(main_obj) $(core_obj) $(other_obj)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# One file that runs on any kernel and distribution: stripped, what was taken away beside it.
static: $(B)/fdtrace-static
	@printf '  %-7s %s: %s bytes\n' SIZE $< "$$(stat -c %s $<)"

$(B)/fdtrace-static: $(main_obj) $(core_obj) $(other_obj) $(static_obj)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -static -Wl,--gc-sections -o $@.debug $^ $(STATIC_LDLIBS)
	$(Q)$(CROSS_COMPILE)strip -o $@.tmp $@.debug && $(CROSS_COMPILE)objcopy --only-keep-debug $@.debug
	$(Q)$(CROSS_COMPILE)objcopy --add-gnu-debuglink=$@.debug $@.tmp && mv $@.tmp $@

# The objects that include a skeleton; as a list because a pattern rule without a recipe would cancel %.o.
skeleton_obj := $(patsubst %.c,$(B)/%.o,$(shell grep -l '\.skel\.h"' src/*/*.c src/*/*/*.c))
$(skeleton_obj): $(skeletons)

$(B)/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(same) -MMD -MP -c -o $@ $<

bpf_cc := $(CLANG) -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror $(same) -Ivmlinux -Iinclude -Ibpf
bpf_headers := $(wildcard bpf/*.bpf.h include/fdtrace/*.h) vmlinux/vmlinux.h

$(B)/%.bpf.o: bpf/%.bpf.c $(bpf_headers)
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(bpf_cc) -c $< -o $@

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@.tmp && mv $@.tmp $@

$(unit_bin) $(fuzz_bin): $(B)/%: %.c $(library)
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $(filter %.c %.o %.a,$^) $(TESTLIBS) $(LDLIBS)

objects: $(main_obj) $(core_obj) $(other_obj) $(static_obj)

include src/packaging/packaging.mk

# --- tests: see README.md; `make check` runs all of them by tests/lib/check.py ---

include tests/bench/bench.mk
include tests/vm/arm64.mk
include tests/vm/vm.mk

# Programs of more than one file have rules of their own.
own_rules  := $(addprefix tests/live/,inspect.c channel_lines.c metrics_server.c) $(bench_own)
live_src   := $(filter-out $(own_rules),$(wildcard tests/live/*.c tests/live/patterns/*.c tests/property/*.c tests/bench/*.c)) $(filter-out tests/stacks/hidden.c,$(wildcard tests/stacks/*.c))
live_bin   := $(live_src:%.c=$(B)/%)
format_src := $(wildcard src/*/*.[ch] src/*/*/*.[ch] include/fdtrace/*.h bpf/*.[ch] tests/*/*.[ch] tests/live/patterns/*.c)
ASAN       := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
PROVE      := CMOCKA_MESSAGE_OUTPUT=TAP prove
# The steps and their test programs are listed there, and only there.
CHECK       = BUILD=$(B) V=$(V) tests/lib/owned.sh /usr/bin/python3 tests/lib/check.py

# Stripped: what it calls has no names.
$(B)/tests/stacks/libhidden.so: tests/stacks/hidden.c
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -fPIC -shared -s -fvisibility=hidden -o $@ $<

# Looks like an interpreter: that goes by what it exports.
$(B)/tests/stacks/hostile: LDFLAGS += -rdynamic

# As short-lived as a program can be; nothing that is known already lies in it.
$(B)/tests/stacks/brief: LDFLAGS += -static -s

$(live_bin): $(B)/%: %.c
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests/lib $(CFLAGS) $(LDFLAGS) -MMD -MP -pthread -o $@ $<

# Live programs that use fdtrace's own code: inspect asks the kernel, metrics_server serves made-up
# facts, channel_lines puts lines into a channel.
linked_bin := $(addprefix $(B)/tests/live/,inspect channel_lines metrics_server)
$(linked_bin): $(B)/%: %.c $(library)
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests/lib $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $(filter %.c %.a,$^) $(LDLIBS)

unit-programs: $(unit_bin)

live-programs: $(live_bin) $(linked_bin) $(B)/tests/bench/engine $(B)/tests/stacks/libhidden.so

unit: $(unit_bin)
	$(Q)$(PROVE) -e tests/lib/tap.sh $(unit_bin)

# STEPS="daemon stacks": only these; `make steps` lists them.
live: all live-programs
	$(Q)$(CHECK) $(or $(STEPS),live)

steps:
	@$(CHECK) list

# Log shippers and a fleet of three hosts: a minute, as root.
fleet: all live-programs
	$(Q)$(CHECK) shippers fleet

property replay: all live-programs
	$(Q)$(CHECK) $@

# What shows after minutes only: a service after millions of descriptors, and a budget that pays for
# hardly anything. Three minutes, as root.
soak: all live-programs bench-programs
	$(Q)BUILD=$(B) SOAK=1 prove -v -e /usr/bin/python3 tests/fleet/long_life.py tests/live/budget.py

# Weeks of a service's work in an hour or so, as root.
long-life: all live-programs
	$(Q)BUILD=$(B) LONG_LIFE=full tests/lib/owned.sh prove -v -e /usr/bin/python3 tests/fleet/long_life.py

# Real software at work for a quarter of an hour; nothing may be reported.
healthy: deps deps-healthy
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(B) tests/lib/owned.sh prove -v -e /usr/bin/python3 tests/healthy/healthy.py

purity: $(core_obj)
	$(Q)tests/lib/purity.sh $(core_obj)

# Layers, names, sizes and documents.
structure:
	$(Q)$(CHECK) structure

# Unit tests and replay under AddressSanitizer and UndefinedBehaviorSanitizer, in a build folder of their own.
sanitize: deps deps-test
	+$(Q)$(MAKE) --no-print-directory all live-programs
	$(Q)$(CHECK) sanitize

# Fixed changes to real files, under the sanitizers: the same in every run. The same sources serve
# clang -DFUZZER -fsanitize=fuzzer.
FUZZ_ROUNDS ?= 20000
fuzz-programs: $(fuzz_bin)

fuzz:
	$(Q)$(MAKE) --no-print-directory B=$(B)-asan SANITIZE='$(ASAN)' fuzz-programs
	$(B)-asan/tests/fuzz/fuzz_unwind_table $(FUZZ_ROUNDS) /bin/true
	$(B)-asan/tests/fuzz/fuzz_config $(FUZZ_ROUNDS) src/daemon/fdtrace.yaml tests/fuzz/suppressions.yaml

# Without the tests that valgrind cannot run, or not in time: why is said in tests/lib/check.py.
valgrind: deps deps-test
	+$(Q)$(MAKE) --no-print-directory all live-programs unit-programs
	$(Q)$(CHECK) valgrind

format-check:
	$(Q)clang-format --dry-run -Werror $(format_src)

deps:
	$(Q)tests/lib/deps.sh build

deps-test:
	$(Q)tests/lib/deps.sh test
	$(Q)tests/lib/unpack.sh $(B)/packages

deps-healthy:
	$(Q)tests/lib/deps.sh healthy


demo: deps
	+$(Q)$(MAKE) --no-print-directory all live-programs
	$(Q)BUILD=$(B) tests/lib/owned.sh tests/live/demo.sh

check: deps deps-test deps-installation
	+$(Q)$(CHECK)

# Compares vmlinux/vmlinux.h with the running kernel; fails on any difference.
$(B)/tests/vmlinux/check: tests/vmlinux/check.c
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LDLIBS)

check-vmlinux: $(B)/tests/vmlinux/check $(B)/fdtrace.bpf.o $(B)/inspect.bpf.o
	$(Q)$< $(B)/fdtrace.bpf.o
	$(Q)$< $(B)/inspect.bpf.o

clean:
	rm -rf $(B) $(B)-*

help:
	@echo 'make              build $(B)/fdtrace'
	@echo 'make install      install below PREFIX=/usr/local, DESTDIR= (as root);  make uninstall: with the same'
	@echo 'make deb          build a Debian package;  make check-deb: test it in a chroot (as root)'
	@echo 'make check-install  test make install, the manual, completions, licences'
	@echo 'make static       build $(B)/fdtrace-static: a static program for any distribution'
	@echo 'make demo         install what is missing, build, and show real findings (as root)'
	@echo 'make check        install what is missing, build, run the tests (as root; 10 to 20 minutes)'
	@echo 'make unit         unit tests: no privileges needed'
	@echo 'make live         guilty and innocent programs, attaching, load, failures (as root)'
	@echo 'make soak         a service after millions of descriptors, a budget of hardly anything (as root; 3 minutes)'
	@echo 'make long-life    the service with 100,000 processes and 100 million descriptors: an hour or more'
	@echo 'make fleet        log shippers and a fleet of three hosts (as root, after make deps-test)'
	@echo 'make replay       recordings give the same findings; damaged files (recording needs root)'
	@echo 'make sanitize     unit and replay tests under ASan and UBSan;  make valgrind: under valgrind'
	@echo 'make fuzz         damaged ELF files and configurations under the sanitizers'
	@echo 'make healthy      install real servers and tools and run them: nothing may be reported (as root)'
	@echo 'make check-vm     Debian kernels from 5.10 to the newest in virtual machines (as root)'
	@echo 'make structure    check layers, names, sizes and documents;  make purity: what the core imports'
	@echo 'make format-check  check with clang-format'
	@echo 'make deps         install packages to build;  make deps-test: to test'
	@echo 'make arm64        build $(B)-arm64/fdtrace-static for arm64, after make deps-arm64'
	@echo 'make check-arm64  build it and test it on Debian for arm64 in qemu: two minutes'
	@echo 'make property     random programs, compared with the kernel and a model'
	@echo 'make check-cost   count instructions per event and BPF program; limits: tests/bench/limits.json'
	@echo 'make bench        install strace, perf, bpftrace and valgrind, and compare their cost with fdtrace (as root)'
	@echo 'make bench-quick  the cost of fdtrace alone, in a minute (as root)'
	@echo 'more benchmarks:  $(sort $(benches))'
	@echo 'make clean        remove $(B) and $(B)-*'
	@echo 'B=FOLDER builds elsewhere, CC=clang with clang, V=1 shows the commands'

.PHONY: all static objects unit-programs fuzz-programs fuzz live-programs unit live fleet soak long-life replay property steps purity structure sanitize valgrind format-check check-vmlinux
.PHONY: deps deps-test deps-healthy demo check healthy clean help
.SECONDARY:
-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)
