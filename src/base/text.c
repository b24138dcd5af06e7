// SPDX-License-Identifier: BSD-2-Clause
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* Of the character that begins so; 1 also for what begins none. */
static size_t character_bytes(unsigned char first)
{
	if (first < 0xc2 || first > 0xf4)
		return 1;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t text_whole(const char *text, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		unsigned char byte = (unsigned char)text[length - back];

		if ((byte & 0xc0) != 0x80)
			return character_bytes(byte) > back ? length - back : length;
	}
	return length;
}

int text_fit(const char *text, int most)
{
	size_t length = strnlen(text, (size_t)most + 1);

	return (int)(length > (size_t)most ? text_whole(text, (size_t)most) : length);
}

size_t text_vformat(char *buffer, size_t size, const char *format, va_list arguments)
{
	int needed = vsnprintf(buffer, size, format, arguments);
	size_t length = needed > 0 ? (size_t)needed : 0;

	if (length >= size)
		length = text_whole(buffer, size - 1);
	buffer[length] = '\0';
	return length;
}

size_t text_format(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = text_vformat(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}
