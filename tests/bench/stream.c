// SPDX-License-Identifier: BSD-2-Clause
#include "stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fdtrace/event.h"
#include "fdtrace/syscall.h"

#define SECOND_NS 1000000000ull
#define TICK_NS (SECOND_NS / 10)
#define AUDIT_NS (10 * SECOND_NS)
#define STEP_NS 5000ull /* 200,000 events a second */
#define FIRST_PID 1000u
#define THREADS_APART 128u /* tids of one process; its own pid is the first of them */
#define STANDARD 3u        /* descriptors that everybody has */
#define STRIDE 7919u       /* a prime: churn does not go from number to number */
#define FRAMES 12
#define LIFE_EVERY 64 /* of the rounds of stream_mix() */

/* One thread and its table. */
struct who {
	uint32_t pid, tid;
	uint64_t table;
	uint64_t files; /* names the files in the table: a copy has its source's */
};

static uint64_t table_key(uint32_t process)
{
	return 0xffff888000000000ull + process * 704ull;
}

static struct who who_is(uint32_t process, uint32_t thread)
{
	uint32_t pid = FIRST_PID + process * THREADS_APART;

	return (struct who){ pid, pid + thread, table_key(process), process };
}

static struct fdt_head head_of(const struct stream *s, unsigned int kind, unsigned int op,
			       size_t size, const struct who *w)
{
	return (struct fdt_head){ .kind = (__u8)kind,
				  .op = (__u8)op,
				  .size = (__u16)size,
				  .tgid = w->pid,
				  .tid = w->tid,
				  .time_ns = s->now_ns,
				  .table = w->table };
}

static void tell(struct stream *s, const void *event)
{
	const struct fdt_head *head = event;

	s->event(s->ctx, event, head->size);
	s->made++;
	s->now_ns += s->step_ns;
}

static struct fdt_file file_of(uint64_t files, uint32_t fd)
{
	uint64_t number = files << 21 | fd;

	return (struct fdt_file){ .file = 0xffff888800000000ull + number * 256,
				  .inode = number + 1,
				  .dev = 8 << 20 | 1,
				  .mode = S_IFREG | 0644 };
}

static uint64_t site_hash(uint64_t site)
{
	return (site + 1) * 0x9e3779b97f4a7c15ull;
}

void stream_init(struct stream *s, const struct stream_counts *counts,
		 void (*event)(void *ctx, const void *event, size_t size), void *ctx)
{
	*s = (struct stream){ .counts = *counts,
			      .event = event,
			      .ctx = ctx,
			      .now_ns = 1000 * SECOND_NS,
			      .step_ns = STEP_NS };
	s->counts.descriptors += !counts->descriptors;
	s->counts.processes += !counts->processes;
	s->counts.threads += !counts->threads;
	s->ticked_ns = s->audited_ns = s->now_ns;
}

void stream_meta(struct stream *s, const char *key_value)
{
	_Alignas(8) char buffer[256];
	struct fdt_meta *meta = (struct fdt_meta *)buffer;
	static const struct who nobody;
	size_t length = strlen(key_value);

	*meta = (struct fdt_meta){ .head = head_of(s, FDT_META, 0, sizeof(*meta) + length,
						   &nobody) };
	memcpy(meta->text, key_value, length);
	tell(s, meta);
}

/* ---- tasks and tables ---- */

static void tell_task(struct stream *s, unsigned int op, unsigned int flags, const struct who *w,
		      uint32_t other_tid)
{
	struct fdt_task task = { .head = head_of(s, FDT_TASK, op, sizeof(task), w),
				 .other_tid = other_tid,
				 .parent_tgid = FIRST_PID,
				 .start_ns = SECOND_NS + w->pid,
				 .nofile = 1 << 21,
				 .uid = 1000 };

	task.head.flags = (__u16)flags;
	snprintf(task.comm, sizeof(task.comm), "bench");
	tell(s, &task);
}

/* The numbers from 0 to open - 1 are filled. At least one record, however few. */
static void tell_table(struct stream *s, unsigned int op, const struct who *w, uint32_t open)
{
	for (uint32_t first = 0; !first || first < open; first += FDT_VEC_SLOTS) {
		struct fdt_vec vec = { .head = head_of(s, FDT_VEC, op, sizeof(vec), w),
				       .first_fd = first,
				       .max_fds = open < 64 ? 64 : open };

		vec.head.flags = (__u16)((first ? 0 : FDT_FIRST) |
					 (first + FDT_VEC_SLOTS >= open ? FDT_LAST : 0));
		for (uint32_t i = 0; i < FDT_VEC_SLOTS && first + i < open; i++)
			vec.file[i] = file_of(w->files, first + i);
		tell(s, &vec);
	}
}

