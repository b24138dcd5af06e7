// SPDX-License-Identifier: BSD-2-Clause
/* Looks like a CPython of a version that nobody knows, and waits for the end of its input. */
#include <stdint.h>
#include <stdio.h>

extern const uint32_t Py_Version;
const uint32_t Py_Version __attribute__((visibility("default"))) = 0x036300f0; /* 3.99.0 */
extern unsigned char _PyRuntime[12345];
unsigned char _PyRuntime[12345] __attribute__((visibility("default"), used));

int main(void)
{
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return Py_Version == 0;
}
