/*
 * row: the contents of the torture run's rows, from which a receiver can tell what is missing.
 *
 * A row belongs to a key, which is a channel with an event type. The rows of a key are numbered
 * consecutively in the order of the log. Its data is "KEY NUMBER BEFORE LINES LENGTH fill", where
 * BEFORE is the id of the key's row before it (0: none; or ROW_SAME_COMMIT), LINES how many further
 * lines follow, each "NUMBER", and LENGTH how many bytes of fill end the first line, all of them
 * one letter.
 *
 * Used by the writer and by the checker; does no I/O.
 */
#ifndef TORTURE_ROW_H
#define TORTURE_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ROW_CHANNELS = 16, /* "a/0" to "a/3", …, "d/3" */
	ROW_TYPES = 4, /* a plain message, "x", "y", "z" */
	ROW_KEYS = ROW_CHANNELS * ROW_TYPES,
	ROW_HEAD_MAX = 100, /* everything except the fill */
	ROW_FILL_MAX = 2 << 20,
	ROW_LINES_MAX = 20,
};

/* As BEFORE: the row before was published in the same transaction, when it had no id yet. */
#define ROW_SAME_COMMIT INT64_MAX

struct row {
	int key; /* channel * ROW_TYPES + type */
	int64_t number; /* 1, 2, … */
	int64_t before; /* an id */
	int lines;
	int64_t length;
};

/* "a/0" and so on; "" for a plain message. Valid until the next call. */
const char *row_channel(int key);
const char *row_type(int key);

/* Writes the data to out[0..ROW_HEAD_MAX + length + lines * 22); returns its length. */
size_t row_write(char *out, const struct row *r);

/*
 * Reads the first line: its first `have` bytes of `total`. False if row_write() did not write it;
 * the fill is checked as far as it is present.
 */
bool row_read(struct row *r, const char *text, size_t have, size_t total);

/* Whether this is a further line of the row. */
bool row_is_line(const struct row *r, const char *text, size_t have, size_t total);

#endif
