/* SPDX-License-Identifier: BSD-2-Clause */
/* All detectors: the one place that names them. Each is a file here, with its rules and its state. */
#ifndef FDTRACE_DETECT_DETECTORS_H
#define FDTRACE_DETECT_DETECTORS_H

#include "engine/detector.h"

/*
 * In the order in which they are called, which is meaning: close.unowned before close.sweep, which
 * takes note of those that a sweep has affected; leak.growth before leak.stale, which is silent where
 * that one has spoken; exec.inherit before exec.held, which goes through its list.
 */
/* clang-format off */
#define DETECTORS(X) \
	X(CLOSE_UNOWNED, close_unowned) \
	X(CLOSE_STDIO,   close_stdio) \
	X(CLOSE_LOCK,    close_lock) \
	X(EPOLL_FOREIGN, epoll_foreign) \
	X(CLOSE_SWEEP,   close_sweep) \
	X(LIMIT_EMFILE,  limit_emfile) \
	X(EXEC_INHERIT,  exec_inherit) \
	X(EXEC_HELD,     exec_held) \
	X(LEAK_GROWTH,   leak_growth) \
	X(LEAK_EXIT,     leak_exit) \
	X(LEAK_STALE,    leak_stale) \
	X(LEAK_ORPHAN,   leak_orphan) \
	X(USE_STALE,     use_stale)
/* clang-format on */

enum detector_id {
#define DETECTOR_ID(NAME, name) DETECTOR_##NAME,
	DETECTORS(DETECTOR_ID)
#undef DETECTOR_ID
		DETECTOR_COUNT
};
_Static_assert(DETECTOR_COUNT <= DETECTORS_MAX, "raise DETECTORS_MAX");

#define DETECTOR_DECLARED(NAME, name) extern const struct detector detector_##name;
DETECTORS(DETECTOR_DECLARED)
#undef DETECTOR_DECLARED

#define RULE_BIT(rule) ((rule_set)1 << RULE_##rule)

/* Every one, for struct engine_options; ends with NULL. */
extern const struct detector *const detectors_all[DETECTOR_COUNT + 1];

/* What these rules need of the source: bits of enum fdt_need. */
unsigned int detectors_needs(rule_set rules);
/* The rules that a source which was opened with these needs can serve. */
rule_set detectors_served(unsigned int needs);

#endif
