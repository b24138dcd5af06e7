/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds a table, as the rows of a finding. Descriptors that one place in a program opened are
 * one row, by whatever stacks it was reached: calls on one line, an interpreter's specialised
 * calls and the tiers of a JIT add up. Those whose opener nobody saw are rows by kind, and, where
 * they are looked at, by what they lead to and the state they are in.
 */
#ifndef FDTRACE_ENGINE_HOLDINGS_H
#define FDTRACE_ENGINE_HOLDINGS_H

#include "engine/finding.h"

struct engine;
struct fdtable;
struct site;
struct slot;

/* Which slots count; NULL: all. */
typedef bool (*holdings_only_fn)(const struct slot *slot, int32_t fd, const void *ctx);

#define HOLDING_TEXT_SIZE 96

/* What the rows of a finding borrow: as long as they live. */
struct site_labels {
	char text[FINDING_SITES_MAX][HOLDING_TEXT_SIZE];
	char target[FINDING_SITES_MAX][HOLDING_TEXT_SIZE];
};

/*
 * Sets f->sites, site_count and site_total: most open first. The host is asked for the name of
 * one descriptor a row.
 */
void finding_sites(struct engine *e, struct finding *f, const struct fdtable *table,
		   holdings_only_fn only, const void *ctx, struct site_labels *labels);

/*
 * The same, and those without an opener are looked at: all of them, or a sample evenly spread
 * (site_row.looked says how many). Asks the host up to HOLDINGS_LOOKS_MAX times: for news only.
 */
#define HOLDINGS_LOOKS_MAX 1024
void finding_look_at_sites(struct engine *e, struct finding *f, const struct fdtable *table,
			   holdings_only_fn only, const void *ctx, struct site_labels *labels);

/* The finding is about that row alone. */
void finding_put_site(struct finding *f, const struct site_row *row);

/* All rows, not looked at, one by one. */
void finding_each_site(struct engine *e, const struct fdtable *table, holdings_only_fn only,
		       const void *ctx,
		       void (*row)(struct engine *e, const struct fdtable *table,
				   const struct site_row *row));

/*
 * What sites are added up by: the functions of their stacks and, in native code, the program. Costs a
 * hash of the frames.
 */
uint64_t holdings_place(const struct site *site);

/* Whether the slot is one of the row's. Not for rows by target. */
bool holdings_is_of(const struct site_row *row, const struct slot *slot);

#endif
