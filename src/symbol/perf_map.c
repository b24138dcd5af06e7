// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/perf_map.h"

#define FUNCTIONS_MAX (1u << 20)
#define NAME_MAX_BYTES 1024 /* of a name: the rest of a longer one is cut */
#define NESTED_MAX 64       /* functions looked at that begin before an address */

struct function {
	uint64_t start, end;
	uint32_t line; /* the later one is right: memory is used again */
	const char *name;
};

struct perf_map {
	char *text;
	struct function *function; /* by start, then line */
	size_t count, room;
	/* the file, as it was when it was read */
	dev_t dev;
	ino_t inode;
	off_t size;
};

static int function_add(struct perf_map *map, const struct function *function)
{
	if (map->count == map->room) {
		size_t room = map->room ? 2 * map->room : 256;
		struct function *grown = reallocarray(map->function, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		map->function = grown;
		map->room = room;
	}
	map->function[map->count++] = *function;
	return 0;
}

/* A hexadecimal number and the blank behind it. strtoull would take signs, blanks and newlines. */
static bool number_parse(char **at, uint64_t *ret_number)
{
	char *c = *at;
	uint64_t number = 0;
	int digits = 0;

	if (c[0] == '0' && (c[1] == 'x' || c[1] == 'X'))
		c += 2;
	for (;; c++, digits++) {
		int digit = *c >= '0' && *c <= '9'   ? *c - '0'
			    : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10
			    : *c >= 'A' && *c <= 'F' ? *c - 'A' + 10
						     : -1;

		if (digit < 0)
			break;
		number = number << 4 | (unsigned int)digit;
	}
	if (digits == 0 || digits > 16 || *c != ' ')
		return false;
	*at = c + 1;
	*ret_number = number;
	return true;
}

/* false: this line is not understood; the others may be. */
static bool line_parse(char *line, size_t length, struct function *function)
{
	uint64_t size;

	if (strlen(line) != length || !number_parse(&line, &function->start) ||
	    !number_parse(&line, &size) || !*line || size == 0 ||
	    size > UINT64_MAX - function->start)
		return false;
	function->end = function->start + size;
	function->name = line;
	if (strlen(line) > NAME_MAX_BYTES)
		line[NAME_MAX_BYTES] = '\0';
	return true;
}

static int compare_symbols(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->line < y->line ? -1 : 1;
}

/* The last line without a newline is one that is just being written: not yet. */
static int text_parse(struct perf_map *map, char *end)
{
	struct function function = { 0 };
	char *line = map->text, *newline;
	int err = 0;

	while (err == 0 && map->count < FUNCTIONS_MAX &&
	       (newline = memchr(line, '\n', (size_t)(end - line)))) {
		*newline = '\0';
		function.line++;
		if (line_parse(line, (size_t)(newline - line), &function))
			err = function_add(map, &function);
		line = newline + 1;
	}
	if (err == 0 && map->count > 0)
		qsort(map->function, map->count, sizeof(*map->function), compare_symbols);
	return err;
}

static int text_read(int fd, struct perf_map *map)
{
	size_t size = map->size < PERF_MAP_MAX_BYTES ? (size_t)map->size : PERF_MAP_MAX_BYTES;
	size_t length = 0;
	ssize_t got = 1;

	map->text = malloc(size + 1);
	if (!map->text)
		return -ENOMEM;
	while (length < size && got > 0) {
		got = read(fd, map->text + length, size - length);
		if (got < 0 && errno != EINTR)
			return -errno;
		length += got > 0 ? (size_t)got : 0;
	}
	return text_parse(map, map->text + length);
}

int perf_map_read(int fd, struct perf_map **ret_map)
{
	struct perf_map *map = calloc(1, sizeof(*map));
	struct stat st;
	int err = map ? 0 : -ENOMEM;

	if (err == 0 && fstat(fd, &st) != 0)
		err = -errno;
	if (err == 0 && !S_ISREG(st.st_mode))
		err = -EPERM;
	if (err == 0) {
		map->dev = st.st_dev;
		map->inode = st.st_ino;
		map->size = st.st_size;
		err = text_read(fd, map);
	}
	if (fd >= 0)
		close(fd);
	if (err == 0)
		*ret_map = map;
	else
		perf_map_free(map);
	return err;
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	free(map->function);
	free(map->text);
	free(map);
}

/* From /proc/PID/status: the pid in the innermost namespace, and the effective user. */
static int identity_read(pid_t pid, pid_t *ret_inner, uid_t *ret_user)
{
	char path[64], line[1024];
	unsigned int user = 0;
	int found = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	if (!status)
		return -errno;
	while (fgets(line, sizeof(line), status)) {
		char *last = strrchr(line, '\t');

		if (strncmp(line, "NSpid:", 6) == 0 && last)
			found |= (*ret_inner = (pid_t)strtol(last, NULL, 10)) > 0 ? 1 : 0;
		if (sscanf(line, "Uid: %*u %u", &user) == 1)
			found |= 2;
	}
	fclose(status);
	*ret_user = user;
	return found == 3 ? 0 : -ENOENT;
}

/*
 * /tmp of the process, then the file in it: neither may be a link that leads elsewhere, since
 * fdtrace may read what the process may not.
 */
static int open_below_root(pid_t pid, pid_t inner)
{
	char root[64], name[64];
	int folder, fd, err;

	snprintf(root, sizeof(root), "/proc/%d/root/tmp", (int)pid);
	snprintf(name, sizeof(name), "perf-%d.map", (int)inner);
	folder = open(root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	close(folder);
	/* O_NOFOLLOW; a socket; a FIFO without a writer; a device without a driver */
	if (err == -ELOOP || err == -ENXIO || err == -ENODEV)
		err = -EPERM;
	return err != 0 ? err : fd;
}

/* Returns a descriptor, *ret_st filled, or -errno. */
static int map_open(pid_t pid, struct stat *ret_st)
{
	pid_t inner;
	uid_t user;
	int fd, err = identity_read(pid, &inner, &user);

	if (err != 0)
		return err;
	fd = open_below_root(pid, inner);
	if (fd < 0)
		return fd;
	err = fstat(fd, ret_st) != 0 ? -errno : 0;
	if (err == 0 && (!S_ISREG(ret_st->st_mode) || (ret_st->st_uid != user && ret_st->st_uid)))
		err = -EPERM;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

int perf_map_open(pid_t pid, struct perf_map **ret_map)
{
	struct stat st;
	int fd = map_open(pid, &st);

	return fd < 0 ? fd : perf_map_read(fd, ret_map);
}

bool perf_map_is_stale(const struct perf_map *map, pid_t pid)
{
	struct stat st;
	int fd = map_open(pid, &st);

	if (fd < 0)
		return false;
	close(fd);
	return st.st_dev != map->dev || st.st_ino != map->inode || st.st_size != map->size;
}

static size_t perf_map_begin(const struct perf_map *map, uint64_t address)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->function[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *perf_map_find(const struct perf_map *map, uint64_t address)
{
	size_t i = perf_map_begin(map, address), last = i > NESTED_MAX ? i - NESTED_MAX : 0;
	const struct function *found = NULL;

	while (i-- > last) {
		const struct function *function = &map->function[i];

		if (address < function->end && (!found || function->line > found->line))
			found = function;
	}
	return found ? found->name : NULL;
}
