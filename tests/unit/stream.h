/* SPDX-License-Identifier: BSD-2-Clause */
/* Making event streams for the engine's unit tests, and keeping what it finds. */
#ifndef FDTRACE_TESTS_UNIT_STREAM_H
#define FDTRACE_TESTS_UNIT_STREAM_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "detect/detectors.h"
#include "engine/engine.h"
#include "model/process.h"
#include "model/site.h"
#include "fdtrace/syscall.h"

#define MS 1000000ull
#define S 1000000000ull
#define TABLE 0xffff888000001000ull
#define PID 100
#define KEPT_MAX 64

struct kept {
	enum rule rule;
	enum severity severity;
	enum confidence confidence;
	uint64_t fingerprint, count, open;
	uint32_t pid, opened_tid, closed_tid, used_tid;
	int32_t fd;
	uint32_t generation;
	enum fd_kind kind;
	unsigned int history_count, victim_count, victim_total;
	bool closed_is_culprit;
	uint64_t first_site_open;
	unsigned int site_total;
	char message[512], why[512], help[256], site[96];
	char opened_at[96], closed_at[96], used_at[96], hurt_at[96], closed_how[40], used_how[40];
};

struct stream {
	struct engine *engine;
	uint64_t now_ns;
	struct kept kept[KEPT_MAX];
	unsigned int kept_count;
	unsigned int changes;
	unsigned int exits; /* of processes */
	int last_err;
};

static inline void keep_site(char buffer[96], const struct operation *operation)
{
	if (operation->site)
		site_format(operation->site, buffer, 96);
}

static void keep(void *ctx, const struct finding *f)
{
	struct stream *s = ctx;
	struct kept *k = &s->kept[s->kept_count];

	assert_true(s->kept_count < KEPT_MAX);
	s->kept_count++;
	*k = (struct kept){ .rule = f->rule,
			    .severity = f->severity,
			    .confidence = f->confidence,
			    .fingerprint = f->fingerprint,
			    .count = f->count,
			    .open = f->limit.open,
			    .pid = f->process ? f->process->pid : 0,
			    .opened_tid = f->opened.tid,
			    .closed_tid = f->closed.tid,
			    .used_tid = f->used.tid,
			    .fd = f->descriptor.fd,
			    .generation = f->descriptor.generation,
			    .kind = f->descriptor.kind,
			    .history_count = f->history_count,
			    .victim_count = f->victim_count,
			    .victim_total = f->victim_total,
			    .closed_is_culprit = f->closed_is_culprit };
	snprintf(k->message, sizeof(k->message), "%s", f->message);
	snprintf(k->why, sizeof(k->why), "%s", f->why);
	snprintf(k->help, sizeof(k->help), "%s", f->help);
	if (f->site_count) {
		snprintf(k->site, sizeof(k->site), "%s", f->sites[0].label);
		k->first_site_open = f->sites[0].open;
	}
	k->site_total = f->site_total;
	keep_site(k->opened_at, &f->opened);
	keep_site(k->closed_at, &f->closed);
	keep_site(k->used_at, &f->used);
	if (f->victim_count)
		keep_site(k->hurt_at, &f->victims[0].failed_use);
	snprintf(k->closed_how, sizeof(k->closed_how), "%s", f->closed.how ? f->closed.how : "");
	snprintf(k->used_how, sizeof(k->used_how), "%s", f->used.how ? f->used.how : "");
}

static void count_change(void *ctx, const struct change *change)
{
	struct stream *s = ctx;

	s->changes++;
	s->exits += change->op == CHANGE_EXIT;
}

static const struct engine_listener stream_listener = { .finding = keep, .change = count_change };
/* For tests where nobody listens to changes. */
static const struct engine_listener stream_findings = { .finding = keep };

static inline struct engine_options stream_options(struct stream *s, enum engine_mode mode)
{
	struct engine_options options = { .mode = mode,
					  .rules = rule_set_default(),
					  .listener = &stream_listener,
					  .detectors = detectors_all,
					  .ctx = s };

	settings_default(&options.settings);
	return options;
}

