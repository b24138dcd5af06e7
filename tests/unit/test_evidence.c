// SPDX-License-Identifier: BSD-2-Clause
/* The store of evidence: bounded, whole lines only, whoever else writes to it or litters it. */
#include "sink_fixture.h"

#include <errno.h>
#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>

#include "cli/explain.h"
#include "run/evidence.h"
#include "output/json/json.h"
#include "output/text/page.h"
#include "util/error.h"

#define DIGITS 16

static char top[64], folder[96];

static int make_folder(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/test_evidence.XXXXXX");
	snprintf(folder, sizeof(folder), "%s/state/evidence", mkdtemp(top) ? top : "/nowhere");
	return 0;
}

static void empty(const char *path)
{
	DIR *list = opendir(path);
	struct dirent *entry;

	while (list && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			if (unlinkat(dirfd(list), entry->d_name, 0) < 0)
				unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
	if (list)
		closedir(list);
	rmdir(path);
}

static int remove_folder(void **state)
{
	char state_folder[80];

	(void)state;
	snprintf(state_folder, sizeof(state_folder), "%s/state", top);
	empty(folder);
	rmdir(state_folder);
	return rmdir(top);
}

static struct evidence *opened(uint64_t bytes)
{
	struct evidence *e = NULL;
	struct error error = { 0 };
	int err = evidence_open(folder, bytes, &e, &error);

	if (err)
		print_message("%s\n", error.what);
	assert_int_equal(err, 0);
	return e;
}

static int put_number(struct evidence *e, uint64_t fingerprint, unsigned int number)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "{\"n\":%u}\n", number);

	return evidence_put(e, fingerprint, line, (size_t)length);
}

/* All lines found, one after the other. */
struct text {
	char data[8192];
	unsigned int lines;
};

static int keep_line(void *ctx, const char *line, size_t length)
{
	struct text *t = ctx;

	assert_int_equal(line[length - 1], '\n');
	assert_true(strlen(t->data) + length < sizeof(t->data));
	strncat(t->data, line, length);
	t->lines++;
	return 0;
}

static struct text found(const char *prefix)
{
	struct text t = { 0 };
	struct error error;

	assert_int_equal(evidence_find(folder, prefix, keep_line, &t, &error), 0);
	return t;
}

static struct error not_found(const char *path, const char *prefix, int expected)
{
	struct text t = { 0 };
	struct error error = { 0 };

	assert_int_equal(evidence_find(path, prefix, keep_line, &t, &error), -expected);
	assert_int_equal(t.lines, 0);
	assert_true(error.what[0]);
	return error;
}

static unsigned int files_kept(const char *prefix)
{
	DIR *list = opendir(folder);
	struct dirent *entry;
	unsigned int files = 0;

	while ((entry = readdir(list)))
		files += !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(list);
	return files;
}

/* A file beside the store, as something else might leave it there. */
static void leave_file(const char *name, const char *text)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void the_latest_lines_are_kept(void **state)
{
	struct evidence *e = opened(1 << 20);
	struct stat file;

	(void)state;
	for (unsigned int i = 1; i <= 6; i++)
		assert_int_equal(put_number(e, 0x9f31c2d4a7b80e15, i), 0);
	assert_string_equal(found("9f31").data, "{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n{\"n\":6}\n");
	assert_string_equal(found("9F31C2D4A7B80E15").data, found("9f31c2").data);
	assert_int_equal(stat(folder, &file), 0);
	assert_int_equal(file.st_mode & 077, 0);
	assert_int_equal(evidence_put(e, 1, "no end", 6), -EINVAL);
	evidence_free(e);
	e = opened(1 << 20); /* the next run tidies up */
	assert_int_equal(put_number(e, 1, 1), 0);
	assert_int_equal(files_kept("9f31"), 4);
	assert_int_equal(found("9f31").lines, 4);
	evidence_free(e);
}

