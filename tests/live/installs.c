// SPDX-License-Identifier: BSD-2-Clause
/*
 * Descriptors that no result of a system call names. Each variant makes some in make_some() and
 * prints on stderr how many; with "closed" behind it it closes them in order, else they stay. With "wait" as
 * the last word it begins when a line comes on stdin, and stays until another one does.
 */
#include <fcntl.h>
#include <linux/auto_dev-ioctl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "ring.h"

#define NOT_HERE 77 /* the kernel does not have it, or refuses it here */
#define MADE_MAX 16
#define NAMED __attribute__((noinline)) static

static int made[MADE_MAX];
static unsigned int made_count;
static int helper[4]; /* descriptors that system calls return, by which the others are made */
static unsigned int helper_count;

static int help(int fd)
{
	if (fd < 0) {
		fprintf(stderr, "not here: %s\n", strerror(errno));
		_exit(NOT_HERE);
	}
	helper[helper_count++] = fd;
	return fd;
}

static void note_made(int fd)
{
	must(made_count < MADE_MAX ? fcntl(fd, F_GETFD) : -1);
	made[made_count++] = fd;
}

/* ---- fanotify ---- */

static char folder[] = "/tmp/fdtrace-installs-XXXXXX";
static char file[2][sizeof(folder) + 8];
static int group;

static void group_watch(int fd)
{
	must(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, folder));
}

static void group_begin(unsigned int flags)
{
	must(mkdtemp(folder) ? 0 : -1);
	for (int i = 0; i < 2; i++) {
		snprintf(file[i], sizeof(file[i]), "%s/%d", folder, i);
		must(close(must(creat(file[i], 0600))));
	}
	group = help(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | flags,
				   O_RDONLY | O_CLOEXEC));
	group_watch(group);
}

static void group_end(void)
{
	must(unlink(file[0]));
	must(unlink(file[1]));
	must(rmdir(folder));
}

static void cause_events(void)
{
	must(close(must(open(file[0], O_RDONLY | O_CLOEXEC))));
	must(close(must(open(file[1], O_RDONLY | O_CLOEXEC))));
}

static void note_event(const struct fanotify_event_metadata *event)
{
	const struct fanotify_event_info_pidfd *info = (const void *)(event + 1);

	note_made(event->fd);
	if (event->event_len >= sizeof(*event) + sizeof(*info) &&
	    info->hdr.info_type == FAN_EVENT_INFO_TYPE_PIDFD)
		note_made(info->pidfd);
}

static void note_events(const void *buffer, ssize_t length)
{
	const struct fanotify_event_metadata *event = buffer;

	for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length))
		note_event(event);
}

NAMED ssize_t read_group(struct iovec *to, int count)
{
	if (count == 1)
		return must(read(group, to->iov_base, to->iov_len));
	return must(readv(group, to, count));
}

static _Alignas(8) char buffer[4096];

/* Its group may be there before the tracer is. */
static void fanotify(void)
{
	struct iovec all = { buffer, sizeof(buffer) };

	if (!group)
		group_begin(0);
	cause_events();
	note_events(buffer, read_group(&all, 1));
	group_end();
}

static void fanotify_pidfd(void)
{
	struct iovec all = { buffer, sizeof(buffer) };

	group_begin(FAN_REPORT_PIDFD);
	cause_events();
	note_events(buffer, read_group(&all, 1));
	group_end();
}

/* The first part has room for one event and no more. */
static void fanotify_parts(void)
{
	struct iovec part[2] = { { buffer, FAN_EVENT_METADATA_LEN }, { buffer + 64, 1024 } };
	ssize_t length;

	group_begin(0);
	cause_events();
	length = read_group(part, 2);
	note_events(part[0].iov_base, FAN_EVENT_METADATA_LEN);
	note_events(part[1].iov_base, length - FAN_EVENT_METADATA_LEN);
	group_end();
}

static void read_by_ring(const void *to, unsigned int opcode, uint32_t length)
{
	struct io_uring_sqe request = {
		.opcode = (uint8_t)opcode, .fd = group, .addr = (uintptr_t)to, .len = length
	};

	note_events(buffer, must(ring_submit(&request)));
}

static void ring_fanotify(void)
{
	group_begin(0);
	ring_start(0);
	cause_events();
	read_by_ring(buffer, IORING_OP_READ, sizeof(buffer));
	help(ring);
	group_end();
}

/* The group comes from elsewhere: another process made it. */
static int receive_group(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int pair[2], fd;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	if (!must(fork())) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		fd = must(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
		group_watch(fd);
		must(sendmsg(pair[0], &message, 0));
		must(close(fd));
		_exit(0);
	}
	must(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC));
	must(wait(NULL));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	must(close(pair[0]));
	must(close(pair[1]));
	return fd;
}

static void fanotify_received(void)
{
	struct iovec all = { buffer, sizeof(buffer) };

	group_begin(0);
	must(close(group));
	helper_count = 0;
	group = help(receive_group());
	cause_events();
	note_events(buffer, read_group(&all, 1));
	group_end();
}

/* ---- userfaultfd ---- */

static int faults;

