// SPDX-License-Identifier: BSD-2-Clause
/* limit.emfile: a call failed because a table, or the system, is full: who holds the descriptors? */
#include <errno.h>
#include <stdio.h>

#include "core/state.h"
#include "core/syscall_name.h"

enum fullness { TABLE_FULL, TABLE_UNSURE, OTHER_LIMIT, SYSTEM_FULL };

/*
 * EMFILE also comes from per-user limits (inotify instances, io_uring memory ...) while the
 * table is nearly empty. Not exactly full is still full: numbers may be reserved at this moment.
 */
static enum fullness judge(const struct fdt_error *event, const struct fdtable *table,
			   uint64_t open)
{
	if (event->error == ENFILE)
		return SYSTEM_FULL;
	if (open >= event->nofile - event->nofile / 10)
		return TABLE_FULL;
	return table->tainted ? TABLE_UNSURE : OTHER_LIMIT;
}

/* Numbers above the limit (it was lowered, or they were inherited) take no place below it. */
static uint64_t open_below(const struct fdtable *table, uint64_t nofile)
{
	uint64_t open = 0;

	fdtable_each (table, fd) {
		if ((uint64_t)fd >= nofile)
			break;
		open++;
	}
	return open;
}

static void word(struct finding *f, enum fullness fullness, char *message, size_t size)
{
	const char *call = syscall_name(f->used.syscall);
	unsigned long long open = f->limit.open, soft = f->limit.soft;

	switch (fullness) {
	case TABLE_FULL:
		snprintf(message, size,
			 "%s failed with EMFILE: %llu of %llu descriptors are open, most of them "
			 "(%llu %s) from %s",
			 call, open, soft, f->site_count ? (unsigned long long)f->sites[0].open : 0,
			 f->site_count ? fd_kind_name(f->sites[0].kind) : "",
			 f->site_count ? f->sites[0].label : "nowhere");
		f->help = "find out why the site that holds most does not close; raising the limit "
			  "only postpones it";
		break;
	case TABLE_UNSURE:
		snprintf(message, size,
			 "%s failed with EMFILE: of %llu descriptors at least %llu are open, and "
			 "not all could be followed",
			 call, soft, open);
		f->help = "look again when nothing is lost or refused: see the summary";
		break;
	case OTHER_LIMIT:
		snprintf(message, size,
			 "%s failed with EMFILE although only %llu of %llu descriptors are open: "
			 "another limit was hit",
			 call, open, soft);
		f->help = "look at the limits of what was to be made, e.g. "
			  "fs.inotify.max_user_instances";
		break;
	case SYSTEM_FULL:
		snprintf(message, size,
			 "%s failed with ENFILE: the whole system has no file left; this process "
			 "holds %llu",
			 call, open);
		f->help = "see fs.file-nr and fs.file-max for who needs so many";
		break;
	}
	f->message = message;
}

void limit_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
		  struct fdtable *table)
{
	uint64_t open = open_below(table, event->nofile);
	enum fullness fullness = judge(event, table, open);
	struct finding f = { .rule = RULE_LIMIT_EMFILE,
			     .process = actor->process,
			     .severity =
				     fullness == OTHER_LIMIT ? SEVERITY_WARNING : SEVERITY_ERROR,
			     .descriptor = { .fd = -1 },
			     .used = party_actor(actor, event->error),
			     .limit = { .present = true, .soft = event->nofile, .open = open } };
	struct site_labels labels;
	char message[256], why[160];
	const struct site *place;

	if (!finding_wanted(e, f.rule))
		return;
	finding_sites(e, &f, table, NULL, NULL, &labels);
	place = f.site_count && f.sites[0].site && fullness == TABLE_FULL ? f.sites[0].site
									  : actor->site;
	f.fingerprint = finding_fingerprint(f.rule, actor->process, place);
	f.first_ns = event->first_ns;
	f.confidence = finding_confidence(table, CONFIDENCE_EXACT);
	word(&f, fullness, message, sizeof(message));
	snprintf(why, sizeof(why), "the call has failed %u times in a row", event->count);
	f.why = event->count > 1 ? why : "";
	finding_report(e, &f);
}
