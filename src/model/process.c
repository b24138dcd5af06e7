// SPDX-License-Identifier: BSD-2-Clause
#include "model/process.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define BEFORE_DEPTH 8
#define NEWBORN_NS SEC_NS
#define ENVIRONMENT_BYTES (FDT_ENVIRON_WORDS * sizeof(uint64_t))

struct process *process_new(struct mem *m, uint32_t pid)
{
	struct process *p = mem_alloc(m, sizeof(*p));

	if (!p)
		return NULL;
	p->refs = 1;
	p->pid = pid;
	return p;
}

struct process *process_ref(struct process *p)
{
	p->refs++;
	return p;
}

void process_unref(struct mem *m, struct process *p)
{
	while (p && --p->refs == 0) {
		struct process *before = p->before;

		mem_free(m, p->exe, p->exe_size);
		mem_free(m, p->args, p->args_size);
		mem_free(m, p->environment, ENVIRONMENT_BYTES);
		mem_free(m, p->cgroup, p->cgroup_size);
		mem_free(m, p->left, sizeof(*p->left));
		mem_free(m, p, sizeof(*p));
		p = before;
	}
}

void process_set_before(struct mem *m, struct process *p, struct process *before)
{
	struct process *last = before;

	p->before = process_ref(before);
	for (int depth = 1; last && depth < BEFORE_DEPTH; depth++)
		last = last->before;
	if (last) {
		process_unref(m, last->before);
		last->before = NULL;
	}
}

static void set_string(struct mem *m, char **string, size_t *string_size, const char *text,
		       size_t size)
{
	mem_free(m, *string, *string_size);
	*string_size = 0;
	*string = size ? mem_alloc(m, size + 1) : NULL;
	if (!*string)
		return;
	memcpy(*string, text, size);
	*string_size = size + 1;
}

void process_set_exe(struct mem *m, struct process *p, const char *exe, size_t size)
{
	set_string(m, &p->exe, &p->exe_size, exe, strnlen(exe, size));
}

void process_set_args(struct mem *m, struct process *p, const char *args, size_t size)
{
	set_string(m, &p->args, &p->args_size, args, size);
}

void process_set_place(struct mem *m, struct process *p, const char *cgroup, size_t size,
		       uint32_t inner_pid)
{
	p->cgroup_known = true;
	p->inner_pid = inner_pid;
	set_string(m, &p->cgroup, &p->cgroup_size, cgroup, strnlen(cgroup, size));
}

static bool names_any(const uint64_t word[FDT_ENVIRON_WORDS])
{
	for (int i = 0; i < FDT_ENVIRON_WORDS; i++)
		if (word[i])
			return true;
	return false;
}

void process_set_environment(struct mem *m, struct process *p,
			     const uint64_t word[FDT_ENVIRON_WORDS])
{
	p->environment_known = true;
	mem_free(m, p->environment, ENVIRONMENT_BYTES);
	p->environment = names_any(word) ? mem_alloc(m, ENVIRONMENT_BYTES) : NULL;
	if (p->environment)
		memcpy(p->environment, word, ENVIRONMENT_BYTES);
}

bool process_environment_names(const struct process *p, int32_t fd)
{
	return p->environment && fd >= 0 && fd < FDT_ENVIRON_WORDS * 64 &&
	       p->environment[fd / 64] >> fd % 64 & 1;
}

const struct process *process_image(const struct process *p)
{
	while (p->by_fork && p->before)
		p = p->before;
	return p;
}

bool process_same(const struct process *a, const struct process *b)
{
	return a->pid == b->pid && a->start_ns == b->start_ns;
}

struct task *task_new(struct mem *m, uint32_t tid, struct process *process)
{
	struct task *task = mem_alloc(m, sizeof(*task));

	if (!task)
		return NULL;
	task->tid = tid;
	task->process = process_ref(process);
	task->next = process->tasks;
	if (task->next)
		task->next->previous = task;
	process->tasks = task;
	process->threads++;
	return task;
}

void task_free(struct mem *m, struct task *task)
{
	struct process *process = task->process;

	if (task->previous)
		task->previous->next = task->next;
	else
		process->tasks = task->next;
	if (task->next)
		task->next->previous = task->previous;
	process->threads--;
	mem_free(m, task, sizeof(*task));
	process_unref(m, process);
}

bool process_is_newborn(const struct process *p, uint64_t now_ns)
{
	return p->by_fork && p->threads <= 1 && p->forked_ns && now_ns - p->forked_ns < NEWBORN_NS;
}

const char *process_program(const struct process *p)
{
	const char *slash = p->exe ? strrchr(p->exe, '/') : NULL;

	if (slash && slash[1])
		return slash + 1;
	return p->exe && *p->exe ? p->exe : p->name;
}
