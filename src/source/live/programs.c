// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "util/log.h"

#define INSTRUCTION_BYTES 8

/* 0, or -ENOENT: it was not loaded, or the kernel does not say. */
static int read_info(const struct bpf_program *program, struct bpf_prog_info *ret_info)
{
	uint32_t size = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	if (bpf_program__fd(program) < 0 ||
	    bpf_obj_get_info_by_fd(bpf_program__fd(program), ret_info, &size))
		return -ENOENT;
	return 0;
}

static void log_one(const struct bpf_program *program, const struct bpf_prog_info *info,
		    uint64_t end_ns)
{
	uint64_t took_ns = end_ns > info->load_time ? end_ns - info->load_time : 0;

	log_debug("program %s: %u instructions, %u verified, loaded in %.1f ms",
		  bpf_program__name(program), info->xlated_prog_len / INSTRUCTION_BYTES,
		  info->verified_insns, (double)took_ns / 1e6);
}

/* The kernel notes when it began with a program (kernel/bpf/syscall.c); libbpf loads one by one. */
void programs_log(const struct bpf_object *object)
{
	const struct bpf_program *before = NULL;
	struct bpf_prog_info info, info_before;
	struct bpf_program *program;

	if (log_level() < LOG_DEBUG)
		return;
	bpf_object__for_each_program (program, object) {
		if (read_info(program, &info))
			continue;
		if (before)
			log_one(before, &info_before, info.load_time);
		before = program;
		info_before = info;
	}
	if (before)
		log_one(before, &info_before, clock_ns(CLOCK_BOOTTIME));
}
