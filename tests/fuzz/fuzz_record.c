/* links: protocol/framing protocol/record */
/*
 * The input is what a web server sends during a stream: the result must not depend on how it is
 * split. The same bytes then serve as an FCGI_GET_VALUES query, and as content to frame.
 */
#include <fastcgi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/framing.h"
#include "protocol/record.h"
#include "require.h"

enum { OUR_ID = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Combines the scanner's results for a piece, and their places, into one number. False after
 * INVALID.
 */
static bool scan_piece(
	struct record_scanner *s, const uint8_t *data, size_t from, size_t to, uint64_t *told)
{
	enum record_event event;
	size_t used;

	while (from < to) {
		event = record_scan(s, data + from, to - from, &used);
		require(used <= to - from, "no more is used than there is");
		require(used > 0 || event == RECORD_INVALID, "something is used");
		from += used;
		if (event == RECORD_MORE)
			require(from == to, "without an event all is used");
		else
			*told = (((*told * 31 + event) * 31 + s->id) * 31 + s->type) * 31 + from;
		if (event == RECORD_INVALID)
			return false;
	}
	return true;
}

static uint64_t scan(const uint8_t *data, size_t size, size_t piece)
{
	struct record_scanner s;
	uint64_t told = 0;

	record_scanner_init(&s, OUR_ID);
	for (size_t at = 0; at < size; at += piece)
		if (!scan_piece(&s, data, at, size - at < piece ? size : at + piece, &told))
			break;
	return told;
}

static void try_values(const uint8_t *data, size_t size)
{
	uint8_t *out = require_memory(RECORD_VALUES_MAX);
	size_t length;

	length = record_values_result(out, data, size, 10000);
	require(length >= RECORD_HEADER && length <= RECORD_VALUES_MAX,
		"the result is as long as allowed");
	require(out[1] == FCGI_GET_VALUES_RESULT, "the result has its type");
	require(((size_t)out[4] << 8 | out[5]) == length - RECORD_HEADER,
		"the result's header tells its length");
	free(out);
}

/* Takes the framed bytes apart, record by record, and finds the content again. */
static void try_frame(const uint8_t *data, size_t size)
{
	size_t framed = record_framed_size(size), at = 0, content = 0;
	struct framing_piece piece;
	uint8_t *buf = require_memory(framed);

	if (size > 0)
		memcpy(buf + RECORD_HEADER, data, size);
	require(record_frame(buf, size, OUR_ID) == framed, "the framed size is the one foretold");
	while (at < framed) {
		size_t length = (size_t)buf[at + 4] << 8 | buf[at + 5];
		require(buf[at + 1] == FCGI_STDOUT && length > 0,
			"each record is of FCGI_STDOUT and not empty");
		piece = framing_fastcgi.piece(size, at + RECORD_HEADER);
		require(piece.start == at && piece.before == content && piece.content == length,
			"each record is a piece");
		require(!memcmp(buf + at + RECORD_HEADER, data + content, length),
			"the content is unchanged");
		require(framing_content(&framing_fastcgi, size, at) == content,
			"the content before a record is counted");
		at += RECORD_HEADER + length;
		content += length;
	}
	require(content == size && at == framed, "all of the content is framed");
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t told = scan(data, size, size ? size : 1);

	require(scan(data, size, 1) == told, "byte by byte tells the same");
	require(scan(data, size, 11) == told, "eleven by eleven tells the same");
	try_values(data, size);
	try_frame(data, size);
	return 0;
}
