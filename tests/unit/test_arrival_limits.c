/* links: protocol/arrival base/buffer */
/* How large a request may be, and how early a larger one is detected. */
#include "arriving.h"

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

static void test_largest_content_is_complete(void **state)
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

static void test_one_byte_over_the_limit_is_refused_at_the_header(void **state)
{
	const size_t begin_size = 16, header = 8, length_known = 6;

	/* The lengths of a parameter show it in the first record, */
	sized_request(ARRIVAL_CONTENT_MAX + 1, 0);
	assert_too_large_at(begin_size + header + CHUNK_MAX);
	/* those of many small ones do so record by record, */
	buffer_clear(&params);
	while (params.length < ARRIVAL_CONTENT_MAX)
		wire_pair(&params, "AB", "CDEF");
	wire_pair(&params, "", "");
	make_request(32768, 1, 0);
	assert_too_large_at(begin_size + 2 * (header + 32768) + length_known);
	/* and so does a body, in one record or in some. */
	sized_request(1000, ARRIVAL_CONTENT_MAX - 1000 + 1);
	assert_too_large_at(begin_size + header + 1000 + header + length_known);
	make_request(CHUNK_MAX, 30000, 0);
	assert_too_large_at(
		begin_size + header + 1000 + header + 2 * (header + 30000) + length_known);
}

/* A request of `size` bytes in small records with much padding. */
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

static void test_padding_and_headers_count_towards_the_limit(void **state)
{
	padded_request(ARRIVAL_BYTES_MAX);
	assert_whole();
	for (size_t more = 1; more < 12; more++) {
		padded_request(ARRIVAL_BYTES_MAX + more);
		assert_int_equal(state_after(wire.length), ARRIVAL_TOO_LARGE);
		assert_int_equal(state_after(ARRIVAL_BYTES_MAX), ARRIVAL_TOO_LARGE);
	}
}

/* A caller with a full buffer must not be told to wait for more. */
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

static void test_largest_management_record_is_accepted(void **state)
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
		ARRIVAL_TEST(absurd_lengths_are_too_large),
		ARRIVAL_TEST(largest_content_is_complete),
		ARRIVAL_TEST(one_byte_over_the_limit_is_refused_at_the_header),
		ARRIVAL_TEST(padding_and_headers_count_towards_the_limit),
		ARRIVAL_TEST(a_full_buffer_is_never_partial),
		ARRIVAL_TEST(largest_management_record_is_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
