/*
 * journal: the log lines about one request: what it asked for, what it got, and how its stream
 * ended.
 *
 * At info a line for each stream that ended; of a crowd that ends within a second, ENDS_MOST lines
 * and the number of the others. At debug also the requests, refusals and JSON answers. Never a
 * token: only the parts of a request that are named here.
 */
#ifndef ROWTAIL_JOURNAL_H
#define ROWTAIL_JOURNAL_H

#include "request/asked.h"
#include "server/refusal.h"
#include "stream/subscriber.h"

/* For struct subscriber. user: NULL if unknown. NULL if nothing is logged or there is no memory. */
char *journal_who(const char *address, const char *user);

/* What a request asks for. */
void journal_asked(const struct request *q);

/* status: of the answer. The sentence must not quote a secret. */
void journal_refused(enum refusal reason, int status, const char *sentence);

/* Call it while the stream still has its group. */
void journal_ended(const struct subscriber *s);

/* Logs how many ends were left out. Call it about every second, and at the end. */
void journal_settle(void);

#endif
