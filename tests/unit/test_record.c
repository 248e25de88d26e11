/* links: protocol/record base/buffer */
/* Outgoing records, parsed again; incoming records, split in every way. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/record.h"
#include "wire.h"

enum { ID = 0x1234, MIB = 1024 * 1024 };

static const size_t contents[] = {
	0, 1, 2, 7, 8, 65527, 65528, 65529, 65591, 65592, 131055, 131056, 131057, 196584, 10 * MIB};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The n-th byte of a content: no two parts that a bug could confuse are equal. */
static uint8_t content_byte(size_t n)
{
	return (uint8_t)(n * 31 + n / 251);
}

/* Framed content, in a buffer that ends at its framed size. To be freed. */
static uint8_t *framed(size_t content)
{
	uint8_t *buf = malloc(record_framed_size(content) + (content == 0));

	assert_non_null(buf);
	for (size_t n = 0; n < content; n++)
		buf[RECORD_HEADER + n] = content_byte(n);
	assert_int_equal(record_frame(buf, content, ID), record_framed_size(content));
	return buf;
}

/* Checks a header, and that it announces no padding. Returns the content's length.
 */
static size_t assert_header(const uint8_t *header, int type, unsigned id)
{
	assert_int_equal(header[0], FCGI_VERSION_1);
	assert_int_equal(header[1], type);
	assert_int_equal(header[2] << 8 | header[3], id);
	assert_int_equal(header[6], 0);
	assert_int_equal(header[7], 0);
	return (size_t)header[4] << 8 | header[5];
}

static void test_framed_content_is_unchanged(void **state)
{
	for (size_t i = 0; i < COUNT(contents); i++) {
		uint8_t *buf = framed(contents[i]);
		size_t at = 0, n = 0, size = record_framed_size(contents[i]);

		while (at < size) {
			size_t length = assert_header(buf + at, FCGI_STDOUT, ID);
			/* An empty record would end the stream. All but the last are full. */
			assert_in_range(length, 1, RECORD_CONTENT_MAX);
			at += RECORD_HEADER;
			if (at + length < size)
				assert_int_equal(length, record_piece(contents[i]));
			for (size_t end = at + length; at < end; at++, n++)
				if (buf[at] != content_byte(n))
					fail_msg("%zu of %zu is wrong", n, contents[i]);
		}
		assert_int_equal(n, contents[i]);
		assert_int_equal(at, size);
		free(buf);
	}
}

static void assert_last_is_not_small(size_t content)
{
	size_t piece = record_piece(content), last = (content - 1) % piece + 1;

	if (piece > RECORD_CONTENT_MAX || piece < RECORD_CONTENT_MAX - RECORD_LAST_MIN)
		fail_msg("%zu is split into pieces of %zu", content, piece);
	if (content > piece && last < RECORD_LAST_MIN)
		fail_msg("the last record of %zu holds %zu", content, last);
}

/* The last bytes of a content share one record. */
static void test_last_bytes_share_one_record(void **state)
{
	for (size_t content = 1; content < 4 * RECORD_CONTENT_MAX; content++)
		assert_last_is_not_small(content);
	for (size_t n = 4; n <= 8192; n++)
		for (size_t more = 0; more <= 2 * RECORD_LAST_MIN; more++)
			assert_last_is_not_small(n * RECORD_CONTENT_MAX + more);
	assert_int_equal(record_piece(10 * MIB), RECORD_CONTENT_MAX);
}

/* A buffer for exactly so many bytes. To be freed. */
static uint8_t *room(size_t size)
{
	uint8_t *out = malloc(size);

	assert_non_null(out);
	memset(out, 0xee, size);
	return out;
}

