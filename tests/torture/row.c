/* row: see row.h. */
#include "row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *row_channel(int key)
{
	static char name[4];
	int channel = key / ROW_TYPES;

	snprintf(name, sizeof name, "%c/%c", 'a' + channel / 4 % 4, '0' + channel % 4);
	return name;
}

const char *row_type(int key)
{
	static const char *const types[ROW_TYPES] = {"", "x", "y", "z"};

	return types[key % ROW_TYPES];
}

static char fill(const struct row *r)
{
	return (char)('A' + (r->number + r->key) % 26);
}

size_t row_write(char *out, const struct row *r)
{
	size_t length =
		(size_t)snprintf(out, ROW_HEAD_MAX, "%d %" PRId64 " %" PRId64 " %d %" PRId64 " ",
			r->key, r->number, r->before, r->lines, r->length);

	memset(out + length, fill(r), (size_t)r->length);
	length += (size_t)r->length;
	for (int i = 0; i < r->lines; i++)
		length += (size_t)snprintf(out + length, 22, "\n%" PRId64, r->number);
	return length;
}

static bool take_number(const char **at, int64_t *number, int64_t max)
{
	char *end;

	*number = strtoll(*at, &end, 10);
	if (end == *at || *end != ' ' || *number < 0 || *number > max)
		return false;
	*at = end + 1;
	return true;
}

bool row_read(struct row *r, const char *text, size_t have, size_t total)
{
	char head[ROW_HEAD_MAX + 1] = "";
	const char *at = head;
	int64_t key, lines;
	size_t head_length;

	memcpy(head, text, have < ROW_HEAD_MAX ? have : ROW_HEAD_MAX);
	if (!take_number(&at, &key, ROW_KEYS - 1) || !take_number(&at, &r->number, INT64_MAX) ||
		!take_number(&at, &r->before, INT64_MAX) ||
		!take_number(&at, &lines, ROW_LINES_MAX) ||
		!take_number(&at, &r->length, ROW_FILL_MAX))
		return false;
	r->key = (int)key;
	r->lines = (int)lines;
	head_length = (size_t)(at - head);
	if (head_length + (size_t)r->length != total)
		return false;
	for (size_t i = head_length; i < have; i++)
		if (text[i] != fill(r))
			return false;
	return true;
}

bool row_is_line(const struct row *r, const char *text, size_t have, size_t total)
{
	char wanted[22];
	int length = snprintf(wanted, sizeof wanted, "%" PRId64, r->number);

	return have == total && total == (size_t)length && memcmp(text, wanted, total) == 0;
}
