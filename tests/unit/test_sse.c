/*
 * A row as an event: whatever it contains, a client gets that text and nothing else.
 * links: protocol/sse protocol/wire log/row log/gap base/utf8 base/buffer
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "eventstream.h"
#include "protocol/sse.h"
#include "protocol/wire.h"

#define UTF8_FFFD "\xef\xbf\xbd"

/* Encodes a row and parses it back; the result is exactly one event with the row's id. */
static void round_trip(const struct row *row, bool envelope, struct eventstream *p)
{
	struct buffer b;
	char id[32];

	buffer_init(&b, 1 << 26);
	sse_row(&b, row, envelope);
	assert_false(b.failed);
	eventstream_init(p);
	eventstream_feed(p, (const char *)b.data, b.length);
	buffer_free(&b);
	assert_int_equal(p->count, 1);
	assert_int_equal(p->empty_lines, 1);
	snprintf(id, sizeof(id), "%lld", (long long)row->id);
	assert_string_equal(p->events[0].id, id);
}

static struct row row_of(const char *data, size_t length)
{
	return (struct row){.id = 7,
		.channel = "default",
		.channel_length = 7,
		.data = data,
		.data_length = length,
		.retry_ms = -1};
}

static void expect(const char *data, size_t length, const char *wanted, size_t wanted_length)
{
	struct row row = row_of(data, length);
	struct eventstream p;

	round_trip(&row, false, &p);
	assert_string_equal(p.events[0].type, "message");
	assert_int_equal(p.events[0].length, wanted_length);
	assert_memory_equal(p.events[0].data, wanted, wanted_length);
	eventstream_free(&p);
}

#define SAME(text) expect(text, sizeof(text) - 1, text, sizeof(text) - 1)
#define BECOMES(text, wanted) expect(text, sizeof(text) - 1, wanted, sizeof(wanted) - 1)

static void test_text_arrives_unchanged(void **state)
{
	SAME("");
	SAME("hello");
	SAME(" leading space");
	SAME("  two");
	SAME("\n");
	SAME("a\n");
	SAME("a\n\n\nb");
	SAME("data: x\nid: 99\nevent: gap\nretry: 1\n: comment\n\nid: 5");
	SAME("nul\0in the middle");
	SAME("\xef\xbb\xbf"
	     "byte order mark");
	SAME("\xe2\x80\xa8 line separator, \xf0\x9f\x98\x80");
	SAME("0123456\n89abcdef0123456789\n");
}

static void expect_end(struct buffer *out, const char *end)
{
	size_t length = strlen(end);

	assert_true(out->length >= length);
	assert_memory_equal(out->data + out->length - length, end, length);
	for (size_t i = 0; i + length < out->length; i++)
		assert_memory_not_equal(out->data + i, "id: ", 4);
	buffer_clear(out);
}

/* A client that keeps an id as soon as its line arrives has then received all of the record. */
static void test_id_is_the_last_line_of_every_record(void **state)
{
	struct row row = row_of("two\nlines", 9);
	struct buffer out;
	char end[SSE_ROW_END_MAX];

	buffer_init(&out, 1000);
	row.event = "paid";
	row.event_length = 4;
	row.retry_ms = 500;
	for (int envelope = 0; envelope < 2; envelope++) {
		sse_row(&out, &row, envelope);
		expect_end(&out, "\nid: 7\n\n");
	}
	sse_position(&out, 8, false);
	expect_end(&out, "\nid: 8\n\n");
	sse_gap(&out, 9, "1", 2, 3, GAP_PRUNED);
	expect_end(&out, "\nid: 9\n\n");
	sse_position(&out, 10, true);
	expect_end(&out, "id: 10\n");
	assert_int_equal(sse_row_end(end, INT64_MAX), strlen("id: 9223372036854775807\n\n"));
	assert_string_equal(end, "id: 9223372036854775807\n\n");
	buffer_free(&out);
}

static void test_line_breaks_become_lf(void **state)
{
	BECOMES("a\rb", "a\nb");
	BECOMES("a\r\nb", "a\nb");
	BECOMES("\r", "\n");
	BECOMES("\r\n\r\n", "\n\n");
	BECOMES("\n\r", "\n\n");
	BECOMES("a\r\rid: 3\r", "a\n\nid: 3\n");
}

static void test_ill_formed_bytes_become_the_replacement_character(void **state)
{
	BECOMES("a\x80z", "a" UTF8_FFFD "z");
	BECOMES("\xff\xfe", UTF8_FFFD UTF8_FFFD);
	BECOMES("\xe2\x82", UTF8_FFFD);
	BECOMES("\xed\xa0\x80", UTF8_FFFD UTF8_FFFD UTF8_FFFD);
	BECOMES("\xf0\x9f\x98\nx", UTF8_FFFD "\nx");
}

/* Every text of breaks, spaces and letters up to some length, against a model of line breaks. */
static void test_all_short_texts(void **state)
{
	static const char alphabet[] = {'a', '\r', '\n', ' ', ':'};
	char text[6], wanted[6];

	for (int n = 0; n < 5 * 5 * 5 * 5 * 5; n++) {
		size_t length = 0;

		for (int left = n, i = 0; i < 5; i++, left /= 5)
			text[i] = alphabet[left % 5];
		for (int i = 0; i < 5; i++) {
			if (text[i] == '\n' && i > 0 && text[i - 1] == '\r')
				continue;
			wanted[length++] = text[i] == '\r' ? '\n' : text[i];
		}
		expect(text, 5, wanted, length);
	}
}

