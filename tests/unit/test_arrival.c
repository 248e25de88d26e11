/* links: arrival buffer */
/* A request is whole, or not yet, or never: every cut, every lie about a length, every limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arrival.h"
#include "wire.h"

enum { ID = 1, CHUNK_MAX = 65535 };

static struct buffer wire, params, body;

static int setup(void **state)
{
	buffer_init(&wire, WIRE_MAX);
	buffer_init(&params, WIRE_MAX);
	buffer_init(&body, WIRE_MAX);
	return 0;
}

static int teardown(void **state)
{
	buffer_free(&wire);
	buffer_free(&params);
	buffer_free(&body);
	return 0;
}

/* Scans a copy that ends where its memory ends, so that a sanitizer sees any look beyond. */
static enum arrival_state scan_copy(struct arrival *a, const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);
	enum arrival_state state;

	assert_non_null(copy);
	if (length)
		memcpy(copy, bytes, length);
	state = arrival_scan(a, copy + (length ? 0 : 1), length);
	free(copy);
	assert_int_equal(state, a->state);
	return state;
}

static enum arrival_state scan_fresh(struct arrival *a, const uint8_t *bytes, size_t length)
{
	arrival_init(a);
	return scan_copy(a, bytes, length);
}

/* What `wire` is after its first `have` bytes. */
static enum arrival_state state_after(size_t have)
{
	struct arrival a;

	return scan_fresh(&a, wire.data, have);
}

/* The least number of bytes of `wire` that are not PARTIAL any more. */
static size_t told_at(void)
{
	size_t have = 0;

	while (have < wire.length && state_after(have) == ARRIVAL_PARTIAL)
		have++;
	return have;
}

/* Asserts that `wire` is a whole request at its last byte, and at none before. */
static void assert_whole(void)
{
	struct arrival a;

	assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_WHOLE);
	assert_int_equal(a.length, wire.length);
	assert_int_equal(a.request_id, ID);
	assert_int_equal(state_after(wire.length - 1), ARRIVAL_PARTIAL);
}

static void begin(void)
{
	buffer_clear(&wire);
	wire_begin(&wire, ID, FCGI_RESPONDER, 0);
}

/* A request with all that is in `params` and `body`. */
static void make_request(size_t params_chunk, size_t body_chunk, unsigned padding)
{
	begin();
	wire_stream(&wire, FCGI_PARAMS, ID, &params, params_chunk, padding);
	wire_stream(&wire, FCGI_STDIN, ID, &body, body_chunk, padding);
}

/* Names and values with lengths of one byte and of four, among them empty ones. */
static void some_params(void)
{
	char value[200];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	wire_pair(&params, "REQUEST_METHOD", "POST");
	wire_pair(&params, "CONTENT_TYPE", "");
	wire_pair(&params, "HTTP_COOKIE", value);
	wire_pair(&params, "", "");
	wire_length(&params, 5, true);
	wire_length(&params, 3, true);
	buffer_text(&params, "QUERYa=1");
}

static void some_request(unsigned padding)
{
	some_params();
	buffer_text(&body, "channel=orders%2F42&last_event_id=7");
	make_request(100, 20, padding);
}

/* `length` bytes of one parameter, its lengths included. */
static void params_of(size_t length)
{
	uint8_t *room;

	wire_length(&params, 1, true);
	wire_length(&params, (uint32_t)(length - 9), true);
	room = buffer_reserve(&params, length - 8);
	assert_non_null(room);
	memset(room, 'p', length - 8);
	params.length += length - 8;
}

static void body_of(size_t length)
{
	uint8_t *room = buffer_reserve(&body, length);

	assert_non_null(room);
	memset(room, 'b', length);
	body.length += length;
}

static void test_a_request_is_whole_at_its_last_byte(void **state)
{
	some_request(0);
	for (size_t have = 0; have < wire.length; have++)
		assert_int_equal(state_after(have), ARRIVAL_PARTIAL);
	assert_whole();
}

