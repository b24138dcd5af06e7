// SPDX-License-Identifier: BSD-2-Clause
/*
 * The engine at work on a made-up stream, without a kernel. Usage:
 *
 *     engine SCENARIO [descriptors=N] [processes=N] [threads=N] [sites=N] [rounds=N]
 *     engine record=FILE SCENARIO ...   writes all of the stream as a recording instead
 *     engine compiler                   which one made it
 *
 * Prints one line of JSON about what the scenario is about: events applied, CPU time, memory
 * before and after, and what the engine knows in the end. Fails if the engine refused anything.
 * All of that happens in measure(), for callgrind --toggle-collect=measure.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "detect/detectors.h"
#include "engine/engine.h"
#include "fdtrace/event.h"
#include "output/record.h"
#include "stream.h"

/* Filled, then applied as a whole, as from a ring buffer: making events costs no measured time. */
#define BATCH_BYTES (256u << 10)
#define MEMORY_MAX (1ull << 40)
#define MIX_STEP_NS 50000 /* 20,000 events a second: audits and ticks have their share */

struct bench {
	struct engine *engine;
	struct recorder *recorder; /* NULL: events are applied */
	struct stream stream;
	bool measuring, one_by_one;
	size_t used;
	uint64_t events, ns, worst_ns; /* measured */
	uint64_t findings, failed;
	_Alignas(8) unsigned char batch[BATCH_BYTES];
};

struct scenario {
	const char *name;
	void (*prepare)(struct bench *b);
	void (*work)(struct stream *s);
	bool one_by_one; /* each event is timed by itself: for worst_ns */
};

/* Not static: callgrind knows it by name. */
uint64_t measure(struct engine *engine, const unsigned char *batch, size_t size);

static inline uint64_t apply(struct engine *engine, const unsigned char *batch, size_t size)
{
	uint64_t failed = 0;

	for (size_t at = 0; at < size;) {
		const struct fdt_head *head = (const struct fdt_head *)(batch + at);

		failed += engine_apply(engine, head, head->size) != 0;
		at += (head->size + 7u) & ~7u;
	}
	return failed;
}

