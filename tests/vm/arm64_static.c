// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stands in for libdw's debuginfod client in a static program: that one would dlopen() a library
 * and, for a daemon that runs as root, ask the network. Declared as elfutils/libdwflP.h does.
 */
#include <elfutils/libdwfl.h>

typedef struct debuginfod_client debuginfod_client;

int __libdwfl_debuginfod_find_executable(Dwfl *dwfl, const unsigned char *id, size_t length);
int __libdwfl_debuginfod_find_debuginfo(Dwfl *dwfl, const unsigned char *id, size_t length);
void __libdwfl_debuginfod_end(debuginfod_client *client);
void __libdwfl_debuginfod_init(void);
debuginfod_client *dwfl_get_debuginfod_client(Dwfl *dwfl);

int __libdwfl_debuginfod_find_executable(Dwfl *dwfl, const unsigned char *id, size_t length)
{
	(void)dwfl, (void)id, (void)length;
	return -1;
}

int __libdwfl_debuginfod_find_debuginfo(Dwfl *dwfl, const unsigned char *id, size_t length)
{
	(void)dwfl, (void)id, (void)length;
	return -1;
}

void __libdwfl_debuginfod_end(debuginfod_client *client)
{
	(void)client;
}

void __libdwfl_debuginfod_init(void)
{
}

debuginfod_client *dwfl_get_debuginfod_client(Dwfl *dwfl)
{
	(void)dwfl;
	return NULL;
}
