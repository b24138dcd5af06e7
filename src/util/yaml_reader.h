/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a YAML file into a struct by a table with one row for each key. Whatever does not fit its
 * row is an error that names file, line and column, what was found and what is expected: an unknown
 * key, a key given twice or missing, a wrong type, a value out of range. The first one in the order
 * of the file is reported.
 */
#ifndef FDTRACE_UTIL_YAML_READER_H
#define FDTRACE_UTIL_YAML_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "util/yaml_tree.h"

#define YAML_TEXT_MAX 4095 /* bytes of a text */

struct error;

/* One file. Zeroed, but for error, which is filled by every function that fails. */
struct yaml_reader {
	struct error *error;
	void *ctx;      /* the caller's, for its callbacks */
	char name[128]; /* the file's, safe to print */
	struct yaml_tree tree;
};

/* What stands in the file, and what the field is. */
enum yaml_type {
	YAML_TEXT,    /* const char *, which lives as long as the tree; never empty */
	YAML_BOOL,    /* bool: true or false */
	YAML_WORD,    /* unsigned int or an enum: the index in `words` */
	YAML_NUMBER,  /* uint64_t; a text that `take` understands */
	YAML_OTHER,   /* a text of which `take` makes what it likes; without one it is ignored */
	YAML_TEXTS,   /* const char **: a list of texts */
	YAML_RECORD,  /* a struct with rows of its own: a mapping */
	YAML_RECORDS, /* an array of such structs: a list of mappings */
};

struct yaml_row {
	const char *key; /* NULL: after the last row */
	enum yaml_type type;
	bool required;
	bool restart;      /* yaml_each_restart() */
	size_t offset;     /* of the field in the struct that the rows fill */
	size_t count;      /* lists: offset of the unsigned int that counts the entries */
	uint64_t min, max; /* lists: most entries (max); numbers: for `take` */

	/* To understand a text, an entry of YAML_TEXTS too. Without one a text is stored. 0 or -errno. */
	int (*take)(struct yaml_reader *r, const struct yaml_row *row, const struct yaml_node *node,
		    void *field);
	const char *const *words; /* YAML_WORD: ends with NULL */

	/* Records: the rows of the struct, or what copies row `index`, false after the last. */
	const struct yaml_row *rows;
	bool (*row_at)(size_t index, struct yaml_row *ret_row);
	/* Of a record whose keys were all taken: do they fit together? May be NULL. 0 or -errno. */
	int (*check)(struct yaml_reader *r, const struct yaml_node *node, void *record);
	size_t size;          /* YAML_RECORDS: of one record */
	const void *standard; /* YAML_RECORDS: how a record begins; NULL: zeroed */

	const char *remedy; /* if it is missing or has an unknown key, in words; may be NULL */
};

/*
 * Opens and parses the file; `pipes`: it need not be a regular one. 0, or -errno with the error
 * filled: -ENOENT and the like, -EISDIR, -EFBIG, -EINVAL, -ENOMEM. The caller calls
 * yaml_reader_done() in each case.
 */
int yaml_reader_open(struct yaml_reader *r, const char *path, bool pipes);

/* Frees the texts and lists that were read. */
void yaml_reader_done(struct yaml_reader *r);

/*
 * Fills the record, which holds the standard values, by a row of type YAML_RECORD or YAML_RECORDS
 * for the whole file; offsets of that row are not used. An empty file and an empty list change
 * nothing. 0 or -errno.
 */
int yaml_reader_fill(struct yaml_reader *r, const struct yaml_row *row, void *record);

/* For callbacks: reports what is wrong with the node. Returns -EINVAL. The remedy may be NULL. */
int yaml_refuse(struct yaml_reader *r, const struct yaml_node *node, const char *remedy,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

/* For callbacks: the value of the key in the mapping; NULL: it is not there. */
const struct yaml_node *yaml_value(const struct yaml_node *mapping, const char *key);

/*
 * Calls `changed` with the name ("metrics.listen") of each row marked `restart` in which two
 * records of these rows differ. Lists and YAML_OTHER are not compared.
 */
void yaml_each_restart(const struct yaml_row *rows, const void *in_force, const void *next,
		       void (*changed)(void *ctx, const char *name), void *ctx);

#endif