__attribute__((noinline)) uint64_t measure(struct engine *engine, const unsigned char *batch,
					   size_t size)
{
	return apply(engine, batch, size);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void flush(struct bench *b)
{
	uint64_t began;

	if (!b->measuring) {
		b->failed += apply(b->engine, b->batch, b->used);
	} else if (b->used) {
		began = cpu_ns();
		b->failed += measure(b->engine, b->batch, b->used);
		began = cpu_ns() - began;
		b->ns += began;
		if (began > b->worst_ns)
			b->worst_ns = began;
	}
	b->used = 0;
}

static void on_event(void *ctx, const void *event, size_t size)
{
	struct bench *b = ctx;
	size_t padded = (size + 7) & ~(size_t)7;

	b->events += b->measuring;
	if (b->recorder) {
		b->failed += recorder_write(b->recorder, event, size) != 0;
		return;
	}
	if (padded > BATCH_BYTES - b->used)
		flush(b);
	memcpy(b->batch + b->used, event, size);
	b->used += padded;
	if (b->measuring && b->one_by_one)
		flush(b);
}

static void on_finding(void *ctx, const struct finding *finding)
{
	struct bench *b = ctx;

	(void)finding;
	b->findings++;
}

/* ---- scenarios ---- */

static void prepare_people(struct bench *b)
{
	stream_people(&b->stream);
	stream_sites(&b->stream);
}

static void prepare_filled(struct bench *b)
{
	prepare_people(b);
	stream_fill(&b->stream);
}

/* Every number has had its share of generations: memory has grown to what it will be. */
static void prepare_churned(struct bench *b)
{
	uint64_t rounds = b->stream.counts.rounds;

	prepare_filled(b);
	b->stream.counts.rounds = rounds / 4;
	stream_churn(&b->stream);
	b->stream.counts.rounds = rounds;
}

/* The first life makes what later ones find. */
static void prepare_lives(struct bench *b)
{
	uint64_t rounds = b->stream.counts.rounds;

	prepare_filled(b);
	b->stream.counts.rounds = 1;
	stream_lives(&b->stream);
	b->stream.counts.rounds = rounds;
}

/* One audit has not found them; the second one is it. */
static void prepare_vanished(struct bench *b)
{
	prepare_filled(b);
	stream_lonely_audit(&b->stream);
}

/* Five seconds later all are due to be judged: by one tick. */
static void prepare_inherited(struct bench *b)
{
	prepare_filled(b);
	stream_inherit(&b->stream);
	b->stream.now_ns += 6000000000u;
	b->stream.counts.rounds = 1;
}

static void prepare_mix(struct bench *b)
{
	prepare_filled(b);
	b->stream.step_ns = MIX_STEP_NS;
}

static const struct scenario scenarios[] = {
	{ "fill", prepare_people, stream_fill, false },
	{ "churn", prepare_churned, stream_churn, false },
	{ "lives", prepare_lives, stream_lives, false },
	{ "fork", prepare_filled, stream_fork, false },
	{ "audit", prepare_filled, stream_audit, false },
	{ "vanish", prepare_vanished, stream_lonely_audit, false },
	{ "inherit", prepare_inherited, stream_ticks, false },
	{ "ticks", prepare_filled, stream_ticks, true },
	{ "full", prepare_filled, stream_full, false },
	{ "mix", prepare_mix, stream_mix, false },
};

static const struct scenario *find_scenario(const char *name)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

/* ---- running one ---- */

static void measure_begins(struct bench *b, const struct scenario *scenario)
{
	flush(b);
	b->measuring = true;
	b->one_by_one = scenario->one_by_one;
}

static void run(struct bench *b, const struct scenario *scenario,
		struct engine_counters *ret_before, struct engine_counters *ret_after)
{
	scenario->prepare(b);
	measure_begins(b, scenario);
	engine_counters(b->engine, ret_before);
	scenario->work(&b->stream);
	flush(b);
	engine_counters(b->engine, ret_after);
}

static int print(const struct bench *b, const struct scenario *scenario,
		 const struct engine_counters *before, const struct engine_counters *after)
{
	printf("{\"scenario\": \"%s\", \"events\": %" PRIu64 ", \"ns\": %" PRIu64
	       ", \"worst_ns\": %" PRIu64 ", \"bytes_before\": %zu, \"bytes_after\": %zu, "
	       "\"findings\": %" PRIu64 ", \"descriptors\": %" PRIu64 ", \"processes\": %" PRIu64
	       ", \"tasks\": %" PRIu64 ", \"stacks\": %" PRIu64 ", \"corrections\": %" PRIu64 "}\n",
	       scenario->name, b->events, b->ns, b->worst_ns, before->memory_bytes,
	       after->memory_bytes, b->findings, after->descriptors, after->processes, after->tasks,
	       after->stacks, after->corrections);
	if (!b->failed && !after->refused && !after->malformed && !after->ended_dropped &&
	    !after->stacks_forgotten)
		return 0;
	fprintf(stderr,
		"engine: %" PRIu64 " events failed, %" PRIu64 " malformed; memory refused %" PRIu64
		" times, %" PRIu64 " generations and %" PRIu64 " stacks forgotten\n",
		b->failed, after->malformed, after->refused, after->ended_dropped,
		after->stacks_forgotten);
	return 1;
}

static int run_engine(struct bench *b, const struct scenario *scenario)
{
	static const struct engine_listener listener = { .finding = on_finding };
	struct engine_options options = { .mode = ENGINE_ALL,
					  .rules = rule_set_default(),
					  .listener = &listener,
					  .detectors = detectors_all,
					  .ctx = b };
	struct engine_counters before, after;
	int status;

	settings_default(&options.settings);
	options.settings.memory_max_bytes = MEMORY_MAX;
	options.settings.stacks_memory_bytes = MEMORY_MAX;
	if (engine_new(&options, &b->engine))
		return 1;
	run(b, scenario, &before, &after);
	status = print(b, scenario, &before, &after);
	engine_free(b->engine);
	return status;
}

static int record(struct bench *b, const struct scenario *scenario, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), err;

	err = fd < 0 ? -errno : recorder_new(fd, &b->recorder);
	if (!err) {
		stream_meta(&b->stream, "mode=all");
		stream_meta(&b->stream, "set.memory.max=8G");
		stream_meta(&b->stream, "set.stacks.memory=1G");
		scenario->prepare(b);
		scenario->work(&b->stream);
		err = recorder_free(b->recorder);
	}
	if (fd >= 0 && close(fd))
		err = err ?: -errno;
	if (err || b->failed) {
		fprintf(stderr, "engine: cannot write %s: %s\n", path, strerror(-err));
		return 1;
	}
	printf("{\"scenario\": \"%s\", \"events\": %" PRIu64 "}\n", scenario->name, b->stream.made);
	return 0;
}

/* ---- arguments ---- */

static bool take_number(const char *argument, const char *key, uint64_t *ret)
{
	size_t length = strlen(key);

	if (strncmp(argument, key, length) || argument[length] != '=')
		return false;
	*ret = strtoull(argument + length + 1, NULL, 10);
	return true;
}

static bool take_count(const char *argument, struct stream_counts *counts)
{
	const struct {
		const char *key;
		uint32_t *count;
	} known[] = { { "descriptors", &counts->descriptors },
		      { "processes", &counts->processes },
		      { "threads", &counts->threads },
		      { "sites", &counts->sites } };
	uint64_t number;

	if (take_number(argument, "rounds", &counts->rounds))
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (take_number(argument, known[i].key, &number)) {
			*known[i].count = (uint32_t)number;
			return true;
		}
	return false;
}

static int usage(const char *what)
{
	fprintf(stderr, "engine: what is \"%s\"? See the head of tests/bench/engine.c\n", what);
	return 2;
}

#ifdef __clang__
#define COMPILER "clang"
#define MAJOR __clang_major__
#else
#define COMPILER "gcc"
#define MAJOR __GNUC__
#endif
#ifdef __OPTIMIZE__
#define OPTIMIZED ", optimized"
#else
#define OPTIMIZED ""
#endif

int main(int argc, char **argv)
{
	struct stream_counts counts = { .rounds = 1 };
	const struct scenario *scenario = NULL;
	const char *path = NULL;
	struct bench *b = calloc(1, sizeof(*b));
	int status;

	if (argc == 2 && !strcmp(argv[1], "compiler")) {
		printf(COMPILER " %d" OPTIMIZED "\n", MAJOR);
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "record=", 7))
			path = argv[i] + 7;
		else if (!take_count(argv[i], &counts) && !(scenario = find_scenario(argv[i])))
			return usage(argv[i]);
	}
	if (!scenario || !b)
		return usage("nothing");
	stream_init(&b->stream, &counts, on_event, b);
	status = path ? record(b, scenario, path) : run_engine(b, scenario);
	free(b);
	return status;
}
