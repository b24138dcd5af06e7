/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a run's results go: a sink (text or JSON) and perhaps a recording. An output that cannot be
 * written is reported once, by name, and dropped; the other one continues.
 */
#ifndef FDTRACE_RUN_OUTPUTS_H
#define FDTRACE_RUN_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run/session.h"
#include "output/sink.h"
#include "util/redact.h"

struct outputs;

/*
 * Opens the files before anything is traced or started. was_closed: from stdio_guard();
 * options: borrowed. 0 or -errno with *error filled.
 */
int outputs_open(const struct run_options *options, unsigned int was_closed,
		 struct outputs **ret_outputs, struct error *error);

/*
 * The same for a service: JSON lines go to callbacks (see struct sink_options), which are
 * responsible for them. `full` also gets each finding without the size cap; NULL: not wanted.
 */
struct outputs_lines {
	void *ctx;
	int (*line)(void *ctx, const char *line, size_t length, const struct finding *finding);
	int (*full)(void *ctx, const char *line, size_t length, const struct finding *finding);
};
int outputs_open_lines(const struct run_options *options, const struct outputs_lines *lines,
		       struct outputs **ret_outputs, struct error *error);

/* Makes the sink and the recorder. host: borrowed; may be filled in until the first finding. */
int outputs_begin(struct outputs *outputs, const struct hostinfo *host, struct error *error);

/*
 * From now on the findings of runs as root are stored for explain, in at most `bytes`; 0: none
 * are. A failure is reported once, with -v. Not for replays: their findings are of another time and
 * host.
 */
void outputs_keep(struct outputs *outputs, uint64_t max_bytes);

/*
 * Sets how command lines are redacted from now on; at first, only what redact.h always hides. 0, or
 * -errno with *error filled and nothing changed.
 */
int outputs_redact(struct outputs *outputs, enum command_line mode, const char *const *patterns,
		   unsigned int pattern_count, struct error *error);

void outputs_record(struct outputs *outputs, const void *event, size_t size);
void outputs_record_flush(struct outputs *outputs);
void outputs_state(struct outputs *outputs, enum run_state state, uint64_t time_ns);
void outputs_coverage(struct outputs *outputs, const struct coverage_change *change);
void outputs_finding(struct outputs *outputs, const struct finding *finding);
void outputs_withheld(struct outputs *outputs, const struct withheld *withheld);
void outputs_change(struct outputs *outputs, const struct change *change);
void outputs_summary(struct outputs *outputs, const struct summary *summary);
void outputs_inventory(struct outputs *outputs, const struct summary *summary);

/* Polls an error or a hang-up once the reader of findings has gone: call outputs_reader_left(). */
int outputs_poll_fd(const struct outputs *outputs);
void outputs_reader_left(struct outputs *outputs);

/* False once a reader has gone (a closed pipe: end quietly) or nothing is left to write to. */
bool outputs_alive(const struct outputs *outputs);
/* Something could not be written, for a reason other than a reader that has gone. */
bool outputs_lost(const struct outputs *outputs);

/* Writes the buffers and closes the files; outputs_lost() is final after that. */
void outputs_close(struct outputs *outputs);
void outputs_free(struct outputs *outputs); /* NULL is allowed */

#endif
