/*
 * record: makes outgoing FastCGI records, and scans the incoming ones while a stream runs.
 *
 * Pure. Source: FastCGI Specification 1.0, section 3.3 (records), 4.1, 4.2, 5.4
 * (FCGI_ABORT_REQUEST), 5.5 (FCGI_END_REQUEST); the constants come from libfcgi's <fastcgi.h>.
 */
#ifndef ROWTAIL_RECORD_H
#define ROWTAIL_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum {
	RECORD_HEADER = 8,
	RECORD_CONTENT_MAX = 65528, /* the largest content that needs no padding */
	RECORD_LAST_MIN = 64, /* bytes in the last of several records, at least */
	RECORD_END_SIZE = 16, /* of an FCGI_END_REQUEST record, and of FCGI_UNKNOWN_TYPE */
	RECORD_VALUES_MAX = 256, /* of an FCGI_GET_VALUES_RESULT record */
};

/* The size of `content` bytes of FCGI_STDOUT with their record headers; 0 for 0. */
size_t record_framed_size(size_t content);

/*
 * How many of `content` bytes each record holds; the last one holds the rest. RECORD_CONTENT_MAX,
 * or a little less if the last would hold fewer than RECORD_LAST_MIN. So the end of an event
 * stream's record, its id and the empty line, is never split: some web servers pass on only whole
 * FastCGI records, and some clients keep an id before the empty line has come.
 */
size_t record_piece(size_t content);

/* Writes the header of an FCGI_STDOUT record with so much content, in RECORD_HEADER bytes. */
void record_header(uint8_t *out, size_t content, uint16_t request_id);

/*
 * Frames `content` bytes at buf + RECORD_HEADER as FCGI_STDOUT records, in place; buf has room for
 * record_framed_size(content) bytes. Each record holds record_piece(content) bytes, the last one
 * the rest. No padding: the same content always gives the same bytes. Returns the framed size.
 */
size_t record_frame(uint8_t *buf, size_t content, uint16_t request_id);

/*
 * Removes the padding of whole records, in place, which does not change their meaning (section
 * 3.3). bytes[0..length) are complete records. Returns how many bytes are left.
 */
size_t record_unpad(uint8_t *bytes, size_t length);

/* Writes an FCGI_END_REQUEST record of RECORD_END_SIZE bytes; status: FCGI_REQUEST_COMPLETE, … */
size_t record_end(uint8_t *out, uint16_t request_id, uint8_t protocol_status);

/* Writes an FCGI_UNKNOWN_TYPE record of RECORD_END_SIZE bytes (section 4.2). */
size_t record_unknown_type(uint8_t *out, uint8_t type);

/*
 * Answers an FCGI_GET_VALUES record (length bytes, with its header) with an FCGI_GET_VALUES_RESULT
 * in out[RECORD_VALUES_MAX]. The result has each known variable once, however often it is asked for
 * (FCGI_MAX_CONNS and FCGI_MAX_REQS: max_streams; FCGI_MPXS_CONNS: 0), and no unknown ones. Returns
 * its length.
 */
size_t record_values_result(uint8_t *out, const uint8_t *record, size_t length, long max_streams);

/* What may come back while a stream runs. */
enum record_event {
	RECORD_MORE, /* nothing yet; all bytes are used */
	RECORD_ABORT, /* FCGI_ABORT_REQUEST for our request */
	RECORD_BEGIN, /* FCGI_BEGIN_REQUEST, of request `id`: answer FCGI_CANT_MPX_CONN */
	RECORD_MANAGEMENT, /* a management record of `type`; its body was skipped */
	RECORD_INVALID, /* not FastCGI */
};

struct record_scanner {
	uint8_t header[RECORD_HEADER];
	uint8_t have; /* bytes of the header that have arrived */
	uint32_t skip; /* bytes of content and padding still to skip */
	uint16_t request_id; /* ours */
	uint16_t id; /* of the event's record */
	uint8_t type;
};

void record_scanner_init(struct record_scanner *s, uint16_t request_id);

/*
 * Skips bytes until an event or until they are used up; *used is how many it took. Skips other
 * records of our request (a late, empty STDIN) and of unknown requests. Reports an event when its
 * header has arrived; the following calls skip its body.
 */
enum record_event record_scan(
	struct record_scanner *s, const uint8_t *bytes, size_t length, size_t *used);

#endif
