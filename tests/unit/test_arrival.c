/* links: protocol/arrival base/buffer */
/* A request is complete, incomplete or invalid: every split, every record out of order. */
#include "arriving.h"

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

static void test_request_is_complete_at_its_last_byte(void **state)
{
	some_request(0);
	for (size_t have = 0; have < wire.length; have++)
		assert_int_equal(state_after(have), ARRIVAL_PARTIAL);
	assert_whole();
}

static void test_smallest_request_is_complete(void **state)
{
	make_request(1, 1, 0);
	assert_int_equal(wire.length, 32);
	assert_int_equal(told_at(), 32);
	assert_whole();
}

static void test_padding_is_skipped(void **state)
{
	for (unsigned padding = 1; padding < 256; padding += 127) {
		buffer_clear(&params);
		buffer_clear(&body);
		some_request(padding);
		assert_whole();
		/* The first record and the ends of the streams may be padded too. */
		wire_pad(&wire, padding);
		assert_whole();
		assert_int_equal(told_at(), wire.length);
	}
}

static void test_bytes_after_a_complete_request_are_not_read(void **state)
{
	size_t length;
	struct arrival a;

	some_request(0);
	length = wire.length;
	buffer_text(&wire, "GET / HTTP/1.1");
	assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_WHOLE);
	assert_int_equal(a.length, length);
}

static void test_any_two_calls_give_the_same_as_one(void **state)
{
	struct arrival a;

	some_request(3);
	for (size_t cut = 0; cut < wire.length; cut++) {
		assert_int_equal(scan_fresh(&a, wire.data, cut), ARRIVAL_PARTIAL);
		assert_int_equal(scan_copy(&a, wire.data, wire.length), ARRIVAL_WHOLE);
		assert_int_equal(a.length, wire.length);
	}
}

/* Scanned records are overwritten, so a scanner that reads them again fails. */
static void test_slow_peer_causes_no_record_to_be_parsed_twice(void **state)
{
	struct arrival a;

	some_params();
	for (int i = 0; i < 50; i++)
		buffer_text(&body, "channel=a&");
	make_request(1, 1, 0);
	arrival_init(&a);
	for (size_t have = 0; have < wire.length; have++) {
		assert_int_equal(scan_copy(&a, wire.data, have), ARRIVAL_PARTIAL);
		memset(wire.data, 0xee, a.at);
	}
	assert_int_equal(scan_copy(&a, wire.data, wire.length), ARRIVAL_WHOLE);
}

static void test_params_can_be_split_into_records_anywhere(void **state)
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
		/* Reported as soon as the length of the empty record is known. */
		assert_int_equal(told_at(), wire.length - 2);
	}
	/* Before the first of the five pairs, and after each of them. */
	assert_int_equal(cut_well, 6);
}

static void test_another_protocol_is_detected_at_the_first_byte(void **state)
{
	for (int first = 0; first < 256; first++) {
		uint8_t byte = (uint8_t)first;

		buffer_clear(&wire);
		buffer_append(&wire, &byte, 1);
		assert_int_equal(state_after(1),
			first == FCGI_VERSION_1 ? ARRIVAL_PARTIAL : ARRIVAL_NOT_FASTCGI);
	}
}

/* Appends one record, and returns the scanner's result for everything. */
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

static void test_first_record_is_begin_request_or_management(void **state)
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

static void test_records_out_of_order_are_refused(void **state)
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

static void test_wrong_field_is_reported_before_the_rest_arrives(void **state)
{
	const struct {
		size_t at; /* of the byte that is made wrong */
		uint8_t byte;
		size_t told; /* how many bytes have then come */
	} wrong[] = {{0, 2, 1}, {3, 0, 4}, {4, 1, 6}, {5, 7, 6}, /* BEGIN_REQUEST */
		{16, 0, 17}, {17, FCGI_STDIN, 18}, {18, 1, 20}, {19, 2, 20}, /* PARAMS */
		{24, 0, 25}, {25, FCGI_PARAMS, 26}, {27, 0, 28}}; /* STDIN */

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make_request(1, 1, 0);
		wire.data[wrong[i].at] = wrong[i].byte;
		assert_int_equal(told_at(), wrong[i].told);
		assert_int_equal(state_after(wrong[i].told), ARRIVAL_NOT_FASTCGI);
		assert_int_equal(state_after(wire.length), ARRIVAL_NOT_FASTCGI);
	}
}

static void test_reserved_bytes_and_flags_can_be_anything(void **state)
{
	make_request(1, 1, 0);
	for (size_t at = 10; at < 16; at++)
		wire.data[at] = 0xff;
	assert_whole();
}

static void test_any_id_except_zero_is_valid(void **state)
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

static void test_other_roles_are_reported_with_their_id(void **state)
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

static void test_request_can_be_aborted_before_it_is_complete(void **state)
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

static void test_management_record_is_reported_when_complete(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARRIVAL_TEST(request_is_complete_at_its_last_byte),
		ARRIVAL_TEST(smallest_request_is_complete),
		ARRIVAL_TEST(padding_is_skipped),
		ARRIVAL_TEST(bytes_after_a_complete_request_are_not_read),
		ARRIVAL_TEST(any_two_calls_give_the_same_as_one),
		ARRIVAL_TEST(slow_peer_causes_no_record_to_be_parsed_twice),
		ARRIVAL_TEST(params_can_be_split_into_records_anywhere),
		ARRIVAL_TEST(params_must_end_where_a_pair_ends),
		ARRIVAL_TEST(another_protocol_is_detected_at_the_first_byte),
		ARRIVAL_TEST(first_record_is_begin_request_or_management),
		ARRIVAL_TEST(records_out_of_order_are_refused),
		ARRIVAL_TEST(wrong_field_is_reported_before_the_rest_arrives),
		ARRIVAL_TEST(reserved_bytes_and_flags_can_be_anything),
		ARRIVAL_TEST(any_id_except_zero_is_valid),
		ARRIVAL_TEST(other_roles_are_reported_with_their_id),
		ARRIVAL_TEST(request_can_be_aborted_before_it_is_complete),
		ARRIVAL_TEST(management_record_is_reported_when_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
