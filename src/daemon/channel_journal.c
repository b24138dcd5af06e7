// SPDX-License-Identifier: BSD-2-Clause
/*
 * journald's native protocol: one datagram of fields, "NAME=value\n", or where a value holds a
 * newline "NAME\n", its length as 64 bits little-endian, value, "\n"
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL).
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/channel_private.h"

#define FIELDS_MAX 8

struct field {
	const char *name, *value;
	size_t length;
};

static size_t put_bytes_of_field(char *out, const void *data, size_t size)
{
	memcpy(out, data, size);
	return size;
}

/* At most strlen(name) + 10 + length bytes. */
static size_t put_field(char *out, const struct field *field)
{
	uint64_t length = htole64(field->length);
	size_t done = put_bytes_of_field(out, field->name, strlen(field->name));

	if (memchr(field->value, '\n', field->length)) {
		out[done++] = '\n';
		done += put_bytes_of_field(out + done, &length, sizeof(length));
	} else {
		out[done++] = '=';
	}
	done += put_bytes_of_field(out + done, field->value, field->length);
	out[done++] = '\n';
	return done;
}

static struct waiting *put_fields(const struct field *fields, unsigned int count)
{
	size_t size = 0;
	struct waiting *w;

	for (unsigned int i = 0; i < count; i++)
		size += strlen(fields[i].name) + 10 + fields[i].length;
	w = waiting_new(size);
	if (!w)
		return NULL;
	w->size = 0;
	for (unsigned int i = 0; i < count; i++)
		w->size += put_field(w->data + w->size, &fields[i]);
	return w;
}

static unsigned int add_field(struct field *fields, unsigned int count, const char *name,
			      const char *value)
{
	if (!value)
		return count;
	fields[count] = (struct field){ name, value, strlen(value) };
	return count + 1;
}

static struct waiting *journal_form(struct channel *c, const struct line *line)
{
	struct field fields[FIELDS_MAX];
	unsigned int count = 0;
	char priority[12];

	(void)c;
	snprintf(priority, sizeof(priority), "%u", line_priority(line));
	count = add_field(fields, count, "MESSAGE", line->message ? line->message : "");
	count = add_field(fields, count, "PRIORITY", priority);
	count = add_field(fields, count, "SYSLOG_IDENTIFIER", "fdtrace");
	count = add_field(fields, count, "FDTRACE_RULE", line->rule);
	count = add_field(fields, count, "FDTRACE_FINGERPRINT", line->fingerprint);
	count = add_field(fields, count, "FDTRACE_SEVERITY",
			  line->is_finding ? severity_name(line->severity) : NULL);
	count = add_field(fields, count, "FDTRACE_PID", line->pid);
	count = add_field(fields, count, "FDTRACE_JSON", "");
	fields[count - 1].value = line->json;
	fields[count - 1].length = line->length;
	if (line->length && line->json[line->length - 1] == '\n')
		fields[count - 1].length--;
	return put_fields(fields, count);
}

const struct kind kind_journal = { .name = "journal",
				   .usual_path = "/run/systemd/journal/socket",
				   .open = socket_open,
				   .for_good = socket_for_good,
				   .remedy = socket_remedy,
				   .form = journal_form,
				   .send = socket_send };
