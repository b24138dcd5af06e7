// SPDX-License-Identifier: BSD-2-Clause
/*
 * A process that does what it can to confuse whoever walks its stack: opens files in FOLDER, each
 * under the name of the trick. Usage: hostile FOLDER LIBRARY; LIBRARY: a copy of libhidden.so,
 * which is truncated.
 *
 * It looks like CPython 3.11 (bpf/python.bpf.h): exports a _PyRuntime of that size.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define PAGE 4096
#define KERNEL_ADDRESS 0xffff888000000000ull
#define NOT_CANONICAL 0x8000000000000000ull
#define UNMAPPED 0x10000ull
#define HUGE_LENGTH 0x7fffffffffffffffull

/* 3.11, 64 bits, in words and bytes */
#define RUNTIME_SIZE 166688
#define RUNTIME_TSS 592 /* Py_tss_t: initialised, key */
#define THREAD_CFRAME 56
#define THREAD_ID 152
#define THREAD_DATASTACK 296
#define CFRAME_FRAME 8
#define FRAME_CODE 32
#define FRAME_PREVIOUS 48
#define FRAME_INSTRUCTION 56
#define CODE_FILENAME 112
#define CODE_QUALNAME 128
#define CODE_LINETABLE 136
#define OBJECT_SIZE 16
#define STRING_STATE 32

extern const uint32_t Py_Version;
const uint32_t Py_Version __attribute__((visibility("default"))) = 0x030b02f0;
extern unsigned char _PyRuntime[RUNTIME_SIZE];
unsigned char _PyRuntime[RUNTIME_SIZE] __attribute__((visibility("default"), aligned(16)));

static unsigned char thread_state[512] __attribute__((aligned(16)));
static unsigned char cframe[64] __attribute__((aligned(16)));
static unsigned char frames[2][128] __attribute__((aligned(16)));
static unsigned char code[256] __attribute__((aligned(16)));
static unsigned char string[128] __attribute__((aligned(16)));
static const char *folder;
static int opened;

static void put(unsigned char *object, size_t at, uint64_t value)
{
	memcpy(object + at, &value, sizeof(value));
}

static uint64_t address(const void *object)
{
	return (uint64_t)object;
}

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

NOINLINE static int leaf(const char *name)
{
	int fd = open(path_of(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	opened += fd >= 0;
	return fd;
}

/* ---- looks like CPython ---- */

static void sane_python(void)
{
	put(thread_state, THREAD_ID, (uint64_t)pthread_self());
	put(thread_state, THREAD_CFRAME, address(cframe));
	put(thread_state, THREAD_DATASTACK, 0);
	put(cframe, CFRAME_FRAME, address(frames[0]));
	put(frames[0], FRAME_CODE, address(code));
	put(frames[0], FRAME_PREVIOUS, 0);
	put(frames[0], FRAME_INSTRUCTION, address(code));
	put(code, CODE_FILENAME, address(string));
	put(code, CODE_QUALNAME, address(string));
	put(code, CODE_LINETABLE, address(string));
	put(string, OBJECT_SIZE, 3);
	put(string, STRING_STATE, 1u << 2 | 1u << 5 | 1u << 6);
	memcpy(string + 48, "abc", 3);
}

static void begin_python(void)
{
	pthread_key_t key;
	uint32_t tss[2] = { 1, 0 };

	pthread_key_create(&key, NULL);
	tss[1] = key;
	memcpy(_PyRuntime + RUNTIME_TSS, tss, sizeof(tss));
	pthread_setspecific(key, thread_state);
	sane_python();
}

/* One word of one object says something else, then the next. */
static void wrong_words(const char *name, unsigned char *object, size_t at)
{
	static const uint64_t wrong[] = {
		0, 1, 7, UNMAPPED, KERNEL_ADDRESS, NOT_CANONICAL, HUGE_LENGTH, ~0ull, ~0ull - 7
	};
	char numbered[64];

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put(object, at, wrong[i]);
		snprintf(numbered, sizeof(numbered), "%s%u", name, i);
		leaf(numbered);
		sane_python();
	}
}

static void cycles(void)
{
	put(frames[0], FRAME_PREVIOUS, address(frames[0]));
	leaf("cycle1");
	put(frames[0], FRAME_PREVIOUS, address(frames[1]));
	put(frames[1], FRAME_PREVIOUS, address(frames[0]));
	put(frames[1], FRAME_CODE, address(code));
	leaf("cycle2");
	sane_python();
}

/* Another code object at each call, all of one length: none of them may be told twice for nothing. */
static void many_codes(void)
{
	unsigned char *room =
		mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned int i = 0; room != MAP_FAILED && i < 3000; i++) {
		unsigned char *other = room + (size_t)i * 1024;

		memcpy(other, code, sizeof(code));
		put(frames[0], FRAME_CODE, address(other));
		opened += syscall(SYS_close, leaf("codes")) == 0;
	}
	sane_python();
}

