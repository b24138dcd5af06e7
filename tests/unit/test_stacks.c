// SPDX-License-Identifier: BSD-2-Clause
/* Stacks in the engine: told, shared, forgotten, named, and what they prove. */
#include "stream.h"
#include "model/stack.h"

#define PY FDT_SITE_FRAME_OF(LANGUAGE_PYTHON)
#define LIB FDT_SITE_FRAME_LIBRARY
#define SYS FDT_SITE_FRAME_SYSTEM
#define FRAMES(list) (sizeof(list) / sizeof((list)[0])), list
#define OTHER_PID 200
#define OTHER_TABLE 0xffff888000002000ull
#define NOFILE 64

static const struct frame connect_frames[] = {
	{ "open64 (libc.so.6+0xf4a10)", 100, SYS },
	{ "?? (python3.11+0x1c0de)", 101, SYS },
	{ "Pool.connect (/srv/app/pool.py:88)", 1, PY },
	{ "main (/srv/app/app.py:31)", 2, PY },
};
static const struct frame worker_frames[] = {
	{ "close (libc.so.6+0xf4b20)", 110, SYS },
	{ "?? (python3.11+0x2c0de)", 111, SYS },
	{ "worker (/srv/app/app.py:57)", 3, PY },
};

static struct engine_counters counters(const struct stream *s)
{
	struct engine_counters c;

	engine_counters(s->engine, &c);
	return c;
}

/* Fills the table with one process's descriptors and has a call fail: who holds them? */
static const struct kept *table_full(struct stream *s, int from, int to, uint64_t site)
{
	for (int fd = from; fd < to; fd++)
		opens_at(s, fd, fd + 1, site);
	fails(s, FDT_SYS_openat, PID, -1, EMFILE);
	return only_finding(s, RULE_LIMIT_EMFILE);
}

static void hashes_with_the_same_frames_are_one_place(void **state)
{
	const struct kept *found;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 11, 0, FRAMES(connect_frames));
	tells(&s, 12, 0, FRAMES(connect_frames));
	for (int fd = 0; fd < NOFILE / 2; fd++)
		opens_at(&s, fd, fd + 1, 11);
	found = table_full(&s, NOFILE / 2, NOFILE, 12);
	assert_int_equal(found->site_total, 1);
	assert_int_equal(found->first_site_open, NOFILE);
	assert_string_equal(found->site, "pool.py:88 Pool.connect");
	assert_int_equal(counters(&s).stacks, 1);
	assert_int_equal(counters(&s).stacks_unknown, 0);
	stream_end(&s);
}

static void other_frames_or_flags_are_another_place(void **state)
{
	static const struct frame other[] = { { "Pool.connect (/srv/app/pool.py:89)", 1, PY } };
	static const struct frame nameless[] = { { "Pool.connect (/srv/app/pool.py:89)", 0, PY } };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 11, 0, FRAMES(other));
	tells(&s, 12, 0, FRAMES(nameless));
	tells(&s, 13, FDT_SITE_CUT, FRAMES(other));
	tells(&s, 14, 0, 0, other);
	tells(&s, 15, 0, FRAMES(other));
	assert_int_equal(counters(&s).stacks, 4);
	stream_end(&s);
}

static void note_hash(void *ctx, uint64_t hash)
{
	uint64_t *asked = ctx;

	asked[0]++;
	asked[asked[0] < 15 ? asked[0] : 15] = hash;
}

static void take_finding(void *ctx, const struct finding *f)
{
	(void)ctx, (void)f;
}

/* An engine that asks: for[0] counts, for[1] on are the hashes. */
static void start_asking(struct stream *s, uint64_t asked[16], size_t stacks_bytes)
{
	static const struct engine_listener listener = { .finding = take_finding };
	static const struct engine_host host = { .stack_forgotten = note_hash };
	struct engine_options options = stream_options(s, ENGINE_PID);

	*s = (struct stream){ .now_ns = 1000 * S };
	memset(asked, 0, 16 * sizeof(*asked));
	options.listener = &listener;
	options.host = &host;
	options.ctx = asked;
	options.settings.stacks_memory_bytes = stacks_bytes;
	assert_int_equal(engine_new(&options, &s->engine), 0);
}