static inline void stream_start(struct stream *s, enum engine_mode mode)
{
	struct engine_options options = stream_options(s, mode);

	*s = (struct stream){ .now_ns = 1000 * S };
	assert_int_equal(engine_new(&options, &s->engine), 0);
}

static inline void stream_end(struct stream *s)
{
	engine_free(s->engine);
	s->engine = NULL;
}

static inline void stream_apply(struct stream *s, const void *event)
{
	s->last_err = engine_apply(s->engine, event, ((const struct fdt_head *)event)->size);
}

#define HEAD(s, k, o, type, pid_, tid_, table_)                                      \
	{                                                                            \
		.kind = (k), .op = (o), .size = sizeof(struct type), .tgid = (pid_), \
		.tid = (tid_), .time_ns = (s)->now_ns, .table = (table_)             \
	}

/* A file named by a number: equal numbers are the same open file. */
static inline struct fdt_file a_file(uint64_t number)
{
	return (struct fdt_file){ .file = 0xffff888100000000ull + number * 256,
				  .inode = number,
				  .dev = 8 << 20 | 1,
				  .mode = S_IFREG | 0644 };
}

static inline void put(struct stream *s, unsigned int op, unsigned int syscall, uint32_t tid,
		       int fd, struct fdt_file file)
{
	struct fdt_slot e = { .head = HEAD(s, FDT_SLOT, op, fdt_slot, PID, tid, TABLE),
			      .fd = fd,
			      .file = file };

	e.head.syscall = syscall;
	stream_apply(s, &e);
}

/* The same with a stack. */
static inline void put_at(struct stream *s, unsigned int op, unsigned int syscall, uint32_t pid,
			  uint64_t table, int fd, struct fdt_file file, uint64_t site)
{
	struct fdt_slot e = { .head = HEAD(s, FDT_SLOT, op, fdt_slot, pid, pid, table),
			      .fd = fd,
			      .site = site,
			      .file = file };

	e.head.syscall = syscall;
	stream_apply(s, &e);
}

static inline void opens_at(struct stream *s, int fd, uint64_t number, uint64_t site)
{
	put_at(s, FDT_OP_OPEN, FDT_SYS_openat, PID, TABLE, fd, a_file(number), site);
}

static inline void closes_at(struct stream *s, int fd, uint64_t site)
{
	put_at(s, FDT_OP_CLOSE, FDT_SYS_close, PID, TABLE, fd, (struct fdt_file){ 0 }, site);
}

struct frame {
	const char *text;
	uint64_t identity;
	unsigned int flags; /* FDT_SITE_FRAME_* */
};

/* An FDT_SITE in buffer[0 .. FDT_SIZE_MAX), aligned to 8. Returns its size. */
static inline size_t a_site(const struct stream *s, void *buffer, uint64_t hash, unsigned int flags,
			    unsigned int count, const struct frame *frames)
{
	struct fdt_site *e = buffer;
	char *at = (char *)(e + 1);

	*e = (struct fdt_site){ .head = HEAD(s, FDT_SITE, 0, fdt_site, PID, PID, TABLE),
				.hash = hash,
				.frame_count = (uint16_t)count };
	e->head.flags = (uint16_t)flags;
	for (unsigned int i = 0; i < count; i++) {
		size_t length = strlen(frames[i].text);
		struct fdt_site_frame head = { .identity = frames[i].identity,
					       .flags = (uint16_t)frames[i].flags,
					       .text_size = (uint16_t)length };

		memset(at, 0, sizeof(head) + length + 7);
		memcpy(at, &head, sizeof(head));
		memcpy(at + sizeof(head), frames[i].text, length);
		at += (sizeof(head) + length + 7) & ~(size_t)7;
	}
	e->head.size = (uint16_t)(at - (char *)buffer);
	return e->head.size;
}

static inline void tells(struct stream *s, uint64_t hash, unsigned int flags, unsigned int count,
			 const struct frame *frames)
{
	_Alignas(8) char buffer[FDT_SIZE_MAX];

	a_site(s, buffer, hash, flags, count, frames);
	stream_apply(s, buffer);
}