static void python(void)
{
	begin_python();
	leaf("sane");
	cycles();
	wrong_words("thread-id", thread_state, THREAD_ID);
	wrong_words("thread-cframe", thread_state, THREAD_CFRAME);
	wrong_words("thread-datastack", thread_state, THREAD_DATASTACK);
	wrong_words("cframe", cframe, CFRAME_FRAME);
	wrong_words("frame-code", frames[0], FRAME_CODE);
	wrong_words("frame-previous", frames[0], FRAME_PREVIOUS);
	wrong_words("frame-instruction", frames[0], FRAME_INSTRUCTION);
	wrong_words("code-filename", code, CODE_FILENAME);
	wrong_words("code-qualname", code, CODE_QUALNAME);
	wrong_words("code-linetable", code, CODE_LINETABLE);
	wrong_words("string-length", string, OBJECT_SIZE);
	wrong_words("string-state", string, STRING_STATE);
	wrong_words("runtime", _PyRuntime, RUNTIME_TSS);
	begin_python();
	many_codes();
	put(thread_state, THREAD_ID, 0); /* no Python from here on */
}

/* ---- a stack that is none ---- */

static long open_on(const char *path, uint64_t stack, uint64_t frame)
{
	register long result __asm__("rax") = SYS_open;
	register long mode __asm__("rdx") = 0600;

	__asm__ volatile("mov %%rsp, %%r12\n"
			 "mov %%rbp, %%r13\n"
			 "mov %[stack], %%rsp\n"
			 "mov %[frame], %%rbp\n"
			 "syscall\n"
			 "mov %%r13, %%rbp\n"
			 "mov %%r12, %%rsp\n"
			 : "+r"(result)
			 : [stack] "r"(stack), [frame] "r"(frame), "D"(path),
			   "S"((long)(O_RDWR | O_CREAT | O_CLOEXEC)), "r"(mode)
			 : "rcx", "r11", "r12", "r13", "memory");
	return result;
}

/* Full of one word. */
static uint64_t room_of(size_t size, uint64_t word)
{
	uint64_t *room =
		mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		exit(1);
	munmap((char *)room + size, PAGE);
	for (size_t i = 0; i < size / sizeof(word); i++)
		room[i] = word;
	return address(room);
}

/* Under some hypervisors a system call with an address that is none in rsp ends the process. */
static bool is_survived(uint64_t stack)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		open_on("/dev/null", stack, stack);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

NOINLINE static void stacks(void)
{
	static const uint64_t wrong[] = {
		0, 8, UNMAPPED, KERNEL_ADDRESS, NOT_CANONICAL, ~0ull - 7
	};
	uint64_t tiny = room_of(PAGE, 0), huge = room_of(64 << 20, address(leaf) + 1);
	uint64_t own = room_of(PAGE, 0);
	char name[64];

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (!is_survived(wrong[i]) || !is_survived(wrong[i] + 3)) {
			printf("a stack at %#llx is fatal here\n", (unsigned long long)wrong[i]);
			continue;
		}
		snprintf(name, sizeof(name), "stack%u", i);
		opened += open_on(path_of(name), wrong[i], wrong[i]) >= 0;
		snprintf(name, sizeof(name), "unaligned%u", i);
		opened += open_on(path_of(name), wrong[i] + 3, wrong[i] + 5) >= 0;
	}
	opened += open_on(path_of("tiny"), tiny + PAGE - 8, tiny + PAGE - 8) >= 0;
	opened += open_on(path_of("tinier"), tiny + PAGE - 1, tiny) >= 0;
	opened += open_on(path_of("huge"), huge, huge + 64) >= 0;
	memcpy((void *)own, &own, sizeof(own));
	opened += open_on(path_of("own"), own, own) >= 0;
}

/* ---- a file that is no longer what is mapped ---- */

/* Whence there is no return: what the library kept in memory is gone, too. */
NOINLINE static int last_leaf(const char *name)
{
	leaf(name);
	printf("opened %d\n", opened);
	_exit(opened < 100);
}

NOINLINE static void truncated(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW);
	int (*call)(int (*)(const char *), const char *) =
		handle ? (int (*)(int (*)(const char *), const char *))dlsym(handle, "hidden_call")
		       : NULL;

	if (!call || truncate(library, 2 * PAGE)) {
		fprintf(stderr, "hostile: %s\n", dlerror());
		exit(1);
	}
	call(last_leaf, "truncated");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	folder = argv[1];
	setvbuf(stdout, NULL, _IONBF, 0);
	puts("ready");
	if (getchar() == EOF)
		return 3;
	python();
	stacks();
	truncated(argv[2]);
	return 1;
}
