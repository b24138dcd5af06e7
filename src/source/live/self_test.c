// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/self_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdtrace/event.h"
#include "fdtrace/syscall.h"

#define HIGH 200 /* numbers that nothing else takes */

enum step {
	STEP_OPEN,
	STEP_DUP2,
	STEP_DUP3,
	STEP_FCNTL,
	STEP_PIPE,
	STEP_RECEIVE,
	STEP_CLOSE,
	STEP_RANGE,
	STEP_FAIL,
	STEP_EXEC,
	STEPS
};

/* What must be heard: of this kind, by this operation, about the number that the child noted. */
static const struct expected {
	const char *name;
	uint8_t kind, op;
} expected[STEPS] = {
	[STEP_OPEN] = { "open", FDT_SLOT, FDT_OP_OPEN },
	[STEP_DUP2] = { "dup2", FDT_SLOT, FDT_OP_REPLACE },
	[STEP_DUP3] = { "dup3", FDT_SLOT, FDT_OP_REPLACE },
	[STEP_FCNTL] = { "fcntl(F_DUPFD)", FDT_SLOT, FDT_OP_OPEN },
	[STEP_PIPE] = { "pipe", FDT_SLOT, FDT_OP_OPEN },
	[STEP_RECEIVE] = { "a descriptor received", FDT_SLOT, FDT_OP_RECEIVE },
	[STEP_CLOSE] = { "close", FDT_SLOT, FDT_OP_CLOSE },
	[STEP_RANGE] = { "close_range", FDT_WORDS, FDT_OP_RANGE },
	[STEP_FAIL] = { "a close that failed", FDT_ERROR, FDT_OP_NONE },
	[STEP_EXEC] = { "exec", FDT_VEC, FDT_OP_EXEC },
};

/* Shared with the child. */
struct notes {
	int32_t fd[STEPS];
	int32_t failed; /* 1 + the step that the system refused; 0: none */
};

struct self_test {
	pid_t pid;
	int go; /* a byte lets the child begin */
	struct notes *notes;
	bool heard[STEPS];
};

/* ---- the child ---- */

static int self_test_receive_one(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int pair[2], fd = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(pair[0], &message, 0) != 1)
		return -1;
	memset(control, 0, sizeof(control));
	if (recvmsg(pair[1], &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int pipe_end(void)
{
	int ends[2];

	return pipe(ends) ? -1 : ends[1];
}

static int do_step(enum step step, const int32_t *fd)
{
	switch (step) {
	case STEP_OPEN: return open("/dev/null", O_RDONLY);
	case STEP_DUP2: return dup2(fd[STEP_OPEN], HIGH);
	case STEP_DUP3: return dup3(fd[STEP_OPEN], HIGH + 1, 0);
	case STEP_FCNTL: return fcntl(fd[STEP_OPEN], F_DUPFD, HIGH + 2);
	case STEP_PIPE: return pipe_end();
	case STEP_RECEIVE: return self_test_receive_one();
	case STEP_CLOSE: return close(fd[STEP_OPEN]) ? -1 : fd[STEP_OPEN];
	case STEP_FAIL: return close(HIGH) && errno == EBADF ? HIGH : -1;
	case STEP_RANGE: return (int)syscall(SYS_close_range, HIGH, HIGH + 2, 0) ? -1 : HIGH;
	default: return 0;
	}
}

/* Its copy of the other end would keep it waiting for ever. */
__attribute__((noreturn)) static void child(struct notes *notes, const int go[2])
{
	char byte;

	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(0);
	for (int step = 0; step < STEP_EXEC; step++) {
		notes->fd[step] = do_step((enum step)step, notes->fd);
		if (notes->fd[step] < 0) {
			notes->failed = 1 + step;
			_exit(0);
		}
	}
	dup2(open("/dev/null", O_WRONLY), 1);
	execl("/proc/self/exe", "fdtrace", "--version", (char *)NULL);
	notes->failed = 1 + STEP_EXEC;
	_exit(0);
}

/* ---- the parent ---- */

static struct notes *new_notes(void)
{
	struct notes *notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return notes == MAP_FAILED ? NULL : notes;
}

int self_test_new(struct self_test **ret_test)
{
	struct self_test *t = calloc(1, sizeof(*t));
	int ends[2];

	if (!t)
		return -ENOMEM;
	t->notes = new_notes();
	if (!t->notes || pipe2(ends, O_CLOEXEC)) {
		t->go = -1;
		self_test_free(t);
		return -ENOMEM;
	}
	t->go = ends[1];
	t->pid = fork();
	if (!t->pid)
		child(t->notes, ends);
	close(ends[0]);
	if (t->pid < 0) {
		int err = -errno;

		self_test_free(t);
		return err;
	}
	*ret_test = t;
	return 0;
}

pid_t self_test_pid(const struct self_test *t)
{
	return t->pid;
}

static void end_child(struct self_test *t)
{
	if (t->pid <= 0)
		return;
	while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
		;
	t->pid = 0;
}

int self_test_run(struct self_test *t)
{
	pid_t pid = t->pid;

	if (write(t->go, "", 1) != 1)
		return -errno;
	end_child(t);
	t->pid = -pid; /* whose events are looked for */
	return t->notes->failed ? -ENOTSUP : 0;
}

static int32_t number_of(const void *event)
{
	const struct fdt_head *head = event;

	switch (head->kind) {
	case FDT_SLOT: return ((const struct fdt_slot *)event)->fd;
	case FDT_ERROR: return ((const struct fdt_error *)event)->fd;
	case FDT_WORDS: return (int32_t)((const struct fdt_words *)event)->low;
	default: return 0;
	}
}

void self_test_event(struct self_test *t, const void *event, size_t size)
{
	const struct fdt_head *head = event;

	(void)size;
	if ((pid_t)head->tgid != -t->pid)
		return;
	for (int step = 0; step < STEPS; step++)
		if (head->kind == expected[step].kind && head->op == expected[step].op &&
		    number_of(event) == t->notes->fd[step])
			t->heard[step] = true;
}

const char *self_test_missing(const struct self_test *t, bool failures)
{
	for (int step = 0; step < STEPS; step++)
		if (!t->heard[step] && (failures || step != STEP_FAIL))
			return expected[step].name;
	return NULL;
}

void self_test_free(struct self_test *t)
{
	if (!t)
		return;
	if (t->go >= 0)
		close(t->go); /* a child that waits ends by that */
	end_child(t);
	if (t->notes)
		munmap(t->notes, sizeof(*t->notes));
	free(t);
}