/* One file held the latest lines of a fingerprint. */
static void what_older_versions_stored_is_read(void **state)
{
	struct evidence *e = opened(1 << 20);

	(void)state;
	leave_file("00000000000000ab.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n");
	assert_string_equal(found("00000000000000ab").data,
			    "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n");
	assert_int_equal(put_number(e, 0xab, 5), 0);
	assert_string_equal(found("00000000000000ab").data,
			    "{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n");
	for (unsigned int i = 6; i <= 8; i++)
		assert_int_equal(put_number(e, 0xab, i), 0);
	evidence_free(e);
	e = opened(1 << 20);
	assert_int_equal(put_number(e, 1, 1), 0);
	assert_int_equal(files_kept("00000000000000ab"), 4);
	assert_string_equal(found("00000000000000ab").data,
			    "{\"n\":5}\n{\"n\":6}\n{\"n\":7}\n{\"n\":8}\n");
	evidence_free(e);
}

/* A line of 2099, when the clock was wrong, is not the latest ever after. */
static void a_clock_that_was_wrong_hides_nothing(void **state)
{
	struct evidence *e = opened(1 << 20);

	(void)state;
	for (char digit = '0'; digit < '4'; digit++) {
		char name[] = "00000000000000ab.3880000000000000.00000008.jsonl";

		name[31] = digit;
		leave_file(name, "{\"n\":0}\n");
	}
	assert_int_equal(put_number(e, 0xab, 1), 0);
	assert_non_null(strstr(found("00000000000000ab").data, "{\"n\":0}\n{\"n\":1}\n"));
	evidence_free(e);
	e = opened(1 << 20);
	assert_int_equal(put_number(e, 0xab, 2), 0);
	assert_non_null(strstr(found("00000000000000ab").data, "{\"n\":1}\n{\"n\":2}\n"));
	evidence_free(e);
}

static void a_prefix_must_name_one(void **state)
{
	struct evidence *e = opened(1 << 20);
	struct error error;

	(void)state;
	not_found("/nonexistent/evidence", "9f31", ENOENT);
	put_number(e, 0x9f31c2d400000001, 1);
	put_number(e, 0x9f31c2d400000002, 2);
	error = not_found(folder, "9f31c2d4", ENOTUNIQ);
	assert_non_null(strstr(error.cause, "9f31c2d400000001"));
	assert_non_null(strstr(error.cause, "9f31c2d400000002"));
	error = not_found(folder, "1234", ENOENT);
	assert_non_null(strstr(error.what, "1234"));
	assert_non_null(strstr(error.what, folder));
	not_found(folder, "9f3", EINVAL);
	not_found(folder, "9f31c2d4000000011", EINVAL);
	not_found(folder, "../9f31", EINVAL);
	not_found(folder, "", EINVAL);
	evidence_free(e);
}

