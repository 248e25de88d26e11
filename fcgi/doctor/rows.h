/*
 * rows: test rows in a channel of the doctor's own, and a token that is granted it.
 *
 * Writes to the log that --db names. rows_end() removes everything again, and readers of other
 * channels get no gap for that. The next doctor removes the rows of one that was killed.
 */
#ifndef ROWTAIL_DOCTOR_ROWS_H
#define ROWTAIL_DOCTOR_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rows;

/*
 * Opens the log, and grants a new token the channels rowtail-doctor/RANDOM/…. NULL on failure, with
 * a sentence that says why.
 */
struct rows *rows_begin(const char *path, char *sentence, size_t size);

/* "rowtail-doctor/RANDOM/rows" or ".../leaving". */
const char *rows_channel(const struct rows *r, bool leaving);

/* The token. */
const char *rows_token(const struct rows *r);

/* The newest id before the doctor's first row. */
int64_t rows_position(const struct rows *r);

/* Inserts and commits one row. False if it fails. */
bool rows_insert(struct rows *r, bool leaving, const char *data);

/* Removes everything, and frees r. Returns false with a sentence if removing fails. */
bool rows_end(struct rows *r, char *sentence, size_t size);

#endif