/* A text is looked at in steps of several bytes; what needs care may be anywhere in such a step. */
static void test_odd_bytes_at_every_place(void **state)
{
	static const struct {
		const char *odd, *wanted;
	} cases[] = {{"\n", "\n"}, {"\r", "\n"}, {"\r\n", "\n"}, {"\xff", UTF8_FFFD},
		{"\xc3", UTF8_FFFD}, {"\xc3\xa9", "\xc3\xa9"}};
	enum { TEXT_MAX = 72 };
	char text[TEXT_MAX + 8], wanted[TEXT_MAX + 8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int length = 0; length <= TEXT_MAX; length++)
			for (int at = 0; at <= length; at++) {
				int n = snprintf(text, sizeof(text), "%0*d%s%0*d", at + 1, 0,
					cases[i].odd, length - at + 1, 0);
				int m = snprintf(wanted, sizeof(wanted), "%0*d%s%0*d", at + 1, 0,
					cases[i].wanted, length - at + 1, 0);
				expect(text, (size_t)n, wanted, (size_t)m);
			}
}

static void test_ids_of_all_lengths(void **state)
{
	struct row row = row_of("x", 1);
	struct eventstream p;

	for (int64_t id = 1; id <= INT64_MAX / 10; id = id * 10 + 9) {
		row.id = id;
		round_trip(&row, false, &p);
		eventstream_free(&p);
	}
	row.id = INT64_MAX;
	round_trip(&row, false, &p);
	eventstream_free(&p);
}

static void test_type_cannot_inject_a_field(void **state)
{
	struct row row = row_of("x", 1);
	struct eventstream p;

	row.event = "a\ndata: forged\r\rid: 1\0b";
	row.event_length = 23;
	round_trip(&row, false, &p);
	assert_string_equal(p.events[0].data, "x");
	assert_string_equal(p.events[0].type,
		"a" UTF8_FFFD "data: forged" UTF8_FFFD UTF8_FFFD "id: 1" UTF8_FFFD "b");
	eventstream_free(&p);
}

static void test_reserved_types(void **state)
{
	assert_true(row_type_is_reserved("gap", 3));
	assert_true(row_type_is_reserved("open", 4));
	assert_false(row_type_is_reserved("gaps", 4));
	assert_false(row_type_is_reserved("", 0));
}

static void test_retry_is_sent_with_its_row(void **state)
{
	struct row row = row_of("x", 1);
	struct eventstream p;

	row.retry_ms = 1234;
	round_trip(&row, false, &p);
	assert_int_equal(p.retry_ms, 1234);
	eventstream_free(&p);
}

static void test_envelope_is_one_line_of_json(void **state)
{
	struct row row = row_of("a\r\n\"b\\\t\0\x1f\xff", 10);
	struct eventstream p;

	row.event = "t";
	row.event_length = 1;
	round_trip(&row, true, &p);
	assert_string_equal(p.events[0].type, "t");
	assert_string_equal(p.events[0].data,
		"{\"id\":7,\"channel\":\"default\",\"event\":\"t\",\"created_at\":null,"
		"\"data\":\"a\\r\\n\\\"b\\\\\\t\\u0000\\u001f" UTF8_FFFD "\"}");
	eventstream_free(&p);
}

static void test_rowtails_own_records(void **state)
{
	struct eventstream p;
	struct buffer b;

	buffer_init(&b, 4096);
	eventstream_init(&p);
	sse_retry(&b, 2417);
	sse_position(&b, 41, false);
	sse_heartbeat(&b);
	sse_position(&b, 45, true);
	sse_heartbeat(&b);
	sse_gap(&b, 50, "a\"b\n", 50, 60, GAP_PRUNED);
	sse_denied(&b, "revoked");
	eventstream_feed(&p, (const char *)b.data, b.length);
	assert_int_equal(p.retry_ms, 2417);
	assert_int_equal(p.count, 3);
	/*
	 * The only empty lines are those that end a record: some clients take each for a message.
	 */
	assert_int_equal(p.empty_lines, 3);
	assert_int_equal(p.comments, 2);
	assert_string_equal(p.events[0].type, "position");
	assert_string_equal(p.events[0].data, "41");
	assert_string_equal(p.events[1].id, "50");
	assert_string_equal(p.events[1].data,
		"{\"requested\":\"a\\\"b\\n\",\"oldest\":50,\"newest\":60,\"reason\":\"pruned\"}");
	assert_string_equal(p.events[2].type, "denied");
	eventstream_free(&p);
	buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_arrives_unchanged),
		cmocka_unit_test(test_id_is_the_last_line_of_every_record),
		cmocka_unit_test(test_line_breaks_become_lf),
		cmocka_unit_test(test_ill_formed_bytes_become_the_replacement_character),
		cmocka_unit_test(test_all_short_texts),
		cmocka_unit_test(test_odd_bytes_at_every_place),
		cmocka_unit_test(test_ids_of_all_lengths),
		cmocka_unit_test(test_type_cannot_inject_a_field),
		cmocka_unit_test(test_reserved_types),
		cmocka_unit_test(test_retry_is_sent_with_its_row),
		cmocka_unit_test(test_envelope_is_one_line_of_json),
		cmocka_unit_test(test_rowtails_own_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
