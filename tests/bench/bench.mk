# SPDX-License-Identifier: BSD-2-Clause
# The benches, included by the top Makefile. Figures, not tests, but for check-cost.

# What each prints, and how long it takes on an idle machine; all but bench-engine as root.
bench_of_bench-exact    := exact.py    # racing threads, huge tables, stress-ng: some minutes
bench_of_bench-stacks   := stacks.py   # what a stack costs, in time and memory: two minutes
bench_of_bench-wanted   := wanted.py   # rules that need more calls: a minute
bench_of_bench-hotpath  := hotpath.py  # what each decision about the hot path is worth: two minutes
bench_of_bench-capacity := capacity.py # events a second, memory, snapshots, start, forks: four minutes
bench_of_bench-fleet    := fleet.py    # a whole machine, with and without a budget: ten minutes
bench_of_bench-engine   := engine.py   # what an event costs the engine, and how that grows: a minute
benches := $(patsubst bench_of_%,%,$(filter bench_of_%,$(.VARIABLES)))

bench_own := $(addprefix tests/bench/,engine.c stream.c hotpath.c floor.c preload.c) $(wildcard tests/bench/*.bpf.c)
bench_bin := $(addprefix $(B)/tests/bench/,$(patsubst %.c,%,$(notdir $(filter-out $(bench_own),$(wildcard tests/bench/*.c)))) engine hotpath floor libpreload.so)

bench-programs: $(bench_bin)

$(sort $(benches)): all bench-programs live-programs
	$(Q)BUILD=$(B) /usr/bin/python3 tests/bench/$(bench_of_$@)

# What it costs, beside its peers, the least a hook can cost, and nothing: some five minutes.
bench: deps deps-bench
	+$(Q)$(MAKE) --no-print-directory all bench-programs
	$(Q)BUILD=$(B) /usr/bin/python3 tests/bench/bench.py

# The same without the peers, in a minute; installs nothing.
bench-quick: all bench-programs
	$(Q)BUILD=$(B) /usr/bin/python3 tests/bench/bench.py quick

# Has it become dearer? Counted instructions, not times, against tests/bench/limits.json.
# ACCEPT=1: what is counted now becomes what later changes are compared with.
check-cost: $(B)/fdtrace $(B)/tests/bench/engine
	$(Q)BUILD=$(B) ACCEPT=$(ACCEPT) prove -v -e /usr/bin/python3 tests/bench/cost.py

$(B)/tests/bench/%.bpf.o: tests/bench/%.bpf.c $(bpf_headers)
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(bpf_cc) -c $< -o $@

# The product's programs beside variants of them.
$(B)/tests/bench/hotpath: tests/bench/hotpath.c $(B)/tests/bench/hotpath.skel.h $(library)
# An empty program in the kernel.
$(B)/tests/bench/floor: tests/bench/floor.c $(B)/tests/bench/floor.skel.h
# The engine alone, on made-up streams.
$(B)/tests/bench/engine: tests/bench/engine.c $(B)/tests/bench/stream.o $(library)

$(addprefix $(B)/tests/bench/,hotpath floor engine):
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -pthread -o $@ $(filter %.c %.o %.a,$^) $(LDLIBS)

# A table in the process itself.
$(B)/tests/bench/libpreload.so: tests/bench/preload.c
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -MMD -MP -o $@ $< -ldl

deps-bench:
	$(Q)tests/lib/deps.sh bench

.PHONY: bench bench-quick bench-programs check-cost deps-bench $(benches)
