// SPDX-License-Identifier: BSD-2-Clause
#include "run/meta.h"

#include <stdio.h>
#include <string.h>

static const char *const mode_names[] = {
	[ENGINE_PID] = "pid", [ENGINE_COMMAND] = "command", [ENGINE_ALL] = "all"
};

const char *engine_mode_name(enum engine_mode mode)
{
	return mode_names[mode];
}

#define TEXT_SIZE 512

struct writer {
	void (*emit)(void *ctx, const void *event, size_t size);
	void *ctx;
};

static void write_text(void *ctx, const char *text)
{
	const struct writer *w = ctx;
	_Alignas(8) char buffer[sizeof(struct fdt_meta) + TEXT_SIZE] = { 0 };
	struct fdt_meta *meta = (struct fdt_meta *)buffer;
	size_t length = strnlen(text, TEXT_SIZE);

	meta->head.kind = FDT_META;
	meta->head.size = (__u16)(sizeof(*meta) + length);
	memcpy(meta->text, text, length);
	w->emit(w->ctx, meta, meta->head.size);
}

static void write_settings(struct writer *w, const struct settings *settings)
{
	size_t count;
	const struct setting *row = settings_table(&count);

	for (size_t i = 0; i < count; i++, row++) {
		char value[32], text[96];

		setting_format(row, setting_value(row, settings), value, sizeof(value));
		snprintf(text, sizeof(text), "set.%s=%s", row->key, value);
		write_text(w, text);
	}
}

void meta_write(const struct run_meta *meta,
		void (*emit)(void *ctx, const void *event, size_t size), void *ctx)
{
	struct writer w = { .emit = emit, .ctx = ctx };
	char rules[TEXT_SIZE] = "rules=";

	hostinfo_each(&meta->host, write_text, &w);
	write_settings(&w, &meta->settings);
	rule_set_format(meta->rules, rules + 6, sizeof(rules) - 6);
	write_text(&w, rules);
}

void meta_text(const char *text, void (*emit)(void *ctx, const void *event, size_t size), void *ctx)
{
	struct writer w = { .emit = emit, .ctx = ctx };

	write_text(&w, text);
}

static void read_mode(struct run_meta *meta, const char *name)
{
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
		if (strcmp(name, mode_names[i]) == 0)
			meta->mode = (enum engine_mode)i;
	}
}

void meta_read(struct run_meta *meta, const struct fdt_meta *event, size_t size)
{
	size_t length = size - sizeof(*event), bad_length;
	char text[TEXT_SIZE + 1];
	const char *bad;

	if (length > TEXT_SIZE)
		return;
	memcpy(text, event->text, length);
	text[length] = '\0';
	hostinfo_parse(&meta->host, event->text, length);
	/* a newer version may know more: what this one does not know stays at its default */
	if (strncmp(text, "set.", 4) == 0)
		settings_parse(&meta->settings, text + 4, NULL);
	else if (strncmp(text, "rules=", 6) == 0)
		rule_set_parse(text + 6, &meta->rules, &bad, &bad_length);
	else if (strncmp(text, "mode=", 5) == 0)
		read_mode(meta, text + 5);
}