static uint64_t bytes_kept(unsigned int *ret_files)
{
	DIR *list = opendir(folder);
	struct dirent *entry;
	struct stat file;
	uint64_t bytes = 0;

	*ret_files = 0;
	while ((entry = readdir(list)))
		if (strstr(entry->d_name, ".jsonl") &&
		    fstatat(dirfd(list), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(file.st_mode)) {
			bytes += ((uint64_t)file.st_size + 4095) / 4096 * 4096;
			++*ret_files;
		}
	closedir(list);
	return bytes;
}

static void the_oldest_make_room(void **state)
{
	struct evidence *e = opened(40 * 4096);
	static char huge[1 << 20];
	char line[3000], prefix[17];
	unsigned int files, emptiest = 40;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (unsigned int i = 1; i <= 200; i++) {
		assert_int_equal(evidence_put(e, i, line, sizeof(line)), 0);
		assert_true(bytes_kept(&files) <= 40 * 4096);
		snprintf(prefix, sizeof(prefix), "%016x", i - files + 1);
		assert_int_equal(files_kept(prefix), 1); /* the oldest that can be there */
		if (i > 40 && files < emptiest)
			emptiest = files;
	}
	assert_in_range(emptiest, 35, 37); /* a tenth was freed */
	assert_int_equal(found("00000000000000c8").lines == 0, 0);
	not_found(folder, "0000000000000001", ENOENT);
	memset(huge, '\n', sizeof(huge));
	assert_int_equal(evidence_put(e, 1, huge, sizeof(huge)), -EFBIG);
	evidence_free(e);
}

/* A finding that comes often pushes out its own lines, and not others. */
static void one_fingerprint_pushes_out_no_other(void **state)
{
	struct evidence *e = opened(40 * 4096);
	unsigned int files;

	(void)state;
	assert_int_equal(put_number(e, 0xaa, 1), 0);
	for (unsigned int i = 1; i <= 200; i++)
		assert_int_equal(put_number(e, 0xbb, i), 0);
	assert_true(bytes_kept(&files) <= 40 * 4096);
	assert_int_equal(found("00000000000000aa").lines, 1);
	assert_string_equal(found("00000000000000bb").data,
			    "{\"n\":197}\n{\"n\":198}\n{\"n\":199}\n{\"n\":200}\n");
	evidence_free(e);
}

/* What another run writes counts, although nobody says so. */
static void two_runs_keep_one_bound(void **state)
{
	struct evidence *a = opened(64 * 4096), *b = opened(64 * 4096);
	unsigned int files;

	(void)state;
	for (unsigned int i = 1; i <= 300; i++) {
		assert_int_equal(put_number(a, i, i), 0);
		assert_int_equal(put_number(b, 1000 + i, i), 0);
		assert_true(bytes_kept(&files) <= (64 + 2 * 2) * 4096);
	}
	assert_int_equal(found("000000000000012c").lines, 1);
	assert_int_equal(found("0000000000000514").lines, 1);
	evidence_free(a);
	evidence_free(b);
}

/* A line without an end in the file is none; what is no file of ours is neither read nor followed. */
static void litter_does_no_harm(void **state)
{
	static const char *const names[] = { ".jsonl", ".0000000000000001.00000008.jsonl" };
	struct evidence *e = opened(1 << 20);
	char name[160], outside[96];
	int fd;

	(void)state;
	snprintf(outside, sizeof(outside), "%s/outside", top);
	fd = open(outside, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, "{\"n\":0}\n", 8), 8);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/00000000000000aa%s", folder, names[i]);
		assert_int_equal(symlink(outside, name), 0);
		name[strlen(folder) + DIGITS] = 'b';
		assert_int_equal(mkdir(name, 0700), 0);
		name[strlen(folder) + DIGITS] = 'c';
		assert_int_equal(mkfifo(name, 0600), 0);
	}
	not_found(folder, "00000000000000aa", ENOENT);
	assert_int_equal(put_number(e, 0xaa, 1), 0);
	assert_int_equal(put_number(e, 0xab, 1), 0);
	assert_int_equal(put_number(e, 0xac, 1), 0);
	assert_string_equal(found("00000000000000aa").data, "{\"n\":1}\n");
	assert_string_equal(found("00000000000000ab").data, "{\"n\":1}\n");
	assert_string_equal(found("00000000000000ac").data, "{\"n\":1}\n");
	assert_int_equal(lseek(fd, 0, SEEK_END), 8);
	leave_file("00000000000000dd.jsonl", "{\"n\":1}\n{\"tor");
	leave_file("00000000000000dd.0000000000000001.00000005.jsonl", "{\"tor");
	leave_file("00000000000000dd.0000000000000001.jsonl", "{\"n\":7}\n");
	leave_file("00000000000000dd.000000000000000A.00000005.jsonl", "{\"n\":8}\n");
	leave_file("00000000000000dd.0000000000000001.00000005.jsonl.1", "{\"n\":9}\n");
	assert_int_equal(put_number(e, 0xdd, 2), 0);
	assert_string_equal(found("00000000000000dd").data, "{\"n\":1}\n{\"n\":2}\n");
	close(fd);
	unlink(outside);
	evidence_free(e);
}

static void a_folder_others_may_write_to_is_refused(void **state)
{
	struct evidence *e = opened(1 << 20);
	struct error error;
	char link_name[160];

	(void)state;
	evidence_free(e);
	e = NULL;
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(evidence_open(folder, 1 << 20, &e, &error), -EPERM);
	assert_true(error.remedy[0]);
	assert_int_equal(chmod(folder, 0700), 0);
	snprintf(link_name, sizeof(link_name), "%s/link", top);
	assert_int_equal(symlink(folder, link_name), 0);
	assert_true(evidence_open(link_name, 1 << 20, &e, &error) < 0);
	unlink(link_name);
	assert_null(e);
}