static void tell_border(struct stream *s, unsigned int op, unsigned int why)
{
	static const struct who nobody;
	struct fdt_head head = head_of(s, FDT_SNAPSHOT, op, sizeof(head), &nobody);

	head.flags = (__u16)why;
	tell(s, &head);
}

static void tell_threads(struct stream *s, uint32_t process)
{
	for (uint32_t t = 1; t < s->counts.threads; t++) {
		struct who w = who_is(process, t);

		tell_task(s, FDT_OP_FORK, FDT_TASK_THREAD | FDT_TASK_SHARED, &w, w.pid);
	}
}

static void tell_found(struct stream *s, uint32_t process, uint32_t open)
{
	for (uint32_t t = 0; t < s->counts.threads; t++) {
		struct who w = who_is(process, t);

		tell_task(s, FDT_OP_SNAPSHOT, 0, &w, 0);
		if (!t)
			tell_table(s, FDT_OP_SNAPSHOT, &w, open);
	}
}

static void tell_birth(struct stream *s, const struct who *child, uint32_t open)
{
	struct who told = *child;

	tell_task(s, FDT_OP_FORK, 0, child, FIRST_PID);
	told.files = 0; /* a copy of process 0's */
	tell_table(s, FDT_OP_FORK, &told, open);
}

static void tell_image(struct stream *s, const struct who *w)
{
	static const char exe[] = "/usr/bin/bench", args[] = "bench\0--all";
	struct fdt_process process = { .head = head_of(s, FDT_PROCESS, FDT_OP_EXEC, sizeof(process),
						       w),
				       .start_ns = SECOND_NS + w->pid,
				       .parent_tgid = FIRST_PID,
				       .uid = 1000,
				       .exe_size = sizeof(exe) - 1,
				       .args_size = sizeof(args) };

	memcpy(process.exe, exe, sizeof(exe) - 1);
	memcpy(process.args, args, sizeof(args));
	tell(s, &process);
}

/* ---- slots ---- */

static void tell_slot(struct stream *s, unsigned int op, unsigned int syscall, const struct who *w,
		      uint32_t fd, uint64_t site)
{
	struct fdt_slot slot = { .head = head_of(s, FDT_SLOT, op, sizeof(slot), w),
				 .fd = (__s32)fd };

	slot.head.syscall = (__u16)syscall;
	if (s->counts.sites)
		slot.site = site_hash(site % s->counts.sites * 2 + (op != FDT_OP_OPEN));
	if (op == FDT_OP_OPEN)
		slot.file = file_of(w->files, fd);
	tell(s, &slot);
}

static void tell_open(struct stream *s, const struct who *w, uint32_t fd, uint64_t site)
{
	tell_slot(s, FDT_OP_OPEN, FDT_SYS_openat, w, fd, site);
}

static void tell_close(struct stream *s, const struct who *w, uint32_t fd, uint64_t site)
{
	tell_slot(s, FDT_OP_CLOSE, FDT_SYS_close, w, fd, site);
}

/* What comes by a fork are process 0's files; to find each as it is, they are made one's own. */
static void open_standard(struct stream *s, const struct who *w)
{
	for (uint32_t fd = 0; fd < STANDARD; fd++) {
		tell_close(s, w, fd, fd);
		tell_open(s, w, fd, fd);
	}
}

/* ---- the stories ---- */

void stream_people(struct stream *s)
{
	struct who first = who_is(0, 0);

	tell_border(s, FDT_OP_BEGIN, FDT_WHY_START);
	tell_found(s, 0, STANDARD);
	tell_border(s, FDT_OP_END, FDT_WHY_START);
	tell_image(s, &first);
	for (uint32_t p = 1; p < s->counts.processes; p++) {
		struct who child = who_is(p, 0);

		tell_birth(s, &child, STANDARD);
		tell_threads(s, p);
		open_standard(s, &child);
	}
}

static size_t put_frame(char *at, uint64_t site, unsigned int frame)
{
	struct fdt_site_frame head = { .identity = site_hash(site) + frame };
	int length = snprintf(at + sizeof(head), 64, "function_%u (module_%u+0x%x)", frame,
			      frame % 4, (unsigned int)site);

	head.text_size = (__u16)length;
	memcpy(at, &head, sizeof(head));
	return (sizeof(head) + (size_t)length + 7) & ~(size_t)7;
}

void stream_sites(struct stream *s)
{
	for (uint32_t site = 0; site < s->counts.sites * 2; site++) {
		_Alignas(8) char buffer[sizeof(struct fdt_site) + FRAMES * 96] = { 0 };
		struct fdt_site *event = (struct fdt_site *)buffer;
		struct who w = who_is(0, 0);
		size_t size = sizeof(*event);

		for (unsigned int i = 0; i < FRAMES; i++)
			size += put_frame(buffer + size, site, i);
		*event = (struct fdt_site){ .head = head_of(s, FDT_SITE, 0, size, &w),
					    .hash = site_hash(site),
					    .frame_count = FRAMES };
		tell(s, event);
	}
}

