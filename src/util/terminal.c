// SPDX-License-Identifier: BSD-2-Clause
#include "util/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Environment variables that are empty count as unset. */
static const char *environ_text(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static bool environ_is_on(const char *name)
{
	const char *value = environ_text(name);

	return value && strcmp(value, "0") != 0;
}

static unsigned int environ_columns(void)
{
	const char *text = environ_text("COLUMNS");
	char *end;
	unsigned long columns;

	if (!text || *text < '0' || *text > '9')
		return 0;
	columns = strtoul(text, &end, 10);
	return *end || columns > TERMINAL_WIDTH_MAX ? 0 : (unsigned int)columns;
}

unsigned int terminal_width(int fd, unsigned int asked)
{
	bool terminal = isatty(fd);
	unsigned int columns;
	struct winsize size;

	if (asked)
		return asked;
	if (terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	columns = environ_columns();
	return columns || !terminal ? columns : 80;
}

bool terminal_color(int fd, enum color color)
{
	const char *term;

	if (color != COLOR_AUTO)
		return color == COLOR_ALWAYS;
	if (environ_text("NO_COLOR"))
		return false;
	if (environ_is_on("FORCE_COLOR") || environ_is_on("CLICOLOR_FORCE"))
		return true;
	term = environ_text("TERM");
	return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

/* The locale that the user names, installed or not. */
static bool names_utf8(void)
{
	const char *name = environ_text("LC_ALL") ?: environ_text("LC_CTYPE") ?: environ_text("LANG");

	return name && (strcasestr(name, "utf-8") || strcasestr(name, "utf8"));
}

bool terminal_is_ascii(int fd)
{
	locale_t locale;
	bool utf8;

	if (!isatty(fd) || names_utf8())
		return false;
	locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	if (!locale)
		return true;
	utf8 = strcasecmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
	freelocale(locale);
	return !utf8;
}
