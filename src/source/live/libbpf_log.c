// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/libbpf_log.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "util/log.h"

#define KEPT_BYTES 400

/* libbpf's log has no context pointer and is one for the whole process. */
static char kept[KEPT_BYTES + 1];

/* A verifier's log is one message of many lines, and the reason stands at its end. */
static void libbpf_keep(const char *text, size_t length)
{
	size_t used = strlen(kept), over;

	if (length > KEPT_BYTES) {
		text += length - KEPT_BYTES;
		length = KEPT_BYTES;
	}
	over = used + length > KEPT_BYTES ? used + length - KEPT_BYTES : 0;
	memmove(kept, kept + over, used - over + 1);
	used -= over;
	for (size_t i = 0; i < length; i++)
		kept[used + i] = text[i] == '\n' ? ' ' : text[i];
	kept[used + length] = '\0';
}

static int __attribute__((format(printf, 2, 0)))
take(enum libbpf_print_level level, const char *format, va_list args)
{
	static char text[1 << 16]; /* longer ones are cut */
	va_list again;
	int length;

	va_copy(again, args);
	log_debug_v(format, again);
	va_end(again);
	if (level != LIBBPF_WARN)
		return 0;
	length = vsnprintf(text, sizeof(text), format, args);
	if (length > 0)
		libbpf_keep(text,
			    (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
	return 0;
}

void libbpf_log_begin(void)
{
	kept[0] = '\0';
	libbpf_set_print(take);
}

const char *libbpf_log_end(void)
{
	return kept;
}