static void an_unknown_hash_is_asked_for_once(void **state)
{
	uint64_t asked[16];
	struct stream s;

	(void)state;
	start_asking(&s, asked, 1 << 20);
	opens_at(&s, 3, 1, 77);
	opens_at(&s, 4, 2, 77);
	assert_int_equal(asked[0], 1);
	assert_int_equal(asked[1], 77);
	assert_int_equal(counters(&s).stacks_unknown, 1);
	stream_end(&s);
	assert_int_equal(asked[0], 1);
}

static void a_site_gets_its_frames_later(void **state)
{
	const struct kept *found;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 12, 0, FRAMES(connect_frames));
	opens_at(&s, 0, 100, 12);
	for (int fd = 1; fd < NOFILE - 1; fd++)
		opens_at(&s, fd, fd + 1, 11); /* not told */
	tells(&s, 11, 0, FRAMES(connect_frames));
	found = table_full(&s, NOFILE - 1, NOFILE, 11);
	assert_int_equal(found->site_total, 1);
	assert_int_equal(found->first_site_open, NOFILE);
	assert_string_equal(found->site, "pool.py:88 Pool.connect");
	for (int fd = 0; fd < NOFILE; fd++)
		closes(&s, PID, fd);
	assert_int_equal(counters(&s).descriptors, 0);
	stream_end(&s);
}

/* The first walk ended early; the whole stack, told later, takes what was opened before along. */
static void a_better_stack_takes_over(void **state)
{
	const struct kept *found;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 11, FDT_SITE_CUT, 1, connect_frames);
	tells(&s, 12, FDT_SITE_CUT, 1, connect_frames); /* stays with what it is */
	opens_at(&s, 1, 100, 12);
	for (int fd = 2; fd < NOFILE - 1; fd++)
		opens_at(&s, fd, fd + 1, 11);
	tells(&s, 13, 0, FRAMES(connect_frames));
	opens_at(&s, 0, 101, 13);
	tells(&s, 11, 0, FRAMES(connect_frames));
	tells(&s, 12, 0, FRAMES(connect_frames));
	assert_int_equal(counters(&s).stacks, 1);
	found = table_full(&s, NOFILE - 1, NOFILE, 11);
	assert_int_equal(found->site_total, 1);
	assert_int_equal(found->first_site_open, NOFILE);
	stream_end(&s);
}

static void the_least_used_are_forgotten_and_told_again(void **state)
{
	uint64_t asked[16];
	struct stream s;

	(void)state;
	start_asking(&s, asked, 16 << 10);
	tells(&s, 1, 0, FRAMES(connect_frames));
	opens_at(&s, 3, 1, 1);
	for (uint64_t hash = 1000; hash < 1500; hash++) {
		tells(&s, hash, 0, 1, &(struct frame){ "f (a.py:1)", hash, PY });
		tells(&s, 2, 0, FRAMES(worker_frames)); /* used all the time */
		opens_at(&s, 4, 2, 2);
		closes_at(&s, 4, 2);
		assert_in_range(counters(&s).stacks_bytes, 1, 16 << 10);
	}
	assert_in_range(counters(&s).stacks, 3, 200);
	assert_true(counters(&s).stacks_forgotten > 300);
	assert_int_equal(asked[0], counters(&s).stacks_forgotten);
	assert_int_equal(asked[1], 1000);
	assert_int_equal(asked[2], 1001);
	assert_int_equal(counters(&s).stacks_unknown, 0);
	asked[0] = 0;
	tells(&s, 1000, 0, 1, &(struct frame){ "f (a.py:1)", 1000, PY });
	opens_at(&s, 5, 3, 1000);
	assert_int_equal(counters(&s).stacks_unknown, 0);
	stream_end(&s);
}

/* What descriptors hold on to cannot go: what does not fit then is a site without frames. */
static void held_stacks_stay(void **state)
{
	uint64_t asked[16];
	struct stream s;

	(void)state;
	start_asking(&s, asked, 4 << 10);
	for (int fd = 0; fd < 60; fd++) {
		tells(&s, 1000 + (uint64_t)fd, 0, 1,
		      &(struct frame){ "f (a.py:1)", 1 + (uint64_t)fd, PY });
		opens_at(&s, fd, (uint64_t)fd + 1, 1000 + (uint64_t)fd);
		assert_int_equal(s.last_err, 0);
	}
	assert_in_range(counters(&s).stacks_bytes, 1, 4 << 10);
	assert_in_range(counters(&s).stacks, 5, 40);
	assert_int_equal(counters(&s).descriptors, 60);
	for (int fd = 0; fd < 60; fd++)
		closes(&s, PID, fd);
	stream_end(&s);
}

