// SPDX-License-Identifier: BSD-2-Clause
/* Who holds a table: places add up, and what nobody saw opened is told apart by what it is. */
#include <arpa/inet.h>
#include <linux/magic.h>
#include <sys/socket.h>

#include "stream.h"

#define ROWS_MAX 32
/* Inodes say what a file is, and so what the host answers. */
#define LOG 1        /* /var/log/app/N.log */
#define SAME 1000    /* /etc/hostname */
#define GONE 2000    /* /tmp/N (deleted) */
#define CLIENT 10000 /* to 10.0.0.9:5432, from a port of its own */
#define SERVER 20000 /* on 10.0.0.1:80, of a peer of its own */
#define PIPE 30000
#define RANGE 1000
#define TABLE_MAX 4096

struct row {
	char label[96], target[96], state[32], text[256];
	enum fd_kind kind;
	uint64_t open;
	uint32_t calls, looked, alike, asked, close_wait;
};

struct world {
	struct stream s;
	struct row rows[ROWS_MAX];
	unsigned int count, total, looks;
	struct fdt_file files[TABLE_MAX];
	unsigned int open;
};

static void take_row(void *ctx, const struct site_row *row, unsigned int total)
{
	struct world *w = ctx;
	struct row *r = &w->rows[w->count++];

	assert_true(w->count <= ROWS_MAX);
	w->total = total;
	*r = (struct row){ .kind = row->kind,
			   .open = row->open,
			   .calls = row->calls,
			   .looked = row->looked,
			   .alike = row->alike,
			   .asked = row->asked,
			   .close_wait = row->close_wait };
	snprintf(r->label, sizeof(r->label), "%s", row->label);
	snprintf(r->target, sizeof(r->target), "%s", row->target ? row->target : "");
	snprintf(r->state, sizeof(r->state), "%s", row->state ? row->state : "");
	site_row_format(row, r->text, sizeof(r->text));
}

static bool is_in(uint64_t inode, uint64_t range)
{
	return inode >= range && inode < range + RANGE;
}

static int answer_name(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
		       char *buffer, size_t size)
{
	(void)ctx, (void)pid, (void)fd;
	if (is_in(file->inode, SAME))
		snprintf(buffer, size, "/etc/hostname");
	else if (is_in(file->inode, GONE))
		snprintf(buffer, size, "/tmp/%u (deleted)", (unsigned int)file->inode);
	else if (file->inode < SAME)
		snprintf(buffer, size, "/var/log/app/%u.log", (unsigned int)file->inode);
	else
		return -ENODATA;
	return 0;
}

static void address(struct fdt_detail *d, const char *local, unsigned int local_port,
		    const char *peer, unsigned int peer_port)
{
	d->facts = FDT_FACT_SOCKET | FDT_FACT_TCP;
	d->local_port = (uint16_t)local_port;
	d->peer_port = (uint16_t)peer_port;
	assert_int_equal(inet_pton(AF_INET, local, d->local), 1);
	assert_int_equal(inet_pton(AF_INET, peer, d->peer), 1);
}

/* Every fourth client's peer has closed; every second pipe has lost its other end. */
static int answer_detail(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
			 struct fdt_detail *ret)
{
	struct world *w = ctx;
	unsigned int n = (unsigned int)file->inode % RANGE;

	w->looks++;
	*ret = (struct fdt_detail){ .head = { .kind = FDT_DETAIL,
					      .size = sizeof(*ret),
					      .tgid = pid,
					      .time_ns = w->s.now_ns },
				    .fd = fd,
				    .file = *file };
	if (is_in(file->inode, CLIENT)) {
		address(ret, "10.0.0.1", 40000 + n, "10.0.0.9", 5432);
		ret->state = n % 4 ? 1 : 8;
	} else if (is_in(file->inode, SERVER)) {
		address(ret, "10.0.0.1", 80, "10.0.0.7", 50000 + n);
		ret->state = 1;
	} else {
		ret->facts = FDT_FACT_PIPE;
		ret->readers = ret->writers = n % 2;
	}
	return 0;
}

static const struct engine_listener listener;
static const struct engine_host host = { .name = answer_name, .detail = answer_detail };