static inline void opens(struct stream *s, uint32_t tid, int fd, uint64_t number)
{
	put(s, FDT_OP_OPEN, FDT_SYS_openat, tid, fd, a_file(number));
}

static inline void closes(struct stream *s, uint32_t tid, int fd)
{
	put(s, FDT_OP_CLOSE, FDT_SYS_close, tid, fd, (struct fdt_file){ 0 });
}

static inline void fails_at(struct stream *s, unsigned int syscall, uint32_t tid, int fd, int error,
			    uint64_t site)
{
	static uint64_t run;
	struct fdt_error e = { .head = HEAD(s, FDT_ERROR, 0, fdt_error, PID, tid, TABLE),
			       .fd = fd,
			       .error = error,
			       .count = 1,
			       .run = ++run,
			       .site = site,
			       .first_ns = s->now_ns,
			       .nofile = 64 };

	e.head.syscall = syscall;
	e.head.flags = error == EBADF ? FDT_ERR_EMPTY : 0;
	stream_apply(s, &e);
}

static inline void fails(struct stream *s, unsigned int syscall, uint32_t tid, int fd, int error)
{
	fails_at(s, syscall, tid, fd, error, 0);
}

static inline struct fdt_task a_task(struct stream *s, unsigned int op, uint32_t pid, uint32_t tid,
				     uint64_t table)
{
	struct fdt_task e = { .head = HEAD(s, FDT_TASK, op, fdt_task, pid, tid, table),
			      .other_tid = tid,
			      .parent_tgid = 1,
			      .start_ns = 5 * S + pid,
			      .nofile = 1024,
			      .comm = "prog" };

	return e;
}

static inline void task(struct stream *s, unsigned int op, uint32_t pid, uint32_t tid,
			uint64_t table, uint32_t other_tid, unsigned int flags)
{
	struct fdt_task e = a_task(s, op, pid, tid, table);

	e.other_tid = other_tid;
	e.head.flags = flags;
	stream_apply(s, &e);
}

static inline void tick(struct stream *s, uint64_t pass_ns)
{
	struct fdt_head e;

	s->now_ns += pass_ns;
	e = (struct fdt_head)HEAD(s, FDT_TICK, 0, fdt_head, 0, 0, 0);
	stream_apply(s, &e);
}

/* A table of 64 slots holding the files of the numbers given (0: empty), from slot 0 on. */
static inline void vec(struct stream *s, unsigned int op, uint32_t pid, uint64_t table, int count,
		       const uint64_t *numbers)
{
	struct fdt_vec e = { .head = HEAD(s, FDT_VEC, op, fdt_vec, pid, pid, table),
			     .max_fds = 64 };

	e.head.flags = FDT_FIRST | FDT_LAST;
	for (int i = 0; i < count; i++)
		if (numbers[i])
			e.file[i] = a_file(numbers[i]);
	stream_apply(s, &e);
}

/* PID is met by a snapshot, with an empty table. */
static inline void met(struct stream *s)
{
	vec(s, FDT_OP_SNAPSHOT, PID, TABLE, 0, NULL);
}

struct filled {
	uint64_t count, bits;
};

static void note_slot(void *ctx, int32_t fd, const struct fdt_file *file, uint32_t generation)
{
	struct filled *filled = ctx;

	(void)file, (void)generation;
	filled->count++;
	if (fd < 64)
		filled->bits |= 1ull << fd;
}

/* Bit n: number n is filled in the table of pid. */
static inline uint64_t filled_bits(struct stream *s, uint32_t pid)
{
	struct filled filled = { 0 };

	assert_int_equal(engine_each_slot(s->engine, pid, note_slot, &filled), 0);
	return filled.bits;
}

static inline const struct kept *only_finding(const struct stream *s, enum rule rule)
{
	for (unsigned int i = 0; i < s->kept_count; i++)
		if (s->kept_count != 1 || s->kept[i].rule != rule)
			print_message("# found: %s\n", s->kept[i].message);
	assert_int_equal(s->kept_count, 1);
	assert_int_equal(s->kept[0].rule, rule);
	return &s->kept[0];
}

#endif