void stream_fill(struct stream *s)
{
	for (uint32_t p = 0; p < s->counts.processes; p++)
		for (uint32_t i = 0; i < s->counts.descriptors; i++) {
			struct who w = who_is(p, i % s->counts.threads);

			tell_open(s, &w, STANDARD + i, i);
		}
}

static void churn_once(struct stream *s)
{
	uint64_t turn = s->turn++, of_process = turn / s->counts.processes;
	struct who w = who_is((uint32_t)(turn % s->counts.processes),
			      (uint32_t)(of_process % s->counts.threads));
	uint32_t fd = STANDARD + (uint32_t)(of_process * STRIDE % s->counts.descriptors);

	tell_close(s, &w, fd, turn);
	tell_open(s, &w, fd, turn);
}

void stream_churn(struct stream *s)
{
	for (uint64_t i = 0; i < s->counts.rounds; i++)
		churn_once(s);
}

static void tell_use(struct stream *s, const struct who *w, uint32_t fd)
{
	struct fdt_slot use = { .head = head_of(s, FDT_USE, FDT_OP_USE, sizeof(use), w),
				.fd = (__s32)fd,
				.file = file_of(0, fd) };

	tell(s, &use);
}

static void tell_exec(struct stream *s, const struct who *w, uint32_t open)
{
	tell_task(s, FDT_OP_EXEC, FDT_TASK_WATCHED, w, w->tid);
	tell_image(s, w);
	tell_table(s, FDT_OP_EXEC, w, open);
}

static void live_once(struct stream *s)
{
	uint32_t open = STANDARD + s->counts.descriptors;
	struct who child = who_is(s->counts.processes + s->newborn++ % 1024, 0);

	child.files = 0;
	tell_birth(s, &child, open);
	tell_exec(s, &child, open);
	for (uint32_t fd = STANDARD; fd < open; fd++)
		tell_use(s, &child, fd);
	tell_task(s, FDT_OP_EXIT, FDT_TASK_LAST, &child, 0);
}

void stream_lives(struct stream *s)
{
	for (uint64_t i = 0; i < s->counts.rounds; i++)
		live_once(s);
}

void stream_fork(struct stream *s)
{
	struct who child = who_is(s->counts.processes, 0);

	tell_birth(s, &child, STANDARD + s->counts.descriptors);
}

static void audit(struct stream *s, uint32_t processes)
{
	tell_border(s, FDT_OP_BEGIN, FDT_WHY_AUDIT);
	for (uint32_t p = 0; p < processes; p++)
		tell_found(s, p, STANDARD + s->counts.descriptors);
	tell_border(s, FDT_OP_END, FDT_WHY_AUDIT);
}

void stream_audit(struct stream *s)
{
	audit(s, s->counts.processes);
}

void stream_lonely_audit(struct stream *s)
{
	audit(s, 1);
}

void stream_inherit(struct stream *s)
{
	for (uint32_t p = 1; p < s->counts.processes; p++) {
		struct who w = who_is(p, 0);

		tell_exec(s, &w, STANDARD + s->counts.descriptors);
	}
}

static void tell_tick(struct stream *s)
{
	static const struct who nobody;
	struct fdt_head head = head_of(s, FDT_TICK, 0, sizeof(head), &nobody);

	tell(s, &head);
}

void stream_ticks(struct stream *s)
{
	for (uint64_t i = 0; i < s->counts.rounds; i++) {
		s->now_ns += TICK_NS;
		tell_tick(s);
	}
}

/* Runs of one failure, each alone: the kernel's side joins equal ones only. */
void stream_full(struct stream *s)
{
	struct who w = who_is(0, 0);

	for (uint64_t i = 0; i < s->counts.rounds; i++) {
		struct fdt_error error = { .head = head_of(s, FDT_ERROR, 0, sizeof(error), &w),
					   .fd = -1,
					   .error = EMFILE,
					   .count = 1,
					   .run = i + 1,
					   .first_ns = s->now_ns,
					   .nofile = STANDARD + s->counts.descriptors };

		error.head.syscall = i % 2 ? FDT_SYS_openat : FDT_SYS_socket;
		tell(s, &error);
	}
}

void stream_mix(struct stream *s)
{
	for (uint64_t i = 0; i < s->counts.rounds; i++) {
		churn_once(s);
		if (i % LIFE_EVERY == 0)
			live_once(s);
		if (s->now_ns - s->ticked_ns >= TICK_NS) {
			s->ticked_ns = s->now_ns;
			tell_tick(s);
		}
		if (s->now_ns - s->audited_ns >= AUDIT_NS) {
			s->audited_ns = s->now_ns;
			stream_audit(s);
		}
	}
}