static void start(struct world *w)
{
	struct engine_options options = stream_options(&w->s, ENGINE_PID);

	*w = (struct world){ .s = { .now_ns = 1000 * S } };
	options.listener = &listener;
	options.host = &host;
	options.ctx = w;
	assert_int_equal(engine_new(&options, &w->s.engine), 0);
}

/* The next numbers of the table hold `count` of them. */
static void fill(struct world *w, uint64_t range, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct fdt_file file = a_file(range + i);

		if (range == CLIENT || range == SERVER) {
			file.mode = S_IFSOCK | 0777;
			file.magic = SOCKFS_MAGIC;
			file.detail = AF_INET | SOCK_STREAM << 8 | IPPROTO_TCP << 16;
		} else if (range == PIPE) {
			file.mode = S_IFIFO | 0600;
			file.magic = PIPEFS_MAGIC;
		}
		assert_true(w->open < TABLE_MAX);
		w->files[w->open++] = file;
	}
}

/* All of it was there before us. */
static void attach(struct world *w)
{
	for (unsigned int first = 0; first < w->open; first += FDT_VEC_SLOTS) {
		struct fdt_vec e = { .head = HEAD(&w->s, FDT_VEC, FDT_OP_SNAPSHOT, fdt_vec, PID,
						  PID, TABLE),
				     .first_fd = first,
				     .max_fds = TABLE_MAX };

		e.head.flags =
			(first ? 0 : FDT_FIRST) | (first + FDT_VEC_SLOTS >= w->open ? FDT_LAST : 0);
		for (unsigned int i = 0; i < FDT_VEC_SLOTS && first + i < w->open; i++)
			e.file[i] = w->files[first + i];
		stream_apply(&w->s, &e);
		assert_int_equal(w->s.last_err, 0);
	}
}

static void look(struct world *w)
{
	w->count = w->total = w->looks = 0;
	engine_each_holding(w->s.engine, PID, take_row, w);
}

static const struct row *row_of(const struct world *w, const char *target, const char *state)
{
	for (unsigned int i = 0; i < w->count; i++)
		if (!strcmp(w->rows[i].target, target) && !strcmp(w->rows[i].state, state))
			return &w->rows[i];
	for (unsigned int i = 0; i < w->count; i++)
		print_message("# %u %s\n", (unsigned int)w->rows[i].open, w->rows[i].text);
	fail_msg("no row: %s, %s", target, state);
	return NULL;
}

static void what_nobody_saw_opened_is_told_apart(void **state)
{
	static struct world w;

	(void)state;
	start(&w);
	fill(&w, LOG, 30);
	fill(&w, SAME, 60);
	fill(&w, GONE, 40);
	fill(&w, CLIENT, 400);
	fill(&w, PIPE, 20);
	attach(&w);
	look(&w);
	assert_int_equal(w.rows[0].kind, FD_KIND_TCP);
	assert_int_equal(row_of(&w, "to 10.0.0.9:5432", "established")->open, 300);
	assert_int_equal(row_of(&w, "to 10.0.0.9:5432", "close-wait")->open, 100);
	assert_int_equal(row_of(&w, "/etc/hostname", "")->open, 60);
	assert_int_equal(row_of(&w, "/var/log/app/*", "")->open, 30);
	assert_int_equal(row_of(&w, "/tmp/*", "deleted")->open, 40);
	assert_int_equal(row_of(&w, "", "other end closed")->open, 10);
	assert_int_equal(w.total, 7);
	assert_string_equal(w.rows[0].text, "to 10.0.0.9:5432, established (opener unknown)");
	assert_int_equal(row_of(&w, "to 10.0.0.9:5432", "close-wait")->asked, 100);
	assert_int_equal(row_of(&w, "to 10.0.0.9:5432", "close-wait")->close_wait, 100);
	stream_end(&w.s);
}

static void a_server_is_named_by_its_own_end(void **state)
{
	static struct world w;

	(void)state;
	start(&w);
	fill(&w, SERVER, 50);
	attach(&w);
	look(&w);
	assert_int_equal(w.count, 1);
	assert_int_equal(row_of(&w, "on 10.0.0.1:80", "established")->open, 50);
	stream_end(&w.s);
}