static void malformed_sites_change_nothing(void **state)
{
	_Alignas(8) char good[FDT_SIZE_MAX], bad[FDT_SIZE_MAX];
	struct fdt_site *e = (struct fdt_site *)bad;
	struct fdt_site_frame *first = (struct fdt_site_frame *)(e + 1);
	struct stream s;
	size_t size;

	(void)state;
	stream_start(&s, ENGINE_PID);
	size = a_site(&s, good, 11, 0, FRAMES(connect_frames));
	for (int kind = 0; kind < 8; kind++) {
		memcpy(bad, good, size);
		switch (kind) {
		case 0: e->hash = 0; break;
		case 1: e->frame_count++; break;
		case 2: e->frame_count--; break;
		case 3: e->left_out_at = 5; break;
		case 4: first->text_size = 65535; break;
		case 5: first->text_size += 8; break;
		case 6: e->head.size -= 16; break;
		case 7: e->head.size = sizeof(*e) - 1; break;
		}
		stream_apply(&s, bad);
		assert_int_equal(s.last_err, -EINVAL);
	}
	assert_int_equal(counters(&s).malformed, 8);
	assert_int_equal(counters(&s).stacks, 0);
	assert_int_equal(counters(&s).stacks_bytes, 0);
	stream_apply(&s, good);
	assert_int_equal(s.last_err, 0);
	assert_int_equal(counters(&s).stacks, 1);
	stream_end(&s);
}

/* Whatever bytes come: accepted or not, never read beyond their end (sanitizers look on). */
static void noise_does_no_harm(void **state)
{
	uint32_t random = 1;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int i = 0; i < 20000; i++) {
		size_t size = sizeof(struct fdt_site) + (random >> 8) % 100;
		struct fdt_site *e = malloc(size);

		assert_non_null(e);
		for (size_t at = 0; at < size; at++)
			((unsigned char *)e)[at] =
				(unsigned char)((random = random * 1103515245 + 12345) >> 16);
		e->head.kind = FDT_SITE;
		e->head.size = (uint16_t)size;
		e->frame_count %= 4;
		e->left_out_at %= i % 2 ? 2 : 8;
		for (size_t at = sizeof(*e); at + 16 <= size && i % 2; at += 16)
			memset((char *)e + at + 10, 0, 2);
		stream_apply(&s, e);
		assert_true(s.last_err == 0 || s.last_err == -EINVAL);
		free(e);
	}
	assert_true(counters(&s).malformed > 1000 && counters(&s).malformed < 20000);
	assert_true(counters(&s).stacks > 10);
	stream_end(&s);
}

static void a_life_with_stacks(struct stream *s)
{
	tells(s, 12, FDT_SITE_CUT, 2, connect_frames);
	opens_at(s, 3, 1, 11);
	opens_at(s, 4, 2, 12);
	tells(s, 11, 0, FRAMES(connect_frames));
	tells(s, 12, 0, FRAMES(connect_frames));
	tells(s, 13, 0, FRAMES(worker_frames));
	closes_at(s, 3, 13);
	closes_at(s, 4, 13);
	fails_at(s, FDT_SYS_read, PID + 1, 3, EBADF, 14);
	tick(s, S);
}

static void nth_allocation_fails(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct stream s = { .now_ns = 1000 * S };
		struct engine_options options = stream_options(&s, ENGINE_PID);
		bool refused;

		options.fail_at = n;
		if (engine_new(&options, &s.engine))
			continue; /* the very first */
		a_life_with_stacks(&s);
		refused = counters(&s).refused;
		stream_end(&s);
		if (refused) {
			assert_in_range(n, 1, 200);
			continue;
		}
		assert_string_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->closed_at,
				    "app.py:57 worker");
		assert_true(n > 10);
		break;
	}
}

/* ---- labels ---- */

static void label_of(const struct frame *frames, unsigned int count, char label[96])
{
	struct stack_frame frame[8];
	struct stack stack = { .frames = frame, .frame_count = (uint16_t)count };
	struct site site = { .syscall = FDT_SYS_openat, .stack = &stack };

	for (unsigned int i = 0; i < count; i++)
		frame[i] = (struct stack_frame){ frames[i].text, frames[i].identity,
						 (uint16_t)frames[i].flags };
	site_format(&site, label, 96);
}

