/*
 * ledger: one client of the torture run, and the rows that it must receive.
 *
 * Reads the lines of its event streams, over all its connections, and checks each row against the
 * previous ones: it knows the last row of every key, and each row names the row before it. A lost
 * row therefore shows at the key's next row, or at the end by comparison with the log. What other
 * clients received under the same id is in the tally. Does no I/O.
 *
 * Source: HTML Standard, section 9.2.6 (interpreting an event stream), for a server that ends its
 * lines with LF.
 */
#ifndef TORTURE_LEDGER_H
#define TORTURE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "row.h"
#include "seen.h"

/* Counted over all clients. The counts in the first group must be 0. */
struct ledger_tally {
	int64_t lost;
	int64_t twice;
	int64_t disorder; /* a new row below the client's position; a position that goes back */
	int64_t foreign; /* a row that does not match the filter */
	int64_t corrupt; /* a row whose text does not match its head */
	int64_t garbage; /* lines that are not event stream fields */
	int64_t needless; /* a gap for deleted rows all of which this client had received */
	int64_t untold; /* a received row is gone from the log, and no gap reported another file */
	int64_t unlike; /* another client, or this one before, had another row with this id */

	int64_t rows;
	int64_t positions;
	int64_t gaps[3]; /* announced: for rows deleted, for a file replaced, for another reason */
	int64_t owed; /* of the first: a row of this client was after its position */
	int64_t restored; /* below it nothing is known about rows lost with the old file */
	int64_t denied; /* streams that ended since their grant did */
	struct seen *seen; /* the rows of all clients; the caller's, or NULL */
};

enum { LEDGER_PRUNED, LEDGER_REPLACED, LEDGER_OTHER };

struct ledger {
	const char *name; /* in messages */
	uint64_t filter; /* one bit for each key */
	bool by_type; /* it follows some types only; a gap may be for others of its channels */
	int64_t position; /* the last event ID; -1 before the first */
	int64_t base; /* no row at or below it is still expected: where it began, or the last gap */
	int64_t gap_from; /* its position when a gap for deleted rows arrived */
	int64_t gap_until; /* the newest id at the last gap: rows up to it may be missing */
	uint64_t gap_keys; /* keys whose next row will show whether that gap was needed; 0: none */
	int64_t last_id[ROW_KEYS]; /* 0: none yet */
	int64_t last_number[ROW_KEYS]; /* 0: not known */

	/* The event that is being read. */
	bool first; /* of its connection */
	enum { LEDGER_ROW, LEDGER_POSITION, LEDGER_GAP, LEDGER_DENIED } kind;
	char type; /* '\0' for a plain message */
	int64_t id; /* -1: none */
	int reason;
	int64_t newest; /* of a gap */
	int data_lines;
	uint64_t hash; /* of type and data */
	bool whole;
	struct row row;
};

/* Starts without a position. */
void ledger_init(struct ledger *l, const char *name, uint64_t filter);

/* A new connection: drops an unfinished event. */
void ledger_connected(struct ledger *l);

/* Takes a line, like answer_line_fn, and counts. Errors are also printed on standard error. */
void ledger_line(
	struct ledger *l, const char *text, size_t have, size_t total, struct ledger_tally *t);

/* At the end: the last id and number of each key in the log. */
void ledger_close(struct ledger *l, const int64_t last_id[ROW_KEYS],
	const int64_t last_number[ROW_KEYS], struct ledger_tally *t);

#endif
