// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "symbol/runtimes.h"
#include "util/log.h"

#define OPEN_MAX 2048 /* files held open: half of what the unit allows */
#define REST_NS 20000000000ull
#define MAPS_MAX 4096 /* lines of /proc/PID/maps that are looked at */
#define NAMES_MAX 1024
#define AWAIT_MS 250  /* most files are read in a few; more on a machine that is busy */
#define AWAIT_SHARE 4 /* at most one part of so many of all time is waited ... */
#define AWAIT_SAVED_NS 2000000000ull /* ... or of so much, at once: a script starts many programs */

/* A file being read. Belongs to the thread from pending to done. */
struct job {
	struct job *next;
	struct fdt_elf_key key;
	int fd; /* -1: the vdso */
	char name[256];
	struct elf_file *elf;
	struct unwind_table table;
	bool has_table;
	struct language_found found;
	uint64_t took_ns;
};

struct queue {
	struct job *first, **end;
};

struct entry {
	struct symbol_file file;
	char name[FDT_PATH_NAME_MAX]; /* what file refers to */
	struct language_found found;  /* what file refers to */
	bool is_unsupported_reported;
};

struct files {
	struct files_kernel kernel;
	struct mem mem;
	struct map by_key; /* hash of the key -> struct entry; found by trying the next ones, too */
	struct map wanted; /* the same -> any: asked for or known */
	struct map names;  /* the same -> a name: of what has not been read, too */
	struct entry *by_id[FILES_MAX + 1];
	struct entry *by_interpreter[FDT_INTERPRETERS_MAX];
	uint32_t count, interpreter_count;
	unsigned int unfinished; /* asked for, not collected */
	struct files_counters counters;
	int done_fd;
	unsigned int open; /* files whose descriptor is held */
	uint32_t hand;     /* the id that was closed last */
	uint64_t rest_ns;  /* when unused files release their symbols */
	uint64_t await_ns; /* not before then */
	/* shared with the thread, under the lock */
	pthread_t thread;
	bool reading; /* the thread runs; the caller's alone */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct queue pending, done;
	bool stop;
};

/* Inode numbers of one device are small or well spread: both of them fit one word well enough. */
static uint64_t key_number(const struct fdt_elf_key *key)
{
	return key->inode * HASH_GOLDEN ^ key->dev;
}

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

static void queue_put(struct queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->end = job;
	queue->end = &job->next;
}

static struct job *queue_take(struct queue *queue)
{
	struct job *job = queue->first;

	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->end = &queue->first;
	}
	return job;
}

static void job_free(struct job *job)
{
	if (job->fd >= 0)
		close(job->fd);
	elf_file_free(job->elf);
	unwind_table_done(&job->table);
	language_found_done(&job->found);
	free(job);
}

/* ---- the thread ---- */

/* Our own vdso is everybody's. */
static int open_vdso(struct elf_file **ret_elf)
{
	unsigned long start = 0, end = 0, base = getauxval(AT_SYSINFO_EHDR);
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	if (!maps)
		return -errno;
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == base)
			break;
	fclose(maps);
	if (!base || start != base)
		return -ENOENT;
	return elf_file_from_memory((const void *)base, end - start, "[vdso]", ret_elf);
}

/* Most files are never asked for a symbol: what was read for their tables is not kept. */
static void settle_job(struct job *job)
{
	if (!elf_file_settle(job->elf))
		return;
	elf_file_free(job->elf);
	job->elf = NULL;
	job->has_table = false;
	language_found_done(&job->found);
}

static void job_read(struct job *job)
{
	uint64_t began = clock_monotonic_ns();
	int fd = job->fd, err;

	job->fd = -1;
	err = job->key.dev == FDT_VDSO_DEV ? open_vdso(&job->elf)
					   : elf_file_open(fd, job->name, &job->elf);
	if (!err) {
		job->has_table = !unwind_table_build(job->elf, &job->table);
		if (language_recognise(job->elf, &job->found))
			log_debug("files: %s: out of memory", job->name);
		settle_job(job);
	}
	job->took_ns = clock_monotonic_ns() - began;
}

