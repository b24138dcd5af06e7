// SPDX-License-Identifier: BSD-2-Clause
/* The hash map against a naive one: random operations on few keys, so that probes collide and gaps close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

#define KEYS 500

static uint64_t key_of(unsigned int i)
{
	return i % 2 ? 0xffff888000000000ull + i * 704 : i; /* like addresses, like pids */
}

static void agrees_with_naive(void **state)
{
	struct mem mem = { 0 };
	struct map map = { 0 };
	char places[KEYS], *naive[KEYS] = { 0 };
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		unsigned int i = rand_r(&seed) % KEYS;

		if (rand_r(&seed) % 2) {
			assert_int_equal(map_put(&mem, &map, key_of(i), &places[i]), 0);
			naive[i] = &places[i];
		} else {
			assert_ptr_equal(map_remove(&map, key_of(i)), naive[i]);
			naive[i] = NULL;
		}
		i = rand_r(&seed) % KEYS;
		assert_ptr_equal(map_get(&map, key_of(i)), naive[i]);
	}
	map_done(&mem, &map);
	assert_int_equal(mem.used_bytes, 0);
}

static void visits_each_once(void **state)
{
	struct mem mem = { 0 };
	struct map map = { 0 };
	int seen[100] = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(map_put(&mem, &map, key_of(i), &seen[i]), 0);
	map_each (&map, entry)
		++*(int *)entry->value;
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
	map_done(&mem, &map);
}

static void no_memory_leaves_it_whole(void **state)
{
	struct mem mem = { .max_bytes = 64 * sizeof(struct map_entry) };
	struct map map = { 0 };
	int value, count = 0;

	(void)state;
	while (!map_put(&mem, &map, count, &value))
		count++;
	assert_int_equal(count, 48);
	for (int i = 0; i < count; i++)
		assert_ptr_equal(map_get(&map, i), &value);
	map_done(&mem, &map);
	assert_int_equal(mem.used_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_naive),
		cmocka_unit_test(visits_each_once),
		cmocka_unit_test(no_memory_leaves_it_whole),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
