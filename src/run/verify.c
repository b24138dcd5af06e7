// SPDX-License-Identifier: BSD-2-Clause
#include "run/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "model/syscall_name.h"
#include "util/log.h"

#define LOOKS 9       /* at a table that differs, before it is believed */
#define PAUSE_MS 10   /* before the second look; doubled before each later one */
#define DRAIN_MS 10   /* while we pause or read: the ring must not fill up meanwhile */
#define NUMBERS 256   /* read in /proc between two drains */
#define TASKS_SHOWN 8 /* of a table that differs */
#define SHOWN 20      /* differences shown in full */
#define CALLS 64      /* in the middle of which tasks of a table are */
#define STANDING 64   /* tasks of it that are watched for a sign of life */
#define NOTES 32768   /* events kept, a power of two */
#define NOTES_SHOWN 8 /* of them, for one difference */

/* An event about one slot, or a range of them. */
struct note {
	uint64_t table, time_ns, file, inode;
	int32_t first, last; /* numbers */
	int32_t result;
	uint32_t tid;
	uint16_t syscall;
	uint8_t kind, op;
};

struct pair {
	int32_t fd;
	uint64_t inode;
};

struct pairs {
	struct pair *pair;
	size_t count, capacity;
	bool failed; /* out of memory */
};

/* A call that changes tables, and that a task is in the middle of. proc_pid_syscall(5). */
struct call {
	uint32_t tid;
	int64_t number;
	uint64_t args[2];
};

struct calls {
	struct call call[CALLS];
	unsigned int count;
};

/* A task that runs as far as the kernel knows, and how long it has had a processor. */
struct standing {
	uint32_t pid, tid;
	uint64_t ran_ns;
};

struct standings {
	struct standing task[STANDING];
	unsigned int count;
};

struct verify {
	struct verify_counters counters;
	struct pairs kernel, ours;
	struct calls calls;         /* that a differing table's tasks were in during a whole look */
	struct standings standings; /* when it was first seen to differ */
	struct table_row *rows;     /* of the round going on */
	size_t row_count, row_capacity;
	int (*drain)(void *ctx); /* of the round going on */
	void *drain_ctx;
	uint64_t cursor; /* key after which the next round begins */
	uint64_t noted;
	struct note note[NOTES];
};

static const char *verify_proc = "/proc";

void verify_set_proc(const char *path)
{
	verify_proc = path ? path : "/proc";
}

int verify_new(struct verify **ret_verify)
{
	*ret_verify = calloc(1, sizeof(**ret_verify));
	return *ret_verify ? 0 : -ENOMEM;
}

void verify_free(struct verify *v)
{
	if (!v)
		return;
	free(v->kernel.pair);
	free(v->ours.pair);
	free(v->rows);
	free(v);
}

void verify_counters(const struct verify *v, struct verify_counters *ret_counters)
{
	*ret_counters = v->counters;
}

/* --- recent events --- */

static struct note *next_note(struct verify *v, const struct fdt_head *head)
{
	struct note *note = &v->note[v->noted++ % NOTES];

	*note = (struct note){ .table = head->table,
			       .time_ns = head->time_ns,
			       .tid = head->tid,
			       .syscall = head->syscall,
			       .kind = head->kind,
			       .op = head->op };
	return note;
}

static void note_slot(struct verify *v, const struct fdt_slot *event)
{
	struct note *note = next_note(v, &event->head);

	note->first = note->last = event->fd;
	note->result = event->result;
	note->file = event->file.file;
	note->inode = event->file.inode;
}

static void note_range(struct verify *v, const struct fdt_head *head, uint32_t first,
		       uint32_t count)
{
	struct note *note = next_note(v, head);

	note->first = (int32_t)first;
	note->last = (int32_t)(first + count - 1);
}

void verify_note(struct verify *v, const struct fdt_head *head)
{
	if (head->kind == FDT_SLOT)
		note_slot(v, (const struct fdt_slot *)head);
	else if (head->kind == FDT_VEC)
		note_range(v, head, ((const struct fdt_vec *)head)->first_fd, FDT_VEC_SLOTS);
	else if (head->kind == FDT_WORDS)
		note_range(v, head, ((const struct fdt_words *)head)->first_fd,
			   FDT_WORDS_COUNT * 64);
	else if (head->kind == FDT_TASK)
		note_range(v, head, 0, 1u << 31);
}