static void the_most_telling_frame(void **state)
{
	static const struct {
		unsigned int count;
		struct frame frames[4];
		const char *label;
	} cases[] = {
		{ 0, { { 0 } }, "openat" },
		{ 1, { { "open64 (libc.so.6+0x1)", 1, SYS } }, "openat" },
		{ 2,
		  { { "open64 (libc.so.6+0x1)", 1, SYS }, { "f (/a/b.c:12)", 2, 0 } },
		  "b.c:12 f" },
		{ 1, { { "_start (app+0x1000)", 2, 0 } }, "openat" },
		{ 1, { { "f (app+0x1139)", 2, 0 } }, "f (app+0x1139)" },
		{ 1, { { "?? (app+0x1139)", 2, 0 } }, "app+0x1139" },
		{ 1, { { "?? (0x7f0000001234)", 0, 0 } }, "openat" },
		{ 1,
		  { { "(anonymous namespace)::f(int) (x.cc:3)", 2, 0 } },
		  "x.cc:3 (anonymous namespace)::f(int)" },
		{ 1, { { "compiled (perf map)", 2, 0 } }, "compiled (perf map)" },
		{ 2,
		  { { "g (ext.c:1)", 2, 0 }, { "main (/a/app.py:3)", 3, PY } },
		  "app.py:3 main" },
		{ 3,
		  { { "open (/usr/lib/python3.11/tokenize.py:39)", 1, PY | LIB },
		    { "load (/a (copy)/app.py:3)", 3, PY },
		    { "main (/a/app.py:9)", 4, PY } },
		  "app.py:3 load" },
		{ 2,
		  { { "f (x.c:1)", 1, 0 },
		    { "_find_spec (<frozen importlib._bootstrap>:10)", 1, PY | LIB } },
		  "<frozen importlib._bootstrap>:10 _find_spec" },
		{ 2,
		  { { "?? (python)", 0, PY }, { "<module> (/a/app.py:9)", 4, PY } },
		  "app.py:9 <module>" },
		{ 1, { { "f (/a/app.py)", 4, PY } }, "app.py f" },
		{ 1, { { "", 4, PY } }, "" },
		{ 1, { { "()", 4, 0 } }, "()" },
		{ 1, { { " (", 4, PY } }, " (" },
		{ 1, { { " ()", 4, PY } }, " " },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char label[96];

		label_of(cases[i].frames, cases[i].count, label);
		assert_string_equal(label, cases[i].label);
	}
}

/* ---- fingerprints ---- */

static uint64_t fingerprint(uint32_t pid, const char *exe, unsigned int count,
			    const struct frame *frames)
{
	struct fdt_process p = { .exe_size = (uint16_t)strlen(exe) };
	uint64_t table = TABLE + pid * 64, found;
	struct stream s;

	stream_start(&s, ENGINE_PID);
	p.head = (struct fdt_head)HEAD(&s, FDT_PROCESS, FDT_OP_SNAPSHOT, fdt_process, pid, pid,
				       table);
	memcpy(p.exe, exe, p.exe_size);
	stream_apply(&s, &p);
	tells(&s, pid * 1000, 0, count, frames);
	put_at(&s, FDT_OP_OPEN, FDT_SYS_openat, pid, table, 3, a_file(1), 0);
	put_at(&s, FDT_OP_CLOSE, FDT_SYS_close, pid, table, 3, (struct fdt_file){ 0 }, pid * 1000);
	s.kept_count = 0;
	{
		struct fdt_error e = { .head = HEAD(&s, FDT_ERROR, 0, fdt_error, pid, pid + 1,
						    table),
				       .fd = 3,
				       .error = EBADF,
				       .count = 1,
				       .run = 1 };

		e.head.syscall = FDT_SYS_read;
		e.head.flags = FDT_ERR_EMPTY;
		task(&s, FDT_OP_FORK, pid, pid + 1, table, pid, FDT_TASK_THREAD | FDT_TASK_SHARED);
		stream_apply(&s, &e);
	}
	found = only_finding(&s, RULE_CLOSE_UNOWNED)->fingerprint;
	stream_end(&s);
	return found;
}

