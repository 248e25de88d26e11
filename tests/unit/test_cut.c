/*
 * A sink takes so many bytes and then none, for every number: rowtail finds the rest of the record
 * again, in the window or by replay, and the client receives the log, once, in order.
 * links: stream/fanout stream/fanout_sweep stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_kept stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <fastcgi.h>
#include <sqlite3.h>

#include "eventstream.h"
#include "fanned.h"
#include "stream/fanout_impl.h"

enum { LONG_ROW = 70000, SHORTENED_ROW = 2000, ROWS = 6 };

static const char *const short_rows[ROWS] = {
	"one", "", "two\nlines\r\nthree", NULL, "data: x\n\n", "last"};

/* A client's side: takes `room` bytes, then nothing until it is given more. */
struct double_sink {
	struct sink sink;
	struct subscriber subscriber;
	char *bytes;
	size_t length, allocated, room;
	bool wants_write, finished;
};

static char long_row[LONG_ROW + 1];
static const char *long_text = long_row; /* its end, where the row is shortened */
static sqlite3_stmt *inserting; /* prepared once: with the triggers it is most of the work */

static void insert(const char *data)
{
	assert_int_equal(sqlite3_bind_text(inserting, 1, data, -1, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_step(inserting), SQLITE_DONE);
	assert_int_equal(sqlite3_reset(inserting), SQLITE_OK);
}

static const char *row(int i)
{
	return short_rows[i] ? short_rows[i] : long_text;
}

static void insert_rows(void)
{
	for (int i = 0; i < ROWS; i++)
		insert(row(i));
}

static int set_up(void **state)
{
	long_text = long_row;
	for (int i = 0; i < LONG_ROW; i++)
		long_row[i] = (char)('a' + i % 26);
	fanned_begin(NULL, "events", 1000000);
	return sqlite3_prepare_v2(
		logfile.writer, "INSERT INTO events(data) VALUES (?)", -1, &inserting, NULL);
}

static int tear_down(void **state)
{
	sqlite3_finalize(inserting);
	fanned_end();
	return 0;
}

static ssize_t take(struct sink *sink, const struct iovec *iov, int count)
{
	struct double_sink *d = (struct double_sink *)sink;
	size_t taken = 0;

	for (int i = 0; i < count && d->room > 0; i++) {
		size_t n = iov[i].iov_len < d->room ? iov[i].iov_len : d->room;

		if (d->length + n > d->allocated)
			d->bytes = realloc(d->bytes, d->allocated = (d->length + n) * 2);
		memcpy(d->bytes + d->length, iov[i].iov_base, n);
		d->length += n;
		d->room -= n;
		taken += n;
	}
	return (ssize_t)taken;
}

static void note_want(struct sink *sink, bool want)
{
	((struct double_sink *)sink)->wants_write = want;
}

static void note_finished(struct sink *sink)
{
	((struct double_sink *)sink)->finished = true;
}

static const struct sink_operations operations = {
	.write = take, .want_write = note_want, .finished = note_finished};

static void look(void)
{
	bool news;

	assert_int_equal(fanout_look(fanned.fanout, &news), EVENTLOG_OK);
}

static void take_turns(void)
{
	for (int i = 0; fanned.wants_turn; i++) {
		assert_true(i < 100000);
		fanned_turn();
	}
}

/* Opens a stream after a position; its sink takes `room` bytes at first. */
static void open_stream(
	struct double_sink *d, int64_t position, size_t room, bool envelope, uint16_t request_id)
{
	struct position asked = {.kind = POSITION_AT, .id = position, .tail = -1};

	memset(d, 0, sizeof(*d));
	d->sink.operations = &operations;
	d->room = room;
	fanned_open(&d->subscriber, &d->sink, fanned_default(), &asked, request_id, envelope);
}

/* The client reads, in pieces, until there is nothing more for it. */
static void read_on(struct double_sink *d, size_t piece)
{
	take_turns();
	while (d->wants_write && !d->finished) {
		d->room = piece;
		fanout_writable(fanned.fanout, &d->subscriber);
		take_turns();
	}
	d->room = SIZE_MAX;
}

/*
 * Removes the framing; every record is complete, and *ended says whether END_REQUEST was the
 * last.
 */
static char *unframe(const struct double_sink *d, uint16_t id, size_t *length, bool *ended)
{
	const uint8_t *p = (const uint8_t *)d->bytes;
	char *content = malloc(d->length + 1);
	size_t at = 0;

	*length = 0;
	*ended = false;
	while (at < d->length && id != 0) {
		size_t size = (size_t)p[at + 4] << 8 | p[at + 5];

		assert_false(*ended);
		assert_true(d->length - at >= FCGI_HEADER_LEN + size + p[at + 6]);
		assert_int_equal(p[at], FCGI_VERSION_1);
		assert_int_equal(p[at + 2] << 8 | p[at + 3], id);
		*ended = p[at + 1] == FCGI_END_REQUEST;
		assert_true(*ended || p[at + 1] == FCGI_STDOUT);
		if (!*ended) {
			memcpy(content + *length, p + at + FCGI_HEADER_LEN, size);
			*length += size;
		}
		at += FCGI_HEADER_LEN + size + p[at + 6];
	}
	if (id == 0) {
		memcpy(content, d->bytes, d->length);
		*length = d->length;
	}
	return content;
}

static void parse(const struct double_sink *d, uint16_t id, struct eventstream *p, bool *ended)
{
	size_t length;
	char *content = unframe(d, id, &length, ended);

	eventstream_init(p);
	assert_true(length >= 18);
	eventstream_feed(p, content + 18, length - 18);
	free(content);
}

/* The same text with every line break as LF. */
static void normal(const char *text, char *out)
{
	for (; *text; text++)
		if (*text != '\r')
			*out++ = *text;
		else if (text[1] != '\n')
			*out++ = '\n';
	*out = '\0';
}

/* Exactly the rows after `first`, once, in order, and before them the position. */
static void expect_rows(const struct double_sink *d, uint16_t id, int64_t first, bool envelope)
{
	struct eventstream p;
	static char wanted[LONG_ROW + 1];
	bool ended;

	parse(d, id, &p, &ended);
	assert_int_equal(p.count, ROWS + 1);
	assert_string_equal(p.events[0].type, "position");
	for (int i = 0; i < ROWS; i++) {
		assert_int_equal(atoll(p.events[i + 1].id), first + i + 1);
		normal(row(i), wanted);
		if (!envelope)
			assert_string_equal(p.events[i + 1].data, wanted);
	}
	eventstream_free(&p);
}

static void close_stream(struct double_sink *d)
{
	if (!d->finished)
		fanout_gone(fanned.fanout, &d->subscriber, LEAVE_CLIENT);
	assert_true(d->finished);
	free(d->bytes);
}

enum { SHORT_RECORDS = 450, EACH_WITH_A_LONG_ROW = 18, MOST = 72000 };

/* Every offset in the short records, and some in the long one. */
static size_t next_offset(size_t k)
{
	return k < SHORT_RECORDS ? k + 1 : k < 65500 ? k + 9973 : k < 65620 ? k + 3 : k + 2999;
}

/* After most cuts in the short records the long row is a shorter one: it takes most of the time. */
static void choose_row(size_t k)
{
	bool shortened = k < SHORT_RECORDS && k % EACH_WITH_A_LONG_ROW != 0;

	long_text = shortened ? long_row + LONG_ROW - SHORTENED_ROW : long_row;
}

/* After a cut in the short records the client reads a long row in larger pieces, to save time. */
static size_t piece_after(size_t k, size_t piece)
{
	return k < SHORT_RECORDS && long_text == long_row ? piece * 10 : piece;
}

static int64_t newest(void)
{
	struct eventlog_bounds bounds;

	assert_int_equal(eventlog_bounds(fanned.log, &bounds), EVENTLOG_OK);
	return bounds.newest;
}

/*
 * Opens a stream, and inserts the rows when it is live. Its socket takes k bytes of them. Returns
 * the newest id before them.
 */
static int64_t cut_live_stream(struct double_sink *d, size_t k, bool envelope, uint16_t id)
{
	int64_t first = newest();

	choose_row(k);
	open_stream(d, first, SIZE_MAX, envelope, id);
	take_turns();
	d->room = k;
	insert_rows();
	look();
	return first;
}

static void cut_live(bool envelope, uint16_t id, bool pushed_out)
{
	for (size_t k = 0; k < MOST; k = next_offset(k)) {
		struct double_sink d;
		int64_t first = cut_live_stream(&d, k, envelope, id);

		if (pushed_out)
			assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
		read_on(&d, piece_after(k, 997));
		expect_rows(&d, id, first, envelope);
		close_stream(&d);
	}
}

static void test_cut_while_live(void **state)
{
	cut_live(false, 1, false);
}

static void test_cut_while_live_in_an_envelope(void **state)
{
	cut_live(true, 1, false);
}

static void test_cut_while_live_without_a_window(void **state)
{
	cut_live(false, 7, false);
	cut_live(false, 0, false);
}

/* The window that held the cut record is emptied meanwhile: the stream continues by replay. */
static void test_cut_record_pushed_out_of_the_window(void **state)
{
	cut_live(false, 1, true);
}

static void test_cut_from_the_first_byte_on_in_replay(void **state)
{
	for (size_t k = 0; k < MOST; k = next_offset(k)) {
		struct double_sink d;
		int64_t first = newest();

		choose_row(k);
		insert_rows();
		look();
		open_stream(&d, first, k, false, 1);
		read_on(&d, piece_after(k, 1009));
		expect_rows(&d, 1, first, false);
		close_stream(&d);
	}
}

/* The log has the rest of such a record, and the window does not. */
static void test_cut_in_a_row_that_no_look_has_found_yet(void **state)
{
	for (size_t k = 0; k < MOST; k = next_offset(k) + 2) {
		struct double_sink d;
		int64_t first = newest();

		choose_row(k);
		insert(row(0));
		look();
		for (int i = 1; i < ROWS; i++)
			insert(row(i));
		open_stream(&d, first, k, false, 1);
		read_on(&d, piece_after(k, 1009));
		assert_false(d.finished);
		look();
		read_on(&d, SIZE_MAX);
		expect_rows(&d, 1, first, false);
		close_stream(&d);
	}
}

static void test_shutdown_finishes_the_record(void **state)
{
	for (size_t k = 0; k < MOST; k = next_offset(k)) {
		struct double_sink d;
		struct eventstream p;
		int64_t first = cut_live_stream(&d, k, false, 1);
		bool ended;

		fanout_shutdown(fanned.fanout);
		read_on(&d, piece_after(k, 1013));
		assert_true(d.finished);
		parse(&d, 1, &p, &ended);
		assert_true(ended);
		assert_int_equal(p.retry_ms, 2000);
		/* A client resumes after its last row: it has all rows from the first on. */
		for (size_t i = 1; i < p.count; i++)
			assert_int_equal(atoll(p.events[i].id), first + (int64_t)i);
		eventstream_free(&p);
		close_stream(&d);
	}
}

/*
 * The row is deleted before the client reads the rest of its record: the client drops the part it
 * has.
 */
static void test_cut_record_deleted_from_the_log(void **state)
{
	for (size_t k = 0; k < MOST; k = next_offset(k)) {
		struct double_sink d;
		struct eventstream p;
		int64_t first = cut_live_stream(&d, k, false, 1);
		bool ended;

		must("DELETE FROM events");
		assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
		read_on(&d, piece_after(k, 1021));
		parse(&d, 1, &p, &ended);
		/* Either the stream ended within the record, or a gap reported the deletion. */
		assert_true(
			ended || !strcmp(p.events[p.count - 1].type, "gap") || p.count == ROWS + 1);
		assert_int_equal(ended, d.finished);
		for (size_t i = 1; i < p.count && strcmp(p.events[i].type, "gap"); i++) {
			static char wanted[LONG_ROW + 1];

			normal(row((int)i - 1), wanted);
			assert_int_equal(atoll(p.events[i].id), first + (int64_t)i);
			assert_string_equal(p.events[i].data, wanted);
		}
		eventstream_free(&p);
		close_stream(&d);
	}
}

/*
 * The log cannot be read when the client has room again. If the cut was between two rows, the
 * frame is filled, so that no web server holds back the rows in it.
 */
static void test_cut_between_rows_and_the_log_cannot_be_read(void **state)
{
	int cuts_between_rows = 0;

	for (size_t k = 0; k < SHORT_RECORDS; k++) {
		struct double_sink d;
		int64_t first = newest();

		long_text = "short";
		open_stream(&d, first, SIZE_MAX, false, 1);
		take_turns();
		d.room = k;
		insert_rows();
		look();
		assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
		if (!d.subscriber.cut && d.subscriber.owed) {
			size_t length;
			bool ended;

			eventlog_close(fanned.log);
			read_on(&d, SIZE_MAX);
			assert_int_equal(d.subscriber.where, SUBSCRIBER_WAITING);
			free(unframe(&d, 1, &length, &ended));
			assert_int_equal(eventlog_open(fanned.log), EVENTLOG_OK);
			look();
			cuts_between_rows++;
		}
		read_on(&d, SIZE_MAX);
		expect_rows(&d, 1, first, false);
		close_stream(&d);
	}
	assert_true(cuts_between_rows >= ROWS);
}

/*
 * The same when the grant was revoked before. The last record must not complete the part of a row
 * that the client has.
 */
static void test_cut_record_deleted_after_a_revocation(void **state)
{
	static const uint16_t ids[] = {1, 0};

	for (size_t k = 0; k < MOST; k = next_offset(k)) {
		struct double_sink d;
		struct eventstream p;
		uint16_t id = ids[k % 2];
		int64_t first = cut_live_stream(&d, k, false, id);
		size_t last;
		bool ended;

		fanout_end(fanned.fanout, &d.subscriber, LEAVE_REVOKED);
		must("DELETE FROM events");
		assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
		read_on(&d, piece_after(k, 1021));
		parse(&d, id, &p, &ended);
		assert_true(d.finished);
		assert_true(ended || !id);
		assert_int_equal(p.unknown, 0);
		last = p.count - 1;
		for (size_t i = 1; i < p.count; i++) {
			static char wanted[LONG_ROW + 1];

			if (i == last && !strcmp(p.events[i].type, "denied")) {
				assert_string_equal(p.events[i].data, "{\"reason\":\"revoked\"}");
				continue;
			}
			normal(row((int)i - 1), wanted);
			assert_int_equal(atoll(p.events[i].id), first + (int64_t)i);
			assert_string_equal(p.events[i].type, "message");
			assert_string_equal(p.events[i].data, wanted);
		}
		eventstream_free(&p);
		close_stream(&d);
	}
}

/*
 * Deletes the row after the one that was cut, or all of them, and perhaps forgets that: as with a
 * view, rows are missing then without a gap. Returns the first one deleted, or 0.
 */
static int64_t delete_after_cut(const struct double_sink *d, bool all, bool forget)
{
	int64_t id = d->subscriber.cursor + 2;
	char sql[80];

	if (id > newest())
		return 0;
	snprintf(sql, sizeof(sql), "DELETE FROM events WHERE id %s %lld", all ? ">=" : "=",
		(long long)id);
	must(sql);
	if (forget)
		must("DELETE FROM events_pruned");
	assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
	return id;
}

/*
 * Rows that were to share a frame with the one that was cut are deleted: the frame is completed,
 * and the client gets all other rows.
 */
static void test_next_rows_are_deleted_after_a_cut(void **state)
{
	for (size_t k = 8; k < SHORT_RECORDS; k++) {
		bool all = k % 3 == 2, forget = k % 3 > 0, ended;
		uint16_t id = k % 2 ? 1 : 7;
		struct double_sink d;
		struct eventstream p;
		int64_t first = newest(), deleted, last = first;

		long_text = long_row + LONG_ROW - SHORTENED_ROW;
		open_stream(&d, first, SIZE_MAX, false, id);
		take_turns();
		d.room = k;
		insert_rows();
		look();
		take_turns();
		deleted = delete_after_cut(&d, all, forget);
		insert(row(3));
		look();
		read_on(&d, 1021);
		parse(&d, id, &p, &ended);
		assert_false(ended);
		for (size_t i = 1; i < p.count; i++) {
			if (last + 1 == deleted)
				last = all ? first + ROWS : deleted;
			if (strcmp(p.events[i].type, "gap") != 0)
				assert_int_equal(atoll(p.events[i].id), ++last);
			else
				assert_false(forget);
		}
		assert_int_equal(atoll(p.events[p.count - 1].id), first + ROWS + 1);
		assert_int_equal(last, first + ROWS + 1);
		eventstream_free(&p);
		close_stream(&d);
	}
}

/* The rows that were collected for one stream are not sent to another that was cut. */
static void test_cut_beside_another_stream(void **state)
{
	for (size_t k = 1; k < SHORT_RECORDS; k++) {
		struct double_sink d[2];
		int64_t first = newest();

		long_text = long_row + LONG_ROW - SHORTENED_ROW;
		for (int i = 0; i < 2; i++) {
			open_stream(&d[i], first, SIZE_MAX, false, 1);
			take_turns();
			d[i].room = i * k;
		}
		insert_rows();
		look();
		/* The one that was cut reads first, or the other. */
		for (int i = 0; i < 2; i++)
			read_on(&d[i ^ (k % 2)], SIZE_MAX);
		for (int i = 0; i < 2; i++) {
			expect_rows(&d[i], 1, first, false);
			close_stream(&d[i]);
		}
	}
}

/* A web server has less to do with one FastCGI record than with one for each row. */
static void test_short_rows_share_a_record(void **state)
{
	struct double_sink d;
	int64_t first = newest();
	size_t before, records = 0;

	open_stream(&d, first, SIZE_MAX, false, 1);
	take_turns();
	before = d.length;
	long_text = long_row + LONG_ROW - SHORTENED_ROW;
	insert_rows();
	look();
	for (size_t at = before; at < d.length; records++)
		at += FCGI_HEADER_LEN +
		      ((size_t)(uint8_t)d.bytes[at + 4] << 8 | (uint8_t)d.bytes[at + 5]);
	assert_int_equal(records, 1);
	expect_rows(&d, 1, first, false);
	close_stream(&d);
}

/* Whether the client has received all rows after `first`, including large ones. */
static void expect_large_rows(struct double_sink *d, uint16_t id, int64_t first, int64_t last)
{
	struct eventstream p;
	bool ended;

	parse(d, id, &p, &ended);
	assert_false(ended);
	assert_int_equal(p.count, last - first + 1);
	for (size_t i = 1; i < p.count; i++) {
		assert_int_equal(atoll(p.events[i].id), first + (int64_t)i);
		assert_int_equal(p.events[i].data[0], 'a' + ((int)i - 1) % 3);
	}
	eventstream_free(&p);
}

/* Rows of 300 kB, a, b and c, twice, with a small one after each. */
static void insert_large_rows(void)
{
	for (int i = 0; i < 6; i++) {
		char *sql = sqlite3_mprintf("INSERT INTO events(data) VALUES "
					    "(replace(hex(zeroblob(150000)), '0', '%c')), ('%c')",
			'a' + i * 2 % 3, 'a' + (i * 2 + 1) % 3);

		must(sql);
		sqlite3_free(sql);
	}
}

/*
 * Clients of all kinds, each in the middle of a large record, take turns: the cached record is
 * sometimes theirs, sometimes another's, or was dropped.
 */
static void test_large_records_in_turns(void **state)
{
	static const uint16_t ids[] = {1, 7, 0, 1, 1};
	enum { CLIENTS = sizeof(ids) / sizeof(*ids) };
	struct double_sink d[CLIENTS];
	int64_t first = newest();

	insert_large_rows();
	assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
	for (int i = 0; i < CLIENTS; i++)
		open_stream(&d[i], first, 100, false, ids[i]);
	for (int round = 0, busy = CLIENTS; busy > 0; round++) {
		busy = 0;
		for (int i = 0; i < CLIENTS; i++) {
			take_turns();
			if (!d[i].wants_write)
				continue;
			busy++;
			d[i].room = (size_t)(30011 + 7919 * i);
			fanout_writable(fanned.fanout, &d[i].subscriber);
			take_turns();
		}
		if (round % 3 == 0)
			fanout_sweep(fanned.fanout);
	}
	for (int i = 0; i < CLIENTS; i++) {
		expect_large_rows(&d[i], ids[i], first, newest());
		close_stream(&d[i]);
	}
}

/*
 * The large row is deleted while its record is sent: the record is completed, then a gap reports
 * the rest.
 */
static void test_large_record_deleted_from_the_log(void **state)
{
	struct double_sink d;
	struct eventstream p;
	int64_t first = newest();
	bool ended;

	insert_large_rows();
	assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
	open_stream(&d, first, 100000, false, 1);
	take_turns();
	must("DELETE FROM events");
	read_on(&d, 50000);
	parse(&d, 1, &p, &ended);
	assert_false(ended);
	assert_int_equal(p.count, 3);
	assert_int_equal(atoll(p.events[1].id), first + 1);
	assert_int_equal(strlen(p.events[1].data), 300000);
	assert_string_equal(p.events[2].type, "gap");
	assert_int_equal(atoll(p.events[2].id), first + 12);
	eventstream_free(&p);
	close_stream(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut_while_live, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_while_live_in_an_envelope, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_while_live_without_a_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_from_the_first_byte_on_in_replay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_in_a_row_that_no_look_has_found_yet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_record_pushed_out_of_the_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_shutdown_finishes_the_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_record_deleted_from_the_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_between_rows_and_the_log_cannot_be_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_cut_record_deleted_after_a_revocation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_next_rows_are_deleted_after_a_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_beside_another_stream, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_rows_share_a_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large_records_in_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_large_record_deleted_from_the_log, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
