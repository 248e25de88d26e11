/*
 * facts: what the doctor saw, as plain data. client and plan fill it, judge reads it.
 *
 * All times are clock_ms(); -1 stands for "never".
 */
#ifndef ROWTAIL_DOCTOR_FACTS_H
#define ROWTAIL_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/origin.h"

enum { FACTS_ROWS = 5, FACTS_FIELD = 256, FACTS_BODY = 2048 };

/* A position that no log has, and a channel that rowtail refuses: it repeats both. */
#define FACTS_POSITION "rowtail-doctor"
#define FACTS_CHANNEL "rowtail-doctor**"
#define FACTS_SLASH "rowtail-doctor/**"

/* The requests. Each opens a connection of its own. */
enum probe {
	PROBE_FIRST, /* as curl sends it, no Accept-Encoding; decides whether the others are sent */
	PROBE_PLAIN, /* the same, through the silence */
	PROBE_BROWSER, /* Accept-Encoding, Origin */
	PROBE_H2, /* HTTP/2 */
	PROBE_H2_BROWSER,
	PROBE_REPLAY, /* Accept-Encoding, and a first write of some KiB; needs --db */
	PROBE_HEADER, /* Last-Event-ID in the header */
	PROBE_QUERY, /* and in the URL */
	PROBE_POST, /* and in a form */
	PROBE_PATH, /* a channel that rowtail refuses, behind the mount */
	PROBE_SLASH, /* the same with an encoded slash in it */
	PROBE_AUTHORIZATION, /* a token with a grant; needs --db, or --header with a token */
	PROBE_COOKIE, /* the same token as a cookie */
	PROBE_PREFLIGHT,
	PROBE_HEAD,
	PROBE_JSON_1,
	PROBE_JSON_2, /* the same URL when rows have come in between */
	PROBE_OTHERS, /* while rowtail is down: as clients ask that are no EventSource */
	PROBE_BROKEN, /* no HTTP at all: the front server answers itself */
	PROBE_CONTROL, /* JSON again, once with each row: how long does an answer take that ends? */
	PROBES = PROBE_CONTROL + FACTS_ROWS
};

enum failure {
	FAILURE_NONE,
	FAILURE_RESOLVE,
	FAILURE_CONNECT,
	FAILURE_TLS,
	FAILURE_CERTIFICATE,
	FAILURE_ENCODING, /* the compressed body cannot be decoded */
	FAILURE_BROKEN, /* the connection broke */
	FAILURE_FLOOD, /* it sent more than CLIENT_MOST bytes */
};

/* What came back for one request. */
struct answer {
	bool asked;
	int64_t asked_ms;
	enum failure failure;
	char failure_text[FACTS_FIELD];

	/* The head. Status 0: none came. Version: 10, 11, 20 or 30. */
	int status, version;
	int64_t head_ms;
	char type[FACTS_FIELD], encoding[FACTS_FIELD], cache_control[FACTS_FIELD];
	char location[FACTS_FIELD], server[FACTS_FIELD], via[FACTS_FIELD], cdn[FACTS_FIELD];
	char allow_origin[FACTS_FIELD], allow_methods[FACTS_FIELD], allow_headers[FACTS_FIELD];
	char vary[FACTS_FIELD], expires[FACTS_FIELD], length[FACTS_FIELD], cache[FACTS_FIELD];
	int allow_origins; /* how many of these fields */
	bool allow_credentials, varnish;
	int64_t age_s; /* the field Age; -1 without one */

	/* The body. */
	char body[FACTS_BODY]; /* its beginning, with a NUL */
	size_t body_length; /* of what is in body */
	int64_t first_byte_ms, last_byte_ms;
	int64_t end_ms; /* -1: it was still open when the doctor closed it */

	/* The event stream in it. */
	int64_t first_record_ms;
	char first_type[FACTS_FIELD], first_data[FACTS_FIELD];
	int records, comments;
	char comment[FACTS_FIELD]; /* the first that says something */
	int64_t retry_ms; /* the last; -1 without one */
	bool ended_with_retry; /* nothing came after it: rowtail ends a stream so */
	bool page_in_stream; /* a line of HTML */
	int64_t row_ms[FACTS_ROWS]; /* when the row came; -1 */
	int row_count[FACTS_ROWS];
	bool row_differs; /* some row's data was not as it was inserted */
};

struct facts {
	char path[FACTS_FIELD]; /* of the URL, such as /events */
	bool secure; /* https */
	bool loopback; /* browsers trust this machine like https */
	char origin[ORIGIN_MAX]; /* "" without --origin */
	bool with_rows; /* --db was given and could be written */
	int64_t silence_ms; /* how long the streams were left alone */
	int64_t rows_ms[FACTS_ROWS]; /* when each row was committed; -1 */
	bool http2_only; /* the server does not speak HTTP/1.1 */
	bool sent_authorization; /* --header has a Bearer token, and there are no rows */

	char status_text[FACTS_FIELD]; /* why --status said nothing; "" */
	bool with_status;
	int64_t streams_before, streams_after; /* rowtail_streams, with and without four of ours */
	int64_t left_ms; /* after so long rowtail knew that they had left; -1 */
	bool redirected; /* the URL redirected to a stream, whose URL was then used */
	char redirect[FACTS_FIELD];

	struct answer answer[PROBES];
};

enum { FACTS_LEAVERS = 4 };

#endif
