// SPDX-License-Identifier: BSD-2-Clause
#include "engine/help.h"

#include <stddef.h>

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
