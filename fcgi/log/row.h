/*
 * row: one row of the log, after reading and before encoding.
 *
 * Pure. Owns the rules which event types a row must not have, and which one ends its channel.
 */
#ifndef ROWTAIL_ROW_H
#define ROWTAIL_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Texts are borrowed, have lengths, and may contain anything. */
struct row {
	int64_t id;
	const char *channel;
	size_t channel_length;
	const char *event; /* NULL: a plain message */
	size_t event_length;
	const char *data;
	size_t data_length;
	int64_t retry_ms; /* -1: none */
	const char *created_at; /* NULL: unknown */
	size_t created_at_length;
};

/*
 * Is this an event type that a row must not have? EventSource uses open and error, rowtail uses
 * position, gap and denied. A view may still give such a row; it is sent as a plain message.
 */
bool row_type_is_reserved(const char *type, size_t length);

/* Does a row of this type end its channel? Only if the log can have ends: eventlog_has_ends(). */
bool row_type_is_end(const char *type, size_t length);

#endif