static void *reader_run(void *arg)
{
	struct files *files = arg;
	uint64_t one = 1;
	struct job *job;

	pthread_mutex_lock(&files->lock);
	while (!files->stop) {
		job = queue_take(&files->pending);
		if (!job) {
			pthread_cond_wait(&files->work, &files->lock);
			continue;
		}
		pthread_mutex_unlock(&files->lock);
		job_read(job);
		pthread_mutex_lock(&files->lock);
		queue_put(&files->done, job);
		if (write(files->done_fd, &one, sizeof(one)) < 0)
			log_debug("files: %s",
				  strerror(errno)); /* collected at the next tick then */
	}
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

/* Signals are the main thread's. */
static int reader_start(struct files *files)
{
	sigset_t all, before;
	int err;

	if (files->reading)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&files->thread, NULL, reader_run, files);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	files->reading = !err;
	return -err;
}

static void reader_stop(struct files *files)
{
	if (!files->reading)
		return;
	pthread_mutex_lock(&files->lock);
	files->stop = true;
	pthread_cond_signal(&files->work);
	pthread_mutex_unlock(&files->lock);
	pthread_join(files->thread, NULL);
	files->stop = false;
	files->reading = false;
}

int files_new(const struct files_kernel *kernel, struct files **ret_files)
{
	struct files *files = calloc(1, sizeof(*files));
	int err;

	if (!files)
		return -ENOMEM;
	files->kernel = *kernel;
	queue_init(&files->pending);
	queue_init(&files->done);
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->work, NULL);
	files->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (files->done_fd < 0) {
		err = -errno;
		free(files);
		return err;
	}
	*ret_files = files;
	return 0;
}

static void names_forget(struct files *files)
{
	map_each (&files->names, entry)
		free(entry->value);
	map_done(&files->mem, &files->names);
	files->names = (struct map){ 0 };
}

static void entry_free(struct entry *entry)
{
	elf_file_free(entry->file.elf);
	language_found_done(&entry->found);
	free(entry);
}

static void queue_free(struct queue *queue)
{
	struct job *job;

	while ((job = queue_take(queue)))
		job_free(job);
}

void files_free(struct files *files)
{
	if (!files)
		return;
	reader_stop(files);
	queue_free(&files->pending);
	queue_free(&files->done);
	for (uint32_t id = 1; id <= files->count; id++)
		entry_free(files->by_id[id]);
	map_done(&files->mem, &files->by_key);
	map_done(&files->mem, &files->wanted);
	names_forget(files);
	pthread_cond_destroy(&files->work);
	pthread_mutex_destroy(&files->lock);
	close(files->done_fd);
	free(files);
}

/* ---- asking ---- */

static bool is_wanted_already(const struct files *files, const struct fdt_elf_key *key)
{
	return map_get(&files->wanted, key_number(key)) != NULL;
}

static int ask_reader(struct files *files, const struct fdt_elf_key *key, int fd, const char *name)
{
	struct job *job =
		files->count + files->unfinished < FILES_MAX ? calloc(1, sizeof(*job)) : NULL;

	if (!job || reader_start(files) ||
	    map_put(&files->mem, &files->wanted, key_number(key), files)) {
		free(job);
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	job->key = *key;
	job->fd = fd;
	snprintf(job->name, sizeof(job->name), "%s", name);
	files->unfinished++;
	pthread_mutex_lock(&files->lock);
	queue_put(&files->pending, job);
	pthread_cond_signal(&files->work);
	pthread_mutex_unlock(&files->lock);
	return 0;
}

/* Never waits: a path may lead to a FIFO by now. */
static int open_file_path(const char *path, const struct fdt_elf_key *key)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat stat;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || stat.st_ino != key->inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static void strip_deleted(char *name)
{
	static const char suffix[] = " (deleted)";
	size_t length = strlen(name), end = sizeof(suffix) - 1;

	if (length > end && strcmp(name + length - end, suffix) == 0)
		name[length - end] = '\0';
}

/* name: from /proc/PID/maps, as the process sees it; may be "". */
static int open_mapping(pid_t pid, const struct fdt_elf_key *key, uint64_t start, uint64_t end,
			char *name, size_t size)
{
	char path[512];
	ssize_t length;
	int fd;

	if (end)
		snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, start,
			 end);
	else
		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	length = readlink(path, name, size - 1);
	if (length > 0)
		name[length] = '\0';
	strip_deleted(name);
	fd = open_file_path(path, key);
	if (fd >= 0 || !name[0])
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, name);
	return open_file_path(path, key);
}

