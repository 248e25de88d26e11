/* links: protocol/framing protocol/record base/buffer */
/* What every framing promises: pieces, found again at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/framing.h"
#include "protocol/record.h"
#include "wire.h"

enum { ID = 0x1234, MIB = 1024 * 1024 };

static const size_t contents[] = {
	0, 1, 2, 7, 8, 63, 65527, 65528, 65529, 65591, 65592, 131055, 131056, 131057, 196584};

static const struct framing *const framings[] = {
	&framing_fastcgi, &framing_none, &framing_close, &framing_chunked};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The n-th byte of a content: no two parts that a bug could confuse are equal. */
static uint8_t content_byte(size_t n)
{
	return (uint8_t)(n * 31 + n / 251);
}

/* The part of a content from `from` on, framed in a buffer that ends where its framed size says. */
static uint8_t *framed(const struct framing *f, size_t from, size_t content)
{
	size_t size = f->size(content);
	uint8_t *bytes = malloc(size + (content == 0));

	assert_non_null(bytes);
	for (size_t n = 0; n < content; n++)
		bytes[f->header + n] = content_byte(from + n);
	assert_int_equal(f->frame(bytes, content, ID), size);
	return bytes;
}

/* Each piece, framed alone, is what it is in the whole; they leave nothing out. */
static void assert_pieces(const struct framing *f, size_t content)
{
	uint8_t *whole = framed(f, 0, content), *alone;
	size_t size = f->size(content), at = 0, before = 0;

	while (at < size) {
		struct framing_piece piece = f->piece(content, at);

		assert_int_equal(piece.start, at);
		assert_int_equal(piece.before, before);
		assert_true(piece.content > 0);
		alone = framed(f, before, piece.content);
		assert_memory_equal(alone, whole + at, f->size(piece.content));
		free(alone);
		at += f->size(piece.content);
		before += piece.content;
		if (at == size && piece.content < content)
			assert_true(piece.content >= FRAMING_LAST_MIN);
	}
	assert_int_equal(at, size);
	assert_int_equal(before, content);
	free(whole);
}

static void test_pieces_are_the_same_alone(void **state)
{
	for (size_t i = 0; i < COUNT(framings); i++) {
		for (size_t n = 0; n < COUNT(contents); n++)
			assert_pieces(framings[i], contents[n]);
		for (size_t more = 1; more <= 2 * FRAMING_LAST_MIN; more++)
			assert_pieces(framings[i], 131056 + more);
	}
}

/* Walks over the records of a framed content: what has to be completed, and what is content. */
static void assert_every_byte(const uint8_t *bytes, size_t content)
{
	const struct framing *f = &framing_fastcgi;
	size_t size = f->size(content), record = 0, passed = 0;

	for (size_t at = 0; at < size; at++) {
		struct framing_piece piece;

		while (record + wire_record_size(bytes + record) <= at)
			record += wire_record_size(bytes + record);
		piece = f->piece(content, at);
		if (piece.start != record ||
			piece.content + f->header != wire_record_size(bytes + record))
			fail_msg("the piece at %zu of %zu", at, content);
		if (framing_content(f, content, at) != passed)
			fail_msg("content before %zu of %zu", at, content);
		passed += at >= record + f->header;
	}
	assert_int_equal(framing_content(f, content, size), content);
}

static void test_fastcgi_records_are_found_at_every_byte(void **state)
{
	for (size_t i = 0; i < COUNT(contents); i++) {
		uint8_t *bytes = framed(&framing_fastcgi, 0, contents[i]);

		assert_every_byte(bytes, contents[i]);
		free(bytes);
	}
}

static void test_large_contents_are_counted(void **state)
{
	size_t content = 10 * MIB, size = framing_fastcgi.size(content);

	assert_int_equal(size, content + 8 * 161);
	assert_int_equal(framing_content(&framing_fastcgi, content, size), content);
	assert_int_equal(framing_content(&framing_fastcgi, content, 65536), 65528);
	assert_int_equal(framing_content(&framing_fastcgi, content, 65536 + 8), 65528);
	assert_int_equal(framing_content(&framing_fastcgi, content, 65536 + 9), 65529);
}

/* Without frames, anything may follow at any byte. */
static void test_without_frames_nothing_is_begun(void **state)
{
	for (size_t sent = 0; sent < 100; sent++) {
		struct framing_piece piece = framing_none.piece(100, sent);

		assert_int_equal(piece.start, sent);
		assert_int_equal(piece.content, 100 - sent);
		assert_int_equal(framing_content(&framing_none, 100, sent), sent);
	}
}

static void test_the_end(void **state)
{
	uint8_t out[RECORD_END_SIZE];

	assert_int_equal(framing_fastcgi.end(out, ID), sizeof(out));
	assert_int_equal(framing_fastcgi.end_size, sizeof(out));
	assert_int_equal(out[1], FCGI_END_REQUEST);
	assert_int_equal(out[2] << 8 | out[3], ID);
	assert_int_equal(framing_none.end(out, 0), 0);
}

/* What a client makes of chunks: the content again. RFC 9112, section 7.1. */
static void test_chunks_can_be_read(void **state)
{
	for (size_t i = 0; i < COUNT(contents); i++) {
		uint8_t *bytes = framed(&framing_chunked, 0, contents[i]);
		size_t size = framing_chunked.size(contents[i]), at = 0, passed = 0;

		while (at < size) {
			char *end;
			size_t length = strtoul((char *)bytes + at, &end, 16);

			assert_memory_equal(end, "\r\n", 2);
			at = (size_t)((uint8_t *)end + 2 - bytes);
			for (size_t n = 0; n < length; n++)
				assert_int_equal(bytes[at + n], content_byte(passed++));
			at += length;
			assert_memory_equal(bytes + at, "\r\n", 2);
			at += 2;
		}
		assert_int_equal(passed, contents[i]);
		free(bytes);
	}
}

static void test_the_last_chunk(void **state)
{
	uint8_t out[8];

	assert_int_equal(framing_chunked.end(out, 0), 5);
	assert_int_equal(framing_chunked.end_size, 5);
	assert_memory_equal(out, "0\r\n\r\n", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_are_the_same_alone),
		cmocka_unit_test(test_chunks_can_be_read),
		cmocka_unit_test(test_the_last_chunk),
		cmocka_unit_test(test_fastcgi_records_are_found_at_every_byte),
		cmocka_unit_test(test_large_contents_are_counted),
		cmocka_unit_test(test_without_frames_nothing_is_begun),
		cmocka_unit_test(test_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
