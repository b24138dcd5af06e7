// SPDX-License-Identifier: BSD-2-Clause
/* A library that is stripped: of its functions only hidden_call has a name. */

static int last;

__attribute__((noinline, noclone)) static int inner(int (*call)(const char *), const char *name)
{
	int fd = call(name);

	last = fd;
	return fd + last;
}

int hidden_call(int (*call)(const char *), const char *name);

__attribute__((visibility("default"))) int hidden_call(int (*call)(const char *), const char *name)
{
	return inner(call, name) - last;
}