static void test_the_smallest_request_is_whole(void **state)
{
	make_request(1, 1, 0);
	assert_int_equal(wire.length, 32);
	assert_int_equal(told_at(), 32);
	assert_whole();
}

static void test_padding_is_passed_over(void **state)
{
	for (unsigned padding = 1; padding < 256; padding += 127) {
		buffer_clear(&params);
		buffer_clear(&body);
		some_request(padding);
		assert_whole();
		assert_int_equal(told_at(), wire.length);
	}
}

static void test_what_follows_a_whole_request_is_not_looked_at(void **state)
{
	size_t length;
	struct arrival a;

	some_request(0);
	length = wire.length;
	buffer_text(&wire, "GET / HTTP/1.1");
	assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_WHOLE);
	assert_int_equal(a.length, length);
}

static void test_any_two_looks_give_the_same_as_one(void **state)
{
	struct arrival a;

	some_request(3);
	for (size_t cut = 0; cut < wire.length; cut++) {
		assert_int_equal(scan_fresh(&a, wire.data, cut), ARRIVAL_PARTIAL);
		assert_int_equal(scan_copy(&a, wire.data, wire.length), ARRIVAL_WHOLE);
		assert_int_equal(a.length, wire.length);
	}
}

/* Records that were looked at are overwritten: a scanner that went back would lose its way. */
static void test_a_dribbling_peer_makes_no_record_be_read_twice(void **state)
{
	struct arrival a;

	some_params();
	body_of(500);
	make_request(1, 1, 0);
	arrival_init(&a);
	for (size_t have = 0; have < wire.length; have++) {
		assert_int_equal(scan_copy(&a, wire.data, have), ARRIVAL_PARTIAL);
		memset(wire.data, 0xee, a.at);
	}
	assert_int_equal(scan_copy(&a, wire.data, wire.length), ARRIVAL_WHOLE);
}

static void test_params_may_be_cut_into_records_anywhere(void **state)
{
	some_params();
	for (size_t first = 1; first < params.length; first++) {
		begin();
		wire_record(&wire, FCGI_PARAMS, ID, params.data, first, 0);
		wire_record(&wire, FCGI_PARAMS, ID, params.data + first, params.length - first, 5);
		wire_end(&wire, FCGI_PARAMS, ID);
		wire_end(&wire, FCGI_STDIN, ID);
		assert_whole();
		make_request(first, 1, 0);
		assert_whole();
	}
}

static void test_params_must_end_where_a_pair_ends(void **state)
{
	size_t cut_well = 0;

	some_params();
	for (size_t length = 0; length <= params.length; length++) {
		begin();
		wire_record(&wire, FCGI_PARAMS, ID, params.data, length, 0);
		if (length > 0)
			wire_end(&wire, FCGI_PARAMS, ID);
		if (state_after(wire.length) == ARRIVAL_PARTIAL) {
			cut_well++;
			continue;
		}
		assert_int_equal(state_after(wire.length), ARRIVAL_NOT_FASTCGI);
		/* Told as soon as the length of the empty record is known. */
		assert_int_equal(told_at(), wire.length - 2);
	}
	/* Before the first of the five pairs, and behind each of them. */
	assert_int_equal(cut_well, 6);
}

static void test_absurd_lengths_are_too_large(void **state)
{
	const uint32_t lengths[][2] = {{0x7fffffff, 0}, {0, 0x7fffffff}, {0x7fffffff, 0x7fffffff},
		{0x40000000, 0x40000000}, {0x7ffffffe, 1}, {65536, 0}, {0, 65536}, {32768, 32768},
		{ARRIVAL_CONTENT_MAX - 7, 0}, {0, ARRIVAL_CONTENT_MAX - 7}};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		buffer_clear(&params);
		wire_length(&params, lengths[i][0], true);
		wire_length(&params, lengths[i][1], true);
		begin();
		wire_record(&wire, FCGI_PARAMS, ID, params.data, params.length, 0);
		assert_int_equal(state_after(wire.length), ARRIVAL_TOO_LARGE);
		assert_int_equal(told_at(), wire.length);
	}
}

