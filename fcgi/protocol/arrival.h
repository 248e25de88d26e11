/*
 * arrival: says whether a complete, valid FastCGI request has arrived.
 *
 * Pure. Looks only at the bytes that a connection has brought so far, not at what the request asks.
 * Handles everything that libfcgi can't: absurd name-value lengths, management records, records of
 * other requests in between, streams that never end. So libfcgi gets only requests that it can
 * parse without waiting.
 *
 * Source: FastCGI Specification 1.0, sections 3.3 (records), 3.4 (name-value pairs), 4.1
 * (FCGI_GET_VALUES), 4.2 (FCGI_UNKNOWN_TYPE), 5.1 (FCGI_BEGIN_REQUEST), 5.2 (FCGI_PARAMS), 5.3
 * (FCGI_STDIN).
 */
#ifndef ROWTAIL_ARRIVAL_H
#define ROWTAIL_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ARRIVAL_CONTENT_MAX = 65536, /* parameters and body together, in bytes */
	ARRIVAL_BYTES_MAX = 128 * 1024, /* with record headers and padding */
};

/* Sets another limit than ARRIVAL_CONTENT_MAX, once, before anything arrives. */
void arrival_allow(size_t content);
/* The limits in effect. */
size_t arrival_content_max(void);
size_t arrival_bytes_max(void);

enum arrival_state {
	ARRIVAL_PARTIAL, /* valid so far; more must come */
	ARRIVAL_WHOLE, /* `length` bytes are one request for the responder role */
	ARRIVAL_MANAGEMENT, /* `length` bytes are one management record before any BEGIN_REQUEST */
	ARRIVAL_TOO_LARGE, /* over arrival_content_max() or _bytes_max(); request_id is set */
	ARRIVAL_BAD_ROLE, /* BEGIN_REQUEST for another role than responder; request_id is set */
	ARRIVAL_ABORTED, /* ABORT_REQUEST before the request was whole; request_id is set */
	ARRIVAL_NOT_FASTCGI, /* garbage: close the connection */
};

/*
 * The scanner remembers its place, so that a peer that sends byte by byte costs no more than one
 * that sends all at once. Its members are for arrival.c, except those named in the comments above.
 */
struct arrival {
	enum arrival_state state;
	size_t length; /* see the states */
	uint16_t request_id; /* of the BEGIN_REQUEST; 0 before it */
	uint8_t type; /* of a management record */
	size_t params_length; /* bytes up to the end of PARAMS; 0 if it has not come yet */

	size_t at; /* where the next record begins */
	size_t content; /* bytes of PARAMS and STDIN so far */
	bool begun, params_ended;
	uint8_t pair_have; /* length bytes of the current name-value pair that are read */
	uint8_t pair_lengths[8];
	uint64_t pair_left; /* bytes of the current pair still to come */
};

/* Sets up the scanner for a new connection, or for what follows a management record. */
void arrival_init(struct arrival *a);

/*
 * Looks at bytes[0..length), everything of this request that has arrived: the bytes of the last
 * call, followed by more. Returns the state, which is also in a->state; only ARRIVAL_PARTIAL may be
 * followed by another call. Checks the header of a record field by field as it arrives, and the
 * content when all of it has arrived.
 */
enum arrival_state arrival_scan(struct arrival *a, const uint8_t *bytes, size_t length);

#endif
