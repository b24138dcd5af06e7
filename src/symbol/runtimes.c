// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/runtimes.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* All members may be NULL: none. */
struct runtime {
	const char *name;
	const char *const *programs; /* file names; a version may follow: "php8.2" */
	const char *const
		*libraries;         /* how file names begin; no letter follows: "libruby-3.1.so" */
	const char *const *folders; /* a part of the path of the modules that come with it */
	const char *const *sources; /* how paths of source files begin */
	const char *const *functions; /* how qualified names begin */
	const char *const *stubs;     /* whole names, of functions without a known source */
	const char *const *packages;  /* Go: the first part of a package's path */
};

static const struct runtime runtimes[] = {
	{ .name = "C++",
	  .libraries = LIST("libc++", "libc++abi"),
	  .functions =
		  LIST("std::", "__gnu_cxx::", "__cxxabiv1::", "operator new", "operator delete") },
	{ .name = "Rust",
	  .sources = LIST("library/std/", "library/core/", "library/alloc/", "library/backtrace/",
			  "/rustc/"),
	  .functions = LIST("std::", "<std::", "<core::", "<alloc::") },
	{ .name = "Go",
	  .packages = LIST("archive", "bufio", "bytes", "cmp", "compress", "container", "context",
			   "crypto", "database", "debug", "embed", "encoding", "errors", "expvar",
			   "flag", "fmt", "go", "hash", "html", "image", "index", "internal", "io",
			   "iter", "log", "maps", "math", "mime", "net", "os", "path", "plugin",
			   "reflect", "regexp", "runtime", "slices", "sort", "strconv", "strings",
			   "structs", "sync", "syscall", "testing", "text", "time", "type",
			   "unicode", "unique", "unsafe", "vendor", "weak") },
	{ .name = "Node",
	  .programs = LIST("node", "nodejs", "bun", "deno"),
	  .libraries = LIST("libnode", "libuv", "libv8") },
	{ .name = "Java",
	  .programs = LIST("java", "javac"),
	  .libraries = LIST("libjvm", "libjava", "libjli", "libnio", "libnet", "libextnet",
			    "libzip", "libjimage", "libverify", "libmanagement"),
	  .folders = LIST("/jvm/") },
	{ .name = "PHP",
	  .programs = LIST("php", "php-fpm", "php-cgi"),
	  .libraries = LIST("libphp", "mod_php"),
	  .folders = LIST("/lib/php/") },
	{ .name = "Ruby",
	  .programs = LIST("ruby"),
	  .libraries = LIST("libruby"),
	  .folders = LIST("/ruby/") },
	{ .name = "Perl",
	  .programs = LIST("perl"),
	  .libraries = LIST("libperl"),
	  .folders = LIST("/perl/", "/perl-base/", "/perl5/") },
	{ .name = "Lua",
	  .programs = LIST("lua", "luajit", "luajit-"),
	  .libraries = LIST("liblua", "libluajit") },
	{ .name = "Erlang", .programs = LIST("beam.smp", "erlexec", "erl_child_setup") },
	{ .name = ".NET",
	  .programs = LIST("mono", "mono-sgen", "dotnet"),
	  .libraries = LIST("libmono", "libmonosgen", "libcoreclr", "libclrjit", "libhostfxr",
			    "libhostpolicy"),
	  .folders = LIST("/Microsoft.NETCore.App/") },
	{ .name = "OCaml",
	  .functions = LIST("caml_", "camlStdlib__", "camlUnix__", "camlCamlinternal"),
	  .stubs = LIST("unix_accept", "unix_bind", "unix_close", "unix_closedir", "unix_connect",
			"unix_dup", "unix_dup2", "unix_fcntl", "unix_fsync", "unix_lseek",
			"unix_open", "unix_opendir", "unix_pipe", "unix_read", "unix_recv",
			"unix_recvfrom", "unix_select", "unix_send", "unix_sendto", "unix_socket",
			"unix_socketpair", "unix_spawn", "unix_write") },
	{ .name = "shells", .programs = LIST("sh", "bash", "dash", "ksh", "zsh", "busybox") },
};

/* The functions of a C library that lead to calls which open, close or use descriptors. */
static const char *const c_functions[] = {
	"accept",       "accept4",       "close",        "closedir",       "close_range",
	"connect",      "creat",         "creat64",      "daemon",         "dup",
	"dup2",         "dup3",          "epoll_create", "epoll_create1",  "epoll_ctl",
	"epoll_pwait",  "epoll_wait",    "eventfd",      "fclose",         "fcloseall",
	"fcntl",        "fcntl64",       "fdopen",       "fdopendir",      "fgetc",
	"fgets",        "fopen",         "fopen64",      "fputs",          "fread",
	"freopen",      "fsync",         "fwrite",       "getaddrinfo",    "getline",
	"inotify_init", "inotify_init1", "ioctl",        "listen",         "memfd_create",
	"mkostemp",     "mkstemp",       "mkstemp64",    "open",           "open64",
	"openat",       "openat64",      "opendir",      "openpty",        "pclose",
	"pipe",         "pipe2",         "poll",         "popen",          "posix_spawn",
	"ppoll",        "pread",         "pread64",      "printf",         "puts",
	"pwrite",       "pwrite64",      "read",         "readdir",        "readdir64",
	"readv",        "recv",          "recvfrom",     "recvmsg",        "select",
	"send",         "sendfile",      "sendmsg",      "sendto",         "setsockopt",
	"shm_open",     "shutdown",      "signalfd",     "socket",         "socketpair",
	"syscall",      "syslog",        "system",       "timerfd_create", "tmpfile",
	"tmpfile64",    "vfprintf",      "write",        "writev",         NULL,
};

