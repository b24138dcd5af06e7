// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stands in for libdw's debuginfod-client.o in the static program: there is no dlopen of
 * libdebuginfod, and a daemon of root's asks no server on the network for files. The names and
 * types are those of elfutils' libdwfl/debuginfod-client.c and libdwfl.h. In the dynamic program
 * libdw calls its own, which cannot be replaced.
 */
#include <elfutils/libdwfl.h>
#include <errno.h>

int __libdwfl_debuginfod_find_executable(Dwfl *dwfl, const unsigned char *build_id, size_t length);
int __libdwfl_debuginfod_find_debuginfo(Dwfl *dwfl, const unsigned char *build_id, size_t length);
void __libdwfl_debuginfod_end(debuginfod_client *client);
void __libdwfl_debuginfod_init(void);

int __libdwfl_debuginfod_find_executable(Dwfl *dwfl, const unsigned char *build_id, size_t length)
{
	(void)dwfl, (void)build_id, (void)length;
	return -ENOSYS;
}

int __libdwfl_debuginfod_find_debuginfo(Dwfl *dwfl, const unsigned char *build_id, size_t length)
{
	(void)dwfl, (void)build_id, (void)length;
	return -ENOSYS;
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