static void a_place_in_python_has_one_number(void **state)
{
	static const struct frame rebuilt[] = {
		{ "close (libc.so.6+0x999)", 910, SYS },
		{ "close_raw (fileio.c:120)", 911, SYS },
		{ "worker (/home/me/venv/app.py:63)", 3, PY }, /* the line is no part of it */
	};
	static const struct frame other[] = { { "loop (/srv/app/app.py:57)", 4, PY } };
	static const struct frame library[] = {
		{ "_real_close (/usr/lib/python3.12/socket.py:1)", 50, PY | LIB },
		{ "worker (/srv/app/app.py:57)", 3, PY },
		{ "worker (/srv/app/app.py:58)", 3, PY }, /* calls itself */
		{ "run (/usr/lib/python3.12/threading.py:1)", 51, PY | LIB },
		{ "?? (python)", 0, PY },
	};
	uint64_t one = fingerprint(300, "/usr/bin/python3.11", FRAMES(worker_frames));

	(void)state;
	assert_true(one == fingerprint(400, "/usr/bin/python3", FRAMES(worker_frames)));
	assert_true(one == fingerprint(500, "/opt/python", FRAMES(rebuilt)));
	assert_true(one == fingerprint(500, "/opt/python", FRAMES(library)));
	assert_true(one != fingerprint(300, "/usr/bin/python3.11", FRAMES(other)));
	assert_true(one != fingerprint(300, "/usr/bin/python3.11", FRAMES(connect_frames)));
}

static void recursion_is_no_part_of_a_number(void **state)
{
	static const struct frame once[] = { { "close (libc.so.6+0x1)", 1, SYS },
					     { "scan (walk.c:10)", 2, 0 },
					     { "visit (walk.c:20)", 3, 0 },
					     { "main (walk.c:30)", 4, 0 } };
	static const struct frame twice[] = {
		{ "close (libc.so.6+0x1)", 1, SYS }, { "scan (walk.c:10)", 2, 0 },
		{ "visit (walk.c:20)", 3, 0 },       { "scan (walk.c:15)", 5, 0 },
		{ "visit (walk.c:20)", 3, 0 },       { "main (walk.c:30)", 4, 0 }
	};
	static const struct frame symbols[] = { { "close (libc.so.6+0x1)", 1, SYS },
						{ "scan (app+0x10)", 2, 0 },
						{ "main (app+0x30)", 4, 0 } };
	static const struct frame deep[] = { { "close (libc.so.6+0x1)", 1, SYS },
					     { "scan (app+0x10)", 2, 0 },
					     { "scan (app+0x18)", 5, 0 },
					     { "scan (app+0x18)", 5, 0 },
					     { "main (app+0x30)", 4, 0 } };
	static const struct frame stripped[] = { { "close (libc.so.6+0x1)", 1, SYS },
						 { "?? (app+0x10)", 2, 0 },
						 { "?? (app+0x18)", 5, 0 },
						 { "?? (app+0x30)", 4, 0 } };
	static const struct frame others[] = { { "close (libc.so.6+0x1)", 1, SYS },
					       { "scan (a.so+0x10)", 2, 0 },
					       { "scan (b.so+0x18)", 5, 0 },
					       { "main (app+0x30)", 4, 0 } };
	uint64_t one = fingerprint(300, "/bin/app", FRAMES(symbols));

	(void)state;
	assert_true(fingerprint(300, "/bin/app", FRAMES(once)) ==
		    fingerprint(300, "/bin/app", FRAMES(twice)));
	assert_true(one == fingerprint(300, "/bin/app", FRAMES(deep)));
	assert_true(one != fingerprint(300, "/bin/app", FRAMES(stripped)));
	assert_true(one != fingerprint(300, "/bin/app", FRAMES(others)));
}

static void a_native_place_has_one_number(void **state)
{
	static const struct frame frames[] = { { "close (libc.so.6+0x1)", 1, SYS },
					       { "f (app+0x10)", 2, 0 },
					       { "?? (0x7f12)", 0, 0 } };
	static const struct frame moved[] = { { "close (libc.so.6+0x2)", 7, SYS },
					      { "f (app+0x10)", 2, 0 },
					      { "?? (0x7f34)", 0, 0 } };
	static const struct frame other[] = { { "close (libc.so.6+0x1)", 1, SYS },
					      { "g (app+0x20)", 3, 0 } };
	static const struct frame bare[] = { { "close (libc.so.6+0x1)", 1, SYS } };
	uint64_t one = fingerprint(300, "/bin/app", FRAMES(frames));

	(void)state;
	assert_true(one == fingerprint(400, "/usr/local/bin/app", FRAMES(moved)));
	assert_true(one != fingerprint(300, "/bin/other", FRAMES(frames)));
	assert_true(one != fingerprint(300, "/bin/app", FRAMES(other)));
	assert_true(fingerprint(300, "/bin/app", FRAMES(bare)) !=
		    fingerprint(300, "/bin/app", 0, bare));
}