static const char *note_kind_name(const struct note *note)
{
	switch (note->kind) {
	case FDT_SLOT: return syscall_name(note->syscall);
	case FDT_VEC: return note->op == FDT_OP_SNAPSHOT ? "snapshot" : "table";
	case FDT_WORDS: return "range";
	default: return "task";
	}
}

static void show_note(const struct note *note)
{
	if (note->kind == FDT_SLOT)
		log_warn("    %" PRIu64 ".%06" PRIu64 " tid %" PRIu32 " %s (op %d) = %" PRId32
			 ", slot holds inode %" PRIu64 "%s",
			 note->time_ns / SEC_NS, note->time_ns / 1000 % 1000000, note->tid,
			 note_kind_name(note), note->op, note->result, note->inode,
			 note->file ? "" : " (empty)");
	else
		log_warn("    %" PRIu64 ".%06" PRIu64 " tid %" PRIu32 " %s (op %d) %" PRId32
			 "..%" PRId32,
			 note->time_ns / SEC_NS, note->time_ns / 1000 % 1000000, note->tid,
			 note_kind_name(note), note->op, note->first, note->last);
}

/* Newest first. */
static void show_notes(const struct verify *v, uint64_t table, int32_t fd)
{
	uint64_t oldest = v->noted > NOTES ? v->noted - NOTES : 0;
	unsigned int shown = 0;

	for (uint64_t i = v->noted; i-- > oldest && shown < NOTES_SHOWN;) {
		const struct note *note = &v->note[i % NOTES];

		if (note->table != table || fd < note->first || fd > note->last)
			continue;
		show_note(note);
		shown++;
	}
	if (!shown)
		log_warn("    no recent events for this slot");
}

/* --- the two sides --- */

static void add_pair(struct pairs *pairs, int32_t fd, uint64_t inode)
{
	size_t capacity = pairs->capacity ? pairs->capacity * 2 : 256;
	struct pair *pair;

	if (pairs->count == pairs->capacity) {
		pair = reallocarray(pairs->pair, capacity, sizeof(*pair));
		if (!pair) {
			pairs->failed = true;
			return;
		}
		pairs->pair = pair;
		pairs->capacity = capacity;
	}
	pairs->pair[pairs->count++] = (struct pair){ fd, inode };
}

static void add_ours(void *ctx, int32_t fd, const struct fdt_file *file, uint32_t generation)
{
	(void)generation;
	add_pair(ctx, fd, file->inode);
}

/* proc_pid_fdinfo(5): "ino:" since Linux 5.14. 0: not available, then only the number is compared. */
static uint64_t inode_of(int fdinfo, const char *number)
{
	int fd = openat(fdinfo, number, O_RDONLY | O_CLOEXEC);
	char text[512], *at;
	ssize_t length;

	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	at = strstr(text, "\nino:");
	return at ? strtoull(at + 5, NULL, 10) : 0;
}

static int open_of_task(const struct table_row *row, const char *what)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%" PRIu32 "/task/%" PRIu32 "/%s", verify_proc, row->pid,
		 row->tid, what);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int by_number(const void *a, const void *b)
{
	return ((const struct pair *)a)->fd - ((const struct pair *)b)->fd;
}

/* What a drain returned. Changes of the table meanwhile are noticed when comparing. */
static int read_numbers(struct verify *v, DIR *numbers, int fdinfo)
{
	struct pairs *pairs = &v->kernel;
	struct dirent *entry;
	int err = 0;

	while (!err && (entry = readdir(numbers))) {
		if (entry->d_name[0] == '.')
			continue;
		add_pair(pairs, atoi(entry->d_name), inode_of(fdinfo, entry->d_name));
		if (pairs->count % NUMBERS == 0)
			err = v->drain(v->drain_ctx);
	}
	if (pairs->count)
		qsort(pairs->pair, pairs->count, sizeof(*pairs->pair), by_number);
	return err;
}