/* Never scaled to all. */
static void a_sample_says_that_it_is_one(void **state)
{
	static struct world w;
	const struct row *row;

	(void)state;
	start(&w);
	for (int i = 0; i < 3; i++)
		fill(&w, CLIENT, RANGE);
	attach(&w);
	look(&w);
	assert_int_equal(w.count, 1);
	row = &w.rows[0];
	assert_int_equal(row->open, 3000);
	assert_true(row->looked > 500 && row->looked < 3000 && w.looks <= 1100);
	assert_int_equal(row->looked, w.looks);
	assert_true(row->alike * 4 >= row->looked * 3 - 8 && row->alike < row->looked);
	assert_int_equal(row->asked, row->alike);
	assert_int_equal(strncmp(row->text, "opener unknown; ", 16), 0);
	assert_non_null(strstr(row->text, " looked at: to 10.0.0.9:5432, established"));
	stream_end(&w.s);
}

static void too_many_targets_share_a_row(void **state)
{
	static struct world w;
	uint64_t sum = 0;

	(void)state;
	start(&w);
	fill(&w, LOG, 2);
	for (unsigned int i = 0; i < 20; i++) {
		fill(&w, SERVER, 1);
		w.files[w.open - 1].inode = SERVER + i;
	}
	attach(&w);
	look(&w);
	for (unsigned int i = 0; i < w.count; i++)
		sum += w.rows[i].open;
	assert_int_equal(sum, 22);
	assert_true(w.count <= 8);
	stream_end(&w.s);
}

/* Two stacks of one function are one place; what it opened is added up. */
static void calls_of_one_place_add_up(void **state)
{
	static struct world w;
	const struct frame pool = { "connect (pool.py:88)", 77, 0 };
	const struct frame direct[] = { { "open (libc.so.6+1)", 0, FDT_SITE_FRAME_SYSTEM }, pool };
	const struct frame vectorcall[] = { { "open (libc.so.6+1)", 0, FDT_SITE_FRAME_SYSTEM },
					    { "call (python+2)", 0, FDT_SITE_FRAME_SYSTEM },
					    pool };

	(void)state;
	start(&w);
	tells(&w.s, 1, 0, 2, direct);
	tells(&w.s, 2, 0, 3, vectorcall);
	for (int fd = 3; fd < 10; fd++)
		opens_at(&w.s, fd, (uint64_t)fd, 1);
	for (int fd = 10; fd < 103; fd++)
		opens_at(&w.s, fd, (uint64_t)fd, 2);
	look(&w);
	assert_int_equal(w.count, 1);
	assert_int_equal(w.rows[0].open, 100);
	assert_int_equal(w.rows[0].calls, 2);
	assert_string_equal(w.rows[0].text, "pool.py:88 connect (2 calls)");
	stream_end(&w.s);
}

static void a_table_without_memory_still_has_rows(void **state)
{
	static struct world w;

	(void)state;
	for (uint64_t fail_at = 1; fail_at < 40; fail_at++) {
		struct engine_options options = stream_options(&w.s, ENGINE_PID);

		w = (struct world){ .s = { .now_ns = 1000 * S } };
		options.listener = &listener;
		options.host = &host;
		options.ctx = &w;
		options.fail_at = fail_at;
		if (engine_new(&options, &w.s.engine))
			continue;
		fill(&w, CLIENT, 50);
		fill(&w, SAME, 10);
		for (unsigned int i = 0; i < 64; i++)
			opens(&w.s, PID, (int)i, i + 1);
		look(&w);
		for (unsigned int i = 0; i < w.count; i++)
			assert_true(w.rows[i].open > 0);
		stream_end(&w.s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_saw_opened_is_told_apart),
		cmocka_unit_test(a_server_is_named_by_its_own_end),
		cmocka_unit_test(a_sample_says_that_it_is_one),
		cmocka_unit_test(too_many_targets_share_a_row),
		cmocka_unit_test(calls_of_one_place_add_up),
		cmocka_unit_test(a_table_without_memory_still_has_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