/* fork(2) waits until somebody has read of it. */
NAMED void *read_fork(void *unused)
{
	struct uffd_msg message;

	if (must(read(faults, &message, sizeof(message))) == sizeof(message))
		note_made((int)message.arg.fork.ufd);
	return unused;
}

static void userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register part = { .range = { (uintptr_t)page, 4096 },
					.mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t reader;

	faults = help((int)syscall(SYS_userfaultfd, O_CLOEXEC));
	help(ioctl(faults, UFFDIO_API, &api) ? -1 : dup(faults));
	must(ioctl(faults, UFFDIO_REGISTER, &part));
	must(-pthread_create(&reader, NULL, read_fork, NULL));
	if (!must(fork()))
		_exit(0);
	must(wait(NULL));
	must(-pthread_join(reader, NULL));
}

/* ---- io_uring ---- */

static void ring_recvmsg(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int pair[2], fd[2];
	struct io_uring_sqe request = { .opcode = IORING_OP_RECVMSG,
					.addr = (uintptr_t)&message,
					.len = 1 };

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	fd[0] = fd[1] = help(pair[0]);
	request.fd = help(pair[1]);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), fd, sizeof(fd));
	must(sendmsg(pair[0], &message, 0));
	ring_start(0);
	help(ring);
	memset(control, 0, sizeof(control));
	must(ring_submit(&request));
	memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	note_made(fd[0]);
	note_made(fd[1]);
}

/* The ring is read by a thread of the kernel's, which may be the last of the process to end. */
static void ring_polled(void)
{
	struct io_uring_sqe request = { .opcode = IORING_OP_OPENAT,
					.fd = AT_FDCWD,
					.addr = (uintptr_t) "/proc/self/exe",
					.open_flags = O_RDONLY | O_CLOEXEC };

	ring_start(IORING_SETUP_SQPOLL);
	help(ring);
	note_made(must(ring_submit(&request)));
}

/* ---- requests that put the number into a structure ---- */

static struct {
	struct autofs_dev_ioctl head;
	char path[sizeof(folder)];
} mount_request;

static void mount_automatic(const int pipe_end)
{
	char options[96];

	snprintf(options, sizeof(options), "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", pipe_end,
		 getpgrp());
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("fdtrace-test", folder, "autofs", 0, options)) {
		must(rmdir(folder));
		help(-1);
	}
}

static void autofs(void)
{
	struct stat seen;
	int device, end[2];

	must(mkdtemp(folder) ? 0 : -1);
	must(pipe2(end, O_CLOEXEC));
	helper[helper_count++] = end[0];
	helper[helper_count++] = end[1];
	mount_automatic(end[1]);
	device = help(open("/dev/autofs", O_RDONLY | O_CLOEXEC));
	must(stat(folder, &seen));
	init_autofs_dev_ioctl(&mount_request.head);
	mount_request.head.size = sizeof(mount_request);
	mount_request.head.openmount.devid = (uint32_t)seen.st_dev;
	memcpy(mount_request.path, folder, sizeof(folder));
	must(ioctl(device, AUTOFS_DEV_IOCTL_OPENMOUNT, &mount_request));
	note_made(mount_request.head.ioctlfd);
	must(umount2(folder, MNT_DETACH));
	must(rmdir(folder));
}

static const struct {
	const char *name;
	void (*run)(void);
} variants[] = {
	{ "fanotify", fanotify },
	{ "fanotify-early", fanotify },
	{ "fanotify-pidfd", fanotify_pidfd },
	{ "fanotify-parts", fanotify_parts },
	{ "fanotify-received", fanotify_received },
	{ "ring-fanotify", ring_fanotify },
	{ "userfault", userfault },
	{ "ring-recvmsg", ring_recvmsg },
	{ "ring-polled", ring_polled },
	{ "autofs", autofs },
	{ NULL, NULL },
};

static void wait_for_line(const char *say)
{
	char c;

	must(write(1, say, strlen(say)));
	must(read(0, &c, 1));
}

NAMED int make_some(const char *name)
{
	for (unsigned int i = 0; variants[i].name; i++) {
		if (strcmp(variants[i].name, name) != 0)
			continue;
		variants[i].run();
		return 0;
	}
	fprintf(stderr, "no variant %s\n", name);
	return PROGRAM_BROKEN;
}

static void close_all(void)
{
	while (made_count)
		must(close(made[--made_count]));
	while (helper_count)
		must(close(helper[--helper_count]));
}

int main(int argc, char **argv)
{
	bool waits = argc > 2 && !strcmp(argv[argc - 1], "wait");
	bool closes = argc > 2 && !strcmp(argv[2], "closed");
	char line[32];
	int status;

	if (argc > 1 && !strcmp(argv[1], "fanotify-early"))
		group_begin(0);
	if (waits)
		wait_for_line("up\n");
	status = make_some(argc > 1 ? argv[1] : "");
	if (status)
		return status;
	snprintf(line, sizeof(line), "made %u\n", made_count);
	must(write(2, line, strlen(line)));
	if (closes)
		close_all();
	if (waits)
		wait_for_line("held\n");
	return 0;
}