/* 0, or -errno: the task has gone, or hides its table from us. *ret_err: what a drain returned. */
static int read_kernel(struct verify *v, const struct table_row *row, int *ret_err)
{
	int fdinfo = open_of_task(row, "fdinfo"), fd = open_of_task(row, "fd");
	DIR *numbers = fd < 0 ? NULL : fdopendir(fd);

	v->kernel.count = 0;
	if (fdinfo >= 0 && numbers)
		*ret_err = read_numbers(v, numbers, fdinfo);
	if (fdinfo >= 0)
		close(fdinfo);
	if (numbers)
		closedir(numbers);
	else if (fd >= 0)
		close(fd);
	return fdinfo < 0 ? fdinfo : fd < 0 ? fd : !numbers ? -ENOENT : 0;
}

/* --- calls that are not over --- */

static bool read_task_file(uint32_t pid, uint32_t tid, const char *what, char *text, size_t size)
{
	ssize_t length;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%" PRIu32 "/task/%" PRIu32 "/%s", verify_proc, pid, tid,
		 what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, text, size - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/*
 * Those that change the table and may wait before they are over, and so are reported late. Not those
 * that wait first: most servers are always in the middle of one.
 */
static bool call_explains(const struct call *call, int32_t fd)
{
	switch (call->number) {
	case SYS_close: return (uint32_t)call->args[0] == (uint32_t)fd;
#ifdef SYS_dup2
	case SYS_dup2:
#endif
	case SYS_dup3: return (uint32_t)call->args[1] == (uint32_t)fd;
#ifdef SYS_close_range
	case SYS_close_range:
		return (uint32_t)call->args[0] <= (uint32_t)fd &&
		       (uint32_t)fd <= (uint32_t)call->args[1];
#endif
	case SYS_execve:
	case SYS_execveat:
	case SYS_unshare: return true;
	default: return false;
	}
}

/* A task that runs in the kernel says "running": it is about to be over, or to wait. */
static void add_call(void *ctx, uint32_t pid, uint32_t tid)
{
	struct calls *calls = ctx;
	struct call call = { .tid = tid };
	char text[256];

	if (calls->count < CALLS && read_task_file(pid, tid, "syscall", text, sizeof(text)) &&
	    sscanf(text, "%" SCNd64 " %" SCNx64 " %" SCNx64, &call.number, &call.args[0],
		   &call.args[1]) == 3)
		calls->call[calls->count++] = call;
}

static void note_calls(struct verify *v, struct engine *engine, uint64_t key)
{
	v->calls.count = 0;
	engine_each_task_of(engine, key, add_call, &v->calls);
}

static bool same_call(const struct call *a, const struct call *b)
{
	return a->tid == b->tid && a->number == b->number && a->args[0] == b->args[0] &&
	       a->args[1] == b->args[1];
}

/* Of the calls noted, those that are still going on. */
static void keep_calls(struct verify *v, struct engine *engine, uint64_t key)
{
	struct calls now = { 0 };
	unsigned int kept = 0;

	engine_each_task_of(engine, key, add_call, &now);
	for (unsigned int i = 0; i < v->calls.count; i++)
		for (unsigned int j = 0; j < now.count; j++)
			if (same_call(&v->calls.call[i], &now.call[j])) {
				v->calls.call[kept++] = v->calls.call[i];
				break;
			}
	v->calls.count = kept;
}

static bool is_difference_explained(const struct verify *v, int32_t fd)
{
	for (unsigned int i = 0; i < v->calls.count; i++)
		if (call_explains(&v->calls.call[i], fd))
			return true;
	return false;
}

/* --- tasks that wait for a processor --- */

/* proc_pid_syscall(5), and the first number of proc_pid_schedstat(5). False: it waits, or has gone. */
static bool read_standing(uint32_t pid, uint32_t tid, struct standing *ret_task)
{
	char call[32], times[96];

	*ret_task = (struct standing){ .pid = pid, .tid = tid };
	return read_task_file(pid, tid, "syscall", call, sizeof(call)) &&
	       strncmp(call, "running", 7) == 0 &&
	       read_task_file(pid, tid, "schedstat", times, sizeof(times)) &&
	       sscanf(times, "%" SCNu64, &ret_task->ran_ns) == 1;
}

static void add_standing(void *ctx, uint32_t pid, uint32_t tid)
{
	struct standings *standings = ctx;

	if (standings->count < STANDING &&
	    read_standing(pid, tid, &standings->task[standings->count]))
		standings->count++;
}

static void note_standings(struct verify *v, struct engine *engine, uint64_t key)
{
	v->standings.count = 0;
	engine_each_task_of(engine, key, add_standing, &v->standings);
}

/*
 * On a starved machine a task may be preempted in the middle of a call for longer than we look. One
 * that has had no processor since the table was first seen to differ cannot have finished its call.
 */
static bool is_any_starved(const struct verify *v)
{
	struct standing now;

	for (unsigned int i = 0; i < v->standings.count; i++) {
		const struct standing *then = &v->standings.task[i];

		if (read_standing(then->pid, then->tid, &now) && now.ran_ns == then->ran_ns)
			return true;
	}
	return false;
}

/* --- comparing --- */

static void show_difference(struct verify *v, const struct table_row *row, int32_t fd,
			    const struct pair *kernel, const struct pair *ours)
{
	char there[40] = "nothing", here[40] = "nothing";

	if (++v->counters.differences > SHOWN)
		return;
	if (kernel)
		snprintf(there, sizeof(there), "inode %" PRIu64, kernel->inode);
	if (ours)
		snprintf(here, sizeof(here), "inode %" PRIu64, ours->inode);
	log_warn("verify: pid %" PRIu32 " fd %" PRId32 ": the kernel has %s, fdtrace has %s",
		 row->pid, fd, there, here);
	show_notes(v, row->key, fd);
}

/*
 * How many slots differ. When they are shown, those that an unfinished call explains are left out.
 * Both lists are in order.
 */
static size_t count_differing(struct verify *v, const struct table_row *row, bool tell)
{
	const struct pair *k = v->kernel.pair, *k_end = k + v->kernel.count;
	const struct pair *o = v->ours.pair, *o_end = o + v->ours.count;
	size_t count = 0;
	int32_t fd;

	while (k < k_end || o < o_end) {
		const struct pair *kernel = o == o_end || (k < k_end && k->fd <= o->fd) ? k : NULL;
		const struct pair *ours = k == k_end || (o < o_end && o->fd <= k->fd) ? o : NULL;

		k += kernel != NULL;
		o += ours != NULL;
		if (kernel && ours &&
		    (kernel->inode == ours->inode || !kernel->inode || !ours->inode))
			continue;
		fd = kernel ? kernel->fd : ours->fd;
		if (tell && is_difference_explained(v, fd))
			continue;
		count++;
		if (tell)
			show_difference(v, row, fd, kernel, ours);
	}
	return count;
}

/* "running", or the number of the call that the task is in. */
static void show_task(void *ctx, uint32_t pid, uint32_t tid)
{
	unsigned int *shown = ctx;
	char call[32];

	if (*shown == TASKS_SHOWN || !read_task_file(pid, tid, "syscall", call, sizeof(call)))
		return;
	++*shown;
	call[strcspn(call, " \n")] = '\0';
	log_warn("    tid %" PRIu32 " of %" PRIu32 ": system call %s", tid, pid, call);
}

/* The calls of the tasks that can change the table: an unfinished one may explain the difference. */
static void show_tasks(struct engine *engine, uint64_t key)
{
	unsigned int shown = 0;

	engine_each_task_of(engine, key, show_task, &shown);
}

enum look { LOOK_SAME, LOOK_DIFFERS, LOOK_BUSY, LOOK_TAINTED, LOOK_HIDDEN, LOOK_GONE };

/*
 * One reading of the kernel's table between two drains, through a task that is bound to it now:
 * the one we began with may have ended or left, and the table live on with others. *row is
 * brought up to date. *ret_err: what a drain returned.
 */
static enum look look_at_table(struct verify *v, struct engine *engine, struct table_row *row,
			       int *ret_err)
{
	struct table_row after;
	int err;

	*ret_err = v->drain(v->drain_ctx);
	if (*ret_err || engine_table(engine, row->key, row->tid, row) || !row->complete)
		return LOOK_GONE;
	if (row->tainted)
		return LOOK_TAINTED;
	note_calls(v, engine, row->key);
	err = read_kernel(v, row, ret_err);
	if (err || *ret_err)
		return err == -EACCES ? LOOK_HIDDEN : LOOK_GONE;
	keep_calls(v, engine, row->key);
	*ret_err = v->drain(v->drain_ctx);
	if (*ret_err || engine_table(engine, row->key, row->tid, &after))
		return LOOK_GONE;
	if (after.tainted)
		return LOOK_TAINTED;
	if (after.changes != row->changes || after.pid != row->pid || after.tid != row->tid)
		return LOOK_BUSY;
	v->ours.count = 0;
	engine_each_slot_of(engine, row->key, add_ours, &v->ours);
	if (v->kernel.failed || v->ours.failed)
		return LOOK_GONE;
	return count_differing(v, row, false) ? LOOK_DIFFERS : LOOK_SAME;
}

static int pause_ms(struct verify *v, unsigned int ms)
{
	static const struct timespec piece = { .tv_nsec = DRAIN_MS * 1000000 };
	int err = 0;

	for (unsigned int i = 0; i < ms / DRAIN_MS && !err; i++) {
		nanosleep(&piece, NULL);
		err = v->drain(v->drain_ctx);
	}
	return err;
}

/*
 * A call changes the table first and is reported when it is over. In between its thread may wait for
 * a processor, on a busy machine for many time slices; an exec or a large close_range takes its
 * time, too. So a difference is believed if it lasts: more than two seconds, until many were shown,
 * and if no task is then in the middle of a call that explains it, or has had no processor since.
 */
static int verify_table(struct verify *v, struct engine *engine, struct table_row row)
{
	unsigned int looks = v->counters.differences < SHOWN ? LOOKS : LOOKS / 2;
	enum look seen = LOOK_BUSY;
	unsigned int noted = 0;
	int err = 0;

	for (unsigned int i = 0; i < looks && !err && seen != LOOK_SAME && seen < LOOK_TAINTED;
	     i++) {
		if (seen == LOOK_DIFFERS)
			err = pause_ms(v, PAUSE_MS << (i - 1));
		if (!err)
			seen = look_at_table(v, engine, &row, &err);
		if (seen == LOOK_DIFFERS && !noted++)
			note_standings(v, engine, row.key);
	}
	if (seen == LOOK_DIFFERS && (is_any_starved(v) || !count_differing(v, &row, true)))
		seen = LOOK_BUSY;
	if (seen == LOOK_DIFFERS)
		show_tasks(engine, row.key);
	v->counters.busy += seen == LOOK_BUSY;
	v->counters.tainted += seen == LOOK_TAINTED;
	v->counters.hidden += seen == LOOK_HIDDEN;
	if (seen == LOOK_SAME || seen == LOOK_DIFFERS) {
		v->counters.compared++;
		v->counters.slots += v->kernel.count;
	}
	return err;
}

static void add_table_row(void *ctx, const struct table_row *row)
{
	struct verify *v = ctx;
	size_t capacity = v->row_capacity ? v->row_capacity * 2 : 64;
	struct table_row *rows;

	if (v->row_count == v->row_capacity) {
		rows = reallocarray(v->rows, capacity, sizeof(*rows));
		if (!rows)
			return; /* compared in a later round */
		v->rows = rows;
		v->row_capacity = capacity;
	}
	v->rows[v->row_count++] = *row;
}

static int by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct table_row *)a)->key, y = ((const struct table_row *)b)->key;

	return (x > y) - (x < y);
}

int verify_round(struct verify *v, struct engine *engine, unsigned int budget,
		 int (*drain)(void *ctx), void *ctx)
{
	size_t first = 0, count;
	int err = 0;

	v->drain = drain;
	v->drain_ctx = ctx;
	v->row_count = 0;
	engine_each_table(engine, add_table_row, v);
	if (!v->row_count)
		return 0;
	qsort(v->rows, v->row_count, sizeof(*v->rows), by_key);
	while (budget && first < v->row_count && v->rows[first].key <= v->cursor)
		first++;
	count = budget && budget < v->row_count ? budget : v->row_count;
	for (size_t i = 0; i < count && !err; i++) {
		const struct table_row *row = &v->rows[(first + i) % v->row_count];

		err = verify_table(v, engine, *row);
		v->cursor = row->key;
	}
	return err;
}
