/*
 * Shared by postgresql.c (one connection), postgresql_connect.c (connection strings) and
 * postgresql_rows.c (questions and rows), and used by no others. Only these three know PostgreSQL.
 */
#ifndef ROWTAIL_MIRROR_POSTGRESQL_IMPL_H
#define ROWTAIL_MIRROR_POSTGRESQL_IMPL_H

#include <libpq-fe.h>

#include "mirror/source.h"

enum { PARAMETERS = 2 };

/* Begins a connection, after so many of the hosts. NULL if there is no memory. */
PGconn *postgresql_begin(const char *text, unsigned host);

/* The SQL of a question, and how many parameters it has; all are int8. */
const char *postgresql_question(enum source_question question);
int postgresql_parameters(enum source_question question);

/* What each session begins with. */
const char *postgresql_setup(int server_version);

/* Writes an error of the server, and what to do about it. */
void postgresql_explain(const PGresult *result, char *text, size_t size);

/*
 * Copies a message as one line without control characters, which a server may write; at most size
 * bytes with its NUL.
 */
void postgresql_one_line(const char *message, char *text, size_t size);

enum postgresql_row {
	POSTGRESQL_CHANGE,
	POSTGRESQL_NOTHING, /* the answer to a call */
	POSTGRESQL_UNKNOWN, /* a kind that a newer postgresql.sql lists */
};
/* Reads the one row of a result, whose texts it borrows. */
enum postgresql_row postgresql_read(const PGresult *result, struct change *change);

#endif
