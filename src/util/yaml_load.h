/* SPDX-License-Identifier: BSD-2-Clause */
/* What libcyaml says of a YAML text that does not fit its schema, as something to speak of. */
#ifndef FDTRACE_UTIL_YAML_LOAD_H
#define FDTRACE_UTIL_YAML_LOAD_H

#include <cyaml/cyaml.h>
#include "util/yaml_place.h"

#define YAML_STEPS_MAX 3 /* levels of our schemas */

/* Put together as it comes in pieces. To be zeroed before a load. */
struct yaml_complaint {
	char text[160];                         /* "Unexpected key: rulo", safe to print */
	char keys[YAML_STEPS_MAX][64];          /* where, by the backtrace, from the inside out */
	struct yaml_step steps[YAML_STEPS_MAX]; /* the same */
	unsigned int step_count;
};

/* For cyaml_load_data() and cyaml_free(): without aliases, and complaining there. */
cyaml_config_t yaml_config(struct yaml_complaint *complaint);

/*
 * From the outside in, as yaml_find() takes them, with one more if `key` is not NULL. Returns how
 * many there are.
 */
unsigned int yaml_way(const struct yaml_complaint *complaint, const char *key,
		      struct yaml_step steps[YAML_STEPS_MAX + 1]);

/* What follows the lead; NULL: the complaint does not begin so. */
const char *yaml_complains(const struct yaml_complaint *complaint, const char *lead);

#endif
