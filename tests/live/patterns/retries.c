// SPDX-License-Identifier: BSD-2-Clause
/*
 * close() that fails and has closed all the same: EIO and EINTR as a network file system gives
 * them. A FUSE server of a few lines, mounted on one file in a mount namespace of its own,
 * answers FLUSH, which is what close(2) waits for.
 */
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "pattern.h"

#define FILE_NAME "remote"
#define REQUEST_MAX (256 * 1024)

static void answer(int fuse, uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header header = { .len = sizeof(header) + (error ? 0 : size),
					  .error = error,
					  .unique = unique };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)data, error ? 0 : size } };

	/* The answer to a RELEASE may come when all is unmounted, and nobody asks any more. */
	claim(writev(fuse, parts, 2) > 0 || errno == ENOENT);
}

static void answer_request(int fuse, const struct fuse_in_header *request, int flush_error)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
				      .minor = FUSE_KERNEL_MINOR_VERSION,
				      .max_write = 4096 };
	struct fuse_attr_out attributes = {
		.attr = { .ino = 1, .mode = S_IFREG | 0600, .nlink = 1 }
	};
	struct fuse_open_out opened = { .open_flags = FOPEN_DIRECT_IO };

	switch (request->opcode) {
	case FUSE_INIT: answer(fuse, request->unique, 0, &init, sizeof(init)); break;
	case FUSE_GETATTR: answer(fuse, request->unique, 0, &attributes, sizeof(attributes)); break;
	case FUSE_OPEN: answer(fuse, request->unique, 0, &opened, sizeof(opened)); break;
	case FUSE_FLUSH: answer(fuse, request->unique, -flush_error, NULL, 0); break;
	case FUSE_RELEASE: answer(fuse, request->unique, 0, NULL, 0); break;
	case FUSE_FORGET: break;
	default: answer(fuse, request->unique, -ENOSYS, NULL, 0);
	}
}

/* Until it is unmounted. */
static void serve(int fuse, int flush_error)
{
	struct fuse_in_header *request = malloc(REQUEST_MAX);

	while (request && read(fuse, request, REQUEST_MAX) > 0)
		answer_request(fuse, request, flush_error);
	_exit(errno == ENODEV ? 0 : PROGRAM_BROKEN);
}

static int try_mount(void)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[96];

	if (fuse < 0 || unshare(CLONE_NEWNS))
		return -1;
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(close(must(open(FILE_NAME, O_CREAT | O_CLOEXEC, 0600))));
	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", fuse);
	return mount("remote", FILE_NAME, "fuse", MS_NODEV | MS_NOSUID, options) ? -1 : fuse;
}

static pid_t server;
static int number;

static void mount_remote(int flush_error)
{
	int fuse = must(try_mount());

	server = must(fork());
	if (!server)
		serve(fuse, flush_error);
	must(close(fuse));
}

static void unmount_remote(void)
{
	must(umount2(FILE_NAME, MNT_DETACH));
	reap(server);
}

NAMED void close_in_vain(int error)
{
	number = must(open(FILE_NAME, O_RDWR | O_CLOEXEC));
	must_fail(close(number), error);
	claim(!is_open(number));
}

NAMED int close_again(void)
{
	int result = close(number);

	return result ? -errno
		      : 0; /* not a tail call, after which no frame of ours would be left */
}

static void retried(int error)
{
	mount_remote(error);
	close_in_vain(error);
	claim(close_again() == -EBADF);
	unmount_remote();
}

static void eio_retried(void)
{
	retried(EIO);
}

static void eintr_retried(void)
{
	retried(EINTR);
}

static void not_retried(void)
{
	mount_remote(EIO);
	close_in_vain(EIO);
	unmount_remote();
}

static struct worker owner;

NAMED void owner_opens(void)
{
	claim(open_data() == number);
}

NAMED void owner_misses_it(void)
{
	char byte;

	must_fail(read(number, &byte, 1), EBADF);
}

static void retry_hurts(void)
{
	mount_remote(EIO);
	worker_start(&owner);
	close_in_vain(EIO);
	worker_do(&owner, owner_opens);
	claim(close_again() == 0);
	worker_do(&owner, owner_misses_it);
	worker_end(&owner);
	unmount_remote();
}

static void probe(void)
{
	if (access("/dev/fuse", R_OK | W_OK)) {
		fprintf(stderr, "no close that fails: /dev/fuse: %s\n", strerror(errno));
		_exit(1);
	}
}

static const struct pattern patterns[] = {
	{ "eio-retried", "close.double info", eio_retried },
	{ "eintr-retried", "close.double info", eintr_retried },
	{ "not-retried", "silent none=close.double", not_retried },
	{ "retry-hurts", "close.unowned error culprit=close_again victim=owner_misses_it",
	  retry_hurts },
	{ "probe", NULL, probe },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
