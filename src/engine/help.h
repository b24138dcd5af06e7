/* SPDX-License-Identifier: BSD-2-Clause */
/* Remedies that depend on the language of the code they are for. */
#ifndef FDTRACE_ENGINE_HELP_H
#define FDTRACE_ENGINE_HELP_H

#include "engine/finding.h"
#include "model/language.h"

/* What has to be done about ... */
enum help {
	HELP_SWEEP,   /* a loop that closes whatever it finds */
	HELP_OWNER,   /* a close while another still uses the descriptor */
	HELP_USE,     /* using a number that one has closed */
	HELP_DOUBLE,  /* closing a number twice */
	HELP_FULL,    /* a table full of what one site has left open */
	HELP_CLOEXEC, /* a descriptor meant for a child that is close-on-exec */
	HELP_COUNT
};

/* One sentence, static. A language without a row has the sentences of native code. */
const char *help_text(enum help help, enum language language);

/*
 * What closes descriptors that one place leaves open: by their kind, and by the library that made
 * them, as the stack shows it.
 */
const char *help_growth(const struct site_row *row);

#endif
