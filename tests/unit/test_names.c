// SPDX-License-Identifier: BSD-2-Clause
/* What files are called: by an event of the kernel, by a look-up, before and after. */
#include <errno.h>
#include <linux/magic.h>

#include "engine/engine_private.h"
#include "model/names.h"
#include "stream.h"

static struct mem mem;
static struct names names;

static int set_up(void **state)
{
	(void)state;
	mem = (struct mem){ .max_bytes = 64 << 20 };
	names = (struct names){ .mem = &mem };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	names_done(&names);
	assert_int_equal(mem.used_bytes, 0);
	return 0;
}

struct a_name {
	struct fdt_name name;
	char text[NAME_SIZE_MAX];
};

static void fill(struct a_name *e, struct fdt_file file, unsigned int op, unsigned int flags,
		 const char *text)
{
	memset(e, 0, sizeof(*e));
	e->name.head.kind = FDT_NAME;
	e->name.head.op = (uint8_t)op;
	e->name.head.flags = (uint16_t)flags;
	e->name.head.size = (uint16_t)(sizeof(e->name) + strlen(text));
	e->name.head.tgid = e->name.head.tid = PID;
	e->name.head.table = TABLE;
	e->name.fd = 3;
	e->name.file = file;
	memcpy(e->text, text, strlen(text));
}

static void sent(struct fdt_file file, unsigned int op, unsigned int flags, const char *text)
{
	struct a_name e;

	fill(&e, file, op, flags, text);
	names_put_event(&names, &e.name, e.name.head.size);
}

static const char *of(struct fdt_file file)
{
	return names_get(&names, file.file, file.inode, file.dev, NULL);
}

static uint64_t key_of(struct fdt_file file)
{
	return names_key(file.file, file.inode, file.dev);
}

