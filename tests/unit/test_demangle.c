// SPDX-License-Identifier: BSD-2-Clause
/* Names of C++ and Rust as a stack line shows them; symbols made to explode, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "symbol/elf/demangle.h"

static const struct {
	const char *symbol, *name;
} known[] = {
	{ "_ZN2ns5Class6methodEi", "ns::Class::method" },
	{ "_ZNK2ns5ClassIiSt6vectorIiSaIiEEE6methodIdEEvT_RKSs",
	  "ns::Class<int, std::vector<int, std::allocator<int> > >::method<double>" },
	{ "_ZZN2ns1fEvENKUlvE_clEv", "ns::f()::{lambda()#1}::operator()" },
	{ "_ZN2ns5ClassD0Ev", "ns::Class::~Class" },
	{ "_Znwm", "operator new" },
	{ "_Z3foov.constprop.0", "foo" },
	{ "_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo" },
	{ "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad" },
	{ "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.llvm.12", "core::fmt::Formatter::pad" },
	{ "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$"
	  "3fmt17h0123456789abcdefE",
	  "<alloc::string::String as core::fmt::Display>::fmt" },
	{ "_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar" },
	{ "_RNvMs_NtCs1234_7mycrate3fooNtB4_3Bar3baz", "<mycrate::foo::Bar>::baz" },
	{ "_RINvCs1_1a1bjE", "a::b::<usize>" },
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static void reads_well(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		char *name = demangle(known[i].symbol);

		assert_non_null(name);
		assert_string_equal(name, known[i].name);
		free(name);
	}
}

static void others_are_their_own_names(void **state)
{
	/* C, D and Ada names, fragments: nothing is guessed at */
	static const char *const symbol[] = { "qsort",
					      "",
					      "_",
					      "_Z",
					      "_R",
					      "_ZN",
					      "_D3foo3barFZv",
					      "main",
					      "_ada_main",
					      "__libc_start_main",
					      "f__g" };

	(void)state;
	for (size_t i = 0; i < sizeof(symbol) / sizeof(symbol[0]); i++)
		assert_null(demangle(symbol[i]));
}

/* P<P<P<Q<int>, the same>, the same>, the same> ...: each level doubles the name. */
static void doubling(char *symbol, unsigned int levels)
{
	static const char digit[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char *at = stpcpy(symbol, "_Z1fI");

	for (unsigned int i = 0; i < levels; i++)
		at = stpcpy(at, "1PI");
	at = stpcpy(at, "1QIiE");
	/* candidates for substitution, in order: f, each P, Q, Q<int>, the pairs from within */
	for (unsigned int i = levels + 2; i <= 2 * levels + 1; i++)
		at += i <= 36 ? sprintf(at, "S%c_E", digit[i - 1])
			      : sprintf(at, "S%c%c_E", digit[(i - 1) / 36], digit[(i - 1) % 36]);
	strcpy(at, "Evv");
}

static void explosions_are_given_up(void **state)
{
	char symbol[DEMANGLE_MAX + 1], *name;

	(void)state;
	doubling(symbol, 3);
	name = demangle(symbol);
	assert_non_null(name);
	assert_string_equal(name, "f<P<P<P<Q<int>, Q<int> >, P<Q<int>, Q<int> > >, "
				  "P<P<Q<int>, Q<int> >, P<Q<int>, Q<int> > > > >");
	free(name);
	for (unsigned int levels = 20; levels < 120; levels++) {
		doubling(symbol, levels);
		assert_null(demangle(symbol));
	}
	/* depth: too long, and as long as may be */
	char deep[2 * DEMANGLE_MAX];

	memset(deep, 'P', sizeof(deep));
	memcpy(deep, "_Z1f", 4);
	strcpy(deep + sizeof(deep) - 2, "i");
	assert_null(demangle(deep));
	strcpy(deep + DEMANGLE_MAX - 1, "i");
	name = demangle(deep);
	assert_non_null(name);
	assert_string_equal(name, "f");
	free(name);
}

static void mutate(char *symbol, unsigned int *seed)
{
	static const char letters[] = "_ZRNSTEIBCJLMKPXYiu0123456789svc$.tpD";
	size_t length = strlen(symbol);

	for (unsigned int n = rand_r(seed) % 6 + 1; n > 0; n--)
		symbol[2 + rand_r(seed) % (length - 2)] =
			letters[rand_r(seed) % (sizeof(letters) - 1)];
}

static void survives_damaged_symbols(void **state)
{
	unsigned int seed = 1, named = 0;
	char symbol[DEMANGLE_MAX + 1], *name;

	(void)state;
	for (unsigned int round = 0; round < 200000; round++) {
		if (round % 16 == 0)
			doubling(symbol, rand_r(&seed) % 60);
		else
			strcpy(symbol, known[rand_r(&seed) % KNOWN].symbol);
		mutate(symbol, &seed);
		name = demangle(symbol);
		assert_true(!name || (name[0] && strlen(name) <= DEMANGLE_NAME_MAX));
		named += name != NULL;
		free(name);
	}
	assert_in_range(named, 10000,
			190000); /* else the damage is too light or too heavy to test anything */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_well),
		cmocka_unit_test(others_are_their_own_names),
		cmocka_unit_test(explosions_are_given_up),
		cmocka_unit_test(survives_damaged_symbols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
