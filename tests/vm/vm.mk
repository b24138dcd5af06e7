# SPDX-License-Identifier: BSD-2-Clause
# Programs for virtual machines, which have no libraries.
vm_src := $(addprefix tests/live/,$(addsuffix .c,race share vfork_pidfd mix growth inherit use_closed close_twice unowned emfile spawn scm_rights kinds sweep)) \
	tests/live/patterns/uring.c tests/property/steps.c
vm_bin := $(vm_src:%.c=$(B)/vm/programs/%)

$(vm_bin): $(B)/vm/programs/%: %.c
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests/lib $(CFLAGS) $(LDFLAGS) -static -MMD -MP -pthread -o $@ $<

vm-programs: $(vm_bin) $(B)/fdtrace-static

# Debian's kernels under qemu: fetched once, then in $(B)/vm/cache.
check-vm: deps deps-vm
	+$(Q)$(MAKE) --no-print-directory all vm-programs
	$(Q)BUILD=$(B) VM_PROGRAMS="$(vm_bin)" prove -v -e /usr/bin/python3 tests/vm/static.py tests/vm/vm.py

deps-vm:
	$(Q)tests/lib/deps.sh vm

.PHONY: vm-programs check-vm deps-vm
