// SPDX-License-Identifier: BSD-2-Clause
/*
 * "floor": an empty program on the exit of all system calls, the way fdtrace attaches its own (tp_btf).
 * "floor classic": by the classic tracepoint, which needs tracefs. Prints "ready" when it is attached,
 * stays until standard input ends.
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/floor.skel.h"

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int fail(const char *what)
{
	fprintf(stderr, "floor: cannot %s: %m\n", what);
	return 1;
}

static int stay(struct floor_bpf *skeleton)
{
	char c;

	if (floor_bpf__attach(skeleton))
		return fail("attach");
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	int classic = argc == 2 && !strcmp(argv[1], "classic"), result;
	struct floor_bpf *skeleton;

	libbpf_set_print(quiet);
	skeleton = floor_bpf__open();
	if (!skeleton)
		return fail("open");
	bpf_program__set_autoload(
		classic ? skeleton->progs.floor_btf : skeleton->progs.floor_classic, false);
	result = floor_bpf__load(skeleton) ? fail("load") : stay(skeleton);
	floor_bpf__destroy(skeleton);
	return result;
}