static void test_unpadded_records_have_the_same_content(void **state)
{
	struct buffer plain, padded;

	buffer_init(&plain, WIRE_MAX);
	wire_begin(&plain, ID, FCGI_RESPONDER, FCGI_KEEP_CONN);
	wire_record(&plain, FCGI_PARAMS, ID, "\1\2ab", 4, 0);
	wire_end(&plain, FCGI_PARAMS, ID);
	wire_end(&plain, FCGI_STDIN, ID);
	for (unsigned padding = 0; padding < 256; padding++) {
		buffer_init(&padded, WIRE_MAX);
		buffer_append(&padded, plain.data, plain.length);
		wire_pad(&padded, padding);
		assert_int_equal(padded.length, plain.length + 4 * padding);
		assert_int_equal(record_unpad(padded.data, padded.length), plain.length);
		assert_memory_equal(padded.data, plain.data, plain.length);
		buffer_free(&padded);
	}
	assert_int_equal(record_unpad(plain.data, 0), 0);
	buffer_free(&plain);
}

static void test_end_request_matches_the_specification(void **state)
{
	const uint8_t complete[] = {1, 3, 0x12, 0x34, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	uint8_t *out = room(RECORD_END_SIZE);

	assert_int_equal(record_end(out, ID, FCGI_REQUEST_COMPLETE), sizeof(complete));
	assert_memory_equal(out, complete, sizeof(complete));
	for (int status = FCGI_CANT_MPX_CONN; status <= FCGI_UNKNOWN_ROLE; status++) {
		assert_int_equal(record_end(out, 65535, (uint8_t)status), RECORD_END_SIZE);
		assert_int_equal(assert_header(out, FCGI_END_REQUEST, 65535), 8);
		assert_int_equal(out[12], status);
	}
	free(out);
}

static void test_unknown_types_are_named(void **state)
{
	uint8_t *out = room(RECORD_END_SIZE);
	const uint8_t rest[7] = {0};

	for (int type = 0; type < 256; type++) {
		assert_int_equal(record_unknown_type(out, (uint8_t)type), RECORD_END_SIZE);
		assert_int_equal(assert_header(out, FCGI_UNKNOWN_TYPE, 0), 8);
		assert_int_equal(out[8], type);
		assert_memory_equal(out + 9, rest, sizeof(rest));
	}
	free(out);
}

/* Queries the pairs in `asked`; writes the answer as "NAME=value;NAME=value;". */
static void answer(const struct buffer *asked, long max_streams, char *text, size_t size)
{
	uint8_t *out = room(RECORD_VALUES_MAX);
	uint8_t *question = room(RECORD_HEADER + asked->length);
	const uint8_t *p = out + RECORD_HEADER;
	struct buffer record;
	size_t length, used = 0;

	buffer_init(&record, WIRE_MAX);
	wire_record(&record, FCGI_GET_VALUES, 0, asked->data, asked->length, 0);
	memcpy(question, record.data, record.length);
	length = record_values_result(out, question, record.length, max_streams);
	assert_in_range(length, RECORD_HEADER, RECORD_VALUES_MAX);
	assert_int_equal(assert_header(out, FCGI_GET_VALUES_RESULT, 0), length - RECORD_HEADER);
	text[0] = '\0';
	while (p < out + length) {
		size_t name = wire_take_length(&p), value = wire_take_length(&p);
		assert_true(name + value <= (size_t)(out + length - p));
		used += (size_t)snprintf(
			text + used, size - used, "%.*s=%.*s;", (int)name, p, (int)value, p + name);
		p += name + value;
	}
	buffer_free(&record);
	free(question);
	free(out);
}

static void test_known_values_are_answered_once_each(void **state)
{
	struct buffer asked;
	char text[400];

	buffer_init(&asked, 65535);
	answer(&asked, 500, text, sizeof(text));
	assert_string_equal(text, "");
	for (int times = 1; times < 1000; times *= 3) {
		buffer_clear(&asked);
		for (int i = 0; i < times; i++) {
			wire_pair(&asked, "FCGI_MPXS_CONNS", "");
			wire_pair(&asked, "FCGI_MAX_REQS", "with a value");
			wire_pair(&asked, "FCGI_MAX_CONN", "");
			wire_pair(&asked, "FCGI_MAX_CONNSS", "FCGI_MAX_CONNS");
			wire_pair(&asked, "", "");
		}
		answer(&asked, 500, text, sizeof(text));
		assert_string_equal(text, "FCGI_MAX_REQS=500;FCGI_MPXS_CONNS=0;");
	}
	buffer_free(&asked);
}

static void test_the_largest_number_of_streams_fits(void **state)
{
	struct buffer asked;
	char text[400], expected[400];

	buffer_init(&asked, 65535);
	wire_length(&asked, 14, true);
	wire_length(&asked, 0, true);
	buffer_text(&asked, "FCGI_MAX_CONNS");
	wire_pair(&asked, "FCGI_MAX_REQS", "");
	wire_pair(&asked, "FCGI_MPXS_CONNS", "");
	answer(&asked, LONG_MAX, text, sizeof(text));
	snprintf(expected, sizeof(expected),
		"FCGI_MAX_CONNS=%ld;FCGI_MAX_REQS=%ld;FCGI_MPXS_CONNS=0;", LONG_MAX, LONG_MAX);
	assert_string_equal(text, expected);
	buffer_free(&asked);
}

static void test_complete_pairs_of_a_truncated_query_are_answered(void **state)
{
	struct buffer asked;
	char text[400];
	size_t first, second, third;

	buffer_init(&asked, 65535);
	wire_pair(&asked, "FCGI_MAX_CONNS", "");
	first = asked.length;
	wire_length(&asked, 13, true);
	wire_length(&asked, 3, true);
	buffer_text(&asked, "FCGI_MAX_REQSabc");
	second = asked.length;
	wire_pair(&asked, "FCGI_MPXS_CONNS", "");
	third = asked.length;
	for (size_t length = 0; length <= third; length++) {
		asked.length = length;
		answer(&asked, 5, text, sizeof(text));
		if (length < first)
			assert_string_equal(text, "");
		else if (length < second)
			assert_string_equal(text, "FCGI_MAX_CONNS=5;");
		else if (length < third)
			assert_string_equal(text, "FCGI_MAX_CONNS=5;FCGI_MAX_REQS=5;");
	}
	assert_string_equal(text, "FCGI_MAX_CONNS=5;FCGI_MAX_REQS=5;FCGI_MPXS_CONNS=0;");
	buffer_free(&asked);
}

static void test_complete_pairs_before_a_wrong_length_are_answered(void **state)
{
	const uint32_t lies[] = {3, 127, 128, 65536, 0x7fffffff};
	struct buffer asked;
	char text[400];

	buffer_init(&asked, 65535);
	for (size_t i = 0; i < 2 * COUNT(lies); i++) {
		bool of_name = i % 2;
		buffer_clear(&asked);
		wire_pair(&asked, "FCGI_MAX_CONNS", "");
		wire_length(&asked, of_name ? lies[i / 2] : 0, true);
		wire_length(&asked, of_name ? 0 : lies[i / 2], true);
		buffer_text(&asked, "xy");
		answer(&asked, 500, text, sizeof(text));
		assert_string_equal(text, "FCGI_MAX_CONNS=500;");
	}
	buffer_free(&asked);
}

/* A copy that ends where its memory ends, but does not begin there. To be freed by base. */
static uint8_t *tight_copy(const uint8_t *bytes, size_t length, uint8_t **base)
{
	*base = room(length + 1);
	memcpy(*base + 1, bytes, length);
	return *base + 1;
}

static void test_padding_is_not_parsed_as_a_name(void **state)
{
	struct buffer asked;
	uint8_t *out = room(RECORD_VALUES_MAX);

	buffer_init(&asked, WIRE_MAX);
	wire_header(&asked, FCGI_GET_VALUES, 0, 0, 16);
	wire_pair(&asked, "FCGI_MAX_CONNS", "");
	assert_int_equal(record_values_result(out, asked.data, asked.length, 1), RECORD_HEADER);
	buffer_free(&asked);
	free(out);
}

static void test_query_shorter_than_its_lengths(void **state)
{
	const size_t asked = RECORD_HEADER + 2 + 14, answered = RECORD_HEADER + 2 + 14 + 1;
	struct buffer record;
	uint8_t *out = room(RECORD_VALUES_MAX), *base;

	buffer_init(&record, WIRE_MAX);
	wire_record(&record, FCGI_GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16, 40);
	for (size_t length = 0; length <= record.length; length++) {
		uint8_t *copy = tight_copy(record.data, length, &base);
		assert_int_equal(record_values_result(out, copy, length, 1),
			length < asked ? RECORD_HEADER : answered);
		free(base);
	}
	buffer_free(&record);
	free(out);
}

/* Scans a piece, and appends the events to `text`: "A4660/2 " for an abort, and so on. */
static enum record_event scan_piece(
	struct record_scanner *s, const uint8_t *bytes, size_t length, struct buffer *text)
{
	static const char letters[] = {
		[RECORD_ABORT] = 'A',
		[RECORD_BEGIN] = 'B',
		[RECORD_MANAGEMENT] = 'M',
	};
	uint8_t *base, *copy = tight_copy(bytes, length, &base);
	enum record_event event = RECORD_MORE;
	size_t at = 0, used;

	while (at < length && event != RECORD_INVALID) {
		event = record_scan(s, copy + at, length - at, &used);
		assert_in_range(used, 1, length - at);
		at += used;
		if (event == RECORD_INVALID)
			buffer_text(text, "!");
		else if (event == RECORD_MORE)
			assert_int_equal(at, length);
		else
			buffer_printf(text, "%c%u/%u ", letters[event], s->id, s->type);
	}
	free(base);
	return event;
}

/* Asserts the events for bytes in a first piece and others of `then` bytes. */
static void assert_told_in_pieces(
	const struct buffer *bytes, size_t first, size_t then, const char *expected)
{
	struct record_scanner s;
	struct buffer text;
	enum record_event event;

	buffer_init(&text, WIRE_MAX);
	record_scanner_init(&s, ID);
	event = scan_piece(&s, bytes->data, first, &text);
	for (size_t at = first; at < bytes->length && event != RECORD_INVALID; at += then) {
		size_t left = bytes->length - at;
		event = scan_piece(&s, bytes->data + at, then < left ? then : left, &text);
	}
	assert_int_equal(text.length, strlen(expected));
	if (text.length)
		assert_memory_equal(text.data, expected, text.length);
	buffer_free(&text);
}

/* All at once, in any two pieces, and byte by byte. */
static void assert_told(const struct buffer *bytes, const char *expected)
{
	for (size_t first = 0; first <= bytes->length; first++)
		assert_told_in_pieces(bytes, first, bytes->length, expected);
	assert_told_in_pieces(bytes, 1, 1, expected);
	assert_told_in_pieces(bytes, 3, 5, expected);
}

static void test_incoming_records_are_recognized_in_any_pieces(void **state)
{
	struct buffer in;

	buffer_init(&in, WIRE_MAX);
	wire_record(&in, FCGI_STDIN, ID, "late", 4, 4);
	wire_end(&in, FCGI_STDIN, ID);
	wire_record(&in, FCGI_GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16, 255);
	wire_begin(&in, ID + 1, FCGI_RESPONDER, 0);
	wire_record(&in, FCGI_PARAMS, ID + 1, "\1\1ab", 4, 0);
	wire_end(&in, FCGI_ABORT_REQUEST, ID + 1);
	wire_record(&in, FCGI_ABORT_REQUEST, ID, "odd", 3, 9);
	wire_record(&in, 77, 0, "", 0, 0);
	wire_end(&in, FCGI_ABORT_REQUEST, ID);
	assert_told(&in, "M0/9 B4661/1 A4660/2 M0/77 A4660/2 ");
	buffer_free(&in);
}

/* Content and padding that look like records, with the maximum length. */
static void test_bodies_are_skipped_unread(void **state)
{
	struct buffer abort, in;

	buffer_init(&in, WIRE_MAX);
	buffer_init(&abort, 65535);
	while (abort.length + FCGI_HEADER_LEN <= 65535)
		wire_end(&abort, FCGI_ABORT_REQUEST, ID);
	wire_record(&in, FCGI_STDIN, ID, abort.data, abort.length, 0);
	wire_record(&in, FCGI_STDIN, 9, abort.data, 7, 0);
	wire_header(&in, FCGI_DATA, ID, 1, 249);
	buffer_append(&in, abort.data, 250);
	wire_begin(&in, 2, FCGI_RESPONDER, 0);
	assert_told_in_pieces(&in, in.length, 1, "B2/1 ");
	assert_told_in_pieces(&in, 1, 1, "B2/1 ");
	assert_told_in_pieces(&in, 65000, 9, "B2/1 ");
	buffer_free(&abort);
	buffer_free(&in);
}

static void test_no_bytes_mean_nothing(void **state)
{
	struct record_scanner s;
	uint8_t byte = 0;
	size_t used = 9;

	record_scanner_init(&s, ID);
	assert_int_equal(record_scan(&s, &byte, 0, &used), RECORD_MORE);
	assert_int_equal(used, 0);
}

static void test_another_version_is_detected_at_the_first_byte(void **state)
{
	struct buffer in;

	buffer_init(&in, WIRE_MAX);
	for (int version = 0; version < 256; version++) {
		uint8_t byte = (uint8_t)version;
		buffer_clear(&in);
		wire_end(&in, FCGI_STDIN, ID);
		buffer_append(&in, &byte, 1);
		assert_told(&in, version == FCGI_VERSION_1 ? "" : "!");
	}
	buffer_free(&in);
}

/* A refusal of such a request would end our own. */
static void test_a_second_request_with_our_id_is_invalid(void **state)
{
	struct buffer in;

	buffer_init(&in, WIRE_MAX);
	wire_begin(&in, ID, FCGI_RESPONDER, 0);
	assert_told(&in, "!");
	buffer_clear(&in);
	wire_begin(&in, 0, FCGI_RESPONDER, 0);
	assert_told(&in, "!");
	buffer_free(&in);
}

static void test_invalid_stays_invalid(void **state)
{
	struct record_scanner s;
	struct buffer in;
	size_t used;

	buffer_init(&in, WIRE_MAX);
	wire_end(&in, FCGI_ABORT_REQUEST, ID);
	record_scanner_init(&s, ID);
	assert_int_equal(record_scan(&s, (const uint8_t *)"GET", 3, &used), RECORD_INVALID);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(record_scan(&s, in.data, in.length, &used), RECORD_INVALID);
		assert_in_range(used, 0, in.length);
	}
	buffer_free(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framed_content_is_unchanged),
		cmocka_unit_test(test_last_bytes_share_one_record),
		cmocka_unit_test(test_unpadded_records_have_the_same_content),
		cmocka_unit_test(test_end_request_matches_the_specification),
		cmocka_unit_test(test_unknown_types_are_named),
		cmocka_unit_test(test_known_values_are_answered_once_each),
		cmocka_unit_test(test_the_largest_number_of_streams_fits),
		cmocka_unit_test(test_complete_pairs_of_a_truncated_query_are_answered),
		cmocka_unit_test(test_complete_pairs_before_a_wrong_length_are_answered),
		cmocka_unit_test(test_padding_is_not_parsed_as_a_name),
		cmocka_unit_test(test_query_shorter_than_its_lengths),
		cmocka_unit_test(test_incoming_records_are_recognized_in_any_pieces),
		cmocka_unit_test(test_bodies_are_skipped_unread),
		cmocka_unit_test(test_no_bytes_mean_nothing),
		cmocka_unit_test(test_another_version_is_detected_at_the_first_byte),
		cmocka_unit_test(test_a_second_request_with_our_id_is_invalid),
		cmocka_unit_test(test_invalid_stays_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
