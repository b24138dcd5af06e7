// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/language.h"

#include <errno.h>
#include <stdlib.h>

#include "symbol/python/python_language.h"

static const struct language_ops *const table[LANGUAGE_COUNT] = {
	[LANGUAGE_PYTHON] = &python_language,
};

struct languages {
	void *state[LANGUAGE_COUNT];
};

const struct language_ops *language_ops(unsigned int language)
{
	return language < LANGUAGE_COUNT ? table[language] : NULL;
}

/* ---- files ---- */

/* 1: this is its interpreter; 0 or -ENOMEM. */
static int language_try(const struct language_ops *ops, struct elf_file *file,
			struct language_found *found)
{
	void *parameters = calloc(1, ops->parameters_size);
	int verdict = parameters ? ops->recognise(file, parameters, found->description,
						  sizeof(found->description))
				 : -ENOMEM;

	if (verdict == 1)
		found->parameters = parameters;
	else
		free(parameters);
	if (!verdict || verdict == -ENOMEM)
		return verdict;
	found->ops = ops;
	found->is_supported = verdict == 1;
	return 1;
}

int language_recognise(struct elf_file *file, struct language_found *ret_found)
{
	int verdict = 0;

	*ret_found = (struct language_found){ 0 };
	for (unsigned int i = 0; !verdict && i < LANGUAGE_COUNT; i++)
		if (table[i])
			verdict = language_try(table[i], file, ret_found);
	return verdict < 0 ? verdict : 0;
}

void language_found_done(struct language_found *found)
{
	free(found->parameters);
	*found = (struct language_found){ 0 };
}

/* ---- functions ---- */

int languages_new(struct languages **ret_languages)
{
	struct languages *languages = calloc(1, sizeof(*languages));
	int err = languages ? 0 : -ENOMEM;

	for (unsigned int i = 0; !err && i < LANGUAGE_COUNT; i++)
		if (table[i])
			err = table[i]->state_new(&languages->state[i]);
	if (err)
		languages_free(languages);
	else
		*ret_languages = languages;
	return err;
}

void languages_free(struct languages *languages)
{
	for (unsigned int i = 0; languages && i < LANGUAGE_COUNT; i++)
		if (table[i])
			table[i]->state_free(languages->state[i]);
	free(languages);
}

int languages_note(struct languages *languages, const struct fdt_code *record)
{
	unsigned int language = FDT_INTERPRETER_LANGUAGE(record->interpreter);
	const struct language_ops *ops = language_ops(language);

	return ops ? ops->note(languages->state[language], record) : -EINVAL;
}

int languages_resolve(struct languages *languages, const void *parameters, uint64_t space,
		      const struct fdt_frame *frame, struct language_frame *ret_frame)
{
	const struct language_ops *ops = language_ops(frame->language);

	*ret_frame = (struct language_frame){ 0 };
	if (!ops)
		return -ENOENT;
	return ops->resolve(languages->state[frame->language], parameters, space, frame, ret_frame);
}
