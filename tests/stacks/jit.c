// SPDX-License-Identifier: BSD-2-Clause
/*
 * Code made at run time, with a frame pointer, calls back into C, which opens FOLDER/jitted.
 * Usage: jit FOLDER [loop]; with a map for perf in /tmp, unless something stands there already.
 * loop: the frame pointer of that code points to itself.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static int opened;

NOINLINE static void callback(const char *path)
{
	opened += open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0;
}

/* push %rbp; mov %rsp,%rbp; mov %rdi,%rax; mov %rsi,%rdi; call *%rax; pop %rbp; ret */
static const unsigned char plain[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8,
				       0x48, 0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3 };
/* push %rbp; push %rbp; push %rbp; mov %rsp,%rbp; mov %rbp,(%rbp); ...; pop, pop, pop; ret */
static const unsigned char loop[] = { 0x55, 0x55, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x89,
				      0x6d, 0x00, 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7,
				      0xff, 0xd0, 0x5d, 0x5d, 0x5d, 0xc3 };

static void write_map(const void *code)
{
	char path[64];
	FILE *map;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "wxe");
	if (!map)
		return;
	fprintf(map, "%lx %x jitted_function\n", (unsigned long)code, 64);
	fclose(map);
}

NOINLINE static void run(void (*code)(void (*)(const char *), const char *), const char *path)
{
	code(callback, path);
	opened++;
}

int main(int argc, char **argv)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[512];

	if (argc < 2 || page == MAP_FAILED)
		return 1;
	if (argc > 2)
		memcpy(page, loop, sizeof(loop));
	else
		memcpy(page, plain, sizeof(plain));
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	write_map(page);
	snprintf(path, sizeof(path), "%s/jitted", argv[1]);
	run(page, path);
	puts("opened");
	fflush(stdout);
	while (getchar() != EOF) /* whoever wants to read the map has time to */
		;
	return opened != 2;
}
