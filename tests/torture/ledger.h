/*
 * ledger: one client of the torture run, and what it is owed.
 *
 * Reads the lines of its event streams, over all its connections, and holds each row against what
 * came before: of every key it knows the last row, and each row tells which one was before it. So
 * what was lost shows at the next row of the key, and at the end against the log itself. Does no
 * I/O.
 *
 * Source: HTML Standard, section 9.2.6 (interpreting an event stream), for what a server that ends
 * its lines with LF sends.
 */
#ifndef TORTURE_LEDGER_H
#define TORTURE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "row.h"

/* Counted over all clients. The first group is what must not happen. */
struct ledger_tally {
	int64_t lost;
	int64_t twice;
	int64_t disorder; /* a row below the client's position that it had not had; a position back */
	int64_t foreign; /* a row that the filter does not ask for */
	int64_t corrupt; /* a row whose text is not what its head says */
	int64_t garbage; /* lines that are no field of an event stream */
	int64_t needless; /* a gap of deleted rows, and this client had had them all */
	int64_t untold; /* a row that it had is gone from the log, and no gap told of another file */

	int64_t rows;
	int64_t positions;
	int64_t gaps[3]; /* announced: for rows deleted, for a file replaced, for another reason */
	int64_t owed; /* of the first: a row of this client's was behind its position; the next rows tell */
	int64_t restored; /* below it nobody knows what was lost with the old file, nor what is owed */
};

enum { LEDGER_PRUNED, LEDGER_REPLACED, LEDGER_OTHER };

struct ledger {
	const char *name; /* in messages */
	uint64_t filter; /* one bit for each key */
	bool by_type; /* it follows some types only; a gap may be for others of its channels */
	int64_t position; /* the last event ID; -1 before the first */
	int64_t base; /* nothing at or below it is owed any more: where it began, or the last gap */
	int64_t gap_from; /* where it was when a gap of deleted rows came */
	uint64_t gap_keys; /* keys whose next row is still to tell whether that was owed; 0: none */
	int64_t last_id[ROW_KEYS]; /* 0: none yet */
	int64_t last_number[ROW_KEYS]; /* 0: not known */

	/* The event that is being read. */
	bool first; /* of its connection */
	enum { LEDGER_ROW, LEDGER_POSITION, LEDGER_GAP } kind;
	char type; /* '\0' for a plain message */
	int64_t id; /* -1: none */
	int reason;
	int data_lines;
	bool whole;
	struct row row;
};

/* Begins without a position. */
void ledger_init(struct ledger *l, const char *name, uint64_t filter);

/* A new connection: what was read of an unfinished event is dropped. */
void ledger_connected(struct ledger *l);

/* Takes a line, as answer_line_fn has it, and counts. What is wrong is also told on standard error. */
void ledger_line(
	struct ledger *l, const char *text, size_t have, size_t total, struct ledger_tally *t);

/* At the end: of each key the last id and number in the log. */
void ledger_close(struct ledger *l, const int64_t last_id[ROW_KEYS],
	const int64_t last_number[ROW_KEYS], struct ledger_tally *t);

#endif
