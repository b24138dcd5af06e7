/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the JSON sink share, and a finding's line for the store of evidence. */
#ifndef FDTRACE_OUTPUT_JSON_H
#define FDTRACE_OUTPUT_JSON_H

#include "engine/engine.h"
#include "output/json/json_build.h"

#define JSON_SCHEMA 1

/* The whole line as an object owned by the caller; complete unless b->failed. May be NULL then. */
json_t *json_finding_object(struct builder *b, const struct finding *f);

/*
 * The line without the size cap and with the identities of frames ("stack_ids"), to be freed by
 * the caller. 0 or -ENOMEM.
 */
int json_finding_line(const struct hostinfo *host, const struct redaction *redaction,
		      const struct finding *f, char **ret_line, size_t *ret_length);

#endif