/* What is known of a file that has not been read yet, or can't be: better than nothing in a frame. */
static void name_keep(struct files *files, const struct fdt_elf_key *key, const char *name)
{
	uint64_t number = key_number(key);
	char *copy;

	if (!name[0] || map_get(&files->names, number))
		return;
	if (files->names.count >= NAMES_MAX)
		names_forget(files);
	copy = strdup(name);
	if (!copy || map_put(&files->mem, &files->names, number, copy))
		free(copy);
}

/* The names are a path's from its end. false: it is not all there. */
static bool wanted_path(const struct fdt_elf_wanted *wanted, char *path, size_t size)
{
	size_t at = 0;

	if (wanted->path_cut || !wanted->name_count || wanted->name_count > FDT_PATH_NAMES)
		return false;
	for (uint32_t i = wanted->name_count; i-- > 0;) {
		int length =
			snprintf(path + at, size - at, "/%.*s", FDT_PATH_NAME_MAX, wanted->name[i]);

		if (length < 0 || (size_t)length >= size - at)
			return false;
		at += (size_t)length;
	}
	return true;
}

/* The process has ended: what is there by that name from our root, if it is the same file. */
static int open_wanted_path(const struct fdt_elf_wanted *wanted, char *name, size_t size)
{
	struct stat stat;
	int fd;

	if (!wanted_path(wanted, name, size))
		return -ENOENT;
	fd = open_file_path(name, &wanted->key);
	if (fd < 0 || (!fstat(fd, &stat) &&
		       (major(stat.st_dev) << 20 | minor(stat.st_dev)) == wanted->key.dev))
		return fd;
	close(fd);
	return -ESTALE;
}

int files_want(struct files *files, const struct fdt_elf_wanted *wanted)
{
	const struct fdt_elf_key *key = &wanted->key;
	char name[256] = "", base[FDT_PATH_NAME_MAX];
	int fd;

	if (is_wanted_already(files, key))
		return -EALREADY;
	snprintf(base, sizeof(base), "%.*s", FDT_PATH_NAME_MAX - 1,
		 wanted->name_count ? wanted->name[0] : "");
	name_keep(files, key, base);
	if (key->dev == FDT_VDSO_DEV)
		return ask_reader(files, key, -1, "[vdso]");
	fd = open_mapping((pid_t)wanted->head.tgid, key, wanted->start, wanted->end, name,
			  sizeof(name));
	if (fd < 0)
		fd = open_wanted_path(wanted, name, sizeof(name));
	return fd < 0 ? fd : ask_reader(files, key, fd, name);
}

#define SCRIPTS_MAX 4 /* a script may be run by a script, as execve(2) has it */

/* The program that the script in buffer asks for; false: it is not a script. */
static bool script_interpreter(const char *buffer, ssize_t length, char *path, size_t size)
{
	size_t begin = 2, end;

	if (length < 3 || buffer[0] != '#' || buffer[1] != '!')
		return false;
	begin += strspn(buffer + begin, " \t");
	end = begin + strcspn(buffer + begin, " \t\r\n");
	if (end - begin >= size)
		return false;
	memcpy(path, buffer + begin, end - begin);
	path[end - begin] = '\0';
	return path[0] == '/';
}