/* For as long as the test takes, more to do than there are processors. */
static void start_burners(pid_t *burner, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		burner[i] = fork();
		if (burner[i] == 0) {
			alarm(60);
			for (;;)
				;
		}
	}
}

static void end_burners(const pid_t *burner, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		kill(burner[i], SIGKILL);
	for (unsigned int i = 0; i < count; i++)
		waitpid(burner[i], NULL, 0);
}

static int put_all(unsigned int c)
{
	struct evidence *e = opened(8 << 20);
	int err = 0;

	for (unsigned int i = 0; i < 50 && !err; i++)
		err = put_number(e, i, c) ?: put_number(e, 0xffff0000 + c, i);
	evidence_free(e);
	return err;
}

/* Four processes at once on a busy machine: every put succeeds, and nothing is lost. */
static void runs_go_on_beside_each_other(void **state)
{
	pid_t child[4], burner[8];
	int status, failed = 0;

	(void)state;
	evidence_free(opened(8 << 20));
	start_burners(burner, 8);
	for (unsigned int c = 0; c < 4; c++) {
		child[c] = fork();
		if (child[c] == 0)
			_exit(put_all(c) ? 1 : 0);
	}
	for (unsigned int c = 0; c < 4; c++)
		failed += waitpid(child[c], &status, 0) != child[c] || status != 0;
	end_burners(burner, 8);
	assert_int_equal(failed, 0);
	for (unsigned int i = 0; i < 50; i++) {
		char prefix[20];

		snprintf(prefix, sizeof(prefix), "%016x", i);
		assert_int_equal(found(prefix).lines, 4);
	}
	assert_string_equal(found("00000000ffff0002").data,
			    "{\"n\":46}\n{\"n\":47}\n{\"n\":48}\n{\"n\":49}\n");
}

/* A finding with everything in it, as it is kept and told. */
static void explain_tells_all_there_is(void **state)
{
	static const char *const told[] = {
		"error[close.unowned]",
		"fd 4 was closed by worker()",
		"9f31c2d4",
		"python3[4121]",
		"/usr/bin/python3.11",
		"python3 app.py --port=80",
		"worker (app.py:57)",
		"Pool.connect (pool.py:88)",
		"send_payment (pay.py:140)",
		"10.0.0.9:5432",
		"web-17",
		"exact",
	};
	struct finding f = finding_unowned();
	struct sink_options options = capture_options(-1);
	struct page page;
	char *line;
	size_t length;

	(void)state;
	assert_int_equal(json_finding_line(options.host, NULL, &f, &line, &length), 0);
	page_init(&page, 0, false);
	assert_int_equal(explain_line(&page, line, length), 0);
	assert_false(page.failed);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (!memmem(page.data, page.length, told[i], strlen(told[i])))
			print_message("not told: %s in\n%.*s\n", told[i], (int)page.length,
				      page.data);
		assert_non_null(memmem(page.data, page.length, told[i], strlen(told[i])));
	}
	assert_int_equal(explain_line(&page, "[1]\n", 4), -EINVAL);
	assert_int_equal(explain_line(&page, "{\"mess", 6), -EINVAL);
	assert_int_equal(explain_line(&page, "{\"message\":\"a\\u001b[2J\"}\n", 25), 0);
	assert_null(memchr(page.data, '\033', page.length));
	page_done(&page);
	free(line);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_latest_lines_are_kept),
		TEST(what_older_versions_stored_is_read),
		TEST(a_clock_that_was_wrong_hides_nothing),
		TEST(a_prefix_must_name_one),
		TEST(the_oldest_make_room),
		TEST(one_fingerprint_pushes_out_no_other),
		TEST(two_runs_keep_one_bound),
		TEST(litter_does_no_harm),
		TEST(a_folder_others_may_write_to_is_refused),
		TEST(runs_go_on_beside_each_other),
		cmocka_unit_test(explain_tells_all_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
