// SPDX-License-Identifier: BSD-2-Clause
#include "util/yaml_load.h"

#include <stdio.h>
#include <string.h>

#include "util/escape.h"

/* The first line is the complaint, those after it say where. */
__attribute__((format(printf, 3, 0))) static void on_log(cyaml_log_t level, void *ctx,
							 const char *format, va_list args)
{
	struct yaml_complaint *c = ctx;
	struct yaml_step *step = &c->steps[c->step_count];
	char text[256];
	unsigned int entry;

	(void)level;
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (!c->text[0] && strncmp(text, "Load: ", 6) == 0 && strcmp(text, "Load: Backtrace:") != 0)
		escape_text(c->text, sizeof(c->text), text + 6, strlen(text + 6));
	if (c->step_count == YAML_STEPS_MAX)
		return;
	if (sscanf(text, " in mapping field '%63[^']", c->keys[c->step_count]) == 1) {
		step->key = c->keys[c->step_count++];
	} else if (sscanf(text, " in sequence entry '%u'", &entry) == 1) {
		step->index = entry - 1;
		c->step_count++;
	}
}

cyaml_config_t yaml_config(struct yaml_complaint *complaint)
{
	return (cyaml_config_t){ .log_fn = on_log,
				 .log_ctx = complaint,
				 .log_level = CYAML_LOG_WARNING,
				 .mem_fn = cyaml_mem,
				 .flags = CYAML_CFG_NO_ALIAS };
}

unsigned int yaml_way(const struct yaml_complaint *c, const char *key,
		      struct yaml_step steps[YAML_STEPS_MAX + 1])
{
	unsigned int count = c->step_count;

	for (unsigned int i = 0; i < count; i++)
		steps[i] = c->steps[count - 1 - i];
	if (key)
		steps[count++] = (struct yaml_step){ .key = key };
	return count;
}

const char *yaml_complains(const struct yaml_complaint *complaint, const char *lead)
{
	size_t length = strlen(lead);

	return strncmp(complaint->text, lead, length) == 0 ? complaint->text + length : NULL;
}