static bool begins_with(const char *text, const char *const *prefixes)
{
	for (; prefixes && *prefixes; prefixes++)
		if (strncmp(text, *prefixes, strlen(*prefixes)) == 0)
			return true;
	return false;
}

/* ---- files ---- */

static bool is_version(const char *text)
{
	return text[strspn(text, "0123456789.")] == '\0';
}

/* The longest name first is not needed: "php-fpm" does not end in a version where "php" is tried. */
static bool is_program(const char *base, const char *const *programs)
{
	for (; programs && *programs; programs++) {
		size_t length = strlen(*programs);

		if (strncmp(base, *programs, length) == 0 && is_version(base + length))
			return true;
	}
	return false;
}

static bool is_library(const char *base, const char *const *libraries)
{
	for (; libraries && *libraries; libraries++) {
		size_t length = strlen(*libraries);

		if (strncmp(base, *libraries, length) == 0 &&
		    !isalpha((unsigned char)base[length]) && strstr(base, ".so"))
			return true;
	}
	return false;
}

static bool is_in_folder(const char *path, const char *base, const char *const *folders)
{
	for (; strstr(base, ".so") && folders && *folders; folders++)
		if (strstr(path, *folders))
			return true;
	return false;
}

bool runtime_is_file(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(runtimes) / sizeof(*runtimes); i++)
		if (is_program(base, runtimes[i].programs) ||
		    is_library(base, runtimes[i].libraries) ||
		    is_in_folder(path, base, runtimes[i].folders))
			return true;
	return false;
}

/* ---- functions ---- */

/*
 * Where the name begins: C++ writes the type that a template returns before it. That is what stands
 * before the last blank outside of all brackets, up to the arguments.
 */
static const char *qualified_name(const char *function)
{
	const char *name = function;
	int depth = 0;

	for (const char *at = function; *at && (depth || *at != '('); at++) {
		depth += (*at == '<' || *at == '[' || *at == '(') - (*at == ']' || *at == ')');
		depth -= *at == '>' && depth && (at == function || at[-1] != '-');
		if (!depth && *at == ' ' && strncmp(name, "operator", 8) != 0)
			name = at + 1;
	}
	return name;
}

static bool source_ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), size = strlen(end);

	return length >= size && strcmp(text + length - size, end) == 0;
}

/* "net/http.(*Transport).dial": of the package net/http. The application's have a dot in the first part, or are main. */
static bool is_in_package(const char *function, const char *const *packages)
{
	size_t length = strcspn(function, "/.");

	for (; packages && *packages; packages++)
		if (strlen(*packages) == length && strncmp(function, *packages, length) == 0)
			return true;
	return false;
}

static bool is_go(const struct elf_place *place)
{
	return place->source &&
	       (source_ends_with(place->source, ".go") || source_ends_with(place->source, ".s") ||
		strcmp(place->source, "<autogenerated>") == 0);
}

static bool is_stub(const struct elf_place *place, const char *const *stubs)
{
	for (; !place->source && stubs && *stubs; stubs++)
		if (strcmp(place->function, *stubs) == 0)
			return true;
	return false;
}

/* Names that C reserves are the C library's, where nothing says in what source they are. */
static bool is_c_library(const struct elf_place *place)
{
	const char *name = place->function;

	if (place->source)
		return false;
	if (name[0] == '_' && (name[1] == '_' || isupper((unsigned char)name[1])))
		return true;
	for (const char *const *known = c_functions; *known; known++)
		if (strcmp(name, *known) == 0)
			return true;
	return false;
}

bool runtime_is_function(const struct elf_place *place, bool is_static)
{
	const char *name;

	if (!place->function)
		return false;
	name = qualified_name(place->function);
	for (size_t i = 0; i < sizeof(runtimes) / sizeof(*runtimes); i++) {
		const struct runtime *runtime = &runtimes[i];

		if (begins_with(name, runtime->functions) || is_stub(place, runtime->stubs) ||
		    (place->source && begins_with(place->source, runtime->sources)) ||
		    (is_go(place) && is_in_package(place->function, runtime->packages)))
			return true;
	}
	return is_static && is_c_library(place);
}