/* ---- what findings carry ---- */

#define CLOSE                                      \
	{                                          \
		"close (libc.so.6+0x10)", 900, SYS \
	}
#define OPEN                                        \
	{                                           \
		"open64 (libc.so.6+0x20)", 901, SYS \
	}
#define FILE_INIT                                 \
	{                                         \
		"?? (python3.11+0x100)", 910, SYS \
	}
#define FILE_CLOSE                                \
	{                                         \
		"?? (python3.11+0x200)", 911, SYS \
	}
#define OS_OPEN                                   \
	{                                         \
		"?? (python3.11+0x300)", 912, SYS \
	}
#define OS_CLOSE                                  \
	{                                         \
		"?? (python3.11+0x400)", 913, SYS \
	}

enum { FIRST_OPEN = 21, RAW_OPEN, RAW_CLOSE, GOOD_CLOSE, LIBRARY_CLOSE, DESTRUCTOR, USER };

static void tell_spooky_places(struct stream *s, unsigned int destructor_flags)
{
	static const struct frame first[] = { OPEN, FILE_INIT, { "main (/a/app.py:10)", 60, PY } };
	static const struct frame raw_open[] = { OPEN, OS_OPEN, { "main (/a/app.py:10)", 60, PY } };
	static const struct frame raw[] = { CLOSE, OS_CLOSE, { "main (/a/app.py:12)", 60, PY } };
	static const struct frame good[] = { CLOSE, FILE_CLOSE, { "main (/a/app.py:12)", 60, PY } };
	static const struct frame library[] = {
		CLOSE,
		OS_CLOSE,
		{ "close (/usr/lib/python3.11/socket.py:1)", 61, PY | LIB },
		{ "main (/a/app.py:12)", 60, PY },
	};
	static const struct frame drop[] = { CLOSE, FILE_CLOSE, { "drop (/a/app.py:30)", 62, PY } };
	static const struct frame user[] = { { "read (libc.so.6+0x30)", 902, SYS },
					     { "reading_fails (/a/app.py:40)", 63, PY } };

	tells(s, FIRST_OPEN, 0, FRAMES(first));
	tells(s, RAW_OPEN, 0, FRAMES(raw_open));
	tells(s, RAW_CLOSE, 0, FRAMES(raw));
	tells(s, GOOD_CLOSE, 0, FRAMES(good));
	tells(s, LIBRARY_CLOSE, 0, FRAMES(library));
	tells(s, DESTRUCTOR, destructor_flags, FRAMES(drop));
	tells(s, USER, 0, FRAMES(user));
}

/*
 * One thread: a number is opened, closed, opened again, closed by a destructor, and read. With
 * `earlier`, its first two generations are opened and closed at that place as they should be.
 */
static struct kept spooky_after(uint64_t earlier, uint64_t open_site, uint64_t close_site,
				uint64_t second_open, unsigned int destructor_flags)
{
	struct kept found;
	struct stream s;

	stream_start(&s, ENGINE_PID);
	tell_spooky_places(&s, destructor_flags);
	for (uint64_t i = 0; earlier && i < 2; i++) {
		opens_at(&s, 3, 10 + i, FIRST_OPEN);
		closes_at(&s, 3, earlier);
	}
	opens_at(&s, 3, 1, open_site);
	closes_at(&s, 3, close_site);
	opens_at(&s, 3, 2, second_open);
	closes_at(&s, 3, DESTRUCTOR);
	fails_at(&s, FDT_SYS_read, PID, 3, EBADF, USER);
	assert_int_equal(s.kept_count, 1);
	found = s.kept[0];
	stream_end(&s);
	return found;
}

static struct kept spooky(uint64_t open_site, uint64_t close_site, uint64_t second_open,
			  unsigned int destructor_flags)
{
	return spooky_after(0, open_site, close_site, second_open, destructor_flags);
}