/* Parameters of a given size, then a body of a given size. */
static void sized_request(size_t params_size, size_t body_size)
{
	buffer_clear(&params);
	buffer_clear(&body);
	params_of(params_size);
	if (body_size)
		body_of(body_size);
	make_request(CHUNK_MAX, CHUNK_MAX, 0);
}

static void test_the_largest_content_is_whole(void **state)
{
	sized_request(ARRIVAL_CONTENT_MAX, 0);
	assert_whole();
	sized_request(1000, ARRIVAL_CONTENT_MAX - 1000);
	assert_whole();
}

static void assert_too_large_at(size_t have)
{
	struct arrival a;

	assert_int_equal(state_after(have - 1), ARRIVAL_PARTIAL);
	assert_int_equal(scan_fresh(&a, wire.data, have), ARRIVAL_TOO_LARGE);
	assert_int_equal(a.request_id, ID);
	assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_TOO_LARGE);
	assert_int_equal(a.request_id, ID);
}

static void test_one_byte_more_is_too_large_by_the_header_alone(void **state)
{
	const size_t begin_size = 16, header = 8, length_known = 6;

	/* The lengths of a parameter tell it in the first record, */
	sized_request(ARRIVAL_CONTENT_MAX + 1, 0);
	assert_too_large_at(begin_size + header + CHUNK_MAX);
	/* those of many small ones do so record by record, */
	buffer_clear(&params);
	while (params.length < ARRIVAL_CONTENT_MAX)
		wire_pair(&params, "AB", "CDEF");
	wire_pair(&params, "", "");
	make_request(32768, 1, 0);
	assert_too_large_at(begin_size + 2 * (header + 32768) + length_known);
	/* and so does a body. */
	sized_request(1000, ARRIVAL_CONTENT_MAX - 1000 + 1);
	assert_too_large_at(begin_size + header + 1000 + header + length_known);
}

/* A request of small, widely padded records that takes `size` bytes. */
static void padded_request(size_t size)
{
	const size_t record = FCGI_HEADER_LEN + 1 + 255;

	begin();
	wire_end(&wire, FCGI_PARAMS, ID);
	while (size - wire.length > 2 * record)
		wire_record(&wire, FCGI_STDIN, ID, "x", 1, 255);
	while (size - wire.length > FCGI_HEADER_LEN) {
		size_t left = size - wire.length - FCGI_HEADER_LEN;
		size_t next = left > record ? record - 20 : left;
		wire_record(&wire, FCGI_STDIN, ID, "x", 1, (unsigned)(next - FCGI_HEADER_LEN - 1));
	}
	wire_end(&wire, FCGI_STDIN, ID);
	assert_int_equal(wire.length, size);
}

static void test_padding_and_headers_count_towards_all_bytes(void **state)
{
	padded_request(ARRIVAL_BYTES_MAX);
	assert_whole();
	for (size_t more = 1; more < 12; more++) {
		padded_request(ARRIVAL_BYTES_MAX + more);
		assert_int_equal(state_after(wire.length), ARRIVAL_TOO_LARGE);
		assert_int_equal(state_after(ARRIVAL_BYTES_MAX), ARRIVAL_TOO_LARGE);
	}
}

/* A caller whose buffer is full must not be told to wait for more. */
static void test_a_full_buffer_is_never_partial(void **state)
{
	for (size_t fill = 1; fill < 264; fill++) {
		begin();
		wire_end(&wire, FCGI_PARAMS, ID);
		wire_record(&wire, FCGI_STDIN, ID, "x", 1, (unsigned)(fill % 256));
		while (wire.length < ARRIVAL_BYTES_MAX)
			wire_record(&wire, FCGI_STDIN, ID, "x", 1, 255);
		assert_int_equal(state_after(ARRIVAL_BYTES_MAX), ARRIVAL_TOO_LARGE);
	}
}