static int want_path(struct files *files, const char *path, unsigned int scripts)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct fdt_elf_key key = {};
	char head[257] = "", next[256], real[PATH_MAX];
	struct stat stat;
	ssize_t length;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) {
		close(fd);
		return -ENOEXEC;
	}
	length = pread(fd, head, sizeof(head) - 1, 0);
	if (script_interpreter(head, length, next, sizeof(next))) {
		close(fd);
		return scripts < SCRIPTS_MAX ? want_path(files, next, scripts + 1) : -ELOOP;
	}
	key.inode = stat.st_ino;
	key.dev = major(stat.st_dev) << 20 | minor(stat.st_dev);
	if (is_wanted_already(files, &key)) {
		close(fd);
		return -EALREADY;
	}
	return ask_reader(files, &key, fd, realpath(path, real) ? real : path);
}

int files_want_path(struct files *files, const char *path)
{
	return want_path(files, path, 0);
}

/* One line of /proc/PID/maps. 1: asked for. */
static unsigned int want_line(struct files *files, pid_t pid, const char *line)
{
	unsigned int major, minor;
	struct fdt_elf_key key = {};
	uint64_t start, end, inode;
	char name[256] = "", mode[8];
	int fd;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*x %x:%x %" SCNu64 " %255[^\n]", &start,
		   &end, mode, &major, &minor, &inode, name) < 6 ||
	    mode[2] != 'x' || (!inode && strcmp(name, "[vdso]") != 0))
		return 0;
	key.inode = inode;
	key.dev = inode ? major << 20 | minor : FDT_VDSO_DEV;
	if (is_wanted_already(files, &key))
		return 0;
	if (!inode)
		return !ask_reader(files, &key, -1, name);
	fd = open_mapping(pid, &key, start, end, name, sizeof(name));
	return fd >= 0 && !ask_reader(files, &key, fd, name);
}

unsigned int files_want_process(struct files *files, pid_t pid)
{
	char path[64], line[4352];
	unsigned int wanted = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	for (int i = 0; maps && i < MAPS_MAX && fgets(line, sizeof(line), maps); i++)
		wanted += want_line(files, pid, line);
	if (maps)
		fclose(maps);
	return wanted;
}

/* ---- collecting ---- */

static bool begins_with_any(const char *name, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (strncmp(name, *prefixes, strlen(*prefixes)) == 0)
			return true;
	return false;
}

static bool is_system_file(const char *base_name)
{
	static const char *const prefixes[] = {
		"libc.so",  "libc-",  "ld-",     "ld.so", "libpthread", "libdl.",
		"libdl-",   "librt.", "librt-",  "libm.", "libm-",      "libstdc++",
		"libgcc_s", "[vdso]", "ld-musl", NULL,
	};

	return begins_with_any(base_name, prefixes);
}

static void learn_interpreter(struct files *files, struct entry *entry, struct job *job)
{
	uint32_t index = files->interpreter_count + 1, interpreter;

	entry->found = job->found;
	job->found = (struct language_found){ 0 };
	entry->file.language = entry->found.ops;
	if (!entry->found.is_supported || index >= FDT_INTERPRETERS_MAX)
		return;
	interpreter = FDT_INTERPRETER(entry->found.ops->id, index);
	if (files->kernel.put_interpreter(files->kernel.ctx, interpreter, entry->found.parameters))
		return;
	files->interpreter_count = index;
	files->by_interpreter[index] = entry;
	entry->file.interpreter = interpreter;
	entry->file.parameters = entry->found.parameters;
}

