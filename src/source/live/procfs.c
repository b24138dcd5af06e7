// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KERNEL_THREAD 0x200000u            /* PF_KTHREAD, linux/sched.h */
#define INITIAL_PID_NAMESPACE 0xeffffffcu  /* PROC_PID_INIT_INO, linux/proc_ns.h */
#define INITIAL_USER_NAMESPACE 0xeffffffdu /* PROC_USER_INIT_INO */

static ssize_t procfs_read_file(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	ssize_t done = 0, n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buffer + done, size - (size_t)done);
		if (n > 0)
			done += n;
	} while ((n > 0 && (size_t)done < size) || (n < 0 && errno == EINTR));
	n = n < 0 ? -errno : done;
	close(fd);
	return n;
}

/* proc(5): pid (comm) state ppid pgrp session tty tpgid flags ...; comm may hold anything. */
int procfs_stat(pid_t pid, struct procfs_stat *ret_stat)
{
	unsigned long long threads, start;
	char text[1024], *after_name, state;
	unsigned int flags;
	ssize_t length = procfs_read_file(pid, "stat", text, sizeof(text) - 1);

	if (length < 0)
		return length == -ESRCH ? -ENOENT : (int)length;
	text[length] = '\0';
	after_name = strrchr(text, ')');
	if (!after_name)
		return -EBADMSG;
	if (sscanf(after_name + 1,
		   " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %llu %*d "
		   "%llu",
		   &state, &flags, &threads, &start) != 4)
		return -EBADMSG;
	*ret_stat = (struct procfs_stat){ .state = state,
					  .kernel = flags & KERNEL_THREAD,
					  .threads = threads,
					  .start_ticks = start };
	return 0;
}

/* The first thread may have ended long before the others. */
bool procfs_is_dead(const struct procfs_stat *stat)
{
	return (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
}

size_t procfs_exe(pid_t pid, char *buffer, size_t size)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	length = readlink(path, buffer, size);
	return length > 0 ? (size_t)length : 0;
}

size_t procfs_args(pid_t pid, char *buffer, size_t size)
{
	ssize_t length = procfs_read_file(pid, "cmdline", buffer, size);

	return length > 0 ? (size_t)length : 0;
}

static bool is_namespace(const char *path, ino_t initial)
{
	struct stat st;

	return stat(path, &st) || st.st_ino == initial;
}

bool procfs_initial_pid_namespace(void)
{
	return is_namespace("/proc/self/ns/pid", INITIAL_PID_NAMESPACE);
}

bool procfs_initial_user_namespace(void)
{
	return is_namespace("/proc/self/ns/user", INITIAL_USER_NAMESPACE);
}

int procfs_own_number(const char *key)
{
	char text[4096], sought[64];
	ssize_t length = procfs_read_file(getpid(), "status", text, sizeof(text) - 1);
	const char *at;

	if (length < 0)
		return -ENOENT;
	text[length] = '\0';
	snprintf(sought, sizeof(sought), "\n%s:", key);
	at = strstr(text, sought);
	return at ? atoi(at + strlen(sought)) : -ENOENT;
}