static void what_the_kernel_sends_reads_as_a_look_up_does(void **state)
{
	static const struct {
		unsigned int flags;
		const char *text, *expected;
	} rows[] = {
		{ 0, "/var/log/x", "/var/log/x" },
		{ 0, "/", "/" },
		{ 0, "memfd:x", "memfd:x" },
		{ 0, "", "" },
		{ FDT_NAME_UNLINKED, "/tmp/x", "/tmp/x (deleted)" },
		{ 0, "/tmp/x (deleted)", "/./tmp/x (deleted)" },
		{ 0, "/ (deleted)", "/./ (deleted)" },
		{ FDT_NAME_UNLINKED, "/tmp/x (deleted)", "/tmp/x (deleted) (deleted)" },
		{ FDT_NAME_CUT, "/b/c", ".../b/c" },
		{ FDT_NAME_CUT | FDT_NAME_UNLINKED, "/b/c", ".../b/c (deleted)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sent(a_file(1), FDT_OP_OPEN, rows[i].flags, rows[i].text);
		assert_string_equal(of(a_file(1)), rows[i].expected);
	}
	sent(a_file(1), 0, 0, "/tmp/y (deleted)"); /* looked up: as it is */
	assert_string_equal(of(a_file(1)), "/tmp/y (deleted)");
}

/* Flags and lengths are the event's, which may be damaged. */
static void no_text_is_too_long(void **state)
{
	char text[NAME_SIZE_MAX + 1];

	(void)state;
	for (unsigned int flags = 0; flags < 4; flags++)
		for (size_t length = NAME_SIZE_MAX - 20; length < sizeof(text); length++) {
			memset(text, 'x', length);
			text[length] = '\0';
			sent(a_file(1), FDT_OP_OPEN, flags, text);
			assert_true(strlen(of(a_file(1))) < NAME_SIZE_MAX);
		}
}

static void the_origin_is_known(void **state)
{
	struct fdt_file file = a_file(1);
	enum name_origin origin;

	(void)state;
	assert_null(of(file));
	sent(file, FDT_OP_OPEN, 0, "/a");
	assert_non_null(names_get(&names, file.file, file.inode, file.dev, &origin));
	assert_int_equal(origin, NAME_AS_OPENED);
	sent(file, 0, 0, "/a");
	assert_non_null(names_get(&names, file.file, file.inode, file.dev, &origin));
	assert_int_equal(origin, NAME_LOOKED_UP);
	assert_int_equal(names_now(&names), 1); /* the same name takes no room */
}

/* The address of a closed file is that of the next, and a file system gives an inode anew. */
static void a_closed_file_keeps_the_name_it_had(void **state)
{
	struct fdt_file file = a_file(1);
	uint64_t key = key_of(file);
	uint32_t first, second;

	(void)state;
	sent(file, FDT_OP_OPEN, 0, "/orders.db");
	first = names_now(&names);
	sent(file, FDT_OP_OPEN, 0, "/access.log");
	second = names_now(&names);
	sent(file, FDT_OP_OPEN, 0, "/third");
	assert_string_equal(names_get_key(&names, key, first), "/orders.db");
	assert_string_equal(names_get_key(&names, key, second), "/access.log");
	assert_string_equal(names_get_key(&names, key, names_now(&names)), "/third");
	assert_null(names_get_key(&names, key, 0)); /* closed before it was known */
	assert_string_equal(of(file), "/third");
}

static void only_the_last_names_are_kept(void **state)
{
	struct fdt_file file = a_file(1);
	uint32_t first;

	(void)state;
	sent(file, FDT_OP_OPEN, 0, "/first");
	first = names_now(&names);
	for (uint64_t i = 2; i <= NAMES_MAX; i++)
		sent(a_file(i), FDT_OP_OPEN, 0, "/other");
	assert_string_equal(names_get_key(&names, key_of(file), first), "/first");
	sent(file, FDT_OP_OPEN, 0, "/second");
	assert_string_equal(of(file), "/second");
	assert_null(names_get_key(&names, key_of(file), first));
	sent(a_file(NAMES_MAX + 1), FDT_OP_OPEN, 0, "/other");
	assert_null(of(a_file(2)));
	assert_string_equal(of(file), "/second");
}

static void without_memory_no_name_rather_than_an_old_one(void **state)
{
	(void)state;
	sent(a_file(1), FDT_OP_OPEN, 0, "/old");
	mem.max_bytes = mem.used_bytes;
	sent(a_file(1), FDT_OP_OPEN, 0, "/new");
	assert_null(of(a_file(1)));
}

/* --- the engine --- */

static struct {
	unsigned int asked;
	const char *text; /* NULL: it cannot be found out */
	char told[64];    /* by the last change */
} kernel;

static int answer(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file, char *buffer,
		  size_t size)
{
	(void)ctx, (void)pid, (void)fd, (void)file;
	kernel.asked++;
	if (!kernel.text)
		return -ESTALE;
	snprintf(buffer, size, "%s", kernel.text);
	return 0;
}

static void on_change(void *ctx, const struct change *change)
{
	(void)ctx;
	snprintf(kernel.told, sizeof(kernel.told), "%s",
		 change->descriptor.name ? change->descriptor.name : "");
}

static const struct engine_host host = { .name = answer };
static const struct engine_listener changes = { .change = on_change };

static void start(struct stream *s)
{
	struct engine_options options = stream_options(s, ENGINE_PID);

	memset(&kernel, 0, sizeof(kernel));
	*s = (struct stream){ .now_ns = 1000 * S };
	options.host = &host;
	options.listener = &changes;
	assert_int_equal(engine_new(&options, &s->engine), 0);
}

static void opened_as(struct stream *s, uint64_t number, const char *text)
{
	struct a_name e;

	fill(&e, a_file(number), FDT_OP_OPEN, 0, text);
	stream_apply(s, &e);
	opens(s, PID, 3, number);
}

static const char *name_of(struct stream *s)
{
	return slots_name(s->engine, map_get(&s->engine->tables, TABLE), 3);
}

static void a_change_is_told_with_the_name_of_the_open(void **state)
{
	struct fdt_file file = a_file(1);
	struct stream s;

	(void)state;
	start(&s);
	kernel.text = "/renamed";
	opened_as(&s, 1, "/opened");
	assert_string_equal(kernel.told, "/opened");
	assert_true(engine_knows_name(s.engine, &file));
	closes(&s, PID, 3);
	assert_string_equal(kernel.told, "/opened");
	assert_int_equal(kernel.asked, 0);
	stream_end(&s);
}

/* As a_closed_file_keeps_the_name_it_had(), by what the number held. */
static void a_generation_that_ended_keeps_its_name(void **state)
{
	const struct ended *ended;
	struct stream s;

	(void)state;
	start(&s);
	opened_as(&s, 1, "/orders.db");
	closes(&s, PID, 3);
	opened_as(&s, 1, "/access.log");
	ended = ended_at(&s.engine->ended,
			 fdtable_slot(map_get(&s.engine->tables, TABLE), 3)->ended);
	assert_string_equal(names_get_key(&s.engine->names, ended->name, ended->named),
			    "/orders.db");
	stream_end(&s);
}

static void a_finding_asks_once_what_the_file_is_called_now(void **state)
{
	struct stream s;

	(void)state;
	start(&s);
	kernel.text = "/opened (deleted)";
	opened_as(&s, 1, "/opened");
	assert_string_equal(name_of(&s), "/opened (deleted)");
	assert_string_equal(name_of(&s), "/opened (deleted)");
	assert_int_equal(kernel.asked, 1);
	stream_end(&s);
}

static void without_an_answer_the_name_of_the_open_stays(void **state)
{
	struct stream s;

	(void)state;
	start(&s);
	opened_as(&s, 1, "/opened");
	assert_string_equal(name_of(&s), "/opened");
	assert_string_equal(name_of(&s), "/opened");
	assert_int_equal(kernel.asked, 1);
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_kernel_sends_reads_as_a_look_up_does,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_text_is_too_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_origin_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_file_keeps_the_name_it_had, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(only_the_last_names_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_no_name_rather_than_an_old_one,
						set_up, tear_down),
		cmocka_unit_test(a_change_is_told_with_the_name_of_the_open),
		cmocka_unit_test(a_generation_that_ended_keeps_its_name),
		cmocka_unit_test(a_finding_asks_once_what_the_file_is_called_now),
		cmocka_unit_test(without_an_answer_the_name_of_the_open_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