/* What is no ELF file, or has no code, may be mapped as code nevertheless: by its offsets. */
static void set_segments(struct fdt_elf *elf, const struct elf_file *file)
{
	struct elf_text text;

	if (!file || !elf_file_text(file, &text)) {
		elf->segment[0].end_page = UINT32_MAX;
		return;
	}
	for (unsigned int i = 0; i < text.count; i++)
		elf->segment[i] = (struct fdt_segment){
			.first_page = (uint32_t)(text.segment[i].offset / FDT_PAGE_SIZE),
			.end_page = (uint32_t)(text.segment[i].end / FDT_PAGE_SIZE),
			.delta = text.segment[i].delta,
		};
}

static void install_file(struct files *files, struct entry *entry, const struct job *job)
{
	struct fdt_elf elf = { .id = entry->file.id, .interpreter = entry->file.interpreter };
	int err;

	set_segments(&elf, entry->file.elf);
	if (job->has_table) {
		elf.first_vaddr = job->table.first_vaddr;
		elf.pages = job->table.page_count;
	}
	err = files->kernel.put_elf(files->kernel.ctx, &job->key, &elf,
				    job->has_table ? &job->table : NULL);
	if (err && job->has_table) {
		files->counters.refused++;
		elf.pages = 0;
		files->kernel.put_elf(files->kernel.ctx, &job->key, &elf, NULL);
	}
	files->counters.with_table += job->has_table && !err;
	files->counters.without_table += !job->has_table || err;
	files->counters.rows += job->has_table && !err ? job->table.row_count : 0;
	log_debug("unwind table of %s: %u rows in %u pages, %.1f ms%s", job->name,
		  job->table.row_count, job->table.page_count, (double)job->took_ns / 1e6,
		  err ? ", no room for it" : "");
}

/*
 * Every file is held open until its symbols are wanted: a machine that builds programs all day would
 * take all descriptors we may have. The first unused one is closed.
 */
static void bound_open(struct files *files)
{
	if (files->open < OPEN_MAX) {
		files->open++;
		return;
	}
	for (uint32_t i = 0; i < files->count; i++) {
		files->hand = files->hand % files->count + 1;
		if (files->by_id[files->hand]->file.elf &&
		    elf_file_close(files->by_id[files->hand]->file.elf))
			return;
	}
	files->open++;
}

static const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void collect_job(struct files *files, struct job *job)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	files->unfinished--;
	files->counters.build_ns += job->took_ns;
	if (!entry || map_put(&files->mem, &files->by_key, key_number(&job->key), entry)) {
		free(entry);
		return;
	}
	entry->file.key = job->key;
	entry->file.id = ++files->count;
	entry->file.elf = job->elf;
	snprintf(entry->name, sizeof(entry->name), "%.*s", FDT_PATH_NAME_MAX - 1,
		 path_base(job->name));
	entry->file.name = entry->name;
	job->elf = NULL;
	files->by_id[entry->file.id] = entry;
	files->counters.files++;
	if (entry->file.elf) {
		learn_interpreter(files, entry, job);
		entry->file.is_system =
			entry->file.language || is_system_file(elf_file_base_name(entry->file.elf));
		entry->file.is_runtime = runtime_is_file(elf_file_name(entry->file.elf));
		if (entry->file.is_system)
			elf_file_symbols_only(entry->file.elf);
	}
	install_file(files, entry, job);
	if (entry->file.elf)
		bound_open(files);
}