/* Where a stripped interpreter has no name for its finalizers, its other files show how they close. */
static void how_objects_close_is_learned(void **state)
{
	struct kept k = spooky_after(GOOD_CLOSE, FIRST_OPEN, RAW_CLOSE, FIRST_OPEN, 0);

	(void)state;
	assert_int_equal(k.rule, RULE_CLOSE_UNOWNED);
	assert_string_equal(k.closed_how, "close");
	assert_non_null(strstr(k.message, "was closed by drop() while reading_fails() still used"));
	k = spooky_after(RAW_CLOSE, FIRST_OPEN, RAW_CLOSE, FIRST_OPEN, 0);
	assert_int_equal(k.rule, RULE_USE_CLOSED);
	k = spooky_after(GOOD_CLOSE, FIRST_OPEN, GOOD_CLOSE, FIRST_OPEN, 0);
	assert_int_equal(k.rule, RULE_USE_CLOSED);
	k = spooky_after(GOOD_CLOSE, RAW_OPEN, RAW_CLOSE, FIRST_OPEN, 0);
	assert_int_equal(k.rule, RULE_USE_CLOSED);
}

static void a_forgotten_object_closes_what_is_not_its_own(void **state)
{
	struct kept k = spooky(FIRST_OPEN, RAW_CLOSE, FIRST_OPEN, FDT_SITE_FINALIZER);

	(void)state;
	assert_int_equal(k.rule, RULE_CLOSE_UNOWNED);
	assert_int_equal(k.severity, SEVERITY_ERROR);
	assert_int_equal(k.confidence, CONFIDENCE_INFERRED);
	assert_true(k.closed_is_culprit);
	assert_int_equal(k.history_count, 1);
	assert_string_equal(k.opened_at, "app.py:10 main");
	assert_string_equal(k.closed_at, "app.py:30 drop");
	assert_string_equal(k.closed_how, "close (finalizer)");
	assert_string_equal(k.used_at, "app.py:40 reading_fails");
	assert_non_null(strstr(k.message, "was closed by a finalizer in drop() while "
					  "reading_fails() still used it"));
	assert_non_null(strstr(k.why, "had been closed in app.py:12 main"));
	k = spooky(FIRST_OPEN, RAW_CLOSE, FIRST_OPEN, FDT_SITE_FINALIZER | FDT_SITE_COLLECTOR);
	assert_int_equal(k.rule, RULE_CLOSE_UNOWNED);
	assert_string_equal(k.closed_how, "close (garbage collector)");
}

/* The destructor was the descriptor's own, as far as can be told: the user kept the number too long. */
static void an_object_may_close_its_own(void **state)
{
	static const struct {
		uint64_t open, close, second_open;
		unsigned int flags;
	} cases[] = {
		{ FIRST_OPEN, GOOD_CLOSE, FIRST_OPEN, FDT_SITE_FINALIZER },
		{ FIRST_OPEN, LIBRARY_CLOSE, FIRST_OPEN, FDT_SITE_FINALIZER },
		{ RAW_OPEN, RAW_CLOSE, FIRST_OPEN, FDT_SITE_FINALIZER },
		{ FIRST_OPEN, DESTRUCTOR, FIRST_OPEN, FDT_SITE_FINALIZER },
		{ FIRST_OPEN, RAW_CLOSE, FIRST_OPEN, FDT_SITE_FINALIZER | FDT_SITE_AT_EXIT },
		{ FIRST_OPEN, RAW_CLOSE, FIRST_OPEN, 0 },
		{ FIRST_OPEN, 0, FIRST_OPEN, FDT_SITE_FINALIZER },
		{ 0, RAW_CLOSE, 0, FDT_SITE_FINALIZER },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kept k =
			spooky(cases[i].open, cases[i].close, cases[i].second_open, cases[i].flags);

		assert_int_equal(k.rule, RULE_USE_CLOSED);
		assert_string_equal(k.closed_at, "app.py:30 drop");
		assert_string_equal(k.used_at, "app.py:40 reading_fails");
	}
}

