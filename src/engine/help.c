// SPDX-License-Identifier: BSD-2-Clause
#include "engine/help.h"

#include <stddef.h>
#include <string.h>

#include "model/site.h"

/* A row for each language that needs sentences of its own; what it leaves out is as in native code. */
static const char *const help_table[LANGUAGE_COUNT][HELP_COUNT] = {
	[LANGUAGE_NATIVE] = {
		[HELP_SWEEP] = "close only what you opened; before an exec use O_CLOEXEC or "
			       "close_range() in the child",
		[HELP_OWNER] = "let one owner close the descriptor, after every user is done; "
			       "remove the other close",
		[HELP_USE] = "set the variable to -1 after closing it",
		[HELP_DOUBLE] = "harmless this time, but not if another thread opens a file in "
				"between: set the number to -1 when it is closed",
		[HELP_FULL] = "close on every path where the site that holds most does not; "
			      "raising the limit only postpones it",
		[HELP_CLOEXEC] = "clear close-on-exec in the child, between fork and exec, for what "
				 "the new program needs: fcntl(fd, F_SETFD, 0)",
	},
	[LANGUAGE_PYTHON] = {
		[HELP_SWEEP] = "close only what you opened; what subprocess starts inherits "
			       "nothing anyway (close_fds=True) but what pass_fds names",
		[HELP_OWNER] = "let the object that owns the descriptor close it, best by "
			       "\"with\"; remove os.close() of a number that an object still "
			       "holds (or take it from the object: detach())",
		[HELP_USE] = "keep the file or socket object instead of its fileno(), and use it "
			     "inside its \"with\" block",
		[HELP_DOUBLE] = "harmless this time, but not if another thread opens a file in "
				"between: close the object alone (\"with\"), not its fileno(), too",
		[HELP_FULL] = "close on every path where the site that holds most does not (in "
			      "Python: with, or close()); raising the limit only postpones it",
		[HELP_CLOEXEC] = "name the descriptor in subprocess's pass_fds, or call "
				 "os.set_inheritable(fd, True) before os.exec*()",
	},
};

const char *help_text(enum help help, enum language language)
{
	const char *text =
		(unsigned int)language < LANGUAGE_COUNT ? help_table[language][help] : NULL;

	return text ? text : help_table[LANGUAGE_NATIVE][help];
}

/*
 * The first row that fits. A library keeps descriptors in objects of its own: what has to be
 * closed is the object.
 */
#define ANY_KIND FD_KIND_COUNT
static const struct growth_row {
	enum fd_kind kind;
	const char *frame; /* a part of some frame of the stack; NULL: any stack */
	const char *text;
} growth_table[] = {
	{ ANY_KIND, "/multiprocessing/popen_",
	  "call close() on each Process when it has been joined: until then, or until it is "
	  "collected, it keeps a pipe to its child" },
	{ ANY_KIND, "/multiprocessing/",
	  "call close() on each Connection and Queue of multiprocessing, and leave each Pool by "
	  "\"with\": until then they keep their pipes" },
	{ ANY_KIND, "/asyncio/",
	  "call loop.close() for each event loop that was made (asyncio.run() does): it keeps an "
	  "epoll and a socketpair; and close() each transport and writer" },
	{ ANY_KIND, "/selectors.py:", "call close() on each selector, or use it by \"with\"" },
	{ ANY_KIND, "/subprocess.py:",
	  "use each Popen by \"with\", or call communicate(): until then it keeps its pipes" },
	{ FD_KIND_EVENTFD, "(libglib-2.0.",
	  "call g_main_context_unref() for each context that was made (g_main_loop_unref() for a "
	  "loop): it keeps an eventfd" },
	{ FD_KIND_EPOLL, NULL,
	  "close the epoll, or the event loop that made it, on every path: one loop for the whole "
	  "thread is enough" },
	{ FD_KIND_PIPE, NULL,
	  "close both ends of each pipe, on error paths, too; in the parent, close the child's end "
	  "after the fork" },
	{ FD_KIND_PIDFD, NULL, "close each pidfd when its process has been waited for" },
	{ FD_KIND_TCP, NULL,
	  "close each connection on every path: errors, timeouts and retries, and when the peer "
	  "has closed" },
	{ ANY_KIND, NULL, "close it on every path, including error and retry paths" },
};

static bool stack_mentions(const struct stack *stack, const char *part)
{
	for (unsigned int i = 0; stack && i < stack->frame_count; i++)
		if (strstr(stack->frames[i].text, part))
			return true;
	return false;
}

const char *help_growth(const struct site_row *row)
{
	const struct stack *stack = row->site ? row->site->stack : NULL;
	const struct growth_row *g = growth_table;

	while ((g->kind != ANY_KIND && g->kind != row->kind) ||
	       (g->frame && !stack_mentions(stack, g->frame)))
		g++; /* the last one always fits */
	return g->text;
}
