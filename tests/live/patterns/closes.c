// SPDX-License-Identifier: BSD-2-Clause
/* Closing what is another's by now, closing twice, and going on with a number that is another file. */
#include <dirent.h>
#include "pattern.h"

static struct worker a, b, c;
static int number; /* that all of them have in mind */

static void start_workers(void)
{
	worker_start(&a);
	worker_start(&b);
	worker_start(&c);
}

static void end_workers(void)
{
	worker_end(&a);
	worker_end(&b);
	worker_end(&c);
}

NAMED void open_it(void)
{
	int fd = open_data();

	claim(!number || fd == number);
	number = fd;
}

NAMED void first_close(void)
{
	must(close(number));
}

NAMED void second_close(void)
{
	must(close(number));
}

NAMED void late_close(void)
{
	must_fail(close(number), EBADF);
}

NAMED void owner_reads(void)
{
	read_byte(number);
}

NAMED void owner_misses_it(void)
{
	char byte;

	must_fail(read(number, &byte, 1), EBADF);
}

static void race_harmless(void)
{
	start_workers();
	open_it();
	worker_do(&a, first_close);
	worker_do(&b, late_close);
	end_workers();
}

static void race_hurts(void)
{
	start_workers();
	open_it();
	worker_do(&a, first_close);
	worker_do(&c, open_it);
	worker_do(&c, owner_reads);
	worker_do(&b, second_close);
	worker_do(&c, owner_misses_it);
	end_workers();
}

/* Every worker pool closes what another thread opened. */
static void handed_over(void)
{
	start_workers();
	for (int i = 0; i < 60; i++) {
		open_it();
		worker_do(&a, owner_reads);
		worker_do(i % 2 ? &b : &c, first_close);
	}
	end_workers();
}

NAMED void offender(void)
{
	must(close(number));
}

NAMED void bystander(void)
{
	open_it();
	read_byte(number);
	must(close(number));
}

/* The bystander had the number in between, and gave it back in order. */
static void bystander_between(void)
{
	start_workers();
	open_it();
	owner_reads();
	worker_do(&a, offender);
	worker_do(&b, bystander);
	owner_misses_it();
	end_workers();
}

/* The offender once owned the number, too; the bystander had it before the victim. */
static void stale_close(void)
{
	start_workers();
	worker_do(&a, open_it);
	worker_do(&a, first_close);
	worker_do(&b, bystander);
	worker_do(&c, open_it);
	worker_do(&a, offender);
	worker_do(&c, owner_misses_it);
	end_workers();
}

static void each_its_own(void)
{
	start_workers();
	for (int i = 0; i < 60; i++) {
		worker_do(&a, bystander);
		worker_do(&b, bystander);
		bystander();
	}
	end_workers();
}

NAMED void close_directory(void)
{
	DIR *directory = opendir("/");

	claim(directory != NULL);
	number = dirfd(directory);
	must(closedir(directory));
}

NAMED void close_stream(void)
{
	FILE *stream = fopen("/proc/self/status", "re");

	claim(stream != NULL);
	number = fileno(stream);
	must(fclose(stream));
}

static void directory_twice(void)
{
	close_directory();
	late_close();
}

static void stream_twice(void)
{
	close_stream();
	late_close();
}

static void hurt_after(void (*close_all)(void))
{
	start_workers();
	close_all();
	worker_do(&a, open_it);
	second_close();
	worker_do(&a, owner_misses_it);
	end_workers();
}

static void directory_hurts(void)
{
	hurt_after(close_directory);
}

static void stream_hurts(void)
{
	hurt_after(close_stream);
}

static void closed_once(void)
{
	close_directory();
	number = 0;
	close_stream();
}

NAMED void open_to_write(void)
{
	int fd = must(open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));

	claim(!number || fd == number);
	number = fd;
}

NAMED void write_line(void)
{
	must(write(number, "x\n", 2));
}

NAMED void refill(void)
{
	must(close(number));
	claim(must(open("other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == number);
}

NAMED void write_into_other(void)
{
	must(write(number, "x\n", 2));
}

static void refilled(void)
{
	start_workers();
	worker_do(&a, open_to_write);
	worker_do(&a, write_line);
	worker_do(&b, refill);
	worker_do(&a, write_into_other);
	end_workers();
}

/* This thread itself gave the number back, and got it anew from another. */
static void handed_anew(void)
{
	start_workers();
	for (int i = 0; i < 20; i++) {
		worker_do(&b, open_to_write);
		worker_do(&a, write_line);
		worker_do(&a, first_close);
	}
	end_workers();
}

static const struct pattern patterns[] = {
	{ "race-harmless", "close.double info", race_harmless },
	{ "race-hurts",
	  "close.unowned error culprit=second_close victim=owner_misses_it not=first_close",
	  race_hurts },
	{ "handed-over", "silent none=close.double", handed_over },
	{ "bystander-between",
	  "close.unowned error culprit=offender victim=owner_misses_it not=bystander",
	  bystander_between },
	{ "stale-close",
	  "close.unowned error culprit=offender victim=owner_misses_it not=bystander",
	  stale_close },
	{ "each-its-own", "silent none=close.double", each_its_own },
	{ "directory-twice", "close.double info", directory_twice },
	{ "stream-twice", "close.double info", stream_twice },
	{ "directory-hurts", "close.unowned error culprit=second_close victim=owner_misses_it",
	  directory_hurts },
	{ "stream-hurts", "close.unowned error culprit=second_close victim=owner_misses_it",
	  stream_hurts },
	{ "closed-once", "silent none=close.double", closed_once },
	{ "refilled", "use.stale warning shows=refill shows=write_into_other", refilled },
	{ "refilled-by-default", "silent none=use.stale", refilled },
	{ "handed-anew", "silent none=use.stale", handed_anew },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