static void a_second_close_tells_its_place(void **state)
{
	const struct kept *k;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tell_spooky_places(&s, FDT_SITE_FINALIZER | FDT_SITE_AT_EXIT);
	opens_at(&s, 3, 1, FIRST_OPEN);
	closes_at(&s, 3, RAW_CLOSE);
	fails_at(&s, FDT_SYS_close, PID, 3, EBADF, DESTRUCTOR);
	tick(&s, S);
	k = only_finding(&s, RULE_CLOSE_DOUBLE);
	assert_string_equal(k->opened_at, "app.py:10 main");
	assert_string_equal(k->closed_at, "app.py:12 main");
	assert_string_equal(k->used_at, "app.py:30 drop");
	assert_string_equal(k->used_how, "close (interpreter exit)");
	stream_end(&s);
}

static void a_full_table_tells_who_failed(void **state)
{
	const struct kept *k;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 11, 0, FRAMES(connect_frames));
	tells(&s, 12, 0, FRAMES(worker_frames));
	for (int fd = 0; fd < NOFILE; fd++)
		opens_at(&s, fd, fd + 1, 11);
	fails_at(&s, FDT_SYS_openat, PID, -1, EMFILE, 12);
	k = only_finding(&s, RULE_LIMIT_EMFILE);
	assert_string_equal(k->used_at, "app.py:57 worker");
	assert_string_equal(k->site, "pool.py:88 Pool.connect");
	stream_end(&s);
}

static void a_sweep_tells_its_loop_and_who_was_hurt(void **state)
{
	const struct kept *k;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 11, 0, FRAMES(connect_frames));
	tells(&s, 12, 0, FRAMES(worker_frames));
	tell_spooky_places(&s, 0);
	task(&s, FDT_OP_FORK, PID, PID + 1, TABLE, PID, FDT_TASK_THREAD | FDT_TASK_SHARED);
	put(&s, FDT_OP_OPEN, FDT_SYS_openat, PID + 1, 5, a_file(1));
	for (int fd = 0; fd < 64; fd++)
		if (fd == 5)
			closes_at(&s, fd, 12);
		else
			fails_at(&s, FDT_SYS_close, PID, fd, EBADF, 12);
	fails_at(&s, FDT_SYS_read, PID + 1, 5, EBADF, USER);
	tick(&s, 400 * MS);
	tick(&s, 2 * S);
	tick(&s, 2 * S);
	k = only_finding(&s, RULE_CLOSE_SWEEP);
	assert_string_equal(k->closed_at, "app.py:57 worker");
	assert_string_equal(k->hurt_at, "app.py:40 reading_fails");
	assert_int_equal(k->victim_count, 1);
	stream_end(&s);
}

static void lifetimes(void **state)
{
	struct site site = { 0 };

	(void)state;
	assert_int_equal(site_median_lifetime_ns(&site), 0);
	site_count_lifetime(&site, 0);
	assert_int_equal(site_median_lifetime_ns(&site), 1 << 20);
	site_count_lifetime(&site, 3 * S);
	site_count_lifetime(&site, 3 * S);
	assert_int_equal(site_median_lifetime_ns(&site), 1ull << 32); /* 4.3 s */
	for (int i = 0; i < 4; i++)
		site_count_lifetime(&site, UINT64_MAX);
	assert_int_equal(site_median_lifetime_ns(&site), 1ull << 51);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_with_the_same_frames_are_one_place),
		cmocka_unit_test(other_frames_or_flags_are_another_place),
		cmocka_unit_test(an_unknown_hash_is_asked_for_once),
		cmocka_unit_test(a_site_gets_its_frames_later),
		cmocka_unit_test(a_better_stack_takes_over),
		cmocka_unit_test(the_least_used_are_forgotten_and_told_again),
		cmocka_unit_test(held_stacks_stay),
		cmocka_unit_test(malformed_sites_change_nothing),
		cmocka_unit_test(noise_does_no_harm),
		cmocka_unit_test(nth_allocation_fails),
		cmocka_unit_test(the_most_telling_frame),
		cmocka_unit_test(a_place_in_python_has_one_number),
		cmocka_unit_test(a_native_place_has_one_number),
		cmocka_unit_test(recursion_is_no_part_of_a_number),
		cmocka_unit_test(how_objects_close_is_learned),
		cmocka_unit_test(a_forgotten_object_closes_what_is_not_its_own),
		cmocka_unit_test(an_object_may_close_its_own),
		cmocka_unit_test(a_second_close_tells_its_place),
		cmocka_unit_test(a_full_table_tells_who_failed),
		cmocka_unit_test(a_sweep_tells_its_loop_and_who_was_hurt),
		cmocka_unit_test(lifetimes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
