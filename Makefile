# SPDX-License-Identifier: BSD-2-Clause
# Everything is built below build/; `make help` lists the targets, `make V=1` shows commands.

B      ?= build
CC     ?= cc
CLANG  ?= clang
BPFTOOL ?= bpftool
ARCH   := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
VERSION := 0.1.0
V      ?= 0
Q      := $(if $(filter 1,$(V)),,@)
say     = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' $(1) $(2))

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DFDTRACE_VERSION='"$(VERSION)"' -Iinclude -Isrc -I$(B)
override CFLAGS += -std=gnu11 $(WARN) $(SANITIZE)
LDLIBS := -lbpf -lelf -lz -ljansson -lcap-ng
TESTLIBS := -lcmocka -ljansson

core_src   := $(wildcard src/core/*.c)
other_src  := $(wildcard src/source/*.c src/sink/*.c src/run/*.c src/util/*.c src/cli/*.c)
core_obj   := $(core_src:%.c=$(B)/%.o)
main_obj   := $(B)/src/cli/main.o
other_obj  := $(filter-out $(main_obj),$(other_src:%.c=$(B)/%.o))
bpf_src    := $(wildcard bpf/*.bpf.c)
skeletons  := $(bpf_src:bpf/%.bpf.c=$(B)/%.skel.h)
unit_src   := $(wildcard tests/unit/test_*.c)
unit_bin   := $(unit_src:%.c=$(B)/%)

all: $(B)/fdtrace

$(B)/fdtrace: $(main_obj) $(core_obj) $(other_obj)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The objects that include a skeleton; listed because a pattern rule without a recipe would cancel %.o.
$(B)/src/source/bpf.o $(B)/src/source/probe.o: $(skeletons)

$(B)/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.bpf.h) vmlinux/vmlinux.h include/fdtrace/event.h include/fdtrace/syscall.h
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror -Ivmlinux -Iinclude -Ibpf -c $< -o $@

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

$(B)/tests/unit/%: tests/unit/%.c $(core_obj) $(filter-out $(B)/src/source/bpf.o $(B)/src/source/probe.o,$(other_obj))
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $^ $(TESTLIBS) $(LDLIBS)

unit: $(unit_bin)

clean:
	rm -rf $(B)

.PHONY: all unit clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