static void test_another_protocol_is_known_by_its_first_byte(void **state)
{
	for (int first = 0; first < 256; first++) {
		uint8_t byte = (uint8_t)first;

		buffer_clear(&wire);
		buffer_append(&wire, &byte, 1);
		assert_int_equal(state_after(1),
			first == FCGI_VERSION_1 ? ARRIVAL_PARTIAL : ARRIVAL_NOT_FASTCGI);
	}
}

/* Appends one record, and returns what the scanner says to all. */
static enum arrival_state with_record(size_t length, int type, unsigned id)
{
	wire.length = length;
	wire_record(&wire, type, id, "12345678", 8, 0);
	return state_after(wire.length);
}

static bool one_of(int type, int a, int b)
{
	return type == a || type == b;
}

static void test_first_comes_begin_request_or_a_management_record(void **state)
{
	for (int type = 0; type < 256; type++) {
		bool begins = type == FCGI_BEGIN_REQUEST;

		assert_int_equal(with_record(0, type, FCGI_NULL_REQUEST_ID),
			begins ? ARRIVAL_NOT_FASTCGI : ARRIVAL_MANAGEMENT);
		/* (A role of "12" is not ours.) */
		for (unsigned id = 1; id < 65536; id += 13107)
			assert_int_equal(with_record(0, type, id),
				begins ? ARRIVAL_BAD_ROLE : ARRIVAL_NOT_FASTCGI);
	}
}

static void test_only_the_records_that_are_due_are_taken(void **state)
{
	begin();
	for (int type = 0; type < 256; type++) {
		if (!one_of(type, FCGI_PARAMS, FCGI_ABORT_REQUEST))
			assert_int_equal(with_record(16, type, ID), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(with_record(16, type, 0), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(with_record(16, type, ID + 1), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(with_record(16, type, ID + 256), ARRIVAL_NOT_FASTCGI);
	}
	wire.length = 16;
	wire_end(&wire, FCGI_PARAMS, ID);
	for (int type = 0; type < 256; type++) {
		if (!one_of(type, FCGI_STDIN, FCGI_ABORT_REQUEST))
			assert_int_equal(with_record(24, type, ID), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(with_record(24, type, 0), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(with_record(24, type, ID + 1), ARRIVAL_NOT_FASTCGI);
	}
	assert_int_equal(with_record(24, FCGI_STDIN, ID), ARRIVAL_PARTIAL);
}

static void test_a_wrong_field_is_told_without_the_rest(void **state)
{
	const struct {
		size_t at; /* of the byte that is made wrong */
		uint8_t byte;
		size_t told; /* how many bytes have then come */
	} wrong[] = {{0, 2, 1}, {3, 0, 4}, {4, 1, 6}, {5, 7, 6}, {6, 8, 7}, /* BEGIN_REQUEST */
		{16, 0, 17}, {17, FCGI_STDIN, 18}, {18, 1, 20}, {19, 2, 20},
		{22, 1, 23},                                                   /* PARAMS */
		{24, 0, 25}, {25, FCGI_PARAMS, 26}, {27, 0, 28}, {30, 1, 31}}; /* STDIN */

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make_request(1, 1, 0);
		wire.data[wrong[i].at] = wrong[i].byte;
		assert_int_equal(told_at(), wrong[i].told);
		assert_int_equal(state_after(wrong[i].told), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(state_after(wire.length), ARRIVAL_NOT_FASTCGI);
	}
}

static void test_reserved_bytes_and_flags_may_be_anything(void **state)
{
	make_request(1, 1, 0);
	for (size_t at = 10; at < 16; at++)
		wire.data[at] = 0xff;
	assert_whole();
}

static void test_any_id_but_zero_will_do(void **state)
{
	struct arrival a;

	for (unsigned id = 1; id < 65536; id += id < 300 ? 1 : 4077) {
		buffer_clear(&wire);
		wire_begin(&wire, id, FCGI_RESPONDER, FCGI_KEEP_CONN);
		wire_end(&wire, FCGI_PARAMS, id);
		wire_end(&wire, FCGI_STDIN, id);
		assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_WHOLE);
		assert_int_equal(a.request_id, id);
	}
}

static void test_another_role_is_told_with_its_id(void **state)
{
	const unsigned roles[] = {0, FCGI_AUTHORIZER, FCGI_FILTER, 4, 256, 257, 65535};
	struct arrival a;

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		buffer_clear(&wire);
		wire_begin(&wire, 515, roles[i], 0);
		assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_BAD_ROLE);
		assert_int_equal(a.request_id, 515);
	}
}

static void test_a_request_may_be_aborted_before_it_is_whole(void **state)
{
	struct arrival a;
	struct buffer request;
	size_t records = 0;

	some_params();
	make_request(20, 1, 7);
	request = wire;
	buffer_init(&wire, WIRE_MAX);
	for (size_t at = 16; at < request.length; at += wire_record_size(request.data + at)) {
		buffer_clear(&wire);
		buffer_append(&wire, request.data, at);
		wire_end(&wire, FCGI_ABORT_REQUEST, ID);
		assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_ABORTED);
		assert_int_equal(a.request_id, ID);
		records++;
	}
	assert_int_equal(records, (params.length + 19) / 20 + 2);
	buffer_free(&request);
}

static void test_a_management_record_is_told_when_all_of_it_has_come(void **state)
{
	struct arrival a;

	for (unsigned padding = 0; padding < 256; padding += 51) {
		buffer_clear(&wire);
		wire_record(&wire, FCGI_GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16, padding);
		for (size_t have = 0; have < wire.length; have++)
			assert_int_equal(state_after(have), ARRIVAL_PARTIAL);
		buffer_text(&wire, "what comes next");
		assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_MANAGEMENT);
		assert_int_equal(a.length, 8 + 16 + padding);
		assert_int_equal(a.type, FCGI_GET_VALUES);
		assert_int_equal(a.request_id, 0);
	}
}

