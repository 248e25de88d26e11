/*
 * leave: why a stream ended. Each reason is a word in the log line and a label of the counter.
 */
#ifndef ROWTAIL_LEAVE_H
#define ROWTAIL_LEAVE_H

enum leave_reason {
	LEAVE_CLIENT, /* the peer closed */
	LEAVE_ABORT, /* FCGI_ABORT_REQUEST */
	LEAVE_AGE, /* --max-stream-age */
	LEAVE_STALL, /* --stall-timeout */
	LEAVE_SHUTDOWN,
	LEAVE_REVOKED, /* its grant was deleted */
	LEAVE_EXPIRED, /* its grant or token expired */
	LEAVE_CUT, /* a partly sent record is no longer in the log */
	LEAVE_PROTOCOL, /* the peer sent data that is not FastCGI */
	LEAVE_MEMORY,
	LEAVE_ANSWERED, /* a poll has its answer */
	LEAVE_UNREADABLE, /* a poll's rows could not be read in time */
	LEAVE_ENDED, /* it has the end of every channel that it follows */
};
enum { LEAVE_REASONS = LEAVE_ENDED + 1 };

/* "client", "abort", … in the order of the reasons; NULL at the end. */
extern const char *const leave_names[];

#endif