static void collect_done(struct files *files)
{
	uint64_t count;
	struct job *job;

	if (read(files->done_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_debug("files: %s", strerror(errno));
	for (;;) {
		pthread_mutex_lock(&files->lock);
		job = queue_take(&files->done);
		pthread_mutex_unlock(&files->lock);
		if (!job)
			return;
		collect_job(files, job);
		job_free(job);
	}
}

/* Reading a large file takes tens of megabytes, from many pieces. */
static void collect_and_trim(struct files *files)
{
	uint64_t before = files->counters.files;

	collect_done(files);
	if (!files->unfinished && files->counters.files != before)
		malloc_trim(0);
}

void files_collect(struct files *files, int timeout_ms)
{
	struct pollfd done = { .fd = files->done_fd, .events = POLLIN };
	uint64_t until_ns = clock_monotonic_ns() +
			    (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000,
		 now;

	while (files->unfinished) {
		collect_and_trim(files);
		now = clock_monotonic_ns();
		if (!files->unfinished || (timeout_ms >= 0 && now >= until_ns))
			break;
		poll(&done, 1, timeout_ms < 0 ? -1 : (int)((until_ns - now) / 1000000 + 1));
	}
	/*
	 * Waiting without end is what is done before tracing begins. The thread that the next file
	 * starts has only the capabilities that are left by then.
	 */
	if (timeout_ms < 0)
		reader_stop(files);
}

/* A debt that time pays off. Whoever meets new files all the time waits for a part of them only. */
static void await_note(struct files *files, uint64_t began_ns, uint64_t now_ns)
{
	uint64_t earliest = now_ns > AWAIT_SAVED_NS ? now_ns - AWAIT_SAVED_NS : 0;

	if (files->await_ns < earliest)
		files->await_ns = earliest;
	files->await_ns += AWAIT_SHARE * (now_ns - began_ns);
}

const struct symbol_file *files_await(struct files *files, const struct fdt_elf_key *key)
{
	uint64_t began = clock_monotonic_ns(), end = began + AWAIT_MS * 1000000ull, now = began;
	const struct symbol_file *file = files_by_key(files, key);

	if (file || !is_wanted_already(files, key) || began < files->await_ns)
		return file;
	while (!file && files->unfinished && now < end) {
		struct pollfd done = { .fd = files->done_fd, .events = POLLIN };

		poll(&done, 1, (int)((end - now) / 1000000 + 1));
		collect_done(files);
		file = files_by_key(files, key);
		now = clock_monotonic_ns();
	}
	await_note(files, began, now);
	return file;
}

void files_rest(struct files *files)
{
	uint64_t now = clock_monotonic_ns();
	bool rested = false;

	if (now < files->rest_ns)
		return;
	files->rest_ns = now + REST_NS;
	for (uint32_t id = 1; id <= files->count; id++)
		if (files->by_id[id]->file.elf)
			rested |= elf_file_rest(files->by_id[id]->file.elf);
	if (rested)
		malloc_trim(0);
}

/* ---- looking up ---- */

const struct symbol_file *files_by_id(const struct files *files, uint32_t id)
{
	return id && id <= files->count ? &files->by_id[id]->file : NULL;
}

const struct symbol_file *files_by_key(const struct files *files, const struct fdt_elf_key *key)
{
	const struct entry *entry = map_get(&files->by_key, key_number(key));

	return entry ? &entry->file : NULL;
}

const char *files_name(const struct files *files, const struct fdt_elf_key *key)
{
	return map_get(&files->names, key_number(key));
}

int files_open(const struct files *files, const struct fdt_elf_key *key)
{
	const struct symbol_file *file = files_by_key(files, key);
	int fd = file && file->elf ? elf_file_dup(file->elf) : -1;

	return fd < 0 ? -ENOENT : fd;
}

const struct symbol_file *files_interpreter(const struct files *files, uint32_t interpreter)
{
	uint32_t index = FDT_INTERPRETER_INDEX(interpreter);

	if (!index || index > files->interpreter_count ||
	    files->by_interpreter[index]->file.interpreter != interpreter)
		return NULL;
	return &files->by_interpreter[index]->file;
}

void files_counters(const struct files *files, struct files_counters *ret_counters)
{
	*ret_counters = files->counters;
}

const struct symbol_file *files_next_unsupported(struct files *files, const char **ret_description)
{
	for (uint32_t id = 1; id <= files->count; id++) {
		struct entry *entry = files->by_id[id];

		if (!entry->found.ops || entry->found.is_supported ||
		    entry->is_unsupported_reported)
			continue;
		entry->is_unsupported_reported = true;
		*ret_description = entry->found.description;
		return &entry->file;
	}
	return NULL;
}