static void test_the_largest_management_record_is_taken(void **state)
{
	struct arrival a;

	body_of(CHUNK_MAX);
	wire_record(&wire, 200, 0, body.data, body.length, 255);
	assert_int_equal(state_after(wire.length - 1), ARRIVAL_PARTIAL);
	assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_MANAGEMENT);
	assert_int_equal(a.type, 200);
	assert_int_equal(a.length, wire.length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		TEST(a_request_is_whole_at_its_last_byte),
		TEST(the_smallest_request_is_whole),
		TEST(padding_is_passed_over),
		TEST(what_follows_a_whole_request_is_not_looked_at),
		TEST(any_two_looks_give_the_same_as_one),
		TEST(a_dribbling_peer_makes_no_record_be_read_twice),
		TEST(params_may_be_cut_into_records_anywhere),
		TEST(params_must_end_where_a_pair_ends),
		TEST(absurd_lengths_are_too_large),
		TEST(the_largest_content_is_whole),
		TEST(one_byte_more_is_too_large_by_the_header_alone),
		TEST(padding_and_headers_count_towards_all_bytes),
		TEST(a_full_buffer_is_never_partial),
		TEST(another_protocol_is_known_by_its_first_byte),
		TEST(first_comes_begin_request_or_a_management_record),
		TEST(only_the_records_that_are_due_are_taken),
		TEST(a_wrong_field_is_told_without_the_rest),
		TEST(reserved_bytes_and_flags_may_be_anything),
		TEST(any_id_but_zero_will_do),
		TEST(another_role_is_told_with_its_id),
		TEST(a_request_may_be_aborted_before_it_is_whole),
		TEST(a_management_record_is_told_when_all_of_it_has_come),
		TEST(the_largest_management_record_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
