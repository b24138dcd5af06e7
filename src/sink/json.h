/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the JSON sink share; nobody else includes this. */
#ifndef FDTRACE_SINK_JSON_H
#define FDTRACE_SINK_JSON_H

#include "core/engine.h"
#include "sink/json_build.h"

#define JSON_SCHEMA 1

/* The whole line as an object owned by the caller; complete unless b->failed. May be NULL then. */
json_t *json_finding_object(struct builder *b, const struct finding *f);

/* "stack" with the site's frames, innermost first; nothing where there are none. */
void json_put_stack(struct builder *b, json_t *object, const struct site *site);

#endif
