/* SPDX-License-Identifier: BSD-2-Clause */
/* libbpf explains itself on a log: shown to the person at debug level only, the end of it kept. */
#ifndef FDTRACE_SOURCE_LIBBPF_LOG_H
#define FDTRACE_SOURCE_LIBBPF_LOG_H

/* From now on libbpf's messages come here. Forgets what was kept. */
void libbpf_log_begin(void);

/* The last warnings, on one line; "" if there was none. Valid until the next begin. */
const char *libbpf_log_end(void);

#endif
